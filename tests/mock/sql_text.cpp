/* SPDX-License-Identifier: MIT */
#include "mock/sql_text.hpp"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <vector>

namespace dqc::mock {
namespace {

bool IsWordChar(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

size_t SkipTo(std::string_view text, size_t from, std::string_view end) {
  const size_t at = text.find(end, from);
  return at == std::string_view::npos ? text.size() : at + end.size();
}

// Behind the comment or quoted text at `at`; `at` itself if there is none.
size_t SkipOpaque(std::string_view text, size_t at) {
  if (text.compare(at, 2, "--") == 0) return SkipTo(text, at + 2, "\n");
  if (text.compare(at, 2, "/*") == 0) return SkipTo(text, at + 2, "*/");
  if (text[at] == '[') return SkipTo(text, at + 1, "]");
  if (text[at] == '\'' || text[at] == '"' || text[at] == '`') {
    return SkipTo(text, at + 1, text.substr(at, 1));  // a doubled quote opens the next piece
  }
  return at;
}

std::string Upper(std::string_view word) {
  std::string out(word);
  for (char& c : out) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out;
}

class Scanner {
 public:
  SqlStatement Run(std::string_view text) {
    size_t at = 0;
    while (at < text.size()) {
      if (text[at] == ';') {
        out_.end = at + 1;
        return out_;
      }
      if (const size_t behind = SkipOpaque(text, at); behind > at) {
        // Only a comment leaves the statement empty.
        if (out_.empty() && text[at] != '-' && text[at] != '/') out_.first_word = "?";
        at = behind;
        continue;
      }
      const size_t start = at++;
      while (at < text.size() && IsWordChar(text[at])) ++at;
      Token(text.substr(start, at - start));
    }
    out_.end = text.size();
    return out_;
  }

 private:
  // A word, or one other character with the word behind it: `?12`, `:name`, `(x`.
  void Token(std::string_view token) {
    const char first = token[0];
    if (IsWordChar(first)) return Word(Upper(token));
    if (first == '?') {
      uint64_t index = last_param_ + 1;
      if (token.size() > 1)
        index = std::strtoull(std::string(token.substr(1, 9)).c_str(), nullptr, 10);
      Param(index);
    } else if ((first == ':' || first == '@' || first == '$') && token.size() > 1) {
      const auto known = std::find(names_.begin(), names_.end(), token);
      if (known == names_.end()) {
        names_.push_back(token);
        Param(last_param_ + 1);
      }
    } else if (token.size() > 1) {
      Word(Upper(token.substr(1)));
    } else if (out_.empty() && std::isspace(static_cast<unsigned char>(first)) == 0) {
      out_.first_word = "?";
    }
  }

  void Param(uint64_t index) {
    last_param_ = std::max(last_param_, index);
    out_.params = last_param_;
  }

  void Word(const std::string& word) {
    if (out_.empty()) {
      out_.first_word = word;
    } else if (out_.second_word.empty()) {
      out_.second_word = word;
    }
    if (word == "RETURNING") out_.returning = true;
    const bool dml = word == "INSERT" || word == "UPDATE" || word == "DELETE" || word == "REPLACE";
    if (dml && (out_.first_word == word || out_.first_word == "WITH")) out_.writes = true;
  }

  SqlStatement out_;
  uint64_t last_param_ = 0;
  std::vector<std::string_view> names_;
};

}  // namespace

bool SqlStatement::yields_rows() const {
  if (writes) return returning;
  return first_word == "SELECT" || first_word == "VALUES" || first_word == "WITH" ||
         first_word == "EXPLAIN";
}

SqlStatement ScanSql(std::string_view text) { return Scanner().Run(text); }

bool HasStatement(std::string_view text) {
  while (!text.empty()) {
    const SqlStatement statement = ScanSql(text);
    if (!statement.empty()) return true;
    text.remove_prefix(statement.end);
  }
  return false;
}

}  // namespace dqc::mock
