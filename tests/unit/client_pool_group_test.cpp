/* SPDX-License-Identifier: MIT */
// Group commit: what each member is told, for every way in which the shared transaction can end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/client_pool_rig.hpp"
#include "unit/session_rig.hpp"

namespace dqc::client::test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;

std::string End(uint64_t id, Code code = Code::kOk) {
  return "end " + std::to_string(id) + (code == Code::kOk ? "" : std::string(" ") + CodeName(code));
}

class PoolGroupTest : public PoolTest {
 protected:
  static Status Server(Code code, int32_t server_code, const char* text,
                       Outcome outcome = Outcome::kNotExecuted) {
    ErrorInfo info;
    info.code = code;
    info.server_code = server_code;
    info.server_text = text;
    info.outcome = outcome;
    info.phase = Phase::kRequest;
    return Status::Make(info);
  }
  static Status NoTransaction() {
    return Server(Code::kSql, 1, "cannot commit - no transaction is active");
  }

  void Write(uint64_t id, Time timeout = 10 * kSecond) {
    ASSERT_TRUE(Submit(id, "INSERT INTO t VALUES(1)", timeout).ok());
  }

  // The next answer is that of an operation whose caller no longer waits.
  void GivenUp(uint64_t conn) {
    const auto op = host.TakeRunning(conn);
    op->abandoned = true;
    op->status = Failed(Code::kTimeout, Outcome::kMaybeExecuted);
    pool->OnDone(conn, op, true, now);
  }

  // Operations 2 … 1 + count wait while 1 runs; then they form a group that has begun.
  void Gather(uint64_t count) {
    Write(1);
    Open(1);
    for (uint64_t id = 2; id < 2 + count; ++id) Write(id);
    Done(1);
    EXPECT_THAT(host.Take(), ElementsAre("run 1 on 1", End(1), "schema 1"));
    pool->OnSchema(1, false, now);
    EXPECT_THAT(host.Take(), ElementsAre("begin 1"));
  }
  void Begun(uint64_t count) {
    Gather(count);
    pool->OnBegun(1, Status(), now);
    host.Take();
  }
  Outcome OutcomeOf(uint64_t id) const {
    for (const auto& op : host.ended) {
      if (op->id == id) return op->status.ok() ? Outcome::kExecuted : op->status.info()->outcome;
    }
    ADD_FAILURE() << "operation " << id << " has not ended";
    return Outcome::kMaybeExecuted;
  }
};

TEST_F(PoolGroupTest, WritesThatWaitShareATransaction) {
  Gather(3);
  pool->OnBegun(1, Status(), now);
  EXPECT_THAT(host.Take(), ElementsAre("run 2 on 1", "run 3 on 1", "run 4 on 1"));
  Done(1);
  Done(1);
  EXPECT_THAT(host.Take(), IsEmpty());  // nobody is told before the COMMIT
  Done(1);
  EXPECT_THAT(host.Take(), ElementsAre("commit 1"));
  pool->OnCommitted(1, Status(), now);
  EXPECT_THAT(host.Take(), ElementsAre(End(2), End(3), End(4)));
  EXPECT_EQ(pool->stats().groups, 1u);
  EXPECT_EQ(pool->stats().grouped, 3u);
}

TEST_F(PoolGroupTest, OneWriteAloneIsNoGroup) {
  Write(1);
  Open(1);
  Write(2);
  Done(1);
  EXPECT_THAT(host.Take(), ElementsAre("run 1 on 1", End(1), "run 2 on 1"));
}

TEST_F(PoolGroupTest, WhatIsNoPlainWriteStaysOut) {
  for (const char* sql :
       {"CREATE TABLE u(x)", "INSERT INTO t VALUES(1) RETURNING x",
        "INSERT OR ROLLBACK INTO t VALUES(1)", "BEGIN", "PRAGMA user_version=3"}) {
    pool = std::make_unique<Pool>(PoolOptions(), &host);
    host = FakeHost();
    ASSERT_TRUE(Submit(1, "INSERT INTO t VALUES(1)").ok());
    Open(1);
    auto op = Make(2, sql);
    op->main.frame.assign(sql, sql + std::string_view(sql).size());
    ASSERT_TRUE(Hand(std::move(op)).ok());
    Write(3);
    Done(1);
    EXPECT_THAT(host.Take(), ElementsAre("run 1 on 1", End(1), "run 2 on 1")) << sql;
    Done(1);
  }
}

