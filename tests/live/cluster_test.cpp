/* SPDX-License-Identifier: MIT */
// The development cluster (tools/dqc) on every server: what all other live tests stand on.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>

#include "live/harness.hpp"

namespace dqc::live {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using tool::DevCluster;

// Runs `sql` on the leader; with `rows`, returns the first cell of the first row.
int64_t Run(DevCluster& cluster, const std::string& sql, bool rows) {
  const std::string dsn = cluster.Dsn("app");
  dqc_conn* conn = nullptr;
  dqc_rows* cursor = nullptr;
  dqc_error* error = nullptr;
  int64_t value = -1;
  dqc_status status = dqc_conn_open(dsn.data(), dsn.size(), &conn, &error);
  if (status == DQC_OK && rows) {
    status = dqc_conn_query(conn, sql.data(), sql.size(), nullptr, 0, nullptr, &cursor, &error);
    if (status == DQC_OK) status = dqc_rows_step(cursor, &error);
    if (status == DQC_ROW) value = dqc_rows_int64(cursor, 0);
  } else if (status == DQC_OK) {
    status = dqc_conn_exec(conn, sql.data(), sql.size(), nullptr, 0, nullptr, nullptr, &error);
  }
  EXPECT_GE(status, 0) << sql << ": " << dqc_error_message(error);
  dqc_error_free(error);
  dqc_rows_free(cursor);
  dqc_conn_free(conn);
  return value;
}

void Exec(DevCluster& cluster, const std::string& sql) { Run(cluster, sql, false); }
int64_t Query(DevCluster& cluster, const std::string& sql) { return Run(cluster, sql, true); }

void ExpectVoters(DevCluster& cluster, size_t count) {
  const std::vector<tool::Member> members = cluster.Members();
  ASSERT_EQ(members.size(), count);
  for (size_t i = 0; i < count; ++i) {
    EXPECT_EQ(members[i].id, i + 1);
    EXPECT_EQ(members[i].address, cluster.Address(i));
    EXPECT_EQ(members[i].role, DQC_ROLE_VOTER) << "node " << i + 1;
  }
}

std::vector<pid_t> Pids(DevCluster& cluster) {
  std::vector<pid_t> pids;
  for (size_t i = 0; i < cluster.size(); ++i) pids.push_back(cluster.node(i).pid());
  return pids;
}

// The message of the Error that `action` must throw.
template <typename Action>
std::string ErrorOf(Action action) {
  try {
    action();
  } catch (const tool::Error& e) {
    return e.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

// A listener on a port of 127.0.0.1 that the system chose.
class Listener {
 public:
  Listener() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof in;
    auto* address = reinterpret_cast<sockaddr*>(&in);
    if (::bind(fd_, address, size) != 0 || ::listen(fd_, 1) != 0 ||
        ::getsockname(fd_, address, &size) != 0) {
      throw std::system_error(errno, std::generic_category());
    }
    port_ = ntohs(in.sin_port);
  }
  ~Listener() { ::close(fd_); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  uint16_t port() const { return port_; }

 private:
  int fd_;
  uint16_t port_ = 0;
};

class ClusterTest : public LiveTest {};
DQC_LIVE_SUITE(ClusterTest);

TEST_P(ClusterTest, OneNodeForms) {
  DevCluster& cluster = OneNode();
  EXPECT_EQ(cluster.WaitForLeader(seconds(5)), cluster.Address(0));
  EXPECT_EQ(cluster.Dsn("app"), "dqlite://" + cluster.Address(0) + "/app");
  ExpectVoters(cluster, 1);
}

TEST_P(ClusterTest, EraIsAsExpected) {
  tool::Admin admin(OneNode().WaitForLeader(seconds(5)), seconds(5));
  if (ExpectedEra() != 0) {
    EXPECT_EQ(admin.Era(), ExpectedEra());
  }
}

TEST_P(ClusterTest, ThreeNodesBecomeVoters) {
  const auto cluster = NewCluster(3);
  ExpectVoters(**cluster, 3);
  Exec(**cluster, "CREATE TABLE t(x)");
  Exec(**cluster, "INSERT INTO t VALUES (7)");
  EXPECT_EQ(Query(**cluster, "SELECT x FROM t"), 7);
}

TEST_P(ClusterTest, NewLeaderAfterKill) {
  const auto handle = NewCluster(3);
  DevCluster& cluster = **handle;
  Exec(cluster, "CREATE TABLE t(x)");
  Exec(cluster, "INSERT INTO t VALUES (7)");
  const std::string old_leader = cluster.WaitForLeader(seconds(5));
  const size_t victim = cluster.IndexOf(old_leader);
  cluster.Kill(victim, SIGKILL);
  EXPECT_FALSE(cluster.node(victim).Running());
  const std::string new_leader = cluster.WaitForLeader(seconds(20));
  EXPECT_NE(new_leader, old_leader);
  EXPECT_LT(cluster.IndexOf(new_leader), cluster.size());
  EXPECT_EQ(Query(cluster, "SELECT x FROM t"), 7);

  cluster.Restart(victim);
  EXPECT_TRUE(cluster.node(victim).Running());
  EXPECT_EQ(cluster.Address(victim), old_leader);
  Exec(cluster, "INSERT INTO t VALUES (8)");
  ExpectVoters(cluster, 3);
}

TEST_P(ClusterTest, StoppedLeaderIsReplaced) {
  const auto handle = NewCluster(3);
  DevCluster& cluster = **handle;
  const std::string old_leader = cluster.WaitForLeader(seconds(5));
  const size_t victim = cluster.IndexOf(old_leader);
  cluster.Kill(victim, SIGSTOP);
  EXPECT_NE(cluster.WaitForLeader(seconds(20)), old_leader);
  cluster.Kill(victim, SIGCONT);
  EXPECT_TRUE(cluster.node(victim).Running());
}

TEST_P(ClusterTest, StartsAgainWithItsData) {
  TestDir dir;
  std::vector<std::string> addresses;
  {
    DevCluster cluster(ClusterOptions(server(), 3, dir.path()));
    cluster.Start();
    addresses = cluster.Addresses();
    Exec(cluster, "CREATE TABLE t(x)");
    Exec(cluster, "INSERT INTO t VALUES (42)");
    EXPECT_EQ(cluster.Stop(), 0u);
  }
  DevCluster cluster(ClusterOptions(server(), 0, dir.path()));  // as many as there were
  cluster.Start();
  EXPECT_EQ(cluster.Addresses(), addresses);
  ExpectVoters(cluster, 3);
  EXPECT_EQ(Query(cluster, "SELECT x FROM t"), 42);
}

TEST_P(ClusterTest, GrowsFromOneNodeToThree) {
  TestDir dir;
  {
    DevCluster cluster(ClusterOptions(server(), 1, dir.path()));
    cluster.Start();
    Exec(cluster, "CREATE TABLE t(x)");
    Exec(cluster, "INSERT INTO t VALUES (42)");
  }
  {
    DevCluster cluster(ClusterOptions(server(), 3, dir.path()));
    cluster.Start();
    ExpectVoters(cluster, 3);
    EXPECT_EQ(Query(cluster, "SELECT x FROM t"), 42);
  }
  DevCluster cluster(ClusterOptions(server(), 1, dir.path()));
  const std::string message = ErrorOf([&] { cluster.Start(); });
  EXPECT_NE(message.find("has 3 nodes"), std::string::npos) << message;
}

TEST_P(ClusterTest, StopLeavesNoProcess) {
  TestDir dir;
  DevCluster cluster(ClusterOptions(server(), 3, dir.path()));
  cluster.Start();
  const std::vector<pid_t> pids = Pids(cluster);
  cluster.Kill(1, SIGSTOP);  // even this one obeys SIGTERM
  EXPECT_EQ(cluster.Stop(), 0u);
  for (const pid_t pid : pids) {
    ASSERT_GT(pid, 0);
    EXPECT_EQ(::kill(pid, 0), -1);
    EXPECT_EQ(errno, ESRCH);
  }
  cluster.Start();  // the same object again
  ExpectVoters(cluster, 3);
}

TEST_P(ClusterTest, OneProgramPerFolder) {
  TestDir dir;
  DevCluster first(ClusterOptions(server(), 1, dir.path()));
  first.Start();
  DevCluster second(ClusterOptions(server(), 1, dir.path()));
  const std::string message = ErrorOf([&] { second.Start(); });
  EXPECT_NE(message.find("pid " + std::to_string(::getpid())), std::string::npos) << message;
  EXPECT_TRUE(first.node(0).Running());
}

TEST_P(ClusterTest, PortInUseIsToldBeforeAnythingStarts) {
  Listener other;
  TestDir dir;
  auto options = ClusterOptions(server(), 2, dir.path());
  options.port = other.port();
  DevCluster cluster(options);
  try {
    cluster.Start();
    FAIL() << "started";
  } catch (const tool::AddressInUse& e) {
    EXPECT_NE(std::string(e.what()).find(":" + std::to_string(other.port())), std::string::npos);
    EXPECT_NE(std::string(e.what()).find("in use"), std::string::npos) << e.what();
  }
}

TEST_P(ClusterTest, AddressesOfTheFolderStay) {
  TestDir dir;
  DevCluster first(ClusterOptions(server(), 1, dir.path()));
  first.Start();
  first.Stop();
  auto options = ClusterOptions(server(), 1, dir.path());
  options.port = 9;
  DevCluster second(options);
  const std::string message = ErrorOf([&] { second.Start(); });
  EXPECT_NE(message.find(first.Address(0)), std::string::npos) << message;
  EXPECT_NE(message.find("drop --port, or use another --dir"), std::string::npos) << message;
}

// What needs no particular server.
class ClusterErrorTest : public LiveTest {};
INSTANTIATE_TEST_SUITE_P(Servers, ClusterErrorTest, ::testing::Values("distro"),
                         [](const auto& instance) { return std::string(instance.param); });

TEST_P(ClusterErrorTest, MissingNodeProgram) {
  TestDir dir;
  auto options = ClusterOptions(server(), 1, dir.path());
  options.node_command = dir.path() + "/no-such-program";
  DevCluster cluster(options);
  const std::string message = ErrorOf([&] { cluster.Start(); });
  EXPECT_NE(message.find("no-such-program"), std::string::npos) << message;
  EXPECT_NE(message.find("No such file"), std::string::npos) << message;
}

TEST_P(ClusterErrorTest, AddressThatIsNotOurs) {
  const std::pair<const char*, const char*> cases[] = {
      {"192.0.2.1:9001", "192.0.2.1:9001: not an address of this machine"},
      {"node1.example:9001", "node1.example:9001: not an address of the form"},
      {"127.0.0.1", "127.0.0.1: not an address of the form"}};
  for (const auto& [address, reason] : cases) {
    TestDir dir;
    std::ofstream(dir.path() + "/cluster.json")
        << R"({"nodes": [{"id": 1, "address": ")" << address << R"("}]})";
    DevCluster cluster(ClusterOptions(server(), 1, dir.path()));
    const std::string message = ErrorOf([&] { cluster.Start(); });
    EXPECT_NE(message.find(reason), std::string::npos) << message;
    EXPECT_NE(message.find("cluster.json names it, so use another --dir"), std::string::npos)
        << message;
    EXPECT_EQ(message.find("in use"), std::string::npos) << message;
  }
}

TEST_P(ClusterErrorTest, DeadNodeIsReportedWithItsLastWords) {
  TestDir dir;
  const std::string script = dir.path() + "/node.sh";
  std::ofstream(script) << "#!/bin/sh\necho 'the disk is full of eels' >&2\nexit 3\n";
  std::filesystem::permissions(script, std::filesystem::perms::owner_all);
  auto options = ClusterOptions(server(), 1, dir.path() + "/data");
  options.node_command = script;
  DevCluster cluster(options);
  const std::string message = ErrorOf([&] { cluster.Start(); });
  EXPECT_NE(message.find("exit code 3"), std::string::npos) << message;
  EXPECT_NE(message.find("full of eels"), std::string::npos) << message;
}

TEST_P(ClusterErrorTest, SilentNodeIsKilledAtTheDeadline) {
  TestDir dir;
  const std::string script = dir.path() + "/node.sh";
  std::ofstream(script) << "#!/bin/sh\nexec sleep 1000\n";
  std::filesystem::permissions(script, std::filesystem::perms::owner_all);
  auto options = ClusterOptions(server(), 1, dir.path() + "/data");
  options.node_command = script;
  options.form_timeout = milliseconds(300);
  DevCluster cluster(options);
  const std::string message = ErrorOf([&] { cluster.Start(); });
  EXPECT_NE(message.find("not ready in time"), std::string::npos) << message;
  EXPECT_EQ(cluster.node(0).pid(), 0);
}

TEST_P(ClusterErrorTest, BrokenStateFile) {
  TestDir dir;
  std::ofstream(dir.path() + "/cluster.json") << "{\"nodes\": [";
  DevCluster cluster(ClusterOptions(server(), 1, dir.path()));
  const std::string message = ErrorOf([&] { cluster.Start(); });
  EXPECT_NE(message.find("cluster.json"), std::string::npos) << message;
}

TEST_P(ClusterErrorTest, WrongNumberOfNodes) {
  EXPECT_THROW(DevCluster(ClusterOptions(server(), 6, "x")), tool::Error);
}

TEST_P(ClusterErrorTest, InterruptedStartLeavesNothing) {
  TestDir dir;
  auto options = ClusterOptions(server(), 3, dir.path());
  options.interrupted = [] { return true; };
  DevCluster cluster(options);
  EXPECT_EQ(ErrorOf([&] { cluster.Start(); }), "interrupted");
  for (size_t i = 0; i < cluster.size(); ++i) EXPECT_EQ(cluster.node(i).pid(), 0);
}

}  // namespace
}  // namespace dqc::live
