/* SPDX-License-Identifier: MIT */
#include "client/leader_search.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace dqc::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

constexpr Time kMs = 1000;
constexpr Time kSecond = 1000 * kMs;

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

Nodes Addresses(std::initializer_list<const char*> addresses) {
  Nodes nodes;
  for (const char* address : addresses) nodes.push_back({0, address, Role::kVoter});
  return nodes;
}

class ClientLeaderSearch : public ::testing::Test {
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

// ------------------------------------------------------------------------------ steady state

TEST_F(ClientLeaderSearch, SteadyStateCostsOneConnectionPerLookUp) {
  MakeWithLeader("a", {"a", "b", "c"});
  const LeaderSearch::Counters before = search_->counters();
  for (uint64_t request = 1; request <= 100; ++request) {
    Want(request);
    Run(kMs);
    Leads("a");
    EXPECT_TRUE(search_->idle());
    EXPECT_EQ(search_->next_deadline(), kNever);
  }
  const LeaderSearch::Counters after = search_->counters();
  EXPECT_EQ(after.attempts - before.attempts, 100u);
  EXPECT_EQ(after.requests - before.requests, 100u);
  EXPECT_EQ(after.searches, before.searches);
  EXPECT_EQ(after.asks, 0u);
  EXPECT_EQ(host_.dials.size(), 1u);
}

TEST_F(ClientLeaderSearch, ConcurrentRequestsAtAKnownLeaderAreDialledEach) {
  MakeWithLeader("a", {"a", "b"});
  Want(1);
  Want(2);
  EXPECT_THAT(host_.Take(), ElementsAre("dial a", "dial a"));
  Leads("a");  // the newest
  Leads("a");
  EXPECT_THAT(host_.Take(), ElementsAre("give 2 a", "give 1 a"));
  EXPECT_EQ(search_->counters().searches, 1u);
}

TEST_F(ClientLeaderSearch, FirstSearchFollowsTheAnswer) {
  Make({"b"});
  Want(1);
  Follows("b", "a");
  EXPECT_THAT(host_.Take(), ElementsAre("dial b", "dial a"));
  Leads("a");
  EXPECT_THAT(host_.Take(), ElementsAre("give 1 a", "leader a", "drop b"));
  EXPECT_EQ(search_->leader(), "a");
  EXPECT_EQ(search_->counters().redirects, 1u);
  EXPECT_TRUE(search_->idle());
}

TEST_F(ClientLeaderSearch, TheSameLeaderAgainIsNoNews) {
  MakeWithLeader("a", {"a"});
  search_->OnLeaderLost("a", now_);
  Want(1);
  Leads("a");
  EXPECT_THAT(host_.Take(), ElementsAre("dial a", "give 1 a"));
}

// ------------------------------------------------------------------------------ sharing

TEST_F(ClientLeaderSearch, ConcurrentCallersShareOneSearch) {
  Make({"a", "b", "c"});
  for (uint64_t request = 1; request <= 20; ++request) Want(request);
  EXPECT_THAT(host_.Take(), SizeIs(1));
  EXPECT_EQ(search_->counters().searches, 1u);
}

TEST_F(ClientLeaderSearch, TheOldestGetsTheConnectionTheOthersOneDialEach) {
  Make({"a"});
  for (uint64_t request = 1; request <= 3; ++request) Want(request);
  Leads("a");
  EXPECT_THAT(host_.Take(), ElementsAre("dial a", "give 1 a", "leader a", "dial a", "dial a"));
  Leads("a");
  Leads("a");
  EXPECT_TRUE(search_->idle());
  EXPECT_EQ(search_->counters().attempts, 3u);
}

TEST_F(ClientLeaderSearch, LostLeaderIsSearchedOnceNotDialledByEachRequest) {
  MakeWithLeader("a", {"a", "b"});
  search_->OnLeaderLost("b", now_);  // not it
  search_->OnLeaderLost("a", now_);
  for (uint64_t request = 1; request <= 10; ++request) Want(request);
  EXPECT_THAT(host_.Take(), ElementsAre("dial a"));
  Fails("a");
  EXPECT_THAT(host_.Take(), ElementsAre("dial b"));
}

TEST_F(ClientLeaderSearch, AttemptsAtTheNewLeaderServeThoseWhoWait) {
  MakeWithLeader("a", {"a", "b"});
  Want(1);
  Want(2);
  Want(3);
  host_.Take();
  Run(options_.hedge_us);  // all three are late and wait for the search too
  EXPECT_THAT(host_.Take(), ElementsAre("dial b"));
  Leads("a");
  EXPECT_THAT(host_.Take(), ElementsAre("give 1 a", "drop b"));
  EXPECT_EQ(host_.open(), 2u);
  Leads("a");
  Leads("a");
  EXPECT_THAT(host_.Take(), UnorderedElementsAre("give 2 a", "give 3 a"));
}

TEST_F(ClientLeaderSearch, KnownLeaderFollowsNow) {
  MakeWithLeader("a", {"a", "b", "c"});
  Want(1);
  Want(2);
  host_.Take();
  const uint64_t second = host_.At("a");
  Follows("a", "b");
  EXPECT_THAT(host_.Take(), ElementsAre("dial b"));
  Answer follows;
  follows.kind = Answer::Kind::kFollows;
  follows.leader_address = "b";
  search_->OnAnswer(second - 1, follows, now_);  // the first request's
  EXPECT_THAT(host_.Take(), ElementsAre("drop a"));
  Leads("b");
  EXPECT_THAT(host_.Take(), ElementsAre("give 1 b", "leader b", "drop a", "dial b"));
}

// ------------------------------------------------------------------------------ order

TEST_F(ClientLeaderSearch, VotersThenStandbysThenSparesShuffled) {
  std::set<std::string> firsts;
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    options_.seed = seed;
    FakeHost host;
    LeaderSearch search(options_, &host);
    search.SetMembers({{1, "s", Role::kSpare},
                       {2, "v1", Role::kVoter},
                       {3, "b", Role::kStandby},
                       {4, "v2", Role::kVoter}});
    search.SetSeeds(Addresses({"v3", "s"}));  // a seed that is a member has the member's role
    search.Want(1, kNever, 1);
    std::vector<std::string> order;
    for (int i = 0; i < 5; ++i) {
      order.push_back(host.Take().back().substr(5));
      Answer failed;
      failed.status = Status::Make(Code::kConnect, "refused");
      search.OnAnswer(host.At(order.back()), failed, 2);
    }
    firsts.insert(order[0]);
    EXPECT_THAT(std::vector(order.begin(), order.begin() + 3),
                UnorderedElementsAre("v1", "v2", "v3"));
    EXPECT_EQ(order[3], "b");
    EXPECT_EQ(order[4], "s");
  }
  EXPECT_THAT(firsts, UnorderedElementsAre("v1", "v2", "v3"));
}

