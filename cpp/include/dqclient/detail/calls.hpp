/* SPDX-License-Identifier: MIT */
// The calls that connections, clients and transactions share, and prepared statements: blocking and with callbacks.
// Include <dqclient/dqclient.hpp>.
#pragma once

#include <dqclient/detail/event.hpp>
#include <dqclient/detail/loop.hpp>

namespace dqc {
inline namespace DQC_CPP_NAMESPACE {

namespace detail {

// The C functions of a handle under the same names: c_calls<dqc_conn>::exec is dqc_conn_exec.
template <class Handle>
struct c_calls;

#define DQC_CPP_CALL(type, name)                             \
  template <class... Args>                                   \
  static dqc_status name(dqc_##type* handle, Args... args) { \
    return dqc_##type##_##name(handle, args...);             \
  }
#define DQC_CPP_CALLS(type)          \
  template <>                        \
  struct c_calls<dqc_##type> {       \
    DQC_CPP_CALL(type, exec)         \
    DQC_CPP_CALL(type, query)        \
    DQC_CPP_CALL(type, script)       \
    DQC_CPP_CALL(type, admin)        \
    DQC_CPP_CALL(type, exec_async)   \
    DQC_CPP_CALL(type, query_async)  \
    DQC_CPP_CALL(type, script_async) \
    DQC_CPP_CALL(type, admin_async)  \
    DQC_CPP_CALL(type, cancel)       \
    DQC_CPP_CALL(type, pause)        \
  }
DQC_CPP_CALLS(conn);
DQC_CPP_CALLS(client);
#undef DQC_CPP_CALLS
#undef DQC_CPP_CALL

// Those of the handle that D::get() returns.
template <class D>
using c_calls_of = c_calls<std::remove_pointer_t<decltype(std::declval<const D&>().get())>>;

inline result<void> status_result(dqc_status s) noexcept {
  return s < 0 ? result<void>(error::adopt(s)) : result<void>();
}

// The calls of a handle with other options; borrows it.
template <class Handle, template <class> class Calls>
class configured : public Calls<configured<Handle, Calls>> {
 public:
  configured(Handle* handle, const options& o) noexcept : handle_(handle), options_(o) {}
  Handle* get() const noexcept { return handle_; }
  const dqc_call_options* call_options() const noexcept { return &options_.raw(); }

 private:
  Handle* handle_;
  options options_;
};

// exec and query of statements. D has start(kind, args, count, callback ...) and the blocking twins.
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
  using configured = detail::configured<dqc_stmt, detail::statement_calls>;
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
  /** The leader this node knows of; id 0 if none. `node`: of a client, the node to ask. */
  auto leader(std::string_view node = {}) {
    return self().template request<node_info>(admin_request::leader(node));
  }
  /** All nodes; `node` as of leader(). */
  auto cluster(std::string_view node = {}) {
    return self().template request<std::vector<node_info>>(admin_request::cluster(node));
  }
  /** Add a node as a spare; leader only, as the next four. */
  auto add(uint64_t id, std::string_view address) {
    return self().template request<void>(admin_request::add(id, address));
  }
  /** add(), then assign(). */
  auto join(uint64_t id, std::string_view address, role r) {
    return self().template request<void>(admin_request::join(id, address, r));
  }
  auto assign(uint64_t id, role r) {
    return self().template request<void>(admin_request::assign(id, r));
  }
  auto remove(uint64_t id) { return self().template request<void>(admin_request::remove(id)); }
  /** Hand leadership over; 0: the leader chooses to whom. */
  auto transfer(uint64_t id = 0) {
    return self().template request<void>(admin_request::transfer(id));
  }
  /** What the node says of itself; `node` as of leader(). */
  auto describe(std::string_view node = {}) {
    return self().template request<node_description>(admin_request::describe(node));
  }
  /** Set the weight of the node, until it restarts; `node` as of leader(). */
  auto weight(uint64_t w, std::string_view node = {}) {
    return self().template request<void>(admin_request::weight(w, node));
  }
  /** Delete the database that is open here: it is empty then, for everybody. Needs dqlite 1.18.3. */
  auto delete_database() { return self().template request<void>(admin_request::delete_database()); }
  /** The files of a database, whole in memory; see also connection::dump_pieces(). */
  auto dump(std::string_view database) {
    return self().template request<std::vector<database_file>>(admin_request::dump(database));
  }

 private:
  D& self() noexcept { return static_cast<D&>(*this); }
};

// SQL, blocking and with callbacks. D has get(), a dqc_conn or dqc_client, and call_options().
template <class D>
class sql_calls {
 public:
  /** Run a statement for its effect; rows that it yields are discarded. */
  template <class... Args>
  result<exec_result> exec(std::string_view sql, const Args&... args) {
    return with_args(
        [&](const dqc_value* list, size_t count) -> result<exec_result> {
          dqc_result raw{};
          if (error e = call([&](dqc_error** out) {
                return c_calls_of<D>::exec(self().get(), sql.data(), sql.size(), list, count,
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
            return c_calls_of<D>::query(self().get(), sql.data(), sql.size(), list, count,
                                        self().call_options(), out, e);
          });
        },
        args...);
  }

  /** Run statements one after the other, up to the first error; rows are discarded. */
  result<exec_result> script(std::string_view sql) {
    dqc_result raw{};
    if (error e = call([&](dqc_error** out) {
          return c_calls_of<D>::script(self().get(), sql.data(), sql.size(), self().call_options(),
                                       &raw, out);
        })) {
      return e;
    }
    return exec_result(raw);
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
                return c_calls_of<D>::exec_async(self().get(), sql.data(), sql.size(), list, count,
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
                return c_calls_of<D>::query_async(self().get(), sql.data(), sql.size(), list, count,
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
          return c_calls_of<D>::script_async(self().get(), sql.data(), sql.size(),
                                             self().call_options(), cb, user, op, e);
        });
  }

 private:
  D& self() noexcept { return static_cast<D&>(*this); }
};

// Prepared statements of a connection.
template <class D>
class prepare_calls {
 public:
  result<statement> prepare(std::string_view sql) {
    return call_handle<statement, dqc_stmt>([&](dqc_stmt** out, dqc_error** e) {
      return dqc_conn_prepare(self().get(), sql.data(), sql.size(), self().call_options(), out, e);
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

 private:
  D& self() noexcept { return static_cast<D&>(*this); }
};

// Administration.
template <class D>
class request_calls : public admin_calls<D> {
 public:
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

  /** T is what the request is answered with: `request_async<dqc::node_info>(cb, dqc::admin_request::leader())`. */
  template <class T, class F>
  result<op_id> request_async(F&& callback, const admin_request& r) {
    const dqc_admin raw = r.raw();
    return submit<T>(std::forward<F>(callback), [&](auto cb, void* user, auto* op, auto** e) {
      return c_calls_of<D>::admin_async(self().get(), &raw, self().call_options(), cb, user, op, e);
    });
  }

 private:
  result<rows> request_rows(const admin_request& r) {
    const dqc_admin raw = r.raw();
    return call_handle<rows, dqc_rows>([&](dqc_rows** out, dqc_error** e) {
      return c_calls_of<D>::admin(self().get(), &raw, self().call_options(), out, e);
    });
  }
  D& self() noexcept { return static_cast<D&>(*this); }
};

// All calls of a connection.
template <class D>
class connection_calls : public sql_calls<D>, public prepare_calls<D>, public request_calls<D> {};

}  // namespace detail
}  // namespace DQC_CPP_NAMESPACE
}  // namespace dqc
