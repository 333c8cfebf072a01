/* SPDX-License-Identifier: MIT */
#pragma once

#include <cstdint>

namespace dqc {

// Changes in the child of each fork(). A handle remembers the value at its creation; getpid() would
// be a system call.
uint32_t ForkGeneration();

// Registers the fork handler once; every handle's creation calls it. False if the system has no
// memory for it.
bool WatchForks();

}  // namespace dqc
