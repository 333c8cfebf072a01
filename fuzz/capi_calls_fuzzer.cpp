/* SPDX-License-Identifier: MIT */
// Legal calls of the C interface in any order, against the mock in the same thread:
// [era][scenario][order of freeing] then one byte per call and its arguments. Every accepted
// operation must get exactly one terminal event,
// in a place where callbacks may run.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <memory>
#include <vector>

#include "calls.hpp"
#include "dqclient/dqclient.h"
#include "mock/conn.hpp"
#include "mock/scenarios.hpp"

namespace {

using namespace dqc;

constexpr size_t kCallsMax = 200;
constexpr size_t kReplyMax = 1 << 16;

class World;

struct Op {
  World* world = nullptr;
  uint64_t id = 0;
  int done = 0;
  uint8_t then = 0;  // what its callback does
};

const char* const kSql[] = {
    "INSERT INTO t VALUES(1)",
    "SELECT * FROM t",
    "SELECT ?, ?",
    "INSERT INTO t VALUES(1) RETURNING a",
    "PRAGMA user_version",
    "SELECT 1; SELECT 2",
    "BEGIN",
    "UPDATE t SET a = :a",
    "",
    "INSERT INTO t VALUES(1); UPDATE t SET a = 2; SELECT 1;",
};

// The application, its one connection, and the server at the other end of a socket pair.
class World {
 public:
  World(Input& input, mock::Era era) : input_(input), node_(era) {
    const std::vector<std::string_view> names = mock::ScenarioNames();
    mock::Install(node_, names[input.Byte() % names.size()], 3);
    order_ = input.Byte();
    Require(dqc_config_new(&config_, nullptr) == DQC_OK);
    Set("drain_timeout", "0");
    Set("drain_timeout_era_d", "0");
    Set("high_water", "4KiB");
    Set("read_buffer", "4KiB");
    if (order_ & 64) Set("cell_types", "go");
    Require(dqc_config_set_dsn(config_, "dqlite://mock:1/db", DQC_CSTR, nullptr) == DQC_OK);
    Require(dqc_config_set_dial(config_, OnDial, this, nullptr) == DQC_OK);
    Require(dqc_loop_new(DQC_LOOP_DRIVEN, &loop_, nullptr) == DQC_OK);
    Require(dqc_conn_new(loop_, nullptr, config_, &conn_, nullptr) == DQC_OK);
  }

  ~World() {
    may_call_ = true;
    for (int i = 0; i < 5; ++i) FreeOne((order_ + i) % 5);
    if (dial_ != nullptr) dqc_dial_done(std::exchange(dial_, nullptr), -1, "too late");
    Hang();
    for (const Op& op : ops_) Require(op.done == 1);
  }

  void Call() {
    const uint8_t what = input_.Byte();
    switch (what % 20) {
      case 0:
        return Started([&](Op* op, uint64_t* id) {
          return dqc_conn_connect_async(conn_, OnEvent, op, id, nullptr);
        });
      case 1:
      case 2:
      case 3:
      case 4:
        return Statement(what % 20);
      case 5:
      case 6:
        return Prepared(what % 20 == 5);
      case 7:
        (void)dqc_conn_cancel(conn_, Some());
        return;
      case 8:
        (void)dqc_conn_pause(conn_, Some(), 1);
        return;
      case 9:
        (void)dqc_conn_pause(conn_, Some(), 0);
        return;
      case 10:
      case 11:
        return Run();
      case 12:
      case 13:
        return Serve();
      case 14:
        return node_.Release();
      case 15:
        return Hang();
      case 16:
        return FreeOne(4);
      case 17:
        return Bind();
      case 18:
        return AnswerDial();
      default:
        if (input_.Byte() % 4 != 0) return Run();
        return Started([&](Op* op, uint64_t* id) {
          return dqc_conn_close_async(conn_, OnEvent, op, id, nullptr);
        });
    }
  }

  void Run() {
    if (in_callback_ || loop_ == nullptr) return;
    may_call_ = true;
    Require(dqc_loop_run(loop_, DQC_RUN_NOWAIT, nullptr) == DQC_OK);
    may_call_ = false;
  }

