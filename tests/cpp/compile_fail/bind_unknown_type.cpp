/* SPDX-License-Identifier: MIT */
// expect: no dqc::bind_value for a parameter of this type
// A pointer is no boolean, and a character no number.
#include <dqclient/dqclient.hpp>

void bind(dqc::connection& conn, void* pointer, char character) {
#if DQC_COMPILE_FAIL
  (void)conn.exec("SELECT ?, ?", pointer, character);
#else
  (void)conn.exec("SELECT ?, ?", pointer != nullptr, static_cast<int>(character));
#endif
}
