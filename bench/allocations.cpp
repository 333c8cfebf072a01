/* SPDX-License-Identifier: MIT */
// Counts allocations of the whole process: these definitions come before the C library's, also for
// the shared library.
#include <atomic>
#include <cerrno>
#include <cstddef>

#include "harness.hpp"

namespace {

std::atomic<uint64_t> allocations{0};

void Count() { allocations.fetch_add(1, std::memory_order_relaxed); }

}  // namespace

namespace bench {

uint64_t AllocationCount() { return allocations.load(std::memory_order_relaxed); }

}  // namespace bench

#ifdef __GLIBC__
extern "C" {

void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* old, size_t size);
void* __libc_memalign(size_t alignment, size_t size);

__attribute__((visibility("default"))) void* malloc(size_t size) {
  Count();
  return __libc_malloc(size);
}

__attribute__((visibility("default"))) void* calloc(size_t count, size_t size) {
  Count();
  return __libc_calloc(count, size);
}

__attribute__((visibility("default"))) void* realloc(void* old, size_t size) {
  Count();
  return __libc_realloc(old, size);
}

__attribute__((visibility("default"))) void* aligned_alloc(size_t alignment, size_t size) {
  Count();
  return __libc_memalign(alignment, size);
}

__attribute__((visibility("default"))) int posix_memalign(void** out, size_t alignment,
                                                          size_t size) {
  Count();
  *out = __libc_memalign(alignment, size);
  return *out == nullptr ? ENOMEM : 0;
}

}  // extern "C"
#endif
