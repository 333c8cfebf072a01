/* SPDX-License-Identifier: MIT */
// A leader that hangs keeps its connections open and answers nothing. Whoever waits for it longer
// than a while asks who leads; if that is another node by now, what waits for the old one is cut off.
#include <algorithm>

#include "net/client_internal.hpp"

namespace dqc::net {

using session::kNever;
using session::Time;

bool Client::Silent(const Slot& slot, Time now) const {
  const Time since = slot.pooled && !slot.spared ? slot.connection->silent_since() : kNever;
  return since != kNever && now - std::min(since, now) >= options_.silence_us;
}

Time Client::SilenceDue() const {
  Time since = kNever;
  if (options_.silence_us == 0 || doubting_) return kNever;
  for (const auto& slot : slots_) {
    if (slot->pooled && !slot->spared) since = std::min(since, slot->connection->silent_since());
  }
  return since == kNever ? kNever : std::max(since + options_.silence_us, doubt_at_);
}

void Client::Doubt(Time now) {
  const auto silent = std::find_if(slots_.begin(), slots_.end(),
                                   [&](const auto& slot) { return Silent(*slot, now); });
  if (silent == slots_.end()) {
    if (std::exchange(doubting_, false)) search_.Cancel(kDoubt);
    return;
  }
  if (doubting_ || now < doubt_at_) return;
  doubting_ = true;
  search_.OnLeaderLost((*silent)->address, now);
  search_.Want(kDoubt, kNever, now);
}

// `attempt`: a connection to the node that leads, for us to close; 0: none was found. The old leader
// may just be busy: it keeps those whom it has not let wait for long.
void Client::EndDoubt(uint64_t attempt, Time now) {
  doubting_ = false;
  doubt_at_ = now + options_.silence_us;
  const std::unique_ptr<Slot> found = TakeSlot(attempt);
  if (!found) return;
  const uint64_t leader = found->connection->session().leader_id();
  Detach(*found);
  for (const auto& slot : slots_) {
    // One address may stand for several nodes; servers of before 1.0 tell no ids.
    const uint64_t id = slot->connection->session().leader_id();
    const bool told = id != 0 && leader != 0;
    const bool same = told ? id == leader : slot->address == found->address;
    if (same || !Silent(*slot, now)) continue;
    doubt_at_ = now;  // to the next that is silent this need not be proved again
    slot->cut = true;
    slot->connection->Cut(Status::Make(Code::kNetwork, "node " + slot->address +
                                                           " owes an answer, and " +
                                                           found->address + " leads by now")
                              .With(Phase::kRequest)
                              .WithNode(slot->address));
  }
}

}  // namespace dqc::net
