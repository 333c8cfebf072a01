/* SPDX-License-Identifier: MIT */
// The event loop in its three modes. Driven: the application calls Run. Attached: the application's
// own uv_loop_t.
// Threaded: a thread of ours. Connections live on it; calls from elsewhere reach it as commands.
#pragma once

#include <uv.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <thread>

#include "base/intrusive.hpp"
#include "base/result.hpp"
#include "net/event_queue.hpp"
#include "session/operation.hpp"

namespace dqc::net {

class Connection;

// Work for the loop's thread. Embedded where posting must not fail; run() consumes it.
struct Command {
  Command* next = nullptr;
  void (*run)(Command* self) noexcept = nullptr;
};

// How to wait for the next reply: asleep, or looking at the socket for a while first. Looking
// spares the wake-up, but on a crowded machine takes the CPU from the server: both ways are
// measured, and the quicker one is kept.
class WaitTuner {
 public:
  void SawReply(session::Time waited_us, bool looked);
  bool ShouldLook(int64_t poll_us) const;
  int64_t typical_us() const { return (look_ ? looked_ : slept_) / kScale; }

 private:
  static constexpr int64_t kScale = 16;  // of the averages to a microsecond
  int64_t slept_ = 0;                    // moving averages of the time to a reply
  int64_t looked_ = 0;
  uint32_t replies_ = 0;
  bool look_ = false;
};

enum class LoopMode : uint8_t { kDriven, kThreaded, kAttached };
enum class RunMode : uint8_t { kUntilIdle, kOnce, kNoWait };

class Loop : public RefCounted<Loop> {
 public:
  static Result<IntrusivePtr<Loop>> Make(LoopMode mode, uv_loop_t* attach_to);

  LoopMode mode() const { return mode_; }
  uv_loop_t* uv() { return uv_; }
  static session::Time Now();  // microseconds, monotonic

  // --- any thread
  void Post(Command* command) noexcept;
  void Wake() noexcept;
  // Handles through which the application can reach the loop. When the last goes, the loop winds up
  // by itself.
  void AddUser() { users_.fetch_add(1, std::memory_order_relaxed); }
  void DropUser() noexcept;

  // --- the thread that drives it
  // Begins each of its calls: frees of a former owner are over then. True if the caller's thread has
  // the loop, and may act on its connections at once.
  bool Own() noexcept;
  Status Run(RunMode mode);
  // Runs until `queue` has an item, or is abandoned (blocking calls). kMisuse inside a callback.
  Status RunUntilReady(const EventQueue& queue);
  int Descriptor() const;
  int TimeoutMs() const;
  bool inside() const { return inside_; }  // within Run, or within a callback of an attached loop

  // --- inside the loop
  EventQueue* ready() { return ready_.get(); }  // events of connections without a queue
  void MarkDirty(Connection* connection);       // has bytes to send before the next wait
  void AfterCallback() noexcept;                // end of a uv callback: attached loops deliver here
  void EventReadyOutside();                     // end of a call that may have given the loop work
  void AddCloser(Connection* connection);       // owes the application the end of a close call
  void DropCloser(Connection* connection);
  void InterestChanged() { interest_changed_ = true; }  // the descriptor's set is not up to date
  void AddConnection() { ++connections_; }
  void DropConnection();
  void OperationStarted() { operations_.fetch_add(1, std::memory_order_relaxed); }
  void OperationDone() { operations_.fetch_sub(1, std::memory_order_relaxed); }
  void SawReplyAfter(session::Time waited) { waiting_.SawReply(waited, looked_); }
  void set_poll_us(int64_t poll_us) { poll_us_.store(poll_us, std::memory_order_relaxed); }

 private:
  friend class RefCounted<Loop>;
  explicit Loop(LoopMode mode);
  ~Loop();
  void Dispose();
  Status Init(uv_loop_t* attach_to);
  void AttachToHost();
  void BeforeWait(bool by_host) noexcept;
  void RunCommands() noexcept;
  void RunLateCommands() noexcept;
  void Settle() noexcept;
  void KeepAlive();
  void EndCloses();
  void FlushDirty() noexcept;
  bool EventsWait() const;  // for whoever runs the loop
  void Deliver();
  void DeliverAll();
  void EndRun() noexcept;
  void OwnByHost() noexcept;
  void Turn(bool wait);
  bool ShouldPoll() const;
  void ThreadMain();
  bool Revived() noexcept;
  void WindUp() noexcept;
  void Finish() noexcept;
  void CloseHandles();

  const LoopMode mode_;
  uv_loop_t own_;
  uv_loop_t* uv_ = nullptr;
  uv_async_t wake_;
  uv_prepare_t prepare_;
  uv_check_t check_;
  int open_handles_ = 0;
  IntrusivePtr<EventQueue> ready_;
  const EventQueue* awaited_ = nullptr;  // by the blocking call that runs the loop
  Connection* dirty_ = nullptr;          // list of those with bytes to send; holds references
  Connection* closers_ = nullptr;        // list of those with a close call to answer
  int connections_ = 0;                  // with a socket or a timer; loop's thread
  std::atomic<int64_t> operations_{0};   // accepted and not yet completed
  std::atomic<int> users_{1};
  std::atomic<bool> orphaned_{false};
  std::atomic<bool> inside_{false};
  std::atomic<bool> wound_up_{false};
  bool closing_ = false;
  bool interest_changed_ = false;
  uint64_t progress_ = 0;  // callbacks of ours that have run
  // Driven: the thread of the last call of an owner's; attached: that which ran the uv loop last, at
  // first that which called attach.
  std::atomic<std::thread::id> owner_;
  std::mutex owner_mutex_;  // held where owner_ changes, and by its thread in Settle()

  std::mutex mutex_;
  IntrusiveFifo<Command> commands_;  // guarded by mutex_
  bool closed_ = false;              // guarded by mutex_: wake_ is no more
  bool running_late_ = false;        // guarded by mutex_
  std::atomic<bool> has_commands_{false};

  std::atomic<int64_t> poll_us_{100};
  WaitTuner waiting_;
  bool looked_ = false;  // the last wait began with a look at the sockets
  bool several_cpus_ = false;
};

}  // namespace dqc::net
