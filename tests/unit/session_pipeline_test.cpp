/* SPDX-License-Identifier: MIT */
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/session_rig.hpp"

namespace dqc::session::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr auto kInterrupt = RequestType::kInterrupt;

TEST(SessionPipeline, RepliesReachTheirOperationsInOrder) {
  for (const mock::Era era : kEras) {
    Ready rig(era);
    std::vector<Op> ops;
    for (int i = 0; i < 100; ++i) ops.push_back(rig.Submit("SELECT " + std::to_string(i)));
    rig.SendAll();
    EXPECT_EQ(rig.node.CountType(RequestType::kQuerySql), 100u);  // nothing was waited for
    rig.Flow();
    for (int i = 0; i < 100; ++i) {
      EXPECT_THAT(ops[static_cast<size_t>(i)]->rows, ElementsAre("0:" + std::to_string(i) + "|"));
      EXPECT_EQ(ops[static_cast<size_t>(i)]->done, 1);
    }
    EXPECT_TRUE(rig.session->idle());
    const bool sentinels = era == mock::Era::kB || era == mock::Era::kC;
    EXPECT_EQ(rig.node.CountType(kInterrupt), sentinels ? 99u : 0u);
  }
}

TEST(SessionPipeline, WindowBoundsTheBytesInFlight) {
  SessionOptions options = Options();
  options.pipeline_bytes = 200;
  Ready rig(mock::Era::kA, options);
  std::vector<Op> ops;
  for (int i = 0; i < 20; ++i) ops.push_back(rig.Submit("INSERT INTO t VALUES (12345)"));  // 48 B
  EXPECT_EQ(rig.output_size(), 192u);
  rig.ToServer(rig.TakeOutput());
  EXPECT_FALSE(rig.session->has_output());
  rig.FeedOnce(24);  // one reply: one more may go
  EXPECT_EQ(rig.output_size(), 48u);
  const Op large = rig.Submit("INSERT INTO t VALUES ('" + std::string(1000, 'x') + "')");
  rig.Flow();  // alone, a request of any size goes
  for (const Op& op : ops) EXPECT_TRUE(op->status.ok());
  EXPECT_TRUE(large->status.ok());
  EXPECT_EQ(large->done, 1);
}

TEST(SessionPipeline, QueueIsBounded) {
  SessionOptions options = Options();
  options.queue_max = 3;
  Rig rig(mock::Era::kA, options);
  rig.Dial();
  for (int i = 0; i < 3; ++i) rig.Submit("SELECT 1");
  EXPECT_TRUE(rig.last.ok());
  const Op refused = rig.Submit("SELECT 1");
  EXPECT_EQ(rig.last.code(), Code::kLimit);
  EXPECT_EQ(refused->done, 0);
  EXPECT_TRUE(refused->unique());
}

TEST(SessionPipeline, ExclusiveOperationsHoldBackFollowers) {
  for (const mock::Era era : {mock::Era::kA, mock::Era::kB}) {
    Ready rig(era);
    rig.Submit("SELECT 1");
    const Op returning = rig.Submit("DELETE FROM t RETURNING id");
    const Op after = rig.Submit("SELECT 2");
    rig.SendAll();
    EXPECT_EQ(rig.Sent().back(), "ExecSql BEGIN IMMEDIATE");
    rig.Flow();
    EXPECT_TRUE(returning->status.ok());
    EXPECT_THAT(after->rows, ElementsAre("0:2|"));
    EXPECT_EQ(rig.Sent().back(), "QuerySql SELECT 2");
  }
  Ready rig(mock::Era::kC);
  const Op script = rig.Submit(Script("SELECT 1; SELECT 2"));
  const Op after = rig.Submit("SELECT 3");
  rig.Flow();
  EXPECT_THAT(script->rows, ElementsAre("0:1|", "1:2|"));
  EXPECT_EQ(rig.Sent().back(), "QuerySql SELECT 3");
}

