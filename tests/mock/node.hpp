/* SPDX-License-Identifier: MIT */
// One mock dqlite node: its state, script and log. Every function may be called from any thread, at
// any time.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "mock/script.hpp"
#include "mock/session.hpp"

namespace dqc::mock {

class Node {
 public:
  // Bounds of the log; what comes later is only counted.
  static constexpr size_t kRequestsMax = 100000;
  static constexpr size_t kRequestBytesMax = 64u << 20;
  static constexpr size_t kViolationsMax = 1000;

  explicit Node(Era era = Era::kC);
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  virtual ~Node() = default;

  // Script. The newest rule that fits a request is taken.
  Node& On(Match match, Do steps);
  void ClearRules();
  void Release(uint64_t gate = 0);  // Do::Stall(gate) no longer stops, now and later
  Node& SetTable(std::string sql_part, Table table);
  // Losing leadership ends all sessions; `leader_*` is what LEADER answers then.
  void SetLeader(bool leader, uint64_t leader_id = 0, std::string leader_address = {});
  void Configure(const std::function<void(Config&)>& change);
  Config config() const;

  // Log. Counts leave out era probes; Count(Match(type).Schema(255)) counts those.
  std::vector<Request> Requests(const Match& match = Match()) const;  // kept ones, oldest first
  uint64_t Count(const Match& match = Match()) const;                 // of the kept ones
  uint64_t CountType(wire::RequestType type) const { return CountType(static_cast<uint8_t>(type)); }
  uint64_t CountType(uint8_t type) const;  // of all
  uint64_t requests() const;               // frames so far, kept or not
  uint64_t connections() const;            // so far
  uint64_t gone() const;                   // connections whose end at the client's side was seen
  // What a client must never send (section 15), one text each: assert that it is empty.
  std::vector<std::string> violations() const;
  // Asks `done` now and after each event until it says yes; false after the timeout.
  bool Wait(const std::function<bool()>& done, int timeout_ms = 5000) const;

  // For Conn and Server.
  uint64_t BeginConnection();
  void NoteGone();
  void NoteViolation(std::string what);
  bool GateOpen(uint64_t gate) const;
  // Logs the request and returns the steps to take.
  std::vector<Step> Handle(Session& session, Request request);
  Era era() const;

 protected:
  virtual void Wake() {}  // something that a waiting connection may wait for has changed

 private:
  struct Rule {
    Match match;
    Do steps;
    uint64_t occurrences = 0;
  };

  void Log(const Request& request);
  Do Choose(Session& session, const Request& request);
  void Expand(Session& session, const Request& request, Do from, int depth, std::vector<Step>& out);
  void Event();  // with the lock held

  mutable std::mutex mutex_;
  mutable std::condition_variable event_;
  uint64_t events_ = 0;
  Config config_;
  std::vector<Rule> rules_;
  std::set<uint64_t> open_gates_;
  std::vector<Request> log_;
  size_t log_bytes_ = 0;
  uint64_t type_counts_[256] = {};
  uint64_t numbers_ = 0;
  uint64_t frames_ = 0;
  uint64_t connections_ = 0;
  uint64_t gone_ = 0;
  Session::Violations violations_;
};

}  // namespace dqc::mock
