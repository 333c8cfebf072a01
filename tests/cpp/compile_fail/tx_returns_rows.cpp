/* SPDX-License-Identifier: MIT */
// expect: ends with its transaction
#include <dqclient/dqclient.hpp>

int64_t count(dqc::client& db) {
#if DQC_COMPILE_FAIL
  auto rows = db.run_tx([](dqc::transaction& tx) { return tx.query("SELECT count(*) FROM t"); });
  return std::move(rows.value()).scalar<int64_t>().value();
#else
  return db
      .run_tx([](dqc::transaction& tx) {
        return tx.query("SELECT count(*) FROM t").value().scalar<int64_t>();
      })
      .value();
#endif
}
