/* SPDX-License-Identifier: MIT */
#pragma once

#include <cstdint>

#include "base/status.hpp"
#include "dqclient/dqclient.h"
#include "net/fork.hpp"

namespace dqc::capi {

// First member of every handle: tells a live one from rubbish, and the parent's from the child's
// after fork().
template <uint32_t kMagic>
struct Handle {
  uint32_t magic = kMagic;
  uint32_t fork_generation = ForkGeneration();

  bool valid() const { return magic == kMagic; }
  bool forked() const { return fork_generation != ForkGeneration(); }
  ~Handle() { magic = 0; }
};

// kMisuse for NULL or no such handle, kForked for one of the parent process.
template <typename T>
Status Check(const T* handle, const char* what) {
  if (handle == nullptr || !handle->valid()) {
    return Status::Make(Code::kMisuse, std::string("the ") + what + " is NULL or was freed");
  }
  if (handle->forked()) {
    return Status::Make(
        Code::kForked, std::string("the ") + what + " was made before fork(): make a new one here");
  }
  return {};
}

// (pointer, size) of the interface; DQC_CSTR reads up to the NUL.
inline std::string_view Text(const char* data, size_t size) {
  if (data == nullptr) return {};
  return size == DQC_CSTR ? std::string_view(data) : std::string_view(data, size);
}

}  // namespace dqc::capi
