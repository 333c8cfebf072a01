/* SPDX-License-Identifier: MIT */
// A client and the cluster as a whole: members, roles, nodes that come and go, node files.
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <sstream>

#include "live/cluster_client.hpp"

namespace dqc::live {
namespace {

using std::chrono::seconds;

struct Seen {
  int32_t type;
  std::string address;
  int32_t role;
};

struct FreeConfig {
  void operator()(dqc_client* client) const { dqc_client_free(client); }
};

class TopologyTest : public LiveTest {
 protected:
  // A driven client that notes what it is told of the cluster.
  void Watch(const std::string& dsn) {
    dqc_config* config = nullptr;
    dqc_loop* loop = nullptr;
    dqc_client* client = nullptr;
    dqc_error* error = nullptr;
    ASSERT_EQ(dqc_config_new(&config, nullptr), DQC_OK);
    ASSERT_EQ(dqc_config_set_dsn(config, dsn.data(), dsn.size(), nullptr), DQC_OK);
    ASSERT_EQ(dqc_config_set_watch(config, OnChange, this, nullptr), DQC_OK);
    ASSERT_EQ(dqc_loop_new(DQC_LOOP_DRIVEN, &loop, nullptr), DQC_OK);
    loop_.reset(loop);
    ASSERT_EQ(dqc_client_new(loop, nullptr, config, &client, nullptr), DQC_OK);
    client_.reset(client);
    dqc_config_free(config);
    ASSERT_EQ(dqc_client_connect(client, nullptr, &error), DQC_OK) << dqc_error_message(error);
  }
  void TearDown() override {
    client_.reset();
    loop_.reset();
    LiveTest::TearDown();
  }
  static void OnChange(void* data, const dqc_topology* event) {
    static_cast<TopologyTest*>(data)->seen_.push_back(
        {event->type, event->node.address, event->node.role});
  }
  bool Saw(int32_t type, const std::string& address) const {
    return std::any_of(seen_.begin(), seen_.end(),
                       [&](const Seen& s) { return s.type == type && s.address == address; });
  }
  bool RunUntilSaw(int32_t type, const std::string& address) {
    const auto end = std::chrono::steady_clock::now() + seconds(20);
    while (!Saw(type, address) && std::chrono::steady_clock::now() < end)
      EXPECT_EQ(dqc_loop_run(loop_.get(), DQC_RUN_ONCE, nullptr), DQC_OK);
    return Saw(type, address);
  }
  Reply Admin(int32_t verb, uint64_t id = 0, uint64_t value = 0, const char* text = nullptr) {
    dqc_admin request = {sizeof(request), verb, id, value, text};
    dqc_rows* rows = nullptr;
    dqc_error* error = nullptr;
    const dqc_status status = dqc_client_admin(client_.get(), &request, nullptr, &rows, &error);
    return Drain(status, rows, error);
  }

