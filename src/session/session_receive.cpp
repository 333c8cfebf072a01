/* SPDX-License-Identifier: MIT */
// What comes in: frames, matched in order with the requests outstanding.
#include <algorithm>
#include <cstring>

#include "session/session.hpp"

namespace dqc::session {

using wire::RequestType;
using wire::ResponseType;
using wire::RowsEnd;
using wire::Value;

namespace {

constexpr size_t kGrownReply = 4096;          // bytes
constexpr uint64_t kBatchBytes = 256 * 1024;  // a batch is handed over at this size at the latest

uint64_t LastWord(const uint8_t* body, size_t size) {
  wire::Reader reader(body + size - wire::kWord, wire::kWord);
  return reader.U64("end marker");
}

}  // namespace

Status Session::ProtocolError(const std::string& what) const {
  return Status::Make(Code::kProtocol,
                      "node " + options_.node + " sent " + what + ": not a dqlite server, or a bug")
      .With(Phase::kResult)
      .WithNode(options_.node);
}

Session::Space Session::ReceiveSpace() {
  size_t need = wire::kHeaderBytes;
  if (!files_ && filled_ - parsed_ >= wire::kHeaderBytes) {
    const wire::Header header = wire::ParseHeader(chunk_->bytes.data() + parsed_);
    if (!IsDump(header))
      need += static_cast<size_t>(std::min(header.body_bytes, options_.limits.message_bytes));
  }
  const size_t have = filled_ - parsed_;
  if (chunk_ && chunk_->unique()) {
    if (have == 0) {
      parsed_ = filled_ = 0;
      if (chunk_->bytes.size() > options_.read_buffer)
        chunk_ = nullptr;  // was for one large message
    } else if (chunk_->bytes.size() - parsed_ < need && chunk_->bytes.size() >= need) {
      std::memmove(chunk_->bytes.data(), chunk_->bytes.data() + parsed_, have);
      parsed_ = 0;
      filled_ = have;
    }
  }
  const size_t low = std::min<size_t>(4096, options_.read_buffer / 4);
  if (!chunk_ || chunk_->bytes.size() - parsed_ < need || chunk_->bytes.size() - filled_ < low) {
    const size_t size = std::max<size_t>(options_.read_buffer, need + low);
    IntrusivePtr<Chunk> fresh = size == options_.read_buffer
                                    ? Chunk::Make(pools_.chunks)
                                    : IntrusivePtr<Chunk>::Adopt(new Chunk());
    if (fresh->bytes.size() != size) fresh->bytes.resize(size);
    if (have > 0) std::memcpy(fresh->bytes.data(), chunk_->bytes.data() + parsed_, have);
    chunk_ = std::move(fresh);
    parsed_ = 0;
    filled_ = have;
  }
  return {chunk_->bytes.data() + filled_, chunk_->bytes.size() - filled_};
}

void Session::Received(size_t size, Time now) {
  filled_ += size;
  Process(now);
}

// True while the result at the head may not grow because nobody takes its rows.
bool Session::Blocked() const {
  const Request* head = outstanding_.front();
  if (head == nullptr || head->op == nullptr || !head->streamed()) return false;
  Operation* op = head->op;
  const auto full = [&] {
    if (op->paused) return true;
    return op->unconsumed_bytes >=
           (op->no_backpressure ? options_.buffer_max : options_.high_water);
  };
  if (op->completed || !full()) return false;
  op->stalled = true;
  return full();  // consumed in between: the consumer may not have seen `stalled`
}

bool Session::wants_read() const {
  return (state_ == State::kHandshake || state_ == State::kReady || state_ == State::kClosing) &&
         !Blocked();
}

bool Session::wants_quick_ack() const {
  const Request* head = outstanding_.front();
  return head != nullptr && head->sent > 0;  // what is yet to be sent carries the ACK itself
}

void Session::Process(Time now) {
  if (processing_) return;
  processing_ = true;
  try {
    HandleFrames(now);
    Pump(now);
  } catch (const std::bad_alloc&) {
    Fail(Status::OutOfMemory());
  }
  handling_ = nullptr;
  starting_ = nullptr;
  processing_ = false;
  UpdateDraining(now);
  FinishIfDrained();
  WatchIdle(now);
}

void Session::HandleFrames(Time now) {
  while (state_ != State::kClosed && state_ != State::kConnecting && state_ != State::kNew) {
    if (files_) {
      if (!TakeFiles(now)) break;
      continue;
    }
    const size_t have = filled_ - parsed_;
    if (have < wire::kHeaderBytes || Blocked()) break;
    const uint8_t* frame = chunk_->bytes.data() + parsed_;
    const wire::Header header = wire::ParseHeader(frame);
    if (IsDump(header)) {
      BeginFiles(header, now);
      continue;
    }
    if (header.body_bytes > options_.limits.message_bytes && state_ == State::kHandshake) {
      return Fail(Status::Make(Code::kProtocol, "node " + options_.node +
                                                    " answers with something else than dqlite's "
                                                    "protocol: is it a dqlite node?")
                      .With(Phase::kHandshake)
                      .WithNode(options_.node));
    }
    if (header.body_bytes > options_.limits.message_bytes) {
      return Fail(Status::Make(Code::kLimit, "node " + options_.node + " sent a message of " +
                                                 std::to_string(header.body_bytes) +
                                                 " bytes (option \"max_message\" is " +
                                                 std::to_string(options_.limits.message_bytes) +
                                                 ")")
                      .With(Phase::kResult)
                      .WithNode(options_.node));
    }
    if (have - wire::kHeaderBytes < header.body_bytes) break;
    const IntrusivePtr<Chunk> keep = chunk_;  // the handler may fail the session
    HandleFrame(header, frame + wire::kHeaderBytes, now);
    handling_ = nullptr;
    if (state_ != State::kClosed)
      parsed_ += wire::kHeaderBytes + static_cast<size_t>(header.body_bytes);
    if (building_ && building_->wire_bytes >= kBatchBytes) FlushBatch();
  }
  FlushBatch();
}

void Session::HandleFrame(const wire::Header& header, const uint8_t* body, Time now) {
  Request* head = outstanding_.front();
  const size_t size = static_cast<size_t>(header.body_bytes);
  if (head == nullptr || !head->sent_whole()) {
    return Fail(ProtocolError(std::string("a ") + wire::ResponseName(header.type) +
                              " that answers no request"));
  }
  if (header.type == static_cast<uint8_t>(ResponseType::kFailure))
    return OnFailure(head, body, size, now);
  if (header.type != static_cast<uint8_t>(head->reply)) {
    const bool sentinel_next = head->next != nullptr && head->next->step == Step::kSentinel;
    if (head->reply == ResponseType::kRows && sentinel_next &&
        header.type == static_cast<uint8_t>(ResponseType::kEmpty)) {
      return OnStreamDied(head);
    }
    return Fail(ProtocolError(std::string("a ") + wire::ResponseName(header.type) +
                              " in answer to " +
                              wire::RequestName(static_cast<uint8_t>(head->type))));
  }
  if (head->reply == ResponseType::kRows) {
    if (header.schema != 0) return Fail(ProtocolError("ROWS of an unknown schema"));
    return OnRows(head, body, size, now);
  }
  OnReply(head, header, body, now);
}

void Session::OnFailure(Request* head, const uint8_t* body, size_t size, Time now) {
  const Result<wire::response::Failure> failure = wire::DecodeFailure(body, size, options_.limits);
  if (!failure.ok()) return Fail(failure.status().WithNode(options_.node));
  const uint64_t code = failure->code;
  if (head->step == Step::kProbeExec) {
    probe_exec_code_ = code;
    return Retire(head);
  }
  if (head->step == Step::kProbePrepare) {
    era_ = EraOfProbes(probe_exec_code_, code);
    if (era_ == Era::kUnknown) era_ = Era::kD;  // no release known: take it for a later one
    Retire(head);
    return;
  }
  if (head->step == Step::kGrowBuffer && size < kGrownReply) server_buffer_grown_ = false;
  FailureContext context;
  context.era = era_;
  context.node = options_.node;
  context.request =
      head->step == Step::kCommit ? "COMMIT" : wire::RequestName(static_cast<uint8_t>(head->type));
  context.effect = head->effect;
  if (options_.ask_leader && (head->step == Step::kProbeLeader || head->step == Step::kOpen)) {
    context.phase = Phase::kLeader;
    const Status verdict = Classify(code, failure->text, context).status;
    const bool follows = verdict.code() == Code::kNotLeader;
    if (follows && follows_.ok()) follows_ = verdict;
    if (follows || head->step == Step::kProbeLeader) {
      const bool opened = head->step == Step::kOpen;
      Retire(head);
      return opened ? Opened(now) : void();
    }
  }
  if (head->step == Step::kOpen || head->step == Step::kClient) {
    context.phase = Phase::kOpen;
    if (head->step == Step::kOpen) {  // what follows finds no database: nothing of it is executed
      for (Request* r = head; r != nullptr; r = r->next) r->effect = false;
    }
    return Fail(Classify(code, failure->text, context).status);
  }
  Operation* op = head->op;
  handling_ = IntrusivePtr<Operation>::Share(op);
  if (op != nullptr) {
    context.phase = op->frames_seen > 0 ? Phase::kResult : Phase::kRequest;
    context.administrative = op->kind == OpKind::kAdmin;
    context.single_statement = op->statement_count == 1;
    context.or_fail =
        head->step == Step::kMain && op->running().on_conflict == sql::OnConflict::kFail;
  }
  const Failure verdict = Classify(code, failure->text, context);
  const Step step = head->step;
  if (head->effect && op != nullptr && verdict.status.info()->outcome == Outcome::kMaybeExecuted) {
    op->effect_done = true;  // also if memory runs out below
  }
  Retire(head);
  if (verdict.session_lost && step != Step::kFinalize) Lose(verdict.status);
  if (op == nullptr) return;
  if (step == Step::kPrepare) return ScriptPrepareFailed(op, verdict.status);
  Answered(op, step, verdict.status, now);
}

void Session::TakeResult(const Request& head, const wire::response::Result& result) {
  Operation* op = head.op;
  if (op == nullptr || head.step != Step::kMain) return;
  const sql::Statement& text = op->running();
  const bool one = op->statement_count == 1;
  op->has_rows_affected = one && text.dml();
  op->rows_affected = op->has_rows_affected ? result.rows_affected : 0;
  // An update in the place of an insert leaves the id of an earlier one.
  op->has_last_insert_id =
      one && text.kind == sql::Kind::kInsert && !text.upserts && result.rows_affected > 0;
  op->last_insert_id = op->has_last_insert_id ? static_cast<int64_t>(result.last_insert_id) : 0;
}

// What the reply says, noted where it belongs; of a STMT in `*stmt`.
Status Session::TakeReply(const Request& head, const wire::Header& header, const uint8_t* body,
                          wire::response::Stmt* stmt) {
  wire::DecodeContext context;
  context.limits = &options_.limits;
  context.legacy_leader = options_.legacy;
  switch (head.reply) {
    case ResponseType::kResult: {
      const auto reply = wire::DecodeBody<wire::response::Result>(header, body, context);
      if (reply.ok()) TakeResult(head, *reply);
      return reply.status();
    }
    case ResponseType::kStmt: {
      const auto reply = wire::DecodeBody<wire::response::Stmt>(header, body, context);
      if (reply.ok()) *stmt = *reply;
      return reply.status();
    }
    case ResponseType::kDb: {
      const auto reply = wire::DecodeBody<wire::response::Db>(header, body, context);
      if (reply.ok() && reply->id != 0) return ProtocolError("a database id other than 0");
      return reply.status();
    }
    case ResponseType::kWelcome:
      return wire::DecodeBody<wire::response::Welcome>(header, body, context).status();
    case ResponseType::kEmpty:
      return wire::DecodeBody<wire::response::Empty>(header, body, context).status();
    default:
      break;
  }
  if (head.step == Step::kLeader) {
    const auto reply = wire::DecodeBody<wire::response::Server>(header, body, context);
    if (reply.ok()) OnLeaderReply(*reply);
    return reply.status();
  }
  if (head.op == nullptr || head.op->completed) return {};
  return AdminRows(head.op, header, body);
}

void Session::OnReply(Request* head, const wire::Header& header, const uint8_t* body, Time now) {
  const Step step = head->step;
  Operation* op = head->op;
  handling_ = IntrusivePtr<Operation>::Share(op);
  wire::response::Stmt stmt;
  const Status status = TakeReply(*head, header, body, &stmt);
  if (!status.ok()) return Fail(status.WithNode(options_.node));
  Retire(head);

  const bool opened = step == Step::kOpen || (step == Step::kClient && options_.database.empty());
  if (opened && state_ == State::kHandshake) return Opened(now);
  if (step == Step::kGrowBuffer) {  // no server does this
    AppendMessage(Step::kFinalize, nullptr, RequestType::kFinalize, ResponseType::kEmpty,
                  wire::request::Finalize{0, stmt.id});
  }
  if (op == nullptr) return;
  if (step == Step::kPrepare) return ScriptPrepared(op, stmt.id, stmt.params, stmt.tail_offset);
  if (op->kind == OpKind::kPrepare) {
    op->stmt_id = stmt.id;
    op->stmt_params = stmt.params;
    if (op->completed) {  // cancelled meanwhile: nobody will finalize it
      AppendMessage(Step::kFinalize, nullptr, RequestType::kFinalize, ResponseType::kEmpty,
                    wire::request::Finalize{0, stmt.id});
    }
  }
  Answered(op, step, Status(), now);
}

void Session::StartBatch(Operation* op) {
  if (building_) return;
  building_ = Batch::Make(pools_.batches);
  building_->op = op;
  building_->header = op->header;
  building_->chunk = chunk_;
  building_->statement = op->statements_done;
}

void Session::FlushBatch() noexcept {
  if (!building_) return;
  IntrusivePtr<Batch> batch = std::move(building_);
  building_ = nullptr;
  Operation* op = batch->op;
  op->any_batch = true;
  if (op->discard_rows) return;
  op->unconsumed_bytes += batch->wire_bytes;
  sink_->OnRows(std::move(batch));
}

// Column header: parsed once per result, then compared as bytes. False: the session has failed.
bool Session::ReadColumns(Operation* op, wire::Reader& reader) {
  IntrusivePtr<ResultHeader>* known = &op->header;
  if (!*known && op->prepared != nullptr) known = &op->prepared->header;
  if (*known) {
    const std::vector<uint8_t>& raw = (*known)->raw;
    if (reader.remaining() >= raw.size() &&
        std::memcmp(reader.cursor(), raw.data(), raw.size()) == 0) {
      reader.Skip(raw.size());
      op->header = *known;
      return true;
    }
    if (op->header) {
      Fail(ProtocolError("different columns in the parts of one result"));
      return false;
    }
  }
  names_.clear();
  wire::DecodeColumns(reader, options_.limits, names_);
  if (!reader.ok()) {
    Fail(reader.status("ROWS").WithNode(options_.node));
    return false;
  }
  auto header = IntrusivePtr<ResultHeader>::Adopt(new ResultHeader());
  header->raw.assign(reader.data(), reader.data() + reader.offset());
  header->names.reserve(names_.size());
  for (const std::string_view name : names_) {
    const auto offset = reinterpret_cast<const uint8_t*>(name.data()) - reader.data();
    header->names.emplace_back(reinterpret_cast<const char*>(header->raw.data()) + offset,
                               name.size());
  }
  op->header = header;
  if (op->prepared != nullptr) op->prepared->header = header;
  return true;
}

void Session::ConvertCells(Batch* batch, size_t from) const {
  for (size_t i = from; i < batch->cells.size(); ++i) {
    Value& cell = batch->cells[i];
    if (cell.tag < wire::Tag::kUnixTime) continue;
    if (options_.cell_types == CellTypes::kGo) {
      if (cell.tag == wire::Tag::kIso8601 && cell.size == 0) cell = Value::Null();
    } else {
      cell.tag = cell.tag == wire::Tag::kIso8601 ? wire::Tag::kText : wire::Tag::kInteger;
    }
  }
}

// The rows of one frame, under the limits. False: the session, or only the operation, has failed.
bool Session::TakeRows(Operation* op, wire::Reader& reader, RowsEnd* end, Time now) {
  if (building_ && building_->chunk.get() != chunk_.get()) FlushBatch();
  StartBatch(op);
  Batch* batch = building_.get();
  const size_t cells_before = batch->cells.size();
  const uint64_t rows_before = batch->rows;
  const uint64_t rows_max = options_.limits.rows - op->rows_seen;
  *end = wire::DecodeRows(reader, op->header->names.size(), UINT64_MAX, batch->cells, &batch->rows);
  const auto undo = [&] {
    batch->cells.resize(cells_before);
    batch->rows = rows_before;
    if (rows_before == 0) building_ = nullptr;
  };
  if (!reader.ok()) {
    undo();
    Fail(reader.status("ROWS").WithNode(options_.node));
    return false;
  }
  const uint64_t rows = batch->rows - rows_before;
  if (rows == 0 && *end == RowsEnd::kPart) {
    undo();
    Fail(ProtocolError(
        "a part of a result without rows; its column names may exceed the server's page size: "
        "shorten them with AS"));
    return false;
  }
  if (options_.cell_types != CellTypes::kRaw) ConvertCells(batch, cells_before);
  batch->wire_bytes += reader.offset();
  op->rows_seen += rows;
  op->bytes_seen += reader.offset();
  ++op->frames_seen;
  const char* option = rows > rows_max                                 ? "max_rows"
                       : op->frames_seen > options_.limits.frames      ? "max_frames"
                       : op->bytes_seen > options_.limits.result_bytes ? "max_result"
                                                                       : nullptr;
  if (option == nullptr) return true;
  undo();
  const Status limit =
      Status::Make(Code::kLimit, std::string("the result exceeds option \"") + option + "\"")
          .With(Phase::kResult);
  const bool executed = *end == RowsEnd::kDone && outstanding_.front()->effect;
  if (executed && op->kind == OpKind::kStatement) {
    Complete(op, limit.With(Outcome::kExecuted));
  } else {
    Abandon(op, limit, now);
  }
  return false;
}

void Session::SkipDrained(size_t size) {
  drained_bytes_ += size;
  if (drained_bytes_ > (DrainsToTheEnd() ? options_.drain_bytes_era_d : options_.drain_bytes))
    DropDrained("the rest of a cancelled result exceeds the size", "drain_bytes");
}

void Session::OnRows(Request* head, const uint8_t* body, size_t size, Time now) {
  Operation* op = head->op;
  handling_ = IntrusivePtr<Operation>::Share(op);
  RowsEnd end = RowsEnd::kPart;
  if (op->completed) {
    const uint64_t marker = size >= wire::kWord ? LastWord(body, size) : 0;
    if (marker != wire::kRowsDone && marker != wire::kRowsPart)
      return Fail(ProtocolError("ROWS without an end"));
    if (marker == wire::kRowsDone) end = RowsEnd::kDone;
    ++op->frames_seen;
    SkipDrained(size);
  } else {
    wire::Reader reader(body, size);
    if (!ReadColumns(op, reader)) return;
    if (!TakeRows(op, reader, &end, now) && !op->completed) return;
  }
  if (state_ == State::kClosed) return;
  if (end == RowsEnd::kPart) {
    const bool last = head == outstanding_.back();
    if (last && WayOf(Feature::kStreamSentinel, era_) == Way::kNeeded) AppendSentinel();
    return;
  }
  Retire(head);
  FlushBatch();
  Answered(op, Step::kMain, Status(), now);
}

// Eras B and C stop a stream without a word when they lose leadership; the sentinel's reply came in
// its place.
void Session::OnStreamDied(Request* head) {
  Operation* op = head->op;
  handling_ = IntrusivePtr<Operation>::Share(op);
  const Status died =
      Status::Make(Code::kSessionLost, "node " + options_.node +
                                           " lost the leadership and broke the result off; run the "
                                           "query again on the leader")
          .With(Phase::kResult)
          .WithNode(options_.node);
  if (head->effect) op->effect_done = true;
  Retire(head);
  Retire(outstanding_.front());  // the sentinel, whose reply this is
  Lose(died);
  EndExclusive(op);
  CompleteFailed(op, died, false);
  if (op == init_.get()) EndInit();
}

}  // namespace dqc::session
