/* SPDX-License-Identifier: MIT */
// Followers, and leaders that cease to be: three nodes a test.
#include <csignal>
#include <thread>

#include "live/client.hpp"

namespace dqc::live {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class LeadershipTest : public LiveTest {
 protected:
  void SetUp() override {
    LiveTest::SetUp();
    if (!server().available) return;
    cluster_ = NewCluster(3);
    leader_ = (*cluster_)->WaitForLeader(seconds(10));
    follower_ = ((*cluster_)->IndexOf(leader_) + 1) % 3;
  }
  void TearDown() override {
    if (cluster_) {
      for (size_t i = 0; i < 3; ++i) {
        EXPECT_TRUE((*cluster_)->node(i).Running()) << (*cluster_)->node(i).Obituary();
      }
      const Reply reply = OnWhoeverLeads("CREATE TABLE IF NOT EXISTS alive(x)");
      EXPECT_TRUE(reply.ok()) << reply;
    }
    cluster_.reset();
    LiveTest::TearDown();
  }
  static std::string Dsn(const std::string& address, const char* database = "app") {
    return "dqlite://" + address + "/" + database;
  }
  Conn OnLeader() {
    Conn conn(Dsn(leader_));
    EXPECT_TRUE(conn) << conn.opened();
    return conn;
  }
  // Waits up to 20 s: leaders may still change.
  Reply OnWhoeverLeads(const char* sql) {
    const auto end = std::chrono::steady_clock::now() + seconds(20);
    for (;;) {
      const Conn conn(Dsn(cluster().WaitForLeader(seconds(20))));
      Reply reply = conn.opened();
      if (reply.ok()) reply = conn.Query(sql);
      if (reply.ok() || std::chrono::steady_clock::now() > end) return reply;
      std::this_thread::sleep_for(milliseconds(50));
    }
  }
  tool::DevCluster& cluster() { return **cluster_; }
  // The leader hands over to another node; returns when that one leads.
  void Transfer() { Transfer(leader_, follower_); }
  void Transfer(const std::string& from, size_t to) {
    const Conn admin("dqlite://" + from + "/?database=");
    const Reply reply = Transferred([&] { return admin.Admin(DQC_ADMIN_TRANSFER, to + 1); });
    EXPECT_TRUE(reply.ok()) << reply;
    for (int i = 0; i < 200 && cluster().Leader() != cluster().Address(to); ++i)
      std::this_thread::sleep_for(milliseconds(20));
  }

