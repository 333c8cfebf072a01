/* SPDX-License-Identifier: MIT */
// expect: deleted
// A queue borrows the function until it is replaced.
#include <dqclient/dqclient.hpp>

void work(dqc::queue& queue) {
#if DQC_COMPILE_FAIL
  queue.set_notify([]() noexcept {}).value();
#else
  static auto notify = []() noexcept {};
  queue.set_notify(notify).value();
#endif
}
