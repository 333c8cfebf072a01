/* SPDX-License-Identifier: MIT */
#include "dqclient/dqclient.h"

#define DQC_TEXT_OF(x) #x
#define DQC_VERSION_TEXT(a, b, c) DQC_TEXT_OF(a) "." DQC_TEXT_OF(b) "." DQC_TEXT_OF(c)

extern "C" {

const char* dqc_version(void) {
  return DQC_VERSION_TEXT(DQC_VERSION_MAJOR, DQC_VERSION_MINOR, DQC_VERSION_PATCH);
}

uint32_t dqc_version_number(void) { return DQC_VERSION_NUMBER; }

}  // extern "C"
