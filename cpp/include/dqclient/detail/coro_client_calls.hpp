/* SPDX-License-Identifier: MIT */
// The calls of clients. Include <dqclient/coro.hpp>.
#pragma once

#include <dqclient/detail/coro_connection.hpp>

namespace dqc {
inline namespace DQC_CPP_NAMESPACE {
namespace detail {

// A client, and a clock: a second client whose only node refuses every dial for ever, so that connecting it takes
// exactly as long as it may. The C interface has no timers.
class shared_client final : public shared_handle<dqc_client> {
 public:
  using clock_ref = std::shared_ptr<shared_handle<dqc_client>>;
  shared_client(dqc::client made, dqc::client clock)
      : shared_handle(std::move(made).release()),
        clock_(std::make_shared<shared_handle>(std::move(clock).release())) {}

  static result<config> clock_config() {
    result<config> c = config::parse("dqlite://clock.invalid/?backoff_min=1h&backoff_max=1h");
    if (c.ok()) dqc_config_set_dial(c->get(), &refuse, nullptr, nullptr);
    return c;
  }
  const clock_ref& clock() const noexcept { return clock_; }

 private:
  static void DQC_CALL refuse(void*, const char*, dqc_dial* dial) {
    dqc_dial_done(dial, -1, "this is a clock");
  }
  clock_ref clock_;
};

using client_ref = std::shared_ptr<shared_client>;

}  // namespace detail

namespace coro {

namespace impl {

// All calls of a client.
template <class D>
class client_calls : public sql_calls<D>, public request_calls<D> {
 public:
  /** Find the leader and connect to it. Not needed: the first operation does it too. */
  operation<void> connect() { return submit<void>(&dqc_client_connect_async); }
  /** End the client: what waits fails with DQC_E_CLOSED, what runs may end, leases may be given back. */
  operation<void> close() { return submit<void>(&dqc_client_close_async); }
  /** Lease a connection; its last copy gives it back. */
  operation<connection> acquire() { return submit<connection>(&dqc_client_acquire_async); }

 private:
  template <class T, class F>
  operation<T> submit(F* f) {
    D& self = static_cast<D&>(*this);
    return operation<T>(
        start(self.conn(), mode::discard, [&](auto, auto, auto cb, void* user, auto* op, auto** e) {
          return f(self.conn()->handle.get(), self.call_options(), cb, user, op, e);
        }));
  }
};

// Resumes after a time; sooner only without memory, or when the client is closed.
inline operation<void> sleep(const detail::client_ref& client, std::chrono::milliseconds time) {
  const options o = options().timeout(time);
  const auto& clock = client->clock();
  return operation<void>(
      start(clock, mode::discard, [&](auto, auto, auto cb, void* user, auto* op, auto** e) {
        return dqc_client_connect_async(clock->handle.get(), &o.raw(), cb, user, op, e);
      }));
}

}  // namespace impl
}  // namespace coro
}  // namespace DQC_CPP_NAMESPACE
}  // namespace dqc
