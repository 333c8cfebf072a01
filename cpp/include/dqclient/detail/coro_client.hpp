/* SPDX-License-Identifier: MIT */
// Clients. Include <dqclient/coro.hpp>.
#pragma once

#include <dqclient/detail/coro_transaction.hpp>

namespace dqc {
inline namespace DQC_CPP_NAMESPACE {
namespace coro {

/**
 * A cluster, for coroutines: see dqc::client. Copies share it; the last one gives it up. Its operations may run at the
 * same time and end in any order; to await them in turn gives them an order.
 */
class client : public impl::client_calls<client>, public detail::cluster_calls<client> {
 public:
  explicit client(detail::client_ref shared) noexcept : client_(std::move(shared)) {}

  /** On a driven loop; no I/O yet. */
  static result<client> create(const loop& l, const config& c) {
    return adopt(dqc::client::create(l, c));
  }
  /** On a threaded loop, with its events in `q`; no I/O yet. */
  static result<client> create(const loop& l, const queue& q, const config& c) {
    return adopt(dqc::client::create(l, q, c));
  }

  /**
   * `co_await db.run_tx(fn)` runs fn(coro::transaction&), which returns a task<T>, as one transaction and gives the T:
   * see dqc::client::run_tx(), also for when it is run again. Failures are thrown, or returned if T is a dqc::result.
   * gcc 12 destroys a lambda twice that captures objects with destructors by value and is written inside the
   * co_await: give it a name before, or capture by reference.
   */
  template <class F>
  task<detail::tx_task_t<std::decay_t<F>, transaction>> run_tx(F&& fn,
                                                               const tx_options& o = {}) const {
    return detail::run_tx<std::decay_t<F>>(client_, std::forward<F>(fn), o);
  }

  using configured = impl::configured<detail::client_ref, impl::client_calls>;
  /** The calls with other options: `db.with(dqc::options().timeout(5s)).exec(...)`. */
  configured with(const options& o) const noexcept { return {client_, o}; }

  dqc_client* get() const noexcept { return client_->handle.get(); }
  const detail::client_ref& conn() const noexcept { return client_; }
  const dqc_call_options* call_options() const noexcept { return nullptr; }

 private:
  static result<client> adopt(result<dqc::client> made) {
    if (!made.ok()) return made.error();
    return client(std::make_shared<detail::shared_handle<dqc_client>>(std::move(*made).release()));
  }
  detail::client_ref client_;
};

}  // namespace coro

namespace detail {

template <>
struct op_answer<coro::client> {
  static result<coro::client> take(op_state& s) {
    if (s.answer().failure()) return s.answer().failure();
    return coro::client(std::static_pointer_cast<shared_handle<dqc_client>>(s.target()));
  }
};

inline unique_op open(const result<coro::client>& made) {
  if (!made.ok()) return unique_op(op_state::refused(nullptr, made.error()));
  const client_ref client = made->conn();
  return coro::impl::start(
      client, op_state::mode::discard, [&](auto, auto, auto cb, void* user, auto* op, auto** e) {
        return dqc_client_connect_async(client->handle.get(), nullptr, cb, user, op, e);
      });
}

}  // namespace detail

namespace coro {

/** A client, connected, on a driven loop. */
inline operation<client> open(const loop& l, const config& c) {
  return operation<client>(detail::open(client::create(l, c)));
}
/** On a threaded loop, with its events in `q`. */
inline operation<client> open(const loop& l, const queue& q, const config& c) {
  return operation<client>(detail::open(client::create(l, q, c)));
}
inline operation<client> open(const loop& l, std::string_view dsn) {
  result<config> c = config::parse(dsn);
  return c.ok() ? open(l, *c) : operation<client>(detail::open(c.error()));
}
inline operation<client> open(const loop& l, const queue& q, std::string_view dsn) {
  result<config> c = config::parse(dsn);
  return c.ok() ? open(l, q, *c) : operation<client>(detail::open(c.error()));
}

}  // namespace coro
}  // namespace DQC_CPP_NAMESPACE
}  // namespace dqc
