/* SPDX-License-Identifier: MIT */
// expect: deleted
#include <dqclient/dqclient.hpp>

dqc::client second(dqc::client& first) {
#if DQC_COMPILE_FAIL
  return first;
#else
  return std::move(first);
#endif
}
