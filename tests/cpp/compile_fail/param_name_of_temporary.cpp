/* SPDX-License-Identifier: MIT */
// expect: deleted
// The name lives as long as the statement.
#include <dqclient/dqclient.hpp>

std::string name(dqc::connection& conn) {
#if DQC_COMPILE_FAIL
  return std::string(conn.prepare("SELECT :a").value().param_name(1));
#else
  const dqc::statement statement = conn.prepare("SELECT :a").value();
  return std::string(statement.param_name(1));
#endif
}
