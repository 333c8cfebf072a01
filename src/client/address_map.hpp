/* SPDX-License-Identifier: MIT */
// Where nodes are reached that advertise an address of another network: containers, port forwards.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "client/config.hpp"

namespace dqc::client {

class AddressMap {
 public:
  // "advertised=reachable,advertised=reachable"; each side is "host:port", IPv6 in brackets. On the
  // left "host" or "host:*" stands for every port of the host, on the right for the port as it was.
  // Blanks around the commas are passed over; at most 1000 entries; nothing may be mapped twice.
  // kConfig names the entry.
  static Result<AddressMap> Parse(std::string_view text);

  // The address to dial for an advertised one. An entry with the port goes before one without; what
  // no entry names, and what is no address, stays as it is. The result is not mapped again.
  std::string Apply(const std::string& address) const;

  // Whether an entry leads to this address: whoever wrote the map trusts it.
  bool LeadsTo(const std::string& address) const;
  bool empty() const { return entries_.empty(); }

 private:
  Status Add(std::string_view entry);

  std::map<std::string, Address, std::less<>> entries_;  // port 0 of a target: kept
};

}  // namespace dqc::client
