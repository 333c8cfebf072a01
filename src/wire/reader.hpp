/* SPDX-License-Identifier: MIT */
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/status.hpp"
#include "wire/protocol.hpp"

namespace dqc::wire {

// Checked cursor over one message body. The first failure sticks: later reads give zero or empty,
// and status() names the field and the byte offset that failed. Everything read from the wire goes
// through here.
class Reader {
 public:
  Reader(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  uint8_t U8(const char* field);
  uint32_t U32(const char* field);
  uint64_t U64(const char* field);
  int64_t I64(const char* field) { return static_cast<int64_t>(U64(field)); }
  double F64(const char* field);
  // Bytes up to the NUL; consumes the padding to the word. The view is NUL-terminated in place.
  // `too_long`: what is said of more than bytes_max.
  std::string_view Text(const char* field, size_t bytes_max = SIZE_MAX,
                        const char* too_long = "longer than the limit");
  // u64 length, bytes, padding to the word.
  std::string_view Blob(const char* field);
  // `size` raw bytes, no padding.
  std::string_view Bytes(const char* field, size_t size);
  void Align(const char* field);  // to the next word relative to the start of the body

  void Fail(const char* field, const char* why);  // here; the first call wins
  // For a field that was read already. `code`: kLimit when the bound is ours, not the protocol's.
  void FailAt(size_t offset, const char* field, const char* why, Code code = Code::kProtocol);
  void ExpectEnd();  // surplus bytes are an error

  bool ok() const { return failed_field_ == nullptr; }
  size_t offset() const { return offset_; }
  size_t remaining() const { return size_ - offset_; }
  const uint8_t* cursor() const { return data_ + offset_; }
  const uint8_t* data() const { return data_; }
  void Skip(size_t n) { offset_ += n; }  // n <= remaining(), checked by the caller

  // kProtocol or kLimit: "<message>: <field> at byte <offset>: <why>".
  Status status(const char* message) const;

 private:
  bool Need(size_t n, const char* field);

  const uint8_t* data_;
  size_t size_;
  size_t offset_ = 0;
  const char* failed_field_ = nullptr;
  const char* failed_why_ = nullptr;
  size_t failed_offset_ = 0;
  Code failed_code_ = Code::kProtocol;
};

}  // namespace dqc::wire
