/* SPDX-License-Identifier: MIT */
// What the application submits operations to, and how it is told of them.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "net/event_queue.hpp"
#include "net/loop.hpp"
#include "session/operation.hpp"

namespace dqc::net {

class Connection;
class QueuedOperation;
class Transaction;

// A connection, or a client that picks one for each operation. All of it: any thread where the loop
// is threaded, or attached to a uv loop that is running; else its owner.
class Target : public RefCounted<Target> {
 public:
  // The operation's `out` and `target` are set. An error means: not accepted, no event will follow.
  virtual Status Submit(IntrusivePtr<QueuedOperation> op) = 0;
  virtual Status Cancel(uint64_t op_id) = 0;
  virtual Status Pause(uint64_t op_id, bool pause) = 0;
  // These cannot fail: for what a _free function starts.
  virtual void PostCancel(QueuedOperation* op) noexcept = 0;
  virtual void Resume(QueuedOperation* op) noexcept = 0;
  virtual void GiveUp() noexcept = 0;            // the application's handle is gone
  virtual void AbandonAfterFork() noexcept = 0;  // child of a fork: closes descriptors, no more

  uint64_t NextOperationId() { return next_op_id_.fetch_add(1, std::memory_order_relaxed); }
  Loop* loop() const { return loop_.get(); }
  EventQueue* out() const { return out_.get(); }

 protected:
  friend class RefCounted<Target>;
  Target(IntrusivePtr<Loop> loop, IntrusivePtr<EventQueue> out, uint64_t first_op_id)
      : loop_(std::move(loop)), out_(std::move(out)), next_op_id_(first_op_id) {}
  virtual ~Target() = default;
  void Dispose() { delete this; }

  // Begins a call of the application's: false where the loop is another thread's.
  bool OnLoopThread() const { return loop_->Own(); }

  const IntrusivePtr<Loop> loop_;
  const IntrusivePtr<EventQueue> out_;

 private:
  std::atomic<uint64_t> next_op_id_;
};

// An operation that knows where its events go and whose it is.
class QueuedOperation : public session::Operation {
 public:
  IntrusivePtr<EventQueue> out;
  IntrusivePtr<Target> target;          // submitted to; does not change
  IntrusivePtr<Connection> connection;  // runs on; the loop's thread
  bool owned = false;                   // its end is told to the connection's owner
  IntrusivePtr<Transaction> tx;         // that it begins or ends
  Status failure;                       // kEnd: why it is rolled back; ok: it is committed
  bool rolls_back = false;              // kEnd: even if `failure` is ok
  bool again = false;                   // kEnd: it was rolled back, and is to be run again
  std::string node;  // of a client's: to be asked in the leader's place; empty: the leader
  bool cut = false;  // of a client's: ran on a leader that was silent, and was cut off

  uint32_t holder = 0;  // of the lease that it was submitted through; 0: of none
  bool silent = false;  // its end is told to nobody

  uint64_t failures_before = 0;  // a COMMIT: of its connection, when it was asked for
  bool untold = false;           // it failed, and the application has not heard of it
  uint32_t untold_by = 0;        // the holder of the connection then

  QueuedOperation();
  ~QueuedOperation() override;

  void Told() noexcept;  // its end is being delivered, or nobody wants to hear of it
  void Discard() noexcept final {
    Told();
    Release();
  }

  // Rows were used up: the stream may go on. Any thread.
  void Consumed(uint64_t bytes) noexcept;
  void RowsDiscarded(uint64_t wire_bytes) noexcept override { Consumed(wire_bytes); }
  // Where rows arrive on the loop's thread.
  virtual void PushRows(IntrusivePtr<session::Batch> batch) noexcept;

  // Runs `run` with the operation on the loop's thread; holds a reference until then. A second of
  // its kind before that is left out. Cannot fail.
  enum class Way : uint8_t { kSubmit, kResume, kCancel };
  void Post(Way way, Loop* loop, void (*run)(IntrusivePtr<QueuedOperation>&& op) noexcept) noexcept;

 protected:
  void ResetQueued();

 private:
  struct Posted : Command {
    QueuedOperation* op = nullptr;
    void (*then)(IntrusivePtr<QueuedOperation>&& op) noexcept = nullptr;
    std::atomic<bool> under_way{false};
  };
  Posted posted_[3];
};

// Who made a connection on behalf of the application, and is told first of what becomes of it. On
// the loop's thread, the connection's session is not inside a call.
class ConnectionOwner {
 public:
  // May only note it: called from within the session.
  virtual void OnOwnedDone(IntrusivePtr<QueuedOperation> op) noexcept = 0;
  // After each entry into the connection: the place to act.
  virtual void OnConnection(Connection* connection) noexcept = 0;
  virtual void OnReturned(Connection* connection) noexcept = 0;  // a lease is over

 protected:
  ~ConnectionOwner() = default;
};

}  // namespace dqc::net
