/* SPDX-License-Identifier: MIT */
// A dqc_client as the live tests use it, and a ledger: who wrote what, what the client said of it,
// and what the database says in the end.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "live/client.hpp"

namespace dqc::live {

struct FreeClient {
  void operator()(dqc_client* h) const { dqc_client_free(h); }
  void operator()(dqc_queue* h) const { dqc_queue_free(h); }
};

// "dqlite://a,b,c/database?options"
std::string ClusterDsn(const std::vector<std::string>& addresses, const std::string& database,
                       const std::string& options = "");

struct Attempt {
  int32_t phase = 0;
  dqc_status code = 0;
  int64_t elapsed_us = 0;
  std::string address, leader, cause;
};

// On a loop of its own, driven or threaded; blocking calls, from any thread if threaded.
class Client {
 public:
  Client() = default;
  // Never throws: look at opened(). Connects only with `connect`.
  explicit Client(const std::string& dsn, bool connect = true, int32_t mode = DQC_LOOP_THREADED);
  const Reply& opened() const { return opened_; }
  const std::vector<Attempt>& attempts() const { return attempts_; }  // of a connect that failed
  explicit operator bool() const { return client_ != nullptr; }
  dqc_client* get() const { return client_.get(); }
  dqc_loop* loop() const { return loop_.get(); }

  Reply Connect(uint64_t timeout_ms = 0);
  Reply Exec(std::string_view sql, const Args& args = {}, uint64_t timeout_ms = 0,
             uint32_t flags = 0) const;
  Reply Query(std::string_view sql, const Args& args = {}, uint64_t timeout_ms = 0,
              uint32_t flags = 0) const;
  Reply Admin(int32_t verb, uint64_t node_id = 0, uint64_t value = 0, const char* text = nullptr,
              uint64_t timeout_ms = 0) const;
  Conn Acquire(Reply* reply = nullptr, uint64_t timeout_ms = 0) const;
  dqc_status ExecAsync(std::string_view sql, Pending* p, const Args& args = {},
                       uint64_t timeout_ms = 0, uint32_t flags = 0) const;
  dqc_status QueryAsync(std::string_view sql, Pending* p, const Args& args = {},
                        uint64_t timeout_ms = 0) const;
  // Driven loops. False after `seconds`.
  bool RunUntil(const std::function<bool()>& condition, int seconds = 20) const;

  dqc_stats Stats() const;
  std::string Leader() const;
  void Free() { client_.reset(); }

 private:
  Handle<dqc_loop> loop_;
  std::unique_ptr<dqc_client, FreeClient> client_;
  Reply opened_;
  std::vector<Attempt> attempts_;
};

// Waits up to 30 s until a statement works.
Reply OnLeader(const std::vector<std::string>& addresses, const std::string& database,
               std::string_view sql);

// What a client said of the writes of ids to a table (id) without UNIQUE.
class Ledger {
 public:
  struct Counts {
    size_t done = 0, maybe = 0, not_executed = 0, executed_with_error = 0, late = 0;
    int64_t slowest_ms = 0;
    std::map<std::string, size_t> failures;       // by status and outcome
    std::map<std::string, std::string> examples;  // the first message of each
  };

  int64_t NextId() { return ++last_id_; }
  void Note(int64_t id, const Reply& reply, int64_t ms, int64_t allowed_ms);
  Counts counts() const;
  // Of the rows (id, number of it): one line for each id whose count is not what the client said.
  std::vector<std::string> Judge(const Reply& rows) const;

 private:
  struct Entry {
    dqc_status status;
    int32_t outcome;
    std::string message;
  };
  std::atomic<int64_t> last_id_{0};
  mutable std::mutex mutex_;
  std::map<int64_t, Entry> entries_;  // guarded by mutex_
  Counts counts_;                     // guarded by mutex_
};

// Threads that write one id after the other through a threaded client until they are stopped.
class Writers {
 public:
  using Observer = std::function<void(int64_t start_us, int64_t end_us, const Reply& reply)>;
  // INSERT INTO `table` VALUES (id), each with `timeout_ms`.
  Writers(const Client& client, Ledger* ledger, std::string table, size_t threads,
          uint64_t timeout_ms, Observer observer = nullptr);
  ~Writers() { Stop(); }
  void Stop();

 private:
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
};

int64_t NowUs();

}  // namespace dqc::live
