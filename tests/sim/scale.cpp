/* SPDX-License-Identifier: MIT */
// Many clients and one change of leader: what it costs each of them and the nodes. A node is a
// queue: each connection and each question takes it a while.
#include "scale.hpp"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <queue>
#include <string>
#include <vector>

#include "client/leader_search.hpp"
#include "cluster.hpp"
#include "rng.hpp"

namespace dqc::sim {

namespace {

using client::LeaderSearch;

constexpr Time kAccept = kSecond / 20'000;     // a connection: accept, handshake, LEADER, OPEN
constexpr Time kQuestion = kSecond / 100'000;  // LEADER over an open one
constexpr Time kTrip = 250;                    // one way
constexpr Time kDeath = 5 * kSecond;
constexpr Time kNotice = 10 * kMs;  // within which the clients notice
constexpr Time kTimeout = 5 * kSecond;
constexpr uint64_t kNodes = 3;

struct Setting {
  size_t clients;
  Time election;
  bool black_hole;  // the dead leader's machine is gone, not only the process
};

class Crowd {
 public:
  explicit Crowd(const Setting& setting) : setting_(setting), rng_(7) {
    for (size_t i = 0; i < setting.clients; ++i) {
      clients_.push_back(std::make_unique<Client>(this, i));
    }
  }

  void Run();
  void PrintRow();

 private:
  enum class Kind { kTimer, kArrive, kAnswer, kLost };
  struct Event {
    Time at;
    uint64_t order;
    Kind kind;
    uint64_t client;
    uint64_t attempt;
    uint64_t node;
    bool question;
    Answer::Kind answer;
    bool operator>(const Event& other) const {
      return at != other.at ? at > other.at : order > other.order;
    }
  };

  struct Client final : LeaderSearch::Host {
    Client(Crowd* in, size_t at) : crowd(in), index(at), search(Options(at), this) {
      client::Nodes nodes;
      for (uint64_t i = 0; i < kNodes; ++i) nodes.push_back({i + 1, Address(i), {}});
      search.SetMembers(nodes);
    }
    static client::SearchOptions Options(size_t index) {
      client::SearchOptions options;
      options.seed = index + 1;
      return options;
    }
    void Dial(uint64_t attempt, const std::string& address) override {
      nodes.push_back(static_cast<uint64_t>(address[0] - '0'));
      crowd->Send(this, attempt, false);
    }
    void Ask(uint64_t attempt) override { crowd->Send(this, attempt, true); }
    void Drop(uint64_t) override {}
    void Give(uint64_t, uint64_t) override { given = crowd->now_; }
    void Refuse(uint64_t, const Status&) override { std::abort(); }
    void OnRound() override {}
    void OnLeader(const std::string&) override {}

    Crowd* crowd;
    size_t index;
    LeaderSearch search;
    std::vector<uint64_t> nodes;  // by attempt
    Time timer = kNever;
    Time given = 0;
    LeaderSearch::Counters before;  // the leader was lost
  };

  static std::string Address(uint64_t node) { return std::to_string(node) + ":9001"; }
  void Push(Event event) {
    event.order = rng_.Next();
    events_.push(event);
  }
  void Send(Client* from, uint64_t attempt, bool question) {
    const uint64_t node = from->nodes[attempt - 1];
    Push({now_ + kTrip + rng_.Below(100),
          0,
          Kind::kArrive,
          from->index,
          attempt,
          node,
          question,
          {}});
  }
  void Arrive(const Event& event);
  void Handle(const Event& event);
  bool Dead(uint64_t node) const { return node == 0 && now_ >= kDeath; }
  // Node 1 is elected; node 2 hears of it with the first heartbeat.
  Time Elected(uint64_t node) const { return kDeath + setting_.election + (node == 2 ? kMs : 0); }

