/* SPDX-License-Identifier: MIT */
// The connections of a client and the operations that wait for one, as a pure state machine: what
// is to be done goes out through Host, what became of it comes in.
//
// Operations are served first come, first served. dqlite has one writer per database, so one write
// at a time leaves here and the others wait their turn, instead of meeting as BUSY on the server.
// What a server refused without executing it is run again within its deadline. Writes that arrived
// while another was under way share one transaction (group commit, design 4.7).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/intrusive.hpp"
#include "base/random.hpp"
#include "session/operation.hpp"

namespace dqc::client {

using session::kNever;
using session::Operation;
using session::Time;

struct PoolOptions {
  uint32_t min = 1;  // connections kept open once there was one
  uint32_t max = 10;
  Time idle_us = 300'000'000;  // a connection beyond `min` that idle is closed; 0: never
  Time lifetime_us = 0;        // a connection that old is replaced when it is free; 0: never
  Time check_us = 30'000'000;  // one that idle is checked before it is used; 0: never
  Time hope_us = 200'000;      // how long a check may take before another connection is opened
  uint64_t queue_max = 65536;  // operations waiting
  Time busy_min_us = 1'000;    // before a refused write is tried again; doubles, jittered
  Time busy_max_us = 100'000;
  uint32_t group_max = 512;    // writes that share a transaction; 1: each has its own
  Time schema_us = 1'000'000;  // how long an answer to AskSchema() holds
  uint64_t seed = 1;
};

struct PoolStats {
  uint32_t open = 0;  // connections in the pool, whatever they do
  uint32_t idle = 0;
  uint32_t leased = 0;
  uint32_t opening = 0;
  uint64_t waiting = 0;  // operations
  uint64_t submitted = 0, completed = 0;
  uint64_t opened = 0, closed = 0;  // connections, ever
  uint64_t retried_busy = 0, retried_leader = 0;
  uint64_t waited_us = 0;            // of all operations, for a connection or the write lock
  uint64_t groups = 0, grouped = 0;  // transactions shared, and writes in them
  uint64_t checks = 0;
};

class Pool {
 public:
  class Host {  // may not call back into the pool
   public:
    virtual void Want(uint64_t request) = 0;  // ends in OnOpened or OnRefused, unless unwanted
    virtual void Unwant(uint64_t request) = 0;
    virtual void Run(uint64_t conn, IntrusivePtr<Operation> op) = 0;    // ends in OnDone
    virtual void Lease(uint64_t conn, IntrusivePtr<Operation> op) = 0;  // ends in OnReturned
    virtual void Check(uint64_t conn) = 0;  // does it live, and lead? Ends in OnChecked
    virtual void Reset(uint64_t conn) = 0;  // end its transaction. Ends in OnChecked
    // Group commit. The members in between go through Run().
    virtual void Begin(uint64_t conn) = 0;   // ends in OnBegun
    virtual void Commit(uint64_t conn) = 0;  // ends in OnCommitted
    // Can a constraint or a trigger of the schema roll a transaction back? Ends in OnSchema.
    virtual void AskSchema(uint64_t conn) = 0;
    virtual void Discard(uint64_t conn) = 0;  // close it; no more is to be reported of it
    virtual void Finish(IntrusivePtr<Operation> op) = 0;  // its status is set
    // Why there is no connection yet, for an operation that waited in vain since `since`.
    virtual Status Failure(Time since, Time now) = 0;

   protected:
    ~Host() = default;
  };

  Pool(PoolOptions options, Host* host);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // Queues; Serve() starts it. An error means: not accepted, no event will follow.
  Status Submit(IntrusivePtr<Operation> op, Time now);
  void Serve(Time now);
  // Of an operation that waits here; false if it does not.
  bool Cancel(uint64_t op_id, Time now);
  Operation* Find(uint64_t op_id) const;

