/* SPDX-License-Identifier: MIT */
// The C interface as the live tests use it: results as values, short forms of cells for
// comparisons, and a fixture that looks at the node after each test.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "live/harness.hpp"

namespace dqc::live {

// A parameter that owns its bytes.
struct Arg {
  int32_t type = DQC_NULL;
  int64_t integer = 0;
  double real = 0;
  std::string bytes;
  std::string name;  // with its prefix; empty: by position

  Arg(int v) : type(DQC_INTEGER), integer(v) {}                // NOLINT: short calls
  Arg(int64_t v) : type(DQC_INTEGER), integer(v) {}            // NOLINT
  Arg(double v) : type(DQC_FLOAT), real(v) {}                  // NOLINT
  Arg(bool v) : type(DQC_BOOLEAN), integer(v ? 1 : 0) {}       // NOLINT
  Arg(const char* v) : type(DQC_TEXT), bytes(v) {}             // NOLINT
  Arg(std::string v) : type(DQC_TEXT), bytes(std::move(v)) {}  // NOLINT
  Arg(std::nullptr_t) {}                                       // NOLINT
  static Arg Blob(std::string v) { return Typed(DQC_BLOB, std::move(v)); }
  static Arg Time(std::string v) { return Typed(DQC_ISO8601, std::move(v)); }
  static Arg Typed(int32_t type, std::string v);
  Arg Named(std::string n) const;

  dqc_value Value() const;  // borrows
};
using Args = std::vector<Arg>;

// A cell by value. Short forms: "I-3", "F1.5", "Ttext", "Bab00", "N", "U12" (UNIXTIME),
// "S2020-01-01" (ISO8601), "L1" (BOOLEAN).
std::string ShortCell(const dqc_cell& cell);

struct Failure {
  dqc_status code = DQC_OK;
  int32_t error_class = 0, server_code = 0, sqlite_code = 0, outcome = 0, retry = 0, phase = 0;
  int64_t sql_offset = -1;
  std::string message, server_text, node;
};
Failure Describe(const dqc_error* error);
std::ostream& operator<<(std::ostream& out, const Failure& failure);

// What came of a call. Comparisons go by Text(): cells by '|', rows by ';', or "!<code>" of a
// failure.
struct Reply {
  dqc_status status = DQC_OK;
  Failure failure;
  dqc_result result{};
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;  // short forms

  bool ok() const { return status == DQC_OK; }
  std::string Text() const;
  int64_t Int() const;  // first cell; INT64_MIN if it is none
};
std::ostream& operator<<(std::ostream& out, const Reply& reply);

// A server gives a transfer of the leadership up where the other node does not follow in time: then it
// is asked for again.
template <typename F>
Reply Transferred(F transfer) {
  Reply reply = transfer();
  for (int tries = 0; tries < 20 && reply.failure.server_code == 1; ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    reply = transfer();
  }
  return reply;
}

struct FreeHandle {
  void operator()(dqc_conn* h) const { dqc_conn_free(h); }
  void operator()(dqc_rows* h) const { dqc_rows_free(h); }
  void operator()(dqc_stmt* h) const { dqc_stmt_free(h); }
  void operator()(dqc_batch* h) const { dqc_batch_free(h); }
  void operator()(dqc_config* h) const { dqc_config_free(h); }
  void operator()(dqc_loop* h) const { dqc_loop_free(h); }
};
template <typename T>
using Handle = std::unique_ptr<T, FreeHandle>;

// Steps to the end.
Reply Drain(dqc_status begun, dqc_rows* rows, dqc_error* error);

class Stmt {
 public:
  Stmt() = default;
  explicit Stmt(dqc_stmt* stmt) : stmt_(stmt) {}
  Reply Exec(const Args& args = {}) const;
  Reply Query(const Args& args = {}) const;
  dqc_stmt* get() const { return stmt_.get(); }
  explicit operator bool() const { return stmt_ != nullptr; }
  void Free() { stmt_.reset(); }

