/* SPDX-License-Identifier: MIT */
#include "wire/writer.hpp"

#include <bit>
#include <cstring>

#include "base/limits.hpp"
#include "wire/endian.hpp"

namespace dqc::wire {

uint8_t* Writer::Grow(size_t size) {
  const size_t used = out_.size() - frame_start_;
  if (too_large_ || size > kHeaderBytes + kMessageBytesMax - used) {
    too_large_ = true;
    return nullptr;
  }
  out_.resize(out_.size() + size);
  return out_.data() + (out_.size() - size);
}

void Writer::Begin(uint8_t type, uint8_t schema) {
  frame_start_ = out_.size();
  too_large_ = false;
  const uint8_t header[kHeaderBytes] = {0, 0, 0, 0, type, schema, 0, 0};
  Raw(header, sizeof(header));
}

bool Writer::End() {
  Align();
  if (too_large_) {
    out_.resize(frame_start_);
    return false;
  }
  const size_t body = out_.size() - frame_start_ - kHeaderBytes;
  StoreLittle(out_.data() + frame_start_, static_cast<uint32_t>(body / kWord));
  return true;
}

void Writer::U8(uint8_t v) { Raw(&v, sizeof(v)); }

void Writer::U32(uint32_t v) {
  if (uint8_t* to = Grow(sizeof(v))) StoreLittle(to, v);
}

void Writer::U64(uint64_t v) {
  if (uint8_t* to = Grow(sizeof(v))) StoreLittle(to, v);
}

void Writer::F64(double v) { U64(std::bit_cast<uint64_t>(v)); }

void Writer::Text(std::string_view text) {
  Raw(text.data(), text.size());
  U8(0);
  Align();
}

void Writer::Blob(const void* data, size_t size) {
  U64(size);
  Raw(data, size);
  Align();
}

void Writer::Raw(const void* data, size_t size) {
  uint8_t* to = Grow(size);
  if (to != nullptr && size != 0) std::memcpy(to, data, size);
}

void Writer::Align() {
  // resize() has zeroed the new bytes.
  Grow(PaddingAfter(out_.size() - frame_start_));
}

}  // namespace dqc::wire
