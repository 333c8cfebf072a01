/* SPDX-License-Identifier: MIT */
// One connection to one node as a state machine: handshake, requests in flight, replies in order,
// row streams, deadlines. It takes bytes and gives bytes, and knows no socket, clock or thread; any
// split of the input gives the same rows and the same terminal events.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/limits.hpp"
#include "base/status.hpp"
#include "session/batch.hpp"
#include "session/failure.hpp"
#include "session/operation.hpp"
#include "session/safety.hpp"
#include "session/transaction.hpp"
#include "wire/files.hpp"
#include "wire/message.hpp"

namespace dqc::session {

enum class CellTypes : uint8_t { kRaw = 0, kSqlite = 1, kGo = 2 };

struct SessionOptions {
  std::string node;      // address, for messages
  std::string database;  // empty: no OPEN; administration only
  uint64_t client_id = 0;
  Limits limits;
  CellTypes cell_types = CellTypes::kRaw;
  uint64_t pipeline_bytes = 64 << 10;
  uint64_t read_buffer = 64 << 10;
  uint64_t high_water = 1 << 20;
  uint64_t buffer_max = 64 << 20;
  uint64_t queue_max = 65536;
  // Ask who leads before anything else: a node that does not lead stays connected, for administration
  // only. Its connect operation fails with kNotLeader.
  bool ask_leader = false;
  bool legacy = false;  // the protocol word of servers before 1.0; later ones know it too
  bool grow_server_buffer = true;  // see AppendGrowBuffer; tests of exact requests go without
  uint64_t drain_bytes = 1 << 20, drain_bytes_era_d = 1ull << 30;
  Time drain_us = 1'000'000, drain_us_era_d = 60'000'000;
  std::string init_sql;          // a script that runs before anything else; empty: none
  Time idle_transaction_us = 0;  // a transaction that nobody uses for so long is cut off; 0: never
};

enum class State : uint8_t { kNew, kConnecting, kHandshake, kReady, kClosing, kClosed };

class Session {
 public:
  Session(SessionOptions options, Sink* sink);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // --- life
  void Connect(IntrusivePtr<Operation> op,
               Time now);  // the transport is being made; operations may wait
  void TransportReady(Time now);
  // An error means: not accepted, no event will follow.
  Status Submit(IntrusivePtr<Operation> op, Time now);
  void Cancel(uint64_t op_id, Time now);
  void CancelAll(Time now);  // whoever used the session leaves it to the next
  // op: nullable, told when closed. With `give_up` nobody waits for answers: every operation ends
  // now.
  void Close(IntrusivePtr<Operation> op, bool give_up, Time now);
  // The transport broke, could not be made, or memory ran out. For good; never allocates what it
  // cannot do without.
  void Fail(const Status& status) noexcept;
  void Pause(uint64_t op_id, bool pause, Time now);
  void Resume(Time now);  // rows were consumed

  // --- bytes in
  struct Space {
    uint8_t* data;
    size_t size;
  };
  Space ReceiveSpace();  // where to read to; valid until the next call of any other function
  void Received(size_t size, Time now);
  void ReceivedEof();
  bool wants_read() const;
  bool wants_quick_ack() const;  // more messages are due: an ACK must not wait (design 5)

  // --- bytes out
  struct Slice {
    const uint8_t* data;
    size_t size;
  };
  size_t Pull(Slice* out, size_t slices_max) const;  // number of slices
  void Sent(size_t size);
  bool has_output() const { return send_next_ != nullptr; }

  // --- time
  Time next_deadline() const;
  Phase Reached() const;  // what a connection that breaks now was about
  void OnDeadline(Time now);

