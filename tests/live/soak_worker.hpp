/* SPDX-License-Identifier: MIT */
// One thread of dqc-soak: operations of every kind, at random, on connections of its own.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <initializer_list>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "live/client.hpp"

namespace dqc::live {

// What must never happen. Any thread.
class Violations {
 public:
  void Add(const std::string& what);
  size_t count() const { return count_; }

 private:
  std::mutex mutex_;  // of the output
  std::atomic<size_t> count_{0};
};

void CheckIntegrity(const std::string& dsn, Violations* violations);

using Counts = std::map<std::pair<std::string, std::string>, uint64_t>;  // (kind, outcome)

// "WITH n(i) AS (1 to count) "
std::string Numbers(uint64_t count);

class Worker {
 public:
  Worker(const std::string& address, char era, int number, uint64_t seed, Violations* violations);
  void Run(const std::atomic<bool>& stop);
  const Counts& counts() const { return counts_; }  // once Run() has returned
  std::string History();                            // the last operations; any thread

 private:
  using Operation = void (Worker::*)();
  struct Kind {
    const char* name;
    Operation run;
    unsigned weight;
  };
  static const std::vector<Kind>& Kinds();

  // Blocking connection.
  void Insert();
  void Update();
  void OrFail();
  void Limited();
  void Select();
  void BigResult();
  void WideResult();
  void Returning();
  void HalfReturning();
  void HalfCursor();
  void Transaction();
  void SavepointInTransaction();
  void Script();
  void ScriptThatFails();
  void Pragma();
  void Error();
  void Prepared();
  void Blob();
  void Ddl();
  void Timeout();
  void CloseAndOpen();
  void FreeInTransaction();
  void Admin();
  void Vacuum();
  void Verify();
  // Asynchronous connection.
  void Pipeline();
  void CancelStream();
  void CancelAnything();
  void FreeMidStream();

  uint64_t Pick(uint64_t n) { return random_() % n; }
  std::string Table() const { return "w" + std::to_string(number_); }
  bool Open();       // a usable conn_, with its table
  bool OpenAsync();  // a usable async_
  // Counts the outcome; a violation unless ok, busy, or one of `allowed`. True if ok.
  bool Told(const Reply& reply, std::initializer_list<dqc_status> allowed = {});
  // Told(), for a statement that adds `rows` rows to the table.
  bool Added(const Reply& reply, int64_t rows, std::initializer_list<dqc_status> allowed = {});
  // Until it is not BUSY.
  Reply Again(const std::string& sql, const Args& args = {}, int64_t seconds_max = 20);
  bool Settled() const;
  void Rollback();
  void Begin(const char* kind);
  void Expect(bool condition, const std::string& what);
  void Violation(const std::string& what);
  void FinishAll(const std::vector<std::unique_ptr<Pending>>& all);

  const std::string dsn_;
  const char era_;
  const int number_;
  std::mt19937_64 random_;
  Violations* violations_;
  Counts counts_;
  const char* kind_ = "open";
  std::mutex mutex_;
  std::deque<std::string> history_;  // guarded by mutex_
  Conn conn_;
  std::vector<std::pair<Stmt, int64_t>> stmts_;  // SELECT <number> + ?
  std::unique_ptr<AsyncConn> async_;
  // Something was given up on the connection: it drains, and may be dropped.
  bool may_be_lost_ = false, async_may_be_lost_ = false;
  // The table has at least, and at most, so many rows: apart where an outcome is unknown.
  int64_t rows_min_ = 0, rows_max_ = 0;
  std::chrono::steady_clock::time_point doubted_at_{};  // the last unknown outcome
};

}  // namespace dqc::live
