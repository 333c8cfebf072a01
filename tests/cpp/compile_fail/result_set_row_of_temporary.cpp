/* SPDX-License-Identifier: MIT */
// expect: deleted
#include <dqclient/dqclient.hpp>

std::string_view name(dqc::rows rows) {
#if DQC_COMPILE_FAIL
  return std::move(rows).collect().value()[0].get<std::string_view>(0).value();
#else
  static dqc::result_set kept = std::move(rows).collect().value();
  return kept[0].get<std::string_view>(0).value();
#endif
}
