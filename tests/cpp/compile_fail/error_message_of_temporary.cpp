/* SPDX-License-Identifier: MIT */
// expect: deleted
#include <dqclient/dqclient.hpp>

dqc::result<void> work();

std::string why() {
#if DQC_COMPILE_FAIL
  const char* text = work().error().message();
#else
  const dqc::error error = work().error();
  const char* text = error.message();
#endif
  return text;
}
