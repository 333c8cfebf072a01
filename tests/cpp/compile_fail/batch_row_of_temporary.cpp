/* SPDX-License-Identifier: MIT */
// expect: deleted
// A row is a view into its batch.
#include <dqclient/dqclient.hpp>

dqc::batch make();

std::string_view name() {
#if DQC_COMPILE_FAIL
  return make().row(0).get<std::string_view>(0).value();
#else
  static const dqc::batch kept = make();
  return kept.row(0).get<std::string_view>(0).value();
#endif
}
