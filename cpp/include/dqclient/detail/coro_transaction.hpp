/* SPDX-License-Identifier: MIT */
// Transactions. Include <dqclient/coro.hpp>.
#pragma once

#include <dqclient/detail/coro_client_calls.hpp>

namespace dqc {
inline namespace DQC_CPP_NAMESPACE {
namespace detail {

template <class Task>
struct tx_task;
template <class R>
struct tx_task<task<R>> {
  using returns = R;
};
// What the coroutine F returns to the transaction Tx, without the task.
template <class F, class Tx>
using tx_task_t = typename tx_task<std::invoke_result_t<F&, Tx&>>::returns;

// What a function gave: a value, an error, or an exception that is none of ours. No aggregate: gcc 12 destroys those
// twice where a coroutine makes them from what it awaits.
template <class T>
class tx_outcome {
 public:
  explicit tx_outcome(result<T> r) : done(std::move(r)) {}
  explicit tx_outcome(std::exception_ptr e)
      : done(error::adopt(DQC_E_CANCELLED)), thrown(std::move(e)) {}
  bool ok() const noexcept { return done.ok() && !thrown; }

  result<T> done;
  std::exception_ptr thrown;
  bool again = false;
};

// Awaits the function; dqc::exception becomes the error that it carries.
template <class F, class Tx, class R = tx_task_t<F, Tx>>
task<tx_outcome<tx_value_t<R>>> tx_await(F& fn, Tx& tx) {
  using outcome = tx_outcome<tx_value_t<R>>;
#if DQC_CPP_EXCEPTIONS
  try {
#endif
    if constexpr (tx_returns<R>::as_result) {
      R done = co_await fn(tx);
      co_return outcome(std::move(done));
    } else if constexpr (std::is_void_v<R>) {
      co_await fn(tx);
      co_return outcome(result<void>());
    } else {
      R value = co_await fn(tx);
      co_return outcome(result<R>(std::move(value)));
    }
#if DQC_CPP_EXCEPTIONS
  } catch (const exception& e) {
    co_return outcome(result<tx_value_t<R>>(e.error()));
  } catch (...) {
    co_return outcome(std::current_exception());
  }
#endif
}

// What run_tx() and nested() return for a function that returns R: what it returns.
template <class R, class T>
R tx_finish(tx_outcome<T>&& end) {
#if DQC_CPP_EXCEPTIONS
  if (end.thrown) std::rethrow_exception(std::move(end.thrown));
  if constexpr (!tx_returns<R>::as_result) {
    return std::move(end.done).value();
  } else {
    return std::move(end.done);
  }
#else
  return std::move(end.done);
#endif
}

}  // namespace detail

namespace coro {

/**
 * An open transaction, as the coroutine of client::run_tx() gets it. Its calls are those of a connection; their time is
 * what is left of the transaction's. It is ended by run_tx(): BEGIN, COMMIT and ROLLBACK are not for the coroutine.
 */
class transaction : public impl::sql_calls<transaction>, public impl::prepare_calls<transaction> {
 public:
  transaction(const connection& lease, detail::client_ref client, detail::tx_state& state) noexcept
      : conn_(lease.conn()), client_(std::move(client)), state_(state) {}
  transaction(const transaction&) = delete;
  transaction& operator=(const transaction&) = delete;

  /**
   * A transaction within this one: a savepoint. `co_await tx.nested(fn)` gives what fn(coro::transaction&), a task,
   * gives. If that fails or throws, what it did is undone, and this transaction may go on.
   */
  template <class F>
  task<detail::tx_task_t<std::decay_t<F>, transaction>> nested(F&& fn) {
    return run_nested<std::decay_t<F>>(std::forward<F>(fn));
  }

  const detail::conn_ref& conn() const noexcept { return conn_; }
  const dqc_call_options* call_options() const noexcept { return &state_.call_options().raw(); }

  // For run_tx().
  task<error> begin() {
    auto done = co_await exec(state_.begin_sql()).as_result();
    open_ = done.error().server_code() == 0;
    co_return done.error();
  }
  task<error> commit() {
    if (failed_) co_return failed_;
    for (;;) {
      auto done = co_await exec("COMMIT").as_result();
      std::optional<std::chrono::milliseconds> pause;
      if (detail::tx_state::may_repeat_commit(done.error())) pause = state_.next_try();
      if (!pause) {
        open_ = !done.ok();
        co_return done.error();
      }
      (void)co_await impl::sleep(client_, *pause).as_result();
    }
  }
  task<> rollback() {
    if (!std::exchange(open_, false) || lost()) co_return;
    // If it fails, the client sees to it before the connection is used again.
    impl::configured<detail::conn_ref, impl::sql_calls> calls(conn_, state_.rollback_options());
    auto done = co_await calls.exec("ROLLBACK").as_result();
    static_cast<void>(done);
  }
  bool lost() const noexcept { return dqc_conn_state(conn_->handle.get()) != DQC_STATE_READY; }
  bool failed() const noexcept { return static_cast<bool>(failed_); }

 private:
  template <class F, class R = detail::tx_task_t<F, transaction>>
  task<R> run_nested(F fn) {
    using value = result<detail::tx_value_t<R>>;
    using outcome = detail::tx_outcome<detail::tx_value_t<R>>;
    const uint32_t number = ++savepoints_;
    error e = co_await savepoint("SAVEPOINT", number);
    if (e) co_return detail::tx_finish<R>(outcome(value(e)));
    outcome end = co_await detail::tx_await(fn, *this);
    if (end.ok()) {
      e = co_await savepoint("RELEASE", number);
      if (e) end.done = e;
    } else if (!lost()) {
      e = co_await savepoint("ROLLBACK TO", number);
      if (!e) e = co_await savepoint("RELEASE", number);
    }
    if (e && !failed_) failed_ = e;  // what was to be undone may still be there
    co_return detail::tx_finish<R>(std::move(end));
  }
  task<error> savepoint(const char* verb, uint32_t number) {
    auto done = co_await exec(detail::savepoint_sql(verb, number)).as_result();
    co_return done.error();
  }
  detail::conn_ref conn_;
  detail::client_ref client_;
  detail::tx_state& state_;
  error failed_;
  uint32_t savepoints_ = 0;
  bool open_ = false;
};

}  // namespace coro

namespace detail {

// One run of the function, as a transaction.
template <class F, class R = tx_task_t<F, coro::transaction>>
task<tx_outcome<tx_value_t<R>>> tx_once(client_ref db, F& fn, tx_state& state) {
  using value = result<tx_value_t<R>>;
  using outcome = tx_outcome<tx_value_t<R>>;
  coro::impl::configured<client_ref, coro::impl::client_calls> calls(db, state.call_options());
  auto lease = co_await calls.acquire().as_result();
  if (!lease.ok()) co_return outcome(value(lease.error()));
  coro::transaction tx(*lease, db, state);
  const error begun = co_await tx.begin();
  outcome end{value(begun)};
  if (!begun) end = co_await tx_await(fn, tx);
  const bool commits = end.ok() && !tx.failed();
  if (end.ok()) {
    error e = co_await tx.commit();
    if (e) end.done = std::move(e);
  }
  if (!end.ok() && !end.thrown) {
    const error& e = end.done.error();
    end.again = commits ? state.may_rerun_after_commit(e) : tx_state::may_rerun(e, tx.lost());
  }
  co_await tx.rollback();
  co_return end;
}

template <class F, class R = tx_task_t<F, coro::transaction>>
task<R> run_tx(client_ref db, F fn, tx_options o) {
  tx_state state(o);
  for (;;) {
    auto end = co_await tx_once(db, fn, state);
    std::optional<std::chrono::milliseconds> pause;
    if (end.again) pause = state.next_try();
    if (!pause) co_return tx_finish<R>(std::move(end));
    co_await coro::impl::sleep(db, *pause).as_result();
  }
}

}  // namespace detail
}  // namespace DQC_CPP_NAMESPACE
}  // namespace dqc
