/* SPDX-License-Identifier: MIT */
// Option "init_sql": a script between the handshake and the first use.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/session_rig.hpp"

namespace dqc::session::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

SessionOptions With(std::string script, bool ask_leader = false) {
  SessionOptions options = Options();
  options.init_sql = std::move(script);
  options.ask_leader = ask_leader;
  return options;
}

TEST(SessionInit, RunsBeforeWhatWaits) {
  for (const mock::Era era : kEras) {
    for (const bool ask : {false, true}) {
      Rig rig(era, With("CREATE TEMP TABLE x(a); SELECT 5; -- done", ask));
      rig.node.SetLeader(true);
      const Op connect = rig.Dial();
      const Op first = rig.Submit("INSERT INTO x VALUES(1)");
      rig.session->TransportReady(rig.now);
      rig.ToServer(rig.TakeOutput());
      EXPECT_THAT(rig.Sent(Match().Sql("x")), IsEmpty());  // the handshake alone
      rig.Flow();
      EXPECT_EQ(connect->done, 1);
      EXPECT_TRUE(connect->status.ok()) << connect->status.message();
      EXPECT_TRUE(first->status.ok()) << first->status.message();
      EXPECT_EQ(rig.session->state(), State::kReady);
      std::vector<std::string> sql;
      for (const std::string& line : rig.Sent(Match().Sql(""))) {
        const std::string text = line.substr(line.find(' ') + 1);
        if (line.find(' ') != std::string::npos && text.find("SELECT 1") == std::string::npos &&
            (sql.empty() || sql.back() != text)) {
          sql.push_back(text);
        }
      }
      EXPECT_THAT(
          sql, ElementsAre(HasSubstr("CREATE TEMP"), HasSubstr("SELECT 5"), HasSubstr("INSERT")));
      EXPECT_THAT(rig.node.violations(), IsEmpty());
    }
  }
}

TEST(SessionInit, AnEmptyOneCostsNothing) {
  for (const char* script : {"", " ; -- nothing"}) {
    Rig rig(mock::Era::kD, With(script));
    const Op connect = rig.Dial();
    const Op first = rig.Submit("INSERT INTO x VALUES(1)");
    rig.session->TransportReady(rig.now);
    rig.ToServer(rig.TakeOutput());
    EXPECT_EQ(rig.Sent(Match().Sql("INSERT")).size(), *script == '\0' ? 1u : 0u);
    rig.Flow();
    EXPECT_TRUE(connect->status.ok());
    EXPECT_TRUE(first->status.ok());
  }
}

TEST(SessionInit, AnySplitTellsTheSame) {
  for (uint32_t seed = 0; seed < 30; ++seed) {
    Rig rig(kEras[seed % 4], With("PRAGMA foreign_keys = ON; SELECT * FROM big"));
    rig.node.SetTable("big", Numbers(500));
    rig.cut_in = seed == 0 ? ByteWise() : Seeded(seed);
    rig.cut_out = Seeded(seed + 100);
    const Op connect = rig.Open();
    EXPECT_TRUE(connect->status.ok()) << connect->status.message();
    const Op next = rig.Submit("SELECT 1");
    rig.Flow();
    EXPECT_THAT(next->rows, ElementsAre("0:1|"));
  }
}

// The message is that of the request which made room for the rows.
TEST(SessionInit, APragmaRunsThoughTheServerRepeatsAnOldMessage) {
  for (const mock::Era era : {mock::Era::kA, mock::Era::kC}) {
    Rig rig(era, With("PRAGMA recursive_triggers = ON"));
    rig.node.On(Match(RequestType::kQuery).Sql("PRAGMA"), Do().Failure(1, "no such column: __"));
    rig.node.On(Match(RequestType::kQuerySql).Sql("PRAGMA"), Do().Failure(1, "not an error"));
    const Op connect = rig.Open();
    EXPECT_TRUE(connect->status.ok()) << connect->status.message();
    EXPECT_EQ(rig.node.Count(Match(RequestType::kExec).Sql("PRAGMA")) +
                  rig.node.Count(Match(RequestType::kExecSql).Sql("PRAGMA")),
              1u);
  }
}

struct Bad {
  const char* script;
  uint64_t server_code;  // of what names "bad"
  Code code;
  const char* message;
};