TEST(SessionPipeline, ReturningInsideTheApplicationsTransaction) {
  for (const mock::Era era : {mock::Era::kA, mock::Era::kB}) {
    Ready rig(era);
    rig.Submit("BEGIN");
    const Op returning = rig.Submit("DELETE FROM t RETURNING id");
    const Op commit = rig.Submit("COMMIT");
    rig.Flow();
    EXPECT_TRUE(returning->status.ok());
    EXPECT_TRUE(commit->status.ok());
    EXPECT_THAT(rig.Sent(), ElementsAre("ExecSql BEGIN", "ExecSql BEGIN IMMEDIATE",
                                        "QuerySql DELETE FROM t RETURNING id", "ExecSql COMMIT"));
    EXPECT_THAT(rig.node.violations(), IsEmpty());
  }
}

// Whatever a server says, RETURNING never goes by EXEC. Found by fuzzing.
TEST(SessionPipeline, OnlyPragmasFallBackToExec) {
  for (const mock::Era era : {mock::Era::kA, mock::Era::kB}) {
    Ready rig(era);
    rig.node.On(Match(RequestType::kQuerySql).Sql("RETURNING"), Do().Failure(1, "not an error"));
    rig.Submit("BEGIN");
    const Op returning = rig.Submit("DELETE FROM t RETURNING id");
    const Op script = rig.Submit(Script("DELETE FROM t RETURNING id"));
    rig.Flow();
    EXPECT_EQ(returning->code(), Code::kSql);
    EXPECT_EQ(script->code(), Code::kSql);
    EXPECT_THAT(rig.node.violations(), IsEmpty());
  }
}

TEST(SessionPipeline, FailuresInOurOwnTransactionRollItBack) {
  struct Case {
    const char* part;
    uint64_t code;
    Outcome outcome;
    std::vector<std::string> sent;
  };
  const std::string query = "QuerySql DELETE FROM t RETURNING id";
  const std::string begin = "ExecSql BEGIN IMMEDIATE";
  const std::vector<Case> cases = {
      {"BEGIN", 5, Outcome::kNotExecuted, {begin}},
      {"RETURNING", 2067, Outcome::kNotExecuted, {begin, query, "ExecSql ROLLBACK"}},
      {"COMMIT", 787, Outcome::kNotExecuted, {begin, query, "ExecSql COMMIT", "ExecSql ROLLBACK"}},
      {"COMMIT", 10506, Outcome::kMaybeExecuted, {begin, query, "ExecSql COMMIT"}},
      {"COMMIT", 10250, Outcome::kNotExecuted, {begin, query, "ExecSql COMMIT"}},
  };
  for (const mock::Era era : {mock::Era::kA, mock::Era::kB}) {
    for (const Case& c : cases) {
      Ready rig(era);
      rig.node.On(Match().Sql(c.part), Do().Failure(c.code, "said the server"));
      const Op op = rig.Submit("DELETE FROM t RETURNING id");
      rig.Flow();
      EXPECT_EQ(op->status.info()->server_code, static_cast<int>(c.code));
      EXPECT_EQ(op->outcome(), c.outcome) << c.part << c.code;
      EXPECT_EQ(rig.Sent(), c.sent);
      EXPECT_EQ(op->done, 1);
    }
  }
}

