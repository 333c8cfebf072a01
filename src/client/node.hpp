/* SPDX-License-Identifier: MIT */
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace dqc::client {

enum class Role : uint8_t { kVoter = 0, kStandby = 1, kSpare = 2 };

// A member of a cluster, or a place to ask for one.
struct Node {
  uint64_t id = 0;      // 0: not known, as of an address in a DSN
  std::string address;  // as the cluster advertises it
  Role role = Role::kVoter;

  friend bool operator==(const Node&, const Node&) = default;
};

using Nodes = std::vector<Node>;

}  // namespace dqc::client
