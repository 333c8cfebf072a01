/* SPDX-License-Identifier: MIT */
#include "client/transaction.hpp"

#include <algorithm>

namespace dqc::client {

namespace {

using session::kNever;
using session::Time;

constexpr Time kFirstPause = 1'500;
constexpr Time kLongestPause = 150'000;
// Marks are kept this long, in seconds by the leader's clock, and swept by one commit in many.
constexpr char kMarkAge[] = "3600";
constexpr uint64_t kCommitsPerSweep = 256;

constexpr char kTable[] =
    "CREATE TABLE IF NOT EXISTS dqclient_marks"
    "(id INTEGER PRIMARY KEY,at INTEGER NOT NULL,undone INTEGER NOT NULL);";

// A COMMIT that a checkpoint refused is sent again, and its mark may be there already or not. One that
// whoever doubts it has put there stops it: NULL is not allowed.
constexpr char kUnlessThere[] = " ON CONFLICT(id) DO UPDATE SET undone=NULL WHERE undone";

// What another run, elsewhere or later, may not meet again.
bool Passing(Code code) {
  switch (code) {
    case Code::kBusy:
    case Code::kBusySnapshot:
    case Code::kNotLeader:
    case Code::kLeadershipLost:
    case Code::kSessionLost:
    case Code::kNetwork:
    case Code::kClosed:
      return true;
    default:
      return false;
  }
}

std::string InsertSql(const char* verb, uint64_t mark, bool undone) {
  return std::string(verb) + " INTO dqclient_marks VALUES(" + std::to_string(mark) +
         ",strftime('%s','now')," + (undone ? "1)" : "0)");
}

}  // namespace

const char* Transaction::begin_sql() const {
  switch (options_.mode) {
    case BeginMode::kImmediate:
      return "BEGIN IMMEDIATE";
    case BeginMode::kExclusive:
      return "BEGIN EXCLUSIVE";
    case BeginMode::kDeferred:
    case BeginMode::kReadOnly:
      break;
  }
  return "BEGIN";
}

bool Transaction::AgainAfter(const Status& why, bool lost) {
  return Passing(why.code()) && (lost || why.info()->outcome == Outcome::kNotExecuted);
}

bool Transaction::AgainAfterCommit(const Status& why) const {
  const bool harmless = options_.idempotent || options_.mode == BeginMode::kReadOnly;
  const Outcome outcome = why.info()->outcome;
  return Passing(why.code()) &&
         (outcome == Outcome::kNotExecuted || (harmless && outcome == Outcome::kMaybeExecuted));
}

Time Transaction::Pause(Time now, Time deadline) {
  const Time most = std::min(kLongestPause, kFirstPause << std::min(tries_++, 7u));
  const Time wait = random_.Jitter(most * 2 / 3);
  return deadline != kNever && now + wait >= deadline ? kNever : wait;
}

std::string Transaction::CommitSql(bool make_table) {
  std::string sql = make_table ? kTable : "";
  sql += InsertSql("INSERT", mark_, false) + kUnlessThere;
  if (random_.Next() % kCommitsPerSweep == 0)
    sql += std::string(";DELETE FROM dqclient_marks WHERE at<strftime('%s','now')-") + kMarkAge;
  return sql + ";COMMIT";
}

std::string Transaction::FenceSql() const {
  return kTable + InsertSql("INSERT OR IGNORE", mark_, true);
}

std::string Transaction::VerdictSql() const {
  return "SELECT undone FROM dqclient_marks WHERE id=" + std::to_string(mark_);
}

std::string Transaction::BarrierSql() { return kTable + InsertSql("INSERT OR REPLACE", 0, false); }

}  // namespace dqc::client
