/* SPDX-License-Identifier: MIT */
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "session/sql.hpp"

#ifdef DQC_HAVE_SQLITE3
#include <sqlite3.h>
#endif

namespace dqc::sql {
namespace {

using namespace std::string_view_literals;

struct KindCase {
  const char* sql;
  Kind kind;
};

constexpr KindCase kKinds[] = {
    {"", Kind::kEmpty},
    {" ;; -- x\n /* y */ ;", Kind::kEmpty},
    {"/* not closed", Kind::kEmpty},
    {"select 1", Kind::kSelect},
    {"\xef\xbb\xbfSELECT 1", Kind::kSelect},
    {"-- a\n/* b */ SeLeCt 1", Kind::kSelect},
    {"(SELECT 1)", Kind::kSelect},
    {"VALUES(1)", Kind::kSelect},
    {"WITH a AS (SELECT 1) SELECT * FROM a", Kind::kSelect},
    {"WITH RECURSIVE a(x) AS NOT MATERIALIZED (VALUES(1)), b AS (SELECT 1) VALUES(2)",
     Kind::kSelect},
    {"WITH replace AS (SELECT 1) SELECT * FROM replace", Kind::kSelect},
    {"WITH \"insert\" AS (SELECT 1), update_ AS (SELECT 1) SELECT 1", Kind::kSelect},
    {"WITH a AS (DELETE FROM t) INSERT INTO t SELECT 1", Kind::kInsert},
    {"WITH a AS (SELECT 1) REPLACE INTO t SELECT 1", Kind::kInsert},
    {"WITH a AS (SELECT 1) UPDATE t SET a=1", Kind::kUpdate},
    {"WITH a AS (SELECT 1) DELETE FROM t", Kind::kDelete},
    {"WITH a AS (SELECT 1)", Kind::kOther},
    {"EXPLAIN DELETE FROM t", Kind::kExplain},
    {"EXPLAIN QUERY PLAN WITH a AS (SELECT 1) DELETE FROM t RETURNING *", Kind::kExplain},
    {"PRAGMA user_version", Kind::kPragma},
    {"INSERT INTO t VALUES(1)", Kind::kInsert},
    {"REPLACE INTO t VALUES(1)", Kind::kInsert},
    {"UPDATE t SET a=1", Kind::kUpdate},
    {"DELETE FROM t", Kind::kDelete},
    {"BEGIN IMMEDIATE", Kind::kBegin},
    {"COMMIT", Kind::kCommit},
    {"END TRANSACTION", Kind::kCommit},
    {"ROLLBACK", Kind::kRollback},
    {"ROLLBACK TRANSACTION \"to\"", Kind::kRollback},
    {"ROLLBACK TO a", Kind::kRollbackTo},
    {"rollback transaction x to savepoint a", Kind::kRollbackTo},
    {"SAVEPOINT a", Kind::kSavepoint},
    {"RELEASE a", Kind::kRelease},
    {"VACUUM", Kind::kVacuum},
    {"ATTACH 'x' AS y", Kind::kAttach},
    {"DETACH y", Kind::kAttach},
    {"CREATE TABLE t(a)", Kind::kOther},
    {"MERGE INTO t", Kind::kOther},
    {"(", Kind::kOther},
    {"'select'", Kind::kOther},
    {"\vSELECT 1", Kind::kOther},
};

TEST(SqlScan, Kinds) {
  for (const KindCase& c : kKinds) EXPECT_EQ(ScanStatement(c.sql).kind, c.kind) << c.sql;
}

TEST(SqlScan, Returning) {
  for (const char* sql :
       {"INSERT INTO t VALUES(1) RETURNING a", "delete from t returning*",
        "WITH a AS (SELECT 1) UPDATE t SET a=1 ReTuRnInG a", "UPDATE returning SET a=1",
        "INSERT INTO t((x) VALUES(1) RETURNING 1", "MERGE INTO t RETURNING 1",
        "WITH a AS (SELECT 1) RETURNING 1", "INSERT INTO t SELECT '''' RETURNING 1",
        "DELETE FROM t WHERE a=0x1RETURNING a",
        "DELETE FROM t WHERE a=0XA\xef\xbb\xbfRETURNING a"}) {
    EXPECT_TRUE(ScanStatement(sql).returning) << sql;
    EXPECT_TRUE(ScanStatement(sql).yields_rows()) << sql;
    EXPECT_FALSE(ScanStatement(sql).read_only()) << sql;
    EXPECT_TRUE(Summarize(std::string("SELECT 1;") + sql).any_returning) << sql;
  }
  for (const char* sql :
       {"INSERT INTO t(returning) VALUES(1)", "INSERT INTO t VALUES('RETURNING')",
        "INSERT INTO t VALUES(1) -- RETURNING", "DELETE FROM \"returning\"",
        "DELETE FROM [returning]", "DELETE FROM t /* RETURNING", "SELECT returning FROM t",
        "CREATE TABLE returning(a)", "DROP TABLE returning", "DELETE FROM t WHERE a=:returning",
        "EXPLAIN DELETE FROM t RETURNING a", "DELETE FROM returning_log"}) {
    EXPECT_FALSE(ScanStatement(sql).returning) << sql;
  }
}

TEST(SqlScan, Pragmas) {
  struct Case {
    const char* sql;
    const char* name;
    bool sets;
  };
  for (const Case& c : {Case{"PRAGMA user_version", "user_version", false},
                        Case{"PRAGMA main . [user_version] = 3", "user_version", true},
                        Case{"pragma 'Foreign_Keys'", "Foreign_Keys", false},
                        Case{"PRAGMA table_info(t)", "table_info", false},
                        Case{"PRAGMA table_info = t", "table_info", false},
                        Case{"PRAGMA user_version(3)", "user_version", true},
                        Case{"PRAGMA delete_database", "delete_database", true},
                        Case{"PRAGMA wal_checkpoint", "wal_checkpoint", true},
                        Case{"PRAGMA journal_mode", "journal_mode", false},
                        Case{"PRAGMA journal_mode = DELETE", "journal_mode", true},
                        Case{"PRAGMA no_such_thing", "no_such_thing", true},
                        Case{"EXPLAIN PRAGMA foreign_keys=off", "foreign_keys", true},
                        Case{"PRAGMA '", "", true}, Case{"PRAGMA", "", true}}) {
    const Statement statement = ScanStatement(c.sql);
    EXPECT_EQ(statement.pragma_name, c.name) << c.sql;
    EXPECT_EQ(statement.pragma_sets, c.sets) << c.sql;
    EXPECT_EQ(statement.read_only(), !c.sets) << c.sql;
    EXPECT_TRUE(statement.yields_rows()) << c.sql;
  }
}

TEST(SqlScan, Offsets) {
  const std::string_view text = " ; /*;*/ SELECT ';' -- ;\n ; INSERT INTO t VALUES(1) /* x";
  const Statement first = ScanStatement(text);
  EXPECT_EQ(text.substr(first.begin, first.text_end - first.begin), "SELECT ';'");
  EXPECT_EQ(first.end, text.find("; INSERT") + 1);
  const Statement second = ScanStatement(text, first.end);
  EXPECT_EQ(text.substr(second.begin, second.text_end - second.begin), "INSERT INTO t VALUES(1)");
  EXPECT_EQ(second.end, text.size());
  const Statement none = ScanStatement(text, second.end);
  EXPECT_EQ(none.kind, Kind::kEmpty);
  EXPECT_EQ(none.begin, text.size());
  EXPECT_EQ(none.end, text.size());
  EXPECT_EQ(ScanStatement(text, 1000).end, text.size());
}

TEST(SqlScan, Triggers) {
  const std::string_view trigger =
      "CREATE TEMP /* x */ TRIGGER r AFTER INSERT ON t BEGIN SELECT CASE 1 WHEN 1 THEN 2 END; "
      "DELETE FROM t; END;";
  const std::string text = std::string(trigger) + " SELECT 1";
  EXPECT_EQ(ScanStatement(text).end, trigger.size());
  EXPECT_EQ(ScanStatement("EXPLAIN " + text).end, trigger.size() + 8);
  EXPECT_EQ(ScanStatement("EXPLAIN QUERY PLAN " + text).end, trigger.size() + 19);
  EXPECT_EQ(Summarize(text).statements, 2U);
  EXPECT_EQ(Summarize("CREATE TABLE trigger_(a); END; SELECT 1").statements, 3U);
}

TEST(SqlScan, Summary) {
  Summary s = Summarize("SELECT 1; -- ;");
  EXPECT_EQ(s.statements, 1U);
  EXPECT_EQ(s.text_end, 9U);
  s = Summarize("SELECT 1 -- ;");
  EXPECT_EQ(s.text_end, 8U);
  s = Summarize(" SELECT ?; ; ;INSERT INTO t VALUES(1) ; ;; /*;*/");
  EXPECT_EQ(s.statements, 2U);
  EXPECT_EQ(s.text_end, 39U);
  EXPECT_EQ(s.first.kind, Kind::kSelect);
  EXPECT_TRUE(s.any_params);
  EXPECT_TRUE(s.any_yields_rows);
  EXPECT_FALSE(s.any_returning);
  EXPECT_FALSE(s.has_nul);
  EXPECT_EQ(Summarize("SELECT 1 /*").text_end, 11U);  // no comment to SQLite, but two operators
  EXPECT_EQ(Summarize("SELECT 1 /* ").text_end, 8U);
  s = Summarize(" -- nothing");
  EXPECT_EQ(s.statements, 0U);
  EXPECT_EQ(s.text_end, 0U);
  EXPECT_EQ(s.first.kind, Kind::kEmpty);
  EXPECT_TRUE(Summarize("SELECT 1\0; DROP"sv).has_nul);
}

std::string Params(std::string_view sql) {
  std::vector<Param> params;
  ListParams(sql, 0, params);
  std::string out = std::to_string(ScanStatement(sql).param_count) + ":";
  for (const Param& p : params) out += " " + std::to_string(p.index) + std::string(p.name);
  return out;
}

TEST(SqlScan, Params) {
  EXPECT_EQ(Params("SELECT 1"), "0:");
  EXPECT_EQ(Params("SELECT ?, ?"), "2: 1 2");
  EXPECT_EQ(Params("SELECT ?5, ?, :a, ?2, :a, @a"), "8: 5?5 6 7:a 2?2 8@a");
  EXPECT_EQ(Params("SELECT ?, ?1"), "1: 1?1");
  EXPECT_EQ(Params("SELECT :a, ?1"), "1: 1:a");
  EXPECT_EQ(Params("SELECT :A, :a"), "2: 1:A 2:a");
  EXPECT_EQ(Params("SELECT $a::b(x y), 1"), "0:");  // refused by SQLite
  EXPECT_EQ(Params("SELECT $a::b(xy), #c, #1, '?', \"?\", [?], -- ?\n ?1"), "2: 1$a::b(xy) 2#c");
  EXPECT_EQ(Params("SELECT ?0, ?99999999999"), "4294967295: 4294967295?99999999999");
  EXPECT_EQ(Params("SELECT ?; SELECT ?"), "1: 1");
}

TEST(SqlScan, ManyNames) {
  std::string sql = "SELECT ";
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 40000; ++i) sql += ":name" + std::to_string(i) + ",";
  }
  sql += "?";
  EXPECT_EQ(ScanStatement(sql).param_count, 40001U);
  std::vector<Param> params;
  ListParams(sql, 0, params);
  ASSERT_EQ(params.size(), 40001U);
  EXPECT_EQ(params[39999].name, ":name39999");
  EXPECT_EQ(params[39999].index, 40000U);
}

