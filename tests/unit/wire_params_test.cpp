/* SPDX-License-Identifier: MIT */
// Parameter tuples, protocol section 3.2.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "wire_test_util.hpp"

namespace dqc::wire {
namespace {

constexpr uint8_t kSchemas[] = {0, 1};

Bytes Tuple(const std::vector<Value>& values, uint8_t schema) {
  Bytes out;
  Writer w(out);
  EncodeParams(w, values, schema);
  return out;
}

// Decodes the whole of `bytes`; "ok" or the error.
std::string Decode(const Bytes& bytes, uint8_t schema, std::vector<Value>& out,
                   uint32_t params_max = kParamsCap) {
  Reader r(bytes.data(), bytes.size());
  DecodeParams(r, schema, params_max, out);
  r.ExpectEnd();
  return std::string(r.status("T").message());
}

std::string Error(std::string_view hex, uint8_t schema = 0, uint32_t params_max = kParamsCap) {
  std::vector<Value> out;
  return Decode(Hex(hex), schema, out, params_max);
}

TEST(WireParams, HeaderSizesOfSection32) {
  struct Row {
    size_t first, last, v0, v1;
  };
  constexpr Row kRows[] = {{1, 4, 8, 8},      {5, 7, 8, 16},        {8, 12, 16, 16},
                           {13, 15, 16, 24},  {255, 255, 256, 264}, {256, 256, 0, 264},
                           {300, 300, 0, 304}};
  for (const Row& row : kRows) {
    for (size_t count = row.first; count <= row.last; ++count) {
      const std::vector<Value> nulls(count);
      if (row.v0 != 0) {
        EXPECT_EQ(Tuple(nulls, 0).size(), row.v0 + 8 * count) << count;
      }
      EXPECT_EQ(Tuple(nulls, 1).size(), row.v1 + 8 * count) << count;
    }
  }
}

TEST(WireParams, CountsInBothSchemas) {
  constexpr size_t kCounts[] = {0, 1, 4, 5, 7, 8, 15, 16, 255, 256, 300, 32766};
  for (const size_t count : kCounts) {
    std::vector<Value> values;
    for (size_t i = 0; i < count; ++i) {
      values.push_back(i % 3 == 0 ? Value::Integer(static_cast<int64_t>(i))
                                  : Value::Text(i % 3 == 1 ? "seven77" : "eight888"));
    }
    std::vector<Value> decoded = {Value::Null()};
    if (count <= kParamsMaxV0) {
      const Bytes v0 = Tuple(values, 0);
      EXPECT_EQ(Decode(v0, 0, decoded), "ok") << count;
      EXPECT_EQ(decoded, values);
    }
    const Bytes v1 = Tuple(values, 1);
    EXPECT_EQ(Decode(v1, 1, decoded), "ok") << count;
    EXPECT_EQ(decoded, values);
  }
}

TEST(WireParams, NoValuesIsNoTuple) {
  EXPECT_TRUE(Tuple({}, 0).empty());
  EXPECT_TRUE(Tuple({}, 1).empty());
  std::vector<Value> out = {Value::Null()};
  EXPECT_EQ(Decode({}, 0, out), "ok");
  EXPECT_TRUE(out.empty());
  for (const uint8_t schema : kSchemas) {
    EXPECT_EQ(Error("00 00 00 00 00 00 00 00", schema), "ok");  // a zero count word is legal too
    EXPECT_EQ(Error("00 00 00 00 00 00 00 00 00", schema), "T: end at byte 8: surplus bytes");
  }
}

TEST(WireParams, Words) {
  const std::vector<int64_t> integers = {0,
                                         -1,
                                         -2,
                                         std::numeric_limits<int64_t>::min(),
                                         std::numeric_limits<int64_t>::max(),
                                         std::numeric_limits<int32_t>::min()};
  std::vector<Value> values;
  for (const int64_t v : integers) values.push_back(Value::Integer(v));
  for (const double v :
       {0.0, -0.0, 1.5, -1e308, 5e-324, double{INFINITY}, double{-INFINITY}, double{NAN}}) {
    values.push_back(Value::Float(v));
  }
  values.push_back(Value::Boolean(false));
  Value raw = Value::Boolean(true);
  raw.as.integer = -7;  // whatever is stored, not only 0 and 1
  values.push_back(raw);
  std::vector<Value> out;
  for (const uint8_t schema : kSchemas) {
    const Bytes tuple = Tuple(values, schema);
    ASSERT_EQ(Decode(tuple, schema, out), "ok");
    EXPECT_EQ(out, values);  // floats are compared by their bits
  }
  EXPECT_TRUE(std::signbit(out[7].as.real));
  EXPECT_TRUE(std::isnan(out[13].as.real));
}

TEST(WireParams, TextAndBlobOfEveryLength) {
  const std::string text = "abcdefghijklmnopq";
  std::string blob(17, '\0');
  std::iota(blob.begin(), blob.end(), '\0');
  std::vector<Value> values;
  for (size_t size = 0; size <= text.size(); ++size) {
    values.push_back(Value::Text(std::string_view(text).substr(0, size)));
    values.push_back(Value::Blob(std::string_view(blob).substr(0, size)));
    values.push_back(Value::Iso8601(std::string_view(text).substr(0, size)));
  }
  std::vector<Value> out;
  for (const uint8_t schema : kSchemas) {
    const Bytes tuple = Tuple(values, schema);
    ASSERT_EQ(Decode(tuple, schema, out), "ok");
    EXPECT_EQ(out, values);
  }
}

TEST(WireParams, PaddingIsNotLookedAt) {
  std::vector<Value> out;
  const Bytes stale =
      Hex("02 04 05 aa aa aa aa aa  03 00 00 00 00 00 00 00  01 02 03 bb bb bb bb bb"
          "cc cc cc cc cc cc cc cc");
  ASSERT_EQ(Decode(stale, 0, out), "ok");
  EXPECT_EQ(out, (std::vector<Value>{Value::Blob("\x01\x02\x03"), Value::Null()}));
}

TEST(WireParams, EveryPrefixIsAnError) {
  const std::vector<Value> values = {Value::Integer(1), Value::Text("12345678"), Value::Blob("abc"),
                                     Value::Null(), Value::Float(2)};
  for (const uint8_t schema : kSchemas) {
    const Bytes whole = Tuple(values, schema);
    for (size_t size = 1; size < whole.size(); ++size) {
      std::vector<Value> out;
      const Bytes part(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size));
      EXPECT_NE(Decode(part, schema, out), "ok") << size;
      EXPECT_TRUE(out.empty());
    }
  }
}

TEST(WireParams, Malformed) {
  EXPECT_EQ(Error("01 09 00 00 00 00 00 00  00 00 00 00 00 00 00 00"),
            "T: param tag at byte 1: not a tag of a parameter");
  EXPECT_EQ(Error("02 00 00 00 01 00 00 00  00 00 00 00 00 00 00 00", 1),
            "T: param tag at byte 5: not a tag of a parameter");
  for (const char* tag : {"00", "06", "07", "08", "0c", "0f", "ff"}) {
    EXPECT_EQ(Error("02 01 " + std::string(tag) + " 00 00 00 00 00  00 00 00 00 00 00 00 00"),
              "T: param tag at byte 2: not a tag of a parameter");
  }
  EXPECT_EQ(Error("ff 01 01 01 01 01 01 01"), "T: param count at byte 0: larger than the body");
  EXPECT_EQ(Error("ff ff ff ff 01 01 01 01", 1),
            "T: param count at byte 0: more than option \"max_params\"");
  EXPECT_EQ(Error("00 01 00 00 01 01 01 01", 1), "T: param count at byte 0: larger than the body");
  EXPECT_EQ(Error("01 00 00", 1), "T: param count at byte 0: truncated");
  EXPECT_EQ(Error("02 01 05 00 00 00 00 00  00 00 00 00 00 00 00 00"),
            "T: param values at byte 8: truncated");
  EXPECT_EQ(Error("01 03 00 00 00 00 00 00  61 61 61 61 61 61 61 61"),
            "T: text at byte 8: unterminated text");
  EXPECT_EQ(Error("01 0a 00 00 00 00 00 00  61 61 61 61 61 61 61 61"),
            "T: iso8601 at byte 8: unterminated text");
  EXPECT_EQ(Error("01 04 00 00 00 00 00 00  01 00 00 00 00 00 00 00"),
            "T: blob at byte 8: length beyond the end");
  // The text takes the word that the integer needs.
  EXPECT_EQ(Error("02 03 01 00 00 00 00 00  61 61 61 61 61 61 61 61 00 00 00 00 00 00 00 00"),
            "T: integer at byte 24: truncated");
  EXPECT_EQ(Error("01 05 00 00 00 00 00 00  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00"),
            "T: end at byte 16: surplus bytes");
}

TEST(WireParams, Limit) {
  const Bytes three = Tuple(std::vector<Value>(3), 0);
  std::vector<Value> out;
  EXPECT_EQ(Decode(three, 0, out, 3), "ok");
  EXPECT_EQ(Decode(three, 0, out, 2), "T: param count at byte 0: more than option \"max_params\"");
  Reader r(three.data(), three.size());
  DecodeParams(r, 0, 2, out);
  EXPECT_EQ(r.status("T").code(), Code::kLimit);
}

TEST(WireParams, WhatTheEncoderRefuses) {
  Bytes out = {1, 2};
  const auto refused = [&out](const std::vector<Value>& values, uint8_t schema) {
    const Status status = Encode(request::Exec{0, 0, values}, schema, out);
    EXPECT_EQ(out, (Bytes{1, 2}));
    EXPECT_EQ(status.code(), Code::kMisuse);
    return std::string(status.message());
  };
  EXPECT_EQ(refused(std::vector<Value>(256), 0), "Exec: params: schema 0 holds 255 values");
  Value time;
  time.tag = Tag::kUnixTime;
  EXPECT_EQ(refused({time}, 1), "Exec: params: servers refuse UNIXTIME");
  EXPECT_EQ(refused({Value::Text(std::string_view("a\0b", 3))}, 0),
            "Exec: params: text holds a NUL");
  EXPECT_EQ(refused({Value::Iso8601(std::string_view("\0", 1))}, 0),
            "Exec: params: text holds a NUL");
  Value odd;
  odd.tag = static_cast<Tag>(6);
  EXPECT_EQ(refused({odd}, 0), "Exec: params: unknown tag");
  EXPECT_EQ(refused({}, 2), "Exec: schema: not defined");
  EXPECT_TRUE(Encode(request::Exec{0, 0, std::vector<Value>(255)}, 0, out).ok());
}

TEST(WireParams, SchemaDecidesTheLayoutOfEveryMessageWithATuple) {
  const std::vector<Value> values(300, Value::Integer(-1));
  const auto check = [&values](const Request& request, auto get) {
    Bytes out;
    EXPECT_FALSE(EncodeAny(request, 0, out).ok());
    ASSERT_TRUE(EncodeAny(request, 1, out).ok());
    std::vector<Value> params;
    DecodeContext context;
    context.params = &params;
    const auto decoded = DecodeRequest(ParseHeader(out.data()), out.data() + kHeaderBytes, context);
    ASSERT_TRUE(decoded.ok()) << decoded.status().message();
    EXPECT_EQ(get(decoded.value()).params.size(), 300u);
    EXPECT_EQ(params, values);
  };
  check(request::Exec{0, 1, values}, [](auto& m) { return std::get<request::Exec>(m); });
  check(request::Query{0, 1, values}, [](auto& m) { return std::get<request::Query>(m); });
  check(request::ExecSql{0, "x", values}, [](auto& m) { return std::get<request::ExecSql>(m); });
  check(request::QuerySql{0, "x", values}, [](auto& m) { return std::get<request::QuerySql>(m); });
}

}  // namespace
}  // namespace dqc::wire