TEST(SessionPipeline, SentinelOnlyWhereStreamsDieAndOnlyWhenNeeded) {
  for (const mock::Era era : kEras) {
    const bool dying = era == mock::Era::kB || era == mock::Era::kC;
    Ready rig(era);
    rig.Submit("SELECT 1");  // alone, one frame
    rig.Flow();
    EXPECT_EQ(rig.node.CountType(kInterrupt), 0u);
    rig.Submit("INSERT INTO t VALUES (1)");  // no query in front
    rig.Submit("INSERT INTO t VALUES (2)");
    rig.Flow();
    EXPECT_EQ(rig.node.CountType(kInterrupt), 0u);
    rig.node.SetTable("big", Numbers(1000));  // alone, but it goes on
    const Op big = rig.Submit("SELECT * FROM big");
    rig.Flow();
    EXPECT_EQ(big->rows.size(), 1000u);
    EXPECT_EQ(rig.node.CountType(kInterrupt), dying ? 1u : 0u);
  }
  Rig unknown(mock::Era::kA);
  unknown.Dial();
  unknown.Submit("SELECT 1");
  unknown.Submit("SELECT 2");
  unknown.session->TransportReady(unknown.now);
  unknown.Flow();
  EXPECT_EQ(unknown.node.CountType(kInterrupt), 1u);
}

TEST(SessionPipeline, TruncatedStreamLosesTheSession) {
  const Bytes part = mock::RowsFrame({"a"}, {{1}}, wire::RowsEnd::kPart);
  for (const mock::Era era : {mock::Era::kB, mock::Era::kC}) {
    for (const bool follower : {false, true}) {
      Ready rig(era);
      rig.node.On(Match(RequestType::kQuerySql).Sql("dies"), Do().Raw(part).Raw(part));
      const Op dead = rig.Submit("SELECT dies");
      const Op write = follower ? rig.Submit("INSERT INTO t VALUES (1)") : Op();
      const Op read = follower ? rig.Submit("SELECT 5") : Op();
      const Op script = follower ? rig.Submit(Script("SELECT 5")) : Op();
      const Op waiting = follower ? rig.Submit("SELECT 6") : Op();
      rig.Flow();
      EXPECT_EQ(dead->code(), Code::kSessionLost);
      EXPECT_EQ(dead->outcome(), Outcome::kNotExecuted);
      EXPECT_EQ(dead->done, 1);
      EXPECT_EQ(dead->rows.size(), 2u);
      EXPECT_EQ(rig.session->state(), State::kClosed);
      if (!follower) continue;
      EXPECT_TRUE(write->status.ok());
      EXPECT_THAT(read->rows, ElementsAre("0:5|"));
      EXPECT_EQ(waiting->code(), Code::kSessionLost);
      EXPECT_EQ(waiting->outcome(), Outcome::kNotExecuted);
      EXPECT_EQ(script->done, 1);
    }
  }
}

TEST(SessionPipeline, StreamDyingInOurOwnTransaction) {
  Ready rig(mock::Era::kB);
  const Bytes part = mock::RowsFrame({"a"}, {{1}}, wire::RowsEnd::kPart);
  rig.node.On(Match().Sql("RETURNING"), Do().Raw(part));
  const Op op = rig.Submit("DELETE FROM t RETURNING id");
  const Op after = rig.Submit("SELECT 1");
  rig.Flow();
  EXPECT_EQ(op->code(), Code::kSessionLost);
  EXPECT_EQ(op->outcome(), Outcome::kNotExecuted);  // it was not committed
  EXPECT_EQ(after->code(), Code::kSessionLost);
  EXPECT_EQ(rig.session->state(), State::kClosed);
}

