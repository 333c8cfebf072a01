/* SPDX-License-Identifier: MIT */
// Connections. Include <dqclient/coro.hpp>.
#pragma once

#include <dqclient/detail/coro_calls.hpp>

namespace dqc {
inline namespace DQC_CPP_NAMESPACE {
namespace coro {

/**
 * A connection for coroutines; copies share it. The last copy closes it in the background; operations that are awaited
 * and statements keep it open.
 */
class connection : public impl::connection_calls<connection> {
 public:
  /** Takes over a connection that was made with dqc::connection::create(), connected or not. */
  explicit connection(dqc::connection made)
      : conn_(std::make_shared<detail::shared_handle<dqc_conn>>(std::move(made).release())) {}
  explicit connection(detail::conn_ref conn) noexcept : conn_(std::move(conn)) {}

  operation<void> connect() { return submit(&dqc_conn_connect_async); }
  /** Close: operations not sent yet fail with DQC_E_CLOSED, the others are drained. */
  operation<void> close() { return submit(&dqc_conn_close_async); }

  int32_t state() const noexcept { return dqc_conn_state(conn_->handle.get()); }
  int32_t era() const noexcept { return dqc_conn_era(conn_->handle.get()); }
  dqc::transaction_state transaction_state() const noexcept {
    return static_cast<dqc::transaction_state>(dqc_conn_transaction(conn_->handle.get()));
  }
  const char* address() const& noexcept { return dqc_conn_address(conn_->handle.get()); }
  const char* address() const&& = delete;

  /** The calls with other options: `conn.with(dqc::options().timeout(5s)).exec(...)`. */
  using configured = impl::configured<detail::conn_ref, impl::connection_calls>;
  configured with(const options& o) const noexcept { return {conn_, o}; }

  const detail::conn_ref& conn() const noexcept { return conn_; }
  const dqc_call_options* call_options() const noexcept { return nullptr; }

 private:
  template <class F>
  operation<void> submit(F* f) {
    return operation<void>(impl::start(conn_, impl::mode::discard,
                                       [&](auto, auto, auto cb, void* user, auto* op, auto** e) {
                                         return f(conn_->handle.get(), cb, user, op, e);
                                       }));
  }
  detail::conn_ref conn_;
};

}  // namespace coro

namespace detail {

template <>
struct op_answer<coro::connection> {
  static result<coro::connection> take(op_state& s) {
    if (s.answer().failure()) return s.answer().failure();
    if (unique_handle<dqc_conn> leased = s.answer().take_connection())
      return coro::connection(dqc::connection(std::move(leased)));
    return coro::connection(std::static_pointer_cast<shared_handle<dqc_conn>>(s.target()));
  }
};

inline unique_op connect(result<dqc::connection> made) {
  if (!made.ok()) return unique_op(op_state::refused(nullptr, made.error()));
  conn_ref conn = coro::connection(std::move(*made)).conn();
  return coro::impl::start(conn, op_state::mode::discard,
                           [&](auto, auto, auto cb, void* user, auto* op, auto** e) {
                             return dqc_conn_connect_async(conn->handle.get(), cb, user, op, e);
                           });
}

}  // namespace detail

namespace coro {

/** Connect to one node, on a driven loop. */
inline operation<connection> connect(const loop& l, const config& c) {
  return operation<connection>(detail::connect(dqc::connection::create(l, c)));
}
/** On a threaded loop, with its events in `q`. */
inline operation<connection> connect(const loop& l, const queue& q, const config& c) {
  return operation<connection>(detail::connect(dqc::connection::create(l, q, c)));
}
inline operation<connection> connect(const loop& l, std::string_view dsn) {
  result<config> c = config::parse(dsn);
  return c.ok() ? connect(l, *c) : operation<connection>(detail::connect(c.error()));
}
inline operation<connection> connect(const loop& l, const queue& q, std::string_view dsn) {
  result<config> c = config::parse(dsn);
  return c.ok() ? connect(l, q, *c) : operation<connection>(detail::connect(c.error()));
}

}  // namespace coro
}  // namespace DQC_CPP_NAMESPACE
}  // namespace dqc
