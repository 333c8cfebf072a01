/* SPDX-License-Identifier: MIT */
// What a cluster looks like from outside, as it elects, loses and forgets leaders, and lies.
#pragma once

#include <string>
#include <vector>

#include "client/leader_search.hpp"
#include "rng.hpp"

namespace dqc::sim {

using client::Answer;
using session::kNever;
using session::Time;

inline constexpr Time kMs = 1000;
inline constexpr Time kSecond = 1000 * kMs;

// A quarter of the worlds dial "nat-ADDRESS" for ADDRESS.
inline constexpr char kMapped[] = "nat-";
std::string Plain(const std::string& dialled);

// The addresses that the simulated policy refuses; nodes name them.
bool Forbidden(const std::string& address);

class Cluster {
 public:
  enum class Health { kUp, kDown, kBlackHole };
  enum class Lie { kNone, kStale, kBogus, kForbidden, kFlaps, kSelf, kCount };

  struct Node {
    std::string address;
    Health health = Health::kUp;
    bool slow = false;
    Lie lie = Lie::kNone;
    bool claims = false;  // tells those who ask that it leads
    int knows = -1;       // the leader, as far as it knows
    uint64_t epoch = 0;   // a crash breaks the connections
  };

  Cluster(size_t nodes, Rng* rng);

  // The node with this address, or -1.
  int Find(const std::string& address) const;
  Health HealthOf(const std::string& address) const;
  Time Latency(const std::string& address);
  // What the node says when it is reached: to a new connection, or to an observer's question.
  Answer Reply(int node, bool question);

  void Crash(int node);
  void Elect();       // nothing without a majority
  void LoseLeader();  // some know it at once
  void Learn(int node);
  // The leader is well, and a majority is up; everything else stays as bad as it is.
  void Calm();
  bool HasMajority() const;

  std::vector<Node> nodes;
  int leader = -1;

 private:
  std::string Named(int node);
  std::string Bogus();

  Rng* rng_;
};

}  // namespace dqc::sim
