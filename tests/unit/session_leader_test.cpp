/* SPDX-License-Identifier: MIT */
// What a session does for a client that follows the leader: asks who leads, observes, is passed from one
// user to the next.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/session_rig.hpp"

namespace dqc::session::test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

SessionOptions Asking(std::string database = "app") {
  SessionOptions options = Options(std::move(database));
  options.ask_leader = true;
  return options;
}

TEST(SessionLeader, ALeaderIsReadyAfterOneRoundTrip) {
  for (const mock::Era era : kEras) {
    Rig rig(era, Asking());
    rig.node.SetLeader(true);
    const Op connect = rig.Dial();
    rig.session->TransportReady(rig.now);
    rig.ToServer(rig.TakeOutput());
    EXPECT_FALSE(rig.session->has_output());
    rig.Flow();
    EXPECT_EQ(connect->done, 1);
    EXPECT_TRUE(connect->status.ok()) << connect->status.message();
    EXPECT_EQ(rig.session->state(), State::kReady);
    EXPECT_FALSE(rig.session->follows());
    EXPECT_NE(rig.session->leader_id(), 0u);
  }
}

TEST(SessionLeader, AFollowerNamesTheLeaderAndStaysForAdministration) {
  for (const mock::Era era : kEras) {
    Rig rig(era, Asking());
    rig.node.SetLeader(false, 5, "other:9001");
    const Op connect = rig.Open();
    EXPECT_EQ(connect->done, 1);
    EXPECT_EQ(connect->code(), Code::kNotLeader);
    EXPECT_EQ(connect->phase(), Phase::kLeader);
    EXPECT_THAT(std::string(connect->status.message()), HasSubstr("it names other:9001"));
    EXPECT_EQ(rig.session->state(), State::kReady);
    EXPECT_TRUE(rig.session->follows());
    EXPECT_EQ(rig.session->leader_address(), "other:9001");

    rig.Submit("INSERT INTO t VALUES(1)");
    EXPECT_EQ(rig.last.code(), Code::kNotLeader);
    rig.node.SetLeader(false, 6, "third:9001");
    const Op ask = rig.Submit(LeaderOp());
    rig.Flow();
    EXPECT_THAT(ask->rows, ElementsAre("0:6|'third:9001'|"));
    EXPECT_EQ(rig.session->state(), State::kReady);
  }
}

TEST(SessionLeader, ANodeWithoutALeaderSaysSo) {
  Rig rig(mock::Era::kC, Asking());
  rig.node.SetLeader(false, 0, "");
  const Op connect = rig.Open();
  EXPECT_THAT(std::string(connect->status.message()), HasSubstr("it knows of no leader"));
  EXPECT_EQ(rig.session->leader_id(), 0u);
}

TEST(SessionLeader, NothingIsSentToAFollowerThatWaitedForTheHandshake) {
  Rig rig(mock::Era::kD, Asking());
  rig.node.SetLeader(false, 5, "other:9001");
  rig.Dial();
  const Op write = rig.Submit("INSERT INTO t VALUES(1)");
  rig.session->TransportReady(rig.now);
  rig.Flow();
  EXPECT_EQ(write->code(), Code::kNotLeader);
  EXPECT_EQ(write->outcome(), Outcome::kNotExecuted);
  EXPECT_THAT(rig.Sent(), Not(Contains(HasSubstr("INSERT"))));
}

TEST(SessionLeader, WithoutADatabaseItAsksToo) {
  Rig rig(mock::Era::kA, Asking(""));
  rig.node.SetLeader(false, 5, "other:9001");
  EXPECT_EQ(rig.Open()->code(), Code::kNotLeader);
  EXPECT_EQ(rig.session->leader_address(), "other:9001");
}

TEST(SessionLeader, AnySplitTellsTheSame) {
  for (uint32_t seed = 0; seed < 30; ++seed) {
    Rig rig(mock::Era::kD, Asking());
    rig.cut_in = seed == 0 ? ByteWise() : Seeded(seed);
    rig.node.SetLeader(seed % 2 == 0, 5, "other:9001");
    EXPECT_EQ(rig.Open()->status.ok(), seed % 2 == 0);
    EXPECT_EQ(rig.session->leader_address() == "other:9001", seed % 2 != 0);
  }
}

