/* SPDX-License-Identifier: MIT */
#include "net/fork.hpp"

#include <pthread.h>

namespace dqc {

bool WatchForks() {
  static const bool watched = pthread_atfork(nullptr, nullptr, [] {
                                fork_generation.fetch_add(1, std::memory_order_relaxed);
                              }) == 0;
  return watched;
}

}  // namespace dqc
