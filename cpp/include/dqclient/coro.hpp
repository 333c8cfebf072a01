/* SPDX-License-Identifier: MIT */
/**
 * @file coro.hpp
 * Coroutines for dqclient: C++20, header only.
 * @code
 *   dqc::task<> work(dqc::loop& loop) {
 *     auto conn = co_await dqc::coro::connect(loop, "dqlite://127.0.0.1:9001/app");
 *     auto rows = co_await conn.query("SELECT id, name FROM users WHERE id > ?", 42);
 *     for (auto [id, name] : rows.as<int64_t, std::string_view>()) use(id, name);
 *   }
 *   int main() { auto loop = dqc::loop::driven().value(); dqc::run(loop, work(loop)); }
 * @endcode
 * All of it belongs to one thread: the one that drives the loop, or dispatches the queue of a threaded loop. A
 * coroutine is resumed inside a callback, so the blocking calls of the library refuse to work there.
 */
#pragma once

#include <dqclient/detail/coro_operation.hpp>

namespace dqc {
inline namespace DQC_CPP_NAMESPACE {
namespace coro {

/**
 * The rows of a query as they arrive, with back-pressure: some batches are buffered, then the server has to wait.
 * `while (std::optional<dqc::batch> b = co_await cursor.next()) ...`. Other operations of the connection wait behind
 * it: to await one of them before the end of the rows is to wait for ever. Destroying it early cancels the query.
 */
class [[nodiscard]] cursor {
 public:
  explicit cursor(detail::unique_op op) noexcept : op_(std::move(op)) {}

  /** To await the next batch, nullopt at the end; throws dqc::exception on failure. */
#if DQC_CPP_EXCEPTIONS
  auto next() & noexcept {
    struct awaiter : awaiter_base {
      using awaiter_base::awaiter_base;
      std::optional<batch> await_resume() { return this->take().value(); }
    };
    return awaiter(op_.get());
  }
#endif
  /** The same as a dqc::result. */
  auto next_result() & noexcept {
    struct awaiter : awaiter_base {
      using awaiter_base::awaiter_base;
      result<std::optional<batch>> await_resume() { return this->take(); }
    };
    return awaiter(op_.get());
  }
  /** What the statement did, if it modified data; complete at the end. */
  exec_result done() const noexcept {
    return op_.get() == nullptr ? exec_result() : op_->answer().done();
  }

 private:
  // Shares the operation, so that it and the cursor may be destroyed in any order.
  class awaiter_base {
   public:
    explicit awaiter_base(detail::op_state* op) noexcept : op_(op) {
      if (op_ != nullptr) op_->retain();
    }
    awaiter_base(const awaiter_base&) = delete;
    awaiter_base& operator=(const awaiter_base&) = delete;
    ~awaiter_base() {
      if (op_ == nullptr) return;
      op_->wait_stream(nullptr);
      op_->release();
    }
    bool await_ready() const noexcept {
      return op_ == nullptr || op_->is_done() || !op_->answer().batches.empty();
    }
    void await_suspend(std::coroutine_handle<> h) const noexcept { op_->wait_stream(h); }

   protected:
    result<std::optional<batch>> take() {
      if (op_ == nullptr) return error::adopt(DQC_E_NOMEM);
      std::vector<batch>& waiting = op_->answer().batches;
      if (waiting.empty()) {
        if (op_->answer().failure()) return op_->answer().failure();
        return std::optional<batch>();
      }
      std::optional<batch> first(std::move(waiting.front()));
      waiting.erase(waiting.begin());
      if (waiting.empty()) op_->pause(false);
      return first;
    }

   private:
    detail::op_state* op_;
  };
  detail::unique_op op_;
};

namespace impl {

using mode = detail::op_state::mode;

// A call with arguments; `f(const dqc_value*, size_t, dqc_callback, void*, uint64_t*, dqc_error**)` submits it.
template <class Submit, class... Args>
detail::unique_op start(const detail::conn_ref& conn, mode m, Submit&& f, const Args&... args) {
  struct made {
    detail::op_state* state;
    error refusal;
    made(detail::op_state* s) : state(s) {}
    made(error e) : state(nullptr), refusal(std::move(e)) {}
  };
  made m2 = detail::with_args(
      [&](const dqc_value* list, size_t count) -> made {
        return detail::op_state::start(conn, m, [&](auto cb, void* user, auto* op, auto** e) {
          return f(list, count, cb, user, op, e);
        });
      },
      args...);
  if (m2.refusal) return detail::unique_op(detail::op_state::refused(conn, std::move(m2.refusal)));
  return detail::unique_op(m2.state);
}

// The calls of a statement. D has conn(), get() and call_options().
template <class D>
class statement_calls {
 public:
  template <class... Args>
  operation<exec_result> exec(const Args&... args) {
    return operation<exec_result>(submit(&dqc_stmt_exec_async, mode::discard, args...));
  }
  template <class... Args>
  operation<result_set> query(const Args&... args) {
    return operation<result_set>(submit(&dqc_stmt_query_async, mode::collect, args...));
  }
  template <class... Args>
  cursor stream(const Args&... args) {
    return cursor(submit(&dqc_stmt_query_async, mode::stream, args...));
  }

 private:
  template <class F, class... Args>
  detail::unique_op submit(F* f, mode m, const Args&... args) {
    D& self = static_cast<D&>(*this);
    return start(
        self.conn(), m,
        [&](const dqc_value* list, size_t count, auto cb, void* user, auto* op, auto** e) {
          return f(self.get(), list, count, self.call_options(), cb, user, op, e);
        },
        args...);
  }
};

// The calls of a connection. D has conn() and call_options().
template <class D>
class connection_calls : public detail::admin_calls<D> {
 public:
  /** Run a statement for its effect; rows that it yields are discarded. */
  template <class... Args>
  operation<exec_result> exec(std::string_view sql, const Args&... args) {
    return operation<exec_result>(submit(&dqc_conn_exec_async, mode::discard, sql, args...));
  }
  /** Run a statement and collect all its rows. */
  template <class... Args>
  operation<result_set> query(std::string_view sql, const Args&... args) {
    return operation<result_set>(submit(&dqc_conn_query_async, mode::collect, sql, args...));
  }
  /** Run a statement and receive its rows as they arrive. */
  template <class... Args>
  cursor stream(std::string_view sql, const Args&... args) {
    return cursor(submit(&dqc_conn_query_async, mode::stream, sql, args...));
  }
  /** Run statements one after the other, up to the first error; rows are discarded. */
  operation<exec_result> script(std::string_view sql) {
    return operation<exec_result>(submit_text(&dqc_conn_script_async, sql));
  }
  operation<statement> prepare(std::string_view sql) {
    return operation<statement>(submit_text(&dqc_conn_prepare_async, sql));
  }
  /** One administrative request, answered with a T: use leader(), cluster() and so on. */
  template <class T>
  operation<T> request(const admin_request& r) {
    const dqc_admin raw = r.raw();
    return operation<T>(start(
        self().conn(), mode::collect, [&](auto, auto, auto cb, void* user, auto* op, auto** e) {
          return dqc_conn_admin_async(handle(), &raw, self().call_options(), cb, user, op, e);
        }));
  }

 private:
  D& self() noexcept { return static_cast<D&>(*this); }
  dqc_conn* handle() noexcept { return self().conn()->handle.get(); }

  template <class F, class... Args>
  detail::unique_op submit(F* f, mode m, std::string_view sql, const Args&... args) {
    return start(
        self().conn(), m,
        [&](const dqc_value* list, size_t count, auto cb, void* user, auto* op, auto** e) {
          return f(handle(), sql.data(), sql.size(), list, count, self().call_options(), cb, user,
                   op, e);
        },
        args...);
  }
  template <class F>
  detail::unique_op submit_text(F* f, std::string_view sql) {
    return start(
        self().conn(), mode::discard, [&](auto, auto, auto cb, void* user, auto* op, auto** e) {
          return f(handle(), sql.data(), sql.size(), self().call_options(), cb, user, op, e);
        });
  }
};

}  // namespace impl

/** A prepared statement; copies share it, and the last one finalizes it. */
class statement : public impl::statement_calls<statement> {
 public:
  statement(detail::conn_ref conn, dqc::statement prepared)
      : conn_(std::move(conn)), prepared_(std::make_shared<dqc::statement>(std::move(prepared))) {}

  uint32_t param_count() const noexcept { return prepared_->param_count(); }
  /** The statement itself, to bind values or ask for names; its blocking calls are not for coroutines. */
  dqc::statement& base() noexcept { return *prepared_; }

  dqc_stmt* get() const noexcept { return prepared_->get(); }
  const detail::conn_ref& conn() const noexcept { return conn_; }
  const dqc_call_options* call_options() const noexcept { return nullptr; }

 private:
  detail::conn_ref conn_;
  std::shared_ptr<dqc::statement> prepared_;
};

/**
 * A connection for coroutines; copies share it. The last copy closes it in the background; operations that are awaited
 * and statements keep it open.
 */
class connection : public impl::connection_calls<connection> {
 public:
  /** Takes over a connection that was made with dqc::connection::create(), connected or not. */
  explicit connection(dqc::connection made)
      : conn_(std::make_shared<detail::shared_conn>(std::move(made).release())) {}
  explicit connection(detail::conn_ref conn) noexcept : conn_(std::move(conn)) {}

  operation<void> connect() { return submit(&dqc_conn_connect_async); }
  /** Close: operations not sent yet fail with DQC_E_CLOSED, the others are drained. */
  operation<void> close() { return submit(&dqc_conn_close_async); }

  int32_t state() const noexcept { return dqc_conn_state(conn_->handle.get()); }
  int32_t era() const noexcept { return dqc_conn_era(conn_->handle.get()); }
  const char* address() const& noexcept { return dqc_conn_address(conn_->handle.get()); }
  const char* address() const&& = delete;

  /** The calls with other options: `conn.with(dqc::options().timeout(5s)).exec(...)`. */
  class configured : public impl::connection_calls<configured> {
   public:
    configured(detail::conn_ref conn, const options& o) noexcept
        : conn_(std::move(conn)), options_(o) {}
    const detail::conn_ref& conn() const noexcept { return conn_; }
    const dqc_call_options* call_options() const noexcept { return &options_.raw(); }

   private:
    detail::conn_ref conn_;
    options options_;
  };
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
struct op_answer<coro::statement> {
  static result<coro::statement> take(op_state& s) {
    if (s.answer().failure()) return s.answer().failure();
    return coro::statement(s.conn(), dqc::statement(s.answer().take_statement()));
  }
};

template <>
struct op_answer<coro::connection> {
  static result<coro::connection> take(op_state& s) {
    if (s.answer().failure()) return s.answer().failure();
    return coro::connection(s.conn());
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
