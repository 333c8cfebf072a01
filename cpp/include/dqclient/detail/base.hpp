/* SPDX-License-Identifier: MIT */
// Handles, errors and results: the parts that every other facade header uses. Include <dqclient/dqclient.hpp>.
#pragma once

#include <dqclient/dqclient.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

// 1 where exceptions are on. Members that throw (result<T>::value(), ...) exist only then.
#if !defined(DQC_CPP_EXCEPTIONS)
#if defined(__cpp_exceptions) || defined(__EXCEPTIONS) || defined(_CPPUNWIND)
#define DQC_CPP_EXCEPTIONS 1
#else
#define DQC_CPP_EXCEPTIONS 0
#endif
#endif

// The inline namespace: two versions of the facade, and code with and without exceptions, fit into one program.
#if DQC_CPP_EXCEPTIONS
#define DQC_CPP_NAMESPACE v0
#define DQC_CPP_TRY try
#define DQC_CPP_CATCH_ALL catch (...)
#else
#define DQC_CPP_NAMESPACE v0_noexcept
#define DQC_CPP_TRY if (true)
#define DQC_CPP_CATCH_ALL else
#endif

namespace dqc {
inline namespace DQC_CPP_NAMESPACE {

namespace detail {

template <class T>
struct handle_traits;

#define DQC_CPP_HANDLE(type)                                                     \
  template <>                                                                    \
  struct handle_traits<dqc_##type> {                                             \
    static void free(dqc_##type* handle) noexcept { dqc_##type##_free(handle); } \
  }
DQC_CPP_HANDLE(error);
DQC_CPP_HANDLE(config);
DQC_CPP_HANDLE(loop);
DQC_CPP_HANDLE(queue);
DQC_CPP_HANDLE(client);
DQC_CPP_HANDLE(conn);
DQC_CPP_HANDLE(tx);
DQC_CPP_HANDLE(stmt);
DQC_CPP_HANDLE(batch);
DQC_CPP_HANDLE(rows);
#undef DQC_CPP_HANDLE

}  // namespace detail

/** Owns one reference to a C handle, and gives it back when it is destroyed. Move-only; null after a move. */
template <class T>
class unique_handle {
 public:
  unique_handle() noexcept = default;
  explicit unique_handle(T* adopted) noexcept : handle_(adopted) {}
  unique_handle(unique_handle&& other) noexcept : handle_(other.release()) {}
  unique_handle& operator=(unique_handle&& other) noexcept {
    reset(other.release());
    return *this;
  }
  unique_handle(const unique_handle&) = delete;
  unique_handle& operator=(const unique_handle&) = delete;
  ~unique_handle() { reset(); }

  T* get() const noexcept { return handle_; }
  [[nodiscard]] T* release() noexcept { return std::exchange(handle_, nullptr); }
  void reset(T* adopted = nullptr) noexcept {
    if (T* old = std::exchange(handle_, adopted)) detail::handle_traits<T>::free(old);
  }
  explicit operator bool() const noexcept { return handle_ != nullptr; }

 private:
  T* handle_ = nullptr;
};

/** One node of a search for the leader that found none; its texts live as long as the error. */
struct attempt {
  std::string_view address; /**< as dialled */
  int32_t phase = 0;        /**< DQC_PHASE_: how far it came */
  dqc_status code = DQC_OK;
  std::chrono::microseconds elapsed{0}; /**< of the last try */
  std::string_view leader;              /**< the leader it named, or empty */
  std::string_view cause;               /**< for a human */
};

/** The table behind a failed search for the leader, one row per node; a view that lives as long as the error. */
class attempts_view {
 public:
  explicit attempts_view(const dqc_error* error) noexcept : error_(error) {}
  size_t size() const noexcept { return dqc_error_attempt_count(error_); }
  bool empty() const noexcept { return size() == 0; }
  /** Row `i` from 0; an empty one beyond the last. */
  attempt operator[](size_t i) const noexcept {
    dqc_attempt raw{};
    raw.struct_size = sizeof(raw);
    if (dqc_error_attempt(error_, i, &raw) != DQC_OK) return {};
    return {raw.address, raw.phase, raw.code, std::chrono::microseconds(raw.elapsed_us),
            raw.leader,  raw.cause};
  }

  class iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = attempt;
    using difference_type = std::ptrdiff_t;
    using pointer = void;
    using reference = attempt;
    iterator(const dqc_error* error, size_t at) noexcept : error_(error), at_(at) {}
    attempt operator*() const noexcept { return attempts_view(error_)[at_]; }
    iterator& operator++() noexcept { return ++at_, *this; }
    iterator operator++(int) noexcept { return iterator(error_, at_++); }
    friend bool operator==(iterator a, iterator b) noexcept { return a.at_ == b.at_; }
    friend bool operator!=(iterator a, iterator b) noexcept { return a.at_ != b.at_; }

   private:
    const dqc_error* error_;
    size_t at_;
  };
  iterator begin() const noexcept { return {error_, 0}; }
  iterator end() const noexcept { return {error_, size()}; }

 private:
  const dqc_error* error_;
};

/** What kind of failure an error is: the DQC_CLASS_ constants. Later versions may append some. */
enum class error_class : int32_t {
  none = DQC_CLASS_NONE,
  misuse = DQC_CLASS_MISUSE,
  cancelled = DQC_CLASS_CANCELLED,
  timeout = DQC_CLASS_TIMEOUT,
  limit = DQC_CLASS_LIMIT,
  network = DQC_CLASS_NETWORK,
  protocol = DQC_CLASS_PROTOCOL,
  sql = DQC_CLASS_SQL,
  constraint = DQC_CLASS_CONSTRAINT,
  busy = DQC_CLASS_BUSY,
  leadership = DQC_CLASS_LEADERSHIP,
  server = DQC_CLASS_SERVER,
};

/**
 * Why a call failed, or nothing (false). Copies share one immutable object, so they are cheap and may go to any
 * thread. Failures of the facade itself (conversions, unknown columns) have no C object behind them.
 */
class error {
 public:
  error() noexcept = default;
  error(const error& other) noexcept
      : handle_(dqc_error_retain(other.handle_)), local_(other.local_), code_(other.code_) {
    if (local_ != nullptr) local_->refs.fetch_add(1, std::memory_order_relaxed);
  }
  error(error&& other) noexcept
      : handle_(std::exchange(other.handle_, nullptr)),
        local_(std::exchange(other.local_, nullptr)),
        code_(std::exchange(other.code_, DQC_OK)) {}
  error& operator=(error other) noexcept {
    std::swap(handle_, other.handle_);
    std::swap(local_, other.local_);
    std::swap(code_, other.code_);
    return *this;
  }
  ~error() {
    if (handle_ != nullptr) dqc_error_free(handle_);
    if (local_ != nullptr && local_->refs.fetch_sub(1, std::memory_order_acq_rel) == 1)
      delete local_;
  }

