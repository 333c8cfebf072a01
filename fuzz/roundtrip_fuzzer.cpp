/* SPDX-License-Identifier: MIT */
// Messages built from the input: [request or reply][type][schema][fields …]. A legal one must
// encode and decode to the same fields; an illegal one (NUL in text, too many parameters) must be
// refused and leave nothing behind.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "wire/fields.hpp"
#include "wire/message.hpp"

namespace {

using namespace dqc;
using namespace dqc::wire;

void Require(bool condition) {
  if (!condition) std::abort();
}

constexpr Limits kLimits;

// What both visitors have in common.
struct Visitor {
  uint8_t schema_used = 0;

  uint8_t schema() const { return schema_used; }
  const Limits& limits() const { return kLimits; }
  void Reserved32() {}
  void Tail() {}
  friend bool operator==(const Visitor&, const Visitor&) = default;
};

// Visitor that fills a message. Owns what the views of the message point to.
class Builder : public Visitor {
 public:
  Builder(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  bool legal() const { return legal_; }
  uint8_t Byte() { return size_ == 0 ? uint8_t{0} : (--size_, *data_++); }

  void U32(const char*, uint32_t& v) { v = static_cast<uint32_t>(Number()); }
  void U64(const char*, uint64_t& v) { v = Number(); }
  void Text(const char*, std::string_view& text) {
    text = Chars(Byte());
    if (text.find('\0') != std::string_view::npos) legal_ = false;
  }
  void Address(std::string_view& text) { Text("", text); }
  void FileName(std::string_view& text) { Text("", text); }
  void ErrorText(std::string_view& text) { Text("", text); }
  void EndsHere(bool& v) { v = (Byte() & 1) != 0; }
  void LegacyLeader(bool& v) { EndsHere(v); }
  void ServersWithRoles(bool& v) { EndsHere(v); }

  void Params(wire::Params& params) {
    const size_t count = Byte() * (schema() == 0 ? size_t{1} : size_t{2}) + (Byte() == 77 ? 1 : 0);
    for (size_t i = 0; i < count; ++i) values_.push_back(AnyValue());
    for (const Value& value : values_) legal_ = legal_ && value.tag != Tag::kUnixTime;
    if (schema() == 0 && values_.size() > kParamsMaxV0) legal_ = false;
    params = values_;
  }

  template <typename T, typename EachField>
  void List(const char*, std::vector<T>& list, uint32_t, const char*, size_t, EachField each) {
    for (int count = Byte() % 5; count > 0; --count) each(list.emplace_back());
  }
  void Content(std::string_view& content) { content = Chars(size_t{Byte()} * kWord); }

  void Rows(response::Rows& m) {
    m.columns.resize(Byte() % 40);
    for (std::string_view& name : m.columns) Text("", name);
    m.row_count = m.columns.empty() ? 0 : Byte();
    m.cells.reserve(m.columns.size() * m.row_count);
    while (m.cells.size() < m.columns.size() * m.row_count) m.cells.push_back(AnyValue());
    m.end = (Byte() & 1) != 0 ? RowsEnd::kPart : RowsEnd::kDone;
  }

 private:
  uint64_t Number() {
    uint64_t v = 0;
    for (int bytes = Byte() % 9; bytes > 0; --bytes) v = v << 8 | Byte();
    return v;
  }

  std::string_view Chars(size_t size) {
    std::string& text = strings_.emplace_back(size, 'x');
    for (size_t i = 0; i < size && size_ > 0; ++i) text[i] = static_cast<char>(Byte());
    return text;
  }

  Value AnyValue() {
    constexpr Tag kTags[] = {Tag::kNull, Tag::kInteger, Tag::kFloat,    Tag::kText,
                             Tag::kBlob, Tag::kIso8601, Tag::kUnixTime, Tag::kBoolean};
    Value value;
    value.tag = kTags[Byte() % std::size(kTags)];
    if (value.tag == Tag::kText || value.tag == Tag::kBlob || value.tag == Tag::kIso8601) {
      const std::string_view chars = Chars(Byte() % 32);
      value.as.data = chars.data();
      value.size = static_cast<uint32_t>(chars.size());
      if (value.tag != Tag::kBlob && chars.find('\0') != std::string_view::npos) legal_ = false;
    } else if (value.tag != Tag::kNull) {
      value.as.integer = static_cast<int64_t>(Number());
    }
    return value;
  }

  const uint8_t* data_;
  size_t size_;
  bool legal_ = true;
  std::deque<std::string> strings_;
  std::vector<Value> values_;
};

// Visitor that compares with another message, field by field, without the encoder's help.
class Lister : public Visitor {
 public:
  explicit Lister(uint8_t schema) : Visitor{schema} {}
  friend bool operator==(const Lister&, const Lister&) = default;

