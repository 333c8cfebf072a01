/* SPDX-License-Identifier: MIT */
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/client_pool_rig.hpp"

namespace dqc::client::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST_F(PoolTest, OpensAsManyConnectionsAsThereIsWorkFor) {
  ASSERT_TRUE(Submit(1, "SELECT 1").ok());
  EXPECT_EQ(host.wanted.size(), 1u);
  ASSERT_TRUE(Submit(2, "SELECT 2").ok());
  ASSERT_TRUE(Submit(3, "SELECT 3").ok());
  EXPECT_EQ(host.wanted.size(), 3u);
  Open(70);
  EXPECT_THAT(host.Take(), ElementsAre("run 1 on 70"));
  Done(70);
  EXPECT_THAT(host.Take(), ElementsAre("end 1", "run 2 on 70"));
  EXPECT_EQ(host.unwanted.size(), 1u);  // two operations are left, one of them runs
  EXPECT_EQ(pool->stats().open, 1u);
}

TEST_F(PoolTest, NeverOpensMoreThanTheMaximum) {
  PoolOptions options;
  options.max = 2;
  Make(options);
  for (uint64_t id = 1; id <= 100; ++id) ASSERT_TRUE(Submit(id, "SELECT 1").ok());
  EXPECT_EQ(host.wanted.size(), 2u);
  Open(1);
  Open(2);
  for (int i = 0; i < 50; ++i) {
    Done(1);
    Done(2);
  }
  EXPECT_EQ(host.ended.size(), 100u);
  for (uint64_t i = 0; i < 100; ++i) EXPECT_EQ(host.ended[i]->id, i + 1);
  EXPECT_THAT(host.wanted, IsEmpty());
}

TEST_F(PoolTest, OneWriterAtATimeReadersPass) {
  ASSERT_TRUE(Submit(1, "INSERT INTO t VALUES(1)").ok());
  Open(1);
  ASSERT_TRUE(Submit(2, "INSERT INTO t VALUES(2)").ok());
  ASSERT_TRUE(Submit(3, "SELECT 1").ok());
  EXPECT_EQ(host.wanted.size(), 1u);  // for the reader
  Open(2);
  EXPECT_THAT(host.Take(), ElementsAre("run 1 on 1", "run 3 on 2"));
  Done(2);
  EXPECT_THAT(host.Take(), ElementsAre("end 3"));
  Done(1);
  EXPECT_THAT(host.Take(), ElementsAre("end 1", "run 2 on 2"));  // the one used last
}

