/* SPDX-License-Identifier: MIT */
// Owned values, rows and tables, and single frames as bytes: what scripts are made of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wire/message.hpp"

namespace dqc::mock {

using wire::Bytes;

// One owned cell or parameter. Rows read naturally: Row{1, "one", 1.5, nullptr}.
struct Cell {
  Cell() = default;
  Cell(std::nullptr_t) {}                                    // NOLINT: implicit on purpose
  Cell(int v) : tag(wire::Tag::kInteger), integer(v) {}      // NOLINT
  Cell(int64_t v) : tag(wire::Tag::kInteger), integer(v) {}  // NOLINT
  Cell(double v) : tag(wire::Tag::kFloat), real(v) {}        // NOLINT
  Cell(const char* v) : tag(wire::Tag::kText), bytes(v) {}   // NOLINT
  Cell(std::string v) : tag(wire::Tag::kText), bytes(std::move(v)) {}  // NOLINT
  explicit Cell(const wire::Value& value);
  static Cell Blob(std::string v);
  static Cell Iso8601(std::string v);
  static Cell UnixTime(int64_t seconds);
  static Cell Boolean(int64_t raw);

  wire::Value view() const;  // borrows from this
  friend bool operator==(const Cell& a, const Cell& b) { return a.view() == b.view(); }

  wire::Tag tag = wire::Tag::kNull;
  int64_t integer = 0;
  double real = 0;
  std::string bytes;
};

using Row = std::vector<Cell>;
using Columns = std::vector<std::string>;

// Appends one frame; false says that it was the last. Copies start afresh.
using Stream = std::function<bool(Bytes& out)>;

// A result set. `make` computes rows that are too many to hold: it is asked for 0 … made-1, behind
// those in `rows`.
struct Table {
  Columns columns;
  std::vector<Row> rows;
  uint64_t made = 0;
  std::function<Row(uint64_t)> make;

  uint64_t row_count() const { return rows.size() + made; }
};

// The answer to DUMP, of any size: contents are made as they are sent, 64 KiB at a time.
struct MadeFile {
  std::string name;
  uint64_t bytes;  // whole words
};
Stream FilesStream(const std::vector<MadeFile>& files);
char FileByte(uint64_t offset);  // what is there in each of them

inline constexpr size_t kPageBytes = 4096;

// ROWS frames cut as a real server does (section 4): a page, then PART. Column names that fill a
// page give PART frames without rows for ever.
Stream TableStream(Table table);

// One whole frame. An impossible message throws std::invalid_argument.
template <typename M>
Bytes Frame(const M& response, uint8_t schema = 0) {
  Bytes out;
  if (Status s = wire::Encode(response, schema, out); !s.ok()) {
    throw std::invalid_argument(std::string(s.message()));
  }
  return out;
}

Bytes RowsFrame(const Columns& columns, const std::vector<Row>& rows, wire::RowsEnd end);

// A FAILURE whose code and text follow leftover bytes (section 6.3). LeftoverRows() is such bytes.
Bytes FailureFrame(uint64_t code, std::string_view text, const Bytes& prefix = {});
Bytes LeftoverRows(const Columns& columns, const std::vector<Row>& rows);

// Eight bytes that promise a body of `words` words.
Bytes HeaderBytes(uint32_t words, uint8_t type, uint8_t schema = 0);

}  // namespace dqc::mock
