/* SPDX-License-Identifier: MIT */
// expect: deleted
#include <dqclient/dqclient.hpp>

dqc::batch make();

size_t length() {
#if DQC_COMPILE_FAIL
  return make().column_name(0).size();
#else
  const dqc::batch kept = make();
  return kept.column_name(0).size();
#endif
}
