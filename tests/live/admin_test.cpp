/* SPDX-License-Identifier: MIT */
// Administration of one node.
#include "live/client.hpp"

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

TEST_P(AdminTest, AnswersHaveLimits) {
  const std::string name(30, 'n');
  ASSERT_TRUE(Conn(Dsn("", name)).Exec("CREATE TABLE IF NOT EXISTS t(x)").ok());
  const Conn small = Open("max_file_name=16");
  const Reply dump = small.Admin(DQC_ADMIN_DUMP, 0, 0, name.c_str());
  EXPECT_EQ(dump.status, DQC_E_LIMIT) << dump;
  EXPECT_NE(dump.failure.message.find("max_file_name"), std::string::npos) << dump;
  EXPECT_EQ(small.state(), DQC_STATE_CLOSED);

  const Conn admin = Open();
  ASSERT_TRUE(admin.Admin(DQC_ADMIN_ADD, 7, 0, "127.0.0.100:10000").ok());
  for (const auto& [option, what] :
       {std::pair("max_nodes=1", "max_nodes"), std::pair("max_address=16", "max_address")}) {
    const Reply cluster = Open(option).Admin(DQC_ADMIN_CLUSTER);
    EXPECT_EQ(cluster.status, DQC_E_LIMIT) << cluster;
    EXPECT_NE(cluster.failure.message.find(what), std::string::npos) << cluster;
  }
  EXPECT_EQ(Open("max_nodes=2&max_address=17").Admin(DQC_ADMIN_CLUSTER).rows.size(), 2u);
  EXPECT_TRUE(admin.Admin(DQC_ADMIN_REMOVE, 7).ok());
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

}  // namespace
}  // namespace dqc::live
