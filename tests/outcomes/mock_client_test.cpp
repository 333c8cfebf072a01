/* SPDX-License-Identifier: MIT */
// Writes that share a transaction, and administration.
#include "live/cluster_client.hpp"
#include "mock/mock_server.hpp"
#include "outcomes/table.hpp"

namespace dqc::outcomes {
namespace {

using live::Client;
using live::Conn;
using live::Pending;
using live::Reply;
using mock::Do;
using mock::Era;
using mock::Match;
using wire::RequestType;

Match Write(int i) {
  return Match(RequestType::kExecSql).Sql("VALUES (" + std::to_string(i) + ")");
}
Match Commit() { return Match(RequestType::kExecSql).Sql("COMMIT"); }

// Four writes that arrive together: the first goes alone, the others share the next transaction.
class Group {
 public:
  Group() {
    server.On(Write(0), Do().Delay(20).Default());
    server.On(Match(RequestType::kQuerySql).Sql("sqlite_master"),
              Do().Rows({.columns = {"count(*)"}, .rows = {{0}}, .made = 0, .make = {}}));
  }
  void Run(uint64_t timeout_ms = 10'000) {
    const Client client("dqlite://" + server.address() + "/test?drain_timeout_era_d=300ms", true,
                        DQC_LOOP_DRIVEN);
    ASSERT_TRUE(client.opened().ok()) << client.opened();
    for (int i = 0; i < 4; ++i) {
      const std::string sql = "INSERT INTO t VALUES (" + std::to_string(i) + ")";
      ASSERT_EQ(client.ExecAsync(sql, &all[i], {}, timeout_ms), DQC_OK);
    }
    ASSERT_TRUE(client.RunUntil([&] {
      return std::all_of(std::begin(all), std::end(all),
                         [](const Pending& p) { return p.done > 0; });
    }));
    EXPECT_GE(server.Count(Match(RequestType::kExecSql).Sql("BEGIN")), 1u) << "a group";
  }

  mock::Server server{Era::kD};
  Pending all[4];
};

TEST(MockGroup, OneFailsAlone) {
  Group group;
  group.server.On(Write(1), Do().Failure(2067, "UNIQUE constraint failed: t.x"));
  group.Run();
  for (int i = 0; i < 4; ++i) {
    if (i == 1) {
      EXPECT_TRUE(Is(Id("group-alone"), group.all[i].reply));
    } else {
      EXPECT_TRUE(group.all[i].reply.ok()) << group.all[i].reply;
    }
  }
}

TEST(MockGroup, CutAtTheCommit) {
  Group group;
  group.server.On(Commit(), Do().Close());
  group.Run();
  for (int i = 1; i < 4; ++i) EXPECT_TRUE(Is(Id("group-cut"), group.all[i].reply));
}

TEST(MockGroup, CutBeforeTheCommit) {
  Group once, ever;
  once.server.On(Write(2).First(1), Do().Close());
  once.Run();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(once.all[i].reply.ok()) << once.all[i].reply;
  EXPECT_TRUE(Is(Id("group-cut-behind"), once.all[3].reply));
  ever.server.On(Write(2), Do().Close());
  ever.server.On(Match::Accept().From(2), Do().Hang());  // nobody is there to run it again
  ever.Run(400);
  for (int i = 1; i < 3; ++i) EXPECT_TRUE(Is(Id("group-cut-before"), ever.all[i].reply));
  EXPECT_TRUE(Is(Id("group-cut-behind"), ever.all[3].reply));
}

TEST(MockGroup, Late) {
  Group group;
  group.server.On(Write(1), Do().Stall().Default());
  group.Run(300);
  for (int i = 1; i < 4; ++i) EXPECT_TRUE(Is(Id("group-late"), group.all[i].reply));
}

TEST(MockGroup, BetweenTwoSuspects) {
  Group group;
  for (const int i : {1, 3})  // 2 is between them
    group.server.On(Write(i), Do().Failure(2067, "UNIQUE constraint failed: t.x"));
  group.server.On(Commit().First(1), Do().Failure(1, "cannot commit - no transaction is active"));
  group.Run();
  EXPECT_TRUE(Is(Id("group-between"), group.all[2].reply));
}

TEST(MockAdmin, Failures) {
  mock::Server server(Era::kD);
  server.On(Match(RequestType::kRemove), Do().Failure(10506, "server has lost leadership"));
  server.On(Match(RequestType::kAssign), Do().Failure(1, "Resource not found"));
  server.On(Match(RequestType::kAdd).Nth(1),
            Do().Failure(5, "a configuration change is already in progress"));
  const Conn conn("dqlite://" + server.address() + "/test");
  ASSERT_TRUE(conn) << conn.opened();
  EXPECT_TRUE(Is(Id("admin-busy"), conn.Admin(DQC_ADMIN_ADD, 2, 0, "127.0.0.1:1")));
  EXPECT_TRUE(Is(Id("admin-refused"), conn.Admin(DQC_ADMIN_ASSIGN, 7, DQC_ROLE_SPARE)));
  EXPECT_TRUE(Is(Id("join-half"), conn.Admin(DQC_ADMIN_JOIN, 2, DQC_ROLE_VOTER, "127.0.0.1:1")));
  EXPECT_TRUE(Is(Id("admin-lost"), conn.Admin(DQC_ADMIN_REMOVE, 1)));
  server.On(Match(RequestType::kTransfer), Do().Failure(10250, "server is not the leader"));
  EXPECT_TRUE(Is(Id("admin-follower"), conn.Admin(DQC_ADMIN_TRANSFER, 2)));
}

}  // namespace
}  // namespace dqc::outcomes
