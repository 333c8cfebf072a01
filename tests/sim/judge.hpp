/* SPDX-License-Identifier: MIT */
// Stands between a search and the world and checks each thing that is said, both ways.
#pragma once

#include <deque>
#include <map>
#include <string>

#include "cluster.hpp"

namespace dqc::sim {

// What a world does for a search that kept the rules.
class Net {
 public:
  virtual void Dial(uint64_t attempt, const std::string& address) = 0;
  virtual void Ask(uint64_t attempt) = 0;
  virtual void Drop(uint64_t attempt) = 0;
  virtual void Given(uint64_t request, const std::string& address) = 0;
  virtual void OnRound() = 0;

 protected:
  ~Net() = default;
};

class Judge final : public client::LeaderSearch::Host {
 public:
  Judge(Net* net, size_t parallel, Time bound) : net_(net), parallel_(parallel), bound_(bound) {}

  void Dial(uint64_t attempt, const std::string& address) override;
  void Ask(uint64_t attempt) override;
  void Drop(uint64_t attempt) override;
  void Give(uint64_t request, uint64_t attempt) override;
  void Refuse(uint64_t request, const Status& status) override;
  void OnRound() override;
  void OnLeader(const std::string& address) override;

  void Wanted(uint64_t request, Time deadline);
  void Cancelled(uint64_t request);
  void Answered(uint64_t attempt, const Answer& answer);  // before the search hears of it
  void SetTime(Time now) { now_ = now; }
  void SetStable(Time since) { stable_ = since; }
  // After each step.
  void Check(const client::LeaderSearch& search);

  bool IsOpen(uint64_t attempt) const { return open_.count(attempt) != 0; }
  const std::string& violation() const { return violation_; }
  uint64_t hash() const { return hash_; }
  uint64_t given = 0;
  uint64_t refused = 0;
  size_t dials_per_second_max = 0;
  Time converged_max = 0;  // longest wait of a request since the cluster was stable

 private:
  struct Open {
    std::string address;
    std::string named;
    enum class State { kDialling, kLeads, kObserver, kAsked, kDone } state = State::kDialling;
  };
  struct Waiting {
    Time since;
    Time deadline;
  };
  struct Recent {  // the last second of an address
    std::deque<Time> dials;
    std::deque<Time> reasons;
  };

  void Violated(const std::string& what);
  void Log(uint64_t what, uint64_t a, uint64_t b);
  bool Ended(uint64_t request, const char* how);
  void CheckRate(const std::string& address);
  void Prune(std::deque<Time>* times) const;

  Net* net_;
  size_t parallel_;
  Time bound_;
  Time now_ = 0;
  Time stable_ = kNever;
  std::map<uint64_t, Open> open_;
  std::map<uint64_t, Waiting> waiting_;
  std::map<std::string, Recent> recent_;
  std::deque<Time> dials_;
  std::deque<Time> wants_;
  std::deque<Time> ended_;
  std::deque<Time> searches_;
  uint64_t searches_seen_ = 0;
  size_t dialling_ = 0;
  Time spin_at_ = 0;
  size_t spins_ = 0;
  uint64_t hash_ = 14695981039346656037u;
  std::string violation_;
};

}  // namespace dqc::sim
