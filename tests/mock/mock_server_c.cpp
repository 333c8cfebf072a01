/* SPDX-License-Identifier: MIT */
#include "mock/mock_server_c.h"

#include <exception>
#include <memory>
#include <string>

#include "mock/mock_server.hpp"
#include "mock/scenarios.hpp"

using dqc::mock::Era;
using dqc::mock::Match;
using dqc::mock::Server;

struct mock_server {
  explicit mock_server(Era era) : server(era) {}
  Server server;
  std::string violation;
};

mock_server* mock_server_start(char era, const char* scenario, uint64_t n) {
  if (era < 'A' || era > 'D') return nullptr;
  try {
    auto mock = std::make_unique<mock_server>(static_cast<Era>(era - 'A'));
    return Install(mock->server, scenario, n) ? mock.release() : nullptr;
  } catch (const std::exception&) {
    return nullptr;
  }
}

void mock_server_stop(mock_server* server) { delete server; }

uint16_t mock_server_port(const mock_server* server) { return server->server.port(); }
int mock_server_connect(mock_server* server) { return server->server.Connect(); }
void mock_server_release(mock_server* server) { server->server.Release(); }

void mock_server_set_down(mock_server* server, int down) { server->server.SetDown(down != 0); }

uint64_t mock_server_connections(const mock_server* server) { return server->server.connections(); }

uint64_t mock_server_gone(const mock_server* server) { return server->server.gone(); }

uint64_t mock_server_requests(const mock_server* server, int type) {
  if (type < 0) return server->server.requests();
  return server->server.CountType(static_cast<uint8_t>(type));
}

uint64_t mock_server_sql_count(const mock_server* server, const char* part) {
  return server->server.Count(Match().Sql(part));
}

uint64_t mock_server_violations(const mock_server* server) {
  return server->server.violations().size();
}

const char* mock_server_violation(mock_server* server, uint64_t at) {
  const auto all = server->server.violations();
  if (at >= all.size()) return nullptr;
  server->violation = all[static_cast<size_t>(at)];
  return server->violation.c_str();
}

int mock_server_wait_requests(const mock_server* server, int type, uint64_t count, int timeout_ms) {
  const auto done = [&] { return mock_server_requests(server, type) >= count; };
  return server->server.Wait(done, timeout_ms) ? 1 : 0;
}

int mock_server_wait_gone(const mock_server* server, uint64_t count, int timeout_ms) {
  const auto done = [&] { return server->server.gone() >= count; };
  return server->server.Wait(done, timeout_ms) ? 1 : 0;
}
