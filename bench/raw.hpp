/* SPDX-License-Identifier: MIT */
// The floor: what a socket, and nothing else, takes for the bytes that the client sends and
// receives. It looks at frame headers and at the end of results, decodes nothing, and knows no
// errors but dying.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

enum class Wait : uint8_t {
  kBlock,  // recv sleeps
  kPoll,   // recv looks for up to 100 us, then sleeps
  kEpoll,  // epoll_wait sleeps, then recv: what any event loop does at least
};

using Frame = std::vector<uint8_t>;

Frame PrepareFrame(std::string_view sql);
Frame ExecSqlFrame(std::string_view sql);
Frame QuerySqlFrame(std::string_view sql);
Frame QueryFrame(uint32_t stmt);
Frame InsertFrame(uint32_t stmt, int64_t number, std::string_view text);
Frame HandshakeFrames();  // as the client's own: version, probes, CLIENT, OPEN
constexpr uint64_t kHandshakeReplies = 4;

class RawClient {
 public:
  RawClient(const std::string& address, Wait wait, bool quick_ack = true);
  ~RawClient();
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  void Handshake();
  void ExpectFailures() { failures_expected_ = true; }  // the probes' answers
  uint32_t Prepare(std::string_view sql);
  void Exec(std::string_view sql);

  void Send(const uint8_t* data, size_t size);
  void Send(const Frame& frame) { Send(frame.data(), frame.size()); }
  // Reads once; returns how many replies are complete. `expected` is how many are still due.
  uint64_t Receive(uint64_t expected);
  void Await(uint64_t replies);
  // `ops` requests, with up to `depth` of them on their way.
  void Pipeline(const Frame& frame, uint64_t ops, uint64_t depth);

 private:
  size_t ReceiveSome(uint8_t* data, size_t size);
  uint64_t TakeFrames();

  int fd_ = -1;
  int epoll_fd_ = -1;
  const Wait wait_;
  const bool quick_ack_;
  std::vector<uint8_t> buffer_;
  size_t filled_ = 0;
  bool failures_expected_ = false;
  std::vector<uint8_t> last_;  // the last small frame, for Prepare
  std::vector<uint8_t> burst_;
};

}  // namespace bench
