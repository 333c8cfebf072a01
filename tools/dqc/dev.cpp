/* SPDX-License-Identifier: MIT */
#include "dev.hpp"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <set>
#include <string>

#include "dev_cluster.hpp"

namespace dqc::tool {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLookEvery{500};
constexpr unsigned kLatencyMs = 20;  // elections take 0.3 s, and few happen on a busy machine
constexpr char kDatabase[] = "app";

struct DevOptions {
  size_t nodes = 0;
  std::string dir;
  uint16_t port = 0;
  std::string node_command;
  unsigned latency_ms = kLatencyMs;
};

// SIGINT, SIGTERM and SIGHUP, blocked and asked for: no handler, and none gets lost.
class StopSignals {
 public:
  StopSignals() {
    sigemptyset(&set_);
    for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set_, number);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    std::signal(SIGPIPE, SIG_IGN);  // whoever reads our lines may go
  }
  // True once one has come.
  bool Wait(milliseconds span) {
    const timespec limit{span.count() / 1000, span.count() % 1000 * 1'000'000};
    if (!came_) came_ = sigtimedwait(&set_, nullptr, &limit) > 0;
    return came_;
  }

 private:
  sigset_t set_{};
  bool came_ = false;
};

class TemporaryDir {
 public:
  TemporaryDir() {
    std::error_code error;
    std::string name = std::filesystem::temp_directory_path(error) / "dqc-dev-XXXXXX";
    if (error || ::mkdtemp(name.data()) == nullptr) {
      throw Error("cannot make a temporary folder; name one with --dir");
    }
    path_ = name;
  }
  ~TemporaryDir() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  TemporaryDir(const TemporaryDir&) = delete;
  TemporaryDir& operator=(const TemporaryDir&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// A DSN of all nodes: whoever uses it follows the leader.
void PrintLeader(DevCluster& cluster, const std::string& leader) {
  std::cout << "leader: " << leader << "\n"
            << "dsn: dqlite://" << leader;
  for (size_t i = 0; i < cluster.size(); ++i) {
    if (cluster.Address(i) != leader) std::cout << "," << cluster.Address(i);
  }
  std::cout << "/" << kDatabase << std::endl;
}

void PrintCluster(DevCluster& cluster, bool temporary, const std::string& leader) {
  for (size_t i = 0; i < cluster.size(); ++i) {
    std::cout << "node " << i + 1 << ": " << cluster.Address(i) << "\n";
  }
  std::cout << "data: " << cluster.dir() << (temporary ? " (removed at the end)" : "") << "\n";
  PrintLeader(cluster, leader);
  std::cout << "ready: stop with Ctrl-C" << std::endl;
}

// Until a stop signal; tells of nodes that die and of new leaders. False when no node is left.
bool Watch(DevCluster& cluster, StopSignals& signals, std::string leader) {
  std::set<size_t> dead;
  while (!signals.Wait(kLookEvery)) {
    for (size_t i = 0; i < cluster.size(); ++i) {
      if (cluster.node(i).Running() || !dead.insert(i).second) continue;
      std::cerr << "dqc: " << cluster.node(i).Name() << " died: " << cluster.node(i).Obituary()
                << std::endl;
    }
    if (dead.size() == cluster.size()) return false;
    const std::string now = cluster.Leader();
    if (now.empty() || now == leader) continue;
    leader = now;
    PrintLeader(cluster, leader);
  }
  return true;
}

int RunDev(const DevOptions& options) {
  StopSignals signals;
  std::unique_ptr<TemporaryDir> temporary;
  if (options.dir.empty()) temporary = std::make_unique<TemporaryDir>();

  DevClusterOptions cluster_options;
  cluster_options.nodes = options.nodes;
  cluster_options.dir = temporary ? temporary->path() : options.dir;
  cluster_options.port = options.port;
  cluster_options.node_command =
      options.node_command.empty() ? FindNodeCommand() : options.node_command;
  cluster_options.latency_ms = options.latency_ms;
  cluster_options.interrupted = [&signals] { return signals.Wait(milliseconds(0)); };

  DevCluster cluster(cluster_options);
  bool alive = true;
  try {
    cluster.Start();
    const std::string leader = cluster.WaitForLeader(cluster_options.form_timeout);
    PrintCluster(cluster, temporary != nullptr, leader);
    alive = Watch(cluster, signals, leader);
  } catch (const Error&) {
    if (!signals.Wait(milliseconds(0))) throw;
  }
  const size_t killed = cluster.Stop();
  if (killed > 0) std::cerr << "dqc: " << killed << " nodes had to be killed" << std::endl;
  if (!alive) std::cerr << "dqc: no node is left" << std::endl;
  if (alive) std::cout << "stopped" << std::endl;
  return alive ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace

void AddDev(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<DevOptions>();
  CLI::App* dev = app.add_subcommand("dev", "run a dqlite cluster on this machine until Ctrl-C");
  dev->add_option("--nodes", options->nodes, "number of nodes (1, or what --dir holds)")
      ->type_name("N")
      ->check(CLI::Range(1, static_cast<int>(DevClusterOptions::kNodesMax)));
  dev->add_option("--dir", options->dir,
                  "folder for the data, kept for the next time (a temporary one)")
      ->check([](const std::string& dir) {  // an unset variable of a shell must not cost the data
        return std::string(dir.empty() ? "wants a folder, and got an empty value" : "");
      });
  dev->add_option("--port", options->port,
                  "port of the first node, the others count up (free ones)")
      ->check(CLI::Range(1, 65535));
  dev->add_option("--node-command", options->node_command,
                  "the dqc-node to run (beside dqc, in ../libexec/dqclient, or on PATH)");
  dev->add_option("--latency-ms", options->latency_ms,
                  "latency the nodes expect of each other; a lost leader is noticed after about "
                  "15 times as long (" +
                      std::to_string(kLatencyMs) + ")")
      ->check(CLI::Range(1, 1000));
  dev->callback([options, &exit_code] { exit_code = RunDev(*options); });
}

}  // namespace dqc::tool
