/* SPDX-License-Identifier: MIT */
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "wire/protocol.hpp"

namespace dqc::wire {

using Bytes = std::vector<uint8_t>;

// Appends one frame at a time to a byte vector that the caller owns and reuses.
class Writer {
 public:
  explicit Writer(Bytes& out) : out_(out) {}

  void Begin(uint8_t type, uint8_t schema);  // header with an open length
  // Pads to the word and writes the length. False if the body exceeds kMessageBytesMax; the frame
  // is then removed.
  [[nodiscard]] bool End();

  void U8(uint8_t v);
  void U32(uint32_t v);
  void U64(uint64_t v);
  void I64(int64_t v) { U64(static_cast<uint64_t>(v)); }
  void F64(double v);
  void Text(std::string_view text);  // the bytes, NUL, zero padding; the text holds no NUL
  void Blob(const void* data, size_t size);
  void Raw(const void* data, size_t size);
  void Align();  // zeros to the next word of the frame

 private:
  // Room for `size` more bytes at the end of the frame; null once the frame would exceed
  // kMessageBytesMax.
  uint8_t* Grow(size_t size);

  Bytes& out_;
  size_t frame_start_ = 0;
  bool too_large_ = false;
};

}  // namespace dqc::wire
