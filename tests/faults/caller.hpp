/* SPDX-License-Identifier: MIT */
// Between the workers and the library: calls with their history, cancels and planted bugs.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <initializer_list>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "faults/history.hpp"

namespace dqc::faults {

// A dqc_client on a threaded loop of its own, and the thread that dispatches its events.
class Client {
 public:
  struct Options {
    std::vector<std::string> addresses;  // as configured
    std::string address_map;             // advertised=reachable,…
    int pool_max = 8;
    std::string more;  // "&option=value…"
  };
  explicit Client(const Options& options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  dqc_client* get() const { return client_; }
  dqc_stats Stats() const;

 private:
  dqc_loop* loop_ = nullptr;
  dqc_queue* queue_ = nullptr;
  dqc_client* client_ = nullptr;
  std::atomic<bool> stop_{false};
  std::thread dispatcher_;
};

struct Request {
  enum class Verb { kExec, kQuery, kScript, kAcquire, kPrepare };
  Verb verb = Verb::kExec;
  std::string sql;
  std::vector<int64_t> args;
  dqc_conn* conn = nullptr;  // borrowed; null: through the client
  dqc_stmt* stmt = nullptr;  // borrowed; instead of sql
  uint32_t flags = 0;
  int64_t timeout_ms = 8000;
};

// What all workers share.
struct Shared {
  Phase* phase;
  Planter* planter;
  Violations* violations;
  FaultLog* faults;
  std::atomic<int64_t> next_id{1};
  std::atomic<int64_t> counter_asked{0}, counter_acknowledged{0};
  std::atomic<int64_t> stale_reads{0}, busy{0};
};

// The calls of one worker thread.
class Caller {
 public:
  Caller(Client* client, Shared* shared, uint64_t seed);

  Op* New(Kind kind, int64_t id = 0, int64_t key = 0, int64_t value = 0);
  // Starts it; op->outcome tells when it has ended. Some are cancelled, some have short deadlines,
  // as the phase says.
  void Start(Op* op, const Request& request);
  // Until every one of them has ended, at most 15 s beyond its deadline. Cancels where it is time.
  void Wait(const std::vector<Op*>& ops);
  Op* Run(Kind kind, const Request& request);  // New(), Start(), Wait()
  Op* Run(Op* op, const Request& request);
  // The blocking form of Run(), for kExec through the client.
  void RunBlocking(Op* op, const Request& request);
  // request.sql as a transaction with a mark, blocking.
  void RunTransaction(Op* op, const Request& request);

  uint64_t Pick(uint64_t n) { return random_() % n; }
  Shared& shared() { return *shared_; }
  const std::deque<Op>& ops() const { return ops_; }  // once all have ended
  std::mutex& mutex() { return mutex_; }

 private:
  static void DQC_CALL OnEvent(void* user_data, const dqc_event* event);
  void OnRows(Op* op, const dqc_event& event);
  void OnDone(Op* op, const dqc_event& event);
  void Finish(Op* op, dqc_status status, const dqc_error* error);
  dqc_status Submit(Op* op, const Request& request, dqc_callback callback, void* user_data,
                    uint64_t* handle, dqc_error** error);
  void CancelDue(const std::vector<Op*>& ops, Us* next);
  int64_t Timeout(int64_t wanted);

  Client* client_;
  Shared* shared_;
  std::mt19937_64 random_;
  std::mutex mutex_;
  std::condition_variable ended_;
  std::deque<Op> ops_;  // guarded by mutex_ while operations run; elements stay where they are
};

}  // namespace dqc::faults
