/* SPDX-License-Identifier: MIT */
// dqc-sim: plays the search for a leader from seeds and checks what it must never do.
#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "scale.hpp"
#include "world.hpp"

namespace {

using dqc::sim::Plant;
using dqc::sim::World;

constexpr const char* kUsage =
    "dqc-sim [--seeds N] [--first S] [--steps M] [--plant BUG] [--twice] [--oom K]\n"
    "dqc-sim --scale CLIENTS[,CLIENTS...]\n"
    "  --plant  sabotages the search; succeeds if the bug is caught\n"
    "  --oom    one in K allocations of the search fails\n"
    "  --twice  plays each seed twice and compares every action\n"
    "bugs:\n";

struct Arguments {
  uint64_t seeds = 1000;
  uint64_t first = 1;
  uint64_t steps = 1000;
  Plant plant = Plant::k_none;
  bool twice = false;
  uint64_t oom = 0;
  std::string scale;
};

int Usage() {
  std::fputs(kUsage, stderr);
  for (int i = 1; i < static_cast<int>(Plant::kCount); ++i) {
    const auto plant = static_cast<Plant>(i);
    std::fprintf(stderr, "  %-10s %s\n", dqc::sim::PlantName(plant), dqc::sim::PlantText(plant));
  }
  return 2;
}

bool Parse(int argc, char** argv, Arguments* to) {
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--twice") {
      to->twice = true;
      continue;
    }
    if (++i == argc) return false;
    const char* value = argv[i];
    if (name == "--seeds") {
      to->seeds = std::strtoull(value, nullptr, 10);
    } else if (name == "--first") {
      to->first = std::strtoull(value, nullptr, 10);
    } else if (name == "--steps") {
      to->steps = std::strtoull(value, nullptr, 10);
    } else if (name == "--oom") {
      to->oom = std::strtoull(value, nullptr, 10);
    } else if (name == "--scale") {
      to->scale = value;
    } else if (name == "--plant") {
      int plant = 0;
      while (plant < static_cast<int>(Plant::kCount) &&
             std::strcmp(dqc::sim::PlantName(static_cast<Plant>(plant)), value) != 0) {
        ++plant;
      }
      if (plant == static_cast<int>(Plant::kCount)) return false;
      to->plant = static_cast<Plant>(plant);
    } else {
      return false;
    }
  }
  return true;
}

struct Totals {
  uint64_t steps = 0;
  uint64_t given = 0;
  uint64_t refused = 0;
  uint64_t hash = 0;
  uint64_t attempts = 0;
  size_t dials_per_second = 0;
  dqc::sim::Time converged = 0;
  dqc::sim::Time time = 0;
};

// False: a violation, which is printed.
bool Play(const Arguments& arguments, uint64_t seed, Totals* totals) {
  World world(seed, arguments.plant, arguments.oom);
  world.Run(arguments.steps);
  const dqc::sim::Judge& judge = world.judge();
  totals->steps += world.steps();
  totals->given += judge.given;
  totals->refused += judge.refused;
  totals->hash = totals->hash * 31 + judge.hash();
  totals->attempts += world.search().counters().attempts;
  totals->dials_per_second = std::max(totals->dials_per_second, judge.dials_per_second_max);
  if (world.widest()) totals->converged = std::max(totals->converged, judge.converged_max);
  totals->time += world.now();
  if (!judge.violation().empty()) {
    std::printf("seed %" PRIu64 ", step %" PRIu64 ", %s\n", seed, world.steps(),
                judge.violation().c_str());
    return false;
  }
  if (!arguments.twice) return true;
  World again(seed, arguments.plant, arguments.oom);
  again.Run(arguments.steps);
  if (again.judge().hash() == judge.hash()) return true;
  std::printf("seed %" PRIu64 " does not play the same twice\n", seed);
  return false;
}

int Simulate(const Arguments& arguments) {
  const auto start = std::chrono::steady_clock::now();
  Totals totals;
  bool clean = true;
  for (uint64_t i = 0; clean && i < arguments.seeds; ++i) {
    clean = Play(arguments, arguments.first + i, &totals);
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::printf("%" PRIu64 " steps, %.0f s simulated in %.1f s: %" PRIu64 " given, %" PRIu64
              " refused, %" PRIu64
              " attempts, at most %zu in a second; a stable leader was found "
              "within %.2f s, 10 attempts at a time; hash %016" PRIx64 "\n",
              totals.steps, static_cast<double>(totals.time) / 1e6, took.count(), totals.given,
              totals.refused, totals.attempts, totals.dials_per_second,
              static_cast<double>(totals.converged) / 1e6, totals.hash);
  if (arguments.oom != 0) {
    std::printf("%" PRIu64 " allocations failed\n", dqc::sim::FailedAllocations());
  }
  if (arguments.plant == Plant::k_none) return clean ? 0 : 1;
  std::printf("planted: %s: %s\n", dqc::sim::PlantText(arguments.plant),
              clean ? "NOT CAUGHT" : "caught");
  return clean ? 1 : 0;
}

}  // namespace

namespace dqc::sim {

#define DQC_X(name, what) #name,
const char* PlantName(Plant plant) {
  static const char* const names[] = {DQC_SIM_PLANTS(DQC_X)};
  return names[static_cast<size_t>(plant)];
}
#undef DQC_X

#define DQC_X(name, what) what,
const char* PlantText(Plant plant) {
  static const char* const texts[] = {DQC_SIM_PLANTS(DQC_X)};
  return texts[static_cast<size_t>(plant)];
}
#undef DQC_X

}  // namespace dqc::sim

int main(int argc, char** argv) {
  Arguments arguments;
  if (!Parse(argc, argv, &arguments)) return Usage();
  if (!arguments.scale.empty()) return dqc::sim::Scale(arguments.scale.c_str());
  return Simulate(arguments);
}
