// SPDX-License-Identifier: MIT
#include "failing_new.h"

#include <pthread.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#endif

namespace {

std::atomic<bool> armed{false};
std::atomic<bool> sticky_failure{false};
std::atomic<bool> failed{false};
std::atomic<long> countdown{0};
long started_at = 0;  // set by oom_begin(), while nothing is armed
thread_local bool is_application = false;

// The mock's thread allocates as ever; the library's threads are told by their name.
bool Counts() {
  if (is_application) return true;
  char name[32] = "";
  return pthread_getname_np(pthread_self(), name, sizeof(name)) == 0 &&
         std::strcmp(name, "dqclient") == 0;
}

bool Fails() {
  if (!armed.load(std::memory_order_relaxed) || !Counts()) return false;
  const long left = countdown.fetch_sub(1) - 1;
  if (left > 0 || (left < 0 && !sticky_failure)) return false;
  failed = true;
  return true;
}

}  // namespace

void* operator new(size_t size) {
  void* memory = Fails() ? nullptr : std::malloc(size != 0 ? size : 1);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void* operator new[](size_t size) { return operator new(size); }
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  return Fails() ? nullptr : std::malloc(size != 0 ? size : 1);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }

extern "C" {

void oom_begin(long n, int sticky) {
  is_application = true;
  failed = false;
  sticky_failure = sticky != 0;
  countdown = started_at = n;
  armed = true;
}

long oom_count(void) { return started_at - countdown; }

int oom_end(void) {
  armed = false;
  return failed ? 1 : 0;
}

int oom_leaks(void) {
#if defined(__SANITIZE_ADDRESS__)
  return __lsan_do_recoverable_leak_check();
#else
  return 0;
#endif
}

}  // extern "C"
