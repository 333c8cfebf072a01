/* SPDX-License-Identifier: MIT */
// Requests: how they are dialled for, join the search and end. What is asked next is in
// leader_search_nodes.cpp, the table of a failure in leader_search_explain.cpp.
#include "client/leader_search.hpp"

#include <algorithm>
#include <new>
#include <utility>

namespace dqc::client {

LeaderSearch::LeaderSearch(SearchOptions options, Host* host)
    : options_(std::move(options)), host_(host), random_(options_.seed) {}

void LeaderSearch::SetSeeds(const Nodes& nodes) { Rebuild(nodes, members_); }

void LeaderSearch::SetMembers(const Nodes& nodes) { Rebuild(seeds_, nodes); }

bool LeaderSearch::idle() const { return requests_.empty() && attempts_.empty(); }

void LeaderSearch::Want(uint64_t request, Time deadline, Time now) {
  now_ = now;
  ++counters_.requests;
  if (requests_.empty()) rows_.clear();
  if (deadline <= now) {
    host_->Refuse(request, Failure(0));
    return;
  }
  try {
    requests_.push_back({request, now, deadline});
  } catch (const std::bad_alloc&) {
    host_->Refuse(request, Status::OutOfMemory());
    return;
  }
  if (searching_ || suspect_ || leader_.empty()) {
    Join(&requests_.back());
    Pump(now);
  } else {
    Dispatch(now);
  }
}

void LeaderSearch::Cancel(uint64_t request) {
  const auto at = std::find_if(requests_.begin(), requests_.end(),
                               [&](const Request& r) { return r.id == request; });
  if (at == requests_.end()) return;
  const size_t own = FindTry(at->attempt);
  requests_.erase(at);
  if (own < attempts_.size()) DropAt(own);
  Settle();
}

void LeaderSearch::OnLeaderLost(const std::string& address, Time now) {
  now_ = now;
  if (address == leader_) suspect_ = true;
}

void LeaderSearch::OnAnswer(uint64_t attempt, const Answer& answer, Time now) {
  now_ = now;
  // What failed is over, and not to be dropped with an expired request.
  if (answer.kind != Answer::Kind::kFailed) Expire(now);
  const size_t index = FindTry(attempt);
  if (index == attempts_.size()) return;
  const bool asked = attempts_[index].state != Try::State::kDialling;
  switch (answer.kind) {
    case Answer::Kind::kLeads:
      asked ? Claimed(index, now) : Found(index, now);
      break;
    case Answer::Kind::kFollows:
      Followed(index, answer, now);
      break;
    case Answer::Kind::kFailed:
      Failed(index, answer.status, now);
      Expire(now);
      break;
    case Answer::Kind::kRejected:
      Rejected(index, answer.status);
      return;
  }
  Pump(now);
}

Time LeaderSearch::next_deadline() const {
  Time next = std::min(round_at_, retry_at_);
  for (const Request& request : requests_) next = std::min(next, request.deadline);
  for (const Try& attempt : attempts_) next = std::min(next, attempt.wake);
  if (!searching_) return next;
  for (const Place& place : places_) {
    if (place.hinted) next = std::min(next, place.ready_at);
  }
  return next;
}

void LeaderSearch::OnDeadline(Time now) {
  now_ = now;
  Expire(now);
  if (requests_.empty()) return;
  Hedge(now);
  PollObservers(now);
  if (retry_at_ <= now) {
    retry_at_ = kNever;
    if (!searching_) Dispatch(now);
  }
  if (round_at_ <= now) NewRound();
  Pump(now);
}

// Every request that is neither searching nor dialled for gets an attempt at the leader.
void LeaderSearch::Dispatch(Time now) {
  try {
    for (Request& request : requests_) {
      if (request.searching || request.attempt != 0) continue;
      request.attempt = Dial(leader_, true, now);
    }
  } catch (const std::bad_alloc&) {
    retry_at_ = After(now, options_.poll_us);
  }
}

void LeaderSearch::Expire(Time now) {
  bool any = false;
  for (size_t i = 0; i < requests_.size();) {
    if (requests_[i].deadline > now) {
      ++i;
      continue;
    }
    any = true;
    const Request request = requests_[i];
    const Status status = Failure(now_ - request.since);
    requests_.erase(requests_.begin() + static_cast<std::ptrdiff_t>(i));
    if (const size_t own = FindTry(request.attempt); own < attempts_.size()) DropAt(own);
    host_->Refuse(request.id, status);
  }
  if (any) Settle();
}

void LeaderSearch::RefuseAll(const Status& status) {
  std::vector<Request> refused;
  refused.swap(requests_);
  Settle();
  for (const Request& request : refused) host_->Refuse(request.id, status);
}

// After requests went: a search that nobody waits for ends, with all that it holds.
void LeaderSearch::Settle() {
  for (const Request& request : requests_) {
    if (request.searching) return;
  }
  round_at_ = kNever;
  if (requests_.empty()) retry_at_ = kNever;
  searching_ = false;
  widened_ = false;
  for (size_t i = attempts_.size(); i-- > 0;) {
    if (!attempts_[i].direct || requests_.empty()) DropAt(i);
  }
}

void LeaderSearch::Join(Request* request) {
  request->searching = true;
  if (!searching_) Begin();
}

// The request that the attempt was dialled for joins the search, and the search gets the attempt.
void LeaderSearch::JoinOwner(Try* attempt) {
  if (!attempt->direct) return;
  attempt->direct = false;
  for (Request& request : requests_) {
    if (request.attempt != attempt->id) continue;
    request.attempt = 0;
    Join(&request);
    return;
  }
}

void LeaderSearch::Found(size_t index, Time now) {
  Try won = std::move(attempts_[index]);
  attempts_.erase(attempts_.begin() + static_cast<std::ptrdiff_t>(index));
  auto winner = requests_.begin();
  if (!searching_) {
    winner = std::find_if(requests_.begin(), requests_.end(),
                          [&](const Request& r) { return r.attempt == won.id; });
  }
  if (winner == requests_.end()) return host_->Drop(won.id);
  if (won.since >= took_at_) {  // several at once are one look-up
    took_[took_next_++ % took_.size()] = now - won.since;
    took_at_ = now;
  }
  const uint64_t request = winner->id;
  requests_.erase(winner);
  const bool another = leader_ != won.address;
  leader_.swap(won.address);
  suspect_ = false;
  host_->Give(request, won.id);
  if (another) host_->OnLeader(leader_);
  if (!searching_) return;

  searching_ = false;
  widened_ = false;
  round_at_ = kNever;
  rows_.clear();
  for (size_t i = attempts_.size(); i-- > 0;) {
    if (attempts_[i].state != Try::State::kDialling || attempts_[i].address != leader_) DropAt(i);
  }
  // What is under way to the leader serves those who wait still; the rest dial anew.
  for (Try& attempt : attempts_) {
    attempt.direct = false;
    attempt.wake = LateAt(true, now);
  }
  for (Request& waiting : requests_) {
    waiting.searching = false;
    const size_t own = FindTry(waiting.attempt);
    if (own == attempts_.size()) waiting.attempt = 0;
    if (own < attempts_.size()) attempts_[own].direct = true;
  }
  auto waiting = requests_.begin();
  for (size_t i = 0; i < attempts_.size();) {
    if (!attempts_[i].direct) {
      while (waiting != requests_.end() && waiting->attempt != 0) ++waiting;
      if (waiting == requests_.end()) {
        DropAt(i);
        continue;
      }
      waiting->attempt = attempts_[i].id;
      attempts_[i].direct = true;
    }
    ++i;
  }
  Dispatch(now);
}

void LeaderSearch::Followed(size_t index, const Answer& answer, Time now) {
  Try& attempt = attempts_[index];
  JoinOwner(&attempt);
  const bool observer = attempt.state != Try::State::kDialling;
  const bool news = attempt.named != answer.leader_address;
  Note(attempt, Phase::kLeader, Code::kNotLeader, answer.leader_address, "");
  if (!observer && !KeepObserver(index)) {
    MarkFailed(attempt.address, attempt.since, now);
    DropAt(index);
    index = attempts_.size();
  } else {
    if (Place* place = FindPlace(attempt.address)) place->backoff = place->ready_at = 0;
    attempt.state = Try::State::kIdle;
    attempt.wake = PollAt(now);
  }
  try {
    if (index < attempts_.size()) attempt.named = answer.leader_address;
    const bool self = index < attempts_.size() && Dialled(answer.leader_address) == attempt.address;
    if (!answer.leader_address.empty() && !self) {
      Hint(answer.leader_address, observer && news, news, now);
    }
  } catch (const std::bad_alloc&) {
    // The observer will say it again.
  }
}

void LeaderSearch::Failed(size_t index, const Status& status, Time now) {
  JoinOwner(&attempts_[index]);
  const Try lost = std::move(attempts_[index]);
  attempts_.erase(attempts_.begin() + static_cast<std::ptrdiff_t>(index));
  NoteFailure(lost, status);
  MarkFailed(lost.address, lost.since, now);
}

// An observer says that it leads. Only a connection made to it can confirm that, and one that
// claims again and again in vain is believed less and less often.
void LeaderSearch::Claimed(size_t index, Time now) {
  Try& attempt = attempts_[index];
  Place* place = FindPlace(attempt.address);
  if (place == nullptr) {  // no member any more; it was dialled once, so the policy let it pass
    try {
      place = AddPlace(attempt.address);
    } catch (const std::bad_alloc&) {
    }
  }
  if (place == nullptr || place->refused || now < place->claim_at) {
    attempt.state = Try::State::kIdle;
    const Time wake = PollAt(now);
    attempt.wake = place == nullptr ? wake : std::max(wake, place->claim_at);
    return;
  }
  const Time wait = options_.poll_us << std::min<uint32_t>(place->claims++, 10);
  place->claim_at = After(now, std::min(wait, options_.backoff_max_us));
  place->hinted = true;
  place->backoff = 0;
  place->ready_at = now;
  DropAt(index);
}

void LeaderSearch::Rejected(size_t index, const Status& status) {
  NoteFailure(attempts_[index], status);
  RefuseAll(WithTable(status));
}

void LeaderSearch::Hedge(Time now) {
  for (Try& attempt : attempts_) {
    if (attempt.state != Try::State::kDialling || attempt.wake > now) continue;
    attempt.wake = kNever;
    if (attempt.direct) {  // it stays the request's own, which waits for both
      for (Request& request : requests_) {
        if (request.attempt == attempt.id) Join(&request);
      }
    }
    widened_ = searching_;
  }
}

void LeaderSearch::PollObservers(Time now) {
  for (size_t i = attempts_.size(); i-- > 0;) {
    Try& attempt = attempts_[i];
    if (attempt.wake > now || attempt.state == Try::State::kDialling) continue;
    if (attempt.state == Try::State::kIdle) {
      Ask(&attempt, now);
      continue;
    }
    // A connection may be dead long before TCP says so.
    Note(attempt, Phase::kLeader, Code::kTimeout, "", "no answer");
    MarkFailed(attempt.address, attempt.since, now);
    DropAt(i);
  }
}

// A new leader is noticed within a small part of the time that there was none; many thousand
// clients that wait ask less and less.
Time LeaderSearch::PollAt(Time now) {
  constexpr Time kMost = 500'000;
  constexpr Time kPart = 32;
  const Time poll = options_.poll_us;
  const Time most = std::max(poll, std::min(8 * poll, kMost));
  return After(now, random_.Jitter(std::clamp((now - begun_at_) / kPart, poll, most)));
}

void LeaderSearch::Ask(Try* observer, Time now) {
  observer->state = Try::State::kAsked;
  observer->since = now;
  observer->wake = After(now, options_.backoff_max_us);
  ++counters_.asks;
  host_->Ask(observer->id);
}

void LeaderSearch::NewRound() {
  round_at_ = kNever;
  ++round_;
  try {
    host_->OnRound();
  } catch (const std::bad_alloc&) {
    // With the nodes as they were.
  }
}

}  // namespace dqc::client
