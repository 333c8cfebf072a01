/* SPDX-License-Identifier: MIT */
#include "faults/nemesis.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <iostream>
#include <map>

#include "live/client.hpp"

namespace dqc::faults {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Us kStall = Ms(100);

}  // namespace

Monitor::Monitor(std::vector<std::string> addresses, FaultLog* faults)
    : addresses_(std::move(addresses)), faults_(faults) {
  leaders_ = std::thread([this] { WatchLeaders(); });
  time_ = std::thread([this] { WatchTime(); });
}

Monitor::~Monitor() {
  stop_ = true;
  leaders_.join();
  time_.join();
}

void Monitor::WatchLeaders() {
  std::map<size_t, std::unique_ptr<tool::Admin>> admins;
  std::vector<size_t> last;
  Us looked = Now();
  while (!stop_) {
    std::vector<size_t> leaders;  // by their own account
    for (size_t i = 0; i < addresses_.size(); ++i) {
      try {
        if (!admins[i]) admins[i] = std::make_unique<tool::Admin>(addresses_[i], milliseconds(300));
        if (admins[i]->Leader() == addresses_[i]) leaders.push_back(i);
      } catch (const tool::Error&) {
        admins[i].reset();
      }
    }
    const bool changed = !last.empty() && leaders != last;
    if (changed || leaders.size() != 1) faults_->Add("(leader changed)", looked, Now());
    last = leaders;
    looked = Now();
    std::this_thread::sleep_for(milliseconds(100));
  }
}

void Monitor::WatchTime() {
  while (!stop_) {
    const Us start = Now();
    std::this_thread::sleep_for(milliseconds(20));
    if (Now() - start > kStall) faults_->AddStall(start, Now());
  }
}

Nemesis::Nemesis(tool::DevCluster* cluster, Proxies* proxies, FaultLog* faults, Phase* phase,
                 Violations* violations, uint64_t seed)
    : cluster_(cluster),
      proxies_(proxies),
      faults_(faults),
      phase_(phase),
      violations_(violations),
      random_(seed) {}

void Nemesis::Run(Us end) {
  static constexpr Fault kFaults[] = {
      &Nemesis::KillLeader,  &Nemesis::KillLeader,   &Nemesis::KillFollower, &Nemesis::StopLeader,
      &Nemesis::StopLeader,  &Nemesis::StopFollower, &Nemesis::StallCluster, &Nemesis::Transfer,
      &Nemesis::Transfer,    &Nemesis::CutLink,      &Nemesis::StallLink,    &Nemesis::DelayLinks,
      &Nemesis::ResetLinks,  &Nemesis::ResetLinks,   &Nemesis::CutMidFrame,  &Nemesis::CutMidFrame,
      &Nemesis::CutMidFrame, &Nemesis::CutAllLinks,  &Nemesis::LoseLeader,   &Nemesis::Quiet,
      &Nemesis::Quiet};
  end_ = end;
  Sleep(Ms(1500));  // some time that no fault explains, however short the campaign is
  while (Now() < end) {
    NextPhase();
    try {
      (this->*kFaults[Pick(std::size(kFaults))])();
    } catch (const tool::Error& e) {
      std::cout << "  nemesis: " << e.what() << std::endl;
    }
    SleepBetween(100, 1500);
    try {
      CheckNodes();
    } catch (const tool::Error& e) {
      violations_->Add("cluster", e.what());
      return;
    }
  }
}

void Nemesis::NextPhase() {
  last_ = "links";
  if (Pick(3) == 0) phase_->cancels = Pick(2) == 0;
  if (Pick(4) == 0) phase_->short_deadlines = Pick(2) == 0;
}

void Nemesis::Sleep(Us time) {
  const Us left = end_ - Now();
  if (left > 0) std::this_thread::sleep_for(microseconds(std::min(time, left)));
}

void Nemesis::SleepBetween(int64_t ms_min, int64_t ms_max) {
  Sleep(Ms(ms_min + static_cast<int64_t>(Pick(static_cast<uint64_t>(ms_max - ms_min)))));
}

size_t Nemesis::Leader() {
  const size_t i = cluster_->IndexOf(cluster_->Leader());
  return i < cluster_->size() ? i : Pick(cluster_->size());
}

void Nemesis::Restart(size_t node) {
  for (int tries = 0;; ++tries) {
    try {
      cluster_->Restart(node);
      return;
    } catch (const tool::Error& e) {
      std::cout << "  restart: " << e.what() << std::endl;
      if (tries == 3) throw;
    }
  }
}

// A server that aborts is a fault like others: see what is known of it, and go on.
void Nemesis::CheckNodes() {
  for (size_t i = 0; i < cluster_->size(); ++i) {
    if (cluster_->node(i).Running()) continue;
    const size_t window = faults_->Begin("node died by itself");
    ++deaths_;
    std::cout << "  after \"" << last_ << "\", node " << i + 1
              << " died: " << cluster_->node(i).Obituary() << std::endl;
    Restart(i);
    faults_->End(window);
  }
}

