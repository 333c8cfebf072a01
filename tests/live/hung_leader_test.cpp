/* SPDX-License-Identifier: MIT */
// A leader that hangs in the middle of an operation: its connections stay open and say nothing.
#include <csignal>

#include "live/cluster_client.hpp"

namespace dqc::live {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class HungLeaderTest : public LiveTest {
 protected:
  void SetUp() override {
    LiveTest::SetUp();
    if (!server().available) return;
    cluster_ = NewCluster(3);
    leader_ = cluster().WaitForLeader(seconds(10));
    const Reply made = OnLeader(cluster().Addresses(), "app", "CREATE TABLE w(id INTEGER)");
    ASSERT_TRUE(made.ok()) << made;
  }
  tool::DevCluster& cluster() { return **cluster_; }
  std::string Dsn(const std::string& options) {
    return ClusterDsn(cluster().Addresses(), "app", options);
  }
  void ExpectHonest(const Ledger& ledger) {
    const auto wrong = ledger.Judge(
        OnLeader(cluster().Addresses(), "app", "SELECT id, count(*) FROM w GROUP BY id"));
    EXPECT_TRUE(wrong.empty()) << wrong.size() << ", the first: " << wrong.front();
    const Ledger::Counts counts = ledger.counts();
    std::cout << counts.done << " accepted, " << counts.not_executed << " not, " << counts.maybe
              << " perhaps; slowest " << counts.slowest_ms << " ms" << std::endl;
    for (const auto& [what, count] : counts.failures)
      std::cout << "  " << what << ": " << count << " (" << counts.examples.at(what) << ")\n";
  }

  std::unique_ptr<TestCluster> cluster_;
  std::string leader_;
};
DQC_LIVE_SUITE(HungLeaderTest);

constexpr uint64_t kTimeoutMs = 10'000;

// Stops the leader under `threads` writers and waits for a write that another node accepts.
class Outage {
 public:
  explicit Outage(int64_t stopped_us) : stopped_us_(stopped_us) {}
  void See(int64_t start_us, int64_t end_us, const Reply& reply) {
    if (reply.ok() && start_us > stopped_us_ && recovered_us_ == 0) recovered_us_ = end_us;
    if (!reply.ok() && reply.failure.outcome == DQC_OUTCOME_MAYBE_EXECUTED) ++maybe_;
  }
  int64_t recovered_ms() const { return (recovered_us_ - stopped_us_) / 1000; }
  bool recovered() const { return recovered_us_ != 0; }
  int maybe() const { return maybe_; }

