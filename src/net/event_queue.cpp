/* SPDX-License-Identifier: MIT */
#include "net/event_queue.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

namespace dqc::net {

EventQueue::~EventQueue() {
  Abandon();
  for (const int fd : fds_) {
    if (fd >= 0) close(fd);
  }
}

void EventQueue::Push(Deliverable* item) noexcept {
  Notify notify = nullptr;
  void* data = nullptr;
  bool wake = false;
  {
    std::unique_lock<std::mutex> lock(mutex_);
    if (abandoned_) {
      lock.unlock();
      return item->Discard();
    }
    const bool was_empty = items_.empty();
    items_.PushBack(item);
    size_.store(items_.size(), std::memory_order_release);
    wake = waiters_ > 0;
    if (was_empty) {
      if (watched_) Raise();
      notify = notify_;
      data = notify_data_;
      if (notify != nullptr) ++notifying_;
      told_ = true;
    }
  }
  if (wake) available_.notify_one();  // without the lock, which the waiter needs next
  if (notify != nullptr) CallNotify(notify, data);
}

// Counted in notifying_ already. Without the lock: what it wakes may want it.
void EventQueue::CallNotify(Notify notify, void* user_data) {
  notify(user_data);
  std::lock_guard<std::mutex> lock(mutex_);
  if (--notifying_ == 0) notified_.notify_all();
}

Deliverable* EventQueue::Pop() noexcept {
  if (empty()) return nullptr;
  std::lock_guard<std::mutex> lock(mutex_);
  Deliverable* item = items_.PopFront();
  size_.store(items_.size(), std::memory_order_release);
  if (items_.empty() && watched_) Lower();
  return item;
}

bool EventQueue::empty() const { return size_.load(std::memory_order_acquire) == 0; }

uint64_t EventQueue::Deliver(uint64_t items_max) noexcept {
  if (items_max == 0) told_ = false;  // before the size: a later edge tells of what is not counted
  const uint64_t most = items_max == 0 ? size_.load() : items_max;
  uint64_t delivered = 0;
  for (; delivered < most; ++delivered) {
    Deliverable* item = Pop();
    if (item == nullptr) break;
    item->Deliver();
  }
  if (items_max == 0 && !empty()) NotifyOfRest();
  return delivered;
}

// What came while others were delivered came to a queue that was not empty.
void EventQueue::NotifyOfRest() {
  Notify notify = nullptr;
  void* data = nullptr;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (notify_ == nullptr || items_.empty() || told_.exchange(true)) return;
    notify = notify_;
    data = notify_data_;
    ++notifying_;
  }
  CallNotify(notify, data);
}

bool EventQueue::Wait(int64_t timeout_us) {
  std::unique_lock<std::mutex> lock(mutex_);
  const auto ready = [&] { return !items_.empty() || abandoned_; };
  ++waiters_;
  if (timeout_us < 0) {
    available_.wait(lock, ready);
  } else {
    available_.wait_for(lock, std::chrono::microseconds(timeout_us), ready);
  }
  --waiters_;
  return !items_.empty();
}

bool EventQueue::OpenDescriptor() {
  std::lock_guard<std::mutex> lock(mutex_);
  return fds_[0] >= 0 || pipe2(fds_, O_CLOEXEC | O_NONBLOCK) == 0;
}

int EventQueue::Descriptor() {
  if (!OpenDescriptor()) return -1;
  std::lock_guard<std::mutex> lock(mutex_);
  if (!watched_ && !items_.empty()) Raise();
  watched_ = true;
  return fds_[0];
}

void EventQueue::SetNotify(Notify notify, void* user_data) {
  bool now = false;
  {
    std::unique_lock<std::mutex> lock(mutex_);
    notify_ = notify;
    notify_data_ = user_data;
    notified_.wait(lock, [&] { return notifying_ == 0; });
    // Another call may have replaced it meanwhile, and returned.
    const bool mine = notify_ == notify && notify_data_ == user_data;
    now = mine && notify != nullptr && !items_.empty();
    if (now) ++notifying_;
    if (now) told_ = true;
  }
  if (now) CallNotify(notify, user_data);
}

void EventQueue::Revive() {
  std::lock_guard<std::mutex> lock(mutex_);
  abandoned_ = false;
}

void EventQueue::Abandon() noexcept {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    abandoned_ = true;
  }
  available_.notify_all();
  while (Deliverable* item = Pop()) item->Discard();
}

// One byte in the pipe while the queue is not empty. Called with the lock held.
void EventQueue::Raise() {
  const char byte = 1;
  while (write(fds_[1], &byte, 1) < 0 && errno == EINTR) {
  }
}

void EventQueue::Lower() {
  char byte = 0;
  while (read(fds_[0], &byte, 1) < 0 && errno == EINTR) {
  }
}

}  // namespace dqc::net
