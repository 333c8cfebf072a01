/* SPDX-License-Identifier: MIT */
#include "dev_cluster.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>
#include <thread>

namespace dqc::tool {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr milliseconds kNodeStartTimeout{15'000};
constexpr milliseconds kAskTimeout{500};  // a node that does not answer for so long cannot lead
constexpr milliseconds kRequestTimeout{5'000};  // what takes longer is asked for again
constexpr milliseconds kPause{20};  // between two looks at a cluster that is not ready yet
constexpr int kPortTries = 20;

std::string Errno() { return std::generic_category().message(errno); }

std::string ListenErrorText(int error) {
  if (error == EINVAL) return "not an address of the form 127.0.0.1:9001";
  if (error == EADDRNOTAVAIL) return "not an address of this machine";
  return std::generic_category().message(error);
}

// Below the range that the system gives to outgoing connections: those may not take the port of a
// node while it restarts.
std::string RandomAddress() {
  static std::mt19937 random{std::random_device{}()};
  std::uniform_int_distribution<int> port(10'000, 32'000);
  return "127.0.0.1:" + std::to_string(port(random));
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

DevCluster::DevCluster(DevClusterOptions options) : options_(std::move(options)) {
  if (options_.nodes > DevClusterOptions::kNodesMax) {
    throw Error("a cluster has 1 to " + std::to_string(DevClusterOptions::kNodesMax) + " nodes");
  }
  if (options_.dir.empty()) throw Error("the cluster needs a folder");
  if (options_.port != 0 && options_.port + DevClusterOptions::kNodesMax - 1 > 65535) {
    throw Error("the first port may be at most " +
                std::to_string(65536 - DevClusterOptions::kNodesMax));
  }
}

DevCluster::~DevCluster() { Stop(); }

void DevCluster::Start() {
  if (lock_fd_ >= 0) throw Error("the cluster is started already");
  const Deadline deadline = In(options_.form_timeout);
  std::error_code error;
  fs::create_directories(options_.dir, error);
  if (error) throw Error("cannot create the folder " + options_.dir + ": " + error.message());
  try {
    Lock();
    LoadState();
    CheckAddresses();
    for (size_t i = 0; i < nodes_.size(); ++i) {
      StartNode(*nodes_[i], deadline, i >= nodes_stored_ && options_.port == 0);
    }
    Form(deadline);
    nodes_stored_ = nodes_.size();
  } catch (...) {
    Stop();
    throw;
  }
}

size_t DevCluster::Stop() {
  size_t killed = 0;
  for (auto& node : nodes_) node->Signal(SIGTERM);  // all at once, so that they stop in parallel
  const Deadline deadline = In(options_.stop_grace);
  for (auto& node : nodes_) {
    if (!node->Stop(Left(deadline))) ++killed;
  }
  Unlock();
  return killed;
}

void DevCluster::Kill(size_t i, int signal_number) {
  NodeProcess& node = *nodes_.at(i);
  node.Signal(signal_number);
  bool done = true;
  if (signal_number == SIGKILL || signal_number == SIGTERM || signal_number == SIGINT) {
    done = node.WaitExit(In(options_.stop_grace));
  } else if (signal_number == SIGSTOP) {
    done = node.WaitStopped(In(options_.stop_grace));
  }
  if (!done) {
    throw Error(node.Name() + " did not obey signal " + std::to_string(signal_number));
  }
}

void DevCluster::Restart(size_t i) {
  if (lock_fd_ < 0) throw Error("the cluster is not started");
  NodeProcess& node = *nodes_.at(i);
  node.Stop(options_.stop_grace);
  node.Start(In(kNodeStartTimeout));
}

std::string DevCluster::Leader() {
  no_leader_ = "none takes itself for the leader";
  for (size_t n = 0; n < nodes_.size(); ++n) {
    const size_t i = (last_leader_ + n) % nodes_.size();
    if (!nodes_[i]->Running()) continue;
    try {
      // Only its own word counts: others may still name one that is gone.
      if (Admin(Address(i), kAskTimeout).Leader() == Address(i)) {
        last_leader_ = i;
        return Address(i);
      }
    } catch (const AdminError& e) {
      if (e.Permanent()) throw;
      no_leader_ = e.what();
    }
  }
  return "";
}

std::string DevCluster::WaitForLeader(milliseconds timeout) {
  const Deadline deadline = In(timeout);
  for (;;) {
    std::string leader = Leader();
    if (!leader.empty()) return leader;
    CheckInterrupted();
    if (Passed(deadline)) {
      throw Error("no node of the cluster leads after " + std::to_string(timeout.count()) +
                  " ms: " + no_leader_);
    }
    std::this_thread::sleep_for(kPause);
  }
}

size_t DevCluster::IndexOf(const std::string& address) const {
  size_t i = 0;
  while (i < nodes_.size() && Address(i) != address) ++i;
  return i;
}

std::vector<Member> DevCluster::Members() {
  return Admin(WaitForLeader(kRequestTimeout), kRequestTimeout).Cluster();
}

std::vector<std::string> DevCluster::Addresses() const {
  std::vector<std::string> addresses;
  for (const auto& node : nodes_) addresses.push_back(node->spec().address);
  return addresses;
}

std::string DevCluster::Dsn(const std::string& database) {
  return "dqlite://" + WaitForLeader(kRequestTimeout) + "/" + database;
}

// One program a folder: old servers do not lock their data, and two on the same would ruin it. The
// nodes inherit the lock, so it also holds off a successor while nodes of a killed program end.
void DevCluster::Lock() {
  const std::string path = options_.dir + "/lock";
  lock_fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock_fd_ < 0) throw Error("cannot open " + path + ": " + Errno());
  const Deadline deadline = In(milliseconds(2'000));
  while (::flock(lock_fd_, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) throw Error("cannot lock " + path + ": " + Errno());
    if (Passed(deadline)) {
      throw Error("another program (pid " + ReadFile(path) + ") runs the cluster in " +
                  options_.dir);
    }
    CheckInterrupted();
    std::this_thread::sleep_for(kPause);
  }
  const std::string pid = std::to_string(::getpid());
  if (::ftruncate(lock_fd_, 0) != 0 ||
      ::pwrite(lock_fd_, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    throw Error("cannot write " + path + ": " + Errno());
  }
}

void DevCluster::Unlock() {
  if (lock_fd_ >= 0) ::close(lock_fd_);
  lock_fd_ = -1;
}

void DevCluster::LoadState() {
  nodes_.clear();
  last_leader_ = 0;
  if (fs::exists(StatePath())) {
    try {
      const auto state = nlohmann::json::parse(ReadFile(StatePath()));
      for (const auto& node : state.at("nodes")) {
        AddNode(node.at("id").get<uint64_t>(), node.at("address").get<std::string>());
      }
    } catch (const nlohmann::json::exception& e) {
      throw Error("cannot understand " + StatePath() + ": " + e.what());
    }
    if (nodes_.empty() || nodes_.size() > DevClusterOptions::kNodesMax) {
      throw Error("cannot understand " + StatePath() + ": it lists " +
                  std::to_string(nodes_.size()) + " nodes");
    }
    if (options_.port != 0 && Address(0) != "127.0.0.1:" + std::to_string(options_.port)) {
      throw Error("the cluster in " + options_.dir + " has its first node at " + Address(0) +
                  ", and addresses cannot be changed; drop --port, or use another --dir");
    }
  } else if (fs::exists(options_.dir + "/node1")) {
    throw Error(options_.dir + " holds the data of nodes but no cluster.json");
  }
  nodes_stored_ = nodes_.size();
  const size_t wanted = options_.nodes != 0 ? options_.nodes : std::max<size_t>(nodes_.size(), 1);
  if (wanted < nodes_.size()) {
    throw Error("the cluster in " + options_.dir + " has " + std::to_string(nodes_.size()) +
                " nodes, and they stay members; use --nodes " + std::to_string(nodes_.size()));
  }
  while (nodes_.size() < wanted) AddNode(nodes_.size() + 1, PickAddress(nodes_.size()));
}

// Written before a node is started: its data names its address.
void DevCluster::SaveState() const {
  nlohmann::json state;
  state["nodes"] = nlohmann::json::array();
  for (const auto& node : nodes_) {
    state["nodes"].push_back({{"id", node->spec().id}, {"address", node->spec().address}});
  }
  const std::string temporary = StatePath() + ".new";
  std::ofstream file(temporary, std::ios::trunc);
  file << state.dump(2) << "\n";
  file.close();
  if (!file || ::rename(temporary.c_str(), StatePath().c_str()) != 0) {
    throw Error("cannot write " + StatePath() + ": " + Errno());
  }
}

void DevCluster::AddNode(uint64_t id, std::string address) {
  NodeSpec spec;
  spec.command = options_.node_command;
  spec.id = id;
  spec.address = std::move(address);
  spec.dir = options_.dir + "/node" + std::to_string(id);
  spec.log = spec.dir + ".log";
  spec.latency_ms = options_.latency_ms;
  spec.lock_fd = lock_fd_;
  nodes_.push_back(std::make_unique<NodeProcess>(std::move(spec)));
}

std::string DevCluster::PickAddress(size_t i) const {
  if (options_.port != 0) return "127.0.0.1:" + std::to_string(options_.port + i);
  for (int n = 0; n < kPortTries; ++n) {
    std::string address = RandomAddress();
    if (IndexOf(address) == size() && AddressIsFree(address)) return address;
  }
  throw Error("found no free port on 127.0.0.1");
}

// Before any node starts, so that a second `dqc dev` on the same ports does no harm.
void DevCluster::CheckAddresses() const {
  for (size_t i = 0; i < size(); ++i) {
    const int error = ListenError(Address(i));
    if (error == 0) continue;
    const bool stored = i < nodes_stored_;
    if (error != EADDRINUSE) {
      throw Error("node " + std::to_string(i + 1) + " cannot listen on " + Address(i) + ": " +
                  ListenErrorText(error) + "; " +
                  (stored ? StatePath() + " names it, so use another --dir"
                          : "choose another with --port"));
    }
    const char* way_out =
        stored ? "cluster.json names it, so stop the other program" : "choose another with --port";
    throw AddressInUse("the port of node " + std::to_string(i + 1) + ", " + Address(i) +
                       ", is in use by another program; " + way_out);
  }
}

void DevCluster::StartNode(NodeProcess& node, Deadline deadline, bool may_move) {
  for (int n = 0;; ++n) {
    SaveState();
    try {
      node.Start(std::min(deadline, In(kNodeStartTimeout)));
      return;
    } catch (const AddressInUse&) {
      // Somebody was faster. A node that never listened has no data that names the address.
      if (!may_move || n == kPortTries) throw;
      node.set_address(PickAddress(0));
    }
  }
}

void DevCluster::Form(Deadline deadline) {
  std::string last;
  for (;;) {
    CheckAlive();
    CheckInterrupted();
    try {
      if (FormStep()) return;
      last = "no node leads: " + no_leader_;
    } catch (const AdminError& e) {
      // Busy, leader changed, no answer …: look at the members again and decide anew.
      if (e.Permanent()) throw;
      last = e.what();
    }
    if (Passed(deadline)) {
      throw Error("the cluster did not form within " +
                  std::to_string(options_.form_timeout.count()) + " ms: " + last);
    }
    std::this_thread::sleep_for(kPause);
  }
}

// True when every node is a voter.
bool DevCluster::FormStep() {
  const std::string leader = Leader();
  if (leader.empty()) return false;
  Admin admin(leader, kRequestTimeout);
  const std::vector<Member> members = admin.Cluster();
  for (const auto& node : nodes_) {
    const uint64_t id = node->spec().id;
    const auto member =
        std::find_if(members.begin(), members.end(), [id](const Member& m) { return m.id == id; });
    if (member != members.end() && member->role == DQC_ROLE_VOTER) continue;
    if (member == members.end()) admin.Add(id, node->spec().address);
    admin.Assign(id, DQC_ROLE_VOTER);
  }
  return true;
}

void DevCluster::CheckAlive() {
  for (auto& node : nodes_) {
    if (!node->Running()) throw Error(node->Name() + " died: " + node->Obituary());
  }
}

void DevCluster::CheckInterrupted() const {
  if (options_.interrupted && options_.interrupted()) throw Error("interrupted");
}

std::string FindNodeCommand() {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error).parent_path();
  std::vector<fs::path> places = {self, self / "../libexec/dqclient"};
  const char* path = std::getenv("PATH");
  std::istringstream folders(path != nullptr ? path : "");
  for (std::string folder; std::getline(folders, folder, ':');) places.emplace_back(folder);
  for (const auto& place : places) {
    const fs::path file = (place / "dqc-node").lexically_normal();
    if (fs::is_regular_file(file, error) && ::access(file.c_str(), X_OK) == 0) return file;
  }
  throw Error(
      "found no dqc-node: it was looked for beside dqc, in ../libexec/dqclient and on PATH\n"
      "  build it (that needs libdqlite-dev), or name it with --node-command");
}

}  // namespace dqc::tool
