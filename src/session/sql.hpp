/* SPDX-License-Identifier: MIT */
// A look at SQL text that is just deep enough to send it safely: where statements end (SQLite's own
// rule, triggers included), what each one is, and how SQLite numbers its parameters. No allocation
// unless said; no parsing beyond tokens; doubtful text is classed as the more dangerous kind. Time
// is linear in the text. A NUL is taken as one more byte that SQLite refuses, though SQLite ends
// there: refuse such texts (Summary::has_nul).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace dqc::sql {

enum class Kind : uint8_t {
  kEmpty,   // blanks, comments, lone semicolons
  kSelect,  // SELECT, VALUES, WITH … SELECT/VALUES
  kExplain,  // EXPLAIN [QUERY PLAN] anything: not run (but some pragmas act when they are prepared: pragma_sets)
  kPragma,
  kInsert,  // INSERT, REPLACE, WITH … INSERT/REPLACE
  kUpdate,
  kDelete,
  kBegin,
  kCommit,  // COMMIT, END
  kRollback,
  kRollbackTo,
  kSavepoint,
  kRelease,
  kVacuum,
  kAttach,  // ATTACH, DETACH
  kOther,   // CREATE, DROP, ALTER, ANALYZE, REINDEX …, and what is not known
};

// What INSERT OR …, UPDATE OR … and REPLACE say of conflicts.
enum class OnConflict : uint8_t {
  kUnsaid,    // the schema decides
  kRollback,  // and nothing in the statement can decide otherwise
  kFail,      // the rows changed before the one that fails stay
  kOther,
};

struct Statement {
  Kind kind = Kind::kEmpty;
  OnConflict on_conflict = OnConflict::kUnsaid;
  bool locks = false;  // BEGIN IMMEDIATE, BEGIN EXCLUSIVE
  bool returning =
      false;  // INSERT/UPDATE/DELETE, or an unknown verb, with a bare RETURNING outside parentheses
  bool pragma_sets =
      false;  // [EXPLAIN] PRAGMA that may change something: with a value that is not a mere argument as
  // in table_info(t), or not known as a read (wal_checkpoint, optimize, delete_database …)
  bool upserts = false;  // INSERT … ON CONFLICT … DO UPDATE
  bool makes_fail =
      false;  // CREATE, ALTER: a schema with ON CONFLICT FAIL, RAISE(FAIL, …), INSERT OR FAIL …
  bool optimizes = false;  // SELECT with optimize(…) of FTS3, or with pragma_optimize: it may write
  std::string_view
      pragma_name;  // of [EXPLAIN] PRAGMA, without schema and quotes; compare case-insensitively
  uint64_t savepoint = 0;  // SAVEPOINT, RELEASE, ROLLBACK TO: SavepointKey() of the name
  uint32_t param_count =
      0;                // highest parameter index, numbered as SQLite does within this statement
  size_t begin = 0;     // offset of the first token (kEmpty: of the rest)
  size_t end = 0;       // offset just behind its ';', or the size of the text
  size_t text_end = 0;  // offset behind its last token, the ';' excluded

  bool dml() const {
    return kind == Kind::kInsert || kind == Kind::kUpdate || kind == Kind::kDelete;
  }
  // Yields rows (possibly none): must travel by QUERY. PRAGMA counts: most do.
  bool yields_rows() const {
    return returning || kind == Kind::kSelect || kind == Kind::kExplain || kind == Kind::kPragma;
  }
  // Cannot change the database: safe to run twice.
  bool read_only() const {
    return (kind == Kind::kSelect && !optimizes) || kind == Kind::kEmpty ||
           ((kind == Kind::kExplain || kind == Kind::kPragma) && !pragma_sets);
  }
};

// The statement that starts at `offset` (leading blanks, comments and ';' are passed over).
// Allocates only for more than
// 64 distinct parameter names. An index beyond SQLite's limit counts as it stands, up to
// UINT32_MAX.
Statement ScanStatement(std::string_view sql, size_t offset = 0);

struct Summary {
  Statement first;  // kEmpty if the text has none: then its begin is 0 and its end the text's size
  uint32_t statements = 0;  // that are not empty
  bool any_returning = false;
  bool any_yields_rows = false;
  bool any_params = false;
  size_t text_end =
      0;  // offset behind the last statement, its own ';' included: cuts blanks, comments and
          // lone ';' behind it (15.11); 0 if there is no statement
  bool has_nul = false;
};

Summary Summarize(std::string_view sql);

struct Param {
  uint32_t index = 0;     // 1-based
  std::string_view name;  // with its prefix (":a", "@a", "$a", "?3"); empty for a plain '?'
};

// Parameters of the one statement at `offset` in order of first appearance; an index that appears
// twice is listed once, under the name that sqlite3_bind_parameter_name() gives it ("?, ?1" is one
// parameter, "?1"). "?0" is left out. Appends to `out`.
void ListParams(std::string_view sql, size_t offset, std::vector<Param>& out);

// A hash of a savepoint's name, quoted or not: equal for what SQLite takes for the same name.
uint64_t SavepointKey(std::string_view name);

// Equal for ASCII letters whatever their case.
bool EqualsIgnoreCase(std::string_view a, std::string_view b);

}  // namespace dqc::sql
