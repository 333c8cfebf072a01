/* SPDX-License-Identifier: MIT */
// Writes and leases of clients of one node: group commit, several clients, connections that come
// back clean.
#include <random>

#include "live/cluster_client.hpp"

namespace dqc::live {
namespace {

class ClientWritesTest : public SqlTest {
 protected:
  Client Make(const std::string& options = "", int32_t mode = DQC_LOOP_DRIVEN) {
    Client client(Dsn(options), true, mode);
    EXPECT_TRUE(client.opened().ok()) << client.opened();
    return client;
  }
  static bool AllDone(const std::vector<Pending>& all) {
    return std::all_of(all.begin(), all.end(), [](const Pending& p) { return p.done > 0; });
  }
};
DQC_LIVE_SUITE(ClientWritesTest);

TEST_P(ClientWritesTest, EachWriteOfAGroupHasItsOwnResult) {
  constexpr int kCount = 400;
  std::vector<Pending> all(kCount);
  const Client client = Make();
  ASSERT_TRUE(client.Exec("CREATE TABLE t(id INTEGER PRIMARY KEY, u INTEGER UNIQUE)").ok());
  ASSERT_TRUE(client.Exec("INSERT INTO t VALUES (1000000, 200)").ok());
  for (int i = 0; i < kCount; ++i) {
    const char* sql = i % 10 == 3   ? "UPDATE t SET u = u WHERE id <= ?"
                      : i % 10 == 4 ? "DELETE FROM t WHERE id = -?"
                                    : "INSERT INTO t(id, u) VALUES (?1 + 1, ?1)";
    ASSERT_EQ(client.ExecAsync(sql, &all[static_cast<size_t>(i)], {i}), DQC_OK);
  }
  ASSERT_TRUE(client.RunUntil([&] { return AllDone(all); }));
  for (int i = 0; i < kCount; ++i) {
    const Reply& reply = all[static_cast<size_t>(i)].reply;
    if (i == 200) {  // in the middle
      EXPECT_EQ(reply.status, DQC_E_CONSTRAINT) << reply;
      EXPECT_EQ(reply.failure.outcome, DQC_OUTCOME_NOT_EXECUTED);
      EXPECT_EQ(reply.failure.server_code, 2067);
      continue;
    }
    ASSERT_TRUE(reply.ok()) << i << ": " << reply;
    if (i % 10 == 3) {
      EXPECT_GT(reply.result.rows_affected, 0u);
      EXPECT_EQ(reply.result.has, DQC_HAS_ROWS_AFFECTED);
    } else if (i % 10 == 4) {
      EXPECT_EQ(reply.result.rows_affected, 0u);
    } else {
      EXPECT_EQ(reply.result.rows_affected, 1u);
      EXPECT_EQ(reply.result.last_insert_id, i + 1);
      EXPECT_EQ(reply.result.has, DQC_HAS_ROWS_AFFECTED | DQC_HAS_LAST_INSERT_ID);
    }
  }
  EXPECT_EQ(client.Query("SELECT count(*) FROM t").Text(), "I320");  // 319 and the first
}

TEST_P(ClientWritesTest, WhatIsNotGroupedWorksAmongOthers) {
  std::vector<Pending> all(60);
  const Client client = Make();
  ASSERT_TRUE(client.Exec("CREATE TABLE t(id INTEGER PRIMARY KEY)").ok());
  size_t refused = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    const std::string n = std::to_string(i);
    const std::string sql = i % 6 == 2   ? "CREATE TABLE t" + n + "(x)"
                            : i % 6 == 4 ? "INSERT INTO t VALUES (" + n + ") RETURNING id"
                                         : "INSERT INTO t VALUES (" + n + ")";
    const dqc_status status =
        i % 6 == 4 ? client.QueryAsync(sql, &all[i]) : client.ExecAsync(sql, &all[i]);
    if (status == DQC_OK) continue;
    EXPECT_EQ(i % 6, 4u);
    all[i].done = 1;
    all[i].reply.status = status;
  }
  ASSERT_TRUE(client.RunUntil([&] { return AllDone(all); }));
  for (size_t i = 0; i < all.size(); ++i) {
    if (i % 6 == 4 && !ReturningWorks()) {
      EXPECT_EQ(all[i].reply.status, DQC_E_UNSUPPORTED) << all[i].reply;
      ++refused;
      continue;
    }
    EXPECT_TRUE(all[i].reply.ok()) << i << ": " << all[i].reply;
    if (i % 6 == 4) {
      EXPECT_EQ(all[i].reply.Text(), "I" + std::to_string(i));
    }
  }
  EXPECT_EQ(client.Query("SELECT count(*) FROM t").Text(), "I" + std::to_string(50 - refused));
}

// Two clients take turns with the one write lock; none gives up before its deadline.
TEST_P(ClientWritesTest, TwoClients) {
  const Client one = Make("timeout=30s", DQC_LOOP_THREADED);
  const Client two = Make("timeout=30s", DQC_LOOP_THREADED);
  ASSERT_TRUE(one.Exec("CREATE TABLE w(id INTEGER)").ok());
  Ledger ledger;
  {
    Writers a(one, &ledger, "w", 4, 20'000), b(two, &ledger, "w", 4, 20'000);
    std::this_thread::sleep_for(std::chrono::seconds(2));
  }
  const auto wrong = ledger.Judge(one.Query("SELECT id, count(*) FROM w GROUP BY id"));
  EXPECT_TRUE(wrong.empty()) << wrong.front();
  const Ledger::Counts c = ledger.counts();
  std::cout << c.done << " writes, slowest " << c.slowest_ms << " ms, busy retries "
            << one.Stats().retried_busy + two.Stats().retried_busy << std::endl;
  EXPECT_EQ(c.not_executed + c.maybe, 0u) << c.examples.begin()->second;
}

// Statements that end the transaction they are in: nobody else's write is lost or told wrongly.
TEST_P(ClientWritesTest, RollbacksInsideTheSchema) {
  for (const char* kind : {"conflict clause", "trigger"}) {
    const Client client = Make();
    const bool trigger = kind[0] == 't';
    ASSERT_TRUE(client.Exec("DROP TABLE IF EXISTS w").ok());
    ASSERT_TRUE(client.Exec("DROP TABLE IF EXISTS r").ok());
    ASSERT_TRUE(client.Exec("CREATE TABLE w(id INTEGER)").ok());
    for (int schema_known = 0; schema_known < 2; ++schema_known) {
      std::vector<Pending> warm(4);
      for (Pending& p : warm) ASSERT_EQ(client.ExecAsync("INSERT INTO w VALUES (-1)", &p), DQC_OK);
      ASSERT_TRUE(client.RunUntil([&] { return AllDone(warm); }));
      // By another client: this one may still believe what it knew a moment ago.
      const Conn other = Open();
      if (schema_known == 0 && trigger) {
        ASSERT_TRUE(other.Exec("CREATE TABLE r(x INTEGER)").ok());
        ASSERT_TRUE(other
                        .Exec("CREATE TRIGGER g BEFORE INSERT ON r WHEN new.x = 7 BEGIN "
                              "SELECT RAISE(ROLLBACK, 'no sevens'); END")
                        .ok());
      } else if (schema_known == 0) {
        ASSERT_TRUE(other.Exec("CREATE TABLE r(x INTEGER UNIQUE ON CONFLICT ROLLBACK)").ok());
        ASSERT_TRUE(other.Exec("INSERT INTO r VALUES (7)").ok());
      } else {
        std::this_thread::sleep_for(std::chrono::milliseconds(1100));
      }
      std::vector<Pending> all(40);
      Ledger ledger;
      std::vector<int64_t> ids(all.size());
      for (size_t i = 0; i < all.size(); ++i) {
        ids[i] = ledger.NextId() + 1000 * (schema_known + 1);
        if (i == 20) {
          ASSERT_EQ(client.ExecAsync("INSERT INTO r VALUES (?)", &all[i], {7}), DQC_OK);
        } else {
          ASSERT_EQ(client.ExecAsync("INSERT INTO w VALUES (?)", &all[i], {ids[i]}), DQC_OK);
        }
      }
      ASSERT_TRUE(client.RunUntil([&] { return AllDone(all); }));
      EXPECT_EQ(all[20].reply.status, DQC_E_CONSTRAINT) << kind << ": " << all[20].reply;
      size_t failed = 0;
      for (size_t i = 0; i < all.size(); ++i) {
        if (i == 20) continue;
        ledger.Note(ids[i], all[i].reply, 0, 1);
        failed += all[i].reply.ok() ? 0 : 1;
      }
      std::cout << kind << ", schema " << (schema_known != 0 ? "known" : "new") << ": " << failed
                << " of the others failed" << std::endl;
      const auto wrong = ledger.Judge(
          client.Query("SELECT id, count(*) FROM w WHERE id > ? AND id < ? GROUP BY id",
                       {1000 * (schema_known + 1), 1000 * (schema_known + 2)}));
      EXPECT_TRUE(wrong.empty()) << kind << ", " << schema_known << ": " << wrong.front();
      EXPECT_EQ(failed, 0u) << kind << ", " << schema_known;
    }
  }
}

TEST_P(ClientWritesTest, ManyQueriesOnAFewConnections) {
  constexpr size_t kCount = 10'000;
  std::vector<Pending> all(kCount);
  const Client client = Make("pool_max=8&timeout=60s");
  ASSERT_TRUE(client.Exec("CREATE TABLE t(id INTEGER PRIMARY KEY, s TEXT)").ok());
  ASSERT_TRUE(client.Exec("INSERT INTO t VALUES (1, 'one'), (2, 'two')").ok());
  for (size_t i = 0; i < kCount; ++i)
    ASSERT_EQ(client.QueryAsync("SELECT s, ? FROM t WHERE id = 1", &all[i], {int(i)}), DQC_OK);
  const int64_t start = NowUs();
  ASSERT_TRUE(client.RunUntil([&] { return AllDone(all); }, 50));
  std::cout << kCount << " queries in " << (NowUs() - start) / 1000 << " ms" << std::endl;
  for (size_t i = 0; i < kCount; ++i)
    ASSERT_EQ(all[i].reply.Text(), "Tone|I" + std::to_string(i)) << all[i].reply;
  EXPECT_LE(client.Stats().attempts, 9u);
}

// Whatever a script leaves behind on a leased connection, the next user does not see it.
TEST_P(ClientWritesTest, LeasesComeBackClean) {
  static const char* const kSteps[] = {"BEGIN",
                                       "BEGIN IMMEDIATE",
                                       "BEGIN EXCLUSIVE",
                                       "SAVEPOINT a",
                                       "RELEASE a",
                                       "ROLLBACK TO a",
                                       "ROLLBACK",
                                       "COMMIT",
                                       "END",
                                       "INSERT INTO t VALUES (1)",
                                       "UPDATE t SET x = 2",
                                       "DELETE FROM t WHERE x = 2",
                                       "SELECT * FROM t",
                                       "INSERT INTO nowhere VALUES (1)",
                                       "INSERT INTO u VALUES (1)",
                                       "INSERT OR ROLLBACK INTO u VALUES (1)",
                                       "SAVEPOINT \"b c\"",
                                       "/* x */ BEGIN",
                                       "begin; insert into t values (3)",
                                       "SAVEPOINT a; SAVEPOINT b; RELEASE b"};
  const unsigned seed = std::random_device()();
  std::mt19937 random(seed);
  const Client client = Make("pool_max=1&timeout=20s");
  ASSERT_TRUE(client.Exec("CREATE TABLE t(x)").ok());
  ASSERT_TRUE(client.Exec("CREATE TABLE u(x UNIQUE)").ok());
  ASSERT_TRUE(client.Exec("INSERT INTO u VALUES (1)").ok());
  const Conn fresh = Open();
  for (int round = 0; round < 150; ++round) {
    std::string script;
    {
      const Conn conn = client.Acquire();
      ASSERT_TRUE(conn);
      const size_t steps = 1 + random() % 5;
      for (size_t i = 0; i < steps; ++i) {
        const char* step = kSteps[random() % std::size(kSteps)];
        script += std::string(step) + "; ";
        switch (random() % 4) {
          case 0:
            (void)conn.Script(step);
            break;
          case 1:
            (void)conn.Query(step);
            break;
          case 2: {
            Reply reply;
            const Stmt stmt = conn.Prepare(step, &reply);
            if (stmt) (void)stmt.Exec();
            break;
          }
          default:
            (void)conn.Exec(step);
        }
      }
    }
    SCOPED_TRACE("seed " + std::to_string(seed) + ": " + script);
    const Conn next = client.Acquire();
    ASSERT_TRUE(next);
    const Reply ended = next.Exec("COMMIT");
    EXPECT_EQ(ended.failure.server_text, "cannot commit - no transaction is active") << ended;
    // Nothing of it is invisible to others, and the write lock is free.
    EXPECT_EQ(next.Query("SELECT count(*), total(x) FROM t").Text(),
              fresh.Query("SELECT count(*), total(x) FROM t").Text());
    const Reply write = fresh.Exec("INSERT INTO t VALUES (9)");
    ASSERT_TRUE(write.ok()) << write;
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_LE(client.Stats().attempts, 20u) << "they were cleaned, not replaced";
}

}  // namespace
}  // namespace dqc::live
