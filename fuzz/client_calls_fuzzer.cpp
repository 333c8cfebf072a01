/* SPDX-License-Identifier: MIT */
// Legal calls of a dqc_client in any order, against mock nodes in the same thread that lead, follow,
// stall and hang up: [era][scenario][order of freeing] then one byte per call and its arguments.
// Every accepted operation must get exactly one terminal event, in a place where callbacks may run.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "calls.hpp"
#include "dqclient/dqclient.h"
#include "mock/conn.hpp"
#include "mock/scenarios.hpp"

namespace {

using namespace dqc;

constexpr size_t kCallsMax = 200;
constexpr size_t kReplyMax = 1 << 16;
constexpr size_t kNodes = 2;

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
    "UPDATE t SET a = 1",
    "DELETE FROM t",
    "PRAGMA user_version",
    "INSERT OR ROLLBACK INTO t VALUES(1)",
    "SELECT 1; SELECT 2",
    "BEGIN",
    "INSERT INTO t VALUES(1) RETURNING a",
};

struct Peer {
  int fd = -1;
  std::unique_ptr<mock::Conn> conn;
};

class World {
 public:
  World(Input& input, mock::Era era) : input_(input) {
    const std::vector<std::string_view> names = mock::ScenarioNames();
    const std::string_view scenario = names[input.Byte() % names.size()];
    for (std::unique_ptr<mock::Node>& node : nodes_) {
      node = std::make_unique<mock::Node>(era);
      mock::Install(*node, scenario, 3);
    }
    nodes_[1]->SetLeader(false, 1, "n0:1");
    order_ = input.Byte();
    Require(dqc_config_new(&config_, nullptr) == DQC_OK);
    const char* dsn =
        "dqlite://n0:1,n1:1/db?timeout=1h&connect_timeout=1h&pool_max=3&poll_interval=1ms&"
        "backoff_min=1ms&backoff_max=1ms&drain_timeout=0&drain_timeout_era_d=0&redirect=any";
    Require(dqc_config_set_dsn(config_, dsn, DQC_CSTR, nullptr) == DQC_OK);
    Require(dqc_config_set_dial(config_, OnDial, this, nullptr) == DQC_OK);
    Require(dqc_config_set_watch(config_, OnWatch, this, nullptr) == DQC_OK);
    Require(dqc_loop_new(DQC_LOOP_DRIVEN, &loop_, nullptr) == DQC_OK);
    Require(dqc_client_new(loop_, nullptr, config_, &client_, nullptr) == DQC_OK);
  }

  ~World() {
    may_call_ = true;
    for (int i = 0; i < 5; ++i) FreeOne((order_ + i) % 5);
    for (dqc_dial* dial : dials_) dqc_dial_done(dial, -1, "too late");
    dials_.clear();
    for (Peer& peer : peers_) Hang(&peer);
    for (const Op& op : ops_) Require(op.done == 1);
  }

  void Call() {
    const uint8_t what = input_.Byte();
    switch (what % 16) {
      case 0:
      case 1:
      case 2:
        return Statement(what % 16);
      case 3:
        return Started([&](Op* op, uint64_t* id) {
          return dqc_client_acquire_async(client_, nullptr, OnEvent, op, id, nullptr);
        });
      case 4:
        return Leased();
      case 5:
        return FreeOne(0);
      case 6:
        (void)dqc_client_cancel(client_, Some());
        return;
      case 7:
      case 8:
        return Run();
      case 9:
      case 10:
      case 11:
        return Serve();
      case 12:
        if (Peer* peer = SomePeer()) Hang(peer);
        return;
      case 13:
        return Elect();
      case 14:
        return AnswerDial();
      default:
        return input_.Byte() % 2 == 0 ? Rarely() : Transaction();
    }
  }

  void Run() {
    if (in_callback_ || loop_ == nullptr) return;
    may_call_ = true;
    Require(dqc_loop_run(loop_, DQC_RUN_NOWAIT, nullptr) == DQC_OK);
    may_call_ = false;
  }

