/* SPDX-License-Identifier: MIT */
#include "cluster.hpp"

#include <dqclient/dqclient.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>

#include "error.hpp"

namespace dqc::tool {
namespace {

struct Free {
  void operator()(dqc_client* client) const { dqc_client_free(client); }
  void operator()(dqc_config* config) const { dqc_config_free(config); }
  void operator()(dqc_rows* rows) const { dqc_rows_free(rows); }
  void operator()(dqc_error* error) const { dqc_error_free(error); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

const char* RoleName(int64_t role) {
  switch (role) {
    case DQC_ROLE_VOTER:
      return "voter";
    case DQC_ROLE_STANDBY:
      return "stand-by";
    case DQC_ROLE_SPARE:
      return "spare";
    default:
      return "of an unknown role";
  }
}

const char* PhaseName(int32_t phase) {
  switch (phase) {
    case DQC_PHASE_RESOLVE:
      return "resolve";
    case DQC_PHASE_CONNECT:
      return "connect";
    case DQC_PHASE_TLS:
      return "tls";
    case DQC_PHASE_HANDSHAKE:
      return "handshake";
    case DQC_PHASE_LEADER:
      return "leader";
    case DQC_PHASE_OPEN:
      return "open";
    default:
      return "-";
  }
}

// One line a node: how far it came, and why no farther.
void PrintAttempts(const dqc_error* error) {
  for (size_t i = 0; i < dqc_error_attempt_count(error); ++i) {
    dqc_attempt row{};
    row.struct_size = sizeof(row);
    if (dqc_error_attempt(error, i, &row) != DQC_OK) continue;
    std::printf("%-24s %-10s %8.1f ms  %s", row.address, PhaseName(row.phase),
                static_cast<double>(row.elapsed_us) / 1000, row.cause);
    if (row.leader[0] != '\0') std::printf("; names %s", row.leader);
    std::printf("\n");
  }
}

// " weight 7, failure domain 1", or nothing of a node that does not say.
std::string Describe(dqc_client* client, const char* address) {
  const dqc_admin request = {sizeof(request), DQC_ADMIN_DESCRIBE, 0, 0, address};
  const dqc_call_options options = {sizeof(options), 0, 1000};
  dqc_rows* raw_rows = nullptr;
  const dqc_status status = dqc_client_admin(client, &request, &options, &raw_rows, nullptr);
  const Owned<dqc_rows> rows(raw_rows);
  if (status != DQC_OK || dqc_rows_step(rows.get(), nullptr) != DQC_ROW) return " does not answer";
  const auto number = [&](size_t column) {
    return std::to_string(static_cast<unsigned long long>(dqc_rows_int64(rows.get(), column)));
  };
  return " weight " + number(1) + ", failure domain " + number(0);
}

int PrintMembers(dqc_client* client) {
  dqc_admin request{};
  request.struct_size = sizeof(request);
  request.verb = DQC_ADMIN_CLUSTER;
  dqc_error* raw_error = nullptr;
  dqc_rows* raw_rows = nullptr;
  dqc_status status = dqc_client_admin(client, &request, nullptr, &raw_rows, &raw_error);
  const Owned<dqc_rows> rows(raw_rows);
  char leader[512];
  dqc_client_leader(client, leader, sizeof(leader));
  if (status == DQC_OK) std::printf("leader: %s\n", leader);
  while (status >= 0 && (status = dqc_rows_step(rows.get(), &raw_error)) == DQC_ROW) {
    const char* address = dqc_rows_text(rows.get(), 1, nullptr);
    std::printf("%20llu  %-24s %-8s%s\n",
                static_cast<unsigned long long>(dqc_rows_int64(rows.get(), 0)), address,
                RoleName(dqc_rows_int64(rows.get(), 2)), Describe(client, address).c_str());
  }
  const Owned<dqc_error> error(raw_error);
  if (!error) return EXIT_SUCCESS;
  std::cerr << "dqc: " << dqc_error_message(error.get()) << std::endl;
  return EXIT_FAILURE;
}

int RunCluster(const std::string& dsn) {
  dqc_error* raw_error = nullptr;
  dqc_config* raw_config = nullptr;
  dqc_client* raw_client = nullptr;
  dqc_status status = dqc_config_new(&raw_config, &raw_error);
  const Owned<dqc_config> config(raw_config);
  if (status == DQC_OK)
    status = dqc_config_set_dsn(config.get(), dsn.data(), dsn.size(), &raw_error);
  if (status == DQC_OK)
    status = dqc_config_set(config.get(), "database", DQC_CSTR, "", 0, &raw_error);
  if (status == DQC_OK)
    status = dqc_client_new(nullptr, nullptr, config.get(), &raw_client, &raw_error);
  const Owned<dqc_client> client(raw_client);
  if (status == DQC_OK) status = dqc_client_connect(client.get(), nullptr, &raw_error);
  if (status == DQC_OK) return PrintMembers(client.get());
  const Owned<dqc_error> error(raw_error);
  PrintAttempts(error.get());
  std::cerr << "dqc: " << dqc_error_message(error.get()) << std::endl;
  return EXIT_FAILURE;
}

}  // namespace

void AddCluster(CLI::App& app, int& exit_code) {
  auto dsn = std::make_shared<std::string>();
  CLI::App* verb = app.add_subcommand(
      "cluster", "print the leader and the members of a cluster, or why no leader was found");
  verb->add_option("dsn", *dsn, "dqlite://host:port[,host:port…][?timeout=5s]")->required();
  verb->callback([dsn, &exit_code] { exit_code = RunCluster(*dsn); });
}

}  // namespace dqc::tool
