/* SPDX-License-Identifier: MIT */
#include "guard.hpp"

#define DQC_TEXT_OF(x) #x
#define DQC_VERSION_TEXT(a, b, c) DQC_TEXT_OF(a) "." DQC_TEXT_OF(b) "." DQC_TEXT_OF(c)

namespace dqc::capi {
namespace {

// By the rules of the soname.
constexpr bool MayUse(uint32_t header, uint32_t library) {
  constexpr uint32_t kMajor = 10000, kMinor = 100;
  if (header / kMajor != library / kMajor) return false;
  const uint32_t wanted = header / kMinor, there = library / kMinor;
  return library < kMajor ? wanted == there : wanted <= there;
}

static_assert(MayUse(100, 100) && MayUse(107, 100) && MayUse(100, 107));
static_assert(!MayUse(200, 100) && !MayUse(100, 200) && !MayUse(10000, 100) && !MayUse(100, 10000));
static_assert(MayUse(10203, 10200) && MayUse(10200, 10300) && !MayUse(10300, 10200));
static_assert(!MayUse(10200, 20200) && !MayUse(20200, 10200));

}  // namespace
}  // namespace dqc::capi

extern "C" {

const char* dqc_version(void) {
  return DQC_VERSION_TEXT(DQC_VERSION_MAJOR, DQC_VERSION_MINOR, DQC_VERSION_PATCH);
}

uint32_t dqc_version_number(void) { return DQC_VERSION_NUMBER; }

dqc_status dqc_abi_check(uint32_t header_version) {
  return dqc::capi::guard(nullptr, [&]() -> dqc::Status {
    if (dqc::capi::MayUse(header_version, DQC_VERSION_NUMBER)) return {};
    return dqc::Status::Make(dqc::Code::kUnsupported, "a header of another ABI");
  });
}

}  // extern "C"
