/* SPDX-License-Identifier: MIT */
#pragma once

#include <atomic>
#include <cstdint>

namespace dqc {

inline std::atomic<uint32_t> fork_generation{1};  // net/fork.cpp counts

// Changes in the child of each fork(). A handle remembers the value at its creation; getpid() would
// be a system call.
inline uint32_t ForkGeneration() { return fork_generation.load(std::memory_order_relaxed); }

}  // namespace dqc
