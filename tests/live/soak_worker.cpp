/* SPDX-License-Identifier: MIT */
#include "live/soak_worker.hpp"

#include <iostream>
#include <thread>

namespace dqc::live {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

namespace {

constexpr int64_t kRowsMax = 3000;  // of a worker's table
constexpr int64_t kLateRowsMax = 1500;
constexpr int32_t kCorrupt = 11;  // SQLITE_CORRUPT

const char* OutcomeName(dqc_status status) {
  return status == DQC_OK ? "ok" : dqc_status_name(status);
}

}  // namespace

std::string Numbers(uint64_t count) {
  return "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " +
         std::to_string(count) + ") ";
}

void Violations::Add(const std::string& what) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++count_;
  std::cout << "VIOLATION: " << what << std::endl;
}

void CheckIntegrity(const std::string& dsn, Violations* violations) {
  for (int i = 0; i < 100; ++i) {
    const Reply reply = Conn(dsn).Query("PRAGMA integrity_check", {}, 60'000);
    if (reply.status == DQC_E_BUSY) {
      std::this_thread::sleep_for(milliseconds(20));
      continue;
    }
    if (reply.Text() != "Tok") {
      violations->Add("integrity check: " + (reply.ok() ? reply.Text() : reply.failure.message));
    }
    return;
  }
  violations->Add("integrity check: always busy");
}

const std::vector<Worker::Kind>& Worker::Kinds() {
  static const std::vector<Kind> kinds = {
      {"insert", &Worker::Insert, 30},
      {"update", &Worker::Update, 10},
      {"or fail", &Worker::OrFail, 5},
      {"limited", &Worker::Limited, 3},
      {"select", &Worker::Select, 30},
      {"big result", &Worker::BigResult, 4},
      {"wide result", &Worker::WideResult, 10},
      {"returning", &Worker::Returning, 20},
      {"half returning", &Worker::HalfReturning, 4},
      {"half cursor", &Worker::HalfCursor, 4},
      {"transaction", &Worker::Transaction, 15},
      {"savepoint", &Worker::SavepointInTransaction, 5},
      {"script", &Worker::Script, 10},
      {"failing script", &Worker::ScriptThatFails, 5},
      {"pragma", &Worker::Pragma, 10},
      {"error", &Worker::Error, 10},
      {"prepared", &Worker::Prepared, 30},
      {"blob", &Worker::Blob, 5},
      {"ddl", &Worker::Ddl, 5},
      {"timeout", &Worker::Timeout, 4},
      {"close", &Worker::CloseAndOpen, 3},
      {"free in tx", &Worker::FreeInTransaction, 2},
      {"admin", &Worker::Admin, 4},
      {"vacuum", &Worker::Vacuum, 1},
      {"verify", &Worker::Verify, 5},
      {"pipeline", &Worker::Pipeline, 10},
      {"cancel stream", &Worker::CancelStream, 4},
      {"cancel", &Worker::CancelAnything, 8},
      {"free in stream", &Worker::FreeMidStream, 2},
  };
  return kinds;
}

Worker::Worker(const std::string& address, char era, int number, uint64_t seed,
               Violations* violations)
    : dsn_("dqlite://" + address + "/work?timeout=30s"),
      era_(era),
      number_(number),
      random_(seed),
      violations_(violations) {}

void Worker::Run(const std::atomic<bool>& stop) {
  unsigned total = 0;
  for (const Kind& kind : Kinds()) total += kind.weight;
  while (!stop) {
    uint64_t at = Pick(total);
    const Kind* kind = Kinds().data();
    while (at >= kind->weight) at -= (kind++)->weight;
    Begin(kind->name);
    if (!Open() || !OpenAsync()) {
      std::this_thread::sleep_for(milliseconds(200));
      continue;
    }
    (this->*kind->run)();
    if (rows_max_ > kRowsMax && Open()) {
      kind_ = "delete all";
      const Reply reply = conn_.Exec("DELETE FROM " + Table());
      if (Told(reply)) rows_min_ = 0, rows_max_ = Settled() ? 0 : kLateRowsMax;
      if (reply.failure.outcome == DQC_OUTCOME_MAYBE_EXECUTED) rows_min_ = 0;
    }
  }
  stmts_.clear();
}

void Worker::Begin(const char* kind) {
  kind_ = kind;
  const std::lock_guard<std::mutex> lock(mutex_);
  history_.emplace_back(kind);
  if (history_.size() > 12) history_.pop_front();
}

std::string Worker::History() {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::string text = "worker " + std::to_string(number_) + ":";
  for (const std::string& kind : history_) text += " [" + kind + "]";
  return text;
}

void Worker::Violation(const std::string& what) {
  violations_->Add("worker " + std::to_string(number_) + ", " + kind_ + ": " + what);
}

void Worker::Expect(bool condition, const std::string& what) {
  if (!condition) Violation(what);
}

bool Worker::Open() {
  if (conn_ && conn_.state() == DQC_STATE_READY) return true;
  stmts_.clear();
  may_be_lost_ = false;
  conn_ = Conn(dsn_);
  if (!conn_) {
    Violation("cannot connect: " + conn_.opened().failure.message);
    return false;
  }
  Reply created = Again("CREATE TABLE IF NOT EXISTS " + Table() + "(id INTEGER PRIMARY KEY, x)");
  if (created.ok()) {  // of which PRAGMA optimize makes statistics
    created = Again("CREATE INDEX IF NOT EXISTS i" + Table() + " ON " + Table() + "(typeof(x))");
  }
  Expect(created.ok(), "cannot create the table: " + created.failure.message);
  return created.ok();
}

bool Worker::OpenAsync() {
  if (async_ && dqc_conn_state(async_->get()) == DQC_STATE_READY) return true;
  async_.reset();
  async_may_be_lost_ = false;
  async_ = std::make_unique<AsyncConn>(dsn_);
  Pending connected;
  if (async_->Connect(&connected) != DQC_OK || !async_->Finish(connected) ||
      !connected.reply.ok()) {
    Violation("cannot connect the asynchronous way: " + connected.reply.failure.message);
    async_.reset();
    return false;
  }
  return true;
}

bool Worker::Told(const Reply& reply, std::initializer_list<dqc_status> allowed) {
  ++counts_[{kind_, OutcomeName(reply.status)}];
  if (reply.ok()) return true;
  if (reply.status == DQC_E_BUSY) {
    // In a script the statements before the one that was busy stay done.
    const bool several = std::string_view(kind_).find("script") != std::string_view::npos;
    Expect(several || reply.failure.outcome == DQC_OUTCOME_NOT_EXECUTED,
           "busy, yet perhaps executed");
    return false;
  }
  const bool lost = reply.status == DQC_E_CLOSED || reply.status == DQC_E_NETWORK;
  if (lost && may_be_lost_) return false;
  for (const dqc_status status : allowed) {
    if (status == reply.status) return false;
  }
  const bool not_executed = reply.failure.outcome == DQC_OUTCOME_NOT_EXECUTED;
  if (era_ == 'D' && reply.failure.sqlite_code == kCorrupt && not_executed) {
    // That server's own (docs/protocol.md 8.6), as long as the database is whole.
    std::cout << "SERVER FAULT: " << kind_ << ": " << reply.failure.message << std::endl;
    CheckIntegrity(dsn_, violations_);
    return false;
  }
  Violation(reply.failure.message + " (" + std::to_string(reply.status) + ")");
  return false;
}

bool Worker::Added(const Reply& reply, int64_t rows, std::initializer_list<dqc_status> allowed) {
  const bool ok = Told(reply, allowed);
  const bool maybe = ok || reply.failure.outcome != DQC_OUTCOME_NOT_EXECUTED;
  int64_t& gains = rows > 0 ? rows_max_ : rows_min_;
  int64_t& loses = rows > 0 ? rows_min_ : rows_max_;
  if (maybe) gains += rows;
  if (ok) loses += rows;
  if (maybe && !ok) doubted_at_ = steady_clock::now();
  return ok;
}

// A write that was given up may still arrive for a while.
bool Worker::Settled() const { return steady_clock::now() - doubted_at_ > seconds(5); }

Reply Worker::Again(const std::string& sql, const Args& args, int64_t seconds_max) {
  const auto end = steady_clock::now() + seconds(seconds_max);
  for (;;) {
    Reply reply = conn_.Exec(sql, args);
    if (reply.status != DQC_E_BUSY || steady_clock::now() >= end) return reply;
    std::this_thread::sleep_for(std::chrono::microseconds(200 + Pick(3000)));
  }
}

// Whatever is open must end, or everybody waits for this worker.
void Worker::Rollback() {
  const Reply reply = Again("ROLLBACK");
  if (reply.ok() || reply.status == DQC_E_SQL) return;  // "no transaction is active"
  if (!may_be_lost_) Violation("ROLLBACK: " + reply.failure.message);
  conn_.Free();
}

void Worker::FinishAll(const std::vector<std::unique_ptr<Pending>>& all) {
  const bool finished = async_->RunUntil([&] {
    for (const auto& p : all) {
      if (p->op != 0 && p->done == 0) return false;
    }
    return true;
  });
  for (const auto& p : all) Expect(p->op == 0 || p->done == 1, "not exactly one terminal event");
  if (finished) return;
  Violation("an operation does not end");
  std::abort();  // its memory is still in use
}

}  // namespace dqc::live
