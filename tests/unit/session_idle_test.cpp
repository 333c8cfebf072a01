/* SPDX-License-Identifier: MIT */
// A transaction that nobody uses: SessionOptions::idle_transaction_us.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/session_rig.hpp"

namespace dqc::session::test {
namespace {

using enum TxState;

TxState After(Rig* rig, const Op& op) {
  rig->Submit(op);
  rig->Flow();
  return rig->session->transaction();
}

constexpr Time kIdle = 60'000'000;

SessionOptions Watched() {
  SessionOptions options = Options();
  options.idle_transaction_us = kIdle;
  options.high_water = 4096;
  return options;
}

// A large result in a transaction, of which nobody takes the rows.
Op HalfRead(Rig* rig) {
  rig->node.SetTable("big", Numbers(5000));
  EXPECT_EQ(After(rig, Sql("BEGIN")), kOpen);
  const Op big = Sql("SELECT * FROM big");
  big->consume = false;
  rig->Submit(big);
  rig->Flow();
  return big;
}

TEST(SessionIdle, ATransactionThatNobodyUsesIsCutOff) {
  for (const char* begin : {"BEGIN", "BEGIN IMMEDIATE", "SAVEPOINT a"}) {
    Ready rig(mock::Era::kD, Watched());
    EXPECT_EQ(After(&rig, Sql(begin)), kOpen);
    EXPECT_EQ(rig.session->next_deadline(), rig.now + kIdle);
    rig.Advance(kIdle - 1);
    EXPECT_EQ(rig.session->state(), State::kReady);
    rig.Advance(1);
    EXPECT_EQ(rig.session->state(), State::kClosed);
    EXPECT_TRUE(rig.session->cut_idle());
    rig.Submit("INSERT INTO t VALUES(1)");
    EXPECT_EQ(rig.last.code(), Code::kSessionLost);
    ASSERT_FALSE(rig.last.ok());
    EXPECT_EQ(rig.last.info()->outcome, Outcome::kNotExecuted);
    EXPECT_THAT(std::string(rig.last.message()),
                testing::HasSubstr(
                    "idle for 60 s and was rolled back (option \"idle_transaction_timeout\")"));
    EXPECT_EQ(rig.last.message().find("write lock") != std::string::npos,
              std::string_view(begin) == "BEGIN IMMEDIATE");
  }
}

TEST(SessionIdle, WorkStartsItAnew) {
  Ready rig(mock::Era::kC, Watched());
  EXPECT_EQ(After(&rig, Sql("BEGIN")), kOpen);
  for (int i = 0; i < 5; ++i) {
    rig.Advance(kIdle - 1);
    EXPECT_EQ(After(&rig, Sql("SELECT 1")), kOpen);
  }
  rig.Advance(kIdle - 1);
  rig.Submit("SELECT 1");  // under way
  rig.Advance(10 * kIdle);
  rig.Flow();
  EXPECT_EQ(rig.session->state(), State::kReady);
  EXPECT_EQ(After(&rig, Sql("COMMIT")), kNone);
  EXPECT_EQ(rig.session->next_deadline(), kNever);
  rig.Advance(10 * kIdle);
  EXPECT_EQ(rig.session->state(), State::kReady);
}

TEST(SessionIdle, NotWithoutATransactionAndNotIfSwitchedOff) {
  Ready plain(mock::Era::kD, Watched());
  EXPECT_EQ(After(&plain, Sql("INSERT INTO t VALUES(1)")), kNone);
  EXPECT_EQ(plain.session->next_deadline(), kNever);
  SessionOptions off = Watched();
  off.idle_transaction_us = 0;
  Ready rig(mock::Era::kD, off);
  EXPECT_EQ(After(&rig, Sql("BEGIN")), kOpen);
  EXPECT_EQ(rig.session->next_deadline(), kNever);
}

TEST(SessionIdle, OneInDoubtIsCutOffToo) {
  Ready rig(mock::Era::kD, Watched());
  rig.node.On(Match().Sql("u"), Do().Failure(2067, "UNIQUE constraint failed"));
  EXPECT_EQ(After(&rig, Sql("BEGIN")), kOpen);
  EXPECT_EQ(After(&rig, Sql("UPDATE u SET x = 1")), kUnknown);
  rig.Advance(kIdle);
  EXPECT_EQ(rig.session->state(), State::kClosed);
}

TEST(SessionIdle, AStreamCountsAsUseUnlessItIsPaused) {
  for (const mock::Era era : kEras) {
    Ready rig(era, Watched());
    const Op big = HalfRead(&rig);
    ASSERT_EQ(big->done, 0);
    rig.Advance(10 * kIdle);  // half-read: its reader is slow
    EXPECT_EQ(rig.session->state(), State::kReady);
    rig.session->Pause(big->id, true, rig.now);
    rig.Advance(kIdle - 1);
    EXPECT_EQ(big->done, 0);
    rig.Advance(1);
    EXPECT_EQ(big->done, 1);
    EXPECT_EQ(big->code(), Code::kSessionLost);
    EXPECT_EQ(big->outcome(), Outcome::kNotExecuted);
    rig.Submit("SELECT 1");
    EXPECT_EQ(rig.last.code(), Code::kSessionLost);
    rig.Flow();  // the rest is thrown away
    EXPECT_EQ(rig.session->state(), State::kClosed);
    EXPECT_THAT(rig.inbox, testing::IsEmpty()) << "cut off in the middle of the stream";
  }
}

// What waited behind a paused result counts as use for as long as it waits.
TEST(SessionIdle, ACancelledWaiterIsNoUse) {
  SessionOptions options = Watched();
  options.pipeline_bytes = 16;
  Ready rig(mock::Era::kD, options);
  const Op big = HalfRead(&rig);
  rig.session->Pause(big->id, true, rig.now);
  const Op behind = rig.Submit("SELECT 1");
  rig.Advance(10 * kIdle);
  ASSERT_EQ(rig.session->state(), State::kReady);
  ASSERT_EQ(behind->done, 0);
  rig.session->Cancel(behind->id, rig.now);
  EXPECT_EQ(behind->code(), Code::kCancelled);
  EXPECT_EQ(rig.session->next_deadline(), rig.now + kIdle);
}

}  // namespace
}  // namespace dqc::session::test