TEST(SessionInit, FailuresNameTheOption) {
  for (const mock::Era era : kEras) {
    for (const Bad& bad :
         {Bad{"SELECT 1; DELETE FROM bad", 1, Code::kSql, "option \"init_sql\": SQL error"},
          Bad{"DELETE FROM bad", 2067, Code::kConstraint, "option \"init_sql\": constraint"},
          Bad{"INSERT INTO t VALUES(1); DELETE FROM bad", 5, Code::kBusy, "option \"init_sql\""},
          Bad{"DELETE FROM bad", 10250, Code::kNotLeader, ""},
          Bad{"PRAGMA journal_mode = DELETE", 0, Code::kUnsupported,
              "option \"init_sql\": setting this PRAGMA"},
          Bad{"SELECT ?", 0, Code::kParams, "option \"init_sql\""},
          Bad{"BEGIN", 0, Code::kConfig, "option \"init_sql\": it leaves a transaction open"},
          Bad{"SAVEPOINT a; SELECT 1", 0, Code::kConfig, "leaves a transaction open"}}) {
      Rig rig(era, With(bad.script));
      rig.node.On(Match().Sql("bad"), Do().Failure(bad.server_code, "no"));
      const Op connect = rig.Dial();
      const Op waits = rig.Submit("INSERT INTO t VALUES(2)");
      rig.session->TransportReady(rig.now);
      rig.Flow();
      const std::string story = std::string(bad.script) + connect->Story() + waits->Story();
      EXPECT_EQ(connect->done, 1) << story;
      EXPECT_EQ(connect->code(), bad.code) << story;
      EXPECT_EQ(connect->phase(), Phase::kOpen) << story;
      EXPECT_EQ(connect->outcome(), Outcome::kNotExecuted) << story;
      EXPECT_THAT(std::string(connect->status.message()), HasSubstr(bad.message));
      EXPECT_EQ(waits->done, 1) << story;
      EXPECT_EQ(waits->outcome(), Outcome::kNotExecuted) << story;
      EXPECT_THAT(rig.Sent(Match().Sql("VALUES(2)")), IsEmpty());
      EXPECT_EQ(rig.session->state(), State::kClosed);
      EXPECT_THAT(rig.node.violations(), IsEmpty());
    }
  }
}

TEST(SessionInit, NotWhereNobodyLeadsOrNoDatabaseIsOpen) {
  for (const mock::Era era : kEras) {
    Rig rig(era, With("DELETE FROM t", true));
    rig.node.SetLeader(false, 5, "other:9001");
    EXPECT_EQ(rig.Open()->code(), Code::kNotLeader);
    EXPECT_TRUE(rig.session->follows());
    EXPECT_THAT(rig.Sent(Match().Sql("DELETE")), IsEmpty());
    SessionOptions options = With("DELETE FROM t");
    options.database = "";
    Rig admin(era, options);
    EXPECT_TRUE(admin.Open()->status.ok());
    EXPECT_THAT(admin.Sent(Match().Sql("DELETE")), IsEmpty());
  }
}

TEST(SessionInit, IsPartOfConnecting) {
  const auto stuck = [](Rig* rig) {
    rig->node.On(Match().Sql("t"), Do().Stall(1));
    const Op connect = MakeOp(OpKind::kConnect);
    connect->deadline = rig->now + 1000;
    rig->session->Connect(Base(connect), rig->now);
    rig->session->TransportReady(rig->now);
    rig->Flow();
    EXPECT_EQ(connect->done, 0);
    EXPECT_EQ(rig->session->state(), State::kHandshake);
    return connect;
  };
  Rig late(mock::Era::kD, With("DELETE FROM t"));
  const Op timed_out = stuck(&late);
  late.Advance(1000);
  EXPECT_EQ(timed_out->code(), Code::kTimeout);
  EXPECT_EQ(timed_out->phase(), Phase::kOpen);
  EXPECT_THAT(std::string(timed_out->status.message()), HasSubstr("init_sql"));

  Rig lost(mock::Era::kD, With("DELETE FROM t"));
  const Op cut = stuck(&lost);
  lost.session->ReceivedEof();
  EXPECT_EQ(cut->code(), Code::kNetwork);
  EXPECT_EQ(cut->phase(), Phase::kOpen);  // no reason to try an older protocol

  Rig left(mock::Era::kD, With("DELETE FROM t"));
  const Op connect = stuck(&left);
  const Op waits = left.Submit("SELECT 1");
  left.session->Cancel(UINT64_MAX, left.now);  // the script is nobody's to cancel
  left.session->CancelAll(left.now);
  EXPECT_EQ(waits->code(), Code::kCancelled);
  EXPECT_EQ(connect->done, 0);
  left.node.Release(1);
  left.Flow();
  EXPECT_TRUE(connect->status.ok()) << connect->status.message();

  Rig closed(mock::Era::kD, With("DELETE FROM t"));
  const Op given_up = stuck(&closed);
  const Op close = closed.Close(true);
  EXPECT_EQ(given_up->code(), Code::kClosed);
  EXPECT_EQ(close->done, 1);
  Rig freed(mock::Era::kD, With("DELETE FROM t"));
  const Op never = stuck(&freed);
  freed.session = nullptr;
  EXPECT_EQ(never->done, 1);
}

TEST(SessionInit, ALimitOnItsRowsFailsIt) {
  SessionOptions options = With("SELECT * FROM big");
  options.limits.rows = 10;
  Rig rig(mock::Era::kC, options);
  rig.node.SetTable("big", Numbers(500));
  const Op connect = rig.Open();
  EXPECT_EQ(connect->code(), Code::kLimit);
  EXPECT_THAT(std::string(connect->status.message()), HasSubstr("init_sql"));
}

}  // namespace
}  // namespace dqc::session::test
