/* SPDX-License-Identifier: MIT */
// Close and loss in every state: one terminal event, the right outcome.
#include <gtest/gtest.h>

#include "unit/session_rig.hpp"

namespace dqc::session::test {
namespace {

TEST(SessionClose, IdleEndsAtOnce) {
  Ready rig(mock::Era::kC);
  const Op close = rig.Close();
  EXPECT_EQ(close->done, 1);
  EXPECT_TRUE(close->status.ok());
  EXPECT_EQ(rig.session->state(), State::kClosed);
  rig.Submit("SELECT 1");
  EXPECT_EQ(rig.last.code(), Code::kClosed);
  const Op again = rig.Close();
  EXPECT_EQ(again->done, 1);
  EXPECT_TRUE(again->status.ok());
}

TEST(SessionClose, WritesInFlightKeepTheirAnswer) {
  for (const mock::Era era : kEras) {
    SessionOptions options = Options();
    options.pipeline_bytes = 100;
    Ready rig(era, options);
    rig.node.SetTable("big", Numbers(1000));
    const Op write = rig.Submit("INSERT INTO t VALUES (12345)");
    const Op read = rig.Submit("SELECT * FROM big");
    const Op pending = rig.Submit("INSERT INTO t VALUES (12346)");
    rig.SendAll();
    const Op close = rig.Close();
    EXPECT_EQ(close->done, 0);
    EXPECT_EQ(read->code(), Code::kClosed);
    EXPECT_EQ(pending->code(), Code::kClosed);
    EXPECT_EQ(pending->outcome(), Outcome::kNotExecuted);
    EXPECT_EQ(write->done, 0);
    const Op second = rig.Close();
    EXPECT_EQ(second->code(), Code::kMisuse);
    rig.Submit("SELECT 1");
    EXPECT_EQ(rig.last.code(), Code::kClosed);
    rig.Flow();
    EXPECT_TRUE(write->status.ok());
    EXPECT_EQ(close->done, 1);
    EXPECT_TRUE(close->status.ok());
    EXPECT_EQ(rig.session->state(), State::kClosed);
  }
}

TEST(SessionClose, WhatIsNotSentIsTakenBack) {
  for (const bool give_up : {false, true}) {
    Ready rig(mock::Era::kD);
    const Op returning = rig.Submit("DELETE FROM t RETURNING id");
    const Op write = rig.Submit("INSERT INTO t VALUES (1)");
    const Op close = rig.Close(give_up);
    EXPECT_EQ(returning->done, 1);
    rig.Flow();
    EXPECT_EQ(write->done, 1);
    EXPECT_EQ(close->done, 1);
    // Said to be not executed: then it must never leave.
    const auto left = [&](const std::string& part) {
      return rig.node.Count(Match().Sql(part)) != 0;
    };
    EXPECT_EQ(returning->outcome() != Outcome::kNotExecuted, left("RETURNING"));
    EXPECT_EQ(write->outcome() != Outcome::kNotExecuted, left("INSERT"));
    EXPECT_EQ(rig.session->state(), State::kClosed);
  }
}

TEST(SessionClose, GiveUpTellsAllAtOnceAndDrains) {
  for (const mock::Era era : kEras) {
    Ready rig(era);
    const Op write = rig.Submit("INSERT INTO t VALUES (1)");
    const Op read = rig.Submit("SELECT 1");
    const Op script = rig.Submit(Script("INSERT INTO t VALUES (1); SELECT 2"));
    rig.SendAll();
    rig.session->Close(nullptr, true, rig.now);
    EXPECT_EQ(write->code(), Code::kClosed);
    EXPECT_EQ(write->outcome(), Outcome::kMaybeExecuted);
    EXPECT_EQ(read->outcome(), Outcome::kNotExecuted);
    EXPECT_EQ(script->done, 1);
    EXPECT_EQ(rig.session->state(), State::kClosing);
    rig.Flow();
    EXPECT_EQ(rig.session->state(), State::kClosed);
    EXPECT_EQ(write->done + read->done + script->done, 3);
  }
}

TEST(SessionClose, BeforeTheConnectionIsThere) {
  for (const bool give_up : {false, true}) {
    for (const bool ready : {false, true}) {
      Rig rig(mock::Era::kC);
      const Op connect = rig.Dial();
      const Op query = rig.Submit("INSERT INTO t VALUES (1)");
      if (ready) {
        rig.session->TransportReady(rig.now);
        rig.SendAll();
      }
      const Op close = rig.Close(give_up);
      EXPECT_EQ(connect->code(), Code::kClosed);
      EXPECT_EQ(query->code(), Code::kClosed);
      EXPECT_EQ(query->outcome(), ready ? Outcome::kMaybeExecuted : Outcome::kNotExecuted);
      EXPECT_TRUE(close->status.ok());
      EXPECT_EQ(close->done, 1);
      EXPECT_EQ(rig.session->state(), State::kClosed);
    }
  }
}

TEST(SessionClose, InEveryStepOfExclusiveOperations) {
  for (const mock::Era era : {mock::Era::kA, mock::Era::kC}) {
    for (const bool give_up : {false, true}) {
      for (int steps = 0; steps < 12; ++steps) {
        Ready rig(era);
        const Op op = rig.Submit(era == mock::Era::kA
                                     ? Sql("DELETE FROM t RETURNING id")
                                     : Script("SELECT 1; INSERT INTO t VALUES (1); SELECT 2"));
        for (int i = 0; i < steps; ++i) {
          if (rig.session->has_output()) {
            rig.ToServer(rig.TakeOutput());
          } else {
            rig.FeedOnce();
          }
        }
        const Op close = rig.Close(give_up);
        rig.Flow();
        EXPECT_EQ(op->done, 1);
        EXPECT_EQ(close->done, 1);
        EXPECT_TRUE(op->unique());
        const bool wrote = rig.node.Count(Match().Sql("COMMIT")) != 0 ||
                           rig.node.CountType(RequestType::kExec) != 0;
        if (!op->status.ok()) {
          EXPECT_EQ(wrote, op->outcome() == Outcome::kMaybeExecuted) << steps;
        }
        EXPECT_EQ(rig.session->state(), State::kClosed);
      }
    }
  }
}

TEST(SessionClose, HungServerIsLeftAfterTheDrainTime) {
  for (const mock::Era era : {mock::Era::kA, mock::Era::kD}) {
    Ready rig(era);
    rig.node.On(Match().Sql("INSERT"), Do().Hang());
    const Op write = rig.Submit("INSERT INTO t VALUES (1)");
    rig.Flow();
    const Op close = rig.Close();
    EXPECT_EQ(close->done, 0);
    rig.Advance(era == mock::Era::kD ? 60'000'000 : 1'000'000);
    EXPECT_EQ(close->done, 1);
    EXPECT_TRUE(close->status.ok());
    EXPECT_EQ(write->outcome(), Outcome::kMaybeExecuted);
    EXPECT_EQ(rig.session->state(), State::kClosed);
  }
}

// ---------------------------------------------------------------------------------------- fail

TEST(SessionFail, InEveryState) {
  for (int state = 0; state < 6; ++state) {
    Rig rig(mock::Era::kA);
    Op connect, write, unsent, script, close;
    if (state > 0) connect = rig.Dial();
    if (state > 1) rig.session->TransportReady(rig.now);
    if (state > 2) rig.Flow();
    if (state > 0) {
      write = rig.Submit("INSERT INTO t VALUES (1)");
      if (state > 3) rig.SendAll();
      unsent = rig.Submit("INSERT INTO t VALUES (2)");
      rig.ToServer(rig.TakeOutput(3));
      script = rig.Submit(Script("DELETE FROM t"));
    }
    if (state > 4) close = rig.Close();
    rig.session->Fail(Status::Make(Code::kNetwork, "reset").With(Phase::kRequest));
    EXPECT_EQ(rig.session->state(), State::kClosed);
    EXPECT_EQ(rig.session->next_deadline(), kNever);
    EXPECT_FALSE(rig.session->has_output());
    EXPECT_FALSE(rig.session->wants_read());
    for (const Op* op : {&connect, &write, &unsent, &script, &close}) {
      if (!*op) continue;
      EXPECT_EQ((*op)->done, 1) << state;
      EXPECT_TRUE((*op)->unique());
    }
    if (write) {
      EXPECT_EQ(write->outcome(), state > 3 ? Outcome::kMaybeExecuted : Outcome::kNotExecuted);
    }
    if (unsent && state < 5) {
      EXPECT_EQ(unsent->outcome(), Outcome::kNotExecuted);
      EXPECT_EQ(unsent->code(), Code::kNetwork);
    }
    rig.Submit("SELECT 1");
    EXPECT_EQ(rig.last.code(), Code::kClosed);
    rig.session->Fail(Status::Make(Code::kNetwork, "again"));
  }
}

TEST(SessionFail, FreedSessionTellsEverybody) {
  Ready rig(mock::Era::kA);
  const Op write = rig.Submit("INSERT INTO t VALUES (1)");
  const Op returning = rig.Submit("DELETE FROM t RETURNING id");
  const Op pending = rig.Submit("SELECT 1");
  rig.SendAll();
  rig.session = nullptr;
  EXPECT_EQ(write->outcome(), Outcome::kMaybeExecuted);
  EXPECT_EQ(returning->outcome(), Outcome::kNotExecuted);
  EXPECT_EQ(pending->code(), Code::kClosed);
  EXPECT_EQ(write->done + returning->done + pending->done, 3);
}

TEST(SessionFail, CommitOfOurOwnTransactionIsInDoubt) {
  Ready rig(mock::Era::kA);
  rig.node.On(Match().Sql("COMMIT"), Do().Close());
  const Op op = rig.Submit("DELETE FROM t RETURNING id");
  rig.Flow();
  EXPECT_EQ(op->code(), Code::kNetwork);
  EXPECT_EQ(op->outcome(), Outcome::kMaybeExecuted);
}

}  // namespace
}  // namespace dqc::session::test
