/* SPDX-License-Identifier: MIT */
// Whether a connection is inside a transaction: what the tracker makes of statements and answers,
// beside SQLite itself.
#include "session/transaction.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/session_rig.hpp"

#ifdef DQC_HAVE_SQLITE3
#include <sqlite3.h>
#endif

namespace dqc::session::test {
namespace {

using enum TxState;

Status Answer(int32_t code, std::string text) {
  if (code == 0) return Status();
  ErrorInfo info;
  info.code = (code & 0xff) == 19 ? Code::kConstraint : Code::kSql;
  info.server_code = code;
  info.server_text = std::move(text);
  return Status::Make(info);
}

// Statements and their answers, told to a tracker.
class Told {
 public:
  Told& Ok(std::string_view sql) {
    tx.SeveralSucceeded(sql);
    return *this;
  }
  Told& Fails(std::string_view sql, int32_t code, std::string text = "") {
    const Status status = Answer(code, std::move(text));
    if (sql::Summarize(sql).statements == 1) {
      tx.Failed(sql::ScanStatement(sql), status);
    } else {
      tx.SeveralFailed(sql, status);
    }
    return *this;
  }
  TxState state() const { return tx.state(); }
  Transaction tx;
};

TEST(Transaction, BeginsAndEnds) {
  EXPECT_EQ(Told().state(), kNone);
  for (const char* begin :
       {"BEGIN", "begin deferred transaction", "/* x */ BEGIN IMMEDIATE -- y", "BEGIN EXCLUSIVE;",
        "SAVEPOINT a", "INSERT INTO t VALUES ('COMMIT'); BEGIN"}) {
    EXPECT_EQ(Told().Ok(begin).state(), kOpen) << begin;
    EXPECT_EQ(Told().Fails(begin, 5, "database is locked").state(), kNone) << begin;
    for (const char* end : {"COMMIT", "end transaction", "ROLLBACK", "ROLLBACK TRANSACTION 'to'"}) {
      EXPECT_EQ(Told().Ok(begin).Ok(end).state(), kNone) << end;
      EXPECT_EQ(Told().Ok(begin).Fails(end, 5, "checkpoint in progress").state(), kOpen) << end;
      EXPECT_EQ(Told().Ok(begin).Fails(end, 787).state(), kOpen) << end;
    }
    for (const char* inside :
         {"SELECT 1", "INSERT INTO t VALUES (1)", "EXPLAIN COMMIT", "-- COMMIT\nSELECT 1",
          "CREATE TRIGGER r AFTER INSERT ON t BEGIN DELETE FROM u; SELECT 1; END", "ROLLBACK TO a",
          "SELECT 'x; COMMIT;'", "PRAGMA foreign_keys"}) {
      EXPECT_EQ(Told().Ok(begin).Ok(inside).state(), kOpen) << inside;
    }
  }
  EXPECT_EQ(Told().Ok("CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 1; END").state(), kNone);
  EXPECT_EQ(Told().Ok("BEGIN; INSERT INTO t VALUES (1); COMMIT").state(), kNone);
}

TEST(Transaction, TheServersWordWins) {
  constexpr const char* kNoCommit = "cannot commit - no transaction is active";
  constexpr const char* kNested = "cannot start a transaction within a transaction";
  EXPECT_EQ(Told().Ok("BEGIN").Fails("COMMIT", 1, kNoCommit).state(), kNone);
  EXPECT_EQ(Told().Fails("BEGIN", 1, kNested).state(), kOpen);
  EXPECT_EQ(Told().Fails("BEGIN", 1, kNested).Ok("RELEASE a").state(), kUnknown);
  EXPECT_EQ(Told().Fails("BEGIN; SELECT 1; COMMIT", 1, kNested).state(), kOpen);
  // A constraint in doubt, and what settles it.
  const auto doubt = [] {
    return Told().Ok("BEGIN; SAVEPOINT a").Fails("INSERT INTO t VALUES (1)", 2067);
  };
  EXPECT_EQ(doubt().state(), kUnknown);
  EXPECT_EQ(doubt().Fails("BEGIN", 1, kNested).state(), kOpen);
  EXPECT_EQ(doubt().Fails("ROLLBACK", 1, "cannot rollback - no transaction is active").state(),
            kNone);
  EXPECT_EQ(doubt().Ok("ROLLBACK").state(), kNone);
  EXPECT_EQ(doubt().Ok("BEGIN").state(), kOpen);
  EXPECT_EQ(doubt().Ok("ROLLBACK TO a").state(), kOpen);
  EXPECT_EQ(doubt().Ok("RELEASE a").state(), kOpen);
  EXPECT_EQ(doubt().Ok("ROLLBACK TO a").Ok("RELEASE a").Ok("COMMIT").state(), kNone);
  EXPECT_EQ(doubt().Fails("RELEASE a", 1, "no such savepoint: a").state(), kNone);
  EXPECT_EQ(doubt().Fails("RELEASE b", 1, "no such savepoint: b").state(), kUnknown);
  EXPECT_EQ(doubt().Ok("SAVEPOINT b").state(), kOpen);
  EXPECT_EQ(doubt().Ok("SAVEPOINT b").Ok("RELEASE b").state(), kUnknown);  // was it the outermost?
  EXPECT_EQ(doubt().Ok("INSERT INTO t VALUES (2)").state(), kUnknown);
}

TEST(Transaction, FailuresThatRollBack) {
  const auto after = [](const char* sql, int32_t code) {
    return Told().Ok("BEGIN").Fails(sql, code).state();
  };
  for (const int32_t code : {7, 9, 10, 13, 11, 778, 516, 10250, 10506}) {
    EXPECT_EQ(after("INSERT INTO t VALUES (1)", code), kUnknown) << code;
    EXPECT_EQ(Told().Fails("INSERT INTO t VALUES (1)", code).state(), kNone) << code;
  }
  for (const int32_t code : {1, 5, 517, 8, 18, 23, 25, 100, 1005, 787}) {
    EXPECT_EQ(after("INSERT INTO t VALUES (1)", code), kOpen) << code;
  }
  EXPECT_EQ(after("COMMIT", 22), kUnknown);  // Raft's own
  struct Case {
    const char* sql;
    int32_t code;
    TxState state;
  };
  for (const Case& c :
       {Case{"INSERT INTO t VALUES (1)", 1555, kUnknown},
        Case{"INSERT OR ROLLBACK INTO t VALUES (1)", 1555, kNone},
        Case{"WITH a AS (SELECT 1) INSERT OR rollback INTO t SELECT 1", 2067, kNone},
        Case{"INSERT OR ROLLBACK INTO t VALUES (1)", 787, kOpen},
        Case{"INSERT OR ROLLBACK INTO t VALUES (1)", 1811, kUnknown},
        Case{"INSERT OR ABORT INTO t VALUES (1)", 2067, kOpen},
        Case{"INSERT OR ABORT INTO t VALUES (1)", 1811, kUnknown},
        Case{"REPLACE INTO t VALUES (1)", 275, kOpen},
        Case{"UPDATE OR FAIL t SET x = 1", 2067, kOpen},
        Case{"UPDATE OR ROLLBACK t SET x = 1", 1299, kNone},
        Case{"UPDATE t SET x = 1 WHERE a OR ROLLBACK", 2067, kUnknown},
        Case{"INSERT OR ROLLBACK INTO t VALUES (1) ON CONFLICT (x) DO UPDATE SET x = 1", 2067,
             kUnknown},
        Case{"DELETE FROM t", 1811, kUnknown}}) {
    EXPECT_EQ(after(c.sql, c.code), c.state) << c.sql << " " << c.code;
  }
  // Which of several failed is not known: what they have in common is.
  EXPECT_EQ(Told().Ok("BEGIN").Fails("SELECT 1; UPDATE t SET x = 1", 1).state(), kOpen);
  EXPECT_EQ(Told().Fails("UPDATE t SET x = 1; DELETE FROM t", 2067).state(), kNone);
  EXPECT_EQ(Told().Fails("BEGIN; UPDATE t SET x = 1; COMMIT", 1).state(), kUnknown);
  EXPECT_EQ(Told().Ok("SAVEPOINT a").Fails("RELEASE a; SAVEPOINT b", 1).state(), kUnknown);
  EXPECT_EQ(Told().Ok("BEGIN").Fails("SAVEPOINT a; SELECT x", 1).Ok("RELEASE a").state(), kOpen);
  Told lost;
  lost.Ok("BEGIN").tx.Failed(sql::ScanStatement("SELECT 1"), Status::OutOfMemory());
  EXPECT_EQ(lost.state(), kUnknown);
}

TEST(Transaction, Savepoints) {
  EXPECT_EQ(Told().Ok("SAVEPOINT a; RELEASE a").state(), kNone);
  EXPECT_EQ(Told().Ok("SAVEPOINT a; SAVEPOINT a; RELEASE a").state(), kOpen);
  EXPECT_EQ(Told().Ok("SAVEPOINT a; SAVEPOINT a; RELEASE a; RELEASE SAVEPOINT a").state(), kNone);
  EXPECT_EQ(Told().Ok("SAVEPOINT a; SAVEPOINT b; SAVEPOINT c; RELEASE a").state(), kNone);
  EXPECT_EQ(Told().Ok("SAVEPOINT a; SAVEPOINT b; ROLLBACK TO a; RELEASE a").state(), kNone);
  EXPECT_EQ(Told().Ok("SAVEPOINT a; SAVEPOINT b; ROLLBACK TO SAVEPOINT b; RELEASE b").state(),
            kOpen);
  EXPECT_EQ(Told().Ok("BEGIN; SAVEPOINT a; RELEASE a").state(), kOpen);
  EXPECT_EQ(Told().Ok("BEGIN; SAVEPOINT a; COMMIT").state(), kNone);
  // Four ways to quote, and ASCII case.
  for (const char* name : {"MiXed", "\"mixed\"", "`MIXED`", "[mixed]", "'Mixed'"}) {
    EXPECT_EQ(Told().Ok("SAVEPOINT mixed").Ok("RELEASE " + std::string(name)).state(), kNone)
        << name;
  }
  EXPECT_EQ(Told().Ok("SAVEPOINT \"a\"\"b\"; RELEASE 'a\"b'").state(), kNone);
  EXPECT_EQ(Told().Ok("SAVEPOINT 'it''s'; RELEASE [it's]").state(), kNone);
  EXPECT_EQ(Told().Ok("SAVEPOINT \"\"; RELEASE ''").state(), kNone);
  EXPECT_EQ(Told().Ok("SAVEPOINT \"\xc3\x84\"; RELEASE \"\xc3\xa4\"").state(), kUnknown);
  // More of them than are remembered.
  std::string many, releases;
  for (int i = 0; i < 200; ++i) {
    many += "SAVEPOINT s" + std::to_string(i) + ";";
    releases = "RELEASE s" + std::to_string(i) + ";" + releases;
  }
  EXPECT_EQ(Told().Ok(many).state(), kOpen);
  EXPECT_EQ(Told().Ok(many).Ok("RELEASE s150").state(), kOpen);
  EXPECT_EQ(Told().Ok(many).Ok("RELEASE s5").state(), kUnknown);
  EXPECT_EQ(Told().Ok(many).Ok("ROLLBACK TO s5").state(), kOpen);
  EXPECT_EQ(Told().Ok(many).Ok(releases).state(), kUnknown);
  EXPECT_EQ(Told().Ok("BEGIN;" + many).Ok(releases).state(), kOpen);
  EXPECT_EQ(Told().Ok("BEGIN;" + many).Ok("RELEASE s5").state(), kOpen);
}

TEST(Transaction, Writes) {
  EXPECT_FALSE(Told().Ok("BEGIN; SELECT 1").tx.writes());
  EXPECT_TRUE(Told().Ok("BEGIN IMMEDIATE").tx.writes());
  EXPECT_TRUE(Told().Ok("BEGIN EXCLUSIVE TRANSACTION").tx.writes());
  EXPECT_TRUE(Told().Ok("SAVEPOINT a; DELETE FROM t; ROLLBACK TO a").tx.writes());
  EXPECT_FALSE(Told().Ok("BEGIN").Fails("DELETE FROM t", 5).tx.writes());
  EXPECT_FALSE(Told().Ok("BEGIN IMMEDIATE; COMMIT; BEGIN").tx.writes());
  EXPECT_FALSE(Told().Ok("DELETE FROM t").tx.writes());
}

TEST(Transaction, HoldsTheWriteLockForCertain) {
  EXPECT_TRUE(Told().Ok("BEGIN IMMEDIATE; SELECT 1").tx.locked());
  EXPECT_TRUE(Told().Ok("SAVEPOINT a; DELETE FROM t; ROLLBACK TO a").tx.locked());
  EXPECT_TRUE(Told().Ok("BEGIN EXCLUSIVE").Fails("DELETE FROM t", 5).tx.locked());
  EXPECT_FALSE(Told().Ok("BEGIN; PRAGMA cache_size = 5").tx.locked());
  EXPECT_FALSE(Told().Ok("BEGIN; CREATE TABLE IF NOT EXISTS t(a)").tx.locked());
  EXPECT_FALSE(Told().Ok("BEGIN").Fails("DELETE FROM t", 5).tx.locked());
  EXPECT_FALSE(Told().Ok("DELETE FROM t").tx.locked());
  EXPECT_FALSE(Told().Ok("BEGIN IMMEDIATE; COMMIT; BEGIN").tx.locked());
  EXPECT_FALSE(Told().Ok("BEGIN IMMEDIATE").Fails("SELECT 1", 13).Ok("SAVEPOINT a").tx.locked())
      << "perhaps a new one";
  EXPECT_FALSE(Told().Ok("BEGIN").Fails("SELECT 1", 13).Ok("DELETE FROM t").tx.locked())
      << "perhaps by itself";
}

// Behind a failure of the server's that perhaps ended it, until the next begin.
TEST(Transaction, WritesThatRanOutsideOfIt) {
  constexpr int32_t kFull = 13, kNotLeader = 10250, kUnique = 2067;
  const char* const write = "DELETE FROM t";
  EXPECT_TRUE(Told().Ok(write).tx.strayed());
  EXPECT_FALSE(Told().Ok("BEGIN; DELETE FROM t; COMMIT").tx.strayed());
  EXPECT_FALSE(Told().Ok(write).Ok("BEGIN").Ok(write).tx.strayed());
  for (const int32_t code : {kFull, kNotLeader}) {
    EXPECT_FALSE(Told().Ok("BEGIN").Ok(write).Fails(write, code).tx.strayed());
    EXPECT_FALSE(Told().Ok("BEGIN").Fails(write, code).Fails(write, code).tx.strayed());
    EXPECT_FALSE(Told().Ok("BEGIN").Fails(write, code).Ok("SELECT 1").tx.strayed());
    EXPECT_TRUE(Told().Ok("BEGIN").Fails(write, code).Ok(write).tx.strayed());
    EXPECT_TRUE(Told().Ok("BEGIN").Fails(write, code).Ok(write).Ok("ROLLBACK").tx.strayed());
    EXPECT_TRUE(Told().Ok("BEGIN").Fails(write, code).Ok(write).Ok("SAVEPOINT a").tx.strayed());
    EXPECT_TRUE(Told().Ok("BEGIN").Fails(write, code).Ok("SELECT 1; DELETE FROM t").tx.strayed());
    EXPECT_TRUE(
        Told().Ok("BEGIN").Fails(write, code).Fails("DELETE FROM t; SELECT x", 1).tx.strayed());
    EXPECT_FALSE(Told()
                     .Ok("BEGIN")
                     .Fails(write, code)
                     .Fails("BEGIN", 1, "cannot start a transaction within a transaction")
                     .Ok(write)
                     .tx.strayed());
  }
  EXPECT_FALSE(Told().Ok("BEGIN").Fails("INSERT INTO t VALUES(1)", kUnique).Ok(write).tx.strayed());
  EXPECT_TRUE(Told()
                  .Ok("BEGIN")
                  .Fails("INSERT OR ROLLBACK INTO t VALUES(1)", kUnique)
                  .Ok(write)
                  .tx.strayed());
}

#ifdef DQC_HAVE_SQLITE3

// Random statements, singly and several at a time, beside SQLite: what is said for certain is true.
class TransactionBesideSqlite : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(sqlite3_open(":memory:", &db_), SQLITE_OK);
    sqlite3_extended_result_codes(db_, 1);
    ASSERT_EQ(Run("PRAGMA foreign_keys = 1;"
                  "CREATE TABLE t(x UNIQUE NOT NULL CHECK (x < 50));"
                  "CREATE TABLE r(x UNIQUE ON CONFLICT ROLLBACK);"
                  "CREATE TABLE f(x REFERENCES t(x) DEFERRABLE INITIALLY DEFERRED);"
                  "CREATE TABLE i(x REFERENCES t(x));"
                  "CREATE TABLE g(x);"
                  "CREATE TRIGGER g1 BEFORE INSERT ON g WHEN new.x % 3 = 0 BEGIN"
                  " SELECT RAISE(ROLLBACK, 'rolled back'); END;"
                  "CREATE TRIGGER g2 BEFORE INSERT ON g WHEN new.x % 3 = 1 BEGIN"
                  " SELECT RAISE(ABORT, 'aborted'); END;"),
              SQLITE_OK)
        << sqlite3_errmsg(db_);
  }
  void TearDown() override { sqlite3_close(db_); }

