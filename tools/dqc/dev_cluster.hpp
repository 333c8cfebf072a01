/* SPDX-License-Identifier: MIT */
// A dqlite cluster of 1 to 5 nodes on loopback, for development and tests: one process a node, all
// of them voters.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "admin.hpp"
#include "error.hpp"
#include "node_process.hpp"

namespace dqc::tool {

struct DevClusterOptions {
  static constexpr size_t kNodesMax = 5;

  // 1 to kNodesMax; 0: as many as the folder holds, 1 in a new one. More than it holds: they join.
  size_t nodes = 0;
  // Data, logs and cluster.json (ids and addresses). Kept: a later start finds it all again.
  std::string dir;
  uint16_t port = 0;         // of a new cluster's first node, the others count up; 0: free ones
  std::string node_command;  // see NodeSpec
  unsigned latency_ms = 0;   // see NodeSpec; elections take about 15 times as long
  std::chrono::milliseconds form_timeout{30'000};  // from start to the last voter
  std::chrono::milliseconds stop_grace{5'000};     // between SIGTERM and SIGKILL
  std::function<bool()> interrupted;  // nullable; true makes Start() and WaitForLeader() throw
};

// Every failure is an Error. Not thread-safe; for Start() and Restart() see NodeProcess.
class DevCluster {
 public:
  explicit DevCluster(DevClusterOptions options);
  ~DevCluster();  // as Stop()
  DevCluster(const DevCluster&) = delete;
  DevCluster& operator=(const DevCluster&) = delete;

  // Starts the nodes, joins those that are not members yet, and makes all of them voters. On a
  // failure nothing is left running. Again after Stop(): the same cluster with its data.
  void Start();
  // Returns the number of nodes that had to be killed.
  size_t Stop();

  // Node i, from 0. When this returns after SIGKILL, SIGTERM or SIGINT, the node has ended; after
  // SIGSTOP, it has stopped.
  void Kill(size_t i, int signal_number);
  void Restart(size_t i);  // stops it if it runs; returns when clients can connect

  // Address of the node that leads, by its own account; "" if none does now.
  std::string Leader();
  std::string WaitForLeader(std::chrono::milliseconds timeout);
  size_t IndexOf(const std::string& address) const;  // size() if it is none of ours
  // What the leader knows.
  std::vector<Member> Members();

  size_t size() const { return nodes_.size(); }
  std::string Address(size_t i) const { return nodes_[i]->spec().address; }
  std::vector<std::string> Addresses() const;
  // For the node that leads now. (A DSN for a dqc_conn names one host.)
  std::string Dsn(const std::string& database);
  NodeProcess& node(size_t i) { return *nodes_[i]; }
  const std::string& dir() const { return options_.dir; }

 private:
  void Lock();
  void Unlock();
  void LoadState();
  void SaveState() const;
  void AddNode(uint64_t id, std::string address);
  std::string PickAddress(size_t i) const;
  void CheckAddresses() const;
  void StartNode(NodeProcess& node, Deadline deadline, bool may_move);
  void Form(Deadline deadline);
  bool FormStep();
  void CheckAlive();
  void CheckInterrupted() const;
  std::string StatePath() const { return options_.dir + "/cluster.json"; }

  DevClusterOptions options_;
  std::vector<std::unique_ptr<NodeProcess>> nodes_;
  size_t nodes_stored_ = 0;  // so many of nodes_ came from cluster.json
  int lock_fd_ = -1;
  size_t last_leader_ = 0;  // asked first
  std::string no_leader_;   // why Leader() found none
};

// The dqc-node beside this program, in ../libexec/dqclient or on PATH; an Error if there is none.
std::string FindNodeCommand();

}  // namespace dqc::tool
