/* SPDX-License-Identifier: MIT */
// IP addresses as numbers, and one spelling per host. Names are not resolved here.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace dqc::client {

using Ipv4 = std::array<uint8_t, 4>;
using Ipv6 = std::array<uint16_t, 8>;

// Four decimal numbers; a leading zero means octal to some and is refused.
std::optional<Ipv4> ParseIpv4(std::string_view text);
std::optional<Ipv6> ParseIpv6(std::string_view text);  // without brackets and zone

// The IPv4 address in two groups of an IPv6 address, from `group` on.
Ipv4 EmbeddedIpv4(const Ipv6& v6, size_t group);
bool IsMappedIpv4(const Ipv6& v6);  // ::ffff:a.b.c.d

std::string FormatIpv4(const Ipv4& v4);

// The one spelling of a host (without brackets) by which hosts are compared: lower case, no dot at
// the end, IPv6 in eight groups without leading zeros, its zone kept.
std::string CanonicalHost(std::string_view host);

}  // namespace dqc::client
