/* SPDX-License-Identifier: MIT */
// Transactions, and when they are run again. Include <dqclient/dqclient.hpp>.
#pragma once

#include <dqclient/detail/connection.hpp>

#include <algorithm>
#include <cstdio>

namespace dqc {
inline namespace DQC_CPP_NAMESPACE {

enum class tx_mode : int32_t {
  /** Takes its turn to write first, first come, first served: what transactions that write should do. */
  immediate = DQC_BEGIN_IMMEDIATE,
  /** Takes the write lock with its first write, and may fail with BUSY_SNAPSHOT there. */
  deferred = DQC_BEGIN_DEFERRED,
  /** In SQLite's WAL mode, which is dqlite's, the same as immediate. */
  exclusive = DQC_BEGIN_EXCLUSIVE,
  /** Deferred, on the caller's word that it only reads: always safe to run again. */
  read_only = DQC_BEGIN_READ_ONLY,
};

/** Options of run_tx(). */
class tx_options {
 public:
  using milliseconds = std::chrono::milliseconds;
  /** immediate, unless said otherwise. */
  tx_options& mode(tx_mode m) noexcept {
    raw_.mode = static_cast<int32_t>(m);
    return *this;
  }
  /** For all of it: waiting, connecting, every run of the function, COMMIT; else the client's option "timeout". */
  tx_options& timeout(milliseconds t) noexcept {
    raw_.timeout_ms = static_cast<uint64_t>(std::max(t, milliseconds(1)).count());
    return *this;
  }
  /** It is run again for ever; each of its calls has the client's option "timeout". */
  tx_options& no_timeout() noexcept {
    raw_.timeout_ms = UINT64_MAX;
    return *this;
  }
  /** Committing it twice does no harm: it is run again even if the COMMIT may have been executed. */
  tx_options& idempotent() noexcept {
    raw_.flags |= DQC_TX_IDEMPOTENT;
    return *this;
  }
  /** It leaves a row in the table dqclient_marks, by which a COMMIT without an answer is looked up. */
  tx_options& resolve() noexcept {
    raw_.flags |= DQC_TX_RESOLVE;
    return *this;
  }
  const dqc_tx_options& raw() const noexcept { return raw_; }

 private:
  dqc_tx_options raw_{sizeof(dqc_tx_options), DQC_BEGIN_IMMEDIATE, 0, 0, 0};
};

namespace detail {

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
  explicit transaction(connection lease) noexcept : lease_(std::move(lease)) {}
  transaction(const transaction&) = delete;
  transaction& operator=(const transaction&) = delete;

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
  const dqc_call_options* call_options() const noexcept { return nullptr; }

  /** A savepoint could not be undone: it cannot be committed. */
  const error& failure() const noexcept { return failed_; }

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
      if (tx_.lease_.state() != DQC_STATE_READY) return;  // COMMIT will say so
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
  error failed_;
  uint32_t savepoints_ = 0;
};

}  // namespace DQC_CPP_NAMESPACE
}  // namespace dqc
