/* SPDX-License-Identifier: MIT */
// Administration of a node of the application's choice, over a connection made for the one request.
#include <algorithm>

#include "net/client_internal.hpp"

namespace dqc::net {

// The request waits in its connection, which keeps its time and ends it should connecting fail.
Status Client::Visit(const IntrusivePtr<QueuedOperation>& op) {
  IntrusivePtr<InternalOperation> connect = InternalOperation::Connect();  // first: it may throw
  Slot* slot = MakeSlot(next_watch_++, Reachable(op->node), false, op.get());
  ++visits_;
  RunInternal(slot, std::move(connect));
  op->connection = slot->connection;
  const Status& lost = slot->connection->session().lost();
  if (lost.ok()) {
    Hand(op);
  } else {  // it could not even begin to connect
    op->status = lost;
    op->Retain();
    done_.PushBack(op.get());
  }
  return {};
}

void Client::EndVisit(IntrusivePtr<QueuedOperation> op) {
  const IntrusivePtr<Connection> connection = std::exchange(op->connection, nullptr);
  const auto at = std::find_if(slots_.begin(), slots_.end(),
                               [&](const auto& slot) { return slot->visitor == op.get(); });
  const bool legacy = (*at)->connection.get() != connection.get();  // it is dialled once more
  if (legacy && op->status.code() == Code::kNetwork && op->can_run_again() && !pool_.closing()) {
    op->PrepareToRunAgain();
    op->connection = (*at)->connection;
    return Hand(op);
  }
  Detach(*TakeSlot((*at)->id));
  Emit(std::move(op));
}

bool Client::Visited() const {
  return std::any_of(slots_.begin(), slots_.end(),
                     [](const auto& slot) { return slot->visitor != nullptr; });
}

}  // namespace dqc::net
