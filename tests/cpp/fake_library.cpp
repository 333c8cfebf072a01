/* SPDX-License-Identifier: MIT */
#include "cpp/fake_library.hpp"

#include <dqclient/dqclient.h>

#include <cstdio>
#include <deque>
#include <memory>
#include <utility>

struct dqc_error {
  int refs;
  dqc_status code;
  std::string message;
};
struct dqc_config {
  std::string dsn;
};
struct dqc_batch {
  int refs;
  std::vector<dqc_cell> cells;
  std::deque<std::string> texts;
};
struct operation {
  uint64_t id;
  dqc_callback callback;
  void* user_data;
  int batches_left, rows, next_id;
  dqc_status status;
  bool hangs, paused, prepares;
};
// Outlives its handle while operations are outstanding.
struct shared_conn {
  std::deque<operation> operations;
  uint64_t next_op = 1;
};
struct dqc_loop {
  int refs;
  std::vector<std::shared_ptr<shared_conn>> conns;
};
struct dqc_conn {
  dqc_loop* loop;
  std::shared_ptr<shared_conn> shared;
};
struct dqc_stmt {
  int refs;
  dqc_conn* conn;
  std::string sql;
  std::vector<dqc_value> bound;
};
struct dqc_rows {
  int batches_left, rows, next_id;
};

