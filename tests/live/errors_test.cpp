/* SPDX-License-Identifier: MIT */
// Failures of statements: what is told, and that the connection is usable afterwards.
#include "live/client.hpp"

namespace dqc::live {
namespace {

class ErrorsTest : public SqlTest {
 protected:
  static void ExpectUsable(const Conn& conn) {
    EXPECT_EQ(conn.state(), DQC_STATE_READY);
    EXPECT_EQ(conn.Query("SELECT 40 + ?", {2}).Text(), "I42");
  }
  static void ExpectError(const Reply& reply, dqc_status status, int32_t server_code,
                          int32_t outcome = DQC_OUTCOME_NOT_EXECUTED) {
    EXPECT_EQ(reply.status, status) << reply;
    EXPECT_EQ(reply.failure.server_code, server_code) << reply;
    EXPECT_EQ(reply.failure.outcome, outcome) << reply;
    EXPECT_FALSE(reply.failure.message.empty());
    if (server_code != 0) {
      EXPECT_FALSE(reply.failure.server_text.empty());
      EXPECT_FALSE(reply.failure.node.empty());
    }
  }
};
DQC_LIVE_SUITE(ErrorsTest);

TEST_P(ErrorsTest, Constraints) {
  const Conn conn = Open();
  ASSERT_TRUE(
      conn.Script("CREATE TABLE p(id INTEGER PRIMARY KEY);"
                  "CREATE TABLE t(id INTEGER PRIMARY KEY, u UNIQUE, n NOT NULL DEFAULT 1,"
                  " c CHECK (c > 0), f REFERENCES p(id));"
                  "CREATE TABLE w(a TEXT PRIMARY KEY) WITHOUT ROWID;"
                  "CREATE TRIGGER tr BEFORE DELETE ON p BEGIN SELECT RAISE(ABORT, 'no!'); END;"
                  "INSERT INTO t(id, u) VALUES (1, 1); INSERT INTO w VALUES ('a');"
                  "INSERT INTO p VALUES (1)")
          .ok());
  const std::pair<const char*, int32_t> cases[] = {
      {"INSERT INTO t(id, u) VALUES (1, 2)", 1555},    // PRIMARYKEY
      {"INSERT INTO t(u) VALUES (1)", 2067},           // UNIQUE
      {"INSERT INTO t(u, n) VALUES (3, NULL)", 1299},  // NOTNULL
      {"INSERT INTO t(u, c) VALUES (4, -1)", 275},     // CHECK
      {"INSERT INTO t(u, f) VALUES (5, 77)", 787},     // FOREIGNKEY
      {"INSERT INTO w VALUES ('a')", 1555},            // PRIMARYKEY
      {"DELETE FROM p", 1811},                         // TRIGGER
      {"UPDATE t SET rowid = 'x'", 20},                // MISMATCH: no constraint
  };
  for (const auto& [sql, code] : cases) {
    const dqc_status expected = code == 20 ? DQC_E_SQL : DQC_E_CONSTRAINT;
    for (const Reply& reply :
         {conn.Exec(sql), conn.Query(sql), conn.Prepare(sql).Exec(), conn.Script(sql)}) {
      // RAISE does not tell whether it was FAIL, which keeps what was changed before; era D has none.
      const bool doubt = code == 1811 && era() != 'D';
      ExpectError(reply, expected, code,
                  doubt ? DQC_OUTCOME_MAYBE_EXECUTED : DQC_OUTCOME_NOT_EXECUTED);
      EXPECT_EQ(reply.failure.sqlite_code, code & 0xff) << sql;
      EXPECT_EQ(reply.failure.retry, doubt ? DQC_RETRY_UNKNOWN : DQC_RETRY_NEVER) << sql;
    }
    ExpectUsable(conn);
  }
  EXPECT_EQ(conn.Query("SELECT count(*) FROM t").Text(), "I1");
}

TEST_P(ErrorsTest, ConstraintInATransactionBacksOutOnlyItsStatement) {
  const Conn conn = Open();
  ASSERT_TRUE(conn.Exec("CREATE TABLE t(x UNIQUE)").ok());
  ASSERT_TRUE(conn.Exec("BEGIN").ok());
  ASSERT_TRUE(conn.Exec("INSERT INTO t VALUES (1)").ok());
  ExpectError(conn.Exec("INSERT INTO t VALUES (2), (1)"), DQC_E_CONSTRAINT, 2067);
  ASSERT_TRUE(conn.Exec("INSERT INTO t VALUES (3)").ok());
  ASSERT_TRUE(conn.Exec("COMMIT").ok());
  EXPECT_EQ(conn.Query("SELECT x FROM t ORDER BY x").Text(), "I1;I3");
  ASSERT_TRUE(conn.Exec("BEGIN").ok());
  ExpectError(conn.Exec("INSERT OR ROLLBACK INTO t VALUES (1)"), DQC_E_CONSTRAINT, 2067);
  ExpectError(conn.Exec("COMMIT"), DQC_E_SQL, 1);
  ExpectUsable(conn);
}

TEST_P(ErrorsTest, Syntax) {
  const Conn conn = Open();
  for (const char* sql :
       {"BOGUS", "SELECT * FROM nowhere", "SELECT nocolumn", "SELECT (",
        "INSERT INTO nowhere VALUES (1)", "ROLLBACK", "COMMIT", "SELECT nofunction(1)",
        "DROP TABLE nowhere", "RELEASE nothing", "PRAGMA", "BEGIN BEGIN"}) {
    for (const Reply& reply : {conn.Exec(sql), conn.Query(sql), conn.Script(sql)})
      ExpectError(reply, DQC_E_SQL, 1);
    ExpectUsable(conn);
  }
  EXPECT_NE(conn.Exec("BOGUS").failure.server_text.find("syntax error"), std::string::npos);
}

TEST_P(ErrorsTest, Busy) {
  const Conn holder = Open();
  const Conn conn = Open();
  ASSERT_TRUE(holder.Exec("CREATE TABLE t(x)").ok());
  const Stmt stmt = conn.Prepare("INSERT INTO t VALUES (?)");
  ASSERT_TRUE(holder.Exec("BEGIN IMMEDIATE").ok());
  for (const Reply& reply :
       {conn.Exec("INSERT INTO t VALUES (1)"), conn.Query("INSERT INTO t VALUES (1)"),
        stmt.Exec({1}), conn.Exec("BEGIN IMMEDIATE"), conn.Script("INSERT INTO t VALUES (1)"),
        conn.Exec("CREATE TABLE u(x)"), conn.Exec("PRAGMA user_version = 3")}) {
    EXPECT_EQ(reply.status, DQC_E_BUSY) << reply;
    EXPECT_EQ(reply.failure.outcome, DQC_OUTCOME_NOT_EXECUTED);
    EXPECT_EQ(reply.failure.retry, DQC_RETRY_SAFE);
  }
  ExpectUsable(conn);
  EXPECT_EQ(conn.Query("SELECT count(*) FROM t").Text(), "I0") << "readers go on";
  ASSERT_TRUE(holder.Exec("ROLLBACK").ok());
  EXPECT_TRUE(conn.Exec("INSERT INTO t VALUES (1)").ok());
}

TEST_P(ErrorsTest, BusySnapshot) {
  const Conn conn = Open();
  const Conn other = Open();
  ASSERT_TRUE(conn.Exec("CREATE TABLE t(x)").ok());
  ASSERT_TRUE(conn.Exec("BEGIN").ok());
  ASSERT_TRUE(conn.Query("SELECT * FROM t").ok());
  ASSERT_TRUE(other.Exec("INSERT INTO t VALUES (1)").ok());
  const Reply reply = conn.Exec("INSERT INTO t VALUES (2)");
  ExpectError(reply, DQC_E_BUSY_SNAPSHOT, 517);
  ASSERT_TRUE(conn.Exec("ROLLBACK").ok());
  EXPECT_TRUE(conn.Exec("INSERT INTO t VALUES (2)").ok());
}

TEST_P(ErrorsTest, DeferredForeignKeyAtCommit) {
  const Conn conn = Open();
  ASSERT_TRUE(conn.Script("CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE c("
                          "f REFERENCES p(id) DEFERRABLE INITIALLY DEFERRED)")
                  .ok());
  ASSERT_TRUE(conn.Exec("BEGIN").ok());
  ASSERT_TRUE(conn.Exec("INSERT INTO c VALUES (1)").ok());
  for (int i = 0; i < 2; ++i) ExpectError(conn.Exec("COMMIT"), DQC_E_CONSTRAINT, 787);
  ASSERT_TRUE(conn.Exec("INSERT INTO p VALUES (1)").ok()) << "still open, and can be repaired";
  EXPECT_TRUE(conn.Exec("COMMIT").ok());
  EXPECT_EQ(Open().Query("SELECT count(*) FROM c").Text(), "I1");
}

// The FAILURE frame of these carries the rows so far in front of the code (protocol 6.3).
TEST_P(ErrorsTest, InTheMiddleOfAResult) {
  const Conn conn = Open();
  const std::string rows =
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) ";
  for (const char* at : {"1", "2", "300", "4999"}) {
    const std::string sql = rows + "SELECT CASE WHEN i = " + at +
                            " THEN abs(-9223372036854775808) ELSE i END AS v FROM n";
    for (int i = 0; i < 2; ++i) {
      const Reply reply = conn.Query(sql);
      ExpectError(reply, DQC_E_SQL, 1);
      EXPECT_EQ(reply.failure.server_text, "integer overflow");
    }
    ExpectError(conn.Prepare(sql).Query(), DQC_E_SQL, 1);
    ExpectError(conn.Exec(sql), DQC_E_SQL, 1);
    ExpectUsable(conn);
  }
  const Reply big = conn.Query("SELECT zeroblob(2000000000)");
  EXPECT_EQ(big.status, DQC_E_SQL) << big;
  EXPECT_EQ(big.failure.sqlite_code, 18) << big;
  ExpectUsable(conn);
}

TEST_P(ErrorsTest, FailingDmlByQuery) {
  const Conn conn = Open();
  ASSERT_TRUE(conn.Exec("CREATE TABLE t(x UNIQUE)").ok());
  ASSERT_TRUE(conn.Exec("INSERT INTO t VALUES (1)").ok());
  ExpectError(conn.Query("INSERT INTO t VALUES (?)", {1}), DQC_E_CONSTRAINT, 2067);
  ExpectError(conn.Prepare("INSERT INTO t VALUES (?)").Query({1}), DQC_E_CONSTRAINT, 2067);
  if (ReturningWorks()) {
    ExpectError(conn.Query("INSERT INTO t VALUES (1) RETURNING x"), DQC_E_CONSTRAINT, 2067);
  }
  ExpectUsable(conn);
}

TEST_P(ErrorsTest, ReadOnlyParts) {
  const Conn conn = Open();
  const Reply query_only = conn.Exec("PRAGMA query_only = 1");
  ASSERT_TRUE(query_only.ok()) << query_only;
  const Reply reply = conn.Exec("CREATE TABLE t(x)");
  EXPECT_EQ(reply.status, DQC_E_SQL) << reply;
  EXPECT_EQ(reply.failure.sqlite_code, 8);
  ASSERT_TRUE(conn.Exec("PRAGMA query_only = 0").ok());
  EXPECT_TRUE(conn.Exec("CREATE TABLE t(x)").ok());
  ExpectError(conn.Exec("INSERT INTO sqlite_master VALUES (1, 2, 3, 4, 5)"), DQC_E_SQL, 1);
  ExpectUsable(conn);
}

TEST_P(ErrorsTest, NestedAndMissingTransactions) {
  const Conn conn = Open();
  ASSERT_TRUE(conn.Exec("BEGIN").ok());
  ExpectError(conn.Exec("BEGIN"), DQC_E_SQL, 1);
  ExpectError(conn.Exec("VACUUM"), era() == 'D' ? DQC_E_SQL : DQC_E_UNSUPPORTED,
              era() == 'D' ? 1 : 0);
  ASSERT_TRUE(conn.Exec("ROLLBACK").ok());
  ExpectError(conn.Exec("COMMIT"), DQC_E_SQL, 1);
  ExpectUsable(conn);
}

TEST_P(ErrorsTest, DatabaseNames) {
  for (const char* name : {"file:x", ":memory:", "a%2Fb", "x%20y", "x-wal", "x-journal"}) {
    const Conn conn("dqlite://" + OneNode().Address(0) + "/" + name);
    EXPECT_FALSE(conn) << name;
    EXPECT_EQ(conn.opened().status, DQC_E_CONFIG) << name << ": " << conn.opened();
  }
  const Conn no_sql("dqlite://" + OneNode().Address(0) + "/?database=");
  ASSERT_TRUE(no_sql) << no_sql.opened();
  EXPECT_EQ(no_sql.Admin(DQC_ADMIN_DUMP, 0, 0, "x-wal").status, DQC_E_CONFIG);
  EXPECT_EQ(no_sql.Query("SELECT 1").status, DQC_E_MISUSE);
  const Conn longest(Dsn("", std::string(200, 'n')));
  ASSERT_TRUE(longest) << longest.opened();
  EXPECT_TRUE(longest.Exec("CREATE TABLE IF NOT EXISTS t(x)").ok());
  EXPECT_EQ(Conn(Dsn("", std::string(201, 'n'))).opened().status, DQC_E_CONFIG);
}

}  // namespace
}  // namespace dqc::live
