/* SPDX-License-Identifier: MIT */
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace dqc {

// Reference count for objects that have an ABI handle or travel between threads. Derived's
// Dispose() runs once.
template <typename Derived>
class RefCounted {
 public:
  RefCounted() = default;
  RefCounted(const RefCounted&) = delete;
  RefCounted& operator=(const RefCounted&) = delete;

  void Retain() const { refs_.fetch_add(1, std::memory_order_relaxed); }
  void Release() const {
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      static_cast<Derived*>(const_cast<RefCounted*>(this))->Dispose();
    }
  }
  bool unique() const { return refs_.load(std::memory_order_acquire) == 1; }

 protected:
  ~RefCounted() = default;
  void ReviveWithOneReference() { refs_.store(1, std::memory_order_relaxed); }  // leaving a pool
  void Dispose() { delete static_cast<Derived*>(this); }

 private:
  mutable std::atomic<uint32_t> refs_{1};
};

template <typename T>
class IntrusivePtr {
 public:
  IntrusivePtr() = default;
  IntrusivePtr(std::nullptr_t) {}  // NOLINT(google-explicit-constructor)
  IntrusivePtr(const IntrusivePtr& other) : p_(other.p_) {
    if (p_ != nullptr) p_->Retain();
  }
  IntrusivePtr(IntrusivePtr&& other) noexcept : p_(std::exchange(other.p_, nullptr)) {}
  template <typename Derived>
  IntrusivePtr(IntrusivePtr<Derived> other)  // NOLINT(google-explicit-constructor)
      : p_(other.Detach()) {}
  IntrusivePtr& operator=(IntrusivePtr other) noexcept {
    std::swap(p_, other.p_);
    return *this;
  }
  ~IntrusivePtr() {
    if (p_ != nullptr) p_->Release();
  }

  static IntrusivePtr Adopt(T* p) {  // takes over one reference
    IntrusivePtr out;
    out.p_ = p;
    return out;
  }
  static IntrusivePtr Share(T* p) {  // adds one
    if (p != nullptr) p->Retain();
    return Adopt(p);
  }

  T* get() const { return p_; }
  T* operator->() const { return p_; }
  T& operator*() const { return *p_; }
  explicit operator bool() const { return p_ != nullptr; }
  T* Detach() { return std::exchange(p_, nullptr); }

 private:
  T* p_ = nullptr;
};

// First-in first-out list through a `next` member of T; holds no references of its own.
template <typename T, T* T::*Next = &T::next>
class IntrusiveFifo {
 public:
  bool empty() const { return head_ == nullptr; }
  size_t size() const { return size_; }
  T* front() const { return head_; }
  T* back() const { return tail_; }
  void PushBack(T* item) {
    item->*Next = nullptr;
    (tail_ == nullptr ? head_ : tail_->*Next) = item;
    tail_ = item;
    ++size_;
  }
  T* PopFront() {
    T* item = head_;
    if (item == nullptr) return nullptr;
    head_ = item->*Next;
    if (head_ == nullptr) tail_ = nullptr;
    item->*Next = nullptr;
    --size_;
    return item;
  }
  // Removes `item` if it is in the list; O(n).
  bool Remove(T* item) {
    T* before = nullptr;
    for (T* at = head_; at != nullptr; before = at, at = at->*Next) {
      if (at != item) continue;
      (before == nullptr ? head_ : before->*Next) = at->*Next;
      if (tail_ == at) tail_ = before;
      at->*Next = nullptr;
      --size_;
      return true;
    }
    return false;
  }
  IntrusiveFifo Take() { return std::exchange(*this, IntrusiveFifo()); }

 private:
  T* head_ = nullptr;
  T* tail_ = nullptr;
  size_t size_ = 0;
};

}  // namespace dqc
