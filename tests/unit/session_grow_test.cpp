/* SPDX-License-Identifier: MIT */
// One large answer ahead of the first rows of a connection: see Session::AppendGrowBuffer.
#include <gtest/gtest.h>

#include "unit/session_rig.hpp"

namespace dqc::session {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace): the rig

SessionOptions Growing() {
  SessionOptions options = Options();
  options.grow_server_buffer = true;
  return options;
}

Match Grow() { return Match(RequestType::kPrepare).Sql("[____"); }

TEST(SessionGrow, OnceAheadOfTheFirstRows) {
  for (const mock::Era era : kEras) {
    Ready rig(era, Growing());
    rig.node.On(Grow(), Do().Failure(1, "no such column: " + std::string(4096, '_')));
    rig.Submit("INSERT INTO t VALUES (1)");
    rig.Flow();
    EXPECT_EQ(rig.Sent(Grow()).size(), 0u) << "no rows, no need";
    const Op one = rig.Submit("SELECT 1");
    const Op two = rig.Submit("SELECT 2");
    rig.Flow();
    EXPECT_TRUE(one->status.ok() && two->status.ok());
    ASSERT_EQ(rig.Sent(Grow()).size(), 1u);
    EXPECT_EQ(rig.Sent().at(1), rig.Sent(Grow()).at(0)) << "ahead of the first query";
  }
}

TEST(SessionGrow, AgainAfterAShortAnswer) {
  Ready rig(mock::Era::kD, Growing());
  rig.node.On(Grow(), Do().Failure(5, "checkpoint in progress"));
  for (int i = 0; i < 2; ++i) {
    const Op op = rig.Submit("SELECT 1");
    rig.Flow();
    EXPECT_TRUE(op->status.ok());
  }
  EXPECT_EQ(rig.Sent(Grow()).size(), 2u);
}

TEST(SessionGrow, AServerThatPreparesItGetsItBack) {
  Ready rig(mock::Era::kC, Growing());
  const Op op = rig.Submit("SELECT 1");
  rig.Flow();
  EXPECT_TRUE(op->status.ok());
  EXPECT_EQ(rig.Sent(Match(RequestType::kFinalize)).size(), 1u);
}

}  // namespace
}  // namespace dqc::session
