/* SPDX-License-Identifier: MIT */
#include "net/target.hpp"

#include "net/transaction.hpp"

namespace dqc::net {

QueuedOperation::QueuedOperation() = default;
QueuedOperation::~QueuedOperation() = default;

void QueuedOperation::ResetQueued() {
  ResetOperation();
  out = nullptr;
  target = nullptr;
  connection = nullptr;
  owned = rolls_back = again = cut = untold = silent = false;
  holder = 0;
  tx = nullptr;
  failure = Status();
  node.clear();
  for (Posted& posted : posted_) posted.under_way = false;
}

void QueuedOperation::Told() noexcept {
  if (std::exchange(untold, false)) connection->Told(untold_by);
}

void QueuedOperation::Consumed(uint64_t bytes) noexcept {
  unconsumed_bytes -= bytes;
  if (stalled.exchange(false) && target) target->Resume(this);
}

void QueuedOperation::PushRows(IntrusivePtr<session::Batch> batch) noexcept {
  out->Push(batch.Detach());
}

void QueuedOperation::Post(Way way, Loop* loop,
                           void (*run)(IntrusivePtr<QueuedOperation>&& op) noexcept) noexcept {
  Posted& posted = posted_[static_cast<size_t>(way)];
  if (posted.under_way.exchange(true)) return;
  Retain();
  posted.op = this;
  posted.then = run;
  posted.run = [](Command* command) noexcept {
    auto* self = static_cast<Posted*>(command);
    self->under_way = false;
    self->then(IntrusivePtr<QueuedOperation>::Adopt(self->op));
  };
  loop->Post(&posted);
}

}  // namespace dqc::net