  State state() const { return state_; }
  Era era() const { return era_; }
  const Status& lost() const { return lost_; }
  // As of the last answer.
  TxState transaction() const { return transaction_.state(); }
  bool inside_transaction() const { return transaction_.inside(); }
  bool write_strayed() const { return transaction_.strayed(); }  // also when it is closed
  // Counts what was given up too, whose answer is still to come.
  bool may_be_in_transaction() const;
  bool cut_idle() const { return cut_idle_; }  // lost() because of idle_transaction_us
  // With ask_leader, once connected: what the node said. id 0: it knows of no leader.
  bool follows() const { return !follows_.ok(); }
  uint64_t leader_id() const { return leader_id_; }
  const std::string& leader_address() const { return leader_address_; }
  bool idle() const { return outstanding_.empty() && pending_.empty(); }

 private:
  // session.cpp: life and deadlines
  void Complete(Operation* op, Status status) noexcept;
  void CompleteFailed(Operation* op, const Status& status, bool open) noexcept;
  void Abandon(Operation* op, const Status& status, Time now);
  Request* RequestOf(const Operation* op) const;
  void Withdraw(Operation* op, Request* request, Time now);
  Operation* Find(uint64_t op_id) const;
  void StopCommits(const Operation& failed) noexcept;
  void Lose(const Status& status);
  void FailPending(const Status& status) noexcept;
  void FinishIfDrained();
  void ExpireOperations(Time now);
  void StartDraining(Time now);
  bool DrainsToTheEnd() const noexcept;  // the server leaks what is dropped in mid-stream
  void DropDrained(const char* why, const char* option);
  bool WaitsForLeftovers() const;
  void UpdateDraining(Time now);
  Status Refuse() const;

  // session_transaction.cpp: what the answers say of the transaction, and one that nobody uses
  void Answered(Operation* op, Step step, Status status, Time now);
  void NoteCut() noexcept;
  void NoteAnswer(const Operation& op, Step step, const Status& status) noexcept;
  bool TransactionIdles() const;
  void WatchIdle(Time now);
  void CutIdle(Time now);

  // session_init.cpp: the end of the handshake
  void Opened(Time now);
  void BecomeReady();
  void EndInit();

  // session_send.cpp: what goes out
  void Pump(Time now);
  void RefuseCommit(Operation* op);
  const Operation* CursorAhead() const;
  void RefuseBehindCursor();
  bool NeedsEra(const Operation& op) const;
  void Start(Operation* op, Time now);
  void AppendHandshake();
  void Append(Request* request) noexcept;
  void AppendSentinel();
  void AppendGrowBuffer();
  void SeparateFromStream();
  Request* NewRequest(Step step, Operation* op);
  template <typename M>
  void AppendMessage(Step step, Operation* op, wire::RequestType type, wire::ResponseType reply,
                     const M& message, uint8_t schema = 0, bool effect = false);
  void Retire(Request* request) noexcept;
  void Recycle(Request* request) noexcept;

  // session_receive.cpp: what comes in
  void Process(Time now);
  void HandleFrames(Time now);
  bool Blocked() const;
  void HandleFrame(const wire::Header& header, const uint8_t* body, Time now);
  void OnFailure(Request* head, const uint8_t* body, size_t size, Time now);
  void OnReply(Request* head, const wire::Header& header, const uint8_t* body, Time now);
  Status TakeReply(const Request& head, const wire::Header& header, const uint8_t* body,
                   wire::response::Stmt* stmt);
  static void TakeResult(const Request& head, const wire::response::Result& result);
  Status ProtocolError(const std::string& what) const;
  Status TooLarge(const wire::Header& header) const;
  Status Malformed(const Status& why) const;

  // session_rows.cpp: the rows of a result
  bool IsRows(const wire::Header& header) const;
  void BeginSkipping(const wire::Header& header, Time now);
  bool SkipRows(Time now);
  void OnRows(Request* head, const uint8_t* body, size_t size, Time now);
  bool ReadColumns(Operation* op, wire::Reader& reader, Time now);
  bool TakeRows(Operation* op, wire::Reader& reader, wire::RowsEnd* end, Time now);
  void ConvertCells(Batch* batch, size_t from) const;
  void OnStreamDied(Request* head);
  void SkipDrained(size_t size);
  void StartBatch(Operation* op);
  void FlushBatch() noexcept;

