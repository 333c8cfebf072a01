/* SPDX-License-Identifier: MIT */
#include "net/dialer.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <new>

#include "client/config.hpp"

namespace dqc::net {

namespace {

std::string Printable(const sockaddr_storage& address) {
  char host[INET6_ADDRSTRLEN] = "?";
  uint16_t port = 0;
  if (address.ss_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address);
    inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
    port = ntohs(v6->sin6_port);
    return std::string("[").append(host).append("]:").append(std::to_string(port));
  }
  const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address);
  inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
  port = ntohs(v4->sin_port);
  return std::string(host) + ":" + std::to_string(port);
}

socklen_t SizeOf(const sockaddr_storage& address) {
  return address.ss_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
}

}  // namespace

struct Dialer::Attempt {
  Dialer* dialer = nullptr;
  sockaddr_storage address{};
  int fd = -1;
  uv_poll_t poll;
};

Dialer::Dialer(Loop* loop, Owner* owner, int64_t stagger_us)
    : loop_(IntrusivePtr<Loop>::Share(loop)), owner_(owner), stagger_us_(stagger_us) {}

Dialer::~Dialer() = default;

Status Dialer::Start(std::string_view address) {
  started_ = Loop::Now();
  address_ = address;
  const Result<client::Address> parsed = client::ParseAddress(address, 0);
  DQC_TRY(parsed.status());
  host_ = parsed->host;
  service_ = std::to_string(parsed->port);
  timer_ = new uv_timer_t;
  uv_timer_init(loop_->uv(), timer_);
  timer_->data = this;
  Retain();  // the timer's
  loop_->AddConnection();

  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  if (getaddrinfo(host_.c_str(), service_.c_str(), &hints, &list) == 0) {
    const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(list, freeaddrinfo);
    AddAddresses(list);
    // Not from here: the owner must not hear of it inside Start.
    uv_timer_start(
        timer_,
        [](uv_timer_t* t) {
          auto* self = static_cast<Dialer*>(t->data);
          self->TryNext();
          self->loop_->AfterCallback();
        },
        0, 0);
    return {};
  }
  return StartResolving();
}

Status Dialer::StartResolving() {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  resolve_.data = this;
  const int rc = uv_getaddrinfo(
      loop_->uv(), &resolve_,
      [](uv_getaddrinfo_t* request, int status, addrinfo* list) {
        auto self = IntrusivePtr<Dialer>::Adopt(static_cast<Dialer*>(request->data));
        self->resolving_ = false;
        self->OnResolved(status, list);
        uv_freeaddrinfo(list);
        self->loop_->DropConnection();
        self->loop_->AfterCallback();
      },
      host_.c_str(), service_.c_str(), &hints);
  if (rc == UV_ENOMEM) return Status::OutOfMemory();
  if (rc != 0)
    return Status::Make(Code::kInternal, std::string("uv_getaddrinfo: ") + uv_strerror(rc));
  resolving_ = true;
  Retain();
  loop_->AddConnection();
  return {};
}

void Dialer::OnResolved(int status, const addrinfo* list) noexcept {
  if (owner_ == nullptr) return;
  if (status == UV_EAI_MEMORY || status == UV_ENOMEM) return Report(Status::OutOfMemory());
  try {
    if (status == 0) AddAddresses(list);
    if (addresses_.empty()) {
      return Report(Status::Make(Code::kResolve,
                                 "cannot resolve host \"" + host_ + "\" of node " + address_ +
                                     ": " +
                                     (status != 0 ? uv_strerror(status) : "it has no address"))
                        .With(Phase::kResolve)
                        .WithNode(address_));
    }
  } catch (const std::bad_alloc&) {
    return Report(Status::OutOfMemory());
  }
  TryNext();
}

// IPv6 and IPv4 in turn, beginning with the family the resolver prefers (RFC 8305).
void Dialer::AddAddresses(const addrinfo* list) {
  std::vector<sockaddr_storage> first, second;
  for (const addrinfo* a = list; a != nullptr; a = a->ai_next) {
    if (a->ai_family != AF_INET && a->ai_family != AF_INET6) continue;
    sockaddr_storage address{};
    std::memcpy(&address, a->ai_addr, a->ai_addrlen);
    const bool leads = first.empty() || first.front().ss_family == address.ss_family;
    (leads ? first : second).push_back(address);
  }
  for (size_t i = 0; i < std::max(first.size(), second.size()); ++i) {
    if (i < first.size()) addresses_.push_back(first[i]);
    if (i < second.size()) addresses_.push_back(second[i]);
  }
}

