/* SPDX-License-Identifier: MIT */
// Text forms of configuration values, and the small text helpers of its error messages. Parsing
// does not depend on the locale.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "client/config.hpp"

namespace dqc::client {

// "250ms", "64KiB", "true", "sqlite" … -> the key's unit (us, bytes, count, 0/1, index), range
// checked. Not for kText.
Result<int64_t> ParseValue(const KeyInfo& key, std::string_view text);
std::string FormatValue(const KeyInfo& key, int64_t value);  // ParseValue() takes it back

Status CheckRange(const KeyInfo& key, int64_t value);
std::string RangeText(const KeyInfo& key);  // "1ms to 24h", "raw, sqlite or go"

Status UnknownKey(std::string_view name);  // with the nearest name, if one is near

// `text` in double quotes, fit for one line of an error message: plain ASCII, the rest escaped, cut
// after `shown` bytes.
std::string Quoted(std::string_view text, size_t shown = 64);

std::string_view TrimBlanks(std::string_view text);

// Each item of a comma-separated list, without the blanks around it; none if `text` is blank. The
// first failure ends it and is returned with the item's number and text before it.
Status ForEachItem(std::string_view text, const std::function<Status(std::string_view)>& visit);

Status ConfigError(std::string_view message);  // Code::kConfig, Phase::kConfig

}  // namespace dqc::client
