/* SPDX-License-Identifier: MIT */
// PRAGMAs: reads and setters. Whatever is asked for, the node must survive it, in this database and
// in others.
#include "live/client.hpp"

namespace dqc::live {
namespace {

class PragmasTest : public SqlTest {};
DQC_LIVE_SUITE(PragmasTest);

TEST_P(PragmasTest, Reads) {
  const Conn conn = Open();
  ASSERT_TRUE(conn.Exec("CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT REFERENCES t(a))").ok());
  EXPECT_EQ(conn.Query("PRAGMA foreign_keys").Text(), "I1");
  EXPECT_EQ(conn.Query("PRAGMA page_size").Text(), "I4096");
  EXPECT_EQ(conn.Query("PRAGMA encoding").Text(), "TUTF-8");
  EXPECT_EQ(conn.Query("PRAGMA table_info(t)").rows.size(), 2u);
  EXPECT_EQ(conn.Query("PRAGMA main.table_info = t").rows.size(), 2u);
  EXPECT_EQ(conn.Query("PRAGMA foreign_key_list(t)").rows.size(), 1u);
  EXPECT_EQ(conn.Query("PRAGMA integrity_check").Text(), "Tok");
  EXPECT_EQ(conn.Query("SELECT name FROM pragma_table_info('t') ORDER BY cid").Text(), "Ta;Tb");
  for (const char* name :
       {"index_list(t)", "database_list", "collation_list", "compile_options", "foreign_key_check",
        "quick_check", "freelist_count", "page_count", "schema_version", "application_id",
        "auto_vacuum", "cache_size", "synchronous", "temp_store", "data_version", "query_only"}) {
    for (const std::string& sql : {"PRAGMA " + std::string(name), "pragma " + std::string(name)}) {
      const Reply reply = conn.Query(sql);
      EXPECT_TRUE(reply.ok()) << sql << ": " << reply;
      EXPECT_TRUE(conn.Exec(sql).ok()) << sql;
      const Stmt stmt = conn.Prepare(sql);
      EXPECT_TRUE(stmt.Query().ok()) << sql;
    }
  }
}

TEST_P(PragmasTest, Setters) {
  const Conn conn = Open();
  ASSERT_TRUE(conn.Exec("CREATE TABLE t(x)").ok());
  for (const char* name : {"user_version", "application_id"}) {
    const std::string pragma = "PRAGMA " + std::string(name);
    EXPECT_TRUE(conn.Query(pragma + " = 7").ok());
    EXPECT_TRUE(conn.Exec(pragma + "(8)").ok());
    const Stmt stmt = conn.Prepare(pragma + " = 9");
    EXPECT_TRUE(stmt.Exec().ok());
    EXPECT_TRUE(conn.Script("SELECT 1; " + pragma + " = 10; SELECT 2").ok());
    EXPECT_EQ(Open().Query(pragma).Text(), "I10") << "seen by others";
  }
  ASSERT_TRUE(conn.Exec("PRAGMA foreign_keys = OFF").ok());
  EXPECT_EQ(conn.Query("PRAGMA foreign_keys").Text(), "I0");
  EXPECT_EQ(Open().Query("PRAGMA foreign_keys").Text(), "I1") << "of the connection";
}

// Each may be refused by us, refused by the server, or obeyed. After each, the database takes
// writes, from this connection and from another.
class PragmaHarmTest : public SqlTest {
 protected:
  void Try(const std::string& sql) {
    const std::string trace = "after " + sql;
    SCOPED_TRACE(trace);
    const pid_t pid = OneNode().node(0).pid();
    {
      const Conn conn = Open();
      ASSERT_TRUE(conn.Exec("CREATE TABLE IF NOT EXISTS t(x)").ok());
      Reply reply;  // some act when they are prepared
      const Stmt stmt = conn.Prepare(sql, &reply);
      EXPECT_NE(reply.status, DQC_E_NETWORK) << reply;
      if (stmt) reply = stmt.Exec();
      EXPECT_NE(reply.status, DQC_E_NETWORK) << reply;
      reply = conn.Exec(sql);
      EXPECT_NE(reply.status, DQC_E_NETWORK) << reply;
      if (reply.status == DQC_E_NETWORK) return;
      for (int i = 0; i < 3; ++i) {
        const Reply write = conn.Exec("INSERT INTO t VALUES (zeroblob(20000))");
        EXPECT_NE(write.status, DQC_E_NETWORK) << write;
        EXPECT_NE(conn.Query("SELECT count(*) FROM t").status, DQC_E_NETWORK);
      }
      const Reply meanwhile = WriteThroughNewConnection(Dsn());
      EXPECT_TRUE(meanwhile.ok()) << meanwhile;
    }
    const Reply other = WriteThroughNewConnection(Dsn());
    EXPECT_TRUE(other.ok()) << other;
    ASSERT_EQ(OneNode().node(0).pid(), pid) << "the node died";
  }
};
DQC_LIVE_SUITE(PragmaHarmTest);

TEST_P(PragmaHarmTest, OfTheLog) {
  for (const char* sql :
       {"PRAGMA wal_autocheckpoint = 1", "PRAGMA wal_autocheckpoint", "PRAGMA journal_mode",
        "PRAGMA journal_mode = WAL", "PRAGMA journal_mode = MEMORY",
        "PRAGMA wal_checkpoint(RESTART)", "PRAGMA journal_size_limit = 0",
        "PRAGMA locking_mode = EXCLUSIVE", "PRAGMA locking_mode", "PRAGMA synchronous = FULL",
        "PRAGMA synchronous = EXTRA", "PRAGMA checkpoint_fullfsync = 1", "PRAGMA fullfsync = 1",
        "PRAGMA busy_timeout = 100"}) {
    Try(sql);
  }
}

// It acts when it is prepared; then a write by EXEC would yield a row.
TEST_P(PragmaHarmTest, CountChanges) {
  const Conn conn = Open();
  for (const char* sql : {"PRAGMA count_changes = 1", "EXPLAIN PRAGMA count_changes = 1"}) {
    EXPECT_EQ(conn.Exec(sql).status, DQC_E_UNSUPPORTED) << sql;
    EXPECT_EQ(conn.Script(sql).status, DQC_E_UNSUPPORTED) << sql;
    Reply reply;
    conn.Prepare(sql, &reply);
    EXPECT_EQ(reply.status, DQC_E_UNSUPPORTED) << sql;
    Try(sql);
  }
  EXPECT_EQ(conn.Query("PRAGMA count_changes").Text(), "I0");
  const Conn init(Dsn("init_sql=PRAGMA%20count_changes%3D1"));
  EXPECT_EQ(init.opened().status, DQC_E_UNSUPPORTED) << init.opened();
}

TEST_P(PragmaHarmTest, OfTheFile) {
  for (const char* sql :
       {"PRAGMA page_size = 1024", "PRAGMA auto_vacuum = FULL", "PRAGMA auto_vacuum = INCREMENTAL",
        "PRAGMA incremental_vacuum(1)", "PRAGMA encoding = 'UTF-16'",
        "PRAGMA max_page_count = 100000", "PRAGMA secure_delete = ON",
        "PRAGMA legacy_file_format = 1", "PRAGMA schema_version = 77", "PRAGMA optimize",
        "PRAGMA mmap_size = 65536", "PRAGMA temp_store = FILE", "PRAGMA writable_schema = 1"}) {
    Try(sql);
  }
}

// With pages to give back it kills nodes before era D. (One whose database has such pages got there by
// an upgrade: before era D we refuse the VACUUM that makes auto_vacuum take effect.)
TEST_P(PragmaHarmTest, IncrementalVacuum) {
  const bool refused = era() != 'D';
  const Conn conn = Open();
  const auto code = [&](dqc_status status) { return status == DQC_E_UNSUPPORTED; };
  for (const char* sql : {"PRAGMA incremental_vacuum(3)", "PRAGMA main.Incremental_Vacuum",
                          "EXPLAIN PRAGMA incremental_vacuum"}) {
    if (!refused) {
      ASSERT_TRUE(conn.Exec("PRAGMA auto_vacuum = INCREMENTAL").ok());
      ASSERT_TRUE(conn.Exec("VACUUM").ok());
      ASSERT_TRUE(conn.Script("CREATE TABLE big(x); INSERT INTO big VALUES (zeroblob(300000)); "
                              "DROP TABLE big")
                      .ok());
      EXPECT_GT(conn.Query("PRAGMA freelist_count").Int(), 50);
    }
    Reply reply;
    conn.Prepare(sql, &reply);
    EXPECT_EQ(code(reply.status), refused) << sql << ": " << reply;
    EXPECT_EQ(code(conn.Exec(sql).status), refused) << sql;
    EXPECT_EQ(code(conn.Query(sql).status), refused) << sql;
    EXPECT_EQ(code(conn.Script(sql).status), refused) << sql;
    Try(sql);
  }
}

TEST_P(PragmaHarmTest, OfTheMemory) {
  for (const char* sql :
       {"PRAGMA cache_size = 1", "PRAGMA cache_spill = 1", "PRAGMA cache_size = -1",
        "PRAGMA shrink_memory", "PRAGMA threads = 4", "PRAGMA read_uncommitted = 1",
        "PRAGMA recursive_triggers = 1", "PRAGMA cell_size_check = 1", "PRAGMA trusted_schema = 0",
        "PRAGMA ignore_check_constraints = 1", "PRAGMA automatic_index = 0",
        "PRAGMA case_sensitive_like = 1", "PRAGMA defer_foreign_keys = 1",
        "PRAGMA reverse_unordered_selects = 1"}) {
    Try(sql);
  }
}

// A small cache writes pages of an unfinished transaction to the log.
TEST_P(PragmaHarmTest, TransactionLargerThanTheCache) {
  const Conn conn = Open();
  ASSERT_TRUE(conn.Exec("CREATE TABLE t(x)").ok());
  (void)conn.Exec("PRAGMA cache_size = 10");
  for (const char* end : {"ROLLBACK", "COMMIT"}) {
    ASSERT_TRUE(conn.Exec("BEGIN").ok());
    for (int i = 0; i < 100; ++i) {
      const Reply reply = conn.Exec("INSERT INTO t VALUES (randomblob(20000))");
      ASSERT_TRUE(reply.ok()) << reply;
    }
    ASSERT_TRUE(conn.Exec(end).ok());
  }
  EXPECT_EQ(Open().Query("SELECT count(*), sum(length(x)) FROM t").Text(), "I100|I2000000");
}

}  // namespace
}  // namespace dqc::live
