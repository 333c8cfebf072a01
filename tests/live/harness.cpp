/* SPDX-License-Identifier: MIT */
#include "live/harness.hpp"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

namespace dqc::live {
namespace {

namespace fs = std::filesystem;

constexpr const char* kNames[] = {"distro", "trixie", "testing"};
// One way, in ms: elections take about 15 times as long. Less would make leaders change by
// themselves when the tests keep every CPU busy.
constexpr unsigned kLatencyMs = 10;

const char* Environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : nullptr;
}

std::string ServersFile() {
  for (const char* name : {"DQC_SERVERS", "DQC_SERVERS_JSON"}) {
    if (const char* value = Environment(name)) return value;
  }
  return fs::exists(DQC_SERVERS_JSON) ? DQC_SERVERS_JSON : "";
}

Server Parse(const nlohmann::json& entry) {
  Server server;
  server.name = entry.at("name").get<std::string>();
  server.available = entry.at("available").get<bool>();
  if (!server.available) {
    server.reason = entry.at("reason").get<std::string>();
    return server;
  }
  server.version = entry.at("version").get<std::string>();
  const auto& era = entry.at("expected_era");
  if (era.is_string()) server.expected_era = era.get<std::string>();
  server.command = entry.at("command").get<std::string>();
  return server;
}

// Throws when a file is named and cannot be read: a typo must not skip tests.
std::map<std::string, Server> LoadServers() {
  std::map<std::string, Server> servers;
  const std::string file = ServersFile();
  for (const char* name : kNames) {
    servers[name].name = name;
    servers[name].reason = file.empty()
                               ? "no servers.json: run tests/servers/fetch.py (./run test does)"
                               : file + " does not list it";
  }
  if (!file.empty()) {
    std::ifstream stream(file);
    if (!stream) throw tool::Error("cannot read " + file);
    const auto list = nlohmann::json::parse(stream);
    for (const auto& entry : list.at("servers")) {
      Server server = Parse(entry);
      servers[server.name] = server;
    }
  } else if (fs::exists(DQC_NODE_COMMAND)) {
    Server& distro = servers["distro"];
    distro.available = true;
    distro.version = "of the system";
    distro.command = DQC_NODE_COMMAND;
  }
  if (const char* only = Environment("DQC_SERVERS_ONLY")) {
    std::set<std::string> wanted;
    std::istringstream names(only);
    for (std::string name; std::getline(names, name, ',');) wanted.insert(name);
    for (auto& [name, server] : servers) {
      if (wanted.contains(name)) continue;
      server.available = false;
      server.reason = std::string("DQC_SERVERS_ONLY is ") + only;
    }
  }
  return servers;
}

std::map<std::string, std::unique_ptr<TestCluster>>& SharedNodes() {
  static std::map<std::string, std::unique_ptr<TestCluster>> nodes;
  return nodes;
}

// Ends the shared nodes while GoogleTest still runs: after main() the order of things is not ours.
class SharedNodesEnd : public ::testing::Environment {
  void TearDown() override {
    SetWatchdog(30);
    SharedNodes().clear();
    SetWatchdog(0);
  }
};
[[maybe_unused]] const auto* const g_end =
    ::testing::AddGlobalTestEnvironment(new SharedNodesEnd);  // owned by GoogleTest

extern "C" void OnAlarm(int) {
  constexpr char kText[] = "\nwatchdog: the test takes too long; all nodes are killed\n";
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, kText, sizeof kText - 1);
  tool::KillAllNodes();
  ::abort();  // leaves a core where they are wanted, to see where it hung
}

}  // namespace

const Server& FindServer(const std::string& name) {
  static const std::map<std::string, Server> servers = LoadServers();
  return servers.at(name);
}

TestDir::TestDir() {
  path_ = fs::temp_directory_path() / "dqc-live-XXXXXX";
  if (::mkdtemp(path_.data()) == nullptr) throw tool::Error("cannot make " + path_);
}

TestDir::~TestDir() {
  if (::testing::Test::HasFailure()) {
    std::cerr << "kept for a look: " << path_ << std::endl;
    return;
  }
  std::error_code error;
  fs::remove_all(path_, error);
}

void SetWatchdog(unsigned seconds) {
  struct sigaction action {};
  action.sa_handler = OnAlarm;
  ::sigaction(SIGALRM, &action, nullptr);
  ::alarm(seconds);
}

tool::DevClusterOptions ClusterOptions(const Server& server, size_t nodes, const std::string& dir) {
  tool::DevClusterOptions options;
  options.nodes = nodes;
  options.dir = dir;
  options.node_command = server.command;
  options.latency_ms = kLatencyMs;
  return options;
}

TestCluster::TestCluster(const Server& server, size_t nodes)
    : cluster_(ClusterOptions(server, nodes, dir_.path())) {
  cluster_.Start();
}

void LiveTest::SetUp() {
  const Server& s = server();
  if (!s.available) {
    if (s.name == "distro") FAIL() << "the distribution's server is always needed: " << s.reason;
    GTEST_SKIP() << "server " << s.name << " is unavailable: " << s.reason;
  }
  std::cout << "server " << s.name << ": libdqlite " << s.version << ", era "
            << (s.expected_era.empty() ? "?" : s.expected_era) << std::endl;
  SetWatchdog(kTestSeconds);
}

void LiveTest::TearDown() { SetWatchdog(0); }

tool::DevCluster& LiveTest::OneNode() {
  auto& node = SharedNodes()[GetParam()];
  if (node && !(*node)->node(0).Running()) {
    std::cerr << "the shared node died: " << (*node)->node(0).Obituary() << std::endl;
    node.reset();
  }
  if (!node) node = std::make_unique<TestCluster>(server(), 1);
  return **node;
}

std::unique_ptr<TestCluster> LiveTest::NewCluster(size_t nodes) const {
  return std::make_unique<TestCluster>(server(), nodes);
}

std::string LiveTest::UniqueDatabase() {
  static std::atomic<int> count{0};
  return "db" + std::to_string(++count);
}

}  // namespace dqc::live
