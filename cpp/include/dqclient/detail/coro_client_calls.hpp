/* SPDX-License-Identifier: MIT */
// The calls of clients. Include <dqclient/coro.hpp>.
#pragma once

#include <dqclient/detail/coro_connection.hpp>

namespace dqc {
inline namespace DQC_CPP_NAMESPACE {
namespace detail {

using client_ref = std::shared_ptr<shared_handle<dqc_client>>;

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

}  // namespace impl
}  // namespace coro
}  // namespace DQC_CPP_NAMESPACE
}  // namespace dqc
