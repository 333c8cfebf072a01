/* SPDX-License-Identifier: MIT */
// Tries a write on every node every 10 ms, each through a new plain socket, and knows nothing of
// leaders: the yardstick for a client that has to find one.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace dqc::live {

// One write to a node, blocking; the protocol by hand. True if the server accepted it.
bool RawWrite(const std::string& address, const std::string& database, const std::string& sql,
              int timeout_ms);

class Prober {
 public:
  Prober(const std::vector<std::string>& addresses, std::string database, std::string sql);
  ~Prober();

  // End of the first write that was accepted after `since_us`; 0: none yet.
  int64_t FirstAfter(int64_t since_us) const;
  uint64_t tries() const { return tries_; }

 private:
  void Run(const std::string& address);

  const std::string database_, sql_;
  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> tries_{0};
  mutable std::mutex mutex_;
  std::vector<int64_t> accepted_;  // guarded by mutex_
  std::vector<std::thread> threads_;
};

}  // namespace dqc::live
