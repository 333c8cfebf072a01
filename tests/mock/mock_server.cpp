/* SPDX-License-Identifier: MIT */
#include "mock/mock_server.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <system_error>
#include <utility>

namespace dqc::mock {
namespace {

constexpr size_t kReadBytes = 64u << 10;
constexpr int kTurnMax = 64;           // steps of one connection before the others' turn
constexpr int64_t kFarewellMs = 1000;  // a FIN was sent: how long to wait for the other one
constexpr int kIdleMs = 60000;

int64_t NowMs() {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
}

void Check(bool ok, const char* what) {
  if (!ok) throw std::system_error(errno, std::generic_category(), what);
}

void SetNonBlocking(int fd) {
  Check(::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK) == 0, "mock: fcntl");
  ::fcntl(fd, F_SETFD, FD_CLOEXEC);
}

bool WouldBlock() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// A socket bound to this port (0: any), which refuses connections before it listens.
int BoundSocket(uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  Check(fd >= 0, "mock: socket");
  SetNonBlocking(fd);
  const int one = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
  const sockaddr_in address = Loopback(port);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    const int error = errno;
    ::close(fd);
    throw std::system_error(error, std::generic_category(), "mock: bind");
  }
  return fd;
}

void Listen(int fd) { Check(::listen(fd, 128) == 0, "mock: listen"); }

}  // namespace

struct Server::Peer {
  Peer(Node& node, int socket) : conn(node), fd(socket) {}
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  ~Peer() { ::close(fd); }

  Conn conn;
  const int fd;
  short events = 0;  // what poll(2) is to watch
  int64_t wake_ms = -1;
  int64_t farewell_ms = -1;  // our FIN is out; input is dropped until then
  bool gone = false;         // the client's end was seen
  bool over = false;
};

Server::Server(Era era) : Node(era) {
  Check(::pipe(wake_) == 0, "mock: pipe");
  SetNonBlocking(wake_[0]);
  SetNonBlocking(wake_[1]);
  listener_ = BoundSocket(0);
  Listen(listener_);
  sockaddr_in bound{};
  socklen_t size = sizeof(bound);
  Check(::getsockname(listener_, reinterpret_cast<sockaddr*>(&bound), &size) == 0,
        "mock: getsockname");
  port_ = ntohs(bound.sin_port);
  Configure([this](Config& config) { config.address = address(); });
  thread_ = std::thread([this] { Run(); });
}

Server::~Server() {
  {
    const std::lock_guard lock(orders_mutex_);
    stop_ = true;
  }
  Wake();
  thread_.join();
  peers_.clear();
  for (const int fd : adopted_) ::close(fd);
  ::close(listener_);
  ::close(wake_[0]);
  ::close(wake_[1]);
}

std::string Server::address() const { return "127.0.0.1:" + std::to_string(port_); }

void Server::Wake() {
  const ssize_t written = ::write(wake_[1], "", 1);
  static_cast<void>(written);  // a full pipe wakes as well
}

void Server::Adopt(int fd) {
  {
    const std::lock_guard lock(orders_mutex_);
    adopted_.push_back(fd);
  }
  Wake();
}

int Server::Connect() {
  int ends[2];
  Check(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "mock: socketpair");
  ::fcntl(ends[0], F_SETFD, FD_CLOEXEC);
  Adopt(ends[1]);
  return ends[0];
}

void Server::SetDown(bool down) {
  std::unique_lock lock(orders_mutex_);
  down_wanted_ = down;
  Wake();
  orders_done_.wait(lock, [this] { return down_ == down_wanted_; });
}

bool Server::TakeOrders() {
  char drop[256];
  while (::read(wake_[0], drop, sizeof(drop)) > 0) {
  }
  std::vector<int> fds;
  {
    const std::lock_guard lock(orders_mutex_);
    if (stop_) return false;
    fds.swap(adopted_);
    if (down_ != down_wanted_) {
      down_wanted_ ? GoDown() : Listen(listener_);
      down_ = down_wanted_;
      orders_done_.notify_all();
    }
  }
  for (const int fd : fds) AddPeer(fd);
  return true;
}

void Server::GoDown() {
  ::close(listener_);  // resets what nobody accepted yet
  listener_ = BoundSocket(port_);
  for (const auto& peer : peers_) Finish(*peer, true);
  peers_.clear();
}

