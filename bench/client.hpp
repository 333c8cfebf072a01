/* SPDX-License-Identifier: MIT */
// What the groups need of the C interface; any failure ends the program.
#pragma once

#include <dqclient/dqclient.h>

#include <string>
#include <string_view>

#include "harness.hpp"

namespace bench {

void Must(dqc_status status, dqc_error* error);

class Client {
 public:
  enum class Mode { kDriven, kThreaded };
  Client(const Server& server, std::string_view options, Mode mode = Mode::kDriven);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  dqc_conn* conn() const { return conn_; }
  dqc_stmt* Prepare(const char* sql);  // freed with the client
  void Exec(const char* sql);

  // One after the other by the blocking interface; queries go through a cursor.
  void QuerySequential(dqc_stmt* stmt, uint64_t ops);
  void InsertSequential(dqc_stmt* stmt, uint64_t ops);
  // By callbacks, with up to `depth` operations on their way; each callback submits the next.
  void QueryPipelined(dqc_stmt* stmt, uint64_t ops, uint64_t depth);
  void InsertPipelined(dqc_stmt* stmt, uint64_t ops, uint64_t depth);

 private:
  struct Work {
    dqc_stmt* stmt;
    bool insert;
    uint64_t to_submit;
    uint64_t to_finish;
  };
  static void SubmitOne(Work* work);
  static void DQC_CALL OnEvent(void* work, const dqc_event* event);
  void RunPipelined(Work work, uint64_t depth);

  dqc_loop* loop_ = nullptr;
  dqc_queue* queue_ = nullptr;
  dqc_conn* conn_ = nullptr;
  dqc_stmt* stmt_ = nullptr;
};

inline constexpr char kSelect1[] = "SELECT 1";
inline constexpr char kInsert[] = "INSERT INTO bench_insert(number, text) VALUES (?, ?)";
inline constexpr int64_t kNumber = 42;
inline constexpr char kText[] = "some text of usual size";

}  // namespace bench