void Dialer::TryNext() noexcept {
  if (owner_ == nullptr) return;
  try {
    while (next_address_ < addresses_.size()) {
      auto attempt = std::make_unique<Attempt>();
      attempt->dialer = this;
      attempt->address = addresses_[next_address_++];
      attempts_.reserve(attempts_.size() + 1);
      Attempt* raw = attempt.get();
      const Status opened = Open(raw);
      if (!opened.ok()) {
        NoteFailure(*raw, errno);
        continue;
      }
      attempts_.push_back(attempt.release());
      if (next_address_ < addresses_.size()) {
        uv_timer_start(
            timer_,
            [](uv_timer_t* t) {
              auto* self = static_cast<Dialer*>(t->data);
              self->TryNext();
              self->loop_->AfterCallback();
            },
            static_cast<uint64_t>(stagger_us_ / 1000), 0);
      }
      return;
    }
    if (!attempts_.empty()) return;
    Report(Status::Make(Code::kConnect, "cannot connect to node " + address_ + ": " + failures_)
               .With(Phase::kConnect)
               .WithNode(address_));
  } catch (const std::bad_alloc&) {
    Report(Status::OutOfMemory());
  }
}

// Begins a non-blocking connect; errno tells why not.
Status Dialer::Open(Attempt* attempt) {
  const auto failed = [&](int saved) {
    if (attempt->fd >= 0) close(attempt->fd);
    errno = saved;
    return Status::Make(Code::kConnect, "connect");
  };
#ifdef SOCK_CLOEXEC  // at once: another thread may fork() and exec()
  attempt->fd = socket(attempt->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
#else
  attempt->fd = socket(attempt->address.ss_family, SOCK_STREAM, 0);
#endif
  if (attempt->fd < 0) return failed(errno);
  fcntl(attempt->fd, F_SETFD, FD_CLOEXEC);
  fcntl(attempt->fd, F_SETFL, fcntl(attempt->fd, F_GETFL) | O_NONBLOCK);
  const auto* address = reinterpret_cast<const sockaddr*>(&attempt->address);
  if (connect(attempt->fd, address, SizeOf(attempt->address)) != 0 && errno != EINPROGRESS)
    return failed(errno);
  if (const int rc = uv_poll_init(loop_->uv(), &attempt->poll, attempt->fd); rc != 0)
    return failed(-rc);
  attempt->poll.data = attempt;
  uv_poll_start(&attempt->poll, UV_WRITABLE, [](uv_poll_t* poll, int, int) {
    auto* done = static_cast<Attempt*>(poll->data);
    const auto self = IntrusivePtr<Dialer>::Share(done->dialer);
    int error = 0;
    socklen_t size = sizeof(error);
    getsockopt(done->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    self->OnAttempt(done, error);
    self->loop_->AfterCallback();
  });
  loop_->InterestChanged();
  loop_->AddConnection();
  Retain();
  return {};
}

void Dialer::OnAttempt(Attempt* attempt, int error) noexcept {
  attempts_.erase(std::remove(attempts_.begin(), attempts_.end(), attempt), attempts_.end());
  if (error == 0) {
    uv_poll_stop(&attempt->poll);
    const int fd = std::exchange(attempt->fd, -1);
    CloseAttempt(attempt);
    return Report(fd);
  }
  try {
    NoteFailure(*attempt, error);
  } catch (const std::bad_alloc&) {
    CloseAttempt(attempt);
    return Report(Status::OutOfMemory());
  }
  CloseAttempt(attempt);
  TryNext();
}

void Dialer::NoteFailure(const Attempt& attempt, int error) {
  if (!failures_.empty()) failures_ += "; ";
  failures_ += Printable(attempt.address) + ": " + uv_strerror(uv_translate_sys_error(error));
}

void Dialer::CloseAttempt(Attempt* attempt) noexcept {
  uv_poll_stop(&attempt->poll);
  uv_close(reinterpret_cast<uv_handle_t*>(&attempt->poll), [](uv_handle_t* handle) {
    const std::unique_ptr<Attempt> owned(static_cast<Attempt*>(handle->data));
    owned->dialer->loop_->DropConnection();
    owned->dialer->Release();
  });
  if (attempt->fd >= 0) close(std::exchange(attempt->fd, -1));
}

void Dialer::Report(Result<int> result) noexcept {
  Owner* owner = owner_;
  const auto held = IntrusivePtr<Dialer>::Share(this);
  Cancel();
  if (owner != nullptr) {
    owner->OnDialed(std::move(result));
  } else if (result.ok()) {
    close(*result);
  }
}

void Dialer::Cancel() noexcept {
  owner_ = nullptr;
  if (resolving_)
    uv_cancel(reinterpret_cast<uv_req_t*>(&resolve_));  // else it ends by itself, unheard
  for (Attempt* attempt : attempts_) CloseAttempt(attempt);
  attempts_.clear();
  if (timer_ == nullptr) return;
  uv_timer_t* timer = std::exchange(timer_, nullptr);
  uv_timer_stop(timer);
  uv_close(reinterpret_cast<uv_handle_t*>(timer), [](uv_handle_t* handle) {
    const std::unique_ptr<uv_timer_t> owned(reinterpret_cast<uv_timer_t*>(handle));
    auto self = IntrusivePtr<Dialer>::Adopt(static_cast<Dialer*>(owned->data));
    self->loop_->DropConnection();
  });
}

}  // namespace dqc::net