  /** Takes over what a C call returned: its status and, if it gave one, its error object. */
  static error adopt(dqc_status status, dqc_error* owned = nullptr) noexcept {
    error e;
    e.handle_ = owned;
    e.code_ = owned != nullptr ? dqc_error_code(owned) : status;
    return e;
  }
  /** Shares an error that somebody else owns, as that of an event. */
  static error retain(const dqc_error* borrowed) noexcept {
    return borrowed == nullptr ? error() : adopt(DQC_OK, dqc_error_retain(borrowed));
  }
  /** An error of the facade or of the application. Without memory for the text the code remains. */
  static error make(dqc_status code, std::string message) noexcept {
    error e;
    e.code_ = code;
    e.local_ = new (std::nothrow) local{{1}, std::move(message)};
    return e;
  }

  /** True if there is an error. */
  explicit operator bool() const noexcept { return code_ != DQC_OK; }
  /** A DQC_E_ constant; DQC_OK if there is none. */
  dqc_status code() const noexcept { return code_; }
  /** What kind of failure it is; each code has one class, also codes of later versions. */
  dqc::error_class error_class() const noexcept {
    return static_cast<dqc::error_class>(dqc_status_class(code_));
  }
  /** One line for a human, NUL-terminated; lives as long as this object. */
  const char* message() const& noexcept {
    if (handle_ != nullptr) return dqc_error_message(handle_);
    if (local_ != nullptr) return local_->text.c_str();
    return code_ == DQC_OK ? "" : dqc_status_name(code_);
  }
  const char* message() const&& = delete;
  /** A DQC_OUTCOME_ constant: what is known of the effect. */
  int32_t outcome() const noexcept { return dqc_error_outcome(handle_); }
  /** A DQC_RETRY_ constant: may the same call be made again? */
  int32_t retry() const noexcept { return dqc_error_retry(handle_); }
  /** A DQC_PHASE_ constant: where it failed. */
  int32_t phase() const noexcept { return dqc_error_phase(handle_); }
  /** The code that the server sent, or 0. */
  int32_t server_code() const noexcept { return dqc_error_server_code(handle_); }
  /** SQLite's primary result code, or 0. */
  int32_t sqlite_code() const noexcept { return dqc_error_sqlite_code(handle_); }
  /** The server's own words, or ""; lives as long as this object. */
  const char* server_text() const& noexcept { return dqc_error_server_text(handle_); }
  const char* server_text() const&& = delete;
  /** Address of the node concerned, or ""; lives as long as this object. */
  const char* node() const& noexcept { return dqc_error_node(handle_); }
  const char* node() const&& = delete;
  /** Scripts: byte offset of the statement that failed, else -1. */
  int64_t sql_offset() const noexcept { return dqc_error_sql_offset(handle_); }
  /** What each node answered, if no leader was found; lives as long as this object. */
  attempts_view attempts() const& noexcept { return attempts_view(handle_); }
  void attempts() const&& = delete;
  /** The C object, still owned by this one; null for errors of the facade. */
  const dqc_error* get() const noexcept { return handle_; }

