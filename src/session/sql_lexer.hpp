/* SPDX-License-Identifier: MIT */
// SQLite's tokenizer, as far as it decides where statements end, what they are and how parameters
// are numbered. Offsets are bytes. Never allocates; time is linear in the text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace dqc::sql {

enum class TokenType : uint8_t {
  kEnd,
  kWord,      // keyword or bare identifier
  kQuoted,    // 'text', "name", `name`, [name], terminated or not
  kVariable,  // ?, ?1, :a, @a, $a, #a
  kSemicolon,
  kOpen,
  kClose,
  kComma,
  kDot,
  kEquals,
  kOther,  // numbers, blobs, operators, bytes that SQLite refuses
};

struct Token {
  TokenType type = TokenType::kEnd;
  size_t begin = 0;
  size_t end = 0;

  std::string_view In(std::string_view text) const { return text.substr(begin, end - begin); }
};

// Tokens of a text; blanks, comments and byte order marks are passed over.
// A NUL is one refused byte here, although SQLite ends at it: callers refuse such texts as a whole.
class Lexer {
 public:
  Lexer(std::string_view text, size_t offset)
      : text_(text), at_(offset < text.size() ? offset : text.size()) {}
  Token Next();  // kEnd at the end of the text, again and again

 private:
  unsigned char Peek(size_t distance) const {
    return at_ + distance < text_.size() ? static_cast<unsigned char>(text_[at_ + distance]) : 0;
  }
  size_t EndOfRun(uint8_t what, size_t from) const;
  bool SkipComment(unsigned char first);
  TokenType Take(unsigned char first);
  TokenType TakeNumber();
  TokenType TakeWord();
  TokenType TakeVariable();
  void TakeQuoted(char quote);
  size_t FindOrEnd(char what, size_t from) const;

  std::string_view text_;
  size_t at_;
};

// Tokens of the first statement at or behind `offset` that is not empty, its last ';' excluded.
// The statement ends where sqlite3_complete() says: the ';' inside CREATE TRIGGER do not count.
class StatementTokens {
 public:
  StatementTokens(std::string_view text, size_t offset) : text_(text), lexer_(text, offset) {}
  Token Next();                        // kEnd behind the last token
  size_t end() const { return end_; }  // once Next() gave kEnd: behind the ';', or the text's size
  bool closed() const { return closed_; }  // once Next() gave kEnd: a ';' ends the statement

 private:
  // The states of sqlite3_complete(), in its order.
  enum class State : uint8_t { kStart, kNormal, kExplain, kCreate, kTrigger, kSemi, kEnd };
  State AfterSemicolon() const;
  State AfterToken(const Token& token) const;

  std::string_view text_;
  Lexer lexer_;
  State state_ = State::kStart;
  bool done_ = false;
  bool closed_ = false;
  size_t end_ = 0;
};

}  // namespace dqc::sql