namespace fake {

counters& count() {
  static counters c;
  return c;
}
std::string& last_args() {
  static std::string text;
  return text;
}

namespace {

dqc_error* make_error(dqc_status code, const std::string& message) {
  ++count().errors;
  return new dqc_error{1, code, message};
}

dqc_status fail(dqc_status code, const std::string& message, dqc_error** error) {
  if (error != nullptr) *error = make_error(code, message);
  return code;
}

dqc_batch* make_batch(int rows, int first_id) {
  ++count().batches;
  auto* b = new dqc_batch{1, {}, {}};
  for (int i = 0; i < rows; ++i) {
    dqc_cell id{};
    id.type = DQC_INTEGER;
    id.as.integer = first_id + i;
    b->texts.push_back("name " + std::to_string(first_id + i));
    dqc_cell name{};
    name.type = DQC_TEXT;
    name.as.data = b->texts.back().c_str();
    name.size = static_cast<uint32_t>(b->texts.back().size());
    b->cells.push_back(id);
    b->cells.push_back(name);
  }
  return b;
}

std::string describe(const dqc_value& v) {
  std::string text = v.name != nullptr ? std::string(v.name) + "=" : "";
  const std::string bytes = v.type == DQC_TEXT || v.type == DQC_BLOB || v.type == DQC_ISO8601
                                ? std::string(static_cast<const char*>(v.as.data), v.size)
                                : "";
  switch (v.type) {
    case DQC_INTEGER:
      return text + "i" + std::to_string(v.as.integer);
    case DQC_BOOLEAN:
      return text + "b" + std::to_string(v.as.integer);
    case DQC_FLOAT:
      return text + "f" + std::to_string(v.as.real);
    case DQC_TEXT:
      return text + "t:" + bytes;
    case DQC_BLOB:
      return text + "x:" + bytes;
    case DQC_ISO8601:
      return text + "d:" + bytes;
    default:
      return text + "n";
  }
}

void remember(const dqc_value* args, size_t n) {
  last_args().clear();
  for (size_t i = 0; i < n; ++i) last_args() += (i == 0 ? "" : " ") + describe(args[i]);
}

dqc_status submit(dqc_conn* conn, const std::string& sql, dqc_callback callback, void* user_data,
                  uint64_t* op, dqc_error** error, bool prepares = false) {
  if (error != nullptr) *error = nullptr;
  if (op != nullptr) *op = 0;
  if (sql == "refuse") return fail(DQC_E_PARAMS, "refused", error);
  operation o{
      conn->shared->next_op++, callback, user_data, 0, 0, 1, DQC_OK, false, false, prepares};
  if (!prepares) std::sscanf(sql.c_str(), "rows %d %d", &o.batches_left, &o.rows);
  if (sql == "fail") o.status = DQC_E_CONSTRAINT;
  o.hangs = sql == "hang";
  ++count().operations;
  conn->shared->operations.push_back(o);
  if (op != nullptr) *op = o.id;
  return DQC_OK;
}

void deliver_done(shared_conn& conn) {
  const operation o = conn.operations.front();
  conn.operations.pop_front();
  --count().operations;
  dqc_event e{};
  e.struct_size = sizeof(e);
  e.type = DQC_EVENT_DONE;
  e.op = o.id;
  e.status = o.status;
  dqc_error* error = o.status == DQC_OK ? nullptr : make_error(o.status, "constraint or cancel");
  e.error = error;
  if (o.prepares && o.status == DQC_OK) {
    ++count().stmts;
    e.stmt = new dqc_stmt{1, nullptr, "rows 2 2", {}};
  }
  e.result = {7, 1, DQC_HAS_ROWS_AFFECTED | DQC_HAS_LAST_INSERT_ID, 1};
  if (o.callback != nullptr) o.callback(o.user_data, &e);
  dqc_error_free(error);
  dqc_stmt_free(e.stmt);
}

// Delivers one event of this connection, if one is due.
bool deliver(const std::shared_ptr<shared_conn>& keep) {
  shared_conn& conn = *keep;
  if (conn.operations.empty()) return false;
  operation& o = conn.operations.front();
  if (o.status == DQC_E_CANCELLED || (o.batches_left == 0 && !o.hangs)) {
    deliver_done(conn);
    return true;
  }
  if (o.hangs || o.paused) return false;
  --o.batches_left;
  dqc_batch* batch = make_batch(o.rows, o.next_id);
  o.next_id += o.rows;
  dqc_event e{};
  e.struct_size = sizeof(e);
  e.type = DQC_EVENT_ROWS;
  e.op = o.id;
  e.batch = batch;
  if (o.callback != nullptr) o.callback(o.user_data, &e);
  dqc_batch_free(batch);
  return true;
}

operation* find(dqc_conn* conn, uint64_t op) {
  for (operation& o : conn->shared->operations) {
    if (o.id == op) return &o;
  }
  return nullptr;
}

dqc_status blocking(const std::string& sql, dqc_error** error) {
  if (error != nullptr) *error = nullptr;
  if (sql == "refuse") return fail(DQC_E_PARAMS, "refused", error);
  if (sql == "fail") return fail(DQC_E_CONSTRAINT, "constraint", error);
  return DQC_OK;
}

dqc_rows* make_cursor(const std::string& sql) {
  ++count().cursors;
  auto* rows = new dqc_rows{0, 0, 1};
  std::sscanf(sql.c_str(), "rows %d %d", &rows->batches_left, &rows->rows);
  return rows;
}

}  // namespace
}  // namespace fake

using fake::count;

