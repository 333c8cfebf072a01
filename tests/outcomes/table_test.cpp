/* SPDX-License-Identifier: MIT */
// The table itself: it is well formed, and each row has a test that produces it.
#include "outcomes/table.hpp"

namespace dqc::outcomes {
namespace {

TEST(Table, IsWellFormed) {
  EXPECT_GT(Table().size(), 60u);
  for (const auto& [id, row] : Table()) {
    SCOPED_TRACE(id);
    EXPECT_EQ(row.error_class, dqc_status_class(row.code)) << "each code has one class";
    EXPECT_TRUE(row.client == "again" || row.client == "returned" || row.client == "–")
        << row.client;
    EXPECT_FALSE(row.what.empty());
    EXPECT_FALSE(row.then.empty());
    EXPECT_EQ(row.retry == DQC_RETRY_UNKNOWN, row.outcome == DQC_OUTCOME_MAYBE_EXECUTED);
    if (row.client == "again") {
      EXPECT_EQ(row.retry, DQC_RETRY_SAFE);
    }
  }
}

TEST(Table, EachRowIsProducedByATestAndNoTestIsWithoutARow) {
  std::set<std::string> rows;
  for (const auto& [id, row] : Table()) rows.insert(id);
  EXPECT_EQ(rows, IdsOfTests());
}

// Of all codes that there are, but for those that nothing gives: TLS, and bugs.
TEST(Table, KnowsEveryCode) {
  std::set<dqc_status> codes;
  for (const auto& [id, row] : Table()) codes.insert(row.code);
  for (dqc_status code = -1; code > -100; --code) {
    const bool known = dqc_status_name(code) != std::string("unknown error");
    const bool given = known && code != DQC_E_TLS && code != DQC_E_INTERNAL;
    EXPECT_EQ(codes.contains(code), given) << code << " " << dqc_status_name(code);
  }
}

}  // namespace
}  // namespace dqc::outcomes
