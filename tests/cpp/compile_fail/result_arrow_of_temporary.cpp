/* SPDX-License-Identifier: MIT */
// expect: deleted
// What a temporary result points to is gone with it.
#include <dqclient/dqclient.hpp>

int64_t id(dqc::connection& conn) {
#if DQC_COMPILE_FAIL
  return conn.exec("DELETE FROM t")->last_insert_id();
#else
  auto result = conn.exec("DELETE FROM t");
  return result ? result->last_insert_id() : 0;
#endif
}
