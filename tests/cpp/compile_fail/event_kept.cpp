/* SPDX-License-Identifier: MIT */
// expect: deleted
// An event is a view for the time of the callback; what its members return may be kept.
#include <dqclient/dqclient.hpp>
#include <vector>

void work(dqc::connection& conn, std::vector<dqc::batch>& kept) {
  conn.query_async(
          [&](const dqc::event& event) {
#if DQC_COMPILE_FAIL
            static dqc::event last = event;
#else
            if (event.is_rows()) kept.push_back(event.rows());
#endif
          },
          "SELECT 1")
      .value();
}