void Server::AddPeer(int fd) {
  if (peers_.size() >= kPeersMax) {
    ::close(fd);
    return;
  }
  SetNonBlocking(fd);
  const int one = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));  // not for socket pairs
  peers_.push_back(std::make_unique<Peer>(*this, fd));
}

void Server::AcceptAll() {
  for (;;) {
    const int fd = ::accept(listener_, nullptr, nullptr);
    if (fd < 0) return;
    AddPeer(fd);
  }
}

void Server::Run() {
  std::vector<pollfd> fds;
  while (TakeOrders()) {
    const int timeout_ms = PollAll();
    fds.assign({{wake_[0], POLLIN, 0}, {listener_, POLLIN, 0}});
    if (down_) fds[1].fd = -1;
    for (const auto& peer : peers_) {
      fds.push_back({peer->events == 0 ? -1 : peer->fd, peer->events, 0});
    }
    ::poll(fds.data(), static_cast<nfds_t>(fds.size()), timeout_ms);
    for (size_t i = 0; i < peers_.size(); ++i) {
      Peer& peer = *peers_[i];
      const bool waits = (fds[i + 2].events & (POLLIN | POLLOUT)) == 0;
      if (fds[i + 2].revents != 0 && waits && !peer.gone) {
        peer.gone = true;
        NoteGone();
      }
    }
    if ((fds[1].revents & POLLIN) != 0) AcceptAll();
  }
}

int Server::PollAll() {
  const int64_t now_ms = NowMs();
  int64_t timeout_ms = kIdleMs;
  for (const auto& peer : peers_) {
    Step(*peer, now_ms);
    if (peer->wake_ms >= 0) {
      timeout_ms = std::min(timeout_ms, std::max<int64_t>(0, peer->wake_ms - now_ms));
    }
  }
  std::erase_if(peers_, [](const auto& peer) { return peer->over; });
  return static_cast<int>(timeout_ms);
}

// Moves one connection on until it has to wait, or for its turn.
void Server::Step(Peer& peer, int64_t now_ms) {
  peer.events = 0;
  peer.wake_ms = -1;
  for (int i = 0; i < kTurnMax && !peer.over; ++i) {
    if (peer.farewell_ms >= 0) {
      if (now_ms >= peer.farewell_ms) peer.over = true;
      peer.wake_ms = peer.farewell_ms;
      if (!Read(peer)) return;
      continue;
    }
    switch (peer.conn.Poll(now_ms)) {
      case Conn::State::kRead:
        if (!Read(peer)) return;
        break;
      case Conn::State::kWrite:
        if (!Write(peer)) return;
        break;
      case Conn::State::kWait:
        peer.wake_ms = peer.conn.wake_ms();
        if (!peer.gone) peer.events = POLLRDHUP;
        return;
      case Conn::State::kClose:
        Finish(peer, false);
        peer.farewell_ms = now_ms + kFarewellMs;
        break;
      case Conn::State::kReset:
        Finish(peer, true);
        return;
    }
  }
  peer.wake_ms = now_ms;
}

// False: nothing there yet.
bool Server::Read(Peer& peer) {
  uint8_t buffer[kReadBytes];
  const ssize_t n = ::recv(peer.fd, buffer, sizeof(buffer), 0);
  if (n < 0 && WouldBlock()) {
    peer.events = POLLIN;
    return false;
  }
  if (n > 0) {
    if (peer.farewell_ms < 0) peer.conn.Feed({buffer, static_cast<size_t>(n)});
    return true;
  }
  if (!peer.gone) NoteGone();
  peer.gone = true;
  peer.conn.EndOfInput();
  peer.over = peer.farewell_ms >= 0 || n < 0;
  return true;
}

bool Server::Write(Peer& peer) {
  const auto bytes = peer.conn.output();
  const ssize_t n = ::send(peer.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (n >= 0) {
    peer.conn.Written(static_cast<size_t>(n));
    return true;
  }
  if (WouldBlock()) {
    peer.events = POLLOUT;
    return false;
  }
  if (!peer.gone) NoteGone();
  peer.gone = true;
  peer.over = true;
  return true;
}

void Server::Finish(Peer& peer, bool reset) {
  if (!reset) {
    ::shutdown(peer.fd, SHUT_WR);
    return;
  }
  const linger now{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(peer.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  peer.over = true;
}

}  // namespace dqc::mock
