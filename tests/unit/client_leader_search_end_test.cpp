/* SPDX-License-Identifier: MIT */
// Where a search must not go, and how it ends: backoff, policy, deadlines, explanations, lists.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "unit/client_search_rig.hpp"

namespace dqc::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using ClientLeaderSearchEnd = SearchRig;

// ------------------------------------------------------------------------------ backoff and hints

TEST_F(ClientLeaderSearchEnd, RefusedNodesAreRedialledWithBackoff) {
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

TEST_F(ClientLeaderSearchEnd, StaleHintToADeadLeaderIsNotDialledAgain) {
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

TEST_F(ClientLeaderSearchEnd, ChangedHintResetsTheBackoff) {
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

TEST_F(ClientLeaderSearchEnd, HintsThatFlapDoNotMakeAStorm) {
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

TEST_F(ClientLeaderSearchEnd, EndlessChainOfNewAddressesEnds) {
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

TEST_F(ClientLeaderSearchEnd, OwnAddressInAnotherSpellingIsDialled) {
  Make({"localhost:9001"});
  Want(1);
  Follows("localhost:9001", "127.0.0.1:9001");
  Leads("127.0.0.1:9001");
  EXPECT_EQ(search_->leader(), "127.0.0.1:9001");
}

TEST_F(ClientLeaderSearchEnd, SelfHintIsNone) {
  Make({"a", "b"});
  search_->SetMembers({{1, "a", Role::kVoter}, {2, "b", Role::kSpare}});
  Want(1);
  host_.Take();
  Follows("a", "a");
  EXPECT_THAT(host_.Take(), ElementsAre("dial b"));
}

TEST_F(ClientLeaderSearchEnd, AddressesAreMapped) {
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

TEST_F(ClientLeaderSearchEnd, RefusedRedirectIsCountedAndExplained) {
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

TEST_F(ClientLeaderSearchEnd, MembersPassThePolicySeedsDoNot) {
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

TEST_F(ClientLeaderSearchEnd, EachRequestHasItsOwnDeadline) {
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

TEST_F(ClientLeaderSearchEnd, DeadlineInThePastIsRefusedAtOnce) {
  Make({"a"});
  search_->Want(1, now_, now_);
  EXPECT_THAT(host_.Take(), SizeIs(1));
  EXPECT_TRUE(search_->idle());
}

TEST_F(ClientLeaderSearchEnd, LateAnswerIsNotGiven) {
  Make({"a"});
  Want(1, kSecond);
  now_ += 2 * kSecond;
  Leads("a");
  EXPECT_THAT(host_.Take(), ElementsAre("dial a", "refuse 1 timeout", "drop a"));
}

TEST_F(ClientLeaderSearchEnd, LastRequestTakesEverythingAlong) {
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

TEST_F(ClientLeaderSearchEnd, CancelledRequestIsNeverGiven) {
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

TEST_F(ClientLeaderSearchEnd, SearchEndsWhenOnlyDirectRequestsAreLeft) {
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

TEST_F(ClientLeaderSearchEnd, RejectedRefusesAll) {
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

TEST_F(ClientLeaderSearchEnd, TableNamesEachNodeOnce) {
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

TEST_F(ClientLeaderSearchEnd, AllRefusedIsAConnectError) {
  Make({"a", "b"});
  Want(1, kSecond);
  Run(2 * kSecond, [&](const std::string& line) {
    if (Begins(line, "dial")) Fails(line.substr(5));
  });
  EXPECT_EQ(host_.refused.code(), Code::kConnect);
}

TEST_F(ClientLeaderSearchEnd, AllFollowersIsNotLeader) {
  Make({"a", "b"});
  Want(1, kSecond);
  Run(2 * kSecond, [&](const std::string& line) {
    if (Begins(line, "dial")) Follows(line.substr(5));
    if (Begins(line, "ask")) Follows(line.substr(4));
  });
  EXPECT_EQ(host_.refused.code(), Code::kNotLeader);
  EXPECT_THAT(std::string(host_.refused.message()), HasSubstr("knows of no leader"));
}

TEST_F(ClientLeaderSearchEnd, NoNodeAtAll) {
  Make({});
  Want(1, kSecond);
  EXPECT_NE(search_->next_deadline(), kNever);
  Run(kSecond);
  EXPECT_EQ(host_.refused.code(), Code::kConfig);
  EXPECT_THAT(std::string(host_.refused.message()), HasSubstr("no node is known"));
  EXPECT_GE(host_.rounds, 15);
}

TEST_F(ClientLeaderSearchEnd, LongTablesAreCutInTheMessageOnly) {
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

TEST_F(ClientLeaderSearchEnd, NodesAreReadAgainEachRound) {
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

// A name among the seeds turns out to stand for several nodes.
TEST_F(ClientLeaderSearchEnd, SeedsMayBecomeOthersInEachRound) {
  options_.may_follow = [](const std::string&) { return false; };
  Make({"name"});
  host_.on_round = [&] { search_->SetSeeds(Addresses({"a", "b", "c"})); };
  Want(1);
  Follows("name");
  host_.Take();
  Run(70 * kMs, [&](const std::string& line) {
    if (Begins(line, "dial") && line != "dial c") Follows(line.substr(5));
  });
  EXPECT_EQ(host_.dials["c"], 1);
  Leads("c");
  EXPECT_TRUE(search_->idle());
  // They have vanished since.
  host_.on_round = [&] { search_->SetSeeds(Addresses({"d", "e"})); };
  host_.dials.clear();
  search_->OnLeaderLost("c", now_);
  Want(2);
  Run(3 * kSecond, [&](const std::string& line) {
    if (Begins(line, "dial") && line != "dial d") Fails(line.substr(5));
  });
  EXPECT_EQ(host_.dials["a"], 1) << "no more than the first time";
  Leads("d");
  EXPECT_TRUE(search_->idle());
}

TEST_F(ClientLeaderSearchEnd, NodeListMayChangeAtAnyTime) {
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

// The simulator found this one: a node that came and went in the list was a fresh one each time.
TEST_F(ClientLeaderSearchEnd, ListThatFlapsKeepsTheBackoff) {
  Make({"a"});
  bool with = false;
  host_.on_round = [&] {
    with = !with;
    search_->SetMembers(with ? Nodes{{2, "b", Role::kVoter}} : Nodes{});
  };
  Want(1, 20 * kSecond);
  host_.Take();
  Fails("a");
  Run(10 * kSecond, [&](const std::string& line) {
    if (Begins(line, "dial")) Fails(line.substr(5));
  });
  EXPECT_GE(host_.dials["b"], 8);
  EXPECT_LE(host_.dials["b"], 16);
}

TEST_F(ClientLeaderSearchEnd, FailureInTheMomentOfTheDeadlineIsNotDropped) {
  Make({"a"});
  Want(1, kSecond);
  now_ += kSecond;
  Fails("a");
  EXPECT_THAT(host_.Take(), ElementsAre("dial a", "refuse 1 connect failed"));
}

TEST_F(ClientLeaderSearchEnd, NoAddressTwice) {
  Make({"a", "a"});
  search_->SetMembers({{1, "a", Role::kVoter}, {2, "a", Role::kSpare}});
  Want(1);
  Run(kSecond);
  EXPECT_EQ(host_.dials["a"], 1);
}

TEST_F(ClientLeaderSearchEnd, UnknownAttemptsAreIgnored) {
  Make({"a"});
  search_->OnAnswer(99, Answer(), now_);
  Want(1);
  search_->OnAnswer(99, Answer(), now_);
  EXPECT_THAT(host_.Take(), ElementsAre("dial a"));
}

TEST_F(ClientLeaderSearchEnd, SameSeedSameActions) {
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
