/* SPDX-License-Identifier: MIT */
// ROWS frames, protocol section 4.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <utility>

#include "wire/rows.hpp"
#include "wire_test_util.hpp"

namespace dqc::wire {
namespace {

Bytes Body(const std::vector<Value>& cells, size_t columns, RowsEnd end = RowsEnd::kDone) {
  Bytes out;
  Writer w(out);
  for (size_t i = 0; i < cells.size(); i += columns) EncodeRow(w, &cells[i], columns);
  EncodeEnd(w, end);
  return out;
}

// The cells point into `body`.
struct Decoded {
  Bytes body;
  std::vector<Value> cells;
  uint64_t rows = 0;
  RowsEnd end = RowsEnd::kDone;
  std::string error;
};

Decoded Decode(Bytes body, size_t columns, uint64_t rows_max = UINT64_MAX) {
  Decoded d;
  d.body = std::move(body);
  Reader r(d.body.data(), d.body.size());
  d.end = DecodeRows(r, columns, rows_max, d.cells, &d.rows);
  d.error = r.status("Rows").message();
  if (r.ok()) {
    EXPECT_EQ(r.remaining(), 0u);
  }
  return d;
}

std::string Error(std::string_view hex, size_t columns = 1) {
  return Decode(Hex(hex), columns).error;
}

TEST(WireRows, RowHeaderSizes) {
  struct Row {
    size_t columns, header;
  };
  constexpr Row kRows[] = {{1, 8}, {15, 8}, {16, 8}, {17, 16}, {32, 16}, {33, 24}, {2000, 1000}};
  for (const auto& [columns, header] : kRows) {
    std::vector<Value> cells;
    for (size_t i = 0; i < 3 * columns; ++i)
      cells.push_back(Value::Integer(static_cast<int64_t>(i)));
    const Bytes body = Body(cells, columns);
    EXPECT_EQ(body.size(), 3 * (header + 8 * columns) + 8);
    const Decoded d = Decode(body, columns);
    EXPECT_EQ(d.error, "ok");
    EXPECT_EQ(d.rows, 3u);
    EXPECT_EQ(d.cells, cells);
  }
}

TEST(WireRows, NibbleOrder) {
  const std::vector<Value> row = {Value::Integer(1), Value::Text("a"), Value::Null()};
  EXPECT_EQ(Body(row, 3), Hex("31 05 00 00 00 00 00 00  01 00 00 00 00 00 00 00  61 00 00 00 00 00"
                              "00 00  00 00 00 00 00 00 00 00  ff ff ff ff ff ff ff ff"));
}

TEST(WireRows, EveryTag) {
  Value time = Value::Integer(-5);
  time.tag = Tag::kUnixTime;
  Value two = Value::Boolean(true);
  two.as.integer = 2;
  const std::vector<Value> row = {Value::Integer(std::numeric_limits<int64_t>::min()),
                                  Value::Integer(std::numeric_limits<int64_t>::max()),
                                  Value::Float(-0.0),
                                  Value::Float(NAN),
                                  Value::Float(-INFINITY),
                                  Value::Text("text"),
                                  Value::Blob(std::string_view("\0\x01", 2)),
                                  Value::Null(),
                                  time,
                                  Value::Iso8601(""),
                                  two,
                                  Value::Blob("")};
  const Decoded d = Decode(Body(row, row.size()), row.size());
  EXPECT_EQ(d.error, "ok");
  EXPECT_EQ(d.cells, row);
  EXPECT_TRUE(std::signbit(d.cells[2].as.real));
  EXPECT_EQ(d.cells[7].as.integer, 0);
  EXPECT_EQ(d.cells[9].as.data[0], '\0');
}

TEST(WireRows, TextAndBlobOfEveryLength) {
  const std::string text = "abcdefghijklmnopq";
  std::vector<Value> cells;
  for (size_t size = 0; size <= 17; ++size) {
    cells.push_back(Value::Text(std::string_view(text).substr(0, size)));
    cells.push_back(Value::Blob(std::string_view(text).substr(0, size)));
  }
  const Decoded d = Decode(Body(cells, 2), 2);
  EXPECT_EQ(d.error, "ok");
  ASSERT_EQ(d.cells, cells);
  for (size_t i = 0; i < d.cells.size(); i += 2) {
    EXPECT_EQ(d.cells[i].as.data[d.cells[i].size], '\0');
    const auto* at = reinterpret_cast<const uint8_t*>(d.cells[i].as.data);
    EXPECT_GE(at, d.body.data());
    EXPECT_LT(at + d.cells[i].size, d.body.data() + d.body.size());
  }
}

TEST(WireRows, TextIsAnyBytesButNul) {
  std::string bytes;
  for (int c = 1; c < 256; ++c) bytes.push_back(static_cast<char>(c));
  std::vector<Value> cells;
  for (size_t i = 0; i < 248; ++i)
    cells.push_back(Value::Text(std::string_view(bytes).substr(i, 7)));
  const Decoded d = Decode(Body(cells, 1), 1);
  EXPECT_EQ(d.error, "ok");
  EXPECT_EQ(d.cells, cells);
}

TEST(WireRows, StalePaddingIsAccepted) {
  // In blobs, behind text, in the row header beyond the last column, and in the word of a NULL.
  const Decoded d =
      Decode(Hex("34 e5 ee ee ee ee ee ee  03 00 00 00 00 00 00 00  01 02 03 aa aa aa aa aa"
                 "61 00 bb bb bb bb bb bb  cc cc cc cc cc cc cc cc  ff ff ff ff ff ff ff ff"),
             3);
  EXPECT_EQ(d.error, "ok");
  EXPECT_EQ(d.cells,
            (std::vector<Value>{Value::Blob("\x01\x02\x03"), Value::Text("a"), Value::Null()}));
}

TEST(WireRows, Ends) {
  EXPECT_EQ(Decode(Hex("ff ff ff ff ff ff ff ff"), 3).end, RowsEnd::kDone);
  const Decoded part = Decode(Hex("ee ee ee ee ee ee ee ee"), 3);  // for the session to judge
  EXPECT_EQ(part.error, "ok");
  EXPECT_EQ(part.end, RowsEnd::kPart);
  EXPECT_EQ(part.rows, 0u);
  EXPECT_EQ(Error("ff ff ff ff ff ff ff ff", 0), "ok");
  EXPECT_EQ(Error("ee ee ee ee ee ee ee ee", 0), "ok");
}

TEST(WireRows, CellsAndCountsAreAppended) {
  const std::vector<Value> cells(6, Value::Integer(4));
  const Bytes body = Body(cells, 2);
  std::vector<Value> out = {Value::Text("kept")};
  uint64_t rows = 10;
  Reader r(body.data(), body.size());
  DecodeRows(r, 2, 3, out, &rows);
  EXPECT_TRUE(r.ok());
  EXPECT_EQ(rows, 13u);
  ASSERT_EQ(out.size(), 7u);
  EXPECT_EQ(out[0], Value::Text("kept"));
  EXPECT_EQ(out[6], Value::Integer(4));
}

TEST(WireRows, RowLimit) {
  const Bytes body = Body(std::vector<Value>(6), 2);
  EXPECT_EQ(Decode(body, 2, 3).error, "ok");
  const Decoded d = Decode(body, 2, 2);
  EXPECT_EQ(d.error, "Rows: rows at byte 48: more than option \"max_rows\"");
  EXPECT_EQ(d.rows, 2u);
  EXPECT_EQ(d.cells.size(), 4u);
}

TEST(WireRows, Malformed) {
  EXPECT_EQ(Error(""), "Rows: end marker at byte 0: missing");
  EXPECT_EQ(Error("01 00 00 00 00 00 00 00  07 00 00 00 00 00 00 00"),
            "Rows: end marker at byte 16: missing");
  EXPECT_EQ(Error("ff ff ff ff ff ff ff ff 00"), "Rows: end at byte 8: surplus bytes");
  EXPECT_EQ(Error("01 00 00 00 00 00 00 00"), "Rows: row at byte 0: truncated");
  EXPECT_EQ(Error("01 00 00 00 00 00 00 00  ff ff ff ff ff ff ff ff", 0),
            "Rows: row header at byte 0: a row without columns");
  // A marker must be whole.
  EXPECT_EQ(Error("ff ff ff ff ff ff ff fe  00 00 00 00 00 00 00 00"),
            "Rows: cell at byte 8: unknown tag");
  EXPECT_EQ(Error("ee ee ee ee ee ee ee ef  00 00 00 00 00 00 00 00"),
            "Rows: cell at byte 8: unknown tag");
  EXPECT_EQ(Error("03 00 00 00 00 00 00 00  61 61 61 61 61 61 61 61"),
            "Rows: cell at byte 8: unterminated text");
  EXPECT_EQ(Error("04 00 00 00 00 00 00 00  01 00 00 00 00 00 00 00"),
            "Rows: cell at byte 8: blob length beyond the end");
  EXPECT_EQ(Error("04 00 00 00 00 00 00 00  ff ff ff ff ff ff ff ff  ff ff ff ff ff ff ff ff"),
            "Rows: cell at byte 8: blob length beyond the end");
  // 4 GiB more than there is: the length must not be cut to 32 bits.
  EXPECT_EQ(Error("04 00 00 00 00 00 00 00  00 00 00 00 01 00 00 00  ff ff ff ff ff ff ff ff"),
            "Rows: cell at byte 8: blob length beyond the end");
  EXPECT_EQ(Error("13 00 00 00 00 00 00 00  61 61 61 61 61 61 61 61  00 00 00 00 00 00 00 00", 2),
            "Rows: cell at byte 24: truncated");
}

TEST(WireRows, EveryUnknownTag) {
  for (const char tag : {'0', '6', '7', '8', 'c', 'd', 'e', 'f'}) {
    const std::string hex = std::string(1, tag) +
                            "1 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00" +
                            "00 00 00 00 00 00 00 00  ff ff ff ff ff ff ff ff";
    EXPECT_EQ(Error(hex, 2), "Rows: cell at byte 16: unknown tag") << tag;
  }
}

TEST(WireRows, EarlierRowsOfABrokenFrameAreCounted) {
  const Decoded d = Decode(Hex("01 00 00 00 00 00 00 00  07 00 00 00 00 00 00 00  06 00 00 00 00 "
                               "00 00 00  00 00 00 00 00 00 00 00"),
                           1);
  EXPECT_EQ(d.error, "Rows: cell at byte 24: unknown tag");
  EXPECT_EQ(d.rows, 1u);
  EXPECT_EQ(d.cells, std::vector<Value>{Value::Integer(7)});
}

TEST(WireRows, EveryPrefixIsAnError) {
  const std::vector<Value> cells = {Value::Integer(1), Value::Text("12345678"), Value::Blob("abc"),
                                    Value::Null(),     Value::Float(2),         Value::Text("")};
  const Bytes body = Body(cells, 3);
  for (size_t size = 0; size < body.size(); ++size) {
    const Bytes part(body.begin(), body.begin() + static_cast<ptrdiff_t>(size));
    EXPECT_NE(Decode(part, 3).error, "ok") << size;
  }
}

TEST(WireRows, RandomRowsSurviveTheRoundTrip) {
  std::mt19937 rng(1);
  const std::string pool(300, 'p');
  for (int round = 0; round < 200; ++round) {
    const size_t columns = 1 + rng() % 40;
    const size_t rows = rng() % 100;
    std::vector<Value> cells;
    for (size_t i = 0; i < columns * rows; ++i) {
      const std::string_view bytes =
          std::string_view(pool).substr(0, rng() % (rng() % 8 == 0 ? 300 : 20));
      switch (rng() % 5) {
        case 0:
          cells.push_back(Value::Integer(static_cast<int64_t>(rng())));
          break;
        case 1:
          cells.push_back(Value::Float(static_cast<double>(rng()) / 7));
          break;
        case 2:
          cells.push_back(Value::Text(bytes));
          break;
        case 3:
          cells.push_back(Value::Blob(bytes));
          break;
        default:
          cells.push_back(Value::Null());
      }
    }
    const Decoded d = Decode(Body(cells, columns, RowsEnd::kPart), columns);
    ASSERT_EQ(d.error, "ok");
    ASSERT_EQ(d.end, RowsEnd::kPart);
    ASSERT_EQ(d.rows, rows);
    ASSERT_EQ(d.cells, cells);
  }
}

TEST(WireColumns, NamesMayBeEmptyAndRepeated) {
  const std::vector<std::string_view> names = {"", "a", "a", "", "eight888"};
  Bytes out;
  Writer w(out);
  EncodeColumns(w, names);
  Reader r(out.data(), out.size());
  std::vector<std::string_view> decoded = {"old"};
  DecodeColumns(r, Limits(), decoded);
  EXPECT_TRUE(r.ok());
  EXPECT_EQ(r.remaining(), 0u);
  EXPECT_EQ(decoded, names);
}

TEST(WireColumns, Errors) {
  const auto error = [](std::string_view hex, const Limits& limits = {}) {
    const Bytes in = Hex(hex);
    Reader r(in.data(), in.size());
    std::vector<std::string_view> names = {"old"};
    DecodeColumns(r, limits, names);
    EXPECT_EQ(names.empty(), !r.ok());
    return std::string(r.status("Rows").message());
  };
  EXPECT_EQ(error("00 00 00 00"), "Rows: column count at byte 0: truncated");
  EXPECT_EQ(error("02 00 00 00 00 00 00 00 61 00 00 00 00 00 00 00"),
            "Rows: column count at byte 0: larger than the body");
  EXPECT_EQ(error("d1 07 00 00 00 00 00 00"),
            "Rows: column count at byte 0: more than option \"max_columns\"");
  EXPECT_EQ(error("ff ff ff ff ff ff ff ff"),
            "Rows: column count at byte 0: more than option \"max_columns\"");
  EXPECT_EQ(error("01 00 00 00 00 00 00 00 61 61 61 61 61 61 61 61"),
            "Rows: column name at byte 8: unterminated text");
  Limits tight;
  tight.columns = 1;
  tight.column_name_bytes = 3;
  EXPECT_EQ(error("01 00 00 00 00 00 00 00 61 62 63 00 00 00 00 00", tight), "ok");
  EXPECT_EQ(error("01 00 00 00 00 00 00 00 61 62 63 64 00 00 00 00", tight),
            "Rows: column name at byte 8: longer than option \"max_column_name\"");
  EXPECT_EQ(error("02 00 00 00 00 00 00 00 61 00 00 00 00 00 00 00 61 00 00 00 00 00 00 00", tight),
            "Rows: column count at byte 0: more than option \"max_columns\"");
}

TEST(WireRowsMessage, WhatTheEncoderRefuses) {
  Bytes out;
  response::Rows rows;
  rows.columns = {"a", "b"};
  rows.cells = {Value::Null()};
  rows.row_count = 1;
  EXPECT_EQ(Encode(rows, 0, out).message(), "Rows: cells: not columns times rows");
  rows.cells.push_back(Value::Text(std::string_view("\0", 1)));
  EXPECT_EQ(Encode(rows, 0, out).message(), "Rows: cells: text holds a NUL");
  rows.cells[1] = Value::Null();
  rows.columns[0] = std::string_view("\0", 1);
  EXPECT_EQ(Encode(rows, 0, out).message(), "Rows: column name: text holds a NUL");
  response::Rows none;
  none.row_count = 1;
  EXPECT_EQ(Encode(none, 0, out).message(), "Rows: cells: not columns times rows");
  EXPECT_TRUE(out.empty());
}

}  // namespace
}  // namespace dqc::wire
