/* SPDX-License-Identifier: MIT */
// A session, a mock server and the bytes between them, under the test's full control: no socket, no
// clock, every split of the bytes on demand.
#pragma once

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "mock/conn.hpp"
#include "session/session.hpp"

namespace dqc::session {

inline std::ostream& operator<<(std::ostream& out, TxState state) {
  constexpr const char* kNames[] = {"none", "open", "unknown"};
  return out << kNames[static_cast<int>(state)];
}

}  // namespace dqc::session

namespace dqc::session::test {

using mock::Do;
using mock::Match;
using wire::Bytes;
using wire::RequestType;
using wire::ResponseType;

inline constexpr mock::Era kEras[] = {mock::Era::kA, mock::Era::kB, mock::Era::kC, mock::Era::kD};

// How many allocations succeed from now on; negative: all. Counted by session_oom_test.cpp for the
// whole program.
inline int64_t allocations_left = -1;
struct FewAllocations {
  explicit FewAllocations(int64_t count) { allocations_left = count; }
  FewAllocations(const FewAllocations&) = delete;
  FewAllocations& operator=(const FewAllocations&) = delete;
  ~FewAllocations() { allocations_left = -1; }
};

// Allocations of the test itself do not fail in the out-of-memory test.
inline int alloc_failures_off = 0;
struct NoAllocFailures {
  NoAllocFailures() { ++alloc_failures_off; }
  NoAllocFailures(const NoAllocFailures&) = delete;
  NoAllocFailures& operator=(const NoAllocFailures&) = delete;
  ~NoAllocFailures() { --alloc_failures_off; }
};

inline std::string CellText(const wire::Value& value) {
  switch (value.tag) {
    case wire::Tag::kNull:
      return "NULL";
    case wire::Tag::kFloat:
      return std::to_string(value.as.real);
    case wire::Tag::kText:
    case wire::Tag::kBlob:
    case wire::Tag::kIso8601:
      return "'" + std::string(value.bytes()) + "'";
    default:
      return std::to_string(value.as.integer);
  }
}

// A file of a dump, put together from its pieces.
struct DumpedFile {
  std::string name;
  int64_t size = 0;
  std::string content;
  bool whole() const { return content.size() == static_cast<size_t>(size); }
};

class TestOp final : public Operation {
 public:
  static inline int live = 0;

  TestOp() {
    ++live;
    main.embedded = true;
  }
  ~TestOp() override { --live; }

  std::vector<std::string> columns;
  std::vector<std::string> rows;  // "statement: cell|cell"
  std::vector<DumpedFile> files;  // of pieces, which are no `rows`
  size_t pieces = 0, piece_bytes_max = 0;
  std::function<void(std::string_view data, int64_t offset)> on_piece;  // then none are kept
  uint64_t held = 0;  // wire bytes that are not consumed
  bool consume = true;
  int done = 0;
  bool broken = false;  // an event after the terminal one
  std::string sql_text;

  void DeliverRows(IntrusivePtr<Batch> batch) noexcept override {
    const NoAllocFailures guard;
    if (done != 0) broken = true;
    const size_t width = batch->header->names.size();
    if (batch->cells.size() != width * batch->rows) broken = true;
    columns.assign(batch->header->names.begin(), batch->header->names.end());
    const bool of_files = width == 4 && columns[0] == "name" && columns[3] == "data";
    for (size_t row = 0; row < batch->rows && !broken; ++row) {
      if (of_files) {
        TakePiece(&batch->cells[row * width]);
        continue;
      }
      std::string line = std::to_string(batch->statement) + ":";
      for (size_t i = 0; i < width; ++i) line += CellText(batch->cells[row * width + i]) + "|";
      rows.push_back(line);
    }
    if (consume) {
      unconsumed_bytes -= batch->wire_bytes;
    } else {
      held += batch->wire_bytes;
    }
  }
  void TakePiece(const wire::Value* cells) {
    const std::string_view name = cells[0].bytes(), data = cells[3].bytes();
    const int64_t size = cells[1].as.integer, offset = cells[2].as.integer;
    ++pieces;
    piece_bytes_max = std::max(piece_bytes_max, data.size());
    if (std::strlen(cells[0].as.data) != name.size() || (data.empty() && size != 0)) broken = true;
    if (on_piece) return on_piece(data, offset);
    if (offset == 0) files.push_back({std::string(name), size, ""});
    DumpedFile& file = files.back();
    const bool follows = static_cast<size_t>(offset) == file.content.size();
    if (!follows || file.name != name || file.size != size) broken = true;
    file.content += data;
  }
  void DeliverDone() noexcept override { ++done; }
  void RowsDiscarded(uint64_t bytes) noexcept override { unconsumed_bytes -= bytes; }

  void Consume() {
    unconsumed_bytes -= held;
    held = 0;
  }
  Code code() const { return status.code(); }
  Outcome outcome() const { return status.ok() ? Outcome::kExecuted : status.info()->outcome; }
  Phase phase() const { return status.ok() ? Phase::kNone : status.info()->phase; }

