/* SPDX-License-Identifier: MIT */
// expect: deleted
#include <dqclient/dqclient.hpp>

dqc::connection make();

void work() {
#if DQC_COMPILE_FAIL
  auto configured = make().with(dqc::options().no_timeout());
#else
  dqc::connection conn = make();
  auto configured = conn.with(dqc::options().no_timeout());
#endif
  configured.exec("DELETE FROM t").value();
}
