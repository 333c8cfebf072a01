/* SPDX-License-Identifier: MIT */
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "base/intrusive.hpp"
#include "base/status.hpp"
#include "session/batch.hpp"
#include "session/sql.hpp"
#include "wire/protocol.hpp"
#include "wire/writer.hpp"

namespace dqc::session {

using Time = uint64_t;  // microseconds of a monotonic clock
inline constexpr Time kNever = UINT64_MAX;

class Operation;

// Part of an operation that is one frame on the wire, in the order of sending.
enum class Step : uint8_t {
  kProbeExec,
  kProbePrepare,
  kProbeLeader,
  kLeader,
  kClient,
  kOpen,
  kMain,   // the operation's own request
  kBegin,  // of a transaction of ours around it
  kCommit,
  kRollback,
  kPrepare,  // of a script's statement
  kFinalize,
  kGrowBuffer,  // see AppendGrowBuffer
  kSentinel,    // its reply ahead of a stream's end proves that the stream died
};

struct Request {
  Request* next = nullptr;  // list of requests outstanding, or spare
  Operation* op = nullptr;  // holds a reference; null for the session's own
  wire::Bytes frame;
  size_t sent = 0;  // bytes handed to the transport
  Step step = Step::kMain;
  wire::RequestType type = wire::RequestType::kLeader;
  wire::ResponseType reply = wire::ResponseType::kEmpty;
  bool effect = false;    // may change the database or the cluster once it is sent
  bool embedded = false;  // lives in its Operation

  // The reply may be large, and goes out in parts that the application has to take.
  bool streamed() const {
    return reply == wire::ResponseType::kRows || reply == wire::ResponseType::kFiles;
  }
  bool sent_whole() const { return sent == frame.size() && !frame.empty(); }
};

enum class OpKind : uint8_t {
  kConnect,
  kClose,
  kStatement,
  kScript,
  kPrepare,
  kFinalize,
  kAdmin,
  kAcquire,
  kEnd  // of a transaction
};

// Does the connection stay with whoever submitted a statement, once that succeeded? kWriter: it waits
// for its turn to write, and keeps it.
enum class Lease : uint8_t { kNone, kFree, kWriter };

// A statement prepared on the server. Touched by the session's thread only, but for the immutable
// fields.
struct PreparedStatement {
  uint32_t id = 0;
  uint64_t params = 0;
  sql::Statement text;                // what the scanner says of it
  IntrusivePtr<ResultHeader> header;  // of its last execution: spares parsing the names again
};

// What the application asked for. The submitter holds one reference, each request on the wire
// another; the terminal event travels with a reference of its own.
class Operation : public RefCounted<Operation>, public Deliverable {
 public:
  Operation* next = nullptr;  // the session's waiting list
  uint64_t id = 0;
  OpKind kind = OpKind::kStatement;
  Time deadline = kNever;

  // Set by the submitter.
  Request main;
  std::string sql;           // scripts: the text
  sql::Statement statement;  // of a kStatement or kPrepare
  uint64_t param_count = 0;
  uint32_t statement_count = 1;  // in the text; more than one only for exec without parameters
  bool discard_rows = false;
  bool blocking = false;  // its caller does nothing else meanwhile
  bool servers_with_roles = true;
  // Of an ADD: the role to assign once the node is a member.
  struct Join {
    uint64_t node_id = 0;
    uint64_t role = 0;
    bool wanted = false;
  } join;
  PreparedStatement* prepared = nullptr;  // of a prepared execution; the submitter keeps it alive
  bool held_back = false;  // a COMMIT of the application's: leaves when all before it is answered
  Status behind;  // …and not at all: what failed before it, and the application had not heard
  std::atomic<bool> unwatched{false};  // whether it fails interests nobody any more

