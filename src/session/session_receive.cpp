/* SPDX-License-Identifier: MIT */
// What comes in: frames, matched in order with the requests outstanding.
#include <algorithm>
#include <cstring>

#include "session/session.hpp"

namespace dqc::session {

using wire::RequestType;
using wire::ResponseType;

namespace {

constexpr size_t kGrownReply = 4096;          // bytes
constexpr uint64_t kBatchBytes = 256 * 1024;  // a batch is handed over at this size at the latest

}  // namespace

Status Session::Malformed(const Status& why) const {
  return why.With(state_ == State::kHandshake ? Reached() : Phase::kResult).WithNode(options_.node);
}

Status Session::ProtocolError(const std::string& what) const {
  return Malformed(Status::Make(Code::kProtocol, "node " + options_.node + " sent " + what +
                                                     ": not a dqlite server, or a bug"));
}

Status Session::TooLarge(const wire::Header& header) const {
  return Status::Make(Code::kLimit, "node " + options_.node + " sent a message of " +
                                        std::to_string(header.body_bytes) +
                                        " bytes (option \"max_message\" is " +
                                        std::to_string(options_.limits.message_bytes) + ")")
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
    if (skipping_ > 0) {
      if (!SkipRows(now)) break;
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
      if (!IsRows(header)) return Fail(TooLarge(header));
      BeginSkipping(header, now);
      continue;
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
  if (!failure.ok()) return Fail(Malformed(failure.status()));
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
  if (!status.ok()) return Fail(Malformed(status));
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

}  // namespace dqc::session
