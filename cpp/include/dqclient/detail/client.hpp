/* SPDX-License-Identifier: MIT */
// Clients: a cluster, its leader, a pool of connections. Include <dqclient/dqclient.hpp>.
#pragma once

#include <dqclient/detail/transaction.hpp>

#include <initializer_list>

namespace dqc {
inline namespace DQC_CPP_NAMESPACE {

namespace detail {

// All calls of a client. D has get() and call_options().
template <class D>
class client_calls : public sql_calls<D>, public request_calls<D> {
 public:
  /** Find the leader and connect to it. Not needed: the first operation does it too. */
  result<void> connect() {
    return call_void([&](dqc_error** e) { return dqc_client_connect(get(), with(), e); });
  }
  /** The callback, like that of exec_async(), may take a result<void>. */
  template <class F>
  result<op_id> connect_async(F&& callback) {
    return submit_life<void>(&dqc_client_connect_async, std::forward<F>(callback));
  }

  /** End the client: what waits fails with DQC_E_CLOSED, what runs may end, leases may be given back. */
  result<void> close() {
    return call_void([&](dqc_error** e) { return dqc_client_close(get(), with(), e); });
  }
  template <class F>
  result<op_id> close_async(F&& callback) {
    return submit_life<void>(&dqc_client_close_async, std::forward<F>(callback));
  }

  /**
   * Lease a connection: nobody else uses it until it is destroyed, which gives it back. A transaction left open is
   * rolled back then, and statements made on it end. The time covers waiting and connecting.
   */
  result<connection> acquire() {
    return call_handle<connection, dqc_conn>(
        [&](dqc_conn** out, dqc_error** e) { return dqc_client_acquire(get(), with(), out, e); });
  }
  /** The callback may take a result<connection>. */
  template <class F>
  result<op_id> acquire_async(F&& callback) {
    return submit_life<connection>(&dqc_client_acquire_async, std::forward<F>(callback));
  }

 private:
  dqc_client* get() noexcept { return static_cast<D&>(*this).get(); }
  const dqc_call_options* with() noexcept { return static_cast<D&>(*this).call_options(); }
  template <class T, class Call, class F>
  result<op_id> submit_life(Call* c, F&& callback) {
    return submit<T>(std::forward<F>(callback), [&](auto cb, void* user, auto* op, auto** e) {
      return c(get(), with(), cb, user, op, e);
    });
  }
};

// What a client knows of its cluster and itself. D has get().
template <class D>
class cluster_calls {
 public:
  /** Replace the nodes that the configuration named: a span, array or vector of node_info, as cluster() returns. */
  template <class Nodes, class = decltype(std::data(std::declval<const Nodes&>()))>
  result<void> set_nodes(const Nodes& nodes) {
    return set_nodes(std::data(nodes), std::size(nodes));
  }
  /** `db.set_nodes({{1, "10.0.0.1:9001"}, {2, "10.0.0.2:9001"}})`; an id of 0: not known. */
  result<void> set_nodes(std::initializer_list<node_info> nodes) {
    return set_nodes(nodes.begin(), nodes.size());
  }

  /** Address of the leader as last confirmed; empty if there was none yet. */
  std::string leader_address() const {
    std::string text(128, '\0');
    for (;;) {
      const size_t size = dqc_client_leader(handle(), &text[0], text.size());
      const bool whole = size < text.size();
      text.resize(whole ? size : size + 1);
      if (whole) return text;
    }
  }
  /** Counters. Threading: any. */
  dqc_stats stats() const noexcept {
    dqc_stats out{};
    out.struct_size = sizeof(out);
    dqc_client_stats(handle(), &out);
    return out;
  }

 private:
  result<void> set_nodes(const node_info* first, size_t count) {
    std::vector<dqc_node> list;
    list.reserve(count);
    for (const node_info* n = first; n != first + count; ++n)
      list.push_back({n->id, n->address.c_str(), static_cast<int32_t>(n->role), 0});
    return detail::call_void(
        [&](dqc_error** e) { return dqc_client_set_nodes(handle(), list.data(), list.size(), e); });
  }
  dqc_client* handle() const noexcept { return static_cast<const D&>(*this).get(); }
};

}  // namespace detail

/**
 * A cluster: finds the leader, follows it when it changes, and runs each operation on a connection of its pool. What
 * was certainly not executed is run again within its deadline. Move-only.
 * @code
 *   dqc::client db = dqc::client::open("dqlite://10.0.0.1:9001,10.0.0.2:9001,10.0.0.3:9001/app").value();
 *   db.exec("UPDATE account SET balance = balance + ? WHERE id = ?", 10, 1).value();
 *   db.run_tx([](dqc::transaction& tx) { ... }).value();   // statements that belong together
 * @endcode
 * Operations may run at the same time and end in any order; those of a transaction or a lease, in theirs.
 * Threading: the thread that drives its loop; with a threaded loop any.
 */
class client : public detail::client_calls<client>, public detail::cluster_calls<client> {
 public:
  explicit client(unique_handle<dqc_client> adopted) noexcept : handle_(std::move(adopted)) {}
  dqc_client* get() const noexcept { return handle_.get(); }
  /** Gives the handle away. */
  unique_handle<dqc_client> release() && noexcept { return std::move(handle_); }

  /** For blocking use, connected. */
  static result<client> open(std::string_view dsn) {
    return detail::call_handle<client, dqc_client>([&](dqc_client** out, dqc_error** e) {
      return dqc_client_open(dsn.data(), dsn.size(), out, e);
    });
  }
  /** A client with a driven loop of its own, for blocking use; no I/O yet. */
  static result<client> create(const config& c) { return create(nullptr, nullptr, c); }
  /** On a driven loop, or a threaded one for blocking use; no I/O yet. */
  static result<client> create(const loop& l, const config& c) {
    return create(l.get(), nullptr, c);
  }
  /** On a threaded loop, with its events in `q`; no I/O yet. */
  static result<client> create(const loop& l, const queue& q, const config& c) {
    return create(l.get(), q.get(), c);
  }

  /**
   * Run `fn(dqc::transaction&)` as one transaction: BEGIN, the function, COMMIT. It returns a dqc::result, or any value
   * or nothing if it throws. If it fails or throws, all is rolled back. Where that helps and nothing was committed
   * (another writer, a lost leader or connection) it is run again, so it must have no effects but those through the
   * transaction. A COMMIT that may have been executed is not run again, unless the options say that it may.
   * dqc::exception becomes the error that it carries; other exceptions pass through. Blocking.
   */
  template <class F, class R = std::invoke_result_t<F&, transaction&>>
  result<detail::tx_value_t<R>> run_tx(F&& fn, const tx_options& o = {}) {
    auto made = detail::call_handle<unique_handle<dqc_tx>, dqc_tx>(
        [&](dqc_tx** out, dqc_error** e) { return dqc_tx_new(get(), &o.raw(), out, e); });
    if (!made.ok()) return made.error();
    for (;;) {
      bool again = false;
      result<detail::tx_value_t<R>> done = run_once(fn, made->get(), again);
      if (!again) return done;
    }
  }

  /** Ask for the end of an operation, also while it waits; its terminal event comes promptly. */
  result<void> cancel(op_id op) { return detail::status_result(dqc_client_cancel(get(), op)); }
  /** Stop or resume the flow of an operation's rows. */
  result<void> pause(op_id op, bool on) {
    return detail::status_result(dqc_client_pause(get(), op, on ? 1 : 0));
  }

  /** The calls with other options: `db.with(dqc::options().timeout(5s).idempotent()).exec(...)`. */
  using configured = detail::configured<dqc_client, detail::client_calls>;
  configured with(const options& o) & noexcept { return {get(), o}; }
  configured with(const options& o) && = delete;
  const dqc_call_options* call_options() const noexcept { return nullptr; }

 private:
  static result<client> create(dqc_loop* loop, dqc_queue* queue, const config& c) {
    return detail::call_handle<client, dqc_client>([&](dqc_client** out, dqc_error** e) {
      return dqc_client_new(loop, queue, c.get(), out, e);
    });
  }

  template <class F, class R = std::invoke_result_t<F&, transaction&>>
  static result<detail::tx_value_t<R>> run_once(F& fn, dqc_tx* handle, bool& again) {
    result<connection> lease = detail::call_handle<connection, dqc_conn>(
        [&](dqc_conn** out, dqc_error** e) { return dqc_tx_begin(handle, out, e); });
    if (!lease.ok()) return lease.error();  // it has tried all there is to try
    transaction tx(std::move(*lease));
    result<detail::tx_value_t<R>> done = detail::tx_call(fn, tx);
    if (done.ok() && tx.failure()) done = tx.failure();
    dqc_error* raw = nullptr;
    const dqc_status end =
        done.ok() ? dqc_tx_commit(handle, &raw) : dqc_tx_rollback(handle, done.error().get(), &raw);
    again = end == DQC_AGAIN;
    error e = end < 0 ? error::adopt(end, raw) : error();
    if (e && done.ok()) return e;
    return done;
  }

  unique_handle<dqc_client> handle_;
};

}  // namespace DQC_CPP_NAMESPACE
}  // namespace dqc