TEST(SessionPipeline, SessionLossLetsWhatIsInFlightFinish) {
  for (const auto& [code, text, want] :
       {std::tuple{10250, "not leader", Code::kNotLeader},
        std::tuple{10506, "leadership lost", Code::kLeadershipLost},
        std::tuple{12, "no database opened", Code::kSessionLost},
        std::tuple{9, "interrupted", Code::kSessionLost}}) {
    SessionOptions options = Options();
    options.pipeline_bytes = 150;
    Ready rig(mock::Era::kD, options);
    rig.node.On(Match(RequestType::kExecSql).Sql("bad"),
                Do().Failure(static_cast<uint64_t>(code), text));
    const Op bad = rig.Submit("INSERT INTO bad VALUES (1)");
    const Op flying = rig.Submit("SELECT 1");
    const Op pending = rig.Submit("INSERT INTO t VALUES ('" + std::string(100, 'x') + "')");
    rig.Flow();
    EXPECT_EQ(bad->code(), want);
    EXPECT_THAT(flying->rows, ElementsAre("0:1|"));
    EXPECT_EQ(pending->code(), Code::kSessionLost);
    EXPECT_EQ(pending->outcome(), Outcome::kNotExecuted);
    EXPECT_EQ(rig.session->state(), State::kClosed);
    EXPECT_EQ(rig.session->lost().code(), want);
    rig.Submit("SELECT 1");
    EXPECT_EQ(rig.last.code(), Code::kClosed);
    EXPECT_THAT(std::string(rig.last.message()), testing::HasSubstr(std::to_string(code)));
  }
}

TEST(SessionPipeline, NoNewWorkBetweenLossAndTheEnd) {
  Ready rig(mock::Era::kD);
  rig.node.On(Match(RequestType::kExecSql).Sql("bad"), Do().Failure(10250, "not leader"));
  const Op bad = rig.Submit("INSERT INTO bad VALUES (1)");
  const Op flying = rig.Submit("SELECT 1");
  rig.SendAll();
  while (bad->done == 0) rig.FeedOnce(8);
  EXPECT_EQ(flying->done, 0);
  rig.Submit("SELECT 2");
  EXPECT_EQ(rig.last.code(), Code::kClosed);
  rig.Flow();
  EXPECT_TRUE(flying->status.ok());
}

TEST(SessionFlow, PausedStreamsStopReadingAndLoseNothing) {
  Ready rig(mock::Era::kA);
  rig.node.SetTable("big", Numbers(2000));
  const Op big = rig.Submit("SELECT * FROM big");
  const Op after = rig.Submit("SELECT 7");
  rig.SendAll();
  for (int i = 0; i < 3; ++i) rig.FeedOnce(5000);
  const size_t before = big->rows.size();
  EXPECT_GT(before, 0u);
  rig.session->Pause(big->id, true, rig.now);
  EXPECT_FALSE(rig.session->wants_read());
  rig.Flow();
  EXPECT_EQ(big->rows.size(), before);
  EXPECT_EQ(after->done, 0);
  rig.session->Pause(big->id, false, rig.now);
  EXPECT_TRUE(rig.session->wants_read());
  rig.Flow();
  EXPECT_EQ(big->rows.size(), 2000u);
  EXPECT_THAT(after->rows, ElementsAre("0:7|"));
}

TEST(SessionFlow, PausedBeforeItIsSent) {
  Rig rig(mock::Era::kA);
  rig.Dial();
  const Op one = rig.Submit("SELECT 1");
  rig.session->Pause(one->id, true, rig.now);
  rig.session->TransportReady(rig.now);
  rig.Flow();
  EXPECT_EQ(one->done, 0);
  EXPECT_FALSE(rig.session->wants_read());
  rig.session->Pause(one->id, false, rig.now);
  rig.Flow();
  EXPECT_THAT(one->rows, ElementsAre("0:1|"));
}

TEST(SessionFlow, HighWaterHoldsTheServerBack) {
  SessionOptions options = Options();
  options.high_water = 20'000;
  options.read_buffer = 8192;
  Ready rig(mock::Era::kA, options);
  rig.node.SetTable("big", Numbers(5000));
  const Op big = Sql("SELECT * FROM big");
  big->consume = false;
  rig.Submit(big);
  rig.Flow();
  EXPECT_FALSE(rig.session->wants_read());
  EXPECT_TRUE(big->stalled);
  EXPECT_GE(big->unconsumed_bytes, options.high_water);
  EXPECT_LE(big->unconsumed_bytes, options.high_water + 2 * options.read_buffer);
  for (int turn = 0; big->done == 0 && turn < 100; ++turn) {
    big->Consume();
    rig.session->Resume(rig.now);
    rig.Flow();
  }
  EXPECT_EQ(big->rows.size(), 5000u);
  EXPECT_TRUE(big->status.ok());
}

