/* SPDX-License-Identifier: MIT */
// dqc_bench --address HOST:PORT --group GROUP [--quick]
//           [--variant NAME --ops N]  only this, unmeasured: for strace, perf and valgrind
// Prints one JSON object a line. The server must be the leader; run.py starts one.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "harness.hpp"

namespace {

struct NamedGroup {
  const char* name;
  bench::MakeGroup make;
  int slices;  // of each variant in a round
};

constexpr NamedGroup kGroups[] = {
    {"select1", bench::Select1Group, 8},   {"exec", bench::ExecGroup, 8},
    {"stream", bench::StreamGroup, 2},     {"connect", bench::ConnectGroup, 8},
    {"threaded", bench::ThreadedGroup, 8}, {"pool", bench::PoolGroup, 8},
};

struct Arguments {
  std::string address, group, variant;
  uint64_t ops = 0;
  bool quick = false;
};

Arguments Parse(int argc, char** argv) {
  Arguments out;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--quick") {
      out.quick = true;
      continue;
    }
    if (i + 1 == argc) bench::Die("no value for " + name);
    const char* value = argv[++i];
    if (name == "--address") {
      out.address = value;
    } else if (name == "--group") {
      out.group = value;
    } else if (name == "--variant") {
      out.variant = value;
    } else if (name == "--ops") {
      out.ops = std::strtoull(value, nullptr, 10);
    } else {
      bench::Die("unknown option " + name);
    }
  }
  if (out.address.empty()) bench::Die("--address HOST:PORT is missing");
  return out;
}

int RunOne(const bench::Group& group, const Arguments& arguments) {
  for (const bench::Variant& variant : group.variants) {
    if (variant.name != arguments.variant) continue;
    variant.run(arguments.ops);
    return 0;
  }
  bench::Die("group " + group.name + " has no variant " + arguments.variant);
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = Parse(argc, argv);
  for (const NamedGroup& named : kGroups) {
    if (named.name != arguments.group) continue;
    bench::Server server{arguments.address};
    if (arguments.quick) server.rows = 50'000;
    const bench::Group group = named.make(server);
    if (!arguments.variant.empty()) return RunOne(group, arguments);
    bench::Plan plan;
    plan.slices = arguments.quick ? std::max(1, named.slices / 3) : named.slices;
    if (arguments.quick) plan.slice_ms = 15;
    bench::Measure(group, plan);
    return 0;
  }
  bench::Die("no group \"" + arguments.group + "\"");
}
