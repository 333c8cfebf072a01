/* SPDX-License-Identifier: MIT */
// How a leader is found: steady state, shared searches, order, hedge, observers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "unit/client_search_rig.hpp"

namespace dqc::client {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

using ClientLeaderSearch = SearchRig;

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

TEST_F(ClientLeaderSearch, DistantLeaderCostsOneConnectionOnceItIsKnownToBeDistant) {
  MakeWithLeader("a", {"a", "b", "c"});
  for (uint64_t request = 1; request <= 20; ++request) {
    const uint64_t before = search_->counters().attempts;
    Want(request);
    Run(300 * kMs);
    Leads("a");
    if (request > 5) {
      EXPECT_EQ(search_->counters().attempts, before + 1);
    }
  }
  // A black hole is found out nevertheless, and the search itself does not wait longer.
  Want(21);
  Run(700 * kMs);
  EXPECT_GT(host_.dials["b"], 4);
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
  // Every 50 ms, jittered by a quarter; every 94 ms in the end.
  EXPECT_GE(asks, 3 * (1600 / 63 + 1400 / 118 - 2));
  EXPECT_LE(asks, 3 * 3000 / 38);
  EXPECT_GE(host_.rounds, 40);
  // The first that knows decides.
  Run(100 * kMs, [&](const std::string& line) {
    if (Begins(line, "ask")) Follows(line.substr(4), "c");
  });
  EXPECT_EQ(search_->counters().attempts, 3u) << "c is an observer and speaks for itself";
}

TEST_F(ClientLeaderSearch, ALongSearchAsksLessAndLess) {
  Make({"a"});
  Want(1, 100 * kSecond);
  Follows("a");
  host_.Take();
  int asks = 0;
  const auto reply = [&](const std::string& line) {
    ++asks;
    Follows(line.substr(4));
  };
  const auto asks_within = [&](Time span) {
    asks = 0;
    Run(span, reply);
    return asks;
  };
  EXPECT_GE(asks_within(kSecond / 2), 7);  // every 50 ms, a quarter more or less
  asks_within(39 * kSecond / 2);
  const int late = asks_within(10 * kSecond);
  EXPECT_GE(late, 20);  // every 400 ms
  EXPECT_LE(late, 34);
  // The next search is a new one.
  search_->Cancel(1);
  host_.Take();
  Want(2, 100 * kSecond);
  Follows("a");
  host_.Take();
  EXPECT_GE(asks_within(kSecond / 2), 7);
}

// A leader that is in doubt: whoever asks has connections to it, and closes none yet.
TEST_F(ClientLeaderSearch, LeaderThatHangsIsFoundOut) {
  MakeWithLeader("a", {"a", "b", "c"});
  search_->OnLeaderLost("a", now_);
  search_->Want(0, kNever, now_);
  EXPECT_THAT(host_.Take(), ElementsAre("dial a"));
  Leads("a");
  EXPECT_THAT(host_.Take(), ElementsAre("give 0 a")) << "it was only busy";

  search_->OnLeaderLost("a", now_);
  search_->Want(0, kNever, now_);
  host_.Take();
  Run(options_.hedge_us);
  EXPECT_THAT(host_.Take(), UnorderedElementsAre("dial b", "dial c"));
  Follows("b", "a");
  Follows("c", "a");
  bool elected = false;
  Run(kSecond, [&](const std::string& line) {
    if (Begins(line, "ask")) Follows(line.substr(4), elected ? "c" : "a");
  });
  elected = true;
  std::vector<std::string> told;
  Run(100 * kMs, [&](const std::string& line) {
    if (line == "ask b") Follows("b", "c");
    if (line == "ask c" || line == "dial c") Leads("c");
    if (!Begins(line, "ask")) told.push_back(line);
  });
  EXPECT_THAT(told, ::testing::IsSupersetOf({"dial c", "give 0 c", "leader c"}));
  EXPECT_TRUE(search_->idle());
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

}  // namespace
}  // namespace dqc::client
