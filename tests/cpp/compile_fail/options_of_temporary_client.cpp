/* SPDX-License-Identifier: MIT */
// expect: deleted
#include <dqclient/dqclient.hpp>

dqc::client make();

void work() {
#if DQC_COMPILE_FAIL
  auto configured = make().with(dqc::options().alone());
#else
  dqc::client db = make();
  auto configured = db.with(dqc::options().alone());
#endif
  configured.exec("DELETE FROM t").value();
}
