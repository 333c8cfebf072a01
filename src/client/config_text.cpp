/* SPDX-License-Identifier: MIT */
#include "client/config_text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <numeric>
#include <optional>

namespace dqc::client {
namespace {

struct Unit {
  std::string_view name;
  int64_t factor;
};

// Largest first: a value is written in the first unit that divides it.
constexpr Unit kDurations[] = {
    {"h", 3600000000}, {"m", 60000000}, {"s", 1000000}, {"ms", 1000}, {"us", 1}};
constexpr Unit kSizes[] = {{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}};
constexpr int64_t kPlainDuration = 1000;  // a bare number means milliseconds

constexpr std::string_view kTrue[] = {"true", "on", "yes", "1"};
constexpr std::string_view kFalse[] = {"false", "off", "no", "0"};

Status NotA(const KeyInfo& key, std::string_view text, std::string_view what) {
  return ConfigError("option \"" + std::string(key.name) + "\": " + Quoted(text) + " is not " +
                     std::string(what));
}

Status OutOfRange(const KeyInfo& key, std::string_view text) {
  return ConfigError("option \"" + std::string(key.name) + "\": " + Quoted(text) +
                     " is out of range (" + RangeText(key) + ")");
}

struct Number {
  int64_t value = 0;
  bool overflow = false;
  std::string_view rest;  // behind the digits
};

std::optional<Number> ParseNumber(std::string_view text) {
  Number out;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, out.value);
  if (error == std::errc::invalid_argument) return std::nullopt;
  out.overflow = error != std::errc();
  out.rest = text.substr(static_cast<size_t>(stop - text.data()));
  return out;
}

// A number and an optional unit; `plain` is the factor of a number without a unit.
template <size_t N>
Result<int64_t> ParseScaled(const KeyInfo& key, std::string_view text, const Unit (&units)[N],
                            int64_t plain, std::string_view what) {
  const std::optional<Number> number = ParseNumber(text);
  if (!number) return NotA(key, text, what);
  int64_t factor = number->rest.empty() ? plain : 0;
  for (const Unit& unit : units) {
    if (number->rest == unit.name) factor = unit.factor;
  }
  if (factor == 0) return NotA(key, text, what);
  if (number->overflow || number->value < 0 ||
      number->value > std::numeric_limits<int64_t>::max() / factor) {
    return OutOfRange(key, text);
  }
  return number->value * factor;
}

template <size_t N>
std::string FormatScaled(int64_t value, const Unit (&units)[N]) {
  for (const Unit& unit : units) {
    if (value != 0 && value % unit.factor == 0) {
      return std::to_string(value / unit.factor) + std::string(unit.name);
    }
  }
  return std::to_string(value);
}

std::string_view EnumName(const KeyInfo& key, int64_t index) {
  std::string_view rest = key.values;
  for (; index > 0 && !rest.empty(); --index) {
    const size_t bar = rest.find('|');
    rest = bar == std::string_view::npos ? std::string_view() : rest.substr(bar + 1);
  }
  return rest.substr(0, rest.find('|'));
}

Result<int64_t> ParseEnum(const KeyInfo& key, std::string_view text) {
  for (int64_t i = 0; i <= key.max; ++i) {
    if (EnumName(key, i) == text) return i;
  }
  return NotA(key, text, "known (use " + RangeText(key) + ")");
}

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

// Levenshtein; '-' and '_' are alike, and so are upper and lower case.
size_t Distance(std::string_view a, std::string_view b) {
  std::array<size_t, 65> row{};
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    const char left = a[i] == '-' ? '_' : Lower(a[i]);
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (left == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

Status ConfigError(std::string_view message) {
  return Status::Make(Code::kConfig, message).With(Phase::kConfig);
}

std::string Quoted(std::string_view text, size_t shown) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text.substr(0, shown)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte > 0x7e) {
      out += "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
  }
  return out + (text.size() > shown ? "...\"" : "\"");
}

std::string_view TrimBlanks(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

Status ForEachItem(std::string_view text, const std::function<Status(std::string_view)>& visit) {
  if (TrimBlanks(text).empty()) return Status();
  size_t number = 1;
  for (size_t at = 0; at <= text.size(); ++number) {
    const size_t comma = std::min(text.find(',', at), text.size());
    const std::string_view item = TrimBlanks(text.substr(at, comma - at));
    if (const Status status = visit(item); !status.ok()) {
      return ConfigError("item " + std::to_string(number) + ", " + Quoted(item) + ": " +
                         std::string(status.message()));
    }
    at = comma + 1;
  }
  return Status();
}

Result<int64_t> ParseValue(const KeyInfo& key, std::string_view text) {
  Result<int64_t> value = int64_t{0};
  switch (key.type) {
    case KeyType::kBool:
      if (std::find(std::begin(kTrue), std::end(kTrue), text) != std::end(kTrue)) return int64_t{1};
      if (std::find(std::begin(kFalse), std::end(kFalse), text) != std::end(kFalse)) return value;
      return NotA(key, text, "a boolean (use true or false)");
    case KeyType::kEnum:
      return ParseEnum(key, text);
    case KeyType::kDuration:
      value =
          ParseScaled(key, text, kDurations, kPlainDuration, "a duration (use e.g. 250ms, 5s, 1m)");
      break;
    case KeyType::kBytes:
      value = ParseScaled(key, text, kSizes, 1, "a size (use e.g. 4096, 64KiB, 1MiB)");
      break;
    case KeyType::kInteger: {
      const std::optional<Number> number = ParseNumber(text);
      if (!number || !number->rest.empty()) return NotA(key, text, "a whole number");
      if (number->overflow) return OutOfRange(key, text);
      value = number->value;
      break;
    }
    case KeyType::kText:
      return NotA(key, text, "a number");
  }
  if (value.ok() && (*value < key.min || *value > key.max)) return OutOfRange(key, text);
  return value;
}

std::string FormatValue(const KeyInfo& key, int64_t value) {
  switch (key.type) {
    case KeyType::kBool:
      return value != 0 ? "true" : "false";
    case KeyType::kDuration:
      return FormatScaled(value, kDurations);
    case KeyType::kBytes:
      return FormatScaled(value, kSizes);
    case KeyType::kEnum:
      return std::string(EnumName(key, value));
    case KeyType::kInteger:
    case KeyType::kText:
      break;
  }
  return std::to_string(value);
}

Status CheckRange(const KeyInfo& key, int64_t value) {
  if (value >= key.min && value <= key.max) return Status();
  return OutOfRange(key, std::to_string(value));
}

std::string RangeText(const KeyInfo& key) {
  if (key.type == KeyType::kText) {
    return std::to_string(key.min) + " to " + std::to_string(key.max) + " bytes";
  }
  if (key.type == KeyType::kBool) return "true or false";
  if (key.type == KeyType::kEnum) {
    std::string out(EnumName(key, 0));
    for (int64_t i = 1; i <= key.max; ++i) {
      out += i == key.max ? " or " : ", ";
      out += EnumName(key, i);
    }
    return out;
  }
  if (key.max == std::numeric_limits<int64_t>::max()) {
    return "from " + FormatValue(key, key.min);
  }
  return FormatValue(key, key.min) + " to " + FormatValue(key, key.max);
}

Status UnknownKey(std::string_view name) {
  std::string message = "unknown option " + Quoted(name);
  const KeyInfo* nearest = nullptr;
  size_t best = std::max<size_t>(2, name.size() / 3) + 1;
  for (const KeyInfo& key : ConfigTable()) {
    if (name.size() > 64) break;  // no typo of anything
    const size_t distance = Distance(name, key.name);
    if (distance >= best) continue;
    best = distance;
    nearest = &key;
  }
  if (nearest != nullptr) message += "; did you mean \"" + std::string(nearest->name) + "\"?";
  return ConfigError(message);
}

}  // namespace dqc::client