// Quadratic work on these would take longer than a test may run.
TEST(SqlScan, HostileTextsAreLinear) {
  for (const std::string_view piece : {"(",
                                       "'",
                                       "\"a",
                                       "[",
                                       "/*",
                                       "/* */",
                                       "--\n",
                                       "*",
                                       ":a(",
                                       "$a::",
                                       ";",
                                       "?9;",
                                       "x'",
                                       "- -",
                                       "CREATE TRIGGER;",
                                       "WITH a,",
                                       "\xef\xbb\xbf",
                                       "EXPLAIN ",
                                       "RETURNING ",
                                       "INSERT;"}) {
    std::string text;
    while (text.size() < (256U << 10)) text += piece;
    EXPECT_LE(Summarize(text).text_end, text.size());
    EXPECT_LE(Summarize("INSERT " + text).text_end, text.size() + 7);
    std::vector<Param> params;
    ListParams(text, 0, params);
    EXPECT_LE(params.size(), text.size());
  }
}

#ifdef DQC_HAVE_SQLITE3

#ifndef DQC_SQLITE_ROUNDS
#define DQC_SQLITE_ROUNDS 20000
#endif

// What the random texts are made of; some stand for themselves, some are cut and stuck together.
constexpr const char* kStatements[] = {
    "SELECT ?, ?3, :a, @b, $c, #d, ?, :a",
    "SELECT :a::b(x), $a::b, @a(b), ?1, ?01, ?",
    "SELECT 'it''s', \"a\"\"b\", `c`, [d;e] FROM (SELECT 1 AS \"a\"\"b\", 2 AS c, 3 AS [d;e])",
    "SELECT x'00ff', X'', 1.5e+3, .5, 0x1F, 1e3, 7.",
    "SELECT a FROM t WHERE a IN (?, ?2, :x) AND b -> '$.x' LIMIT ? OFFSET :y",
    "VALUES(1, ?), (2, ?)",
    "WITH x AS (SELECT ?), y(z) AS NOT MATERIALIZED (SELECT :a) SELECT * FROM x, y",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n LIMIT ?) SELECT i FROM n",
    "WITH replace AS (SELECT 1), values_(a) AS (VALUES(1)) SELECT * FROM replace",
    "WITH x AS (SELECT 1) INSERT INTO t(a) SELECT * FROM x",
    "WITH x AS (SELECT 1) REPLACE INTO t(a) SELECT * FROM x",
    "WITH x AS (SELECT 1) UPDATE t SET a=? WHERE b=:b RETURNING a, b",
    "WITH x AS (SELECT 1) DELETE FROM t WHERE a=?",
    "INSERT INTO t(a) VALUES(?)",
    "INSERT INTO t(a) VALUES(?) ON CONFLICT DO NOTHING RETURNING *",
    "INSERT INTO [returning](\"returning\") VALUES(?)",
    "INSERT INTO t DEFAULT VALUES",
    "UPDATE OR IGNORE t SET a=?2, b=?1",
    "UPDATE t SET a=1 RETURNING a AS [returning]",
    "DELETE FROM t WHERE a='RETURNING'",
    "DELETE FROM t RETURNING a;",
    "DELETE FROM t WHERE a=0x1RETURNING a",
    "REPLACE INTO t(a) VALUES(1)",
    "BEGIN",
    "BEGIN IMMEDIATE TRANSACTION",
    "COMMIT",
    "END TRANSACTION",
    "ROLLBACK",
    "ROLLBACK TRANSACTION x TO SAVEPOINT y",
    "SAVEPOINT s",
    "RELEASE s",
    "VACUUM",
    "ATTACH ? AS y",
    "ANALYZE",
    "REINDEX",
    "PRAGMA user_version",
    "PRAGMA main.user_version = 5",
    "PRAGMA 'cache_size'(-2000)",
    "PRAGMA table_info(t)",
    "PRAGMA wal_checkpoint",
    "PRAGMA optimize",
    "PRAGMA incremental_vacuum",
    "PRAGMA journal_mode",
    "PRAGMA foreign_keys",
    "PRAGMA integrity_check(3)",
    "EXPLAIN SELECT ?",
    "EXPLAIN QUERY PLAN DELETE FROM t WHERE a=:a",
    "EXPLAIN INSERT INTO t(a) VALUES(?) RETURNING a",
    "EXPLAIN PRAGMA user_version",
    "CREATE TABLE n(a DEFAULT ';', b CHECK(b<>'x'))",
    "CREATE TABLE IF NOT EXISTS t AS SELECT 1",
    "CREATE TABLE m AS SELECT * FROM t",
    "CREATE VIEW w AS SELECT * FROM t",
    "CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT CASE new.a WHEN 1 THEN 2 END; END;",
    "CREATE TEMP TRIGGER r AFTER UPDATE ON t BEGIN DELETE FROM u; INSERT INTO u VALUES(1); END",
    "EXPLAIN CREATE TRIGGER IF NOT EXISTS r DELETE ON t BEGIN UPDATE u SET a=1; END;",
    "DROP TABLE t",
    "ALTER TABLE t ADD COLUMN returning_",
    "ALTER TABLE t ADD COLUMN d CHECK(d > 3)",
    " \vSELECT 1 \v, ?",
    "-- ; comment\n",
    "/* ; */",
    "",
};

