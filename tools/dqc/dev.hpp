/* SPDX-License-Identifier: MIT */
#pragma once

#include <CLI/CLI.hpp>

namespace dqc::tool {

// `dqc dev`: adds the subcommand; when it is chosen, `exit_code` gets what main() returns.
void AddDev(CLI::App& app, int& exit_code);

}  // namespace dqc::tool