  // All that a caller can see, for comparisons.
  std::string Story() const {
    std::string out = sql_text + " -> ";
    for (const std::string& row : rows) out += row + " ";
    for (const DumpedFile& file : files) {
      out += "file " + file.name + " of " + std::to_string(file.size) + ": " + file.content + " ";
    }
    out += done == 0 ? "(no end)" : std::string(status.message());
    if (!status.ok()) {
      out += " code " + std::to_string(static_cast<int>(code())) + " outcome " +
             std::to_string(static_cast<int>(outcome())) + " phase " +
             std::to_string(static_cast<int>(phase())) + " at " +
             std::to_string(status.info()->sql_offset);
    }
    out += " affected " + (has_rows_affected ? std::to_string(rows_affected) : "-") + " id " +
           (has_last_insert_id ? std::to_string(last_insert_id) : "-") + " statements " +
           std::to_string(statements_done) + (done > 1 ? " TWICE" : "") + (broken ? " BROKEN" : "");
    return out;
  }
};

using Op = IntrusivePtr<TestOp>;

inline const std::vector<std::string> kPieceColumns = {"name", "size", "offset", "data"};

inline IntrusivePtr<Operation> Base(const Op& op) {
  return IntrusivePtr<Operation>::Share(op.get());
}

inline Op MakeOp(OpKind kind) {
  const NoAllocFailures guard;
  static uint64_t ids = 0;
  Op op = Op::Adopt(new TestOp());
  op->kind = kind;
  op->id = ++ids;
  return op;
}

inline std::vector<wire::Value> Views(const mock::Row& cells) {
  std::vector<wire::Value> out;
  for (const mock::Cell& cell : cells) out.push_back(cell.view());
  return out;
}

inline uint8_t ParamSchema(size_t count) { return count > kParamsMaxV0 ? 1 : 0; }

// As the C ABI makes them.
inline Op Sql(std::string_view sql, const mock::Row& params = {}) {
  const NoAllocFailures guard;
  Op op = MakeOp(OpKind::kStatement);
  const sql::Summary summary = sql::Summarize(sql);
  op->sql_text = sql;
  op->statement = summary.first;
  op->statement_count = summary.statements;
  if (summary.statements > 1) op->statement.kind = sql::Kind::kOther;
  op->param_count = summary.first.param_count;
  (void)wire::Encode(wire::request::ExecSql{0, sql.substr(0, summary.text_end), Views(params)},
                     ParamSchema(params.size()), op->main.frame);
  return op;
}

inline Op Script(std::string_view sql) {
  const NoAllocFailures guard;
  Op op = MakeOp(OpKind::kScript);
  op->sql_text = sql;
  op->sql = sql;
  return op;
}

inline Op Prepare(std::string_view sql) {
  const NoAllocFailures guard;
  Op op = MakeOp(OpKind::kPrepare);
  op->sql_text = sql;
  op->statement = sql::ScanStatement(sql);
  op->main.type = RequestType::kPrepare;
  op->main.reply = ResponseType::kStmt;
  (void)wire::Encode(wire::request::Prepare{0, sql}, 0, op->main.frame);
  return op;
}

inline Op Run(PreparedStatement* prepared, const mock::Row& params = {}) {
  const NoAllocFailures guard;
  Op op = MakeOp(OpKind::kStatement);
  op->statement = prepared->text;
  op->param_count = params.size();
  op->prepared = prepared;
  (void)wire::Encode(wire::request::Exec{0, prepared->id, Views(params)},
                     ParamSchema(params.size()), op->main.frame);
  return op;
}

template <typename M>
Op Admin(const M& message, RequestType type, ResponseType reply, bool effect = false,
         OpKind kind = OpKind::kAdmin) {
  const NoAllocFailures guard;
  Op op = MakeOp(kind);
  op->sql_text = wire::RequestName(static_cast<uint8_t>(type));
  op->main.type = type;
  op->main.reply = reply;
  op->main.effect = effect;
  (void)wire::Encode(message, 0, op->main.frame);
  return op;
}

inline Op LeaderOp() {
  return Admin(wire::request::Leader{}, RequestType::kLeader, ResponseType::kServer);
}
inline Op Finalize(uint32_t id) {
  return Admin(wire::request::Finalize{0, id}, RequestType::kFinalize, ResponseType::kEmpty, false,
               OpKind::kFinalize);
}

class Recorder final : public Sink {
 public:
  void OnRows(IntrusivePtr<Batch> batch) noexcept override { batch.Detach()->Deliver(); }
  void OnDone(IntrusivePtr<Operation> op) noexcept override { op.Detach()->Deliver(); }
};

inline SessionOptions Options(std::string database = "app") {
  SessionOptions options;
  options.grow_server_buffer = false;
  options.node = "mock:9001";
  options.database = std::move(database);
  options.client_id = 7;
  return options;
}

// How many of `have` bytes go in one step.
using Cut = std::function<size_t(size_t have)>;
inline Cut Whole() {
  return [](size_t have) { return have; };
}
inline Cut ByteWise() {
  return [](size_t) { return size_t{1}; };
}
inline Cut Seeded(uint32_t seed) {
  auto random = std::make_shared<std::mt19937>(seed);
  return [random](size_t have) {
    const size_t most = (*random)() % 4 == 0 ? have : 1 + (*random)() % 40;
    return std::min(have, most);
  };
}

class Rig {
 public:
  explicit Rig(mock::Era era, SessionOptions options = Options())
      : node(era), conn(node), session(std::make_unique<Session>(std::move(options), &sink)) {}
  Rig(const Rig&) = delete;
  Rig& operator=(const Rig&) = delete;
  ~Rig() { session = nullptr; }

