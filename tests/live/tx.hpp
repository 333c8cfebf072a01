/* SPDX-License-Identifier: MIT */
// A dqc_tx as the tests use it: replies as values.
#pragma once

#include "live/cluster_client.hpp"

namespace dqc::live {

class Tx {
 public:
  explicit Tx(const Client& client, int32_t mode = DQC_BEGIN_IMMEDIATE, uint32_t flags = 0,
              uint64_t timeout_ms = 0) {
    const dqc_tx_options options{sizeof(options), mode, flags, 0, timeout_ms};
    dqc_tx* tx = nullptr;
    EXPECT_EQ(dqc_tx_new(client.get(), &options, &tx, nullptr), DQC_OK);
    tx_.reset(tx);
  }
  Reply Begin() {
    dqc_conn* conn = nullptr;
    Reply reply = Told([&](dqc_error** e) { return dqc_tx_begin(tx_.get(), &conn, e); });
    if (reply.ok()) conn_ = Conn(conn);
    return reply;
  }
  Reply Commit() {
    return Told([&](dqc_error** e) { return dqc_tx_commit(tx_.get(), e); });
  }
  Reply Rollback(const dqc_error* why = nullptr) {
    return Told([&](dqc_error** e) { return dqc_tx_rollback(tx_.get(), why, e); });
  }
  Conn& conn() { return conn_; }
  dqc_tx* get() const { return tx_.get(); }
  void Free() { tx_.reset(); }

 private:
  template <typename Call>
  static Reply Told(Call call) {
    dqc_error* error = nullptr;
    Reply reply;
    reply.status = call(&error);
    reply.failure = Describe(error);
    dqc_error_free(error);
    return reply;
  }
  struct FreeTx {
    void operator()(dqc_tx* h) const { dqc_tx_free(h); }
  };
  std::unique_ptr<dqc_tx, FreeTx> tx_;
  Conn conn_;
};

}  // namespace dqc::live
