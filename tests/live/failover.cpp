/* SPDX-License-Identifier: MIT */
// dqc-failover: what a lost leader costs a client, beside a prober on plain sockets.
//
//   dqc-failover --servers servers.json [--only NAME] --kills 20       kill -9, again and again
//   dqc-failover --servers servers.json [--only NAME] --transfers 60   a transfer every second
//
// --writers N: threads that write; --options "name=value&…": of the client; --trace 1: its counters
// around each round.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>

#include "live/cluster_client.hpp"
#include "live/failover_prober.hpp"

namespace dqc::live {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uint64_t kTimeoutMs = 5000;  // of each write
// An election takes longer than this: what is accepted before was sent to the leader that died.
constexpr int64_t kGraceUs = 20'000;
constexpr int64_t kMedianMaxUs = 100'000, kWorstMaxUs = 300'000;

struct Arguments {
  std::string only, options;
  int kills = 0, transfers = 0, trace = 0;
  size_t writers = 0;
};

class Successes {
 public:
  void Add(int64_t end_us) {
    std::lock_guard<std::mutex> lock(mutex_);
    ends_.push_back(end_us);
  }
  int64_t FirstAfter(int64_t since_us) const {
    std::lock_guard<std::mutex> lock(mutex_);
    int64_t first = 0;
    for (size_t i = ends_.size(); i-- > 0 && ends_[i] > since_us - 2'000'000;) {
      if (ends_[i] > since_us && (first == 0 || ends_[i] < first)) first = ends_[i];
    }
    return first;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<int64_t> ends_;  // guarded by mutex_
};

void PrintStats(const char* what, const dqc_stats& s) {
  std::printf(
      "  %s: open %u, opening %u, waiting %llu, opened %llu, closed %llu, retried busy %llu leader "
      "%llu, checks %llu, look-ups %llu, searches %llu, attempts %llu, asks %llu, redirects %llu\n",
      what, s.open, s.opening, static_cast<unsigned long long>(s.waiting),
      static_cast<unsigned long long>(s.opened), static_cast<unsigned long long>(s.closed),
      static_cast<unsigned long long>(s.retried_busy),
      static_cast<unsigned long long>(s.retried_leader), static_cast<unsigned long long>(s.checks),
      static_cast<unsigned long long>(s.lookups), static_cast<unsigned long long>(s.searches),
      static_cast<unsigned long long>(s.attempts), static_cast<unsigned long long>(s.asks),
      static_cast<unsigned long long>(s.redirects));
}

int64_t Median(std::vector<int64_t> values) {
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return n == 0 ? 0 : (values[(n - 1) / 2] + values[n / 2]) / 2;
}

// What the ledger and the database disagree about, and a summary.
size_t Judge(const Ledger& ledger, const std::vector<std::string>& addresses) {
  const auto wrong =
      ledger.Judge(OnLeader(addresses, "app", "SELECT id, count(*) FROM w GROUP BY id"));
  const Ledger::Counts c = ledger.counts();
  std::printf(
      "  writes: %zu accepted, %zu not executed, %zu perhaps, slowest %lld ms, hung %zu, "
      "wrong outcomes %zu\n",
      c.done, c.not_executed, c.maybe, static_cast<long long>(c.slowest_ms), c.late, wrong.size());
  for (const auto& [what, count] : c.failures)
    std::printf("    %s: %zu (%s)\n", what.c_str(), count, c.examples.at(what).c_str());
  for (size_t i = 0; i < wrong.size() && i < 20; ++i) std::printf("    %s\n", wrong[i].c_str());
  return wrong.size() + c.late;
}

void Prepare(const std::vector<std::string>& addresses) {
  for (const char* database : {"app", "probe"}) {
    const Reply reply = OnLeader(addresses, database, "CREATE TABLE IF NOT EXISTS w(id INTEGER)");
    if (!reply.ok()) throw tool::Error("no table: " + reply.failure.message);
  }
}

int64_t WaitFor(const std::function<int64_t()>& time) {
  for (int i = 0; i < 30'000; ++i) {
    if (const int64_t at = time()) return at;
    std::this_thread::sleep_for(milliseconds(1));
  }
  throw tool::Error("nothing was accepted for 30 s");
}

// Kills the leader, waits for both, restarts it. Times from the kill.
struct Round {
  int64_t client_us = 0, prober_us = 0;
};
Round KillLeader(tool::DevCluster& cluster, const Prober& prober, const Successes& successes) {
  const size_t victim = cluster.IndexOf(cluster.WaitForLeader(seconds(20)));
  const int64_t killed = NowUs();
  cluster.Kill(victim, SIGKILL);
  const int64_t since = NowUs() + kGraceUs;
  Round round;
  try {
    round.client_us = WaitFor([&] { return successes.FirstAfter(since); }) - killed;
  } catch (const tool::Error& e) {
    const int64_t first = prober.FirstAfter(since);
    throw tool::Error(std::string("client: ") + e.what() + "; prober: " +
                      (first == 0 ? "neither" : std::to_string((first - killed) / 1000) + " ms") +
                      "; leader: " + cluster.Leader());
  }
  round.prober_us = WaitFor([&] { return prober.FirstAfter(since); }) - killed;
  cluster.Restart(victim);
  std::this_thread::sleep_for(milliseconds(1500));  // it catches up
  return round;
}

size_t Kills(const Server& server, const Arguments& args) {
  TestCluster cluster(server, 3);
  const auto addresses = cluster->Addresses();
  cluster->WaitForLeader(seconds(20));
  Prepare(addresses);
  const Client client(ClusterDsn(addresses, "app", args.options));
  if (!client.opened().ok()) throw tool::Error(client.opened().failure.message);
  Ledger ledger;
  Successes successes;
  std::vector<int64_t> excess;
  {
    const Prober prober(addresses, "probe", "INSERT INTO w VALUES (1)");
    Writers writers(client, &ledger, "w", args.writers == 0 ? 1 : args.writers, kTimeoutMs,
                    [&](int64_t, int64_t end, const Reply& reply) {
                      if (reply.ok()) successes.Add(end);
                    });
    std::this_thread::sleep_for(milliseconds(500));
    std::printf("%s (%s), kill -9 of the leader\n  round  client ms  prober ms  excess ms\n",
                server.name.c_str(), server.version.c_str());
    for (int i = 1; i <= args.kills; ++i) {
      if (args.trace != 0) PrintStats("before", client.Stats());
      const Round r = KillLeader(*cluster, prober, successes);
      if (args.trace != 0) PrintStats("after", client.Stats());
      excess.push_back(r.client_us - r.prober_us);
      std::printf("  %5d  %9.1f  %9.1f  %9.1f\n", i, static_cast<double>(r.client_us) / 1000,
                  static_cast<double>(r.prober_us) / 1000,
                  static_cast<double>(excess.back()) / 1000);
      std::fflush(stdout);
    }
  }
  const int64_t median = Median(excess), worst = *std::max_element(excess.begin(), excess.end());
  std::printf("  excess: median %.1f ms, worst %.1f ms (goal: 100, 300)\n",
              static_cast<double>(median) / 1000, static_cast<double>(worst) / 1000);
  PrintStats("counters", client.Stats());
  const size_t wrong = Judge(ledger, addresses);
  return wrong + (median > kMedianMaxUs ? 1 : 0) + (worst > kWorstMaxUs ? 1 : 0);
}

size_t Transfers(const Server& server, const Arguments& args) {
  TestCluster cluster(server, 3);
  const auto addresses = cluster->Addresses();
  cluster->WaitForLeader(seconds(20));
  Prepare(addresses);
  const Client client(ClusterDsn(addresses, "app", args.options));
  if (!client.opened().ok()) throw tool::Error(client.opened().failure.message);
  Ledger ledger;
  int done = 0;
  std::printf("%s (%s), a transfer of leadership every second\n", server.name.c_str(),
              server.version.c_str());
  {
    Writers writers(client, &ledger, "w", args.writers == 0 ? 8 : args.writers, kTimeoutMs);
    int64_t next = NowUs();
    for (int i = 0; i < args.transfers; ++i) {
      next += 1'000'000;
      const std::string leader = cluster->WaitForLeader(seconds(20));
      const Conn admin("dqlite://" + leader + "/?database=&timeout=1s");
      const size_t to = (cluster->IndexOf(leader) + 1 + static_cast<size_t>(i) % 2) % 3;
      if (admin && admin.Admin(DQC_ADMIN_TRANSFER, to + 1).ok()) ++done;
      const int64_t rest = next - NowUs();
      if (rest > 0) std::this_thread::sleep_for(std::chrono::microseconds(rest));
    }
  }
  for (size_t i = 0; i < cluster->size(); ++i) {
    if (!cluster->node(i).Running()) std::printf("  %s\n", cluster->node(i).Obituary().c_str());
  }
  std::printf("  transfers: %d of %d\n", done, args.transfers);
  PrintStats("counters", client.Stats());
  return Judge(ledger, addresses);
}

int Main(int argc, char** argv) {
  Arguments args;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string option = argv[i];
    const char* value = argv[i + 1];
    if (option == "--servers") ::setenv("DQC_SERVERS", value, 1);
    if (option == "--only") args.only = value;
    if (option == "--options") args.options = value;
    if (option == "--kills") args.kills = std::atoi(value);
    if (option == "--transfers") args.transfers = std::atoi(value);
    if (option == "--writers") args.writers = static_cast<size_t>(std::atoi(value));
    if (option == "--trace") args.trace = std::atoi(value);
  }
  if (args.kills <= 0 && args.transfers <= 0) {
    std::cerr << "usage: dqc-failover [--servers servers.json] [--only NAME] [--writers N] "
                 "[--options O] [--trace 1] (--kills N | --transfers N)\n";
    return 2;
  }
  size_t failures = 0;
  for (const char* name : {"distro", "trixie", "testing"}) {
    if (!args.only.empty() && args.only != name) continue;
    const Server& server = FindServer(name);
    if (!server.available) {
      std::cout << name << ": skipped: " << server.reason << std::endl;
      continue;
    }
    if (args.kills > 0) failures += Kills(server, args);
    if (args.transfers > 0) failures += Transfers(server, args);
  }
  std::cout << "failover: " << (failures == 0 ? "passed" : "FAILED") << std::endl;
  return failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace dqc::live

int main(int argc, char** argv) {
  try {
    return dqc::live::Main(argc, argv);
  } catch (const std::exception& e) {
    std::cout << "failover: FAILED: " << e.what() << std::endl;
    return 1;
  }
}