TEST(SessionLeader, TheLegacyProtocolNamesTheLeaderWithoutItsId) {
  for (const mock::Era era : kEras) {
    SessionOptions options = Asking();
    options.legacy = true;
    Rig rig(era, options);
    rig.node.SetLeader(false, 5, "other:9001");
    EXPECT_EQ(rig.Open()->code(), Code::kNotLeader);
    EXPECT_EQ(rig.session->leader_id(), 0u);
    EXPECT_EQ(rig.session->leader_address(), "other:9001");
    const Op ask = rig.Submit(LeaderOp());
    rig.Flow();
    EXPECT_THAT(ask->rows, ElementsAre("0:0|'other:9001'|"));
  }
}

TEST(SessionLeader, CancelAllLeavesACleanSession) {
  for (const mock::Era era : kEras) {
    Ready rig(era, Asking());
    rig.node.SetTable("many", Numbers(1000));
    const Op running = rig.Submit("SELECT many");
    const Op behind = rig.Submit("SELECT 1");
    rig.SendAll();
    rig.session->CancelAll(rig.now);
    EXPECT_EQ(running->code(), Code::kCancelled);
    EXPECT_EQ(behind->code(), Code::kCancelled);
    rig.Flow();
    EXPECT_TRUE(rig.session->idle());
    const Op next = rig.Submit("SELECT 1");
    rig.Flow();
    EXPECT_TRUE(next->status.ok());
    EXPECT_EQ(running->done, 1);
  }
}

TEST(SessionLeader, AnAddedNodeIsGivenItsRole) {
  Ready rig(mock::Era::kC, Asking());
  const auto join = [&](uint64_t id) {
    const std::string address = "new" + std::to_string(id) + ":9001";
    Op op = Admin(wire::request::Add{id, address}, RequestType::kAdd, ResponseType::kEmpty, true);
    op->join = {id, 0, true};
    return op;
  };
  const Op good = rig.Submit(join(9));
  rig.Flow();
  EXPECT_TRUE(good->status.ok()) << good->status.message();
  EXPECT_THAT(rig.Sent(), Contains(HasSubstr("Assign")));

  rig.node.On(Match(RequestType::kAssign), Do().Failure(1, "no such node"));
  const Op half = rig.Submit(join(10));
  rig.Flow();
  EXPECT_EQ(half->done, 1);
  EXPECT_EQ(half->outcome(), Outcome::kMaybeExecuted);
  EXPECT_THAT(std::string(half->status.message()), HasSubstr("added as a spare"));

  rig.node.On(Match(RequestType::kAdd), Do().Failure(5, "a configuration change is in progress"));
  const Op none = rig.Submit(join(11));
  rig.Flow();
  EXPECT_EQ(none->outcome(), Outcome::kNotExecuted);
}

TEST(SessionLeader, WhatFailedUnexecutedRunsAgainElsewhere) {
  Ready first(mock::Era::kC), second(mock::Era::kC);
  first.node.On(Match(RequestType::kExecSql), Do().Failure(10250, "not leader"));
  const Op op = first.Submit("INSERT INTO t VALUES(1)");
  first.Flow();
  EXPECT_EQ(op->code(), Code::kNotLeader);
  ASSERT_TRUE(op->can_run_again());
  op->PrepareToRunAgain();
  op->done = 0;
  second.Submit(op);
  second.Flow();
  EXPECT_TRUE(op->status.ok()) << op->status.message();
  EXPECT_EQ(op->done, 1);
}

