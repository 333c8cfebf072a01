/* SPDX-License-Identifier: MIT */
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>

#include "base/fork.hpp"
#include "base/intrusive.hpp"

namespace dqc {

// Keeps spent objects for reuse, so that the steady state allocates nothing. T has `T* pool_next`;
// it may be released on any thread, also after the last user of the pool has gone.
template <typename T>
class Pool : public RefCounted<Pool<T>> {
 public:
  explicit Pool(size_t keep_max) : keep_max_(keep_max) {}

  // A spent object, or null: then make a new one and Attach() it.
  T* Get() {
    std::lock_guard<std::mutex> lock(mutex_);
    T* item = free_;
    if (item != nullptr) {
      free_ = item->pool_next;
      item->pool_next = nullptr;
      --count_;
    }
    return item;
  }

  void Put(T* item) {
    // In the child of a fork() it leaks: the parent's threads may hold the lock for ever here.
    if (fork_generation_ != ForkGeneration()) return;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (count_ < keep_max_) {
        item->pool_next = free_;
        free_ = item;
        ++count_;
        return;
      }
    }
    delete item;
  }

 private:
  friend class RefCounted<Pool<T>>;
  ~Pool() {
    while (free_ != nullptr) {
      T* item = free_;
      free_ = item->pool_next;
      delete item;
    }
  }
  void Dispose() { delete this; }

  std::mutex mutex_;
  T* free_ = nullptr;  // guarded by mutex_
  size_t count_ = 0;   // guarded by mutex_
  const size_t keep_max_;
  const uint32_t fork_generation_ = ForkGeneration();
};

// A reference-counted object that goes back to its pool when the last reference is released.
// T::Reset() drops what the object refers to and keeps its memory.
template <typename T>
class Pooled : public RefCounted<Pooled<T>> {
 public:
  static IntrusivePtr<T> Make(const IntrusivePtr<Pool<T>>& pool) {
    T* item = pool->Get();
    if (item == nullptr) {
      item = new T();
    } else {
      item->ReviveWithOneReference();
    }
    item->home_ = pool;
    return IntrusivePtr<T>::Adopt(item);
  }

 protected:
  ~Pooled() = default;

 private:
  friend class RefCounted<Pooled<T>>;
  void Dispose() {
    T* self = static_cast<T*>(this);
    self->Reset();
    IntrusivePtr<Pool<T>> home = std::move(home_);
    home_ = nullptr;
    if (home) {
      home->Put(self);
    } else {
      delete self;
    }
  }

  IntrusivePtr<Pool<T>> home_;
};

}  // namespace dqc