TEST_F(PoolTest, ABusyWriteRunsAgainWithinItsDeadlineAndKeepsItsTurn) {
  ASSERT_TRUE(Submit(1, "INSERT INTO t VALUES(1)").ok());
  Open(1);
  Done(1, Failed(Code::kBusy));
  EXPECT_THAT(host.Take(), ElementsAre("run 1 on 1"));
  ASSERT_TRUE(Submit(2, "SELECT 1").ok());
  EXPECT_THAT(host.Take(), ElementsAre("run 2 on 1"));
  Done(1);
  EXPECT_THAT(host.Take(), ElementsAre("end 2"));
  ASSERT_LE(pool->next_deadline(), now + 2'000);
  now = pool->next_deadline();
  pool->OnDeadline(now);
  EXPECT_THAT(host.Take(), ElementsAre("run 1 on 1"));
  Done(1);
  EXPECT_THAT(host.Take(), ElementsAre("end 1"));
  EXPECT_EQ(pool->stats().retried_busy, 1u);
}

TEST_F(PoolTest, BusyUntilTheDeadlineEndsAsBusy) {
  ASSERT_TRUE(Submit(1, "INSERT INTO t VALUES(1)", kSecond).ok());
  Open(1);
  const Time start = now;
  int tries = 0;
  while (host.ended.empty()) {
    if (!host.running[1].empty()) {
      ++tries;
      Done(1, Failed(Code::kBusy));
    } else {
      now = pool->next_deadline();
      pool->OnDeadline(now);
    }
    ASSERT_LT(tries, 200);
  }
  EXPECT_EQ(host.ended[0]->status.code(), Code::kBusy);
  EXPECT_LE(now, start + kSecond);
  EXPECT_GT(tries, 5);
}

TEST_F(PoolTest, WhatMayHaveBeenExecutedNeverRunsAgain) {
  for (const Code code : {Code::kNetwork, Code::kLeadershipLost, Code::kBusy, Code::kNotLeader}) {
    ASSERT_TRUE(Submit(1, "INSERT INTO t VALUES(1)").ok());
    if (!host.wanted.empty()) Open(1);
    Done(1, Failed(code, Outcome::kMaybeExecuted));
    EXPECT_THAT(host.Take(), testing::Contains("end 1 " + std::string(CodeName(code))));
  }
  EXPECT_EQ(pool->stats().retried_leader + pool->stats().retried_busy, 0u);
}

// Whatever comes of a later try, or of the wait for it: the first may have been executed.
TEST_F(PoolTest, WhatWasPerhapsExecutedStaysInDoubtWhenItRunsAgain) {
  for (const bool answered : {true, false}) {
    auto op = Make(1, "INSERT INTO t VALUES(1)", kSecond);
    op->idempotent = true;
    ASSERT_TRUE(Hand(op).ok());
    if (!host.wanted.empty()) Open(1);
    Done(1, Failed(Code::kNetwork, Outcome::kMaybeExecuted));
    if (answered) {
      Done(1, Failed(Code::kConstraint));
    } else {
      Done(1, Failed(Code::kBusy));
      EXPECT_TRUE(pool->Cancel(1, now));
    }
    EXPECT_EQ(host.ended.back()->status.code(), answered ? Code::kConstraint : Code::kCancelled);
    EXPECT_EQ(host.ended.back()->status.info()->outcome, Outcome::kMaybeExecuted);
  }
}

TEST_F(PoolTest, WhatLostItsNodeRunsOnTheNextConnection) {
  ASSERT_TRUE(Submit(1, "INSERT INTO t VALUES(1)").ok());
  Open(1);
  pool->OnClosed(1, now);
  const IntrusivePtr<Operation> op = host.TakeRunning(1);
  op->status = Failed(Code::kNotLeader);
  pool->OnDone(0, op, true, now);
  Open(2);
  EXPECT_THAT(host.Take(), ElementsAre("run 1 on 1", "run 1 on 2"));
  Done(2);
  EXPECT_TRUE(host.ended.at(0)->status.ok());
  EXPECT_EQ(pool->stats().retried_leader, 1u);
}

// Administration that a former leader refuses leaves its connection open.
TEST_F(PoolTest, AConnectionWhoseNodeSaysThatItDoesNotLeadIsChecked) {
  ASSERT_TRUE(SubmitKind(1, OpKind::kAdmin).ok());
  Open(1);
  Done(1, Failed(Code::kNotLeader));
  EXPECT_THAT(host.Take(), ElementsAre("run 1 on 1", "check 1"));
  pool->OnChecked(1, false, now);
  Open(2);
  EXPECT_THAT(host.Take(), ElementsAre("discard 1", "run 1 on 2"));
  Done(2);
  EXPECT_TRUE(host.ended.at(0)->status.ok());
}

TEST_F(PoolTest, RowsThatWereDeliveredForbidAnotherTry) {
  ASSERT_TRUE(Submit(1, "SELECT 1").ok());
  Open(1);
  host.running[1].front()->any_batch = true;
  Done(1, Failed(Code::kSessionLost));
  EXPECT_THAT(host.Take(), testing::Contains("end 1 session lost"));
}

TEST_F(PoolTest, ALeaseIsItsHoldersAloneAndComesBackClean) {
  ASSERT_TRUE(SubmitKind(1, OpKind::kAcquire).ok());
  Open(1);
  EXPECT_THAT(host.Take(), ElementsAre("lease 1 on 1"));
  ASSERT_TRUE(Submit(2, "SELECT 1").ok());
  EXPECT_THAT(host.Take(), IsEmpty());
  pool->OnReturned(1, false, now);
  EXPECT_THAT(host.Take(), ElementsAre("reset 1"));
  pool->OnChecked(1, true, now);
  EXPECT_THAT(host.Take(), ElementsAre("run 2 on 1"));
}

TEST_F(PoolTest, ATransactionThatBeganWithTheLossOfItsConnectionBeginsAgain) {
  auto begin = Make(1, "BEGIN IMMEDIATE");
  begin->keeps = session::Lease::kWriter;
  ASSERT_TRUE(Hand(begin).ok());
  Open(1);
  pool->OnClosed(1, now);
  const auto told = host.TakeRunning(1);
  told->completed = true;
  told->statements_done = 1;
  pool->OnDone(0, told, true, now);
  EXPECT_THAT(host.ended, IsEmpty());
  Open(2);
  Done(2);
  EXPECT_THAT(host.Take(), testing::Contains("lease 1 on 2"));
}

TEST_F(PoolTest, WhatMayHaveLeftATransactionIsResetBeforeTheNext) {
  ASSERT_TRUE(Submit(1, "INSERT INTO t VALUES(1)").ok());
  Open(1);
  ASSERT_TRUE(Submit(2, "INSERT INTO t VALUES(2)").ok());
  Done(1, Status(), false);
  EXPECT_THAT(host.Take(), ElementsAre("run 1 on 1", "reset 1", "end 1"));
  EXPECT_THAT(host.wanted, IsEmpty());  // the lock may be held: no writer goes ahead
  pool->OnChecked(1, true, now);
  EXPECT_THAT(host.Take(), ElementsAre("run 2 on 1"));
}

TEST_F(PoolTest, AConnectionThatCannotBeResetIsDropped) {
  ASSERT_TRUE(SubmitKind(1, OpKind::kAcquire).ok());
  Open(1);
  pool->OnReturned(1, false, now);
  pool->OnChecked(1, false, now);
  EXPECT_THAT(host.Take(), ElementsAre("lease 1 on 1", "reset 1", "discard 1"));
  EXPECT_EQ(host.wanted.size(), 1u);  // `min` is kept up
}

TEST_F(PoolTest, AnIdleConnectionIsCheckedBeforeUse) {
  ASSERT_TRUE(Submit(1, "SELECT 1").ok());
  Open(1);
  Done(1);
  host.Take();
  now += 31 * kSecond;
  ASSERT_TRUE(Submit(2, "SELECT 2").ok());
  EXPECT_THAT(host.Take(), ElementsAre("check 1"));
  EXPECT_THAT(host.wanted, IsEmpty());
  pool->OnChecked(1, true, now);
  EXPECT_THAT(host.Take(), ElementsAre("run 2 on 1"));
}

TEST_F(PoolTest, SiblingsOfABrokenConnectionAreChecked) {
  ASSERT_TRUE(Submit(1, "SELECT 1").ok());
  ASSERT_TRUE(Submit(2, "SELECT 2").ok());
  Open(1);
  Open(2);
  Done(1);
  host.Take();
  pool->OnClosed(2, now);
  pool->CheckIdle(now);
  EXPECT_THAT(host.Take(), ElementsAre("check 1"));
  pool->OnChecked(1, false, now);
  EXPECT_THAT(host.Take(), ElementsAre("discard 1"));
}

TEST_F(PoolTest, IdleConnectionsAboveTheMinimumGo) {
  ASSERT_TRUE(Submit(1, "SELECT 1").ok());
  ASSERT_TRUE(Submit(2, "SELECT 2").ok());
  Open(1);
  Open(2);
  Done(1);
  now += kSecond;
  Done(2);
  host.Take();
  while (host.log.empty()) {
    now = pool->next_deadline();
    ASSERT_NE(now, kNever);
    pool->OnDeadline(now);
  }
  EXPECT_THAT(host.Take(), ElementsAre("discard 1"));
  EXPECT_EQ(pool->stats().open, 1u);
  EXPECT_EQ(pool->next_deadline(), kNever);
}

TEST_F(PoolTest, WithoutAConnectionTheFailureIsExplained) {
  ASSERT_TRUE(Submit(1, "SELECT 1", kSecond).ok());
  now += kSecond;
  pool->OnDeadline(now);
  EXPECT_THAT(host.Take(), ElementsAre("end 1 " + std::string(CodeName(Code::kConnect))));
  EXPECT_EQ(host.unwanted.size(), 1u);
}

TEST_F(PoolTest, AFinalRefusalEndsAllThatWait) {
  ASSERT_TRUE(Submit(1, "SELECT 1").ok());
  ASSERT_TRUE(Submit(2, "SELECT 1").ok());
  pool->OnRefused(host.wanted[0], Failed(Code::kSql), now);
  EXPECT_EQ(host.ended.size(), 2u);
  EXPECT_EQ(host.unwanted.size(), 1u);
}

TEST_F(PoolTest, ARefusalOfOneMoreConnectionLeavesTheOthersAtWork) {
  ASSERT_TRUE(Submit(1, "SELECT 1").ok());
  Open(1);
  ASSERT_TRUE(Submit(2, "SELECT 2").ok());
  ASSERT_TRUE(Submit(3, "SELECT 3").ok());
  host.Take();
  const size_t wanted = host.wanted.size();
  pool->OnRefused(host.wanted.back(), Failed(Code::kSql), now);
  EXPECT_THAT(host.Take(), IsEmpty());
  EXPECT_EQ(host.wanted.size(), wanted);
  Done(1);
  EXPECT_THAT(host.Take(), ElementsAre("end 1", "run 2 on 1"));
  EXPECT_EQ(pool->next_deadline(), now + kSecond);
  now += kSecond;
  pool->OnDeadline(now);
  EXPECT_EQ(host.wanted.size(), wanted + 1);
}

TEST_F(PoolTest, CancelTakesOutWhatWaits) {
  ASSERT_TRUE(Submit(1, "SELECT 1").ok());
  EXPECT_TRUE(pool->Cancel(1, now));
  EXPECT_FALSE(pool->Cancel(1, now));
  EXPECT_THAT(host.Take(), ElementsAre("end 1 " + std::string(CodeName(Code::kCancelled))));
  EXPECT_EQ(host.unwanted.size(), 1u);
}

TEST_F(PoolTest, TheQueueIsBounded) {
  PoolOptions options;
  options.queue_max = 3;
  Make(options);
  for (uint64_t id = 1; id <= 3; ++id) ASSERT_TRUE(Submit(id, "SELECT 1").ok());
  EXPECT_EQ(Submit(4, "SELECT 1").code(), Code::kLimit);
}

TEST_F(PoolTest, CloseEndsWhatWaitsAndLetsRunWhatRuns) {
  PoolOptions options;
  options.max = 1;
  Make(options);
  ASSERT_TRUE(Submit(1, "SELECT 1").ok());
  ASSERT_TRUE(Submit(2, "SELECT 2").ok());
  Open(1);
  host.Take();
  pool->Close(now + kSecond, now);
  EXPECT_THAT(host.Take(), ElementsAre("end 2 " + std::string(CodeName(Code::kClosed))));
  EXPECT_FALSE(pool->empty());
  EXPECT_EQ(Submit(3, "SELECT 3").code(), Code::kClosed);
  Done(1);
  EXPECT_THAT(host.Take(), ElementsAre("end 1", "discard 1"));
  EXPECT_TRUE(pool->empty());
}

TEST_F(PoolTest, CloseCutsWhatRunsBeyondItsDeadline) {
  ASSERT_TRUE(Submit(1, "SELECT 1").ok());
  Open(1);
  pool->Close(now + kSecond, now);
  EXPECT_EQ(pool->next_deadline(), now + kSecond);
  now += kSecond;
  pool->OnDeadline(now);
  EXPECT_THAT(host.Take(), ElementsAre("run 1 on 1", "discard 1"));
  EXPECT_TRUE(pool->empty());
}

TEST_F(PoolTest, ConnectOnlyWaitsForAConnection) {
  ASSERT_TRUE(SubmitKind(1, OpKind::kConnect).ok());
  EXPECT_EQ(host.wanted.size(), 1u);
  Open(1);
  EXPECT_THAT(host.Take(), ElementsAre("end 1"));
  EXPECT_EQ(pool->stats().idle, 1u);
}

// A leader that hangs: what timed out is still with the server, and may stay there for ever.
TEST_F(PoolTest, NothingWaitsBehindWhatWasGivenUp) {
  ASSERT_TRUE(Submit(1, "INSERT INTO t VALUES(1)").ok());
  Open(1);
  const IntrusivePtr<Operation> op = host.TakeRunning(1);
  op->abandoned = true;
  op->status = Failed(Code::kTimeout, Outcome::kMaybeExecuted);
  pool->OnDone(1, op, true, now);
  ASSERT_TRUE(Submit(2, "INSERT INTO t VALUES(2)").ok());
  EXPECT_THAT(host.Take(), ElementsAre("run 1 on 1", "check 1", "end 1 timeout"));
  EXPECT_THAT(host.wanted, IsEmpty());  // the answer may come at once
  now = pool->next_deadline();
  EXPECT_EQ(now, 1'000 * kSecond + PoolOptions().hope_us);
  pool->OnDeadline(now);
  Open(2);
  EXPECT_THAT(host.Take(), ElementsAre("run 2 on 2"));
  pool->OnChecked(1, false, now);
  EXPECT_THAT(host.Take(), ElementsAre("discard 1"));
}

TEST_F(PoolTest, ItsSiblingsAreCheckedBeforeUse) {
  ASSERT_TRUE(Submit(1, "SELECT 1").ok());
  ASSERT_TRUE(Submit(2, "SELECT 1").ok());
  Open(1);
  Open(2);
  Done(2);
  const IntrusivePtr<Operation> op = host.TakeRunning(1);
  op->abandoned = true;
  op->status = Failed(Code::kTimeout);
  host.Take();
  pool->OnDone(1, op, true, now);
  ASSERT_TRUE(Submit(3, "SELECT 1").ok());
  EXPECT_THAT(host.Take(), ElementsAre("check 1", "end 1 timeout", "check 2"));
  pool->OnChecked(2, true, now);
  EXPECT_THAT(host.Take(), ElementsAre("run 3 on 2"));
}

}  // namespace
}  // namespace dqc::client::test
