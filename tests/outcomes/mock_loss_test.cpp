/* SPDX-License-Identifier: MIT */
// Connections that break, or say nothing, where nobody listens.
#include <chrono>
#include <thread>

#include "live/cluster_client.hpp"
#include "mock/mock_server.hpp"

namespace dqc::outcomes {
namespace {

using live::Arg;
using live::AsyncConn;
using live::Client;
using live::NowUs;
using live::Pending;
using mock::Do;
using mock::Era;
using mock::Match;
using wire::RequestType;

const char* const kWrite = "INSERT INTO t VALUES (1)";

Match Sql(const char* part) {
  return Match(RequestType::kExecSql, RequestType::kQuerySql).Sql(part);
}

// Nothing is read, for the result is paused, and nothing can be written: a reset is all there is to
// be heard.
TEST(MockLoss, AResetIsHeardBehindAResultThatIsNotTaken) {
  mock::Server server(Era::kD);
  server.On(Sql("SELECT"), Do().Hang());
  const AsyncConn conn("dqlite://" + server.address() + "/test?pipeline_bytes=64MiB&timeout=5s");
  Pending connected, paused, blocked;
  ASSERT_EQ(conn.Connect(&connected), DQC_OK);
  ASSERT_TRUE(conn.Finish(connected));
  ASSERT_EQ(conn.Query("SELECT * FROM t", &paused), DQC_OK);
  ASSERT_EQ(dqc_conn_pause(conn.get(), paused.op, 1), DQC_OK);
  const std::string large(32 << 20, 'x');  // more than the sockets between them hold
  ASSERT_EQ(conn.Exec("INSERT INTO t VALUES (?)", &blocked, {Arg::Blob(large)}), DQC_OK);
  const int64_t full = NowUs() + 200'000;
  ASSERT_TRUE(conn.RunUntil([&] { return NowUs() > full; }));
  ASSERT_EQ(blocked.done, 0);
  server.SetDown(true);
  ASSERT_TRUE(conn.Finish(blocked));
  EXPECT_EQ(blocked.reply.status, DQC_E_NETWORK) << blocked.reply;
  EXPECT_EQ(blocked.reply.failure.outcome, DQC_OUTCOME_NOT_EXECUTED) << "it had not left";
  EXPECT_EQ(paused.reply.status, DQC_E_NETWORK) << paused.reply;
}

// Both came while nobody ran the loop: what leaves next does not leave at all.
TEST(MockLoss, AnAnswerAndTheEndBehindIt) {
  mock::Server server(Era::kD);
  server.On(Sql("first"), Do().Delay(20).Default().Close());
  const AsyncConn conn("dqlite://" + server.address() + "/test");
  Pending connected, first, second;
  ASSERT_EQ(conn.Connect(&connected), DQC_OK);
  ASSERT_TRUE(conn.Finish(connected));
  ASSERT_EQ(conn.Exec("INSERT INTO first VALUES (1)", &first), DQC_OK);
  ASSERT_EQ(dqc_loop_run(conn.loop(), DQC_RUN_NOWAIT, nullptr), DQC_OK);
  ASSERT_EQ(first.done, 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  ASSERT_EQ(conn.Exec(kWrite, &second), DQC_OK);
  ASSERT_TRUE(conn.Finish(second));
  EXPECT_TRUE(first.reply.ok()) << first.reply;
  EXPECT_EQ(second.reply.status, DQC_E_NETWORK) << second.reply;
  EXPECT_EQ(second.reply.failure.outcome, DQC_OUTCOME_NOT_EXECUTED) << second.reply;
}

// The members are asked for in front of the first operation: behind it, the question would run out of
// its own time, and be waited for in vain.
TEST(MockLoss, ALongFirstOperation) {
  mock::Server server(Era::kA);
  server.On(Sql("INSERT"), Do().Delay(1'200).Default());
  const Client client(
      "dqlite://" + server.address() + "/test?connect_timeout=300ms&drain_timeout=200ms&silence=0",
      false, DQC_LOOP_DRIVEN);
  Pending first;
  ASSERT_EQ(client.ExecAsync(kWrite, &first), DQC_OK);
  ASSERT_TRUE(client.RunUntil([&] { return server.Count(Sql("INSERT")) == 1; }));
  EXPECT_EQ(server.Count(Match(RequestType::kCluster)), 1u);
  ASSERT_TRUE(client.RunUntil([&] { return first.done > 0; }));
  EXPECT_TRUE(first.reply.ok()) << first.reply;
  EXPECT_EQ(client.Stats().opened, 1u);
}

// A group begins with a question about the schema: if nobody answers it, nothing waits behind it.
TEST(MockLoss, AQuestionOfOurOwnThatIsNotAnswered) {
  mock::Server server(Era::kD);
  server.On(Sql("sqlite_master").Nth(1), Do().Hang());
  server.On(Sql("first"), Do().Delay(50).Default());
  const Client client("dqlite://" + server.address() +
                          "/test?connect_timeout=300ms&silence=0&drain_timeout_era_d=10s",
                      true, DQC_LOOP_DRIVEN);
  ASSERT_TRUE(client.opened().ok()) << client.opened();
  Pending all[3];
  ASSERT_EQ(client.ExecAsync("INSERT INTO first VALUES (1)", &all[0], {}, 5'000), DQC_OK);
  for (int i = 1; i < 3; ++i) ASSERT_EQ(client.ExecAsync(kWrite, &all[i], {}, 5'000), DQC_OK);
  ASSERT_TRUE(client.RunUntil([&] { return all[0].done + all[1].done + all[2].done == 3; }));
  for (const Pending& p : all) EXPECT_TRUE(p.reply.ok()) << p.reply;
}

}  // namespace
}  // namespace dqc::outcomes
