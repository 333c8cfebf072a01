/* SPDX-License-Identifier: MIT */
// What a decoder must refuse, and how it says so; limits; the tail rule of section 6.3.
#include <gtest/gtest.h>

#include <set>

#include "wire_test_util.hpp"

namespace dqc::wire {
namespace {

constexpr const char* kZeroWord = "00 00 00 00 00 00 00 00";

bool Decodes(const RecordedFrame& frame, const Bytes& bytes, size_t body_bytes) {
  std::vector<Value> params;
  const DecodeContext context = ContextOf(frame.name, &params);
  Header header = ParseHeader(bytes.data());
  header.body_bytes = body_bytes;
  // A copy of exactly that size, so that the address sanitizer sees every byte read too many.
  const Bytes body(bytes.begin() + kHeaderBytes,
                   bytes.begin() + static_cast<ptrdiff_t>(kHeaderBytes + body_bytes));
  return IsRequest(frame.name) ? DecodeRequest(header, body.data(), context).ok()
                               : DecodeResponse(header, body.data(), context).ok();
}

// Prefixes that are messages of their own.
bool IsShorterForm(std::string_view name, size_t size) {
  if (name == "E8 request" || name == "E9 request") return size == 8;  // without the tuple
  if (name == "E10 request") return size == 40;
  if (name == "E25 request") return size == 8;  // PROMOTE
  // A plain FAILURE "zz", and one whose code is in the word before the last.
  if (name == "E15 reply") return size == 16 || size == 24;
  return false;
}

TEST(WireMalformed, EveryPrefixOfEveryRecordedBody) {
  for (const RecordedFrame& frame : kRecordedFrames) {
    const Bytes bytes = Hex(frame.hex);
    const size_t whole = bytes.size() - kHeaderBytes;
    EXPECT_TRUE(Decodes(frame, bytes, whole)) << frame.name;
    for (size_t size = 0; size < whole; ++size) {
      EXPECT_EQ(Decodes(frame, bytes, size), IsShorterForm(frame.name, size))
          << frame.name << " cut to " << size;
    }
  }
}

TEST(WireMalformed, EveryRecordedBodyWithASurplusWord) {
  for (const RecordedFrame& frame : kRecordedFrames) {
    Bytes bytes = Hex(frame.hex);
    bytes.insert(bytes.end(), kWord, 0);
    // One word behind PROMOTE is ASSIGN, and behind a request that has no tuple a zero count.
    const std::set<std::string_view> longer_form = {"E5 request",  "E11 request", "E12 request",
                                                    "E14 request", "E15 request", "E16 request"};
    // In a FAILURE, the word before is then its code.
    const std::string_view name = frame.name;
    const bool legal = longer_form.contains(name) || name == "E14 reply" || name == "E15 reply";
    EXPECT_EQ(Decodes(frame, bytes, bytes.size() - kHeaderBytes), legal) << frame.name;
  }
}

TEST(WireMalformed, UnknownTypesAndSchemas) {
  const Bytes body(8, 0);
  for (unsigned type = 0; type < 256; ++type) {
    Header header{.body_bytes = 8, .type = static_cast<uint8_t>(type), .schema = 2};
    std::vector<Value> params;
    DecodeContext context;
    context.params = &params;
    const auto request = DecodeRequest(header, body.data(), context);
    const auto response = DecodeResponse(header, body.data(), context);
    EXPECT_EQ(request.status().message(),
              type < 20 ? std::string(RequestName(header.type)) + ": unknown schema 2"
                        : "request: unknown type " + std::to_string(type));
    EXPECT_EQ(response.status().message(),
              type < 11 ? std::string(ResponseName(header.type)) + ": unknown schema 2"
                        : "response: unknown type " + std::to_string(type));
    EXPECT_EQ(response.status().code(), Code::kProtocol);
  }
  // Schema 1 exists for STMT only.
  for (unsigned type = 0; type < 11; ++type) {
    const Header header{.body_bytes = 8, .type = static_cast<uint8_t>(type), .schema = 1};
    const auto response = DecodeResponse(header, body.data(), {});
    EXPECT_EQ(response.status().message(),
              type == 5 ? "Stmt: param count at byte 8: truncated"
                        : std::string(ResponseName(header.type)) + ": unknown schema 1");
  }
}

TEST(WireMalformed, DecodeBodyChecksTheType) {
  const Bytes body(16, 0);
  const auto result = DecodeBody<response::Result>(BodyHeader(ResponseType::kMetadata, 0, 16),
                                                   body.data(), DecodeContext());
  EXPECT_EQ(result.status().message(), "Result: unknown type 10");
}

TEST(WireMalformed, BodyBeyondEveryFrame) {
  const Header header = BodyHeader(ResponseType::kRows, 0, kMessageBytesMax + 8);
  const auto result = DecodeResponse(header, nullptr, {});  // must not touch the body
  EXPECT_EQ(result.status().code(), Code::kLimit);
  EXPECT_EQ(result.status().message(), "Rows: body: larger than any frame");
}

TEST(WireMalformed, TupleNeedsStorage) {
  const Bytes frame = Recorded("E8 request");
  const auto result =
      DecodeRequest(ParseHeader(frame.data()), frame.data() + kHeaderBytes, DecodeContext());
  EXPECT_EQ(result.status().message(), "Exec: params at byte 8: no storage given");
}

TEST(WireMalformed, EmptyBodies) {
  for (unsigned type = 0; type < 11; ++type) {
    const auto result =
        DecodeResponse(BodyHeader(static_cast<ResponseType>(type), 0, 0), nullptr, {});
    EXPECT_FALSE(result.ok()) << type;
    EXPECT_NE(result.status().message().find("at byte 0"), std::string_view::npos) << type;
  }
}

TEST(WireMalformed, FieldsAndOffsets) {
  using enum ResponseType;
  EXPECT_EQ(ResponseError(kServer, "01 00 00 00 00 00 00 00 61 61 61 61 61 61 61 61"),
            "Server: address at byte 8: unterminated text");
  EXPECT_EQ(ResponseError(kServer, "01 00 00 00 00 00 00 00"),
            "Server: address at byte 8: truncated");
  EXPECT_EQ(ResponseError(kWelcome, "01 00 00 00"),
            "Welcome: heartbeat timeout at byte 0: truncated");
  EXPECT_EQ(ResponseError(kDb, "01 00 00 00"), "Db: reserved at byte 4: truncated");
  EXPECT_EQ(ResponseError(kStmt, kZeroWord), "Stmt: param count at byte 8: truncated");
  EXPECT_EQ(ResponseError(kResult, kZeroWord), "Result: rows affected at byte 8: truncated");
  EXPECT_EQ(ResponseError(kEmpty, std::string(kZeroWord) + kZeroWord),
            "Empty: end at byte 8: surplus bytes");
  EXPECT_EQ(ResponseError(kMetadata, kZeroWord), "Metadata: weight at byte 8: truncated");
  EXPECT_EQ(ResponseError(kRows, kZeroWord), "Rows: end marker at byte 8: missing");
  EXPECT_EQ(ResponseError(kStmt, std::string(kZeroWord) + kZeroWord, {}, 1),
            "Stmt: tail offset at byte 16: truncated");
  EXPECT_EQ(RequestError(RequestType::kOpen, "61 00 00 00 00 00 00 00" + std::string(kZeroWord)),
            "Open: vfs at byte 16: truncated");
  EXPECT_EQ(RequestError(RequestType::kPrepare, std::string(kZeroWord) + "61 61 61 61 61 61 61 61"),
            "Prepare: sql at byte 8: unterminated text");
  EXPECT_EQ(RequestError(RequestType::kExec, "00 00 00 00"),
            "Exec: statement id at byte 4: truncated");
  EXPECT_EQ(RequestError(RequestType::kAssign, std::string(kZeroWord) + "00 00 00 00"),
            "Assign: role at byte 8: truncated");
}

TEST(WireMalformed, ReservedWordsAreNotLookedAt) {
  EXPECT_EQ(ResponseError(ResponseType::kDb, "00 00 00 00 ff ff ff ff"), "ok");
  EXPECT_EQ(ResponseError(ResponseType::kEmpty, "ff ff ff ff ff ff ff ff"), "ok");
}

TEST(WireMalformed, Servers) {
  const std::string one = "01 00 00 00 00 00 00 00";
  const std::string entry = "01 00 00 00 00 00 00 00 61 00 00 00 00 00 00 00";
  DecodeContext plain;
  plain.servers_with_roles = false;
  EXPECT_EQ(ResponseError(ResponseType::kServers, one + entry, plain), "ok");
  EXPECT_EQ(ResponseError(ResponseType::kServers, one + entry),
            "Servers: node count at byte 0: larger than the body");
  EXPECT_EQ(ResponseError(ResponseType::kServers, one + entry + kZeroWord), "ok");
  EXPECT_EQ(ResponseError(ResponseType::kServers, one + entry + kZeroWord, plain),
            "Servers: end at byte 24: surplus bytes");
  EXPECT_EQ(ResponseError(ResponseType::kServers, "ff ff ff ff ff ff ff ff" + entry),
            "Servers: node count at byte 0: more than option \"max_nodes\"");
  const std::string long_name =
      "01 00 00 00 00 00 00 00 61 61 61 61 61 61 61 61 61 00 00 00 00 00 00 00";
  EXPECT_EQ(ResponseError(ResponseType::kServers, one + long_name),
            "Servers: role at byte 32: truncated");
}

TEST(WireMalformed, Files) {
  const std::string one = "01 00 00 00 00 00 00 00 61 00 00 00 00 00 00 00";
  using enum ResponseType;
  EXPECT_EQ(ResponseError(kFiles, one + kZeroWord), "ok");
  EXPECT_EQ(ResponseError(kFiles, one), "Files: file count at byte 0: larger than the body");
  EXPECT_EQ(ResponseError(kFiles, one + "08 00 00 00 00 00 00 00"),
            "Files: file length at byte 16: beyond the end");
  EXPECT_EQ(ResponseError(kFiles, one + "ff ff ff ff ff ff ff ff"),
            "Files: file length at byte 16: beyond the end");
  EXPECT_EQ(ResponseError(kFiles, one + "04 00 00 00 00 00 00 00" + kZeroWord),
            "Files: file length at byte 16: not whole words");
  EXPECT_EQ(ResponseError(kFiles, one + "08 00 00 00 00 00 00 00" + kZeroWord + kZeroWord),
            "Files: end at byte 32: surplus bytes");
  Bytes out;
  EXPECT_EQ(Encode(response::Files{{{"a", "123"}}}, 0, out).message(),
            "Files: file content: not whole words");
}

TEST(WireMalformed, TextWithNulIsNotEncoded) {
  const std::string_view nul("a\0b", 3);
  Bytes out;
  EXPECT_EQ(Encode(request::ExecSql{0, nul, {}}, 0, out).message(),
            "ExecSql: sql: text holds a NUL");
  EXPECT_EQ(Encode(request::Prepare{0, nul}, 0, out).message(), "Prepare: sql: text holds a NUL");
  EXPECT_EQ(Encode(request::Open{nul, 0, ""}, 0, out).message(),
            "Open: database name: text holds a NUL");
  EXPECT_EQ(Encode(request::Add{1, nul}, 0, out).message(), "Add: address: text holds a NUL");
  EXPECT_EQ(Encode(response::Failure{1, nul}, 0, out).code(), Code::kMisuse);
  EXPECT_EQ(EncodeAny(Request(std::monostate()), 0, out).code(), Code::kMisuse);
  EXPECT_EQ(Encode(request::Leader{}, 1, out).message(), "Leader: schema: not defined");
  EXPECT_TRUE(out.empty());
}

// Limits.

template <typename M>
Status DecodeWith(const M& message, const Limits& limits) {
  Bytes out;
  EXPECT_TRUE(Encode(message, 0, out).ok());
  std::vector<Value> params;
  DecodeContext context;
  context.limits = &limits;
  context.params = &params;
  return DecodeBody<M>(ParseHeader(out.data()), out.data() + kHeaderBytes, context).status();
}

TEST(WireLimits, EachOnItsEdge) {
  Limits limits;
  limits.servers = 2;
  limits.files = 1;
  limits.address_bytes = 5;
  limits.params = 3;
  limits.rows = 1;
  limits.columns = 2;
  limits.column_name_bytes = 4;

  response::Servers servers{{{1, "12345", 0}, {2, "", 1}}, true};
  EXPECT_TRUE(DecodeWith(servers, limits).ok());
  servers.nodes.push_back({3, "", 2});
  EXPECT_EQ(DecodeWith(servers, limits).message(),
            "Servers: node count at byte 0: more than option \"max_nodes\"");
  EXPECT_EQ(DecodeWith(servers, limits).code(), Code::kLimit);
  servers.nodes = {{1, "123456", 0}};
  EXPECT_EQ(DecodeWith(servers, limits).message(),
            "Servers: address at byte 16: longer than option \"max_address\"");
  EXPECT_EQ(DecodeWith(response::Server{1, "123456"}, limits).code(), Code::kLimit);

  response::Files files{{{"a", ""}}};
  EXPECT_TRUE(DecodeWith(files, limits).ok());
  files.files.push_back({"b", ""});
  EXPECT_EQ(DecodeWith(files, limits).message(),
            "Files: file count at byte 0: more than option \"max_files\"");

  EXPECT_TRUE(DecodeWith(request::Exec{0, 0, std::vector<Value>(3)}, limits).ok());
  EXPECT_EQ(DecodeWith(request::Exec{0, 0, std::vector<Value>(4)}, limits).code(), Code::kLimit);

  response::Rows rows;
  rows.columns = {"1234", ""};
  rows.cells.resize(2);
  rows.row_count = 1;
  EXPECT_TRUE(DecodeWith(rows, limits).ok());
  rows.cells.resize(4);
  rows.row_count = 2;
  EXPECT_EQ(DecodeWith(rows, limits).message(),
            "Rows: rows at byte 48: more than option \"max_rows\"");
  rows.cells.clear();
  rows.row_count = 0;
  rows.columns = {"12345"};
  EXPECT_EQ(DecodeWith(rows, limits).message(),
            "Rows: column name at byte 8: longer than option \"max_column_name\"");
  rows.columns = {"", "", ""};
  EXPECT_EQ(DecodeWith(rows, limits).message(),
            "Rows: column count at byte 0: more than option \"max_columns\"");
}

// FAILURE, section 6.3.

response::Failure TailOf(const Bytes& body, const Limits& limits = {}) {
  const auto result = DecodeFailure(body.data(), body.size(), limits);
  EXPECT_TRUE(result.ok()) << result.status().message();
  return result.ok() ? result.value() : response::Failure{};
}

// The rule as the protocol states it: the smallest offset whose text ends with the body.
bool SlowTail(const Bytes& body, uint64_t* code, std::string_view* text) {
  for (size_t at = 0; at + 16 <= body.size(); at += 8) {
    const std::string_view rest(reinterpret_cast<const char*>(body.data()) + at + 8,
                                body.size() - at - 8);
    const size_t nul = rest.find('\0');
    if (nul == std::string_view::npos || (nul / 8 + 1) * 8 != rest.size()) continue;
    Reader r(body.data() + at, 8);
    *code = r.U64("code");
    *text = rest.substr(0, nul);
    return true;
  }
  return false;
}

TEST(WireFailure, TextsOfEveryLengthBehindEveryPrefix) {
  const std::vector<Bytes> prefixes = {
      {},
      Hex(kZeroWord),  // era D, failing DML through QUERY
      Hex("01 00 00 00 00 00 00 00 7a 7a 00 00 00 00 00 00"),
      Hex("01 00 00 00 00 00 00 00 7a 7a 7a 7a 7a 7a 7a 7a 00 00 00 00 00 00 00 00"),
      // A row whose blob ends in stale, non-zero padding.
      Hex("01 00 00 00 00 00 00 00 7a 00 00 00 00 00 00 00 04 00 00 00 00 00 00 00"
          "01 00 00 00 00 00 00 00 aa aa aa aa aa aa aa aa"),
  };
  const std::string letters = "the quick brown fox jumps";
  for (const Bytes& prefix : prefixes) {
    for (size_t size = 0; size <= letters.size(); ++size) {
      for (const uint64_t code : {0ull, 1ull, 517ull, 10250ull, 0x00ffffffffffffffull}) {
        Bytes body = prefix;
        Writer w(body);
        w.U64(code);
        w.Text(std::string_view(letters).substr(0, size));
        const response::Failure failure = TailOf(body);
        EXPECT_EQ(failure.code, code);
        EXPECT_EQ(failure.text, letters.substr(0, size));
      }
    }
  }
}

TEST(WireFailure, AgreesWithTheRuleOnAnyBytes) {
  uint32_t state = 7;
  const auto next = [&state] { return state = state * 1664525 + 1013904223; };
  for (int round = 0; round < 20000; ++round) {
    Bytes body(8 * (next() >> 16) % 80);
    body.resize(body.size() / 8 * 8);
    for (uint8_t& byte : body) byte = (next() >> 24) < 200 ? 'x' : 0;
    uint64_t code = 0;
    std::string_view text;
    const bool expected = SlowTail(body, &code, &text);
    const auto result = DecodeFailure(body.data(), body.size(), Limits());
    ASSERT_EQ(result.ok(), expected);
    if (!expected) continue;
    ASSERT_EQ(result.value().code, code);
    ASSERT_EQ(result.value().text, text);
  }
}

TEST(WireFailure, Malformed) {
  EXPECT_EQ(ResponseError(ResponseType::kFailure, ""), "Failure: code at byte 0: truncated");
  EXPECT_EQ(ResponseError(ResponseType::kFailure, kZeroWord), "Failure: code at byte 0: truncated");
  EXPECT_EQ(
      ResponseError(ResponseType::kFailure, std::string(kZeroWord) + "61 61 61 61 61 61 61 61"),
      "Failure: message at byte 8: unterminated text");
  EXPECT_EQ(ResponseError(ResponseType::kFailure, std::string(kZeroWord) + kZeroWord + "00"),
            "Failure: body at byte 0: not whole words");
}

TEST(WireFailure, TextIsCutNotRefused) {
  Bytes body;
  Writer w(body);
  w.U64(1);
  w.Text("caf\xc3\xa9 au lait");
  Limits limits;
  limits.error_text_bytes = 5;
  EXPECT_EQ(TailOf(body, limits).text, "caf\xc3\xa9");
  limits.error_text_bytes = 4;  // in the middle of the accent
  EXPECT_EQ(TailOf(body, limits).text, "caf");
  limits.error_text_bytes = 0;
  EXPECT_EQ(TailOf(body, limits).text, "");
  limits.error_text_bytes = 13;
  EXPECT_EQ(TailOf(body, limits).text, "caf\xc3\xa9 au lait");

  Bytes odd;
  Writer not_utf8(odd);
  not_utf8.U64(1);
  not_utf8.Text("\x80\x80\x80\x80\x80\x80\x80");
  limits.error_text_bytes = 5;
  EXPECT_EQ(TailOf(odd, limits).text.size(), 5u);
}

}  // namespace
}  // namespace dqc::wire
