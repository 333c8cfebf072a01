/* SPDX-License-Identifier: MIT */
#include "client/node_file.hpp"

#include "client/config_text.hpp"
#include "client/node_list.hpp"

namespace dqc::client {
namespace {

constexpr std::string_view kPlain =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:";

// What is no "host:port" of plain characters stands in single quotes, as go-yaml does it with
// brackets; CheckNodes() keeps out what would need more than that.
void AppendScalar(std::string_view text, std::string& out) {
  if (!text.empty() && text.find_first_not_of(kPlain) == std::string_view::npos) {
    out += text;
    return;
  }
  out += '\'';
  for (const char c : text) {
    if (c == '\'') out += '\'';
    out += c;
  }
  out += '\'';
}

}  // namespace

Status NodeList::Add(Node node) {
  const Result<Address> address = ParseAddress(node.address, 0);
  if (!address.ok()) return address.status();
  if (nodes_.size() == kNodesMax) return ConfigError("more than 10000 nodes");
  if (node.id != 0 && !ids_.insert(node.id).second) {
    return ConfigError("ID " + std::to_string(node.id) + " is there twice");
  }
  if (!addresses_.insert(FormatAddress({CanonicalHost(address->host), address->port})).second) {
    return ConfigError("address " + Quoted(node.address) + " is there twice");
  }
  nodes_.push_back(std::move(node));
  return Status();
}

std::string FormatNodes(const Nodes& nodes) {
  if (nodes.empty()) return "[]\n";
  std::string out;
  for (const Node& node : nodes) {
    out += "- ID: " + std::to_string(node.id) + "\n  Address: ";
    AppendScalar(node.address, out);
    out += "\n  Role: " + std::to_string(static_cast<int>(node.role)) + "\n";
  }
  return out;
}

Status CheckNodes(const Nodes& nodes) {
  NodeList list;
  size_t number = 1;
  for (const Node& node : nodes) {
    if (const Status status = list.Add(node); !status.ok()) {
      return ConfigError("node " + std::to_string(number) + ": " + std::string(status.message()));
    }
    ++number;
  }
  return Status();
}

}  // namespace dqc::client
