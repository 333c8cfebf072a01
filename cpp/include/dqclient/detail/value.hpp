/* SPDX-License-Identifier: MIT */
// Binding of C++ values to parameters. Include <dqclient/dqclient.hpp>.
#pragma once

#include <dqclient/detail/base.hpp>

#include <array>
#include <limits>
#include <tuple>
#include <vector>
#if defined(__has_include) && __cplusplus >= 202002L
#if __has_include(<span>)
#include <span>
#endif
#endif

namespace dqc {
inline namespace DQC_CPP_NAMESPACE {

/** Bytes that somebody else owns. Refuses temporaries that own theirs. */
class blob_view {
 public:
  constexpr blob_view() noexcept = default;
  constexpr blob_view(const void* data, size_t size) noexcept : data_(data), size_(size) {}
  /** The bytes of a contiguous container of one-byte elements: std::vector, std::array, std::string ... */
  template <class C, class = std::enable_if_t<sizeof(*std::declval<const C&>().data()) == 1>>
  explicit blob_view(const C& container) noexcept
      : data_(container.data()), size_(container.size()) {}
  template <class C, class = std::enable_if_t<sizeof(*std::declval<const C&>().data()) == 1>>
  explicit blob_view(const C&& container) = delete;
  explicit blob_view(std::string_view text) noexcept : data_(text.data()), size_(text.size()) {}
#if defined(__cpp_lib_span)
  explicit blob_view(std::span<const std::byte> bytes) noexcept
      : data_(bytes.data()), size_(bytes.size()) {}
#endif

  const std::byte* data() const noexcept { return static_cast<const std::byte*>(data_); }
  size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  const std::byte* begin() const noexcept { return data(); }
  const std::byte* end() const noexcept { return data() + size_; }
  std::vector<std::byte> copy() const { return std::vector<std::byte>(begin(), end()); }

 private:
  const void* data_ = nullptr;
  size_t size_ = 0;
};

/** A text to bind as DQC_ISO8601, as "2026-01-31 12:00:00". */
struct iso8601 {
  std::string_view text;
};

namespace detail {

inline dqc_value make_null() noexcept {
  dqc_value v{};
  v.type = DQC_NULL;
  return v;
}
inline dqc_value make_integer(int64_t i, int32_t type = DQC_INTEGER) noexcept {
  dqc_value v{};
  v.as.integer = i;
  v.type = type;
  return v;
}
inline dqc_value make_bytes(const void* data, size_t size, int32_t type) noexcept {
  dqc_value v{};
  v.as.data = data != nullptr ? data : "";
  v.size = size;
  v.type = type;
  return v;
}

template <class T>
inline constexpr bool is_character_v =
    std::is_same_v<T, char> || std::is_same_v<T, wchar_t> || std::is_same_v<T, char16_t> ||
#if defined(__cpp_char8_t)
    std::is_same_v<T, char8_t> ||
#endif
    std::is_same_v<T, char32_t>;

template <class T>
inline constexpr bool is_number_v =
    std::is_integral_v<T> && !std::is_same_v<T, bool> && !is_character_v<T>;

}  // namespace detail

/**
 * How a T becomes a parameter. Specialise it for types of your own: `convert` returns any type that can be bound;
 * the facade keeps what it returns alive for the time of the call.
 * @code
 *   template <> struct dqc::bind_value<my::uuid> {
 *     static std::string convert(const my::uuid& u) { return u.to_string(); }
 *   };
 * @endcode
 * Known: bool (as DQC_BOOLEAN), integers, float and double, std::string, std::string_view, const char* (null binds
 * NULL), blob_view, std::vector of bytes, iso8601, nullptr, std::optional of all these, and dqc_value itself.
 */
template <class T, class Enable = void>
struct bind_value;

template <>
struct bind_value<dqc_value> {
  static dqc_value convert(const dqc_value& v) noexcept { return v; }
};
template <>
struct bind_value<std::nullptr_t> {
  static dqc_value convert(std::nullptr_t) noexcept { return detail::make_null(); }
};
template <>
struct bind_value<std::nullopt_t> {
  static dqc_value convert(std::nullopt_t) noexcept { return detail::make_null(); }
};
template <>
struct bind_value<bool> {
  static dqc_value convert(bool b) noexcept { return detail::make_integer(b ? 1 : 0, DQC_BOOLEAN); }
};
template <class T>
struct bind_value<T, std::enable_if_t<detail::is_number_v<T>>> {
  static dqc_value convert(T i) noexcept {
    if constexpr (std::is_unsigned_v<T> && sizeof(T) >= sizeof(int64_t)) {
      // Type 0: refused by arguments_call() with a message of its own.
      if (i > static_cast<uint64_t>(INT64_MAX)) return detail::make_integer(0, 0);
    }
    return detail::make_integer(static_cast<int64_t>(i));
  }
};
template <class T>
struct bind_value<T, std::enable_if_t<std::is_same_v<T, float> || std::is_same_v<T, double>>> {
  static dqc_value convert(T d) noexcept {
    dqc_value v{};
    v.as.real = static_cast<double>(d);
    v.type = DQC_FLOAT;
    return v;
  }
};
template <>
struct bind_value<std::string_view> {
  static dqc_value convert(std::string_view s) noexcept {
    return detail::make_bytes(s.data(), s.size(), DQC_TEXT);
  }
};
template <>
struct bind_value<std::string> {
  static dqc_value convert(const std::string& s) noexcept {
    return detail::make_bytes(s.data(), s.size(), DQC_TEXT);
  }
};
template <>
struct bind_value<const char*> {
  static dqc_value convert(const char* s) noexcept {
    return s == nullptr ? detail::make_null() : bind_value<std::string_view>::convert(s);
  }
};
template <>
struct bind_value<char*> : bind_value<const char*> {};
template <>
struct bind_value<iso8601> {
  static dqc_value convert(iso8601 t) noexcept {
    return detail::make_bytes(t.text.data(), t.text.size(), DQC_ISO8601);
  }
};
template <>
struct bind_value<blob_view> {
  static dqc_value convert(blob_view b) noexcept {
    return detail::make_bytes(b.data(), b.size(), DQC_BLOB);
  }
};
template <class B>
struct bind_value<std::vector<B>,
                  std::enable_if_t<std::is_same_v<B, std::byte> || std::is_same_v<B, uint8_t>>> {
  static dqc_value convert(const std::vector<B>& b) noexcept {
    return detail::make_bytes(b.data(), b.size(), DQC_BLOB);
  }
};
template <class T>
struct bind_value<std::optional<T>> {
  static auto convert(const std::optional<T>& o) {
    using converted = decltype(bind_value<T>::convert(*o));
    if constexpr (std::is_same_v<converted, dqc_value>) {
      return o.has_value() ? bind_value<T>::convert(*o) : detail::make_null();
    } else {
      return o.has_value() ? std::optional<converted>(bind_value<T>::convert(*o)) : std::nullopt;
    }
  }
};

/** A parameter by name; made by dqc::named(). */
template <class T>
struct named_arg {
  const char* name;
  T value;
};

/**
 * Binds by name: `conn.exec("UPDATE t SET a = :a", dqc::named(":a", 1))`. All of a call by name, or none.
 * @param name as written in the SQL, with its prefix; outlives the call. @param value temporaries are moved in.
 */
template <class T>
named_arg<T> named(const char* name, T&& value) {
  return {name, std::forward<T>(value)};
}

/** Arguments counted at run time: `conn.exec(sql, dqc::values(list))`, the only argument of a call. */
struct value_list {
  const dqc_value* data;
  size_t size;
};
inline value_list values(const dqc_value* data, size_t size) noexcept { return {data, size}; }
inline value_list values(const std::vector<dqc_value>& list) noexcept {
  return {list.data(), list.size()};
}
value_list values(const std::vector<dqc_value>&&) = delete;

/** One element of a list for values(). It borrows from `value`, so temporaries that own text or bytes are refused. */
template <class T>
dqc_value make_value(const T& value) {
  using converted = decltype(bind_value<std::decay_t<const T&>>::convert(value));
  static_assert(std::is_same_v<converted, dqc_value>,
                "convert this value to a built-in type first");
  return bind_value<std::decay_t<const T&>>::convert(value);
}
dqc_value make_value(const std::string&&) = delete;
template <class B>
dqc_value make_value(const std::vector<B>&&) = delete;
template <class B>
dqc_value make_value(const std::optional<B>&&) = delete;

namespace detail {

template <class T, class = void>
struct is_bindable : std::false_type {};
template <class T>
struct is_bindable<T, std::void_t<decltype(bind_value<T>::convert(std::declval<const T&>()))>>
    : std::true_type {};

// Keeps what bind_value made of one argument until the C call has copied it.
template <class T>
class arg_holder {
  static_assert(is_bindable<T>::value, "no dqc::bind_value for a parameter of this type");
  using converted = decltype(bind_value<T>::convert(std::declval<const T&>()));

 public:
  arg_holder(const T& value) : converted_(bind_value<T>::convert(value)), next_(converted_) {}
  arg_holder(const arg_holder&) = delete;
  arg_holder& operator=(const arg_holder&) = delete;
  dqc_value get() const { return next_.get(); }

 private:
  converted converted_;
  arg_holder<converted> next_;
};

template <>
class arg_holder<dqc_value> {
 public:
  arg_holder(const dqc_value& value) : value_(value) {}
  dqc_value get() const { return value_; }

 private:
  dqc_value value_;
};

template <class T>
class arg_holder<named_arg<T>> {
 public:
  arg_holder(const named_arg<T>& arg) : name_(arg.name), value_(arg.value) {}
  dqc_value get() const {
    dqc_value v = value_.get();
    v.name = name_;
    return v;
  }

 private:
  const char* name_;
  arg_holder<std::decay_t<const std::remove_reference_t<T>&>> value_;
};

inline error range_error(size_t index) {
  return error::make(DQC_E_PARAMS, "parameter " + std::to_string(index + 1) +
                                       ": the number is too large for a signed 64-bit integer");
}

// Calls f(const dqc_value*, size_t), which returns something that can be made from an error.
template <class F, class... Args>
auto with_args(F&& f, const Args&... args) {
  using returned = decltype(f(static_cast<const dqc_value*>(nullptr), size_t{0}));
  if constexpr (sizeof...(Args) == 0) {
    return f(static_cast<const dqc_value*>(nullptr), size_t{0});
  } else if constexpr (sizeof...(Args) == 1 && (std::is_same_v<Args, value_list> && ...)) {
    return (f(args.data, args.size), ...);
  } else {
    const std::tuple<arg_holder<std::decay_t<const Args&>>...> holders(args...);
    const auto array = std::apply(
        [](const auto&... holder) {
          return std::array<dqc_value, sizeof...(Args)>{holder.get()...};
        },
        holders);
    for (size_t i = 0; i < array.size(); ++i) {
      if (array[i].type == 0) return returned(range_error(i));
    }
    return f(array.data(), array.size());
  }
}

}  // namespace detail
}  // namespace DQC_CPP_NAMESPACE
}  // namespace dqc
