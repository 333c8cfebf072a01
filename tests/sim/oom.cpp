/* SPDX-License-Identifier: MIT */
#include "oom.hpp"

#include <cstdlib>
#include <new>

#include "rng.hpp"

namespace dqc::sim {

namespace {

uint64_t scarce = 0;
uint64_t failed = 0;
Rng chance(1);

void* Allocate(std::size_t size) {
  const bool fails = scarce != 0 && chance.Below(scarce) == 0;
  void* memory = fails ? nullptr : std::malloc(size == 0 ? 1 : size);
  if (memory != nullptr) return memory;
  ++failed;
  throw std::bad_alloc();
}

}  // namespace

ScarceMemory::ScarceMemory(uint64_t one_in) : before_(scarce) { scarce = one_in; }
ScarceMemory::~ScarceMemory() { scarce = before_; }

void SeedScarceMemory(uint64_t seed) { chance = Rng(seed); }
uint64_t FailedAllocations() { return failed; }

}  // namespace dqc::sim

void* operator new(std::size_t size) { return dqc::sim::Allocate(size); }
void* operator new[](std::size_t size) { return dqc::sim::Allocate(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
