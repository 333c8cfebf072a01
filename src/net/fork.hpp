/* SPDX-License-Identifier: MIT */
#pragma once

#include "base/fork.hpp"

namespace dqc {

// Registers the fork handler once; every handle's creation calls it. False if the system has no
// memory for it.
bool WatchForks();

}  // namespace dqc