  // Every node takes what has come and answers.
  void Serve() {
    for (Peer& peer : peers_) {
      if (peer.fd < 0) continue;
      uint8_t bytes[8192];
      const ssize_t n = recv(peer.fd, bytes, sizeof(bytes), MSG_DONTWAIT);
      if (n == 0) {
        Hang(&peer);
        continue;
      }
      const mock::Bytes reply =
          peer.conn->Respond({bytes, n > 0 ? static_cast<size_t>(n) : 0}, kReplyMax);
      (void)!send(peer.fd, reply.data(), reply.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (peer.conn->closed()) Hang(&peer);
    }
  }

  bool has_client() const { return client_ != nullptr; }

 private:
  template <typename Submit>
  void Started(Submit submit) {
    if (client_ == nullptr || ops_.size() >= kCallsMax) return;
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
    const uint8_t flags = input_.Byte();
    const dqc_call_options options = {sizeof(options), flags & 7u, flags == 255 ? 1u : 0u};
    Started([&](Op* op, uint64_t* id) {
      switch (what) {
        case 0:
          return dqc_client_exec_async(client_, sql, DQC_CSTR, nullptr, 0, &options, OnEvent, op,
                                       id, nullptr);
        case 1:
          return dqc_client_query_async(client_, sql, DQC_CSTR, nullptr, 0, &options, OnEvent, op,
                                        id, nullptr);
        default:
          return dqc_client_script_async(client_, sql, DQC_CSTR, &options, OnEvent, op, id,
                                         nullptr);
      }
    });
  }

  void Leased() {
    if (lease_ == nullptr) return;
    const char* sql = kSql[input_.Byte() % std::size(kSql)];
    Started([&](Op* op, uint64_t* id) {
      return dqc_conn_query_async(lease_, sql, DQC_CSTR, nullptr, 0, nullptr, OnEvent, op, id,
                                  nullptr);
    });
  }

  // Whatever its state: what makes no sense is refused.
  void Transaction() {
    if (client_ == nullptr) return;
    const uint8_t what = input_.Byte();
    const dqc_tx_options options = {sizeof(options), what / 8 % 4, what / 32u % 4, 0, 0};
    if (tx_ == nullptr) Require(dqc_tx_new(client_, &options, &tx_, nullptr) == DQC_OK);
    Started([&](Op* op, uint64_t* id) {
      switch (what % 4) {
        case 0:
          return dqc_tx_commit_async(tx_, OnEvent, op, id, nullptr);
        case 1:
          return dqc_tx_rollback_async(tx_, nullptr, OnEvent, op, id, nullptr);
        default:
          return dqc_tx_begin_async(tx_, OnEvent, op, id, nullptr);
      }
    });
  }

  void Rarely() {
    const dqc_node node = {1, "n0:1", DQC_ROLE_VOTER, 0};
    dqc_stats stats = {};
    stats.struct_size = sizeof(stats);
    switch (input_.Byte() % 16) {
      case 0:
        return Started([&](Op* op, uint64_t* id) {
          return dqc_client_close_async(client_, nullptr, OnEvent, op, id, nullptr);
        });
      case 1:
        return FreeOne(1);
      case 2:
        (void)dqc_client_set_nodes(client_, &node, 1, nullptr);
        return;
      case 3:
        return Started([&](Op* op, uint64_t* id) {
          return dqc_client_connect_async(client_, nullptr, OnEvent, op, id, nullptr);
        });
      case 4:
        (void)dqc_client_pause(client_, Some(), input_.Byte() % 2);
        return;
      case 5:
        return FreeOne(4);
      default:
        dqc_client_stats(client_, &stats);
        Require(stats.open <= 3);
        return Run();
    }
  }

  void Elect() {
    const size_t leader = input_.Byte() % (kNodes + 1);
    for (size_t i = 0; i < kNodes; ++i) {
      const bool known = leader < kNodes;
      nodes_[i]->SetLeader(i == leader, known ? leader + 1 : 0,
                           known ? "n" + std::to_string(leader) + ":1" : "");
    }
  }

  uint64_t Some() { return ops_.empty() ? 0 : ops_[input_.Byte() % ops_.size()].id; }
  Peer* SomePeer() { return peers_.empty() ? nullptr : &peers_[input_.Byte() % peers_.size()]; }

  void FreeOne(int which) {
    switch (which) {
      case 0:
        return dqc_conn_free(std::exchange(lease_, nullptr));
      case 1:
        return dqc_client_free(std::exchange(client_, nullptr));
      case 2:
        return dqc_loop_free(std::exchange(loop_, nullptr));
      case 4:
        return dqc_tx_free(std::exchange(tx_, nullptr));
      default:
        return dqc_config_free(std::exchange(config_, nullptr));
    }
  }

  static void Hang(Peer* peer) {
    if (peer->fd >= 0) close(std::exchange(peer->fd, -1));
  }

  void AnswerDial() {
    if (dials_.empty()) return;
    dqc_dial* dial = dials_.front();
    dials_.pop_front();
    const size_t node = targets_.front();
    targets_.pop_front();
    int fds[2];
    if (peers_.size() >= 64 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0)
      return dqc_dial_done(dial, -1, "enough");
    peers_.push_back({fds[1], std::make_unique<mock::Conn>(*nodes_[node])});
    dqc_dial_done(dial, fds[0], nullptr);
  }

  static void OnDial(void* data, const char* address, dqc_dial* dial) {
    auto* self = static_cast<World*>(data);
    Require(self->may_call_);
    self->dials_.push_back(dial);
    self->targets_.push_back(std::string(address) == "n1:1" ? 1 : 0);
    if ((self->order_ & 32) == 0) self->AnswerDial();
  }

  static void OnWatch(void* data, const dqc_topology* event) {
    Require(static_cast<World*>(data)->may_call_ && event->node.address != nullptr);
  }

  static void OnEvent(void* data, const dqc_event* event) {
    auto* op = static_cast<Op*>(data);
    World* self = op->world;
    Require(self->may_call_ && op->done == 0 && event->op != 0);
    Require(op->id == 0 || op->id == event->op);
    if (event->type == DQC_EVENT_DONE) ++op->done;
    const bool outer = std::exchange(self->in_callback_, true);
    if (event->conn != nullptr) {
      Require(event->status == DQC_OK);
      if (self->lease_ == nullptr && self->client_ != nullptr) {
        self->lease_ = event->conn;
      } else {
        dqc_conn_free(event->conn);
      }
    }
    if (op->then % 8 == 1 && self->client_ != nullptr) self->Call();
    if (op->then == 2) self->FreeOne(1);
    if (op->then == 3 && self->client_ != nullptr)
      (void)dqc_client_cancel(self->client_, event->op);
    self->in_callback_ = outer;
  }

  Input& input_;
  std::array<std::unique_ptr<mock::Node>, kNodes> nodes_;
  std::deque<Peer> peers_;
  std::deque<dqc_dial*> dials_;
  std::deque<size_t> targets_;  // of dials_: the node
  dqc_config* config_ = nullptr;
  dqc_loop* loop_ = nullptr;
  dqc_client* client_ = nullptr;
  dqc_conn* lease_ = nullptr;
  dqc_tx* tx_ = nullptr;
  uint8_t order_ = 0;
  bool may_call_ = false;
  bool in_callback_ = false;
  std::deque<Op> ops_;  // whose addresses stay
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input(data, size);
  const auto era = static_cast<mock::Era>(static_cast<int>(mock::Era::kA) + input.Byte() % 4);
  World world(input, era);
  for (size_t i = 0; i < kCallsMax && !input.empty() && world.has_client(); ++i) world.Call();
  for (int i = 0; i < 6; ++i) {
    world.Run();
    world.Serve();
  }
  world.Run();
  return 0;
}
