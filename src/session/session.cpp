/* SPDX-License-Identifier: MIT */
#include "session/session.hpp"

#include <algorithm>
#include <new>
#include <utility>

namespace dqc::session {

namespace {

Status Cancelled() { return Status::Make(Code::kCancelled, "cancelled by the application"); }

}  // namespace

Session::Session(SessionOptions options, Sink* sink)
    : options_(std::move(options)), sink_(sink), pools_(options_.read_buffer) {}

Session::~Session() {
  Fail(Status::Make(Code::kClosed, "the connection was freed").With(Phase::kClose));
  while (spare_ != nullptr) {
    Request* next = spare_->next;
    delete spare_;
    spare_ = next;
  }
}

void Session::Connect(IntrusivePtr<Operation> op, Time) {
  state_ = State::kConnecting;
  if (!op) return;
  deadline_hint_ = std::min(deadline_hint_, op->deadline);
  connect_op_ = op.Detach();
}

void Session::TransportReady(Time now) {
  if (state_ != State::kConnecting) return;
  state_ = State::kHandshake;
  AppendHandshake();
  Pump(now);
}

void Session::OnLeaderReply(const wire::response::Server& reply) {
  leader_id_ = reply.id;
  leader_address_ = reply.address;
  if (follows_.ok()) return;
  ErrorInfo info(*follows_.info());
  info.message +=
      leader_address_.empty() ? "; it knows of no leader" : "; it names " + leader_address_;
  follows_ = Status::Make(info);
}

Status Session::Refuse() const {
  if (cut_idle_) return lost_;
  if (state_ == State::kNew) {
    return Status::Make(Code::kMisuse,
                        "the connection is not connected: call a connect function first");
  }
  if (!lost_.ok() && lost_.code() != Code::kClosed) {
    return Status::Make(Code::kClosed, "the connection to " + options_.node +
                                           " was lost earlier: " + lost_.info()->message);
  }
  return Status::Make(Code::kClosed, "the connection to " + options_.node + " is closed");
}

Status Session::Submit(IntrusivePtr<Operation> op, Time now) {
  const bool open =
      state_ == State::kConnecting || state_ == State::kHandshake || state_ == State::kReady;
  if (!open || !lost_.ok()) return Refuse();
  if (follows() && op->kind != OpKind::kAdmin) return follows_;
  if (options_.database.empty() && op->kind != OpKind::kAdmin) {
    return Status::Make(
        Code::kMisuse,
        "the connection has no database (option \"database\" is empty): no SQL on it");
  }
  if (pending_.size() >= options_.queue_max && op->kind != OpKind::kFinalize) {
    return Status::Make(Code::kLimit,
                        "already " + std::to_string(pending_.size()) +
                            " operations wait on this connection (option \"queue_max\")");
  }
  deadline_hint_ = std::min(deadline_hint_, op->deadline);
  pending_.PushBack(op.Detach());
  try {
    Pump(now);
  } catch (const std::bad_alloc&) {  // accepted: the failure reaches it as an event
    Fail(Status::OutOfMemory());
    starting_ = nullptr;
  }
  WatchIdle(now);
  return {};
}

void Session::Complete(Operation* op, Status status) noexcept {
  if (op->completed) return;
  op->completed = true;
  if (building_ && building_->op == op) FlushBatch();
  op->status = std::move(status);
  if (op == init_.get()) return;  // nobody's
  if (op->stops_commit()) StopCommits(*op);
  sink_->OnDone(IntrusivePtr<Operation>::Share(op));
}

// Those that wait behind it: whoever fails while others wait is ahead of all in pending_.
void Session::StopCommits(const Operation& failed) noexcept {
  for (Operation* op = pending_.front(); op != nullptr; op = op->next) {
    if (op->held_back && op->behind.ok()) op->behind = failed.status;
  }
}

// The outcome follows from what the steps of the operation did. A transaction of its own that is
// still open on a connection that lives (`open`) may yet be committed, or rolled back.
void Session::CompleteFailed(Operation* op, const Status& status, bool open) noexcept {
  if (op->completed) return;
  op->undone_by_rollback = op->script_transaction && !op->effect_done;
  const bool maybe = op->effect_done || (open && op->script_transaction);
  Complete(op, status.With(maybe ? Outcome::kMaybeExecuted : Outcome::kNotExecuted));
}

// The one request of `op` that is outstanding, or null.
Request* Session::RequestOf(const Operation* op) const {
  Request* r = outstanding_.front();
  while (r != nullptr && r->op != op) r = r->next;
  return r;
}

// Ends an operation that was started. What has not left is taken back; the reply to what has is
// thrown away when it comes.
void Session::Abandon(Operation* op, const Status& status, Time now) {
  Request* request = RequestOf(op);
  const bool unsent = request != nullptr && request->sent == 0;
  if (request != nullptr && request->effect && !unsent) op->effect_done = true;
  CompleteFailed(op, status, true);
  op->abandoned = true;
  const bool bound = request != nullptr && (request->step == Step::kRollback ||
                                            (request->step == Step::kCommit && op->script_as_exec));
  if (unsent && !bound) return Withdraw(op, request, now);
  if (request != nullptr) {
    ++abandoned_requests_;
    RollBackNow(op, *request);
    const bool last = request->step == Step::kMain || request->step == Step::kPrepare;
    if (last && !op->own_transaction) EndExclusive(op);  // nothing of it will follow
  }
  UpdateDraining(now);
}

// Takes back a request no byte of which has left, and ends what was begun before it.
void Session::Withdraw(Operation* op, Request* request, Time now) {
  const auto held = IntrusivePtr<Operation>::Share(op);
  const Step step = request->step;
  if (send_next_ == request) send_next_ = request->next;
  outstanding_.Remove(request);
  in_flight_bytes_ -= request->frame.size();
  Recycle(request);
  if (exclusive_ != op) {
    op->abandoned = false;  // nothing is left of it here: it may run elsewhere
    return;
  }
  if (op->own_transaction) {
    UpdateDraining(now);
    return StepDone(op, Step::kMain, op->status, now);  // rolls back
  }
  if (step == Step::kPrepare) {
    FinishScript(op, Status());
  } else {
    FinishStatement(op, Status());
  }
}

void Session::StartDraining(Time now) {
  if (drain_deadline_ != kNever) return;
  const Time patience = DrainsToTheEnd() ? options_.drain_us_era_d : options_.drain_us;
  drain_deadline_ = patience >= kNever - now ? kNever - 1 : now + patience;
  drained_bytes_ = 0;
}

bool Session::DrainsToTheEnd() const noexcept {
  return WayOf(Feature::kDrainBeforeClose, era_) == Way::kNeeded;
}

void Session::DropDrained(const char* why, const char* option) {
  const char* const era = DrainsToTheEnd() ? "_era_d" : "";
  Fail(Status::Make(Code::kNetwork, "connection to " + options_.node + " dropped: " + why +
                                        " of option \"" + option + era + "\"")
           .With(Phase::kResult)
           .WithNode(options_.node));
}

// Is the next answer that of something nobody waits for any more?
bool Session::WaitsForLeftovers() const {
  const Request* head = outstanding_.front();
  if (head == nullptr) return exclusive_ != nullptr && exclusive_->abandoned;
  return head->op != nullptr ? head->op->abandoned : abandoned_requests_ > 0;
}

// Each thing that was left behind has the whole budget, from its turn on: what is in front of it has
// its own time. A close has one budget for all.
void Session::UpdateDraining(Time now) {
  const bool progress = std::exchange(drain_progress_, false);
  if (state_ == State::kClosing || state_ == State::kClosed) return;
  const bool waits = WaitsForLeftovers();
  if (progress || !waits) drain_deadline_ = kNever;
  if (waits) StartDraining(now);
}

// Among those that have been started.
Operation* Session::Find(uint64_t op_id) const {
  if (exclusive_ != nullptr && exclusive_->id == op_id) return exclusive_;
  for (Request* r = outstanding_.front(); r != nullptr; r = r->next) {
    if (r->op != nullptr && r->op->id == op_id) return r->op;
  }
  return nullptr;
}

void Session::Pause(uint64_t op_id, bool pause, Time now) {
  Operation* found = Find(op_id);
  for (Operation* op = pending_.front(); op != nullptr && found == nullptr; op = op->next) {
    if (op->id == op_id) found = op;
  }
  if (found == nullptr || found == init_.get()) return;
  found->paused = pause;
  pause ? WatchIdle(now) : Process(now);
}

void Session::Cancel(uint64_t op_id, Time now) {
  for (Operation* op = pending_.front(); op != nullptr; op = op->next) {
    if (op->id != op_id) continue;
    pending_.Remove(op);
    op->unwatched = true;
    Complete(op, Cancelled().With(Phase::kRequest));
    op->Release();
    return WatchIdle(now);
  }
  if (connect_op_ != nullptr && connect_op_->id == op_id)
    return Fail(Cancelled().With(Phase::kConnect));
  Operation* found = Find(op_id);
  if (found == nullptr || found->completed || found == init_.get()) return;
  found->unwatched = true;
  Abandon(found, Cancelled().With(Phase::kResult), now);
  Process(now);  // a paused stream may flow again, to be thrown away
}

void Session::CancelAll(Time now) {
  const auto stays = [this](const Operation& op) {
    return op.completed || op.kind == OpKind::kFinalize || &op == init_.get();
  };
  IntrusiveFifo<Operation> keep;
  while (Operation* op = pending_.PopFront()) {
    if (stays(*op)) {
      keep.PushBack(op);
      continue;
    }
    Complete(op, Cancelled().With(Phase::kRequest));
    op->Release();
  }
  pending_ = keep;
  for (Request *r = outstanding_.front(), *next = nullptr; r != nullptr; r = next) {
    next = r->next;
    if (r->op != nullptr && !stays(*r->op)) Abandon(r->op, Cancelled().With(Phase::kResult), now);
  }
  if (exclusive_ != nullptr && !stays(*exclusive_))
    Abandon(exclusive_, Cancelled().With(Phase::kResult), now);
  Process(now);
}

void Session::FailPending(const Status& status) noexcept {
  while (Operation* op = pending_.PopFront()) {
    Complete(op, status);
    op->Release();
  }
}

// The server dropped the session: what is in flight still gets its own answer, nothing new is
// accepted.
void Session::Lose(const Status& status) {
  if (lost_.ok()) lost_ = status;
  FailPending(Status::Make(Code::kSessionLost, "the connection to " + options_.node +
                                                   " lost its session: " + status.info()->message)
                  .With(Phase::kRequest)
                  .WithNode(options_.node));
}

void Session::Fail(const Status& status) noexcept {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  if (lost_.ok()) lost_ = status;
  NoteCut();
  FlushBatch();
  const auto finish = [&](Operation* op) { CompleteFailed(op, status, false); };
  for (Request* r = outstanding_.front(); r != nullptr; r = r->next) {
    if (r->op != nullptr && r->effect && r->sent_whole()) r->op->effect_done = true;
  }
  if (connect_op_ != nullptr) {
    finish(connect_op_);
    std::exchange(connect_op_, nullptr)->Release();
  }
  send_next_ = nullptr;
  if (Request* r = std::exchange(making_, nullptr)) Recycle(r);
  while (outstanding_.front() != nullptr) {
    Request* r = outstanding_.front();
    if (r->op != nullptr) finish(r->op);
    Retire(r);
  }
  if (exclusive_ != nullptr) {
    finish(exclusive_);
    std::exchange(exclusive_, nullptr)->Release();
  }
  if (handling_) finish(handling_.get());
  if (starting_) finish(starting_.get());
  FailPending(status.With(Outcome::kNotExecuted));
  if (close_op_ != nullptr) {
    Complete(close_op_, Status());
    std::exchange(close_op_, nullptr)->Release();
  }
  chunk_ = nullptr;
  parsed_ = filled_ = 0;
  init_ = nullptr;
  deadline_hint_ = drain_deadline_ = idle_deadline_ = kNever;
}

void Session::Close(IntrusivePtr<Operation> op, bool give_up, Time now) {
  const Status closed =
      Status::Make(Code::kClosed, "the connection is being closed").With(Phase::kClose);
  if (state_ == State::kClosed || state_ == State::kNew) {
    state_ = State::kClosed;
    if (op) Complete(op.get(), Status());
    return;
  }
  if (op && close_op_ != nullptr)
    return Complete(op.get(), Status::Make(Code::kMisuse, "already being closed"));
  if (op) close_op_ = op.Detach();
  if (state_ == State::kConnecting || state_ == State::kHandshake) return Fail(closed);
  state_ = State::kClosing;
  FailPending(closed);
  // Row streams end for the application now; a write in flight keeps its right to an answer while
  // it drains.
  for (Request *r = outstanding_.front(), *next = nullptr; r != nullptr; r = next) {
    next = r->next;
    const bool end_now = give_up || r->streamed();
    if (r->op != nullptr && !r->op->completed && end_now) Abandon(r->op, closed, now);
  }
  if (exclusive_ != nullptr && !exclusive_->completed) Abandon(exclusive_, closed, now);
  StartDraining(now);
  Process(now);
  FinishIfDrained();
}

void Session::FinishIfDrained() {
  if (!outstanding_.empty() || exclusive_ != nullptr) return;
  if (state_ == State::kClosing) {
    Fail(Status::Make(Code::kClosed, "the connection was closed").With(Phase::kClose));
  } else if (!lost_.ok() && state_ != State::kClosed) {
    Fail(lost_);
  }
}

Time Session::next_deadline() const {
  if (state_ == State::kClosed || state_ == State::kNew) return kNever;
  return std::min({deadline_hint_, drain_deadline_, idle_deadline_});
}

void Session::ExpireOperations(Time now) {
  const Status late = Status::Make(Code::kTimeout, "deadline passed; node " + options_.node);
  deadline_hint_ = kNever;
  IntrusiveFifo<Operation> keep;
  while (Operation* op = pending_.PopFront()) {
    if (op->deadline > now) {
      deadline_hint_ = std::min(deadline_hint_, op->deadline);
      keep.PushBack(op);
      continue;
    }
    Complete(op, late.With(Phase::kRequest));
    op->Release();
  }
  pending_ = keep;
  const auto check = [&](Operation* op) {
    if (op->completed) return;
    if (op->deadline > now) {
      deadline_hint_ = std::min(deadline_hint_, op->deadline);
    } else {
      Abandon(op, late.With(Phase::kResult), now);
    }
  };
  for (Request *r = outstanding_.front(), *next = nullptr; r != nullptr; r = next) {
    next = r->next;
    if (r->op != nullptr) check(r->op);
  }
  if (exclusive_ != nullptr) check(exclusive_);
}

Phase Session::Reached() const {
  if (state_ == State::kConnecting) return Phase::kConnect;
  if (state_ != State::kHandshake) return Phase::kRequest;
  return init_ ? Phase::kOpen : Phase::kHandshake;
}

void Session::OnDeadline(Time now) {
  if (state_ == State::kClosed || state_ == State::kNew) return;
  if (connect_op_ != nullptr && connect_op_->deadline <= now) {
    const Phase phase = Reached();
    const char* const what = phase == Phase::kConnect ? " while connecting"
                             : phase == Phase::kOpen  ? " to the script of option \"init_sql\""
                                                      : " to the handshake";
    return Fail(Status::Make(Code::kTimeout, "no answer in time from " + options_.node + what)
                    .With(phase)
                    .WithNode(options_.node));
  }
  if (drain_deadline_ <= now) {
    return DropDrained("what a cancelled operation left behind did not end within the time",
                       "drain_timeout");
  }
  if (deadline_hint_ <= now) {
    ExpireOperations(now);
    if (connect_op_ != nullptr) deadline_hint_ = std::min(deadline_hint_, connect_op_->deadline);
  }
  if (idle_deadline_ <= now && TransactionIdles()) return CutIdle(now);
  Process(now);
}

void Session::Resume(Time now) { Process(now); }

void Session::ReceivedEof() {
  const bool handshake = Reached() == Phase::kHandshake;
  Fail(Status::Make(Code::kNetwork,
                    "node " + options_.node + " closed the connection" +
                        (handshake ? " during the handshake: is it a dqlite node?" : ""))
           .With(Reached())
           .WithNode(options_.node));
}

}  // namespace dqc::session
