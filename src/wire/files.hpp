/* SPDX-License-Identifier: MIT */
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/limits.hpp"
#include "base/status.hpp"
#include "wire/protocol.hpp"

namespace dqc::wire {

// The body of a FILES reply (section 6.4) read as it comes, for it holds a whole database. As strict
// as the decoder of whole messages; any split of the body gives the same files and the same failure.
class FilesReader {
 public:
  enum class Event : uint8_t {
    kMore,   // what was given is used up, but for less than a word
    kPiece,  // piece() of the file name(); an empty file is one empty piece
    kEnd,    // of the body
    kError,  // status(); for good
  };

  explicit FilesReader(uint64_t body_bytes) : body_bytes_(body_bytes) {}

  // Goes on in the body, of which `size` bytes are there; the first `*taken` of them are done with.
  // They may be more than the body.
  Event Next(const uint8_t* data, size_t size, const Limits& limits, size_t* taken);
  void Skip(size_t size) { offset_ += size; }  // of rest(), for good: nothing is read behind it
  uint64_t rest() const { return body_bytes_ - offset_; }
  bool no_files() const { return state_ == State::kEnd && file_count_ == 0; }

  // Of the last kPiece, until the next call.
  const std::string& name() const { return name_; }
  uint64_t file_bytes() const { return file_bytes_; }
  uint64_t piece_offset() const { return piece_offset_; }  // in the file
  std::string_view piece() const { return piece_; }        // in what was given to Next()

  Status status() const;  // kProtocol or kLimit: "Files: <field> at byte <offset>: <why>"

 private:
  enum class State : uint8_t { kCount, kName, kLength, kContent, kEnd };

  bool TakeCount(uint64_t count, const Limits& limits);
  bool TakeName(const uint8_t* word, const Limits& limits);
  bool TakeLength(uint64_t length);
  Event TakeContent(const uint8_t* data, size_t size, size_t* taken);
  void EndFile();
  bool Truncated();
  bool Fail(uint64_t offset, const char* field, const char* why, Code code = Code::kProtocol);

  State state_ = State::kCount;
  uint64_t body_bytes_;
  uint64_t offset_ = 0;
  uint64_t file_count_ = 0, files_left_ = 0;
  uint64_t name_at_ = 0;
  std::string name_;
  uint64_t file_bytes_ = 0, file_left_ = 0;
  uint64_t piece_offset_ = 0;
  std::string_view piece_;

  const char* failed_field_ = nullptr;
  const char* failed_why_ = nullptr;
  uint64_t failed_offset_ = 0;
  Code failed_code_ = Code::kProtocol;
};

}  // namespace dqc::wire
