/* SPDX-License-Identifier: MIT */
// Little-endian scalars at any address (section 1), and word arithmetic. The only place that copies
// bytes into integers.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "wire/protocol.hpp"

namespace dqc::wire {

template <typename T>
constexpr T SwapBytes(T v) {
  T out = 0;
  for (size_t i = 0; i < sizeof(T); ++i) {
    out = static_cast<T>(out << 8 | ((v >> (8 * i)) & 0xff));
  }
  return out;
}

template <typename T>
inline T LoadLittle(const uint8_t* from) {
  T v;
  std::memcpy(&v, from, sizeof(v));
  if constexpr (std::endian::native == std::endian::big) v = SwapBytes(v);
  return v;
}

template <typename T>
inline void StoreLittle(uint8_t* to, T v) {
  if constexpr (std::endian::native == std::endian::big) v = SwapBytes(v);
  std::memcpy(to, &v, sizeof(v));
}

// Bytes from `size` up to the next word; never overflows, unlike rounding up.
constexpr size_t PaddingAfter(size_t size) { return (kWord - size % kWord) % kWord; }

}  // namespace dqc::wire
