/* SPDX-License-Identifier: MIT */
// Conflict policy FAIL keeps the rows that were changed before the one that failed: the outcome must say
// so, and era D, which would not replicate them and then abort, must not notice.
#include "live/client.hpp"

namespace dqc::live {
namespace {

enum class Form { kExec, kQuery, kScript, kStmtExec };

class ConflictTest : public SqlTest {
 protected:
  static constexpr Form kForms[] = {Form::kExec, Form::kQuery, Form::kScript, Form::kStmtExec};
  static constexpr const char* kInsert = "INSERT OR FAIL INTO t VALUES (1), (2), (1), (3)";

  Conn Fresh() {
    dsn_ = Dsn("timeout=10s", database() + "n" + std::to_string(++databases_));
    Conn conn(dsn_);
    const Reply reply = conn.Exec("CREATE TABLE t(x INTEGER PRIMARY KEY)");
    EXPECT_TRUE(reply.ok()) << reply;
    return conn;
  }
  static Reply Run(const Conn& conn, Form form, const std::string& sql) {
    if (form == Form::kExec) return conn.Exec(sql);
    if (form == Form::kQuery) return conn.Query(sql);
    if (form == Form::kScript) return conn.Script(sql + "; SELECT 1");
    return conn.Prepare(sql).Exec();
  }
  // The connection and others can write, and see the same rows.
  void ExpectSound(const Conn& conn, const std::string& rows) {
    const auto list = [](const Conn& c) { return c.Query("SELECT x FROM t ORDER BY x").Text(); };
    EXPECT_EQ(dqc_conn_transaction(conn.get()), DQC_TRANSACTION_NONE);
    EXPECT_EQ(list(Conn(dsn_)), rows);
    const Reply mine = conn.Exec("CREATE TABLE mine(x)");
    EXPECT_TRUE(mine.ok()) << mine;
    const Reply other = WriteThroughNewConnection(dsn_);
    EXPECT_TRUE(other.ok()) << other;
    EXPECT_EQ(list(conn), rows);
  }

