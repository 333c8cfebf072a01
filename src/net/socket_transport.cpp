/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "net/transport.hpp"

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

namespace dqc::net {

namespace {

constexpr size_t kSlicesMax = 64;

void SetInt(int fd, int level, int name, int64_t value) {
  const int v = static_cast<int>(std::min<int64_t>(value, INT32_MAX));
  (void)setsockopt(fd, level, name, &v, sizeof(v));
}

void Tune(int fd, const SocketOptions& options) {
  fcntl(fd, F_SETFD, fcntl(fd, F_GETFD) | FD_CLOEXEC);
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  SetInt(fd, IPPROTO_TCP, TCP_NODELAY, 1);
#ifdef SO_NOSIGPIPE
  SetInt(fd, SOL_SOCKET, SO_NOSIGPIPE, 1);
#endif
  if (options.keepalive_idle_us > 0) {
    const auto seconds = [](int64_t us) { return std::max<int64_t>(1, us / 1'000'000); };
    SetInt(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
#ifdef TCP_KEEPIDLE
    SetInt(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds(options.keepalive_idle_us));
    SetInt(fd, IPPROTO_TCP, TCP_KEEPINTVL, seconds(options.keepalive_interval_us));
    SetInt(fd, IPPROTO_TCP, TCP_KEEPCNT, options.keepalive_count);
#endif
  }
#ifdef TCP_USER_TIMEOUT
  if (options.user_timeout_us > 0)
    SetInt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, options.user_timeout_us / 1000);
#endif
}

class SocketTransport final : public Transport {
 public:
  SocketTransport(int fd, const SocketOptions& options) : fd_(fd) { Tune(fd, options); }
  ~SocketTransport() override { close(fd_); }

  IoResult Read(uint8_t* data, size_t size) override {
    for (;;) {
      const ssize_t n = recv(fd_, data, size, MSG_DONTWAIT);
      if (n > 0) return {IoResult::Kind::kOk, static_cast<size_t>(n), 0};
      if (n == 0) return {IoResult::Kind::kEof, 0, 0};
      if (errno == EINTR) continue;
      return Failed();
    }
  }

  // MSG_NOSIGNAL: a peer that has gone must not kill the host process by SIGPIPE.
  IoResult Write(const session::Session::Slice* slices, size_t count) override {
    if (count == 1) return WriteOne(slices[0]);
    iovec parts[kSlicesMax];
    count = std::min(count, kSlicesMax);
    for (size_t i = 0; i < count; ++i)
      parts[i] = {const_cast<uint8_t*>(slices[i].data), slices[i].size};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = count;
    for (;;) {
      const ssize_t n = sendmsg(fd_, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n >= 0) return {IoResult::Kind::kOk, static_cast<size_t>(n), 0};
      if (errno == EINTR) continue;
      return Failed();
    }
  }

  int descriptor() const override { return fd_; }

  // The server leaves Nagle's algorithm on: its next small answer waits for our ACK, which Linux
  // may delay by 40 ms.
  void AcknowledgeNow() override {
#ifdef TCP_QUICKACK
    SetInt(fd_, IPPROTO_TCP, TCP_QUICKACK, 1);
#endif
  }

 private:
  // The common case; sendmsg costs a little more.
  IoResult WriteOne(const session::Session::Slice& slice) {
    for (;;) {
      const ssize_t n = send(fd_, slice.data, slice.size, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n >= 0) return {IoResult::Kind::kOk, static_cast<size_t>(n), 0};
      if (errno == EINTR) continue;
      return Failed();
    }
  }

  static IoResult Failed() {
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {IoResult::Kind::kAgain, 0, 0};
    return {IoResult::Kind::kError, 0, errno};
  }

  const int fd_;
};

}  // namespace

std::unique_ptr<Transport> MakeSocketTransport(int fd, const SocketOptions& options) {
  return std::make_unique<SocketTransport>(fd, options);
}

}  // namespace dqc::net
