/* SPDX-License-Identifier: MIT */
#include "cluster.hpp"

#include <algorithm>

namespace dqc::sim {

using client::Answer;

std::string Plain(const std::string& dialled) {
  return dialled.rfind(kMapped, 0) == 0 ? dialled.substr(sizeof kMapped - 1) : dialled;
}

bool Forbidden(const std::string& address) { return address.rfind("169.254.", 0) == 0; }

Cluster::Cluster(size_t count, Rng* rng) : rng_(rng) {
  for (size_t i = 0; i < count; ++i) {
    Node node;
    node.address = "10.0.0." + std::to_string(i) + ":9001";
    nodes.push_back(node);
  }
}

int Cluster::Find(const std::string& address) const {
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (nodes[i].address == address) return static_cast<int>(i);
  }
  return -1;
}

// Addresses outside the cluster refuse, or swallow, by their number.
Cluster::Health Cluster::HealthOf(const std::string& address) const {
  const int node = Find(address);
  if (node >= 0) return nodes[static_cast<size_t>(node)].health;
  return address[7] % 2 == 0 ? Health::kDown : Health::kBlackHole;
}

Time Cluster::Latency(const std::string& address) {
  const int node = Find(address);
  const bool slow = node >= 0 && nodes[static_cast<size_t>(node)].slow;
  return slow ? rng_->Between(100 * kMs, 1500 * kMs) : rng_->Between(200, 20 * kMs);
}

std::string Cluster::Bogus() { return "10.9.9." + std::to_string(rng_->Below(6)) + ":9001"; }

std::string Cluster::Named(int index) {
  const Node& node = nodes[static_cast<size_t>(index)];
  switch (node.lie) {
    case Lie::kStale:
      return nodes[static_cast<size_t>(index + 1) % nodes.size()].address;
    case Lie::kBogus:
      return "10.9.9." + std::to_string(index % 6) + ":9001";
    case Lie::kForbidden:
      return "169.254.0." + std::to_string(index) + ":9001";
    case Lie::kFlaps:
      if (rng_->Chance(30)) return "169.254.0.9:9001";
      return rng_->Chance(50) ? Bogus() : nodes[rng_->Below(nodes.size())].address;
    case Lie::kSelf:
      return node.address;
    default:
      return node.knows < 0 ? "" : nodes[static_cast<size_t>(node.knows)].address;
  }
}

Answer Cluster::Reply(int node, bool question) {
  Answer answer;
  const bool claims = question && nodes[static_cast<size_t>(node)].claims;
  if (node == leader || claims) {
    answer.kind = Answer::Kind::kLeads;
    if (!question && rng_->Below(500) == 0) {
      answer.kind = Answer::Kind::kRejected;
      answer.status = Status::Make(Code::kServer, "rejected");
    }
    return answer;
  }
  answer.kind = Answer::Kind::kFollows;
  answer.leader_address = Named(node);
  answer.leader_id = answer.leader_address.empty() ? 0 : 1;
  return answer;
}

void Cluster::Crash(int index) {
  Node& node = nodes[static_cast<size_t>(index)];
  node.health = Health::kDown;
  ++node.epoch;
  node.knows = -1;
  if (leader == index) LoseLeader();
}

void Cluster::LoseLeader() {
  leader = -1;
  for (Node& node : nodes) {
    if (rng_->Chance(30)) node.knows = -1;
  }
}

bool Cluster::HasMajority() const {
  const auto up = std::count_if(nodes.begin(), nodes.end(),
                                [](const Node& n) { return n.health != Health::kDown; });
  return static_cast<size_t>(up) * 2 > nodes.size();
}

void Cluster::Elect() {
  if (leader >= 0 || !HasMajority()) return;
  do {
    leader = static_cast<int>(rng_->Below(nodes.size()));
  } while (nodes[static_cast<size_t>(leader)].health == Health::kDown);
  Learn(leader);
}

void Cluster::Learn(int node) { nodes[static_cast<size_t>(node)].knows = leader; }

void Cluster::Calm() {
  for (size_t i = 0; !HasMajority(); i = (i + 1) % nodes.size()) nodes[i].health = Health::kUp;
  Elect();
  Node& chosen = nodes[static_cast<size_t>(leader)];
  chosen.health = Health::kUp;
  chosen.slow = false;
}

}  // namespace dqc::sim
