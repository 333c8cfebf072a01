/* SPDX-License-Identifier: MIT */
// expect: deleted
// The lease ends with the statement, and its address with it.
#include <dqclient/dqclient.hpp>

std::string where(dqc::client& db) {
#if DQC_COMPILE_FAIL
  return db.acquire().value().address();
#else
  dqc::connection lease = db.acquire().value();
  return lease.address();
#endif
}
