/* SPDX-License-Identifier: MIT */
// Batches, whole results, and the blocking cursor. Include <dqclient/dqclient.hpp>.
#pragma once

#include <dqclient/detail/row.hpp>

#include <iterator>

namespace dqc {
inline namespace DQC_CPP_NAMESPACE {

/** What a statement that modifies data did. */
class exec_result {
 public:
  exec_result() noexcept : raw_{} {}
  explicit exec_result(const dqc_result& raw) noexcept : raw_(raw) {}

  /** The rowid of the last row inserted; 0 unless has_last_insert_id(). Of no use where the table is
   * WITHOUT ROWID: then it is that of an earlier INSERT. */
  int64_t last_insert_id() const noexcept { return raw_.last_insert_id; }
  bool has_last_insert_id() const noexcept { return (raw_.has & DQC_HAS_LAST_INSERT_ID) != 0; }
  /** Rows inserted, changed or deleted; 0 unless has_rows_affected(). */
  uint64_t rows_affected() const noexcept { return raw_.rows_affected; }
  bool has_rows_affected() const noexcept { return (raw_.has & DQC_HAS_ROWS_AFFECTED) != 0; }
  /** Statements executed: 1, or the number in a script. */
  uint32_t statements() const noexcept { return raw_.statements; }

 private:
  dqc_result raw_;
};

/** All cells of a batch, row by row; a view that lives as long as the batch. */
class cells_view {
 public:
  cells_view(const dqc_cell* data, size_t size) noexcept : data_(data), size_(size) {}
  const dqc_cell* data() const noexcept { return data_; }
  size_t size() const noexcept { return size_; }
  const dqc_cell* begin() const noexcept { return data_; }
  const dqc_cell* end() const noexcept { return data_ + size_; }
  cell operator[](size_t i) const noexcept { return cell(data_[i]); }

 private:
  const dqc_cell* data_;
  size_t size_;
};

/** Some rows of a result. Copies share the same immutable memory; any thread. Never read a null one. */
class batch {
 public:
  batch() noexcept = default;
  explicit batch(unique_handle<dqc_batch> adopted) noexcept : handle_(std::move(adopted)) {}
  batch(const batch& other) noexcept : handle_(dqc_batch_retain(other.handle_.get())) {}
  batch(batch&&) noexcept = default;
  batch& operator=(batch other) noexcept {
    handle_ = std::move(other.handle_);
    return *this;
  }
  static batch retain(dqc_batch* borrowed) noexcept {
    return batch(unique_handle<dqc_batch>(dqc_batch_retain(borrowed)));
  }

  explicit operator bool() const noexcept { return static_cast<bool>(handle_); }
  dqc_batch* get() const noexcept { return handle_.get(); }

  size_t row_count() const noexcept { return dqc_batch_row_count(get()); }
  size_t column_count() const noexcept { return dqc_batch_column_count(get()); }
  /** NUL-terminated; empty beyond the last column. */
  std::string_view column_name(size_t column) const& noexcept {
    size_t size = 0;
    const char* name = dqc_batch_column_name(get(), column, &size);
    return name == nullptr ? std::string_view() : std::string_view(name, size);
  }
  std::string_view column_name(size_t column) const&& = delete;

  /** Row `r` from 0, unchecked. */
  row_view row(size_t r) const& noexcept {
    const size_t columns = column_count();
    return {get(), dqc_batch_cells(get()) + r * columns, columns};
  }
  row_view row(size_t r) const&& = delete;
  cells_view cells() const& noexcept {
    return {dqc_batch_cells(get()), row_count() * column_count()};
  }
  cells_view cells() const&& = delete;

  /** Forward iteration over the rows. */
  class iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = row_view;
    using difference_type = std::ptrdiff_t;
    using pointer = void;
    using reference = row_view;
    iterator() noexcept = default;
    iterator(const batch* owner, size_t row) noexcept : owner_(owner), row_(row) {}
    row_view operator*() const noexcept { return owner_->row(row_); }
    iterator& operator++() noexcept { return ++row_, *this; }
    iterator operator++(int) noexcept { return iterator(owner_, row_++); }
    friend bool operator==(iterator a, iterator b) noexcept { return a.row_ == b.row_; }
    friend bool operator!=(iterator a, iterator b) noexcept { return a.row_ != b.row_; }

   private:
    const batch* owner_ = nullptr;
    size_t row_ = 0;
  };
  iterator begin() const& noexcept { return {this, 0}; }
  iterator end() const& noexcept { return {this, row_count()}; }
  void begin() const&& = delete;
  void end() const&& = delete;

 private:
  unique_handle<dqc_batch> handle_;
};

namespace detail {

// Where an iteration over some batches is. Owner: something that points at or holds a list of batches.
template <class Owner>
class batches_cursor {
 public:
  explicit batches_cursor(Owner owner) noexcept : owner_(std::move(owner)) {}
  result<bool> next() noexcept {
    ++row_;
    while (batch_ < list().size() && row_ >= list()[batch_].row_count()) {
      ++batch_;
      row_ = 0;
    }
    return batch_ < list().size();
  }
  row_view row() const noexcept { return list()[batch_].row(row_); }

