/* SPDX-License-Identifier: MIT */
#include "net/lookup.hpp"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <new>

#include "client/config.hpp"
#include "client/ip.hpp"

namespace dqc::net {

namespace {

constexpr size_t kAddressesMax = 100;

// As it is dialled; empty if it cannot be.
std::string Numeric(const addrinfo& info) {
  char host[NI_MAXHOST];
  char port[NI_MAXSERV];
  if (getnameinfo(info.ai_addr, info.ai_addrlen, host, sizeof(host), port, sizeof(port),
                  NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return {};
  }
  std::string text = host;
  if (info.ai_family == AF_INET6) text.insert(0, 1, '[').append("]");
  text.append(":").append(port);
  const Result<client::Address> address = client::ParseAddress(text, 0);
  return address.ok() ? client::FormatAddress(*address) : std::string();
}

}  // namespace

bool Lookup::IsName(const std::string& address) {
  const Result<client::Address> parsed = client::ParseAddress(address, 0);
  return parsed.ok() && parsed->host.find(':') == std::string::npos &&
         !client::ParseIpv4(parsed->host);
}

Status Lookup::Start(const std::string& address) {
  const Result<client::Address> parsed = client::ParseAddress(address, 0);
  DQC_TRY(parsed.status());
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  request_.data = this;
  const int rc = uv_getaddrinfo(
      loop_->uv(), &request_,
      [](uv_getaddrinfo_t* request, int status, addrinfo* list) {
        const auto self = IntrusivePtr<Lookup>::Adopt(static_cast<Lookup*>(request->data));
        try {
          if (status == 0) self->Take(list);
        } catch (const std::bad_alloc&) {
          self->ok_ = false;
        }
        uv_freeaddrinfo(list);
        if (Owner* owner = std::exchange(self->owner_, nullptr)) owner->OnLookup(self.get());
        self->loop_->DropConnection();
        self->loop_->AfterCallback();
      },
      parsed->host.c_str(), std::to_string(parsed->port).c_str(), &hints);
  if (rc == UV_ENOMEM) return Status::OutOfMemory();
  if (rc != 0)
    return Status::Make(Code::kInternal, std::string("uv_getaddrinfo: ") + uv_strerror(rc));
  Retain();
  loop_->AddConnection();
  return {};
}

void Lookup::Take(const addrinfo* list) {
  size_t v4 = 0;
  size_t v6 = 0;
  for (const addrinfo* a = list; a != nullptr && addresses_.size() < kAddressesMax;
       a = a->ai_next) {
    if (a->ai_family != AF_INET && a->ai_family != AF_INET6) continue;
    std::string address = Numeric(*a);
    const auto at = std::lower_bound(addresses_.begin(), addresses_.end(), address);
    if (address.empty() || (at != addresses_.end() && *at == address)) continue;
    addresses_.insert(at, std::move(address));
    ++(a->ai_family == AF_INET ? v4 : v6);
  }
  if (v4 < 2 && v6 < 2) addresses_.clear();
  ok_ = true;
}

void Lookup::Cancel() noexcept {
  owner_ = nullptr;
  uv_cancel(reinterpret_cast<uv_req_t*>(&request_));  // else it ends by itself, unheard
}

}  // namespace dqc::net
