/* SPDX-License-Identifier: MIT */
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "base/deliverable.hpp"
#include "base/intrusive.hpp"
#include "base/status.hpp"

namespace dqc::net {

// Events on their way to the application, first in first out. Pushing never fails and never
// allocates.
class EventQueue : public RefCounted<EventQueue> {
 public:
  using Notify = void (*)(void* user_data);

  EventQueue() = default;

  void Push(Deliverable* item) noexcept;
  Deliverable* Pop() noexcept;  // null if empty
  bool empty() const;
  // Waits for an item, or until the queue is abandoned; negative: for ever. True if there is one.
  bool Wait(int64_t timeout_us);
  // Delivers up to `items_max` items, 0: those that wait at its start; others that come meanwhile are
  // notified of again. Their number. The caller holds a reference: an item may be the end of its owner.
  uint64_t Deliver(uint64_t items_max) noexcept;
  // A descriptor that is readable while the queue is not empty; made at the first call, -1 if the
  // system has none.
  int Descriptor();
  bool OpenDescriptor();  // so that Descriptor() cannot fail
  // Returns when no call of the one before is running any more.
  void SetNotify(Notify notify, void* user_data);
  // Nobody takes events any more: those that wait and those that will come are discarded, and who
  // waits for one is woken.
  void Abandon() noexcept;
  bool abandoned() const { return abandoned_.load(std::memory_order_acquire); }

 protected:
  friend class RefCounted<EventQueue>;
  virtual ~EventQueue();
  virtual void Dispose() { delete this; }

 protected:
  void Revive();  // takes events again

 private:
  void Raise();
  void Lower();
  void CallNotify(Notify notify, void* user_data);
  void NotifyOfRest();

  mutable std::mutex mutex_;
  std::condition_variable available_;
  IntrusiveFifo<Deliverable, &Deliverable::deliver_next> items_;  // guarded by mutex_
  std::atomic<size_t> size_{0};         // of items_, readable without the lock
  std::atomic<bool> abandoned_{false};  // written under mutex_
  int waiters_ = 0;                     // guarded by mutex_
  int fds_[2] = {-1, -1};               // guarded by mutex_: read end, write end
  bool watched_ = false;                // guarded by mutex_: somebody asked for the descriptor
  Notify notify_ = nullptr;             // guarded by mutex_
  void* notify_data_ = nullptr;
  int notifying_ = 0;              // guarded by mutex_: calls of it that run
  std::atomic<bool> told_{false};  // it was called since the last Deliver(0) began
  std::condition_variable notified_;
};

}  // namespace dqc::net
