/* SPDX-License-Identifier: MIT */
// Connections and prepared statements: blocking and with callbacks. Include <dqclient/dqclient.hpp>.
#pragma once

#include <dqclient/detail/event.hpp>
#include <dqclient/detail/loop.hpp>

namespace dqc {
inline namespace DQC_CPP_NAMESPACE {

namespace detail {

// exec and query of connections and statements. D has start(kind, args, count, callback ...) and the blocking twins.
template <class D>
class statement_calls {
 public:
  /** Run the statement for its effect. Without arguments the bound values are used. */
  template <class... Args>
  result<exec_result> exec(const Args&... args) {
    return with_args(
        [&](const dqc_value* list, size_t count) -> result<exec_result> {
          dqc_result raw{};
          if (error e = call([&](dqc_error** out) {
                return dqc_stmt_exec(self().get(), list, count, self().call_options(), &raw, out);
              })) {
            return e;
          }
          return exec_result(raw);
        },
        args...);
  }

  /** Run the statement; rows are fetched while the cursor is read. */
  template <class... Args>
  result<rows> query(const Args&... args) {
    return with_args(
        [&](const dqc_value* list, size_t count) -> result<rows> {
          return call_handle<rows, dqc_rows>([&](dqc_rows** out, dqc_error** e) {
            return dqc_stmt_query(self().get(), list, count, self().call_options(), out, e);
          });
        },
        args...);
  }

  /** exec() that ends in a callback: see connection. */
  template <class F, class... Args>
  result<op_id> exec_async(F&& callback, const Args&... args) {
    return with_args(
        [&](const dqc_value* list, size_t count) -> result<op_id> {
          return submit<exec_result>(
              std::forward<F>(callback), [&](auto cb, void* user, auto* op, auto** e) {
                return dqc_stmt_exec_async(self().get(), list, count, self().call_options(), cb,
                                           user, op, e);
              });
        },
        args...);
  }

  /** query() that ends in a callback: see connection. */
  template <class F, class... Args>
  result<op_id> query_async(F&& callback, const Args&... args) {
    return with_args(
        [&](const dqc_value* list, size_t count) -> result<op_id> {
          return submit<result_set>(
              std::forward<F>(callback), [&](auto cb, void* user, auto* op, auto** e) {
                return dqc_stmt_query_async(self().get(), list, count, self().call_options(), cb,
                                            user, op, e);
              });
        },
        args...);
  }

 private:
  D& self() noexcept { return static_cast<D&>(*this); }
};

}  // namespace detail

/** A prepared statement. Move-only; destroying it finalizes the statement. Threading: as its connection. */
class statement : public detail::statement_calls<statement> {
 public:
  explicit statement(unique_handle<dqc_stmt> adopted) noexcept : handle_(std::move(adopted)) {}
  dqc_stmt* get() const noexcept { return handle_.get(); }

  /** Number of parameters: the highest index. */
  uint32_t param_count() const noexcept { return dqc_stmt_param_count(get()); }
  /** Name of parameter `index`, from 1, with its prefix; empty if it has none. Lives as long as the statement. */
  std::string_view param_name(uint32_t index) const& noexcept {
    const char* name = dqc_stmt_param_name(get(), index);
    return name == nullptr ? std::string_view() : std::string_view(name);
  }
  std::string_view param_name(uint32_t index) const&& = delete;

  /** Bind parameter `index`, from 1, for executions without arguments; copied, and kept until bound anew. */
  template <class T>
  result<void> bind(uint32_t index, const T& value) {
    return detail::with_args(
        [&](const dqc_value* list, size_t) -> result<void> {
          return detail::call_void(
              [&](dqc_error** e) { return dqc_stmt_bind(get(), index, list, e); });
        },
        value);
  }
  /** The same by name: `bind(dqc::named(":a", 1))`. */
  template <class T>
  result<void> bind(const named_arg<T>& arg) {
    return bind(0, arg);
  }

  /** The calls with other options. */
  class configured : public detail::statement_calls<configured> {
   public:
    configured(dqc_stmt* stmt, const options& o) noexcept : stmt_(stmt), options_(o) {}
    dqc_stmt* get() const noexcept { return stmt_; }
    const dqc_call_options* call_options() const noexcept { return &options_.raw(); }

   private:
    dqc_stmt* stmt_;
    options options_;
  };
  configured with(const options& o) & noexcept { return {get(), o}; }
  configured with(const options& o) && = delete;
  const dqc_call_options* call_options() const noexcept { return nullptr; }

 private:
  unique_handle<dqc_stmt> handle_;
};

inline dqc::statement event::statement() const noexcept {
  return dqc::statement(unique_handle<dqc_stmt>(dqc_stmt_retain(raw_->stmt)));
}

namespace detail {

// The names of the administrative requests. D::request<T>(admin_request) makes one that is answered with a T.
template <class D>
class admin_calls {
 public:
  /** The leader this node knows of; id 0 if none. */
  auto leader() { return self().template request<node_info>(admin_request::leader()); }
  /** All nodes. */
  auto cluster() {
    return self().template request<std::vector<node_info>>(admin_request::cluster());
  }
  /** Add a node as a spare; leader only, as the next three. */
  auto add(uint64_t id, std::string_view address) {
    return self().template request<void>(admin_request::add(id, address));
  }
  auto assign(uint64_t id, role r) {
    return self().template request<void>(admin_request::assign(id, r));
  }
  auto remove(uint64_t id) { return self().template request<void>(admin_request::remove(id)); }
  /** Hand leadership over; 0: the leader chooses to whom. */
  auto transfer(uint64_t id = 0) {
    return self().template request<void>(admin_request::transfer(id));
  }
  /** What the connected node says of itself. */
  auto describe() { return self().template request<node_description>(admin_request::describe()); }
  /** Set the weight of the connected node, until it restarts. */
  auto weight(uint64_t w) { return self().template request<void>(admin_request::weight(w)); }
  /** The files of a database, whole in memory; see also connection::dump_pieces(). */
  auto dump(std::string_view database) {
    return self().template request<std::vector<database_file>>(admin_request::dump(database));
  }

 private:
  D& self() noexcept { return static_cast<D&>(*this); }
};

// The calls of a connection, blocking and with callbacks. D has get() and call_options().
template <class D>
class connection_calls : public admin_calls<D> {
 public:
  /** Run a statement for its effect; rows that it yields are discarded. */
  template <class... Args>
  result<exec_result> exec(std::string_view sql, const Args&... args) {
    return with_args(
        [&](const dqc_value* list, size_t count) -> result<exec_result> {
          dqc_result raw{};
          if (error e = call([&](dqc_error** out) {
                return dqc_conn_exec(self().get(), sql.data(), sql.size(), list, count,
                                     self().call_options(), &raw, out);
              })) {
            return e;
          }
          return exec_result(raw);
        },
        args...);
  }

  /** Run a statement; returns when the first rows, or the failure, are there. */
  template <class... Args>
  result<rows> query(std::string_view sql, const Args&... args) {
    return with_args(
        [&](const dqc_value* list, size_t count) -> result<rows> {
          return call_handle<rows, dqc_rows>([&](dqc_rows** out, dqc_error** e) {
            return dqc_conn_query(self().get(), sql.data(), sql.size(), list, count,
                                  self().call_options(), out, e);
          });
        },
        args...);
  }

  /** Run statements one after the other, up to the first error; rows are discarded. */
  result<exec_result> script(std::string_view sql) {
    dqc_result raw{};
    if (error e = call([&](dqc_error** out) {
          return dqc_conn_script(self().get(), sql.data(), sql.size(), self().call_options(), &raw,
                                 out);
        })) {
      return e;
    }
    return exec_result(raw);
  }

  result<statement> prepare(std::string_view sql) {
    return call_handle<statement, dqc_stmt>([&](dqc_stmt** out, dqc_error** e) {
      return dqc_conn_prepare(self().get(), sql.data(), sql.size(), self().call_options(), out, e);
    });
  }

  /** One administrative request, answered with a T: use leader(), cluster() and so on. */
  template <class T>
  result<T> request(const admin_request& r) {
    result<rows> answer = request_rows(r);
    if (!answer.ok()) return answer.error();
    result<result_set> set = std::move(*answer).collect();
    if (!set.ok()) return set.error();
    return admin_answer<T>::read(*set);
  }

  /**
   * A database of any size as it arrives, in rows of name, size, offset and data (see DQC_ADMIN_DUMP):
   * @code
   *   for (auto [name, size, offset, data] :
   *        pieces.as<std::string_view, int64_t, int64_t, dqc::blob_view>()) { ... }
   * @endcode
   */
  result<rows> dump_pieces(std::string_view database) {
    return request_rows(admin_request::dump(database));
  }

  /*
   * The same with a callback, which comes first. It takes either every event, as `const dqc::event&`, or once the
   * final answer: dqc::result of what the blocking form returns, with a result_set for rows. It is moved in, called
   * where the C header says, destroyed after the terminal event, and not called at all if the call returns an error.
   * For exceptions that leave it see take_callback_exception().
   */

  template <class F, class... Args>
  result<op_id> exec_async(F&& callback, std::string_view sql, const Args&... args) {
    return with_args(
        [&](const dqc_value* list, size_t count) -> result<op_id> {
          return submit<exec_result>(
              std::forward<F>(callback), [&](auto cb, void* user, auto* op, auto** e) {
                return dqc_conn_exec_async(self().get(), sql.data(), sql.size(), list, count,
                                           self().call_options(), cb, user, op, e);
              });
        },
        args...);
  }

  template <class F, class... Args>
  result<op_id> query_async(F&& callback, std::string_view sql, const Args&... args) {
    return with_args(
        [&](const dqc_value* list, size_t count) -> result<op_id> {
          return submit<result_set>(
              std::forward<F>(callback), [&](auto cb, void* user, auto* op, auto** e) {
                return dqc_conn_query_async(self().get(), sql.data(), sql.size(), list, count,
                                            self().call_options(), cb, user, op, e);
              });
        },
        args...);
  }

  /** The final answer has no rows; a callback that takes events gets them, with the number of their statement. */
  template <class F>
  result<op_id> script_async(F&& callback, std::string_view sql) {
    return submit<exec_result>(
        std::forward<F>(callback), [&](auto cb, void* user, auto* op, auto** e) {
          return dqc_conn_script_async(self().get(), sql.data(), sql.size(), self().call_options(),
                                       cb, user, op, e);
        });
  }

  template <class F>
  result<op_id> prepare_async(F&& callback, std::string_view sql) {
    return submit<statement>(
        std::forward<F>(callback), [&](auto cb, void* user, auto* op, auto** e) {
          return dqc_conn_prepare_async(self().get(), sql.data(), sql.size(), self().call_options(),
                                        cb, user, op, e);
        });
  }

  /** T is what the request is answered with: `request_async<dqc::node_info>(cb, dqc::admin_request::leader())`. */
  template <class T, class F>
  result<op_id> request_async(F&& callback, const admin_request& r) {
    const dqc_admin raw = r.raw();
    return submit<T>(std::forward<F>(callback), [&](auto cb, void* user, auto* op, auto** e) {
      return dqc_conn_admin_async(self().get(), &raw, self().call_options(), cb, user, op, e);
    });
  }

 private:
  result<rows> request_rows(const admin_request& r) {
    const dqc_admin raw = r.raw();
    return call_handle<rows, dqc_rows>([&](dqc_rows** out, dqc_error** e) {
      return dqc_conn_admin(self().get(), &raw, self().call_options(), out, e);
    });
  }
  D& self() noexcept { return static_cast<D&>(*this); }
};

}  // namespace detail

/**
 * A connection to one node and one database. Move-only; destroying it closes the connection in the background.
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
  result<void> cancel(op_id op) { return status(dqc_conn_cancel(get(), op)); }
  /** Stop or resume the flow of an operation's rows. */
  result<void> pause(op_id op, bool on) { return status(dqc_conn_pause(get(), op, on ? 1 : 0)); }

  /** A DQC_STATE_ constant. */
  int32_t state() const noexcept { return dqc_conn_state(get()); }
  /** The server's era, 'A' to 'D'; 0 while it is not known. */
  int32_t era() const noexcept { return dqc_conn_era(get()); }
  /** Address of the node as configured; lives as long as the connection. */
  const char* address() const& noexcept { return dqc_conn_address(get()); }
  const char* address() const&& = delete;

  /** The calls with other options: `conn.with(dqc::options().timeout(5s)).exec(...)`. */
  class configured : public detail::connection_calls<configured> {
   public:
    configured(dqc_conn* conn, const options& o) noexcept : conn_(conn), options_(o) {}
    dqc_conn* get() const noexcept { return conn_; }
    const dqc_call_options* call_options() const noexcept { return &options_.raw(); }

   private:
    dqc_conn* conn_;
    options options_;
  };
  configured with(const options& o) & noexcept { return {get(), o}; }
  configured with(const options& o) && = delete;
  const dqc_call_options* call_options() const noexcept { return nullptr; }

 private:
  static result<connection> create(dqc_loop* loop, dqc_queue* queue, const config& c) {
    return detail::call_handle<connection, dqc_conn>(
        [&](dqc_conn** out, dqc_error** e) { return dqc_conn_new(loop, queue, c.get(), out, e); });
  }
  static result<void> status(dqc_status s) noexcept {
    return s < 0 ? result<void>(error::adopt(s)) : result<void>();
  }
  unique_handle<dqc_conn> handle_;
};

}  // namespace DQC_CPP_NAMESPACE
}  // namespace dqc
