/* SPDX-License-Identifier: MIT */
// A session under a legal but random application, and a server that is well-behaved, mutated or
// noise: exactly one terminal event per accepted operation, and none behind it.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "mock/conn.hpp"
#include "session/session.hpp"

namespace {

using namespace dqc::session;  // NOLINT
using dqc::IntrusivePtr;
using dqc::wire::RequestType;
using dqc::wire::ResponseType;

void Check(bool good, int line = __builtin_LINE()) {
  if (good) return;
  std::fprintf(stderr, "session_feed_fuzzer.cpp:%d: does not hold\n", line);
  std::abort();
}

class Input {
 public:
  Input(const uint8_t* data, size_t size) : at_(data), left_(size) {}
  bool empty() const { return left_ == 0; }
  uint8_t Byte() {
    if (left_ == 0) return 0;
    --left_;
    return *at_++;
  }
  std::vector<uint8_t> Bytes(size_t size) {
    size = std::min(size, left_);
    std::vector<uint8_t> out(at_, at_ + size);
    at_ += size;
    left_ -= size;
    return out;
  }

 private:
  const uint8_t* at_;
  size_t left_;
};

class FuzzOp final : public Operation {
 public:
  FuzzOp() { main.embedded = true; }
  void DeliverRows(IntrusivePtr<Batch> batch) noexcept override {
    Check(done == 0);
    Check(batch->cells.size() == batch->rows * batch->header->names.size());
    uint64_t sum = 0;
    for (const dqc::wire::Value& cell : batch->cells) {
      const bool text = cell.tag == dqc::wire::Tag::kText || cell.tag == dqc::wire::Tag::kIso8601;
      if (text) Check(std::strlen(cell.as.data) == cell.size);
      if (text || cell.tag == dqc::wire::Tag::kBlob) {
        for (const char c : cell.bytes()) sum += static_cast<uint8_t>(c);
      }
    }
    checksum += sum;
    held += batch->wire_bytes;
  }
  void DeliverDone() noexcept override {
    Check(++done == 1);
    Check(status.ok() || !status.message().empty());
  }
  void RowsDiscarded(uint64_t) noexcept override {}

  uint64_t held = 0, checksum = 0;
  int done = 0;
};
using Op = IntrusivePtr<FuzzOp>;

class Recorder final : public Sink {
 public:
  void OnRows(IntrusivePtr<Batch> batch) noexcept override { batch.Detach()->Deliver(); }
  void OnDone(IntrusivePtr<Operation> op) noexcept override { op.Detach()->Deliver(); }
};

constexpr std::string_view kStatements[] = {"SELECT 1",
                                            "SELECT * FROM big",
                                            "INSERT INTO t VALUES (1)",
                                            "DELETE FROM t RETURNING id",
                                            "PRAGMA foreign_keys = 1",
                                            "BEGIN",
                                            "COMMIT",
                                            "SAVEPOINT a",
                                            "RELEASE a",
                                            "ROLLBACK TO a",
                                            "VACUUM",
                                            "SELECT * FROM t",
                                            "PRAGMA journal_mode = delete"};
constexpr std::string_view kScripts[] = {
    "SELECT 1; INSERT INTO t VALUES (1); SELECT * FROM big",
    "INSERT INTO t VALUES (1) RETURNING id; PRAGMA foreign_keys; SELECT 2;",
    "; -- nothing",
    "SELECT ?; SELECT 1",
    "BEGIN; DELETE FROM t; COMMIT",
    "CREATE TRIGGER x AFTER INSERT ON t BEGIN DELETE FROM t; END; SELECT 1"};

class Driver {
 public:
  explicit Driver(Input& input)
      : input_(input),
        node_(static_cast<dqc::mock::Era>(input.Byte() % 4)),
        conn_(node_),
        session_(std::make_unique<Session>(Options(input.Byte()), &sink_)) {
    dqc::mock::Table big{.columns = {"i", "t"}, .rows = {}, .made = 300, .make = [](uint64_t i) {
                           return dqc::mock::Row{static_cast<int64_t>(i), "row"};
                         }};
    node_.SetTable("big", big);
    node_.Configure([](dqc::mock::Config& config) { config.dump = std::string(6000, 'd'); });
    const uint8_t server = input.Byte();
    noise_ = server % 8 == 0;
    mutate_ = server % 8 == 1;
    const bool streams_die = node_.era() == dqc::mock::Era::kB || node_.era() == dqc::mock::Era::kC;
    if ((server & 16) != 0 && streams_die) {
      node_.On(dqc::mock::AnyQuery().Sql("big"),
               dqc::mock::Do().Raw(dqc::mock::RowsFrame({"a"}, {{1}}, dqc::wire::RowsEnd::kPart)));
    }
    if ((server & 32) != 0) {
      static constexpr uint64_t kCodes[] = {5, 1, 10250, 10506, 12, 787, 7, 0};
      node_.On(dqc::mock::Match().Sql(server & 64 ? "COMMIT" : "t"),
               dqc::mock::Do().Failure(kCodes[input.Byte() % 8], "not an error",
                                       dqc::mock::LeftoverRows({"a"}, {{1}})));
    }
  }

