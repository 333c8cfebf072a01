/* SPDX-License-Identifier: MIT */
// A dqc_client on one node: autocommit writes that share transactions beside writes that do not, and
// what a pool adds to a query.
#include <memory>
#include <string>

#include "client.hpp"

namespace bench {

namespace {

constexpr char kPooledInsert[] = "INSERT INTO pooled(a, b) VALUES (?, ?)";
constexpr char kPooledQuery[] = "SELECT 1";

// `writers` at a time, each submitting its next operation when its last one has ended.
class PoolClient {
 public:
  PoolClient(const Server& server, const char* options) {
    const std::string dsn = "dqlite://" + server.address + "/bench?" + options;
    dqc_config* config = nullptr;
    Must(dqc_config_new(&config, nullptr));
    Must(dqc_config_set_dsn(config, dsn.data(), dsn.size(), nullptr));
    Must(dqc_loop_new(DQC_LOOP_DRIVEN, &loop_, nullptr));
    Must(dqc_client_new(loop_, nullptr, config, &client_, nullptr));
    dqc_config_free(config);
    Must(dqc_client_exec(client_, "CREATE TABLE IF NOT EXISTS pooled(a, b)", DQC_CSTR, nullptr, 0,
                         nullptr, nullptr, nullptr));
  }
  ~PoolClient() {
    dqc_client_free(client_);
    dqc_loop_free(loop_);
  }
  PoolClient(const PoolClient&) = delete;
  PoolClient& operator=(const PoolClient&) = delete;

  void Run(const char* sql, uint64_t args, uint64_t ops, uint64_t writers) {
    sql_ = sql;
    args_ = args;
    left_ = ops;
    for (uint64_t i = 0; i < writers && left_ > 0; ++i) Submit();
    Must(dqc_loop_run(loop_, DQC_RUN_DEFAULT, nullptr));
  }

 private:
  static void Must(dqc_status status) {
    if (status != DQC_OK) Die(std::string("pool: ") + dqc_status_name(status));
  }

  void Submit() {
    --left_;
    dqc_value values[2] = {};
    values[0].type = DQC_INTEGER;
    values[0].as.integer = static_cast<int64_t>(left_);
    values[1].type = DQC_TEXT;
    values[1].as.data = "a text for the row";
    values[1].size = DQC_CSTR;
    const auto call = args_ == 0 ? dqc_client_query_async : dqc_client_exec_async;
    Must(call(client_, sql_, DQC_CSTR, values, static_cast<size_t>(args_), nullptr, OnEvent, this,
              nullptr, nullptr));
  }

  static void OnEvent(void* user_data, const dqc_event* event) {
    if (event->type != DQC_EVENT_DONE) return;
    Must(event->status);
    auto* self = static_cast<PoolClient*>(user_data);
    if (self->left_ > 0) self->Submit();
  }

  dqc_loop* loop_ = nullptr;
  dqc_client* client_ = nullptr;
  const char* sql_ = "";
  uint64_t args_ = 0;
  uint64_t left_ = 0;
};

Variant Pooled(const Server& server, const char* name, const char* floor, const char* options,
               const char* sql, uint64_t args, uint64_t writers) {
  auto client = std::make_shared<PoolClient>(server, options);
  return {name, floor,
          [client, sql, args, writers](uint64_t ops) { client->Run(sql, args, ops, writers); }};
}

}  // namespace

Group PoolGroup(const Server& server) {
  Group group{"pool", "operation", 1, {}};
  group.variants = {
      Pooled(server, "64 writers, alone", "", "group_commit=1", kPooledInsert, 2, 64),
      Pooled(server, "64 writers, grouped", "64 writers, alone", "", kPooledInsert, 2, 64),
      Pooled(server, "1 writer, alone", "", "group_commit=1", kPooledInsert, 2, 1),
      Pooled(server, "1 writer, grouped", "1 writer, alone", "", kPooledInsert, 2, 1),
      Pooled(server, "query, 1 at a time", "", "", kPooledQuery, 0, 1),
      Pooled(server, "query, 64 on 8", "query, 1 at a time", "pool_max=8", kPooledQuery, 0, 64),
  };
  return group;
}

}  // namespace bench
