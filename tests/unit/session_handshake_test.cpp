/* SPDX-License-Identifier: MIT */
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/session_rig.hpp"

namespace dqc::session::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(SessionHandshake, AllOfItAndTheFirstStatementLeaveInOnePull) {
  Rig rig(mock::Era::kC);
  const Op connect = rig.Dial();
  const Op query = rig.Submit("SELECT 1");
  EXPECT_FALSE(rig.session->has_output());
  EXPECT_FALSE(rig.session->wants_read());
  rig.session->TransportReady(rig.now);
  rig.ToServer(rig.TakeOutput());
  EXPECT_FALSE(rig.session->has_output());
  const auto seen = rig.node.Requests();
  ASSERT_EQ(seen.size(), 3u);  // probes are not counted
  EXPECT_EQ(rig.node.Count(Match(RequestType::kExec).Schema(255)), 1u);
  EXPECT_EQ(rig.node.Count(Match(RequestType::kPrepare).Schema(255)), 1u);
  EXPECT_TRUE(seen[0].Is(RequestType::kClient));
  EXPECT_EQ(seen[0].id, 7u);
  EXPECT_TRUE(seen[1].Is(RequestType::kOpen));
  EXPECT_EQ(seen[1].text, "app");
  EXPECT_TRUE(seen[2].Is(RequestType::kQuerySql));
  rig.Flow();
  EXPECT_TRUE(connect->status.ok());
  EXPECT_EQ(connect->done, 1);
  EXPECT_THAT(query->rows, ElementsAre("0:1|"));
  EXPECT_EQ(query->done, 1);
  EXPECT_THAT(rig.node.violations(), ElementsAre());
}

TEST(SessionHandshake, RecognisesTheEraOnLeadersAndOthers) {
  for (const bool leader : {true, false}) {
    for (const mock::Era era : kEras) {
      Rig rig(era);
      rig.node.SetLeader(leader);
      const Op connect = rig.Open();
      EXPECT_EQ(rig.session->era(), static_cast<Era>(static_cast<int>(era) + 1));
      EXPECT_EQ(connect->done, 1);
      EXPECT_EQ(connect->status.ok(), leader || era != mock::Era::kD);
    }
  }
}

TEST(SessionHandshake, UnknownProbeAnswersAreTakenForALaterRelease) {
  Rig rig(mock::Era::kD);
  rig.node.On(Match(RequestType::kExec).Schema(255), Do().Failure(77, "new"));
  EXPECT_TRUE(rig.Open()->status.ok());
  EXPECT_EQ(rig.session->era(), Era::kD);
}

TEST(SessionHandshake, RefusedOpenFailsConnectAndAllBehindItUnexecuted) {
  Rig rig(mock::Era::kD);
  rig.node.SetLeader(false);
  const Op connect = rig.Dial();
  const Op insert = rig.Submit("INSERT INTO t VALUES (1)");
  const Op waiting = rig.Submit(Script("SELECT 1"));
  rig.session->TransportReady(rig.now);
  rig.Flow();
  EXPECT_EQ(connect->code(), Code::kNotLeader);
  EXPECT_EQ(connect->phase(), Phase::kOpen);
  EXPECT_EQ(connect->status.info()->server_code, 10250);
  EXPECT_EQ(rig.session->state(), State::kClosed);
  EXPECT_EQ(insert->code(), Code::kNotLeader);
  EXPECT_EQ(insert->outcome(), Outcome::kNotExecuted);  // there is no database to execute it in
  EXPECT_EQ(waiting->code(), Code::kNotLeader);
  EXPECT_EQ(insert->done + waiting->done, 2);
  rig.Submit("SELECT 1");
  EXPECT_EQ(rig.last.code(), Code::kClosed);
  EXPECT_THAT(std::string(rig.last.message()), HasSubstr("10250"));
}

TEST(SessionHandshake, WithoutADatabaseThereIsNoOpenAndNoSql) {
  Rig rig(mock::Era::kB, Options(""));
  const Op connect = rig.Dial();
  const Op leader = rig.Submit(LeaderOp());
  EXPECT_TRUE(rig.last.ok());
  rig.Submit("SELECT 1");
  EXPECT_EQ(rig.last.code(), Code::kMisuse);
  rig.session->TransportReady(rig.now);
  rig.Flow();
  EXPECT_TRUE(connect->status.ok());
  EXPECT_EQ(rig.session->state(), State::kReady);
  EXPECT_EQ(rig.node.CountType(RequestType::kOpen), 0u);
  EXPECT_THAT(leader->rows, ElementsAre("0:1|'mock'|"));
  EXPECT_THAT(leader->columns, ElementsAre("id", "address"));
}

