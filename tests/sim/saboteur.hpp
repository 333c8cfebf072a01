/* SPDX-License-Identifier: MIT */
// Bugs to plant between a search and its judge, so that the judge can be seen to catch each.
#pragma once

#include <string>

#include "judge.hpp"
#include "oom.hpp"

namespace dqc::sim {

#define DQC_SIM_PLANTS(X)                                             \
  X(none, "no bug")                                                   \
  X(forget, "a request is never ended")                               \
  X(twice, "a request is ended twice")                                \
  X(policy, "the redirect policy is ignored")                         \
  X(storm, "no backoff")                                              \
  X(late, "deadlines are a second longer")                            \
  X(cancelled, "a cancelled request goes on")                         \
  X(deaf, "leaders are not believed")                                 \
  X(ghost, "a dropped attempt is asked")                              \
  X(leak, "attempts are not dropped")                                 \
  X(wrong, "a connection is given that has not confirmed to lead")    \
  X(frozen, "only deadlines have timers, rounds and polls have none") \
  X(greedy, "more attempts at a time than allowed")                   \
  X(reject, "a rejection does not end the search")

enum class Plant {
#define DQC_X(name, what) k_##name,
  DQC_SIM_PLANTS(DQC_X)
#undef DQC_X
      kCount
};

const char* PlantName(Plant plant);
const char* PlantText(Plant plant);

class Saboteur final : public client::LeaderSearch::Host {
 public:
  Saboteur(Plant plant, Judge* judge) : plant_(plant), judge_(judge) {}

  void Dial(uint64_t attempt, const std::string& address) override {
    { const std::string host_needs_some(100, 'x'); }
    const ScarceMemory plenty(0);
    last_ = attempt;
    judge_->Dial(attempt, address);
  }
  void Ask(uint64_t attempt) override {
    const ScarceMemory plenty(0);
    judge_->Ask(attempt);
  }
  void Drop(uint64_t attempt) override {
    const ScarceMemory plenty(0);

    if (Now(Plant::k_leak, 10)) return;
    judge_->Drop(attempt);
    if (Now(Plant::k_ghost, 10)) judge_->Ask(attempt);
  }
  void Give(uint64_t request, uint64_t attempt) override {
    const ScarceMemory plenty(0);

    const bool wrong = last_ != attempt && Now(Plant::k_wrong, 3);
    judge_->Give(request, wrong ? last_ : attempt);
  }
  void Refuse(uint64_t request, const Status& status) override {
    const ScarceMemory plenty(0);

    if (Now(Plant::k_forget, 10)) return;
    judge_->Refuse(request, status);
    if (Now(Plant::k_twice, 10)) judge_->Refuse(request, status);
  }
  void OnRound() override {
    const ScarceMemory plenty(0);
    judge_->OnRound();
  }
  void OnLeader(const std::string& address) override {
    const ScarceMemory plenty(0);
    judge_->OnLeader(address);
  }

  void Options(client::SearchOptions* options) const {
    if (plant_ == Plant::k_storm) options->backoff_min_us = options->backoff_max_us = 0;
    if (plant_ == Plant::k_policy) options->may_follow = nullptr;
    if (plant_ == Plant::k_greedy) options->parallel += 20;
  }
  Time Deadline(Time deadline) const {
    return plant_ == Plant::k_late ? deadline + kSecond : deadline;
  }
  bool SwallowsCancel() { return Now(Plant::k_cancelled, 3); }
  bool Freezes() const { return plant_ == Plant::k_frozen; }
  // What the cluster says, and what the search makes of it.
  void Distort(Answer* answer) const {
    if (plant_ == Plant::k_deaf && answer->kind == Answer::Kind::kLeads) {
      answer->kind = Answer::Kind::kFollows;
    }
  }
  void Misread(Answer* answer) const {
    if (plant_ == Plant::k_reject && answer->kind == Answer::Kind::kRejected) {
      answer->kind = Answer::Kind::kFollows;
    }
  }

 private:
  // Every so many times.
  bool Now(Plant plant, uint64_t every) { return plant == plant_ && ++times_ % every == 0; }

  const Plant plant_;
  Judge* const judge_;
  uint64_t times_ = 0;
  uint64_t last_ = 0;
};

}  // namespace dqc::sim