TEST_F(PoolGroupTest, ASchemaThatRollsBackForbidsGroups) {
  Write(1);
  Open(1);
  Write(2);
  Write(3);
  Done(1);
  host.Take();
  pool->OnSchema(1, true, now);
  EXPECT_THAT(host.Take(), ElementsAre("run 2 on 1"));
  Done(1);
  EXPECT_THAT(host.Take(), ElementsAre(End(2), "run 3 on 1"));
}

TEST_F(PoolGroupTest, AMemberThatFailsFailsAlone) {
  Begun(3);
  Done(1);
  Done(1, Server(Code::kConstraint, 2067, "UNIQUE constraint failed"));
  Done(1);
  host.Take();
  pool->OnCommitted(1, Status(), now);
  EXPECT_THAT(host.Take(), ElementsAre(End(2), End(3, Code::kConstraint), End(4)));
}

TEST_F(PoolGroupTest, BusyAtBeginIsTriedAgain) {
  Gather(2);
  pool->OnBegun(1, Server(Code::kBusy, 5, "database is locked"), now);
  EXPECT_THAT(host.Take(), IsEmpty());
  now += kSecond / 2;
  pool->OnDeadline(now);
  EXPECT_THAT(host.Take(), ElementsAre("begin 1"));
}

TEST_F(PoolGroupTest, ACommitThatMeetsACheckpointIsRepeated) {
  Begun(2);
  Done(1);
  Done(1);
  host.Take();
  pool->OnCommitted(1, Server(Code::kBusy, 5, "checkpoint in progress"), now);
  EXPECT_THAT(host.Take(), IsEmpty());
  now = pool->next_deadline();
  pool->OnDeadline(now);
  EXPECT_THAT(host.Take(), ElementsAre("commit 1"));
  pool->OnCommitted(1, Status(), now);
  EXPECT_THAT(host.Take(), ElementsAre(End(2), End(3)));
}

TEST_F(PoolGroupTest, ALostCommitMayHaveHappened) {
  Begun(3);
  Done(1);
  Done(1, Server(Code::kConstraint, 2067, "UNIQUE constraint failed"));
  Done(1);
  host.Take();
  pool->OnCommitted(1, Failed(Code::kNetwork, Outcome::kMaybeExecuted), now);
  EXPECT_THAT(host.Take(), ElementsAre(End(2, Code::kNetwork), End(3, Code::kConstraint),
                                       End(4, Code::kNetwork)));
  EXPECT_EQ(OutcomeOf(2), Outcome::kMaybeExecuted);
  EXPECT_EQ(OutcomeOf(3), Outcome::kNotExecuted);
  EXPECT_EQ(OutcomeOf(4), Outcome::kMaybeExecuted);
}

TEST_F(PoolGroupTest, ARefusedCommitRunsTheMembersAgain) {
  Begun(2);
  Done(1);
  Done(1, Server(Code::kConstraint, 2067, "UNIQUE constraint failed"));
  host.Take();
  pool->OnCommitted(1, Server(Code::kNotLeader, 10250, "not leader"), now);
  EXPECT_THAT(host.Take(), Not(Contains(testing::StartsWith("end"))));
  EXPECT_EQ(pool->stats().waiting, 2u);
}

// 3 was inside the transaction, which is gone. It may have ended it too, as when memory runs out: what
// came behind it ran by itself then.
TEST_F(PoolGroupTest, ALossBeforeTheCommitRunsAgainWhatCertainlyDidNotHappen) {
  Begun(4);
  Done(1);  // 2 is answered, the others are cut off; 5 had not left
  const auto third = host.TakeRunning(1), fourth = host.TakeRunning(1), fifth = host.TakeRunning(1);
  third->status = fourth->status = Failed(Code::kNetwork, Outcome::kMaybeExecuted);
  fifth->status = Failed(Code::kNetwork);
  pool->OnClosed(1, now);
  for (const auto& op : {third, fourth, fifth}) pool->OnDone(0, op, true, now);
  EXPECT_EQ(OutcomeOf(4), Outcome::kMaybeExecuted);
  EXPECT_EQ(host.ended.size(), 2u) << "that, and the write in front of the group";
  EXPECT_EQ(pool->stats().waiting, 3u);
}

TEST_F(PoolGroupTest, AnAnswerThatComesWithTheLossIsNoSuccess) {
  Begun(2);
  Done(1);
  const auto third = host.TakeRunning(1);
  pool->OnClosed(1, now);
  pool->OnDone(0, third, true, now);  // it was answered with success, just before
  EXPECT_EQ(pool->stats().waiting, 2u);
  EXPECT_EQ(host.ended.size(), 1u);
}

