/* SPDX-License-Identifier: MIT */
#include "net/connection.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace dqc::net {

using session::kNever;
using session::State;

namespace {

constexpr int kReadsPerTurn = 16;  // then other connections have their turn
constexpr size_t kSlicesPerWrite = 64;

}  // namespace

void QueuedOperation::ResetQueued() {
  ResetOperation();
  out = nullptr;
  connection = nullptr;
  resume_posted_ = cancel_posted_ = false;
}

void QueuedOperation::Consumed(uint64_t bytes) noexcept {
  unconsumed_bytes -= bytes;
  if (stalled.exchange(false) && connection) connection->Resume(this);
}

Connection::Connection(IntrusivePtr<Loop> loop, IntrusivePtr<EventQueue> out,
                       ConnectionOptions options, IntrusivePtr<Hooks> hooks)
    : loop_(std::move(loop)),
      out_(std::move(out)),
      options_(std::move(options)),
      hooks_(std::move(hooks)),
      session_(options_.session, this) {
  give_up_.connection = dialed_.connection = this;
}

Connection::~Connection() = default;

// Every entry from libuv and from commands: C frames are above, and memory may run out.
template <typename Work>
void Connection::Guarded(Work work) noexcept {
  const auto held = IntrusivePtr<Connection>::Share(this);
  try {
    work();
  } catch (const std::bad_alloc&) {
    session_.Fail(Status::OutOfMemory());
  }
  AfterEntry();
}

void Connection::Log(LogLevel level, const char* event, std::string_view message) noexcept {
  if (!hooks_ || !hooks_->wants(level) || gave_up_) return;
  try {
    hooks_->Log(this, level, event, message);
  } catch (const std::bad_alloc&) {
    // A record less; the operations concerned say it themselves.
  }
}

// ---------------------------------------------------------------------------------------------
// submission

void Connection::Accept(IntrusivePtr<QueuedOperation> op, void (*run)(Command*) noexcept) noexcept {
  loop_->OperationStarted();
  QueuedOperation* raw = op.Detach();
  raw->command_.op = raw;
  raw->command_.run = run;
  loop_->Post(&raw->command_);
}

Status Connection::Connect(IntrusivePtr<QueuedOperation> op) {
  State expected = State::kNew;
  if (!state_.compare_exchange_strong(expected, State::kConnecting)) {
    return Status::Make(Code::kMisuse, "the connection was connected before: make a new one");
  }
  if (!OnLoopThread()) {
    Accept(std::move(op), [](Command* command) noexcept {
      auto self = IntrusivePtr<QueuedOperation>::Adopt(
          static_cast<QueuedOperation::OwnCommand*>(command)->op);
      const IntrusivePtr<Connection> connection = self->connection;
      connection->StartConnecting(std::move(self));
    });
    return {};
  }
  loop_->OperationStarted();
  StartConnecting(std::move(op));
  loop_->EventReadyOutside();
  return {};
}

Status Connection::Submit(IntrusivePtr<QueuedOperation> op) {
  if (!OnLoopThread()) {
    PostSubmit(std::move(op));
    return {};
  }
  Status status;
  loop_->OperationStarted();
  const auto held = IntrusivePtr<Connection>::Share(this);
  try {
    status = session_.Submit(IntrusivePtr<session::Operation>::Adopt(op.Detach()), Loop::Now());
  } catch (const std::bad_alloc&) {
    status = Status::OutOfMemory();
  }
  if (!status.ok()) loop_->OperationDone();
  AfterEntry();
  loop_->EventReadyOutside();
  return status;
}

void Connection::PostSubmit(IntrusivePtr<QueuedOperation> op) noexcept {
  Accept(std::move(op), [](Command* command) noexcept {
    const auto self = IntrusivePtr<QueuedOperation>::Adopt(
        static_cast<QueuedOperation::OwnCommand*>(command)->op);
    const IntrusivePtr<Connection> connection = self->connection;
    connection->Guarded([&] {
      Status status;
      try {
        status = connection->session_.Submit(IntrusivePtr<session::Operation>::Share(self.get()),
                                             Loop::Now());
      } catch (const std::bad_alloc&) {
        status = Status::OutOfMemory();
      }
      if (status.ok()) return;
      self->status = std::move(status);
      connection->OnDone(IntrusivePtr<session::Operation>::Share(self.get()));
    });
  });
}

