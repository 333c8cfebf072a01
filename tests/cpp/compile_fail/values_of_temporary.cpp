/* SPDX-License-Identifier: MIT */
// expect: deleted
// A list of values is borrowed until the call.
#include <dqclient/dqclient.hpp>
#include <vector>

std::vector<dqc_value> make();

void work(dqc::connection& conn) {
#if DQC_COMPILE_FAIL
  const auto list = dqc::values(make());
#else
  const std::vector<dqc_value> kept = make();
  const auto list = dqc::values(kept);
#endif
  conn.exec("SELECT ?", list).value();
}
