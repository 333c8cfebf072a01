/* SPDX-License-Identifier: MIT */
// A mock dqlite server on real sockets, for what a real server never does. It shares the codec with
// the client and nothing else: plain sockets, one thread, poll(2).
//
//   mock::Server server(mock::Era::kD);
//   server.On(mock::AnyExec().Sql("INSERT").Nth(2), mock::Do().Delay(50).Reset());
//   … a client connects to server.address() …
//   EXPECT_TRUE(server.Wait([&] { return server.Count(mock::AnyExec()) == 2; }));
//   EXPECT_THAT(server.violations(), IsEmpty());
//
// Without sockets: mock::Node and mock::Conn::Respond().
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "mock/conn.hpp"
#include "mock/node.hpp"

namespace dqc::mock {

class Server : public Node {
 public:
  static constexpr size_t kPeersMax = 256;  // more are closed as they come

  // Listens on 127.0.0.1, on a port of the system's choice. Throws std::system_error.
  explicit Server(Era era = Era::kC);
  ~Server() override;  // closes all connections, whatever they wait for

  uint16_t port() const { return port_; }
  std::string address() const;  // 127.0.0.1:port

  // Serves this stream socket; owns it.
  void Adopt(int fd);
  // One end of a socket pair whose other end is served; the caller's to close.
  int Connect();

  // Refuses connections and resets those that are open, as if the process had died; or takes
  // connections again, on the same port. Not from Do::Compute().
  void SetDown(bool down);

 protected:
  void Wake() override;

 private:
  struct Peer;

  void Run();
  bool TakeOrders();  // false: stop
  void AcceptAll();
  void AddPeer(int fd);
  void GoDown();
  int PollAll();  // runs connections; returns the timeout of the next poll(2)
  void Step(Peer& peer, int64_t now_ms);
  bool Read(Peer& peer);
  bool Write(Peer& peer);
  void Finish(Peer& peer, bool reset);

  uint16_t port_ = 0;
  int listener_ = -1;
  int wake_[2] = {-1, -1};

  std::mutex orders_mutex_;
  std::condition_variable orders_done_;
  std::vector<int> adopted_;
  bool stop_ = false;
  bool down_wanted_ = false;
  bool down_ = false;

  std::vector<std::unique_ptr<Peer>> peers_;  // of the thread
  std::thread thread_;
};

}  // namespace dqc::mock
