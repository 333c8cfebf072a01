/* SPDX-License-Identifier: MIT */
#include "net/connection.hpp"

#include <sys/socket.h>
#include <unistd.h>

namespace dqc::net {

using session::kNever;
using session::State;

namespace {

constexpr int kReadsPerTurn = 16;  // then other connections have their turn
constexpr size_t kSlicesPerWrite = 64;
constexpr session::Time kQuietUs = 200;

Status Unheard() {
  return Status::Make(Code::kSql, "its own end, which is yet to be delivered, says how");
}

}  // namespace

Connection::Connection(IntrusivePtr<Loop> loop, IntrusivePtr<EventQueue> out,
                       ConnectionOptions options, IntrusivePtr<Hooks> hooks)
    : Target(std::move(loop), std::move(out), 1),
      options_(std::move(options)),
      hooks_(std::move(hooks)),
      session_(options_.session, this) {
  give_up_.connection = returned_.connection = dialed_.connection = this;
}

Connection::~Connection() = default;

void Connection::Log(LogLevel level, const char* event, std::string_view message) noexcept {
  if (!hooks_ || !hooks_->wants(level) || gave_up_) return;
  try {
    hooks_->Log(this, level, event, options_.address, message);
  } catch (const std::bad_alloc&) {
    // A record less; the operations concerned say it themselves.
  }
}

// ---------------------------------------------------------------------------------------------
// submission

Status Connection::Submit(IntrusivePtr<QueuedOperation> op) {
  op->connection = IntrusivePtr<Connection>::Share(this);
  if (op->kind == session::OpKind::kConnect) return Connect(std::move(op));
  if (op->kind == session::OpKind::kClose) return Close(std::move(op));
  if (op->kind == session::OpKind::kStatement && op->statement.kind == sql::Kind::kCommit) {
    HoldBack(op.get());
  }
  if (!OnLoopThread()) {
    PostSubmit(op);
    return {};
  }
  loop_->OperationStarted();
  Status status = Run(std::move(op));
  if (!status.ok()) loop_->OperationDone();
  loop_->EventReadyOutside();
  return status;
}

Status Connection::Run(IntrusivePtr<QueuedOperation> op) {
  const auto held = IntrusivePtr<Connection>::Share(this);
  if (op->kind == session::OpKind::kConnect) {
    StartConnecting(std::move(op));
    return {};
  }
  if (op->holder != 0 && op->holder != static_cast<uint32_t>(untold_ >> 32)) return GivenBack();
  if (op->held_back && op->behind.ok() && op->failures_before != failures_) op->behind = Unheard();
  Status status;
  try {
    status = session_.Submit(IntrusivePtr<session::Operation>::Adopt(op.Detach()), Loop::Now());
  } catch (const std::bad_alloc&) {
    status = Status::OutOfMemory();
  }
  AfterEntry();
  return status;
}

void Connection::PostSubmit(const IntrusivePtr<QueuedOperation>& op) noexcept {
  loop_->OperationStarted();
  op->connection = IntrusivePtr<Connection>::Share(this);
  op->Post(QueuedOperation::Way::kSubmit, loop_.get(),
           [](IntrusivePtr<QueuedOperation>&& self) noexcept {
             const IntrusivePtr<Connection> connection = self->connection;
             Status status = connection->Run(self);
             if (status.ok()) return;
             self->status = std::move(status);
             connection->OnDone(IntrusivePtr<session::Operation>::Share(self.get()));
           });
}

Status Connection::Connect(IntrusivePtr<QueuedOperation> op) {
  State expected = State::kNew;
  if (!state_.compare_exchange_strong(expected, State::kConnecting)) {
    return Status::Make(Code::kMisuse, "the connection was connected before: make a new one");
  }
  loop_->OperationStarted();
  if (OnLoopThread()) {
    StartConnecting(std::move(op));
    loop_->EventReadyOutside();
    return {};
  }
  op->Post(QueuedOperation::Way::kSubmit, loop_.get(),
           [](IntrusivePtr<QueuedOperation>&& self) noexcept {
             const IntrusivePtr<Connection> connection = self->connection;
             connection->StartConnecting(std::move(self));
           });
  return {};
}

Status Connection::Close(IntrusivePtr<QueuedOperation> op) {
  loop_->OperationStarted();
  if (OnLoopThread()) {
    RunClose(std::move(op));
    loop_->EventReadyOutside();
    return {};
  }
  op->Post(QueuedOperation::Way::kSubmit, loop_.get(),
           [](IntrusivePtr<QueuedOperation>&& self) noexcept {
             const IntrusivePtr<Connection> connection = self->connection;
             connection->RunClose(std::move(self));
           });
  return {};
}

void Connection::PostCancel(QueuedOperation* op) noexcept {
  op->Post(QueuedOperation::Way::kCancel, loop_.get(),
           [](IntrusivePtr<QueuedOperation>&& self) noexcept {
             const IntrusivePtr<Connection> connection = self->connection;
             if (connection) connection->CancelHere(self->id);
           });
}

void Connection::CancelHere(uint64_t op_id) noexcept {
  Guarded([&] { session_.Cancel(op_id, Loop::Now()); });
}

void Connection::PauseHere(uint64_t op_id, bool pause) noexcept {
  Guarded([&] { session_.Pause(op_id, pause, Loop::Now()); });
}

void Connection::ResumeHere() noexcept {
  Guarded([&] { session_.Resume(Loop::Now()); });
}

void Connection::CancelAll() noexcept {
  Guarded([&] { session_.CancelAll(Loop::Now()); });
}

void Connection::Cut(const Status& status) noexcept {
  Guarded([&] { session_.Fail(status); });
}

void Connection::RunClose(IntrusivePtr<QueuedOperation> op) noexcept {
  if (!close_op_) {
    close_op_ = op;
    loop_->AddCloser(this);
  }
  Guarded([&] {
    session_.Close(IntrusivePtr<session::Operation>::Adopt(op.Detach()), false, Loop::Now());
  });
}

void Connection::EndClose() noexcept {
  const IntrusivePtr<QueuedOperation> op = close_op_;
  op->completed = true;  // so that the session does not tell it again
  OnDone(IntrusivePtr<session::Operation>::Share(op.get()));
}

// Work on the session that is told apart by the operation's number: at once, or on the loop's
// thread.
template <typename Work>
Status Connection::Tell(Work work) {
  if (OnLoopThread()) {
    Guarded([&] { work(session_); });
    loop_->EventReadyOutside();
    return {};
  }
  struct TellCommand : Command {
    IntrusivePtr<Connection> connection;
    Work work;
    explicit TellCommand(Work w) : work(std::move(w)) {}
  };
  auto command = std::make_unique<TellCommand>(std::move(work));
  command->connection = IntrusivePtr<Connection>::Share(this);
  command->run = [](Command* base) noexcept {
    const std::unique_ptr<TellCommand> self(static_cast<TellCommand*>(base));
    self->connection->Guarded([&] { self->work(self->connection->session_); });
  };
  loop_->Post(command.release());
  return {};
}

Status Connection::Cancel(uint64_t op_id) {
  return Tell([op_id](session::Session& session) { session.Cancel(op_id, Loop::Now()); });
}

Status Connection::Pause(uint64_t op_id, bool pause) {
  return Tell(
      [op_id, pause](session::Session& session) { session.Pause(op_id, pause, Loop::Now()); });
}

void Connection::HoldBack(QueuedOperation* commit) const noexcept {
  commit->held_back = true;
  commit->failures_before = failures_;
  if (static_cast<uint32_t>(untold_) != 0 || silent_ != 0) commit->behind = Unheard();
}

// HoldBack, on another thread, reads the number of failures first: it is raised last here.
void Connection::CountFailure(QueuedOperation* op) noexcept {
  if (op->silent) {
    if (session_.transaction() != session::TxState::kNone) ++silent_;
  } else {
    op->untold_by = static_cast<uint32_t>(untold_++ >> 32);
    op->untold = true;
  }
  ++failures_;
}

uint32_t Connection::NewHolder() noexcept {
  silent_ = 0;
  untold_ = ((untold_ >> 32) + 1) << 32;
  return static_cast<uint32_t>(untold_ >> 32);
}

Status Connection::GivenBack() {
  return Status::Make(Code::kClosed, "the connection was given back to its client");
}

void Connection::Told(uint32_t holder) noexcept {
  uint64_t before = untold_;
  while (before >> 32 == holder && !untold_.compare_exchange_weak(before, before - 1)) {
  }
}

void Connection::Resume(QueuedOperation* op) noexcept {
  op->Post(QueuedOperation::Way::kResume, loop_.get(),
           [](IntrusivePtr<QueuedOperation>&& self) noexcept {
             const IntrusivePtr<Connection> connection = self->connection;
             if (connection) connection->ResumeHere();
           });
}

void Connection::Return() noexcept {
  Retain();
  returned_.run = [](Command* command) noexcept {
    const auto self =
        IntrusivePtr<Connection>::Adopt(static_cast<OwnCommand*>(command)->connection);
    if (self->owner_ == nullptr) return self->GiveUp();
    self->owner_->OnReturned(self.get());
  };
  loop_->Post(&returned_);
}

void Connection::GiveUp() noexcept {
  if (gave_up_.exchange(true)) return;
  Retain();
  give_up_.run = [](Command* command) noexcept {
    const auto self =
        IntrusivePtr<Connection>::Adopt(static_cast<OwnCommand*>(command)->connection);
    self->Guarded([&] { self->session_.Close(nullptr, true, Loop::Now()); });
  };
  loop_->Post(&give_up_);
}

void Connection::AbandonAfterFork() noexcept {
  const int fd = fd_.exchange(-1);
  if (fd >= 0) close(fd);
}

// -------------------------------------------------------------------------------------------------
// ------ I/O

void Connection::OnSocket(int status, int events) noexcept {
  // With an error, as of a reset behind the last data, libuv has stopped the handle: AfterEntry
  // starts it again. Where nothing is to be read, the next write tells what it was.
  if (status != 0) {
    interest_ = 0;
    write_blocked_ = false;
  }
  Guarded([&] {
    if (status != 0 || (events & UV_READABLE) != 0) {
      for (int turn = 0; turn < kReadsPerTurn && session_.wants_read() && transport_; ++turn) {
        if (ReadSome() != Got::kFull) break;
      }
      if (options_.quick_ack && transport_ && session_.wants_quick_ack())
        transport_->AcknowledgeNow();
    }
    if ((events & UV_WRITABLE) != 0) write_blocked_ = false;
  });
  loop_->AfterCallback();
}

Connection::Got Connection::ReadSome() {
  const session::Session::Space space = session_.ReceiveSpace();
  const IoResult got = transport_->Read(space.data, space.size);
  switch (got.kind) {
    case IoResult::Kind::kAgain:
      return Got::kNothing;
    case IoResult::Kind::kOk: {
      const session::Time now = Loop::Now();
      if (owed_since_ != kNever) owed_since_ = now;
      alive_at_ = flushed_at_ != 0 ? flushed_at_ : now;
      if (flushed_at_ != 0) loop_->SawReplyAfter(now - std::exchange(flushed_at_, 0));
      session_.Received(got.size, now);
      if (session_.state() == State::kClosed) return Got::kNothing;
      return got.size == space.size ? Got::kFull : Got::kSome;
    }
    case IoResult::Kind::kEof:
      session_.ReceivedEof();
      return Got::kNothing;
    case IoResult::Kind::kError:
      break;
  }
  session_.Fail(Status::Make(Code::kNetwork, "connection to node " + options_.address +
                                                 " broke while reading: " +
                                                 uv_strerror(uv_translate_sys_error(got.error)))
                    .With(session_.Reached())
                    .WithNode(options_.address));
  return Got::kNothing;
}

void Connection::WriteSome() {
  while (session_.has_output() && !write_blocked_) {
    session::Session::Slice slices[kSlicesPerWrite];
    const size_t count = session_.Pull(slices, kSlicesPerWrite);
    const IoResult put = transport_->Write(slices, count);
    if (put.kind == IoResult::Kind::kAgain) {
      write_blocked_ = true;
      return;
    }
    if (put.kind == IoResult::Kind::kOk) {
      if (flushed_at_ == 0) flushed_at_ = Loop::Now();
      session_.Sent(put.size);
      continue;
    }
    // What the server said before it went away still counts.
    ReadAll();
    session_.Fail(Status::Make(Code::kNetwork, "connection to node " + options_.address +
                                                   " broke while writing: " +
                                                   uv_strerror(uv_translate_sys_error(put.error)))
                      .With(session_.Reached())
                      .WithNode(options_.address));
    return;
  }
}

// A peer that went away while the connection was quiet, and perhaps nobody ran the loop, has said so
// by now, be it behind an answer: what has not left then was certainly not executed.
void Connection::ListenFirst() {
  if (Loop::Now() - alive_at_ >= kQuietUs) ReadAll();
}

void Connection::ReadAll() {
  while (session_.wants_read() && ReadSome() != Got::kNothing) {
  }
}

void Connection::Flush() noexcept {
  if (!transport_) return;
  Guarded([&] {
    ListenFirst();
    WriteSome();
  });
}

void Connection::OnTimer() noexcept {
  timer_at_ = kNever;
  Guarded([&] { session_.OnDeadline(Loop::Now()); });
  loop_->AfterCallback();
}

// -------------------------------------------------------------------------------------------------
// - bookkeeping

void Connection::Publish() noexcept {
  era_.store(session_.era(), std::memory_order_release);
  transaction_.store(session_.transaction(), std::memory_order_release);
  const State state = session_.state();  // kNew: Connect() has said kConnecting
  if (state != State::kNew) state_.store(state, std::memory_order_release);
}

void Connection::AfterEntry() noexcept {
  const auto held = IntrusivePtr<Connection>::Share(this);
  KeepUp();
  if (owner_ != nullptr) owner_->OnConnection(this);
}

void Connection::KeepUp() noexcept {
  Publish();
  const State state = session_.state();
  if (state != std::exchange(logged_, state)) {
    if (state == State::kReady) Log(LogLevel::kInfo, "handshake", "ready");
    if (state == State::kClosed && session_.cut_idle()) {
      Log(LogLevel::kWarning, "idle", session_.lost().message());
    } else if (state == State::kClosed) {
      Log(LogLevel::kInfo, "close", session_.lost().message());
    }
  }
  if (state == State::kClosed) return TearDown();
  if (state == State::kNew) return;
  if (session_.idle() || owner_ == nullptr) {
    owed_since_ = kNever;
  } else if (owed_since_ == kNever) {
    owed_since_ = Loop::Now();
  }
  if (transport_ && session_.has_output() && !write_blocked_) loop_->MarkDirty(this);
  UpdateInterest();
  UpdateTimer();
}

void Connection::UpdateInterest() {
  if (poll_ == nullptr) return;
  const int wanted = (session_.wants_read() ? UV_READABLE : 0) | (write_blocked_ ? UV_WRITABLE : 0);
  if (wanted == interest_) return;
  interest_ = wanted;
  if (owed_since_ != kNever) owed_since_ = Loop::Now();  // not listened to is not silent
  loop_->InterestChanged();
  if (wanted == 0) {
    uv_poll_stop(poll_);
    return;
  }
  uv_poll_start(poll_, wanted, [](uv_poll_t* handle, int status, int events) {
    static_cast<Connection*>(handle->data)->OnSocket(status, events);
  });
}

void Connection::UpdateTimer() {
  if (timer_ == nullptr) return;
  const session::Time due = session_.next_deadline();
  if (due >= timer_at_) return;  // an early alarm looks again; a late one would be wrong
  timer_at_ = due;
  const session::Time now = Loop::Now();
  const uint64_t ms = due <= now ? 0 : (due - now + 999) / 1000;
  uv_update_time(loop_->uv());
  uv_timer_start(
      timer_, [](uv_timer_t* handle) { static_cast<Connection*>(handle->data)->OnTimer(); }, ms, 0);
  loop_->InterestChanged();
}

void Connection::TearDown() noexcept {
  if (dialer_) std::exchange(dialer_, nullptr)->Cancel();
  if (poll_ != nullptr) {
    uv_poll_t* poll = std::exchange(poll_, nullptr);
    uv_poll_stop(poll);
    uv_close(reinterpret_cast<uv_handle_t*>(poll), [](uv_handle_t* handle) {
      const std::unique_ptr<uv_poll_t> owned(reinterpret_cast<uv_poll_t*>(handle));
      const auto self = IntrusivePtr<Connection>::Adopt(static_cast<Connection*>(owned->data));
      self->loop_->DropConnection();
    });
  }
  fd_ = -1;
  transport_ = nullptr;
  if (!registered_) return;
  registered_ = false;
  if (timer_ == nullptr) {
    loop_->DropConnection();
    Release();
    return;
  }
  uv_timer_t* timer = std::exchange(timer_, nullptr);
  uv_timer_stop(timer);
  uv_close(reinterpret_cast<uv_handle_t*>(timer), [](uv_handle_t* handle) {
    const std::unique_ptr<uv_timer_t> owned(reinterpret_cast<uv_timer_t*>(handle));
    const auto self = IntrusivePtr<Connection>::Adopt(static_cast<Connection*>(owned->data));
    self->loop_->DropConnection();
  });
}

void Connection::OnRows(IntrusivePtr<session::Batch> batch) noexcept {
  auto* op = static_cast<QueuedOperation*>(batch->op);
  op->PushRows(std::move(batch));
}

void Connection::OnDone(IntrusivePtr<session::Operation> op) noexcept {
  Publish();
  auto* queued = static_cast<QueuedOperation*>(op.Detach());
  // Told of by a COMMIT that was refused, or of no interest any more.
  if (queued->held_back || session_.transaction() == session::TxState::kNone) silent_ = 0;
  if (queued->owned) {
    const auto owned = IntrusivePtr<QueuedOperation>::Adopt(queued);
    if (owner_ != nullptr) owner_->OnOwnedDone(owned);
    return;
  }
  if (queued->stops_commit()) CountFailure(queued);
  loop_->OperationDone();
  if (queued == close_op_.get()) {
    loop_->DropCloser(this);
    close_op_ = nullptr;
  }
  const IntrusivePtr<EventQueue> out = queued->out;
  if (!out) return queued->Discard();  // nobody wants to know
  out->Push(queued);
}

}  // namespace dqc::net
