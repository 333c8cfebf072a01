/* SPDX-License-Identifier: MIT */
// As much SQL as the mock understands: where a statement ends, how it begins, its parameters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace dqc::mock {

// The first statement of a text. Quotes and comments are respected, trigger bodies are not.
struct SqlStatement {
  size_t end = 0;          // behind its ';', or the size of the text
  std::string first_word;  // upper case; empty: blanks and comments only
  std::string second_word;
  uint64_t params = 0;  // the highest parameter index
  bool writes = false;  // INSERT, UPDATE, DELETE, REPLACE, also behind WITH
  bool returning = false;

  bool empty() const { return first_word.empty(); }
  bool yields_rows() const;
};

SqlStatement ScanSql(std::string_view text);

// Whether something other than blanks, comments and ';' is in the text.
bool HasStatement(std::string_view text);

}  // namespace dqc::mock
