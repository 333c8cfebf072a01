/* SPDX-License-Identifier: MIT */
// Connections: blocking and with callbacks. Include <dqclient/dqclient.hpp>.
#pragma once

#include <dqclient/detail/calls.hpp>

namespace dqc {
inline namespace DQC_CPP_NAMESPACE {

/** See connection::transaction_state(). */
enum class transaction_state : int32_t {
  none = DQC_TRANSACTION_NONE, /**< each statement is a transaction by itself */
  open = DQC_TRANSACTION_OPEN,
  unknown = DQC_TRANSACTION_UNKNOWN, /**< a failure may have rolled it back */
};

/**
 * A connection to one node and one database. Move-only; destroying it closes the connection in the background, or gives
 * it back to the client that leased it.
 * @code
 *   dqc::connection conn = dqc::connection::open("dqlite://127.0.0.1:9001/app").value();
 *   for (auto [id, name] : conn.query("SELECT id, name FROM users WHERE id > ?", 42)
 *                              .value()
 *                              .as<int64_t, std::string_view>()) { ... }
 * @endcode
 * Threading: the thread that drives its loop; with a threaded loop any.
 */
class connection : public detail::connection_calls<connection> {
 public:
  explicit connection(unique_handle<dqc_conn> adopted) noexcept : handle_(std::move(adopted)) {}
  dqc_conn* get() const noexcept { return handle_.get(); }
  /** Gives the handle away. */
  unique_handle<dqc_conn> release() && noexcept { return std::move(handle_); }

  /** Connect to one node, blocking. */
  static result<connection> open(std::string_view dsn) {
    return detail::call_handle<connection, dqc_conn>([&](dqc_conn** out, dqc_error** e) {
      return dqc_conn_open(dsn.data(), dsn.size(), out, e);
    });
  }
  /** A connection with a driven loop of its own, for blocking use; no I/O yet. */
  static result<connection> create(const config& c) { return create(nullptr, nullptr, c); }
  /** On a driven loop, or a threaded one for blocking use; no I/O yet. */
  static result<connection> create(const loop& l, const config& c) {
    return create(l.get(), nullptr, c);
  }
  /** On a threaded loop, with its events in `q`; no I/O yet. */
  static result<connection> create(const loop& l, const queue& q, const config& c) {
    return create(l.get(), q.get(), c);
  }

  result<void> connect() {
    return detail::call_void([&](dqc_error** e) { return dqc_conn_connect(get(), e); });
  }
  /** Operations may be submitted at once. The callback, like that of exec_async(), may take a result<void>. */
  template <class F>
  result<op_id> connect_async(F&& callback) {
    return detail::submit<void>(std::forward<F>(callback),
                                [&](auto cb, void* user, auto* op, auto** e) {
                                  return dqc_conn_connect_async(get(), cb, user, op, e);
                                });
  }
  /** Close: operations not sent yet fail with DQC_E_CLOSED, the others are drained. */
  result<void> close() {
    return detail::call_void([&](dqc_error** e) { return dqc_conn_close(get(), e); });
  }
  template <class F>
  result<op_id> close_async(F&& callback) {
    return detail::submit<void>(std::forward<F>(callback),
                                [&](auto cb, void* user, auto* op, auto** e) {
                                  return dqc_conn_close_async(get(), cb, user, op, e);
                                });
  }

  /** Ask for the end of an operation; its terminal event comes promptly. */
  result<void> cancel(op_id op) { return detail::status_result(dqc_conn_cancel(get(), op)); }
  /** Stop or resume the flow of an operation's rows. */
  result<void> pause(op_id op, bool on) {
    return detail::status_result(dqc_conn_pause(get(), op, on ? 1 : 0));
  }

  /** A DQC_STATE_ constant. */
  int32_t state() const noexcept { return dqc_conn_state(get()); }
  /** The server's era, 'A' to 'D'; 0 while it is not known. */
  int32_t era() const noexcept { return dqc_conn_era(get()); }
  /** Whether a transaction is open, as of the last answer of the server. */
  dqc::transaction_state transaction_state() const noexcept {
    return static_cast<dqc::transaction_state>(dqc_conn_transaction(get()));
  }
  /** Address of the node as configured; lives as long as the connection. */
  const char* address() const& noexcept { return dqc_conn_address(get()); }
  const char* address() const&& = delete;

  /** The calls with other options: `conn.with(dqc::options().timeout(5s)).exec(...)`. */
  using configured = detail::configured<dqc_conn, detail::connection_calls>;
  configured with(const options& o) & noexcept { return {get(), o}; }
  configured with(const options& o) && = delete;
  const dqc_call_options* call_options() const noexcept { return nullptr; }

 private:
  static result<connection> create(dqc_loop* loop, dqc_queue* queue, const config& c) {
    return detail::call_handle<connection, dqc_conn>(
        [&](dqc_conn** out, dqc_error** e) { return dqc_conn_new(loop, queue, c.get(), out, e); });
  }
  unique_handle<dqc_conn> handle_;
};

inline dqc::connection event::connection() const noexcept {
  return dqc::connection(std::move(conn_));
}

}  // namespace DQC_CPP_NAMESPACE
}  // namespace dqc
