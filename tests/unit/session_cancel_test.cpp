/* SPDX-License-Identifier: MIT */
// Cancel and deadlines in every state: one terminal event, the right outcome, and a connection that
// goes on wherever it can.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/session_rig.hpp"

namespace dqc::session::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

enum class Stop : uint8_t { kCancel, kDeadline };
constexpr Stop kStops[] = {Stop::kCancel, Stop::kDeadline};
constexpr Time kPatience = 1000;

void StopIt(Rig& rig, const Op& op, Stop how) {
  if (how == Stop::kCancel) return rig.session->Cancel(op->id, rig.now);
  rig.Advance(kPatience);
}

Code CodeOf(Stop how) { return how == Stop::kCancel ? Code::kCancelled : Code::kTimeout; }

Op WithDeadline(Rig& rig, Op op, Stop how) {
  if (how == Stop::kDeadline) op->deadline = rig.now + kPatience;
  return op;
}

void ExpectUsable(Rig& rig) {
  const Op again = rig.Submit("SELECT 42");
  ASSERT_TRUE(rig.last.ok()) << rig.last.message();
  rig.Flow();
  EXPECT_THAT(again->rows, ElementsAre("0:42|"));
  EXPECT_TRUE(rig.session->idle());
  EXPECT_EQ(rig.session->state(), State::kReady);
  rig.now += 120'000'000;  // no drain is left over
  EXPECT_GT(rig.session->next_deadline(), 0u);
  if (rig.session->next_deadline() <= rig.now) rig.session->OnDeadline(rig.now);
  EXPECT_EQ(rig.session->state(), State::kReady);
  EXPECT_EQ(rig.session->next_deadline(), kNever);
  EXPECT_THAT(rig.node.violations(), IsEmpty());
}

TEST(SessionCancel, PendingAndUnsent) {
  for (const Stop how : kStops) {
    SessionOptions options = Options();
    options.pipeline_bytes = 64;
    Ready rig(mock::Era::kC, options);
    const Op first = rig.Submit(WithDeadline(rig, Sql("INSERT INTO t VALUES (1)"), how));
    const Op second = rig.Submit(WithDeadline(rig, Sql("INSERT INTO t VALUES (2)"), how));
    StopIt(rig, first, how);   // unsent
    StopIt(rig, second, how);  // pending, or unsent by now
    for (const Op* op : {&first, &second}) {
      EXPECT_EQ((*op)->done, 1);
      EXPECT_EQ((*op)->code(), CodeOf(how));
      EXPECT_EQ((*op)->outcome(), Outcome::kNotExecuted);
      EXPECT_TRUE((*op)->unique());
    }
    rig.Flow();
    EXPECT_THAT(rig.Sent(), IsEmpty());
    ExpectUsable(rig);
  }
}

TEST(SessionCancel, HalfSentAndSent) {
  for (const Stop how : kStops) {
    for (const size_t sent : {size_t{1}, size_t{47}, size_t{48}}) {
      for (const bool writes : {true, false}) {
        Ready rig(mock::Era::kC);
        const std::string sql =
            writes ? "INSERT INTO t VALUES (12345)" : "SELECT id FROM t WHERE 12345";
        const Op op = rig.Submit(WithDeadline(rig, Sql(sql), how));
        ASSERT_EQ(rig.output_size(), 48u);
        rig.ToServer(rig.TakeOutput(sent));
        StopIt(rig, op, how);
        EXPECT_EQ(op->done, 1);
        EXPECT_EQ(op->code(), CodeOf(how));
        EXPECT_EQ(op->outcome(), writes ? Outcome::kMaybeExecuted : Outcome::kNotExecuted);
        rig.Flow();
        EXPECT_EQ(op->done, 1);
        EXPECT_TRUE(op->unique());
        EXPECT_THAT(op->rows, IsEmpty());
        ExpectUsable(rig);
      }
    }
  }
}