 private:
  Handle<dqc_stmt> stmt_;
};

// A blocking connection.
class Conn {
 public:
  Conn() = default;
  // Never throws: look at opened().
  explicit Conn(const std::string& dsn);
  explicit Conn(dqc_conn* leased) : conn_(leased) {}
  const Reply& opened() const { return opened_; }
  explicit operator bool() const { return conn_ != nullptr; }
  dqc_conn* get() const { return conn_.get(); }

  Reply Exec(std::string_view sql, const Args& args = {}, uint64_t timeout_ms = 0) const;
  Reply Query(std::string_view sql, const Args& args = {}, uint64_t timeout_ms = 0) const;
  Reply Script(std::string_view sql) const;
  Stmt Prepare(std::string_view sql, Reply* reply = nullptr) const;
  Reply Admin(int32_t verb, uint64_t node_id = 0, uint64_t value = 0,
              const char* text = nullptr) const;
  Reply Close() const;
  void Free() { conn_.reset(); }
  int32_t state() const { return dqc_conn_state(conn_.get()); }

 private:
  Handle<dqc_conn> conn_;
  Reply opened_;
};

// An operation of which the events are collected.
struct Pending {
  uint64_t op = 0;
  bool keep_rows = true;
  std::function<void(const dqc_event&)> on_event;  // nullable; before the rest
  int done = 0;                                    // terminal events
  size_t batches = 0, row_count = 0;
  Reply reply;
  Handle<dqc_stmt> stmt;  // of a prepare
};
extern "C" void CollectEvent(void* pending, const dqc_event* event);

// A connection on a driven loop of its own, for asynchronous calls. Pendings must outlive it.
class AsyncConn {
 public:
  explicit AsyncConn(const std::string& dsn);
  dqc_conn* get() const { return conn_.get(); }
  dqc_loop* loop() const { return loop_.get(); }
  dqc_status Connect(Pending* p) const;
  dqc_status Exec(std::string_view sql, Pending* p, const Args& args = {},
                  uint64_t timeout_ms = 0) const;
  dqc_status Query(std::string_view sql, Pending* p, const Args& args = {},
                   uint64_t timeout_ms = 0) const;
  dqc_status Script(std::string_view sql, Pending* p) const;
  dqc_status Prepare(std::string_view sql, Pending* p) const;
  dqc_status StmtExec(dqc_stmt* stmt, Pending* p, const Args& args = {}) const;
  dqc_status StmtQuery(dqc_stmt* stmt, Pending* p, const Args& args = {}) const;
  dqc_status Admin(const dqc_admin& request, Pending* p) const;
  void Cancel(const Pending& p) const { (void)dqc_conn_cancel(conn_.get(), p.op); }
  // False after 20 s.
  bool RunUntil(const std::function<bool()>& condition) const;
  bool Finish(const Pending& p) const {
    return RunUntil([&] { return p.done > 0; });
  }
  void Close() const;  // blocking
  void FreeConn() { conn_.reset(); }

 private:
  Handle<dqc_loop> loop_;
  Handle<dqc_conn> conn_;
};

// A test with a database of its own on the shared node. Afterwards the node must be alive, the same
// process as before, and writable by other connections, in this database and in another.
class SqlTest : public LiveTest {
 protected:
  void SetUp() override;
  void TearDown() override;

  std::string Dsn(const std::string& options = "", const std::string& database = "");
  Conn Open(const std::string& options = "");  // a failure is one of the test
  const std::string& database() const { return database_; }
  char era() const { return ExpectedEra(); }
  bool ReturningWorks() const { return era() != 'C'; }

 private:
  std::string database_;
  pid_t pid_ = 0;
};

// Waits up to 10 s for a write through a new connection to `dsn`; the last failure.
Reply WriteThroughNewConnection(const std::string& dsn);

}  // namespace dqc::live