// The connection is closed by us when its node does not lead any more: no caller asked for a cancel.
TEST_F(PoolGroupTest, WhatIsCutOffIsNotCancelled) {
  Begun(3);
  const auto second = host.TakeRunning(1), third = host.TakeRunning(1),
             fourth = host.TakeRunning(1);
  second->status = Failed(Code::kNotLeader);
  third->status = Failed(Code::kCancelled, Outcome::kMaybeExecuted);
  fourth->status = Failed(Code::kCancelled);
  pool->OnClosed(1, now);
  for (const auto& op : {second, third, fourth}) pool->OnDone(0, op, true, now);
  EXPECT_THAT(host.Take(), Contains(End(3, Code::kNetwork)));
  EXPECT_EQ(OutcomeOf(3), Outcome::kMaybeExecuted);
  EXPECT_EQ(pool->stats().waiting, 2u);
}

TEST_F(PoolGroupTest, ARollbackByOneMemberIsToldApart) {
  Begun(4);
  Done(1);
  Done(1, Server(Code::kConstraint, 1811, "rolled back by a trigger"));
  Done(1);
  Done(1);
  host.Take();
  pool->OnCommitted(1, NoTransaction(), now);
  now += 10'000;
  pool->OnDeadline(now);
  // 2 is undone and runs again, alone; 3 failed; 4 and 5 were committed by themselves.
  EXPECT_THAT(host.Take(), ElementsAre(End(3, Code::kConstraint), End(4), End(5), "run 2 on 1"));
}

TEST_F(PoolGroupTest, BetweenTwoSuspectsNobodyKnows) {
  Begun(4);
  Done(1);
  Done(1, Server(Code::kConstraint, 1811, "a"));
  Done(1);
  Done(1, Server(Code::kConstraint, 1811, "b"));
  host.Take();
  pool->OnCommitted(1, NoTransaction(), now);
  EXPECT_EQ(OutcomeOf(3), Outcome::kNotExecuted);
  EXPECT_EQ(OutcomeOf(4), Outcome::kMaybeExecuted);
  EXPECT_EQ(OutcomeOf(5), Outcome::kNotExecuted);
}

// Nobody heard why the transaction ended: by whom is known all the same.
TEST_F(PoolGroupTest, TheRollbackMayBeOfAMemberThatWasGivenUp) {
  Begun(4);
  Done(1);
  GivenUp(1);
  Done(1);
  Done(1);
  host.Take();
  pool->OnCommitted(1, NoTransaction(), now);
  now += 10'000;
  pool->OnDeadline(now);
  // 2 is undone and runs again; 4 and 5 came behind the rollback, and were committed by themselves.
  EXPECT_THAT(host.Take(), ElementsAre(End(4), End(5), "run 2 on 1"));
  EXPECT_EQ(OutcomeOf(3), Outcome::kMaybeExecuted);
}

TEST_F(PoolGroupTest, OneThatWasGivenUpMayHaveRolledBackBeforeTheOneWhoDidForSure) {
  Begun(5);
  Done(1);
  GivenUp(1);
  Done(1);
  Done(1, Server(Code::kSql, 13, "database or disk is full"));
  Done(1);
  pool->OnCommitted(1, NoTransaction(), now);
  EXPECT_EQ(OutcomeOf(4), Outcome::kMaybeExecuted);
  EXPECT_EQ(OutcomeOf(5), Outcome::kNotExecuted);
  EXPECT_EQ(OutcomeOf(6), Outcome::kExecuted);
  EXPECT_EQ(pool->stats().waiting, 1u) << "2 is undone";
}

// The same of one that was answered, and given up while the COMMIT was under way.
TEST_F(PoolGroupTest, TheRollbackMayBeOfAMemberThatDidNotWaitForTheCommit) {
  Begun(3);
  Done(1);
  Done(1, Server(Code::kSql, 13, "database or disk is full"));
  Done(1);
  EXPECT_TRUE(pool->Cancel(3, now));
  host.Take();
  pool->OnCommitted(1, NoTransaction(), now);
  EXPECT_THAT(host.Take(), ElementsAre(End(4)));
  EXPECT_EQ(pool->stats().waiting, 1u);
}