  std::unique_ptr<TestCluster> cluster_;
  std::string leader_;
  size_t follower_ = 0;
};
DQC_LIVE_SUITE(LeadershipTest);

TEST_P(LeadershipTest, Follower) {
  const std::string address = cluster().Address(follower_);
  const Conn conn(Dsn(address));
  Reply reply = conn.opened();
  if (ExpectedEra() == 'D') {
    EXPECT_EQ(reply.failure.phase, DQC_PHASE_OPEN) << reply;
  } else {
    ASSERT_TRUE(conn) << reply;
    EXPECT_EQ(dqc_conn_era(conn.get()), ExpectedEra()) << "the probe works on followers";
    reply = conn.Query("SELECT 1");
    EXPECT_EQ(conn.Query("SELECT 1").status, DQC_E_CLOSED);
  }
  EXPECT_EQ(reply.status, DQC_E_NOT_LEADER) << reply;
  EXPECT_EQ(reply.failure.server_code, 10250);
  EXPECT_EQ(reply.failure.outcome, DQC_OUTCOME_NOT_EXECUTED);
  EXPECT_EQ(reply.failure.retry, DQC_RETRY_SAFE);
  EXPECT_EQ(reply.failure.node, address);
  if (ExpectedEra() != 'D') {
    for (const char* sql : {"CREATE TABLE t(x)", "INSERT INTO t VALUES (1) RETURNING x"}) {
      const Reply write = Conn(Dsn(address)).Exec(sql);
      EXPECT_TRUE(write.status == DQC_E_NOT_LEADER || write.status == DQC_E_UNSUPPORTED) << write;
    }
  }
  const Conn admin("dqlite://" + address + "/?database=");
  ASSERT_TRUE(admin) << admin.opened();
  EXPECT_EQ(dqc_conn_era(admin.get()), ExpectedEra());
  EXPECT_EQ(admin.Admin(DQC_ADMIN_LEADER).rows.at(0).at(1), "T" + leader_);
  EXPECT_EQ(admin.Admin(DQC_ADMIN_CLUSTER).rows.size(), 3u);
  const Reply refused = admin.Admin(DQC_ADMIN_TRANSFER, 1);
  EXPECT_EQ(refused.status, DQC_E_NOT_LEADER) << refused;
}

TEST_P(LeadershipTest, IdleConnectionAfterATransfer) {
  const Conn conn = OnLeader();
  ASSERT_TRUE(conn.Exec("CREATE TABLE t(x)").ok());
  const Stmt stmt = conn.Prepare("INSERT INTO t VALUES (1)");
  Transfer();
  const Reply reply = stmt.Exec();
  EXPECT_EQ(reply.status, DQC_E_NOT_LEADER) << reply;
  EXPECT_EQ(reply.failure.outcome, DQC_OUTCOME_NOT_EXECUTED);
  EXPECT_EQ(conn.Query("SELECT 1").status, DQC_E_CLOSED);
  EXPECT_EQ(Conn(Dsn(cluster().Address(follower_))).Query("SELECT count(*) FROM t").Text(), "I0");
}

// The node leads again when the connection is next used, and has forgotten all that was its own.
TEST_P(LeadershipTest, IdleConnectionWhileLeadershipCameAndWent) {
  const Conn direct = OnLeader(), prepared = OnLeader(), open = OnLeader();
  ASSERT_TRUE(direct.Exec("CREATE TABLE t(x)").ok());
  Stmt stmt = prepared.Prepare("INSERT INTO t VALUES (1)");
  ASSERT_TRUE(open.Exec("BEGIN IMMEDIATE").ok());
  ASSERT_TRUE(open.Exec("INSERT INTO t VALUES (2)").ok());
  Transfer();
  Transfer(cluster().Address(follower_), cluster().IndexOf(leader_));
  for (const Reply& reply :
       {direct.Exec("INSERT INTO t VALUES (3)"), stmt.Exec(), open.Exec("COMMIT")}) {
    EXPECT_EQ(reply.status, DQC_E_SESSION_LOST) << reply;
    EXPECT_EQ(reply.failure.server_code, 12) << reply;
    EXPECT_EQ(reply.failure.outcome, DQC_OUTCOME_NOT_EXECUTED) << reply;
    EXPECT_EQ(reply.failure.retry, DQC_RETRY_SAFE) << reply;
  }
  stmt.Free();  // of a connection that is gone: nothing is sent
  for (const Conn* conn : {&direct, &prepared, &open})
    EXPECT_EQ(conn->Query("SELECT 1").status, DQC_E_CLOSED);
  EXPECT_EQ(OnWhoeverLeads("SELECT count(*) FROM t").Text(), "I0");
}

TEST_P(LeadershipTest, OpenTransactionAtATransfer) {
  const Conn conn = OnLeader();
  ASSERT_TRUE(conn.Exec("CREATE TABLE t(x)").ok());
  ASSERT_TRUE(conn.Exec("BEGIN IMMEDIATE").ok());
  ASSERT_TRUE(conn.Exec("INSERT INTO t VALUES (1)").ok());
  Transfer();
  const Reply reply = conn.Exec("COMMIT");
  EXPECT_EQ(reply.status, DQC_E_NOT_LEADER) << reply;
  EXPECT_EQ(reply.failure.outcome, DQC_OUTCOME_NOT_EXECUTED);
  EXPECT_EQ(Conn(Dsn(cluster().Address(follower_))).Query("SELECT count(*) FROM t").Text(), "I0");
}

// C: the stream stops without a word, and the sentinel tells; D: FAILURE 9.
TEST_P(LeadershipTest, StreamAtATransfer) {
  if (ExpectedEra() == 'A') GTEST_SKIP() << "a server of era A aborts: nothing a client can do";
  AsyncConn conn(Dsn(leader_) + "?timeout=30s");
  Pending connected, stream;
  ASSERT_EQ(conn.Connect(&connected), DQC_OK);
  stream.keep_rows = false;
  stream.on_event = [&](const dqc_event& event) {
    if (event.type == DQC_EVENT_ROWS && stream.batches == 0) {
      EXPECT_EQ(dqc_conn_pause(conn.get(), event.op, 1), DQC_OK);
    }
  };
  ASSERT_EQ(conn.Query("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE "
                       "i < 3000000) SELECT i, 'some text to make the rows larger' FROM n",
                       &stream),
            DQC_OK);
  ASSERT_TRUE(conn.RunUntil([&] { return stream.batches > 0; }));
  Transfer();
  EXPECT_EQ(dqc_conn_pause(conn.get(), stream.op, 0), DQC_OK);
  ASSERT_TRUE(conn.Finish(stream));
  EXPECT_EQ(stream.reply.status, DQC_E_SESSION_LOST) << stream.reply;
  EXPECT_EQ(stream.reply.failure.outcome, DQC_OUTCOME_NOT_EXECUTED);
  EXPECT_EQ(stream.reply.failure.retry, DQC_RETRY_SAFE);
  EXPECT_LT(stream.row_count, 3'000'000u);
  Pending after;
  EXPECT_EQ(conn.Query("SELECT 1", &after), DQC_E_CLOSED);
}

TEST_P(LeadershipTest, KilledLeader) {
  const Conn conn = OnLeader();
  ASSERT_TRUE(conn.Exec("CREATE TABLE t(x)").ok());
  const size_t victim = cluster().IndexOf(leader_);
  cluster().Kill(victim, SIGKILL);
  const Reply reply = conn.Exec("INSERT INTO t VALUES (1)");
  EXPECT_TRUE(reply.status == DQC_E_NETWORK || reply.status == DQC_E_CLOSED) << reply;
  EXPECT_EQ(conn.Exec("INSERT INTO t VALUES (1)").status, DQC_E_CLOSED);
  const Conn refused(Dsn(leader_));
  EXPECT_EQ(refused.opened().status, DQC_E_CONNECT) << refused.opened();
  const std::string now = cluster().WaitForLeader(seconds(20));
  EXPECT_TRUE(Conn(Dsn(now)).Query("SELECT count(*) FROM t").ok());
  cluster().Restart(victim);
}

// The leader still serves, and refuses writes: A to C with a raw Raft code, 7, and a stale text.
TEST_P(LeadershipTest, WriteWhileATransferIsPending) {
  const Conn conn = OnLeader();
  ASSERT_TRUE(conn.Exec("CREATE TABLE t(x)").ok());
  ASSERT_TRUE(conn.Exec("BEGIN IMMEDIATE").ok());
  ASSERT_TRUE(conn.Exec("INSERT INTO t VALUES (1)").ok());
  AsyncConn admin("dqlite://" + leader_ + "/?database=");
  Pending connected, transfer;
  ASSERT_EQ(admin.Connect(&connected), DQC_OK);
  ASSERT_TRUE(admin.Finish(connected));
  cluster().Kill(follower_, SIGSTOP);
  const dqc_admin request = {sizeof(dqc_admin), DQC_ADMIN_TRANSFER, follower_ + 1, 0, nullptr};
  ASSERT_EQ(admin.Admin(request, &transfer), DQC_OK);
  const auto end = std::chrono::steady_clock::now() + milliseconds(100);
  ASSERT_TRUE(admin.RunUntil([&] { return std::chrono::steady_clock::now() > end; }));
  const bool pending = transfer.done == 0;
  const Reply reply = conn.Exec("COMMIT");
  cluster().Kill(follower_, SIGCONT);
  ASSERT_TRUE(pending) << "the transfer ended too early: " << transfer.reply;
  EXPECT_EQ(reply.status, DQC_E_NOT_LEADER) << reply;
  EXPECT_EQ(reply.failure.outcome, DQC_OUTCOME_NOT_EXECUTED);
  EXPECT_EQ(reply.failure.server_code, ExpectedEra() == 'D' ? 10250 : 7);
  ASSERT_TRUE(admin.Finish(transfer));
  EXPECT_EQ(OnWhoeverLeads("SELECT count(*) FROM t").Text(), "I0");
}

// Followers that answer nothing: the write is with the cluster, nobody knows.
TEST_P(LeadershipTest, WriteWithoutAQuorum) {
  const Conn conn = OnLeader();
  ASSERT_TRUE(conn.Exec("CREATE TABLE t(x)").ok());
  const size_t leader = cluster().IndexOf(leader_);
  for (size_t i = 0; i < 3; ++i) {
    if (i != leader) cluster().Kill(i, SIGSTOP);
  }
  const Reply reply = conn.Exec("INSERT INTO t VALUES (1)", {}, 9000);
  for (size_t i = 0; i < 3; ++i) {
    if (i != leader) cluster().Kill(i, SIGCONT);
  }
  EXPECT_TRUE(reply.status == DQC_E_LEADERSHIP_LOST || reply.status == DQC_E_TIMEOUT) << reply;
  EXPECT_EQ(reply.failure.outcome, DQC_OUTCOME_MAYBE_EXECUTED) << reply;
  EXPECT_EQ(reply.failure.retry, DQC_RETRY_UNKNOWN) << reply;
}

}  // namespace
}  // namespace dqc::live
