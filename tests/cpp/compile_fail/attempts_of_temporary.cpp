/* SPDX-License-Identifier: MIT */
// expect: deleted
#include <dqclient/dqclient.hpp>

size_t nodes(dqc::client& db) {
#if DQC_COMPILE_FAIL
  return db.connect().error().attempts().size();
#else
  const auto r = db.connect();
  return r.error().attempts().size();
#endif
}
