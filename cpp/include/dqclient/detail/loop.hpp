/* SPDX-License-Identifier: MIT */
// Configuration, loops and queues. Include <dqclient/dqclient.hpp>.
#pragma once

#include <dqclient/detail/base.hpp>

namespace dqc {
inline namespace DQC_CPP_NAMESPACE {

/**
 * The request for a connected socket that a dial function gets. Answer it with done() or fail(), now or later, on any
 * thread; destroying it unanswered fails it.
 */
class dial_request {
 public:
  explicit dial_request(dqc_dial* adopted) noexcept : dial_(adopted) {}
  dial_request(dial_request&& other) noexcept : dial_(std::exchange(other.dial_, nullptr)) {}
  dial_request& operator=(dial_request&& other) noexcept {
    std::swap(dial_, other.dial_);
    return *this;
  }
  ~dial_request() { fail("the application dropped the dial request"); }

  /** `fd`: a connected stream socket; the library owns it from now on. */
  void done(int fd) noexcept { answer(fd, nullptr); }
  void fail(const char* message) noexcept { answer(-1, message); }
  /** The library shall dial itself. */
  void by_library() noexcept { answer(DQC_DIAL_LIBRARY, nullptr); }

 private:
  void answer(int fd, const char* message) noexcept {
    if (dqc_dial* dial = std::exchange(dial_, nullptr)) dqc_dial_done(dial, fd, message);
  }
  dqc_dial* dial_;
};

/** Options of connections. Threading: any, one at a time per object. */
class config {
 public:
  explicit config(unique_handle<dqc_config> adopted) noexcept : handle_(std::move(adopted)) {}
  dqc_config* get() const noexcept { return handle_.get(); }

  /** All defaults. */
  static result<config> create() {
    return detail::call_handle<config, dqc_config>(
        [](dqc_config** out, dqc_error** e) { return dqc_config_new(out, e); });
  }
  /** From "dqlite://host:port/database?option=value". */
  static result<config> parse(std::string_view dsn) {
    result<config> made = create();
    if (!made.ok()) return made;
    if (result<void> set = made->set_dsn(dsn); !set.ok()) return set.error();
    return made;
  }

  /** One option by its name, as ("timeout", "5s"). */
  result<void> set(std::string_view key, std::string_view value) {
    return detail::call_void([&](dqc_error** e) {
      return dqc_config_set(get(), key.data(), key.size(), value.data(), value.size(), e);
    });
  }
  result<void> set_dsn(std::string_view dsn) {
    return detail::call_void(
        [&](dqc_error** e) { return dqc_config_set_dsn(get(), dsn.data(), dsn.size(), e); });
  }
  /** DQC_DSN and DQC_<OPTION> of the environment. */
  result<void> set_env() {
    return detail::call_void([&](dqc_error** e) { return dqc_config_set_env(get(), e); });
  }

  /**
   * Log records up to `level` (DQC_LOG_), as `log(const dqc_log_record&)`, where callbacks are called.
   * @param log borrowed, so no temporary: outlives the connections made with this configuration.
   */
  template <class F>
  result<void> set_log(int32_t level, F& log) {
    return detail::call_void([&](dqc_error** e) {
      return dqc_config_set_log(get(), level, &on_log<F>, user_data(log), e);
    });
  }
  template <class F>
  result<void> set_log(int32_t level, const F&& log) = delete;

  /**
   * Changes in the cluster of a client, as `watch(const dqc_topology&)`, where callbacks are called.
   * @param watch borrowed, so no temporary: outlives the clients made with this configuration.
   */
  template <class F>
  result<void> set_watch(F& watch) {
    return detail::call_void([&](dqc_error** e) {
      return dqc_config_set_watch(get(), &on_watch<F>, user_data(watch), e);
    });
  }
  template <class F>
  result<void> set_watch(const F&& watch) = delete;

  /**
   * Dial for the library: `dial(const char* address, dqc::dial_request)`, where callbacks are called.
   * @param dial borrowed, so no temporary: outlives the connections made with this configuration.
   */
  template <class F>
  result<void> set_dial(F& dial) {
    return detail::call_void(
        [&](dqc_error** e) { return dqc_config_set_dial(get(), &on_dial<F>, user_data(dial), e); });
  }
  template <class F>
  result<void> set_dial(const F&& dial) = delete;

 private:
  template <class F>
  static void* user_data(F& f) noexcept {
    return const_cast<void*>(static_cast<const void*>(std::addressof(f)));
  }
  template <class F>
  static void DQC_CALL on_log(void* user, const dqc_log_record* record) noexcept {
    DQC_CPP_TRY { (*static_cast<F*>(user))(*record); }
    DQC_CPP_CATCH_ALL { detail::store_exception(); }
  }
  template <class F>
  static void DQC_CALL on_watch(void* user, const dqc_topology* event) noexcept {
    DQC_CPP_TRY { (*static_cast<F*>(user))(*event); }
    DQC_CPP_CATCH_ALL { detail::store_exception(); }
  }
  template <class F>
  static void DQC_CALL on_dial(void* user, const char* address, dqc_dial* dial) noexcept {
    DQC_CPP_TRY { (*static_cast<F*>(user))(address, dial_request(dial)); }
    DQC_CPP_CATCH_ALL { detail::store_exception(); }
  }
  unique_handle<dqc_config> handle_;
};

enum class run_mode : int32_t {
  all = DQC_RUN_DEFAULT,   /**< until no operation is outstanding */
  once = DQC_RUN_ONCE,     /**< wait for something to do, do it, return */
  nowait = DQC_RUN_NOWAIT, /**< do what can be done now, return */
};

/**
 * Does the I/O: driven by the application, or by a thread of its own. Connections keep it alive.
 * Threading: a driven loop and all that is made from it belong to one thread.
 */
class loop {
 public:
  /** Takes over a handle, as that of dqc_loop_attach() in dqclient_uv.h. */
  explicit loop(unique_handle<dqc_loop> adopted) noexcept : handle_(std::move(adopted)) {}
  static result<loop> driven() { return create(DQC_LOOP_DRIVEN); }
  static result<loop> threaded() { return create(DQC_LOOP_THREADED); }
  dqc_loop* get() const noexcept { return handle_.get(); }

  /** Run a driven loop: I/O, deadlines, callbacks. Throws what left a callback (take_callback_exception()). */
  result<void> run(run_mode mode = run_mode::all) {
    result<void> done = detail::call_void(
        [&](dqc_error** e) { return dqc_loop_run(get(), static_cast<int32_t>(mode), e); });
    detail::rethrow_callback_exception();
    return done;
  }
  /** Readable when a driven loop has work for run(nowait); owned by the loop; -1 if it is not driven. */
  int fd() const noexcept { return dqc_loop_fd(get()); }
  /** How long to wait for fd() at most; -1: for ever. */
  int timeout_ms() const noexcept { return dqc_loop_timeout_ms(get()); }
  /** Make run(once) return; any thread. */
  void wake() noexcept { dqc_loop_wake(get()); }

 private:
  static result<loop> create(int32_t mode) {
    return detail::call_handle<loop, dqc_loop>(
        [&](dqc_loop** out, dqc_error** e) { return dqc_loop_new(mode, out, e); });
  }
  unique_handle<dqc_loop> handle_;
};

/** Where the events of threaded loops wait for the application. Threading: any; dispatch() one at a time. */
class queue {
 public:
  explicit queue(unique_handle<dqc_queue> adopted) noexcept : handle_(std::move(adopted)) {}
  static result<queue> create() {
    return detail::call_handle<queue, dqc_queue>(
        [](dqc_queue** out, dqc_error** e) { return dqc_queue_new(out, e); });
  }
  dqc_queue* get() const noexcept { return handle_.get(); }

  /** Readable while events wait; never read it; owned by the queue. */
  int fd() const noexcept { return dqc_queue_fd(get()); }

  /** Wait until an event waits: true; false after `timeout`. Negative: for ever. */
  result<bool> wait(std::chrono::milliseconds timeout = std::chrono::milliseconds(-1)) {
    const int32_t status = dqc_queue_wait(get(), timeout.count());
    if (status < 0) return error::adopt(status);
    return status != 0;
  }

  /** Run the callbacks of up to `events_max` waiting events, 0: of all that wait now. Throws what left a callback. */
  result<uint64_t> dispatch(uint64_t events_max = 0) {
    const int64_t count = dqc_queue_dispatch(get(), events_max);
    detail::rethrow_callback_exception();
    if (count < 0) return error::adopt(static_cast<dqc_status>(count));
    return static_cast<uint64_t>(count);
  }

  /**
   * Call `notify()` whenever the queue becomes non-empty, and when dispatch() leaves events that came meanwhile: on a
   * thread of the library, or inside a call of yours; it may not block, throw, or call the library. A call may still
   * be on its way when the destructor returns, none when no_notify() does.
   * @param notify borrowed, so no temporary: outlives the queue and the loops of its connections.
   */
  template <class F>
  result<void> set_notify(F& notify) {
    static_assert(noexcept(notify()),
                  "notify may run on a thread of the library: make it noexcept");
    void* user = const_cast<void*>(static_cast<const void*>(std::addressof(notify)));
    return detail::call_void(
        [&](dqc_error**) { return dqc_queue_set_notify(get(), &on_notify<F>, user); });
  }
  template <class F>
  result<void> set_notify(const F&& notify) = delete;
  void no_notify() noexcept { dqc_queue_set_notify(get(), nullptr, nullptr); }

 private:
  template <class F>
  static void DQC_CALL on_notify(void* user) noexcept {
    (*static_cast<F*>(user))();
  }
  unique_handle<dqc_queue> handle_;
};

/** Options of calls: `conn.with(dqc::options().timeout(5s)).exec(...)`. */
class options {
 public:
  options() noexcept : raw_{static_cast<uint32_t>(sizeof(dqc_call_options)), 0, 0} {}
  /** End to end; instead of the connection's option "timeout". Zero or less: expires at once after 1 ms. */
  options& timeout(std::chrono::milliseconds t) noexcept {
    raw_.timeout_ms = t.count() > 0 ? static_cast<uint64_t>(t.count()) : 1;
    return *this;
  }
  options& no_timeout() noexcept {
    raw_.timeout_ms = UINT64_MAX;
    return *this;
  }
  /** Running it twice does no harm: a client may, where in doubt. */
  options& idempotent() noexcept {
    raw_.flags |= DQC_CALL_IDEMPOTENT;
    return *this;
  }
  /** A client's read sees every write that was acknowledged before it, at the price of a small write. */
  options& strong() noexcept {
    raw_.flags |= DQC_CALL_STRONG;
    return *this;
  }
  /** A client's write: in a transaction of its own, never grouped with others. */
  options& alone() noexcept {
    raw_.flags |= DQC_CALL_ALONE;
    return *this;
  }
  const dqc_call_options& raw() const noexcept { return raw_; }

 private:
  dqc_call_options raw_;
};

}  // namespace DQC_CPP_NAMESPACE
}  // namespace dqc
