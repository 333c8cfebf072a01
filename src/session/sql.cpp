/* SPDX-License-Identifier: MIT */
#include "session/sql.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>

#include "session/sql_lexer.hpp"

namespace dqc::sql {
namespace {

constexpr char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

// FNV-1a
constexpr uint64_t kHashStart = 0xcbf29ce484222325;
constexpr uint64_t Hash(uint64_t hash, char c) {
  return (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
}

struct Verb {
  std::string_view word;
  Kind kind;
};

constexpr Verb kVerbs[] = {
    {"SELECT", Kind::kSelect},     {"INSERT", Kind::kInsert},  {"UPDATE", Kind::kUpdate},
    {"DELETE", Kind::kDelete},     {"REPLACE", Kind::kInsert}, {"VALUES", Kind::kSelect},
    {"BEGIN", Kind::kBegin},       {"COMMIT", Kind::kCommit},  {"END", Kind::kCommit},
    {"ROLLBACK", Kind::kRollback}, {"PRAGMA", Kind::kPragma},  {"SAVEPOINT", Kind::kSavepoint},
    {"RELEASE", Kind::kRelease},   {"VACUUM", Kind::kVacuum},  {"ATTACH", Kind::kAttach},
    {"DETACH", Kind::kAttach},
};

constexpr size_t kWithVerbs = 6;  // the first six of kVerbs may follow a WITH clause

// Statements without rows in which RETURNING can only be a name.
constexpr std::string_view kQuietVerbs[] = {"CREATE", "DROP", "ALTER", "ANALYZE", "REINDEX"};

struct ReadPragma {
  std::string_view name;
  bool with_value;  // the value only says what to read
};

// Pragmas that change nothing; any other (wal_checkpoint, optimize, incremental_vacuum, dqlite's
// own delete_database …) may act even without a value.
constexpr ReadPragma kReadPragmas[] = {
    {"table_info", true},          {"table_xinfo", true},         {"table_list", true},
    {"index_list", true},          {"index_info", true},          {"index_xinfo", true},
    {"foreign_key_list", true},    {"foreign_key_check", true},   {"integrity_check", true},
    {"quick_check", true},         {"database_list", true},       {"collation_list", true},
    {"compile_options", true},     {"function_list", true},       {"module_list", true},
    {"pragma_list", true},         {"data_version", true},        {"freelist_count", true},
    {"page_count", true},          {"user_version", false},       {"schema_version", false},
    {"application_id", false},     {"foreign_keys", false},       {"defer_foreign_keys", false},
    {"encoding", false},           {"auto_vacuum", false},        {"automatic_index", false},
    {"analysis_limit", false},     {"busy_timeout", false},       {"cache_size", false},
    {"cache_spill", false},        {"journal_mode", false},       {"journal_size_limit", false},
    {"legacy_alter_table", false}, {"locking_mode", false},       {"max_page_count", false},
    {"mmap_size", false},          {"page_size", false},          {"query_only", false},
    {"read_uncommitted", false},   {"recursive_triggers", false}, {"secure_delete", false},
    {"synchronous", false},        {"temp_store", false},         {"trusted_schema", false},
    {"wal_autocheckpoint", false}, {"count_changes", false},
};

bool PragmaOnlyReads(std::string_view name, bool has_value) {
  for (const ReadPragma& pragma : kReadPragmas) {
    if (EqualsIgnoreCase(name, pragma.name)) return pragma.with_value || !has_value;
  }
  return false;
}

// Finds out what a statement is, token by token.
class Classifier {
 public:
  Classifier(std::string_view text, Statement& out) : text_(text), out_(out) {}

  void Take(const Token& token) {
    optimizes_ = optimizes_ || Named(token, "pragma_optimize") ||
                 (token.type == TokenType::kOpen && Named(last_, "optimize"));
    upserts_ = upserts_ || (Word(last_, "DO") && Word(token, "UPDATE"));
    says_fail_ = says_fail_ || (Word(token, "FAIL") && AsPolicy());
    before_ = last_;
    last_ = token;
    if (token.type == TokenType::kClose) --depth_;
    switch (phase_) {
      case Phase::kBody:
        TakeBody(token);
        break;
      case Phase::kVerb:
        TakeVerb(token);
        break;
      case Phase::kWith:
      case Phase::kWithName:
        TakeWithName(token);
        break;
      case Phase::kWithList:
        TakeWithList(token);
        break;
      case Phase::kPragmaName:
        TakePragma(token);
        break;
    }
    if (token.type == TokenType::kOpen) ++depth_;
  }

  void Finish() {
    // So far it told whether there is a value.
    out_.pragma_sets = is_pragma_ && !PragmaOnlyReads(out_.pragma_name, out_.pragma_sets);
    // With unbalanced parentheses "top level" means nothing: the careful answer.
    if (returning_inside_ && depth_ != 0) out_.returning = true;
    if (out_.kind == Kind::kSavepoint || out_.kind == Kind::kRelease ||
        out_.kind == Kind::kRollbackTo) {
      out_.savepoint = SavepointKey(last_.In(text_));
    }
    out_.upserts = upserts_ && out_.kind == Kind::kInsert && !explain_;
    out_.makes_fail = says_fail_ && out_.kind == Kind::kOther;
    out_.optimizes = optimizes_ && out_.kind == Kind::kSelect && !explain_;
    if (explain_) {
      out_.kind = Kind::kExplain;
      out_.returning = false;
    }
  }

 private:
  enum class Phase : uint8_t { kVerb, kWith, kWithName, kWithList, kPragmaName, kBody };

  bool Word(const Token& token, std::string_view word) const {
    return token.type == TokenType::kWord && EqualsIgnoreCase(token.In(text_), word);
  }

  // The same, quoted or not.
  bool Named(const Token& token, std::string_view name) const {
    const std::string_view text = token.In(text_);
    return Word(token, name) || (token.type == TokenType::kQuoted && text.size() > 2 &&
                                 EqualsIgnoreCase(text.substr(1, text.size() - 2), name));
  }

  // Is the FAIL that comes next a conflict policy? The word may be a name.
  bool AsPolicy() const {
    if (last_.type == TokenType::kOpen) return Word(before_, "RAISE");
    if (Word(last_, "CONFLICT")) return Word(before_, "ON");
    return Word(last_, "OR") && (Word(before_, "INSERT") || Word(before_, "UPDATE"));
  }

  // The RETURNING clause stands outside all parentheses.
  void TakeBody(const Token& token) {
    ++place_;
    if (token.type != TokenType::kWord) return;
    TakeOption(token);
    if (watch_returning_ && Word(token, "RETURNING")) {
      (depth_ <= 0 ? out_.returning : returning_inside_) = true;
    } else if (out_.kind == Kind::kRollback && Word(token, "TO")) {
      out_.kind = Kind::kRollbackTo;
    }
  }

  // BEGIN IMMEDIATE, INSERT OR ROLLBACK …
  void TakeOption(const Token& token) {
    if (out_.kind == Kind::kBegin && place_ == 1) {
      out_.locks = Word(token, "IMMEDIATE") || Word(token, "EXCLUSIVE");
    } else if (out_.kind == Kind::kInsert || out_.kind == Kind::kUpdate) {
      if (place_ == 1) says_or_ = Word(token, "OR");
      if (place_ == 2 && says_or_)
        out_.on_conflict = Word(token, "ROLLBACK") ? OnConflict::kRollback
                           : Word(token, "FAIL")   ? OnConflict::kFail
                                                   : OnConflict::kOther;
      // ON CONFLICT … DO UPDATE fails by itself, whatever was said before.
      if (out_.on_conflict == OnConflict::kRollback && Word(token, "DO"))
        out_.on_conflict = OnConflict::kUnsaid;
    }
  }

  void TakeVerb(const Token& token) {
    if (token.type == TokenType::kOpen) return;
    if (Word(token, "EXPLAIN")) {
      explain_ = true;
    } else if (Word(token, "WITH")) {
      SetKind(Kind::kOther, true);
      phase_ = Phase::kWith;
    } else if (!explain_ || !(Word(token, "QUERY") || Word(token, "PLAN"))) {
      phase_ = Phase::kBody;
      FindVerb(token, std::size(kVerbs));
    }
  }

  // Sets kind and phase by the word, if it is one of the first `count` verbs.
  bool FindVerb(const Token& token, size_t count) {
    const auto* const end = kVerbs + count;
    const auto* const verb =
        std::find_if(kVerbs, end, [&](const Verb& v) { return Word(token, v.word); });
    if (verb != end) {
      SetKind(verb->kind, false);
      if (verb->word == "REPLACE") out_.on_conflict = OnConflict::kOther;
      is_pragma_ = verb->kind == Kind::kPragma;
      phase_ = is_pragma_ ? Phase::kPragmaName : Phase::kBody;
      return true;
    }
    SetKind(Kind::kOther, std::none_of(std::begin(kQuietVerbs), std::end(kQuietVerbs),
                                       [&](std::string_view v) { return Word(token, v); }));
    return false;
  }

  void SetKind(Kind kind, bool unknown) {
    out_.kind = kind;
    place_ = 0;
    watch_returning_ = unknown || out_.dml();
  }

  // A table name may be any word, REPLACE for one.
  void TakeWithName(const Token& token) {
    const bool recursive = phase_ == Phase::kWith && Word(token, "RECURSIVE");
    phase_ = recursive ? Phase::kWithName : Phase::kWithList;
  }

  void TakeWithList(const Token& token) {
    if (depth_ > 0) return;
    if (token.type == TokenType::kComma) {
      phase_ = Phase::kWithName;
    } else if (token.type == TokenType::kWord && !FindVerb(token, kWithVerbs)) {
      TakeBody(token);  // AS, MATERIALIZED …; RETURNING without a verb is suspect
    }
  }

  // [schema .] name [= value | (value)]
  void TakePragma(const Token& token) {
    if (token.type == TokenType::kWord) {
      out_.pragma_name = token.In(text_);
    } else if (token.type == TokenType::kQuoted) {
      const std::string_view quoted = token.In(text_);
      out_.pragma_name = quoted.substr(1, quoted.size() < 2 ? 0 : quoted.size() - 2);
    } else if (token.type != TokenType::kDot) {
      out_.pragma_sets = true;
      phase_ = Phase::kBody;
    }
  }

  std::string_view text_;
  Statement& out_;
  Phase phase_ = Phase::kVerb;
  bool explain_ = false;
  bool is_pragma_ = false;
  bool watch_returning_ = false;
  bool returning_inside_ = false;  // seen inside parentheses
  bool says_or_ = false;
  bool upserts_ = false;
  bool says_fail_ = false;
  bool optimizes_ = false;
  uint64_t place_ = 0;  // of the token behind the verb, from 1
  Token last_, before_;
  int64_t depth_ = 0;
};

// Numbers the variables of one statement as sqlite3ExprAssignVarNumber() does. Up to 64 distinct
// names are kept in place; more of them allocate.
class ParamNumbers {
 public:
  uint32_t count() const { return count_; }

  // The index of `variable`; 0 for "?0", which SQLite refuses. Saturates at UINT32_MAX.
  uint32_t Take(std::string_view variable) {
    if (variable.size() == 1) return Append();
    if (variable[0] != '?') return TakeName(variable);
    uint32_t index = UINT32_MAX;
    const char* const end = variable.data() + variable.size();
    if (std::from_chars(variable.data() + 1, end, index).ec != std::errc()) index = UINT32_MAX;
    count_ = std::max(count_, index);
    return index;
  }

 private:
  struct Name {  // trivial, so that an unused array costs nothing
    uint64_t hash;
    const char* text;
    size_t size;
    uint32_t index;
  };
  static constexpr size_t kInPlace = 64;

  uint32_t Append() { return count_ == UINT32_MAX ? count_ : ++count_; }

  uint32_t TakeName(std::string_view name) {
    uint64_t hash = kHashStart;
    for (const char c : name) hash = Hash(hash, c);
    for (size_t i = 0; i < used_; ++i) {
      const Name& known = names_[i];
      if (known.hash == hash && std::string_view(known.text, known.size) == name) {
        return known.index;
      }
    }
    if (used_ < kInPlace) {
      names_[used_++] = {hash, name.data(), name.size(), Append()};
      return count_;
    }
    const auto [position, added] = more_.try_emplace(name, 0);
    if (added) position->second = Append();
    return position->second;
  }

  uint32_t count_ = 0;
  size_t used_ = 0;
  std::array<Name, kInPlace> names_;  // the first used_ are set
  std::map<std::string_view, uint32_t> more_;
};

// As ScanStatement; `closed` tells whether a ';' ends the statement.
Statement Scan(std::string_view sql, size_t offset, bool& closed) {
  Statement out;
  out.begin = out.text_end = std::min(offset, sql.size());
  StatementTokens tokens(sql, offset);
  Classifier classifier(sql, out);
  ParamNumbers params;
  bool empty = true;
  for (Token token = tokens.Next(); token.type != TokenType::kEnd; token = tokens.Next()) {
    if (empty) out.begin = token.begin;
    empty = false;
    out.text_end = token.end;
    if (token.type == TokenType::kVariable) params.Take(token.In(sql));
    classifier.Take(token);
  }
  classifier.Finish();
  out.param_count = params.count();
  out.end = tokens.end();
  closed = tokens.closed();
  // Nothing but "(": not known, but not empty.
  if (!empty && out.kind == Kind::kEmpty) out.kind = Kind::kOther;
  return out;
}

}  // namespace

bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (Lower(a[i]) != Lower(b[i])) return false;
  }
  return true;
}