// A full disk ends the transaction; what was sent behind it runs by itself, until the line is cut.
TEST_F(PoolGroupTest, ALossBehindARollbackLeavesTheRestInDoubt) {
  Begun(4);
  Done(1);
  Done(1, Server(Code::kSql, 13, "database or disk is full"));
  const auto fourth = host.TakeRunning(1), fifth = host.TakeRunning(1);
  host.Take();
  pool->OnClosed(1, now);
  EXPECT_THAT(host.Take(), ElementsAre(End(3, Code::kSql)));  // 2 is undone, and runs again
  pool->OnDone(0, fourth, true, now);                         // its success came with the loss
  fifth->status = Failed(Code::kNetwork, Outcome::kMaybeExecuted);
  pool->OnDone(0, fifth, true, now);
  EXPECT_EQ(OutcomeOf(4), Outcome::kMaybeExecuted);
  EXPECT_EQ(OutcomeOf(5), Outcome::kMaybeExecuted);
  EXPECT_EQ(pool->stats().waiting, 1u);
}

// A leader that steps down ends the transaction too; what it refused behind that runs again.
TEST_F(PoolGroupTest, WhatWasRefusedBehindARollbackIsNotInDoubt) {
  Begun(3);
  Done(1, Server(Code::kNotLeader, 10250, "not leader"));
  const auto third = host.TakeRunning(1), fourth = host.TakeRunning(1);
  host.Take();
  pool->OnClosed(1, now);
  third->status = Server(Code::kNotLeader, 10250, "not leader");
  pool->OnDone(0, third, true, now);
  fourth->status = Server(Code::kLeadershipLost, 10506, "leadership lost", Outcome::kMaybeExecuted);
  pool->OnDone(0, fourth, true, now);
  EXPECT_THAT(host.Take(), ElementsAre(End(4, Code::kLeadershipLost)));
  EXPECT_EQ(OutcomeOf(4), Outcome::kMaybeExecuted);
  EXPECT_EQ(pool->stats().waiting, 2u);
}

TEST_F(PoolGroupTest, ADeferredConstraintSendsEachItsOwnWay) {
  Begun(2);
  Done(1);
  Done(1);
  host.Take();
  pool->OnCommitted(1, Server(Code::kConstraint, 787, "FOREIGN KEY constraint failed"), now);
  EXPECT_THAT(host.Take(), ElementsAre("reset 1"));
  pool->OnChecked(1, true, now);
  EXPECT_THAT(host.Take(), ElementsAre("run 2 on 1"));
  Done(1);
  EXPECT_THAT(host.Take(), ElementsAre(End(2), "run 3 on 1"));
}

TEST_F(PoolGroupTest, CancelOfAMemberNotYetSent) {
  Gather(2);
  EXPECT_TRUE(pool->Cancel(2, now));
  EXPECT_EQ(OutcomeOf(2), Outcome::kNotExecuted);
  pool->OnBegun(1, Status(), now);
  EXPECT_THAT(host.Take(), ElementsAre(End(2, Code::kCancelled), "run 3 on 1"));
}

// BEGIN has no deadline of its own: the writes that come later do not wait behind it.
TEST_F(PoolGroupTest, AGroupThatAllCancelledBeforeItBeganIsDropped) {
  Gather(2);
  EXPECT_TRUE(pool->Cancel(2, now));
  EXPECT_TRUE(pool->Cancel(3, now));
  EXPECT_THAT(host.Take(),
              ElementsAre(End(2, Code::kCancelled), End(3, Code::kCancelled), "discard 1"));
  Write(4);
  Open(2);
  EXPECT_THAT(host.Take(), ElementsAre("run 4 on 2"));
}

TEST_F(PoolGroupTest, CancelDuringTheCommitMayHaveHappened) {
  Begun(2);
  Done(1);
  Done(1);
  host.Take();
  EXPECT_TRUE(pool->Cancel(3, now));
  EXPECT_EQ(OutcomeOf(3), Outcome::kMaybeExecuted);
  pool->OnCommitted(1, Status(), now);
  EXPECT_THAT(host.Take(), ElementsAre(End(3, Code::kCancelled), End(2)));
}

TEST_F(PoolGroupTest, AMemberThatGivesUpInTheMiddleMayHaveHappenedIfItHadLeft) {
  Begun(3);
  host.running.at(1).front()->abandoned = true;  // by the session: it had been sent
  Done(1, Failed(Code::kTimeout));
  Done(1, Failed(Code::kTimeout));
  Done(1);
  EXPECT_EQ(OutcomeOf(2), Outcome::kMaybeExecuted);
  EXPECT_EQ(OutcomeOf(3), Outcome::kNotExecuted);
  pool->OnCommitted(1, Status(), now);
  EXPECT_EQ(OutcomeOf(4), Outcome::kExecuted);
}

