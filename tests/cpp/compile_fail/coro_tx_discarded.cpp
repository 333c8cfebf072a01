/* SPDX-License-Identifier: MIT */
// expect: nodiscard|warn_unused
#include <dqclient/coro.hpp>

dqc::task<> work(dqc::coro::client db) {
  auto erase = [](dqc::coro::transaction& tx) -> dqc::task<> { co_await tx.exec("DELETE FROM t"); };
#if DQC_COMPILE_FAIL
  db.run_tx(erase);
  co_return;
#else
  co_await db.run_tx(erase);
#endif
}
