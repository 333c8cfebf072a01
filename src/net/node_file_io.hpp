/* SPDX-License-Identifier: MIT */
// Node files on disk. Blocking, but short: files have at most 1 MiB.
#pragma once

#include <string>

#include "base/result.hpp"
#include "client/node.hpp"

namespace dqc::net {

// kConfig: no such file, not a regular file, too large, or what client::ParseNodes() refuses. A
// symbolic link is followed, since mounted configurations are such.
Result<client::Nodes> ReadNodeFile(const std::string& path);

// Replaces the file at once, by a new one of mode 0600 that is on disk by then; a reader sees the
// old list or the new one, and on failure the old file is as it was (but for one error, which says
// so). kConfig: nodes that could not be read back, a symbolic link (it would be replaced, not what
// it leads to), or the system's error.
Status WriteNodeFile(const std::string& path, const client::Nodes& nodes);

}  // namespace dqc::net
