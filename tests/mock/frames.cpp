/* SPDX-License-Identifier: MIT */
#include "mock/frames.hpp"

#include <algorithm>
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

// One FILES frame, piece by piece.
class FilesMaker {
 public:
  explicit FilesMaker(const std::vector<MadeFile>& files) : files_(files) {}

  bool operator()(Bytes& out) {
    if (file_ == 0 && at_ == 0 && !begun_) Begin(out);
    if (file_ == files_.size()) return false;
    const MadeFile& file = files_[file_];
    if (at_ == 0) {
      PutText(out, file.name);
      PutWord(out, file.bytes);
    }
    const uint64_t end = std::min(file.bytes, at_ + kStep);
    for (; at_ < end; ++at_) out.push_back(static_cast<uint8_t>(FileByte(at_)));
    if (at_ == file.bytes) {
      ++file_;
      at_ = 0;
    }
    return file_ < files_.size();
  }

 private:
  static constexpr uint64_t kStep = 64 << 10;

  static void PutWord(Bytes& out, uint64_t v) {
    uint8_t word[wire::kWord];
    wire::StoreLittle(word, v);
    out.insert(out.end(), word, word + wire::kWord);
  }
  static size_t TextBytes(std::string_view text) {
    return (text.size() / wire::kWord + 1) * wire::kWord;
  }
  static void PutText(Bytes& out, std::string_view text) {
    const size_t end = out.size() + TextBytes(text);
    out.insert(out.end(), text.begin(), text.end());
    out.resize(end);
  }
  void Begin(Bytes& out) {
    begun_ = true;
    uint64_t body = wire::kWord;
    for (const MadeFile& file : files_) body += TextBytes(file.name) + wire::kWord + file.bytes;
    if (body % wire::kWord != 0 || body / wire::kWord > UINT32_MAX)
      throw std::invalid_argument("mock: files that fit in no frame");
    const Bytes header = HeaderBytes(static_cast<uint32_t>(body / wire::kWord),
                                     static_cast<uint8_t>(wire::ResponseType::kFiles));
    out.insert(out.end(), header.begin(), header.end());
    PutWord(out, files_.size());
  }

  std::vector<MadeFile> files_;
  bool begun_ = false;
  size_t file_ = 0;
  uint64_t at_ = 0;
};

}  // namespace

char FileByte(uint64_t offset) { return static_cast<char>(offset * 31 + (offset >> 12)); }

Stream FilesStream(const std::vector<MadeFile>& files) { return FilesMaker(files); }

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
