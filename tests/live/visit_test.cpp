/* SPDX-License-Identifier: MIT */
// Administration of a node of the application's choice, through a client.
#include <csignal>

#include "live/cluster_client.hpp"

namespace dqc::live {
namespace {

using std::chrono::seconds;

class VisitTest : public LiveTest {
 protected:
  void SetUp() override {
    LiveTest::SetUp();
    if (!server().available) return;
    cluster_ = NewCluster(3);
    leader_ = cluster().WaitForLeader(seconds(10));
    follower_ = (cluster().IndexOf(leader_) + 1) % 3;
  }
  tool::DevCluster& cluster() { return **cluster_; }
  std::string Dsn(const std::string& options = "timeout=5s") {
    return ClusterDsn(cluster().Addresses(), "app", options);
  }

  std::unique_ptr<TestCluster> cluster_;
  std::string leader_;
  size_t follower_ = 0;
};
DQC_LIVE_SUITE(VisitTest);

TEST_P(VisitTest, EachNodeSaysWhatItIs) {
  const Client client(Dsn());
  ASSERT_TRUE(client.opened().ok()) << client.opened();
  const int64_t end = NowUs() + 10'000'000;  // followers hear of the leader in their time
  for (size_t i = 0; i < 3;) {
    const Reply told = client.Admin(DQC_ADMIN_LEADER, 0, 0, cluster().Address(i).c_str());
    ASSERT_TRUE(told.ok()) << told;
    if (told.rows.at(0).at(1) == "T" + leader_ || NowUs() > end) ++i;
  }
  const dqc_stats before = client.Stats();
  for (size_t i = 0; i < 3; ++i) {
    const std::string address = cluster().Address(i);
    const Reply set = client.Admin(DQC_ADMIN_WEIGHT, 0, 10 + i, address.c_str());
    EXPECT_TRUE(set.ok()) << set;
  }
  for (size_t i = 0; i < 3; ++i) {
    const std::string address = cluster().Address(i);
    EXPECT_EQ(client.Admin(DQC_ADMIN_DESCRIBE, 0, 0, address.c_str()).Text(),
              "I0|I" + std::to_string(10 + i));
    EXPECT_EQ(client.Admin(DQC_ADMIN_LEADER, 0, 0, address.c_str()).rows.at(0).at(1),
              "T" + leader_);
    EXPECT_EQ(client.Admin(DQC_ADMIN_CLUSTER, 0, 0, address.c_str()).rows.size(), 3u);
  }
  EXPECT_EQ(client.Admin(DQC_ADMIN_DESCRIBE).Text(),
            "I0|I" + std::to_string(10 + cluster().IndexOf(leader_)));
  const dqc_stats after = client.Stats();
  EXPECT_EQ(after.attempts - before.attempts, 12u);
  EXPECT_EQ(after.opened, before.opened);
  EXPECT_EQ(after.submitted - before.submitted, 1u) << "the one of the leader";
  EXPECT_EQ(after.lookups, before.lookups);
  EXPECT_TRUE(client.Exec("CREATE TABLE t(x)").ok());
}

TEST_P(VisitTest, WithoutALeaderAndWithoutConnecting) {
  Client client(Dsn(), false);
  const std::string address = cluster().Address(follower_);
  for (size_t i = 0; i < 3; ++i) {
    if (i != follower_) cluster().Kill(i, SIGKILL);
  }
  const Reply reply = client.Admin(DQC_ADMIN_DESCRIBE, 0, 0, address.c_str());
  EXPECT_EQ(reply.Text(), "I0|I0") << reply;
}

TEST_P(VisitTest, ADeadNodeIsNamed) {
  const Client client(Dsn());
  const std::string address = cluster().Address(follower_);
  cluster().Kill(follower_, SIGKILL);
  const Reply dead = client.Admin(DQC_ADMIN_DESCRIBE, 0, 0, address.c_str());
  EXPECT_EQ(dead.status, DQC_E_CONNECT) << dead;
  EXPECT_EQ(dead.failure.outcome, DQC_OUTCOME_NOT_EXECUTED);
  EXPECT_EQ(dead.failure.node, address);
  EXPECT_NE(dead.failure.message.find(address), std::string::npos) << dead;
  const Reply weight = client.Admin(DQC_ADMIN_WEIGHT, 0, 3, address.c_str());
  EXPECT_EQ(weight.failure.outcome, DQC_OUTCOME_NOT_EXECUTED) << weight;
  const Reply unknown = client.Admin(DQC_ADMIN_DESCRIBE, 0, 0, "no-such-host.invalid:9001");
  EXPECT_EQ(unknown.status, DQC_E_RESOLVE) << unknown;
  EXPECT_EQ(client.Admin(DQC_ADMIN_DESCRIBE, 0, 0, "not an address").status, DQC_E_CONFIG);
  EXPECT_TRUE(client.Query("SELECT 1").ok());
}

TEST_P(VisitTest, AHungNodeTakesNoLongerThanTheDeadline) {
  const Client client(Dsn());
  const std::string address = cluster().Address(follower_);
  cluster().Kill(follower_, SIGSTOP);
  const int64_t start = NowUs();
  const Reply late = client.Admin(DQC_ADMIN_DESCRIBE, 0, 0, address.c_str(), 300);
  EXPECT_LT(NowUs() - start, 3'000'000);
  EXPECT_EQ(late.status, DQC_E_TIMEOUT) << late;
  EXPECT_NE(late.failure.message.find(address), std::string::npos) << late;
  cluster().Kill(follower_, SIGCONT);
}

TEST_P(VisitTest, CancelledAndClosedInTheMiddle) {
  const std::string address = cluster().Address(follower_);
  const dqc_admin request = {sizeof(request), DQC_ADMIN_DESCRIBE, 0, 0, address.c_str()};
  Pending cancelled, closed, freed;
  Client client(Dsn(), true, DQC_LOOP_DRIVEN);
  cluster().Kill(follower_, SIGSTOP);
  const auto submit = [&](Pending* p) {
    EXPECT_EQ(
        dqc_client_admin_async(client.get(), &request, nullptr, CollectEvent, p, &p->op, nullptr),
        DQC_OK);
    for (int i = 0; i < 20; ++i)
      EXPECT_EQ(dqc_loop_run(client.loop(), DQC_RUN_NOWAIT, nullptr), DQC_OK);
  };
  submit(&cancelled);
  EXPECT_EQ(dqc_client_cancel(client.get(), cancelled.op), DQC_OK);
  EXPECT_TRUE(client.RunUntil([&] { return cancelled.done > 0; }));
  EXPECT_EQ(cancelled.reply.status, DQC_E_CANCELLED) << cancelled.reply;
  submit(&closed);
  dqc_error* error = nullptr;
  EXPECT_EQ(dqc_client_close(client.get(), nullptr, &error), DQC_OK) << dqc_error_message(error);
  EXPECT_TRUE(client.RunUntil([&] { return closed.done > 0; }));
  EXPECT_EQ(closed.reply.status, DQC_E_CLOSED) << closed.reply;
  EXPECT_EQ(closed.reply.failure.outcome, DQC_OUTCOME_NOT_EXECUTED);
  const Reply after = client.Admin(DQC_ADMIN_DESCRIBE, 0, 0, address.c_str());
  EXPECT_EQ(after.status, DQC_E_CLOSED) << after;
  {
    Client other(Dsn(), true, DQC_LOOP_DRIVEN);
    EXPECT_EQ(dqc_client_admin_async(other.get(), &request, nullptr, CollectEvent, &freed,
                                     &freed.op, nullptr),
              DQC_OK);
    other.Free();
    EXPECT_TRUE(other.RunUntil([&] { return freed.done > 0; }));
  }
  EXPECT_EQ(cancelled.done + closed.done + freed.done, 3);
  cluster().Kill(follower_, SIGCONT);
}

TEST_P(VisitTest, TheAddressMapApplies) {
  const std::string address = cluster().Address(follower_);
  const Client client(Dsn("address_map=10.255.0.1:9=" + address));
  EXPECT_EQ(client.Admin(DQC_ADMIN_DESCRIBE, 0, 0, "10.255.0.1:9").Text(), "I0|I0");
}

TEST_P(VisitTest, AConnectionAsksItsOwnNode) {
  const Client client(Dsn());
  const Conn lease = client.Acquire();
  EXPECT_EQ(lease.Admin(DQC_ADMIN_DESCRIBE, 0, 0, leader_.c_str()).status, DQC_E_MISUSE);
}

}  // namespace
}  // namespace dqc::live
