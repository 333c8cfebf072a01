/* SPDX-License-Identifier: MIT */
// The canned scenarios, and the C wrapper.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mock/conn.hpp"
#include "mock/mock_server_c.h"
#include "mock/scenarios.hpp"
#include "mock/test_client.hpp"

extern "C" int mock_c_use(void);

namespace dqc::mock {
namespace {

using ::testing::ElementsAre;
using wire::ResponseType;
using wire::RowsEnd;
namespace rs = wire::response;

constexpr int kFailure = 0, kResult = 6, kRows = 7, kEmpty = 8;

// Types of the frames that answer one EXEC_SQL, one QUERY_SQL and an INTERRUPT, each on a
// connection of its own node; then -1 if it was closed, -2 if there was more than 20000 bytes.
struct Tried {
  std::vector<int> exec, query;
  std::vector<Got> rows;
};

std::vector<int> Types(std::string_view scenario, uint64_t n, const Bytes& request,
                       std::vector<Got>* frames = nullptr) {
  Node node(Era::kD);
  EXPECT_TRUE(Install(node, scenario, n));
  Conn conn(node);
  const size_t max = 20000;
  conn.Respond(Join(Hello(), OpenDb()));
  const Bytes out = conn.Respond(Join(request, Ping()), max);
  std::vector<int> types;
  for (const Got& got : Frames(out)) types.push_back(got.type);
  if (frames != nullptr) *frames = Frames(out);
  if (out.size() >= max) return {-2};
  if (conn.closed()) types.push_back(-1);
  return types;
}

Tried Try(std::string_view scenario, uint64_t n = 0) {
  Tried tried;
  tried.exec = Types(scenario, n, ExecSql("INSERT INTO t VALUES(1)"));
  tried.query = Types(scenario, n, QuerySql("SELECT * FROM t"), &tried.rows);
  return tried;
}

TEST(MockScenarios, Normal) {
  const Tried tried = Try("normal");
  EXPECT_THAT(tried.exec, ElementsAre(kResult, kEmpty));
  EXPECT_THAT(tried.query, ElementsAre(kRows, kEmpty));
  EXPECT_EQ(Try("delay").query, tried.query);
  EXPECT_EQ(Try("slow_writes").query, tried.query);
  EXPECT_THAT(Try("stall").exec, ElementsAre());
  Node node;
  EXPECT_FALSE(Install(node, "no such"));
}

TEST(MockScenarios, Failures) {
  const std::vector<int> fails = {kFailure, kEmpty};
  EXPECT_EQ(Try("busy").exec, fails);
  EXPECT_EQ(Try("checkpoint").query, fails);
  EXPECT_EQ(Try("not_leader").exec, fails);
  EXPECT_EQ(Try("leadership_lost").exec, fails);
  const Tried prefix = Try("failure_prefix");
  EXPECT_EQ(prefix.query, fails);
  EXPECT_EQ(prefix.rows[0].As<rs::Failure>()->text, "integer overflow");
  EXPECT_THAT(Try("failure_late", 3).query, ElementsAre(kRows, kRows, kRows, kFailure, kEmpty));
}

TEST(MockScenarios, Ends) {
  EXPECT_THAT(Try("close_on_accept").exec, ElementsAre(-1));
  EXPECT_THAT(Try("close_on_write").exec, ElementsAre(-1));
  EXPECT_THAT(Try("reset_on_write").exec, ElementsAre(-1));
  EXPECT_THAT(Try("reset_mid_rows").query, ElementsAre(kRows, -1));
  EXPECT_THAT(Try("truncate").query, ElementsAre(-1));
}

TEST(MockScenarios, Streams) {
  EXPECT_THAT(Try("endless_parts").query, ElementsAre(-2));
  const Tried zero = Try("zero_row_part");
  EXPECT_THAT(zero.query, ElementsAre(-2));
  EXPECT_EQ(zero.rows[0].As<rs::Rows>()->row_count, 0u);
  EXPECT_EQ(zero.rows[0].As<rs::Rows>()->end, RowsEnd::kPart);
  EXPECT_THAT(Try("silent_stream").query, ElementsAre(kRows, kEmpty));
  const Tried names = Try("changed_names");
  EXPECT_NE(names.rows[0].As<rs::Rows>()->columns, names.rows[1].As<rs::Rows>()->columns);
  const Tried big = Try("big_result", 600);
  uint64_t rows = 0;
  for (const Got& got : big.rows) {
    if (got.Is(ResponseType::kRows)) rows += got.As<rs::Rows>()->row_count;
  }
  EXPECT_EQ(rows, 600u);
}

TEST(MockScenarios, Lies) {
  EXPECT_FALSE(Try("surplus").rows[0].As<rs::Rows>().ok());
  EXPECT_FALSE(Try("bad_tag").rows[0].As<rs::Rows>().ok());
  EXPECT_THAT(Try("wrong_type").query, ElementsAre(kEmpty, kEmpty));
  EXPECT_THAT(Try("huge_header").query, ElementsAre());
}

TEST(MockScenarios, EveryNameStartsOverC) {
  for (const std::string_view name : ScenarioNames()) {
    mock_server* mock = mock_server_start('A', name.data(), 0);
    ASSERT_NE(mock, nullptr) << name;
    mock_server_stop(mock);
  }
  EXPECT_EQ(mock_server_start('D', "no such", 0), nullptr);
  EXPECT_EQ(mock_server_start('E', "normal", 0), nullptr);
}

TEST(MockScenarios, UsedFromC) { EXPECT_EQ(mock_c_use(), 0); }

}  // namespace
}  // namespace dqc::mock
