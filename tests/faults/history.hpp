/* SPDX-License-Identifier: MIT */
// What the workers of dqc-faults asked for, what they were told, and what was done to the cluster
// meanwhile: the checker compares them with what the database holds.
#pragma once

#include <dqclient/dqclient.h>

#include <atomic>
#include <cstdint>
#include <limits>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace dqc::faults {

// Microseconds of the steady clock.
using Us = int64_t;
Us Now();
constexpr Us Ms(int64_t ms) { return ms * 1000; }
constexpr Us kNever = std::numeric_limits<Us>::max();

enum class Kind {
  kInsert,     // autocommit, from a crowd: group commit forms
  kAlone,      // the same with DQC_CALL_ALONE
  kReturning,  // INSERT … RETURNING through the pool
  kPrepared,   // INSERT by a prepared statement on a leased connection
  kMarked,     // INSERT in a transaction whose COMMIT is looked up where in doubt
  kBlocking,   // INSERT by the blocking call
  kScript,     // two INSERTs in a script with BEGIN and COMMIT: both or none
  kTwo,        // two INSERTs in one exec, each by itself
  kCounter,    // UPDATE … SET n = n + 1: running it twice shows
  kTransfer,   // bank: a transaction on a leased connection
  kAppend,     // list: reads the last number, then writes the next one
  kSum,        // all balances in one SELECT
  kRead,       // the counter, on a leased connection
  kStrong,     // the counter, by a strong read
  kLease,      // parts of the above, judged by their events only
  kStatement,
  kCount
};
const char* KindName(Kind kind);
inline bool IsIdInsert(Kind kind) { return kind <= Kind::kBlocking; }
inline bool IsPair(Kind kind) { return kind == Kind::kScript || kind == Kind::kTwo; }
inline bool IsWrite(Kind kind) { return kind <= Kind::kAppend; }

enum class Outcome { kOpen, kRefused, kOk, kExecuted, kMaybe, kNotExecuted, kCount };
const char* OutcomeName(Outcome outcome);

class Caller;

struct Op {
  Kind kind = Kind::kStatement;
  Outcome outcome = Outcome::kOpen;
  bool logical = false;    // a transaction: no operation of the library
  bool cancelled = false;  // before its end, by us
  int terminals = 0;
  dqc_status code = DQC_OK;
  int32_t server_code = 0;
  int64_t id = 0, key = 0, value = 0;  // by kind
  Us submitted = 0, ended = 0, deadline = kNever;
  std::string message;  // of a failure

  // While it runs.
  Caller* caller = nullptr;
  uint64_t handle = 0;
  dqc_conn* on = nullptr;  // borrowed; null: through the client
  Us cancel_at = kNever;
  int64_t rows = 0, cells[2] = {0, 0};  // of the first row
  dqc_conn* conn = nullptr;             // of an acquire
  dqc_stmt* stmt = nullptr;             // of a prepare

  bool Ok() const { return outcome == Outcome::kOk; }
  bool Done() const { return outcome != Outcome::kOpen; }
  std::string Text() const;
};

// What must never happen. Any thread.
class Violations {
 public:
  void Add(const std::string& kind, const std::string& what);
  size_t count() const { return count_; }
  std::map<std::string, size_t> ByKind() const;

 private:
  mutable std::mutex mutex_;
  std::atomic<size_t> count_{0};
  std::map<std::string, size_t> by_kind_;  // guarded by mutex_
};

// When something was done to the cluster, or it changed its leader. Any thread.
class FaultLog {
 public:
  // A consequence may show so long after the end of a fault: elections, connections that are found
  // dead, nodes that catch up.
  static constexpr Us kGrace = Ms(3000);

  size_t Begin(const std::string& kind);
  void End(size_t index);
  void Add(const std::string& kind, Us from, Us to);
  bool Overlaps(Us from, Us to) const;
  // How much of this time no fault can explain anything.
  Us Free(Us from, Us to) const;
  // How much of this time the whole process got no CPU; such windows are no faults.
  void AddStall(Us from, Us to);
  Us Stalled(Us from, Us to) const;
  std::map<std::string, size_t> ByKind() const;

 private:
  struct Window {
    std::string kind;
    Us from, to;
  };
  mutable std::mutex mutex_;
  std::vector<Window> windows_, stalls_;  // guarded by mutex_
};

// What the workers do just now, as the nemesis says. Any thread.
struct Phase {
  std::atomic<bool> stop{false}, cancels{false}, short_deadlines{false};
};

// Bugs of the adapter between workers and library, to see whether the checker finds them.
enum class Plant {
  kNone,
  kLostWrite,    // acknowledged and never sent
  kDoubleWrite,  // sent twice
  kDenied,       // done, and reported as not executed
  kLostEvent,
  kDoubleEvent,
  kLateEvent,
  kBaselessMaybe,
  kTornTransfer,
  kListGap,
  kBackInTime,
  kStaleRead,
  kCount
};
const char* PlantName(Plant plant);
const char* PlantFinding(Plant plant);  // the kind of violation that it must lead to

class Planter {
 public:
  explicit Planter(Plant plant) : plant_(plant) {}
  // True now and then for the planted bug. Any thread.
  bool Fire(Plant plant) { return plant == plant_ && ++calls_ % kEvery == 0; }
  Plant plant() const { return plant_; }

 private:
  static constexpr uint64_t kEvery = 5;
  const Plant plant_;
  std::atomic<uint64_t> calls_{0};
};

}  // namespace dqc::faults
