/* SPDX-License-Identifier: MIT */
#include "net/fork.hpp"

#include <pthread.h>

#include <atomic>

namespace dqc {

namespace {

std::atomic<uint32_t> generation{1};

void CountFork() { generation.fetch_add(1, std::memory_order_relaxed); }

}  // namespace

uint32_t ForkGeneration() { return generation.load(std::memory_order_relaxed); }

bool WatchForks() {
  static const bool watched = pthread_atfork(nullptr, nullptr, CountFork) == 0;
  return watched;
}

}  // namespace dqc
