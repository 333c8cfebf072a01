/* SPDX-License-Identifier: MIT */
#pragma once

#include "client/transaction.hpp"
#include "net/connection.hpp"

namespace dqc::net {

// A transaction on a leased connection. Begun and ended by operations on its Client that name it, one
// at a time; what is here belongs to whoever has that operation.
class Transaction : public RefCounted<Transaction> {
 public:
  enum class Stage : uint8_t { kNone, kCommit, kPause, kFence, kVerdict };

  explicit Transaction(const client::TransactionOptions& options) : rules(options) {}

  client::Transaction rules;
  session::Time deadline = session::kNever;
  session::Time next_begin = 0;         // not before
  bool perhaps_done = false;            // an earlier run was perhaps committed, or some of it
  Status last;                          // why it is run again
  IntrusivePtr<Connection> connection;  // while it is open

  // While it ends.
  Stage stage = Stage::kNone;
  uint64_t step = 0;                          // number of the operation that carries the stage out
  session::Time resume_at = session::kNever;  // kPause
  bool marked = false;                        // its COMMIT leaves a mark
  bool make_table = false;                    // there was none for it
  Status doubt;                               // what COMMIT came to, while it is looked up

 protected:
  friend class RefCounted<Transaction>;
  virtual ~Transaction() = default;
  void Dispose() { delete this; }
};

}  // namespace dqc::net
