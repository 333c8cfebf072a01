/* SPDX-License-Identifier: MIT */
// task<T>, when_all() and run(). Include <dqclient/coro.hpp>.
#pragma once

#include <dqclient/dqclient.hpp>

#include <coroutine>
#include <variant>

namespace dqc {
inline namespace DQC_CPP_NAMESPACE {

template <class T>
class task;

namespace detail {

// Where a coroutine leaves its value or exception.
template <class T>
class coro_slot {
 public:
  static_assert(!std::is_reference_v<T>, "a task returns a value");
  template <class U>
  void return_value(U&& value) {
    value_.emplace(std::forward<U>(value));
  }
  void unhandled_exception() noexcept { exception_ = std::current_exception(); }
  T take() {
    rethrow();
    return std::move(*value_);
  }

 private:
  void rethrow() {
#if DQC_CPP_EXCEPTIONS
    if (exception_) std::rethrow_exception(std::exchange(exception_, nullptr));
#endif
  }
  std::optional<T> value_;
  std::exception_ptr exception_;
};

template <>
class coro_slot<void> {
 public:
  void return_void() noexcept {}
  void unhandled_exception() noexcept { exception_ = std::current_exception(); }
  void take() {
#if DQC_CPP_EXCEPTIONS
    if (exception_) std::rethrow_exception(std::exchange(exception_, nullptr));
#endif
  }

 private:
  std::exception_ptr exception_;
};

// Owns a coroutine frame.
template <class Promise>
class unique_coroutine {
 public:
  unique_coroutine() noexcept = default;
  explicit unique_coroutine(std::coroutine_handle<Promise> h) noexcept : handle_(h) {}
  unique_coroutine(unique_coroutine&& other) noexcept
      : handle_(std::exchange(other.handle_, nullptr)) {}
  unique_coroutine& operator=(unique_coroutine&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~unique_coroutine() {
    if (handle_) handle_.destroy();
  }
  std::coroutine_handle<Promise> get() const noexcept { return handle_; }

 private:
  std::coroutine_handle<Promise> handle_;
};

template <class T>
struct task_promise : coro_slot<T> {
  std::coroutine_handle<> continuation;

  struct final_awaiter {
    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<task_promise> h) const noexcept {
      return h.promise().continuation;
    }
    void await_resume() const noexcept {}
  };
  task<T> get_return_object() noexcept;
  std::suspend_always initial_suspend() const noexcept { return {}; }
  final_awaiter final_suspend() const noexcept { return {}; }
};

}  // namespace detail

/**
 * A coroutine that starts when it is awaited, once: `co_await std::move(t)`. What it throws, the awaiting coroutine
 * gets. Destroying a task that has not ended destroys what it is waiting for: its operations are cancelled.
 */
template <class T = void>
class [[nodiscard]] task {
 public:
  using promise_type = detail::task_promise<T>;
  using value_type = T;

  task(task&&) noexcept = default;
  task& operator=(task&&) noexcept = default;

  auto operator co_await() && noexcept {
    struct awaiter {
      std::coroutine_handle<promise_type> handle;
      bool await_ready() const noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<> waiting) const noexcept {
        handle.promise().continuation = waiting;
        return handle;
      }
      T await_resume() const { return handle.promise().take(); }
    };
    return awaiter{coroutine_.get()};
  }
  void operator co_await() & = delete;

 private:
  friend promise_type;
  explicit task(std::coroutine_handle<promise_type> h) noexcept : coroutine_(h) {}
  detail::unique_coroutine<promise_type> coroutine_;
};

namespace detail {

template <class T>
task<T> task_promise<T>::get_return_object() noexcept {
  return task<T>(std::coroutine_handle<task_promise>::from_promise(*this));
}

template <class A>
decltype(auto) get_awaiter(A&& a) {
  if constexpr (requires { std::forward<A>(a).operator co_await(); }) {
    return std::forward<A>(a).operator co_await();
  } else {
    return std::forward<A>(a);
  }
}

// What `co_await std::move(a)` gives.
template <class A>
using await_t = std::decay_t<decltype(get_awaiter(std::declval<A>()).await_resume())>;

// Counts children that have not ended; the last one resumes who waits, if anybody does.
class countdown {
 public:
  explicit countdown(size_t children) noexcept : left_(children + 1) {}
  std::coroutine_handle<> waiting = std::noop_coroutine();

  // Who is to be resumed now.
  std::coroutine_handle<> arrive() noexcept {
    return left_.fetch_sub(1, std::memory_order_acq_rel) == 1 ? waiting : std::noop_coroutine();
  }
  // Gives up the count of the starter: true if children are still running.
  bool started() noexcept { return left_.fetch_sub(1, std::memory_order_acq_rel) != 1; }
  bool ended() const noexcept { return left_.load(std::memory_order_acquire) == 0; }

