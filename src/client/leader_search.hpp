/* SPDX-License-Identifier: MIT */
// Finds the leader of a cluster and follows it (design 4.4), as a pure state machine: time and
// randomness come in as parameters, what is to be done goes out through Host.
//
// The last known leader is asked first; then one node, and where it points to; only when an answer
// is late, or nobody knows, are more asked at a time. Whoever wants a connection meanwhile shares
// the search. A connection that finds the leader is handed on as it is, so that a look-up costs one
// connection while the leader stays. A node that does not lead is not left but kept as an observer and
// asked again and again over the same connection: waiting for an election opens no connections.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.hpp"
#include "base/status.hpp"
#include "client/node.hpp"
#include "session/operation.hpp"

namespace dqc::client {

using session::kNever;
using session::Time;

struct SearchOptions {
  // An attempt that is this late is given company. Where the last look-ups all took longer than
  // that, one at the known leader has twice their time, five times this at most.
  Time hedge_us = 200'000;
  uint32_t parallel = 10;  // attempts at a time, once widened
  // Observers are asked this often, jittered by a quarter; less and less often when the search drags
  // on, up to eight times this or half a second.
  Time poll_us = 50'000;
  Time backoff_min_us = 100'000;  // before a node that failed is dialled again; doubles, jittered
  Time backoff_max_us = 1'000'000;
  uint64_t seed = 1;  // of the shuffle and the jitter
  // Advertised address -> the one to dial; null: the same. Applied to every node.
  std::function<std::string(const std::string&)> reachable;
  // May an address that a server named be dialled? Null: yes. Seeds are always dialled.
  std::function<bool(const std::string& address)> may_follow;
};

// What became of an attempt, or what an observer answered.
struct Answer {
  enum class Kind : uint8_t {
    kLeads,     // connected, confirmed itself, database open: ready for use
    kFollows,   // connected, but another node leads; the connection stays and can be asked again
    kFailed,    // no connection (any more); `status` says why
    kRejected,  // the node leads, but refuses what we want of it, as the name of the database: final
  };
  Kind kind = Kind::kFailed;
  uint64_t leader_id = 0;      // kFollows: the leader that it named, 0 if it knows of none
  std::string leader_address;  // as advertised
  Status status;               // kFailed, kRejected
};

class LeaderSearch {
 public:
  // Carries out what the search decides. May not call back into it, but for SetSeeds and SetMembers
  // from OnRound. Every Dial has to end in OnAnswer in a bounded time (a connect timeout).
  class Host {
   public:
    // Connect to `address`, ask who leads, open the database. Ends in OnAnswer, unless dropped.
    virtual void Dial(uint64_t attempt, const std::string& address) = 0;
    // Ask an observer who leads; ends in OnAnswer (kFollows, kFailed; kLeads: it says that it leads
    // itself, and has to be dialled anew).
    virtual void Ask(uint64_t attempt) = 0;
    // The attempt is over: close what there is of it; nothing of it is to be reported any more.
    virtual void Drop(uint64_t attempt) = 0;
    // The attempt's connection belongs to `request` now.
    virtual void Give(uint64_t request, uint64_t attempt) = 0;
    virtual void Refuse(uint64_t request, const Status& status) = 0;
    // All candidates were asked in vain and a new round begins (about every poll_us): the place to
    // read the node list again, by SetSeeds and SetMembers.
    virtual void OnRound() = 0;
    virtual void OnLeader(const std::string& address) = 0;  // confirmed, and another than before
    // How far an attempt that has not been answered has come, for the table of a failure.
    virtual Phase Reached(uint64_t) const noexcept { return Phase::kConnect; }

   protected:
    ~Host() = default;
  };

  struct Counters {
    uint64_t requests = 0;   // Want()
    uint64_t searches = 0;   // times that the last known leader was not it, or there was none
    uint64_t attempts = 0;   // connections dialled
    uint64_t asks = 0;       // questions to observers
    uint64_t redirects = 0;  // attempts at an address that a server named
    uint64_t rejected = 0;   // addresses that the redirect policy refused
  };

  LeaderSearch(SearchOptions options, Host* host);

  // Seeds come first and are kept for ever; members replace the members known before. Voters are asked
  // before stand-bys before spares, shuffled within a role. No address twice.
  void SetSeeds(const Nodes& nodes);
  void SetMembers(const Nodes& nodes);

  // Ends in Give or Refuse, perhaps at once. `request`: not one that waits.
  void Want(uint64_t request, Time deadline, Time now);
  void Cancel(uint64_t request);  // no Give or Refuse any more
  void OnAnswer(uint64_t attempt, const Answer& answer, Time now);
  // A connection to the leader says that it does not lead any more, or broke.
  void OnLeaderLost(const std::string& address, Time now);

  Time next_deadline() const;
  void OnDeadline(Time now);

  const std::string& leader() const { return leader_; }  // last confirmed, as dialled; "" if none
  const Counters& counters() const { return counters_; }
  bool idle() const;  // no request waits: no attempt is under way, no observer is kept