// Its node hangs: the writes that come later do not wait behind the COMMIT.
TEST_F(PoolGroupTest, AGroupThatAllGaveUpIsDropped) {
  Begun(2);
  Done(1, Failed(Code::kTimeout));
  Done(1, Failed(Code::kTimeout));
  EXPECT_THAT(host.Take(),
              ElementsAre(End(2, Code::kTimeout), End(3, Code::kTimeout), "discard 1"));
  Write(9);
  Open(2);
  EXPECT_THAT(host.Take(), ElementsAre("run 9 on 2"));
}

TEST_F(PoolGroupTest, DeadlinesOfMembersHoldDuringBeginAndCommit) {
  Write(1);
  Open(1);
  Write(2, kSecond);
  Write(3, 2 * kSecond);
  Done(1);
  pool->OnSchema(1, false, now);
  EXPECT_EQ(pool->next_deadline(), now + kSecond);
  const Time start = now;
  now += kSecond;
  pool->OnDeadline(now);
  EXPECT_EQ(OutcomeOf(2), Outcome::kNotExecuted);
  pool->OnBegun(1, Status(), now);
  Done(1);
  now = start + 2 * kSecond;
  pool->OnDeadline(now);
  EXPECT_EQ(OutcomeOf(3), Outcome::kMaybeExecuted);
  EXPECT_THAT(host.Take(), Contains("discard 1"));  // nobody waits for its COMMIT any more
}

TEST_F(PoolGroupTest, ClosingTellsEveryMember) {
  Begun(2);
  Done(1);
  Done(1);
  pool->Close(now, now);
  pool->OnDeadline(now);
  EXPECT_EQ(OutcomeOf(2), Outcome::kMaybeExecuted);
  EXPECT_EQ(OutcomeOf(3), Outcome::kMaybeExecuted);
  EXPECT_TRUE(pool->empty());
}

TEST_F(PoolGroupTest, ACommitThatIsRefusedWhileClosingTellsEveryMember) {
  Begun(2);
  Done(1);
  Done(1);
  pool->Close(now + kSecond, now);
  host.Take();
  pool->OnCommitted(1, Server(Code::kConstraint, 787, "FOREIGN KEY constraint failed"), now);
  EXPECT_THAT(host.Take(), Contains(End(2, Code::kClosed)));
  EXPECT_EQ(OutcomeOf(2), Outcome::kNotExecuted);
  EXPECT_EQ(OutcomeOf(3), Outcome::kNotExecuted);
  EXPECT_EQ(pool->stats().waiting, 0u);
}

// Counts, and allocates nothing.
class QuietHost final : public Pool::Host {
 public:
  void Want(uint64_t request) override { wanted = request; }
  void Unwant(uint64_t) override {}
  void Run(uint64_t, IntrusivePtr<Operation> op) override { last_run = op->id; }
  void Lease(uint64_t, IntrusivePtr<Operation>) override {}
  void Check(uint64_t) override {}
  void Reset(uint64_t) override {}
  void Begin(uint64_t) override { ++begun; }
  void Commit(uint64_t) override {}
  void AskSchema(uint64_t) override {}
  void Discard(uint64_t) override {}
  void Finish(IntrusivePtr<Operation>) override {}
  Status Failure(Time, Time) override { return Status::OutOfMemory(); }

  uint64_t wanted = 0, last_run = 0;
  int begun = 0;
};

// A throw would pass by whoever tells the pool of a loss, and of those who were lost with it.
TEST_F(PoolGroupTest, WithoutMemoryForAGroupTheWritesGoOneByOne) {
  for (int64_t allocations = 0; allocations < 3; ++allocations) {
    SCOPED_TRACE(allocations);
    QuietHost quiet;
    pool = std::make_unique<Pool>(PoolOptions(), &quiet);
    pool->OnSchema(0, false, now);
    Write(1);
    pool->OnOpened(quiet.wanted, 1, now);
    ASSERT_EQ(quiet.last_run, 1u);
    for (uint64_t id = 2; id < 5; ++id) Write(id);
    pool->OnOpened(0, 2, now);
    {
      const session::test::FewAllocations few(allocations);
      EXPECT_NO_THROW(pool->OnClosed(1, now));
    }
    EXPECT_EQ(quiet.begun, allocations < 2 ? 0 : 1);
    EXPECT_EQ(quiet.last_run, allocations < 2 ? 2u : 1u);
  }
}

TEST_F(PoolGroupTest, TheSizeOfAGroupIsBounded) {
  PoolOptions options;
  options.group_max = 3;
  PoolTest::Make(options);
  Gather(5);
  pool->OnBegun(1, Status(), now);
  EXPECT_THAT(host.Take(), ElementsAre("run 2 on 1", "run 3 on 1", "run 4 on 1"));
}

}  // namespace
}  // namespace dqc::client::test
