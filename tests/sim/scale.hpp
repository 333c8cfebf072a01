/* SPDX-License-Identifier: MIT */
#pragma once

namespace dqc::sim {

// A row per number of clients and length of the election.
int Scale(const char* clients);

}  // namespace dqc::sim
