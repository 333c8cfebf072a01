/* SPDX-License-Identifier: MIT */
// Transactions, and when they are run again. Include <dqclient/dqclient.hpp>.
#pragma once

#include <dqclient/detail/connection.hpp>

#include <algorithm>
#include <cstdio>

namespace dqc {
inline namespace DQC_CPP_NAMESPACE {

enum class tx_mode : uint8_t {
  deferred, /**< takes the write lock with its first write, and may fail with BUSY_SNAPSHOT there */
  immediate, /**< takes the write lock first: what transactions that write should do */
  exclusive, /**< in SQLite's WAL mode, which is dqlite's, the same as immediate */
  read_only, /**< deferred, on the caller's word that it only reads: always safe to run again */
};

/** Options of run_tx(). */
class tx_options {
 public:
  using milliseconds = std::chrono::milliseconds;
  /** immediate, unless said otherwise. */
  tx_options& mode(tx_mode m) noexcept {
    mode_ = m;
    return *this;
  }
  /** For all of it: waiting, connecting, every run of the function, COMMIT. 10 s unless said otherwise. */
  tx_options& timeout(milliseconds t) noexcept {
    timeout_ = std::max(t, milliseconds(1));
    return *this;
  }
  /** It is run again for ever; each of its calls has the client's option "timeout". */
  tx_options& no_timeout() noexcept {
    timeout_ = milliseconds(0);
    return *this;
  }
  /** Committing it twice does no harm: it is run again even if the COMMIT may have been executed. */
  tx_options& idempotent() noexcept {
    idempotent_ = true;
    return *this;
  }

  tx_mode mode() const noexcept { return mode_; }
  /** 0: none. */
  milliseconds timeout() const noexcept { return timeout_; }
  bool is_idempotent() const noexcept { return idempotent_; }

 private:
  tx_mode mode_ = tx_mode::immediate;
  milliseconds timeout_{10000};
  bool idempotent_ = false;
};

namespace detail {

// What run_tx() decides, blocking or not: time left, what may be run again, how long to wait before.
class tx_state {
 public:
  using clock = std::chrono::steady_clock;
  using milliseconds = std::chrono::milliseconds;

  explicit tx_state(const tx_options& o) noexcept
      : options_(o),
        start_(clock::now()),
        random_(static_cast<uint64_t>(start_.time_since_epoch().count()) ^
                reinterpret_cast<uintptr_t>(this)) {}

  const char* begin_sql() const noexcept {
    if (options_.mode() == tx_mode::immediate) return "BEGIN IMMEDIATE";
    return options_.mode() == tx_mode::exclusive ? "BEGIN EXCLUSIVE" : "BEGIN";
  }

  // Options of a call: the time that is left, at least `least`.
  const options& call_options(milliseconds least = milliseconds(1)) noexcept {
    if (options_.timeout().count() > 0) call_options_.timeout(std::max(left(), least));
    return call_options_;
  }
  // A ROLLBACK frees the write lock, so it has some time in any case.
  const options& rollback_options() noexcept { return call_options(milliseconds(200)); }

  // After a failure before COMMIT was sent. `lost`: the connection broke, and its transaction with it.
  static bool may_rerun(const error& e, bool lost) noexcept {
    return passing(e.code()) && (lost || e.outcome() == DQC_OUTCOME_NOT_EXECUTED);
  }
  bool may_rerun_after_commit(const error& e) const noexcept {
    const bool harmless = options_.is_idempotent() || options_.mode() == tx_mode::read_only;
    const int32_t outcome = e.outcome();
    return passing(e.code()) && (outcome == DQC_OUTCOME_NOT_EXECUTED ||
                                 (harmless && outcome == DQC_OUTCOME_MAYBE_EXECUTED));
  }
  // A COMMIT that met a checkpoint left its transaction open.
  static bool may_repeat_commit(const error& e) noexcept { return e.code() == DQC_E_BUSY; }

  // How long to wait before the next try; nullopt: the time does not last for another.
  std::optional<milliseconds> next_try() noexcept {
    const uint32_t doublings = std::min(tries_++, 7u);
    const uint64_t most_us = std::min<uint64_t>(1500u << doublings, 150000);
    const auto us = static_cast<int64_t>(most_us / 3 + random() % (most_us - most_us / 3));
    const milliseconds wait((us + 999) / 1000);
    if (options_.timeout().count() > 0 && wait >= left()) return std::nullopt;
    return wait;
  }

 private:
  static bool passing(dqc_status code) noexcept {
    return code == DQC_E_BUSY || code == DQC_E_BUSY_SNAPSHOT || code == DQC_E_NOT_LEADER ||
           code == DQC_E_LEADERSHIP_LOST || code == DQC_E_SESSION_LOST || code == DQC_E_NETWORK ||
           code == DQC_E_CLOSED;
  }
  milliseconds left() const noexcept {
    const auto used = std::chrono::duration_cast<milliseconds>(clock::now() - start_);
    return options_.timeout() - used;
  }
  uint64_t random() noexcept {  // splitmix64
    uint64_t z = (random_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  tx_options options_;
  clock::time_point start_;
  uint64_t random_;
  uint32_t tries_ = 0;
  options call_options_;
};

template <class R>
struct tx_returns {
  using value = R;
  static constexpr bool as_result = false;
};
template <class T>
struct tx_returns<result<T>> {
  using value = T;
  static constexpr bool as_result = true;
};

// What run_tx() of a function that returns R gives: a result of this.
template <class R>
struct tx_value {
  using type = typename tx_returns<R>::value;
  static_assert(!std::is_same_v<type, rows> && !std::is_same_v<type, statement>,
                "a cursor or statement ends with its transaction: return what was read from it");
  static_assert(DQC_CPP_EXCEPTIONS || tx_returns<R>::as_result,
                "without exceptions the function returns a dqc::result");
};
template <class R>
using tx_value_t = typename tx_value<R>::type;

// Calls the function; dqc::exception becomes the error that it carries.
template <class F, class Tx, class R = std::invoke_result_t<F&, Tx&>>
result<tx_value_t<R>> tx_call(F& fn, Tx& tx) {
#if DQC_CPP_EXCEPTIONS
  try {
#endif
    if constexpr (tx_returns<R>::as_result) {
      return fn(tx);
    } else if constexpr (std::is_void_v<R>) {
      fn(tx);
      return {};
    } else {
      return result<R>(fn(tx));
    }
#if DQC_CPP_EXCEPTIONS
  } catch (const exception& e) {
    return e.error();
  }
#endif
}

// The statements of a savepoint. dqlite's parser knows them as any others.
class savepoint_sql {
 public:
  savepoint_sql(const char* verb, uint32_t number) noexcept {
    std::snprintf(text_, sizeof(text_), "%s dqc_%u", verb, number);
  }
  operator std::string_view() const noexcept { return text_; }

 private:
  char text_[40];
};

}  // namespace detail

/**
 * An open transaction, as the function of client::run_tx() gets it. Its calls are those of a connection; their time is
 * what is left of the transaction's. It is ended by run_tx(): BEGIN, COMMIT and ROLLBACK are not for the function.
 */
class transaction : public detail::sql_calls<transaction>,
                    public detail::prepare_calls<transaction> {
 public:
  transaction(connection lease, detail::tx_state& state) noexcept
      : lease_(std::move(lease)), state_(state) {}
  transaction(const transaction&) = delete;
  transaction& operator=(const transaction&) = delete;
  ~transaction() { rollback(); }

  /**
   * A transaction within this one: a savepoint. If the function fails or throws, what it did is undone, and this
   * transaction may go on; return the error for it to fail as a whole.
   */
  template <class F, class R = std::invoke_result_t<F&, transaction&>>
  result<detail::tx_value_t<R>> nested(F&& fn) {
    savepoint point(*this);
    if (error e = point.failure()) return e;
    result<detail::tx_value_t<R>> done = detail::tx_call(fn, *this);
    if (!done.ok()) return done;
    if (error e = point.keep()) return e;
    return done;
  }

  /** The connection, for the C functions; run_tx() owns it. */
  dqc_conn* get() const noexcept { return lease_.get(); }
  const dqc_call_options* call_options() const noexcept { return &state_.call_options().raw(); }

  // For run_tx().
  error begin() {
    error e = exec(state_.begin_sql()).error();
    open_ =
        e.server_code() == 0;  // what the server refused is not open; what it did not answer may be
    return e;
  }
  // A COMMIT that met a checkpoint is sent again by `wait(milliseconds)` later.
  template <class Wait>
  error commit(Wait&& wait) {
    if (failed_) return failed_;
    for (;;) {
      error e = exec("COMMIT").error();
      std::optional<std::chrono::milliseconds> pause;
      if (detail::tx_state::may_repeat_commit(e)) pause = state_.next_try();
      if (!pause) {
        open_ = static_cast<bool>(e);
        return e;
      }
      wait(*pause);
    }
  }
  bool lost() const noexcept { return lease_.state() != DQC_STATE_READY; }
  bool failed() const noexcept { return static_cast<bool>(failed_); }
  void rollback() noexcept {
    if (!std::exchange(open_, false) || lost()) return;
    // If it fails, the client sees to it before the connection is used again.
    DQC_CPP_TRY { static_cast<void>(lease_.with(state_.rollback_options()).exec("ROLLBACK")); }
    DQC_CPP_CATCH_ALL {}
  }

 private:
  // Undoes what came after it, unless it is kept.
  class savepoint {
   public:
    explicit savepoint(transaction& tx) : tx_(tx), number_(++tx.savepoints_) {
      failure_ = tx.exec(detail::savepoint_sql("SAVEPOINT", number_)).error();
      open_ = !failure_;
    }
    savepoint(const savepoint&) = delete;
    savepoint& operator=(const savepoint&) = delete;
    ~savepoint() {
      if (!open_) return;
      DQC_CPP_TRY { undo(); }
      DQC_CPP_CATCH_ALL { tx_.failed_ = error::adopt(DQC_E_NOMEM); }
    }
    const error& failure() const noexcept { return failure_; }
    error keep() {
      open_ = false;
      return tx_.fail(tx_.exec(detail::savepoint_sql("RELEASE", number_)).error());
    }

   private:
    void undo() {
      if (tx_.lost()) return;  // COMMIT will say so
      error e = tx_.exec(detail::savepoint_sql("ROLLBACK TO", number_)).error();
      if (!e) e = tx_.exec(detail::savepoint_sql("RELEASE", number_)).error();
      tx_.fail(std::move(e));
    }
    transaction& tx_;
    uint32_t number_;
    error failure_;
    bool open_ = false;
  };

  // What was to be undone may still be there: this must not be committed.
  error fail(error e) {
    if (e && !failed_) failed_ = e;
    return e;
  }

  connection lease_;
  detail::tx_state& state_;
  error failed_;
  uint32_t savepoints_ = 0;
  bool open_ = false;
};

}  // namespace DQC_CPP_NAMESPACE
}  // namespace dqc
