/* SPDX-License-Identifier: MIT */
// The threaded mode beside the driven one: what handing over between threads costs.
#include <memory>

#include "client.hpp"
#include "raw.hpp"

namespace bench {

namespace {

Variant Raw(const Server& server, const char* name, uint64_t depth) {
  auto raw = std::make_shared<RawClient>(server.address, Wait::kBlock);
  raw->Handshake();
  const Frame query = QueryFrame(raw->Prepare(kSelect1));
  return {name, "", [raw, query, depth](uint64_t ops) { raw->Pipeline(query, ops, depth); }};
}

// Depth 0: the blocking interface.
Variant Ours(const Server& server, const char* name, const char* floor, const char* options,
             Client::Mode mode, uint64_t depth) {
  auto client = std::make_shared<Client>(server, options, mode);
  dqc_stmt* stmt = client->Prepare(kSelect1);
  return {name, floor, [client, stmt, depth](uint64_t ops) {
            if (depth == 0) {
              client->QuerySequential(stmt, ops);
            } else {
              client->QueryPipelined(stmt, ops, depth);
            }
          }};
}

}  // namespace

Group ThreadedGroup(const Server& server) {
  constexpr auto kDriven = Client::Mode::kDriven;
  constexpr auto kThreaded = Client::Mode::kThreaded;
  Group group{"threaded", "query", 1, {}};
  group.variants = {
      Raw(server, "raw", 1),
      Ours(server, "cursor", "raw", "poll_time=0", kThreaded, 0),
      Ours(server, "callback", "raw", "poll_time=0", kThreaded, 1),
      Ours(server, "callback polling", "raw", "", kThreaded, 1),
      Raw(server, "raw depth 64", 64),
      Ours(server, "driven depth 64", "raw depth 64", "poll_time=0", kDriven, 64),
      Ours(server, "threaded depth 64", "raw depth 64", "poll_time=0", kThreaded, 64),
  };
  return group;
}

}  // namespace bench
