/* SPDX-License-Identifier: MIT */
// expect: deleted
#include <dqclient/dqclient.hpp>

void work(dqc::client& db) {
  db.run_tx([&](dqc::transaction& tx) {
#if DQC_COMPILE_FAIL
      dqc::transaction mine(std::move(tx));
#else
      dqc::transaction& mine = tx;
#endif
      mine.exec("DELETE FROM t").value();
    }).value();
}
