/* SPDX-License-Identifier: MIT */
// Live tests: GoogleTest against real servers, one process a node, started and ended by us.
//
//   class MyTest : public dqc::live::LiveTest {};
//   DQC_LIVE_SUITE(MyTest);                        // one instance a server: distro, trixie, testing
//   TEST_P(MyTest, Works) { ... OneNode().Dsn("app") ... }
#pragma once

#include <dqclient/dqclient.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "dqc/dev_cluster.hpp"

namespace dqc::live {

struct Server {
  std::string name;  // "distro", "trixie", "testing"
  bool available = false;
  std::string reason;  // why not
  std::string version;
  std::string expected_era;  // "A" to "D"
  std::string command;       // a NodeSpec::command
};

// The server as servers.json has it. That file is named by the environment variable DQC_SERVERS or
// DQC_SERVERS_JSON, else by the build. Without one there is only "distro", with the dqc-node of the
// build. DQC_SERVERS_ONLY ("distro,testing") makes all others unavailable.
const Server& FindServer(const std::string& name);

// A folder of its own; removed at the end, kept and named if a test failed.
class TestDir {
 public:
  TestDir();
  ~TestDir();
  TestDir(const TestDir&) = delete;
  TestDir& operator=(const TestDir&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// SIGKILLs every node of this process and ends it with a message when `seconds` pass without a
// call; 0 switches that off.
void SetWatchdog(unsigned seconds);

// Options for a cluster of this server in `dir`, with timing fit for tests.
tool::DevClusterOptions ClusterOptions(const Server& server, size_t nodes, const std::string& dir);

// A started cluster in a folder of its own.
class TestCluster {
 public:
  TestCluster(const Server& server, size_t nodes);
  tool::DevCluster& operator*() { return cluster_; }
  tool::DevCluster* operator->() { return &cluster_; }

 private:
  TestDir dir_;  // outlives the cluster
  tool::DevCluster cluster_;
};

// The parameter is the server's name. Skips where that server cannot be had (never for distro), and
// ends the process if a test takes longer than kTestSeconds.
class LiveTest : public ::testing::TestWithParam<const char*> {
 protected:
  static constexpr unsigned kTestSeconds = 60;

  void SetUp() override;
  void TearDown() override;

  const Server& server() const { return FindServer(GetParam()); }
  char ExpectedEra() const { return server().expected_era.empty() ? 0 : server().expected_era[0]; }

  // One node, shared by all tests of this process that use the same server: take a database of your
  // own (UniqueDatabase()), and do not stop it. A node that has died is replaced by a new one.
  tool::DevCluster& OneNode();
  // A cluster for this test alone.
  std::unique_ptr<TestCluster> NewCluster(size_t nodes) const;
  // A database name no other test of this process has.
  static std::string UniqueDatabase();
};

#define DQC_LIVE_SUITE(Suite)                                                                \
  INSTANTIATE_TEST_SUITE_P(Servers, Suite, ::testing::Values("distro", "trixie", "testing"), \
                           [](const auto& instance) { return std::string(instance.param); })

}  // namespace dqc::live