TEST_F(ClientLeaderSearch, LastKnownLeaderIsFirstWhateverItsRole) {
  MakeWithLeader("a", {"b", "c"});
  search_->SetMembers({{1, "a", Role::kSpare}, {2, "b", Role::kVoter}});
  search_->OnLeaderLost("a", now_);
  Want(1);
  EXPECT_THAT(host_.Take(), ElementsAre("dial a"));
}

// ------------------------------------------------------------------------------ hedge

TEST_F(ClientLeaderSearch, DeadFirstSeedCostsNothing) {
  Make({"a", "b"});
  Want(1);
  const std::string first = host_.Take()[0].substr(5);
  Fails(first);
  const std::string second = first == "a" ? "b" : "a";
  EXPECT_THAT(host_.Take(), ElementsAre("dial " + second));
}

TEST_F(ClientLeaderSearch, BlackHoledFirstSeedCostsTheHedge) {
  Make({"a", "b", "c"});
  const Time start = now_;
  Want(1);
  const std::string first = host_.Take()[0].substr(5);
  Run(options_.hedge_us - 1);
  EXPECT_THAT(host_.Take(), IsEmpty());
  Run(1);
  EXPECT_EQ(now_ - start, 200 * kMs);
  EXPECT_THAT(host_.Take(), SizeIs(2));
  const std::string second = first == "a" ? "b" : "a";
  Leads(second);
  EXPECT_EQ(search_->leader(), second);
  EXPECT_TRUE(search_->idle());
}

