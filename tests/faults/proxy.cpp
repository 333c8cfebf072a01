/* SPDX-License-Identifier: MIT */
#include "faults/proxy.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <system_error>

namespace dqc::faults {
namespace {

constexpr size_t kBufferMax = size_t{256} * 1024;

sockaddr_in Parse(const std::string& address) {
  const size_t colon = address.rfind(':');
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(colon + 1))));
  if (::inet_pton(AF_INET, address.substr(0, colon).c_str(), &in.sin_addr) != 1) {
    throw std::invalid_argument(address);
  }
  return in;
}

int Socket() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) throw std::system_error(errno, std::generic_category(), "socket");
  return fd;
}

void NoDelay(int fd) {
  const int on = 1;
  (void)::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

// Servers send an answer in pieces and with Nagle: each waits for the acknowledgement of the last.
void AcknowledgeAtOnce(int fd) {
  const int on = 1;
  (void)::setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

bool Again() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

}  // namespace

Proxy::Proxy(const std::string& target) : target_(target) {
  listen_fd_ = Socket();
  wake_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  sockaddr_in in = Parse("127.0.0.1:0");
  socklen_t size = sizeof in;
  auto* address = reinterpret_cast<sockaddr*>(&in);
  if (wake_fd_ < 0 || ::bind(listen_fd_, address, size) != 0 || ::listen(listen_fd_, 128) != 0 ||
      ::getsockname(listen_fd_, address, &size) != 0) {
    throw std::system_error(errno, std::generic_category(), "proxy");
  }
  address_ = "127.0.0.1:" + std::to_string(ntohs(in.sin_port));
  thread_ = std::thread([this] { Run(); });
}

Proxy::~Proxy() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  Wake();
  thread_.join();
  EndAll(false);
  ::close(listen_fd_);
  ::close(wake_fd_);
}

void Proxy::Wake() const {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_fd_, &one, sizeof one);
}

void Proxy::SetMode(Mode mode) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    mode_ = mode;
    if (mode == Mode::kCut) EndAll(false);
  }
  Wake();
}

void Proxy::SetDelay(Us delay) {
  const std::lock_guard<std::mutex> lock(mutex_);
  delay_ = delay;
}

void Proxy::ResetAll() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    EndAll(false);
  }
  Wake();
}

void Proxy::SetFuse(Direction direction, uint64_t bytes, bool orderly) {
  const std::lock_guard<std::mutex> lock(mutex_);
  fuse_blown_ = false;
  fuse_armed_ = true;
  fuse_orderly_ = orderly;
  fuse_direction_ = direction;
  fuse_left_ = bytes;
}

void Proxy::ClearFuse() {
  const std::lock_guard<std::mutex> lock(mutex_);
  fuse_armed_ = false;
}

void Proxy::End(Link& link, bool orderly) {
  if (link.dead) return;
  link.dead = true;
  for (const int fd : link.fd) {
    if (fd < 0) continue;
    const linger reset{orderly ? 0 : 1, 0};
    (void)::setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    ::close(fd);
  }
}

void Proxy::EndAll(bool orderly) {
  for (Link& link : links_) End(link, orderly);
}

