/* SPDX-License-Identifier: MIT */
// A blocking client on a raw socket, for the tests of the mock itself.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mock/frames.hpp"

namespace dqc::mock {

inline Bytes Hello(uint64_t word = wire::kVersion) {
  Bytes out;
  for (int i = 0; i < 8; ++i) out.push_back(static_cast<uint8_t>(word >> (8 * i)));
  return out;
}

template <typename... B>
Bytes Join(Bytes first, const B&... more) {
  (first.insert(first.end(), more.begin(), more.end()), ...);
  return first;
}

inline Bytes OpenDb(std::string_view name = "test") {
  return Frame(wire::request::Open{name, 0, "volatile"});
}
inline Bytes ExecSql(std::string_view sql) { return Frame(wire::request::ExecSql{0, sql, {}}); }
inline Bytes QuerySql(std::string_view sql) { return Frame(wire::request::QuerySql{0, sql, {}}); }
inline Bytes Ping() { return Frame(wire::request::Interrupt{}); }

// One frame of a reply; type -1: there was none, and `error` says why (0: end of the stream).
struct Got {
  int type = -1;
  uint8_t schema = 0;
  Bytes body;
  int error = 0;

  bool Is(wire::ResponseType t) const { return type == static_cast<int>(t); }
  template <typename M>
  Result<M> As(const wire::DecodeContext& context = {}) const {
    const wire::Header header{body.size(), static_cast<uint8_t>(type), schema};
    return wire::DecodeBody<M>(header, body.data(), context);
  }
};

// Cuts bytes into frames; an incomplete last one is left out.
inline std::vector<Got> Frames(const Bytes& bytes) {
  std::vector<Got> out;
  size_t at = 0;
  while (bytes.size() - at >= wire::kHeaderBytes) {
    const wire::Header header = wire::ParseHeader(bytes.data() + at);
    at += wire::kHeaderBytes;
    if (header.body_bytes > bytes.size() - at) break;
    const auto begin = bytes.begin() + static_cast<ptrdiff_t>(at);
    at += static_cast<size_t>(header.body_bytes);
    out.push_back(
        {header.type, header.schema, Bytes(begin, bytes.begin() + static_cast<ptrdiff_t>(at)), 0});
  }
  return out;
}

class Client {
 public:
  explicit Client(int fd) : fd_(fd) { SetTimeout(3000); }
  // `error` of a refused connection is in connect_error().
  explicit Client(uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    SetTimeout(3000);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
      connect_error_ = errno;
    }
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client() { Close(); }

  void SetTimeout(int ms) {
    const timeval t{.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
  }

  // How much of it was taken.
  size_t Send(const Bytes& bytes) {
    size_t sent = 0;
    while (sent < bytes.size()) {
      const ssize_t n = ::send(fd_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) break;
      sent += static_cast<size_t>(n);
    }
    return sent;
  }

  // What one read gives; empty: error() says why.
  Bytes ReadSome(size_t size = 65536) {
    Bytes out(size);
    const ssize_t n = ::recv(fd_, out.data(), size, 0);
    error_ = n < 0 ? errno : 0;
    out.resize(n > 0 ? static_cast<size_t>(n) : 0);
    return out;
  }

  Bytes ReadAll(size_t size) {
    Bytes out;
    while (out.size() < size) {
      const Bytes some = ReadSome(size - out.size());
      if (some.empty()) break;
      out.insert(out.end(), some.begin(), some.end());
    }
    return out;
  }

  Got Read() {
    const Bytes head = ReadAll(wire::kHeaderBytes);
    if (head.size() < wire::kHeaderBytes) return {-1, 0, head, error_};
    const wire::Header header = wire::ParseHeader(head.data());
    Got got{header.type, header.schema, ReadAll(static_cast<size_t>(header.body_bytes)), 0};
    if (got.body.size() < header.body_bytes) return {-1, 0, got.body, error_};
    return got;
  }

  Got Ask(const Bytes& request) {
    Send(request);
    return Read();
  }

  void Close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

  int fd() const { return fd_; }
  int error() const { return error_; }
  int connect_error() const { return connect_error_; }

 private:
  int fd_;
  int error_ = 0;
  int connect_error_ = 0;
};

}  // namespace dqc::mock
