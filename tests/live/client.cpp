/* SPDX-License-Identifier: MIT */
#include "live/client.hpp"

#include <cinttypes>
#include <cstdio>
#include <ostream>
#include <thread>

namespace dqc::live {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

namespace {

std::string Format(const char* format, auto value) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::vector<dqc_value> Values(const Args& args) {
  std::vector<dqc_value> values;
  for (const Arg& arg : args) values.push_back(arg.Value());
  return values;
}

struct Options {
  explicit Options(uint64_t timeout_ms) : value{sizeof(dqc_call_options), 0, timeout_ms} {}
  dqc_call_options value;
};

Reply Refused(dqc_status status, dqc_error* error) {
  Reply reply;
  reply.status = status;
  reply.failure = Describe(error);
  dqc_error_free(error);
  return reply;
}

}  // namespace

Arg Arg::Typed(int32_t type, std::string v) {
  Arg arg(std::move(v));
  arg.type = type;
  return arg;
}

Arg Arg::Named(std::string n) const {
  Arg arg = *this;
  arg.name = std::move(n);
  return arg;
}

dqc_value Arg::Value() const {
  dqc_value value{};
  value.type = type;
  value.name = name.empty() ? nullptr : name.c_str();
  if (type == DQC_FLOAT) {
    value.as.real = real;
  } else if (type == DQC_TEXT || type == DQC_BLOB || type == DQC_ISO8601) {
    value.as.data = bytes.data();
    value.size = bytes.size();
  } else {
    value.as.integer = integer;
  }
  return value;
}

std::string ShortCell(const dqc_cell& cell) {
  switch (cell.type) {
    case DQC_INTEGER:
      return Format("I%" PRId64, cell.as.integer);
    case DQC_UNIXTIME:
      return Format("U%" PRId64, cell.as.integer);
    case DQC_BOOLEAN:
      return Format("L%" PRId64, cell.as.integer);
    case DQC_FLOAT:
      return Format("F%.17g", cell.as.real);
    case DQC_TEXT:
      return "T" + std::string(cell.as.data, cell.size);
    case DQC_ISO8601:
      return "S" + std::string(cell.as.data, cell.size);
    case DQC_NULL:
      return "N";
    case DQC_BLOB: {
      static constexpr char kDigits[] = "0123456789abcdef";
      std::string text = "B";
      for (uint32_t i = 0; i < cell.size; ++i) {
        const auto byte = static_cast<unsigned char>(cell.as.data[i]);
        text += {kDigits[byte >> 4], kDigits[byte & 15]};
      }
      return text;
    }
    default:
      return Format("?%d", static_cast<int>(cell.type));
  }
}

Failure Describe(const dqc_error* error) {
  Failure f;
  f.code = dqc_error_code(error);
  f.error_class = dqc_error_class(error);
  f.server_code = dqc_error_server_code(error);
  f.sqlite_code = dqc_error_sqlite_code(error);
  f.outcome = dqc_error_outcome(error);
  f.retry = dqc_error_retry(error);
  f.phase = dqc_error_phase(error);
  f.sql_offset = dqc_error_sql_offset(error);
  f.message = dqc_error_message(error);
  f.server_text = dqc_error_server_text(error);
  f.node = dqc_error_node(error);
  return f;
}

std::ostream& operator<<(std::ostream& out, const Failure& f) {
  return out << dqc_status_name(f.code) << " (" << f.code << "), server code " << f.server_code
             << ", outcome " << f.outcome << ", retry " << f.retry << ": " << f.message;
}

std::string Reply::Text() const {
  if (!ok()) return "!" + std::to_string(status);
  std::string text;
  for (size_t r = 0; r < rows.size(); ++r) {
    if (r > 0) text += ';';
    for (size_t c = 0; c < rows[r].size(); ++c) text += (c > 0 ? "|" : "") + rows[r][c];
  }
  return text;
}

int64_t Reply::Int() const {
  if (!ok() || rows.empty() || rows[0].empty() || rows[0][0].size() < 2) return INT64_MIN;
  return std::strtoll(rows[0][0].c_str() + 1, nullptr, 10);
}

std::ostream& operator<<(std::ostream& out, const Reply& reply) {
  if (!reply.ok()) return out << reply.failure;
  return out << "ok, " << reply.rows.size() << " rows, " << reply.Text().substr(0, 200);
}

Reply Drain(dqc_status begun, dqc_rows* cursor, dqc_error* error) {
  const Handle<dqc_rows> rows(cursor);
  if (begun != DQC_OK) return Refused(begun, error);
  Reply reply;
  dqc_status status;
  while ((status = dqc_rows_step(cursor, &error)) == DQC_ROW) {
    std::vector<std::string>& row = reply.rows.emplace_back();
    const size_t columns = dqc_rows_column_count(cursor);
    for (size_t c = 0; c < columns; ++c) row.push_back(ShortCell(*dqc_rows_cell(cursor, c)));
  }
  if (status != DQC_END) return Refused(status, error);
  for (size_t c = 0; c < dqc_rows_column_count(cursor); ++c)
    reply.columns.emplace_back(dqc_rows_column_name(cursor, c));
  dqc_rows_result(cursor, &reply.result);
  return reply;
}

Reply Stmt::Exec(const Args& args) const {
  const auto values = Values(args);
  dqc_error* error = nullptr;
  Reply reply;
  const dqc_status status =
      dqc_stmt_exec(get(), values.data(), values.size(), nullptr, &reply.result, &error);
  return status == DQC_OK ? reply : Refused(status, error);
}

Reply Stmt::Query(const Args& args) const {
  const auto values = Values(args);
  dqc_error* error = nullptr;
  dqc_rows* rows = nullptr;
  const dqc_status status =
      dqc_stmt_query(get(), values.data(), values.size(), nullptr, &rows, &error);
  return Drain(status, rows, error);
}

Conn::Conn(const std::string& dsn) {
  dqc_conn* conn = nullptr;
  dqc_error* error = nullptr;
  const dqc_status status = dqc_conn_open(dsn.data(), dsn.size(), &conn, &error);
  conn_.reset(conn);
  if (status != DQC_OK) opened_ = Refused(status, error);
}

Reply Conn::Exec(std::string_view sql, const Args& args, uint64_t timeout_ms) const {
  const auto values = Values(args);
  const Options options(timeout_ms);
  dqc_error* error = nullptr;
  Reply reply;
  const dqc_status status = dqc_conn_exec(get(), sql.data(), sql.size(), values.data(),
                                          values.size(), &options.value, &reply.result, &error);
  return status == DQC_OK ? reply : Refused(status, error);
}

Reply Conn::Query(std::string_view sql, const Args& args, uint64_t timeout_ms) const {
  const auto values = Values(args);
  const Options options(timeout_ms);
  dqc_error* error = nullptr;
  dqc_rows* rows = nullptr;
  const dqc_status status = dqc_conn_query(get(), sql.data(), sql.size(), values.data(),
                                           values.size(), &options.value, &rows, &error);
  return Drain(status, rows, error);
}

Reply Conn::Script(std::string_view sql) const {
  dqc_error* error = nullptr;
  Reply reply;
  const dqc_status status =
      dqc_conn_script(get(), sql.data(), sql.size(), nullptr, &reply.result, &error);
  return status == DQC_OK ? reply : Refused(status, error);
}

Stmt Conn::Prepare(std::string_view sql, Reply* reply) const {
  dqc_error* error = nullptr;
  dqc_stmt* stmt = nullptr;
  const dqc_status status = dqc_conn_prepare(get(), sql.data(), sql.size(), nullptr, &stmt, &error);
  const Reply told = status == DQC_OK ? Reply() : Refused(status, error);
  if (reply != nullptr) {
    *reply = told;
  } else {
    EXPECT_TRUE(told.ok()) << sql << ": " << told;
  }
  return Stmt(stmt);
}

Reply Conn::Admin(int32_t verb, uint64_t node_id, uint64_t value, const char* text) const {
  const dqc_admin request = {sizeof(dqc_admin), verb, node_id, value, text};
  dqc_error* error = nullptr;
  dqc_rows* rows = nullptr;
  const dqc_status status = dqc_conn_admin(get(), &request, nullptr, &rows, &error);
  return Drain(status, rows, error);
}

Reply Conn::Close() const {
  dqc_error* error = nullptr;
  const dqc_status status = dqc_conn_close(get(), &error);
  return status == DQC_OK ? Reply() : Refused(status, error);
}

extern "C" void CollectEvent(void* user_data, const dqc_event* event) {
  Pending& p = *static_cast<Pending*>(user_data);
  if (p.on_event) p.on_event(*event);
  EXPECT_EQ(p.done, 0) << "an event after the terminal one";
  EXPECT_GE(event->struct_size, sizeof(dqc_event));
  if (event->type == DQC_EVENT_ROWS) {
    ++p.batches;
    const size_t rows = dqc_batch_row_count(event->batch);
    const size_t columns = dqc_batch_column_count(event->batch);
    p.row_count += rows;
    if (!p.keep_rows) return;
    const dqc_cell* cell = dqc_batch_cells(event->batch);
    for (size_t r = 0; r < rows; ++r) {
      std::vector<std::string>& row = p.reply.rows.emplace_back();
      for (size_t c = 0; c < columns; ++c) row.push_back(ShortCell(*cell++));
    }
  } else if (event->type == DQC_EVENT_DONE) {
    ++p.done;
    p.reply.status = event->status;
    p.reply.failure = Describe(event->error);
    p.reply.result = event->result;
    EXPECT_EQ(event->status, dqc_error_code(event->error));
    if (event->stmt != nullptr) p.stmt.reset(dqc_stmt_retain(event->stmt));
  }
}

AsyncConn::AsyncConn(const std::string& dsn) {
  dqc_config* config = nullptr;
  dqc_error* error = nullptr;
  dqc_loop* loop = nullptr;
  dqc_conn* conn = nullptr;
  EXPECT_EQ(dqc_config_new(&config, nullptr), DQC_OK);
  const Handle<dqc_config> owned(config);
  EXPECT_EQ(dqc_config_set_dsn(config, dsn.data(), dsn.size(), &error), DQC_OK)
      << dqc_error_message(error);
  EXPECT_EQ(dqc_loop_new(DQC_LOOP_DRIVEN, &loop, nullptr), DQC_OK);
  loop_.reset(loop);
  EXPECT_EQ(dqc_conn_new(loop, nullptr, config, &conn, &error), DQC_OK) << dqc_error_message(error);
  conn_.reset(conn);
  dqc_error_free(error);
}

dqc_status AsyncConn::Connect(Pending* p) const {
  return dqc_conn_connect_async(get(), CollectEvent, p, &p->op, nullptr);
}

dqc_status AsyncConn::Exec(std::string_view sql, Pending* p, const Args& args,
                           uint64_t timeout_ms) const {
  const auto values = Values(args);
  const Options options(timeout_ms);
  return dqc_conn_exec_async(get(), sql.data(), sql.size(), values.data(), values.size(),
                             &options.value, CollectEvent, p, &p->op, nullptr);
}

dqc_status AsyncConn::Query(std::string_view sql, Pending* p, const Args& args,
                            uint64_t timeout_ms) const {
  const auto values = Values(args);
  const Options options(timeout_ms);
  return dqc_conn_query_async(get(), sql.data(), sql.size(), values.data(), values.size(),
                              &options.value, CollectEvent, p, &p->op, nullptr);
}

dqc_status AsyncConn::Script(std::string_view sql, Pending* p) const {
  return dqc_conn_script_async(get(), sql.data(), sql.size(), nullptr, CollectEvent, p, &p->op,
                               nullptr);
}

dqc_status AsyncConn::Prepare(std::string_view sql, Pending* p) const {
  return dqc_conn_prepare_async(get(), sql.data(), sql.size(), nullptr, CollectEvent, p, &p->op,
                                nullptr);
}

dqc_status AsyncConn::StmtExec(dqc_stmt* stmt, Pending* p, const Args& args) const {
  const auto values = Values(args);
  return dqc_stmt_exec_async(stmt, values.data(), values.size(), nullptr, CollectEvent, p, &p->op,
                             nullptr);
}

dqc_status AsyncConn::StmtQuery(dqc_stmt* stmt, Pending* p, const Args& args) const {
  const auto values = Values(args);
  return dqc_stmt_query_async(stmt, values.data(), values.size(), nullptr, CollectEvent, p, &p->op,
                              nullptr);
}

dqc_status AsyncConn::Admin(const dqc_admin& request, Pending* p) const {
  return dqc_conn_admin_async(get(), &request, nullptr, CollectEvent, p, &p->op, nullptr);
}

bool AsyncConn::RunUntil(const std::function<bool()>& condition) const {
  const auto end = steady_clock::now() + seconds(20);
  while (!condition()) {
    if (steady_clock::now() >= end) return false;
    // Not RUN_ONCE: a lost event must fail the test, not hang it.
    if (dqc_loop_run(loop_.get(), DQC_RUN_NOWAIT, nullptr) != DQC_OK) return false;
    if (!condition()) std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  return true;
}

void AsyncConn::Close() const { (void)dqc_conn_close(get(), nullptr); }

Reply WriteThroughNewConnection(const std::string& dsn) {
  const auto end = steady_clock::now() + seconds(10);
  for (;;) {
    const Conn conn(dsn);
    Reply reply = conn.opened();
    for (const char* sql : {"CREATE TABLE IF NOT EXISTS alive(x)", "INSERT INTO alive VALUES (1)"})
      if (reply.ok()) reply = conn.Exec(sql);
    if (reply.ok()) reply = conn.Query("SELECT count(*) FROM alive");
    if (reply.ok() || steady_clock::now() >= end) return reply;
    // A connection of the test that was just dropped may hold the lock for a moment.
    std::this_thread::sleep_for(milliseconds(20));
  }
}

void SqlTest::SetUp() {
  LiveTest::SetUp();
  if (!server().available) return;
  database_ = UniqueDatabase();
  pid_ = OneNode().node(0).pid();
}

void SqlTest::TearDown() {
  if (pid_ != 0) {
    tool::NodeProcess& node = OneNode().node(0);
    EXPECT_TRUE(node.Running() && node.pid() == pid_) << "the node died in this test";
    // Twice: what a test left behind may only be found at the next open.
    for (const std::string& name : {database_, std::string("other"), database_}) {
      const Reply reply = WriteThroughNewConnection(Dsn("", name));
      EXPECT_TRUE(reply.ok()) << "database " << name << " after the test: " << reply;
    }
    EXPECT_TRUE(node.Running()) << "the node died after this test: " << node.Obituary();
  }
  LiveTest::TearDown();
}

std::string SqlTest::Dsn(const std::string& options, const std::string& database) {
  return "dqlite://" + OneNode().Address(0) + "/" + (database.empty() ? database_ : database) +
         (options.empty() ? "" : "?" + options);
}

Conn SqlTest::Open(const std::string& options) {
  Conn conn(Dsn(options));
  EXPECT_TRUE(conn) << conn.opened();
  return conn;
}

}  // namespace dqc::live
