/* SPDX-License-Identifier: MIT */
// Streams, the calls that connections, clients and transactions share, and statements. Include <dqclient/coro.hpp>.
#pragma once

#include <dqclient/detail/coro_operation.hpp>

namespace dqc {
inline namespace DQC_CPP_NAMESPACE {
namespace coro {

class statement;

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

// The C functions of the handle that D::conn() shares.
template <class D>
using calls_of =
    detail::c_calls<std::remove_pointer_t<decltype(std::declval<const D&>().conn()->handle.get())>>;

// A call with arguments; `f(const dqc_value*, size_t, dqc_callback, void*, uint64_t*, dqc_error**)` submits it.
template <class Submit, class... Args>
detail::unique_op start(const detail::target_ref& target, mode m, Submit&& f, const Args&... args) {
  struct made {
    detail::op_state* state;
    error refusal;
    made(detail::op_state* s) : state(s) {}
    made(error e) : state(nullptr), refusal(std::move(e)) {}
  };
  made m2 = detail::with_args(
      [&](const dqc_value* list, size_t count) -> made {
        return detail::op_state::start(target, m, [&](auto cb, void* user, auto* op, auto** e) {
          return f(list, count, cb, user, op, e);
        });
      },
      args...);
  if (m2.refusal)
    return detail::unique_op(detail::op_state::refused(target, std::move(m2.refusal)));
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

// SQL. D has conn(), which shares the handle of a connection or client, and call_options().
template <class D>
class sql_calls {
 public:
  /** Run a statement for its effect; rows that it yields are discarded. */
  template <class... Args>
  operation<exec_result> exec(std::string_view sql, const Args&... args) {
    return operation<exec_result>(submit([](auto... a) { return calls_of<D>::exec_async(a...); },
                                         mode::discard, sql, args...));
  }
  /** Run a statement and collect all its rows. */
  template <class... Args>
  operation<result_set> query(std::string_view sql, const Args&... args) {
    return operation<result_set>(submit_query(mode::collect, sql, args...));
  }
  /** Run a statement and receive its rows as they arrive. */
  template <class... Args>
  cursor stream(std::string_view sql, const Args&... args) {
    return cursor(submit_query(mode::stream, sql, args...));
  }
  /** Run statements one after the other, up to the first error; rows are discarded. */
  operation<exec_result> script(std::string_view sql) {
    D& self = static_cast<D&>(*this);
    return operation<exec_result>(
        start(self.conn(), mode::discard, [&](auto, auto, auto cb, void* user, auto* op, auto** e) {
          return calls_of<D>::script_async(self.conn()->handle.get(), sql.data(), sql.size(),
                                           self.call_options(), cb, user, op, e);
        }));
  }

 private:
  template <class... Args>
  detail::unique_op submit_query(mode m, std::string_view sql, const Args&... args) {
    return submit([](auto... a) { return calls_of<D>::query_async(a...); }, m, sql, args...);
  }
  template <class F, class... Args>
  detail::unique_op submit(F f, mode m, std::string_view sql, const Args&... args) {
    D& self = static_cast<D&>(*this);
    return start(
        self.conn(), m,
        [&](const dqc_value* list, size_t count, auto cb, void* user, auto* op, auto** e) {
          return f(self.conn()->handle.get(), sql.data(), sql.size(), list, count,
                   self.call_options(), cb, user, op, e);
        },
        args...);
  }
};

// Administration.
template <class D>
class request_calls : public detail::admin_calls<D> {
 public:
  /** One administrative request, answered with a T: use leader(), cluster() and so on. */
  template <class T>
  operation<T> request(const admin_request& r) {
    D& self = static_cast<D&>(*this);
    const dqc_admin raw = r.raw();
    return operation<T>(
        start(self.conn(), mode::collect, [&](auto, auto, auto cb, void* user, auto* op, auto** e) {
          return calls_of<D>::admin_async(self.conn()->handle.get(), &raw, self.call_options(), cb,
                                          user, op, e);
        }));
  }
};

// Prepared statements of a connection.
template <class D>
class prepare_calls {
 public:
  operation<statement> prepare(std::string_view sql) {
    D& self = static_cast<D&>(*this);
    return operation<statement>(
        start(self.conn(), mode::discard, [&](auto, auto, auto cb, void* user, auto* op, auto** e) {
          return dqc_conn_prepare_async(self.conn()->handle.get(), sql.data(), sql.size(),
                                        self.call_options(), cb, user, op, e);
        }));
  }
};

// All calls of a connection.
template <class D>
class connection_calls : public sql_calls<D>, public prepare_calls<D>, public request_calls<D> {};

// The calls of a connection or client with other options; shares it.
template <class Ref, template <class> class Calls>
class configured : public Calls<configured<Ref, Calls>> {
 public:
  configured(Ref target, const options& o) noexcept : target_(std::move(target)), options_(o) {}
  const Ref& conn() const noexcept { return target_; }
  const dqc_call_options* call_options() const noexcept { return &options_.raw(); }

 private:
  Ref target_;
  options options_;
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

}  // namespace coro

namespace detail {

template <>
struct op_answer<coro::statement> {
  static result<coro::statement> take(op_state& s) {
    if (s.answer().failure()) return s.answer().failure();
    return coro::statement(std::static_pointer_cast<shared_handle<dqc_conn>>(s.target()),
                           dqc::statement(s.answer().take_statement()));
  }
};

}  // namespace detail
}  // namespace DQC_CPP_NAMESPACE
}  // namespace dqc
