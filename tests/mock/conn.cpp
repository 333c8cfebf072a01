/* SPDX-License-Identifier: MIT */
#include "mock/conn.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "wire/endian.hpp"

namespace dqc::mock {

Conn::Conn(Node& node) : node_(node), number_(node.BeginConnection()) {
  Request accept;
  accept.kind = Request::Kind::kAccept;
  Handle(std::move(accept));
}

Bytes Conn::Respond(std::span<const uint8_t> in, size_t bytes_max) {
  Feed(in);
  Bytes out;
  while (out.size() < bytes_max) {
    const State state = Poll(now_ms_);
    if (state == State::kWrite) {
      const auto chunk = output().first(std::min(output().size(), bytes_max - out.size()));
      out.insert(out.end(), chunk.begin(), chunk.end());
      Written(chunk.size());
    } else if (state == State::kWait && wake_ms_ != kNever) {
      now_ms_ = wake_ms_;
    } else {
      break;
    }
  }
  return out;
}

void Conn::Feed(std::span<const uint8_t> in) {
  if (closed()) return;
  if (in_at_ > 0) {
    in_.erase(in_.begin(), in_.begin() + static_cast<ptrdiff_t>(in_at_));
    in_at_ = 0;
  }
  in_.insert(in_.end(), in.begin(), in.end());
}

Conn::State Conn::Poll(int64_t now_ms) {
  now_ms_ = now_ms;
  while (!closed()) {
    if (waiting_ && out_at_ > 0 && !WaitUntil(wake_ms_)) return state_;  // between two writes
    if (out_at_ < out_.size()) return state_ = State::kWrite;
    out_.clear();
    out_at_ = 0;
    if (!(steps_.empty() ? TakeInput() : TakeStep())) break;
  }
  return state_;
}

std::span<const uint8_t> Conn::output() const {
  const auto all = std::span(out_).subspan(out_at_);
  return all.first(std::min(all.size(), split_));
}

void Conn::Written(size_t bytes) {
  const bool whole_write = bytes == output().size();
  out_at_ += bytes;
  if (whole_write && pause_ms_ > 0) {
    waiting_ = true;
    wake_ms_ = now_ms_ + pause_ms_;
  }
}

// True once that time has come; else the state is kWait.
bool Conn::WaitUntil(int64_t ms) {
  waiting_ = ms == kNever || now_ms_ < ms;
  wake_ms_ = waiting_ ? ms : kNever;
  if (waiting_) state_ = State::kWait;
  return !waiting_;
}

bool Conn::TakeStep() {
  Step& step = steps_.front();
  switch (step.kind) {
    case Step::Kind::kBytes:
    case Step::Kind::kStream:
      Emit(step);
      return true;
    case Step::Kind::kDelay:
      if (!WaitUntil(waiting_ ? wake_ms_ : now_ms_ + static_cast<int64_t>(step.number))) {
        return false;
      }
      break;
    case Step::Kind::kStall:
      if (!node_.GateOpen(step.number)) return WaitUntil(kNever);
      waiting_ = false;
      break;
    case Step::Kind::kHang:
      return WaitUntil(kNever);
    case Step::Kind::kClose:
      state_ = State::kClose;
      return false;
    case Step::Kind::kReset:
      state_ = State::kReset;
      return false;
    case Step::Kind::kSplit:
      split_ = std::max<size_t>(1, static_cast<size_t>(step.number));
      pause_ms_ = static_cast<int64_t>(step.pause_ms);
      break;
    case Step::Kind::kTruncate:
      truncate_left_ = static_cast<size_t>(step.number);
      break;
    case Step::Kind::kPlain:
      split_ = truncate_left_ = SIZE_MAX;
      pause_ms_ = 0;
      break;
    case Step::Kind::kDefault:
    case Step::Kind::kCompute:
      break;  // replaced by Node
  }
  steps_.pop_front();
  return true;
}

// Moves one step's next bytes to the output.
void Conn::Emit(Step& step) {
  bool more = false;
  if (truncate_left_ == 0) {
    // An endless stream ends here, too.
  } else if (step.kind == Step::Kind::kStream) {
    more = step.stream(out_);
  } else {
    out_ = std::move(step.bytes);
  }
  if (truncate_left_ != SIZE_MAX) {
    out_.resize(std::min(out_.size(), truncate_left_));
    truncate_left_ -= out_.size();
  }
  if (!more) steps_.pop_front();
}

bool Conn::TakeInput() {
  if (unread() >= wire::kWord && !greeted_) {
    greeted_ = true;
    Request word;
    word.kind = Request::Kind::kHandshake;
    word.value = wire::LoadLittle<uint64_t>(in_.data() + in_at_);
    in_at_ += wire::kWord;
    session_.legacy = word.value == wire::kVersionLegacy;
    Handle(std::move(word));
    return true;
  }
  if (greeted_ && unread() >= wire::kHeaderBytes && HandleFrame()) return true;
  if (closed()) return false;
  state_ = ended_ ? State::kClose : State::kRead;
  return false;
}

// False if the frame is not all there, or ended the connection.
bool Conn::HandleFrame() {
  const uint8_t* frame = in_.data() + in_at_;
  const wire::Header header = wire::ParseHeader(frame);
  if (header.body_bytes == 0 || header.body_bytes > kFrameBytesMax) {
    node_.NoteViolation(header.body_bytes == 0 ? "empty body" : "frame too large");
    state_ = State::kClose;
    return false;
  }
  if (header.body_bytes > unread() - wire::kHeaderBytes) return false;
  const Era era = node_.era();
  Request request = CopyRequest(header, frame + wire::kHeaderBytes,
                                Session::SchemaMax(era, header.type), era == Era::kA);
  in_at_ += wire::kHeaderBytes + static_cast<size_t>(header.body_bytes);
  Handle(std::move(request));
  return true;
}

void Conn::Handle(Request request) {
  request.connection = number_;
  std::vector<Step> steps = node_.Handle(session_, std::move(request));
  std::move(steps.begin(), steps.end(), std::back_inserter(steps_));
}

}  // namespace dqc::mock