  // Flow of rows: written on both sides.
  std::atomic<uint64_t> unconsumed_bytes{0};
  std::atomic<bool> paused{false};           // by the application
  std::atomic<bool> no_backpressure{false};  // the rest is being buffered for a cursor
  std::atomic<bool> stalled{false};  // the session stopped reading for it: tell it of consumption

  // Results, valid in the terminal event.
  Status status;
  int64_t last_insert_id = 0;
  uint64_t rows_affected = 0;
  bool has_rows_affected = false;
  bool has_last_insert_id = false;
  uint32_t statements_done = 0;
  uint32_t stmt_id = 0;  // kPrepare
  uint64_t stmt_params = 0;

  // The pool's own (client/pool.hpp).
  uint64_t ticket = 0;  // order of submission
  Time queued_at = 0;
  Time retry_at = 0;
  uint32_t tries = 0;
  Status last;                // why it is tried again
  bool perhaps_done = false;  // an earlier try was perhaps executed
  bool grouped = false;       // runs inside a transaction of the pool's
  bool in_doubt = false;      // was cut off behind what perhaps ended it, and perhaps ran by itself
  bool stay_alone = false;    // never in a group
  bool idempotent = false;    // may run again even if it was perhaps executed
  bool strong = false;  // a read that must see every write acknowledged before it was submitted
  Lease keeps = Lease::kNone;

  // The session's own.
  bool completed = false;    // the terminal event is out; what still arrives is thrown away
  bool abandoned = false;    // completed while requests of it were outstanding
  bool effect_done = false;  // an earlier step may have changed something for good
  // A transaction that the script itself began is open; it ends with the connection.
  bool script_transaction = false;
  // It failed, and all that it did is in that transaction: a rollback makes it not executed.
  bool undone_by_rollback = false;
  bool any_batch = false;
  uint64_t rows_seen = 0, frames_seen = 0, bytes_seen = 0;
  Status saved;  // multi-step: the failure to report after cleaning up
  bool own_transaction = false;
  bool rolling_back = false;       // the ROLLBACK of that transaction is outstanding
  bool script_as_exec = false;     // the server refused this statement by QUERY
  bool script_whole_rest = false;  // the statement did not end where the scanner thought
  size_t script_offset = 0;        // of the statement that runs
  size_t script_next = 0;          // behind it
  PreparedStatement script_statement;
  IntrusivePtr<ResultHeader> header;  // of the result that arrives

  // The statement that runs.
  const sql::Statement& running() const {
    return kind == OpKind::kScript ? script_statement.text : statement;
  }
  // It failed, and what was submitted behind it may not be committed before that is known.
  bool stops_commit() const {
    const bool sql = kind == OpKind::kStatement || kind == OpKind::kScript;
    return sql && !status.ok() && !unwatched;
  }
  // It failed, and may be submitted once more, to this session or another.
  bool can_run_again() const;
  void PrepareToRunAgain();

  // Rows and the terminal event reach the application; called where events are delivered.
  virtual void DeliverRows(IntrusivePtr<Batch> batch) noexcept = 0;
  virtual void DeliverDone() noexcept = 0;
  virtual void RowsDiscarded(uint64_t wire_bytes) noexcept = 0;  // nobody will take them
  void Deliver() noexcept final {
    DeliverDone();
    Release();
  }
  void Discard() noexcept override { Release(); }
  virtual void Dispose() { delete this; }  // back to a pool, where there is one

 protected:
  friend class RefCounted<Operation>;
  Operation() = default;
  virtual ~Operation() = default;
  void ResetOperation();  // as new, memory kept

 private:
  void ResetResults();
};

// Where a session's events go: they must be queued, never acted upon at once. All noexcept, none
// may allocate.
class Sink {
 public:
  virtual void OnRows(IntrusivePtr<Batch> batch) noexcept = 0;   // batch->op tells whose
  virtual void OnDone(IntrusivePtr<Operation> op) noexcept = 0;  // exactly once per operation

 protected:
  ~Sink() = default;
};

}  // namespace dqc::session
