/* SPDX-License-Identifier: MIT */
// The column and row decoder: [columns][body]. With `columns` 0 the body begins with the names;
// otherwise it is rows of so many columns. Every cell must lie inside the body, and rows times
// columns must be the number of cells.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "wire/rows.hpp"

namespace {

using namespace dqc;
using namespace dqc::wire;

void Require(bool condition) {
  if (!condition) std::abort();
}

bool Inside(const Bytes& body, const char* data, size_t size) {
  const auto* at = reinterpret_cast<const uint8_t*>(data);
  const uint8_t* end = body.data() + body.size();
  return at >= body.data() && at <= end && size <= static_cast<size_t>(end - at);
}

void CheckText(const Bytes& body, std::string_view text) {
  Require(Inside(body, text.data(), text.size() + 1));
  Require(text.data()[text.size()] == '\0');
  Require(text.find('\0') == std::string_view::npos);
}

void CheckCell(const Bytes& body, const Value& cell) {
  Require(IsCellTag(static_cast<uint8_t>(cell.tag)));
  switch (cell.tag) {
    case Tag::kText:
    case Tag::kIso8601:
      return CheckText(body, cell.bytes());
    case Tag::kBlob:
      return Require(Inside(body, cell.as.data, cell.size));
    case Tag::kNull:
      return Require(cell.as.integer == 0 && cell.size == 0);
    default:
      return Require(cell.size == 0);
  }
}

// What was accepted is the same when it is encoded and decoded again.
void CheckRoundTrip(const std::vector<Value>& cells, size_t columns, RowsEnd end) {
  Bytes encoded;
  Writer w(encoded);
  for (size_t i = 0; i < cells.size(); i += columns) EncodeRow(w, &cells[i], columns);
  EncodeEnd(w, end);
  Reader r(encoded.data(), encoded.size());
  std::vector<Value> again;
  uint64_t rows = 0;
  Require(DecodeRows(r, columns, UINT64_MAX, again, &rows) == end);
  Require(r.ok() && again == cells);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  size_t columns = data[0];
  const Bytes body(data + 1, data + size);
  Reader r(body.data(), body.size());
  if (columns == 0) {
    std::vector<std::string_view> names;
    DecodeColumns(r, Limits(), names);
    for (const std::string_view name : names) CheckText(body, name);
    Require(r.ok() || names.empty());
    columns = names.size();
  }
  if (!r.ok()) return 0;

  const uint64_t rows_max = body.size() % 3 == 0 ? 2 : UINT64_MAX;
  const Value kept = Value::Integer(7);
  std::vector<Value> cells = {kept};
  uint64_t rows = 0;
  const RowsEnd end = DecodeRows(r, columns, rows_max, cells, &rows);
  Require(r.offset() <= body.size());
  Require(!r.ok() || r.remaining() == 0);
  Require(rows <= rows_max);
  Require(cells.size() == 1 + rows * columns && cells[0] == kept);
  cells.erase(cells.begin());
  for (const Value& cell : cells) CheckCell(body, cell);
  if (r.ok()) CheckRoundTrip(cells, columns, end);
  return 0;
}
