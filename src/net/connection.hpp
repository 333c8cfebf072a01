/* SPDX-License-Identifier: MIT */
#pragma once

#include <uv.h>

#include <memory>
#include <new>
#include <string>

#include "net/dialer.hpp"
#include "net/event_queue.hpp"
#include "net/hooks.hpp"
#include "net/loop.hpp"
#include "net/target.hpp"
#include "net/transport.hpp"
#include "session/session.hpp"

namespace dqc::net {

struct ConnectionOptions {
  session::SessionOptions session;
  SocketOptions socket;
  std::string address;
  int64_t stagger_us = 300'000;
  bool quick_ack = true;
};

// A session on a loop: moves bytes between it and a transport, and keeps its time. Outlives the
// application's handle while it has a socket.
class Connection final : public Target, private session::Sink, private Dialer::Owner {
 public:
  Connection(IntrusivePtr<Loop> loop, IntrusivePtr<EventQueue> out, ConnectionOptions options,
             IntrusivePtr<Hooks> hooks);

  Status Submit(IntrusivePtr<QueuedOperation> op) override;
  Status Cancel(uint64_t op_id) override;
  Status Pause(uint64_t op_id, bool pause) override;
  void PostCancel(QueuedOperation* op) noexcept override;
  void Resume(QueuedOperation* op) noexcept override;
  void GiveUp() noexcept override;  // ends everything, drains, closes
  void AbandonAfterFork() noexcept override;

  static Status GivenBack();  // why a lease cannot be used any more

  // --- any thread
  void PostSubmit(const IntrusivePtr<QueuedOperation>& op) noexcept;
  void Return() noexcept;  // whom it was leased to is done with it; once per lease
  static constexpr int kDialByLibrary = -2;  // in the place of a descriptor
  void DialDone(int fd, std::string_view message) noexcept;
  session::State state() const { return state_.load(std::memory_order_acquire); }
  session::Era era() const { return era_.load(std::memory_order_acquire); }
  session::TxState transaction() const { return transaction_.load(std::memory_order_acquire); }
  // A COMMIT that the application asks for now: not before what is under way, nor behind a failure
  // that it has not been told of.
  void HoldBack(QueuedOperation* commit) const noexcept;
  void Told(uint32_t holder) noexcept;  // of a failure; on the thread that delivers
  const std::string& address() const { return options_.address; }

  // --- the loop's thread, for the owner
  void SetOwner(ConnectionOwner* owner, void* data) { owner_ = owner, owner_data_ = data; }
  void* owner_data() const { return owner_data_; }
  const session::Session& session() const { return session_; }
  Status Run(IntrusivePtr<QueuedOperation> op);  // Submit, of an operation that counts already
  void CancelHere(uint64_t op_id) noexcept;
  void PauseHere(uint64_t op_id, bool pause) noexcept;
  void ResumeHere() noexcept;
  void CancelAll() noexcept;
  void Cut(const Status& status) noexcept;  // as if it had broken
  // Another lease begins, or one ends: what was before is nothing to the next, and what comes late is
  // refused. Tells the number of the new one.
  uint32_t NewHolder() noexcept;
  // Since when the node owes an answer and says nothing; kNever if it owes none.
  session::Time silent_since() const {
    return session_.wants_read() ? owed_since_ : session::kNever;
  }

  // --- the loop's own
  Connection* next = nullptr;
  bool dirty = false;
  void Flush() noexcept;
  Connection* next_closer = nullptr;
  void EndClose() noexcept;  // tells the application now that the connection is closed

 private:
  ~Connection() override;

  Status Connect(IntrusivePtr<QueuedOperation> op);
  Status Close(IntrusivePtr<QueuedOperation> op);
  void RunClose(IntrusivePtr<QueuedOperation> op) noexcept;
  void StartConnecting(IntrusivePtr<QueuedOperation> op) noexcept;
  Status StartDial();
  Status StartDialer();
  void CountFailure(QueuedOperation* op) noexcept;
  void OnRows(IntrusivePtr<session::Batch> batch) noexcept override;
  void OnDone(IntrusivePtr<session::Operation> op) noexcept override;
  void OnDialed(Result<int> fd) noexcept override;
  void OnSocket(int status, int events) noexcept;
  void OnTimer() noexcept;
  enum class Got : uint8_t { kNothing, kSome, kFull };  // kFull: all there was room for
  Got ReadSome();
  void ReadAll();
  void ListenFirst();
  void WriteSome();
  void Log(LogLevel level, const char* event, std::string_view message) noexcept;
  void Publish() noexcept;     // what other threads may ask for; before they hear of it in an event
  void AfterEntry() noexcept;  // after any call into the session
  void KeepUp() noexcept;      // interest, timer, end of life
  void UpdateInterest();
  void UpdateTimer();
  void TearDown() noexcept;
  template <typename Work>
  void Guarded(Work work) noexcept;
  template <typename Work>
  Status Tell(Work work);

  const ConnectionOptions options_;
  const IntrusivePtr<Hooks> hooks_;
  session::Session session_;
  std::atomic<uint64_t> failures_{0};  // of SQL, so far; written by the loop's thread
  std::atomic<uint64_t> untold_{0};    // number of the holder << 32 | failures it has not heard of
  std::atomic<uint32_t> silent_{0};  // failures that only a COMMIT can tell of, in this transaction
  ConnectionOwner* owner_ = nullptr;
  void* owner_data_ = nullptr;
  IntrusivePtr<Dialer> dialer_;
  std::unique_ptr<Transport> transport_;
  std::atomic<int> fd_{-1};
  uv_poll_t* poll_ = nullptr;
  uv_timer_t* timer_ = nullptr;
  session::Time timer_at_ = session::kNever;
  int interest_ = 0;
  bool write_blocked_ = false;
  IntrusivePtr<QueuedOperation> close_op_;      // while the loop knows it as a closer
  bool registered_ = false;                     // counted in the loop, holds a reference to itself
  session::Time flushed_at_ = 0;                // of the last request, for adaptive polling
  session::Time owed_since_ = session::kNever;  // or when it was heard of last; for the owner
  session::Time alive_at_ = 0;  // the peer was there: when what it answered was sent
  session::State logged_ = session::State::kNew;
  std::atomic<session::State> state_{session::State::kNew};
  std::atomic<session::Era> era_{session::Era::kUnknown};
  std::atomic<session::TxState> transaction_{session::TxState::kNone};
  struct OwnCommand : Command {
    Connection* connection = nullptr;
  };
  OwnCommand give_up_;
  OwnCommand returned_;
  std::atomic<bool> gave_up_{false};
  OwnCommand dialed_;
  int dialed_fd_ = -1;
  char dialed_message_[256] = "";
};

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

}  // namespace dqc::net
