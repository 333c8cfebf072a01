/* SPDX-License-Identifier: MIT */
#pragma once

#include <string_view>
#include <vector>

#include "mock/node.hpp"

namespace dqc::mock {

// Installs a canned scenario (mock_server_c.h describes them); `n` 0: its default. False: unknown.
bool Install(Node& node, std::string_view scenario, uint64_t n = 0);
std::vector<std::string_view> ScenarioNames();

}  // namespace dqc::mock
