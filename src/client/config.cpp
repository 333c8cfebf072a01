/* SPDX-License-Identifier: MIT */
#include "client/config.hpp"

#include <algorithm>
#include <limits>

#include "client/address_map.hpp"
#include "client/config_text.hpp"
#include "client/redirect.hpp"
#include "session/sql.hpp"

namespace dqc::client {
namespace {

constexpr KeyInfo kTable[] = {
#define DQC_X(Id, key, type, def, min, max, values, since, doc) \
  {Key::k##Id, key, KeyType::type, def, min, max, values, since, doc},
    DQC_CONFIG_KEYS(DQC_X)
#undef DQC_X
};

constexpr size_t Index(Key key) { return static_cast<size_t>(key); }

// Where the text of a key is kept; the last slot for keys of other types.
constexpr size_t TextSlot(Key key) {
  if (kTable[Index(key)].type != KeyType::kText) return kTextKeys;
  size_t slot = 0;
  for (const KeyInfo& info : kTable) {
    if (info.id == key) break;
    if (info.type == KeyType::kText) ++slot;
  }
  return slot;
}

Status CheckPath(std::string_view path) {
  if (path.find('\0') == std::string_view::npos) return Status();
  return ConfigError("the path " + Quoted(path) + " has a zero byte");
}

// What a connection would refuse later.
Status CheckInitSql(std::string_view script) {
  const sql::Summary summary = sql::Summarize(script);
  if (summary.has_nul) return ConfigError("the script has a zero byte");
  return summary.any_params ? ConfigError("its statements cannot have parameters") : Status();
}

// Empty: not set; for the database a connection for administration only.
Status CheckText(const KeyInfo& key, std::string_view value) {
  if (value.empty()) return Status();
  if (value.size() > static_cast<size_t>(key.max)) {
    return ConfigError(std::to_string(value.size()) + " bytes are more than " +
                       std::to_string(key.max));
  }
  switch (key.id) {
    case Key::kDatabase:
      return CheckDatabaseName(value);
    case Key::kNodes:
      return CheckPath(value);
    case Key::kRedirectAllow:
      return AllowList::Parse(value).status();
    case Key::kAddressMap:
      return AddressMap::Parse(value).status();
    case Key::kInitSql:
      return CheckInitSql(value);
    default:
      return Status();
  }
}

constexpr std::string_view kNameBytes =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

// 0 stands for "no limit".
uint64_t LimitOf(int64_t value) {
  return value == 0 ? std::numeric_limits<uint64_t>::max() : static_cast<uint64_t>(value);
}

}  // namespace

std::span<const KeyInfo> ConfigTable() { return kTable; }

const KeyInfo* FindKey(std::string_view name) {
  const auto* const found = std::find_if(std::begin(kTable), std::end(kTable),
                                         [&](const KeyInfo& key) { return name == key.name; });
  return found == std::end(kTable) ? nullptr : found;
}

Status CheckDatabaseName(std::string_view name) {
  if (name.empty()) return ConfigError("the database name is empty");
  if (name.size() > kDatabaseNameMax) {
    return ConfigError("the database name has " + std::to_string(name.size()) +
                       " bytes, more than " + std::to_string(kDatabaseNameMax));
  }
  const size_t bad = name.find_first_not_of(kNameBytes);
  if (bad != std::string_view::npos) {
    return ConfigError("database name " + Quoted(name) + ": " + Quoted(name.substr(bad, 1)) +
                       " is not allowed (only letters, digits, '.', '_' and '-': other names harm "
                       "servers)");
  }
  for (const std::string_view ending : {"-wal", "-journal"}) {
    if (!name.ends_with(ending)) continue;
    return ConfigError("database name " + Quoted(name) + ": the ending " + Quoted(ending) +
                       " is not allowed (servers take it for a file of another database, and some "
                       "abort)");
  }
  return Status();
}

Config::Config() {
  for (const KeyInfo& key : kTable) {
    if (key.type == KeyType::kText) {
      texts_[TextSlot(key.id)] = key.default_text;
    } else {
      integers_[Index(key.id)] = *ParseValue(key, key.default_text);
    }
  }
}

Status Config::Set(std::string_view key, std::string_view value) {
  const KeyInfo* const info = FindKey(key);
  if (info == nullptr) return UnknownKey(key);
  if (info->type == KeyType::kText) {
    if (const Status status = CheckText(*info, value); !status.ok()) {
      return ConfigError("option \"" + std::string(key) + "\": " + std::string(status.message()));
    }
    texts_[TextSlot(info->id)] = value;
    return Status();
  }
  const Result<int64_t> parsed = ParseValue(*info, value);
  if (!parsed.ok()) return parsed.status();
  integers_[Index(info->id)] = *parsed;
  return Status();
}

Status Config::SetInteger(std::string_view key, int64_t value) {
  const KeyInfo* const info = FindKey(key);
  if (info == nullptr) return UnknownKey(key);
  if (info->type == KeyType::kText) {
    return ConfigError("option \"" + std::string(key) + "\" takes text, not a number");
  }
  DQC_TRY(CheckRange(*info, value));
  integers_[Index(info->id)] = value;
  return Status();
}

const std::string& Config::text(Key key) const { return texts_[TextSlot(key)]; }

Result<std::string> Config::Get(std::string_view key) const {
  const KeyInfo* const info = FindKey(key);
  if (info == nullptr) return UnknownKey(key);
  if (info->type == KeyType::kText) return text(info->id);
  return FormatValue(*info, integers_[Index(info->id)]);
}

Status Config::LoadEnvironment(const char* (*lookup)(const char* name)) {
  Config next = *this;
  const auto load = [&](const std::string& name, auto&& apply) {
    const char* const value = lookup(name.c_str());
    if (value == nullptr || *value == '\0') return Status();
    const Status status = apply(std::string_view(value));
    if (status.ok()) return Status();
    return ConfigError("environment variable " + name + ": " + std::string(status.message()));
  };
  DQC_TRY(load("DQC_DSN", [&](std::string_view value) { return next.ParseDsn(value); }));
  for (const KeyInfo& key : kTable) {
    std::string name = "DQC_";
    for (const char* c = key.name; *c != '\0'; ++c) {
      name += *c >= 'a' && *c <= 'z' ? static_cast<char>(*c - 32) : *c;
    }
    DQC_TRY(load(name, [&](std::string_view value) { return next.Set(key.name, value); }));
  }
  *this = std::move(next);
  return Status();
}

Limits Config::limits() const {
  Limits out;
  out.message_bytes = static_cast<uint64_t>(integer(Key::kMaxMessage));
  out.columns = static_cast<uint32_t>(integer(Key::kMaxColumns));
  out.column_name_bytes = static_cast<uint32_t>(integer(Key::kMaxColumnName));
  out.rows = LimitOf(integer(Key::kMaxRows));
  out.frames = LimitOf(integer(Key::kMaxFrames));
  out.result_bytes = LimitOf(integer(Key::kMaxResult));
  out.error_text_bytes = static_cast<uint32_t>(integer(Key::kMaxErrorText));
  out.params = static_cast<uint32_t>(integer(Key::kMaxParams));
  out.servers = static_cast<uint32_t>(integer(Key::kMaxNodes));
  out.address_bytes = static_cast<uint32_t>(integer(Key::kMaxAddress));
  out.files = static_cast<uint32_t>(integer(Key::kMaxFiles));
  out.file_name_bytes = static_cast<uint32_t>(integer(Key::kMaxFileName));
  return out;
}

}  // namespace dqc::client
