/* SPDX-License-Identifier: MIT */
// DQC_ADMIN_DELETE_DATABASE on servers that can, and on those that cannot.
#include "live/cluster_client.hpp"

namespace dqc::live {
namespace {

using std::chrono::seconds;

class DeleteDatabaseTest : public SqlTest {
 protected:
  // A table t with one row.
  Conn OpenWithTable() {
    Conn conn = Open();
    EXPECT_TRUE(conn.Exec("CREATE TABLE IF NOT EXISTS t(x)").ok());
    EXPECT_TRUE(conn.Exec("INSERT INTO t VALUES (1)").ok());
    return conn;
  }
  bool can() const { return era() == 'D'; }
};
DQC_LIVE_SUITE(DeleteDatabaseTest);

TEST_P(DeleteDatabaseTest, ItIsEmptyAfterwards) {
  const Conn conn = OpenWithTable();
  const Reply reply = conn.Admin(DQC_ADMIN_DELETE_DATABASE);
  if (!can()) {
    EXPECT_EQ(reply.status, DQC_E_UNSUPPORTED) << reply;
    EXPECT_EQ(reply.failure.outcome, DQC_OUTCOME_NOT_EXECUTED);
    EXPECT_NE(reply.failure.message.find("era"), std::string::npos) << reply;
    EXPECT_NE(reply.failure.message.find("instead"), std::string::npos) << reply;
    EXPECT_EQ(conn.Query("SELECT count(*) FROM t").Text(), "I1");
    return;
  }
  ASSERT_TRUE(reply.ok()) << reply;
  EXPECT_EQ(conn.Query("SELECT count(*) FROM t").status, DQC_E_SQL);
  EXPECT_EQ(Open().Query("SELECT count(*) FROM sqlite_master").Text(), "I0");
  EXPECT_TRUE(conn.Exec("CREATE TABLE t(x)").ok());
  EXPECT_EQ(Open().Query("SELECT count(*) FROM t").Text(), "I0");
  EXPECT_TRUE(conn.Admin(DQC_ADMIN_DELETE_DATABASE, 0, 0, database().c_str()).ok());
  EXPECT_TRUE(conn.Admin(DQC_ADMIN_DELETE_DATABASE).ok()) << "of an empty one";
}

TEST_P(DeleteDatabaseTest, NotThisOne) {
  const Conn conn = OpenWithTable();
  for (const char* other : {"other", ""})
    EXPECT_EQ(conn.Admin(DQC_ADMIN_DELETE_DATABASE, 0, 0, other).status, DQC_E_MISUSE);
  const Conn none("dqlite://" + OneNode().Address(0) + "/?database=");
  EXPECT_EQ(none.Admin(DQC_ADMIN_DELETE_DATABASE).status, DQC_E_MISUSE);
  EXPECT_EQ(conn.Query("SELECT count(*) FROM t").Text(), "I1");
}

TEST_P(DeleteDatabaseTest, WhileOthersHaveItOpen) {
  if (!can()) GTEST_SKIP() << "refused in this era";
  const Conn conn = OpenWithTable();
  const Conn reader = Open();
  const Conn prepared = Open();
  ASSERT_TRUE(reader.Exec("BEGIN").ok());
  ASSERT_EQ(reader.Query("SELECT count(*) FROM t").Text(), "I1");
  const Stmt stmt = prepared.Prepare("SELECT count(*) FROM t");
  const Reply reply = conn.Admin(DQC_ADMIN_DELETE_DATABASE);
  EXPECT_TRUE(reply.ok()) << reply;
  EXPECT_EQ(reader.Query("SELECT count(*) FROM t").Text(), "I1") << "it sees what it saw";
  EXPECT_TRUE(reader.Exec("COMMIT").ok());
  EXPECT_EQ(reader.Query("SELECT count(*) FROM t").status, DQC_E_SQL);
  EXPECT_EQ(stmt.Query().status, DQC_E_SQL);
  EXPECT_TRUE(prepared.Exec("CREATE TABLE t(x)").ok());
  EXPECT_EQ(stmt.Query().Text(), "I0");

  const Conn writer = Open();
  ASSERT_TRUE(writer.Exec("BEGIN IMMEDIATE").ok());
  ASSERT_TRUE(writer.Exec("INSERT INTO t VALUES (1)").ok());
  const Reply busy = conn.Admin(DQC_ADMIN_DELETE_DATABASE);
  EXPECT_EQ(busy.status, DQC_E_BUSY) << busy;
  EXPECT_EQ(busy.failure.outcome, DQC_OUTCOME_NOT_EXECUTED);
  EXPECT_TRUE(writer.Exec("COMMIT").ok());
  EXPECT_EQ(conn.Query("SELECT count(*) FROM t").Text(), "I1");
}

TEST_P(DeleteDatabaseTest, NotInsideATransaction) {
  if (!can()) GTEST_SKIP() << "refused in this era";
  const Conn conn = OpenWithTable();
  for (const char* begin : {"BEGIN IMMEDIATE", "BEGIN"}) {
    ASSERT_TRUE(conn.Exec(begin).ok());
    ASSERT_TRUE(conn.Exec("INSERT INTO t VALUES (2)").ok());
    const Reply reply = conn.Admin(DQC_ADMIN_DELETE_DATABASE);
    EXPECT_EQ(reply.status, DQC_E_UNSUPPORTED) << reply;
    EXPECT_EQ(reply.failure.outcome, DQC_OUTCOME_NOT_EXECUTED);
    EXPECT_EQ(conn.Query("SELECT count(*) FROM t").Text(), "I2") << "the transaction goes on";
    ASSERT_TRUE(conn.Exec("ROLLBACK").ok());
    EXPECT_EQ(Open().Query("SELECT count(*) FROM t").Text(), "I1");
  }
}

// It acts when it is prepared, inside a transaction and whatever becomes of that.
TEST_P(DeleteDatabaseTest, NotByPreparingIt) {
  const Conn conn = OpenWithTable();
  for (const bool inside : {false, true}) {
    Reply reply;
    if (inside) reply = conn.Exec("BEGIN IMMEDIATE");
    ASSERT_TRUE(reply.ok()) << reply;
    conn.Prepare("PRAGMA delete_database", &reply);
    EXPECT_EQ(reply.status, DQC_E_UNSUPPORTED) << reply;
    EXPECT_EQ(conn.Query("EXPLAIN PRAGMA delete_database").status, DQC_E_UNSUPPORTED);
    EXPECT_EQ(conn.Script("PRAGMA delete_database").status, DQC_E_UNSUPPORTED);
    EXPECT_EQ(conn.Query("SELECT count(*) FROM t").Text(), "I1");
    (void)conn.Exec("ROLLBACK");
    EXPECT_EQ(Open().Query("SELECT count(*) FROM t").Text(), "I1");
  }
}

TEST_P(DeleteDatabaseTest, ThroughAClientOfThreeNodes) {
  const auto cluster = NewCluster(3);
  const std::string leader = (*cluster)->WaitForLeader(seconds(10));
  const Client client(ClusterDsn((*cluster)->Addresses(), "app", "timeout=20s"));
  ASSERT_TRUE(client.Exec("CREATE TABLE t(x)").ok());
  std::vector<Conn> leases;  // several connections, each with something of its own
  for (int i = 0; i < 4; ++i) leases.push_back(client.Acquire());
  const Stmt stmt = leases[0].Prepare("SELECT count(*) FROM t");
  const Reply reply = client.Admin(DQC_ADMIN_DELETE_DATABASE);
  if (!can()) {
    EXPECT_EQ(reply.status, DQC_E_UNSUPPORTED) << reply;
    return;
  }
  ASSERT_TRUE(reply.ok()) << reply;
  EXPECT_EQ(client.Admin(DQC_ADMIN_DELETE_DATABASE, 0, 0, "other").status, DQC_E_MISUSE);
  EXPECT_EQ(stmt.Query().status, DQC_E_SQL);
  for (const Conn& lease : leases)
    EXPECT_EQ(lease.Query("SELECT count(*) FROM sqlite_master").Text(), "I0");
  EXPECT_TRUE(client.Exec("CREATE TABLE u(x)").ok());
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(client.Exec("INSERT INTO u VALUES (1)").ok());
  leases.clear();
  EXPECT_EQ(client.Query("SELECT count(*) FROM u").Text(), "I20");

  // The other nodes have deleted it too; who does not lead cannot.
  const Conn old("dqlite://" + leader + "/app");
  const size_t next = ((*cluster)->IndexOf(leader) + 1) % 3;
  ASSERT_TRUE(Transferred([&] { return old.Admin(DQC_ADMIN_TRANSFER, next + 1); }).ok());
  const Reply refused = old.Admin(DQC_ADMIN_DELETE_DATABASE);
  EXPECT_EQ(refused.failure.outcome, DQC_OUTCOME_NOT_EXECUTED) << refused;
  EXPECT_EQ(refused.status, DQC_E_NOT_LEADER) << refused;
  EXPECT_EQ(client.Query("SELECT name FROM sqlite_master").Text(), "Tu");
  EXPECT_EQ(client.Query("SELECT count(*) FROM u").Text(), "I20");
}

// Cancelled at any moment: nothing is said not to have happened that did, and all nodes agree on it.
TEST_P(DeleteDatabaseTest, ACancelTellsWhatMayHaveHappened) {
  if (!can()) GTEST_SKIP() << "refused in this era";
  const auto cluster = NewCluster(3);
  const std::string leader = (*cluster)->WaitForLeader(seconds(10));
  const auto dsn = [](const std::string& node, int i) {
    return "dqlite://" + node + "/moment" + std::to_string(i);
  };
  constexpr int kMoments = 40;
  int64_t tables[kMoments] = {};
  for (int i = 0; i < kMoments; ++i) {
    ASSERT_TRUE(Conn(dsn(leader, i)).Exec("CREATE TABLE t(x)").ok());
    Pending connected, deleted, looked;
    const AsyncConn conn(dsn(leader, i));
    ASSERT_EQ(conn.Connect(&connected), DQC_OK);
    ASSERT_TRUE(conn.Finish(connected));
    const dqc_admin request = {sizeof(request), DQC_ADMIN_DELETE_DATABASE, 0, 0, nullptr};
    ASSERT_EQ(conn.Admin(request, &deleted), DQC_OK);
    const int64_t end = NowUs() + 40 * i;
    while (NowUs() < end) EXPECT_EQ(dqc_loop_run(conn.loop(), DQC_RUN_NOWAIT, nullptr), DQC_OK);
    conn.Cancel(deleted);
    ASSERT_TRUE(conn.Finish(deleted));
    ASSERT_EQ(conn.Query("SELECT count(*) FROM sqlite_master", &looked), DQC_OK);
    ASSERT_TRUE(conn.Finish(looked));
    tables[i] = looked.reply.Int();
    const bool certain = deleted.reply.failure.outcome == DQC_OUTCOME_NOT_EXECUTED;
    if (deleted.reply.ok()) {
      EXPECT_EQ(tables[i], 0) << i;
    } else if (certain) {
      EXPECT_EQ(tables[i], 1) << i << ": " << deleted.reply;
    }
  }
  const size_t next = ((*cluster)->IndexOf(leader) + 1) % 3;
  const Conn old(dsn(leader, 0));
  ASSERT_TRUE(Transferred([&] { return old.Admin(DQC_ADMIN_TRANSFER, next + 1); }).ok());
  const Client client(ClusterDsn((*cluster)->Addresses(), "other", "timeout=20s"));
  ASSERT_TRUE(client.Exec("CREATE TABLE t(x)").ok());
  for (int i = 0; i < kMoments; ++i) {
    EXPECT_EQ(Conn(dsn(client.Leader(), i)).Query("SELECT count(*) FROM sqlite_master").Int(),
              tables[i])
        << "on " << client.Leader() << " after moment " << i;
  }
}

}  // namespace
}  // namespace dqc::live
