/* SPDX-License-Identifier: MIT */
// A cluster.yaml from anywhere: no crash, one line of plain text for what is wrong, and what is
// accepted can be written and read back.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "client/node_file.hpp"

namespace {

void Check(bool good) {
  if (!good) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (!dqc::client::NodeFilesSupported().ok()) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const dqc::Result<dqc::client::Nodes> nodes = dqc::client::ParseNodes(text, "cluster.yaml");
  if (!nodes.ok()) {
    Check(nodes.status().code() == dqc::Code::kConfig);
    for (const char c : nodes.status().message()) Check(c >= ' ' && c <= '~');
    return 0;
  }
  Check(nodes->size() <= dqc::client::kNodesMax);
  Check(dqc::client::CheckNodes(*nodes).ok());
  const std::string written = dqc::client::FormatNodes(*nodes);
  const auto again = dqc::client::ParseNodes(written, "written");
  Check(again.ok() && *again == *nodes);
  return 0;
}
