/* SPDX-License-Identifier: MIT */
#include "mock/scenarios.hpp"

namespace dqc::mock {
namespace {

using wire::RequestType;
using wire::RowsEnd;

constexpr auto kRows = static_cast<uint8_t>(wire::ResponseType::kRows);

Match ExecOrQuery() {
  return Match(RequestType::kExec, RequestType::kExecSql, RequestType::kQuery,
               RequestType::kQuerySql);
}

Bytes Part() { return RowsFrame({"id", "name"}, {{1, "one"}, {2, "two"}}, RowsEnd::kPart); }
Bytes Overflow() { return FailureFrame(1, "integer overflow", LeftoverRows({"zz"}, {})); }

Bytes Surplus() {
  Bytes frame = RowsFrame({"x"}, {{1}}, RowsEnd::kDone);
  frame.resize(frame.size() + wire::kWord, 0);
  ++frame[0];  // one word more
  return frame;
}

Bytes BadTag() {
  Bytes frame = RowsFrame({"x"}, {{1}}, RowsEnd::kDone);
  frame[24] = 7;  // behind header, count and name
  return frame;
}

Do Late(uint64_t n) {
  Do steps;
  for (uint64_t i = 0; i < n; ++i) steps.Raw(Part());
  return steps.Raw(Overflow());
}

Table Numbers(uint64_t n, int64_t from = 0) {
  return {.columns = {"n"}, .rows = {}, .made = n, .make = [from](uint64_t i) {
            return Row{from + static_cast<int64_t>(i)};
          }};
}

struct Scenario {
  std::string_view name;
  uint64_t n;  // default
  void (*install)(Node& node, uint64_t n);
};

constexpr Scenario kScenarios[] = {
    {"normal", 0, [](Node&, uint64_t) {}},
    {"big_result", 10000,
     [](Node& node, uint64_t n) { node.On(AnyQuery(), Do().Rows(Numbers(n))); }},
    {"late_result", 10000,
     [](Node& node, uint64_t n) {
       const Bytes first = RowsFrame({"n"}, {{0}}, RowsEnd::kPart);
       node.On(AnyQuery(), Do().Raw(first).Delay(20).Rows(Numbers(n - 1, 1)));
     }},
    {"stalled_result", 10000,
     [](Node& node, uint64_t n) {
       const Bytes first = RowsFrame({"n"}, {{0}}, RowsEnd::kPart);
       node.On(AnyQuery(), Do().Raw(first).Stall().Rows(Numbers(n - 1, 1)));
     }},
    {"big_dump", 100,
     [](Node& node, uint64_t n) {
       node.On(Match(RequestType::kDump),
               Do().Frames(FilesStream({{"test", n << 20}, {"test-wal", 0}})));
     }},
    {"slow_writes", 1,
     [](Node& node, uint64_t n) {
       node.On(ExecOrQuery(), Do().Split(static_cast<size_t>(n), 1).Default());
     }},
    {"delay", 100, [](Node& node, uint64_t n) { node.On(ExecOrQuery(), Do().Delay(n).Default()); }},
    {"stall", 0, [](Node& node, uint64_t) { node.On(ExecOrQuery(), Do().Stall().Default()); }},
    {"stall_handshake", 0,
     [](Node& node, uint64_t) { node.On(Match::Handshake(), Do().Stall().Default()); }},
    {"busy", 1,
     [](Node& node, uint64_t n) {
       node.On(AnyExec().First(n), Do().Failure(5, "database is locked"));
     }},
    {"checkpoint", 1,
     [](Node& node, uint64_t n) {
       node.On(ExecOrQuery().First(n), Do().Failure(5, "checkpoint in progress"));
     }},
    {"not_leader", 0, [](Node& node, uint64_t) { node.SetLeader(false); }},
    {"leadership_lost", 0,
     [](Node& node, uint64_t) { node.On(AnyExec(), Do().Failure(10506, "leadership lost")); }},
    {"failure_prefix", 0, [](Node& node, uint64_t) { node.On(AnyQuery(), Do().Raw(Overflow())); }},
    {"failure_late", 2, [](Node& node, uint64_t n) { node.On(AnyQuery(), Late(n)); }},
    {"close_on_accept", 0, [](Node& node, uint64_t) { node.On(Match::Accept(), Do().Close()); }},
    {"close_on_write", 0, [](Node& node, uint64_t) { node.On(AnyExec(), Do().Close()); }},
    {"reset_on_write", 0, [](Node& node, uint64_t) { node.On(AnyExec(), Do().Reset()); }},
    {"reset_mid_rows", 0,
     [](Node& node, uint64_t) { node.On(AnyQuery(), Do().Raw(Part()).Delay(20).Reset()); }},
    {"truncate", 20,
     [](Node& node, uint64_t n) {
       node.On(AnyQuery(), Do().Truncate(static_cast<size_t>(n)).Default().Close());
     }},
    {"endless_parts", 0, [](Node& node, uint64_t) { node.On(AnyQuery(), Do().Forever(Part())); }},
    {"zero_row_part", 0,
     [](Node& node, uint64_t) {
       node.On(AnyQuery(), Do().Forever(RowsFrame({"x"}, {}, RowsEnd::kPart)));
     }},
    {"silent_stream", 0, [](Node& node, uint64_t) { node.On(AnyQuery(), Do().Raw(Part())); }},
    {"changed_names", 0,
     [](Node& node, uint64_t) {
       const Bytes done = RowsFrame({"id", "other"}, {{3, nullptr}}, RowsEnd::kDone);
       node.On(AnyQuery(), Do().Raw(Part()).Raw(done));
     }},
    {"surplus", 0, [](Node& node, uint64_t) { node.On(AnyQuery(), Do().Raw(Surplus())); }},
    {"wrong_type", 0,
     [](Node& node, uint64_t) { node.On(AnyQuery(), Do().Reply(wire::response::Empty{})); }},
    {"huge_header", 0,
     [](Node& node, uint64_t) {
       node.On(AnyQuery(), Do().Raw(HeaderBytes((1u << 29) - 1, kRows)).Hang());
     }},
    {"bad_tag", 0, [](Node& node, uint64_t) { node.On(AnyQuery(), Do().Raw(BadTag())); }},
    {"hang_up", 1,
     [](Node& node, uint64_t n) { node.On(Match::Handshake().First(n), Do().Close()); }},
};

}  // namespace

bool Install(Node& node, std::string_view scenario, uint64_t n) {
  for (const Scenario& known : kScenarios) {
    if (known.name != scenario) continue;
    known.install(node, n != 0 ? n : known.n);
    return true;
  }
  return false;
}

std::vector<std::string_view> ScenarioNames() {
  std::vector<std::string_view> names;
  for (const Scenario& known : kScenarios) names.push_back(known.name);
  return names;
}

}  // namespace dqc::mock
