/* SPDX-License-Identifier: MIT */
#pragma once

#include <cstdint>

namespace dqc::sim {

// While one lives, an allocation in `one_in` fails, chosen by a seed; 0: none does. The innermost
// decides: the world outside of the search always has memory.
class ScarceMemory {
 public:
  explicit ScarceMemory(uint64_t one_in);
  ~ScarceMemory();
  ScarceMemory(const ScarceMemory&) = delete;
  ScarceMemory& operator=(const ScarceMemory&) = delete;

 private:
  uint64_t before_;
};

void SeedScarceMemory(uint64_t seed);
uint64_t FailedAllocations();

}  // namespace dqc::sim
