/* SPDX-License-Identifier: MIT */
// A prepared INSERT inside a transaction, which each slice rolls back.
#include <algorithm>
#include <memory>

#include "client.hpp"
#include "raw.hpp"

namespace bench {

namespace {

constexpr uint64_t kPerTransaction = 20'000;

template <typename Session, typename Work>
void InTransactions(Session& session, uint64_t ops, Work work) {
  while (ops > 0) {
    const uint64_t part = std::min(ops, kPerTransaction);
    session.Exec("BEGIN");
    work(part);
    session.Exec("ROLLBACK");
    ops -= part;
  }
}

Variant Raw(const Server& server, const std::string& name, Wait wait, uint64_t depth) {
  auto raw = std::make_shared<RawClient>(server.address, wait);
  raw->Handshake();
  const Frame insert = InsertFrame(raw->Prepare(kInsert), kNumber, kText);
  return {name, "", [raw, insert, depth](uint64_t ops) {
            InTransactions(*raw, ops, [&](uint64_t part) { raw->Pipeline(insert, part, depth); });
          }};
}

// Depth 0: the blocking interface.
Variant Ours(const Server& server, const std::string& name, const std::string& floor,
             const char* options, uint64_t depth) {
  auto client = std::make_shared<Client>(server, options);
  dqc_stmt* stmt = client->Prepare(kInsert);
  return {name, floor, [client, stmt, depth](uint64_t ops) {
            InTransactions(*client, ops, [&](uint64_t part) {
              if (depth == 0) {
                client->InsertSequential(stmt, part);
              } else {
                client->InsertPipelined(stmt, part, depth);
              }
            });
          }};
}

}  // namespace

Group ExecGroup(const Server& server) {
  {
    Client setup(server, "");
    setup.Exec("CREATE TABLE IF NOT EXISTS bench_insert(number INTEGER, text TEXT)");
  }
  Group group{"exec", "insert", 1, {}};
  group.variants = {
      Raw(server, "raw", Wait::kBlock, 1),
      Ours(server, "blocking", "raw", "poll_time=0", 0),
      Raw(server, "raw polling", Wait::kPoll, 1),
      Ours(server, "blocking polling", "raw polling", "", 0),
      Raw(server, "raw depth 16", Wait::kBlock, 16),
      Ours(server, "depth 16", "raw depth 16", "poll_time=0", 16),
      Raw(server, "raw depth 256", Wait::kBlock, 256),
      Ours(server, "depth 256", "raw depth 256", "poll_time=0", 256),
      Ours(server, "depth 256 polling", "raw depth 256", "", 256),
  };
  return group;
}

}  // namespace bench
