/* SPDX-License-Identifier: MIT */
// Which addresses may be dialled because a server named them. A node that lies, or an answer that
// was tampered with, must not turn the client against services that only its own host can reach.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "client/ip.hpp"

namespace dqc::client {

enum class RedirectPolicy : uint8_t {  // the order of the option "redirect"
  kSafe,   // what a node of a cluster may plausibly have; see SafeToDial()
  kSeeds,  // only seeds and what the allow-list names
  kAny,    // whatever is an address
};

// The option "redirect_allow": "address", "host", "host:port" or a block as 10.0.0.0/8 and
// fd00::/8, separated by commas. Without a port: any port. Blocks match addresses, not names.
class AllowList {
 public:
  // kConfig names the entry. At most 1000 entries.
  static Result<AllowList> Parse(std::string_view text);

  // `host` is canonical.
  bool Allows(const std::string& host, uint16_t port) const;

 private:
  struct Host {
    std::string host;   // canonical
    uint16_t port = 0;  // 0: any
  };
  struct Block {
    std::vector<uint8_t> bytes;  // 4 or 16
    unsigned bits = 0;
  };

  Status Add(std::string_view entry);
  Status AddBlock(std::string_view entry, size_t slash);
  Status AddHost(std::string_view entry);

  std::vector<Host> hosts_;
  std::vector<Block> blocks_;
};

// Refused: link-local, unspecified, multicast, broadcast and reserved addresses, a zone, and
// loopback (also as a name) unless `loopback`. What wraps an IPv4 address (v4-mapped, 6to4, Teredo,
// NAT64) is judged by that. Private ranges and names pass: where a name leads is not known here.
// `host` without brackets. Code::kConfig says what kind of address it is.
Status SafeToDial(std::string_view host, bool loopback);

bool IsLoopback(std::string_view host);  // a name or an address, without brackets

class RedirectRules {
 public:
  // Seeds are "host:port". A loopback address among them stands for a development cluster, where
  // the safe policy lets loopback pass.
  RedirectRules(RedirectPolicy policy, const std::vector<std::string>& seeds, AllowList allow);

  // Seeds and the allow-list pass always. Otherwise Code::kConfig names the address, why not, and
  // the option to change.
  Status MayFollow(const std::string& address) const;

 private:
  RedirectPolicy policy_;
  std::vector<std::string> seeds_;  // canonical, sorted
  AllowList allow_;
  bool loopback_seeds_ = false;
};

}  // namespace dqc::client