TEST_F(ClientLeaderSearch, BlackHoledLeaderCostsTheHedgeAndMayStillAnswer) {
  MakeWithLeader("a", {"a", "b", "c"});
  Want(1);
  host_.Take();
  Run(200 * kMs);
  EXPECT_THAT(host_.Take(), UnorderedElementsAre("dial b", "dial c"));
  Leads("a");
  EXPECT_THAT(host_.Take(), UnorderedElementsAre("give 1 a", "drop b", "drop c"));
}

TEST_F(ClientLeaderSearch, WidensUpToTheBound) {
  options_.parallel = 3;
  Make({"a", "b", "c", "d", "e"});
  Want(1);
  Run(3 * kSecond);
  EXPECT_THAT(host_.Take(), SizeIs(3));
  EXPECT_EQ(host_.most_open, 3u);
}

TEST_F(ClientLeaderSearch, HintFindsRoomAmongBlackHoles) {
  options_.parallel = 2;
  Make({"a", "b", "c"});
  search_->SetMembers({{3, "d", Role::kVoter}});
  Want(1);
  Run(kSecond);
  ASSERT_EQ(host_.open(), 2u);
  const std::string answers = host_.Take().back().substr(5);
  Follows(answers, "l");
  EXPECT_THAT(host_.Take(), ::testing::Contains("dial l"));
  EXPECT_LE(host_.most_open, 3u);  // with the observer
}

// ------------------------------------------------------------------------------ observers

TEST_F(ClientLeaderSearch, ElectionOpensNoConnections) {
  Make({"a", "b", "c"});
  Want(1);
  for (int i = 0; i < 3; ++i) Follows(host_.Take().back().substr(5));
  host_.Take();
  int asks = 0;
  const auto reply = [&](const std::string& line) {
    ASSERT_TRUE(Begins(line, "ask")) << line;
    ++asks;
    Follows(line.substr(4));
  };
  Run(3 * kSecond, reply);
  EXPECT_EQ(search_->counters().attempts, 3u);
  EXPECT_GE(asks, 3 * 3000 / 63 - 3);  // every 50 ms, jittered by a quarter
  EXPECT_LE(asks, 3 * 3000 / 38);
  EXPECT_GE(host_.rounds, 40);
  // The first that knows decides.
  Run(100 * kMs, [&](const std::string& line) {
    if (Begins(line, "ask")) Follows(line.substr(4), "c");
  });
  EXPECT_EQ(search_->counters().attempts, 3u) << "c is an observer and speaks for itself";
}

TEST_F(ClientLeaderSearch, ObserverThatClaimsToLeadIsDialledAnew) {
  Make({"a"});
  Want(1);
  Follows("a");
  host_.Take();
  Run(100 * kMs);
  EXPECT_THAT(host_.Take(), ElementsAre("ask a"));
  Leads("a");
  EXPECT_THAT(host_.Take(), ElementsAre("drop a", "dial a"));
  Leads("a");
  EXPECT_THAT(host_.Take(), ElementsAre("give 1 a", "leader a"));
}

