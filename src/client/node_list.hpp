/* SPDX-License-Identifier: MIT */
// Nodes on their way out of or into a file, checked one by one.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "base/status.hpp"
#include "client/config.hpp"
#include "client/ip.hpp"
#include "client/node.hpp"

namespace dqc::client {

class NodeList {
 public:
  // kConfig: a bad address, an address or id that is there already, or too many nodes.
  Status Add(Node node);
  Nodes Take() { return std::move(nodes_); }

 private:
  Nodes nodes_;
  std::set<uint64_t> ids_;
  std::set<std::string> addresses_;  // one spelling each
};

}  // namespace dqc::client
