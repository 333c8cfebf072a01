/* SPDX-License-Identifier: MIT */
// What is known of a transaction of an application's besides its statements: how it begins and ends,
// when it may be run again from the beginning, and the mark it leaves so that a COMMIT nobody answered
// can be looked up later. Pure: told the time, asked for decisions.
#pragma once

#include <cstdint>
#include <string>

#include "base/random.hpp"
#include "session/operation.hpp"

namespace dqc::client {

enum class BeginMode : uint8_t { kImmediate = 0, kDeferred = 1, kExclusive = 2, kReadOnly = 3 };

struct TransactionOptions {
  BeginMode mode = BeginMode::kImmediate;
  bool idempotent = false;  // committing it twice does no harm
  bool resolve = false;     // leaves a mark
  uint64_t seed = 1;
};

class Transaction {
 public:
  using Time = session::Time;

  explicit Transaction(const TransactionOptions& options)
      : options_(options), random_(options.seed), mark_(NewMark()) {}

  bool waits_for_turn() const {  // it takes the write lock at once
    return options_.mode == BeginMode::kImmediate || options_.mode == BeginMode::kExclusive;
  }
  const char* begin_sql() const;

  bool idempotent() const { return options_.idempotent; }

  // May all of it be run again, after a failure before COMMIT was sent? `lost`: its connection broke,
  // and the transaction with it.
  static bool AgainAfter(const Status& why, bool lost);
  // After what COMMIT was answered. `resolved`: the outcome is certain.
  bool AgainAfterCommit(const Status& why) const;
  // How long to wait before that; kNever: the time until `deadline` does not last.
  Time Pause(Time now, Time deadline);

  // --- marks. A row of its own, committed with the transaction; whoever doubts the COMMIT tries to
  // insert the same key: that fails if it was committed, and keeps it from being committed if not,
  // since a cluster has one history of writes.
  bool marked() const { return options_.resolve && options_.mode != BeginMode::kReadOnly; }
  void NextMark() { mark_ = NewMark(); }
  std::string CommitSql(bool make_table);  // with the mark
  std::string FenceSql() const;
  std::string VerdictSql() const;   // 0: committed, 1: never will be
  static std::string BarrierSql();  // a write that changes nothing of the application's

 private:
  uint64_t NewMark() { return random_.Next() >> 2; }

  const TransactionOptions options_;
  Random random_;
  uint64_t mark_;
  uint32_t tries_ = 0;
};

}  // namespace dqc::client