void Proxy::Accept() {
  for (;;) {
    const int fd = ::accept4(listen_fd_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return;
    Link& link = links_.emplace_back();
    link.fd[0] = fd;
    if (mode_ == Mode::kCut) {
      End(link, false);
      continue;
    }
    link.fd[1] = Socket();
    NoDelay(link.fd[0]);
    NoDelay(link.fd[1]);
    const sockaddr_in in = Parse(target_);
    if (::connect(link.fd[1], reinterpret_cast<const sockaddr*>(&in), sizeof in) != 0 &&
        errno != EINPROGRESS) {
      End(link, false);
    }
  }
}

void Proxy::Read(Link& link, int direction) {
  Half& half = link.half[direction];
  char buffer[16384];
  const ssize_t n = ::recv(link.fd[direction], buffer, sizeof buffer, 0);
  if (n > 0) {
    AcknowledgeAtOnce(link.fd[direction]);
    half.chunks.push_back({Now() + delay_, std::string(buffer, static_cast<size_t>(n))});
    half.buffered += static_cast<size_t>(n);
  } else if (n == 0) {
    half.read_end = true;
  } else if (!Again()) {
    End(link, false);
  }
}

// Writes what is due. False if the fuse has blown.
bool Proxy::Write(Link& link, int direction) {
  Half& half = link.half[direction];
  while (!link.dead && !half.chunks.empty() && half.chunks.front().due <= Now()) {
    std::string& bytes = half.chunks.front().bytes;
    size_t size = bytes.size();
    const bool fused = fuse_armed_ && fuse_direction_ == direction;
    if (fused && fuse_left_ == 0) return false;
    if (fused) size = static_cast<size_t>(std::min<uint64_t>(size, fuse_left_));
    const ssize_t n = ::send(link.fd[1 - direction], bytes.data(), size, MSG_NOSIGNAL);
    if (n < 0) {
      if (!Again() && errno != ENOTCONN) End(link, false);
      return true;
    }
    if (fused) fuse_left_ -= static_cast<uint64_t>(n);
    passed_[direction] += static_cast<uint64_t>(n);
    half.buffered -= static_cast<size_t>(n);
    bytes.erase(0, static_cast<size_t>(n));
    if (bytes.empty()) half.chunks.pop_front();
  }
  if (!link.dead && half.chunks.empty() && half.read_end && !half.write_end) {
    half.write_end = true;
    (void)::shutdown(link.fd[1 - direction], SHUT_WR);
  }
  return true;
}

// What to wait for; returns the time of the first piece that is due later.
Us Proxy::Wait(std::vector<pollfd>* fds) {
  *fds = {{wake_fd_, POLLIN, 0}, {listen_fd_, POLLIN, 0}};
  Us due = kNever;
  if (mode_ == Mode::kStall) {
    fds->pop_back();
    return due;
  }
  for (const Link& link : links_) {
    for (int d = 0; d < 2; ++d) {
      const Half& in = link.half[d];
      const Half& out = link.half[1 - d];
      short events = 0;
      if (!in.read_end && in.buffered < kBufferMax) events |= POLLIN;
      if (!out.chunks.empty()) {
        if (out.chunks.front().due <= Now()) {
          events |= POLLOUT;
        } else {
          due = std::min(due, out.chunks.front().due);
        }
      }
      fds->push_back({events != 0 ? link.fd[d] : -1, events, 0});
    }
  }
  return due;
}

void Proxy::Run() {
  std::vector<pollfd> fds;
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stop_) {
    links_.remove_if([](const Link& link) { return link.dead; });
    const Us due = Wait(&fds);
    lock.unlock();
    const int timeout =
        due == kNever ? -1 : static_cast<int>(std::clamp<Us>((due - Now()) / 1000 + 1, 0, 1000));
    (void)::poll(fds.data(), fds.size(), timeout);
    lock.lock();
    uint64_t ignored;
    [[maybe_unused]] const ssize_t n = ::read(wake_fd_, &ignored, sizeof ignored);
    if (mode_ == Mode::kStall || fds.size() < 2) continue;
    size_t at = 2;
    bool whole = true;
    for (Link& link : links_) {
      for (int d = 0; d < 2; ++d, ++at) {
        // Ended meanwhile, by another thread: its descriptors may be those of others by now.
        if (at < fds.size() && fds[at].revents != 0 && !link.dead &&
            (fds[at].events & POLLIN) != 0) {
          Read(link, d);
        }
      }
      for (int d = 0; d < 2 && whole; ++d) whole = Write(link, d);
      if (!link.dead && link.half[0].write_end && link.half[1].write_end) End(link, true);
    }
    if (!whole) {
      fuse_armed_ = false;
      EndAll(fuse_orderly_);
      fuse_blown_ = true;
    }
    if ((fds[1].revents & POLLIN) != 0) Accept();
  }
}

}  // namespace dqc::faults
