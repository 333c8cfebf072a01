/* SPDX-License-Identifier: MIT */
#include "wire/value.hpp"

#include <algorithm>
#include <bit>

#include "base/limits.hpp"
#include "wire/endian.hpp"

namespace dqc::wire {
namespace {

Value Bytewise(std::string_view v, Tag tag) {
  Value value;
  value.as.data = v.data();
  // Saturated rather than cut: such a value is beyond any frame, so that the encoder refuses it.
  value.size = static_cast<uint32_t>(std::min<size_t>(v.size(), UINT32_MAX));
  value.tag = tag;
  return value;
}

Value Word(int64_t v, Tag tag) {
  Value value;
  value.as.integer = v;
  value.tag = tag;
  return value;
}

// `tag` was checked by IsParamTag.
Value DecodeParam(Reader& r, Tag tag) {
  switch (tag) {
    case Tag::kInteger:
      return Word(r.I64("integer"), Tag::kInteger);
    case Tag::kFloat:
      return Value::Float(r.F64("float"));
    case Tag::kText:
      return Value::Text(r.Text("text"));
    case Tag::kBlob:
      return Value::Blob(r.Blob("blob"));
    case Tag::kNull:
      r.U64("null");  // the word must be there; its content means nothing
      return Value::Null();
    case Tag::kIso8601:
      return Value::Iso8601(r.Text("iso8601"));
    case Tag::kBoolean:
      return Word(r.I64("boolean"), Tag::kBoolean);
    case Tag::kUnixTime:
      break;
  }
  return Value::Null();
}

}  // namespace

void EncodeValue(Writer& w, const Value& value) {
  switch (value.tag) {
    case Tag::kFloat:
      w.F64(value.as.real);
      break;
    case Tag::kText:
    case Tag::kIso8601:
      w.Text(value.bytes());
      break;
    case Tag::kBlob:
      w.Blob(value.as.data, value.size);
      break;
    case Tag::kNull:
      w.U64(0);
      break;
    case Tag::kInteger:
    case Tag::kUnixTime:
    case Tag::kBoolean:
      w.I64(value.as.integer);
      break;
  }
}

Value Value::Integer(int64_t v) { return Word(v, Tag::kInteger); }

Value Value::Float(double v) {
  Value value;
  value.as.real = v;
  value.tag = Tag::kFloat;
  return value;
}

Value Value::Text(std::string_view v) { return Bytewise(v, Tag::kText); }
Value Value::Blob(std::string_view v) { return Bytewise(v, Tag::kBlob); }
Value Value::Iso8601(std::string_view v) { return Bytewise(v, Tag::kIso8601); }
Value Value::Boolean(bool v) { return Word(v ? 1 : 0, Tag::kBoolean); }

bool operator==(const Value& a, const Value& b) {
  if (a.tag != b.tag) return false;
  switch (a.tag) {
    case Tag::kNull:
      return true;
    case Tag::kFloat:
      return std::bit_cast<uint64_t>(a.as.real) == std::bit_cast<uint64_t>(b.as.real);
    case Tag::kText:
    case Tag::kBlob:
    case Tag::kIso8601:
      return a.bytes() == b.bytes();
    default:
      return a.as.integer == b.as.integer;
  }
}

void EncodeParams(Writer& w, std::span<const Value> values, uint8_t schema) {
  if (values.empty()) return;  // the whole tuple is left out (section 3.2)
  if (schema == 0) {
    w.U8(static_cast<uint8_t>(values.size()));
  } else {
    w.U32(static_cast<uint32_t>(values.size()));
  }
  for (const Value& value : values) w.U8(static_cast<uint8_t>(value.tag));
  w.Align();
  for (const Value& value : values) EncodeValue(w, value);
}

void DecodeParams(Reader& r, uint8_t schema, uint32_t params_max, std::vector<Value>& out) {
  out.clear();
  if (!r.ok() || r.remaining() == 0) return;
  const size_t count_at = r.offset();
  const uint32_t count = schema == 0 ? r.U8("param count") : r.U32("param count");
  if (count > params_max)
    r.FailAt(count_at, "param count", "more than option \"max_params\"", Code::kLimit);
  if (count > r.remaining()) r.FailAt(count_at, "param count", "larger than the body");
  const size_t tags_at = r.offset();
  const std::string_view tags = r.Bytes("param tags", count);
  r.Align("param tags");
  for (size_t i = 0; i < tags.size(); ++i) {
    if (!IsParamTag(static_cast<uint8_t>(tags[i]))) {
      r.FailAt(tags_at + i, "param tag", "not a tag of a parameter");
    }
  }
  // Every value takes a word at least, so this also bounds what is reserved.
  if (count > r.remaining() / kWord) r.Fail("param values", "truncated");
  if (!r.ok()) return;
  out.reserve(count);
  for (const char tag : tags) out.push_back(DecodeParam(r, static_cast<Tag>(tag)));
  if (!r.ok()) out.clear();
}

bool IsParamTag(uint8_t tag) { return IsCellTag(tag) && static_cast<Tag>(tag) != Tag::kUnixTime; }

bool IsCellTag(uint8_t tag) {
  switch (static_cast<Tag>(tag)) {
    case Tag::kInteger:
    case Tag::kFloat:
    case Tag::kText:
    case Tag::kBlob:
    case Tag::kNull:
    case Tag::kUnixTime:
    case Tag::kIso8601:
    case Tag::kBoolean:
      return true;
  }
  return false;
}

}  // namespace dqc::wire