 private:
  const std::vector<batch>& list() const noexcept {
    if constexpr (std::is_pointer_v<Owner>) {
      return *owner_;
    } else {
      return owner_;
    }
  }
  Owner owner_;
  size_t batch_ = 0;
  size_t row_ = static_cast<size_t>(-1);
};

}  // namespace detail

/** A whole result in memory. Copies share the rows. */
class result_set {
 public:
  result_set() = default;
  result_set(std::vector<dqc::batch> batches, exec_result done) noexcept
      : batches_(std::move(batches)), done_(done) {}

  /** Number of rows. */
  size_t size() const noexcept {
    size_t n = 0;
    for (const batch& b : batches_) n += b.row_count();
    return n;
  }
  bool empty() const noexcept { return size() == 0; }
  size_t column_count() const noexcept { return batches_.empty() ? 0 : batches_[0].column_count(); }
  std::string_view column_name(size_t column) const& noexcept {
    return batches_.empty() ? std::string_view() : batches_[0].column_name(column);
  }
  std::string_view column_name(size_t column) const&& = delete;

  /** Row `r` from 0, unchecked. Looks through the batches: iterate where you want all rows. */
  row_view operator[](size_t r) const& noexcept {
    size_t i = 0;
    for (; r >= batches_[i].row_count(); ++i) r -= batches_[i].row_count();
    return batches_[i].row(r);
  }
  row_view operator[](size_t r) const&& = delete;

  const std::vector<dqc::batch>& batches() const& noexcept { return batches_; }
  std::vector<dqc::batch> batches() && noexcept { return std::move(batches_); }
  /** What the statement did, if it modified data (RETURNING). */
  const exec_result& done() const& noexcept { return done_; }

  /** The rows as tuples; from a temporary the range takes the result over, so range-for is safe on both. */
  template <class... Ts>
  auto as() const& {
    using cursor = detail::batches_cursor<const std::vector<dqc::batch>*>;
    return typed_range<cursor, Ts...>(cursor(&batches_));
  }
  template <class... Ts>
  auto as() && {
    using cursor = detail::batches_cursor<std::vector<dqc::batch>>;
    return typed_range<cursor, Ts...>(cursor(std::move(batches_)));
  }

  /** The only column of the first row: `SELECT count(*) ...`. Views are refused: the result may be a temporary. */
  template <class T>
  result<T> scalar() const {
    static_assert(!is_view_v<T>, "read an owning type, as std::string");
    if (empty()) return error::make(DQC_E_MISUSE, "the result has no row");
    const row_view row = (*this)[0];
    if (row.size() != 1) return detail::wrong_count(1, row.size());
    return row.get<T>(0);
  }

  /** Forward iteration over the rows. */
  class iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = row_view;
    using difference_type = std::ptrdiff_t;
    using pointer = void;
    using reference = row_view;
    iterator() noexcept = default;
    iterator(const batch* at, const batch* end) noexcept : at_(at), end_(end) { skip_empty(); }
    row_view operator*() const noexcept { return at_->row(row_); }
    iterator& operator++() noexcept {
      ++row_;
      skip_empty();
      return *this;
    }
    iterator operator++(int) noexcept {
      iterator old = *this;
      ++*this;
      return old;
    }
    friend bool operator==(iterator a, iterator b) noexcept {
      return a.at_ == b.at_ && a.row_ == b.row_;
    }
    friend bool operator!=(iterator a, iterator b) noexcept { return !(a == b); }

   private:
    void skip_empty() noexcept {
      while (at_ != end_ && row_ >= at_->row_count()) {
        ++at_;
        row_ = 0;
      }
    }
    const batch* at_ = nullptr;
    const batch* end_ = nullptr;
    size_t row_ = 0;
  };
  iterator begin() const& noexcept { return {batches_.data(), batches_.data() + batches_.size()}; }
  iterator end() const& noexcept {
    const batch* end = batches_.data() + batches_.size();
    return {end, end};
  }
  void begin() const&& = delete;
  void end() const&& = delete;