TEST(SessionFlow, WithoutBackPressureBufferMaxBounds) {
  SessionOptions options = Options();
  options.high_water = 8'000;
  options.buffer_max = 40'000;
  Ready rig(mock::Era::kA, options);
  rig.node.SetTable("big", Numbers(5000));
  const Op big = Sql("SELECT * FROM big");
  big->consume = false;
  big->no_backpressure = true;
  rig.Submit(big);
  rig.Flow();
  EXPECT_FALSE(rig.session->wants_read());
  EXPECT_GE(big->unconsumed_bytes, options.buffer_max);
  big->Consume();
  big->consume = true;
  rig.session->Resume(rig.now);
  rig.Flow();
  EXPECT_EQ(big->rows.size(), 5000u);
}

TEST(SessionFlow, DiscardedRowsNeedNoConsumer) {
  SessionOptions options = Options();
  options.high_water = 4096;
  Ready rig(mock::Era::kC, options);
  rig.node.SetTable("big", Numbers(3000));
  const Op big = Sql("SELECT * FROM big");
  big->discard_rows = true;
  rig.Submit(big);
  rig.Flow();
  EXPECT_TRUE(big->status.ok());
  EXPECT_EQ(big->done, 1);
  EXPECT_THAT(big->rows, IsEmpty());
}

TEST(SessionFlow, LargeMessagesThroughASmallBuffer) {
  SessionOptions options = Options();
  options.read_buffer = 4096;
  for (const Cut& cut : {Whole(), Seeded(3)}) {
    Ready rig(mock::Era::kA, options);
    rig.cut_in = cut;
    const std::string large(100'000, 'x');
    rig.node.SetTable("large",
                      {.columns = {"a"}, .rows = {{large}, {large}}, .made = 0, .make = {}});
    const Op op = rig.Submit("SELECT * FROM large");
    const Op after = rig.Submit("SELECT 1");
    rig.Flow();
    ASSERT_EQ(op->rows.size(), 2u);
    EXPECT_EQ(op->rows[1], "0:'" + large + "'|");
    EXPECT_THAT(after->rows, ElementsAre("0:1|"));
  }
}

TEST(SessionFlow, QuickAckWhileMoreIsDue) {
  Ready rig(mock::Era::kA);
  EXPECT_FALSE(rig.session->wants_quick_ack());
  rig.Submit("SELECT 1");
  EXPECT_FALSE(rig.session->wants_quick_ack());  // what is to be sent carries the ACK
  rig.SendAll();
  EXPECT_TRUE(rig.session->wants_quick_ack());
  rig.Flow();
  EXPECT_FALSE(rig.session->wants_quick_ack());
}

TEST(SessionFlow, CellTypes) {
  const auto cells = [](CellTypes types) {
    SessionOptions options = Options();
    options.cell_types = types;
    Ready rig(mock::Era::kD, options);
    rig.node.SetTable("odd", {.columns = {"a", "b", "c", "d"},
                              .rows = {{mock::Cell::Iso8601(""), mock::Cell::Boolean(0),
                                        mock::Cell::UnixTime(5), nullptr}},
                              .made = 0,
                              .make = {}});
    const Op op = rig.Submit("SELECT odd");
    rig.Flow();
    return op->rows;
  };
  EXPECT_THAT(cells(CellTypes::kRaw), ElementsAre("0:''|0|5|NULL|"));
  EXPECT_THAT(cells(CellTypes::kSqlite), ElementsAre("0:''|0|5|NULL|"));
  EXPECT_THAT(cells(CellTypes::kGo), ElementsAre("0:NULL|0|5|NULL|"));
}

}  // namespace
}  // namespace dqc::session::test
