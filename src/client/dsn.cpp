/* SPDX-License-Identifier: MIT */
// "dqlite://host[:port][,host[:port]…][/database][?key=value[&key=value…]]".
#include <algorithm>
#include <bitset>

#include "client/config.hpp"
#include "client/config_text.hpp"

namespace dqc::client {
namespace {

constexpr std::string_view kScheme = "dqlite://";
constexpr size_t kAddressesMax = 1000;

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 32);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Adds one address in its full form; repeated ones are dropped.
Status AddAddress(std::string_view text, std::vector<std::string>& out) {
  const Result<Address> address = ParseAddress(text, kDefaultPort);
  if (!address.ok()) return address.status();
  std::string full = FormatAddress(*address);
  if (std::find(out.begin(), out.end(), full) != out.end()) return Status();
  if (out.size() == kAddressesMax) return ConfigError("more than 1000 addresses");
  out.push_back(std::move(full));
  return Status();
}

// One DSN on its way into a Config of its own.
class DsnParser {
 public:
  DsnParser(std::string_view dsn, Config& config) : dsn_(dsn), config_(config) {}

  // Without hosts only where the option "nodes" names them, here or before.
  Status Parse(std::vector<std::string>& addresses) {
    if (dsn_.size() < kScheme.size() || !HasScheme()) {
      return At(0, "a DSN begins with \"dqlite://\", as in dqlite://10.0.0.7:9001/app");
    }
    const size_t hosts = kScheme.size();
    const size_t query = std::min(dsn_.find('?', hosts), dsn_.size());
    const size_t path = std::min(dsn_.find('/', hosts), query);
    if (path > hosts) DQC_TRY(ParseHosts(hosts, path, addresses));
    if (path + 1 < query) DQC_TRY(ParseDatabase(path + 1, query));
    if (query < dsn_.size()) DQC_TRY(ParseQuery(query + 1));
    if (path > hosts || !config_.text(Key::kNodes).empty()) return Status();
    return At(hosts,
              "no address (write dqlite://host:9001/database, or name a node file: "
              "dqlite:///database?nodes=/path/cluster.yaml)");
  }

 private:
  static Status At(size_t offset, std::string_view message) {
    return ConfigError("DSN, byte " + std::to_string(offset) + ": " + std::string(message));
  }

  bool HasScheme() const {
    return std::equal(kScheme.begin(), kScheme.end(), dsn_.begin(), [](char want, char got) {
      return want == (got >= 'A' && got <= 'Z' ? static_cast<char>(got | 32) : got);
    });
  }

  // Decodes '%'-escapes of [begin, end) into `out`.
  Status Decode(size_t begin, size_t end, std::string& out) const {
    out.clear();
    for (size_t i = begin; i < end; ++i) {
      if (dsn_[i] != '%') {
        out += dsn_[i];
        continue;
      }
      const int high = i + 1 < end ? HexValue(dsn_[i + 1]) : -1;
      const int low = i + 2 < end ? HexValue(dsn_[i + 2]) : -1;
      if (high < 0 || low < 0) return At(i, "'%' needs two hexadecimal digits (write %25 for '%')");
      out += static_cast<char>(high << 4 | low);
      i += 2;
    }
    return Status();
  }

  Status ParseHosts(size_t begin, size_t end, std::vector<std::string>& addresses) const {
    for (size_t at = begin; at <= end;) {
      const size_t comma = std::min(dsn_.find(',', at), end);
      std::string host(dsn_.substr(at, comma - at));
      if (host.find('@') != std::string::npos) {
        return At(at, "user names and passwords are not part of a DSN: dqlite has none");
      }
      // The '%' before a zone is written %25 in URIs (RFC 6874); bare is fine too.
      const size_t zone = host.find("%25");
      if (zone != std::string::npos) host.erase(zone + 1, 2);
      if (const Status status = AddAddress(host, addresses); !status.ok()) {
        return At(at, status.message());
      }
      at = comma + 1;
    }
    return Status();
  }

  Status ParseDatabase(size_t begin, size_t end) {
    std::string name;
    DQC_TRY(Decode(begin, end, name));
    return Apply(begin, "database", begin, name);
  }

  Status ParseQuery(size_t begin) {
    for (size_t at = begin; at < dsn_.size();) {
      const size_t end = std::min(dsn_.find('&', at), dsn_.size());
      const size_t equals = std::min(dsn_.find('=', at), end);
      std::string key;
      std::string value;
      DQC_TRY(Decode(at, equals, key));
      if (equals == end) return At(at, "option " + Quoted(key) + " needs '=' and a value");
      DQC_TRY(Decode(equals + 1, end, value));
      DQC_TRY(Apply(at, key, equals + 1, value));
      at = end + 1;
    }
    return Status();
  }

  Status Apply(size_t key_offset, std::string_view key, size_t value_offset,
               std::string_view value) {
    const KeyInfo* const info = FindKey(key);
    if (info == nullptr) return At(key_offset, UnknownKey(key).message());
    const auto id = static_cast<size_t>(info->id);
    if (seen_[id]) return At(key_offset, "option " + Quoted(key) + " is given twice");
    seen_[id] = true;
    const Status status = config_.Set(key, value);
    return status.ok() ? status : At(value_offset, status.message());
  }

  std::string_view dsn_;
  Config& config_;
  std::bitset<static_cast<size_t>(Key::kCount)> seen_;
};

}  // namespace

Status Config::ParseDsn(std::string_view dsn) {
  Config next = *this;
  next.addresses_.clear();
  DQC_TRY(DsnParser(dsn, next).Parse(next.addresses_));
  *this = std::move(next);
  return Status();
}

Status Config::SetAddresses(std::string_view comma_separated) {
  std::vector<std::string> next;
  size_t number = 1;
  for (size_t at = 0; at <= comma_separated.size(); ++number) {
    const size_t comma = std::min(comma_separated.find(',', at), comma_separated.size());
    const Status status = AddAddress(TrimBlanks(comma_separated.substr(at, comma - at)), next);
    if (!status.ok()) {
      return ConfigError("address list, item " + std::to_string(number) + ": " +
                         std::string(status.message()));
    }
    at = comma + 1;
  }
  addresses_ = std::move(next);
  return Status();
}

}  // namespace dqc::client
