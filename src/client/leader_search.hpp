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

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.hpp"
#include "client/node.hpp"
#include "session/operation.hpp"

namespace dqc::client {

using session::kNever;
using session::Time;

struct SearchOptions {
  Time hedge_us = 200'000;        // an attempt that is this late is given company
  uint32_t parallel = 10;         // attempts at a time, once widened
  Time poll_us = 50'000;          // observers are asked this often, jittered by a quarter
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
  // Carries out what the search decides. May not call back into it.
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
    // A round begins: the place to read the node list again, by SetNodes.
    virtual void OnRound() = 0;
    virtual void OnLeader(const std::string& address) = 0;  // confirmed, and another than before

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

  void Want(uint64_t request, Time deadline, Time now);  // ends in Give or Refuse, perhaps at once
  void Cancel(uint64_t request);                         // no Give or Refuse any more
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
};

}  // namespace dqc::client
