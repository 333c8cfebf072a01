/* SPDX-License-Identifier: MIT */
// What can go wrong before a connection is there.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "live/cluster_client.hpp"
#include "mock/mock_server.hpp"
#include "outcomes/table.hpp"

namespace dqc::outcomes {
namespace {

using live::Client;
using live::Conn;
using live::Reply;
using mock::Do;
using mock::Era;
using mock::Match;

// A socket on loopback that listens, and accepts nobody.
class Listener {
 public:
  Listener() {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    at_.sin_family = AF_INET;
    at_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at_;
    EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&at_), size), 0);
    EXPECT_EQ(::listen(fd_, 0), 0);
    EXPECT_EQ(::getsockname(fd_, reinterpret_cast<sockaddr*>(&at_), &size), 0);
  }
  ~Listener() {
    for (const int fd : held_) ::close(fd);
    ::close(fd_);
  }
  // With a full backlog, Linux drops the SYNs of everybody else.
  void Fill() {
    for (int i = 0; i < 4; ++i) {
      const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
      (void)::connect(fd, reinterpret_cast<const sockaddr*>(&at_), sizeof at_);
      held_.push_back(fd);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(ntohs(at_.sin_port)); }

 private:
  int fd_ = -1;
  sockaddr_in at_{};
  std::vector<int> held_;
};

std::string ClosedPort() {
  const Listener gone;
  return gone.address();
}

Reply Open(const std::string& address, const char* connect_timeout = "20s") {
  return Conn("dqlite://" + address + "/test?connect_timeout=" + connect_timeout).opened();
}

mock::Bytes Http() {
  const std::string_view text = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
  return {text.begin(), text.end()};
}

TEST(Mock, Connecting) {
  EXPECT_TRUE(Is(Id("resolve"), Open("no-such-host.invalid:9001")));
  EXPECT_TRUE(Is(Id("connect-refused"), Open(ClosedPort())));
  Listener hole;
  hole.Fill();
  EXPECT_TRUE(Is(Id("connect-silent"), Open(hole.address(), "200ms")));
  const Listener silent;
  EXPECT_TRUE(Is(Id("handshake-silent"), Open(silent.address(), "200ms")));
  mock::Server web(Era::kD);
  web.On(Match::Handshake(), Do().Raw(Http()).Close());
  EXPECT_TRUE(Is(Id("not-dqlite"), Open(web.address())));
  mock::Server closing(Era::kD);
  closing.On(Match::Handshake(), Do().Close());
  EXPECT_TRUE(Is(Id("hangs-up"), Open(closing.address())));
}

TEST(Mock, FollowersAndSearches) {
  for (const Era era : {Era::kA, Era::kD}) {
    mock::Server server(era);
    server.SetLeader(false);
    const Conn conn("dqlite://" + server.address() + "/test");
    EXPECT_TRUE(Is(Id("follower"), conn ? conn.Query("SELECT 1") : conn.opened()));
    const Client client("dqlite://" + server.address() + "/test?timeout=300ms");
    EXPECT_TRUE(Is(Id("no-leader"), client.opened()));
  }
  const Client nobody("dqlite://" + ClosedPort() + "/test?timeout=300ms");
  EXPECT_TRUE(Is(Id("no-node"), nobody.opened()));
  const Listener silent;
  const Client silence("dqlite://" + silent.address() + "/test?timeout=300ms");
  EXPECT_TRUE(Is(Id("no-answer"), silence.opened()));
}

}  // namespace
}  // namespace dqc::outcomes
