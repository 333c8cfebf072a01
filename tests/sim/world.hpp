/* SPDX-License-Identifier: MIT */
// One client and one cluster, played from a seed: chaos for a while, then calm, in which whoever
// waits has to find the leader; and again.
#pragma once

#include <map>
#include <queue>
#include <string>
#include <vector>

#include "cluster.hpp"
#include "judge.hpp"
#include "rng.hpp"
#include "saboteur.hpp"

namespace dqc::sim {

class World final : public Net {
 public:
  // `scarce`: one in so many of the search's allocations fails; 0: none.
  World(uint64_t seed, Plant plant, uint64_t scarce);

  void Run(uint64_t steps);  // ends early at a violation
  const Judge& judge() const { return judge_; }
  const client::LeaderSearch& search() const { return search_; }
  bool widest() const { return parallel_ == 10; }
  uint64_t steps() const { return steps_; }
  Time now() const { return now_; }

  void Dial(uint64_t attempt, const std::string& address) override;
  void Ask(uint64_t attempt) override;
  void Drop(uint64_t attempt) override;
  void Given(uint64_t request, const std::string& address) override;
  void OnRound() override;

 private:
  enum class Kind { kAnswer, kWant, kCancel, kChaos, kPhase, kElect, kLearn, kStable, kLost };
  struct Event {
    Time at;
    uint64_t order;  // events of one moment come in any order
    Kind kind;
    uint64_t subject;
    uint64_t detail;
    bool operator>(const Event& other) const {
      return at != other.at ? at > other.at : order > other.order;
    }
  };
  struct Link {
    std::string address;  // as the cluster knows it
    Time since = 0;
    uint64_t epoch = 0;
    uint64_t question = 0;  // 0: the dial
    bool connected = false;
  };

  void At(Time time, Kind kind, uint64_t subject = 0, uint64_t detail = 0);
  void Step();
  void Handle(const Event& event);
  void Deliver(uint64_t attempt, uint64_t question);
  void Tell(uint64_t attempt, Answer answer);
  void Fail(uint64_t attempt, Code code, const char* why);
  void WantOne();
  void Chaos();
  void Phase();
  void CrashNode(int node);
  client::Nodes RandomNodes();
  client::Nodes GoodNodes();

  // Calls the search, whose memory may run out.
  template <typename Call>
  void Search(Call call);

  client::SearchOptions Options(uint64_t seed);

  Rng rng_;
  Plant plant_;
  const uint64_t scarce_;
  bool mapped_;
  uint32_t parallel_;
  Cluster cluster_;
  Judge judge_;
  Saboteur saboteur_;
  client::LeaderSearch search_;
  std::priority_queue<Event, std::vector<Event>, std::greater<Event>> events_;
  std::map<uint64_t, Link> links_;
  std::map<uint64_t, Time> deadlines_;  // of requests, for the planted bug without timers
  Time now_ = 1;
  Time lateness_ = 0;
  Time calm_for_;
  bool calm_ = false;
  uint64_t phase_ = 0;
  uint64_t requests_ = 0;
  uint64_t steps_ = 0;
};

}  // namespace dqc::sim