  std::string dsn_;
  int databases_ = 0;
};
DQC_LIVE_SUITE(ConflictTest);

TEST_P(ConflictTest, FailKeepsTheRowsBefore) {
  for (const Form form : kForms) {
    const std::string trace = "form " + std::to_string(static_cast<int>(form));
    SCOPED_TRACE(trace);
    const Conn conn = Fresh();
    Reply reply = Run(conn, form, kInsert);
    EXPECT_EQ(reply.status, DQC_E_CONSTRAINT) << reply;
    EXPECT_EQ(reply.failure.server_code, 1555) << reply;
    EXPECT_EQ(reply.failure.outcome, DQC_OUTCOME_MAYBE_EXECUTED) << reply;
    ExpectSound(conn, "I1;I2");
    reply = Run(conn, form, "UPDATE OR FAIL t SET x = CASE x WHEN 1 THEN 5 ELSE 5 END");
    EXPECT_EQ(reply.status, DQC_E_CONSTRAINT) << reply;
    EXPECT_EQ(reply.failure.outcome, DQC_OUTCOME_MAYBE_EXECUTED) << reply;
    EXPECT_EQ(Conn(dsn_).Query("SELECT x FROM t ORDER BY x").Text(), "I2;I5");
    reply = Run(conn, form, "INSERT OR FAIL INTO t VALUES (7), (8)");
    EXPECT_TRUE(reply.ok()) << reply;
    if (form == Form::kExec) {
      EXPECT_EQ(reply.result.rows_affected, 2u);
      EXPECT_EQ(reply.result.last_insert_id, 8);
    }
    EXPECT_EQ(Conn(dsn_).Query("SELECT x FROM t ORDER BY x").Text(), "I2;I5;I7;I8");
  }
}

TEST_P(ConflictTest, FailInsideATransaction) {
  for (const char* begin : {"BEGIN", "BEGIN IMMEDIATE", "SAVEPOINT s"}) {
    const Conn conn = Fresh();
    ASSERT_TRUE(conn.Exec(begin).ok());
    const Reply reply = conn.Exec(kInsert);
    EXPECT_EQ(reply.status, DQC_E_CONSTRAINT) << reply;
    EXPECT_EQ(reply.failure.outcome, DQC_OUTCOME_MAYBE_EXECUTED) << reply;
    EXPECT_EQ(dqc_conn_transaction(conn.get()), DQC_TRANSACTION_OPEN);
    ASSERT_TRUE(conn.Exec(begin[0] == 'B' ? "COMMIT" : "RELEASE s").ok());
    ExpectSound(conn, "I1;I2");
  }
}

TEST_P(ConflictTest, FailWithReturning) {
  const Conn conn = Fresh();
  const Reply reply = conn.Query("INSERT OR FAIL INTO t VALUES (1), (2), (1) RETURNING x");
  if (!ReturningWorks()) {
    EXPECT_EQ(reply.status, DQC_E_UNSUPPORTED) << reply;
    return;
  }
  EXPECT_EQ(reply.status, DQC_E_CONSTRAINT) << reply;
  EXPECT_EQ(reply.failure.outcome, DQC_OUTCOME_MAYBE_EXECUTED) << reply;
  ExpectSound(conn, "I1;I2");
}

// A trigger's failure does not tell which of ABORT and FAIL it was.
TEST_P(ConflictTest, TriggersThatFail) {
  const Conn conn = Fresh();
  for (const char* action : {"ABORT", "ROLLBACK"}) {
    ASSERT_TRUE(conn.Exec("DROP TRIGGER IF EXISTS r").ok());
    ASSERT_TRUE(conn.Exec(std::string("CREATE TRIGGER r BEFORE INSERT ON t WHEN new.x = 3 BEGIN "
                                      "SELECT RAISE(") +
                          action + ", 'three'); END")
                    .ok());
    for (const char* sql : {"INSERT INTO t VALUES (1), (3)", "INSERT OR FAIL INTO t VALUES (3)"}) {
      const Reply reply = conn.Exec(sql);
      EXPECT_EQ(reply.failure.server_code, 1811) << reply;
      EXPECT_EQ(reply.status, DQC_E_CONSTRAINT) << reply;
    }
    EXPECT_EQ(dqc_conn_transaction(conn.get()), DQC_TRANSACTION_NONE);
    EXPECT_EQ(Conn(dsn_).Query("SELECT count(*) FROM t").Text(), "I0");
  }
  ExpectSound(conn, "");
}

// Era D refuses to make what it would not survive; the others do as the schema says.
TEST_P(ConflictTest, SchemasThatSayFail) {
  const char* const kRaise =
      "CREATE TRIGGER r BEFORE INSERT ON t WHEN new.x = 3 BEGIN SELECT RAISE(FAIL, 'three'); END";
  const Conn conn = Fresh();
  for (const std::string sql :
       {"CREATE TABLE u(x UNIQUE ON CONFLICT FAIL)",
        "ALTER TABLE t ADD COLUMN y DEFAULT 1 NOT NULL ON CONFLICT FAIL",
        "CREATE TRIGGER q AFTER DELETE ON t BEGIN INSERT OR FAIL INTO t VALUES (9); END", kRaise}) {
    SCOPED_TRACE(sql);
    if (era() != 'D') {
      const Reply reply = conn.Exec(sql);
      EXPECT_TRUE(reply.ok()) << reply;
      continue;
    }
    EXPECT_EQ(conn.Exec(sql).status, DQC_E_UNSUPPORTED);
    EXPECT_EQ(conn.Query(sql).status, DQC_E_UNSUPPORTED);
    EXPECT_EQ(conn.Script("SELECT 1; " + sql).status, DQC_E_UNSUPPORTED);
    EXPECT_EQ(conn.Exec("CREATE TABLE v(x); " + sql).status, DQC_E_UNSUPPORTED);
    Reply reply;
    conn.Prepare(sql, &reply);
    EXPECT_EQ(reply.status, DQC_E_UNSUPPORTED) << reply;
    EXPECT_NE(reply.failure.message.find("ABORT"), std::string::npos) << reply;
  }
  if (era() == 'D') return ExpectSound(conn, "");
  const Reply reply = conn.Exec("INSERT INTO t(x) VALUES (1), (3)");
  EXPECT_EQ(reply.status, DQC_E_CONSTRAINT) << reply;
  EXPECT_EQ(reply.failure.outcome, DQC_OUTCOME_MAYBE_EXECUTED) << reply;
  ExpectSound(conn, "I1");
}

}  // namespace
}  // namespace dqc::live
