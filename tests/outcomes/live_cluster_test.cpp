/* SPDX-License-Identifier: MIT */
// Losses of leadership, on three real nodes.
#include <csignal>
#include <thread>

#include "live/client.hpp"
#include "outcomes/table.hpp"

namespace dqc::outcomes {
namespace {

using live::AsyncConn;
using live::Conn;
using live::Pending;
using live::Reply;
using std::chrono::milliseconds;
using std::chrono::seconds;

class LeadershipOutcomesTest : public live::LiveTest {
 protected:
  void SetUp() override {
    LiveTest::SetUp();
    if (!server().available) return;
    cluster_ = NewCluster(3);
    leader_ = (*cluster_)->WaitForLeader(seconds(10));
    follower_ = ((*cluster_)->IndexOf(leader_) + 1) % 3;
  }
  void TearDown() override {
    cluster_.reset();
    LiveTest::TearDown();
  }
  static std::string Dsn(const std::string& address) { return "dqlite://" + address + "/app"; }
  tool::DevCluster& cluster() { return **cluster_; }
  void Transfer() {
    const Conn admin("dqlite://" + leader_ + "/?database=");
    const Reply reply =
        live::Transferred([&] { return admin.Admin(DQC_ADMIN_TRANSFER, follower_ + 1); });
    EXPECT_TRUE(reply.ok()) << reply;
    for (int i = 0; i < 200 && cluster().Leader() != cluster().Address(follower_); ++i)
      std::this_thread::sleep_for(milliseconds(20));
  }
  void SignalFollowers(int signal) {
    for (size_t i = 0; i < 3; ++i) {
      if (i != cluster().IndexOf(leader_)) cluster().Kill(i, signal);
    }
  }

  std::unique_ptr<live::TestCluster> cluster_;
  std::string leader_;
  size_t follower_ = 0;
};
DQC_LIVE_SUITE(LeadershipOutcomesTest);

TEST_P(LeadershipOutcomesTest, FollowersAndTransfers) {
  const Conn follower(Dsn(cluster().Address(follower_)));
  EXPECT_TRUE(Is(Id("follower"), follower ? follower.Query("SELECT 1") : follower.opened()));
  const Conn admin("dqlite://" + cluster().Address(follower_) + "/?database=");
  EXPECT_TRUE(Is(Id("admin-follower"), admin.Admin(DQC_ADMIN_TRANSFER, 1)));

  const Conn idle(Dsn(leader_)), open(Dsn(leader_));
  ASSERT_TRUE(idle.Exec("CREATE TABLE t(x)").ok());
  ASSERT_TRUE(open.Exec("BEGIN IMMEDIATE").ok());
  ASSERT_TRUE(open.Exec("INSERT INTO t VALUES (1)").ok());
  AsyncConn stream(Dsn(leader_) + "?timeout=30s");
  Pending connected, rows;
  rows.keep_rows = false;
  const bool streams = ExpectedEra() != 'A';  // a server of era A aborts
  if (streams) {
    ASSERT_EQ(stream.Connect(&connected), DQC_OK);
    rows.on_event = [&](const dqc_event& event) {
      if (event.type == DQC_EVENT_ROWS && rows.batches == 0) {
        EXPECT_EQ(dqc_conn_pause(stream.get(), event.op, 1), DQC_OK);
      }
    };
    ASSERT_EQ(stream.Query("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i "
                           "< 3000000) SELECT i, 'some text to make the rows larger' FROM n",
                           &rows),
              DQC_OK);
    ASSERT_TRUE(stream.RunUntil([&] { return rows.batches > 0; }));
  }
  Transfer();
  EXPECT_TRUE(Is(Id("moved"), idle.Exec("INSERT INTO t VALUES (2)")));
  EXPECT_TRUE(Is(Id("closed"), idle.Exec("INSERT INTO t VALUES (2)")));
  EXPECT_TRUE(Is(Id("moved"), open.Exec("COMMIT")));
  if (streams) {
    EXPECT_EQ(dqc_conn_pause(stream.get(), rows.op, 0), DQC_OK);
    ASSERT_TRUE(stream.Finish(rows));
    EXPECT_TRUE(Is(Id("broken-off"), rows.reply));
  }
  EXPECT_EQ(Conn(Dsn(cluster().Address(follower_))).Query("SELECT count(*) FROM t").Text(), "I0");
}

TEST_P(LeadershipOutcomesTest, WithoutAMajority) {
  const Conn conn(Dsn(leader_));
  ASSERT_TRUE(conn.Exec("CREATE TABLE t(x)").ok());
  SignalFollowers(SIGSTOP);
  const Reply reply = conn.Exec("INSERT INTO t VALUES (1)", {}, 20'000);
  SignalFollowers(SIGCONT);
  EXPECT_TRUE(Is(Id("lost-write"), reply));
}

TEST_P(LeadershipOutcomesTest, KilledLeader) {
  const Conn conn(Dsn(leader_)), writer(Dsn(leader_));
  ASSERT_TRUE(conn.Exec("CREATE TABLE t(x)").ok());
  cluster().Kill(cluster().IndexOf(leader_), SIGKILL);
  EXPECT_TRUE(Is(Id("cut-before"), writer.Exec("INSERT INTO t VALUES (1)")));
  EXPECT_TRUE(Is(Id("cut-before"), conn.Query("SELECT 1")));
  EXPECT_TRUE(Is(Id("connect-refused"), Conn(Dsn(leader_)).opened()));
}

}  // namespace
}  // namespace dqc::outcomes