  int Run(const std::string& sql) {
    return sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr);
  }

  std::string Name() {
    static const std::vector<std::string> kNames = {
        "a",     "A",       "\"a\"",    "[a]",   "`a`",   "'a'",      "b",
        "\"B\"", "'it''s'", "\"it's\"", "[a b]", "'A B'", "savepoint"};
    return kNames[random_() % kNames.size()];
  }
  std::string Number() { return std::to_string(random_() % 60); }
  std::string One() {
    switch (random_() % 22) {
      case 0:
      case 1:
        return "BEGIN";
      case 2:
        return "BEGIN IMMEDIATE TRANSACTION";
      case 3:
      case 4:
        return "COMMIT";
      case 5:
        return "END";
      case 6:
        return "ROLLBACK";
      case 7:
      case 8:
      case 9:
      case 10:
        return "SAVEPOINT " + Name();
      case 11:
      case 12:
        return "RELEASE " + Name();
      case 13:
        return "ROLLBACK TO " + Name();
      case 14:
        return "/* COMMIT; */ ROLLBACK TRANSACTION TO SAVEPOINT " + Name() + " -- ;";
      case 15:
        return "INSERT INTO t VALUES (" + Number() + ")";
      case 16:
        return "INSERT OR ROLLBACK INTO t VALUES (" + Number() +
               ") ON CONFLICT (x) DO UPDATE SET x = " + Number();
      case 17: {
        static constexpr const char* kOr[] = {"ROLLBACK", "ABORT", "FAIL", "REPLACE", "IGNORE"};
        static constexpr const char* kInto[] = {"t", "r", "g", "f", "i"};
        return std::string("INSERT OR ") + kOr[random_() % 5] + " INTO " + kInto[random_() % 5] +
               " VALUES (" + (random_() % 8 == 0 ? "NULL" : Number()) + ")";
      }
      case 18:
        return "INSERT INTO r VALUES (" + Number() + ")";
      case 19:
        return "INSERT INTO g VALUES (" + Number() + ")";
      case 20:
        return random_() % 2 == 0 ? "INSERT INTO f VALUES (" + Number() + ")" : "DELETE FROM t";
      default:
        return random_() % 2 == 0 ? "SELECT x FROM t" : "SELEC nothing";
    }
  }

  sqlite3* db_ = nullptr;
  std::mt19937 random_{20261122};
};

