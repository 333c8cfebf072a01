/* SPDX-License-Identifier: MIT */
// dqc-faults: three nodes under kills, cuts and leader changes; what the workers were told must fit
// what the database holds.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <random>

#include "faults/checker.hpp"
#include "faults/nemesis.hpp"
#include "live/client.hpp"

namespace dqc::faults {
namespace {

using live::Conn;
using live::Reply;
using live::Server;

struct Args {
  std::string server = "all";
  int64_t seconds = 60;
  uint64_t seed = 0;
  Plant plant = Plant::kNone;
};

void MakeTables(tool::DevCluster* cluster) {
  const Conn conn("dqlite://" + cluster->WaitForLeader(std::chrono::seconds(20)) + "/faults");
  for (const std::string& sql : Schema()) {
    const Reply reply = conn ? conn.Exec(sql) : conn.opened();
    if (!reply.ok()) throw tool::Error("cannot make the tables: " + reply.failure.message);
  }
}

// One cluster, its proxies, two clients and their workers.
class Campaign {
 public:
  Campaign(const Server& server, const Args& args)
      : args_(args), planter_(args.plant), cluster_(server, 3) {
    shared_.phase = &phase_;
    shared_.planter = &planter_;
    shared_.violations = &violations_;
    shared_.faults = &faults_;
    Client::Options options;
    for (size_t i = 0; i < cluster_->size(); ++i) {
      proxies_.push_back(std::make_unique<Proxy>(cluster_->Address(i)));
      if (i > 0) options.address_map += ',';
      options.address_map += cluster_->Address(i) + "=" + proxies_[i]->address();
      options.addresses.push_back(cluster_->Address(i));
    }
    MakeTables(&*cluster_);
    for (int i = 0; i < 2; ++i) clients_.push_back(std::make_unique<Client>(options));
    const bool returning = server.expected_era != "C";
    for (const Role role : {Role::kCrowd, Role::kSingle, Role::kBank, Role::kList, Role::kCounter,
                            Role::kSumReader, Role::kCounterReader}) {
      for (auto& client : clients_) {
        workers_.push_back(std::make_unique<Worker>(role, client.get(), &shared_,
                                                    args.seed * 1000 + workers_.size(), returning));
      }
    }
  }

  // Returns true if nothing was found, or the planted bug.
  bool Run() {
    const Us start = Now();
    Nemesis nemesis(&*cluster_, &proxies_, &faults_, &phase_, &violations_, args_.seed);
    {
      const Monitor monitor(cluster_->Addresses(), &faults_);
      std::vector<std::thread> threads;
      for (auto& worker : workers_) threads.emplace_back([w = worker.get()] { w->Run(); });
      nemesis.Run(start + Ms(args_.seconds * 1000));
      end_ = Now();
      phase_.stop = true;
      healed_ = nemesis.Heal();
      for (std::thread& thread : threads) thread.join();
    }
    deaths_ = nemesis.deaths();
    KeepStats();
    clients_.clear();
    // What was given up may still be on its way.
    std::this_thread::sleep_for(std::chrono::seconds(1));
    Checker checker(workers_, &faults_, &violations_);
    checker.CheckEvents();
    if (healed_) checker.Check(&*cluster_);
    Report(checker, start);
    operations_ = checker.operations();
    if (args_.plant == Plant::kNone) return violations_.count() == 0;
    return violations_.ByKind().contains(PlantFinding(args_.plant));
  }

  size_t violations() const { return violations_.count(); }
  size_t operations() const { return operations_; }

 private:
  void KeepStats() {
    for (const auto& client : clients_) {
      const dqc_stats s = client->Stats();
      busy_ += s.retried_busy;
      leader_ += s.retried_leader;
      opened_ += s.opened;
      searches_ += s.searches;
      if (s.completed != s.submitted) {
        violations_.Add("lost event", std::to_string(s.submitted - s.completed) +
                                          " operations are open at the end, says dqc_stats");
      }
    }
  }

