/* SPDX-License-Identifier: MIT */
#include "raw.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "harness.hpp"

namespace bench {

namespace {

constexpr size_t kHeader = 8;
constexpr size_t kBuffer = 64 * 1024;
constexpr uint8_t kFailure = 0, kRows = 7;
constexpr uint64_t kRowsDone = UINT64_MAX;
constexpr int64_t kPollNs = 100'000;

void PutWord(Frame* out, uint64_t word) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(&word);
  out->insert(out->end(), bytes, bytes + sizeof(word));
}

void PutText(Frame* out, std::string_view text) {
  out->insert(out->end(), text.begin(), text.end());
  out->push_back(0);
  while (out->size() % 8 != 0) out->push_back(0);
}

Frame Begin(uint8_t type, uint8_t schema = 0) { return {0, 0, 0, 0, type, schema, 0, 0}; }

Frame End(Frame frame) {
  const auto words = static_cast<uint32_t>((frame.size() - kHeader) / 8);
  std::memcpy(frame.data(), &words, sizeof(words));
  return frame;
}

uint64_t StmtWord(uint32_t stmt) { return uint64_t{stmt} << 32; }  // database 0, statement

int64_t NowNs() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

Frame TextFrame(uint8_t type, std::string_view sql) {
  Frame frame = Begin(type);
  PutWord(&frame, 0);
  PutText(&frame, sql);
  return End(frame);
}

}  // namespace

Frame PrepareFrame(std::string_view sql) { return TextFrame(4, sql); }
Frame ExecSqlFrame(std::string_view sql) { return TextFrame(8, sql); }
Frame QuerySqlFrame(std::string_view sql) { return TextFrame(9, sql); }

Frame QueryFrame(uint32_t stmt) {
  Frame frame = Begin(6);
  PutWord(&frame, StmtWord(stmt));
  return End(frame);
}

Frame InsertFrame(uint32_t stmt, int64_t number, std::string_view text) {
  Frame frame = Begin(5);
  PutWord(&frame, StmtWord(stmt));
  frame.insert(frame.end(), {2, 1, 3, 0, 0, 0, 0, 0});  // two values: integer, text
  PutWord(&frame, static_cast<uint64_t>(number));
  PutText(&frame, text);
  return End(frame);
}

Frame HandshakeFrames() {
  Frame out;
  PutWord(&out, 1);
  const auto add = [&out](const Frame& frame) {
    out.insert(out.end(), frame.begin(), frame.end());
  };
  Frame exec = Begin(5, 255), prepare = Begin(4, 255), client = Begin(1), open = Begin(3);
  PutWord(&exec, 0);
  PutWord(&prepare, 0);
  PutWord(&prepare, 0);
  PutWord(&client, 1);
  PutText(&open, "bench");
  PutWord(&open, 0);
  PutText(&open, "");
  for (const Frame& frame : {exec, prepare, client, open}) add(End(frame));
  return out;
}

RawClient::RawClient(const std::string& address, Wait wait, bool quick_ack)
    : wait_(wait), quick_ack_(quick_ack), buffer_(kBuffer) {
  const size_t colon = address.rfind(':');
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(colon + 1))));
  if (inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr) != 1)
    Die("not a numeric address: " + address);
  fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0)
    Die("cannot connect to " + address);
  if (wait_ != Wait::kEpoll) return;
  epoll_fd_ = epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{};
  event.events = EPOLLIN;
  epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd_, &event);
}

RawClient::~RawClient() {
  close(fd_);
  if (epoll_fd_ >= 0) close(epoll_fd_);
}

void RawClient::Handshake() {
  failures_expected_ = true;
  Send(HandshakeFrames());
  Await(kHandshakeReplies);
  failures_expected_ = false;
}

uint32_t RawClient::Prepare(std::string_view sql) {
  Send(PrepareFrame(sql));
  Await(1);
  uint32_t id = 0;
  std::memcpy(&id, last_.data() + kHeader + sizeof(id), sizeof(id));
  return id;
}

void RawClient::Exec(std::string_view sql) {
  Send(ExecSqlFrame(sql));
  Await(1);
}

void RawClient::Send(const uint8_t* data, size_t size) {
  while (size > 0) {
    const ssize_t n = send(fd_, data, size, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) Die(std::string("send: ") + std::strerror(errno));
    data += n;
    size -= static_cast<size_t>(n);
  }
}

size_t RawClient::ReceiveSome(uint8_t* data, size_t size) {
  if (wait_ == Wait::kPoll) {
    const int64_t until = NowNs() + kPollNs;
    do {
      const ssize_t n = recv(fd_, data, size, MSG_DONTWAIT);
      if (n > 0) return static_cast<size_t>(n);
      if (n == 0 || errno != EAGAIN) Die("the server closed the connection");
    } while (NowNs() < until);
  }
  if (wait_ == Wait::kEpoll) {
    epoll_event event{};
    while (epoll_wait(epoll_fd_, &event, 1, -1) < 1) {
    }
  }
  const ssize_t n = recv(fd_, data, size, 0);
  if (n <= 0) Die("the server closed the connection");
  return static_cast<size_t>(n);
}

uint64_t RawClient::TakeFrames() {
  uint64_t replies = 0;
  size_t at = 0;
  while (filled_ - at >= kHeader) {
    const uint8_t* frame = buffer_.data() + at;
    uint32_t words = 0;
    std::memcpy(&words, frame, sizeof(words));
    const size_t size = kHeader + size_t{words} * 8;
    if (size > filled_ - at) {
      if (size > buffer_.size()) buffer_.resize(2 * size);
      break;
    }
    const uint8_t type = frame[4];
    uint64_t end = kRowsDone;
    if (type == kRows) std::memcpy(&end, frame + size - sizeof(end), sizeof(end));
    if (type == kFailure && !failures_expected_)
      Die("failure: " + std::string(reinterpret_cast<const char*>(frame) + kHeader + 8));
    if (end == kRowsDone) {
      ++replies;
      if (size <= 64) last_.assign(frame, frame + size);
    }
    at += size;
  }
  if (at > 0 && at < filled_) std::memmove(buffer_.data(), buffer_.data() + at, filled_ - at);
  filled_ -= at;
  return replies;
}

uint64_t RawClient::Receive(uint64_t expected) {
  filled_ += ReceiveSome(buffer_.data() + filled_, buffer_.size() - filled_);
  const uint64_t replies = TakeFrames();
  if (quick_ack_ && replies < expected) {
    const int on = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
  }
  return replies;
}

void RawClient::Await(uint64_t replies) {
  while (replies > 0) replies -= Receive(replies);
}

void RawClient::Pipeline(const Frame& frame, uint64_t ops, uint64_t depth) {
  if (burst_.size() != frame.size() * depth) {
    burst_.clear();
    for (uint64_t i = 0; i < depth; ++i) burst_.insert(burst_.end(), frame.begin(), frame.end());
  }
  uint64_t sent = 0, done = 0;
  while (done < ops) {
    const uint64_t room = std::min(depth - (sent - done), ops - sent);
    if (room > 0) Send(burst_.data(), static_cast<size_t>(room) * frame.size());
    sent += room;
    done += Receive(ops - done);
  }
}

}  // namespace bench
