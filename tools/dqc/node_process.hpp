/* SPDX-License-Identifier: MIT */
// One dqc-node as a child process.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "error.hpp"

namespace dqc::tool {

struct NodeSpec {
  std::string command;  // dqc-node, or a wrapper that becomes it: its pid must be the node's
  uint64_t id = 0;
  std::string address;      // "127.0.0.1:9001"
  std::string dir;          // its data, created by the node
  std::string log;          // its stderr is appended here
  unsigned latency_ms = 0;  // one way, between nodes; 0: the server's default
  int lock_fd = -1;         // borrowed; inherited by the node, so that a lock on it lasts as long
};

class AddressInUse : public Error {
 public:
  using Error::Error;
};

// The kernel kills a node when the thread that started it ends: call Start() from a long-lived one.
// Not thread-safe.
class NodeProcess {
 public:
  explicit NodeProcess(NodeSpec spec) : spec_(std::move(spec)) {}
  ~NodeProcess();  // kills what still runs
  NodeProcess(const NodeProcess&) = delete;
  NodeProcess& operator=(const NodeProcess&) = delete;

  // Returns when clients can connect. Throws AddressInUse, or Error with the node's own last words.
  void Start(Deadline deadline);
  // False once it has ended, by whatever cause; reaps it then.
  bool Running();
  void Signal(int signal_number);  // nothing if it does not run
  // After SIGSTOP: until each of its threads has stopped. False if that was not by the deadline.
  bool WaitStopped(Deadline deadline);
  // False if it still runs at the deadline.
  bool WaitExit(Deadline deadline);
  // SIGTERM, and SIGKILL after `grace`. Returns false if SIGKILL was needed.
  bool Stop(std::chrono::milliseconds grace);
  void Kill();  // SIGKILL, and waits for the end

  const NodeSpec& spec() const { return spec_; }
  // Not while it runs.
  void set_address(std::string address) { spec_.address = std::move(address); }
  pid_t pid() const { return pid_; }  // 0 when it does not run
  std::string Name() const;           // "node 2 (127.0.0.1:9002)"
  // "exit code 1", "signal 6 (Aborted)"; then the last lines of what it said since its start.
  std::string Obituary() const;

 private:
  void Spawn();
  bool WaitReady(Deadline deadline);
  void Reap(int wait_status);

  NodeSpec spec_;
  pid_t pid_ = 0;
  int out_fd_ = -1;      // read end of its stdout; hangs up when it ends
  int wait_status_ = 0;  // as waitpid() gave it
  off_t log_start_ = 0;  // where the log of this run begins
};

// Why we cannot listen on "a.b.c.d:port", as an errno: EADDRINUSE, EADDRNOTAVAIL (not of this
// machine), EACCES, …; EINVAL if that is no such address. 0 if we can.
int ListenError(const std::string& address);
inline bool AddressIsFree(const std::string& address) { return ListenError(address) == 0; }

// SIGKILL to each node of this process. Async-signal-safe: for watchdogs.
void KillAllNodes() noexcept;

}  // namespace dqc::tool