extern "C" {

const char* dqc_status_name(dqc_status) { return "status"; }

int32_t dqc_status_class(dqc_status status) {
  return status == DQC_E_CONSTRAINT ? DQC_CLASS_CONSTRAINT : DQC_CLASS_NONE;
}
dqc_status dqc_error_code(const dqc_error* e) { return e == nullptr ? DQC_OK : e->code; }
const char* dqc_error_message(const dqc_error* e) { return e == nullptr ? "" : e->message.c_str(); }
int32_t dqc_error_outcome(const dqc_error*) { return DQC_OUTCOME_NOT_EXECUTED; }
int32_t dqc_error_retry(const dqc_error*) { return DQC_RETRY_NEVER; }
int32_t dqc_error_phase(const dqc_error*) { return DQC_PHASE_NONE; }
int32_t dqc_error_server_code(const dqc_error*) { return 0; }
int32_t dqc_error_sqlite_code(const dqc_error*) { return 0; }
const char* dqc_error_server_text(const dqc_error*) { return ""; }
const char* dqc_error_node(const dqc_error*) { return ""; }
int64_t dqc_error_sql_offset(const dqc_error*) { return -1; }
dqc_error* dqc_error_retain(const dqc_error* e) {
  if (e != nullptr) ++const_cast<dqc_error*>(e)->refs;
  return const_cast<dqc_error*>(e);
}
void dqc_error_free(dqc_error* e) {
  if (e == nullptr || --e->refs != 0) return;
  --count().errors;
  delete e;
}

dqc_status dqc_config_new(dqc_config** out, dqc_error** error) {
  if (error != nullptr) *error = nullptr;
  ++count().configs;
  *out = new dqc_config;
  return DQC_OK;
}
dqc_status dqc_config_set_dsn(dqc_config* c, const char* dsn, size_t size, dqc_error** error) {
  if (error != nullptr) *error = nullptr;
  c->dsn.assign(dsn, size);
  return c->dsn.rfind("dqlite://", 0) == 0 ? DQC_OK : fake::fail(DQC_E_CONFIG, "bad dsn", error);
}
void dqc_config_free(dqc_config* c) {
  if (c != nullptr) --count().configs;
  delete c;
}

dqc_status dqc_loop_new(int32_t, dqc_loop** out, dqc_error** error) {
  if (error != nullptr) *error = nullptr;
  ++count().loops;
  *out = new dqc_loop{1, {}};
  return DQC_OK;
}
dqc_status dqc_loop_run(dqc_loop* loop, int32_t, dqc_error** error) {
  if (error != nullptr) *error = nullptr;
  const auto conns = loop->conns;
  bool any = false;
  for (const auto& c : conns) any = fake::deliver(c) || any;
  return any ? DQC_OK : fake::fail(DQC_E_MISUSE, "nothing to do: this would block for ever", error);
}
void dqc_loop_free(dqc_loop* loop) {
  if (loop == nullptr || --loop->refs != 0) return;
  --count().loops;
  delete loop;
}

dqc_status dqc_conn_new(dqc_loop* loop, dqc_queue*, const dqc_config*, dqc_conn** out,
                        dqc_error** error) {
  if (error != nullptr) *error = nullptr;
  ++count().conns;
  ++loop->refs;
  *out = new dqc_conn{loop, std::make_shared<shared_conn>()};
  loop->conns.push_back((*out)->shared);
  return DQC_OK;
}
void dqc_conn_free(dqc_conn* c) {
  if (c == nullptr) return;
  --count().conns;
  dqc_loop_free(c->loop);
  delete c;
}
dqc_status dqc_conn_connect_async(dqc_conn* c, dqc_callback cb, void* user, uint64_t* op,
                                  dqc_error** e) {
  return fake::submit(c, "", cb, user, op, e);
}
dqc_status dqc_conn_close_async(dqc_conn* c, dqc_callback cb, void* user, uint64_t* op,
                                dqc_error** e) {
  return fake::submit(c, "", cb, user, op, e);
}
dqc_status dqc_conn_exec_async(dqc_conn* c, const char* sql, size_t size, const dqc_value* args,
                               size_t n, const dqc_call_options*, dqc_callback cb, void* user,
                               uint64_t* op, dqc_error** e) {
  fake::remember(args, n);
  return fake::submit(c, std::string(sql, size), cb, user, op, e);
}
dqc_status dqc_conn_query_async(dqc_conn* c, const char* sql, size_t size, const dqc_value* args,
                                size_t n, const dqc_call_options* o, dqc_callback cb, void* user,
                                uint64_t* op, dqc_error** e) {
  return dqc_conn_exec_async(c, sql, size, args, n, o, cb, user, op, e);
}
dqc_status dqc_conn_prepare_async(dqc_conn* c, const char* sql, size_t size,
                                  const dqc_call_options*, dqc_callback cb, void* user,
                                  uint64_t* op, dqc_error** e) {
  return fake::submit(c, std::string(sql, size), cb, user, op, e, true);
}
dqc_status dqc_conn_exec(dqc_conn*, const char* sql, size_t size, const dqc_value* args, size_t n,
                         const dqc_call_options*, dqc_result* result, dqc_error** e) {
  fake::remember(args, n);
  *result = {7, 1, DQC_HAS_ROWS_AFFECTED | DQC_HAS_LAST_INSERT_ID, 1};
  return fake::blocking(std::string(sql, size), e);
}
dqc_status dqc_conn_query(dqc_conn*, const char* sql, size_t size, const dqc_value* args, size_t n,
                          const dqc_call_options*, dqc_rows** out, dqc_error** e) {
  fake::remember(args, n);
  *out = nullptr;
  const dqc_status status = fake::blocking(std::string(sql, size), e);
  if (status == DQC_OK) *out = fake::make_cursor(std::string(sql, size));
  return status;
}
dqc_status dqc_conn_cancel(dqc_conn* c, uint64_t op) {
  ++count().cancels;
  if (operation* o = fake::find(c, op)) o->status = DQC_E_CANCELLED;
  return DQC_OK;
}
dqc_status dqc_conn_pause(dqc_conn* c, uint64_t op, int32_t pause) {
  ++(pause != 0 ? count().pauses : count().resumes);
  if (operation* o = fake::find(c, op)) o->paused = pause != 0;
  return DQC_OK;
}

dqc_stmt* dqc_stmt_retain(dqc_stmt* s) {
  if (s != nullptr) ++s->refs;
  return s;
}
void dqc_stmt_free(dqc_stmt* s) {
  if (s == nullptr || --s->refs != 0) return;
  --count().stmts;
  delete s;
}
uint32_t dqc_stmt_param_count(const dqc_stmt*) { return 1; }
dqc_status dqc_stmt_bind(dqc_stmt*, uint32_t, const dqc_value* value, dqc_error** e) {
  if (e != nullptr) *e = nullptr;
  fake::remember(value, 1);
  return DQC_OK;
}

size_t dqc_batch_row_count(const dqc_batch* b) { return b->cells.size() / 2; }
size_t dqc_batch_column_count(const dqc_batch*) { return 2; }
const char* dqc_batch_column_name(const dqc_batch*, size_t column, size_t* size) {
  const std::string_view name = column == 0 ? "id" : column == 1 ? "name" : "";
  if (size != nullptr) *size = name.size();
  return column < 2 ? name.data() : nullptr;
}
const dqc_cell* dqc_batch_cells(const dqc_batch* b) { return b->cells.data(); }
dqc_batch* dqc_batch_retain(dqc_batch* b) {
  if (b != nullptr) ++b->refs;
  return b;
}
void dqc_batch_free(dqc_batch* b) {
  if (b == nullptr || --b->refs != 0) return;
  --count().batches;
  delete b;
}

dqc_status dqc_rows_next_batch(dqc_rows* rows, dqc_batch** out, dqc_error** error) {
  if (error != nullptr) *error = nullptr;
  *out = nullptr;
  if (rows->rows > 1000) return fake::fail(DQC_E_NETWORK, "connection lost", error);
  if (rows->batches_left-- <= 0) return DQC_END;
  *out = fake::make_batch(rows->rows, rows->next_id);
  rows->next_id += rows->rows;
  return DQC_ROW;
}
size_t dqc_rows_column_count(const dqc_rows*) { return 2; }
const char* dqc_rows_column_name(const dqc_rows*, size_t column) {
  return dqc_batch_column_name(nullptr, column, nullptr);
}
void dqc_rows_result(const dqc_rows*, dqc_result* result) { *result = {0, 0, 0, 1}; }
void dqc_rows_free(dqc_rows* rows) {
  if (rows != nullptr) --count().cursors;
  delete rows;
}

}  // extern "C"
