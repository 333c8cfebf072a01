/* SPDX-License-Identifier: MIT */
// expect: deleted
// A task is awaited once, so its name has to be given up.
#include <dqclient/coro.hpp>

dqc::task<int> one();

dqc::task<int> work() {
  dqc::task<int> t = one();
#if DQC_COMPILE_FAIL
  co_return co_await t;
#else
  co_return co_await std::move(t);
#endif
}
