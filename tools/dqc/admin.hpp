/* SPDX-License-Identifier: MIT */
// Administrative requests to one node, blocking, through the C interface of the library.
#pragma once

#include <dqclient/dqclient.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "error.hpp"

namespace dqc::tool {

class AdminError : public Error {
 public:
  AdminError(const dqc_error* error, const std::string& what);

  dqc_status code() const { return code_; }
  // Caused by us and not by the state of the cluster: another try would fail in the same way.
  bool Permanent() const;

 private:
  dqc_status code_;
};

struct Member {
  uint64_t id = 0;
  std::string address;
  int64_t role = 0;  // DQC_ROLE_
};

// A connection for administration to one node; connects at once. Every failure is an AdminError.
class Admin {
 public:
  // `timeout`: of connecting, and of each request.
  Admin(const std::string& address, std::chrono::milliseconds timeout);

  std::string Leader();  // address of the node that this one takes for the leader; "" if none
  std::vector<Member> Cluster();
  void Add(uint64_t id, const std::string& address);
  void Assign(uint64_t id, int role);  // DQC_ROLE_
  char Era() const { return static_cast<char>(dqc_conn_era(conn_.get())); }

 private:
  struct Free {
    void operator()(dqc_conn* conn) const { dqc_conn_free(conn); }
    void operator()(dqc_rows* rows) const { dqc_rows_free(rows); }
    void operator()(dqc_config* config) const { dqc_config_free(config); }
  };
  using Rows = std::unique_ptr<dqc_rows, Free>;

  Rows Request(int verb, uint64_t id, uint64_t value, const char* text);
  bool Step(const Rows& rows);

  std::string address_;
  std::chrono::milliseconds timeout_;
  std::unique_ptr<dqc_conn, Free> conn_;
};

}  // namespace dqc::tool
