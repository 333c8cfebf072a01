/* SPDX-License-Identifier: MIT */
// Operations that can be awaited. Include <dqclient/coro.hpp>.
#pragma once

#include <dqclient/detail/coro_task.hpp>

namespace dqc {
inline namespace DQC_CPP_NAMESPACE {
namespace detail {

class op_state;

// A connection or client as its coroutine objects share it: the handles, the statements, and operations that are awaited.
class shared_target {
 public:
  shared_target() noexcept = default;
  shared_target(const shared_target&) = delete;
  shared_target& operator=(const shared_target&) = delete;
  inline virtual ~shared_target();
  virtual void cancel(uint64_t op) noexcept = 0;
  virtual void pause(uint64_t op, bool on) noexcept = 0;
  std::atomic<op_state*> spare{
      nullptr};  // one state for the next operation: awaiting in turn allocates once
};

using target_ref = std::shared_ptr<shared_target>;

template <class Handle>
class shared_handle : public shared_target {
 public:
  explicit shared_handle(unique_handle<Handle> adopted) noexcept : handle(std::move(adopted)) {}
  void cancel(uint64_t op) noexcept override { c_calls<Handle>::cancel(handle.get(), op); }
  void pause(uint64_t op, bool on) noexcept override {
    c_calls<Handle>::pause(handle.get(), op, on ? 1 : 0);
  }
  unique_handle<Handle> handle;
};

using conn_ref = std::shared_ptr<shared_handle<dqc_conn>>;

// One operation. Two own it: the awaiting side, and from its acceptance to its terminal event the callback. Whoever
// goes last frees it; so the awaiting side may go first, and the callback touches freed memory in no case.
class op_state {
 public:
  enum class mode : uint8_t { collect, discard, stream };

  // Makes one asynchronous call `f(dqc_callback, void*, uint64_t*, dqc_error**)`. Null without memory.
  template <class Submit>
  static op_state* start(target_ref target, mode m, Submit&& f) {
    op_state* s = target->spare.exchange(nullptr, std::memory_order_acquire);
    if (s == nullptr) s = new (std::nothrow) op_state;
    if (s == nullptr) return nullptr;
    s->target_ = std::move(target);
    s->mode_ = m;
    s->refs_.store(3, std::memory_order_relaxed);  // the two owners, and this call
    if (error e = call([&](dqc_error** raw) { return f(&on_event, s, &s->op_, raw); })) {
      s->refuse(std::move(e));
    }
    s->release();
    return s;
  }

  // An operation that was refused before it reached the library.
  static op_state* refused(target_ref target, error e) noexcept {
    auto* s = new (std::nothrow) op_state;
    if (s == nullptr) return nullptr;
    s->target_ = std::move(target);
    s->refs_.store(2, std::memory_order_relaxed);
    s->refuse(std::move(e));
    return s;
  }

  bool is_done() const noexcept { return phase_.load(std::memory_order_acquire) == phase::done; }

  // Waits for the end: false if that was reached meanwhile.
  bool wait(std::coroutine_handle<> h) noexcept {
    waiter_ = h;
    phase expected = phase::running;
    return phase_.compare_exchange_strong(expected, phase::awaited, std::memory_order_acq_rel);
  }

  // Streams: waits for a batch or the end. One thread only.
  void wait_stream(std::coroutine_handle<> h) noexcept { waiter_ = h; }

  void cancel() noexcept {
    if (target_ && !is_done()) target_->cancel(op_);
  }

  // Streams: no more batches until they are taken.
  void pause(bool on) noexcept {
    if (paused_ == on || is_done() || !target_) return;
    paused_ = on;
    target_->pause(op_, on);
  }

  // The awaiting side goes.
  void abandon() noexcept {
    if (!is_done()) {
      abandoned_.store(true, std::memory_order_release);
      cancel();
      waiter_ = nullptr;
      target_.reset();
    }
    release();
  }

  void retain() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept {
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    const target_ref target = std::move(target_);
    if (target) {
      reset();
      op_state* none = nullptr;
      if (target->spare.compare_exchange_strong(none, this, std::memory_order_acq_rel)) return;
    }
    delete this;
  }

  op_result& answer() noexcept { return answer_; }
  const target_ref& target() const noexcept { return target_; }

 private:
  enum class phase : uint8_t { running, awaited, done };
  static constexpr size_t stream_batches = 4;

  void refuse(error e) noexcept {
    answer_.fail(std::move(e));
    phase_.store(phase::done, std::memory_order_release);
    release();  // no event follows
  }

  static void DQC_CALL on_event(void* user, const dqc_event* e) noexcept {
    auto* s = static_cast<op_state*>(user);
    if (e->type == DQC_EVENT_ROWS) {
      s->on_rows(*e);
    } else if (e->type == DQC_EVENT_DONE) {
      s->on_done(*e);
    }
  }

  void on_rows(const dqc_event& e) noexcept {
    if (mode_ == mode::discard || abandoned_.load(std::memory_order_acquire)) return;
    answer_.on_rows(e);
    if (mode_ != mode::stream) return;
    if (std::coroutine_handle<> h = std::exchange(waiter_, nullptr)) {
      h.resume();  // may abandon this operation
    } else if (answer_.batches.size() >= stream_batches) {
      pause(true);
    }
  }

  void on_done(const dqc_event& e) noexcept {
    std::coroutine_handle<> h;
    if (abandoned_.load(std::memory_order_acquire)) {
      unique_handle<dqc_conn>(e.conn).reset();  // acquired for nobody
      phase_.store(phase::done, std::memory_order_release);
    } else {
      answer_.on_done(e);
      const phase old = phase_.exchange(phase::done, std::memory_order_acq_rel);
      if (old == phase::awaited || mode_ == mode::stream) h = std::exchange(waiter_, nullptr);
    }
    release();
    if (h) h.resume();
  }

  void reset() noexcept {
    answer_ = op_result();
    waiter_ = nullptr;
    op_ = 0;
    paused_ = false;
    abandoned_.store(false, std::memory_order_relaxed);
    phase_.store(phase::running, std::memory_order_relaxed);
  }

  std::atomic<uint32_t> refs_{0};
  std::atomic<phase> phase_{phase::running};
  std::atomic<bool> abandoned_{false};
  mode mode_ = mode::collect;
  bool paused_ = false;
  uint64_t op_ = 0;
  std::coroutine_handle<> waiter_;
  target_ref target_;
  op_result answer_;
  friend class shared_target;
};

inline shared_target::~shared_target() { delete spare.load(std::memory_order_acquire); }

// The awaiting side's ownership of an operation; null without memory for it.
class unique_op {
 public:
  explicit unique_op(op_state* s) noexcept : state_(s) {}
  unique_op(unique_op&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  unique_op& operator=(unique_op&& other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~unique_op() {
    if (state_ != nullptr) state_->abandon();
  }
  op_state* get() const noexcept { return state_; }
  op_state* operator->() const noexcept { return state_; }

 private:
  op_state* state_;
};

// The final answer of an operation as a T; the wrappers of coro:: need the target too.
template <class T>
struct op_answer {
  static result<T> take(op_state& s) { return s.answer().template take<T>(); }
};

template <class T>
class op_awaiter {
 public:
  explicit op_awaiter(unique_op op) noexcept : op_(std::move(op)) {}
  bool await_ready() const noexcept { return op_.get() == nullptr || op_->is_done(); }
  bool await_suspend(std::coroutine_handle<> h) noexcept { return op_->wait(h); }

 protected:
  result<T> take() {
    if (op_.get() == nullptr) return error::adopt(DQC_E_NOMEM);
    return op_answer<T>::take(*op_.get());
  }

 private:
  unique_op op_;
};

template <class T>
struct result_awaiter : op_awaiter<T> {
  using op_awaiter<T>::op_awaiter;
  result<T> await_resume() { return this->take(); }
};

#if DQC_CPP_EXCEPTIONS
template <class T>
struct value_awaiter : op_awaiter<T> {
  using op_awaiter<T>::op_awaiter;
  T await_resume() { return this->take().value(); }
};
#endif

// What as_result() gives: an awaitable for one use.
template <class T>
class [[nodiscard]] result_operation {
 public:
  explicit result_operation(unique_op op) noexcept : op_(std::move(op)) {}
  result_awaiter<T> operator co_await() && noexcept { return result_awaiter<T>(std::move(op_)); }
  void operator co_await() & = delete;

 private:
  unique_op op_;
};

}  // namespace detail

namespace coro {

/**
 * An operation that is on its way. It was submitted when it was made, so several of one connection are pipelined:
 * @code
 *   auto a = conn.exec("INSERT ..."), b = conn.exec("INSERT ...");
 *   co_await std::move(a);                                  // a T; throws dqc::exception
 *   auto r = co_await std::move(b).as_result();             // a dqc::result<T>; never throws
 * @endcode
 * Awaited once. Destroying it before its end cancels the operation. The awaiting coroutine is resumed by the thread that
 * drives the loop or dispatches the queue; that thread should make, await and destroy it, too.
 */
template <class T>
class [[nodiscard]] operation {
 public:
  using value_type = T;
  explicit operation(detail::unique_op op) noexcept : op_(std::move(op)) {}
  operation(operation&&) noexcept = default;
  operation& operator=(operation&&) noexcept = default;

#if DQC_CPP_EXCEPTIONS
  detail::value_awaiter<T> operator co_await() && noexcept {
    return detail::value_awaiter<T>(std::move(op_));
  }
  void operator co_await() & = delete;
#endif

  /** To await a dqc::result<T>: the only form where exceptions are off. */
  detail::result_operation<T> as_result() && noexcept {
    return detail::result_operation<T>(std::move(op_));
  }

  /** Ask for its end. Awaiting it tells whether it ended with DQC_E_CANCELLED. */
  void cancel() noexcept {
    if (op_.get() != nullptr) op_->cancel();
  }
  /** True when awaiting it would not suspend. */
  bool is_done() const noexcept { return op_.get() == nullptr || op_->is_done(); }

 private:
  detail::unique_op op_;
};

}  // namespace coro
}  // namespace DQC_CPP_NAMESPACE
}  // namespace dqc