  void U32(const char*, uint32_t v) { numbers_.push_back(v); }
  void U64(const char*, uint64_t v) { numbers_.push_back(v); }
  void Text(const char*, std::string_view text) { texts_.emplace_back(text); }
  void Address(std::string_view text) { texts_.emplace_back(text); }
  void FileName(std::string_view text) { texts_.emplace_back(text); }
  void ErrorText(std::string_view text) { texts_.emplace_back(text); }
  void EndsHere(bool v) { numbers_.push_back(v ? 1 : 0); }
  void LegacyLeader(bool v) { EndsHere(v); }
  void ServersWithRoles(bool v) { EndsHere(v); }
  void Params(wire::Params params) { values_.insert(values_.end(), params.begin(), params.end()); }
  template <typename T, typename EachField>
  void List(const char*, const std::vector<T>& list, uint32_t, const char*, size_t,
            EachField each) {
    numbers_.push_back(list.size());
    for (const T& entry : list) each(entry);
  }
  void Content(std::string_view content) { texts_.emplace_back(content); }
  void Rows(const response::Rows& m) {
    texts_.insert(texts_.end(), m.columns.begin(), m.columns.end());
    values_ = m.cells;
    numbers_ = {m.row_count, static_cast<uint64_t>(m.end)};
  }

 private:
  std::vector<uint64_t> numbers_;
  std::vector<std::string> texts_;
  std::vector<Value> values_;
};

template <typename M>
void Check(Builder& builder, uint8_t schema) {
  builder.schema_used = schema;
  M message{};
  Fields(builder, message);
  Bytes out = {1, 2, 3};
  const Status status = Encode(message, schema, out);
  Require(status.ok() == builder.legal());
  if (!status.ok()) return Require(out == Bytes{1, 2, 3});

  DecodeContext context;
  std::vector<Value> params;
  context.params = &params;
  if constexpr (requires { message.legacy; }) context.legacy_leader = message.legacy;
  if constexpr (requires { message.with_roles; }) context.servers_with_roles = message.with_roles;
  const Bytes frame(out.begin() + 3, out.end());
  const Result<M> decoded =
      DecodeBody<M>(ParseHeader(frame.data()), frame.data() + kHeaderBytes, context);
  Require(decoded.ok());
  Lister expected(schema);
  Lister actual(schema);
  Fields(expected, static_cast<const M&>(message));
  Fields(actual, decoded.value());
  Require(expected == actual);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Builder builder(data, size);
  const bool is_request = (builder.Byte() & 1) != 0;
  const uint8_t type = builder.Byte();
  const uint8_t schema = builder.Byte() & 1;
  switch (is_request ? type % 20 : 20 + type % 11) {
#define DQC_X(Name, number, schema_max, reply)                   \
  case number:                                                   \
    Check<request::Name>(builder, schema_max >= 1 ? schema : 0); \
    break;
    DQC_WIRE_REQUESTS(DQC_X)
#undef DQC_X
#define DQC_X(Name, number, schema_max)                           \
  case 20 + number:                                               \
    Check<response::Name>(builder, schema_max >= 1 ? schema : 0); \
    break;
    DQC_WIRE_RESPONSES(DQC_X)
#undef DQC_X
  }
  return 0;
}
