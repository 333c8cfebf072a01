/* SPDX-License-Identifier: MIT */
// What the application lends to connections and clients.
#pragma once

#include <cstdint>
#include <string_view>

#include "client/node.hpp"
#include "net/target.hpp"

namespace dqc::net {

enum class LogLevel : int32_t { kError = 1, kWarning = 2, kInfo = 3, kDebug = 4 };

// What changed in a cluster. Values equal the public DQC_TOPOLOGY_ constants (capi/src/hooks.cpp).
enum class Topology : int32_t {
  kLeader = 1,
  kNodeUp = 2,
  kNodeDown = 3,
  kNodeAdded = 4,
  kNodeRemoved = 5,
  kRoleChanged = 6,
};

// Immutable, shared; called on the loop's thread. All may throw bad_alloc.
class Hooks : public RefCounted<Hooks> {
 public:
  virtual bool dials() const = 0;
  // Answered by DialDone, once, now or later, from any thread.
  virtual void Dial(IntrusivePtr<Connection> connection) = 0;
  virtual bool wants(LogLevel level) const = 0;
  virtual void Log(Target* from, LogLevel level, const char* event, std::string_view node,
                   std::string_view message) = 0;
  virtual bool watches() const = 0;
  virtual void Watch(Target* from, Topology change, const client::Node& node,
                     std::string_view message) = 0;

 protected:
  friend class RefCounted<Hooks>;
  virtual ~Hooks() = default;
  void Dispose() { delete this; }
};

}  // namespace dqc::net