TEST_F(ClientLeaderSearch, FalseClaimsAreBelievedLessAndLess) {
  Make({"a"});
  Want(1, 10 * kSecond);
  Follows("a");
  host_.Take();
  Run(9 * kSecond, [&](const std::string& line) {
    if (Begins(line, "ask")) Leads("a");
    if (Begins(line, "dial")) Follows("a");
  });
  EXPECT_GE(host_.dials["a"], 8);
  EXPECT_LE(host_.dials["a"], 16);
}

TEST_F(ClientLeaderSearch, HintAtAnObserverAsksItAtOnce) {
  Make({"a", "b"});
  search_->SetMembers({{1, "a", Role::kVoter}, {2, "b", Role::kSpare}});
  Want(1);
  Follows("a");
  Follows("b", "a");
  const std::vector<std::string> log = host_.Take();
  EXPECT_EQ(log.back(), "ask a");
  EXPECT_EQ(host_.open(), 2u);
}

TEST_F(ClientLeaderSearch, SilentObserverIsReplaced) {
  Make({"a"});
  Want(1);
  Follows("a");
  Run(2500 * kMs);
  std::vector<std::string> log = host_.Take();
  EXPECT_THAT(log, ElementsAre("dial a", "ask a", "drop a", "dial a"));
  EXPECT_EQ(search_->Explain()[0].cause, "no answer");
}

TEST_F(ClientLeaderSearch, LostObserverIsDialledAgainAfterItsBackoff) {
  Make({"a"});
  Want(1);
  Follows("a");
  host_.Take();
  Fails("a", "reset");
  EXPECT_THAT(host_.Take(), IsEmpty());
  Run(250 * kMs);
  EXPECT_THAT(host_.Take(), ElementsAre("dial a"));
}

TEST_F(ClientLeaderSearch, NotMoreObserversThanParallel) {
  options_.parallel = 2;
  Make({"a", "b", "c", "d"});
  Want(1);
  for (int i = 0; i < 4; ++i) {
    for (const std::string& line : host_.Take()) {
      if (Begins(line, "dial")) Follows(line.substr(5));
    }
  }
  EXPECT_EQ(host_.open(), 2u);
}

// ------------------------------------------------------------------------------ backoff and hints

TEST_F(ClientLeaderSearch, RefusedNodesAreRedialledWithBackoff) {
  Make({"a"});
  Want(1, 20 * kSecond);
  std::vector<Time> times;
  Fails("a");
  host_.Take();
  Run(19 * kSecond, [&](const std::string& line) {
    if (!Begins(line, "dial")) return;
    times.push_back(now_);
    Fails("a");
  });
  ASSERT_GE(times.size(), 14u);  // 0.1 + 0.2 + 0.4 + 0.8 s, then every second or so
  EXPECT_LE(times.size(), 30u);
  for (size_t i = 5; i < times.size(); ++i) EXPECT_GE(times[i] - times[i - 1], 750 * kMs);
}

TEST_F(ClientLeaderSearch, StaleHintToADeadLeaderIsNotDialledAgain) {
  MakeWithLeader("a", {"a", "b", "c"});
  Want(1);
  Fails("a");
  std::string second = host_.Take().back().substr(5);
  Follows(second, "a");
  EXPECT_EQ(host_.dials["a"], 1);
  const std::string third = second == "b" ? "c" : "b";
  EXPECT_THAT(host_.Take(), ElementsAre("dial " + third));  // at once
  Follows(third, "a");
  EXPECT_EQ(host_.dials["a"], 1);
}

