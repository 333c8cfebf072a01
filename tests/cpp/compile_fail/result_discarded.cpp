/* SPDX-License-Identifier: MIT */
// expect: nodiscard|warn_unused_result|unused-result
#include <dqclient/dqclient.hpp>

void work(dqc::connection& conn) {
#if DQC_COMPILE_FAIL
  conn.exec("DELETE FROM t");
#else
  conn.exec("DELETE FROM t").value();
#endif
}
