/* SPDX-License-Identifier: MIT */
// What a session tells the tracker of transactions.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "session/transaction.hpp"
#include "unit/session_rig.hpp"

namespace dqc::session::test {
namespace {

using enum TxState;

TxState After(Rig* rig, const Op& op) {
  rig->Submit(op);
  rig->Flow();
  return rig->session->transaction();
}

TEST(SessionTransaction, EveryFormOfAStatementCounts) {
  for (const mock::Era era : kEras) {
    Ready rig(era);
    EXPECT_EQ(rig.session->transaction(), kNone);
    EXPECT_EQ(After(&rig, Sql("INSERT INTO t VALUES(1)")), kNone);
    EXPECT_EQ(After(&rig, Sql("BEGIN IMMEDIATE")), kOpen);
    EXPECT_EQ(After(&rig, Sql("BEGIN")), kOpen);  // refused
    EXPECT_EQ(After(&rig, Sql("COMMIT")), kNone);
    EXPECT_EQ(After(&rig, Sql("COMMIT")), kNone);
    EXPECT_EQ(After(&rig, Sql("BEGIN; INSERT INTO t VALUES(1)")), kOpen);
    EXPECT_EQ(After(&rig, Sql("INSERT INTO t VALUES(1); ROLLBACK; INSERT INTO t VALUES(1)")),
              kNone);
    EXPECT_EQ(After(&rig, Script("SELECT 1; BEGIN; SELECT 1")), kOpen);
    EXPECT_EQ(After(&rig, Script("SELECT 1; COMMIT; ROLLBACK")), kNone);
    EXPECT_EQ(After(&rig, Script("SAVEPOINT a; SAVEPOINT b; RELEASE a")), kNone);
    EXPECT_FALSE(rig.session->may_be_in_transaction());
    const Op prepare = rig.Submit(Prepare("BEGIN"));
    rig.Flow();
    EXPECT_EQ(rig.session->transaction(), kNone);
    PreparedStatement prepared;
    prepared.id = prepare->stmt_id;
    prepared.text = sql::ScanStatement("BEGIN");
    EXPECT_EQ(After(&rig, test::Run(&prepared)), kOpen);
    EXPECT_TRUE(rig.session->may_be_in_transaction());
    EXPECT_EQ(After(&rig, Sql("ROLLBACK")), kNone);
  }
}

TEST(SessionTransaction, AScriptThatFailsStopsWhereItStopped) {
  Ready rig(mock::Era::kC);
  rig.node.On(Match().Sql("bad"), Do().Failure(1, "no such table: bad"));
  EXPECT_EQ(After(&rig, Script("BEGIN; SELECT 1; DELETE FROM bad; COMMIT")), kOpen);
  EXPECT_EQ(After(&rig, Script("COMMIT; DELETE FROM bad; BEGIN")), kNone);
  EXPECT_EQ(After(&rig, Sql("BEGIN; DELETE FROM bad; COMMIT")), kUnknown);
}

TEST(SessionTransaction, OfOurOwnAroundReturning) {
  Ready rig(mock::Era::kA);
  rig.Submit("DELETE FROM t RETURNING id");
  rig.Flow();
  EXPECT_EQ(rig.session->transaction(), kNone);
  rig.node.On(Match().Sql("bad"), Do().Failure(2067, "UNIQUE constraint failed"));
  rig.Submit("INSERT INTO bad VALUES(1) RETURNING id");
  rig.Flow();
  EXPECT_EQ(rig.session->transaction(), kNone);
  rig.Submit("BEGIN");
  rig.Submit("DELETE FROM t RETURNING id");
  rig.Flow();
  EXPECT_EQ(rig.session->transaction(), kOpen);
}

TEST(SessionTransaction, InTheOrderOfTheAnswers) {
  Ready rig(mock::Era::kD);
  rig.node.On(Match().Sql("u"), Do().Failure(2067, "UNIQUE constraint failed"));
  std::vector<Op> ops;
  std::vector<TxState> seen;
  for (const char* sql :
       {"BEGIN", "INSERT INTO t VALUES(1)", "UPDATE u SET x = 1", "ROLLBACK", "BEGIN"}) {
    ops.push_back(rig.Submit(sql));
  }
  EXPECT_EQ(rig.session->transaction(), kNone);
  rig.SendAll();
  for (size_t done = 0; done < ops.size();) {
    ASSERT_TRUE(rig.FeedOnce(1));
    if (ops[done]->done == 0) continue;
    seen.push_back(rig.session->transaction());
    ++done;
  }
  EXPECT_THAT(seen, testing::ElementsAre(kOpen, kOpen, kUnknown, kNone, kOpen));
}

TEST(SessionTransaction, WhatWasGivenUpIsCountedWhenItIsAnswered) {
  for (const bool several : {false, true}) {
    Ready rig(mock::Era::kD);
    const Op begin = Sql(several ? "INSERT INTO t VALUES(1); BEGIN" : "BEGIN");
    rig.Submit(begin);
    rig.SendAll();
    rig.session->Cancel(begin->id, rig.now);
    EXPECT_EQ(begin->done, 1);
    EXPECT_EQ(rig.session->transaction(), kNone);
    EXPECT_TRUE(rig.session->may_be_in_transaction());
    rig.Flow();
    EXPECT_EQ(rig.session->transaction(), kOpen);
  }
  Ready busy(mock::Era::kD);
  busy.node.On(Match().Sql("BEGIN"), Do().Failure(5, "database is locked"));
  const Op refused = busy.Submit("BEGIN");
  const Op read = busy.Submit("SELECT 1");
  busy.SendAll();
  busy.session->Cancel(read->id, busy.now);
  EXPECT_FALSE(busy.session->may_be_in_transaction());
  busy.session->Cancel(refused->id, busy.now);
  EXPECT_TRUE(busy.session->may_be_in_transaction());
  busy.Flow();
  EXPECT_FALSE(busy.session->may_be_in_transaction());

  Ready unsent(mock::Era::kD);
  const Op withdrawn = unsent.Submit("BEGIN");
  unsent.session->Cancel(withdrawn->id, unsent.now);
  EXPECT_FALSE(unsent.session->may_be_in_transaction());

  Ready script(mock::Era::kC);
  const Op given_up = script.Submit(Script("SELECT 1; BEGIN; SELECT 1; COMMIT"));
  script.SendAll();
  script.session->Cancel(given_up->id, script.now);
  EXPECT_TRUE(script.session->may_be_in_transaction());
  script.Flow();
  EXPECT_FALSE(script.session->may_be_in_transaction());
}

TEST(SessionTransaction, ACutLeavesWhatWasBehindAMissingAnswerInDoubt) {
  const char* const kWrite = "INSERT INTO t VALUES(1)";
  for (const char* front : {"", "SELECT 1", kWrite}) {
    Ready rig(mock::Era::kD);
    ASSERT_EQ(After(&rig, Sql("BEGIN")), kOpen);
    if (*front != '\0') rig.Submit(front);
    rig.Submit(kWrite);
    rig.SendAll();
    rig.session->ReceivedEof();
    EXPECT_EQ(rig.session->write_strayed(), *front != '\0') << front;
  }
  Ready unsent(mock::Era::kD);
  ASSERT_EQ(After(&unsent, Sql("BEGIN")), kOpen);
  unsent.Submit(kWrite);
  unsent.SendAll();
  unsent.Submit(kWrite);
  unsent.session->ReceivedEof();
  EXPECT_FALSE(unsent.session->write_strayed());

  Ready full(mock::Era::kD);
  full.node.On(Match().Sql("UPDATE"), Do().Failure(13, "database or disk is full"));
  ASSERT_EQ(After(&full, Sql("BEGIN")), kOpen);
  ASSERT_EQ(After(&full, Sql("UPDATE t SET x = 1")), kUnknown);
  full.Submit(kWrite);
  full.SendAll();
  full.session->ReceivedEof();
  EXPECT_TRUE(full.session->write_strayed());
}

TEST(SessionTransaction, EndsWithTheConnection) {
  Ready rig(mock::Era::kD);
  EXPECT_EQ(After(&rig, Sql("BEGIN")), kOpen);
  rig.session->ReceivedEof();
  EXPECT_EQ(rig.session->transaction(), kNone);
}

}  // namespace
}  // namespace dqc::session::test
