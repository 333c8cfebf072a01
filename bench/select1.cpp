/* SPDX-License-Identifier: MIT */
// A prepared SELECT 1, one at a time: the cost of the client in its purest form.
#include <memory>

#include "client.hpp"
#include "raw.hpp"

namespace bench {

namespace {

Variant Raw(const Server& server, const char* name, const char* floor, Wait wait) {
  auto raw = std::make_shared<RawClient>(server.address, wait);
  raw->Handshake();
  const Frame query = QueryFrame(raw->Prepare(kSelect1));
  return {name, floor, [raw, query](uint64_t ops) {
            while (ops-- > 0) {
              raw->Send(query);
              raw->Await(1);
            }
          }};
}

Variant Ours(const Server& server, const char* name, const char* floor, const char* options,
             bool async) {
  auto client = std::make_shared<Client>(server, options);
  dqc_stmt* stmt = client->Prepare(kSelect1);
  return {name, floor, [client, stmt, async](uint64_t ops) {
            if (async) {
              client->QueryPipelined(stmt, ops, 1);
            } else {
              client->QuerySequential(stmt, ops);
            }
          }};
}

}  // namespace

Group Select1Group(const Server& server) {
  Group group{"select1", "query", 1, {}};
  group.variants = {
      Raw(server, "raw", "", Wait::kBlock),
      Ours(server, "cursor", "raw", "poll_time=0", false),
      Ours(server, "callback", "raw", "poll_time=0", true),
      Ours(server, "cursor default", "raw", "", false),
      Ours(server, "callback default", "raw", "", true),
      Raw(server, "raw epoll", "raw", Wait::kEpoll),
      Raw(server, "raw polling", "", Wait::kPoll),
      Ours(server, "cursor polling", "raw polling", "", false),
      Ours(server, "callback polling", "raw polling", "", true),
  };
  return group;
}

}  // namespace bench
