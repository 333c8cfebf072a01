/* SPDX-License-Identifier: MIT */
#include "client/ip.hpp"

#include <algorithm>
#include <charconv>

namespace dqc::client {
namespace {

template <typename T>
bool ParseWhole(std::string_view text, int base, size_t max_digits, T& out) {
  if (text.empty() || text.size() > max_digits || text[0] == '-') return false;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, out, base);
  return error == std::errc() && stop == end;
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

}  // namespace

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

Ipv4 EmbeddedIpv4(const Ipv6& v6, size_t group) {
  return {static_cast<uint8_t>(v6[group] >> 8), static_cast<uint8_t>(v6[group] & 255),
          static_cast<uint8_t>(v6[group + 1] >> 8), static_cast<uint8_t>(v6[group + 1] & 255)};
}

bool IsMappedIpv4(const Ipv6& v6) {
  return v6[5] == 0xffff &&
         std::all_of(v6.begin(), v6.begin() + 5, [](uint16_t group) { return group == 0; });
}

std::string FormatIpv4(const Ipv4& v4) {
  std::string out;
  for (const uint8_t byte : v4) {
    if (!out.empty()) out += '.';
    out += std::to_string(byte);
  }
  return out;
}

std::string CanonicalHost(std::string_view host) {
  const size_t percent = std::min(host.find('%'), host.size());
  std::string out;
  if (const std::optional<Ipv6> v6 = ParseIpv6(host.substr(0, percent))) {
    for (const uint16_t group : *v6) {
      char hex[4];
      const auto [end, error] = std::to_chars(hex, hex + sizeof(hex), group, 16);
      if (!out.empty()) out += ':';
      out.append(hex, end);
    }
    return out.append(host.substr(percent));
  }
  if (!host.empty() && host.back() == '.') host.remove_suffix(1);
  for (const char c : host) out += c >= 'A' && c <= 'Z' ? static_cast<char>(c | 32) : c;
  return out;
}

}  // namespace dqc::client