TEST(SessionCancel, OneOfManyInThePipeline) {
  for (const mock::Era era : kEras) {
    for (size_t which = 0; which < 5; ++which) {
      for (const bool sent : {false, true}) {
        Ready rig(era);
        std::vector<Op> ops;
        for (int i = 0; i < 5; ++i) ops.push_back(rig.Submit("SELECT " + std::to_string(i)));
        if (sent) rig.SendAll();
        rig.session->Cancel(ops[which]->id, rig.now);
        rig.session->Cancel(ops[which]->id, rig.now);
        rig.Flow();
        for (size_t i = 0; i < 5; ++i) {
          EXPECT_EQ(ops[i]->done, 1);
          EXPECT_EQ(ops[i]->status.ok(), i != which);
          if (i != which) {
            EXPECT_THAT(ops[i]->rows, ElementsAre("0:" + std::to_string(i) + "|"));
          }
        }
        ExpectUsable(rig);
      }
    }
  }
}

TEST(SessionCancel, InTheStreamAlsoWhenPaused) {
  for (const mock::Era era : kEras) {
    for (const Stop how : kStops) {
      for (const bool paused : {false, true}) {
        Ready rig(era);
        rig.node.SetTable("big", Numbers(3000));
        const Op big = rig.Submit(WithDeadline(rig, Sql("SELECT * FROM big"), how));
        const Op after = rig.Submit("SELECT 7");
        rig.SendAll();
        for (int i = 0; i < 3; ++i) rig.FeedOnce(5000);
        if (paused) rig.session->Pause(big->id, true, rig.now);
        const size_t rows = big->rows.size();
        StopIt(rig, big, how);
        EXPECT_EQ(big->done, 1);
        EXPECT_EQ(big->code(), CodeOf(how));
        EXPECT_EQ(big->outcome(), Outcome::kNotExecuted);
        EXPECT_NE(rig.session->next_deadline(), kNever);  // the drain's
        rig.Flow();
        EXPECT_EQ(big->rows.size(), rows);
        EXPECT_THAT(after->rows, ElementsAre("0:7|"));
        ExpectUsable(rig);
      }
    }
  }
}

// Stops a multi-step operation after every number of bytes of either direction.
void StopAnywhere(mock::Era era, Stop how, const std::function<Op()>& make,
                  const std::function<void(const Rig&, const Op&)>& check) {
  for (int steps = 0; steps < 500; ++steps) {
    Ready rig(era);
    rig.node.SetTable("RETURNING", Numbers(300));
    const Op op = rig.Submit(WithDeadline(rig, make(), how));
    const Op after = rig.Submit("SELECT 7");
    for (int i = 0; i < steps && op->done == 0; ++i) {
      if (rig.session->has_output()) {
        rig.ToServer(rig.TakeOutput(i % 3 == 0 ? 20 : SIZE_MAX));
      } else {
        rig.FeedOnce(i % 2 == 0 ? 900 : 24);
      }
    }
    const bool over = op->done != 0;
    if (!over) {
      StopIt(rig, op, how);
      EXPECT_EQ(op->code(), CodeOf(how));
    }
    EXPECT_EQ(op->done, 1);
    rig.Flow();
    EXPECT_EQ(op->done, 1);
    EXPECT_FALSE(op->broken);
    EXPECT_TRUE(after->status.ok());
    EXPECT_THAT(after->rows, ElementsAre("0:7|"));
    check(rig, op);
    ExpectUsable(rig);
    EXPECT_TRUE(op->unique());
    if (over) return;
  }
  FAIL() << "never over";
}

TEST(SessionCancel, InEachStepOfReturningsOwnTransaction) {
  for (const mock::Era era : {mock::Era::kA, mock::Era::kB}) {
    for (const Stop how : kStops) {
      StopAnywhere(
          era, how, [] { return Sql("DELETE FROM t RETURNING id"); },
          [](const Rig& rig, const Op& op) {
            const auto sent = rig.Sent(Match(RequestType::kExecSql));
            const bool committed =
                std::find(sent.begin(), sent.end(), "ExecSql COMMIT") != sent.end();
            if (op->status.ok()) {
              EXPECT_TRUE(committed);
            } else {
              EXPECT_EQ(committed, op->outcome() == Outcome::kMaybeExecuted);
            }
            // No transaction is left open.
            EXPECT_TRUE(sent.empty() || sent.size() == 2);
          });
    }
  }
}

