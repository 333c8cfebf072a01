/* SPDX-License-Identifier: MIT */
// What goes out, and in which order.
#include <algorithm>

#include "session/session.hpp"

namespace dqc::session {

using wire::RequestType;
using wire::ResponseType;

Request* Session::NewRequest(Step step, Operation* op) {
  Request* request = spare_;
  if (request != nullptr) {
    spare_ = request->next;
    wire::Bytes frame = std::move(request->frame);
    frame.clear();
    *request = Request();
    request->frame = std::move(frame);
  } else {
    request = new Request();
  }
  request->step = step;
  request->op = op;
  if (op != nullptr) op->Retain();
  making_ = request;
  return request;
}

template <typename M>
void Session::AppendMessage(Step step, Operation* op, RequestType type, ResponseType reply,
                            const M& message, uint8_t schema, bool effect) {
  SeparateFromStream();
  Request* request = NewRequest(step, op);
  request->type = type;
  request->reply = reply;
  request->effect = effect;
  // Cannot fail: texts have no NUL, and their sizes were checked.
  (void)wire::Encode(message, schema, request->frame);
  Append(request);
}

template void Session::AppendMessage(Step, Operation*, RequestType, ResponseType,
                                     const wire::request::ExecSql&, uint8_t, bool);
template void Session::AppendMessage(Step, Operation*, RequestType, ResponseType,
                                     const wire::request::QuerySql&, uint8_t, bool);
template void Session::AppendMessage(Step, Operation*, RequestType, ResponseType,
                                     const wire::request::Exec&, uint8_t, bool);
template void Session::AppendMessage(Step, Operation*, RequestType, ResponseType,
                                     const wire::request::Query&, uint8_t, bool);
template void Session::AppendMessage(Step, Operation*, RequestType, ResponseType,
                                     const wire::request::Prepare&, uint8_t, bool);
template void Session::AppendMessage(Step, Operation*, RequestType, ResponseType,
                                     const wire::request::Finalize&, uint8_t, bool);
template void Session::AppendMessage(Step, Operation*, RequestType, ResponseType,
                                     const wire::request::Assign&, uint8_t, bool);

// Version word, the two era probes (section 0.3), CLIENT, OPEN; the first statements follow in the
// same segment.
void Session::AppendHandshake() {
  Request* probe = NewRequest(Step::kProbeExec, nullptr);
  // Has no reply of its own.
  wire::Writer(probe->frame).U64(options_.legacy ? wire::kVersionLegacy : wire::kVersion);
  wire::Writer exec(probe->frame);
  exec.Begin(static_cast<uint8_t>(RequestType::kExec), 255);
  exec.U64(0);
  (void)exec.End();
  probe->type = RequestType::kExec;
  probe->reply = ResponseType::kFailure;
  Append(probe);

  probe = NewRequest(Step::kProbePrepare, nullptr);
  wire::Writer prepare(probe->frame);
  prepare.Begin(static_cast<uint8_t>(RequestType::kPrepare), 255);
  prepare.U64(0);
  prepare.U64(0);
  (void)prepare.End();
  probe->type = RequestType::kPrepare;
  probe->reply = ResponseType::kFailure;
  Append(probe);

  if (options_.ask_leader) {  // EXEC_SQL without a database is answered 10250 or 12 (section 5.0)
    AppendMessage(Step::kProbeLeader, nullptr, RequestType::kExecSql, ResponseType::kFailure,
                  wire::request::ExecSql{0, "SELECT 1", {}});
    AppendMessage(Step::kLeader, nullptr, RequestType::kLeader, ResponseType::kServer,
                  wire::request::Leader{});
  }
  AppendMessage(Step::kClient, nullptr, RequestType::kClient, ResponseType::kWelcome,
                wire::request::Client{options_.client_id});
  if (!options_.database.empty()) {
    AppendMessage(Step::kOpen, nullptr, RequestType::kOpen, ResponseType::kDb,
                  wire::request::Open{options_.database, 0, ""});
  }
}

// A stream that dies silently is told from a slow one by the reply to whatever follows it, so on
// servers that do this something unmistakable follows each query before anything else (section
// 10.2).
void Session::AppendSentinel() {
  Request* request = NewRequest(Step::kSentinel, nullptr);
  request->type = RequestType::kInterrupt;
  request->reply = ResponseType::kEmpty;
  (void)wire::Encode(wire::request::Interrupt{}, 0, request->frame);
  Append(request);
}

// A server writes the head of a row of more than 16 columns before it makes room for it: where that
// crosses the end of the buffer of its connection, its heap is destroyed. The buffer starts with a
// page and never shrinks, and a frame of rows ends at a page and one row: so one large answer ahead
// of the first rows makes it safe for good. This one is the failure of a statement that names itself.
// (On systems with pages of 64 KiB it is too small: not worth that much on each connection.)
void Session::AppendGrowBuffer() {
  constexpr size_t kPage = 4096;
  if (WayOf(Feature::kGrowBuffer, era_) != Way::kNeeded) return;
  server_buffer_grown_ = true;
  const std::string text = "SELECT [" + std::string(kPage, '_') + "]";
  AppendMessage(Step::kGrowBuffer, nullptr, RequestType::kPrepare, ResponseType::kStmt,
                wire::request::Prepare{0, text});
}

void Session::SeparateFromStream() {
  const Request* last = outstanding_.back();
  if (last != nullptr && last->reply == ResponseType::kRows &&
      WayOf(Feature::kStreamSentinel, era_) == Way::kNeeded) {
    AppendSentinel();
  }
}

void Session::Append(Request* request) noexcept {
  making_ = nullptr;
  if (request->op != nullptr && request->op->abandoned) ++abandoned_requests_;
  in_flight_bytes_ += request->frame.size();
  outstanding_.PushBack(request);
  if (send_next_ == nullptr) send_next_ = request;
}

// Takes the answered request at the head off the list. Its operation may be gone afterwards.
void Session::Retire(Request* request) noexcept {
  outstanding_.PopFront();
  in_flight_bytes_ -= request->frame.size();
  if (send_next_ == request) send_next_ = outstanding_.front();
  if (request->op != nullptr && request->op->abandoned && abandoned_requests_ > 0) {
    --abandoned_requests_;
    drain_progress_ = true;
  }
  Recycle(request);
}

// Of a request that is in no list.
void Session::Recycle(Request* request) noexcept {
  Operation* op = std::exchange(request->op, nullptr);
  if (!request->embedded) {
    request->next = spare_;
    spare_ = request;
  }
  if (op != nullptr) op->Release();
}

bool Session::NeedsEra(const Operation& op) const {
  if (op.kind == OpKind::kScript) return true;
  if (op.kind != OpKind::kStatement && op.kind != OpKind::kPrepare) return false;
  return op.statement.kind == sql::Kind::kPragma || NeedsOf(op.statement, op.param_count).count > 0;
}

// The result at the head that is being buffered for a cursor of a blocking caller's; or null.
const Operation* Session::CursorAhead() const {
  const Request* head = outstanding_.front();
  const Operation* cursor = head == nullptr ? nullptr : head->op;
  const bool ahead =
      cursor != nullptr && head->streamed() && cursor->no_backpressure && !cursor->completed;
  return ahead ? cursor : nullptr;
}

// What cannot be buffered would never be taken: blocking calls behind it, whose callers take no rows
// meanwhile, fail unsent.
void Session::RefuseBehindCursor() {
  const Operation* cursor = CursorAhead();
  if (cursor == nullptr || cursor->unconsumed_bytes < options_.buffer_max) return;
  const Status refusal =
      Status::Make(Code::kLimit,
                   "a cursor on this connection is not read to its end, and the rest exceeds "
                   "option \"buffer_max\": read it, or free it, before")
          .With(Phase::kRequest)
          .WithNode(options_.node);
  IntrusiveFifo<Operation> keep;
  while (Operation* op = pending_.PopFront()) {
    if (!op->blocking) {
      keep.PushBack(op);
      continue;
    }
    Complete(op, refusal);
    op->Release();
  }
  pending_ = keep;
}

// Statements that were sent ahead without waiting are executed even if one of them fails: what the
// application did not know when it asked for COMMIT is not committed.
void Session::RefuseCommit(Operation* op) {
  const Status refusal =
      Status::Make(Code::kSql,
                   "COMMIT was not sent, because an operation submitted before it failed: " +
                       op->behind.info()->message)
          .With(Phase::kRequest)
          .WithNode(options_.node);
  pending_.PopFront();  // nothing may fail from here on
  Complete(op, refusal);
  op->Release();
}

void Session::Pump(Time now) {
  RefuseBehindCursor();
  while (Operation* op = pending_.front()) {
    if (op->blocking && CursorAhead() != nullptr) return;
    if (exclusive_ != nullptr) return;
    if (state_ != State::kHandshake && state_ != State::kReady) return;
    if (op->held_back && outstanding_.front() != nullptr) return;
    if (!op->behind.ok()) {
      RefuseCommit(op);
      continue;
    }
    if (in_flight_bytes_ > 0 && in_flight_bytes_ + op->main.frame.size() > options_.pipeline_bytes)
      return;
    if (era_ == Era::kUnknown && NeedsEra(*op)) return;
    const bool alone = options_.ask_leader || !options_.init_sql.empty();
    if (alone && state_ == State::kHandshake) return;
    pending_.PopFront();
    starting_ = IntrusivePtr<Operation>::Adopt(op);
    Start(op, now);
    starting_ = nullptr;
  }
}

void Session::Start(Operation* op, Time now) {
  if (op->deadline <= now) {
    return Complete(op,
                    Status::Make(Code::kTimeout,
                                 "deadline passed before the request was sent to " + options_.node)
                        .With(Phase::kRequest));
  }
  if (op->kind == OpKind::kScript) {
    StartExclusive(op);
    return ScriptNext(op);
  }
  if (op->kind == OpKind::kStatement) return RunStatement(op);
  if (op->kind == OpKind::kPrepare) {
    const Status may = MayPrepare(op->statement, era_);
    if (!may.ok()) return Complete(op, may.WithNode(options_.node));
  }
  SeparateFromStream();
  op->main.op = op;
  op->Retain();
  Append(&op->main);
}

size_t Session::Pull(Slice* out, size_t slices_max) const {
  size_t count = 0;
  for (const Request* r = send_next_; r != nullptr && count < slices_max; r = r->next) {
    out[count++] = {r->frame.data() + r->sent, r->frame.size() - r->sent};
  }
  return count;
}

void Session::Sent(size_t size) {
  while (send_next_ != nullptr) {
    const size_t step = std::min(size, send_next_->frame.size() - send_next_->sent);
    send_next_->sent += step;
    size -= step;
    if (send_next_->sent < send_next_->frame.size()) return;
    send_next_ = send_next_->next;
  }
}

}  // namespace dqc::session