TEST_F(ClientLeaderSearch, ChangedHintResetsTheBackoff) {
  Make({"a", "b"});
  search_->SetMembers({{1, "a", Role::kVoter}, {2, "b", Role::kSpare}});
  Want(1, 60 * kSecond);
  Fails("a");
  Follows("b");
  host_.Take();
  Run(5 * kSecond, [&](const std::string& line) {  // until a's backoff is at its longest
    if (Begins(line, "ask")) Follows("b");
    if (Begins(line, "dial")) Fails("a");
  });
  while (host_.dials["a"] < 10) {
    Run(kMs, [&](const std::string& line) {
      if (Begins(line, "ask")) Follows("b");
      if (Begins(line, "dial")) Fails("a");
    });
  }
  const int before = host_.dials["a"];
  Time dialled = 0;
  const Time start = now_;
  Run(200 * kMs, [&](const std::string& line) {
    if (Begins(line, "ask")) Follows("b", "a");
    if (Begins(line, "dial") && dialled == 0) dialled = now_;
  });
  EXPECT_EQ(host_.dials["a"], before + 1);
  EXPECT_LE(dialled - start, 65 * kMs);
}

TEST_F(ClientLeaderSearch, HintsThatFlapDoNotMakeAStorm) {
  Make({"b"});
  Want(1, 60 * kSecond);
  Follows("b", "x");
  bool x = true;
  Run(kSecond, [&](const std::string& line) {
    if (Begins(line, "ask")) Follows("b", (x = !x) ? "x" : "y");
    if (Begins(line, "dial x")) Fails("x");
    if (Begins(line, "dial y")) Fails("y");
  });
  EXPECT_LE(host_.dials["x"] + host_.dials["y"], 30);
}

TEST_F(ClientLeaderSearch, EndlessChainOfNewAddressesEnds) {
  Make({"n0"});
  Want(1);
  for (int i = 0; i < 200; ++i) {
    const std::vector<std::string> log = host_.Take();
    const auto dial = std::find_if(log.begin(), log.end(),
                                   [](const std::string& l) { return Begins(l, "dial"); });
    if (dial == log.end()) break;
    Follows(dial->substr(5), "n" + std::to_string(i + 1));
  }
  EXPECT_LE(search_->counters().attempts, 40u);
}

TEST_F(ClientLeaderSearch, OwnAddressInAnotherSpellingIsDialled) {
  Make({"localhost:9001"});
  Want(1);
  Follows("localhost:9001", "127.0.0.1:9001");
  Leads("127.0.0.1:9001");
  EXPECT_EQ(search_->leader(), "127.0.0.1:9001");
}

TEST_F(ClientLeaderSearch, SelfHintIsNone) {
  Make({"a", "b"});
  search_->SetMembers({{1, "a", Role::kVoter}, {2, "b", Role::kSpare}});
  Want(1);
  host_.Take();
  Follows("a", "a");
  EXPECT_THAT(host_.Take(), ElementsAre("dial b"));
}

TEST_F(ClientLeaderSearch, AddressesAreMapped) {
  options_.reachable = [](const std::string& a) { return "out-" + a; };
  Make({"a"});
  search_->SetMembers({{1, "a", Role::kVoter}});
  Want(1);
  Follows("out-a", "b");
  EXPECT_THAT(host_.Take(), ElementsAre("dial out-a", "dial out-b"));
  Leads("out-b");
  EXPECT_EQ(search_->leader(), "out-b");
}

// ------------------------------------------------------------------------------ policy

TEST_F(ClientLeaderSearch, RefusedRedirectIsCountedAndExplained) {
  forbidden_ = {"169.254.1.1:9001", "seed"};
  options_.may_follow = [this](const std::string& a) { return forbidden_.count(a) == 0; };
  Make({"seed"});
  Want(1, kSecond);
  EXPECT_THAT(host_.Take(), ElementsAre("dial seed"));  // a seed is always allowed
  Follows("seed", "169.254.1.1:9001");
  Run(2 * kSecond, [&](const std::string& line) {
    if (Begins(line, "ask")) Follows("seed", "169.254.1.1:9001");
  });
  EXPECT_EQ(host_.dials.count("169.254.1.1:9001"), 0u);
  EXPECT_EQ(search_->counters().rejected, 1u);
  ASSERT_FALSE(host_.refused.ok());
  EXPECT_EQ(host_.refused.code(), Code::kNotLeader);
  const std::vector<Attempt>& rows = host_.refused.info()->attempts;
  ASSERT_THAT(rows, SizeIs(2));
  EXPECT_EQ(rows[1].address, "169.254.1.1:9001");
  EXPECT_EQ(rows[1].phase, Phase::kLeader);
  EXPECT_EQ(rows[1].code, Code::kConfig);
  EXPECT_THAT(rows[1].cause, HasSubstr("'redirect'"));
}

