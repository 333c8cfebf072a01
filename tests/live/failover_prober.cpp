/* SPDX-License-Identifier: MIT */
#include "live/failover_prober.hpp"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>

#include "live/cluster_client.hpp"

namespace dqc::live {

namespace {

constexpr int64_t kIntervalUs = 10'000;
constexpr uint8_t kOpen = 3, kExecSql = 8, kDb = 4, kResult = 6;

void PutWord(std::string* out, uint64_t v) {  // little-endian, as every machine that runs this
  out->append(reinterpret_cast<const char*>(&v), 8);
}

void PutText(std::string* out, const std::string& text) {
  out->append(text.c_str(), text.size() + 1);
  out->append((8 - out->size() % 8) % 8, '\0');
}

std::string Frame(uint8_t type, const std::string& body) {
  std::string frame;
  PutWord(&frame, body.size() / 8 | uint64_t{type} << 32);
  return frame + body;
}

bool ReceiveAll(int fd, char* to, size_t size) {
  for (size_t at = 0; at < size;) {
    const ssize_t n = ::recv(fd, to + at, size - at, 0);
    if (n <= 0) return false;
    at += static_cast<size_t>(n);
  }
  return true;
}

// Sends and reads one answer; is it of this type?
bool Ask(int fd, const std::string& request, uint8_t wanted) {
  if (::send(fd, request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size())) {
    return false;
  }
  uint64_t header = 0;
  if (!ReceiveAll(fd, reinterpret_cast<char*>(&header), 8)) return false;
  const size_t words = header & 0xffffffff;
  if (words > 1000) return false;
  std::string body(words * 8, '\0');
  return ReceiveAll(fd, body.data(), body.size()) && (header >> 32 & 0xff) == wanted;
}

}  // namespace

bool RawWrite(const std::string& address, const std::string& database, const std::string& sql,
              int timeout_ms) {
  const size_t colon = address.rfind(':');
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(std::atoi(address.c_str() + colon + 1)));
  if (::inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr) != 1) return false;
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const timeval timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  bool ok = ::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
  std::string hello, open, exec;
  PutWord(&hello, 1);  // the protocol's version
  PutText(&open, database);
  PutWord(&open, 0);
  PutText(&open, "");
  PutWord(&exec, 0);  // the database opened
  PutText(&exec, sql);
  ok = ok && Ask(fd, hello + Frame(kOpen, open), kDb) && Ask(fd, Frame(kExecSql, exec), kResult);
  ::close(fd);
  return ok;
}

Prober::Prober(const std::vector<std::string>& addresses, std::string database, std::string sql)
    : database_(std::move(database)), sql_(std::move(sql)) {
  for (const std::string& address : addresses)
    threads_.emplace_back([this, address] { Run(address); });
}

Prober::~Prober() {
  stop_ = true;
  for (std::thread& thread : threads_) thread.join();
}

void Prober::Run(const std::string& address) {
  while (!stop_) {
    const int64_t start = NowUs();
    const bool ok = RawWrite(address, database_, sql_, 1000);
    const int64_t end = NowUs();
    ++tries_;
    if (ok) {
      std::lock_guard<std::mutex> lock(mutex_);
      accepted_.push_back(end);
    }
    const int64_t rest = start + kIntervalUs - end;
    if (rest > 0) std::this_thread::sleep_for(std::chrono::microseconds(rest));
  }
}

int64_t Prober::FirstAfter(int64_t since_us) const {
  std::lock_guard<std::mutex> lock(mutex_);
  int64_t first = 0;
  for (size_t i = accepted_.size(); i-- > 0 && accepted_[i] > since_us - 2'000'000;) {
    if (accepted_[i] > since_us && (first == 0 || accepted_[i] < first)) first = accepted_[i];
  }
  return first;
}

}  // namespace dqc::live
