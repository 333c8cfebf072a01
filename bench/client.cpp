/* SPDX-License-Identifier: MIT */
#include "client.hpp"

#include <algorithm>

namespace bench {

namespace {

dqc_value* InsertValues() {
  static dqc_value values[2] = {};
  values[0].type = DQC_INTEGER;
  values[0].as.integer = kNumber;
  values[1].type = DQC_TEXT;
  values[1].as.data = kText;
  values[1].size = sizeof(kText) - 1;
  return values;
}

}  // namespace

void Must(dqc_status status, dqc_error* error) {
  if (status < 0) Die(dqc_error_message(error));
}

Client::Client(const Server& server, std::string_view options, Mode mode) {
  dqc_error* error = nullptr;
  dqc_config* config = nullptr;
  const std::string dsn = "dqlite://" + server.address + "/bench?" + std::string(options);
  Must(dqc_config_new(&config, &error), error);
  Must(dqc_config_set_dsn(config, dsn.data(), dsn.size(), &error), error);
  const bool threaded = mode == Mode::kThreaded;
  Must(dqc_loop_new(threaded ? DQC_LOOP_THREADED : DQC_LOOP_DRIVEN, &loop_, &error), error);
  if (threaded) Must(dqc_queue_new(&queue_, &error), error);
  Must(dqc_conn_new(loop_, queue_, config, &conn_, &error), error);
  dqc_config_free(config);
  Must(dqc_conn_connect(conn_, &error), error);
}

Client::~Client() {
  dqc_stmt_free(stmt_);
  dqc_conn_free(conn_);
  dqc_queue_free(queue_);
  dqc_loop_free(loop_);
}

dqc_stmt* Client::Prepare(const char* sql) {
  dqc_error* error = nullptr;
  Must(dqc_conn_prepare(conn_, sql, DQC_CSTR, nullptr, &stmt_, &error), error);
  return stmt_;
}

void Client::Exec(const char* sql) {
  dqc_error* error = nullptr;
  Must(dqc_conn_exec(conn_, sql, DQC_CSTR, nullptr, 0, nullptr, nullptr, &error), error);
}

void Client::QuerySequential(dqc_stmt* stmt, uint64_t ops) {
  dqc_error* error = nullptr;
  while (ops-- > 0) {
    dqc_rows* rows = nullptr;
    Must(dqc_stmt_query(stmt, nullptr, 0, nullptr, &rows, &error), error);
    Must(dqc_rows_step(rows, &error), error);
    if (dqc_rows_int64(rows, 0) != 1) Die("SELECT 1 is not 1");
    Must(dqc_rows_step(rows, &error), error);
    dqc_rows_free(rows);
  }
}

void Client::InsertSequential(dqc_stmt* stmt, uint64_t ops) {
  dqc_error* error = nullptr;
  const dqc_value* values = InsertValues();
  dqc_result result;
  while (ops-- > 0) Must(dqc_stmt_exec(stmt, values, 2, nullptr, &result, &error), error);
}

void Client::SubmitOne(Work* work) {
  dqc_error* error = nullptr;
  --work->to_submit;
  if (work->insert) {
    Must(
        dqc_stmt_exec_async(work->stmt, InsertValues(), 2, nullptr, OnEvent, work, nullptr, &error),
        error);
  } else {
    Must(dqc_stmt_query_async(work->stmt, nullptr, 0, nullptr, OnEvent, work, nullptr, &error),
         error);
  }
}

void DQC_CALL Client::OnEvent(void* data, const dqc_event* event) {
  auto* work = static_cast<Work*>(data);
  if (event->type == DQC_EVENT_ROWS) {
    if (dqc_batch_cells(event->batch)->as.integer != 1) Die("SELECT 1 is not 1");
    return;
  }
  if (event->status != DQC_OK) Die(dqc_error_message(event->error));
  --work->to_finish;
  if (work->to_submit > 0) SubmitOne(work);
}

void Client::RunPipelined(Work work, uint64_t depth) {
  dqc_error* error = nullptr;
  for (uint64_t i = std::min(depth, work.to_submit); i > 0; --i) SubmitOne(&work);
  if (queue_ == nullptr) return Must(dqc_loop_run(loop_, DQC_RUN_DEFAULT, &error), error);
  while (work.to_finish > 0) {
    dqc_queue_wait(queue_, -1);
    dqc_queue_dispatch(queue_, 0);
  }
}

void Client::QueryPipelined(dqc_stmt* stmt, uint64_t ops, uint64_t depth) {
  RunPipelined({stmt, false, ops, ops}, depth);
}

void Client::InsertPipelined(dqc_stmt* stmt, uint64_t ops, uint64_t depth) {
  RunPipelined({stmt, true, ops, ops}, depth);
}

}  // namespace bench
