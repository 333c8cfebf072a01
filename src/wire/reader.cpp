/* SPDX-License-Identifier: MIT */
#include "wire/reader.hpp"

#include <bit>
#include <string>

#include "wire/endian.hpp"

namespace dqc::wire {

bool Reader::Need(size_t n, const char* field) {
  if (!ok()) return false;
  if (n <= remaining()) return true;
  Fail(field, "truncated");
  return false;
}

uint8_t Reader::U8(const char* field) {
  if (!Need(1, field)) return 0;
  return data_[offset_++];
}

uint32_t Reader::U32(const char* field) {
  if (!Need(sizeof(uint32_t), field)) return 0;
  const auto v = LoadLittle<uint32_t>(cursor());
  offset_ += sizeof(v);
  return v;
}

uint64_t Reader::U64(const char* field) {
  if (!Need(sizeof(uint64_t), field)) return 0;
  const auto v = LoadLittle<uint64_t>(cursor());
  offset_ += sizeof(v);
  return v;
}

double Reader::F64(const char* field) { return std::bit_cast<double>(U64(field)); }

std::string_view Reader::Text(const char* field, size_t bytes_max, const char* too_long) {
  if (!Need(1, field)) return {};
  const uint8_t* start = cursor();
  const void* nul = std::memchr(start, 0, remaining());
  if (nul == nullptr) {
    Fail(field, "unterminated text");
    return {};
  }
  const auto size = static_cast<size_t>(static_cast<const uint8_t*>(nul) - start);
  if (size > bytes_max) {
    FailAt(offset_, field, too_long, Code::kLimit);
    return {};
  }
  const size_t padded = size + 1 + PaddingAfter(size + 1);
  if (!Need(padded, field)) return {};
  offset_ += padded;
  return {reinterpret_cast<const char*>(start), size};
}

std::string_view Reader::Blob(const char* field) {
  const size_t length_at = offset_;
  const uint64_t size = U64(field);
  if (!ok()) return {};
  // Compared before rounding up, so that a huge length cannot wrap.
  if (size > remaining() || PaddingAfter(static_cast<size_t>(size)) > remaining() - size) {
    FailAt(length_at, field, "length beyond the end");
    return {};
  }
  const std::string_view bytes(reinterpret_cast<const char*>(cursor()), static_cast<size_t>(size));
  offset_ += bytes.size() + PaddingAfter(bytes.size());
  return bytes;
}

std::string_view Reader::Bytes(const char* field, size_t size) {
  if (!Need(size, field)) return {};
  const std::string_view bytes(reinterpret_cast<const char*>(cursor()), size);
  offset_ += size;
  return bytes;
}

void Reader::Align(const char* field) {
  const size_t padding = PaddingAfter(offset_);
  if (Need(padding, field)) offset_ += padding;
}

void Reader::Fail(const char* field, const char* why) { FailAt(offset_, field, why); }

void Reader::FailAt(size_t offset, const char* field, const char* why, Code code) {
  if (!ok()) return;
  failed_field_ = field;
  failed_why_ = why;
  failed_offset_ = offset;
  failed_code_ = code;
}

void Reader::ExpectEnd() {
  if (remaining() != 0) Fail("end", "surplus bytes");
}

Status Reader::status(const char* message) const {
  if (ok()) return Status();
  std::string text(message);
  text.append(": ").append(failed_field_).append(" at byte ");
  text.append(std::to_string(failed_offset_)).append(": ").append(failed_why_);
  return Status::Make(failed_code_, text);
}

}  // namespace dqc::wire
