/* SPDX-License-Identifier: MIT */
// expect: nodiscard|warn_unused
#include <dqclient/dqclient.hpp>

void work(dqc::client& db) {
  auto erase = [](dqc::transaction& tx) { tx.exec("DELETE FROM t").value(); };
#if DQC_COMPILE_FAIL
  db.run_tx(erase);
#else
  db.run_tx(erase).value();
#endif
}
