/* SPDX-License-Identifier: MIT */
#include "wire/rows.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "wire/endian.hpp"

namespace dqc::wire {
namespace {

constexpr size_t kTagsPerWord = 16;
constexpr uint64_t kTagMask = 15;
// Cells made room for at once while it is unknown how many the frame holds: 16 KiB.
constexpr size_t kCellsStep = 1024;

constexpr size_t RowHeaderBytes(size_t column_count) {
  return (column_count + kTagsPerWord - 1) / kTagsPerWord * kWord;
}

// The first NUL of [at, end), or null. Short text is common, so its first word is tested without a
// call.
inline const uint8_t* FindNul(const uint8_t* at, const uint8_t* end) {
  constexpr uint64_t kOnes = 0x0101010101010101ull;
  const auto word = LoadLittle<uint64_t>(at);
  const uint64_t zeros =
      (word - kOnes) & ~word & (kOnes << 7);  // its lowest bit marks the first zero byte
  if (zeros != 0) return at + std::countr_zero(zeros) / 8;
  return static_cast<const uint8_t*>(
      std::memchr(at + kWord, 0, static_cast<size_t>(end - at) - kWord));
}

// Behind `size` bytes at `at` and their padding; null if that is beyond `end`.
inline const uint8_t* Behind(const uint8_t* at, uint64_t size, const uint8_t* end) {
  const auto left = static_cast<size_t>(end - at);
  if (size > left) return nullptr;
  const size_t padding = PaddingAfter(static_cast<size_t>(size));
  if (padding > left - size) return nullptr;
  return at + size + padding;
}

inline void SetBytes(Value& out, const uint8_t* data, uint64_t size) {
  out.as.data = reinterpret_cast<const char*>(data);
  out.size = static_cast<uint32_t>(size);  // a body is smaller than 4 GiB, see DecodeRows
}

// One cell at `at`, with at least a word before `end`: returns what follows it, or null if it is
// malformed.
inline const uint8_t* DecodeCell(uint64_t tag, const uint8_t* at, const uint8_t* end, Value& out) {
  out.tag = static_cast<Tag>(tag);
  out.size = 0;
  switch (out.tag) {
    case Tag::kInteger:
    case Tag::kUnixTime:
    case Tag::kBoolean:
    case Tag::kFloat:  // the bits, whichever member reads them
      out.as.integer = LoadLittle<int64_t>(at);
      return at + kWord;
    case Tag::kNull:
      out.as.integer = 0;
      return at + kWord;
    case Tag::kText:
    case Tag::kIso8601: {
      const uint8_t* nul = FindNul(at, end);
      if (nul == nullptr) return nullptr;
      SetBytes(out, at, static_cast<size_t>(nul - at));
      return Behind(at, uint64_t{out.size} + 1, end);
    }
    case Tag::kBlob: {
      const auto size = LoadLittle<uint64_t>(at);
      SetBytes(out, at + kWord, size);
      return Behind(at + kWord, size, end);
    }
  }
  return nullptr;
}

const char* CellFault(uint64_t tag) {
  if (!IsCellTag(static_cast<uint8_t>(tag))) return "unknown tag";
  return static_cast<Tag>(tag) == Tag::kBlob ? "blob length beyond the end" : "unterminated text";
}

// Cells of one row. `*at` moves behind the row, or onto the malformed cell; then the result says
// why.
inline const char* DecodeRow(const uint8_t** at, const uint8_t* end, size_t column_count,
                             Value* out) {
  const uint8_t* header = *at;
  const uint8_t* cell = header + RowHeaderBytes(column_count);
  uint64_t tags = 0;
  for (size_t i = 0; i < column_count; ++i, tags >>= 4) {
    if (i % kTagsPerWord == 0) {
      tags = LoadLittle<uint64_t>(header);
      header += kWord;
    }
    *at = cell;
    if (static_cast<size_t>(end - cell) < kWord) return "truncated";
    cell = DecodeCell(tags & kTagMask, cell, end, out[i]);
    if (cell == nullptr) return CellFault(tags & kTagMask);
  }
  *at = cell;
  return nullptr;
}

// Vector storage for cells, filled through a pointer: it grows in steps and is cut to what was used
// at the end.
class CellSink {
 public:
  CellSink(std::vector<Value>& cells, size_t column_count)
      : cells_(cells), column_count_(column_count), used_(cells.size()) {}
  CellSink(const CellSink&) = delete;
  CellSink& operator=(const CellSink&) = delete;
  ~CellSink() { cells_.resize(used_); }