TEST_F(ClientLeaderSearch, MembersPassThePolicySeedsDoNot) {
  forbidden_ = {"bad"};
  options_.may_follow = [this](const std::string& a) { return forbidden_.count(a) == 0; };
  Make({"a"});
  search_->SetMembers({{1, "bad", Role::kVoter}, {2, "a", Role::kVoter}});
  Want(1, kSecond);
  Run(2 * kSecond, [&](const std::string& line) {
    if (Begins(line, "dial")) Fails(line.substr(5));
  });
  EXPECT_EQ(host_.dials.count("bad"), 0u);
  EXPECT_EQ(search_->counters().rejected, 1u);
  EXPECT_THAT(std::string(host_.refused.message()), HasSubstr("bad leader: not dialled"));
}

// ------------------------------------------------------------------------------ endings

TEST_F(ClientLeaderSearch, EachRequestHasItsOwnDeadline) {
  Make({"a"});
  Want(1, 300 * kMs);
  Want(2, 100 * kMs);
  Want(3, kSecond);
  Run(100 * kMs);
  EXPECT_THAT(host_.Take(), ElementsAre("dial a", "refuse 2 timeout"));
  Run(200 * kMs);
  EXPECT_THAT(host_.Take(), ElementsAre("refuse 1 timeout"));
  Leads("a");
  EXPECT_THAT(host_.Take(), ElementsAre("give 3 a", "leader a"));
}

TEST_F(ClientLeaderSearch, DeadlineInThePastIsRefusedAtOnce) {
  Make({"a"});
  search_->Want(1, now_, now_);
  EXPECT_THAT(host_.Take(), SizeIs(1));
  EXPECT_TRUE(search_->idle());
}

TEST_F(ClientLeaderSearch, LateAnswerIsNotGiven) {
  Make({"a"});
  Want(1, kSecond);
  now_ += 2 * kSecond;
  Leads("a");
  EXPECT_THAT(host_.Take(), ElementsAre("dial a", "refuse 1 timeout", "drop a"));
}

TEST_F(ClientLeaderSearch, LastRequestTakesEverythingAlong) {
  Make({"a", "b", "c"});
  Want(1);
  Want(2);
  Follows(host_.Take()[0].substr(5));
  Run(300 * kMs);
  EXPECT_GE(host_.open(), 3u);
  search_->Cancel(1);
  EXPECT_GE(host_.open(), 3u);
  search_->Cancel(2);
  search_->Cancel(2);  // nothing more
  EXPECT_EQ(host_.open(), 0u);
  EXPECT_TRUE(search_->idle());
  EXPECT_EQ(search_->next_deadline(), kNever);
}

TEST_F(ClientLeaderSearch, CancelledRequestIsNeverGiven) {
  MakeWithLeader("a", {"a"});
  Want(1);
  Want(2);
  const uint64_t second = host_.At("a");
  search_->Cancel(2);
  EXPECT_THAT(host_.Take(), ElementsAre("dial a", "dial a", "drop a"));
  Answer leads;
  leads.kind = Answer::Kind::kLeads;
  search_->OnAnswer(second, leads, now_);  // too late
  EXPECT_THAT(host_.Take(), IsEmpty());
  Leads("a");
  EXPECT_THAT(host_.Take(), ElementsAre("give 1 a"));
}

