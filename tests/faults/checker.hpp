/* SPDX-License-Identifier: MIT */
// Compares what the workers were told with what the database holds.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dqc/dev_cluster.hpp"
#include "faults/workers.hpp"

namespace dqc::faults {

class Checker {
 public:
  Checker(const std::vector<std::unique_ptr<Worker>>& workers, FaultLog* faults,
          Violations* violations);
  // Reads the database through a new connection to whoever leads, behind a write of its own.
  // Violations tell the rest.
  void Check(tool::DevCluster* cluster);
  // When no new operation starts any more.
  void CheckEvents();

  void PrintTable() const;
  size_t operations() const { return operations_; }
  size_t maybe_by_fault() const { return maybe_by_fault_; }  // not cancelled, and in time
  // `leased`: transactions on leased connections count too.
  Us LongestWithoutWrite(Us from, Us to, bool leased) const;

 private:
  struct Found {
    int64_t count = 0, key = 0, value = 0;
  };
  using Rows = std::vector<std::vector<int64_t>>;

  bool Read(tool::DevCluster* cluster);
  void CheckWrites();
  void CheckPair(const Op& op, int64_t first, int64_t second);
  void CheckBank();
  void CheckLists();
  void CheckCounter();

  std::vector<const Op*> ops_;
  FaultLog* faults_;
  Violations* violations_;
  size_t operations_ = 0, maybe_by_fault_ = 0;
  Rows ids_, accounts_, transfers_, list_, counter_;
};

}  // namespace dqc::faults
