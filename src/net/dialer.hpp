/* SPDX-License-Identifier: MIT */
#pragma once

#include <uv.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "net/loop.hpp"

namespace dqc::net {

// Connects to one "host:port": resolves the name off the loop, then tries its addresses with a head
// start each
// (happy eyeballs, IPv6 and IPv4 in turn). Reports once, unless cancelled first; never inside
// Start.
class Dialer : public RefCounted<Dialer> {
 public:
  class Owner {
   public:
    virtual void OnDialed(
        Result<int> fd) noexcept = 0;  // a connected socket, owned by the receiver

   protected:
    ~Owner() = default;
  };

  Dialer(Loop* loop, Owner* owner, int64_t stagger_us);

  Status Start(std::string_view address);
  void Cancel() noexcept;  // the owner hears nothing any more; sockets are closed
  session::Time elapsed_us() const { return Loop::Now() - started_; }

 private:
  friend class RefCounted<Dialer>;
  struct Attempt;
  ~Dialer();
  void Dispose() { delete this; }

  Status StartResolving();
  void OnResolved(int status, const addrinfo* list) noexcept;
  void AddAddresses(const addrinfo* list);
  void TryNext() noexcept;
  Status Open(Attempt* attempt);
  void OnAttempt(Attempt* attempt, int error) noexcept;
  void NoteFailure(const Attempt& attempt, int error);
  void Report(Result<int> result) noexcept;
  void CloseAttempt(Attempt* attempt) noexcept;

  const IntrusivePtr<Loop> loop_;
  Owner* owner_;  // null once reported or cancelled
  const int64_t stagger_us_;
  session::Time started_ = 0;
  std::string address_, host_, service_;
  std::vector<sockaddr_storage> addresses_;
  size_t next_address_ = 0;
  std::vector<Attempt*> attempts_;  // running; each holds a reference to the dialer
  std::string failures_;
  uv_getaddrinfo_t resolve_;
  bool resolving_ = false;
  uv_timer_t* timer_ = nullptr;  // starts the next attempt; frees itself when closed
};

}  // namespace dqc::net