void Connection::PostCancel(QueuedOperation* op) noexcept {
  if (op->cancel_posted_.exchange(true)) return;
  op->Retain();
  op->cancel_.op = op;
  op->cancel_.run = [](Command* command) noexcept {
    const auto self = IntrusivePtr<QueuedOperation>::Adopt(
        static_cast<QueuedOperation::OwnCommand*>(command)->op);
    const IntrusivePtr<Connection> connection = self->connection;
    if (connection)
      connection->Guarded([&] { connection->session_.Cancel(self->id, Loop::Now()); });
  };
  loop_->Post(&op->cancel_);
}

Status Connection::Close(IntrusivePtr<QueuedOperation> op) {
  if (!OnLoopThread()) {
    Accept(std::move(op), [](Command* command) noexcept {
      auto self = IntrusivePtr<QueuedOperation>::Adopt(
          static_cast<QueuedOperation::OwnCommand*>(command)->op);
      const IntrusivePtr<Connection> connection = self->connection;
      connection->RunClose(std::move(self));
    });
    return {};
  }
  loop_->OperationStarted();
  RunClose(std::move(op));
  loop_->EventReadyOutside();
  return {};
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

void Connection::Resume(QueuedOperation* op) noexcept {
  if (op->resume_posted_.exchange(true)) return;
  op->Retain();
  op->resume_.op = op;
  op->resume_.run = [](Command* command) noexcept {
    auto self = IntrusivePtr<QueuedOperation>::Adopt(
        static_cast<QueuedOperation::OwnCommand*>(command)->op);
    self->resume_posted_ = false;
    const IntrusivePtr<Connection> connection = self->connection;
    if (connection) connection->Guarded([&] { connection->session_.Resume(Loop::Now()); });
  };
  loop_->Post(&op->resume_);
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
// - dialling

void Connection::StartConnecting(IntrusivePtr<QueuedOperation> op) noexcept {
  Guarded([&] {
    if (session_.state() != State::kNew) {  // a close call overtook it
      op->status = Status::Make(Code::kClosed, "the connection was closed").With(Phase::kClose);
      return OnDone(IntrusivePtr<session::Operation>::Adopt(op.Detach()));
    }
    Retain();  // while registered
    registered_ = true;
    loop_->AddConnection();
    session_.Connect(IntrusivePtr<session::Operation>::Adopt(op.Detach()), Loop::Now());
    auto timer = std::make_unique<uv_timer_t>();
    uv_timer_init(loop_->uv(), timer.get());
    timer->data = this;
    timer_ = timer.release();
    Log(LogLevel::kDebug, "connect", "connecting");
    const Status started = StartDial();
    if (!started.ok()) session_.Fail(started);
  });
}

Status Connection::StartDial() {
  if (hooks_ && hooks_->dials()) {
    hooks_->Dial(IntrusivePtr<Connection>::Share(this));
    return {};
  }
  dialer_ = IntrusivePtr<Dialer>::Adopt(new Dialer(loop_.get(), this, options_.stagger_us));
  return dialer_->Start(options_.address);
}

void Connection::DialDone(int fd, std::string_view message) noexcept {
  dialed_fd_ = fd;
  const size_t size = std::min(message.size(), sizeof(dialed_message_) - 1);
  std::memcpy(dialed_message_, message.data(), size);
  dialed_message_[size] = '\0';
  Retain();
  dialed_.run = [](Command* command) noexcept {
    const auto self =
        IntrusivePtr<Connection>::Adopt(static_cast<OwnCommand*>(command)->connection);
    const int socket = std::exchange(self->dialed_fd_, -1);
    if (socket >= 0) return self->OnDialed(socket);
    self->Guarded([&] {
      self->session_.Fail(Status::Make(Code::kConnect, "the application could not dial " +
                                                           self->options_.address + ": " +
                                                           self->dialed_message_)
                              .With(Phase::kConnect)
                              .WithNode(self->options_.address));
    });
  };
  loop_->Post(&dialed_);
}

void Connection::OnDialed(Result<int> fd) noexcept {
  dialer_ = nullptr;
  if (fd.ok() && session_.state() != State::kConnecting) {
    close(*fd);
    return;
  }
  Guarded([&] {
    if (!fd.ok()) {
      Log(LogLevel::kWarning, "connect", fd.status().message());
      return session_.Fail(fd.status());
    }
    int owned = *fd;
    try {
      transport_ = MakeSocketTransport(owned, options_.socket);
    } catch (const std::bad_alloc&) {
      close(owned);
      throw;
    }
    fd_ = owned;
    auto poll = std::make_unique<uv_poll_t>();
    if (const int rc = uv_poll_init(loop_->uv(), poll.get(), owned); rc != 0) {
      return session_.Fail(Status::Make(Code::kConnect, std::string("the socket to ") +
                                                            options_.address +
                                                            " cannot be polled: " + uv_strerror(rc))
                               .With(Phase::kConnect)
                               .WithNode(options_.address));
    }
    poll_ = poll.release();
    poll_->data = this;
    Retain();  // the handle's
    loop_->AddConnection();
    session_.TransportReady(Loop::Now());
  });
}

// -------------------------------------------------------------------------------------------------
// ------ I/O

void Connection::OnSocket(int status, int events) noexcept {
  // With an error, as of a reset behind the last data, libuv has stopped the handle: AfterEntry
  // starts it again.
  if (status != 0) interest_ = 0;
  Guarded([&] {
    if (status != 0 || (events & UV_READABLE) != 0) {
      for (int turn = 0; turn < kReadsPerTurn && session_.wants_read() && transport_; ++turn) {
        if (!ReadSome()) break;
      }
      if (options_.quick_ack && transport_ && session_.wants_quick_ack())
        transport_->AcknowledgeNow();
    }
    if ((events & UV_WRITABLE) != 0) write_blocked_ = false;
  });
  loop_->AfterCallback();
}

// True if there may be more to read at once.
bool Connection::ReadSome() {
  const session::Session::Space space = session_.ReceiveSpace();
  const IoResult got = transport_->Read(space.data, space.size);
  switch (got.kind) {
    case IoResult::Kind::kAgain:
      return false;
    case IoResult::Kind::kOk: {
      const session::Time now = Loop::Now();
      if (flushed_at_ != 0) loop_->SawReplyAfter(now - std::exchange(flushed_at_, 0));
      session_.Received(got.size, now);
      return got.size == space.size && session_.state() != State::kClosed;
    }
    case IoResult::Kind::kEof:
      session_.ReceivedEof();
      return false;
    case IoResult::Kind::kError:
      break;
  }
  session_.Fail(Status::Make(Code::kNetwork, "connection to node " + options_.address +
                                                 " broke while reading: " +
                                                 uv_strerror(uv_translate_sys_error(got.error)))
                    .With(Phase::kRequest)
                    .WithNode(options_.address));
  return false;
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
    while (session_.wants_read() && ReadSome()) {
    }
    session_.Fail(Status::Make(Code::kNetwork, "connection to node " + options_.address +
                                                   " broke while writing: " +
                                                   uv_strerror(uv_translate_sys_error(put.error)))
                      .With(Phase::kRequest)
                      .WithNode(options_.address));
    return;
  }
}

void Connection::Flush() noexcept {
  if (!transport_) return;
  Guarded([&] { WriteSome(); });
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
  const State state = session_.state();  // kNew: Connect() has said kConnecting
  if (state != State::kNew) state_.store(state, std::memory_order_release);
}

void Connection::AfterEntry() noexcept {
  const State state = session_.state();
  if (state != std::exchange(logged_, state)) {
    if (state == State::kReady) Log(LogLevel::kInfo, "handshake", "ready");
    if (state == State::kClosed) Log(LogLevel::kInfo, "close", session_.lost().message());
  }
  Publish();
  if (state == State::kClosed) return TearDown();
  if (state == State::kNew) return;
  if (transport_ && session_.has_output() && !write_blocked_) loop_->MarkDirty(this);
  UpdateInterest();
  UpdateTimer();
}

void Connection::UpdateInterest() {
  if (poll_ == nullptr) return;
  const int wanted = (session_.wants_read() ? UV_READABLE : 0) | (write_blocked_ ? UV_WRITABLE : 0);
  if (wanted == interest_) return;
  interest_ = wanted;
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
  static_cast<QueuedOperation*>(batch->op)->out->Push(batch.get());
  (void)batch.Detach();
}

void Connection::OnDone(IntrusivePtr<session::Operation> op) noexcept {
  Publish();
  loop_->OperationDone();
  auto* queued = static_cast<QueuedOperation*>(op.Detach());
  if (queued == close_op_.get()) {
    loop_->DropCloser(this);
    close_op_ = nullptr;
  }
  const IntrusivePtr<EventQueue> out = queued->out;
  if (!out) return queued->Discard();  // nobody wants to know
  out->Push(queued);
}

}  // namespace dqc::net