 private:
  std::vector<dqc::batch> batches_;
  exec_result done_;
};

/**
 * A cursor for blocking callers: rows are fetched while it is read. Move-only; destroying it cancels the rest. Rows
 * and views live until the next step.
 * @code
 *   for (auto row : rows) use(row.get<int64_t>("id").value());
 *   for (auto [id, name] : rows.as<int64_t, std::string_view>()) use(id, name);
 * @endcode
 * Threading: the thread that owns the connection; with a threaded loop any thread, one at a time.
 */
class rows {
 public:
  explicit rows(unique_handle<dqc_rows> adopted) noexcept : handle_(std::move(adopted)) {}
  dqc_rows* get() const noexcept { return handle_.get(); }

  size_t column_count() const noexcept { return dqc_rows_column_count(get()); }
  /** NUL-terminated, empty beyond the last column; lives as long as the cursor. */
  std::string_view column_name(size_t column) const& noexcept {
    const char* name = dqc_rows_column_name(get(), column);
    return name == nullptr ? std::string_view() : std::string_view(name);
  }
  std::string_view column_name(size_t column) const&& = delete;

  /** Go to the next row: true if there is one, false at the end. */
  result<bool> next() {
    if (error_) return error_;
    ++row_;
    while (!batch_ || row_ >= batch_.row_count()) {
      result<dqc::batch> more = next_batch();
      if (!more.ok()) return std::move(more).error();
      if (!*more) return false;
      batch_ = std::move(*more);
      row_ = 0;
    }
    return true;
  }
  /** The row that next() went to; only after it returned true. */
  row_view row() const& noexcept { return batch_.row(row_); }
  row_view row() const&& = delete;

  /** The next batch whole, null at the end: the fast way through many rows. Instead of next(), not beside it. */
  result<dqc::batch> next_batch() {
    dqc_batch* raw = nullptr;
    if (dqc::error e =
            detail::call([&](dqc_error** out) { return dqc_rows_next_batch(get(), &raw, out); })) {
      return error_ = e;
    }
    return dqc::batch(unique_handle<dqc_batch>(raw));
  }

  /** All batches that were not read yet. */
  result<result_set> collect() && {
    std::vector<dqc::batch> batches;
    for (;;) {
      result<dqc::batch> more = next_batch();
      if (!more.ok()) return std::move(more).error();
      if (!*more) return result_set(std::move(batches), done());
      batches.push_back(std::move(*more));
    }
  }

  /** The only column of the first row: `conn.query("SELECT count(*) ...").value().scalar<int64_t>()`. */
  template <class T>
  result<T> scalar() && {
    result<result_set> all = std::move(*this).collect();
    if (!all.ok()) return all.error();
    return all->template scalar<T>();
  }

  /** What the statement did, if it modified data; complete at the end of the rows. */
  exec_result done() const noexcept {
    dqc_result raw{};
    dqc_rows_result(get(), &raw);
    return exec_result(raw);
  }

  using iterator = detail::input_iterator<rows>;
  /** One pass over the rows. A failure ends it: by an exception where those are on; error() tells it in any case. */
  iterator begin() & { return iterator(this); }
  detail::end_of_rows end() & noexcept { return {}; }
  void begin() && = delete;
  void end() && = delete;

  /** The rows as tuples; from a temporary the range takes the cursor over, so range-for is safe on both. */
  template <class... Ts>
  auto as() & {
    return typed_range<pointer, Ts...>(pointer{this});
  }
  template <class... Ts>
  auto as() && {
    return typed_range<rows, Ts...>(std::move(*this));
  }

  /** The failure that ended the reading; false if there was none. */
  const dqc::error& error() const& noexcept { return error_; }

  /** For the iterator: next(), which throws where exceptions are on. */
  bool advance() {
    const result<bool> more = next();
    if (!more.ok()) detail::raise(more.error());
    return more.ok() && *more;
  }
  row_view current() const noexcept { return row(); }

 private:
  struct pointer {
    rows* owner;
    result<bool> next() { return owner->next(); }
    row_view row() const noexcept { return static_cast<const rows*>(owner)->row(); }
  };
  unique_handle<dqc_rows> handle_;
  dqc::batch batch_;
  size_t row_ = static_cast<size_t>(-1);
  dqc::error error_;
};

}  // namespace DQC_CPP_NAMESPACE
}  // namespace dqc