 private:
  std::atomic<size_t> left_;
};

// A coroutine that somebody starts without awaiting it, and that reports its end to a countdown.
template <class T>
class child {
 public:
  struct promise_type : coro_slot<T> {
    countdown* parent = nullptr;
    struct final_awaiter {
      bool await_ready() const noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> h) const noexcept {
        return h.promise().parent->arrive();
      }
      void await_resume() const noexcept {}
    };
    child get_return_object() noexcept {
      return child(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    final_awaiter final_suspend() const noexcept { return {}; }
  };

  void start(countdown& parent) {
    coroutine_.get().promise().parent = &parent;
    coroutine_.get().resume();
  }
  T take() { return coroutine_.get().promise().take(); }
  // The value; std::monostate for void.
  auto take_regular() {
    if constexpr (std::is_void_v<T>) {
      take();
      return std::monostate();
    } else {
      return take();
    }
  }

 private:
  explicit child(std::coroutine_handle<promise_type> h) noexcept : coroutine_(h) {}
  unique_coroutine<promise_type> coroutine_;
};

template <class A>
child<await_t<A>> make_child(A awaitable) {
  co_return co_await std::move(awaitable);
}

template <class T>
using regular_t = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

// Starts children and waits until all have ended. ForEach: calls its argument with each child.
template <class ForEach>
class all_awaiter {
 public:
  all_awaiter(size_t count, ForEach for_each) : left_(count), for_each_(std::move(for_each)) {}
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> waiting) {
    left_.waiting = waiting;
    for_each_([this](auto& c) { c.start(left_); });
    return left_.started();
  }
  void await_resume() const noexcept {}

 private:
  countdown left_;
  ForEach for_each_;
};

}  // namespace detail

/**
 * Runs tasks (or operations) at the same time and waits for all of them; std::monostate stands for void. If some throw,
 * the first of them in the order of the arguments wins, after all have ended.
 */
template <class... A>
task<std::tuple<detail::regular_t<detail::await_t<A>>...>> when_all(A... awaitables) {
  std::tuple<detail::child<detail::await_t<A>>...> children{
      detail::make_child(std::move(awaitables))...};
  auto for_each = [&children](auto f) { std::apply([&f](auto&... c) { (f(c), ...); }, children); };
  detail::all_awaiter<decltype(for_each)> all(sizeof...(A), for_each);
  co_await all;
  co_return std::apply(
      [](auto&... c) {
        return std::tuple<detail::regular_t<detail::await_t<A>>...>{c.take_regular()...};
      },
      children);
}

/** The same for any number of tasks of one type; for task<void> the values are std::monostate. */
template <class T>
task<std::vector<detail::regular_t<T>>> when_all(std::vector<task<T>> tasks) {
  std::vector<detail::child<T>> children;
  children.reserve(tasks.size());
  for (task<T>& t : tasks) children.push_back(detail::make_child(std::move(t)));
  auto for_each = [&children](auto f) {
    for (detail::child<T>& c : children) f(c);
  };
  detail::all_awaiter<decltype(for_each)> all(children.size(), for_each);
  co_await all;
  std::vector<detail::regular_t<T>> values;
  values.reserve(children.size());
  for (detail::child<T>& c : children) values.push_back(c.take_regular());
  co_return values;
}

namespace detail {

// Starts `root`, then calls `turn` until it has ended or `turn` fails.
template <class T, class Turn>
result<void> drive(child<T>& root, countdown& left, Turn&& turn) {
  root.start(left);
  left.started();
  while (!left.ended()) {
    if (result<void> r = turn(); !r.ok()) return r;
  }
  return {};
}

// Once more, when the frames are gone: operations that were cancelled with them get their events.
struct last_turn {
  dqc_loop* loop;
  ~last_turn() { dqc_loop_run(loop, DQC_RUN_NOWAIT, nullptr); }
};

template <class T, class Turn>
result<T> run_until_done(task<T> t, Turn&& turn) {
  countdown left(1);
  child<T> root = make_child(std::move(t));
  if (result<void> r = drive(root, left, turn); !r.ok()) return r.error();
  if constexpr (std::is_void_v<T>) {
    root.take();
    return {};
  } else {
    return root.take();
  }
}

}  // namespace detail

/**
 * Drives a loop until a task has ended. The error is that of the loop; what the task throws is thrown. A task that waits
 * for something else than this loop would wait for ever. Connections that the task left open or dropped still have
 * something to do: close() them before it ends, or run the loop on.
 */
template <class T>
result<T> try_run(loop& l, task<T> t) {
  const detail::last_turn last{l.get()};
  return detail::run_until_done(std::move(t), [&l] { return l.run(run_mode::once); });
}

/** The same for a threaded loop: dispatches its queue until the task has ended. */
template <class T>
result<T> try_run(queue& q, task<T> t) {
  return detail::run_until_done(std::move(t), [&q]() -> result<void> {
    if (result<bool> waited = q.wait(); !waited.ok()) return waited.error();
    result<uint64_t> count = q.dispatch();
    return count.ok() ? result<void>() : result<void>(count.error());
  });
}

#if DQC_CPP_EXCEPTIONS
/** try_run() that throws its error: `int main() { ... dqc::run(loop, work()); }`. */
template <class T>
T run(loop& l, task<T> t) {
  return try_run(l, std::move(t)).value();
}
template <class T>
T run(queue& q, task<T> t) {
  return try_run(q, std::move(t)).value();
}
#endif

}  // namespace DQC_CPP_NAMESPACE
}  // namespace dqc
