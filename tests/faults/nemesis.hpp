/* SPDX-License-Identifier: MIT */
// What goes wrong in dqc-faults, by a seed: nodes, their leadership, and the links to them.
#pragma once

#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "dqc/dev_cluster.hpp"
#include "faults/proxy.hpp"

namespace dqc::faults {

// A thread that notices what nobody planned: changes of leader, and times in which this process got
// no CPU.
class Monitor {
 public:
  Monitor(std::vector<std::string> addresses, FaultLog* faults);
  ~Monitor();

 private:
  void WatchLeaders();
  void WatchTime();

  const std::vector<std::string> addresses_;
  FaultLog* faults_;
  std::atomic<bool> stop_{false};
  std::thread leaders_, time_;
};

// Runs on the thread that started the cluster.
class Nemesis {
 public:
  using Proxies = std::vector<std::unique_ptr<Proxy>>;

  Nemesis(tool::DevCluster* cluster, Proxies* proxies, FaultLog* faults, Phase* phase,
          Violations* violations, uint64_t seed);
  void Run(Us end);
  // All nodes run, all links pass, and a node leads. False if that could not be had.
  bool Heal();
  size_t deaths() const { return deaths_; }  // of nodes, by themselves

 private:
  using Fault = void (Nemesis::*)();

  void KillLeader();
  void KillFollower();
  void StopLeader();
  void LoseLeader();
  void StopFollower();
  void StallCluster();
  void Transfer();
  void CutLink();
  void StallLink();
  void DelayLinks();
  void ResetLinks();
  void CutMidFrame();
  void CutAllLinks();
  void Quiet();

  void Kill(const char* kind, size_t node);
  void Stop(const char* kind, const std::vector<size_t>& nodes, Us time);
  void Link(const char* kind, size_t node, Proxy::Mode mode);
  size_t Leader();
  size_t Follower() { return (Leader() + 1 + Pick(cluster_->size() - 1)) % cluster_->size(); }
  void NextPhase();
  void CheckNodes();
  void Restart(size_t node);
  void Sleep(Us time);
  void SleepBetween(int64_t ms_min, int64_t ms_max);
  uint64_t Pick(uint64_t n) { return random_() % n; }

  tool::DevCluster* cluster_;
  Proxies* proxies_;
  FaultLog* faults_;
  Phase* phase_;
  Violations* violations_;
  std::mt19937_64 random_;
  Us end_ = 0;
  size_t deaths_ = 0;
  const char* last_ = "";  // fault, for a message
};

}  // namespace dqc::faults
