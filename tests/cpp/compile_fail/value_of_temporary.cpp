/* SPDX-License-Identifier: MIT */
// expect: deleted
// A value in a list borrows its text; a temporary would be gone before the call.
#include <dqclient/dqclient.hpp>

dqc_value make(const std::string& text) {
#if DQC_COMPILE_FAIL
  return dqc::make_value(text + "!");
#else
  return dqc::make_value(text);
#endif
}
