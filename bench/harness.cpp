/* SPDX-License-Identifier: MIT */
#include "harness.hpp"

#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace bench {

namespace {

struct Sample {
  double wall_ns = 0;
  double cpu_ns = 0;  // user and system, all threads
  uint64_t allocations = 0;
  uint64_t ops = 0;
};

double Clock(clockid_t id) {
  timespec t{};
  clock_gettime(id, &t);
  return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

void RunSlice(const Variant& variant, uint64_t ops, Sample* into) {
  const uint64_t allocations = AllocationCount();
  const double cpu = Clock(CLOCK_PROCESS_CPUTIME_ID);
  const double wall = Clock(CLOCK_MONOTONIC);
  variant.run(ops);
  into->wall_ns += Clock(CLOCK_MONOTONIC) - wall;
  into->cpu_ns += Clock(CLOCK_PROCESS_CPUTIME_ID) - cpu;
  into->allocations += AllocationCount() - allocations;
  into->ops += ops;
}

// Warms up and finds how many operations fill a slice.
uint64_t OpsPerSlice(const Variant& variant, double slice_ms) {
  for (uint64_t ops = 1;; ops *= 2) {
    double wall_ns = 1e18;  // of the fastest: a stall must not make slices small
    for (int again = 0; again < 3; ++again) {
      Sample sample;
      RunSlice(variant, ops, &sample);
      wall_ns = std::min(wall_ns, sample.wall_ns);
      if (wall_ns < slice_ms * 1e6 / 2) break;
    }
    if (wall_ns < slice_ms * 1e6 / 2) continue;
    const double fitting = slice_ms * 1e6 / (wall_ns / static_cast<double>(ops));
    return std::max<uint64_t>(1, static_cast<uint64_t>(fitting));
  }
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

double MedianPerOp(const std::vector<Sample>& samples, double Sample::*what) {
  std::vector<double> values;
  for (const Sample& s : samples) values.push_back(s.*what / static_cast<double>(s.ops));
  return Median(values);
}

void Print(const Group& group, const Variant& variant, const std::vector<Sample>& samples,
           const std::vector<Sample>* floor) {
  double allocations = 0, ops = 0;
  for (const Sample& s : samples) {
    allocations += static_cast<double>(s.allocations);
    ops += static_cast<double>(s.ops);
  }
  const double wall = MedianPerOp(samples, &Sample::wall_ns);
  const double cpu = MedianPerOp(samples, &Sample::cpu_ns);
  std::printf(
      "{\"group\": \"%s\", \"unit\": \"%s\", \"variant\": \"%s\", \"floor\": \"%s\", "
      "\"wall_ns\": %.1f, \"cpu_ns\": %.1f, \"allocations\": %.4f, \"units_per_op\": %.0f",
      group.name.c_str(), group.unit.c_str(), variant.name.c_str(), variant.floor.c_str(), wall,
      cpu, allocations / ops, group.units_per_op);
  if (floor != nullptr) {
    std::printf(", \"ratio\": %.4f, \"cpu_ratio\": %.4f",
                wall / MedianPerOp(*floor, &Sample::wall_ns),
                cpu / MedianPerOp(*floor, &Sample::cpu_ns));
  }
  std::printf("}\n");
  std::fflush(stdout);
}

}  // namespace

void Measure(const Group& group, const Plan& plan) {
  const size_t count = group.variants.size();
  std::vector<uint64_t> ops(count);
  for (size_t i = 0; i < count; ++i) ops[i] = OpsPerSlice(group.variants[i], plan.slice_ms);
  std::vector<std::vector<Sample>> samples(count,
                                           std::vector<Sample>(static_cast<size_t>(plan.rounds)));
  for (size_t round = 0; round < static_cast<size_t>(plan.rounds); ++round) {
    for (int slice = 0; slice < plan.slices; ++slice) {
      for (size_t i = 0; i < count; ++i) RunSlice(group.variants[i], ops[i], &samples[i][round]);
    }
  }
  for (size_t i = 0; i < count; ++i) {
    const std::vector<Sample>* floor = nullptr;
    for (size_t j = 0; j < count; ++j) {
      if (group.variants[j].name == group.variants[i].floor) floor = &samples[j];
    }
    Print(group, group.variants[i], samples[i], floor);
  }
}

void Die(const std::string& why) {
  std::fprintf(stderr, "dqc_bench: %s\n", why.c_str());
  std::exit(1);
}

}  // namespace bench
