/* SPDX-License-Identifier: MIT */
// How a connection gets its socket.
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "net/connection.hpp"

namespace dqc::net {

using session::State;

void Connection::StartConnecting(IntrusivePtr<QueuedOperation> op) noexcept {
  Guarded([&] {
    if (session_.state() != State::kNew) {  // a close call overtook it
      op->status = Status::Make(Code::kClosed, "the connection was closed").With(Phase::kClose);
      return OnDone(IntrusivePtr<session::Operation>::Adopt(op.Detach()));
    }
    Retain();  // while registered
    registered_ = true;
    loop_->AddConnection();
    session_.Connect(IntrusivePtr<session::Operation>::Adopt(op.Detach()), Loop::Now());
    auto timer = std::make_unique<uv_timer_t>();
    uv_timer_init(loop_->uv(), timer.get());
    timer->data = this;
    timer_ = timer.release();
    Log(LogLevel::kDebug, "connect", "connecting");
    const Status started = StartDial();
    if (!started.ok()) session_.Fail(started);
  });
}

Status Connection::StartDial() {
  if (hooks_ && hooks_->dials()) {
    hooks_->Dial(IntrusivePtr<Connection>::Share(this));
    return {};
  }
  return StartDialer();
}

Status Connection::StartDialer() {
  dialer_ = IntrusivePtr<Dialer>::Adopt(new Dialer(loop_.get(), this, options_.stagger_us));
  return dialer_->Start(options_.address);
}

void Connection::DialDone(int fd, std::string_view message) noexcept {
  dialed_fd_ = fd;
  const size_t size = std::min(message.size(), sizeof(dialed_message_) - 1);
  std::memcpy(dialed_message_, message.data(), size);
  dialed_message_[size] = '\0';
  Retain();
  dialed_.run = [](Command* command) noexcept {
    const auto self =
        IntrusivePtr<Connection>::Adopt(static_cast<OwnCommand*>(command)->connection);
    const int socket = std::exchange(self->dialed_fd_, -1);
    if (socket >= 0) return self->OnDialed(socket);
    self->Guarded([&] {
      if (self->session_.state() != State::kConnecting) return;
      if (socket == kDialByLibrary) {
        const Status started = self->StartDialer();
        return started.ok() ? void() : self->session_.Fail(started);
      }
      self->session_.Fail(Status::Make(Code::kConnect, "the application could not dial " +
                                                           self->options_.address + ": " +
                                                           self->dialed_message_)
                              .With(Phase::kConnect)
                              .WithNode(self->options_.address));
    });
  };
  loop_->Post(&dialed_);
}

void Connection::OnDialed(Result<int> fd) noexcept {
  dialer_ = nullptr;
  if (fd.ok() && session_.state() != State::kConnecting) {
    close(*fd);
    return;
  }
  Guarded([&] {
    if (!fd.ok()) {
      Log(LogLevel::kWarning, "connect", fd.status().message());
      return session_.Fail(fd.status());
    }
    int owned = *fd;
    try {
      transport_ = MakeSocketTransport(owned, options_.socket);
    } catch (const std::bad_alloc&) {
      close(owned);
      throw;
    }
    fd_ = owned;
    auto poll = std::make_unique<uv_poll_t>();
    if (const int rc = uv_poll_init(loop_->uv(), poll.get(), owned); rc != 0) {
      return session_.Fail(Status::Make(Code::kConnect, std::string("the socket to ") +
                                                            options_.address +
                                                            " cannot be polled: " + uv_strerror(rc))
                               .With(Phase::kConnect)
                               .WithNode(options_.address));
    }
    poll_ = poll.release();
    poll_->data = this;
    Retain();  // the handle's
    loop_->AddConnection();
    session_.TransportReady(Loop::Now());
  });
}

}  // namespace dqc::net
