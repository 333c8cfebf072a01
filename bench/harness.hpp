/* SPDX-License-Identifier: MIT */
// Measures variants of one piece of work beside each other: in short slices that take turns, so that
// what else the machine does hits all alike. What counts is the ratio of a variant's median to that
// of its floor.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace bench {

struct Server {
  std::string address;
  uint64_t rows = 200'000;  // of the table that is streamed
};

struct Variant {
  std::string name;
  std::string floor;  // the variant that it is compared with; empty: it is a floor itself
  std::function<void(uint64_t ops)> run;
};

struct Group {
  std::string name;
  std::string unit;         // what one operation is
  double units_per_op = 1;  // cells of a stream, to print their cost
  std::vector<Variant> variants;
};

struct Plan {
  int rounds = 5;        // the median is over these
  int slices = 8;        // of each variant in a round, taking turns
  double slice_ms = 25;  // about
};

// Runs the group and prints one JSON object a line for each variant.
void Measure(const Group& group, const Plan& plan);

uint64_t AllocationCount();  // malloc and its kin, operator new with them; all threads

[[noreturn]] void Die(const std::string& why);

using MakeGroup = Group (*)(const Server& server);
Group ConnectGroup(const Server& server);
Group ExecGroup(const Server& server);
Group PoolGroup(const Server& server);
Group Select1Group(const Server& server);
Group StreamGroup(const Server& server);
Group ThreadedGroup(const Server& server);

}  // namespace bench
