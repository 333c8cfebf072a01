/* SPDX-License-Identifier: MIT */
#pragma once

#include <memory>
#include <mutex>

#include "net/transaction.hpp"
#include "shared.hpp"

namespace dqc::capi {

// What stands behind a dqc_tx, and outlives it while an operation of it is under way.
class Tx final : public net::Transaction {
 public:
  Tx(IntrusivePtr<Shared> client, const client::TransactionOptions& options, int64_t timeout_us)
      : net::Transaction(options), client_(std::move(client)), timeout_us_(timeout_us) {}

  static Tx* Of(const Call& call) { return static_cast<Tx*>(call.tx.get()); }

  // Calls that begin and end it. Only one is under way at a time: after one of these comes Done() or
  // Refused().
  Result<IntrusivePtr<Call>> Begin();
  Result<IntrusivePtr<Call>> End(bool rolls_back, const dqc_error* failure);
  void BufferOpenCursors();     // before a blocking end, which is behind them
  void Refused();               // the call was not accepted
  void Done(const Call& call);  // where events are delivered
  void Free();                  // the application's handle is gone

 private:
  enum class State : uint8_t { kIdle, kBusy, kOpen, kEnded };

  ~Tx() override = default;

  const IntrusivePtr<Shared> client_;
  const int64_t timeout_us_;  // 0: each call has the client's own
  std::mutex mutex_;          // guards what follows
  State state_ = State::kIdle;
  IntrusivePtr<Shared> lease_;  // of the connection it began on; whoever sets `returned` ends it
};

}  // namespace dqc::capi

struct dqc_tx : dqc::capi::Handle<0x64716374> {
  dqc::IntrusivePtr<dqc::capi::Tx> tx;
  dqc::IntrusivePtr<dqc::capi::Shared> shared;  // the client's
};
