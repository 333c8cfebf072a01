/* SPDX-License-Identifier: MIT */
// A TCP proxy on loopback in front of one node, which can go wrong in the ways of networks.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "faults/history.hpp"

struct pollfd;

namespace dqc::faults {

// Any thread; what is set takes effect within moments.
class Proxy {
 public:
  enum class Mode {
    kPass,
    kStall,  // nothing moves, not even the end of a connection
    kCut     // no connections: those there are were reset, new ones are at once
  };
  enum Direction { kToServer = 0, kToClient = 1 };

  explicit Proxy(const std::string& target);  // "127.0.0.1:port"
  ~Proxy();
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  const std::string& address() const { return address_; }
  void SetMode(Mode mode);
  void SetDelay(Us delay);  // of each piece, one way
  void ResetAll();
  // When `bytes` more have passed in this direction, on all connections together, and the next one
  // is there: ends all of them, with a reset or (orderly) as when both sides close. Once.
  void SetFuse(Direction direction, uint64_t bytes, bool orderly = false);
  void ClearFuse();
  bool FuseBlown() const { return fuse_blown_; }
  uint64_t Passed(Direction direction) const { return passed_[direction]; }

 private:
  struct Chunk {
    Us due;
    std::string bytes;
  };
  struct Half {  // of one direction
    std::deque<Chunk> chunks;
    size_t buffered = 0;
    bool read_end = false, write_end = false;
  };
  struct Link {
    int fd[2] = {-1, -1};  // client, server
    Half half[2];
    bool dead = false;
  };

  void Run();
  Us Wait(std::vector<pollfd>* fds);
  void Accept();
  void Read(Link& link, int direction);
  bool Write(Link& link, int direction);
  void EndAll(bool orderly);
  static void End(Link& link, bool orderly);
  void Wake() const;

  const std::string target_;
  std::string address_;
  int listen_fd_ = -1, wake_fd_ = -1;
  std::atomic<uint64_t> passed_[2] = {0, 0};
  std::atomic<bool> fuse_blown_{false};
  std::mutex mutex_;  // guards what follows
  std::list<Link> links_;
  Mode mode_ = Mode::kPass;
  Us delay_ = 0;
  bool stop_ = false, fuse_armed_ = false, fuse_orderly_ = false;
  Direction fuse_direction_ = kToServer;
  uint64_t fuse_left_ = 0;
  std::thread thread_;
};

}  // namespace dqc::faults
