/* SPDX-License-Identifier: MIT */
// What the fuzzers of call sequences share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>

inline void Require(bool condition) {
  if (!condition) std::abort();
}

class Input {
 public:
  Input(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  bool empty() const { return size_ == 0; }
  uint8_t Byte() { return size_ == 0 ? uint8_t{0} : (--size_, *data_++); }

 private:
  const uint8_t* data_;
  size_t size_;
};
