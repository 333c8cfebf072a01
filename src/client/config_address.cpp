/* SPDX-License-Identifier: MIT */
// Addresses of nodes. Stricter than getaddrinfo(): what is accepted here means one thing only.
#include <algorithm>
#include <charconv>
#include <optional>

#include "client/config.hpp"
#include "client/config_text.hpp"
#include "client/ip.hpp"

namespace dqc::client {
namespace {

constexpr size_t kAddressMax = 256;
constexpr size_t kHostMax = 253;  // RFC 1035
constexpr size_t kLabelMax = 63;
constexpr size_t kZoneMax = 32;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsAlnum(char c) { return IsDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

Status Bad(std::string_view text, std::string_view why) {
  return ConfigError("address " + Quoted(text) + ": " + std::string(why));
}

constexpr std::string_view kUnspecified =
    "means \"every interface\" to a server; a client needs the node's own address";
constexpr std::string_view kNoNode = "is a multicast or broadcast address, not a node";

Status CheckIpv4(std::string_view text, const Ipv4& v4) {
  if (v4 == Ipv4{}) return Bad(text, kUnspecified);
  if ((v4[0] >> 4) == 14 || v4 == Ipv4{255, 255, 255, 255}) return Bad(text, kNoNode);
  return Status();
}

Status CheckZone(std::string_view text, std::string_view zone) {
  const bool good =
      !zone.empty() && zone.size() <= kZoneMax && std::all_of(zone.begin(), zone.end(), [](char c) {
        return IsAlnum(c) || c == '.' || c == '_' || c == '-';
      });
  if (good) return Status();
  return Bad(text,
             "the zone behind '%' is not an interface (1 to 32 letters, digits, '.', '_', '-')");
}

// `inside`: what stands between the brackets.
Result<std::string> ParseIpv6Host(std::string_view text, std::string_view inside) {
  const size_t percent = inside.find('%');
  const std::optional<Ipv6> v6 = ParseIpv6(inside.substr(0, percent));
  if (!v6) return Bad(text, "what is in the brackets is not an IPv6 address");
  const bool zoned = percent != std::string_view::npos;
  if (zoned) DQC_TRY(CheckZone(text, inside.substr(percent + 1)));
  if (*v6 == Ipv6{}) return Bad(text, kUnspecified);
  if (((*v6)[0] >> 8) == 0xff) return Bad(text, kNoNode);
  if (!IsMappedIpv4(*v6)) return std::string(inside);
  if (zoned) return Bad(text, "an IPv4 address has no zone");
  const Ipv4 v4 = EmbeddedIpv4(*v6, 6);
  DQC_TRY(CheckIpv4(text, v4));
  return FormatIpv4(v4);
}

Status CheckLabel(std::string_view text, std::string_view label) {
  if (label.empty()) return Bad(text, "a part of the host name is empty");
  if (label.size() > kLabelMax) return Bad(text, "a part of the host name is longer than 63 bytes");
  if (label.front() == '-' || label.back() == '-') {
    return Bad(text, "a part of a host name may not begin or end with '-'");
  }
  for (const char c : label) {
    if (static_cast<unsigned char>(c) >= 0x80) {
      return Bad(text, "host names are ASCII; write the xn-- form of an international name");
    }
    if (!IsAlnum(c) && c != '-' && c != '_') {
      return Bad(text, Quoted({&c, 1}) + " is not allowed in a host name");
    }
  }
  return Status();
}

// A host name or an IPv4 address. A name whose last part is a number is an address to resolvers,
// in one of several spellings: only a.b.c.d is taken.
Status CheckHost(std::string_view text, std::string_view host) {
  if (host.empty()) return Bad(text, "the host is empty");
  if (host.front() == '@' || host.front() == '/') {
    return Bad(text, "UNIX sockets cannot be dialled (use host:port)");
  }
  if (host.size() > kHostMax) return Bad(text, "the host name is longer than 253 bytes");
  const std::string_view name = host.back() == '.' ? host.substr(0, host.size() - 1) : host;
  std::string_view label;
  for (size_t at = 0; at <= name.size(); at += label.size() + 1) {
    label = name.substr(at, std::min(name.find('.', at), name.size()) - at);
    DQC_TRY(CheckLabel(text, label));
  }
  const bool hex = label.size() > 1 && label[0] == '0' && (label[1] | 32) == 'x';
  if (!hex && !std::all_of(label.begin(), label.end(), IsDigit)) return Status();
  const std::optional<Ipv4> v4 = ParseIpv4(host);
  if (!v4) return Bad(text, "this is neither a host name nor an IPv4 address like 10.0.0.7");
  return CheckIpv4(text, *v4);
}

Result<uint16_t> ParsePort(std::string_view text, std::string_view port) {
  if (port.empty()) return Bad(text, "the port behind ':' is missing");
  if (!std::all_of(port.begin(), port.end(), IsDigit)) {
    return Bad(text, "port " + Quoted(port) + " is not a number");
  }
  uint16_t value = 0;
  const auto [stop, error] = std::from_chars(port.data(), port.data() + port.size(), value);
  if (port.size() > 5 || error != std::errc() || value == 0) {
    return Bad(text, "port " + std::string(Quoted(port)) + " is out of range (1 to 65535)");
  }
  return value;
}

}  // namespace

Result<Address> ParseAddress(std::string_view text, uint16_t default_port) {
  if (text.empty()) return ConfigError("the address is empty");
  if (text.size() > kAddressMax) return Bad(text, "longer than 256 bytes");
  Address out;
  std::string_view rest;  // ":port" or nothing
  if (text[0] == '[') {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return Bad(text, "']' is missing");
    Result<std::string> host = ParseIpv6Host(text, text.substr(1, close - 1));
    if (!host.ok()) return host.status();
    out.host = std::move(*host);
    rest = text.substr(close + 1);
    if (!rest.empty() && rest[0] != ':') return Bad(text, "only ':' and a port may follow ']'");
  } else {
    const size_t colon = std::min(text.find(':'), text.size());
    rest = text.substr(colon);
    if (rest.find(':', 1) != std::string_view::npos) {
      return Bad(text, "IPv6 addresses stand in brackets, as in [fd00::1]:9001");
    }
    DQC_TRY(CheckHost(text, text.substr(0, colon)));
    out.host = text.substr(0, colon);
  }
  if (rest.empty()) {
    if (default_port == 0) return Bad(text, "a port is required, as in host:9001");
    out.port = default_port;
    return out;
  }
  const Result<uint16_t> port = ParsePort(text, rest.substr(1));
  if (!port.ok()) return port.status();
  out.port = *port;
  return out;
}

std::string FormatAddress(const Address& address) {
  const bool v6 = address.host.find(':') != std::string::npos;
  return (v6 ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
}

}  // namespace dqc::client
