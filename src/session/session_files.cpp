/* SPDX-License-Identifier: MIT */
// The answer to DUMP: one frame with a whole database, handed over piece by piece as it comes and
// never held.
#include <algorithm>

#include "session/session.hpp"

namespace dqc::session {

using wire::ResponseType;
using wire::Value;

namespace {

// What a piece takes besides its bytes: a server that sends few at a time must not make us hold more
// than the high-water mark allows.
constexpr uint64_t kPieceOverhead = 256;

Value Unsigned(uint64_t v) { return Value::Integer(static_cast<int64_t>(v)); }

}  // namespace

// Of the frame that comes next.
bool Session::IsDump(const wire::Header& header) const {
  const Request* head = outstanding_.front();
  return header.type == static_cast<uint8_t>(ResponseType::kFiles) && head != nullptr &&
         head->reply == ResponseType::kFiles && head->sent_whole();
}

void Session::BeginFiles(const wire::Header& header, Time now) {
  if (header.schema != 0) return Fail(ProtocolError("FILES of an unknown schema"));
  Operation* op = outstanding_.front()->op;
  parsed_ += wire::kHeaderBytes;
  files_.emplace(header.body_bytes);
  ++op->frames_seen;
  op->bytes_seen = header.body_bytes;
  if (op->completed || op->bytes_seen <= options_.limits.result_bytes) return;
  const Status limit =
      Status::Make(Code::kLimit, "the dump of " + std::to_string(header.body_bytes) +
                                     " bytes exceeds option \"max_result\"");
  Abandon(op, limit.With(Phase::kResult), now);
}

// Goes on in the body. False: there is nothing to be done now, or the session has failed.
bool Session::TakeFiles(Time now) {
  Request* head = outstanding_.front();
  Operation* op = head->op;
  if (op->completed) {
    SkipFiles();
    if (state_ == State::kClosed || files_->rest() > 0) return false;
    EndFiles(head, now);
    return true;
  }
  if (files_->rest() > 0 && Blocked()) return false;
  const uint8_t* data = chunk_ ? chunk_->bytes.data() + parsed_ : nullptr;
  size_t taken = 0;
  const auto event = files_->Next(data, filled_ - parsed_, options_.limits, &taken);
  switch (event) {
    case wire::FilesReader::Event::kMore:
      parsed_ += taken;
      return false;
    case wire::FilesReader::Event::kPiece:
      DeliverPiece(op);
      parsed_ += taken;
      return true;
    case wire::FilesReader::Event::kEnd:
      parsed_ += taken;
      EndFiles(head, now);
      return true;
    default:
      Fail(files_->status().With(Phase::kResult).WithNode(options_.node));
      return false;
  }
}

// What comes for an operation that has ended.
void Session::SkipFiles() {
  const auto size = static_cast<size_t>(std::min<uint64_t>(filled_ - parsed_, files_->rest()));
  files_->Skip(size);
  parsed_ += size;
  SkipDrained(size);
}

void Session::DeliverPiece(Operation* op) {
  if (!op->header) op->header = ResultHeader::Of({"name", "size", "offset", "data"});
  StartBatch(op);
  Batch& batch = *building_;
  batch.text = files_->name();
  batch.cells.insert(batch.cells.end(),
                     {Value::Text(batch.text), Unsigned(files_->file_bytes()),
                      Unsigned(files_->piece_offset()), Value::Blob(files_->piece())});
  batch.rows = 1;
  batch.wire_bytes = files_->piece().size() + kPieceOverhead;
  FlushBatch();
}

void Session::EndFiles(Request* head, Time now) {
  Operation* op = head->op;
  handling_ = IntrusivePtr<Operation>::Share(op);
  const Step step = head->step;
  if (!op->completed && files_->no_files()) {  // tells the columns
    op->header = ResultHeader::Of({"name", "size", "offset", "data"});
    StartBatch(op);
    FlushBatch();
  }
  files_.reset();
  Retire(head);
  StepDone(op, step, Status(), now);
  handling_ = nullptr;
}

}  // namespace dqc::session
