/* SPDX-License-Identifier: MIT */
#include "client/address_map.hpp"

#include "client/config_text.hpp"
#include "client/ip.hpp"

namespace dqc::client {
namespace {

constexpr size_t kEntriesMax = 1000;

// Port 0: "host" or "host:*".
Result<Address> ParseSide(std::string_view text) {
  const bool star = text.ends_with(":*");
  if (star) text.remove_suffix(2);
  Result<Address> exact = ParseAddress(text, 0);
  if (exact.ok()) {
    if (star) return ConfigError("address " + Quoted(text) + " has a port already, so no \":*\"");
    return exact;
  }
  Result<Address> any = ParseAddress(text, kDefaultPort);
  if (any.ok()) any->port = 0;
  return any;
}

std::string KeyOf(const std::string& host, uint16_t port) {
  return FormatAddress({CanonicalHost(host), port});
}

}  // namespace

Status AddressMap::Add(std::string_view entry) {
  const size_t equals = entry.find('=');
  if (equals == std::string_view::npos) {
    return ConfigError(
        "'=' is missing (write advertised=reachable, as in "
        "10.0.0.7:9001=localhost:19001)");
  }
  const Result<Address> from = ParseSide(TrimBlanks(entry.substr(0, equals)));
  if (!from.ok()) return from.status();
  Result<Address> to = ParseSide(TrimBlanks(entry.substr(equals + 1)));
  if (!to.ok()) return to.status();
  if (entries_.size() == kEntriesMax) return ConfigError("more than 1000 entries");
  if (!entries_.emplace(KeyOf(from->host, from->port), std::move(*to)).second) {
    return ConfigError("this address is mapped already");
  }
  return Status();
}

Result<AddressMap> AddressMap::Parse(std::string_view text) {
  AddressMap out;
  const Status status = ForEachItem(text, [&](std::string_view item) { return out.Add(item); });
  if (!status.ok()) return status;
  return out;
}

std::string AddressMap::Apply(const std::string& address) const {
  if (entries_.empty()) return address;
  const Result<Address> from = ParseAddress(address, 0);
  if (!from.ok()) return address;
  auto found = entries_.find(KeyOf(from->host, from->port));
  if (found == entries_.end()) found = entries_.find(KeyOf(from->host, 0));
  if (found == entries_.end()) return address;
  Address to = found->second;
  if (to.port == 0) to.port = from->port;
  return FormatAddress(to);
}

bool AddressMap::LeadsTo(const std::string& address) const {
  const Result<Address> at = ParseAddress(address, 0);
  if (!at.ok()) return false;
  for (const auto& [from, to] : entries_) {
    if (to.host == at->host && (to.port == 0 || to.port == at->port)) return true;
  }
  return false;
}

}  // namespace dqc::client