  mock::Node node;
  mock::Conn conn;
  Recorder sink;
  std::unique_ptr<Session> session;
  Time now = 1'000'000;
  Bytes inbox;  // from the server, not fed yet
  Cut cut_in = Whole(), cut_out = Whole();
  size_t respond_max = 1u << 20;
  bool eof_told = false;

  Op Dial() {
    Op op = MakeOp(OpKind::kConnect);
    session->Connect(Base(op), now);
    return op;
  }
  Op Open() {
    Op op = Dial();
    session->TransportReady(now);
    Flow();
    return op;
  }
  Op Submit(Op op) {
    last = session->Submit(Base(op), now);
    return op;
  }
  Op Submit(std::string_view sql, const mock::Row& params = {}) { return Submit(Sql(sql, params)); }
  Op Close(bool give_up = false) {
    Op op = MakeOp(OpKind::kClose);
    session->Close(Base(op), give_up, now);
    return op;
  }
  Status last;

  // Bytes out of the session, at most `most`.
  Bytes TakeOutput(size_t most = SIZE_MAX) {
    const NoAllocFailures guard;
    Session::Slice slices[64];
    Bytes out;
    const size_t count = session->Pull(slices, 64);
    for (size_t i = 0; i < count && out.size() < most; ++i) {
      const size_t size = std::min(slices[i].size, most - out.size());
      out.insert(out.end(), slices[i].data, slices[i].data + size);
    }
    session->Sent(out.size());
    return out;
  }
  size_t output_size() const {
    Session::Slice slices[64];
    size_t size = 0;
    const size_t count = session->Pull(slices, 64);
    for (size_t i = 0; i < count; ++i) size += slices[i].size;
    return size;
  }
  void ToServer(const Bytes& bytes) {
    const NoAllocFailures guard;
    const Bytes reply = conn.Respond(bytes, respond_max);
    inbox.insert(inbox.end(), reply.begin(), reply.end());
  }
  // Everything that is to be sent.
  void SendAll() {
    while (session->has_output()) ToServer(TakeOutput());
  }
  // Hands over at most `most` bytes of the inbox; false if there was nothing to do.
  bool FeedOnce(size_t most = SIZE_MAX) {
    if (inbox.empty() || !session->wants_read()) return false;
    const Session::Space space = session->ReceiveSpace();
    const size_t size = std::min({space.size, inbox.size(), most});
    std::memcpy(space.data, inbox.data(), size);
    inbox.erase(inbox.begin(), inbox.begin() + static_cast<ptrdiff_t>(size));
    session->Received(size, now);
    return true;
  }
  void Feed(const Bytes& bytes) {
    inbox.insert(inbox.end(), bytes.begin(), bytes.end());
    while (FeedOnce()) {
    }
  }
  // Both ways, until nothing moves.
  void Flow(int turns = 10'000'000) {
    for (bool moved = true; moved && turns > 0; --turns) {
      moved = false;
      while (session->has_output()) {
        ToServer(TakeOutput(std::max<size_t>(1, cut_out(output_size()))));
        moved = true;
      }
      if (inbox.empty()) ToServer({});
      moved = FeedOnce(std::max<size_t>(1, cut_in(inbox.size()))) || moved;
      if (!moved && conn.closed() && inbox.empty() && !eof_told &&
          session->state() != State::kClosed) {
        eof_told = moved = true;
        session->ReceivedEof();
      }
    }
  }
  void Advance(Time us) {
    now += us;
    if (session->next_deadline() <= now) session->OnDeadline(now);
  }
  // All but the handshake.
  std::vector<std::string> Sent(Match match = Match()) const {
    std::vector<std::string> out;
    for (const mock::Request& request : node.Requests(match)) {
      if (request.kind != mock::Request::Kind::kFrame || request.probe()) continue;
      if (request.Is(RequestType::kClient) || request.Is(RequestType::kOpen)) continue;
      std::string line = wire::RequestName(request.type);
      if (!request.text.empty()) line += " " + request.text;
      out.push_back(line);
    }
    return out;
  }
};

// A session that is ready, at a server of that era.
struct Ready : Rig {
  explicit Ready(mock::Era era, SessionOptions options = Options()) : Rig(era, std::move(options)) {
    connect = Open();
  }
  Op connect;
};

inline mock::Table Numbers(uint64_t count) {
  return {.columns = {"i", "t"}, .rows = {}, .made = count, .make = [](uint64_t i) {
            return mock::Row{static_cast<int64_t>(i), "row " + std::to_string(i)};
          }};
}

}  // namespace dqc::session::test
