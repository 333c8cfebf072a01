/* SPDX-License-Identifier: MIT */
// Pseudo-random numbers from a seed (splitmix64): policies take no randomness from anywhere else.
#pragma once

#include <cstdint>

namespace dqc {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  // Between three and five quarters of `span`.
  uint64_t Jitter(uint64_t span) {
    return span - span / 4 + (span < 2 ? 0 : Next() % (span / 2 + 1));
  }

 private:
  uint64_t state_;
};

}  // namespace dqc
