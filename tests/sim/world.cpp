/* SPDX-License-Identifier: MIT */
#include "world.hpp"

#include <algorithm>
#include <new>

namespace dqc::sim {

namespace {

constexpr Time kConnectTimeout = kSecond;
constexpr size_t kAddresses = 14;  // nodes and others that may swallow packets

// How long a request may wait for a leader that is there: its backoff, and every address that
// swallows packets before it, `parallel` at a time.
Time Bound(size_t parallel) {
  return 3 * kSecond + (kAddresses / parallel + 1) * (kConnectTimeout + 200 * kMs);
}

}  // namespace

client::SearchOptions World::Options(uint64_t seed) {
  client::SearchOptions options;
  options.parallel = parallel_;
  options.seed = seed;
  options.may_follow = [](const std::string& address) { return !Forbidden(address); };
  if (mapped_) {
    options.reachable = [](const std::string& a) { return Forbidden(a) ? a : kMapped + a; };
  }
  saboteur_.Options(&options);
  return options;
}

World::World(uint64_t seed, Plant plant, uint64_t scarce)
    : rng_(seed),
      plant_(plant),
      scarce_(scarce),
      mapped_(rng_.Chance(25)),
      parallel_(static_cast<uint32_t>(rng_.Chance(50) ? 10 : rng_.Between(1, 9))),
      cluster_(rng_.Between(1, 7), &rng_),
      // A node list that cannot be stored may lack the leader.
      judge_(this, parallel_, scarce != 0 && scarce < 30 ? 3600 * kSecond : Bound(parallel_)),
      saboteur_(plant, &judge_),
      search_(Options(seed), &saboteur_),
      calm_for_(Bound(parallel_) + 2 * kSecond) {
  SeedScarceMemory(seed);
  lateness_ = rng_.Chance(50) ? 0 : 2 * kMs;
  client::Nodes seeds = RandomNodes();
  std::erase_if(seeds, [](const client::Node& n) { return Forbidden(n.address); });
  search_.SetSeeds(seeds);
  if (rng_.Chance(70)) cluster_.Elect();
  At(now_, Kind::kWant);
  At(now_, Kind::kChaos);
  At(now_ + rng_.Between(100 * kMs, 4 * kSecond), Kind::kPhase);
}

template <typename Call>
void World::Search(Call call) {
  try {
    const ScarceMemory scarce(scarce_);
    call();
  } catch (const std::bad_alloc&) {
    // Only a change of the node list says so; the old one stays.
  }
}

void World::At(Time time, Kind kind, uint64_t subject, uint64_t detail) {
  events_.push({std::max(time, now_), rng_.Next(), kind, subject, detail});
}

void World::Run(uint64_t steps) {
  for (uint64_t i = 0; i < steps && judge_.violation().empty(); ++i) Step();
}

void World::Step() {
  ++steps_;
  Time timer = search_.next_deadline();
  if (saboteur_.Freezes()) {
    timer = kNever;
    for (const auto& [request, deadline] : deadlines_) timer = std::min(timer, deadline);
  }
  if (timer != kNever && lateness_ != 0) timer += rng_.Below(lateness_);
  if (timer <= events_.top().at) {
    now_ = std::max(now_, timer);
    judge_.SetTime(now_);
    std::erase_if(deadlines_, [&](const auto& d) { return d.second <= now_; });
    Search([&] { search_.OnDeadline(now_); });
  } else {
    const Event event = events_.top();
    events_.pop();
    now_ = std::max(now_, event.at);
    judge_.SetTime(now_);
    Handle(event);
  }
  judge_.Check(search_);
}

void World::Handle(const Event& event) {
  switch (event.kind) {
    case Kind::kAnswer:
      return Deliver(event.subject, event.detail);
    case Kind::kWant:
      return WantOne();
    case Kind::kCancel:
      if (plant_ != Plant::k_none && saboteur_.SwallowsCancel()) {
        return judge_.Cancelled(event.subject);
      }
      Search([&] { search_.Cancel(event.subject); });
      return judge_.Cancelled(event.subject);
    case Kind::kChaos:
      return Chaos();
    case Kind::kPhase:
      return Phase();
    case Kind::kElect:
      cluster_.Elect();
      for (size_t i = 0; i < cluster_.nodes.size(); ++i) {
        At(now_ + rng_.Below(150 * kMs), Kind::kLearn, i, phase_);
      }
      return;
    case Kind::kLearn:
      return cluster_.Learn(static_cast<int>(event.subject));
    case Kind::kStable:
      if (event.detail == phase_) judge_.SetStable(now_);
      return;
    case Kind::kLost:
      return Search([&] { search_.OnLeaderLost(search_.leader(), now_); });
  }
}

// ------------------------------------------------------------------------------ the network

void World::Dial(uint64_t attempt, const std::string& address) {
  Link link;
  link.address = Plain(address);
  link.since = now_;
  const int node = cluster_.Find(link.address);
  if (node >= 0) link.epoch = cluster_.nodes[static_cast<size_t>(node)].epoch;
  At(now_ + cluster_.Latency(link.address), Kind::kAnswer, attempt, 0);
  links_[attempt] = link;
}

void World::Ask(uint64_t attempt) {
  Link& link = links_.at(attempt);
  ++link.question;
  link.since = now_;
  At(now_ + cluster_.Latency(link.address), Kind::kAnswer, attempt, link.question);
}

// Some answers of what was dropped come all the same.
void World::Drop(uint64_t attempt) {
  if (!rng_.Chance(5)) links_.erase(attempt);
}

void World::Given(uint64_t request, const std::string&) {
  deadlines_.erase(request);
  if (rng_.Chance(30)) At(now_ + rng_.Below(2 * kSecond), Kind::kLost);
}

void World::OnRound() {
  if (calm_) {
    const client::Nodes nodes = GoodNodes();
    Search([&] { search_.SetMembers(nodes); });
  } else if (rng_.Chance(5)) {
    const client::Nodes nodes = RandomNodes();
    Search([&] { search_.SetMembers(nodes); });
  }
}

void World::Fail(uint64_t attempt, Code code, const char* why) {
  Answer answer;
  answer.status = Status::Make(code, why).With(Phase::kConnect);
  Tell(attempt, answer);
}

void World::Tell(uint64_t attempt, Answer answer) {
  saboteur_.Distort(&answer);
  judge_.Answered(attempt, answer);
  saboteur_.Misread(&answer);
  const bool given = answer.kind == Answer::Kind::kLeads && links_.at(attempt).question == 0;
  if (given || answer.kind == Answer::Kind::kFailed) links_.erase(attempt);
  Search([&] { search_.OnAnswer(attempt, answer, now_); });
}

void World::Deliver(uint64_t attempt, uint64_t question) {
  const auto at = links_.find(attempt);
  if (at == links_.end() || at->second.question != question) return;
  Link& link = at->second;
  const Cluster::Health health = cluster_.HealthOf(link.address);
  if (health == Cluster::Health::kBlackHole) {
    // Connecting has a time limit; a question may stay without an answer for ever.
    if (now_ >= link.since + kConnectTimeout) return Fail(attempt, Code::kTimeout, "timed out");
    if (question == 0 || rng_.Chance(50)) {
      At(link.since + kConnectTimeout, Kind::kAnswer, attempt, question);
    }
    return;
  }
  const int node = cluster_.Find(link.address);
  if (health == Cluster::Health::kDown || node < 0) return Fail(attempt, Code::kConnect, "refused");
  if (link.epoch != cluster_.nodes[static_cast<size_t>(node)].epoch) {
    return Fail(attempt, Code::kNetwork, "reset");
  }
  Tell(attempt, cluster_.Reply(node, question != 0));
}

// ------------------------------------------------------------------------------ the callers

void World::WantOne() {
  for (uint64_t n = rng_.Chance(10) ? rng_.Between(2, 12) : 1; n > 0; --n) {
    const uint64_t request = ++requests_;
    const Time deadline = rng_.Chance(5) ? kNever : now_ + rng_.Between(50 * kMs, 12 * kSecond);
    judge_.Wanted(request, deadline);
    if (deadline != kNever) deadlines_[request] = deadline;
    const Time told = deadline == kNever ? kNever : saboteur_.Deadline(deadline);
    Search([&] { search_.Want(request, told, now_); });
    if (rng_.Chance(15)) At(now_ + rng_.Below(3 * kSecond), Kind::kCancel, request);
  }
  At(now_ + rng_.Between(1 * kMs, rng_.Chance(50) ? 50 * kMs : 2 * kSecond), Kind::kWant);
}

client::Nodes World::RandomNodes() {
  client::Nodes nodes;
  for (const Cluster::Node& node : cluster_.nodes) {
    const auto role = static_cast<client::Role>(rng_.Below(3));
    if (rng_.Chance(70)) nodes.push_back({nodes.size() + 1, node.address, role});
  }
  if (rng_.Chance(20))
    nodes.push_back({0, "10.9.9." + std::to_string(rng_.Below(6)) + ":9001", {}});
  if (rng_.Chance(10)) nodes.push_back({0, "169.254.7.7:9001", {}});
  if (nodes.empty()) nodes.push_back({1, cluster_.nodes[0].address, {}});
  return nodes;
}

// The leader is among them, or an honest node that can be reached and names it.
client::Nodes World::GoodNodes() {
  client::Nodes nodes = RandomNodes();
  size_t good = static_cast<size_t>(std::max(cluster_.leader, 0));
  for (size_t i = 0; i < cluster_.nodes.size(); ++i) {
    const Cluster::Node& node = cluster_.nodes[i];
    if (node.lie == Cluster::Lie::kNone && !node.claims && !node.slow &&
        node.health == Cluster::Health::kUp && rng_.Chance(30)) {
      good = i;
    }
  }
  nodes.push_back({77, cluster_.nodes[good].address, client::Role::kVoter});
  return nodes;
}

// ------------------------------------------------------------------------------ the weather

void World::CrashNode(int node) {
  cluster_.Crash(node);
  const std::string& address = cluster_.nodes[static_cast<size_t>(node)].address;
  for (const auto& [attempt, link] : links_) {
    if (link.address == address && rng_.Chance(70)) {
      At(now_ + rng_.Below(20 * kMs), Kind::kAnswer, attempt, link.question);
    }
  }
  if (cluster_.leader < 0) At(now_ + rng_.Between(100 * kMs, 3 * kSecond), Kind::kElect);
}

void World::Chaos() {
  if (calm_) return;
  const int node = static_cast<int>(rng_.Below(cluster_.nodes.size()));
  Cluster::Node& victim = cluster_.nodes[static_cast<size_t>(node)];
  switch (rng_.Below(10)) {
    case 0:
      CrashNode(rng_.Chance(50) && cluster_.leader >= 0 ? cluster_.leader : node);
      break;
    case 1:
      victim.health = Cluster::Health::kBlackHole;
      break;
    case 2:
    case 3:
      victim.health = Cluster::Health::kUp;
      break;
    case 4:
      victim.slow = !victim.slow;
      break;
    case 5:
      victim.lie = static_cast<Cluster::Lie>(
          rng_.Chance(50) ? 0 : rng_.Below(static_cast<uint64_t>(Cluster::Lie::kCount)));
      break;
    case 6:
      victim.claims = rng_.Chance(30);
      break;
    case 7:
      cluster_.LoseLeader();
      At(now_ + rng_.Between(10 * kMs, 3 * kSecond), Kind::kElect);
      break;
    case 8: {
      const client::Nodes nodes = RandomNodes();
      Search([&] { search_.SetMembers(nodes); });
      break;
    }
    case 9:
      for (Cluster::Node& each : cluster_.nodes) {  // a partition
        if (rng_.Chance(50)) each.health = Cluster::Health::kBlackHole;
      }
      break;
  }
  At(now_ + rng_.Between(5 * kMs, 500 * kMs), Kind::kChaos);
}

void World::Phase() {
  ++phase_;
  calm_ = !calm_;
  judge_.SetStable(kNever);
  if (!calm_) {
    At(now_, Kind::kChaos);
    At(now_ + rng_.Between(200 * kMs, 5 * kSecond), Kind::kPhase);
    return;
  }
  cluster_.Calm();
  for (size_t i = 0; i < cluster_.nodes.size(); ++i) {
    At(now_ + rng_.Below(150 * kMs), Kind::kLearn, i, phase_);
  }
  At(now_ + 200 * kMs, Kind::kStable, 0, phase_);
  At(now_ + calm_for_, Kind::kPhase);
}

}  // namespace dqc::sim
