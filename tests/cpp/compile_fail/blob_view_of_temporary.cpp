/* SPDX-License-Identifier: MIT */
// expect: deleted
#include <dqclient/dqclient.hpp>

dqc::blob_view view(const std::vector<uint8_t>& bytes) {
#if DQC_COMPILE_FAIL
  return dqc::blob_view(std::vector<uint8_t>(bytes));
#else
  return dqc::blob_view(bytes);
#endif
}
