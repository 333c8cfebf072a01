/* SPDX-License-Identifier: MIT */
#include "mock/frames.hpp"

#include <memory>
#include <stdexcept>
#include <utility>

#include "wire/endian.hpp"
#include "wire/rows.hpp"
#include "wire/writer.hpp"

namespace dqc::mock {
namespace {

using wire::Tag;
using wire::Writer;

void Finish(Writer& w) {
  if (!w.End()) throw std::invalid_argument("mock: frame larger than any server sends");
}

void PutColumns(Writer& w, const Columns& columns) {
  w.U64(columns.size());
  for (const std::string& name : columns) w.Text(name);
}

void PutRow(Writer& w, const Row& row, size_t column_count) {
  if (row.size() != column_count) throw std::invalid_argument("mock: row and columns differ");
  std::vector<wire::Value> values;
  values.reserve(row.size());
  for (const Cell& cell : row) values.push_back(cell.view());
  wire::EncodeRow(w, values.data(), values.size());
}

constexpr auto kRows = static_cast<uint8_t>(wire::ResponseType::kRows);

}  // namespace

Cell::Cell(const wire::Value& value) : tag(value.tag) {
  switch (tag) {
    case Tag::kText:
    case Tag::kIso8601:
    case Tag::kBlob:
      bytes = value.bytes();
      break;
    case Tag::kFloat:
      real = value.as.real;
      break;
    default:
      integer = value.as.integer;
  }
}

Cell Cell::Blob(std::string v) {
  Cell cell(std::move(v));
  cell.tag = Tag::kBlob;
  return cell;
}

Cell Cell::Iso8601(std::string v) {
  Cell cell(std::move(v));
  cell.tag = Tag::kIso8601;
  return cell;
}

Cell Cell::UnixTime(int64_t seconds) {
  Cell cell(seconds);
  cell.tag = Tag::kUnixTime;
  return cell;
}

Cell Cell::Boolean(int64_t raw) {
  Cell cell(raw);
  cell.tag = Tag::kBoolean;
  return cell;
}

wire::Value Cell::view() const {
  switch (tag) {
    case Tag::kText:
      return wire::Value::Text(bytes);
    case Tag::kIso8601:
      return wire::Value::Iso8601(bytes);
    case Tag::kBlob:
      return wire::Value::Blob(bytes);
    case Tag::kFloat:
      return wire::Value::Float(real);
    default:
      wire::Value value = wire::Value::Integer(integer);
      value.tag = tag;
      return value;
  }
}

Stream TableStream(Table table) {
  auto shared = std::make_shared<const Table>(std::move(table));
  return [shared, next = uint64_t{0}](Bytes& out) mutable {
    const size_t start = out.size();
    const size_t columns = shared->columns.size();
    Writer w(out);
    w.Begin(kRows, 0);
    PutColumns(w, shared->columns);
    // The server looks at the frame's size before it fetches a row, and learns of the end by
    // fetching.
    while (columns > 0 && out.size() - start < kPageBytes) {
      if (next == shared->row_count()) break;
      const uint64_t at = next++;
      const size_t held = shared->rows.size();
      PutRow(w, at < held ? shared->rows[static_cast<size_t>(at)] : shared->make(at - held),
             columns);
    }
    const bool part = columns > 0 && out.size() - start >= kPageBytes;
    wire::EncodeEnd(w, part ? wire::RowsEnd::kPart : wire::RowsEnd::kDone);
    Finish(w);
    return part;
  };
}

Bytes RowsFrame(const Columns& columns, const std::vector<Row>& rows, wire::RowsEnd end) {
  Bytes out;
  Writer w(out);
  w.Begin(kRows, 0);
  PutColumns(w, columns);
  for (const Row& row : rows) PutRow(w, row, columns.size());
  wire::EncodeEnd(w, end);
  Finish(w);
  return out;
}

Bytes FailureFrame(uint64_t code, std::string_view text, const Bytes& prefix) {
  Bytes out;
  Writer w(out);
  w.Begin(static_cast<uint8_t>(wire::ResponseType::kFailure), 0);
  w.Raw(prefix.data(), prefix.size());
  w.U64(code);
  w.Text(text);
  Finish(w);
  return out;
}

Bytes LeftoverRows(const Columns& columns, const std::vector<Row>& rows) {
  Bytes out = RowsFrame(columns, rows, wire::RowsEnd::kDone);
  out.erase(out.begin(), out.begin() + wire::kHeaderBytes);
  out.resize(out.size() - wire::kWord);  // the marker
  return out;
}

Bytes HeaderBytes(uint32_t words, uint8_t type, uint8_t schema) {
  Bytes out(wire::kHeaderBytes, 0);
  wire::StoreLittle(out.data(), words);
  out[4] = type;
  out[5] = schema;
  return out;
}

}  // namespace dqc::mock
