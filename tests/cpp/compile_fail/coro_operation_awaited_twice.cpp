/* SPDX-License-Identifier: MIT */
// expect: deleted
#include <dqclient/coro.hpp>

dqc::task<> work(dqc::coro::connection& conn) {
  auto op = conn.exec("DELETE FROM t");
#if DQC_COMPILE_FAIL
  co_await op;
#else
  co_await std::move(op);
#endif
}
