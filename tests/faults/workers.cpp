/* SPDX-License-Identifier: MIT */
#include "faults/workers.hpp"

#include <algorithm>
#include <chrono>

namespace dqc::faults {

namespace {

constexpr const char* kInsert = "INSERT INTO ids(id) VALUES (?)";
constexpr const char* kInsertReturning = "INSERT INTO ids(id) VALUES (?) RETURNING id";

}  // namespace

const std::vector<std::string>& Schema() {
  static const std::vector<std::string> schema = [] {
    std::vector<std::string> s = {
        "CREATE TABLE IF NOT EXISTS ids(id INTEGER)",
        "CREATE TABLE IF NOT EXISTS accounts(id INTEGER PRIMARY KEY, balance INTEGER)",
        "CREATE TABLE IF NOT EXISTS transfers(op INTEGER, src INTEGER, dst INTEGER, amount "
        "INTEGER)",
        "CREATE TABLE IF NOT EXISTS list(key INTEGER, seq INTEGER, op INTEGER)",
        "CREATE INDEX IF NOT EXISTS list_by_key ON list(key, seq)",
        "CREATE TABLE IF NOT EXISTS counter(id INTEGER PRIMARY KEY, n INTEGER)",
        "INSERT OR IGNORE INTO counter VALUES (0, 0)"};
    for (int64_t i = 0; i < kAccounts; ++i) {
      s.push_back("INSERT OR IGNORE INTO accounts VALUES (" + std::to_string(i) + ", " +
                  std::to_string(kBalance) + ")");
    }
    return s;
  }();
  return schema;
}

void Worker::Run() {
  while (!Stopped()) {
    switch (role_) {
      case Role::kCrowd:
        Burst();
        break;
      case Role::kSingle:
        Single();
        break;
      case Role::kBank:
        Transfer();
        break;
      case Role::kList:
        Append();
        break;
      case Role::kCounter:
        Increment();
        break;
      case Role::kSumReader:
        Sum();
        break;
      case Role::kCounterReader:
        caller_.Pick(2) == 0 ? ReadCounter() : ReadStrongly();
        break;
    }
  }
}

void Worker::Pause(int64_t ms_max) {
  const uint64_t us = caller_.Pick(static_cast<uint64_t>(ms_max) * 1000);
  std::this_thread::sleep_for(std::chrono::microseconds(us));
}

// Some inserts at once, so that they share transactions.
void Worker::Burst() {
  std::vector<Op*> ops;
  const uint64_t count = 1 + caller_.Pick(16);
  for (uint64_t i = 0; i < count; ++i) {
    Request request;
    request.sql = kInsert;
    Kind kind = Kind::kInsert;
    const uint64_t dice = caller_.Pick(20);
    if (dice == 0) {
      kind = Kind::kAlone;
      request.flags = DQC_CALL_ALONE;
    } else if (dice == 1 && returning_) {
      kind = Kind::kReturning;
      request.sql = kInsertReturning;
      request.verb = Request::Verb::kQuery;
    }
    Op* op = caller_.New(kind, caller_.shared().next_id++);
    request.args = {op->id};
    caller_.Start(op, request);
    ops.push_back(op);
  }
  caller_.Wait(ops);
  for (const Op* op : ops) {
    if (op->kind == Kind::kReturning && op->Ok() && (op->rows != 1 || op->cells[0] != op->id)) {
      caller_.shared().violations->Add("returning", std::to_string(op->rows) + " rows, " +
                                                        std::to_string(op->cells[0]) + ", for " +
                                                        op->Text());
    }
  }
  Pause(60);
}

// One after the other: by the blocking call, or with a prepared statement.
void Worker::Single() {
  const uint64_t dice = caller_.Pick(20);
  if (dice < 2) {
    PreparedInserts();
  } else if (dice >= 15) {
    Marked();
  } else if (dice < 8) {
    Pair(dice < 5 ? Kind::kScript : Kind::kTwo);
  } else {
    Request request;
    Op* op = caller_.New(Kind::kBlocking, caller_.shared().next_id++);
    request.sql = kInsert;
    request.args = {op->id};
    caller_.RunBlocking(op, request);
  }
  Pause(30);
}

// run_tx in one of its modes, with a mark.
void Worker::Marked() {
  Op* op = caller_.New(Kind::kMarked, caller_.shared().next_id++);
  Request request;
  request.sql = kInsert;
  request.args = {op->id};
  caller_.RunTransaction(op, request);
}

// Two ids in one call.
void Worker::Pair(Kind kind) {
  Op* op = caller_.New(kind, caller_.shared().next_id++, 0, caller_.shared().next_id++);
  Request request;
  request.sql = "INSERT INTO ids(id) VALUES (" + std::to_string(op->id) +
                "); INSERT INTO ids(id) VALUES (" + std::to_string(op->value) + ")";
  if (kind == Kind::kScript) {
    request.verb = Request::Verb::kScript;
    request.sql = "BEGIN IMMEDIATE; " + request.sql + "; COMMIT";
  }
  caller_.Run(op, request);
}

dqc_conn* Worker::Lease() {
  Request request;
  request.verb = Request::Verb::kAcquire;
  const Op* op = caller_.Run(Kind::kLease, request);
  if (op->conn == nullptr) Pause(20);
  return op->conn;
}

void Worker::PreparedInserts() {
  dqc_conn* conn = Lease();
  if (conn == nullptr) return;
  Request request;
  request.verb = Request::Verb::kPrepare;
  request.sql = kInsert;
  request.conn = conn;
  const Op* prepared = caller_.Run(Kind::kStatement, request);
  if (prepared->stmt != nullptr) {
    request.verb = Request::Verb::kExec;
    request.stmt = prepared->stmt;
    for (uint64_t i = 1 + caller_.Pick(4); i > 0 && !Stopped(); --i) {
      Op* op = caller_.New(Kind::kPrepared, caller_.shared().next_id++);
      request.args = {op->id};
      caller_.Run(op, request);
      if (!op->Ok() && op->code != DQC_E_BUSY) break;
    }
    dqc_stmt_free(prepared->stmt);
  }
  dqc_conn_free(conn);
}

Op* Worker::Statement(dqc_conn* conn, const char* sql, const std::vector<int64_t>& args,
                      bool query) {
  Request request;
  request.verb = query ? Request::Verb::kQuery : Request::Verb::kExec;
  request.sql = sql;
  request.args = args;
  request.conn = conn;
  const Us end = Now() + Ms(3000);
  for (;;) {
    Op* op = caller_.Run(Kind::kStatement, request);
    if (op->code != DQC_E_BUSY || Now() > end) return op;
    ++caller_.shared().busy;
    Pause(10);
  }
}

void Worker::Transaction(Op* logical, const std::function<bool(dqc_conn*)>& body) {
  logical->logical = true;
  logical->submitted = Now();
  logical->outcome = Outcome::kNotExecuted;
  if (dqc_conn* conn = Lease()) {
    if (Statement(conn, "BEGIN IMMEDIATE")->Ok() && body(conn)) {
      const Op* commit = Statement(conn, "COMMIT");
      logical->outcome =
          commit->outcome == Outcome::kRefused ? Outcome::kNotExecuted : commit->outcome;
      logical->code = commit->code;
      logical->server_code = commit->server_code;
      logical->cancelled = commit->cancelled;
      logical->submitted = commit->submitted;
      logical->message = commit->message;
      logical->deadline = commit->deadline;
    }
    dqc_conn_free(conn);
  }
  logical->ended = Now();
}

void Worker::Transfer() {
  const auto accounts = static_cast<uint64_t>(kAccounts);
  const auto src = static_cast<int64_t>(caller_.Pick(accounts));
  const auto dst = (src + 1 + static_cast<int64_t>(caller_.Pick(accounts - 1))) % kAccounts;
  const auto amount = 1 + static_cast<int64_t>(caller_.Pick(50));
  Op* op = caller_.New(Kind::kTransfer, caller_.shared().next_id++, src * kAccounts + dst, amount);
  Transaction(op, [&](dqc_conn* conn) {
    constexpr const char* kMove = "UPDATE accounts SET balance = balance + ? WHERE id = ?";
    if (!Statement(conn, kMove, {-amount, src})->Ok()) return false;
    if (caller_.shared().planter->Fire(Plant::kTornTransfer)) return true;
    return Statement(conn, kMove, {amount, dst})->Ok() &&
           Statement(conn, "INSERT INTO transfers VALUES (?, ?, ?, ?)", {op->id, src, dst, amount})
               ->Ok();
  });
  Pause(60);
}

void Worker::Append() {
  const auto key = static_cast<int64_t>(caller_.Pick(static_cast<uint64_t>(kLists)));
  Op* op = caller_.New(Kind::kAppend, caller_.shared().next_id++, key);
  Transaction(op, [&](dqc_conn* conn) {
    const Op* last =
        Statement(conn, "SELECT coalesce(max(seq), 0) FROM list WHERE key = ?", {key}, true);
    if (!last->Ok() || last->rows != 1) return false;
    op->value = last->cells[0] + (caller_.shared().planter->Fire(Plant::kListGap) ? 2 : 1);
    return Statement(conn, "INSERT INTO list VALUES (?, ?, ?)", {key, op->value, op->id})->Ok();
  });
  Pause(60);
}

void Worker::Increment() {
  Request request;
  request.sql = "UPDATE counter SET n = n + 1 WHERE id = 0";
  std::vector<Op*> ops;
  for (uint64_t i = 1 + caller_.Pick(3); i > 0; --i) {
    ops.push_back(caller_.New(Kind::kCounter, caller_.shared().next_id++));
    caller_.Start(ops.back(), request);
  }
  caller_.Wait(ops);
  Pause(40);
}

void Worker::Sum() {
  Request request;
  request.verb = Request::Verb::kQuery;
  request.sql = "SELECT sum(balance), count(*) FROM accounts";
  const Op* op = caller_.Run(Kind::kSum, request);
  if (op->Ok() &&
      (op->rows != 1 || op->cells[0] != kAccounts * kBalance || op->cells[1] != kAccounts)) {
    caller_.shared().violations->Add("torn sum", std::to_string(op->cells[0]) + " in " +
                                                     std::to_string(op->cells[1]) +
                                                     " accounts, by " + op->Text());
  }
  Pause(30);
}

// One connection reads on and on: what it sees never goes back.
void Worker::ReadCounter() {
  Shared& shared = caller_.shared();
  dqc_conn* conn = Lease();
  if (conn == nullptr) return;
  int64_t last = 0;
  Request request;
  request.verb = Request::Verb::kQuery;
  request.sql = "SELECT n FROM counter WHERE id = 0";
  request.conn = conn;
  for (int i = 0; i < 200 && !Stopped(); ++i) {
    const int64_t acknowledged = shared.counter_acknowledged;
    const Op* op = caller_.Run(Kind::kRead, request);
    if (op->Ok() && op->rows == 1) {
      int64_t n = op->cells[0];
      if (shared.planter->Fire(Plant::kBackInTime)) n = last - 1;
      if (n < last)
        shared.violations->Add("back in time", "from " + std::to_string(last) + " to " +
                                                   std::to_string(n) + " by " + op->Text());
      if (n > shared.counter_asked) {
        shared.violations->Add("counter", "read " + std::to_string(n) + ", more than ever asked");
      }
      if (n < acknowledged) {
        ++shared.stale_reads;
        if (!shared.faults->Overlaps(op->submitted, op->ended)) {
          shared.violations->Add(
              "stale without a fault",
              std::to_string(n) + " after " + std::to_string(acknowledged) + ": " + op->Text());
        }
      }
      last = std::max(last, n);
    } else if (op->code != DQC_E_BUSY && op->code != DQC_E_CANCELLED && op->code != DQC_E_TIMEOUT) {
      break;
    }
    Pause(40);
  }
  dqc_conn_free(conn);
}

// Whoever leads, and whatever is cut off: it sees all that was acknowledged before it began.
void Worker::ReadStrongly() {
  Shared& shared = caller_.shared();
  Request request;
  request.verb = Request::Verb::kQuery;
  request.sql = "SELECT n FROM counter WHERE id = 0";
  request.flags = DQC_CALL_STRONG;
  for (int i = 0; i < 20 && !Stopped(); ++i) {
    const int64_t acknowledged = shared.counter_acknowledged;
    const Op* op = caller_.Run(Kind::kStrong, request);
    if (op->Ok() && op->rows == 1) {
      int64_t n = op->cells[0];
      if (shared.planter->Fire(Plant::kStaleRead)) n = acknowledged - 1;
      if (n < acknowledged) {
        shared.violations->Add(
            "stale strong read",
            std::to_string(n) + " after " + std::to_string(acknowledged) + ": " + op->Text());
      }
    }
    Pause(40);
  }
}

}  // namespace dqc::faults