  void Run() {
    session_->Connect(Keep(Make(OpKind::kConnect)), now_);
    for (int i = 0; i < 400 && !input_.empty(); ++i) Act();
    if (input_.Byte() % 2 == 0) Settle();
    session_ = nullptr;
    for (const Op& op : accepted_) Check(op->done == 1 && op->unique());
    for (const Op& op : refused_) Check(op->done == 0 && op->unique());
    if (!noise_ && !mutate_) Check(node_.violations().empty());
  }

 private:
  static SessionOptions Options(uint8_t bits) {
    SessionOptions options;
    options.node = "fuzz";
    options.database = bits % 16 == 15 ? "" : "app";
    options.pipeline_bytes = (bits & 1) != 0 ? 100 : 65536;
    options.read_buffer = (bits & 2) != 0 ? 1024 : 65536;
    options.high_water = (bits & 4) != 0 ? 2000 : 1 << 20;
    options.queue_max = (bits & 8) != 0 ? 3 : 1000;
    options.drain_bytes = options.drain_bytes_era_d = (bits & 16) != 0 ? 3000 : 1 << 20;
    options.limits.message_bytes = 1 << 20;
    if ((bits & 32) != 0) options.limits.rows = 100;
    if ((bits & 64) != 0) options.limits.frames = 2;
    options.cell_types = static_cast<CellTypes>(bits % 3);
    if (bits % 5 == 1) options.idle_transaction_us = 5000;
    if (bits % 7 == 1) options.init_sql = kScripts[bits % std::size(kScripts)];
    return options;
  }
  Op Make(OpKind kind) {
    Op op = Op::Adopt(new FuzzOp());
    op->id = ++ids_;
    op->kind = kind;
    return op;
  }
  IntrusivePtr<Operation> Keep(const Op& op) {
    accepted_.push_back(op);
    return IntrusivePtr<Operation>::Share(op.get());
  }
  template <typename M>
  Op Plain(OpKind kind, const M& message, RequestType type, ResponseType reply) {
    Op op = Make(kind);
    op->main.type = type;
    op->main.reply = reply;
    (void)dqc::wire::Encode(message, 0, op->main.frame);
    return op;
  }
  Op AnyOperation() {
    namespace rq = dqc::wire::request;
    const uint8_t what = input_.Byte();
    switch (what % 8) {
      case 0:
      case 1:
      case 2: {
        Op op = Make(OpKind::kStatement);
        const std::string_view sql = kStatements[(what / 8) % std::size(kStatements)];
        op->statement = dqc::sql::ScanStatement(sql);
        (void)dqc::wire::Encode(rq::ExecSql{0, sql, {}}, 0, op->main.frame);
        op->discard_rows = what > 200;
        return op;
      }
      case 3:
      case 4: {
        Op op = Make(OpKind::kScript);
        op->sql = kScripts[(what / 8) % std::size(kScripts)];
        return op;
      }
      case 5: {
        const std::string_view sql = kStatements[(what / 8) % std::size(kStatements)];
        Op op = Plain(OpKind::kPrepare, rq::Prepare{0, sql}, RequestType::kPrepare,
                      ResponseType::kStmt);
        op->statement = dqc::sql::ScanStatement(sql);
        return op;
      }
      case 6:
        return Plain(OpKind::kAdmin, rq::Cluster{1}, RequestType::kCluster, ResponseType::kServers);
      default:
        return Plain(OpKind::kAdmin, rq::Dump{"app"}, RequestType::kDump, ResponseType::kFiles);
    }
  }
  void Submit() {
    Op op = AnyOperation();
    const uint8_t when = input_.Byte();
    if (when % 4 == 0) op->deadline = now_ + when * 1000;
    if (session_->Submit(IntrusivePtr<Operation>::Share(op.get()), now_).ok()) {
      accepted_.push_back(op);
    } else {
      refused_.push_back(op);
    }
  }
  uint64_t SomeId() { return ids_ - input_.Byte() % 8; }
  void Send(size_t most) {
    Session::Slice slices[8];
    std::vector<uint8_t> bytes;
    const size_t count = session_->Pull(slices, 8);
    for (size_t i = 0; i < count; ++i) {
      bytes.insert(bytes.end(), slices[i].data, slices[i].data + slices[i].size);
    }
    bytes.resize(std::min(bytes.size(), most));
    session_->Sent(bytes.size());
    const auto reply = conn_.Respond(bytes, 1 << 16);
    inbox_.insert(inbox_.end(), reply.begin(), reply.end());
  }
  void Feed(size_t most) {
    if (!session_->wants_read()) return;
    if (noise_) {
      const auto bytes = input_.Bytes(most);
      inbox_.insert(inbox_.end(), bytes.begin(), bytes.end());
    }
    if (inbox_.empty()) return;
    if (mutate_) inbox_[input_.Byte() % inbox_.size()] ^= input_.Byte();
    const Session::Space space = session_->ReceiveSpace();
    const size_t size = std::min({space.size, inbox_.size(), std::max<size_t>(most, 1)});
    Check(space.size > 0);
    std::memcpy(space.data, inbox_.data(), size);
    inbox_.erase(inbox_.begin(), inbox_.begin() + static_cast<ptrdiff_t>(size));
    session_->Received(size, now_);
  }
  void Consume() {
    for (const Op& op : accepted_) {
      op->unconsumed_bytes -= op->held;
      op->held = 0;
    }
    session_->Resume(now_);
  }
  void Pass(uint64_t us) {
    now_ += us;
    if (session_->next_deadline() <= now_) session_->OnDeadline(now_);
    if (session_->state() != State::kClosed) Check(session_->next_deadline() > now_);
  }
  void Act() {
    const uint8_t act = input_.Byte();
    switch (act % 16) {
      case 0:
        return session_->TransportReady(now_);
      case 1:
      case 2:
      case 3:
        return Submit();
      case 4:
        return Send(SIZE_MAX);
      case 5:
        return Send(act);
      case 6:
      case 7:
        return Feed(SIZE_MAX);
      case 8:
        return Feed(act);
      case 9:
        return session_->Cancel(SomeId(), now_);
      case 10:
        return session_->Pause(SomeId(), act < 128, now_);
      case 11:
        return Consume();
      case 12:
        return Pass(uint64_t{1} << (input_.Byte() % 28));
      case 13:
        if (act > 200) session_->Close(Keep(Make(OpKind::kClose)), act % 32 < 16, now_);
        return;
      case 14:
        if (act > 200) session_->ReceivedEof();
        return;
      default:
        if (act > 240) session_->Fail(dqc::Status::Make(dqc::Code::kNetwork, "reset"));
        return node_.SetLeader(act < 200);
    }
  }
  // With all consumed and nothing held back, a good server brings every operation to its end.
  void Settle() {
    for (uint64_t id = 1; id <= ids_; ++id) session_->Pause(id, false, now_);
    session_->TransportReady(now_);
    for (int i = 0; i < 1000; ++i) {
      if (session_->state() == State::kClosed) return;
      Consume();
      const bool quiet = session_->idle() && !session_->has_output() && inbox_.empty();
      if (quiet && session_->state() == State::kReady) break;
      Send(SIZE_MAX);
      noise_ ? void() : Feed(SIZE_MAX);
    }
    if (noise_ || mutate_ || session_->state() == State::kClosed) return;
    Check(session_->state() == State::kReady && session_->idle());
  }

  Input& input_;
  dqc::mock::Node node_;
  dqc::mock::Conn conn_;
  Recorder sink_;
  std::unique_ptr<Session> session_;
  Time now_ = 1'000'000;
  uint64_t ids_ = 0;
  std::vector<uint8_t> inbox_;
  std::vector<Op> accepted_, refused_;
  bool noise_ = false, mutate_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input(data, size);
  Driver(input).Run();
  return 0;
}
