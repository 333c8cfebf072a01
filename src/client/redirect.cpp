/* SPDX-License-Identifier: MIT */
#include "client/redirect.hpp"

#include <algorithm>
#include <charconv>

#include "client/config.hpp"
#include "client/config_text.hpp"

namespace dqc::client {
namespace {

constexpr size_t kEntriesMax = 1000;

std::vector<uint8_t> BytesOf(const Ipv4& v4) { return {v4.begin(), v4.end()}; }

std::vector<uint8_t> BytesOf(const Ipv6& v6) {
  std::vector<uint8_t> out;
  for (const uint16_t group : v6) {
    out.push_back(static_cast<uint8_t>(group >> 8));
    out.push_back(static_cast<uint8_t>(group & 255));
  }
  return out;
}

// Empty: a name.
std::vector<uint8_t> ParseIp(std::string_view text) {
  if (const std::optional<Ipv4> v4 = ParseIpv4(text)) return BytesOf(*v4);
  if (const std::optional<Ipv6> v6 = ParseIpv6(text)) return BytesOf(*v6);
  return {};
}

bool SamePrefix(const std::vector<uint8_t>& a, const std::vector<uint8_t>& b, unsigned bits) {
  if (a.size() != b.size()) return false;
  const unsigned whole = bits / 8;
  if (!std::equal(a.begin(), a.begin() + whole, b.begin())) return false;
  const unsigned rest = bits % 8;
  return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

Status CheckIpv4(const Ipv4& v4, bool loopback) {
  if (v4[0] == 0) return ConfigError("an unspecified address (0.0.0.0/8)");
  if (v4[0] == 127 && !loopback) return ConfigError("a loopback address, and no seed is one");
  if (v4[0] == 169 && v4[1] == 254) return ConfigError("a link-local address (169.254.0.0/16)");
  if (v4 == Ipv4{255, 255, 255, 255}) return ConfigError("the broadcast address");
  if ((v4[0] >> 4) == 14) return ConfigError("a multicast address (224.0.0.0/4)");
  if ((v4[0] >> 4) == 15) return ConfigError("a reserved address (240.0.0.0/4)");
  return Status();
}

bool StartsWith(const Ipv6& v6, std::initializer_list<uint16_t> groups) {
  return std::equal(groups.begin(), groups.end(), v6.begin());
}

Status CheckInner(const Ipv4& v4, bool loopback, const char* wrapper) {
  Status status = CheckIpv4(v4, loopback);
  if (status.ok()) return status;
  return ConfigError(FormatIpv4(v4) + " in " + wrapper + ": " + std::string(status.message()));
}

Status CheckIpv6(const Ipv6& v6, bool loopback) {
  if (v6 == Ipv6{}) return ConfigError("the unspecified address");
  if (v6 == Ipv6{0, 0, 0, 0, 0, 0, 0, 1}) {
    return loopback ? Status() : ConfigError("a loopback address, and no seed is one");
  }
  if ((v6[0] & 0xffc0) == 0xfe80) return ConfigError("a link-local address (fe80::/10)");
  if ((v6[0] >> 8) == 0xff) return ConfigError("a multicast address (ff00::/8)");
  if (IsMappedIpv4(v6)) return CheckInner(EmbeddedIpv4(v6, 6), loopback, "a v4-mapped address");
  if (StartsWith(v6, {0, 0, 0, 0, 0, 0})) {
    return CheckInner(EmbeddedIpv4(v6, 6), loopback, "a v4-compatible address");
  }
  if (v6[0] == 0x2002) return CheckInner(EmbeddedIpv4(v6, 1), loopback, "a 6to4 address");
  if (StartsWith(v6, {0x2001, 0})) {
    // RFC 4380: the server, flags and port, the client with its bits turned.
    DQC_TRY(CheckInner(EmbeddedIpv4(v6, 2), loopback, "a Teredo address"));
    Ipv4 client = EmbeddedIpv4(v6, 6);
    for (uint8_t& byte : client) byte = static_cast<uint8_t>(byte ^ 0xff);
    return CheckInner(client, loopback, "a Teredo address");
  }
  // RFC 6052 and, for prefixes of one's own, RFC 8215; of its layouts the usual one is looked at.
  if (StartsWith(v6, {0x64, 0xff9b, 0, 0, 0, 0}) || StartsWith(v6, {0x64, 0xff9b, 1})) {
    return CheckInner(EmbeddedIpv4(v6, 6), loopback, "a NAT64 address");
  }
  return Status();
}

bool IsLocalName(const std::string& canonical) {
  constexpr std::string_view kNames[] = {"localhost", "localhost.localdomain", "ip6-localhost",
                                         "ip6-loopback"};
  return canonical.ends_with(".localhost") ||  // RFC 6761
         std::find(std::begin(kNames), std::end(kNames), canonical) != std::end(kNames);
}

std::string CanonicalAddress(const Address& address) {
  return FormatAddress({CanonicalHost(address.host), address.port});
}

}  // namespace

Status SafeToDial(std::string_view host, bool loopback) {
  if (host.find('%') != std::string_view::npos) {
    return ConfigError("an address with a zone, which means something else on every machine");
  }
  if (const std::optional<Ipv4> v4 = ParseIpv4(host)) return CheckIpv4(*v4, loopback);
  if (const std::optional<Ipv6> v6 = ParseIpv6(host)) return CheckIpv6(*v6, loopback);
  if (!loopback && IsLocalName(CanonicalHost(host))) {
    return ConfigError("a name of the loopback address, and no seed is one");
  }
  return Status();
}

bool IsLoopback(std::string_view host) {
  return SafeToDial(host, true).ok() && !SafeToDial(host, false).ok();
}

Status AllowList::AddBlock(std::string_view entry, size_t slash) {
  Block block{ParseIp(entry.substr(0, slash)), 0};
  if (block.bytes.empty()) {
    return ConfigError("what stands before '/' is not an IP address (write 10.0.0.0/8, fd00::/8)");
  }
  const size_t most = block.bytes.size() * 8;
  const char* const end = entry.data() + entry.size();
  const auto [stop, error] = std::from_chars(entry.data() + slash + 1, end, block.bits);
  if (error != std::errc() || stop != end || block.bits > most) {
    return ConfigError("the length behind '/' is not a number from 0 to " + std::to_string(most));
  }
  std::vector<uint8_t> network = block.bytes;
  for (size_t i = 0; i < network.size(); ++i) {
    const size_t kept = std::min<size_t>(8, block.bits - std::min<size_t>(block.bits, i * 8));
    network[i] = static_cast<uint8_t>(network[i] & (0xff00u >> kept));
  }
  // Most likely a slip: one address was meant, or another length.
  if (network != block.bytes) {
    return ConfigError("the address has bits set behind the first " + std::to_string(block.bits));
  }
  const std::optional<Ipv6> v6 = ParseIpv6(entry.substr(0, slash));
  if (v6 && IsMappedIpv4(*v6)) return ConfigError("write the IPv4 block itself, as in 10.0.0.0/8");
  blocks_.push_back(std::move(block));
  return Status();
}

Status AllowList::AddHost(std::string_view entry) {
  // IPv6 without a port needs no brackets here.
  const bool bare_v6 = ParseIpv6(entry).has_value();
  std::string text(entry);
  if (bare_v6) text.insert(0, 1, '[').append("]");
  const Result<Address> exact = ParseAddress(text, 0);
  const Result<Address> any = exact.ok() ? exact : ParseAddress(text, kDefaultPort);
  if (!any.ok()) return any.status();
  hosts_.push_back({CanonicalHost(any->host), exact.ok() ? any->port : uint16_t{0}});
  return Status();
}

Status AllowList::Add(std::string_view entry) {
  if (hosts_.size() + blocks_.size() == kEntriesMax) return ConfigError("more than 1000 entries");
  if (entry.empty()) {
    return ConfigError("the entry is empty (write host, host:port or a block as in 10.0.0.0/8)");
  }
  const size_t slash = entry.find('/');
  return slash == std::string_view::npos ? AddHost(entry) : AddBlock(entry, slash);
}

Result<AllowList> AllowList::Parse(std::string_view text) {
  AllowList out;
  const Status status = ForEachItem(text, [&](std::string_view item) { return out.Add(item); });
  if (!status.ok()) return status;
  return out;
}

bool AllowList::Allows(const std::string& host, uint16_t port) const {
  const auto names = [&](const Host& entry) {
    return entry.host == host && (entry.port == 0 || entry.port == port);
  };
  if (std::any_of(hosts_.begin(), hosts_.end(), names)) return true;
  if (blocks_.empty()) return false;
  const std::vector<uint8_t> bytes = ParseIp(host);  // empty with a zone, too
  return std::any_of(blocks_.begin(), blocks_.end(), [&](const Block& block) {
    return SamePrefix(block.bytes, bytes, block.bits);
  });
}

RedirectRules::RedirectRules(RedirectPolicy policy, const std::vector<std::string>& seeds,
                             AllowList allow)
    : policy_(policy), allow_(std::move(allow)) {
  for (const std::string& seed : seeds) {
    const Result<Address> address = ParseAddress(seed, 0);
    if (!address.ok()) continue;  // it cannot be dialled either
    loopback_seeds_ = loopback_seeds_ || IsLoopback(address->host);
    seeds_.push_back(CanonicalAddress(*address));
  }
  std::sort(seeds_.begin(), seeds_.end());
}

Status RedirectRules::MayFollow(const std::string& address) const {
  const Result<Address> parsed = ParseAddress(address, 0);
  if (!parsed.ok()) return parsed.status();
  if (policy_ == RedirectPolicy::kAny) return Status();
  if (std::binary_search(seeds_.begin(), seeds_.end(), CanonicalAddress(*parsed)) ||
      allow_.Allows(CanonicalHost(parsed->host), parsed->port)) {
    return Status();
  }
  const auto refuse = [&](const char* policy, std::string_view why) {
    return ConfigError("option \"redirect\": a server named " + Quoted(address) + ", which \"" +
                       policy + "\" does not follow: " + std::string(why) +
                       " (add it to \"redirect_allow\" if it is a node of yours)");
  };
  if (policy_ == RedirectPolicy::kSeeds) {
    return refuse("seeds", "neither a seed nor in \"redirect_allow\"");
  }
  const Status safe = SafeToDial(parsed->host, loopback_seeds_);
  return safe.ok() ? safe : refuse("safe", safe.message());
}

}  // namespace dqc::client
