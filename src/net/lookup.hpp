/* SPDX-License-Identifier: MIT */
#pragma once

#include <uv.h>

#include <string>
#include <vector>

#include "base/status.hpp"
#include "net/loop.hpp"

namespace dqc::net {

// The addresses behind one "host:port", found off the loop.
class Lookup : public RefCounted<Lookup> {
 public:
  class Owner {
   public:
    virtual void OnLookup(Lookup* lookup) noexcept = 0;  // once, unless cancelled; not inside Start

   protected:
    ~Owner() = default;
  };

  static bool IsName(const std::string& address);  // or an IP address

  Lookup(Loop* loop, Owner* owner) : loop_(IntrusivePtr<Loop>::Share(loop)), owner_(owner) {}

  Status Start(const std::string& address);
  void Cancel() noexcept;

  bool ok() const { return ok_; }
  // Sorted; none unless there are several of one family: a name of one node may have one of each.
  const std::vector<std::string>& addresses() const { return addresses_; }

 private:
  friend class RefCounted<Lookup>;
  ~Lookup() = default;

  void Take(const addrinfo* list);

  const IntrusivePtr<Loop> loop_;
  Owner* owner_;  // null once cancelled
  uv_getaddrinfo_t request_;
  std::vector<std::string> addresses_;
  bool ok_ = false;
};

}  // namespace dqc::net
