/* SPDX-License-Identifier: MIT */
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/status.hpp"
#include "wire/reader.hpp"
#include "wire/writer.hpp"

namespace dqc::wire {

// One value of a parameter tuple or one cell; text and blob are borrowed. 16 bytes: the layout is
// dqc_cell's.
struct Value {
  union {
    int64_t integer;   // kInteger, kUnixTime, kBoolean
    double real;       // kFloat
    const char* data;  // kText, kIso8601 (NUL-terminated in cells), kBlob
  } as = {0};
  uint32_t size = 0;  // bytes of text or blob
  Tag tag = Tag::kNull;

  static Value Integer(int64_t v);
  static Value Float(double v);
  static Value Text(std::string_view v);
  static Value Blob(std::string_view v);
  static Value Iso8601(std::string_view v);
  static Value Boolean(bool v);
  static Value Null() { return {}; }

  std::string_view bytes() const { return {as.data, size}; }
  friend bool operator==(const Value& a,
                         const Value& b);  // same tag and same value (floats by bits)
};
static_assert(sizeof(Value) == 16);

void EncodeValue(Writer& w, const Value& value);  // the value alone; its tag is written elsewhere

// Parameter tuple (section 3.2). Schema 0 holds up to 255 values; schema 1 needs a server of era B
// or later.
void EncodeParams(Writer& w, std::span<const Value> values, uint8_t schema);

// Decodes into `out`; an absent tuple is no values. Errors stick in the reader.
void DecodeParams(Reader& r, uint8_t schema, uint32_t params_max, std::vector<Value>& out);

// Tags a client may send (section 3.1): not kUnixTime.
bool IsParamTag(uint8_t tag);
bool IsCellTag(uint8_t tag);

}  // namespace dqc::wire
