/* SPDX-License-Identifier: MIT */
#include "wire/files.hpp"

#include <algorithm>
#include <cstring>

#include "wire/endian.hpp"
#include "wire/fields.hpp"

namespace dqc::wire {

bool FilesReader::Fail(uint64_t offset, const char* field, const char* why, Code code) {
  failed_offset_ = offset;
  failed_field_ = field;
  failed_why_ = why;
  failed_code_ = code;
  return false;
}

Status FilesReader::status() const {
  if (failed_field_ == nullptr) return Status();
  std::string text("Files: ");
  text.append(failed_field_).append(" at byte ").append(std::to_string(failed_offset_));
  text.append(": ").append(failed_why_);
  return Status::Make(failed_code_, text);
}

bool FilesReader::TakeCount(uint64_t count, const Limits& limits) {
  const uint64_t at = offset_ - kWord;
  if (count > limits.files) return Fail(at, "file count", kTooManyFiles, Code::kLimit);
  if (count > rest() / kFileEntryBytesMin) return Fail(at, "file count", "larger than the body");
  file_count_ = files_left_ = count;
  name_at_ = offset_;
  state_ = count == 0 ? State::kEnd : State::kName;
  return true;
}

bool FilesReader::TakeName(const uint8_t* word, const Limits& limits) {
  if (name_at_ + kWord == offset_) name_.clear();
  const auto* text = reinterpret_cast<const char*>(word);
  const auto* nul = static_cast<const char*>(std::memchr(text, 0, kWord));
  const size_t size = nul == nullptr ? kWord : static_cast<size_t>(nul - text);
  if (name_.size() + size > limits.file_name_bytes) {
    return Fail(name_at_, "file name", kFileNameTooLong, Code::kLimit);
  }
  name_.append(text, size);
  if (nul != nullptr) state_ = State::kLength;
  return true;
}

bool FilesReader::TakeLength(uint64_t length) {
  const uint64_t at = offset_ - kWord;
  if (length > rest()) return Fail(at, "file length", "beyond the end");
  if (length % kWord != 0) return Fail(at, "file length", "not whole words");
  file_bytes_ = file_left_ = length;
  piece_offset_ = 0;
  state_ = State::kContent;
  return true;
}

void FilesReader::EndFile() {
  --files_left_;
  name_at_ = offset_;
  state_ = files_left_ == 0 ? State::kEnd : State::kName;
}

FilesReader::Event FilesReader::TakeContent(const uint8_t* data, size_t size, size_t* taken) {
  const auto bytes = static_cast<size_t>(std::min<uint64_t>(size - *taken, file_left_));
  if (bytes == 0 && file_left_ > 0) return Event::kMore;
  piece_ = {reinterpret_cast<const char*>(data + *taken), bytes};
  piece_offset_ = file_bytes_ - file_left_;
  *taken += bytes;
  offset_ += bytes;
  file_left_ -= bytes;
  if (file_left_ == 0) EndFile();
  return Event::kPiece;
}

// The body ends where another word must be.
bool FilesReader::Truncated() {
  switch (state_) {
    case State::kCount:
      return Fail(offset_, "file count", "truncated");
    case State::kName:
      return Fail(name_at_, "file name", name_at_ == offset_ ? "truncated" : "unterminated text");
    default:
      return Fail(offset_, "file length", "truncated");
  }
}

FilesReader::Event FilesReader::Next(const uint8_t* data, size_t size, const Limits& limits,
                                     size_t* taken) {
  *taken = 0;
  if (failed_field_ != nullptr) return Event::kError;
  size = static_cast<size_t>(std::min<uint64_t>(size, rest()));
  for (;;) {
    if (state_ == State::kContent) return TakeContent(data, size, taken);
    if (state_ == State::kEnd) {
      if (rest() == 0) return Event::kEnd;
      (void)Fail(offset_, "end", "surplus bytes");
      return Event::kError;
    }
    if (rest() < kWord) {
      (void)Truncated();
      return Event::kError;
    }
    if (size - *taken < kWord) return Event::kMore;
    const uint8_t* word = data + *taken;
    *taken += kWord;
    offset_ += kWord;
    const bool good = state_ == State::kCount  ? TakeCount(LoadLittle<uint64_t>(word), limits)
                      : state_ == State::kName ? TakeName(word, limits)
                                               : TakeLength(LoadLittle<uint64_t>(word));
    if (!good) return Event::kError;
  }
}

}  // namespace dqc::wire
