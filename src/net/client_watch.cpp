/* SPDX-License-Identifier: MIT */
// What a client tells of its cluster, and the watcher that looks for changes by itself: members and
// roles from the leader, a connection kept to each other member.
#include <algorithm>

#include "net/client_internal.hpp"

namespace dqc::net {

using session::State;
using session::Time;

std::string Client::Reachable(const std::string& advertised) const {
  return options_.search.reachable ? options_.search.reachable(advertised) : advertised;
}

// The member that is reached there; as much of it as is known.
client::Node Client::MemberAt(const std::string& address) const {
  for (const client::Node& node : members_) {
    if (Reachable(node.address) == address) return node;
  }
  client::Node unknown;
  unknown.address = address;
  return unknown;
}

void Client::Tell(Topology change, const client::Node& node, std::string_view message) noexcept {
  if (!hooks_ || !hooks_->watches() || gave_up_) return;
  try {
    hooks_->Watch(this, change, node, message);
  } catch (const std::bad_alloc&) {
    // An event less: it is no more than a hint.
  }
}

// No more than hints: without memory for one it is left out.
void Client::MarkUp(const std::string& address) noexcept {
  try {
    bool& up = up_.try_emplace(address, false).first->second;
    if (!std::exchange(up, true)) Tell(Topology::kNodeUp, MemberAt(address), "answers");
  } catch (const std::bad_alloc&) {
  }
}

void Client::MarkDown(const std::string& address, const Status& why) noexcept {
  try {
    bool& up = up_.try_emplace(address, true).first->second;
    if (std::exchange(up, false)) Tell(Topology::kNodeDown, MemberAt(address), why.info()->message);
  } catch (const std::bad_alloc&) {
  }
}

void Client::Compare(const client::Nodes& before, const client::Nodes& now) {
  const auto find = [](const client::Nodes& nodes, uint64_t id) {
    return std::find_if(nodes.begin(), nodes.end(), [&](const auto& n) { return n.id == id; });
  };
  for (const client::Node& node : now) {
    const auto old = find(before, node.id);
    if (old == before.end() || old->address != node.address) {
      Tell(Topology::kNodeAdded, node, "is a member");
    } else if (old->role != node.role) {
      Tell(Topology::kRoleChanged, node, "has another role");
    }
  }
  for (const client::Node& node : before) {
    const auto still = find(now, node.id);
    if (still == now.end()) Tell(Topology::kNodeRemoved, node, "is no member any more");
    if (still == now.end() || still->address != node.address) up_.erase(Reachable(node.address));
  }
}

void Client::Look(Time now) {
  watch_at_ = now + options_.watch_us;
  refresh_members_ = true;
  pool_.CheckIdle(now);
  for (size_t i = slots_.size(); i-- > 0;) {
    const Slot& slot = *slots_[i];
    const bool member = std::any_of(members_.begin(), members_.end(), [&](const auto& node) {
      return Reachable(node.address) == slot.address;
    });
    if (slot.watch && (!member || slot.address == search_.leader())) Detach(*TakeSlot(slot.id));
  }
  for (const client::Node& node : members_) {
    const std::string address = Reachable(node.address);
    if (address == search_.leader()) continue;
    if (options_.search.may_follow && !options_.search.may_follow(address)) continue;
    const auto found = std::find_if(slots_.begin(), slots_.end(), [&](const auto& slot) {
      return slot->watch && slot->address == address;
    });
    Slot* slot = found == slots_.end() ? nullptr : found->get();
    if (slot != nullptr && slot->asking) continue;  // silent since the last look: it will time out
    const bool fresh = slot == nullptr;
    if (fresh) slot = MakeSlot(next_watch_++, address, true);
    slot->asking = true;
    RunInternal(slot, fresh ? InternalOperation::Connect()
                            : InternalOperation::Leader(InternalOperation::Purpose::kAsk));
  }
}

// An answer to the watcher.
void Client::HandleWatch(InternalOperation* op, Slot* slot) {
  const Time now = Loop::Now();
  const session::Session& session = slot->connection->session();
  const bool connected = op->purpose == InternalOperation::Purpose::kConnect;
  slot->asking = false;
  if (!Usable(*slot)) {
    MarkDown(slot->address, op->status.ok() ? session.lost() : op->status);
    return Detach(*TakeSlot(slot->id));
  }
  MarkUp(slot->address);
  std::string leader = connected ? session.leader_address() : std::string();
  if (!connected && !op->nodes.empty()) leader = op->nodes.front().address;
  // It knows of another leader than we do: those who think they are connected to it had better ask.
  if (!leader.empty() && Reachable(leader) != search_.leader()) pool_.CheckIdle(now);
}

}  // namespace dqc::net