  // Room for one row. `rows_left`: no more rows than this can follow, counting this one.
  Value* Row(size_t rows_left) {
    if (cells_.size() - used_ < column_count_) Grow(rows_left);
    return cells_.data() + used_;
  }
  void Commit() { used_ += column_count_; }

 private:
  void Grow(size_t rows_left) {
    const size_t most = rows_left * column_count_;
    cells_.resize(used_ + std::min(most, std::max({used_, kCellsStep, column_count_})));
  }

  std::vector<Value>& cells_;
  const size_t column_count_;
  size_t used_;
};

}  // namespace

void DecodeColumns(Reader& r, const Limits& limits, std::vector<std::string_view>& names) {
  names.clear();
  const size_t count_at = r.offset();
  const uint64_t count = r.U64("column count");
  if (count > limits.columns) {
    r.FailAt(count_at, "column count", "more than option \"max_columns\"", Code::kLimit);
  }
  // A name takes a word at least.
  if (count > r.remaining() / kWord) r.FailAt(count_at, "column count", "larger than the body");
  if (!r.ok()) return;
  names.reserve(static_cast<size_t>(count));
  for (uint64_t i = 0; i < count && r.ok(); ++i) {
    names.push_back(
        r.Text("column name", limits.column_name_bytes, "longer than option \"max_column_name\""));
  }
  if (!r.ok()) names.clear();
}

RowsEnd DecodeRows(Reader& r, size_t column_count, uint64_t rows_max, std::vector<Value>& cells,
                   uint64_t* row_count) {
  if (!r.ok()) return RowsEnd::kDone;
  if (r.remaining() > kMessageBytesMax) {
    r.FailAt(r.offset(), "rows", "larger than any frame", Code::kLimit);
    return RowsEnd::kDone;
  }
  const uint8_t* at = r.cursor();
  const uint8_t* const end = at + r.remaining();
  const size_t header_bytes = RowHeaderBytes(column_count);
  const size_t row_bytes_min = header_bytes + column_count * kWord;
  const auto stop = [&r, &at](const char* field, const char* why, Code code = Code::kProtocol) {
    r.Skip(static_cast<size_t>(at - r.cursor()));
    r.FailAt(r.offset(), field, why, code);
    return RowsEnd::kDone;
  };
  CellSink sink(cells, column_count);
  for (uint64_t rows = 0;; ++rows, ++*row_count) {
    const auto left = static_cast<size_t>(end - at);
    if (left < kWord) return stop("end marker", "missing");
    const auto first = LoadLittle<uint64_t>(at);
    // No row header looks like a marker: tags 14 and 15 do not exist.
    if (first == kRowsDone || first == kRowsPart) {
      at += kWord;
      if (at != end) return stop("end", "surplus bytes");
      r.Skip(r.remaining());
      return first == kRowsDone ? RowsEnd::kDone : RowsEnd::kPart;
    }
    if (column_count == 0) return stop("row header", "a row without columns");
    if (rows == rows_max) return stop("rows", "more than option \"max_rows\"", Code::kLimit);
    if (left < row_bytes_min) return stop("row", "truncated");
    const char* fault = DecodeRow(&at, end, column_count, sink.Row(left / row_bytes_min));
    if (fault != nullptr) return stop("cell", fault);
    sink.Commit();
  }
}

void EncodeColumns(Writer& w, const std::vector<std::string_view>& names) {
  w.U64(names.size());
  for (const std::string_view name : names) w.Text(name);
}

void EncodeRow(Writer& w, const Value* cells, size_t column_count) {
  for (size_t i = 0; i < column_count; i += 2) {
    const auto low = static_cast<uint8_t>(cells[i].tag);
    const auto high = i + 1 < column_count ? static_cast<uint8_t>(cells[i + 1].tag) : uint8_t{0};
    w.U8(static_cast<uint8_t>(low | high << 4));
  }
  w.Align();
  for (size_t i = 0; i < column_count; ++i) EncodeValue(w, cells[i]);
}

void EncodeEnd(Writer& w, RowsEnd end) { w.U64(end == RowsEnd::kDone ? kRowsDone : kRowsPart); }

}  // namespace dqc::wire
