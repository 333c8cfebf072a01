/* SPDX-License-Identifier: MIT */
#pragma once

#include <uv.h>

#include <memory>
#include <string>

#include "net/dialer.hpp"
#include "net/event_queue.hpp"
#include "net/loop.hpp"
#include "net/transport.hpp"
#include "session/session.hpp"

namespace dqc::net {

class Connection;

// An operation that knows where its events go and whose it is.
class QueuedOperation : public session::Operation {
 public:
  IntrusivePtr<EventQueue> out;
  IntrusivePtr<Connection> connection;

  // Rows were used up: the stream may go on. Any thread.
  void Consumed(uint64_t bytes) noexcept;
  void RowsDiscarded(uint64_t wire_bytes) noexcept override { Consumed(wire_bytes); }

 protected:
  void ResetQueued();

 private:
  friend class Connection;
  struct OwnCommand : Command {
    QueuedOperation* op = nullptr;
  };
  OwnCommand command_;  // submit, connect or close
  OwnCommand resume_;
  OwnCommand cancel_;
  std::atomic<bool> cancel_posted_{false};
  std::atomic<bool> resume_posted_{false};
};

struct ConnectionOptions {
  session::SessionOptions session;
  SocketOptions socket;
  std::string address;
  int64_t stagger_us = 300'000;
  bool quick_ack = true;
};

enum class LogLevel : int32_t { kError = 1, kWarning = 2, kInfo = 3, kDebug = 4 };

// What the application lends to a connection. Immutable, shared; called on the loop's thread.
class Hooks : public RefCounted<Hooks> {
 public:
  virtual bool dials() const = 0;
  // Answered by DialDone, once, now or later, from any thread. Throws bad_alloc.
  virtual void Dial(IntrusivePtr<Connection> connection) = 0;
  virtual bool wants(LogLevel level) const = 0;
  virtual void Log(Connection* connection, LogLevel level, const char* event,
                   std::string_view message) = 0;

 protected:
  friend class RefCounted<Hooks>;
  virtual ~Hooks() = default;
  void Dispose() { delete this; }
};

// A session on a loop: moves bytes between it and a transport, and keeps its time. Outlives the
// application's handle while it has a socket.
class Connection final : public RefCounted<Connection>,
                         private session::Sink,
                         private Dialer::Owner {
 public:
  Connection(IntrusivePtr<Loop> loop, IntrusivePtr<EventQueue> out, ConnectionOptions options,
             IntrusivePtr<Hooks> hooks);

  // --- any thread where the loop is threaded, else its owner. The operation's `out` and
  // `connection` are set.
  // An error means: not accepted, no event will follow.
  Status Connect(IntrusivePtr<QueuedOperation> op);
  Status Submit(IntrusivePtr<QueuedOperation> op);
  Status Close(IntrusivePtr<QueuedOperation> op);
  Status Cancel(uint64_t op_id);
  Status Pause(uint64_t op_id, bool pause);
  void Resume(QueuedOperation* op) noexcept;
  // Any thread, and they cannot fail: for what a _free function starts.
  void PostSubmit(IntrusivePtr<QueuedOperation> op) noexcept;
  void PostCancel(QueuedOperation* op) noexcept;

  // --- any thread
  void GiveUp() noexcept;  // the application's handle is gone: end everything, drain, close
  void DialDone(int fd, std::string_view message) noexcept;
  session::State state() const { return state_.load(std::memory_order_acquire); }
  session::Era era() const { return era_.load(std::memory_order_acquire); }
  uint64_t NextOperationId() { return next_op_id_.fetch_add(1, std::memory_order_relaxed); }
  Loop* loop() const { return loop_.get(); }
  EventQueue* out() const { return out_.get(); }
  const std::string& address() const { return options_.address; }
  void AbandonAfterFork() noexcept;  // child of a fork: closes the descriptor, touches nothing else

  // --- the loop's own
  Connection* next = nullptr;
  bool dirty = false;
  void Flush() noexcept;
  Connection* next_closer = nullptr;
  void EndClose() noexcept;  // tells the application now that the connection is closed

 private:
  friend class RefCounted<Connection>;
  ~Connection();
  void Dispose() { delete this; }

  void RunClose(IntrusivePtr<QueuedOperation> op) noexcept;
  bool OnLoopThread() const { return loop_->mode() != LoopMode::kThreaded; }
  void Accept(IntrusivePtr<QueuedOperation> op, void (*run)(Command*) noexcept) noexcept;
  void StartConnecting(IntrusivePtr<QueuedOperation> op) noexcept;
  Status StartDial();
  void OnRows(IntrusivePtr<session::Batch> batch) noexcept override;
  void OnDone(IntrusivePtr<session::Operation> op) noexcept override;
  void OnDialed(Result<int> fd) noexcept override;
  void OnSocket(int status, int events) noexcept;
  void OnTimer() noexcept;
  bool ReadSome();
  void WriteSome();
  void Log(LogLevel level, const char* event, std::string_view message) noexcept;
  void Publish() noexcept;     // what other threads may ask for; before they hear of it in an event
  void AfterEntry() noexcept;  // after any call into the session: interest, timer, end of life
  void UpdateInterest();
  void UpdateTimer();
  void TearDown() noexcept;
  template <typename Work>
  void Guarded(Work work) noexcept;
  template <typename Work>
  Status Tell(Work work);

  const IntrusivePtr<Loop> loop_;
  const IntrusivePtr<EventQueue> out_;
  const ConnectionOptions options_;
  const IntrusivePtr<Hooks> hooks_;
  session::Session session_;
  IntrusivePtr<Dialer> dialer_;
  std::unique_ptr<Transport> transport_;
  std::atomic<int> fd_{-1};
  uv_poll_t* poll_ = nullptr;
  uv_timer_t* timer_ = nullptr;
  session::Time timer_at_ = session::kNever;
  int interest_ = 0;
  bool write_blocked_ = false;
  IntrusivePtr<QueuedOperation> close_op_;  // while the loop knows it as a closer
  bool registered_ = false;                 // counted in the loop, holds a reference to itself
  session::Time flushed_at_ = 0;            // of the last request, for adaptive polling
  session::State logged_ = session::State::kNew;
  std::atomic<session::State> state_{session::State::kNew};
  std::atomic<session::Era> era_{session::Era::kUnknown};
  std::atomic<uint64_t> next_op_id_{1};
  struct OwnCommand : Command {
    Connection* connection = nullptr;
  };
  OwnCommand give_up_;
  std::atomic<bool> gave_up_{false};
  OwnCommand dialed_;
  int dialed_fd_ = -1;
  char dialed_message_[256] = "";
};

}  // namespace dqc::net
