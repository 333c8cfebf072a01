/* SPDX-License-Identifier: MIT */
// Whether a connection is inside a transaction. Servers do not tell: it follows from the statements
// that they answered, in the order of the answers. Never allocates.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/status.hpp"
#include "session/sql.hpp"

namespace dqc::session {

// Values equal the public DQC_TX_ constants (checked in capi/src/conn.cpp).
enum class TxState : uint8_t {
  kNone = 0,
  kOpen = 1,
  kUnknown = 2,  // a failure may have rolled it back
};

class Transaction {
 public:
  static constexpr size_t kSavepointsMax = 64;  // remembered; the latest, where there are more

  TxState state() const { return state_; }
  // It may hold the write lock: it took it at its begin, or something was written.
  bool writes() const { return writes_; }

  // It holds the write lock for certain: BEGIN IMMEDIATE, or a statement that always takes it.
  bool locked() const { return locked_; }

  // A write since the last begin ran outside of the transaction, or perhaps did: behind a failure that
  // ended it, which the sender did not know yet.
  bool strayed() const { return strayed_; }
  // Open, as far as the server's own failures go. A schema that says ROLLBACK is its owner's will.
  bool inside() const { return state_ != TxState::kNone && !ended_; }

  void Reset();
  void Strayed() { strayed_ = true; }
  // The server's answers.
  void Succeeded(const sql::Statement& statement) noexcept;
  void Failed(const sql::Statement& statement, const Status& status) noexcept;
  // To a text of several statements, of which those before the one that failed were run.
  void SeveralSucceeded(std::string_view sql) noexcept;
  void SeveralFailed(std::string_view sql, const Status& status) noexcept;

 private:
  // What is below the savepoints remembered.
  enum class Base : uint8_t {
    kBegin,      // the end of the last savepoint does not end the transaction
    kSavepoint,  // nothing: the first savepoint is the transaction
    kUnknown,    // BEGIN or other savepoints
  };

  void Begun(Base base);
  void Release(uint64_t name);
  void RolledBackTo(uint64_t name);
  void Push(uint64_t name);
  size_t Find(uint64_t name) const;  // the latest; depth_ if there is none
  void Doubt() {
    if (state_ == TxState::kOpen) state_ = TxState::kUnknown;
  }
  void Forget();
  void Join(const Transaction& other);

  TxState state_ = TxState::kNone;
  // With kUnknown these say what the transaction looks like if it is still open.
  Base base_ = Base::kUnknown;
  bool writes_ = false;
  bool locked_ = false;
  bool strayed_ = false;
  bool ended_ = false;  // perhaps, by a failure that is no constraint's
  uint8_t depth_ = 0;
  std::array<uint64_t, kSavepointsMax> savepoints_{};
};

}  // namespace dqc::session
