/* SPDX-License-Identifier: MIT */
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "wire/reader.hpp"
#include "wire_test_util.hpp"

namespace dqc::wire {
namespace {

TEST(WireReader, Scalars) {
  const Bytes in =
      Hex("01 00 00 00  ff ff ff ff  00 00 00 00 00 00 f8 3f  fe ff ff ff ff ff ff ff");
  Reader r(in.data(), in.size());
  EXPECT_EQ(r.U8("a"), 1);
  r.Skip(3);
  EXPECT_EQ(r.U32("b"), 0xffffffffu);
  EXPECT_EQ(r.F64("c"), 1.5);
  EXPECT_EQ(r.I64("d"), -2);
  r.ExpectEnd();
  EXPECT_TRUE(r.ok());
  EXPECT_TRUE(r.status("M").ok());
}

TEST(WireReader, FirstFailureSticks) {
  const Bytes in = Hex("01 02 03");
  Reader r(in.data(), in.size());
  EXPECT_EQ(r.U8("a"), 1);
  EXPECT_EQ(r.U32("second"), 0u);
  EXPECT_EQ(r.U8("later"), 0);
  EXPECT_EQ(r.U64("later"), 0u);
  EXPECT_EQ(r.Text("later"), "");
  EXPECT_EQ(r.Blob("later"), "");
  EXPECT_EQ(r.Bytes("later", 1), "");
  r.Align("later");
  r.Fail("later", "x");
  r.ExpectEnd();
  EXPECT_FALSE(r.ok());
  EXPECT_EQ(r.offset(), 1u);
  const Status status = r.status("Message");
  EXPECT_EQ(status.code(), Code::kProtocol);
  EXPECT_EQ(status.message(), "Message: second at byte 1: truncated");
}

TEST(WireReader, LimitHasItsOwnCode) {
  const Bytes in = Hex("61 62 63 00 00 00 00 00");
  Reader exact(in.data(), in.size());
  EXPECT_EQ(exact.Text("t", 3), "abc");
  Reader r(in.data(), in.size());
  EXPECT_EQ(r.Text("t", 2), "");
  EXPECT_EQ(r.status("M").code(), Code::kLimit);
  EXPECT_EQ(r.status("M").message(), "M: t at byte 0: longer than the limit");
}

TEST(WireReader, TextOfEveryLength) {
  for (size_t size = 0; size <= 17; ++size) {
    const std::string text(size, 'x');
    Bytes bytes;
    Writer w(bytes);
    w.Text(text);
    ASSERT_EQ(bytes.size(), (size / 8 + 1) * 8);
    Reader r(bytes.data(), bytes.size());
    const std::string_view read = r.Text("t");
    EXPECT_EQ(read, text);
    EXPECT_EQ(read.data()[size], '\0');
    EXPECT_EQ(r.remaining(), 0u);
    EXPECT_TRUE(r.ok());
  }
}

TEST(WireReader, TextErrors) {
  const Bytes unterminated = Hex("61 61 61 61 61 61 61 61");
  Reader r(unterminated.data(), unterminated.size());
  r.Text("name");
  EXPECT_EQ(r.status("M").message(), "M: name at byte 0: unterminated text");

  Reader none(unterminated.data(), 0);
  none.Text("name");
  EXPECT_EQ(none.status("M").message(), "M: name at byte 0: truncated");

  const Bytes short_padding = Hex("61 00 00");
  Reader cut(short_padding.data(), short_padding.size());
  cut.Text("name");
  EXPECT_EQ(cut.status("M").message(), "M: name at byte 0: truncated");
}

TEST(WireReader, BlobOfEveryLength) {
  for (size_t size = 0; size <= 17; ++size) {
    const std::string blob(size, '\0');
    Bytes bytes;
    Writer w(bytes);
    w.Blob(blob.data(), blob.size());
    ASSERT_EQ(bytes.size(), 8 + (size + 7) / 8 * 8);
    Reader r(bytes.data(), bytes.size());
    EXPECT_EQ(r.Blob("b"), blob);
    EXPECT_EQ(r.remaining(), 0u);
  }
}

TEST(WireReader, BlobLengthMayNotWrap) {
  for (const char* hex : {"ff ff ff ff ff ff ff ff 00 00 00 00 00 00 00 00",
                          "f9 ff ff ff ff ff ff ff 00 00 00 00 00 00 00 00",
                          "09 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00",
                          "05 00 00 00 00 00 00 00 00 00 00 00 00"}) {
    const Bytes in = Hex(hex);
    Reader r(in.data(), in.size());
    EXPECT_EQ(r.Blob("b"), "") << hex;
    EXPECT_FALSE(r.ok()) << hex;
  }
  const Bytes in = Hex("00 00 00 00 00 00 00 00 ff ff ff ff ff ff ff ff");
  Reader r(in.data(), in.size());
  r.U64("first");
  r.Blob("b");
  EXPECT_EQ(r.status("M").message(), "M: b at byte 8: length beyond the end");
}

TEST(WireReader, Align) {
  const Bytes in(16, 0);
  Reader r(in.data(), in.size());
  r.Align("a");
  EXPECT_EQ(r.offset(), 0u);
  r.U8("x");
  r.Align("a");
  EXPECT_EQ(r.offset(), 8u);
  Reader cut(in.data(), 5);
  cut.U8("x");
  cut.Align("pad");
  EXPECT_EQ(cut.status("M").message(), "M: pad at byte 1: truncated");
}

TEST(WireReader, Surplus) {
  const Bytes in(16, 0);
  Reader r(in.data(), in.size());
  r.U64("x");
  r.ExpectEnd();
  EXPECT_EQ(r.status("M").message(), "M: end at byte 8: surplus bytes");
}

TEST(WireWriter, LimitRemovesTheFrame) {
  // A saturated value stands for gigabytes; nothing of it may be copied.
  const Value huge = [] {
    Value v = Value::Blob("x");
    v.size = UINT32_MAX;
    return v;
  }();
  Bytes out = {7};
  const Status status = Encode(request::ExecSql{0, "x", {&huge, 1}}, 0, out);
  EXPECT_EQ(status.code(), Code::kLimit);
  EXPECT_EQ(status.message(), "ExecSql: body: larger than any server accepts");
  EXPECT_EQ(out, Bytes{7});
}

TEST(WireWriter, Scalars) {
  Bytes out;
  Writer w(out);
  w.Begin(8, 1);
  w.U8(1);
  w.Align();
  w.U32(0x01020304);
  w.U32(0);
  w.I64(std::numeric_limits<int64_t>::min());
  w.F64(-0.0);
  w.Raw(nullptr, 0);
  ASSERT_TRUE(w.End());
  EXPECT_EQ(out, Hex("04 00 00 00 08 01 00 00  01 00 00 00 00 00 00 00  04 03 02 01 00 00 00 00"
                     "00 00 00 00 00 00 00 80  00 00 00 00 00 00 00 80"));
}

TEST(WireValue, Equality) {
  EXPECT_EQ(Value::Null(), Value::Null());
  EXPECT_EQ(Value::Text("a"), Value::Text(std::string("a")));
  EXPECT_FALSE(Value::Text("a") == Value::Blob("a"));
  EXPECT_FALSE(Value::Text("a") == Value::Iso8601("a"));
  EXPECT_FALSE(Value::Text("a") == Value::Text("b"));
  EXPECT_FALSE(Value::Integer(1) == Value::Boolean(true));
  EXPECT_FALSE(Value::Float(0.0) == Value::Float(-0.0));
  EXPECT_EQ(Value::Float(NAN), Value::Float(NAN));
  EXPECT_EQ(Value::Text({}), Value::Text(""));
  EXPECT_EQ(Value::Boolean(true).as.integer, 1);
}

TEST(WireValue, Tags) {
  for (unsigned tag = 0; tag < 256; ++tag) {
    const bool cell = (tag >= 1 && tag <= 5) || (tag >= 9 && tag <= 11);
    EXPECT_EQ(IsCellTag(static_cast<uint8_t>(tag)), cell) << tag;
    EXPECT_EQ(IsParamTag(static_cast<uint8_t>(tag)), cell && tag != 9) << tag;
  }
}

}  // namespace
}  // namespace dqc::wire
