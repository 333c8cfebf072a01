/* SPDX-License-Identifier: MIT */
// Cells and rows, and their conversion to C++ types. Include <dqclient/dqclient.hpp>.
#pragma once

#include <dqclient/detail/value.hpp>

#include <memory>

namespace dqc {
inline namespace DQC_CPP_NAMESPACE {

/** One cell; a view that lives as long as its batch. */
class cell {
 public:
  explicit cell(const dqc_cell& raw) noexcept : raw_(&raw) {}

  /** DQC_INTEGER, DQC_FLOAT, DQC_TEXT, DQC_BLOB, DQC_NULL, DQC_UNIXTIME, DQC_ISO8601 or DQC_BOOLEAN. */
  int32_t type() const noexcept { return raw_->type; }
  bool is_null() const noexcept { return raw_->type == DQC_NULL; }
  bool is_integer() const noexcept {
    return raw_->type == DQC_INTEGER || raw_->type == DQC_UNIXTIME || raw_->type == DQC_BOOLEAN;
  }
  bool is_text() const noexcept { return raw_->type == DQC_TEXT || raw_->type == DQC_ISO8601; }
  bool is_blob() const noexcept { return raw_->type == DQC_BLOB; }
  bool is_float() const noexcept { return raw_->type == DQC_FLOAT; }

  /** The value, unconverted: meaningful only for a cell of that type. */
  int64_t integer() const noexcept { return raw_->as.integer; }
  double real() const noexcept { return raw_->as.real; }
  std::string_view text() const noexcept { return {raw_->as.data, raw_->size}; }
  blob_view blob() const noexcept { return {raw_->as.data, raw_->size}; }
  const dqc_cell& raw() const noexcept { return *raw_; }

  /** The value as a T, or nothing if it does not convert: see read_value. */
  template <class T>
  std::optional<T> get() const;

 private:
  const dqc_cell* raw_;
};

/**
 * How a cell becomes a T. Specialise it for types of your own:
 * @code
 *   template <> struct dqc::read_value<my::uuid> {
 *     static constexpr const char* name = "uuid";                    // for messages
 *     static std::optional<my::uuid> read(dqc::cell c);              // nullopt: it does not convert
 *   };
 * @endcode
 * Known, and strict: integers (range-checked) and bool (0 or 1) from integers; double also from integers;
 * std::string, std::string_view from text; blob_view, std::vector<std::byte> from blobs and text; cell from
 * anything; std::optional of all these, where NULL becomes nullopt.
 */
template <class T, class Enable = void>
struct read_value;

template <class T>
std::optional<T> cell::get() const {
  return read_value<T>::read(*this);
}

template <>
struct read_value<cell> {
  static constexpr const char* name = "cell";
  static std::optional<cell> read(cell c) noexcept { return c; }
};
template <>
struct read_value<bool> {
  static constexpr const char* name = "boolean";
  static std::optional<bool> read(cell c) noexcept {
    if (!c.is_integer() || (c.integer() & ~int64_t{1}) != 0) return std::nullopt;
    return c.integer() != 0;
  }
};
template <class T>
struct read_value<T, std::enable_if_t<detail::is_number_v<T>>> {
  static constexpr const char* name = sizeof(T) == 8   ? (std::is_signed_v<T> ? "int64" : "uint64")
                                      : sizeof(T) == 4 ? (std::is_signed_v<T> ? "int32" : "uint32")
                                      : sizeof(T) == 2 ? (std::is_signed_v<T> ? "int16" : "uint16")
                                                       : (std::is_signed_v<T> ? "int8" : "uint8");
  static std::optional<T> read(cell c) noexcept {
    if (!c.is_integer()) return std::nullopt;
    const int64_t i = c.integer();
    if constexpr (std::is_unsigned_v<T>) {
      if (i < 0 || static_cast<uint64_t>(i) > std::numeric_limits<T>::max()) return std::nullopt;
    } else {
      if (i < std::numeric_limits<T>::min() || i > std::numeric_limits<T>::max())
        return std::nullopt;
    }
    return static_cast<T>(i);
  }
};
template <>
struct read_value<double> {
  static constexpr const char* name = "double";
  static std::optional<double> read(cell c) noexcept {
    if (c.is_float()) return c.real();
    if (c.is_integer()) return static_cast<double>(c.integer());
    return std::nullopt;
  }
};
template <>
struct read_value<std::string_view> {
  static constexpr const char* name = "text";
  static std::optional<std::string_view> read(cell c) noexcept {
    if (!c.is_text()) return std::nullopt;
    return c.text();
  }
};
template <>
struct read_value<std::string> {
  static constexpr const char* name = "text";
  static std::optional<std::string> read(cell c) {
    if (!c.is_text()) return std::nullopt;
    return std::string(c.text());
  }
};
template <>
struct read_value<blob_view> {
  static constexpr const char* name = "blob";
  static std::optional<blob_view> read(cell c) noexcept {
    if (!c.is_blob() && !c.is_text()) return std::nullopt;
    return c.blob();
  }
};
template <>
struct read_value<std::vector<std::byte>> {
  static constexpr const char* name = "blob";
  static std::optional<std::vector<std::byte>> read(cell c) {
    if (!c.is_blob() && !c.is_text()) return std::nullopt;
    return c.blob().copy();
  }
};
template <class T>
struct read_value<std::optional<T>> {
  static constexpr const char* name = read_value<T>::name;
  static std::optional<std::optional<T>> read(cell c) {
    if (c.is_null()) return std::optional<std::optional<T>>(std::in_place, std::nullopt);
    std::optional<T> value = read_value<T>::read(c);
    if (!value.has_value()) return std::nullopt;
    return std::optional<std::optional<T>>(std::in_place, std::move(value));
  }
};

/** True for types that only borrow: they may not be read from a temporary owner. */
template <class T>
inline constexpr bool is_view_v =
    std::is_same_v<T, std::string_view> || std::is_same_v<T, blob_view> ||
    std::is_same_v<T, cell> || std::is_pointer_v<T>;
template <class T>
inline constexpr bool is_view_v<std::optional<T>> = is_view_v<T>;

namespace detail {

inline const char* type_name(int32_t type) noexcept {
  switch (type) {
    case DQC_INTEGER:
      return "INTEGER";
    case DQC_FLOAT:
      return "FLOAT";
    case DQC_TEXT:
      return "TEXT";
    case DQC_BLOB:
      return "BLOB";
    case DQC_NULL:
      return "NULL";
    case DQC_UNIXTIME:
      return "UNIXTIME";
    case DQC_ISO8601:
      return "ISO8601";
    case DQC_BOOLEAN:
      return "BOOLEAN";
    default:
      return "unknown type";
  }
}

// "column 1 (age): INTEGER 300 cannot be read as int8"
inline error conversion_error(const dqc_batch* batch, size_t column, cell c, const char* wanted) {
  const char* name = dqc_batch_column_name(batch, column, nullptr);
  std::string text = "column ";
  text.append(std::to_string(column)).append(" (").append(name != nullptr ? name : "?");
  text.append("): ").append(type_name(c.type()));
  if (c.is_integer()) text.append(" ").append(std::to_string(c.integer()));
  text.append(" cannot be read as ").append(wanted);
  if (c.is_null()) text += "; std::optional takes NULL";
  return error::make(DQC_E_MISUSE, std::move(text));
}

inline error no_column(size_t column, size_t count) {
  return error::make(DQC_E_MISUSE, "no column " + std::to_string(column) + ": the result has " +
                                       std::to_string(count));
}

inline error wrong_count(size_t wanted, size_t count) {
  return error::make(DQC_E_MISUSE, "the result has " + std::to_string(count) + " columns, but " +
                                       std::to_string(wanted) + " were asked for");
}

}  // namespace detail

/** One row; a view that lives as long as its batch. Rows of a cursor live until its next step. */
class row_view {
 public:
  row_view(const dqc_batch* batch, const dqc_cell* cells, size_t count) noexcept
      : batch_(batch), cells_(cells), count_(count) {}

  size_t size() const noexcept { return count_; }
  /** The cell of a column, unchecked. */
  cell operator[](size_t column) const noexcept { return cell(cells_[column]); }

  /** The value of a column, from 0, as a T (see read_value); the error names the column and both types. */
  template <class T>
  result<T> get(size_t column) const {
    if (column >= count_) return detail::no_column(column, count_);
    const cell c((*this)[column]);
    if (std::optional<T> value = read_value<T>::read(c)) return std::move(*value);
    return detail::conversion_error(batch_, column, c, read_value<T>::name);
  }

  /** The same by the name of the column; the first one, if several have it. */
  template <class T>
  result<T> get(std::string_view name) const {
    if (std::optional<size_t> column = find(name)) return get<T>(*column);
    return error::make(DQC_E_MISUSE, "no column is named \"" + std::string(name) + "\"");
  }

  /** The number of the column with this name. */
  std::optional<size_t> find(std::string_view name) const noexcept {
    for (size_t i = 0; i < count_; ++i) {
      size_t size = 0;
      const char* text = dqc_batch_column_name(batch_, i, &size);
      if (text != nullptr && name == std::string_view(text, size)) return i;
    }
    return std::nullopt;
  }

  /** All columns at once: `auto [id, name] = row.as<int64_t, std::string_view>().value()`. */
  template <class... Ts>
  result<std::tuple<Ts...>> as() const {
    return read(std::index_sequence_for<Ts...>(), static_cast<std::tuple<Ts...>*>(nullptr));
  }

 private:
  template <size_t... I, class... Ts>
  result<std::tuple<Ts...>> read(std::index_sequence<I...>, std::tuple<Ts...>*) const {
    if (count_ != sizeof...(Ts)) return detail::wrong_count(sizeof...(Ts), count_);
    std::tuple<std::optional<Ts>...> parts;
    error failure;
    // In order, up to the first column that does not convert.
    const bool ok = (read_part(std::get<I>(parts), I, failure) && ...);
    if (!ok) return failure;
    return std::tuple<Ts...>(std::move(*std::get<I>(parts))...);
  }

  template <class T>
  bool read_part(std::optional<T>& part, size_t column, error& failure) const {
    part = read_value<T>::read((*this)[column]);
    if (!part.has_value()) {
      failure = detail::conversion_error(batch_, column, (*this)[column], read_value<T>::name);
    }
    return part.has_value();
  }

  const dqc_batch* batch_;
  const dqc_cell* cells_;
  size_t count_;
};

namespace detail {

struct end_of_rows {};

// Iterates over the rows of a Source: next() goes to the next row, row() is that one.
template <class Source>
class input_iterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = decltype(std::declval<const Source&>().current());
  using difference_type = std::ptrdiff_t;
  using pointer = void;
  using reference = decltype(std::declval<const Source&>().current());

  input_iterator() noexcept = default;
  explicit input_iterator(Source* source) : source_(source) { ++*this; }
  reference operator*() const noexcept { return source_->current(); }
  input_iterator& operator++() {
    if (!source_->advance()) source_ = nullptr;
    return *this;
  }
  void operator++(int) { ++*this; }
  friend bool operator==(const input_iterator& i, end_of_rows) noexcept {
    return i.source_ == nullptr;
  }
  friend bool operator!=(const input_iterator& i, end_of_rows) noexcept {
    return i.source_ != nullptr;
  }

 private:
  Source* source_ = nullptr;
};

}  // namespace detail

/**
 * Rows as tuples, for range-for with structured bindings; made by as<Ts...>() of rows, batch and result_set. Views in
 * the tuple live until the next step. A failure (of a conversion, or of the connection) ends the loop: as an exception
 * where exceptions are on; in any case error() tells it.
 */
template <class Cursor, class... Ts>
class [[nodiscard]] typed_range {
 public:
  explicit typed_range(Cursor cursor) : cursor_(std::move(cursor)) {}
  typed_range(const typed_range&) = delete;
  typed_range& operator=(const typed_range&) = delete;

  using iterator = detail::input_iterator<typed_range>;
  iterator begin() & { return iterator(this); }
  detail::end_of_rows end() & noexcept { return {}; }
  void begin() && = delete;
  void end() && = delete;

  /** Why the iteration ended early; false if it did not. */
  const dqc::error& error() const& noexcept { return error_; }

  /** Go to the next row, read it: false at the end and on failure. Throws as the class says. */
  bool advance() {
    current_.reset();
    if (error_) return false;
    result<bool> more = cursor_.next();
    if (!more.ok()) return fail(more.error());
    if (!*more) return false;
    result<std::tuple<Ts...>> tuple = cursor_.row().template as<Ts...>();
    if (!tuple.ok()) return fail(tuple.error());
    current_.emplace(std::move(*tuple));
    return true;
  }
  /** The row that advance() read. */
  const std::tuple<Ts...>& current() const noexcept { return *current_; }

 private:
  bool fail(const dqc::error& e) {
    error_ = e;
    detail::raise(e);
    return false;
  }
  Cursor cursor_;
  std::optional<std::tuple<Ts...>> current_;
  dqc::error error_;
};

}  // namespace DQC_CPP_NAMESPACE
}  // namespace dqc
