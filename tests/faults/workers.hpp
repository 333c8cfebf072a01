/* SPDX-License-Identifier: MIT */
// The workers of dqc-faults: each is a thread with a role, and leaves a history of what it asked for
// and was told.
#pragma once

#include "faults/caller.hpp"

namespace dqc::faults {

constexpr int64_t kAccounts = 8;
constexpr int64_t kBalance = 1000;  // of each, at the start
constexpr int64_t kLists = 2;

// Statements that make the tables; each may run again.
const std::vector<std::string>& Schema();

enum class Role { kCrowd, kSingle, kBank, kList, kCounter, kSumReader, kCounterReader };

class Worker {
 public:
  Worker(Role role, Client* client, Shared* shared, uint64_t seed, bool returning)
      : role_(role), caller_(client, shared, seed), returning_(returning) {}
  void Run();  // until the phase says stop
  const Caller& caller() const { return caller_; }

 private:
  void Burst();
  void Single();
  void PreparedInserts();
  void Pair(Kind kind);
  void Marked();
  void Transfer();
  void Append();
  void Increment();
  void Sum();
  void ReadCounter();
  void ReadStrongly();

  dqc_conn* Lease();
  // A statement of a transaction; again while the server is busy, for 3 s at most.
  Op* Statement(dqc_conn* conn, const char* sql, const std::vector<int64_t>& args = {},
                bool query = false);
  // BEGIN IMMEDIATE, `body`, COMMIT, on a leased connection. What COMMIT was told becomes the
  // outcome of `logical`; not executed where it never came to that.
  void Transaction(Op* logical, const std::function<bool(dqc_conn*)>& body);
  void Pause(int64_t ms_max);
  bool Stopped() { return caller_.shared().phase->stop; }

  const Role role_;
  Caller caller_;
  const bool returning_;  // INSERT … RETURNING works on this server
};

}  // namespace dqc::faults
