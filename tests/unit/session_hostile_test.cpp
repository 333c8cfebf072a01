/* SPDX-License-Identifier: MIT */
// A server that breaks the protocol: a clear error, everything is told, and the connection is over.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/session_rig.hpp"

namespace dqc::session::test {
namespace {

using mock::RowsFrame;
using testing::HasSubstr;
using wire::RowsEnd;
namespace rs = wire::response;

Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// The answer to one SELECT.
void ExpectPoisoned(const Bytes& reply, Code code, const std::string& text,
                    SessionOptions options = Options()) {
  for (const mock::Era era : kEras) {
    for (const bool bytewise : {false, true}) {
      Ready rig(era, options);
      rig.cut_in = bytewise ? ByteWise() : Whole();
      rig.node.On(Match().Sql("SELECT bad"), Do().Raw(reply));
      const Op bad = rig.Submit("SELECT bad");
      const Op write = rig.Submit("INSERT INTO t VALUES (1)");
      const Op script = rig.Submit(Script("SELECT 1"));
      rig.Flow();
      EXPECT_EQ(bad->done, 1);
      EXPECT_EQ(bad->code(), code) << bad->status.message();
      EXPECT_THAT(std::string(bad->status.message()), HasSubstr(text));
      EXPECT_EQ(bad->status.info()->node, "mock:9001");
      EXPECT_EQ(write->done, 1);
      EXPECT_EQ(write->code(), code);
      EXPECT_EQ(write->outcome(), Outcome::kMaybeExecuted);
      EXPECT_EQ(script->done, 1);
      EXPECT_EQ(script->outcome(), Outcome::kNotExecuted);
      EXPECT_EQ(rig.session->state(), State::kClosed);
      EXPECT_FALSE(rig.session->wants_read());
      rig.Submit("SELECT 1");
      EXPECT_EQ(rig.last.code(), Code::kClosed);
      EXPECT_THAT(std::string(rig.last.message()), HasSubstr(text));
      EXPECT_TRUE(bad->unique() && write->unique() && script->unique());
    }
  }
}

TEST(SessionHostile, PartWithoutRows) {
  ExpectPoisoned(RowsFrame({"a"}, {}, RowsEnd::kPart), Code::kProtocol, "page size");
  ExpectPoisoned(RowsFrame({"a"}, {{1}}, RowsEnd::kPart) + RowsFrame({"a"}, {}, RowsEnd::kPart),
                 Code::kProtocol, "page size");
}

TEST(SessionHostile, OtherColumnsInAPart) {
  const Bytes part = RowsFrame({"a"}, {{1}}, RowsEnd::kPart);
  ExpectPoisoned(part + RowsFrame({"b"}, {{1}}, RowsEnd::kDone), Code::kProtocol, "columns");
  ExpectPoisoned(part + RowsFrame({"a", "b"}, {{1, 2}}, RowsEnd::kDone), Code::kProtocol,
                 "columns");
}

// Servers leave stale bytes there.
TEST(SessionHostile, OtherPaddingInAPart) {
  Bytes part = RowsFrame({"a", "b"}, {{1, 2}}, RowsEnd::kPart);
  part[8 + 8 + 3] = 0x77;  // behind header, count, "a" and its NUL
  for (const bool prepared : {false, true}) {
    Ready rig(mock::Era::kC);
    const Bytes done = RowsFrame({"a", "b"}, {{3, 4}}, RowsEnd::kDone);
    rig.node.On(Match(RequestType::kQuerySql), Do().Raw(part + done));
    rig.node.On(Match(RequestType::kQuery), Do().Raw(part + done));
    const Op prepare = rig.Submit(Prepare("SELECT a, b FROM t"));
    rig.Flow();
    PreparedStatement statement{
        .id = prepare->stmt_id, .params = 0, .text = prepare->statement, .header = {}};
    const Op op = rig.Submit(prepared ? test::Run(&statement) : Sql("SELECT a, b FROM t"));
    rig.Flow();
    EXPECT_TRUE(op->status.ok()) << op->Story();
    EXPECT_THAT(op->rows, testing::ElementsAre("0:1|2|", "0:3|4|"));
    EXPECT_THAT(op->columns, testing::ElementsAre("a", "b"));
  }
}

TEST(SessionHostile, WhatIsMalformedTellsItsPhase) {
  for (const uint8_t type : {uint8_t{4}, uint8_t{5}}) {  // DB, and something else
    Rig rig(mock::Era::kC);
    rig.node.On(Match(RequestType::kOpen), Do().Raw(mock::HeaderBytes(0, type)));
    const Op connect = rig.Open();
    EXPECT_EQ(connect->code(), Code::kProtocol) << connect->Story();
    EXPECT_EQ(connect->phase(), Phase::kHandshake);
  }
  for (const Bytes& bad : {mock::HeaderBytes(0, 0), mock::HeaderBytes(0, 6)}) {
    Ready ready(mock::Era::kC);
    ready.node.On(Match().Sql("DELETE"), Do().Raw(bad));
    const Op op = ready.Submit("DELETE FROM t");
    ready.Flow();
    EXPECT_EQ(op->code(), Code::kProtocol) << op->Story();
    EXPECT_EQ(op->phase(), Phase::kResult);
    EXPECT_EQ(op->outcome(), Outcome::kMaybeExecuted);
    EXPECT_EQ(op->status.info()->node, "mock:9001");
  }
}

TEST(SessionHostile, WrongTypeOrSchema) {
  ExpectPoisoned(mock::Frame(rs::Result{1, 1}), Code::kProtocol, "Result");
  ExpectPoisoned(mock::Frame(rs::Server{.id = 1, .address = "x", .legacy = false}), Code::kProtocol,
                 "Server");
  ExpectPoisoned(mock::HeaderBytes(1, 77) + Bytes(8), Code::kProtocol, "unknown");
  Bytes schema = RowsFrame({"a"}, {{1}}, RowsEnd::kDone);
  schema[5] = 1;
  ExpectPoisoned(schema, Code::kProtocol, "schema");
}

TEST(SessionHostile, BadBodies) {
  ExpectPoisoned(mock::HeaderBytes(0, 7), Code::kProtocol, "ROWS");
  ExpectPoisoned(mock::HeaderBytes(0, 0), Code::kProtocol, "");
  Bytes rows = RowsFrame({"a"}, {{1}}, RowsEnd::kDone);
  rows.erase(rows.end() - 8, rows.end());  // no end marker
  rows[0] = static_cast<uint8_t>(rows[0] - 1);
  ExpectPoisoned(rows, Code::kProtocol, "ROWS");
  Bytes surplus = RowsFrame({"a"}, {{1}}, RowsEnd::kDone) + Bytes(8);
  surplus[0] = static_cast<uint8_t>(surplus[0] + 1);
  ExpectPoisoned(surplus, Code::kProtocol, "ROWS");
}

// More than a limit allows: only the operation fails, and the stream is read to its end.
void ExpectLimited(const Bytes& reply, const std::string& text,
                   SessionOptions options = Options()) {
  for (const mock::Era era : kEras) {
    for (const bool bytewise : {false, true}) {
      Ready rig(era, options);
      rig.cut_in = bytewise ? ByteWise() : Whole();
      rig.node.On(Match().Sql("bad"), Do().Raw(reply));
      const Op bad = rig.Submit("SELECT bad");
      const Op write = rig.Submit("INSERT INTO t VALUES (1)");
      const Op script = rig.Submit(Script("SELECT 1"));
      rig.Flow();
      EXPECT_EQ(bad->done, 1);
      EXPECT_EQ(bad->code(), Code::kLimit) << bad->status.message();
      EXPECT_EQ(bad->outcome(), Outcome::kNotExecuted);
      EXPECT_EQ(bad->phase(), Phase::kResult);
      EXPECT_THAT(std::string(bad->status.message()), HasSubstr(text));
      EXPECT_EQ(bad->status.info()->node, "mock:9001");
      EXPECT_TRUE(write->status.ok()) << write->status.message();
      EXPECT_TRUE(script->status.ok()) << script->status.message();
      EXPECT_EQ(rig.session->state(), State::kReady);
      EXPECT_EQ(rig.session->next_deadline(), kNever) << "nothing is left to be drained";
      EXPECT_TRUE(bad->unique());
    }
  }
}

TEST(SessionHostile, MessagesTooLargeToHold) {
  SessionOptions options = Options();
  options.limits.message_bytes = 4096;
  const auto frame = [](size_t size, RowsEnd end) {
    return RowsFrame({"a"}, {{std::string(size, 'x')}}, end);
  };
  ExpectLimited(frame(5000, RowsEnd::kDone), "max_message", options);
  ExpectLimited(frame(4096, RowsEnd::kDone), "max_message", options);
  ExpectLimited(frame(5000, RowsEnd::kPart) + frame(1, RowsEnd::kDone), "max_message", options);
  ExpectLimited(frame(1, RowsEnd::kPart) + frame(9000, RowsEnd::kDone), "max_message", options);
  ExpectLimited(frame(5000, RowsEnd::kPart) + frame(7000, RowsEnd::kPart) +
                    mock::Frame(rs::Failure{1, "integer overflow"}),
                "max_message", options);
  // Its end is looked at.
  Bytes bad = frame(5000, RowsEnd::kDone);
  std::fill(bad.end() - 8, bad.end(), uint8_t{7});
  Ready rig(mock::Era::kD, options);
  rig.node.On(Match().Sql("SELECT bad"), Do().Raw(bad));
  const Op op = rig.Submit("SELECT bad");
  rig.Flow();
  EXPECT_EQ(op->code(), Code::kLimit);
  EXPECT_EQ(rig.session->lost().code(), Code::kProtocol);
}

TEST(SessionHostile, ColumnsBeyondALimit) {
  SessionOptions options = Options();
  options.limits.columns = 1;
  const Bytes two = RowsFrame({"a", "b"}, {{1, 2}}, RowsEnd::kPart);
  ExpectLimited(two + RowsFrame({"a", "b"}, {{1, 2}}, RowsEnd::kDone), "max_columns", options);
  ExpectLimited(two + mock::Frame(rs::Failure{1, "integer overflow"}), "max_columns", options);
  options = Options();
  options.limits.column_name_bytes = 4;
  ExpectLimited(RowsFrame({"a long name"}, {{1}}, RowsEnd::kDone), "max_column_name", options);
  ExpectLimited(mock::HeaderBytes(1, 7) + Bytes(8, 0xff), "column count");
}

// What is no row would have to be understood; and nobody waits for ever for the end of a frame.
TEST(SessionHostile, HugeHeader) {
  ExpectPoisoned(mock::HeaderBytes(UINT32_MAX, 6), Code::kLimit, "max_message");
  Bytes schema = mock::HeaderBytes(UINT32_MAX, 7);
  schema[5] = 1;
  ExpectPoisoned(schema, Code::kLimit, "max_message");
  for (const mock::Era era : kEras) {
    Ready rig(era);
    rig.node.On(Match().Sql("SELECT bad"), Do().Raw(mock::HeaderBytes(UINT32_MAX, 7)));
    const Op bad = rig.Submit("SELECT bad");
    const Op behind = rig.Submit("SELECT 1");
    rig.Flow();
    EXPECT_EQ(bad->code(), Code::kLimit) << bad->Story();
    EXPECT_EQ(behind->done, 0);
    ASSERT_NE(rig.session->next_deadline(), kNever);
    rig.now = rig.session->next_deadline();
    rig.session->OnDeadline(rig.now);
    EXPECT_EQ(behind->code(), Code::kNetwork) << behind->Story();
    EXPECT_EQ(rig.session->state(), State::kClosed);
  }
}

TEST(SessionHostile, EndlessParts) {
  for (const mock::Era era : kEras) {
    SessionOptions options = Options();
    options.limits.frames = 50;
    options.drain_bytes = options.drain_bytes_era_d = 100'000;
    Ready rig(era, options);
    rig.respond_max = 8192;
    rig.node.On(Match().Sql("SELECT bad"), Do().Forever(RowsFrame({"a"}, {{1}}, RowsEnd::kPart)));
    const Op bad = rig.Submit("SELECT bad");
    const Op after = rig.Submit("SELECT 1");
    rig.Flow();
    EXPECT_EQ(bad->code(), Code::kLimit);
    EXPECT_EQ(bad->rows.size(), 50u);
    EXPECT_EQ(after->code(), Code::kNetwork);
    EXPECT_EQ(rig.session->state(), State::kClosed);
  }
}

TEST(SessionHostile, SurplusBehindTheLastReply) {
  Ready rig(mock::Era::kC);
  const Op op = rig.Submit("SELECT 1");
  rig.Flow();
  rig.Feed(mock::Frame(rs::Empty{}));
  EXPECT_TRUE(op->status.ok());
  EXPECT_EQ(rig.session->state(), State::kClosed);
  EXPECT_EQ(rig.session->lost().code(), Code::kProtocol);
}

TEST(SessionHostile, ReplyBeforeTheRequest) {
  for (const size_t sent : {size_t{0}, size_t{8}, size_t{31}}) {
    Ready rig(mock::Era::kC);
    const Op op = rig.Submit("INSERT INTO t VALUES (1)");
    rig.ToServer(rig.TakeOutput(sent));
    rig.Feed(mock::Frame(rs::Result{1, 1}));
    EXPECT_EQ(op->code(), Code::kProtocol);
    EXPECT_EQ(op->outcome(), Outcome::kNotExecuted);
    EXPECT_THAT(std::string(op->status.message()), HasSubstr("answers no request"));
    EXPECT_EQ(rig.session->state(), State::kClosed);
  }
}

TEST(SessionHostile, DatabaseIdOtherThanZero) {
  Rig rig(mock::Era::kC);
  rig.node.On(Match(RequestType::kOpen), Do().Reply(rs::Db{3}));
  const Op connect = rig.Open();
  EXPECT_EQ(connect->code(), Code::kProtocol);
  EXPECT_EQ(connect->done, 1);
  EXPECT_EQ(rig.session->state(), State::kClosed);
}

TEST(SessionHostile, ProbesAnsweredWithSuccess) {
  Rig rig(mock::Era::kC);
  rig.node.On(Match(RequestType::kExec).Schema(255), Do().Reply(rs::Result{}));
  EXPECT_EQ(rig.Open()->code(), Code::kProtocol);
}

TEST(SessionHostile, ScriptTails) {
  for (const mock::Era era : {mock::Era::kC, mock::Era::kD}) {
    for (const uint64_t tail :
         {uint64_t{0}, uint64_t{10}, uint64_t{1} << 40, UINT64_MAX, UINT64_MAX - 8}) {
      for (const bool second : {false, true}) {
        Ready rig(era);
        const rs::Stmt stmt{.db = 0, .id = 0, .params = 0, .tail_offset = tail};
        rig.node.On(Match(RequestType::kPrepare).Sql("SELECT 5"), Do().Reply(stmt, 1));
        const Op op =
            rig.Submit(Script(second ? "DELETE FROM t; SELECT 5; SELECT 6" : "SELECT 5; SELECT 6"));
        const Op after = rig.Submit("SELECT 1");
        rig.Flow();
        EXPECT_EQ(op->code(), Code::kProtocol);
        EXPECT_EQ(op->outcome(), second ? Outcome::kMaybeExecuted : Outcome::kNotExecuted);
        EXPECT_EQ(op->done, 1);
        EXPECT_EQ(after->code(), Code::kProtocol);
        EXPECT_EQ(rig.session->state(), State::kClosed);
        EXPECT_TRUE(op->unique());
      }
    }
    Ready rig(era);  // schema 0: no tail at all
    rig.node.On(Match(RequestType::kPrepare), Do().Reply(rs::Stmt{}));
    const Op op = rig.Submit(Script("SELECT 5"));
    rig.Flow();
    EXPECT_EQ(op->code(), Code::kProtocol);
  }
}

TEST(SessionHostile, GarbageWhileDraining) {
  Ready rig(mock::Era::kA);
  Bytes bad = RowsFrame({"a"}, {{1}}, RowsEnd::kDone);
  std::fill(bad.end() - 8, bad.end(), uint8_t{7});
  rig.node.On(Match().Sql("SELECT bad"), Do().Raw(bad));
  const Op op = rig.Submit("SELECT bad");
  const Op after = rig.Submit("SELECT 1");
  rig.SendAll();
  rig.session->Cancel(op->id, rig.now);
  rig.Flow();
  EXPECT_EQ(op->code(), Code::kCancelled);
  EXPECT_EQ(after->code(), Code::kProtocol);
  EXPECT_EQ(rig.session->state(), State::kClosed);
}

TEST(SessionHostile, AdministrativeReplies) {
  Ready rig(mock::Era::kC, Options());
  Bytes servers = mock::HeaderBytes(1, static_cast<uint8_t>(ResponseType::kServers));
  rig.node.On(Match(RequestType::kCluster), Do().Raw(servers + Bytes(8, 0xff)));
  const Op op =
      rig.Submit(Admin(wire::request::Cluster{1}, RequestType::kCluster, ResponseType::kServers));
  rig.Flow();
  EXPECT_EQ(op->done, 1);
  EXPECT_THAT(op->code(), testing::AnyOf(Code::kProtocol, Code::kLimit));
  EXPECT_EQ(rig.session->state(), State::kClosed);
}

}  // namespace
}  // namespace dqc::session::test