 private:
  struct local {
    std::atomic<uint32_t> refs;
    std::string text;
  };
  dqc_error* handle_ = nullptr;
  local* local_ = nullptr;
  dqc_status code_ = DQC_OK;
};

#if DQC_CPP_EXCEPTIONS
/** What the throwing members throw; carries the error. */
class exception : public std::exception {
 public:
  explicit exception(dqc::error error) noexcept : error_(std::move(error)) {}
  const char* what() const noexcept override { return error_.message(); }
  const dqc::error& error() const& noexcept { return error_; }

 private:
  dqc::error error_;
};
#endif

namespace detail {

// Throws where exceptions are on; elsewhere the caller goes on, and the error stays in its object.
inline void raise([[maybe_unused]] const error& e) {
#if DQC_CPP_EXCEPTIONS
  throw exception(e);
#endif
}

}  // namespace detail

/**
 * A value, or the error that says why there is none.
 * @code
 *   auto r = conn.exec("DELETE FROM t");            // either
 *   if (!r) return r.error();
 *   use(r->rows_affected());
 *   use(conn.exec("DELETE FROM t").value());        // or: throws dqc::exception
 * @endcode
 */
template <class T>
class [[nodiscard]] result {
 public:
  using value_type = T;
  result(T value) noexcept(std::is_nothrow_move_constructible_v<T>) : value_(std::move(value)) {}
  result(dqc::error error) noexcept : error_(std::move(error)) {}

  bool ok() const noexcept { return value_.has_value(); }
  explicit operator bool() const noexcept { return ok(); }

  /** The error; false if there is a value. */
  const dqc::error& error() const& noexcept { return error_; }
  dqc::error error() && noexcept { return std::move(error_); }

  /** Moves the value to `out` and returns no error, or returns the error. */
  [[nodiscard]] dqc::error get(T& out) {
    if (ok()) out = std::move(*value_);
    return error_;
  }

  /** The value, unchecked: undefined without one, like that of std::optional. */
  T& operator*() & noexcept { return *value_; }
  const T& operator*() const& noexcept { return *value_; }
  T operator*() && { return std::move(*value_); }
  T* operator->() & noexcept { return &*value_; }
  const T* operator->() const& noexcept { return &*value_; }
  T* operator->() && = delete;

#if DQC_CPP_EXCEPTIONS
  /** The value; throws dqc::exception without one. Moved out of a temporary, so nothing dangles. */
  T& value() & { return check(), *value_; }
  const T& value() const& { return check(), *value_; }
  T value() && { return check(), std::move(*value_); }
#endif

 private:
#if DQC_CPP_EXCEPTIONS
  void check() const {
    if (!ok()) throw exception(error_);
  }
#endif
  std::optional<T> value_;
  dqc::error error_;
};

/** Success, or an error. */
template <>
class [[nodiscard]] result<void> {
 public:
  using value_type = void;
  result() noexcept = default;
  result(dqc::error error) noexcept : error_(std::move(error)) {}

  bool ok() const noexcept { return !error_; }
  explicit operator bool() const noexcept { return ok(); }
  const dqc::error& error() const& noexcept { return error_; }
  dqc::error error() && noexcept { return std::move(error_); }
#if DQC_CPP_EXCEPTIONS
  /** Throws dqc::exception if there is an error. */
  void value() const {
    if (!ok()) throw exception(error_);
  }
#endif

 private:
  dqc::error error_;
};

namespace detail {

// Makes one C call `f(dqc_error**)` and returns its error, if any.
template <class F>
error call(F&& f) {
  dqc_error* raw = nullptr;
  const dqc_status status = f(&raw);
  return status < 0 ? error::adopt(status, raw) : error();
}

template <class F>
result<void> call_void(F&& f) {
  return result<void>(call(std::forward<F>(f)));
}

// Makes one C call that creates a handle, and wraps that in a W.
template <class W, class T, class F>
result<W> call_handle(F&& f) {
  T* handle = nullptr;
  if (error e = call([&](dqc_error** raw) { return f(&handle, raw); })) return e;
  return W(unique_handle<T>(handle));
}

// The first exception that left a callback on this thread and was not fetched yet.
inline std::exception_ptr& pending_exception() noexcept {
  static thread_local std::exception_ptr pending;
  return pending;
}

inline void store_exception() noexcept {
#if DQC_CPP_EXCEPTIONS
  std::exception_ptr& pending = pending_exception();
  if (!pending) pending = std::current_exception();
#endif
}

}  // namespace detail

/**
 * An exception that left a callback of the application cannot pass through the C library. It is caught there and
 * kept for the thread; the first one wins. loop::run() and queue::dispatch() throw it again after the C call has
 * returned. Those who drive a loop in another way (uv_run(), blocking calls) fetch it with this function.
 * @return null if there is none.
 */
inline std::exception_ptr take_callback_exception() noexcept {
  return std::exchange(detail::pending_exception(), nullptr);
}

namespace detail {

inline void rethrow_callback_exception() {
#if DQC_CPP_EXCEPTIONS
  if (std::exception_ptr pending = take_callback_exception())
    std::rethrow_exception(std::move(pending));
#endif
}

}  // namespace detail
}  // namespace DQC_CPP_NAMESPACE
}  // namespace dqc