TEST(SessionHandshake, EofAndGarbageFailConnect) {
  for (const bool garbage : {false, true}) {
    for (int frames = 0; frames < 4; ++frames) {
      Rig rig(mock::Era::kC);
      const Op connect = rig.Dial();
      const Op insert = rig.Submit("INSERT INTO t VALUES (1)");
      rig.session->TransportReady(rig.now);
      rig.SendAll();
      size_t at = 0;
      for (int i = 0; i < frames; ++i) {
        at += 8 + static_cast<size_t>(wire::ParseHeader(rig.inbox.data() + at).body_bytes);
      }
      if (at == rig.inbox.size()) break;
      Bytes rest(rig.inbox.begin() + static_cast<ptrdiff_t>(at), rig.inbox.end());
      rig.inbox.resize(at);
      rig.Feed({});
      EXPECT_EQ(connect->done, frames == 4 ? 1 : 0);
      if (garbage) {
        rig.Feed(Bytes(64, 'H'));
      } else {
        rig.session->ReceivedEof();
      }
      EXPECT_EQ(connect->done, 1);
      EXPECT_EQ(connect->code(), garbage ? Code::kProtocol : Code::kNetwork);
      EXPECT_EQ(connect->phase(), Phase::kHandshake);
      EXPECT_EQ(insert->done, 1);
      EXPECT_EQ(insert->outcome(), Outcome::kMaybeExecuted);
      EXPECT_EQ(rig.session->state(), State::kClosed);
    }
  }
}

TEST(SessionHandshake, TextAnswersAreProtocolErrors) {
  Rig rig(mock::Era::kC);
  const Op connect = rig.Dial();
  rig.session->TransportReady(rig.now);
  rig.TakeOutput();
  const std::string text("\2\0\0\0SSH-2.0-OpenSSH_9.2\r\n", 25);
  rig.Feed(Bytes(text.begin(), text.end()));
  EXPECT_EQ(connect->code(), Code::kProtocol);
}

TEST(SessionHandshake, DeadlineWhileConnecting) {
  Rig rig(mock::Era::kC);
  Op connect = MakeOp(OpKind::kConnect);
  connect->deadline = rig.now + 500;
  rig.session->Connect(Base(connect), rig.now);
  const Op query = rig.Submit("SELECT 1");
  EXPECT_EQ(rig.session->next_deadline(), rig.now + 500);
  rig.Advance(499);
  EXPECT_EQ(connect->done, 0);
  rig.Advance(1);
  EXPECT_EQ(connect->code(), Code::kTimeout);
  EXPECT_EQ(connect->phase(), Phase::kConnect);
  EXPECT_EQ(query->done, 1);
  EXPECT_EQ(rig.session->next_deadline(), kNever);
  rig.session->TransportReady(rig.now);  // too late
  EXPECT_FALSE(rig.session->has_output());
}

TEST(SessionHandshake, DeadlineInTheHandshake) {
  Rig rig(mock::Era::kC);
  Op connect = MakeOp(OpKind::kConnect);
  connect->deadline = rig.now + 500;
  rig.session->Connect(Base(connect), rig.now);
  rig.session->TransportReady(rig.now);
  rig.SendAll();
  rig.FeedOnce(16);
  rig.Advance(500);
  EXPECT_EQ(connect->code(), Code::kTimeout);
  EXPECT_EQ(connect->phase(), Phase::kHandshake);
}

TEST(SessionHandshake, DeadlineOfAnOperationBeforeTheConnectionIsThere) {
  Rig rig(mock::Era::kC);
  const Op connect = rig.Dial();
  Op query = Sql("SELECT 1");
  query->deadline = rig.now + 100;
  rig.Submit(query);
  EXPECT_EQ(rig.session->next_deadline(), rig.now + 100);
  rig.Advance(100);
  EXPECT_EQ(query->code(), Code::kTimeout);
  EXPECT_EQ(query->outcome(), Outcome::kNotExecuted);
  rig.session->TransportReady(rig.now);
  rig.Flow();
  EXPECT_TRUE(connect->status.ok());
  EXPECT_THAT(rig.Sent(), ElementsAre());
}

TEST(SessionHandshake, CancelledConnectEndsEverything) {
  for (const bool ready : {false, true}) {
    Rig rig(mock::Era::kC);
    const Op connect = rig.Dial();
    const Op query = rig.Submit("SELECT 1");
    if (ready) rig.session->TransportReady(rig.now);
    rig.session->Cancel(connect->id, rig.now);
    EXPECT_EQ(connect->code(), Code::kCancelled);
    EXPECT_EQ(query->done, 1);
    EXPECT_EQ(rig.session->state(), State::kClosed);
  }
}

TEST(SessionHandshake, RefusesBeforeConnect) {
  Rig rig(mock::Era::kC);
  rig.Submit("SELECT 1");
  EXPECT_EQ(rig.last.code(), Code::kMisuse);
  const Op close = rig.Close();
  EXPECT_EQ(close->done, 1);
  EXPECT_TRUE(close->status.ok());
}

// Servers before era D accept OPEN anywhere; the first statement tells.
TEST(SessionHandshake, NotLeaderAtTheFirstStatement) {
  for (const mock::Era era : {mock::Era::kA, mock::Era::kB, mock::Era::kC}) {
    Rig rig(era);
    rig.node.SetLeader(false);
    const Op connect = rig.Dial();
    const Op insert = rig.Submit("INSERT INTO t VALUES (1)");
    rig.session->TransportReady(rig.now);
    rig.Flow();
    EXPECT_TRUE(connect->status.ok());
    EXPECT_EQ(insert->code(), Code::kNotLeader);
    EXPECT_EQ(insert->outcome(), Outcome::kNotExecuted);
    EXPECT_EQ(rig.session->state(), State::kClosed);
    EXPECT_EQ(rig.session->lost().code(), Code::kNotLeader);
  }
}

}  // namespace
}  // namespace dqc::session::test
