/* SPDX-License-Identifier: MIT */
// ROWS frames (section 4): column header, rows with 4-bit tags, end marker.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/limits.hpp"
#include "wire/value.hpp"

namespace dqc::wire {

enum class RowsEnd : uint8_t { kDone, kPart };

// Column header: count and names. The views point into the reader's bytes.
void DecodeColumns(Reader& r, const Limits& limits, std::vector<std::string_view>& names);

// Rows up to and including the end marker. Appends row-major cells that point into the reader's
// bytes, adds the number of rows to *row_count; ends with the reader exactly at the end of the body
// or with an error in it. Each cell kText/kIso8601 is NUL-terminated in place. Zero columns: only a
// marker is legal. At most `rows_max` rows; more is an error.
RowsEnd DecodeRows(Reader& r, size_t column_count, uint64_t rows_max, std::vector<Value>& cells,
                   uint64_t* row_count);

// For mocks and tests: the inverse.
void EncodeColumns(Writer& w, const std::vector<std::string_view>& names);
void EncodeRow(Writer& w, const Value* cells, size_t column_count);
void EncodeEnd(Writer& w, RowsEnd end);

}  // namespace dqc::wire