TEST_F(ClientLeaderSearch, SearchEndsWhenOnlyDirectRequestsAreLeft) {
  MakeWithLeader("a", {"a", "b"});
  Want(1);
  Want(2);
  Fails("a");  // the second's: it searches, the first's is under way
  EXPECT_THAT(host_.Take(), ElementsAre("dial a", "dial a", "dial b"));
  search_->Cancel(2);
  EXPECT_THAT(host_.Take(), ElementsAre("drop b"));
  Leads("a");
  EXPECT_THAT(host_.Take(), ElementsAre("give 1 a"));
}

TEST_F(ClientLeaderSearch, RejectedRefusesAll) {
  Make({"a", "b"});
  Want(1);
  Want(2);
  const std::string first = host_.Take()[0].substr(5);
  Answer answer;
  answer.kind = Answer::Kind::kRejected;
  answer.status = Status::Make(Code::kServer, "no such database").With(Phase::kOpen);
  Answered(first, answer);
  EXPECT_THAT(host_.Take(),
              ElementsAre("drop " + first, "refuse 1 server error", "refuse 2 server error"));
  EXPECT_THAT(std::string(host_.refused.message()), HasSubstr("no such database"));
  ASSERT_THAT(host_.refused.info()->attempts, SizeIs(1));
  EXPECT_EQ(host_.refused.info()->attempts[0].phase, Phase::kOpen);
  EXPECT_TRUE(search_->idle());
}

// ------------------------------------------------------------------------------ explanations

TEST_F(ClientLeaderSearch, TableNamesEachNodeOnce) {
  Make({"10.0.0.1:9001", "10.0.0.2:9001", "10.0.0.3:9001"});
  Want(1, kSecond);
  std::set<std::string> seen;
  Run(2 * kSecond, [&](const std::string& line) {
    if (line == "dial 10.0.0.1:9001") Fails("10.0.0.1:9001");
    if (line == "dial 10.0.0.2:9001" || line == "ask 10.0.0.2:9001") {
      Follows("10.0.0.2:9001", "10.0.0.1:9001");
    }
  });
  EXPECT_EQ(host_.refused.code(), Code::kTimeout);
  EXPECT_EQ(host_.refused.info()->outcome, Outcome::kNotExecuted);
  EXPECT_EQ(host_.refused.info()->phase, Phase::kLeader);
  std::map<std::string, Attempt> rows;
  for (const Attempt& row : host_.refused.info()->attempts) {
    EXPECT_TRUE(rows.emplace(row.address, row).second) << row.address << " twice";
  }
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows["10.0.0.1:9001"].cause, "connection refused");
  EXPECT_EQ(rows["10.0.0.1:9001"].code, Code::kConnect);
  EXPECT_EQ(rows["10.0.0.2:9001"].leader, "10.0.0.1:9001");
  EXPECT_EQ(rows["10.0.0.2:9001"].code, Code::kNotLeader);
  EXPECT_EQ(rows["10.0.0.3:9001"].cause, "no answer");
  EXPECT_GT(rows["10.0.0.3:9001"].elapsed_us, 500'000);
  const std::string message(host_.refused.message());
  EXPECT_EQ(message.rfind("no leader found within 1.0 s: 3 nodes tried: ", 0), 0u) << message;
  EXPECT_THAT(message, HasSubstr("10.0.0.1:9001 connect: connection refused (<1 ms)"));
  EXPECT_THAT(message, HasSubstr("10.0.0.2:9001 leader: follows 10.0.0.1:9001"));
}

TEST_F(ClientLeaderSearch, AllRefusedIsAConnectError) {
  Make({"a", "b"});
  Want(1, kSecond);
  Run(2 * kSecond, [&](const std::string& line) {
    if (Begins(line, "dial")) Fails(line.substr(5));
  });
  EXPECT_EQ(host_.refused.code(), Code::kConnect);
}

