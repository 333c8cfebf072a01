/* SPDX-License-Identifier: MIT */
#include <dqclient/dqclient.hpp>

int other_unit();

int other_unit() {
  dqc::result<dqc::config> config = dqc::config::parse("dqlite://127.0.0.1:1/app");
  if (!config.ok()) return 1;
  return dqc::connection::create(*config).ok() ? 0 : 2;
}