  void OnOpened(uint64_t request, uint64_t conn, Time now);
  void OnRefused(uint64_t request, const Status& status, Time now);  // for good
  // `clean`: nothing under way, certainly no transaction. The connection is reset first if not.
  void OnDone(uint64_t conn, IntrusivePtr<Operation> op, bool clean, Time now);
  void OnReturned(uint64_t conn, bool clean, Time now);
  void OnChecked(uint64_t conn, bool usable, Time now);
  void OnBegun(uint64_t conn, const Status& status, Time now);
  void OnCommitted(uint64_t conn, const Status& status, Time now);
  void OnSchema(uint64_t conn, bool may_roll_back, Time now);
  void OnClosed(uint64_t conn, Time now);  // it broke, or left its leader
  // A connection to the same node died or the node does not lead any more: look at the others.
  void CheckIdle(Time now);

  // Nothing is accepted any more; what waits ends with kClosed; connections are discarded as they
  // become free, at the latest by `deadline`. Done when empty().
  void Close(Time deadline, Time now);
  bool closing() const { return closing_; }
  bool empty() const { return conns_.empty(); }

  void EndAll(const Status& status);  // of what waits

  Time next_deadline() const;
  void OnDeadline(Time now);
  PoolStats stats() const;

 private:
  enum class State : uint8_t { kIdle, kRunning, kLeased, kChecking };

  // Writes that share a transaction on one connection.
  struct Member {
    IntrusivePtr<Operation> op;  // null once its caller was told
    bool answered = false;
  };
  struct Group {
    std::vector<Member> members;  // in order
    size_t running = 0;           // sent and not answered
    bool begun = false;
    bool committing = false;
    bool rolled_back = false;  // by a member's failure: what came behind it commits by itself
    Time commit_at = kNever;   // again, after a refusal
  };
  struct Conn {
    uint64_t id = 0;
    State state = State::kIdle;
    bool writes = false;  // runs a write
    std::unique_ptr<Group> group;
    bool suspect = false;  // to be checked before the next use
    Time hope = 0;         // being checked: until then it is counted on; 0: not any more
    Time opened = 0;
    Time used = 0;
  };

  Conn* FindConn(uint64_t id);
  void Remove(uint64_t id);
  void Discard(uint64_t id, Time now);
  Conn* FreeConn(Time now);
  void Check(Conn* conn, Time now);
  void SuspectAll();
  Operation* NextOperation();
  void Start(Conn* conn, Operation* op, Time now);
  void Open(Time now);
  void End(IntrusivePtr<Operation> op, Status status);
  void Tell(IntrusivePtr<Operation> op);
  bool RunAgain(const IntrusivePtr<Operation>& op, Time now);
  void Queue(const IntrusivePtr<Operation>& op, Time at);

  // pool_group.cpp
  bool StartGroup(Conn* conn, Time now);
  std::unique_ptr<Group> GatherGroup(Time now) noexcept;
  void OnMember(Conn* conn, IntrusivePtr<Operation> op, Time now);
  void MemberEnds(IntrusivePtr<Operation> op, Time now);
  void EndGroup(Group* group, const Status& status, Time now);
  void EndRolledBack(Group* group, Time now);
  void EndApart(Group* group, Time now);
  void EndCut(std::unique_ptr<Group> group, Time now);
  void CommitAgain(Time now);
  void ExpireMembers(Time now);
  void DropIfUnawaited(uint64_t id, Time now);
  bool CancelMember(uint64_t op_id, Time now);
  static Status Closed();
  static Time GroupDeadline(const Group& group);
  void ExpireOperations(Time now);
  void ReleaseDelayed(Time now);
  void CloseOld(Time now);

  const PoolOptions options_;
  Host* const host_;
  std::vector<Conn> conns_;           // the most recently used last
  std::vector<uint64_t> openings_;    // requests under way
  IntrusiveFifo<Operation> readers_;  // and leases; references held
  IntrusiveFifo<Operation> writers_;
  IntrusiveFifo<Operation> delayed_;  // refused, to run again at their retry_at
  uint64_t next_request_ = 1;
  uint64_t next_ticket_ = 1;
  Time deadline_hint_ = kNever;  // no deadline of a waiting operation is earlier
  Time schema_asked_ = 0;        // 0: never
  bool schema_rolls_back_ = true;
  bool had_connection_ = false;
  bool closing_ = false;
  Time close_deadline_ = kNever;
  Time grow_at_ = kNever;  // not before, while there are connections: the last new one was refused
  Random random_;
  PoolStats stats_;
};

}  // namespace dqc::client