  std::vector<Seen> seen_;
  Handle<dqc_loop> loop_;
  std::unique_ptr<dqc_client, FreeConfig> client_;
};
DQC_LIVE_SUITE(TopologyTest);

TEST_P(TopologyTest, AWatcherTellsOfNodesThatComeAndGo) {
  const auto cluster = NewCluster(3);
  const std::string leader = (*cluster)->WaitForLeader(seconds(10));
  Watch(ClusterDsn((*cluster)->Addresses(), "app", "watch_interval=50ms&timeout=20s"));
  EXPECT_TRUE(Saw(DQC_TOPOLOGY_LEADER, leader));
  for (const std::string& address : (*cluster)->Addresses()) {
    EXPECT_TRUE(RunUntilSaw(DQC_TOPOLOGY_NODE_ADDED, address));
    EXPECT_TRUE(RunUntilSaw(DQC_TOPOLOGY_NODE_UP, address));
  }
  size_t other = 0;
  while ((*cluster)->Address(other) == leader) ++other;
  const std::string gone = (*cluster)->Address(other);
  (*cluster)->Kill(other, SIGKILL);
  EXPECT_TRUE(RunUntilSaw(DQC_TOPOLOGY_NODE_DOWN, gone));
  seen_.clear();
  (*cluster)->Restart(other);
  EXPECT_TRUE(RunUntilSaw(DQC_TOPOLOGY_NODE_UP, gone));
}

// Without a single operation: the idle client follows by itself.
TEST_P(TopologyTest, AnIdleClientFollowsANewLeader) {
  const auto cluster = NewCluster(3);
  const std::string leader = (*cluster)->WaitForLeader(seconds(10));
  Watch(ClusterDsn((*cluster)->Addresses(), "app", "watch_interval=50ms&timeout=20s"));
  (*cluster)->Kill((*cluster)->IndexOf(leader), SIGKILL);
  const std::string next = (*cluster)->WaitForLeader(seconds(20));
  EXPECT_TRUE(RunUntilSaw(DQC_TOPOLOGY_LEADER, next));
  EXPECT_TRUE(RunUntilSaw(DQC_TOPOLOGY_NODE_DOWN, leader));
  const dqc_status status = dqc_client_exec(client_.get(), "CREATE TABLE t(x)", DQC_CSTR, nullptr,
                                            0, nullptr, nullptr, nullptr);
  EXPECT_EQ(status, DQC_OK);
}

TEST_P(TopologyTest, AdministrationGoesToTheLeader) {
  const auto cluster = NewCluster(3);
  const std::string leader = (*cluster)->WaitForLeader(seconds(10));
  Watch(ClusterDsn((*cluster)->Addresses(), "app", "timeout=20s"));
  EXPECT_EQ(Admin(DQC_ADMIN_CLUSTER).rows.size(), 3u);
  size_t other = 0;
  while ((*cluster)->Address(other) == leader) ++other;
  const uint64_t id = (*cluster)->node(other).spec().id;

  EXPECT_TRUE(Admin(DQC_ADMIN_ASSIGN, id, DQC_ROLE_SPARE).ok());
  EXPECT_TRUE(Admin(DQC_ADMIN_REMOVE, id).ok());
  EXPECT_EQ(Admin(DQC_ADMIN_CLUSTER).rows.size(), 2u);
  // The node still runs, with its data: it takes up where it was.
  const std::string address = (*cluster)->Address(other);
  const Reply joined = Admin(DQC_ADMIN_JOIN, id, DQC_ROLE_VOTER, address.c_str());
  EXPECT_TRUE(joined.ok()) << joined;
  EXPECT_EQ(Admin(DQC_ADMIN_CLUSTER).rows.size(), 3u);
  const Reply twice = Admin(DQC_ADMIN_JOIN, id, DQC_ROLE_VOTER, address.c_str());
  EXPECT_FALSE(twice.ok());
  EXPECT_EQ(twice.failure.outcome, DQC_OUTCOME_NOT_EXECUTED);
  EXPECT_FALSE(Admin(DQC_ADMIN_JOIN, 99, DQC_ROLE_VOTER, "nonsense").ok());

  EXPECT_TRUE(Transferred([&] { return Admin(DQC_ADMIN_TRANSFER, id); }).ok());
  EXPECT_EQ(Admin(DQC_ADMIN_LEADER).Text(), "I" + std::to_string(id) + "|T" + address);
}

TEST_P(TopologyTest, AdministrationSaysWhyNot) {
  const auto cluster = NewCluster(3);
  const std::string leader = (*cluster)->WaitForLeader(seconds(10));
  Watch(ClusterDsn((*cluster)->Addresses(), "app", "timeout=20s"));
  size_t other = 0;
  while ((*cluster)->Address(other) == leader) ++other;
  const uint64_t id = (*cluster)->node(other).spec().id;
  EXPECT_TRUE(Admin(DQC_ADMIN_ASSIGN, id, DQC_ROLE_SPARE).ok());
  const Reply to_spare = Admin(DQC_ADMIN_TRANSFER, id);
  EXPECT_FALSE(to_spare.ok());
  EXPECT_FALSE(to_spare.failure.server_text.empty());
  EXPECT_FALSE(Admin(DQC_ADMIN_ASSIGN, 99, DQC_ROLE_VOTER).ok());
  EXPECT_FALSE(Admin(DQC_ADMIN_REMOVE, 99).ok());
  // Up to 1.18.1 an unknown database is dumped as empty files.
  const Reply dump = Admin(DQC_ADMIN_DUMP, 0, 0, "nosuch");
  if (dump.ok()) {
    for (const auto& row : dump.rows) EXPECT_EQ(row[1], "I0");
  } else {
    EXPECT_EQ(dump.failure.server_code, 1002);
  }
  const Reply still = Admin(DQC_ADMIN_CLUSTER);
  EXPECT_EQ(still.rows.size(), 3u) << still;
}

TEST_P(TopologyTest, TheLeaderItselfCanBeRemoved) {
  const auto cluster = NewCluster(3);
  const std::string leader = (*cluster)->WaitForLeader(seconds(10));
  const uint64_t id = (*cluster)->node((*cluster)->IndexOf(leader)).spec().id;
  Watch(ClusterDsn((*cluster)->Addresses(), "app", "timeout=20s"));
  ASSERT_EQ(dqc_client_exec(client_.get(), "CREATE TABLE t(x)", DQC_CSTR, nullptr, 0, nullptr,
                            nullptr, nullptr),
            DQC_OK);
  const Reply removed = Admin(DQC_ADMIN_REMOVE, id);
  EXPECT_TRUE(removed.ok() || removed.failure.outcome != DQC_OUTCOME_NOT_EXECUTED) << removed;
  // It steps down, and the client goes on with the one that follows it.
  EXPECT_EQ(dqc_client_exec(client_.get(), "INSERT INTO t VALUES(1)", DQC_CSTR, nullptr, 0, nullptr,
                            nullptr, nullptr),
            DQC_OK);
  const Reply members = Admin(DQC_ADMIN_CLUSTER);
  EXPECT_EQ(members.rows.size(), 2u) << members;
  char now[256];
  dqc_client_leader(client_.get(), now, sizeof(now));
  EXPECT_NE(now, leader);
}

TEST_P(TopologyTest, ANodeFileIsReadAndWrittenBack) {
  const auto cluster = NewCluster(3);
  (void)(*cluster)->WaitForLeader(seconds(10));
  const TestDir dir;
  const std::string path = dir.path() + "/cluster.yaml";
  std::ofstream(path) << "- Address: " << (*cluster)->Address(2) << "\n  ID: 3\n  Role: 0\n";
  Watch("dqlite:///app?nodes=" + path + "&nodes_write=true&watch_interval=50ms&timeout=20s");
  for (const std::string& address : (*cluster)->Addresses())
    EXPECT_TRUE(RunUntilSaw(DQC_TOPOLOGY_NODE_ADDED, address));
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  for (const std::string& address : (*cluster)->Addresses())
    EXPECT_NE(text.str().find(address), std::string::npos) << text.str();
}

}  // namespace
}  // namespace dqc::live
