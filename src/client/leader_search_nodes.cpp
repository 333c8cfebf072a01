/* SPDX-License-Identifier: MIT */
// What is asked next: the candidates, the hints of servers, the attempts under way.
#include <algorithm>
#include <new>
#include <utility>

#include "client/leader_search.hpp"

namespace dqc::client {

namespace {

// Servers that name ever new addresses lead nowhere.
constexpr size_t kLearnedMax = 32;

}  // namespace

// ------------------------------------------------------------------------------ attempts

uint64_t LeaderSearch::Dial(const std::string& address, bool direct, Time now) {
  Try attempt;
  attempt.id = last_attempt_ + 1;
  attempt.address = address;
  attempt.since = now;
  attempt.wake = LateAt(direct, now);
  attempt.direct = direct;
  attempts_.push_back(std::move(attempt));
  ++last_attempt_;
  ++counters_.attempts;
  try {
    host_->Dial(last_attempt_, attempts_.back().address);
  } catch (...) {
    attempts_.pop_back();
    throw;
  }
  return last_attempt_;
}

// Far away every attempt takes long, and need not start a search. The quickest of a few: one slow
// answer proves nothing.
Time LeaderSearch::LateAt(bool direct, Time now) const {
  const Time hedge = options_.hedge_us;
  if (!direct) return After(now, hedge);
  const Time usual = *std::min_element(took_.begin(), took_.end());
  return After(now, std::clamp(std::min(usual, 5 * hedge) * 2, hedge, 5 * hedge));
}

void LeaderSearch::DropAt(size_t index) {
  const uint64_t id = attempts_[index].id;
  attempts_.erase(attempts_.begin() + static_cast<std::ptrdiff_t>(index));
  host_->Drop(id);
}

size_t LeaderSearch::FindTry(uint64_t id) const {
  const auto at = std::lower_bound(attempts_.begin(), attempts_.end(), id,
                                   [](const Try& t, uint64_t wanted) { return t.id < wanted; });
  if (at == attempts_.end() || at->id != id) return attempts_.size();
  return static_cast<size_t>(at - attempts_.begin());
}

size_t LeaderSearch::FindAddress(const std::string& address) const {
  const auto at = std::find_if(attempts_.begin(), attempts_.end(),
                               [&](const Try& t) { return t.address == address; });
  return static_cast<size_t>(at - attempts_.begin());
}

size_t LeaderSearch::UnderWay() const {
  return static_cast<size_t>(
      std::count_if(attempts_.begin(), attempts_.end(), [](const Try& attempt) {
        return !attempt.direct && attempt.state == Try::State::kDialling;
      }));
}

// One observer per node, and not more of them than attempts at a time: a cluster of a hundred
// nodes needs no hundred connections to be watched.
bool LeaderSearch::KeepObserver(size_t index) const {
  size_t observers = 0;
  for (size_t i = 0; i < attempts_.size(); ++i) {
    if (i == index || attempts_[i].state == Try::State::kDialling) continue;
    if (attempts_[i].address == attempts_[index].address) return false;
    ++observers;
  }
  return observers < std::max<size_t>(options_.parallel, 1);
}

// ------------------------------------------------------------------------------ the search

void LeaderSearch::Begin() {
  searching_ = true;
  widened_ = false;
  begun_at_ = now_;
  round_at_ = kNever;
  rows_.clear();
  ++counters_.searches;
  ++round_;
  std::erase_if(places_,
                [&](const Place& p) { return p.gone || (p.learned && p.address != leader_); });
  for (Place& place : places_) {
    place.noted = place.hinted = false;
    place.claims = 0;
    place.dialled_at = place.failed_at = place.ready_at = place.claim_at = place.backoff = 0;
    place.order = random_.Next();
  }
  Sort();
  for (Request& request : requests_) {  // whom memory ran out for may as well wait for this
    if (request.attempt == 0) request.searching = true;
  }
  try {
    if (!leader_.empty() && FindPlace(leader_) == nullptr) {
      AddPlace(leader_);
      Sort();
    }
  } catch (const std::bad_alloc&) {
    // One candidate less; hints may still lead to it.
  }
}

void LeaderSearch::Pump(Time now) noexcept {
  if (!searching_) return;
  try {
    PumpOrThrow(now);
  } catch (...) {  // out of memory: again in a while
    retry_at_ = After(now, options_.poll_us);
  }
}

void LeaderSearch::PumpOrThrow(Time now) {
  const size_t parallel = std::max<size_t>(options_.parallel, 1);
  for (;;) {
    if (Place* hinted = NextHinted(now)) {
      if (UnderWay() >= parallel) DropOldest(now);
      Start(hinted, true, now);
      continue;
    }
    if (UnderWay() >= (widened_ ? parallel : 1)) return;
    Place* place = NextCandidate(now);
    if (place == nullptr) break;
    Start(place, false, now);
  }
  if (round_at_ == kNever) round_at_ = After(now, random_.Jitter(options_.poll_us));
}

void LeaderSearch::Start(Place* place, bool hinted, Time now) {
  place->hinted = false;
  place->dialled_at = now;
  if (hinted) ++counters_.redirects;
  place->round = 0;  // not asked, should memory run out
  Dial(place->address, false, now);
  place->round = round_;
}

void LeaderSearch::DropOldest(Time now) {
  for (size_t i = 0; i < attempts_.size(); ++i) {  // ascending ids: the first is the oldest
    Try& attempt = attempts_[i];
    if (attempt.direct || attempt.state != Try::State::kDialling) continue;
    Note(attempt, host_->Reached(attempt.id), Code::kTimeout, "", "no answer");
    MarkFailed(attempt.address, attempt.since, now);
    return DropAt(i);
  }
}

LeaderSearch::Place* LeaderSearch::NextHinted(Time now) {
  for (Place& place : places_) {
    if (!place.hinted || place.ready_at > now) continue;
    if (FindAddress(place.address) == attempts_.size()) return &place;
    place.hinted = false;
  }
  return nullptr;
}

LeaderSearch::Place* LeaderSearch::NextCandidate(Time now) {
  Place* next = nullptr;
  for (Place& place : places_) {
    if (place.gone || place.round == round_ || place.ready_at > now) continue;
    if (place.refused) {
      NoteRefused(&place);
      continue;
    }
    if (next != nullptr && place.address != leader_) continue;
    if (FindAddress(place.address) == attempts_.size()) next = &place;
  }
  return next;
}

// A server named a leader. `news`: it did not say so before; `changed`: it said something else.
void LeaderSearch::Hint(const std::string& advertised, bool changed, bool news, Time now) {
  const std::string address = Dialled(advertised);
  Place* place = FindPlace(address);
  if (place == nullptr) {
    const auto learned =
        std::count_if(places_.begin(), places_.end(), [](const Place& p) { return p.learned; });
    if (static_cast<size_t>(learned) >= kLearnedMax) return;
    place = AddPlace(address);
    place->round = round_;  // no candidate of this round
  }
  if (place->refused) return NoteRefused(place);
  if (const size_t at = FindAddress(address); at < attempts_.size()) {
    Try& attempt = attempts_[at];
    if (news && attempt.state == Try::State::kIdle) Ask(&attempt, now);
    return;
  }
  if (changed && place->ready_at > now) {
    place->backoff = 0;
    place->ready_at = std::max(now, After(place->dialled_at, options_.poll_us));
    place->hinted = true;
  }
  if (place->ready_at <= now) place->hinted = true;
}

void LeaderSearch::MarkFailed(const std::string& address, Time since, Time now) {
  Place* place = FindPlace(address);
  if (place == nullptr) return;
  const bool again = place->backoff != 0;
  if (again && since < place->failed_at) return;  // several at once count once
  place->round = round_;
  place->failed_at = now;
  place->backoff = again ? place->backoff * 2 : options_.backoff_min_us;
  place->backoff = std::min(place->backoff, options_.backoff_max_us);
  place->ready_at = After(now, random_.Jitter(place->backoff));
}

// ------------------------------------------------------------------------------ the candidates

std::string LeaderSearch::Dialled(const std::string& advertised) const {
  return options_.reachable ? options_.reachable(advertised) : advertised;
}

// All or nothing. What is known of an address outlives the list that named it first.
void LeaderSearch::Rebuild(Nodes seeds, Nodes members) {
  std::vector<Place> places;
  places.reserve(seeds.size() + members.size() + places_.size());
  for (const Node& node : members) Merge(&places, Dialled(node.address), node.role, false);
  for (const Node& node : seeds) Merge(&places, Dialled(node.address), node.role, true);
  for (Place& place : places) {
    const Place* known = FindPlace(place.address);
    place.order = known != nullptr ? known->order : random_.Next();
    place.refused = !place.seed && Refused(place.address);
    if (known == nullptr) continue;
    const Role role = place.role;
    const bool seed = place.seed;
    const bool refused = place.refused;
    place = *known;
    place.role = role;
    place.seed = seed;
    place.refused = refused;
    place.learned = place.gone = false;
  }
  const size_t listed = places.size();
  for (const Place& place : places_) {
    const auto same = [&](const Place& p) { return p.address == place.address; };
    const auto end = places.begin() + static_cast<std::ptrdiff_t>(listed);
    if (std::any_of(places.begin(), end, same)) continue;
    // A list that changes back and forth does not make a node that fails a fresh one.
    const bool failing = searching_ && place.backoff != 0 &&
                         now_ < After(place.failed_at, 2 * options_.backoff_max_us);
    if (!place.learned && !failing) continue;
    places.push_back(place);
    places.back().gone = !place.learned;
    places.back().seed = false;
    if (!place.learned) places.back().refused = Refused(place.address);
  }
  places_.swap(places);
  seeds_.swap(seeds);
  members_.swap(members);
  Sort();
}

void LeaderSearch::Merge(std::vector<Place>* places, const std::string& address, Role role,
                         bool seed) const {
  for (Place& place : *places) {
    if (place.address != address) continue;
    place.seed |= seed;
    return;
  }
  Place place;
  place.address = address;
  place.role = role;
  place.seed = seed;
  places->push_back(std::move(place));
}

// An address that no list names, until the next search.
LeaderSearch::Place* LeaderSearch::AddPlace(const std::string& address) {
  Place place;
  place.address = address;
  place.learned = true;
  place.refused = address != leader_ && Refused(address);
  place.order = random_.Next();
  places_.push_back(std::move(place));
  return &places_.back();
}

bool LeaderSearch::Refused(const std::string& address) const {
  return options_.may_follow && !options_.may_follow(address);
}

void LeaderSearch::NoteRefused(Place* place) {
  place->round = round_;
  if (place->noted) return;
  place->noted = true;
  ++counters_.rejected;
  Try never;
  never.since = now_;
  try {
    never.address = place->address;
    Note(never, Phase::kLeader, Code::kConfig, "", "not dialled: option 'redirect' refuses it");
  } catch (const std::bad_alloc&) {
    // A row less.
  }
}

void LeaderSearch::Sort() {
  std::sort(places_.begin(), places_.end(), [](const Place& a, const Place& b) {
    return a.role != b.role ? a.role < b.role : a.order < b.order;
  });
}

LeaderSearch::Place* LeaderSearch::FindPlace(const std::string& address) {
  const auto at = std::find_if(places_.begin(), places_.end(),
                               [&](const Place& p) { return p.address == address; });
  return at == places_.end() ? nullptr : &*at;
}

}  // namespace dqc::client
