/* SPDX-License-Identifier: MIT */
// A search whose host writes down what it is told, and a test that answers.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "client/leader_search.hpp"

namespace dqc::client {

inline constexpr Time kMs = 1000;
inline constexpr Time kSecond = 1000 * kMs;

class FakeHost : public LeaderSearch::Host {
 public:
  void Dial(uint64_t attempt, const std::string& address) override {
    Log("dial " + address);
    address_[attempt] = address;
    open_.insert(attempt);
    ++dials[address];
    most_open = std::max(most_open, open_.size());
  }
  void Ask(uint64_t attempt) override {
    EXPECT_TRUE(open_.count(attempt)) << "asked after its end";
    Log("ask " + address_[attempt]);
    asked_.insert(attempt);
  }
  void Drop(uint64_t attempt) override {
    EXPECT_TRUE(open_.erase(attempt)) << "dropped twice";
    Log("drop " + address_[attempt]);
  }
  void Give(uint64_t request, uint64_t attempt) override {
    EXPECT_TRUE(open_.erase(attempt)) << "given after its end";
    Log("give " + std::to_string(request) + " " + address_[attempt]);
  }
  void Refuse(uint64_t request, const Status& status) override {
    Log("refuse " + std::to_string(request) + " " + CodeName(status.code()));
    refused = status;
  }
  void OnRound() override {
    ++rounds;
    if (on_round) on_round();
  }
  void OnLeader(const std::string& address) override { Log("leader " + address); }

  // What was done since the last look.
  std::vector<std::string> Take() { return std::exchange(log_, {}); }
  // The newest attempt at `address` that is under way, or an observer.
  uint64_t At(const std::string& address) const {
    for (auto at = open_.rbegin(); at != open_.rend(); ++at) {
      if (address_.at(*at) == address) return *at;
    }
    ADD_FAILURE() << "no attempt at " << address;
    return 0;
  }
  bool IsOpen(const std::string& address) const {
    return std::any_of(open_.begin(), open_.end(),
                       [&](uint64_t id) { return address_.at(id) == address; });
  }
  size_t open() const { return open_.size(); }
  void Closed(uint64_t attempt) { open_.erase(attempt); }

  std::map<std::string, int> dials;
  int rounds = 0;
  size_t most_open = 0;
  Status refused;
  std::function<void()> on_round;

 private:
  void Log(std::string line) { log_.push_back(std::move(line)); }

  std::vector<std::string> log_;
  std::map<uint64_t, std::string> address_;
  std::set<uint64_t> open_;
  std::set<uint64_t> asked_;
};

inline Nodes Addresses(std::initializer_list<const char*> addresses) {
  Nodes nodes;
  for (const char* address : addresses) nodes.push_back({0, address, Role::kVoter});
  return nodes;
}

class SearchRig : public ::testing::Test {
 protected:
  void Make(std::initializer_list<const char*> seeds) {
    search_.emplace(options_, &host_);
    search_->SetSeeds(Addresses(seeds));
  }

  // A search that knows its leader, as nothing waits any more.
  void MakeWithLeader(const char* leader, std::initializer_list<const char*> seeds) {
    options_.may_follow = [this](const std::string& a) { return forbidden_.count(a) == 0; };
    Make({leader});
    Want(1000);
    Leads(leader);
    search_->SetSeeds(Addresses(seeds));
    host_.Take();
    host_.dials.clear();
    host_.most_open = 0;
  }

  void Want(uint64_t request, Time within = 5 * kSecond) {
    search_->Want(request, now_ + within, now_);
  }
  void Answered(const std::string& address, Answer answer) {
    const uint64_t attempt = host_.At(address);
    if (answer.kind == Answer::Kind::kFailed) host_.Closed(attempt);
    search_->OnAnswer(attempt, answer, now_);
  }
  void Leads(const std::string& address) {
    Answer answer;
    answer.kind = Answer::Kind::kLeads;
    Answered(address, answer);
  }
  void Follows(const std::string& address, const std::string& leader = "") {
    Answer answer;
    answer.kind = Answer::Kind::kFollows;
    answer.leader_id = leader.empty() ? 0 : 7;
    answer.leader_address = leader;
    Answered(address, answer);
  }
  void Fails(const std::string& address, const char* why = "connection refused") {
    Answer answer;
    answer.status = Status::Make(Code::kConnect, "cannot connect to node " + address + ": " + why)
                        .With(Phase::kConnect);
    Answered(address, answer);
  }
  // Time passes, timers run.
  void Run(Time span) {
    const Time end = now_ + span;
    for (Time next; (next = search_->next_deadline()) <= end;) {
      now_ = std::max(now_, next);
      search_->OnDeadline(now_);
      ASSERT_GT(search_->next_deadline(), now_) << "a timer that does not advance";
    }
    now_ = end;
  }
  // The same, with every question answered at once.
  template <typename Reply>
  void Run(Time span, Reply reply) {
    for (Time at = now_ + kMs, end = now_ + span; at <= end; at += kMs) {
      Run(at - now_);
      for (const std::string& line : host_.Take()) {
        const bool gone = Begins(line, "ask ") && !host_.IsOpen(line.substr(4));
        if (!gone) reply(line);
      }
    }
  }
  static bool Begins(const std::string& line, const char* with) { return line.rfind(with, 0) == 0; }

  SearchOptions options_;
  std::set<std::string> forbidden_;
  FakeHost host_;
  std::optional<LeaderSearch> search_;
  Time now_ = 1'000'000;
};

}  // namespace dqc::client