constexpr const char* kBits[] = {" ",
                                 "\n",
                                 "\t",
                                 "\v",
                                 "\f",
                                 ";",
                                 "--",
                                 "-- x;\n",
                                 "/*",
                                 "*/",
                                 "/*;?*/",
                                 "'",
                                 "\"",
                                 "`",
                                 "[",
                                 "]",
                                 "?",
                                 "?2",
                                 ":a",
                                 "$b",
                                 "@c(d)",
                                 "#e",
                                 "::",
                                 "(",
                                 ")",
                                 ",",
                                 ".",
                                 "=",
                                 "\xef\xbb\xbf",
                                 "\xc3\xa9",
                                 "1_0",
                                 "x'0'",
                                 "0x",
                                 "=0xaF",
                                 " END",
                                 " RETURNING a",
                                 " CASE 1 WHEN 1 THEN 2 END",
                                 " AS x",
                                 "EXPLAIN ",
                                 "WITH q AS (SELECT ?) ",
                                 "TEMP ",
                                 "TRIGGER "};

template <size_t N>
const char* Pick(const char* const (&from)[N], std::mt19937& random) {
  return from[random() % N];
}

std::string RandomText(std::mt19937& random) {
  std::string text;
  for (size_t n = 1 + random() % 3; n > 0; --n) {
    text += Pick(kStatements, random);
    text += random() % 8 == 0 ? "" : ";";
  }
  for (size_t n = random() % 4; n > 0 && !text.empty(); --n) {
    const size_t at = random() % (text.size() + 1);
    switch (random() % 4) {
      case 0:
        text.erase(at, 1 + random() % 3);
        break;
      case 1:
        text.insert(at, text.substr(random() % text.size(), random() % 6));
        break;
      case 2: {  // between words, where more is left valid
        const size_t blank = text.find(' ', at);
        if (blank != std::string::npos) text.insert(blank, Pick(kBits, random));
        break;
      }
      default:
        text.insert(at, Pick(kBits, random));
        break;
    }
  }
  return text;
}