TEST(SessionCancel, InEachStepOfAScript) {
  for (const mock::Era era : kEras) {
    for (const Stop how : kStops) {
      StopAnywhere(
          era, how,
          [] {
            return Script("SELECT 1; INSERT INTO t VALUES (1); SELECT * FROM t; DELETE FROM t");
          },
          [](const Rig& rig, const Op& op) {
            const uint64_t writes =
                rig.node.CountType(RequestType::kExecSql) + rig.node.CountType(RequestType::kExec);
            if (!op->status.ok()) {
              EXPECT_EQ(writes > 0, op->outcome() == Outcome::kMaybeExecuted);
            }
            EXPECT_EQ(rig.node.CountType(RequestType::kPrepare),
                      rig.node.CountType(RequestType::kFinalize));
          });
    }
  }
}

TEST(SessionCancel, InAPragmaThatFallsBack) {
  for (const mock::Era era : {mock::Era::kA, mock::Era::kB}) {
    for (int steps = 0; steps < 8; ++steps) {
      Ready rig(era);
      rig.node.On(Match(RequestType::kQuerySql).Sql("PRAGMA"), Do().Failure(1, "not an error"));
      const Op op = rig.Submit("PRAGMA recursive_triggers = 1");
      const Op after = rig.Submit("SELECT 7");
      for (int i = 0; i < steps; ++i) {
        if (rig.session->has_output()) {
          rig.ToServer(rig.TakeOutput());
        } else {
          rig.FeedOnce();
        }
      }
      rig.session->Cancel(op->id, rig.now);
      rig.Flow();
      EXPECT_EQ(op->done, 1);
      if (!op->status.ok() && op->outcome() == Outcome::kNotExecuted) {
        EXPECT_EQ(rig.node.CountType(RequestType::kExecSql), 0u) << steps;
      }
      EXPECT_THAT(after->rows, ElementsAre("0:7|"));
      ExpectUsable(rig);
    }
  }
}

TEST(SessionCancel, PreparedMeanwhileIsFinalized) {
  for (const mock::Era era : kEras) {
    for (const Stop how : kStops) {
      Ready rig(era);
      const Op prepare = rig.Submit(WithDeadline(rig, Prepare("SELECT 1"), how));
      const Op other = rig.Submit(Prepare("SELECT 2"));
      rig.SendAll();
      StopIt(rig, prepare, how);
      EXPECT_EQ(prepare->done, 1);
      rig.Flow();
      EXPECT_EQ(other->stmt_id, 1u);
      EXPECT_THAT(rig.Sent(Match(RequestType::kFinalize)), ElementsAre("Finalize SELECT 1"));
      ExpectUsable(rig);
    }
  }
}

TEST(SessionCancel, DrainIsBoundedInBytes) {
  for (const mock::Era era : kEras) {
    SessionOptions options = Options();
    options.drain_bytes = 20'000;
    Ready rig(era, options);
    rig.node.SetTable("big", Numbers(5000));  // some 160 KB
    const Op big = rig.Submit("SELECT * FROM big");
    const Op after = rig.Submit("INSERT INTO t VALUES (1)");
    rig.SendAll();
    for (int i = 0; i < 3; ++i) rig.FeedOnce(5000);
    rig.session->Cancel(big->id, rig.now);
    rig.Flow();
    if (era == mock::Era::kD) {  // there, dropping it harms the server
      EXPECT_TRUE(after->status.ok());
      ExpectUsable(rig);
      continue;
    }
    EXPECT_EQ(rig.session->state(), State::kClosed);
    EXPECT_EQ(after->code(), Code::kNetwork);
    EXPECT_EQ(after->outcome(), Outcome::kMaybeExecuted);
    EXPECT_EQ(after->done, 1);
    EXPECT_EQ(big->done, 1);
  }
}