TEST_F(ClientLeaderSearch, AllFollowersIsNotLeader) {
  Make({"a", "b"});
  Want(1, kSecond);
  Run(2 * kSecond, [&](const std::string& line) {
    if (Begins(line, "dial")) Follows(line.substr(5));
    if (Begins(line, "ask")) Follows(line.substr(4));
  });
  EXPECT_EQ(host_.refused.code(), Code::kNotLeader);
  EXPECT_THAT(std::string(host_.refused.message()), HasSubstr("knows of no leader"));
}

TEST_F(ClientLeaderSearch, NoNodeAtAll) {
  Make({});
  Want(1, kSecond);
  EXPECT_NE(search_->next_deadline(), kNever);
  Run(kSecond);
  EXPECT_EQ(host_.refused.code(), Code::kConfig);
  EXPECT_THAT(std::string(host_.refused.message()), HasSubstr("no node is known"));
  EXPECT_GE(host_.rounds, 15);
}

TEST_F(ClientLeaderSearch, LongTablesAreCutInTheMessageOnly) {
  search_.emplace(options_, &host_);
  Nodes nodes;
  for (int i = 0; i < 60; ++i) {
    nodes.push_back({0, "a-rather-long-name-of-a-node-" + std::to_string(i) + ":9001", {}});
  }
  search_->SetSeeds(nodes);
  Want(1, kSecond);
  Run(2 * kSecond, [&](const std::string& line) {
    if (Begins(line, "dial")) Fails(line.substr(5));
  });
  EXPECT_EQ(host_.refused.info()->attempts.size(), 60u);
  EXPECT_LE(host_.refused.message().size(), 1100u);
  EXPECT_THAT(std::string(host_.refused.message()), ::testing::EndsWith(" more"));
}

// ------------------------------------------------------------------------------ rounds, lists

TEST_F(ClientLeaderSearch, NodesAreReadAgainEachRound) {
  Make({"a"});
  host_.on_round = [&] { search_->SetMembers({{2, "b", Role::kVoter}}); };
  Want(1);
  Fails("a");
  host_.Take();
  Run(70 * kMs);
  EXPECT_THAT(host_.Take(), ElementsAre("dial b"));
  Leads("b");
  EXPECT_TRUE(search_->idle());
}

TEST_F(ClientLeaderSearch, NodeListMayChangeAtAnyTime) {
  MakeWithLeader("a", {"a", "b"});
  search_->OnLeaderLost("a", now_);
  Want(1);
  search_->SetMembers({});
  search_->SetSeeds({});
  Fails("a");
  search_->SetMembers({{9, "z", Role::kVoter}});
  Run(100 * kMs);
  EXPECT_THAT(host_.Take(), ElementsAre("dial a", "dial z"));
}

TEST_F(ClientLeaderSearch, NoAddressTwice) {
  Make({"a", "a"});
  search_->SetMembers({{1, "a", Role::kVoter}, {2, "a", Role::kSpare}});
  Want(1);
  Run(kSecond);
  EXPECT_EQ(host_.dials["a"], 1);
}

TEST_F(ClientLeaderSearch, UnknownAttemptsAreIgnored) {
  Make({"a"});
  search_->OnAnswer(99, Answer(), now_);
  Want(1);
  search_->OnAnswer(99, Answer(), now_);
  EXPECT_THAT(host_.Take(), ElementsAre("dial a"));
}

TEST_F(ClientLeaderSearch, SameSeedSameActions) {
  std::vector<std::string> logs[2];
  for (auto& log : logs) {
    FakeHost host;
    LeaderSearch search(options_, &host);
    search.SetSeeds(Addresses({"a", "b", "c", "d", "e"}));
    search.Want(1, kNever, 0);
    for (Time now = 0; now < 5 * kSecond; now += kMs) {
      if (search.next_deadline() <= now) search.OnDeadline(now);
    }
    log = host.Take();
  }
  EXPECT_EQ(logs[0], logs[1]);
}

}  // namespace
}  // namespace dqc::client
