/* SPDX-License-Identifier: MIT */
#include "params.hpp"

#include <algorithm>
#include <cstring>
#include <string>

namespace dqc::capi {

namespace {

Status Bad(const std::string& what) { return Status::Make(Code::kParams, what); }

Status NamedPositions(const dqc_value* values, size_t count, std::span<const sql::Param> params,
                      std::span<wire::Value> out) {
  // An index that no parameter has, as 1 and 2 of "SELECT ?3", is NULL.
  std::vector<bool> set(out.size(), true);
  for (const sql::Param& param : params) {
    if (param.index <= out.size()) set[param.index - 1] = false;
  }
  std::fill(out.begin(), out.end(), wire::Value::Null());
  for (size_t i = 0; i < count; ++i) {
    if (values[i].name == nullptr) return Bad("values with and without a name in one call");
    const std::string_view name(values[i].name);
    const uint32_t index = IndexOf(params, name);
    if (index == 0 || index > out.size()) {
      return Bad("the statement has no parameter \"" + std::string(name) +
                 "\" (names include their prefix, as \":a\")");
    }
    if (set[index - 1]) return Bad("parameter \"" + std::string(name) + "\" has two values");
    set[index - 1] = true;
    DQC_TRY(ToWire(values[i], &out[index - 1]));
  }
  for (size_t i = 0; i < set.size(); ++i) {
    if (!set[i]) return Bad("parameter " + std::to_string(i + 1) + " has no value");
  }
  return {};
}

}  // namespace

Status ToWire(const dqc_value& value, wire::Value* out) {
  const auto bytes = [&](wire::Tag tag) -> Status {
    const char* data = static_cast<const char*>(value.as.data);
    if (data == nullptr && value.size != 0) return Bad("a text or blob value has a NULL pointer");
    size_t size = value.size;
    if (size == DQC_CSTR) {
      if (tag == wire::Tag::kBlob) return Bad("a blob value needs its size");
      size = std::strlen(data);
    }
    if (size > INT32_MAX)
      return Bad("a value of " + std::to_string(size) + " bytes: SQLite's limit is 2147483647");
    if (tag != wire::Tag::kBlob && size > 0 && std::memchr(data, 0, size) != nullptr) {
      return Bad("a text value has a NUL inside, where servers would cut it: bind it as a blob");
    }
    out->as.data = data;
    out->size = static_cast<uint32_t>(size);
    out->tag = tag;
    return {};
  };
  switch (value.type) {
    case DQC_INTEGER:
      *out = wire::Value::Integer(value.as.integer);
      return {};
    case DQC_FLOAT:
      *out = wire::Value::Float(value.as.real);
      return {};
    case DQC_BOOLEAN:
      *out = wire::Value::Boolean(value.as.integer != 0);
      return {};
    case DQC_NULL:
      *out = wire::Value::Null();
      return {};
    case DQC_TEXT:
      return bytes(wire::Tag::kText);
    case DQC_BLOB:
      return bytes(wire::Tag::kBlob);
    case DQC_ISO8601:
      return bytes(wire::Tag::kIso8601);
    case DQC_UNIXTIME:
      return Bad("DQC_UNIXTIME is a type of cells only: bind a DQC_INTEGER");
    default:
      return Bad("a value of unknown type " + std::to_string(value.type));
  }
}

void SortByName(std::vector<sql::Param>& params) {
  std::sort(params.begin(), params.end(),
            [](const sql::Param& a, const sql::Param& b) { return a.name < b.name; });
}

uint32_t IndexOf(std::span<const sql::Param> sorted, std::string_view name) {
  const auto at = std::lower_bound(
      sorted.begin(), sorted.end(), name,
      [](const sql::Param& param, std::string_view wanted) { return param.name < wanted; });
  return name.empty() || at == sorted.end() || at->name != name ? 0 : at->index;
}

Status CheckParamCount(uint64_t param_count, const Limits& limits) {
  if (param_count <= limits.params) return {};
  return Status::Make(Code::kLimit, "the statement has " + std::to_string(param_count) +
                                        " parameters (option \"max_params\" is " +
                                        std::to_string(limits.params) + ")");
}

Status Params::Set(const dqc_value* values, size_t count, uint64_t param_count,
                   std::span<const sql::Param> params, const Limits& limits) {
  DQC_TRY(CheckParamCount(param_count, limits));
  const bool named = count > 0 && values[0].name != nullptr;
  if (!named && count != param_count) {
    return Bad("the statement has " + std::to_string(param_count) + " parameters, the call has " +
               std::to_string(count) + " values");
  }
  count_ = static_cast<size_t>(param_count);
  if (count_ > kOnStack) heap_.resize(count_);
  wire::Value* out = count_ > kOnStack ? heap_.data() : stack_;
  if (named) return NamedPositions(values, count, params, {out, count_});
  for (size_t i = 0; i < count; ++i) {
    if (values[i].name != nullptr) return Bad("values with and without a name in one call");
    DQC_TRY(ToWire(values[i], &out[i]));
  }
  return {};
}

void Params::Use(std::vector<wire::Value> values) {
  heap_ = std::move(values);
  count_ = heap_.size();
}

}  // namespace dqc::capi
