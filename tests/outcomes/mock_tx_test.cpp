/* SPDX-License-Identifier: MIT */
// Transactions of a client, and what a connection does by itself.
#include "live/tx.hpp"
#include "mock/mock_server.hpp"
#include "outcomes/table.hpp"

namespace dqc::outcomes {
namespace {

using live::Client;
using live::Conn;
using live::Reply;
using live::Tx;
using mock::Do;
using mock::Era;
using mock::Match;
using wire::RequestType;

const char* const kWrite = "INSERT INTO t VALUES (1)";

std::string Dsn(const mock::Server& server, const std::string& options = "") {
  return "dqlite://" + server.address() + "/test?" + options;
}

Match Commit() { return Match(RequestType::kExecSql).Sql("COMMIT"); }

TEST(MockTx, TheDeadline) {
  mock::Server server(Era::kD);
  const Client client(Dsn(server));
  Tx late(client, DQC_BEGIN_IMMEDIATE, 0, 100);
  ASSERT_TRUE(late.Begin().ok());
  Tx waits(client, DQC_BEGIN_IMMEDIATE, 0, 120);
  EXPECT_TRUE(Is(Id("tx-turn"), waits.Begin()));
  EXPECT_TRUE(Is(Id("tx-late"), late.Commit()));
  EXPECT_EQ(server.Count(Commit()), 0u);
}

TEST(MockTx, CommitFails) {
  mock::Server server(Era::kA);
  server.On(Commit().Nth(1), Do().Close());
  server.On(Commit().Nth(2), Do().Failure(787, "FOREIGN KEY constraint failed"));
  const Client client(Dsn(server));
  for (const char* id : {Id("tx-commit-cut"), Id("tx-commit-constraint")}) {
    Tx tx(client);
    ASSERT_TRUE(tx.Begin().ok());
    EXPECT_TRUE(Is(id, tx.Commit()));
    EXPECT_EQ(tx.Begin().status, DQC_E_MISUSE) << "it is over";
  }
  Tx freed(client);
  ASSERT_TRUE(freed.Begin().ok());
  freed.conn().Free();
  EXPECT_TRUE(Is(Id("tx-freed"), freed.Commit()));
  EXPECT_TRUE(client.Exec(kWrite).ok());
  EXPECT_EQ(server.Count(Match(RequestType::kExecSql).Sql("ROLLBACK")), 2u);
}

// A cursor failed behind its first row, and its owner asks for COMMIT before reading on.
TEST(MockTx, BehindAFailureNotToldYet) {
  mock::Server server(Era::kD);
  server.On(
      mock::AnyQuery(),
      Do().Raw(mock::RowsFrame({"n"}, {{1}}, wire::RowsEnd::kPart)).Failure(1, "integer overflow"));
  const auto half_read = [](const Conn& conn) {
    dqc_rows* rows = nullptr;
    EXPECT_EQ(dqc_conn_query(conn.get(), "SELECT n FROM t", DQC_CSTR, nullptr, 0, nullptr, &rows,
                             nullptr),
              DQC_OK);
    return live::Handle<dqc_rows>(rows);
  };
  const Client client(Dsn(server));
  Tx tx(client);
  ASSERT_TRUE(tx.Begin().ok());
  {
    const auto rows = half_read(tx.conn());
    EXPECT_TRUE(Is(Id("tx-commit-behind"), tx.Commit()));
  }
  const Conn conn(Dsn(server));
  ASSERT_TRUE(conn.Exec("BEGIN").ok());
  {
    const auto rows = half_read(conn);
    EXPECT_TRUE(Is(Id("commit-behind"), conn.Exec("COMMIT")));
  }
  EXPECT_EQ(server.Count(Commit()), 0u);
  EXPECT_TRUE(conn.Exec("COMMIT").ok());
}

// Without a queue for its event the call is refused, and does nothing to the transaction.
TEST(MockTx, AnEndThatIsRefused) {
  mock::Server server(Era::kD);
  const Client client(Dsn(server));  // blocking calls only
  Tx tx(client);
  ASSERT_TRUE(tx.Begin().ok());
  EXPECT_EQ(dqc_tx_commit_async(tx.get(), nullptr, nullptr, nullptr, nullptr), DQC_E_MISUSE);
  EXPECT_EQ(dqc_tx_rollback_async(tx.get(), nullptr, nullptr, nullptr, nullptr, nullptr),
            DQC_E_MISUSE);
  EXPECT_TRUE(tx.conn().Exec(kWrite).ok());
  EXPECT_TRUE(tx.Commit().ok());
}

// A full disk ends the transaction on the server. A write behind it runs by itself, or perhaps does:
// nothing of this is run again, unless that does no harm.
TEST(MockTx, AWriteThatStrayed) {
  for (const bool cut : {false, true}) {
    mock::Server server(Era::kD);
    server.On(Match().Sql("UPDATE"), Do().Failure(13, "database or disk is full"));
    if (cut) server.On(Match().Sql("INSERT INTO t"), Do().Close());
    const Client client(Dsn(server));
    const auto stray = [&](Tx& tx) {
      ASSERT_TRUE(tx.Begin().ok());
      EXPECT_EQ(tx.conn().Exec("UPDATE t SET x = 1").status, DQC_E_SQL);
      EXPECT_EQ(tx.conn().Exec(kWrite).ok(), !cut);
    };
    dqc_error* passing = nullptr;
    const Conn closed(Dsn(server, "timeout=1s"));
    server.On(Match().Sql("SELECT passing"), Do().Failure(10250, "not leader"));
    ASSERT_EQ(dqc_conn_exec(closed.get(), "SELECT passing", DQC_CSTR, nullptr, 0, nullptr, nullptr,
                            &passing),
              DQC_E_NOT_LEADER);
    for (const uint32_t flags : {0u, uint32_t{DQC_TX_IDEMPOTENT}}) {
      Tx tx(client, DQC_BEGIN_IMMEDIATE, flags);
      stray(tx);
      EXPECT_EQ(tx.Rollback(passing).status, flags == 0 ? DQC_OK : DQC_AGAIN);
    }
    dqc_error_free(passing);
    Tx tx(client, DQC_BEGIN_IMMEDIATE, DQC_TX_RESOLVE);
    stray(tx);
    if (cut) {
      EXPECT_TRUE(Is(Id("tx-strayed"), tx.Commit()));
    } else {
      EXPECT_TRUE(tx.Commit().ok());
    }
    EXPECT_EQ(server.Count(Match().Sql("dqclient_marks")), 0u) << "one would stay";
  }
}

// One that may be committed twice is run again in doubt, and stays in doubt whatever comes of that.
TEST(MockTx, AnIdempotentOneThatFailsAgainIsStillInDoubt) {
  mock::Server server(Era::kD);
  server.On(Commit().Nth(1), Do().Close());
  server.On(Commit().Nth(2), Do().Failure(787, "FOREIGN KEY constraint failed"));
  const Client client(Dsn(server));
  Tx tx(client, DQC_BEGIN_IMMEDIATE, DQC_TX_IDEMPOTENT);
  ASSERT_TRUE(tx.Begin().ok());
  EXPECT_EQ(tx.Commit().status, DQC_AGAIN);
  ASSERT_TRUE(tx.Begin().ok());
  const Reply reply = tx.Commit();
  EXPECT_EQ(reply.status, DQC_E_CONSTRAINT);
  EXPECT_EQ(reply.failure.outcome, DQC_OUTCOME_MAYBE_EXECUTED);
}

// A checkpoint refuses a request as a whole, or only what stands behind its first statements: the
// COMMIT that is sent again has to see to its mark itself.
TEST(MockTx, ACommitThatIsRepeatedHasItsMark) {
  mock::Server server(Era::kD);
  server.On(Commit().First(2), Do().Failure(5, "checkpoint in progress"));
  const Client client(Dsn(server));
  Tx tx(client, DQC_BEGIN_IMMEDIATE, DQC_TX_RESOLVE);
  ASSERT_TRUE(tx.Begin().ok());
  EXPECT_TRUE(tx.Commit().ok());
  EXPECT_EQ(server.Count(Commit()), 3u);
  EXPECT_EQ(server.Count(Match(RequestType::kExecSql).Sql("INSERT INTO dqclient_marks")), 3u);
}

TEST(MockTx, AStrongRead) {
  mock::Server server(Era::kD);
  const Match barrier = Match(RequestType::kExecSql).Sql("dqclient_marks");
  server.On(barrier, Do().Failure(5, "database is locked"));
  const Client client(Dsn(server));
  EXPECT_TRUE(Is(Id("strong-busy"), client.Query("SELECT 1", {}, 200, DQC_CALL_STRONG)));
  EXPECT_GT(server.Count(barrier), 1u) << "tried again";
  EXPECT_EQ(server.Count(Match(RequestType::kQuerySql)), 0u);
}

TEST(MockTx, AnIdleTransaction) {
  mock::Server server(Era::kD);
  const Client client(Dsn(server, "idle_transaction_timeout=50ms"), true, DQC_LOOP_THREADED);
  const Conn conn = client.Acquire();
  ASSERT_TRUE(conn.Exec("BEGIN").ok());
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_TRUE(Is(Id("idle-cut"), conn.Exec(kWrite)));
  EXPECT_EQ(server.Count(Match(RequestType::kExecSql).Sql(kWrite)), 0u);
}

TEST(MockTx, TheScriptOfNewConnections) {
  mock::Server server(Era::kD);
  server.On(Match(RequestType::kPrepare).Sql("nosuch"), Do().Failure(1, "no such table: nosuch"));
  const std::string dsn = Dsn(server, "init_sql=SELECT%20*%20FROM%20nosuch");
  EXPECT_TRUE(Is(Id("init-sql"), Client(dsn).opened()));
  EXPECT_TRUE(Is(Id("init-sql"), Conn(dsn).opened()));
}

}  // namespace
}  // namespace dqc::outcomes