  // The table of a failed search, for Status: a row per node tried since the search began.
  std::vector<Attempt> Explain() const;
  // Why nobody was found within `waited_us`: the message sums the table up.
  Status Failure(Time waited_us) const noexcept;

 private:
  // An address that may be dialled, and what this search knows of it.
  struct Place {
    std::string address;  // as dialled
    Role role = Role::kVoter;
    bool seed = false;
    bool learned = false;  // named by a server only: forgotten when the next search begins
    bool gone = false;     // no list names it any more; here for its backoff only
    bool refused = false;  // by the redirect policy
    bool noted = false;    // the refusal is in the table
    bool hinted = false;   // named as leader: next, as soon as `ready_at` allows
    uint32_t claims = 0;   // times it said to lead when it was asked
    uint64_t order = 0;    // the shuffle
    uint64_t round = 0;    // in which it was dialled last
    Time dialled_at = 0;
    Time failed_at = 0;
    Time ready_at = 0;  // not dialled before
    Time claim_at = 0;  // the next claim is not believed before
    Time backoff = 0;
  };

  // An attempt under way, or the observer that it became.
  struct Try {
    enum class State : uint8_t { kDialling, kIdle, kAsked };
    uint64_t id = 0;
    std::string address;  // as dialled
    Time since = 0;       // the dial, or the question
    Time wake = kNever;   // dialling: late; idle: ask again; asked: give up
    State state = State::kDialling;
    bool direct = false;  // one request's own, at the known leader; the rest is the search's
    std::string named;    // what the observer said last, as advertised
  };

  struct Request {
    uint64_t id = 0;
    Time since = 0;
    Time deadline = kNever;
    uint64_t attempt = 0;    // its own (Try::direct), or 0
    bool searching = false;  // waits for the shared search
  };

  // Requests (leader_search.cpp).
  void Expire(Time now);
  void RefuseAll(const Status& status);
  void Settle();
  void Dispatch(Time now);
  void Join(Request* request);
  void Begin();
  void JoinOwner(Try* attempt);
  void Found(size_t index, Time now);
  void Followed(size_t index, const Answer& answer, Time now);
  void Failed(size_t index, const Status& status, Time now);
  void Claimed(size_t index, Time now);
  void Rejected(size_t index, const Status& status);
  void Hedge(Time now);
  void PollObservers(Time now);
  void NewRound();
  void Ask(Try* observer, Time now);
  Time PollAt(Time now);

  // Attempts and candidates (leader_search_nodes.cpp).
  uint64_t Dial(const std::string& address, bool direct, Time now);
  void Pump(Time now) noexcept;
  void PumpOrThrow(Time now);
  void Start(Place* place, bool hinted, Time now);
  void DropAt(size_t index);
  void DropOldest(Time now);
  void Hint(const std::string& advertised, bool changed, bool news, Time now);
  bool KeepObserver(size_t index) const;
  void MarkFailed(const std::string& address, Time since, Time now);
  void Rebuild(Nodes seeds, Nodes members);
  Place* AddPlace(const std::string& address);
  void Merge(std::vector<Place>* places, const std::string& address, Role role, bool seed) const;
  bool Refused(const std::string& address) const;
  void NoteRefused(Place* place);
  void Sort();
  Place* FindPlace(const std::string& address);
  Place* NextHinted(Time now);
  Place* NextCandidate(Time now);
  size_t FindTry(uint64_t id) const;                     // attempts_.size() if there is none
  size_t FindAddress(const std::string& address) const;  // likewise
  size_t UnderWay() const;
  std::string Dialled(const std::string& advertised) const;
  Time LateAt(bool direct, Time now) const;
  static Time After(Time now, Time span) { return now > kNever - span ? kNever : now + span; }

  // The table (leader_search_explain.cpp). Best effort: without memory a row is missing.
  void Note(const Try& from, Phase phase, Code code, const std::string& leader,
            const std::string& cause) noexcept;
  void NoteFailure(const Try& from, const Status& status) noexcept;
  Code LateCode(const std::vector<Attempt>& rows) const;
  Status WithTable(const Status& status) const noexcept;

  const SearchOptions options_;
  Host* const host_;
  Counters counters_;
  Nodes seeds_;
  Nodes members_;
  std::vector<Place> places_;      // by role, shuffled within one
  std::vector<Try> attempts_;      // ascending ids
  std::vector<Request> requests_;  // oldest first
  std::vector<Attempt> rows_;
  std::string leader_;
  bool suspect_ = false;  // the leader was lost: asked first, but by the search
  bool searching_ = false;
  bool widened_ = false;
  uint64_t round_ = 0;
  Time begun_at_ = 0;  // the search
  Time round_at_ = kNever;
  Time retry_at_ = kNever;         // of what memory ran out for
  Time now_ = 0;                   // the latest that we were told
  std::array<Time, 4> took_ = {};  // the last look-ups, one after the other
  Time took_at_ = 0;
  size_t took_next_ = 0;
  uint64_t last_attempt_ = 0;
  Random random_;
};

}  // namespace dqc::client
