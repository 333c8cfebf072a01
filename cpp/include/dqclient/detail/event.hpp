/* SPDX-License-Identifier: MIT */
// Events, and callbacks as C++ callables. Include <dqclient/dqclient.hpp>.
#pragma once

#include <dqclient/detail/admin.hpp>

namespace dqc {
inline namespace DQC_CPP_NAMESPACE {

class connection;
class statement;

/** Identifies an operation of one connection or client, for cancel() and pause(). */
using op_id = uint64_t;

/** One event of an operation; a view for the time of the callback. What its members return may be kept. */
class event {
 public:
  explicit event(const dqc_event& raw) noexcept : raw_(&raw), conn_(raw.conn) {}
  event(const event&) = delete;
  event& operator=(const event&) = delete;

  /** The last event of its operation: look at error(), result(), statement(). */
  bool is_done() const noexcept { return raw_->type == DQC_EVENT_DONE; }
  /** Some rows: look at rows(). */
  bool is_rows() const noexcept { return raw_->type == DQC_EVENT_ROWS; }
  op_id op() const noexcept { return raw_->op; }
  dqc_status status() const noexcept { return raw_->status; }
  dqc::error error() const noexcept { return dqc::error::retain(raw_->error); }
  batch rows() const noexcept { return batch::retain(raw_->batch); }
  exec_result result() const noexcept { return exec_result(raw_->result); }
  /** Scripts: number of the statement, from 0. */
  uint32_t statement_index() const noexcept { return raw_->statement; }
  /** The statement that was prepared. */
  inline dqc::statement statement() const noexcept;
  /** The connection that was acquired, once; it is given back if nobody takes it. */
  inline dqc::connection connection() const noexcept;
  const dqc_event& raw() const noexcept { return *raw_; }

 private:
  const dqc_event* raw_;
  mutable unique_handle<dqc_conn> conn_;
};

namespace detail {

// What the events of one operation told so far.
class op_result {
 public:
  std::vector<batch> batches;

  void on_rows(const dqc_event& e) noexcept {
    DQC_CPP_TRY { batches.push_back(batch::retain(e.batch)); }
    DQC_CPP_CATCH_ALL { out_of_memory_ = true; }
  }
  void on_done(const dqc_event& e) noexcept {
    error_ = e.error != nullptr || e.status >= 0 ? error::retain(e.error) : error::adopt(e.status);
    if (!error_ && out_of_memory_) error_ = error::adopt(DQC_E_NOMEM);
    done_ = e.result;
    if (e.stmt != nullptr) stmt_.reset(dqc_stmt_retain(e.stmt));
    conn_.reset(e.conn);
    again_ = e.status == DQC_AGAIN;
  }
  void fail(error e) noexcept { error_ = std::move(e); }
  const error& failure() const noexcept { return error_; }
  unique_handle<dqc_stmt> take_statement() noexcept { return std::move(stmt_); }
  unique_handle<dqc_conn> take_connection() noexcept { return std::move(conn_); }
  exec_result done() const noexcept { return exec_result(done_); }
  bool again() const noexcept { return again_; }  // DQC_AGAIN

  // The final answer as a T: void, exec_result, result_set, statement, connection, or an answer to an administrative request.
  template <class T>
  result<T> take() {
    if (error_) return error_;
    if constexpr (std::is_same_v<T, exec_result>) {
      return done();
    } else if constexpr (std::is_same_v<T, result_set>) {
      return result_set(std::move(batches), done());
    } else if constexpr (std::is_same_v<T, statement>) {
      return T(std::move(stmt_));
    } else if constexpr (std::is_same_v<T, connection>) {
      return T(std::move(conn_));
    } else {
      return admin_answer<T>::read(result_set(std::move(batches), done()));
    }
  }

 private:
  error error_;
  dqc_result done_{};
  unique_handle<dqc_stmt> stmt_;
  unique_handle<dqc_conn> conn_;
  bool out_of_memory_ = false;
  bool again_ = false;
};

// Whether the final answer is made of rows.
template <class T>
inline constexpr bool has_rows = !std::is_void_v<T> && !std::is_same_v<T, exec_result> &&
                                 !std::is_same_v<T, statement> && !std::is_same_v<T, connection>;

// Owns a callback from the submission to the terminal event. F takes each event as `const event&`, or the final answer
// as result<T>.
template <class T, class F>
class closure {
 public:
  template <class G>
  explicit closure(G&& callback) : callback_(std::forward<G>(callback)) {}

  static void DQC_CALL on_event(void* user, const dqc_event* raw) noexcept {
    auto* self = static_cast<closure*>(user);
    DQC_CPP_TRY { self->deliver(*raw); }
    DQC_CPP_CATCH_ALL { store_exception(); }
    if (raw->type == DQC_EVENT_DONE) delete self;
  }

 private:
  void deliver(const dqc_event& raw) {
    if constexpr (std::is_invocable_v<F&, const event&>) {
      callback_(event(raw));
    } else {
      static_assert(std::is_invocable_v<F&, result<T>>,
                    "the callback takes const dqc::event& or the dqc::result");
      if (raw.type == DQC_EVENT_ROWS && has_rows<T>) answer_.on_rows(raw);
      if (raw.type != DQC_EVENT_DONE) return;
      answer_.on_done(raw);
      callback_(answer_.template take<T>());
    }
  }
  F callback_;
  op_result answer_;
};

// Makes one asynchronous call `f(dqc_callback, void*, uint64_t*, dqc_error**)` that ends in `callback`.
template <class T, class F, class Submit>
result<op_id> submit(F&& callback, Submit&& f) {
  using state = closure<T, std::decay_t<F>>;
  std::unique_ptr<state> owned(new (std::nothrow) state(std::forward<F>(callback)));
  if (!owned) return error::adopt(DQC_E_NOMEM);
  op_id op = 0;
  if (error e = call([&](dqc_error** raw) { return f(&state::on_event, owned.get(), &op, raw); }))
    return e;
  static_cast<void>(owned.release());  // the terminal event deletes it
  return op;
}

}  // namespace detail
}  // namespace DQC_CPP_NAMESPACE
}  // namespace dqc
