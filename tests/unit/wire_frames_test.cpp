/* SPDX-License-Identifier: MIT */
// Every worked frame of protocol section 16, in both directions, byte by byte.
#include <gtest/gtest.h>

#include "wire_test_util.hpp"

namespace dqc::wire {
namespace {

// `expected` was written by hand from the annotations of the recording. That it encodes to the
// recorded bytes, and that the decoded recording encodes to them too, shows that the decoded
// message equals it.
template <typename Any, typename M>
void Check(const char* name, const M& expected, uint8_t schema = 0) {
  SCOPED_TRACE(name);
  const Bytes recorded = Recorded(name);
  ASSERT_GT(recorded.size(), kHeaderBytes);
  const Header header = ParseHeader(recorded.data());
  ASSERT_EQ(header.body_bytes, recorded.size() - kHeaderBytes);
  EXPECT_EQ(header.schema, schema);

  Bytes encoded;
  ASSERT_TRUE(Encode(expected, schema, encoded).ok());
  EXPECT_EQ(encoded, recorded);

  std::vector<Value> params;
  const DecodeContext context = ContextOf(name, &params);
  const uint8_t* body = recorded.data() + kHeaderBytes;
  Result<Any> decoded = [&]() -> Result<Any> {
    if constexpr (std::is_same_v<Any, Request>) {
      return DecodeRequest(header, body, context);
    } else {
      return DecodeResponse(header, body, context);
    }
  }();
  ASSERT_TRUE(decoded.ok()) << decoded.status().message();
  ASSERT_TRUE(std::holds_alternative<M>(*decoded));
  Bytes again;
  ASSERT_TRUE(EncodeAny(*decoded, schema, again).ok());
  EXPECT_EQ(again, recorded);

  const Result<M> typed = DecodeBody<M>(header, body, context);
  EXPECT_TRUE(typed.ok());
}

template <typename M>
void CheckRequest(const char* name, const M& expected, uint8_t schema = 0) {
  Check<Request>(name, expected, schema);
}
template <typename M>
void CheckReply(const char* name, const M& expected, uint8_t schema = 0) {
  Check<Response>(name, expected, schema);
}

template <typename M>
M DecodeRecorded(const char* name, std::vector<Value>* params, const Bytes& frame) {
  auto result = DecodeBody<M>(ParseHeader(frame.data()), frame.data() + kHeaderBytes,
                              ContextOf(name, params));
  EXPECT_TRUE(result.ok()) << result.status().message();
  return result.ok() ? *result : M{};
}

const std::vector<Value> kOneOfEach = {
    Value::Integer(-2),   Value::Float(1.5),
    Value::Text("hi"),    Value::Blob(std::string_view("\x01\x02\x03", 3)),
    Value::Null(),        Value::Iso8601("2020-01-02"),
    Value::Boolean(true),
};

TEST(WireFrames, HandshakeWords) {
  Bytes out;
  Writer w(out);
  w.U64(kVersion);
  w.U64(kVersionLegacy);
  EXPECT_EQ(out, Hex("01 00 00 00 00 00 00 00  e5 3f 43 60 d7 4d 10 86"));
}

TEST(WireFrames, LeaderE2) {
  CheckRequest("E2 request", request::Leader{});
  CheckReply("E2 reply", response::Server{1, "127.0.0.1:21005"});
}

TEST(WireFrames, ClientE3) {
  CheckRequest("E3 request", request::Client{0x1122334455667788});
  CheckReply("E3 reply", response::Welcome{15000});
}

TEST(WireFrames, OpenE4) {
  CheckRequest("E4 request", request::Open{"test", 0, "volatile"});
  CheckReply("E4 reply", response::Db{0});
}

TEST(WireFrames, ExecSqlWithoutParamsE5) {
  CheckRequest("E5 request", request::ExecSql{0, "CREATE TABLE t(i,f,s,b,z,d,o)", {}});
  CheckReply("E5 reply", response::Result{0, 0});
}

TEST(WireFrames, PrepareE6) {
  CheckRequest("E6 request", request::Prepare{0, "INSERT INTO t VALUES(?,?,?,?,?,?,?)"});
  CheckReply("E6 reply", response::Stmt{0, 0, 7, 0});
}

TEST(WireFrames, PrepareSchema1E7) {
  CheckRequest("E7 request", request::Prepare{0, "SELECT ?; SELECT 2"}, 1);
  CheckReply("E7 reply", response::Stmt{0, 1, 1, 9}, 1);
}

TEST(WireFrames, ExecEveryTypeE8) {
  CheckRequest("E8 request", request::Exec{0, 0, kOneOfEach});
  CheckReply("E8 reply", response::Result{1, 1});
}

TEST(WireFrames, ExecEveryTypeSchema1E9) {
  CheckRequest("E9 request", request::Exec{0, 0, kOneOfEach}, 1);
  CheckReply("E9 reply", response::Result{2, 1});
}

TEST(WireFrames, DecodedParamsE8E9) {
  for (const char* name : {"E8 request", "E9 request"}) {
    std::vector<Value> params;
    const Bytes frame = Recorded(name);
    const auto exec = DecodeRecorded<request::Exec>(name, &params, frame);
    EXPECT_EQ(std::vector<Value>(exec.params.begin(), exec.params.end()), kOneOfEach) << name;
    EXPECT_EQ(exec.params.data(), params.data());
  }
}

TEST(WireFrames, QuerySqlE10) {
  const Value param = Value::Integer(-2);
  CheckRequest("E10 request", request::QuerySql{0, "SELECT i,s,z FROM t WHERE i=?", {&param, 1}});
  response::Rows rows;
  rows.columns = {"i", "s", "z"};
  rows.cells = {Value::Integer(-2), Value::Text("hi"), Value::Null(),
                Value::Integer(-2), Value::Text("hi"), Value::Null()};
  rows.row_count = 2;
  CheckReply("E10 reply", rows);

  const Bytes frame = Recorded("E10 reply");
  const auto decoded = DecodeRecorded<response::Rows>("E10 reply", nullptr, frame);
  EXPECT_EQ(decoded.columns, rows.columns);
  EXPECT_EQ(decoded.cells, rows.cells);
  EXPECT_EQ(decoded.row_count, 2u);
  EXPECT_EQ(decoded.end, RowsEnd::kDone);
}

TEST(WireFrames, ZeroRowsE11) {
  CheckRequest("E11 request", request::QuerySql{0, "SELECT 1 AS x WHERE 0", {}});
  response::Rows rows;
  rows.columns = {"x"};
  CheckReply("E11 reply", rows);
}

TEST(WireFrames, SeventeenColumnsE12) {
  CheckRequest("E12 request",
               request::QuerySql{0, "SELECT 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,NULL", {}});
  response::Rows rows;
  rows.columns = {"1",  "2",  "3",  "4",  "5",  "6",  "7",  "8",   "9",
                  "10", "11", "12", "13", "14", "15", "16", "NULL"};
  for (int64_t i = 1; i <= 16; ++i) rows.cells.push_back(Value::Integer(i));
  rows.cells.push_back(Value::Null());
  rows.row_count = 1;
  CheckReply("E12 reply", rows);
}

TEST(WireFrames, PartThenDoneE13) {
  response::Rows part;
  part.columns = {"i"};
  for (int64_t i = 1; i <= 255; ++i) part.cells.push_back(Value::Integer(i));
  part.row_count = 255;
  part.end = RowsEnd::kPart;
  Bytes out;
  ASSERT_TRUE(Encode(part, 0, out).ok());
  ASSERT_EQ(out.size(), 4112u);
  const Bytes head =
      Hex("01 02 00 00 07 00 00 00  01 00 00 00 00 00 00 00  69 00 00 00 00 00 00 00"
          "01 00 00 00 00 00 00 00  01 00 00 00 00 00 00 00");
  const Bytes tail =
      Hex("01 00 00 00 00 00 00 00  ff 00 00 00 00 00 00 00  ee ee ee ee ee ee ee ee");
  EXPECT_EQ(Bytes(out.begin(), out.begin() + 40), head);
  EXPECT_EQ(Bytes(out.end() - 24, out.end()), tail);
  const auto decoded = DecodeRecorded<response::Rows>("E13", nullptr, out);
  EXPECT_EQ(decoded.row_count, 255u);
  EXPECT_EQ(decoded.end, RowsEnd::kPart);
  EXPECT_EQ(decoded.cells, part.cells);

  response::Rows done;
  done.columns = {"i"};
  done.cells = {Value::Integer(256)};
  done.row_count = 1;
  Bytes last;
  ASSERT_TRUE(Encode(done, 0, last).ok());
  EXPECT_EQ(last, Hex("05 00 00 00 07 00 00 00  01 00 00 00 00 00 00 00  69 00 00 00 00 00 00 00"
                      "01 00 00 00 00 00 00 00  00 01 00 00 00 00 00 00  ff ff ff ff ff ff ff ff"));
  EXPECT_EQ(DecodeRecorded<response::Rows>("E13", nullptr, last).cells, done.cells);
}

TEST(WireFrames, PlainFailureE14) {
  CheckRequest("E14 request", request::ExecSql{0, "BOGUS", {}});
  CheckReply("E14 reply", response::Failure{1, "near \"BOGUS\": syntax error"});
}

TEST(WireFrames, FailureBehindRowDataE15) {
  CheckRequest("E15 request", request::QuerySql{0, "SELECT abs(-9223372036854775808) AS zz", {}});
  const Bytes frame = Recorded("E15 reply");
  const auto failure = DecodeRecorded<response::Failure>("E15 reply", nullptr, frame);
  EXPECT_EQ(failure.code, 1u);
  EXPECT_EQ(failure.text, "integer overflow");
  // The plain form is what it encodes to.
  Bytes plain;
  ASSERT_TRUE(Encode(failure, 0, plain).ok());
  EXPECT_EQ(plain, Hex("04 00 00 00 00 00 00 00  01 00 00 00 00 00 00 00  69 6e 74 65 67 65 72 20"
                       "6f 76 65 72 66 6c 6f 77  00 00 00 00 00 00 00 00"));
}

TEST(WireFrames, NoColumnsE16) {
  CheckRequest("E16 request", request::QuerySql{0, "UPDATE t SET i=1", {}});
  CheckReply("E16 reply", response::Rows{});
}

TEST(WireFrames, FinalizeAndInterruptE17E18) {
  CheckRequest("E17 request", request::Finalize{0, 1});
  CheckReply("E17 reply", response::Empty{});
  CheckRequest("E18 request", request::Interrupt{0});
  CheckReply("E18 reply", response::Empty{});
}

TEST(WireFrames, ClusterE19E20) {
  CheckRequest("E19 request", request::Cluster{1});
  CheckReply("E19 reply", response::Servers{{{1, "127.0.0.1:21005", 0}}, true});
  CheckRequest("E20 request", request::Cluster{0});
  CheckReply("E20 reply", response::Servers{{{1, "127.0.0.1:21005", 0}}, false});
}

TEST(WireFrames, DescribeAndWeightE21E22) {
  CheckRequest("E21 request", request::Describe{0});
  CheckReply("E21 reply", response::Metadata{0, 0});
  CheckRequest("E22 request", request::Weight{7});
  CheckReply("E22 reply", response::Empty{});
}

TEST(WireFrames, DumpE23) {
  CheckRequest("E23 request", request::Dump{"test"});
  std::string content(8192, '\0');
  content.replace(0, 16, std::string("SQLite format 3\0", 16));
  content.back() = 'z';
  const response::Files files{{{"test", content}, {"test-wal", ""}}};
  Bytes out;
  ASSERT_TRUE(Encode(files, 0, out).ok());
  ASSERT_EQ(out.size(), 8248u);
  EXPECT_EQ(Bytes(out.begin(), out.begin() + 40),
            Hex("06 04 00 00 09 00 00 00  02 00 00 00 00 00 00 00  74 65 73 74 00 00 00 00"
                "00 20 00 00 00 00 00 00  53 51 4c 69 74 65 20 66"));
  EXPECT_EQ(Bytes(out.end() - 24, out.end()),
            Hex("74 65 73 74 2d 77 61 6c  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00"));
  const auto decoded = DecodeRecorded<response::Files>("E23", nullptr, out);
  ASSERT_EQ(decoded.files.size(), 2u);
  EXPECT_EQ(decoded.files[0].name, "test");
  EXPECT_EQ(decoded.files[0].content, content);
  EXPECT_EQ(decoded.files[1].name, "test-wal");
  EXPECT_EQ(decoded.files[1].content, "");
}

TEST(WireFrames, MembershipE24ToE27) {
  CheckRequest("E24 request", request::Add{2, "127.0.0.1:21098"});
  CheckReply("E24 reply", response::Empty{});
  CheckRequest("E25 request", request::Assign{2, 1});
  CheckReply("E25 reply", response::Empty{});
  CheckRequest("E26 request", request::Remove{2});
  CheckReply("E26 reply", response::Empty{});
  CheckRequest("E27 request", request::Transfer{0});
}

TEST(WireFrames, LegacyLeaderReplyE28) {
  CheckReply("E28 reply", response::Server{0, "127.0.0.1:21005", true});
}

TEST(WireFrames, FormsWithoutARecording) {
  Bytes out;
  ASSERT_TRUE(Encode(request::Assign{5, 0, true}, 0, out).ok());
  EXPECT_EQ(out, Hex("01 00 00 00 0d 00 00 00  05 00 00 00 00 00 00 00"));
  const auto assign = DecodeRecorded<request::Assign>("ASSIGN", nullptr, out);
  EXPECT_EQ(assign.id, 5u);
  EXPECT_TRUE(assign.legacy);

  out.clear();
  ASSERT_TRUE(Encode(request::Connect{3, "@x"}, 0, out).ok());
  const auto connect = DecodeRecorded<request::Connect>("CONNECT", nullptr, out);
  EXPECT_EQ(connect.id, 3u);
  EXPECT_EQ(connect.address, "@x");

  out.clear();
  ASSERT_TRUE(Encode(request::Heartbeat{9}, 0, out).ok());
  EXPECT_EQ(DecodeRecorded<request::Heartbeat>("HEARTBEAT", nullptr, out).timestamp, 9u);

  out.clear();
  const Value param = Value::Text("x");
  ASSERT_TRUE(Encode(request::Query{1, 2, {&param, 1}}, 1, out).ok());
  std::vector<Value> params;
  const auto query = DecodeRecorded<request::Query>("QUERY", &params, out);
  EXPECT_EQ(query.db, 1u);
  EXPECT_EQ(query.stmt, 2u);
  ASSERT_EQ(query.params.size(), 1u);
  EXPECT_EQ(query.params[0], param);

  out.clear();
  ASSERT_TRUE(Encode(response::Servers{{}, true}, 0, out).ok());  // a node that never joined
  EXPECT_TRUE(DecodeRecorded<response::Servers>("SERVERS", nullptr, out).nodes.empty());
}

TEST(WireFrames, FramesAreAppended) {
  Bytes out = {1, 2, 3};  // not even aligned: the frame counts from its own start
  ASSERT_TRUE(Encode(request::Dump{"test"}, 0, out).ok());
  ASSERT_EQ(out.size(), 19u);
  EXPECT_EQ(Bytes(out.begin() + 3, out.end()), Recorded("E23 request"));
}

TEST(WireProtocol, Names) {
  EXPECT_STREQ(RequestName(0), "Leader");
  EXPECT_STREQ(RequestName(19), "Weight");
  EXPECT_STREQ(RequestName(20), "unknown");
  EXPECT_STREQ(ResponseName(0), "Failure");
  EXPECT_STREQ(ResponseName(10), "Metadata");
  EXPECT_STREQ(ResponseName(11), "unknown");
}

TEST(WireProtocol, HeaderLengthNeeds64Bits) {
  const Bytes header = Hex("ff ff ff ff 07 01 34 12");
  const Header parsed = ParseHeader(header.data());
  EXPECT_EQ(parsed.body_bytes, 8ull * 0xffffffff);
  EXPECT_EQ(parsed.type, 7);
  EXPECT_EQ(parsed.schema, 1);
}

}  // namespace
}  // namespace dqc::wire
