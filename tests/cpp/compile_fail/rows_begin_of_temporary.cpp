/* SPDX-License-Identifier: MIT */
// expect: deleted
// Iterators point into their cursor; range-for over a temporary is fine, because it keeps that.
#include <dqclient/dqclient.hpp>

int64_t sum(dqc::connection& conn) {
  int64_t total = 0;
#if DQC_COMPILE_FAIL
  auto it = conn.query("SELECT 1").value().begin();
  total += (*it).get<int64_t>(0).value();
#else
  for (auto row : conn.query("SELECT 1").value()) total += row.get<int64_t>(0).value();
  for (auto [i] : conn.query("SELECT 1").value().as<int64_t>()) total += i;
#endif
  return total;
}
