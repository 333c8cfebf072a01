/* SPDX-License-Identifier: MIT */
// expect: deleted
#include <dqclient/dqclient.hpp>

dqc::connection second(dqc::connection& first) {
#if DQC_COMPILE_FAIL
  return first;
#else
  return std::move(first);
#endif
}
