/* SPDX-License-Identifier: MIT */
// What can go wrong before a connection is there.

#include <thread>

#include "live/cluster_client.hpp"
#include "live/listener.hpp"
#include "mock/mock_server.hpp"
#include "outcomes/table.hpp"

namespace dqc::outcomes {
namespace {

using live::Client;
using live::Conn;
using live::Listener;
using live::Reply;
using mock::Do;
using mock::Era;
using mock::Match;

std::string ClosedPort() {
  const Listener gone(0);
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
  Listener hole(0);
  hole.Fill();
  EXPECT_TRUE(Is(Id("connect-silent"), Open(hole.address(), "200ms")));
  const Listener silent(0);
  EXPECT_TRUE(Is(Id("handshake-silent"), Open(silent.address(), "200ms")));
  mock::Server web(Era::kD);
  web.On(Match::Handshake(), Do().Raw(Http()).Close());
  EXPECT_TRUE(Is(Id("not-dqlite"), Open(web.address())));
  mock::Server closing(Era::kD);
  closing.On(Match::Handshake(), Do().Close());
  mock::Server resetting(Era::kD);
  resetting.On(Match::Handshake(), Do().Reset());
  for (const std::string& address : {closing.address(), resetting.address()}) {
    const Reply reply = Open(address);
    EXPECT_TRUE(Is(Id("hangs-up"), reply));
    EXPECT_EQ(reply.failure.phase, DQC_PHASE_HANDSHAKE) << reply;
  }
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
  const Listener silent(0);
  const Client silence("dqlite://" + silent.address() + "/test?timeout=300ms");
  EXPECT_TRUE(Is(Id("no-answer"), silence.opened()));
}

}  // namespace
}  // namespace dqc::outcomes
