/* SPDX-License-Identifier: MIT */
// expect: deleted
// The configuration borrows the function for as long as its connections live.
#include <dqclient/dqclient.hpp>

void work(dqc::config& config) {
#if DQC_COMPILE_FAIL
  config.set_log(DQC_LOG_INFO, [](const dqc_log_record&) {}).value();
#else
  static auto log = [](const dqc_log_record&) {};
  config.set_log(DQC_LOG_INFO, log).value();
#endif
}
