/* SPDX-License-Identifier: MIT */
// One connection to a mock node, without sockets and without a clock.
#pragma once

#include <cstdint>
#include <deque>
#include <span>

#include "mock/node.hpp"

namespace dqc::mock {

class Conn {
 public:
  enum class State : uint8_t {
    kRead,   // wants Feed() or EndOfInput()
    kWrite,  // output() is to be written
    kWait,   // until wake_ms(), or for Node::Release() if that is -1
    kClose,  // over
    kReset,  // over, with an RST
  };

  static constexpr size_t kFrameBytesMax = 256u << 20;

  explicit Conn(Node& node);

  // In memory: takes bytes, returns what is sent because of them, until there is nothing left to
  // do, a gate stops it, the end, or `bytes_max`. Delays pass at once.
  Bytes Respond(std::span<const uint8_t> in, size_t bytes_max = 1u << 20);
  bool closed() const { return state_ == State::kClose || state_ == State::kReset; }

  // Step by step, on the caller's clock.
  void Feed(std::span<const uint8_t> in);
  void EndOfInput() { ended_ = true; }
  State Poll(int64_t now_ms);
  std::span<const uint8_t> output() const;  // one write
  void Written(size_t bytes);
  int64_t wake_ms() const { return wake_ms_; }
  uint64_t number() const { return number_; }

 private:
  static constexpr int64_t kNever = -1;

  bool TakeStep();   // false: waits or is over, see state_
  bool TakeInput();  // the same
  bool WaitUntil(int64_t ms);
  void Emit(Step& step);
  void Handle(Request request);
  bool HandleFrame();
  size_t unread() const { return in_.size() - in_at_; }

  Node& node_;
  Session session_;
  const uint64_t number_;
  State state_ = State::kRead;
  bool ended_ = false;
  bool greeted_ = false;
  int64_t now_ms_ = 0;
  int64_t wake_ms_ = kNever;
  bool waiting_ = false;  // wake_ms_ belongs to the first step or to a pause
  Bytes in_;
  size_t in_at_ = 0;
  Bytes out_;
  size_t out_at_ = 0;
  std::deque<Step> steps_;
  size_t split_ = SIZE_MAX;
  int64_t pause_ms_ = 0;
  size_t truncate_left_ = SIZE_MAX;
};

}  // namespace dqc::mock
