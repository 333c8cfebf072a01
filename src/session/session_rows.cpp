/* SPDX-License-Identifier: MIT */
// The rows of a result: columns, cells, limits, batches.
#include <algorithm>
#include <cstring>

#include "session/session.hpp"

namespace dqc::session {

using wire::ResponseType;
using wire::RowsEnd;
using wire::Value;

namespace {

uint64_t LastWord(const uint8_t* body, size_t size) {
  wire::Reader reader(body + size - wire::kWord, wire::kWord);
  return reader.U64("end marker");
}

}  // namespace

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

// Column header: parsed once per result, then compared as bytes, and by its names if those differ: what
// pads them may be anything. False: the session, or only the operation, has failed.
bool Session::ReadColumns(Operation* op, wire::Reader& reader, Time now) {
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
  }
  names_.clear();
  wire::DecodeColumns(reader, options_.limits, names_);
  if (!reader.ok()) {
    const Status status = Malformed(reader.status("ROWS"));
    status.code() == Code::kLimit ? Abandon(op, status, now) : Fail(status);
    return false;
  }
  if (*known && (*known)->names == names_) {
    op->header = *known;
    return true;
  }
  if (op->header) {
    Fail(ProtocolError("different columns in the parts of one result"));
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
    Fail(Malformed(reader.status("ROWS")));
    return false;
  }
  const uint64_t rows = batch->rows - rows_before;
  if (rows == 0 && *end == RowsEnd::kPart) {
    undo();
    const bool stuck = outstanding_.front()->effect && DrainsToTheEnd();
    Fail(ProtocolError(
        std::string(
            "a part of a result without rows; its column names may exceed the server's page "
            "size: shorten them with AS") +
        (stuck ? ", or name fewer columns; nobody can write to the database until this node is "
                 "restarted"
               : "")));
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

// Of the frame that comes next.
bool Session::IsRows(const wire::Header& header) const {
  const Request* head = outstanding_.front();
  return header.type == static_cast<uint8_t>(ResponseType::kRows) && header.schema == 0 &&
         head != nullptr && head->reply == ResponseType::kRows && head->sent_whole();
}

// Rows in a frame that is too large to be held: they are skipped, and so is the rest of the result. Only
// the operation fails: the server may want its stream to be read to the end.
void Session::BeginSkipping(const wire::Header& header, Time now) {
  Operation* op = outstanding_.front()->op;
  handling_ = IntrusivePtr<Operation>::Share(op);
  parsed_ += wire::kHeaderBytes;
  skipping_ = header.body_bytes;
  if (!op->completed) Abandon(op, TooLarge(header), now);
  handling_ = nullptr;
}

// Goes on in the body, up to its last word, which tells whether the result ends with it. False: there
// is nothing to be done now, or the session has failed.
bool Session::SkipRows(Time now) {
  const size_t size =
      static_cast<size_t>(std::min<uint64_t>(filled_ - parsed_, skipping_ - wire::kWord));
  parsed_ += size;
  skipping_ -= size;
  SkipDrained(size);
  if (state_ == State::kClosed || skipping_ > wire::kWord || filled_ - parsed_ < wire::kWord)
    return false;
  const IntrusivePtr<Chunk> keep = chunk_;
  const uint8_t* const last = chunk_->bytes.data() + parsed_;
  skipping_ = 0;
  OnRows(outstanding_.front(), last, wire::kWord, now);
  handling_ = nullptr;
  if (state_ != State::kClosed) parsed_ += wire::kWord;
  return state_ != State::kClosed;
}

void Session::OnRows(Request* head, const uint8_t* body, size_t size, Time now) {
  Operation* op = head->op;
  handling_ = IntrusivePtr<Operation>::Share(op);
  RowsEnd end = RowsEnd::kPart;
  const bool left_over = op->completed;
  wire::Reader reader(body, size);
  const bool taken = !left_over && ReadColumns(op, reader, now) && TakeRows(op, reader, &end, now);
  if (state_ == State::kClosed) return;
  if (!taken) {
    const uint64_t marker = size >= wire::kWord ? LastWord(body, size) : 0;
    if (marker != wire::kRowsDone && marker != wire::kRowsPart)
      return Fail(ProtocolError("ROWS without an end"));
    end = marker == wire::kRowsDone ? RowsEnd::kDone : RowsEnd::kPart;
  }
  if (left_over) {
    ++op->frames_seen;
    SkipDrained(size);
    if (state_ == State::kClosed) return;
  }
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
