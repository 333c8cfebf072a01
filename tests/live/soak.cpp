/* SPDX-License-Identifier: MIT */
// dqc-soak: a random mixed workload on real servers, and a prober that sees whether they live on.
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <thread>

#include "live/soak_worker.hpp"

namespace dqc::live {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr int kWorkers = 4;
// One slow statement blocks a node of eras A to C; nothing here takes longer than a second alone,
// and the machine may be busy.
constexpr auto kLatencyMax = seconds(10);

int64_t MsSince(steady_clock::time_point start) {
  return std::chrono::duration_cast<milliseconds>(steady_clock::now() - start).count();
}

// Writes once a second to a database of its own and to the workers', through a connection that
// stays and through new ones.
class Prober {
 public:
  Prober(std::string address, Violations* violations)
      : address_(std::move(address)), violations_(violations) {}

  void Run(const std::atomic<bool>& stop) {
    Conn standing;
    for (uint64_t i = 0; !stop; ++i) {
      for (const char* database : {"probe", "work"}) {
        const auto start = steady_clock::now();
        const Reply reply =
            i % 2 == 0 ? Through(Conn(Dsn(database)), start) : Standing(&standing, database, start);
        Judge(reply, database, MsSince(start));
      }
      for (int wait = 0; wait < 20 && !stop; ++wait) std::this_thread::sleep_for(milliseconds(50));
    }
  }
  int64_t writes() const { return writes_; }
  int64_t slowest_ms() const { return slowest_ms_; }

 private:
  std::string Dsn(const std::string& database) const {
    return "dqlite://" + address_ + "/" + database;
  }

  static Reply Through(const Conn& conn, steady_clock::time_point start) {
    if (!conn) return conn.opened();
    for (;;) {  // the workers hold the lock, or the server makes a checkpoint: both pass
      Reply reply = conn.Exec("CREATE TABLE IF NOT EXISTS probe(at)");
      if (reply.ok()) reply = conn.Exec("INSERT INTO probe VALUES (1)");
      if (reply.ok()) (void)conn.Exec("DELETE FROM probe WHERE rowid % 100 = 0");
      if (reply.status != DQC_E_BUSY || steady_clock::now() - start > kLatencyMax) return reply;
      std::this_thread::sleep_for(milliseconds(2));
    }
  }

  Reply Standing(Conn* conn, const char* database, steady_clock::time_point start) {
    if (std::strcmp(database, "probe") != 0) return Through(Conn(Dsn(database)), start);
    if (!*conn) *conn = Conn(Dsn(database));
    return Through(*conn, start);
  }

  void Judge(const Reply& reply, const std::string& database, int64_t ms) {
    ++writes_;
    slowest_ms_ = std::max(slowest_ms_, ms);
    if (!reply.ok()) {
      violations_->Add("prober cannot write to \"" + database + "\" after " + std::to_string(ms) +
                       " ms: " + reply.failure.message);
    } else if (milliseconds(ms) > kLatencyMax) {
      violations_->Add("prober's write to \"" + database + "\" took " + std::to_string(ms) + " ms");
    }
  }

  const std::string address_;
  Violations* violations_;
  int64_t writes_ = 0, slowest_ms_ = 0;
};

void PrintTable(const Counts& counts) {
  std::map<std::string, std::map<std::string, uint64_t>> by_kind;
  for (const auto& [key, count] : counts) by_kind[key.first][key.second] = count;
  for (const auto& [kind, outcomes] : by_kind) {
    std::cout << "  " << kind << std::string(kind.size() < 16 ? 16 - kind.size() : 1, ' ');
    for (const auto& [outcome, count] : outcomes) std::cout << ' ' << outcome << ' ' << count;
    std::cout << '\n';
  }
}

struct Args {
  std::string only;
  int64_t run_seconds = 60;
  uint64_t seed = 1;
};

// Returns the number of violations.
size_t SoakServer(const Server& server, const Args& args) {
  std::cout << server.name << ": libdqlite " << server.version << ", era " << server.expected_era
            << ", seed " << args.seed << ", " << args.run_seconds << " s" << std::endl;
  TestCluster cluster(server, 1);
  tool::NodeProcess& node = cluster->node(0);
  const std::string address = cluster->WaitForLeader(seconds(10));
  Violations violations;
  std::atomic<bool> stop{false};
  Prober prober(address, &violations);
  std::vector<std::unique_ptr<Worker>> workers;
  std::vector<std::thread> threads;
  threads.emplace_back([&] { prober.Run(stop); });
  for (int i = 0; i < kWorkers; ++i) {
    workers.push_back(std::make_unique<Worker>(address, server.expected_era[0], i,
                                               args.seed * 100 + static_cast<uint64_t>(i),
                                               &violations));
    threads.emplace_back([&stop, worker = workers.back().get()] { worker->Run(stop); });
  }
  const auto end = steady_clock::now() + seconds(args.run_seconds);
  size_t seen = 0;
  while (steady_clock::now() < end && violations.count() < 20) {
    std::this_thread::sleep_for(milliseconds(100));
    if (seen != violations.count()) {
      seen = violations.count();
      for (const auto& worker : workers) std::cout << "  " << worker->History() << std::endl;
    }
    if (!node.Running()) {
      violations.Add("the node died: " + node.Obituary());
      break;
    }
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  if (node.Running()) CheckIntegrity("dqlite://" + address + "/work", &violations);
  Counts counts;
  uint64_t total = 0;
  for (const auto& worker : workers) {
    for (const auto& [key, count] : worker->counts()) counts[key] += count, total += count;
  }
  if (!node.Running()) violations.Add("the node is dead at the end: " + node.Obituary());
  PrintTable(counts);
  std::cout << server.name << ": " << total << " operations, " << prober.writes()
            << " probes, the slowest took " << prober.slowest_ms() << " ms, " << violations.count()
            << " violations" << std::endl;
  return violations.count();
}

int Usage() {
  std::cerr << "usage: dqc-soak --servers servers.json [--only NAME] --seconds N --seed S\n";
  return 2;
}

int Main(int argc, char** argv) {
  Args args;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string option = argv[i];
    if (option == "--servers") {
      ::setenv("DQC_SERVERS", argv[i + 1], 1);
    } else if (option == "--only") {
      args.only = argv[i + 1];
    } else if (option == "--seconds") {
      args.run_seconds = std::atoll(argv[i + 1]);
    } else if (option == "--seed") {
      args.seed = std::strtoull(argv[i + 1], nullptr, 10);
    } else {
      return Usage();
    }
  }
  if (argc % 2 == 0 || args.run_seconds < 1) return Usage();
  size_t violations = 0;
  int servers = 0;
  for (const char* name : {"distro", "trixie", "testing"}) {
    if (!args.only.empty() && args.only != name) continue;
    const Server& server = FindServer(name);
    if (!server.available) {
      std::cout << name << ": skipped: " << server.reason << std::endl;
      continue;
    }
    violations += SoakServer(server, args);
    ++servers;
  }
  if (servers == 0) {
    std::cout << "soak: FAILED: no server to run on" << std::endl;
    return 1;
  }
  std::cout << "soak: " << (violations == 0 ? "passed" : "FAILED") << ", " << servers
            << " servers, " << violations << " violations" << std::endl;
  return violations == 0 ? 0 : 1;
}

}  // namespace
}  // namespace dqc::live

int main(int argc, char** argv) {
  try {
    return dqc::live::Main(argc, argv);
  } catch (const std::exception& e) {
    std::cout << "soak: FAILED: " << e.what() << std::endl;
    return 1;
  }
}