uint64_t SavepointKey(std::string_view name) {
  const char first = name.empty() ? '\0' : name.front();
  const bool quoted = first == '\'' || first == '"' || first == '`' || first == '[';
  const char quote = first == '[' ? ']' : first;
  uint64_t hash = kHashStart;
  for (size_t i = quoted ? 1 : 0; i < name.size(); ++i) {
    if (quoted && name[i] == quote && (i + 1 == name.size() || name[++i] != quote)) break;
    hash = Hash(hash, Lower(name[i]));
  }
  return hash;
}

Statement ScanStatement(std::string_view sql, size_t offset) {
  bool closed = false;
  return Scan(sql, offset, closed);
}

Summary Summarize(std::string_view sql) {
  Summary out;
  out.has_nul = sql.find('\0') != std::string_view::npos;
  for (size_t offset = 0; offset < sql.size();) {
    bool closed = false;
    const Statement statement = Scan(sql, offset, closed);
    if (statement.kind == Kind::kEmpty) break;
    if (out.statements++ == 0) out.first = statement;
    out.any_returning = out.any_returning || statement.returning;
    out.any_yields_rows = out.any_yields_rows || statement.yields_rows();
    out.any_params = out.any_params || statement.param_count > 0;
    out.text_end = closed ? statement.end : statement.text_end;
    offset = statement.end;
  }
  if (out.statements == 0) out.first = ScanStatement(sql);
  return out;
}

void ListParams(std::string_view sql, size_t offset, std::vector<Param>& out) {
  StatementTokens tokens(sql, offset);
  ParamNumbers params;
  std::map<uint32_t, size_t> places;  // index -> element of out
  for (Token token = tokens.Next(); token.type != TokenType::kEnd; token = tokens.Next()) {
    if (token.type != TokenType::kVariable) continue;
    const std::string_view variable = token.In(sql);
    const uint32_t index = params.Take(variable);
    if (index == 0) continue;
    const std::string_view name = variable.size() > 1 ? variable : std::string_view();
    const auto [place, added] = places.try_emplace(index, out.size());
    if (added) {
      out.push_back({index, name});
    } else if (out[place->second].name.empty()) {
      out[place->second].name = name;  // "?, ?1": SQLite names the first one "?1"
    }
  }
}

}  // namespace dqc::sql