TEST(SessionCancel, DrainIsBoundedInTime) {
  for (const mock::Era era : kEras) {
    Ready rig(era);
    rig.node.On(Match().Sql("slow"), Do().Stall().Default());
    const Op slow = rig.Submit("SELECT slow");
    const Op after = rig.Submit("SELECT 1");
    const Op script = rig.Submit(Script("SELECT 2"));
    rig.Flow();
    rig.session->Cancel(slow->id, rig.now);
    const Time patience = era == mock::Era::kD ? 60'000'000 : 1'000'000;
    EXPECT_EQ(rig.session->next_deadline(), rig.now + patience);
    rig.Advance(patience - 1);
    EXPECT_EQ(rig.session->state(), State::kReady);
    rig.Advance(1);
    EXPECT_EQ(rig.session->state(), State::kClosed);
    EXPECT_EQ(after->code(), Code::kNetwork);
    EXPECT_THAT(std::string(after->status.message()),
                HasSubstr(era == mock::Era::kD ? "\"drain_timeout_era_d\"" : "\"drain_timeout\""));
    EXPECT_EQ(script->done, 1);
    EXPECT_EQ(slow->code(), Code::kCancelled);
  }
}

// Each thing left behind has the whole patience, as long as the server gets on.
TEST(SessionCancel, DrainTimeStartsAgainWithProgress) {
  Ready rig(mock::Era::kA);
  for (uint64_t gate = 1; gate <= 4; ++gate) {
    rig.node.On(Match().Sql("slow" + std::to_string(gate)), Do().Stall(gate).Default());
  }
  std::vector<Op> ops;
  for (int i = 1; i <= 4; ++i) ops.push_back(rig.Submit("SELECT slow" + std::to_string(i)));
  rig.Flow();
  for (uint64_t gate = 1; gate <= 4; ++gate) {
    rig.session->Cancel(ops[gate - 1]->id, rig.now);
    if (gate < 4) rig.session->Cancel(ops[gate]->id, rig.now);
    rig.Advance(900'000);
    ASSERT_EQ(rig.session->state(), State::kReady) << gate;
    rig.node.Release(gate);
    rig.Flow();
  }
  ExpectUsable(rig);
}

// What is in front of it, and is waited for, takes the time that it has.
TEST(SessionCancel, DrainTimeBeginsWhenItIsItsTurn) {
  for (const bool stream : {false, true}) {
    Ready rig(mock::Era::kA);
    rig.node.On(Match().Sql("slow1"), Do().Stall(1).Default());
    rig.node.On(Match().Sql("slow2"), Do().Stall(2).Default());
    const Op first = rig.Submit(stream ? "SELECT slow1" : "DELETE FROM slow1");
    const Op second = rig.Submit("SELECT slow2");
    rig.Flow();
    rig.session->Cancel(second->id, rig.now);
    rig.Advance(5'000'000);
    ASSERT_EQ(rig.session->state(), State::kReady);
    rig.node.Release(1);
    rig.Flow();
    EXPECT_TRUE(first->status.ok());
    EXPECT_EQ(rig.session->next_deadline(), rig.now + 1'000'000);
    rig.Advance(1'000'000);
    EXPECT_EQ(rig.session->state(), State::kClosed);
  }
}

// The write lock is not held until somebody reads the answers.
TEST(SessionCancel, RollbackOfOurOwnLeavesAtOnce) {
  for (const bool begun : {false, true}) {
    Ready rig(mock::Era::kA);
    rig.node.On(Match().Sql("DELETE"), Do().Stall().Default());
    const Op op = rig.Submit("DELETE FROM t RETURNING id");
    begun ? rig.Flow() : rig.SendAll();
    ASSERT_FALSE(rig.session->has_output());
    rig.session->Cancel(op->id, rig.now);
    EXPECT_TRUE(rig.session->has_output());
    rig.node.Release();
    rig.Flow();
    EXPECT_THAT(rig.Sent(Match().Sql("ROLLBACK")), SizeIs(1));
    EXPECT_THAT(rig.Sent(Match().Sql("COMMIT")), IsEmpty());
    EXPECT_EQ(op->done, 1);
    EXPECT_EQ(op->outcome(), Outcome::kNotExecuted);
    EXPECT_EQ(rig.session->transaction(), TxState::kNone);
    ExpectUsable(rig);
  }
}

// What comes behind it, as the ROLLBACK of what it began, need not wait for its answer.
TEST(SessionCancel, ScriptGivenUpHoldsNothingUp) {
  for (const mock::Era era : kEras) {
    Ready rig(era);
    rig.node.On(Match().Sql("slow"), Do().Stall().Default());
    const Op script = rig.Submit(Script("BEGIN; INSERT INTO slow VALUES (1); COMMIT"));
    rig.Flow();
    const Op rollback = rig.Submit("ROLLBACK");
    ASSERT_FALSE(rig.session->has_output());
    rig.session->Cancel(script->id, rig.now);
    EXPECT_TRUE(rig.session->has_output());
    EXPECT_TRUE(rig.session->may_be_in_transaction());
    rig.node.Release();
    rig.Flow();
    EXPECT_TRUE(rollback->status.ok());
    EXPECT_EQ(script->done, 1);
    EXPECT_EQ(rig.session->transaction(), TxState::kNone);
    EXPECT_FALSE(rig.session->may_be_in_transaction());
    ExpectUsable(rig);
  }
}

// Where our BEGIN may fail because the application has begun, a ROLLBACK would be of its own.
TEST(SessionCancel, NoRollbackBehindABeginOfTheApplication) {
  Ready rig(mock::Era::kA);
  rig.node.On(Match().Sql("BEGIN IMMEDIATE"),
              Do().Failure(1, "cannot start a transaction within a transaction"));
  const Op begin = rig.Submit("BEGIN");
  const Op op = rig.Submit("DELETE FROM t RETURNING id");
  rig.SendAll();
  rig.session->Cancel(op->id, rig.now);
  rig.Flow();
  EXPECT_TRUE(begin->status.ok());
  EXPECT_THAT(rig.Sent(Match().Sql("ROLLBACK")), IsEmpty());
  EXPECT_EQ(rig.session->transaction(), TxState::kOpen);
}

// The time also runs between the steps of an abandoned operation.
TEST(SessionCancel, HungRollbackIsDropped) {
  Ready rig(mock::Era::kA);
  rig.node.On(Match().Sql("ROLLBACK"), Do().Hang());
  const Op op = rig.Submit("DELETE FROM t RETURNING id");
  rig.SendAll();
  rig.session->Cancel(op->id, rig.now);
  rig.Flow();
  EXPECT_EQ(rig.Sent().back(), "ExecSql ROLLBACK");
  EXPECT_NE(rig.session->next_deadline(), kNever);
  rig.Advance(1'000'001);
  EXPECT_EQ(rig.session->state(), State::kClosed);
  EXPECT_EQ(op->outcome(), Outcome::kNotExecuted);
}

TEST(SessionCancel, LimitsEndOnlyTheOperation) {
  for (int which = 0; which < 3; ++which) {
    SessionOptions options = Options();
    if (which == 0) options.limits.rows = 500;
    if (which == 1) options.limits.frames = 3;
    if (which == 2) options.limits.result_bytes = 10'000;
    for (const mock::Era era : kEras) {
      Ready rig(era, options);
      rig.node.SetTable("big", Numbers(900));
      const Op big = rig.Submit("SELECT * FROM big");
      const Op after = rig.Submit("SELECT 7");
      rig.Flow();
      EXPECT_EQ(big->code(), Code::kLimit);
      EXPECT_EQ(big->done, 1);
      EXPECT_LE(big->rows.size(), which == 0 ? 500u : 600u);
      EXPECT_THAT(after->rows, ElementsAre("0:7|"));
      ExpectUsable(rig);
    }
  }
}

}  // namespace
}  // namespace dqc::session::test
