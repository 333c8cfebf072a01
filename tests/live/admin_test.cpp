/* SPDX-License-Identifier: MIT */
// Administration of one node.
#include <filesystem>
#include <fstream>

#include "live/client.hpp"
#if defined(DQC_HAVE_SQLITE3)
#include <sqlite3.h>
#endif

namespace dqc::live {
namespace {

class AdminTest : public SqlTest {
 protected:
  std::string Address() { return OneNode().Address(0); }
};
DQC_LIVE_SUITE(AdminTest);

TEST_P(AdminTest, LeaderAndCluster) {
  const Conn no_sql("dqlite://" + Address() + "/?database=");
  const Conn with_sql = Open();
  for (const Conn* conn : {&no_sql, &with_sql}) {
    EXPECT_EQ(conn->Admin(DQC_ADMIN_LEADER).Text(), "I1|T" + Address());
    const Reply cluster = conn->Admin(DQC_ADMIN_CLUSTER);
    EXPECT_EQ(cluster.Text(), "I1|T" + Address() + "|I0");
    EXPECT_EQ(cluster.columns, (std::vector<std::string>{"id", "address", "role"}));
  }
  EXPECT_EQ(with_sql.Query("SELECT 1").Text(), "I1");
}

TEST_P(AdminTest, DescribeAndWeight) {
  const Conn conn = Open();
  EXPECT_EQ(conn.Admin(DQC_ADMIN_DESCRIBE).Text(), "I0|I0");
  EXPECT_TRUE(conn.Admin(DQC_ADMIN_WEIGHT, 0, 7).ok());
  EXPECT_EQ(conn.Admin(DQC_ADMIN_DESCRIBE).Text(), "I0|I7");
  EXPECT_TRUE(conn.Admin(DQC_ADMIN_WEIGHT, 0, 0).ok());
}

TEST_P(AdminTest, Failures) {
  const Conn conn = Open();
  const auto expect = [&](const Reply& reply, int32_t code) {
    EXPECT_EQ(reply.failure.server_code, code) << reply;
    EXPECT_FALSE(reply.failure.server_text.empty());
    EXPECT_EQ(conn.state(), DQC_STATE_READY);
    EXPECT_EQ(conn.Query("SELECT 1").Text(), "I1");
  };
  expect(conn.Admin(DQC_ADMIN_ADD, 1, 0, "127.0.0.1:1"), 1);
  expect(conn.Admin(DQC_ADMIN_ADD, 2, 0, Address().c_str()), 1);
  expect(conn.Admin(DQC_ADMIN_ASSIGN, 77, DQC_ROLE_STANDBY), 1);
  expect(conn.Admin(DQC_ADMIN_ASSIGN, 1, DQC_ROLE_VOTER), 1);
  expect(conn.Admin(DQC_ADMIN_REMOVE, 77), 1);
  expect(conn.Admin(DQC_ADMIN_TRANSFER, 77), 1);
  expect(conn.Admin(DQC_ADMIN_TRANSFER, 1), 1);
  expect(conn.Admin(DQC_ADMIN_TRANSFER, 0), 1);
}

TEST_P(AdminTest, RefusedHere) {
  const Conn conn = Open();
  EXPECT_LT(conn.Admin(99).status, 0);
  EXPECT_LT(conn.Admin(DQC_ADMIN_ASSIGN, 1, 99).status, 0);
  EXPECT_LT(conn.Admin(DQC_ADMIN_ADD, 2).status, 0);
  EXPECT_LT(conn.Admin(DQC_ADMIN_DUMP).status, 0);
  EXPECT_EQ(conn.state(), DQC_STATE_READY);
}

TEST_P(AdminTest, AddAndRemoveANodeThatDoesNotRun) {
  const Conn conn = Open();
  ASSERT_TRUE(conn.Admin(DQC_ADMIN_ADD, UINT64_MAX / 2, 0, "127.0.0.1:1").ok());
  const Reply cluster = conn.Admin(DQC_ADMIN_CLUSTER);
  ASSERT_EQ(cluster.rows.size(), 2u) << cluster;
  EXPECT_EQ(cluster.rows[1][0], "I" + std::to_string(UINT64_MAX / 2));
  EXPECT_EQ(cluster.rows[1][2], "I2");
  ASSERT_TRUE(conn.Admin(DQC_ADMIN_REMOVE, UINT64_MAX / 2).ok());
  EXPECT_EQ(conn.Admin(DQC_ADMIN_CLUSTER).rows.size(), 1u);
}

TEST_P(AdminTest, DumpOfAnUnknownDatabase) {
  const Conn conn = Open();
  const Reply reply = conn.Admin(DQC_ADMIN_DUMP, 0, 0, "nobody-made-this");
  if (era() == 'D') {
    EXPECT_EQ(reply.failure.server_code, 1002) << reply;
    EXPECT_EQ(reply.status, DQC_E_SERVER);
  } else {
    EXPECT_EQ(reply.Text(), "Tnobody-made-this|B;Tnobody-made-this-wal|B") << reply;
  }
  EXPECT_EQ(conn.Query("SELECT 1").Text(), "I1");
}

#if defined(DQC_HAVE_SQLITE3)
// First column of the first row of `sql` in the database file.
std::string AskSqlite(const std::string& file, const char* sql) {
  sqlite3* db = nullptr;
  sqlite3_stmt* stmt = nullptr;
  std::string text = "?";
  if (sqlite3_open(file.c_str(), &db) == SQLITE_OK &&
      sqlite3_prepare_v2(db, sql, -1, &stmt, nullptr) == SQLITE_OK &&
      sqlite3_step(stmt) == SQLITE_ROW) {
    text = reinterpret_cast<const char*>(sqlite3_column_text(stmt, 0));
  } else {
    ADD_FAILURE() << sqlite3_errmsg(db);
  }
  sqlite3_finalize(stmt);
  sqlite3_close(db);
  return text;
}

TEST_P(AdminTest, DumpOpensWithSqlite) {
  const Conn conn = Open();
  ASSERT_TRUE(conn.Exec("CREATE TABLE t(x)").ok());
  ASSERT_TRUE(conn.Exec("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE "
                        "i < 2000) INSERT INTO t SELECT printf('%0200d', i) FROM n")
                  .ok());
  const dqc_admin request = {sizeof(dqc_admin), DQC_ADMIN_DUMP, 0, 0, database().c_str()};
  dqc_rows* rows = nullptr;
  ASSERT_EQ(dqc_conn_admin(conn.get(), &request, nullptr, &rows, nullptr), DQC_OK);
  const Handle<dqc_rows> owned(rows);
  const TestDir dir;
  std::string main_file;
  while (dqc_rows_step(rows, nullptr) == DQC_ROW) {
    size_t size = 0;
    const char* bytes = dqc_rows_text(rows, 1, &size);
    const std::string file = dir.path() + "/" + dqc_rows_text(rows, 0, nullptr);
    if (main_file.empty()) main_file = file;
    if (size > 0) std::ofstream(file, std::ios::binary).write(bytes, static_cast<long>(size));
  }
  ASSERT_EQ(main_file, dir.path() + "/" + database());
  EXPECT_EQ(AskSqlite(main_file, "PRAGMA integrity_check"), "ok");
  EXPECT_EQ(AskSqlite(main_file, "SELECT count(*) || '/' || max(x + 0) FROM t"), "2000/2000");
}
#endif

}  // namespace
}  // namespace dqc::live
