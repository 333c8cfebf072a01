/* SPDX-License-Identifier: MIT */
// Transactions of a client through the C interface: turns, restarts, marks; and strong reads.
#include <algorithm>

#include "live/tx.hpp"

namespace dqc::live {
namespace {

class ClientTxTest : public SqlTest {
 protected:
  Client Make(const std::string& options = "", int32_t mode = DQC_LOOP_DRIVEN) {
    Client client(Dsn(options), true, mode);
    EXPECT_TRUE(client.opened().ok()) << client.opened();
    return client;
  }
};
DQC_LIVE_SUITE(ClientTxTest);

TEST_P(ClientTxTest, BeginsCommitsAndRollsBack) {
  const Client client = Make();
  ASSERT_TRUE(client.Exec("CREATE TABLE t(id INTEGER)").ok());
  for (const int32_t mode :
       {DQC_BEGIN_IMMEDIATE, DQC_BEGIN_DEFERRED, DQC_BEGIN_EXCLUSIVE, DQC_BEGIN_READ_ONLY}) {
    Tx tx(client, mode);
    ASSERT_TRUE(tx.Begin().ok());
    EXPECT_TRUE(tx.conn().Query("SELECT count(*) FROM t").ok());
    if (mode != DQC_BEGIN_READ_ONLY) {
      EXPECT_TRUE(tx.conn().Exec("INSERT INTO t VALUES (1)").ok());
    }
    EXPECT_TRUE(tx.Commit().ok());
    EXPECT_EQ(tx.conn().Exec("INSERT INTO t VALUES (1)").status, DQC_E_CLOSED) << "it is over";
    EXPECT_EQ(tx.Begin().status, DQC_E_MISUSE);
  }
  EXPECT_EQ(client.Query("SELECT count(*) FROM t").Text(), "I3");
  Tx tx(client);
  ASSERT_TRUE(tx.Begin().ok());
  EXPECT_EQ(tx.Begin().status, DQC_E_MISUSE) << "it is open";
  EXPECT_TRUE(tx.conn().Exec("INSERT INTO t VALUES (1)").ok());
  EXPECT_TRUE(tx.Rollback().ok());
  EXPECT_EQ(tx.Commit().status, DQC_E_MISUSE);
  EXPECT_EQ(client.Query("SELECT count(*) FROM t").Text(), "I3");
  EXPECT_TRUE(client.Exec("INSERT INTO t VALUES (1)").ok()) << "the lock is free";
}

// Whichever handle goes first, what was open is rolled back, and the lock is free.
TEST_P(ClientTxTest, FreedInAnyOrder) {
  const Client client = Make();
  ASSERT_TRUE(client.Exec("CREATE TABLE t(id INTEGER)").ok());
  for (const bool conn_first : {true, false}) {
    Tx tx(client);
    ASSERT_TRUE(tx.Begin().ok());
    EXPECT_TRUE(tx.conn().Exec("INSERT INTO t VALUES (1)").ok());
    if (conn_first) {
      tx.conn().Free();
      EXPECT_EQ(tx.Commit().status, DQC_E_MISUSE) << "rolled back already";
      tx.Free();
    } else {
      tx.Free();
      EXPECT_EQ(tx.conn().Exec("INSERT INTO t VALUES (1)").status, DQC_E_CLOSED);
    }
    EXPECT_TRUE(client.Exec("INSERT INTO t VALUES (2)", {}, 2000).ok());
  }
  EXPECT_EQ(client.Query("SELECT sum(id) FROM t").Text(), "I4");
}

// A transaction that begins waits for its turn to write like any write, and others for it.
TEST_P(ClientTxTest, TakesItsTurn) {
  const Client client = Make("timeout=20s", DQC_LOOP_THREADED);
  ASSERT_TRUE(client.Exec("CREATE TABLE t(n INTEGER)").ok());
  ASSERT_TRUE(client.Exec("INSERT INTO t VALUES (0)").ok());
  std::vector<std::thread> threads;
  std::atomic<int> failed{0};
  for (int w = 0; w < 8; ++w) {
    threads.emplace_back([&, w] {
      for (int i = 0; i < 10; ++i) {
        if (w % 2 == 0) {
          failed += client.Exec("UPDATE t SET n = n + 1").ok() ? 0 : 1;
          continue;
        }
        Tx tx(client);
        const bool done = tx.Begin().ok() && [&] {
          const int64_t n = tx.conn().Query("SELECT n FROM t").Int();
          return tx.conn().Exec("UPDATE t SET n = ?", {n + 1}).ok();
        }() && tx.Commit().ok();
        failed += done ? 0 : 1;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(client.Query("SELECT n FROM t").Text(), "I80");
  EXPECT_EQ(client.Stats().retried_busy, 0u) << "they met on the server";
}

TEST_P(ClientTxTest, RunAgainWhereAnotherWriterWasFaster) {
  const Client client = Make();
  const Client other = Make();
  ASSERT_TRUE(client.Exec("CREATE TABLE t(n INTEGER)").ok());
  ASSERT_TRUE(client.Exec("INSERT INTO t VALUES (0)").ok());
  struct State {
    const Client* other;
    int runs;
  } state{&other, 0};
  const auto work = [](void* user, dqc_conn* conn, dqc_error** error) -> dqc_status {
    auto* s = static_cast<State*>(user);
    dqc_rows* rows = nullptr;
    dqc_status status =
        dqc_conn_query(conn, "SELECT n FROM t", DQC_CSTR, nullptr, 0, nullptr, &rows, error);
    if (status != DQC_OK) return status;
    while (dqc_rows_step(rows, nullptr) == DQC_ROW) {
    }
    dqc_rows_free(rows);
    if (++s->runs == 1 && !s->other->Exec("UPDATE t SET n = n + 10").ok()) return -999;
    return dqc_conn_exec(conn, "UPDATE t SET n = n + 1", DQC_CSTR, nullptr, 0, nullptr, nullptr,
                         error);
  };
  const dqc_tx_options deferred{sizeof(deferred), DQC_BEGIN_DEFERRED, 0, 0, 0};
  dqc_error* error = nullptr;
  EXPECT_EQ(dqc_client_run_tx(client.get(), &deferred, work, &state, &error), DQC_OK)
      << Describe(error);
  EXPECT_EQ(error, nullptr);
  EXPECT_EQ(state.runs, 2);
  EXPECT_EQ(client.Query("SELECT n FROM t").Text(), "I11");
}

TEST_P(ClientTxTest, AFunctionThatFailsIsRolledBack) {
  const Client client = Make();
  ASSERT_TRUE(client.Exec("CREATE TABLE t(n INTEGER UNIQUE)").ok());
  const auto twice = [](void*, dqc_conn* conn, dqc_error** error) -> dqc_status {
    for (int i = 0; i < 2; ++i) {
      const dqc_status status = dqc_conn_exec(conn, "INSERT INTO t VALUES (1)", DQC_CSTR, nullptr,
                                              0, nullptr, nullptr, error);
      if (status != DQC_OK) return status;
    }
    return DQC_OK;
  };
  dqc_error* error = nullptr;
  EXPECT_EQ(dqc_client_run_tx(client.get(), nullptr, twice, nullptr, &error), DQC_E_CONSTRAINT);
  EXPECT_EQ(dqc_error_code(error), DQC_E_CONSTRAINT);
  dqc_error_free(error);
  error = nullptr;
  const auto own = [](void*, dqc_conn*, dqc_error**) -> dqc_status { return 4711; };
  EXPECT_EQ(dqc_client_run_tx(client.get(), nullptr, own, nullptr, &error), 4711);
  EXPECT_EQ(error, nullptr);
  EXPECT_EQ(client.Query("SELECT count(*) FROM t").Text(), "I0");
}

// The time is that of all of it; a late COMMIT is not sent.
TEST_P(ClientTxTest, OneDeadline) {
  const Client client = Make();
  ASSERT_TRUE(client.Exec("CREATE TABLE t(n INTEGER)").ok());
  Tx holder(client);
  ASSERT_TRUE(holder.Begin().ok());
  Tx late(client, DQC_BEGIN_IMMEDIATE, 0, 200);
  const Reply waited = late.Begin();
  EXPECT_EQ(waited.status, DQC_E_TIMEOUT) << waited;
  EXPECT_EQ(waited.failure.outcome, DQC_OUTCOME_NOT_EXECUTED);
  EXPECT_TRUE(holder.Rollback().ok());
  Tx slow(client, DQC_BEGIN_IMMEDIATE, 0, 300);
  ASSERT_TRUE(slow.Begin().ok());
  EXPECT_TRUE(slow.conn().Exec("INSERT INTO t VALUES (1)").ok());
  std::this_thread::sleep_for(std::chrono::milliseconds(320));
  EXPECT_EQ(slow.conn().Exec("INSERT INTO t VALUES (1)").status, DQC_E_TIMEOUT);
  const Reply commit = slow.Commit();
  EXPECT_EQ(commit.status, DQC_E_TIMEOUT) << commit;
  EXPECT_EQ(commit.failure.outcome, DQC_OUTCOME_NOT_EXECUTED);
  EXPECT_EQ(client.Query("SELECT count(*) FROM t").Text(), "I0");
}

TEST_P(ClientTxTest, MarksAreLeftWhereAsked) {
  const Client client = Make();
  ASSERT_TRUE(client.Exec("CREATE TABLE t(n INTEGER)").ok());
  const auto commit = [&](int32_t mode, uint32_t flags) {
    Tx tx(client, mode, flags);
    ASSERT_TRUE(tx.Begin().ok());
    if (mode != DQC_BEGIN_READ_ONLY) {
      EXPECT_TRUE(tx.conn().Exec("INSERT INTO t VALUES (1)").ok());
    }
    const Reply reply = tx.Commit();
    EXPECT_TRUE(reply.ok()) << reply;
  };
  const char* tables = "SELECT count(*) FROM sqlite_master WHERE name = 'dqclient_marks'";
  commit(DQC_BEGIN_IMMEDIATE, 0);
  EXPECT_EQ(client.Query(tables).Text(), "I0");
  for (int i = 0; i < 3; ++i) commit(DQC_BEGIN_IMMEDIATE, DQC_TX_RESOLVE);
  commit(DQC_BEGIN_DEFERRED, DQC_TX_RESOLVE);
  commit(DQC_BEGIN_READ_ONLY, DQC_TX_RESOLVE);
  EXPECT_EQ(client.Query("SELECT count(*), sum(undone) FROM dqclient_marks").Text(), "I4|I0");
  EXPECT_EQ(client.Query("SELECT count(*) FROM t").Text(), "I5");
}

TEST_P(ClientTxTest, StrongReads) {
  const Client client = Make();
  ASSERT_TRUE(client.Exec("CREATE TABLE t(n INTEGER)").ok());
  ASSERT_TRUE(client.Exec("INSERT INTO t VALUES (7)").ok());
  const auto marks = [&] {
    return client.Query("SELECT count(*) FROM sqlite_master WHERE name = 'dqclient_marks'").Int();
  };
  EXPECT_EQ(marks(), 0);
  const Reply strong = client.Query("SELECT n FROM t WHERE n = ?", {7}, 0, DQC_CALL_STRONG);
  EXPECT_EQ(strong.Text(), "I7") << strong;
  EXPECT_EQ(marks(), 1) << "the leader proved itself";
  EXPECT_TRUE(client.Exec("INSERT INTO t VALUES (8)", {}, 0, DQC_CALL_STRONG).ok())
      << "a write proves itself";
  const Client always = Make("strong_reads=true");
  ASSERT_TRUE(always.Exec("DROP TABLE dqclient_marks").ok());
  EXPECT_EQ(always.Query("SELECT count(*) FROM t").Text(), "I2");
  EXPECT_EQ(marks(), 1);

  // It waits for its turn, and its deadline holds.
  Tx holder(client);
  ASSERT_TRUE(holder.Begin().ok());
  EXPECT_EQ(client.Query("SELECT 1", {}, 200, DQC_CALL_STRONG).status, DQC_E_TIMEOUT);
  const Reply busy = always.Query("SELECT 1", {}, 300);
  EXPECT_EQ(busy.status, DQC_E_BUSY) << busy;
  EXPECT_EQ(busy.failure.outcome, DQC_OUTCOME_NOT_EXECUTED);
  EXPECT_TRUE(holder.Rollback().ok());

  const Conn conn = client.Acquire();
  const dqc_call_options options{sizeof(options), DQC_CALL_STRONG, 0};
  EXPECT_EQ(dqc_conn_exec(conn.get(), "SELECT 1", DQC_CSTR, nullptr, 0, &options, nullptr, nullptr),
            DQC_E_MISUSE);
}

}  // namespace
}  // namespace dqc::live
