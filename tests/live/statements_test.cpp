/* SPDX-License-Identifier: MIT */
// Each kind of statement by each function: every one must travel by the request that is safe for
// it on the server's era, whatever function was called (protocol 7).
#include "live/client.hpp"

namespace dqc::live {
namespace {

class StatementsTest : public SqlTest {
 protected:
  Conn OpenWithTable() {
    Conn conn = Open();
    EXPECT_TRUE(conn.Exec("CREATE TABLE t(id INTEGER PRIMARY KEY, x)").ok());
    return conn;
  }
};
DQC_LIVE_SUITE(StatementsTest);

TEST_P(StatementsTest, EraIsAsExpected) {
  const Conn conn = Open();
  EXPECT_EQ(dqc_conn_era(conn.get()), era());
  EXPECT_EQ(conn.state(), DQC_STATE_READY);
}

TEST_P(StatementsTest, SelectByExecDiscardsRows) {
  const Conn conn = OpenWithTable();
  for (const char* sql : {"SELECT 1", "VALUES (1), (2)", "EXPLAIN SELECT 1", "PRAGMA user_version",
                          "WITH c AS (SELECT 1) SELECT * FROM c", "SELECT 1 WHERE 0"}) {
    const Reply reply = conn.Exec(sql);
    EXPECT_TRUE(reply.ok()) << sql << ": " << reply;
    EXPECT_EQ(reply.result.has, 0u);
    EXPECT_EQ(reply.result.statements, 1u);
  }
}

TEST_P(StatementsTest, DmlAndDdlByQuery) {
  const Conn conn = Open();
  for (const char* sql :
       {"CREATE TABLE t(id INTEGER PRIMARY KEY, x)", "INSERT INTO t(x) VALUES (1), (2)",
        "UPDATE t SET x = 9 WHERE id = 1", "DELETE FROM t WHERE id = 2", "BEGIN", "COMMIT",
        "CREATE INDEX i ON t(x)", "DROP INDEX i", "REPLACE INTO t VALUES (1, 5)", "ANALYZE"}) {
    const Reply reply = conn.Query(sql);
    EXPECT_TRUE(reply.ok()) << sql << ": " << reply;
    EXPECT_TRUE(reply.rows.empty());
    EXPECT_TRUE(reply.columns.empty());
  }
  EXPECT_EQ(conn.Query("SELECT * FROM t").Text(), "I1|I5");
  const Reply inserted = conn.Query("INSERT INTO t(x) VALUES (3)");
  EXPECT_EQ(inserted.result.rows_affected, 1u);
  EXPECT_EQ(inserted.result.last_insert_id, 2);
}

TEST_P(StatementsTest, QueriesOfEveryForm) {
  const Conn conn = OpenWithTable();
  EXPECT_EQ(conn.Query("VALUES (1, 'a'), (2, 'b')").Text(), "I1|Ta;I2|Tb");
  EXPECT_EQ(conn.Query("  /* hello */ -- there\n sElEcT 1;").Text(), "I1");
  EXPECT_EQ(conn.Query("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4)"
                       " SELECT group_concat(i) FROM n")
                .Text(),
            "T1,2,3,4");
  // Era C takes an explained write for a write that yields rows, and refuses it.
  const Reply explained = conn.Query("EXPLAIN INSERT INTO t(x) VALUES (1)");
  EXPECT_EQ(explained.ok(), era() != 'C') << explained;
  EXPECT_FALSE(conn.Query("EXPLAIN QUERY PLAN SELECT * FROM t").rows.empty());
  EXPECT_EQ(conn.Query("SELECT count(*) FROM t").Text(), "I0");
  EXPECT_EQ(conn.Query("SELECT 'RETURNING; --' AS \"a;b\" ;; -- end").Text(), "TRETURNING; --");
  EXPECT_EQ(conn.Query("SELECT 1 UNION SELECT 2 ORDER BY 1 DESC LIMIT 1").Text(), "I2");
}

TEST_P(StatementsTest, WithInsert) {
  const Conn conn = OpenWithTable();
  const char* sql = "WITH c(v) AS (VALUES (7), (8)) INSERT INTO t(x) SELECT v FROM c WHERE v > ?";
  const Reply reply = conn.Exec(sql, {0});
  ASSERT_TRUE(reply.ok()) << reply;
  EXPECT_EQ(reply.result.rows_affected, 2u);
  EXPECT_EQ(reply.result.last_insert_id, 2);
  EXPECT_TRUE(conn.Query(sql, {7}).ok());
  EXPECT_EQ(conn.Query("SELECT group_concat(x) FROM t").Text(), "T7,8,8");
}

TEST_P(StatementsTest, SeveralStatementsInExec) {
  const Conn conn = Open();
  const Reply reply = conn.Exec(
      "CREATE TABLE t(x); INSERT INTO t VALUES (1); INSERT INTO t VALUES (2), (3); -- end\n");
  ASSERT_TRUE(reply.ok()) << reply;
  EXPECT_EQ(reply.result.statements, 3u);
  EXPECT_EQ(reply.result.has, 0u);
  EXPECT_EQ(conn.Query("SELECT count(*) FROM t").Text(), "I3");
  EXPECT_EQ(conn.Exec("INSERT INTO t VALUES (?); DELETE FROM t", {1}).status, DQC_E_PARAMS);
  EXPECT_EQ(conn.Exec("DELETE FROM t; SELECT 1").status, DQC_E_UNSUPPORTED);
  EXPECT_EQ(conn.Query("SELECT 1; SELECT 2").status, DQC_E_MISUSE);
  Reply prepared;
  conn.Prepare("SELECT 1; SELECT 2", &prepared);
  EXPECT_EQ(prepared.status, DQC_E_MISUSE);
  // The statements before the one that fails stay done: the outcome must not be "not executed".
  const Reply failed = conn.Exec("DELETE FROM t; INSERT INTO nowhere VALUES (1)");
  EXPECT_EQ(failed.status, DQC_E_SQL) << failed;
  EXPECT_EQ(failed.failure.outcome, DQC_OUTCOME_MAYBE_EXECUTED);
  EXPECT_EQ(conn.Query("SELECT count(*) FROM t").Text(), "I0");
}

TEST_P(StatementsTest, NothingToRun) {
  const Conn conn = Open();
  for (const char* sql : {"", " ", ";", " ; ;", "-- only a comment", "/* one */ ;", "\n\t"}) {
    EXPECT_EQ(conn.Exec(sql).status, DQC_E_MISUSE) << sql;
    EXPECT_EQ(conn.Query(sql).status, DQC_E_MISUSE) << sql;
    const Reply script = conn.Script(sql);
    EXPECT_TRUE(script.ok()) << script;
    EXPECT_EQ(script.result.statements, 0u);
  }
  EXPECT_EQ(conn.Query("SELECT 1").Text(), "I1");
}

TEST_P(StatementsTest, ByteOrderMark) {
  const Conn conn = Open();
  EXPECT_TRUE(conn.Exec("\xEF\xBB\xBF"
                        "CREATE TABLE t(x)")
                  .ok());
  EXPECT_EQ(conn.Query("\xEF\xBB\xBF"
                       "SELECT 1")
                .Text(),
            "I1");
  EXPECT_TRUE(conn.Script("\xEF\xBB\xBFINSERT INTO t VALUES (1); INSERT INTO t VALUES (2)").ok());
  EXPECT_EQ(conn.Query("SELECT count(*) FROM t").Text(), "I2");
}

TEST_P(StatementsTest, ResultsAreNeverStale) {
  const Conn conn = OpenWithTable();
  const Reply inserted = conn.Exec("INSERT INTO t(x) VALUES (1), (2), (3)");
  EXPECT_EQ(inserted.result.last_insert_id, 3);
  EXPECT_EQ(inserted.result.rows_affected, 3u);
  EXPECT_EQ(inserted.result.has, DQC_HAS_ROWS_AFFECTED | DQC_HAS_LAST_INSERT_ID);
  const auto expect = [&](const char* sql, uint32_t has, uint64_t rows) {
    const Reply reply = conn.Exec(sql);
    ASSERT_TRUE(reply.ok()) << sql << ": " << reply;
    EXPECT_EQ(reply.result.has, has) << sql;
    EXPECT_EQ(reply.result.rows_affected, rows) << sql;
    EXPECT_EQ(reply.result.last_insert_id, 0) << sql;
  };
  expect("CREATE TABLE u(x)", 0, 0);
  expect("INSERT INTO t(id, x) VALUES (1, 1) ON CONFLICT(id) DO UPDATE SET x = 8",
         DQC_HAS_ROWS_AFFECTED, 1);
  expect("PRAGMA user_version", 0, 0);
  expect("UPDATE t SET x = 1", DQC_HAS_ROWS_AFFECTED, 3);
  expect("UPDATE t SET x = 1 WHERE 0", DQC_HAS_ROWS_AFFECTED, 0);
  expect("INSERT INTO t(x) SELECT 1 WHERE 0", DQC_HAS_ROWS_AFFECTED, 0);
  expect("INSERT OR IGNORE INTO t VALUES (1, 1)", DQC_HAS_ROWS_AFFECTED, 0);
  expect("BEGIN", 0, 0);
  expect("DELETE FROM t WHERE id = 1", DQC_HAS_ROWS_AFFECTED, 1);
  expect("COMMIT", 0, 0);
  expect("SELECT 1", 0, 0);
  const Stmt stmt = conn.Prepare("INSERT INTO t(x) VALUES (?)");
  EXPECT_EQ(stmt.Exec({5}).result.last_insert_id, 4);
  EXPECT_EQ(stmt.Exec({5}).result.last_insert_id, 5);
}

// Eras A and B report 0/0 when anything follows the last semicolon.
TEST_P(StatementsTest, TrailingBlanksAndComments) {
  const Conn conn = OpenWithTable();
  int64_t id = 0;
  for (const char* tail : {"", ";", "; ", " ;\n", "; -- done", "; /* done */ ", " -- done", ";;"}) {
    const std::string sql = std::string("INSERT INTO t(x) VALUES (1)") + tail;
    const Reply reply = conn.Exec(sql);
    ASSERT_TRUE(reply.ok()) << sql << ": " << reply;
    EXPECT_EQ(reply.result.last_insert_id, ++id) << sql;
    EXPECT_EQ(reply.result.rows_affected, 1u) << sql;
    EXPECT_EQ(conn.Query("SELECT count(*) FROM t" + std::string(tail)).Int(), id);
    Stmt stmt = conn.Prepare(sql);
    ASSERT_TRUE(stmt);
    EXPECT_EQ(stmt.Exec().result.last_insert_id, ++id) << sql;
  }
}

TEST_P(StatementsTest, TransactionsAndSavepoints) {
  const Conn conn = OpenWithTable();
  const Conn other = Open();
  for (const char* sql : {"BEGIN IMMEDIATE", "INSERT INTO t(x) VALUES (1)", "SAVEPOINT s",
                          "INSERT INTO t(x) VALUES (2)", "ROLLBACK TO s", "RELEASE s"}) {
    ASSERT_TRUE(conn.Exec(sql).ok()) << sql;
  }
  EXPECT_EQ(other.Query("SELECT count(*) FROM t").Text(), "I0");
  ASSERT_TRUE(conn.Exec("COMMIT").ok());
  EXPECT_EQ(other.Query("SELECT group_concat(x) FROM t").Text(), "T1");
  ASSERT_TRUE(conn.Exec("SAVEPOINT outermost").ok());
  ASSERT_TRUE(conn.Exec("DELETE FROM t").ok());
  ASSERT_TRUE(conn.Exec("RELEASE outermost").ok());
  EXPECT_EQ(other.Query("SELECT count(*) FROM t").Text(), "I0");
  ASSERT_TRUE(conn.Exec("BEGIN").ok());
  ASSERT_TRUE(conn.Exec("INSERT INTO t(x) VALUES (1)").ok());
  ASSERT_TRUE(conn.Exec("ROLLBACK").ok());
  EXPECT_EQ(conn.Query("SELECT count(*) FROM t").Text(), "I0");
}

TEST_P(StatementsTest, OpenTransactionEndsWithTheConnection) {
  Conn conn = OpenWithTable();
  ASSERT_TRUE(conn.Exec("BEGIN IMMEDIATE").ok());
  ASSERT_TRUE(conn.Exec("INSERT INTO t(x) VALUES (1)").ok());
  EXPECT_TRUE(conn.Close().ok());
  EXPECT_EQ(conn.state(), DQC_STATE_CLOSED);
  EXPECT_EQ(conn.Exec("SELECT 1").status, DQC_E_CLOSED);
  EXPECT_TRUE(WriteThroughNewConnection(Dsn()).ok());
  EXPECT_EQ(Open().Query("SELECT count(*) FROM t").Text(), "I0");
}

TEST_P(StatementsTest, TemporaryTablesAreTheConnections) {
  const Conn conn = Open();
  ASSERT_TRUE(conn.Exec("CREATE TEMP TABLE mine(x)").ok());
  ASSERT_TRUE(conn.Exec("INSERT INTO mine VALUES (1)").ok());
  EXPECT_EQ(conn.Query("SELECT x FROM mine").Text(), "I1");
  EXPECT_EQ(Open().Query("SELECT x FROM mine").status, DQC_E_SQL);
}

TEST_P(StatementsTest, RefusedOrRunByEra) {
  const Conn conn = OpenWithTable();
  const bool vacuum = era() == 'D';  // A crashes when others write meanwhile
  EXPECT_EQ(conn.Exec("VACUUM").status, vacuum ? DQC_OK : DQC_E_UNSUPPORTED);
  for (const char* sql :
       {"ATTACH 'x' AS y", "DETACH y", "PRAGMA journal_mode = DELETE", "PRAGMA journal_mode(wal)",
        "PRAGMA main.page_size = 512", "PRAGMA wal_checkpoint", "PRAGMA wal_checkpoint(TRUNCATE)",
        "EXPLAIN PRAGMA journal_mode = DELETE"}) {
    for (const Reply& reply : {conn.Exec(sql), conn.Query(sql), conn.Script(sql)}) {
      EXPECT_EQ(reply.status, DQC_E_UNSUPPORTED) << sql << ": " << reply;
      EXPECT_EQ(reply.failure.outcome, DQC_OUTCOME_NOT_EXECUTED);
      EXPECT_NE(reply.failure.message.find("instead"), std::string::npos) << reply;
    }
  }
  EXPECT_EQ(conn.Query("SELECT 1").Text(), "I1");
}

TEST_P(StatementsTest, DeleteDatabase) {
  const Conn conn = OpenWithTable();
  ASSERT_TRUE(conn.Exec("INSERT INTO t(x) VALUES (1)").ok());
  if (era() != 'D') {
    EXPECT_EQ(conn.Exec("PRAGMA delete_database").status, DQC_E_UNSUPPORTED);
    return;
  }
  ASSERT_TRUE(conn.Exec("BEGIN IMMEDIATE").ok());
  const Reply inside = conn.Exec("PRAGMA delete_database");
  EXPECT_EQ(inside.status, DQC_E_UNSUPPORTED) << inside;
  EXPECT_EQ(inside.failure.outcome, DQC_OUTCOME_NOT_EXECUTED);
  ASSERT_TRUE(conn.Exec("COMMIT").ok());
  EXPECT_EQ(Open().Query("SELECT count(*) FROM t").Text(), "I1");
  const Reply reply = conn.Exec("PRAGMA delete_database");
  ASSERT_TRUE(reply.ok()) << reply;
  EXPECT_EQ(Open().Query("SELECT * FROM t").status, DQC_E_SQL);
}

}  // namespace
}  // namespace dqc::live