TEST_F(TransactionBesideSqlite, RandomStatements) {
  size_t unknown = 0, certain = 0;
  for (int script = 0; script < 3000; ++script) {
    Told told;
    std::string story;
    for (int step = 0; step < 25; ++step) {
      std::string sql = One();
      while (random_() % 5 == 0) sql += "; " + One();
      const int rc = Run(sql);
      const std::string text = rc == SQLITE_OK ? "" : sqlite3_errmsg(db_);
      rc == SQLITE_OK ? told.Ok(sql) : told.Fails(sql, rc, text);
      story += sql + " -> " + std::to_string(rc) + " " + text + "\n";
      const bool open = sqlite3_get_autocommit(db_) == 0;
      if (told.state() == kUnknown) {
        ++unknown;
        continue;
      }
      ++certain;
      ASSERT_EQ(told.state() == kOpen, open) << story;
    }
    Run("ROLLBACK");
    Run("DELETE FROM f; DELETE FROM i; DELETE FROM t; DELETE FROM r; DELETE FROM g");
  }
  EXPECT_GT(certain, unknown * 2) << unknown << " unknown";
}

// Without several statements in one text, and without what fails by a constraint, all is certain.
TEST_F(TransactionBesideSqlite, NothingIsUnknownWhereNothingRollsBack) {
  for (int script = 0; script < 2000; ++script) {
    Told told;
    std::string story;
    for (int step = 0; step < 40; ++step) {
      std::string sql = One();
      if (sql.find("INSERT") != std::string::npos || sql.find("DELETE") != std::string::npos)
        sql = "CREATE TABLE IF NOT EXISTS n(x)";
      const int rc = Run(sql);
      const std::string text = rc == SQLITE_OK ? "" : sqlite3_errmsg(db_);
      rc == SQLITE_OK ? told.Ok(sql) : told.Fails(sql, rc, text);
      story += sql + " -> " + text + "\n";
      ASSERT_EQ(told.state(), sqlite3_get_autocommit(db_) == 0 ? kOpen : kNone) << story;
    }
    Run("ROLLBACK");
  }
}

#endif

}  // namespace
}  // namespace dqc::session::test