class SqlScanBesideSqlite : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(sqlite3_open(":memory:", &db_), SQLITE_OK);
    ASSERT_EQ(sqlite3_exec(db_,
                           "CREATE TABLE t(a, b, c); CREATE TABLE u(a);"
                           "CREATE TABLE [returning]([returning])",
                           nullptr, nullptr, nullptr),
              SQLITE_OK);
  }
  void TearDown() override { sqlite3_close(db_); }

  // Follows SQLite through the text as long as it accepts the statements; false: we differ.
  bool Agree(std::string_view text) {
    size_t offset = 0;
    while (offset < text.size()) {
      sqlite3_stmt* stmt = nullptr;
      const char* tail = nullptr;
      const int rc = sqlite3_prepare_v2(db_, text.data() + offset,
                                        static_cast<int>(text.size() - offset), &stmt, &tail);
      if (rc != SQLITE_OK) return true;  // nothing of it would run
      const Statement ours = ScanStatement(text, offset);
      const auto end = static_cast<size_t>(tail - text.data());
      if (stmt == nullptr) return ours.kind == Kind::kEmpty && ours.end == text.size();
      ++compared_;
      const bool same = ours.end == end && SameParams(stmt, text, offset) &&
                        SameClass(stmt, ours, text.substr(ours.begin));
      sqlite3_finalize(stmt);
      if (!same) return false;
      offset = end;
    }
    return true;
  }

  static bool SameParams(sqlite3_stmt* stmt, std::string_view text, size_t offset) {
    const int count = sqlite3_bind_parameter_count(stmt);
    if (count != static_cast<int>(ScanStatement(text, offset).param_count)) return false;
    std::vector<std::string> names(static_cast<size_t>(count));
    std::vector<Param> params;
    ListParams(text, offset, params);
    for (const Param& param : params) names[param.index - 1] = param.name;
    for (int i = 1; i <= count; ++i) {
      const char* name = sqlite3_bind_parameter_name(stmt, i);
      const std::string& ours = names[static_cast<size_t>(i - 1)];
      if (ours != (name == nullptr ? "" : name)) return false;
      if (name != nullptr && sqlite3_bind_parameter_index(stmt, ours.c_str()) != i) return false;
    }
    return true;
  }

  // Ours may be more careful than SQLite, never less.
  static bool SameClass(sqlite3_stmt* stmt, const Statement& ours, std::string_view text) {
    const int explain = sqlite3_stmt_isexplain(stmt);
    if ((explain != 0) != (ours.kind == Kind::kExplain)) return false;
    // ALTER TABLE … ADD COLUMN … CHECK(…) has a column, left over from a query inside, but no rows.
    const bool alter = EqualsIgnoreCase(text.substr(0, 5), "ALTER");
    const bool rows = sqlite3_column_count(stmt) > 0 && !alter;
    if (rows && !ours.yields_rows()) return false;
    if (!rows && ours.yields_rows() && !ours.returning && ours.kind != Kind::kPragma) return false;
    if (ours.kind == Kind::kSelect && sqlite3_stmt_readonly(stmt) == 0) return false;
    // SQLite tells of EXPLAIN X what it would tell of X, and takes any journal_mode for a change.
    return !ours.read_only() || explain != 0 || sqlite3_stmt_readonly(stmt) != 0 ||
           EqualsIgnoreCase(ours.pragma_name, "journal_mode");
  }

  sqlite3* db_ = nullptr;
  size_t compared_ = 0;
};