// Where a script may be cut, and what is left of it then. The sessions end with the connection: a
// transaction of the script's own is gone with it.
TEST(SessionLeader, AScriptCutInsideItsOwnTransactionDidNothing) {
  struct Case {
    const char* sql;
    const char* at;  // the statement that is not answered
    Outcome outcome;
    bool again;
  };
  constexpr Outcome kNo = Outcome::kNotExecuted;
  constexpr Outcome kMaybe = Outcome::kMaybeExecuted;
  const Case cases[] = {
      {"BEGIN; INSERT INTO t VALUES (1); COMMIT", "BEGIN", kNo, true},
      {"BEGIN; INSERT INTO t VALUES (1); COMMIT", "INSERT", kNo, true},
      {"BEGIN; INSERT INTO t VALUES (1); DROP TABLE u; COMMIT", "DROP", kNo, true},
      {"BEGIN; INSERT INTO t VALUES (1); COMMIT", "COMMIT", kMaybe, false},
      {"BEGIN; INSERT INTO t VALUES (1); COMMIT; SELECT 1", "SELECT", kMaybe, false},
      {"BEGIN; INSERT INTO t VALUES (1); ROLLBACK; DROP TABLE u", "DROP", kMaybe, false},
      {"BEGIN; INSERT INTO t VALUES (1); ROLLBACK; SELECT 1", "SELECT", kNo, false},
      {"DROP TABLE u; BEGIN; INSERT INTO t VALUES (1); COMMIT", "INSERT", kMaybe, false},
      {"SAVEPOINT a; INSERT INTO t VALUES (1); RELEASE a", "RELEASE", kMaybe, false},
  };
  for (const mock::Era era : kEras) {
    for (const Case& c : cases) {
      SCOPED_TRACE(std::string(c.sql) + " at " + c.at);
      Ready rig(era);
      rig.node.On(Match(RequestType::kExec, RequestType::kExecSql, RequestType::kQuery,
                        RequestType::kQuerySql)
                      .Sql(c.at),
                  Do().Close());
      const Op op = rig.Submit(Script(c.sql));
      rig.Flow();
      EXPECT_EQ(op->code(), Code::kNetwork);
      EXPECT_EQ(op->outcome(), c.outcome);
      EXPECT_EQ(op->can_run_again(), c.again);
    }
  }
}

// Alive, the connection still has the transaction open: a rollback is up to whoever has it.
TEST(SessionLeader, AScriptThatFailsInsideItsOwnTransactionLeavesItOpen) {
  for (const mock::Era era : kEras) {
    for (const bool cancel : {false, true}) {
      Ready rig(era);
      const Match at = Match(RequestType::kExec, RequestType::kExecSql).Sql("INTO u");
      rig.node.On(at, cancel ? Do().Stall().Default() : Do().Failure(5, "database is locked"));
      const Op op = rig.Submit(Script("BEGIN; INSERT INTO t VALUES (1); INSERT INTO u VALUES (2)"));
      rig.Flow();
      if (cancel) rig.session->Cancel(op->id, rig.now);
      EXPECT_EQ(op->code(), cancel ? Code::kCancelled : Code::kBusy);
      EXPECT_EQ(op->outcome(), Outcome::kMaybeExecuted);
      EXPECT_TRUE(op->undone_by_rollback);
      EXPECT_TRUE(rig.session->may_be_in_transaction());
    }
  }
}

// What only the connection's transaction knows of ends with it.
TEST(SessionLeader, WhatChangesNoDatabaseIsNeverInDoubt) {
  for (const mock::Era era : kEras) {
    for (const char* sql : {"BEGIN", "BEGIN IMMEDIATE", "SAVEPOINT a", "ROLLBACK", "ROLLBACK TO a",
                            "COMMIT", "END", "RELEASE a"}) {
      Ready rig(era);
      rig.node.On(Match(RequestType::kExecSql), Do().Close());
      const Op op = rig.Submit(sql);
      rig.Flow();
      EXPECT_EQ(op->code(), Code::kNetwork) << sql;
      const std::string_view verb(sql);
      const bool commits = verb == "COMMIT" || verb == "END" || verb == "RELEASE a";
      EXPECT_EQ(op->outcome(), commits ? Outcome::kMaybeExecuted : Outcome::kNotExecuted) << sql;
    }
  }
}

}  // namespace
}  // namespace dqc::session::test
