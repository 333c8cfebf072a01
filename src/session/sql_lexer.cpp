/* SPDX-License-Identifier: MIT */
#include "session/sql_lexer.hpp"

#include <array>

#include "session/sql.hpp"

namespace dqc::sql {
namespace {

enum Class : uint8_t { kBlank = 1, kIdent = 2, kDigit = 4, kHex = 8, kSpace = 16, kPassed = 32 };

// kBlank starts white space; kSpace may go on with it: SQLite takes \v only behind another blank.
// kPassed may start a comment or a byte order mark.
constexpr std::array<uint8_t, 256> MakeClasses() {
  std::array<uint8_t, 256> table{};
  for (const char c : {' ', '\t', '\n', '\f', '\r'}) {
    table[static_cast<unsigned char>(c)] = kBlank | kSpace;
  }
  table['\v'] = kSpace;
  for (unsigned c = 'a'; c <= 'z'; ++c) table[c] = table[c - 32] = kIdent;
  for (unsigned c = 'a'; c <= 'f'; ++c) table[c] = table[c - 32] = kIdent | kHex;
  for (unsigned c = '0'; c <= '9'; ++c) table[c] = kIdent | kDigit | kHex;
  for (unsigned c = 0x80; c <= 0xff; ++c) table[c] = kIdent;
  table['_'] = table['$'] = kIdent;
  table['-'] = table['/'] = kPassed;
  table[0xef] |= kPassed;
  return table;
}

constexpr std::array<uint8_t, 256> kClasses = MakeClasses();

constexpr bool Is(unsigned char byte, Class what) { return (kClasses[byte] & what) != 0; }

}  // namespace

size_t Lexer::FindOrEnd(char what, size_t from) const {
  const size_t found = text_.find(what, from);
  return found == std::string_view::npos ? text_.size() : found;
}

size_t Lexer::EndOfRun(uint8_t what, size_t from) const {
  const size_t size = text_.size();
  const char* const data = text_.data();
  while (from < size && (kClasses[static_cast<unsigned char>(data[from])] & what) != 0) ++from;
  return from;
}

// A comment or a byte order mark: true if there was one.
bool Lexer::SkipComment(unsigned char first) {
  if (first == '-' && Peek(1) == '-') {
    at_ = FindOrEnd('\n', at_ + 2);
    return true;
  }
  // "/*" as the last two bytes is a slash and a star to SQLite.
  if (first == '/' && Peek(1) == '*' && at_ + 2 < text_.size()) {
    const size_t close = text_.find("*/", at_ + 2);
    at_ = close == std::string_view::npos ? text_.size() : close + 2;
    return true;
  }
  if (first == 0xef && Peek(1) == 0xbb && Peek(2) == 0xbf) {
    at_ += 3;
    return true;
  }
  return false;
}

Token Lexer::Next() {
  while (at_ < text_.size()) {
    const auto first = static_cast<unsigned char>(text_[at_]);
    const size_t begin = at_;
    if (Is(first, kBlank)) {
      at_ = EndOfRun(kSpace, at_ + 1);
    } else if (!Is(first, kPassed) || !SkipComment(first)) {
      const TokenType type = Take(first);
      return {type, begin, at_};
    }
  }
  return {TokenType::kEnd, at_, at_};
}

TokenType Lexer::Take(unsigned char first) {
  if (Is(first, kDigit)) return TakeNumber();
  if (Is(first, kIdent) && first != '$') return TakeWord();
  switch (first) {
    case '\'':
    case '"':
    case '`':
      TakeQuoted(static_cast<char>(first));
      return TokenType::kQuoted;
    case '[':
      at_ = FindOrEnd(']', at_ + 1);
      if (at_ < text_.size()) ++at_;
      return TokenType::kQuoted;
    case '?':
      do {
        ++at_;
      } while (Is(Peek(0), kDigit));
      return TokenType::kVariable;
    case ':':
    case '@':
    case '$':
    case '#':
      return TakeVariable();
    case '.':
      if (Is(Peek(1), kDigit)) return TakeNumber();
      ++at_;
      return TokenType::kDot;
    default:
      break;
  }
  ++at_;
  switch (first) {
    case ';':
      return TokenType::kSemicolon;
    case '(':
      return TokenType::kOpen;
    case ')':
      return TokenType::kClose;
    case ',':
      return TokenType::kComma;
    case '=':
      return TokenType::kEquals;
    default:
      return TokenType::kOther;
  }
}

// Decimal, digit separators and malformed tails ("12ab") included; a hexadecimal one ends behind its
// digits, as in SQLite before 3.46: later ones refuse what follows without a blank.
TokenType Lexer::TakeNumber() {
  const auto digits = [this] {
    while (Is(Peek(0), kDigit)) ++at_;
  };
  if (Peek(0) == '0' && (Peek(1) | 32) == 'x' && Is(Peek(2), kHex)) {
    at_ = EndOfRun(kHex, at_ + 2);
    return TokenType::kOther;
  }
  digits();
  if (Peek(0) == '.') {
    ++at_;
    digits();
  }
  const bool is_signed = Peek(1) == '+' || Peek(1) == '-';
  if ((Peek(0) | 32) == 'e' && Is(Peek(is_signed ? 2 : 1), kDigit)) {
    at_ += is_signed ? 2 : 1;
    digits();
  }
  while (Is(Peek(0), kIdent)) ++at_;
  return TokenType::kOther;
}

TokenType Lexer::TakeWord() {
  if ((Peek(0) | 32) == 'x' && Peek(1) == '\'') {  // a blob ends at the next quote, good or bad
    at_ = FindOrEnd('\'', at_ + 2);
    if (at_ < text_.size()) ++at_;
    return TokenType::kOther;
  }
  at_ = EndOfRun(kIdent, at_ + 1);
  return TokenType::kWord;
}

// ":a", "$a::b(xyz)": as SQLite, every prefix takes the Tcl form; "#1" is a register, not a
// variable.
TokenType Lexer::TakeVariable() {
  const bool is_register = Peek(0) == '#' && Is(Peek(1), kDigit);
  bool named = false;
  ++at_;
  for (;;) {
    const unsigned char byte = Peek(0);
    if (Is(byte, kIdent)) {
      named = true;
      ++at_;
    } else if (byte == ':' && Peek(1) == ':') {
      at_ += 2;
    } else {
      break;
    }
  }
  if (named && Peek(0) == '(') {
    while (at_ < text_.size() && !Is(Peek(0), kSpace) && Peek(0) != ')') ++at_;
    if (Peek(0) != ')') return TokenType::kOther;
    ++at_;
  }
  return named && !is_register ? TokenType::kVariable : TokenType::kOther;
}

void Lexer::TakeQuoted(char quote) {
  ++at_;
  for (;;) {
    at_ = FindOrEnd(quote, at_);
    if (at_ == text_.size()) return;
    ++at_;
    if (Peek(0) != static_cast<unsigned char>(quote)) return;
    ++at_;
  }
}

Token StatementTokens::Next() {
  Token token{TokenType::kEnd, end_, end_};
  while (!done_) {
    token = lexer_.Next();
    if (token.type == TokenType::kEnd) {
      done_ = true;
      end_ = text_.size();
    } else if (token.type != TokenType::kSemicolon) {
      state_ = AfterToken(token);
      return token;
    } else if (state_ != State::kStart) {  // a ';' before the statement is passed over
      state_ = AfterSemicolon();
      if (state_ != State::kStart) return token;
      done_ = closed_ = true;
      end_ = token.end;
    }
  }
  token.type = TokenType::kEnd;
  return token;
}

StatementTokens::State StatementTokens::AfterSemicolon() const {
  return state_ == State::kTrigger || state_ == State::kSemi ? State::kSemi : State::kStart;
}

StatementTokens::State StatementTokens::AfterToken(const Token& token) const {
  if (state_ == State::kNormal || state_ == State::kTrigger) return state_;  // most tokens
  const std::string_view word =
      token.type == TokenType::kWord ? token.In(text_) : std::string_view();
  switch (state_) {
    case State::kStart:
      if (EqualsIgnoreCase(word, "CREATE")) return State::kCreate;
      return EqualsIgnoreCase(word, "EXPLAIN") ? State::kExplain : State::kNormal;
    case State::kExplain:
      if (EqualsIgnoreCase(word, "CREATE")) return State::kCreate;
      for (const char* const other : {"EXPLAIN", "TEMP", "TEMPORARY", "TRIGGER", "END"}) {
        if (EqualsIgnoreCase(word, other)) return State::kNormal;
      }
      return State::kExplain;
    case State::kCreate:
      if (EqualsIgnoreCase(word, "TRIGGER")) return State::kTrigger;
      if (EqualsIgnoreCase(word, "TEMP") || EqualsIgnoreCase(word, "TEMPORARY")) return state_;
      return State::kNormal;
    case State::kSemi:
      return EqualsIgnoreCase(word, "END") ? State::kEnd : State::kTrigger;
    default:
      return State::kTrigger;  // behind "; END" came something else than ';'
  }
}

}  // namespace dqc::sql
