/* SPDX-License-Identifier: MIT */
// A connected byte stream. TLS or an HTTP upgrade would be further implementations; the session
// never knows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/status.hpp"
#include "session/session.hpp"

namespace dqc::net {

struct IoResult {
  enum class Kind : uint8_t { kOk, kAgain, kEof, kError };
  Kind kind = Kind::kOk;
  size_t size = 0;  // kOk
  int error = 0;    // kError: errno
};

class Transport {
 public:
  virtual ~Transport() = default;
  virtual IoResult Read(uint8_t* data, size_t size) = 0;
  virtual IoResult Write(const session::Session::Slice* slices, size_t count) = 0;
  virtual int descriptor() const = 0;  // to poll; owned by the transport
  virtual void AcknowledgeNow() = 0;   // more is expected: do not let an ACK wait
};

struct SocketOptions {
  int64_t keepalive_idle_us = 30'000'000;  // 0: no keep-alive
  int64_t keepalive_interval_us = 10'000'000;
  int64_t keepalive_count = 3;
  int64_t user_timeout_us = 30'000'000;  // 0: the system's own
};

// Takes over a connected stream socket: non-blocking, close-on-exec, no delay, keep-alive. What is
// not a TCP socket keeps its own ways.
std::unique_ptr<Transport> MakeSocketTransport(int fd, const SocketOptions& options);

}  // namespace dqc::net
