/* SPDX-License-Identifier: MIT */
#include "base/status.hpp"

#include <gtest/gtest.h>

#include <string>

namespace dqc {
namespace {

TEST(Status, EveryCodeHasAClass) {
  EXPECT_EQ(ClassOf(Code::kOk), ErrorClass::kNone);
  for (int32_t i = -1; i > -100; --i) {
    const Code code = static_cast<Code>(i);
    const bool known = CodeName(code) != std::string("unknown error");
    EXPECT_NE(ClassOf(code), ErrorClass::kNone) << i;
    if (!known) {
      EXPECT_EQ(ClassOf(code), ErrorClass::kProtocol) << i;
    }
  }
  EXPECT_EQ(ClassOf(static_cast<Code>(INT32_MIN)), ErrorClass::kProtocol);
  EXPECT_EQ(ClassOf(static_cast<Code>(2)), ErrorClass::kNone) << "DQC_END";
}

TEST(Status, ALostLeaderIsOneClassWhateverItLooksLike) {
  for (const Code code : {Code::kNotLeader, Code::kLeadershipLost, Code::kSessionLost})
    EXPECT_EQ(ClassOf(code), ErrorClass::kLeadership);
  for (const Code code :
       {Code::kResolve, Code::kConnect, Code::kNetwork, Code::kTls, Code::kClosed})
    EXPECT_EQ(ClassOf(code), ErrorClass::kNetwork);
  for (const Code code :
       {Code::kMisuse, Code::kConfig, Code::kParams, Code::kUnsupported, Code::kForked})
    EXPECT_EQ(ClassOf(code), ErrorClass::kMisuse);
}

TEST(Status, OutOfMemorySaysSoWhereverItHappened) {
  for (const Outcome outcome :
       {Outcome::kNotExecuted, Outcome::kExecuted, Outcome::kMaybeExecuted}) {
    const Status status = Status::OutOfMemory(outcome);
    EXPECT_EQ(status.message(), "out of memory");
    const Status told = status.With(Phase::kRequest).WithNode("10.0.0.7:9001").WithSqlOffset(3);
    EXPECT_EQ(told.message().substr(0, 13), "out of memory");
    EXPECT_EQ(told.info()->message, "out of memory");
    EXPECT_EQ(told.info()->outcome, outcome);
  }
}

}  // namespace
}  // namespace dqc
