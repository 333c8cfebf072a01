/* SPDX-License-Identifier: MIT */
#pragma once

#include <chrono>
#include <stdexcept>
#include <string>

namespace dqc::tool {

// What the tool tells its user; the text may have several lines and names the way out.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

using Clock = std::chrono::steady_clock;
using Deadline = Clock::time_point;

inline Deadline In(std::chrono::milliseconds span) { return Clock::now() + span; }
inline bool Passed(Deadline deadline) { return Clock::now() >= deadline; }

// What is left, never negative.
inline std::chrono::milliseconds Left(Deadline deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
  return left.count() > 0 ? left : std::chrono::milliseconds{0};
}

}  // namespace dqc::tool
