/* SPDX-License-Identifier: MIT */
// Scripts: several statements of any kind in one text.
#include "live/client.hpp"

namespace dqc::live {
namespace {

class ScriptTest : public SqlTest {};
DQC_LIVE_SUITE(ScriptTest);

constexpr const char* kTrigger = R"sql(
  -- a schema as people write it; with a ';' in a comment
  CREATE TABLE t(id INTEGER PRIMARY KEY, x TEXT DEFAULT ';');
  CREATE TABLE log(what TEXT);
  CREATE TRIGGER tr AFTER INSERT ON t BEGIN
    INSERT INTO log VALUES ('ins ' || CASE WHEN new.x IS NULL THEN 'null' ELSE new.x END);
    UPDATE t SET x = x || '!' WHERE id = new.id;
  END;
  /* ; */ INSERT INTO t(x) VALUES ('a;b'), ("it's");
  SELECT count(*) FROM t;
  CREATE VIEW v AS SELECT x FROM t;
  PRAGMA user_version = 7
)sql";

TEST_P(ScriptTest, SchemaWithTrigger) {
  const Conn conn = Open();
  const Reply reply = conn.Script(kTrigger);
  ASSERT_TRUE(reply.ok()) << reply;
  EXPECT_EQ(reply.result.statements, 7u);
  EXPECT_EQ(conn.Query("SELECT group_concat(x, ',') FROM v").Text(), "Ta;b!,it's!");
  EXPECT_EQ(conn.Query("SELECT group_concat(what, ',') FROM log").Text(), "Tins a;b,ins it's");
  EXPECT_EQ(conn.Query("PRAGMA user_version").Text(), "I7");
}

TEST_P(ScriptTest, RowsCarryTheirStatement) {
  AsyncConn conn(Dsn());
  Pending connected, script;
  ASSERT_EQ(conn.Connect(&connected), DQC_OK);
  std::vector<std::string> seen;
  script.on_event = [&](const dqc_event& event) {
    if (event.type != DQC_EVENT_ROWS) return;
    const dqc_cell* cells = dqc_batch_cells(event.batch);
    const size_t count = dqc_batch_row_count(event.batch) * dqc_batch_column_count(event.batch);
    std::string text = std::to_string(event.statement) + ":";
    for (size_t i = 0; i < count; ++i) text += ShortCell(cells[i]);
    seen.push_back(text);
  };
  ASSERT_EQ(conn.Script("SELECT 1; CREATE TABLE t(x); SELECT 2, 3; SELECT 4 WHERE 0; VALUES (5)",
                        &script),
            DQC_OK);
  ASSERT_TRUE(conn.Finish(script));
  ASSERT_TRUE(script.reply.ok()) << script.reply;
  EXPECT_EQ(seen, (std::vector<std::string>{"0:I1", "2:I2I3", "3:", "4:I5"}));
  EXPECT_EQ(script.reply.result.statements, 5u);
}

// The result is that of the last statement, never one left over from a statement before it.
TEST_P(ScriptTest, TheResultIsThatOfTheLastStatement) {
  const Conn conn = Open();
  ASSERT_TRUE(conn.Exec("CREATE TABLE t(id INTEGER PRIMARY KEY, x)").ok());
  const auto expect = [&](const char* sql, uint32_t has, int64_t id, uint64_t rows) {
    const Reply reply = conn.Script(sql);
    ASSERT_TRUE(reply.ok()) << sql << ": " << reply;
    EXPECT_EQ(reply.result.has, has) << sql;
    EXPECT_EQ(reply.result.last_insert_id, id) << sql;
    EXPECT_EQ(reply.result.rows_affected, rows) << sql;
  };
  const uint32_t both = DQC_HAS_ROWS_AFFECTED | DQC_HAS_LAST_INSERT_ID;
  expect("INSERT INTO t(x) VALUES (1); INSERT INTO t(x) VALUES (2), (3)", both, 3, 2);
  for (const char* last :
       {"SELECT 1", "VALUES (2)", "PRAGMA user_version", "PRAGMA user_version = 3",
        "EXPLAIN SELECT 1", "CREATE TABLE IF NOT EXISTS u(x)", "BEGIN; COMMIT"}) {
    expect((std::string("INSERT INTO t(x) VALUES (1); ") + last).c_str(), 0, 0, 0);
  }
  expect("INSERT INTO t(x) VALUES (1); DELETE FROM t", DQC_HAS_ROWS_AFFECTED, 0, 11);
}

TEST_P(ScriptTest, FailureTellsItsPlace) {
  const Conn conn = Open();
  const std::string sql =
      "CREATE TABLE t(x UNIQUE); INSERT INTO t VALUES (1);\n  INSERT INTO t VALUES (1); "
      "INSERT INTO t VALUES (2)";
  const Reply reply = conn.Script(sql);
  EXPECT_EQ(reply.status, DQC_E_CONSTRAINT) << reply;
  EXPECT_EQ(reply.failure.server_code, 2067);
  EXPECT_EQ(reply.failure.sql_offset, static_cast<int64_t>(sql.find("  INSERT") + 2));
  EXPECT_EQ(reply.failure.outcome, DQC_OUTCOME_MAYBE_EXECUTED) << "earlier statements stay done";
  EXPECT_EQ(conn.Query("SELECT group_concat(x) FROM t").Text(), "T1");
  const Reply first = conn.Script("SELEC 1; INSERT INTO t VALUES (3)");
  EXPECT_EQ(first.status, DQC_E_SQL);
  EXPECT_EQ(first.failure.sql_offset, 0);
  EXPECT_EQ(first.failure.outcome, DQC_OUTCOME_NOT_EXECUTED);
  const Reply second = conn.Script("SELECT 1; SELECT x FROM nowhere");
  EXPECT_EQ(second.failure.sql_offset, 10);
  EXPECT_EQ(second.failure.outcome, DQC_OUTCOME_NOT_EXECUTED) << "reads have no effect";
}

TEST_P(ScriptTest, ItsTransactionStaysOpenAfterAFailure) {
  const Conn conn = Open();
  ASSERT_TRUE(conn.Exec("CREATE TABLE t(x UNIQUE)").ok());
  const char* sql =
      "BEGIN; INSERT INTO t VALUES (1); INSERT INTO t VALUES (1); INSERT INTO t VALUES (2); COMMIT";
  EXPECT_EQ(conn.Script(sql).status, DQC_E_CONSTRAINT);
  EXPECT_EQ(conn.Exec("BEGIN").status, DQC_E_SQL) << "a transaction is open";
  EXPECT_TRUE(conn.Exec("ROLLBACK").ok());
  EXPECT_EQ(conn.Exec(sql).status, DQC_E_CONSTRAINT) << "the same in one EXEC_SQL";
  EXPECT_TRUE(conn.Exec("ROLLBACK").ok());
  EXPECT_EQ(conn.Query("SELECT count(*) FROM t").Text(), "I0");
}

TEST_P(ScriptTest, Parameters) {
  const Conn conn = Open();
  EXPECT_EQ(conn.Script("SELECT ?").status, DQC_E_PARAMS);
  EXPECT_EQ(conn.Script("SELECT 1; SELECT :a").status, DQC_E_PARAMS);
  EXPECT_EQ(conn.Query("SELECT 1").Text(), "I1");
}

TEST_P(ScriptTest, UnfinishedTextIsAnError) {
  const Conn conn = Open();
  for (const char* sql : {"CREATE TABLE t(", "SELECT 'abc", "SELECT 1; SELECT (",
                          "CREATE TRIGGER tr AFTER INSERT ON t BEGIN SELECT 1;"}) {
    const Reply reply = conn.Script(sql);
    EXPECT_EQ(reply.status, DQC_E_SQL) << sql << ": " << reply;
  }
  EXPECT_TRUE(conn.Script("CREATE TABLE t(x); /* open").ok());
  EXPECT_EQ(conn.Query("SELECT count(*) FROM t").Text(), "I0");
}

TEST_P(ScriptTest, HundredsOfStatements) {
  const Conn conn = Open();
  std::string sql = "CREATE TABLE t(x); BEGIN;";
  for (int i = 0; i < 500; ++i) sql += "INSERT INTO t VALUES (" + std::to_string(i) + ");\n";
  sql += "COMMIT;";
  const Reply reply = conn.Script(sql);
  ASSERT_TRUE(reply.ok()) << reply;
  EXPECT_EQ(reply.result.statements, 503u);
  EXPECT_EQ(conn.Query("SELECT count(*), max(x) FROM t").Text(), "I500|I499");
}

// RETURNING in every position. Era C refuses it: there is no safe way.
class ReturningTest : public SqlTest {
 protected:
  void Expect(const Reply& reply, const std::string& text) {
    if (ReturningWorks()) {
      EXPECT_EQ(reply.Text(), text) << reply;
    } else {
      EXPECT_EQ(reply.status, DQC_E_UNSUPPORTED) << reply;
      EXPECT_EQ(reply.failure.outcome, DQC_OUTCOME_NOT_EXECUTED);
      EXPECT_NE(reply.failure.message.find("era C"), std::string::npos) << reply;
    }
  }
  Conn OpenWithTable() {
    Conn conn = Open();
    EXPECT_TRUE(conn.Exec("CREATE TABLE t(id INTEGER PRIMARY KEY, x UNIQUE)").ok());
    return conn;
  }
  // Seen by another connection.
  void ExpectStored(const std::string& text) {
    EXPECT_EQ(Open().Query("SELECT x FROM t ORDER BY id").Text(), ReturningWorks() ? text : "");
  }
};
DQC_LIVE_SUITE(ReturningTest);

TEST_P(ReturningTest, Autocommit) {
  const Conn conn = OpenWithTable();
  Expect(conn.Query("INSERT INTO t(x) VALUES (5), (6) RETURNING id, x"), "I1|I5;I2|I6");
  Expect(conn.Query("UPDATE t SET x = x + 10 WHERE x = ? RETURNING *", {6}), "I2|I16");
  Expect(conn.Query("DELETE FROM t WHERE id = 1 returning x -- gone"), "I5");
  Expect(conn.Query("DELETE FROM t WHERE id = 77 RETURNING x"), "");
  Expect(conn.Query("WITH c AS (SELECT 9 AS v) INSERT INTO t(x) SELECT v FROM c RETURNING x"),
         "I9");
  Expect(conn.Query("REPLACE INTO t VALUES (2, 3) RETURNING x"), "I3");
  ExpectStored("I3;I9");
}

TEST_P(ReturningTest, ByExec) {
  const Conn conn = OpenWithTable();
  Expect(conn.Exec("INSERT INTO t(x) VALUES (5) RETURNING id"), "");
  Expect(conn.Exec("INSERT INTO t(x) VALUES (?) RETURNING id", {6}), "");
  ExpectStored("I5;I6");
}

TEST_P(ReturningTest, InsideATransaction) {
  const Conn conn = OpenWithTable();
  ASSERT_TRUE(conn.Exec("BEGIN").ok());
  Expect(conn.Query("INSERT INTO t(x) VALUES (5) RETURNING x"), "I5");
  Expect(conn.Query("INSERT INTO t(x) VALUES (6) RETURNING x"), "I6");
  EXPECT_EQ(Open().Query("SELECT count(*) FROM t").Text(), "I0") << "committed too early";
  ASSERT_TRUE(conn.Exec("COMMIT").ok());
  ExpectStored("I5;I6");
  ASSERT_TRUE(conn.Exec("BEGIN IMMEDIATE").ok());
  Expect(conn.Query("DELETE FROM t RETURNING x"), "I5;I6");
  ASSERT_TRUE(conn.Exec("ROLLBACK").ok());
  ExpectStored("I5;I6");
}

TEST_P(ReturningTest, Prepared) {
  const Conn conn = OpenWithTable();
  Reply prepared;
  const Stmt stmt = conn.Prepare("INSERT INTO t(x) VALUES (?) RETURNING id, x", &prepared);
  if (!ReturningWorks()) {
    EXPECT_EQ(prepared.status, DQC_E_UNSUPPORTED) << prepared;
    EXPECT_EQ(prepared.failure.outcome, DQC_OUTCOME_NOT_EXECUTED) << prepared;
    EXPECT_EQ(conn.Query("SELECT count(*) FROM t").Text(), "I0");
    return;
  }
  ASSERT_TRUE(stmt) << prepared;
  Expect(stmt.Query({5}), "I1|I5");
  Expect(stmt.Query({6}), "I2|I6");
  Expect(stmt.Exec({7}), "");
  ASSERT_TRUE(conn.Exec("BEGIN").ok());
  Expect(stmt.Query({8}), "I4|I8");
  ASSERT_TRUE(conn.Exec("COMMIT").ok());
  ExpectStored("I5;I6;I7;I8");
}

TEST_P(ReturningTest, InAScript) {
  const Conn conn = OpenWithTable();
  Expect(conn.Script("INSERT INTO t(x) VALUES (5) RETURNING x; INSERT INTO t(x) VALUES (6)"), "");
  ExpectStored("I5;I6");
  const Reply in_transaction =
      conn.Script("BEGIN; INSERT INTO t(x) VALUES (7) RETURNING x; COMMIT");
  EXPECT_EQ(in_transaction.status, ReturningWorks() ? DQC_OK : DQC_E_UNSUPPORTED);
  if (!in_transaction.ok()) {
    EXPECT_TRUE(conn.Exec("ROLLBACK").ok());
  }
  ExpectStored("I5;I6;I7");
}

TEST_P(ReturningTest, ThatFails) {
  const Conn conn = OpenWithTable();
  ASSERT_TRUE(conn.Exec("INSERT INTO t(x) VALUES (1)").ok());
  const dqc_status expected = ReturningWorks() ? DQC_E_CONSTRAINT : DQC_E_UNSUPPORTED;
  for (int i = 0; i < 3; ++i) {
    const Reply reply = conn.Query("INSERT INTO t(x) VALUES (2), (1) RETURNING x");
    EXPECT_EQ(reply.status, expected) << reply;
    EXPECT_EQ(reply.failure.outcome, DQC_OUTCOME_NOT_EXECUTED);
    EXPECT_EQ(conn.Exec("INSERT INTO t(x) VALUES (1) RETURNING x").status, expected);
  }
  EXPECT_TRUE(conn.Exec("BEGIN").ok()) << "no transaction of ours may be left open";
  EXPECT_EQ(conn.Query("INSERT INTO t(x) VALUES (1) RETURNING x").status, expected);
  EXPECT_TRUE(conn.Exec("INSERT INTO t(x) VALUES (3)").ok());
  EXPECT_TRUE(conn.Exec("COMMIT").ok());
  EXPECT_EQ(Open().Query("SELECT x FROM t ORDER BY id").Text(), "I1;I3");
}

TEST_P(ReturningTest, WhileAnotherWrites) {
  const Conn writer = OpenWithTable();
  const Conn conn = Open();
  ASSERT_TRUE(writer.Exec("BEGIN IMMEDIATE").ok());
  const dqc_status expected = ReturningWorks() ? DQC_E_BUSY : DQC_E_UNSUPPORTED;
  EXPECT_EQ(conn.Query("INSERT INTO t(x) VALUES (5) RETURNING x").status, expected);
  EXPECT_EQ(conn.Exec("INSERT INTO t(x) VALUES (5) RETURNING x").status, expected);
  ASSERT_TRUE(writer.Exec("COMMIT").ok());
  Expect(conn.Query("INSERT INTO t(x) VALUES (5) RETURNING x"), "I5");
  ExpectStored("I5");
}

TEST_P(ReturningTest, ManyRows) {
  const Conn conn = OpenWithTable();
  const Reply reply = conn.Query(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) "
      "INSERT INTO t(x) SELECT i FROM n RETURNING x");
  if (ReturningWorks()) {
    ASSERT_TRUE(reply.ok()) << reply;
    EXPECT_EQ(reply.rows.size(), 5000u);
    EXPECT_EQ(Open().Query("SELECT count(*) FROM t").Text(), "I5000");
  } else {
    EXPECT_EQ(reply.status, DQC_E_UNSUPPORTED);
  }
}

}  // namespace
}  // namespace dqc::live
