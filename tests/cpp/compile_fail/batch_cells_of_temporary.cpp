/* SPDX-License-Identifier: MIT */
// expect: deleted
// Cells live as long as their batch.
#include <dqclient/dqclient.hpp>

dqc::batch make();

int64_t first() {
#if DQC_COMPILE_FAIL
  const auto cells = make().cells();
#else
  const dqc::batch kept = make();
  const auto cells = kept.cells();
#endif
  return cells.begin()->as.integer;
}
