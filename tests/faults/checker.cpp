/* SPDX-License-Identifier: MIT */
#include "faults/checker.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>

#include "live/client.hpp"

namespace dqc::faults {
namespace {

using live::Args;
using live::Conn;
using live::Reply;

constexpr int32_t kLeadershipLost = 10506;
constexpr Us kLateMax = Ms(1000);  // an event beyond its deadline

bool Acknowledged(const Op& op) {
  return op.outcome == Outcome::kOk || op.outcome == Outcome::kExecuted;
}

// Everything in `table`, in pages: a long stream would hold a server up.
std::string ReadTable(const Conn& conn, const std::string& columns, const std::string& table,
                      std::vector<std::vector<int64_t>>* out) {
  int64_t last = -1;
  for (;;) {
    const Reply reply = conn.Query("SELECT rowid, " + columns + " FROM " + table +
                                       " WHERE rowid > ? ORDER BY rowid LIMIT 5000",
                                   {last});
    if (!reply.ok()) return reply.failure.message;
    if (reply.rows.empty()) return "";
    for (const auto& row : reply.rows) {
      std::vector<int64_t>& cells = out->emplace_back();
      for (size_t c = 0; c < row.size(); ++c) {
        const int64_t value = std::strtoll(row[c].c_str() + 1, nullptr, 10);
        if (c == 0) {
          last = value;
        } else {
          cells.push_back(value);
        }
      }
    }
  }
}

}  // namespace

Checker::Checker(const std::vector<std::unique_ptr<Worker>>& workers, FaultLog* faults,
                 Violations* violations)
    : faults_(faults), violations_(violations) {
  for (const auto& worker : workers) {
    for (const Op& op : worker->caller().ops()) ops_.push_back(&op);
  }
}

void Checker::CheckEvents() {
  for (const Op* op : ops_) {
    if (op->logical) continue;
    ++operations_;
    if (op->outcome == Outcome::kOpen) {
      violations_->Add("lost event", op->Text());
    } else if (op->outcome == Outcome::kRefused) {
      if (op->code != DQC_E_CLOSED) violations_->Add("refused", op->Text());
    } else if (op->ended - op->deadline - faults_->Stalled(op->submitted, op->ended) > kLateMax) {
      violations_->Add("late event", op->Text());
    }
  }
  for (const Op* op : ops_) {
    if (op->outcome != Outcome::kMaybe || !IsWrite(op->kind)) continue;
    if (op->cancelled || op->code == DQC_E_TIMEOUT || op->ended >= op->deadline) continue;
    // The first of two is done and stays so when the second finds another writer.
    if (op->kind == Kind::kTwo && op->code == DQC_E_BUSY) continue;
    ++maybe_by_fault_;
    // The server's own word for a fault: a leader may step down and be back between two looks.
    if (op->server_code == kLeadershipLost) continue;
    if (!faults_->Overlaps(op->submitted, op->ended)) {
      violations_->Add("baseless maybe", op->Text());
    }
  }
}

bool Checker::Read(tool::DevCluster* cluster) {
  std::string why;
  for (int tries = 0; tries < 10; ++tries) {
    for (Rows* rows : {&ids_, &accounts_, &transfers_, &list_, &counter_}) rows->clear();
    const Conn conn("dqlite://" + cluster->WaitForLeader(std::chrono::seconds(20)) +
                    "/faults?timeout=60s");
    Reply reply = conn.opened();
    // The write goes through a majority: nothing acknowledged is missing from what is read next.
    if (reply.ok()) reply = conn.Exec("CREATE TABLE IF NOT EXISTS fence(x)");
    if (reply.ok()) reply = conn.Exec("INSERT INTO fence VALUES (1)");
    if (reply.ok()) {
      why = ReadTable(conn, "id", "ids", &ids_);
      if (why.empty()) why = ReadTable(conn, "id, balance", "accounts", &accounts_);
      if (why.empty()) why = ReadTable(conn, "op, src, dst, amount", "transfers", &transfers_);
      if (why.empty()) why = ReadTable(conn, "key, seq, op", "list", &list_);
      if (why.empty()) why = ReadTable(conn, "id, n", "counter", &counter_);
      if (why.empty()) return true;
    } else {
      why = reply.failure.message;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
  }
  violations_->Add("cluster", "cannot be read at the end: " + why);
  return false;
}

void Checker::Check(tool::DevCluster* cluster) {
  if (!Read(cluster)) return;
  CheckWrites();
  CheckBank();
  CheckLists();
  CheckCounter();
}

// Ids, transfers and appends: each operation left its id, as often as it was executed.
void Checker::CheckWrites() {
  std::map<int64_t, int64_t> found;
  for (const auto& row : ids_) ++found[row[0]];
  for (const auto& row : transfers_) ++found[row[0]];
  for (const auto& row : list_) ++found[row[2]];
  for (const Op* op : ops_) {
    if (!IsWrite(op->kind) || op->kind == Kind::kCounter) continue;
    const auto at = found.find(op->id);
    const int64_t count = at == found.end() ? 0 : at->second;
    if (at != found.end()) found.erase(at);
    if (IsPair(op->kind)) {
      const auto other = found.find(op->value);
      const int64_t others = other == found.end() ? 0 : other->second;
      if (other != found.end()) found.erase(other);
      CheckPair(*op, count, others);
    } else if (count > 1) {
      violations_->Add("double write", std::to_string(count) + " times: " + op->Text());
    } else if (Acknowledged(*op) && count == 0) {
      violations_->Add("lost write", op->Text());
    } else if ((op->outcome == Outcome::kNotExecuted || op->outcome == Outcome::kRefused) &&
               count > 0) {
      violations_->Add("denied write", op->Text());
    }
  }
  for (const auto& [id, count] : found) {
    violations_->Add("unknown write", std::to_string(id) + ", " + std::to_string(count) + " times");
  }
}

void Checker::CheckPair(const Op& op, int64_t first, int64_t second) {
  const std::string text =
      std::to_string(first) + " and " + std::to_string(second) + " times: " + op.Text();
  if (first > 1 || second > 1) {
    violations_->Add("double write", text);
  } else if (Acknowledged(op) && first + second < 2) {
    violations_->Add("lost write", text);
  } else if (op.outcome == Outcome::kNotExecuted && first + second > 0) {
    violations_->Add("denied write", text);
  } else if (second > first || (op.kind == Kind::kScript && first != second)) {
    violations_->Add("torn script", text);
  }
}

// Each balance is what the recorded transfers make of it.
void Checker::CheckBank() {
  std::map<int64_t, int64_t> balances;
  for (int64_t i = 0; i < kAccounts; ++i) balances[i] = kBalance;
  for (const auto& row : transfers_) {
    balances[row[1]] -= row[3];
    balances[row[2]] += row[3];
  }
  std::map<int64_t, int64_t> found;
  for (const auto& row : accounts_) found[row[0]] = row[1];
  if (found == balances) return;
  std::string text;
  for (const auto& [id, balance] : balances) {
    text += " " + std::to_string(id) + ": " + std::to_string(found[id]) + " not " +
            std::to_string(balance) + ";";
  }
  violations_->Add("bank", "balances and transfers differ:" + text);
}

// Gapless, and in the order in which appends were acknowledged.
void Checker::CheckLists() {
  std::map<int64_t, std::map<int64_t, int64_t>> lists;  // key, number: operation
  for (const auto& row : list_) {
    if (!lists[row[0]].emplace(row[1], row[2]).second) {
      violations_->Add("list", "key " + std::to_string(row[0]) + " has number " +
                                   std::to_string(row[1]) + " twice");
    }
  }
  for (const auto& [key, list] : lists) {
    if (list.rbegin()->first != static_cast<int64_t>(list.size()) || list.begin()->first != 1) {
      violations_->Add("list", "key " + std::to_string(key) +
                                   " has gaps: " + std::to_string(list.size()) + " up to number " +
                                   std::to_string(list.rbegin()->first));
    }
  }
  std::vector<const Op*> appends;
  for (const Op* op : ops_) {
    if (op->kind != Kind::kAppend || !Acknowledged(*op)) continue;
    appends.push_back(op);
    const auto& list = lists[op->key];
    const auto at = list.find(op->value);
    if (at == list.end() || at->second != op->id) {
      violations_->Add("list", "not in its place: " + op->Text());
    }
  }
  std::sort(appends.begin(), appends.end(),
            [](const Op* a, const Op* b) { return a->submitted < b->submitted; });
  // An append whose COMMIT was sent after another's was acknowledged comes behind it.
  std::vector<const Op*> by_end = appends;
  std::sort(by_end.begin(), by_end.end(),
            [](const Op* a, const Op* b) { return a->ended < b->ended; });
  std::map<int64_t, int64_t> highest;
  size_t ended = 0;
  for (const Op* op : appends) {
    for (; ended < by_end.size() && by_end[ended]->ended < op->submitted; ++ended) {
      int64_t& h = highest[by_end[ended]->key];
      h = std::max(h, by_end[ended]->value);
    }
    if (op->value <= highest[op->key]) violations_->Add("order", op->Text());
  }
}

void Checker::CheckCounter() {
  int64_t at_least = 0, at_most = 0;
  for (const Op* op : ops_) {
    if (op->kind != Kind::kCounter) continue;
    if (Acknowledged(*op)) ++at_least;
    if (Acknowledged(*op) || op->outcome == Outcome::kMaybe || !op->Done()) ++at_most;
  }
  const int64_t n = counter_.empty() ? -1 : counter_[0][1];
  if (n < at_least || n > at_most) {
    violations_->Add("counter", "is " + std::to_string(n) + ", acknowledged " +
                                    std::to_string(at_least) + ", at most " +
                                    std::to_string(at_most));
  }
}

void Checker::PrintTable() const {
  constexpr auto kOutcomes = static_cast<size_t>(Outcome::kCount);
  std::map<Kind, std::vector<size_t>> counts;
  std::map<Kind, size_t> cancelled;
  for (const Op* op : ops_) {
    auto& row = counts[op->kind];
    row.resize(kOutcomes);
    ++row[static_cast<size_t>(op->outcome)];
    if (op->cancelled) ++cancelled[op->kind];
  }
  std::printf("  %-16s", "operations");
  for (size_t o = 1; o < kOutcomes; ++o) {
    std::printf(" %12s", OutcomeName(static_cast<Outcome>(o)));
  }
  std::printf(" %12s\n", "(cancelled)");
  for (const auto& [kind, row] : counts) {
    std::printf("  %-16s", KindName(kind));
    for (size_t o = 1; o < kOutcomes; ++o) std::printf(" %12zu", row[o]);
    std::printf(" %12zu\n", cancelled[kind]);
  }
  (void)std::fflush(stdout);
}

Us Checker::LongestWithoutWrite(Us from, Us to, bool leased) const {
  std::vector<Us> acknowledged = {from, to};
  for (const Op* op : ops_) {
    if (!IsWrite(op->kind) || !Acknowledged(*op) || op->ended >= to) continue;
    if (leased || !op->logical) acknowledged.push_back(op->ended);
  }
  std::sort(acknowledged.begin(), acknowledged.end());
  Us longest = 0;
  for (size_t i = 1; i < acknowledged.size(); ++i) {
    longest = std::max(longest, acknowledged[i] - acknowledged[i - 1]);
  }
  return longest;
}

}  // namespace dqc::faults
