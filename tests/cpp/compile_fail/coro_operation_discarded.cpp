/* SPDX-License-Identifier: MIT */
// expect: nodiscard|warn_unused_result|unused-result|unused-value
// Dropped, it would be cancelled at once.
#include <dqclient/coro.hpp>

dqc::task<> work(dqc::coro::connection& conn) {
#if DQC_COMPILE_FAIL
  conn.exec("DELETE FROM t");
  co_return;
#else
  co_await conn.exec("DELETE FROM t");
#endif
}