  Setting setting_;
  Rng rng_;
  Time now_ = 0;
  Time busy_[kNodes] = {};
  std::vector<std::unique_ptr<Client>> clients_;
  std::priority_queue<Event, std::vector<Event>, std::greater<Event>> events_;
};

void Crowd::Arrive(const Event& event) {
  Event answer = event;
  answer.kind = Kind::kAnswer;
  answer.answer = Answer::Kind::kFailed;
  if (Dead(event.node)) {
    answer.at = now_ + (setting_.black_hole ? kTimeout : kTrip);
    return Push(answer);
  }
  Time& busy = busy_[event.node];
  busy = std::max(busy, now_) + (event.question ? kQuestion : kAccept);
  const bool leads = event.node == 0 ? busy < kDeath : event.node == 1 && busy >= Elected(1);
  answer.answer = leads ? Answer::Kind::kLeads : Answer::Kind::kFollows;
  answer.at = busy + kTrip;
  Push(answer);
}

void Crowd::Handle(const Event& event) {
  Client& client = *clients_[event.client];
  switch (event.kind) {
    case Kind::kTimer:
      if (event.at != client.timer) return;
      client.timer = kNever;
      client.search.OnDeadline(now_);
      break;
    case Kind::kArrive:
      return Arrive(event);
    case Kind::kAnswer: {
      Answer answer;
      answer.kind = event.answer;
      // Until the election is over followers name the dead leader.
      if (answer.kind == Answer::Kind::kFollows) {
        answer.leader_address = Address(now_ >= Elected(event.node) ? 1 : 0);
      }
      if (answer.kind == Answer::Kind::kFailed) answer.status = Status::Make(Code::kConnect, "");
      client.search.OnAnswer(event.attempt, answer, now_);
      break;
    }
    case Kind::kLost:
      client.before = client.search.counters();
      client.search.OnLeaderLost(Address(0), now_);
      client.search.Want(2, kNever, now_);
      break;
  }
  const Time next = client.search.next_deadline();
  if (next != kNever && next != client.timer) {
    client.timer = std::max(next, now_);
    Push({client.timer, 0, Kind::kTimer, event.client, 0, 0, false, {}});
  }
}

void Crowd::Run() {
  for (auto& client : clients_) client->search.Want(1, kNever, 0);
  for (size_t i = 0; i < clients_.size(); ++i) {
    const Time notice = kDeath + (setting_.black_hole ? 0 : rng_.Below(kNotice));
    Push({notice, 0, Kind::kLost, i, 0, 0, false, {}});
  }
  while (!events_.empty()) {
    const Event event = events_.top();
    events_.pop();
    now_ = event.at;
    Handle(event);
  }
}

void Crowd::PrintRow() {
  std::vector<Time> times;
  uint64_t attempts = 0;
  uint64_t most = 0;
  uint64_t asks = 0;
  for (const auto& client : clients_) {
    const uint64_t own = client->search.counters().attempts - client->before.attempts;
    attempts += own;
    most = std::max(most, own);
    asks += client->search.counters().asks - client->before.asks;
    times.push_back(client->given - Elected(1));
  }
  std::sort(times.begin(), times.end());
  const auto count = static_cast<double>(clients_.size());
  const auto at = [&](size_t percent) {
    return static_cast<double>(times[(times.size() - 1) * percent / 100]) / 1e3;
  };
  std::printf("| %zu | %s | %.2f s | %.2f | %" PRIu64 " | %.0f | %.0f ms | %.0f ms | %.0f ms |\n",
              clients_.size(), setting_.black_hole ? "machine gone" : "killed",
              static_cast<double>(setting_.election) / 1e6, static_cast<double>(attempts) / count,
              most, static_cast<double>(asks) / count, at(50), at(99), at(100));
}

}  // namespace

int Scale(const char* clients) {
  std::puts(
      "| clients | old leader | election | connections per client, mean | most | questions per "
      "client | recovered p50 | p99 | all |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- "
      "|");
  for (const char* at = clients; *at != '\0';) {
    char* end = nullptr;
    const size_t count = std::strtoull(at, &end, 10);
    if (end == at || count == 0) return 2;
    for (const Time election : {30 * kSecond, 3500 * kMs, 150 * kMs}) {
      for (const bool black_hole : {false, true}) {
        Crowd crowd({count, election, black_hole});
        crowd.Run();
        crowd.PrintRow();
      }
    }
    at = *end == ',' ? end + 1 : end;
  }
  return 0;
}

}  // namespace dqc::sim
