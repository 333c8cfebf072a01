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
  explicit transaction(const connection& lease) noexcept : conn_(lease.conn()) {}
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
  const dqc_call_options* call_options() const noexcept { return nullptr; }

  /** A savepoint could not be undone: it cannot be committed. */
  const error& failure() const noexcept { return failed_; }

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
    } else if (dqc_conn_state(conn_->handle.get()) == DQC_STATE_READY) {
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
  error failed_;
  uint32_t savepoints_ = 0;
};

}  // namespace coro

namespace detail {

class shared_tx final : public shared_target {
 public:
  shared_tx(client_ref db, unique_handle<dqc_tx> adopted) noexcept
      : handle(std::move(adopted)), client_(std::move(db)) {}
  void cancel(uint64_t op) noexcept override { client_->cancel(op); }
  void pause(uint64_t op, bool on) noexcept override { client_->pause(op, on); }
  unique_handle<dqc_tx> handle;

 private:
  client_ref client_;
};
using tx_ref = std::shared_ptr<shared_tx>;

// The answer to the end of a transaction: is it to be run again?
struct tx_again {
  bool value = false;
};
template <>
struct op_answer<tx_again> {
  static result<tx_again> take(op_state& s) {
    if (s.answer().failure() && !s.answer().again()) return s.answer().failure();
    return tx_again{s.answer().again()};
  }
};

template <class T, class Submit>
coro::operation<T> tx_operation(const tx_ref& tx, Submit&& f) {
  return coro::operation<T>(coro::impl::start(
      tx, op_state::mode::discard, [&](auto, auto, auto cb, void* user, auto* op, auto** e) {
        return f(tx->handle.get(), cb, user, op, e);
      }));
}

// One run of the function, as a transaction. `again`: there is to be another.
template <class F, class R = tx_task_t<F, coro::transaction>>
task<tx_outcome<tx_value_t<R>>> tx_once(const tx_ref& handle, F& fn, bool& again) {
  using value = result<tx_value_t<R>>;
  using outcome = tx_outcome<tx_value_t<R>>;
  auto lease = co_await tx_operation<coro::connection>(handle, &dqc_tx_begin_async).as_result();
  if (!lease.ok()) co_return outcome(value(lease.error()));
  coro::transaction tx(*lease);
  outcome end = co_await tx_await(fn, tx);
  if (end.ok() && tx.failure()) end.done = tx.failure();
  if (end.ok()) {
    auto done = co_await tx_operation<tx_again>(handle, &dqc_tx_commit_async).as_result();
    again = done.ok() && done->value;
    if (!done.ok()) end.done = done.error();
  } else {
    const dqc_error* why = end.thrown ? nullptr : end.done.error().get();
    auto done = co_await tx_operation<tx_again>(handle, [why](auto* t, auto... rest) {
                  return dqc_tx_rollback_async(t, why, rest...);
                }).as_result();
    again = done.ok() && done->value;
  }
  co_return end;
}

template <class F, class R = tx_task_t<F, coro::transaction>>
task<R> run_tx(client_ref db, F fn, tx_options o) {
  auto made = call_handle<unique_handle<dqc_tx>, dqc_tx>(
      [&](dqc_tx** out, dqc_error** e) { return dqc_tx_new(db->handle.get(), &o.raw(), out, e); });
  if (!made.ok()) {
    using value = result<tx_value_t<R>>;
    co_return tx_finish<R>(tx_outcome<tx_value_t<R>>(value(made.error())));
  }
  const tx_ref tx = std::make_shared<shared_tx>(std::move(db), std::move(*made));
  for (;;) {
    bool again = false;
    auto end = co_await tx_once(tx, fn, again);
    if (!again) co_return tx_finish<R>(std::move(end));
  }
}

}  // namespace detail
}  // namespace DQC_CPP_NAMESPACE
}  // namespace dqc