 private:
  const int64_t stopped_us_;
  std::atomic<int64_t> recovered_us_{0};
  std::atomic<int> maybe_{0};
};

TEST_P(HungLeaderTest, WritesGoOnAtTheNextOne) {
  Ledger ledger;
  for (const size_t threads : {size_t{1}, size_t{6}}) {
    const Client client(Dsn("silence=500ms"));
    ASSERT_TRUE(client.opened().ok()) << client.opened();
    std::atomic<Outage*> outage{nullptr};
    const size_t victim = cluster().IndexOf(cluster().WaitForLeader(seconds(20)));
    std::unique_ptr<Outage> stopped;
    {
      Writers writers(client, &ledger, "w", threads, kTimeoutMs,
                      [&](int64_t start, int64_t end, const Reply& reply) {
                        if (Outage* now = outage) now->See(start, end, reply);
                      });
      std::this_thread::sleep_for(milliseconds(300));
      cluster().Kill(victim, SIGSTOP);
      stopped = std::make_unique<Outage>(NowUs());
      outage = stopped.get();
      for (int i = 0; i < 100 && !stopped->recovered(); ++i)
        std::this_thread::sleep_for(milliseconds(100));
      cluster().Kill(victim, SIGCONT);
      std::this_thread::sleep_for(milliseconds(500));
    }
    ASSERT_TRUE(stopped->recovered());
    std::cout << threads << " writers: a write is accepted " << stopped->recovered_ms()
              << " ms after the stop" << std::endl;
    EXPECT_LT(stopped->recovered_ms(), 6000);
    ExpectHonest(ledger);
    // One write is in flight, in one transaction; those that share one run again.
    if (threads == 1) {
      EXPECT_EQ(stopped->maybe(), 1);
    }
    EXPECT_EQ(ledger.counts().not_executed, 0u);
  }
}

TEST_P(HungLeaderTest, LeasesAndReadsAreCutToo) {
  const Client client(Dsn("silence=500ms"));
  ASSERT_TRUE(client.opened().ok()) << client.opened();
  const Conn lease = client.Acquire();
  ASSERT_TRUE(lease.Exec("INSERT INTO w VALUES (1)").ok());
  const size_t victim = cluster().IndexOf(leader_);
  cluster().Kill(victim, SIGSTOP);
  const int64_t start = NowUs();
  const Reply write = lease.Exec("INSERT INTO w VALUES (2)", {}, kTimeoutMs);
  EXPECT_LT(NowUs() - start, 6'000'000);
  EXPECT_EQ(write.status, DQC_E_NETWORK) << write;
  EXPECT_EQ(write.failure.outcome, DQC_OUTCOME_MAYBE_EXECUTED) << write;
  EXPECT_EQ(write.failure.node, leader_);
  EXPECT_NE(write.failure.message.find(client.Leader()), std::string::npos) << write;
  EXPECT_TRUE(client.Query("SELECT count(*) FROM w", {}, kTimeoutMs).ok());
  EXPECT_LT(NowUs() - start, 8'000'000);
  cluster().Kill(victim, SIGCONT);
}

constexpr char kSlow[] =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000) "
    "SELECT count(*) FROM n";

// It may answer nobody who asks, while it is busy; but no other leads.
TEST_P(HungLeaderTest, ASlowStatementIsNotCut) {
  const Client client("dqlite://" + OneNode().Address(0) + "/app?silence=50ms");
  ASSERT_TRUE(client.opened().ok()) << client.opened();
  const dqc_stats before = client.Stats();
  EXPECT_EQ(client.Query(kSlow, {}, 30'000).Text(), "I2000000");
  const dqc_stats after = client.Stats();
  EXPECT_GT(after.lookups, before.lookups) << "it was in doubt";
  EXPECT_EQ(after.retried_leader, before.retried_leader);
  EXPECT_EQ(after.closed, before.closed);
}

// Many releases do nothing else meanwhile: the others elect another. Elections are short here.
TEST_P(HungLeaderTest, AStatementThatOutlastsAnElectionIsRunOnceMoreAtMost) {
  for (const char* silence : {"silence=0", "silence=100ms"}) {
    const Client client(Dsn(silence));
    ASSERT_TRUE(client.opened().ok()) << client.opened();
    const dqc_stats before = client.Stats();
    const int64_t start = NowUs();
    const Reply slow = client.Query(kSlow, {}, 30'000);
    const dqc_stats after = client.Stats();
    std::cout << silence << ": " << (NowUs() - start) / 1000 << " ms, "
              << after.lookups - before.lookups << " look-ups, run again "
              << after.retried_leader - before.retried_leader << " times: " << slow << std::endl;
    EXPECT_EQ(slow.Text(), "I2000000") << slow;
    EXPECT_LE(after.retried_leader - before.retried_leader, 4u) << "elections included";
  }
}

TEST_P(HungLeaderTest, CloseInTheMiddleOfADoubt) {
  Client client(Dsn("silence=200ms"));
  ASSERT_TRUE(client.opened().ok()) << client.opened();
  const size_t victim = cluster().IndexOf(leader_);
  cluster().Kill(victim, SIGSTOP);
  const Reply reply = client.Exec("INSERT INTO w VALUES (1)", {}, 300);
  EXPECT_FALSE(reply.ok());
  client.Free();
  cluster().Kill(victim, SIGCONT);
}

}  // namespace
}  // namespace dqc::live
