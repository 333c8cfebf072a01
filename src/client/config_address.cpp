/* SPDX-License-Identifier: MIT */
// Addresses of nodes. Stricter than getaddrinfo(): what is accepted here means one thing only.
#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "client/config.hpp"
#include "client/config_text.hpp"

namespace dqc::client {
namespace {

constexpr size_t kAddressMax = 256;
constexpr size_t kHostMax = 253;  // RFC 1035
constexpr size_t kLabelMax = 63;
constexpr size_t kZoneMax = 32;

using Ipv4 = std::array<uint8_t, 4>;
using Ipv6 = std::array<uint16_t, 8>;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsAlnum(char c) { return IsDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

Status Bad(std::string_view text, std::string_view why) {
  return ConfigError("address " + Quoted(text) + ": " + std::string(why));
}

template <typename T>
bool ParseWhole(std::string_view text, int base, size_t max_digits, T& out) {
  if (text.empty() || text.size() > max_digits || text[0] == '-') return false;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, out, base);
  return error == std::errc() && stop == end;
}

// Four decimal numbers; a leading zero means octal to some and is refused.
std::optional<Ipv4> ParseIpv4(std::string_view text) {
  Ipv4 out{};
  for (size_t i = 0; i < out.size(); ++i) {
    const size_t dot = i < 3 ? text.find('.') : text.size();
    if (dot == std::string_view::npos) return std::nullopt;
    const std::string_view part = text.substr(0, dot);
    if (!ParseWhole(part, 10, 3, out[i]) || (part[0] == '0' && part.size() > 1)) {
      return std::nullopt;
    }
    text.remove_prefix(std::min(text.size(), dot + 1));
  }
  return out;
}

// Appends the groups of `text` ("1:2", "1:2:3.4.5.6" or nothing) to out[used…].
bool ParseGroups(std::string_view text, bool last, Ipv6& out, size_t& used) {
  while (!text.empty()) {
    const size_t colon = std::min(text.find(':'), text.size());
    const std::string_view group = text.substr(0, colon);
    if (last && colon == text.size() && group.find('.') != std::string_view::npos) {
      const std::optional<Ipv4> v4 = ParseIpv4(group);
      if (!v4 || used + 2 > out.size()) return false;
      out[used++] = static_cast<uint16_t>((*v4)[0] << 8 | (*v4)[1]);
      out[used++] = static_cast<uint16_t>((*v4)[2] << 8 | (*v4)[3]);
      return true;
    }
    if (used == out.size() || !ParseWhole(group, 16, 4, out[used++])) return false;
    if (colon == text.size()) return true;
    text.remove_prefix(colon + 1);
    if (text.empty()) return false;  // a single ':' at the end
  }
  return true;
}

std::optional<Ipv6> ParseIpv6(std::string_view text) {
  Ipv6 out{};
  size_t used = 0;
  const size_t gap = text.find("::");
  if (gap == std::string_view::npos) {
    if (!ParseGroups(text, true, out, used) || used != out.size()) return std::nullopt;
    return out;
  }
  Ipv6 tail{};
  size_t tail_used = 0;
  if (!ParseGroups(text.substr(0, gap), false, out, used) ||
      !ParseGroups(text.substr(gap + 2), true, tail, tail_used) || used + tail_used >= out.size()) {
    return std::nullopt;
  }
  std::copy_n(tail.begin(), tail_used, out.end() - static_cast<ptrdiff_t>(tail_used));
  return out;
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
  const bool mapped = (*v6)[5] == 0xffff && std::all_of(v6->begin(), v6->begin() + 5,
                                                        [](uint16_t group) { return group == 0; });
  if (!mapped) return std::string(inside);
  if (zoned) return Bad(text, "an IPv4 address has no zone");
  const Ipv4 v4{static_cast<uint8_t>((*v6)[6] >> 8), static_cast<uint8_t>((*v6)[6] & 255),
                static_cast<uint8_t>((*v6)[7] >> 8), static_cast<uint8_t>((*v6)[7] & 255)};
  DQC_TRY(CheckIpv4(text, v4));
  std::string host;
  for (const uint8_t byte : v4) host += (host.empty() ? "" : ".") + std::to_string(byte);
  return host;
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
  if (!ParseWhole(port, 10, 5, value) || value == 0) {
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
