/* SPDX-License-Identifier: MIT */
// Connect, one query, close.
#include <memory>

#include "client.hpp"
#include "raw.hpp"

namespace bench {

namespace {

void RawConnect(const Server& server, bool one_segment) {
  static const Frame handshake = HandshakeFrames();
  static const Frame query = QuerySqlFrame(kSelect1);
  static const Frame both = [] {
    Frame frame = handshake;
    frame.insert(frame.end(), query.begin(), query.end());
    return frame;
  }();
  RawClient raw(server.address, Wait::kBlock);
  raw.ExpectFailures();
  if (one_segment) {
    raw.Send(both);
    return raw.Await(kHandshakeReplies + 1);
  }
  raw.Send(handshake);
  raw.Await(kHandshakeReplies);
  raw.Send(query);
  raw.Await(1);
}

void Blocking(const std::string& dsn) {
  dqc_error* error = nullptr;
  dqc_conn* conn = nullptr;
  dqc_rows* rows = nullptr;
  Must(dqc_conn_open(dsn.data(), dsn.size(), &conn, &error), error);
  Must(dqc_conn_query(conn, kSelect1, DQC_CSTR, nullptr, 0, nullptr, &rows, &error), error);
  Must(dqc_rows_step(rows, &error), error);
  dqc_rows_free(rows);
  Must(dqc_conn_close(conn, &error), error);
  dqc_conn_free(conn);
}

void DQC_CALL OnEvent(void* user_data, const dqc_event* event) {
  dqc_error* error = nullptr;
  if (event->type != DQC_EVENT_DONE) return;
  if (event->status != DQC_OK) Die(dqc_error_message(event->error));
  Must(dqc_conn_close_async(static_cast<dqc_conn*>(user_data), nullptr, nullptr, nullptr, &error),
       error);
}

// The query travels with the handshake.
void Async(dqc_loop* loop, const dqc_config* config) {
  dqc_error* error = nullptr;
  dqc_conn* conn = nullptr;
  Must(dqc_conn_new(loop, nullptr, config, &conn, &error), error);
  Must(dqc_conn_connect_async(conn, nullptr, nullptr, nullptr, &error), error);
  Must(dqc_conn_query_async(conn, kSelect1, DQC_CSTR, nullptr, 0, nullptr, OnEvent, conn, nullptr,
                            &error),
       error);
  Must(dqc_loop_run(loop, DQC_RUN_DEFAULT, &error), error);
  dqc_conn_free(conn);
}

}  // namespace

Group ConnectGroup(const Server& server) {
  const std::string dsn = "dqlite://" + server.address + "/bench?poll_time=0";
  dqc_error* error = nullptr;
  dqc_loop* loop = nullptr;
  dqc_config* config = nullptr;
  Must(dqc_loop_new(DQC_LOOP_DRIVEN, &loop, &error), error);
  Must(dqc_config_new(&config, &error), error);
  Must(dqc_config_set_dsn(config, dsn.data(), dsn.size(), &error), error);
  const auto repeat = [](auto work) {
    return [work](uint64_t ops) {
      while (ops-- > 0) work();
    };
  };
  Group group{"connect", "connection", 1, {}};
  group.variants = {
      {"raw", "", repeat([server] { RawConnect(server, false); })},
      {"blocking", "raw", repeat([dsn] { Blocking(dsn); })},
      {"raw one segment", "", repeat([server] { RawConnect(server, true); })},
      {"callback", "raw one segment", repeat([loop, config] { Async(loop, config); })},
  };
  return group;
}

}  // namespace bench