  void Report(const Checker& checker, Us start) const {
    checker.PrintTable();
    std::cout << "  faults:";
    for (const auto& [kind, count] : faults_.ByKind())
      std::cout << ' ' << kind << ' ' << count << ';';
    std::cout << "\n  library: run again for a busy writer " << busy_ << ", for a lost leader "
              << leader_ << "; connections opened " << opened_ << ", searches " << searches_
              << "\n  busy answers to transactions " << shared_.busy << ", stale reads "
              << shared_.stale_reads << ", nodes that died by themselves " << deaths_
              << "\n  maybe by a fault alone " << checker.maybe_by_fault()
              << "; time in which no fault explains anything " << faults_.Free(start, end_) / 1000
              << " ms of " << (end_ - start) / 1000
              << "\n  longest time without a successful write "
              << checker.LongestWithoutWrite(start, end_, true) / 1000
              << " ms, without one through the pool "
              << checker.LongestWithoutWrite(start, end_, false) / 1000 << " ms" << std::endl;
    for (const auto& [kind, count] : violations_.ByKind()) {
      std::cout << "  violations, " << kind << ": " << count << std::endl;
    }
  }

  const Args args_;
  Phase phase_;
  Violations violations_;
  FaultLog faults_;
  Planter planter_;
  Shared shared_;
  live::TestCluster cluster_;
  Nemesis::Proxies proxies_;
  std::vector<std::unique_ptr<Worker>> workers_;  // outlive the clients, whose events name them
  std::vector<std::unique_ptr<Client>> clients_;
  Us end_ = 0;
  bool healed_ = false;
  uint64_t busy_ = 0, leader_ = 0, opened_ = 0, searches_ = 0;
  size_t deaths_ = 0, operations_ = 0;
};

int Usage() {
  std::cerr << "usage: dqc-faults [--seconds N] [--server distro|trixie|testing|all] [--seed S] "
               "[--plant BUG]\n  N seconds a server; with a planted bug, finding it is success. "
               "Bugs:";
  for (int i = 1; i < static_cast<int>(Plant::kCount); ++i) {
    std::cerr << ' ' << PlantName(static_cast<Plant>(i));
  }
  std::cerr << "\n";
  return 2;
}

bool ParsePlant(const std::string& name, Plant* plant) {
  for (int i = 1; i < static_cast<int>(Plant::kCount); ++i) {
    *plant = static_cast<Plant>(i);
    if (name == PlantName(*plant)) return true;
  }
  return false;
}

bool Parse(int argc, char** argv, Args* args) {
  if (argc % 2 == 0) return false;
  args->seed = std::random_device{}() % 1'000'000;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string option = argv[i], value = argv[i + 1];
    if (option == "--seconds") {
      args->seconds = std::atoll(value.c_str());
    } else if (option == "--server") {
      args->server = value;
    } else if (option == "--seed") {
      args->seed = std::strtoull(value.c_str(), nullptr, 10);
    } else if (option != "--plant" || !ParsePlant(value, &args->plant)) {
      return false;
    }
  }
  return args->seconds > 0;
}

int Main(int argc, char** argv) {
  Args args;
  if (!Parse(argc, argv, &args)) return Usage();
  size_t violations = 0, operations = 0;
  int servers = 0;
  bool good = true;
  for (const char* name : {"distro", "trixie", "testing"}) {
    if (args.server != "all" && args.server != name) continue;
    const Server& server = live::FindServer(name);
    if (!server.available) {
      std::cout << name << ": skipped: " << server.reason << std::endl;
      continue;
    }
    std::cout << name << ": libdqlite " << server.version << ", era " << server.expected_era << ", "
              << args.seconds << " s, seed " << args.seed << std::endl;
    live::SetWatchdog(static_cast<unsigned>(args.seconds) + 180);
    Campaign campaign(server, args);
    good = campaign.Run() && good;
    violations += campaign.violations();
    operations += campaign.operations();
    ++servers;
  }
  live::SetWatchdog(0);
  if (servers == 0) good = false;
  std::cout << "faults: " << (good ? "passed" : "FAILED") << ", " << servers << " servers, "
            << operations << " operations, " << violations << " violations, seed " << args.seed;
  if (args.plant != Plant::kNone) {
    std::cout << "; planted " << PlantName(args.plant) << (good ? ": found" : ": NOT FOUND");
  }
  std::cout << std::endl;
  return good ? 0 : 1;
}

}  // namespace
}  // namespace dqc::faults

int main(int argc, char** argv) {
  try {
    return dqc::faults::Main(argc, argv);
  } catch (const std::exception& e) {
    std::cout << "faults: FAILED: " << e.what() << std::endl;
    return 1;
  }
}
