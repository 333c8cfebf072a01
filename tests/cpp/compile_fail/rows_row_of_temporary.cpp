/* SPDX-License-Identifier: MIT */
// expect: deleted
// The row of a cursor lives in the cursor.
#include <dqclient/dqclient.hpp>

int64_t first(dqc::connection& conn) {
#if DQC_COMPILE_FAIL
  dqc::row_view row = conn.query("SELECT 1").value().row();
#else
  dqc::rows rows = conn.query("SELECT 1").value();
  if (!rows.next().value()) return 0;
  dqc::row_view row = rows.row();
#endif
  return row.get<int64_t>(0).value();
}