TEST_F(SqlScanBesideSqlite, KnownStatements) {
  for (const char* sql : kStatements) EXPECT_TRUE(Agree(sql)) << sql;
  for (const KindCase& c : kKinds) EXPECT_TRUE(Agree(c.sql)) << c.sql;
  EXPECT_GT(compared_, 50U);
}

TEST_F(SqlScanBesideSqlite, RandomTexts) {
  std::mt19937 random(20250114);
  for (int i = 0; i < DQC_SQLITE_ROUNDS; ++i) {
    const std::string text = RandomText(random);
    ASSERT_TRUE(Agree(text)) << i << ": " << text;
  }
  EXPECT_GT(compared_, static_cast<size_t>(DQC_SQLITE_ROUNDS) / 3);
  RecordProperty("compared", static_cast<int>(compared_));
}

// sqlite3_complete() knows no variables and no byte order marks: such texts are left out.
TEST_F(SqlScanBesideSqlite, CompleteTexts) {
  std::mt19937 random(7);
  for (int i = 0; i < DQC_SQLITE_ROUNDS; ++i) {
    const std::string text = RandomText(random);
    if (text.find_first_of("(?:@$#\xef") != std::string::npos) continue;
    size_t offset = 0;
    bool closed = text.find(';') != std::string::npos;
    while (offset < text.size()) {
      const Statement statement = ScanStatement(text, offset);
      if (statement.kind == Kind::kEmpty) break;
      closed = statement.end > statement.text_end && text[statement.end - 1] == ';' &&
               text.find_first_not_of(" \t\n\v\f\r", statement.text_end) == statement.end - 1;
      offset = statement.end;
    }
    if (text.find("--") != std::string::npos || text.find("/*") != std::string::npos) continue;
    if (text.find('\v') != std::string::npos) continue;
    ASSERT_EQ(sqlite3_complete(text.c_str()) != 0, closed) << i << ": " << text;
  }
}

#endif  // DQC_HAVE_SQLITE3

}  // namespace
}  // namespace dqc::sql
