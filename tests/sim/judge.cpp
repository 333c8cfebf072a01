/* SPDX-License-Identifier: MIT */
#include "judge.hpp"

#include <algorithm>
#include <functional>

namespace dqc::sim {

namespace {

constexpr Time kLateness = 5 * kMs;  // of timers, as the world plays them
// What the backoff alone allows in a second: 0, 75, 225, 525 ms and a half open interval.
constexpr size_t kDialsPerSecond = 6;
constexpr size_t kSpinsMax = 1000;

}  // namespace

void Judge::Violated(const std::string& what) {
  if (violation_.empty()) violation_ = "at " + std::to_string(now_) + " us: " + what;
}

void Judge::Log(uint64_t what, uint64_t a, uint64_t b) {
  for (const uint64_t value : {now_, what, a, b}) {
    hash_ = (hash_ ^ value) * 1099511628211u;
    hash_ ^= hash_ >> 29;
  }
}

void Judge::Prune(std::deque<Time>* times) const {
  while (!times->empty() && times->front() + kSecond <= now_) times->pop_front();
}

void Judge::Dial(uint64_t attempt, const std::string& address) {
  uint64_t digest = 0;
  for (const char c : address) digest = digest * 31 + static_cast<unsigned char>(c);
  Log(1, attempt, digest);
  if (Forbidden(address)) Violated("dials a rejected address: " + address);
  if (waiting_.empty()) Violated("dials though nobody waits");
  Open open;
  open.address = address;
  if (!open_.emplace(attempt, open).second) Violated("an attempt's number twice");
  ++dialling_;
  dials_.push_back(now_);
  recent_[Plain(address)].dials.push_back(now_);
  net_->Dial(attempt, address);
}

void Judge::Ask(uint64_t attempt) {
  Log(2, attempt, 0);
  const auto at = open_.find(attempt);
  if (at == open_.end()) return Violated("asks over an attempt that is over");
  if (at->second.state != Open::State::kObserver) return Violated("asks what is no idle observer");
  at->second.state = Open::State::kAsked;
  net_->Ask(attempt);
}

void Judge::Drop(uint64_t attempt) {
  Log(3, attempt, 0);
  const auto at = open_.find(attempt);
  if (at == open_.end()) return Violated("drops an attempt that is over");
  if (at->second.state == Open::State::kDialling) --dialling_;
  open_.erase(at);
  net_->Drop(attempt);
}

bool Judge::Ended(uint64_t request, const char* how) {
  ended_.push_back(now_);
  if (waiting_.erase(request) == 1) return true;
  Violated(std::string(how) + " a request that does not wait: " + std::to_string(request));
  return false;
}

void Judge::Give(uint64_t request, uint64_t attempt) {
  Log(4, request, attempt);
  ++given;
  const auto at = open_.find(attempt);
  if (at == open_.end()) return Violated("gives an attempt that is over");
  if (at->second.state != Open::State::kLeads) Violated("gives what is no leader's connection");
  const auto who = waiting_.find(request);
  if (who != waiting_.end() && stable_ != kNever) {
    converged_max = std::max(converged_max, now_ - std::max(stable_, who->second.since));
  }
  const std::string address = at->second.address;
  open_.erase(at);
  if (Ended(request, "gives to")) net_->Given(request, address);
}

void Judge::Refuse(uint64_t request, const Status& status) {
  Log(5, request, static_cast<uint64_t>(status.code()));
  ++refused;
  if (status.ok()) Violated("refuses without a reason");
  if (status.message().size() > 1300) Violated("a message without end");
  if (status.info()->outcome != Outcome::kNotExecuted) Violated("a wrong outcome");
  Ended(request, "refuses");
}

void Judge::OnRound() {
  Log(6, 0, 0);
  net_->OnRound();
}

void Judge::OnLeader(const std::string& address) { Log(7, address.size(), 0); }

void Judge::Wanted(uint64_t request, Time deadline) {
  waiting_[request] = {now_, deadline};
  wants_.push_back(now_);
}

void Judge::Cancelled(uint64_t request) {
  Log(8, request, 0);
  if (waiting_.erase(request) == 1) ended_.push_back(now_);
}

void Judge::Answered(uint64_t attempt, const Answer& answer) {
  Log(9, attempt, static_cast<uint64_t>(answer.kind));
  const auto at = open_.find(attempt);
  if (at == open_.end()) return;
  Open& open = at->second;
  const bool dialled = open.state == Open::State::kDialling;
  if (dialled) --dialling_;
  switch (answer.kind) {
    case Answer::Kind::kLeads:
      // A claim is a reason to dial the node anew, a new name one to dial the named.
      if (!dialled) recent_[Plain(open.address)].reasons.push_back(now_);
      open.state = dialled ? Open::State::kLeads : Open::State::kObserver;
      break;
    case Answer::Kind::kFollows:
      if (open.named != answer.leader_address) {
        recent_[answer.leader_address].reasons.push_back(now_);
      }
      open.named = answer.leader_address;
      open.state = Open::State::kObserver;
      break;
    case Answer::Kind::kFailed:
      open_.erase(at);
      break;
    case Answer::Kind::kRejected:
      open.state = Open::State::kDone;
      break;
  }
}

// No storm: what is dialled within a second is explained by the backoff, by what callers want, or
// by what was heard of the address.
void Judge::CheckRate(const std::string& address) {
  Recent& recent = recent_[Plain(address)];
  Prune(&recent.dials);
  Prune(&recent.reasons);
  const size_t allowed = kDialsPerSecond + recent.reasons.size() +
                         2 * (wants_.size() + waiting_.size() + ended_.size() + searches_.size());
  if (recent.dials.size() > allowed) {
    Violated("a storm: " + std::to_string(recent.dials.size()) + " dials of " + address +
             " in a second");
  }
}

void Judge::Check(const client::LeaderSearch& search) {
  Prune(&dials_);
  Prune(&wants_);
  Prune(&ended_);
  Prune(&searches_);
  for (; searches_seen_ < search.counters().searches; ++searches_seen_) searches_.push_back(now_);
  if (!dials_.empty() && dials_.back() == now_) {
    for (const auto& [id, open] : open_) {
      if (open.state == Open::State::kDialling) CheckRate(open.address);
    }
    dials_per_second_max = std::max(dials_per_second_max, dials_.size());
  }
  if (dialling_ > parallel_ + waiting_.size()) {
    Violated(std::to_string(dialling_) + " attempts at a time, " + std::to_string(waiting_.size()) +
             " wait");
  }
  if (open_.size() - dialling_ > parallel_) Violated("too many observers");
  for (const auto& [id, open] : open_) {
    if (open.state == Open::State::kLeads) Violated("keeps a leader's connection");
    if (open.state == Open::State::kDone) Violated("keeps what was rejected");
  }
  for (const auto& [request, wait] : waiting_) {
    if (wait.deadline != kNever && wait.deadline + kLateness < now_) {
      Violated("request " + std::to_string(request) + " outlives its deadline");
    }
    if (stable_ != kNever && now_ > std::max(stable_, wait.since) + bound_) {
      Violated("request " + std::to_string(request) + " does not find the stable leader");
    }
  }
  if (waiting_.empty() && !open_.empty()) Violated("holds connections though nobody waits");
  if (waiting_.empty() != search.idle()) Violated("idle() is wrong");
  spins_ = spin_at_ == now_ ? spins_ + 1 : 0;
  spin_at_ = now_;
  if (spins_ > kSpinsMax) Violated("spins");
}

}  // namespace dqc::sim
