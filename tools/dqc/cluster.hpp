/* SPDX-License-Identifier: MIT */
#pragma once

#include <CLI/CLI.hpp>

namespace dqc::tool {

// `dqc cluster`, who leads and who is a member, or why nobody can be asked: adds the subcommand; when
// it is chosen, `exit_code` gets what main() returns.
void AddCluster(CLI::App& app, int& exit_code);

}  // namespace dqc::tool