void Nemesis::Kill(const char* kind, size_t node) {
  last_ = kind;
  const size_t window = faults_->Begin(kind);
  cluster_->Kill(node, SIGKILL);
  SleepBetween(100, 2000);
  Restart(node);
  faults_->End(window);
}

void Nemesis::KillLeader() { Kill("kill leader", Leader()); }
void Nemesis::KillFollower() { Kill("kill follower", Follower()); }

void Nemesis::Stop(const char* kind, const std::vector<size_t>& nodes, Us time) {
  last_ = kind;
  const size_t window = faults_->Begin(kind);
  for (const size_t i : nodes) cluster_->Kill(i, SIGSTOP);
  Sleep(time);
  for (const size_t i : nodes) cluster_->Kill(i, SIGCONT);
  faults_->End(window);
}

void Nemesis::StopLeader() {
  Stop("stop leader", {Leader()}, Ms(1000 + static_cast<int64_t>(Pick(2000))));
}

// So long that nobody may wait for it to come back.
void Nemesis::LoseLeader() { Stop("lose leader", {Leader()}, Ms(12'000)); }

void Nemesis::StopFollower() {
  Stop("stop follower", {Follower()}, Ms(1000 + static_cast<int64_t>(Pick(2000))));
}

void Nemesis::StallCluster() {
  if (Pick(2) == 0) return Stop("stall cluster", {0, 1, 2}, Ms(700));
  // The leader runs on and answers reads without a majority, until it notices.
  const size_t leader = Leader();
  Stop("stop followers", {(leader + 1) % 3, (leader + 2) % 3}, Ms(1500));
}

void Nemesis::Transfer() {
  const std::string leader = cluster_->Address(Leader());
  last_ = "transfer";
  const size_t window = faults_->Begin("transfer");
  const live::Conn admin("dqlite://" + leader + "/?database=&timeout=3s");
  if (admin) (void)admin.Admin(DQC_ADMIN_TRANSFER, Follower() + 1);
  faults_->End(window);
}

void Nemesis::Link(const char* kind, size_t node, Proxy::Mode mode) {
  const size_t window = faults_->Begin(kind);
  (*proxies_)[node]->SetMode(mode);
  SleepBetween(200, 2500);
  if (mode == Proxy::Mode::kStall && Pick(2) == 0) (*proxies_)[node]->ResetAll();
  (*proxies_)[node]->SetMode(Proxy::Mode::kPass);
  faults_->End(window);
}

void Nemesis::CutLink() { Link("cut link", Leader(), Proxy::Mode::kCut); }
void Nemesis::StallLink() { Link("stall link", Leader(), Proxy::Mode::kStall); }

void Nemesis::DelayLinks() {
  const size_t window = faults_->Begin("delay links");
  for (auto& proxy : *proxies_) proxy->SetDelay(Ms(1 + static_cast<int64_t>(Pick(40))));
  SleepBetween(500, 3000);
  for (auto& proxy : *proxies_) proxy->SetDelay(0);
  faults_->End(window);
}

void Nemesis::ResetLinks() {
  const size_t window = faults_->Begin("reset links");
  for (auto& proxy : *proxies_) proxy->ResetAll();
  faults_->End(window);
}

void Nemesis::CutMidFrame() {
  const size_t window = faults_->Begin("cut in mid-frame");
  Proxy& proxy = *(*proxies_)[Leader()];
  const auto direction = Pick(2) == 0 ? Proxy::kToServer : Proxy::kToClient;
  proxy.SetFuse(direction, Pick(2000), Pick(2) == 0);
  for (int i = 0; i < 50 && !proxy.FuseBlown(); ++i) Sleep(Ms(10));
  proxy.ClearFuse();
  faults_->End(window);
}

void Nemesis::CutAllLinks() {
  const size_t window = faults_->Begin("cut all links");
  for (auto& proxy : *proxies_) proxy->SetMode(Proxy::Mode::kCut);
  SleepBetween(200, 1000);
  for (auto& proxy : *proxies_) proxy->SetMode(Proxy::Mode::kPass);
  faults_->End(window);
}

// Longer than the consequences of the fault before.
void Nemesis::Quiet() { Sleep(FaultLog::kGrace + Ms(4000)); }

bool Nemesis::Heal() {
  phase_->cancels = false;
  phase_->short_deadlines = false;
  for (auto& proxy : *proxies_) {
    proxy->ClearFuse();
    proxy->SetDelay(0);
    proxy->SetMode(Proxy::Mode::kPass);
  }
  try {
    for (size_t i = 0; i < cluster_->size(); ++i) cluster_->node(i).Signal(SIGCONT);
    CheckNodes();
    (void)cluster_->WaitForLeader(seconds(30));
    return true;
  } catch (const tool::Error& e) {
    violations_->Add("cluster", e.what());
    return false;
  }
}

}  // namespace dqc::faults
