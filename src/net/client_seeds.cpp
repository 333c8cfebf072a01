/* SPDX-License-Identifier: MIT */
// Seeds by name: one that stands for several nodes, as that of a headless service, becomes a node
// per address once nobody is found without.
#include <algorithm>

#include "net/client_internal.hpp"

namespace dqc::net {

using session::Time;

void Client::TakeSeeds(const client::Nodes& nodes) {
  std::vector<Seed> seeds;
  for (const client::Node& node : nodes) {
    Seed seed;
    seed.node = node;
    seeds.push_back(std::move(seed));
  }
  search_.SetSeeds(nodes);
  CancelLookups();
  seeds_ = std::move(seeds);
}

// A resolver may be slow, and rounds come faster than names change.
void Client::LookUpSeeds(Time now) {
  constexpr Time kPause = 1'000'000;
  if (hooks_ && hooks_->dials()) return;  // names are the application's own then
  for (Seed& seed : seeds_) {
    if (seed.lookup || (seed.looked_up_at != 0 && now - seed.looked_up_at < kPause)) continue;
    seed.looked_up_at = now;
    const std::string address = Reachable(seed.node.address);
    if (!Lookup::IsName(address)) continue;
    auto lookup = IntrusivePtr<Lookup>::Adopt(new Lookup(loop_.get(), this));
    if (lookup->Start(address).ok()) seed.lookup = std::move(lookup);
  }
}

void Client::OnLookup(Lookup* lookup) noexcept {
  Enter([&] {
    const auto seed = std::find_if(seeds_.begin(), seeds_.end(),
                                   [&](const Seed& s) { return s.lookup.get() == lookup; });
    const auto held = std::move(seed->lookup);
    seed->lookup = nullptr;
    if (!held->ok() || held->addresses() == seed->addresses) return;
    std::vector<std::string> now = held->addresses();
    client::Nodes nodes;
    for (const Seed& each : seeds_) {
      const std::vector<std::string>& addresses = &each == &*seed ? now : each.addresses;
      if (addresses.empty()) nodes.push_back(each.node);
      for (const std::string& address : addresses) {
        client::Node node = each.node;
        node.address = address;
        nodes.push_back(std::move(node));
      }
    }
    search_.SetSeeds(nodes);
    seed->addresses.swap(now);
    search_.OnDeadline(Loop::Now());  // there may be somebody new to ask
  });
}

void Client::CancelLookups() noexcept {
  for (Seed& seed : seeds_) {
    if (seed.lookup) std::exchange(seed.lookup, nullptr)->Cancel();
  }
}

}  // namespace dqc::net