  // The server takes what has come and answers.
  void Serve() {
    if (peer_ < 0) return;
    uint8_t bytes[8192];
    const ssize_t n = recv(peer_, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (n == 0) return Hang();
    const mock::Bytes reply =
        server_->Respond({bytes, n > 0 ? static_cast<size_t>(n) : 0}, kReplyMax);
    (void)!send(peer_, reply.data(), reply.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (server_->closed()) Hang();
  }

 private:
  void Set(const char* key, const char* value) {
    Require(dqc_config_set(config_, key, DQC_CSTR, value, DQC_CSTR, nullptr) == DQC_OK);
  }

  template <typename Submit>
  void Started(Submit submit) {
    if (conn_ == nullptr || ops_.size() >= kCallsMax) return;
    Op& op = ops_.emplace_back();
    op.world = this;
    op.then = input_.Byte();
    const bool before = std::exchange(may_call_, false);  // never inside the submitting call
    const dqc_status status = submit(&op, &op.id);
    may_call_ = before;
    if (status != DQC_OK) {
      Require(op.done == 0 && op.id == 0);
      op.done = 1;
    }
  }

  void Statement(int what) {
    const char* sql = kSql[input_.Byte() % std::size(kSql)];
    const dqc_value args[2] = {{{.integer = 7}, 0, nullptr, DQC_INTEGER, 0},
                               {{.data = "text"}, 4, nullptr, DQC_TEXT, 0}};
    const size_t count = input_.Byte() % 3;
    const dqc_call_options options = {sizeof(options), 0, input_.Byte() == 1 ? 1u : 0u};
    Started([&](Op* op, uint64_t* id) {
      switch (what) {
        case 1:
          return dqc_conn_exec_async(conn_, sql, DQC_CSTR, args, count, &options, OnEvent, op, id,
                                     nullptr);
        case 2:
          return dqc_conn_query_async(conn_, sql, DQC_CSTR, args, count, &options, OnEvent, op, id,
                                      nullptr);
        case 3:
          return dqc_conn_script_async(conn_, sql, DQC_CSTR, &options, OnEvent, op, id, nullptr);
        default:
          return dqc_conn_prepare_async(conn_, sql, DQC_CSTR, &options, OnEvent, op, id, nullptr);
      }
    });
  }

  void Prepared(bool query) {
    if (stmt_ == nullptr) return;
    Started([&](Op* op, uint64_t* id) {
      return query ? dqc_stmt_query_async(stmt_, nullptr, 0, nullptr, OnEvent, op, id, nullptr)
                   : dqc_stmt_exec_async(stmt_, nullptr, 0, nullptr, OnEvent, op, id, nullptr);
    });
  }

  void Bind() {
    const dqc_value value = {{.integer = 7}, 0, nullptr, DQC_INTEGER, 0};
    if (stmt_ != nullptr) (void)dqc_stmt_bind(stmt_, input_.Byte() % 4, &value, nullptr);
  }

  uint64_t Some() { return ops_.empty() ? 0 : ops_[input_.Byte() % ops_.size()].id; }

  void FreeOne(int which) {
    switch (which) {
      case 0:
        return dqc_conn_free(std::exchange(conn_, nullptr));
      case 1:
        return dqc_loop_free(std::exchange(loop_, nullptr));
      case 2:
        return dqc_batch_free(std::exchange(batch_, nullptr));
      case 3:
        return dqc_config_free(std::exchange(config_, nullptr));
      default:
        return dqc_stmt_free(std::exchange(stmt_, nullptr));
    }
  }

  void Hang() {
    if (peer_ >= 0) close(std::exchange(peer_, -1));
  }

  void AnswerDial() {
    if (dial_ == nullptr) return;
    int fds[2];
    Require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
    peer_ = fds[1];
    server_ = std::make_unique<mock::Conn>(node_);
    dqc_dial_done(std::exchange(dial_, nullptr), fds[0], nullptr);
  }

  static void OnDial(void* data, const char*, dqc_dial* dial) {
    auto* self = static_cast<World*>(data);
    Require(self->may_call_ && self->dial_ == nullptr);
    self->dial_ = dial;
    if (self->conn_ == nullptr || (self->order_ & 32) == 0) self->AnswerDial();
  }

  static void OnEvent(void* data, const dqc_event* event) {
    auto* op = static_cast<Op*>(data);
    World* self = op->world;
    Require(self->may_call_ && op->done == 0 && event->op != 0);
    Require(op->id == 0 || op->id == event->op);
    if (event->type == DQC_EVENT_DONE) ++op->done;
    const bool outer = std::exchange(self->in_callback_, true);
    if (event->batch != nullptr && self->batch_ == nullptr && self->conn_ != nullptr)
      self->batch_ = dqc_batch_retain(event->batch);
    if (event->stmt != nullptr && self->stmt_ == nullptr && self->conn_ != nullptr)
      self->stmt_ = dqc_stmt_retain(event->stmt);
    if (op->then % 8 == 1 && self->conn_ != nullptr) self->Call();
    if (op->then == 2) self->FreeOne(0);
    if (op->then == 3 && self->conn_ != nullptr) (void)dqc_conn_cancel(self->conn_, event->op);
    self->in_callback_ = outer;
  }

  Input& input_;
  mock::Node node_;
  std::unique_ptr<mock::Conn> server_;
  dqc_config* config_ = nullptr;
  dqc_loop* loop_ = nullptr;
  dqc_conn* conn_ = nullptr;
  dqc_stmt* stmt_ = nullptr;
  dqc_batch* batch_ = nullptr;
  dqc_dial* dial_ = nullptr;
  int peer_ = -1;
  uint8_t order_ = 0;
  bool may_call_ = false;
  bool in_callback_ = false;
  std::deque<Op> ops_;  // whose addresses stay

 public:
  bool has_conn() const { return conn_ != nullptr; }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input(data, size);
  const auto era = static_cast<mock::Era>(static_cast<int>(mock::Era::kA) + input.Byte() % 4);
  World world(input, era);
  for (size_t i = 0; i < kCallsMax && !input.empty() && world.has_conn(); ++i) world.Call();
  for (int i = 0; i < 3; ++i) {
    world.Run();
    world.Serve();
  }
  world.Run();
  return 0;
}
