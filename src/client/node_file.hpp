/* SPDX-License-Identifier: MIT */
// go-dqlite's node store, cluster.yaml: a list of maps with ID, Address and Role. The file itself is
// read and written by net/node_file_io.hpp.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "client/node.hpp"

namespace dqc::client {

inline constexpr size_t kNodeFileBytesMax = size_t{1} << 20;
inline constexpr size_t kNodesMax = 10'000;

Status NodeFilesSupported();  // kUnsupported in builds without libyaml

// Keys in any case. ID: a decimal uint64; missing or 0: not known. Role: 0, 1, 2, voter, standby,
// stand-by or spare; missing: voter, as go-dqlite has it. Addresses keep their spelling. No node,
// and nothing at all, is an empty list. Twice the same address or id is an error, and so is what a
// list of nodes has no use for: other keys, aliases, tags, a second document.
// kConfig: `name` of the file, line and column, what is wrong and what is accepted. kUnsupported in
// builds without YAML.
Result<Nodes> ParseNodes(std::string_view text, const std::string& name);

// As go-dqlite writes it, byte for byte.
std::string FormatNodes(const Nodes& nodes);

// What ParseNodes() would refuse; kConfig names the node by its place in the list.
Status CheckNodes(const Nodes& nodes);

}  // namespace dqc::client