  // session_plan.cpp: operations of several requests
  void StepDone(Operation* op, Step step, Status status, Time now);
  void AppendEnd(Operation* op, Step step);
  void RollBackNow(Operation* op, const Request& last);
  void StartExclusive(Operation* op);
  void EndExclusive(Operation* op);
  void RunStatement(Operation* op);
  void AppendRun(Operation* op);
  bool FallBackToExec(Operation* op, const Status& status);
  bool AssignAfterAdd(Operation* op, Status* status);
  void FinishStatement(Operation* op, Status status);
  void NoteScriptStatement(Operation* op);
  void ScriptNext(Operation* op);
  void ScriptPrepared(Operation* op, uint32_t stmt_id, uint64_t params, uint64_t tail);
  void ScriptPrepareFailed(Operation* op, Status status);
  void FinishScript(Operation* op, Status status);

  // session_files.cpp: the answer to DUMP
  bool IsDump(const wire::Header& header) const;
  void BeginFiles(const wire::Header& header, Time now);
  bool TakeFiles(Time now);
  void SkipFiles();
  void DeliverPiece(Operation* op);
  void EndFiles(Request* head, Time now);

  // session_admin.cpp: replies that become rows
  void OnLeaderReply(const wire::response::Server& reply);
  Status AdminRows(Operation* op, const wire::Header& header, const uint8_t* body);

  SessionOptions options_;
  Sink* const sink_;
  Pools pools_;
  State state_ = State::kNew;
  Era era_ = Era::kUnknown;
  uint64_t probe_exec_code_ = 0;
  bool server_buffer_grown_ = false;  // or about to be
  Status lost_;                       // why nothing can be submitted any more
  Status follows_;                    // that the node does not lead; nothing but administration
  uint64_t leader_id_ = 0;
  std::string leader_address_;

  // References are held by: pending_ one each, each Request one, and the three pointers one each.
  IntrusiveFifo<Operation> pending_;
  IntrusiveFifo<Request> outstanding_;
  Request* send_next_ = nullptr;  // first request of outstanding_ with bytes to send
  Request* spare_ = nullptr;      // spent requests
  Request* making_ = nullptr;     // in no list yet: memory may run out before it is
  uint64_t in_flight_bytes_ = 0;  // frames of outstanding_
  Transaction transaction_;
  Time idle_deadline_ = kNever;  // set while TransactionIdles()
  bool cut_idle_ = false;
  IntrusivePtr<Operation> init_;    // the script of init_sql, while it runs
  Operation* exclusive_ = nullptr;  // nothing else starts while it runs
  Operation* connect_op_ = nullptr;
  Operation* close_op_ = nullptr;
  // In no list while it is handled, so that it is told even if memory runs out in the middle.
  IntrusivePtr<Operation> handling_;
  IntrusivePtr<Operation> starting_;

  // Receive buffer: [parsed_, filled_) of chunk_ is not handled yet.
  IntrusivePtr<Chunk> chunk_;
  size_t parsed_ = 0;
  size_t filled_ = 0;
  std::optional<wire::FilesReader> files_;  // while it stands in the body of a FILES
  uint64_t skipping_ = 0;  // bytes to come of a ROWS that exceeds limits.message_bytes
  IntrusivePtr<Batch> building_;
  std::vector<std::string_view> names_;  // scratch
  bool processing_ = false;

  Time deadline_hint_ = kNever;  // no deadline is earlier
  Time drain_deadline_ = kNever;
  uint64_t drained_bytes_ = 0;
  uint32_t abandoned_requests_ = 0;
  bool drain_progress_ = false;  // something abandoned was answered
};

}  // namespace dqc::session
