/* SPDX-License-Identifier: MIT */
// What the client believes of a transaction beside what the server says, and transactions that
// nobody uses.
#include <random>

#include "live/cluster_client.hpp"

namespace dqc::live {
namespace {

using std::chrono::milliseconds;

class TransactionTest : public SqlTest {
 protected:
  // What the server thinks: a BEGIN tells. None afterwards.
  static int32_t Truth(const Conn& conn) {
    Reply begun;
    do {
      begun = conn.Exec("BEGIN");
    } while (begun.status == DQC_E_BUSY);
    if (!begun.ok()) {
      EXPECT_NE(begun.failure.server_text.find("within a transaction"), std::string::npos) << begun;
    }
    Reply ended;
    do {
      ended = conn.Exec("ROLLBACK");
    } while (ended.status == DQC_E_BUSY);
    EXPECT_TRUE(ended.ok()) << ended;
    return begun.ok() ? DQC_TRANSACTION_NONE : DQC_TRANSACTION_OPEN;
  }
};
DQC_LIVE_SUITE(TransactionTest);

class RandomStatements {
 public:
  std::string One() {
    switch (random_() % 18) {
      case 0:
      case 1:
        return "BEGIN";
      case 2:
        return "BEGIN IMMEDIATE /* ; COMMIT */ TRANSACTION";
      case 3:
        return "COMMIT -- ; BEGIN";
      case 4:
        return "END";
      case 5:
        return "ROLLBACK";
      case 6:
      case 7:
      case 8:
        return "SAVEPOINT " + Name();
      case 9:
      case 10:
        return "RELEASE " + Name();
      case 11:
        return "ROLLBACK TO " + Name();
      case 12:
        return "ROLLBACK TRANSACTION TO SAVEPOINT " + Name();
      case 13:
        return "INSERT INTO r VALUES (" + Number() + ")";
      case 14:
        return "INSERT OR ROLLBACK INTO t VALUES (" + Number() + ")";
      case 15:
        return "INSERT INTO g VALUES (" + Number() + ")";
      case 16:
        return "INSERT OR ABORT INTO t VALUES (" + Number() + ")";
      default:
        return "INSERT INTO t VALUES (" + Number() + ")";
    }
  }
  uint32_t Below(uint32_t n) { return static_cast<uint32_t>(random_()) % n; }

 private:
  std::string Name() {
    static constexpr const char* kNames[] = {"a", "A",   "[a]",     "\"a\"",
                                             "b", "`B`", "'it''s'", "\"it's\""};
    return kNames[Below(8)];
  }
  std::string Number() { return std::to_string(Below(9)); }
  std::mt19937 random_{7};
};

TEST_P(TransactionTest, RandomScriptsAgreeWithTheServer) {
  const Conn conn = Open();
  ASSERT_TRUE(
      conn.Script("CREATE TABLE t(x UNIQUE); CREATE TABLE r(x UNIQUE ON CONFLICT ROLLBACK);"
                  "CREATE TABLE g(x); CREATE TRIGGER g1 BEFORE INSERT ON g WHEN new.x % 2 BEGIN"
                  " SELECT RAISE(ROLLBACK, 'rolled back'); END;")
          .ok());
  RandomStatements random;
  size_t unknown = 0, open = 0, none = 0;
  for (int round = 0; round < 120; ++round) {
    std::string story;
    bool doubt = false;  // something failed that may have rolled back
    for (int step = 0; step < 10; ++step) {
      std::string sql = random.One();
      const uint32_t form = random.Below(4);
      if (form < 2) {
        while (random.Below(3) == 0) sql += "; " + random.One();
      }
      Reply reply;
      const char* name = "exec ";
      if (form == 0) {
        reply = conn.Script(sql);
        name = "script ";
      } else if (form == 3) {
        const Stmt stmt = conn.Prepare(sql, &reply);
        if (stmt) reply = stmt.Exec();
        name = "prepared ";
      } else {
        reply = conn.Exec(sql);
      }
      const bool several = form == 1 && sql.find("; ") != std::string::npos;
      doubt = doubt || reply.status == DQC_E_CONSTRAINT || (several && !reply.ok());
      story += name + sql + " -> " + (reply.ok() ? "ok" : reply.failure.message) + "\n";
    }
    const int32_t known = dqc_conn_transaction(conn.get());
    const int32_t truth = Truth(conn);
    if (known == DQC_TRANSACTION_UNKNOWN) {
      EXPECT_TRUE(doubt) << story;
      ++unknown;
    } else {
      ASSERT_EQ(known, truth) << story;
      ++(truth == DQC_TRANSACTION_OPEN ? open : none);
    }
    ASSERT_EQ(dqc_conn_transaction(conn.get()), DQC_TRANSACTION_NONE) << story;
    (void)conn.Exec("DELETE FROM t; DELETE FROM r; DELETE FROM g");
  }
  EXPECT_GT(open, 20u);
  EXPECT_GT(none, 20u);
  EXPECT_LT(unknown, 80u);
}

TEST_P(TransactionTest, WhatRollsBackByItself) {
  const Conn conn = Open();
  ASSERT_TRUE(conn.Script("CREATE TABLE t(x UNIQUE, y CHECK (y < 5)); INSERT INTO t VALUES (1, 1);"
                          "CREATE TABLE r(x UNIQUE ON CONFLICT ROLLBACK); INSERT INTO r VALUES (1);"
                          "CREATE TABLE g(x); CREATE TRIGGER g1 BEFORE INSERT ON g BEGIN"
                          " SELECT RAISE(ROLLBACK, 'rolled back'); END;"
                          "CREATE TABLE h(x); CREATE TRIGGER h1 BEFORE INSERT ON h BEGIN"
                          " SELECT RAISE(ABORT, 'aborted'); END;")
                  .ok());
  struct Case {
    const char* sql;
    int32_t known, truth;
  };
  for (const Case& c :
       {Case{"INSERT INTO t VALUES (1, 1)", DQC_TRANSACTION_UNKNOWN, DQC_TRANSACTION_OPEN},
        Case{"INSERT OR ABORT INTO t VALUES (1, 1)", DQC_TRANSACTION_OPEN, DQC_TRANSACTION_OPEN},
        Case{"INSERT OR ROLLBACK INTO t VALUES (1, 1)", DQC_TRANSACTION_NONE, DQC_TRANSACTION_NONE},
        Case{"INSERT OR ROLLBACK INTO t VALUES (2, 7)", DQC_TRANSACTION_NONE, DQC_TRANSACTION_NONE},
        Case{"INSERT INTO r VALUES (1)", DQC_TRANSACTION_UNKNOWN, DQC_TRANSACTION_NONE},
        Case{"INSERT INTO g VALUES (1)", DQC_TRANSACTION_UNKNOWN, DQC_TRANSACTION_NONE},
        Case{"INSERT INTO h VALUES (1)", DQC_TRANSACTION_UNKNOWN, DQC_TRANSACTION_OPEN},
        Case{"INSERT INTO nowhere VALUES (1)", DQC_TRANSACTION_OPEN, DQC_TRANSACTION_OPEN},
        Case{"SELEC 1", DQC_TRANSACTION_OPEN, DQC_TRANSACTION_OPEN}}) {
    ASSERT_TRUE(conn.Exec("BEGIN").ok());
    const Reply reply = conn.Exec(c.sql);
    EXPECT_FALSE(reply.ok()) << c.sql;
    EXPECT_EQ(dqc_conn_transaction(conn.get()), c.known) << c.sql << ": " << reply;
    EXPECT_EQ(Truth(conn), c.truth) << c.sql << ": " << reply;
  }
}

TEST_P(TransactionTest, ReturningOnItsOwn) {
  if (!ReturningWorks()) return;
  const Conn conn = Open();
  ASSERT_TRUE(conn.Exec("CREATE TABLE t(x UNIQUE)").ok());
  EXPECT_EQ(conn.Query("INSERT INTO t VALUES (1) RETURNING x").Text(), "I1");
  EXPECT_EQ(dqc_conn_transaction(conn.get()), DQC_TRANSACTION_NONE);
  EXPECT_EQ(conn.Query("INSERT INTO t VALUES (1) RETURNING x").status, DQC_E_CONSTRAINT);
  EXPECT_EQ(dqc_conn_transaction(conn.get()), DQC_TRANSACTION_NONE);
  ASSERT_TRUE(conn.Exec("SAVEPOINT a").ok());
  EXPECT_EQ(conn.Query("INSERT INTO t VALUES (2) RETURNING x").Text(), "I2");
  EXPECT_EQ(dqc_conn_transaction(conn.get()), DQC_TRANSACTION_OPEN);
  ASSERT_TRUE(conn.Exec("RELEASE a").ok());
  EXPECT_EQ(dqc_conn_transaction(conn.get()), DQC_TRANSACTION_NONE);
  EXPECT_EQ(Open().Query("SELECT count(*) FROM t").Text(), "I2");
}

TEST_P(TransactionTest, AnIdleOneIsCutOffAndItsLockIsFree) {
  ASSERT_TRUE(Open().Exec("CREATE TABLE t(x)").ok());
  const Client a(Dsn("idle_transaction_timeout=1s"));
  const Client b(Dsn());
  ASSERT_TRUE(a.opened().ok() && b.opened().ok());
  {
    const Conn lease = a.Acquire();
    ASSERT_TRUE(lease.Exec("BEGIN IMMEDIATE").ok());
    ASSERT_TRUE(lease.Exec("INSERT INTO t VALUES ('a')").ok());
    const int64_t start = NowUs();
    EXPECT_EQ(b.Exec("INSERT INTO t VALUES ('short')", {}, 100).status, DQC_E_BUSY);
    const Reply waited = b.Exec("INSERT INTO t VALUES ('b')");
    EXPECT_TRUE(waited.ok()) << waited;
    EXPECT_GE(NowUs() - start, 700'000);
    EXPECT_LT(NowUs() - start, 5'000'000);
    const Reply late = lease.Exec("INSERT INTO t VALUES ('late')");
    EXPECT_EQ(late.status, DQC_E_SESSION_LOST) << late;
    EXPECT_EQ(late.failure.outcome, DQC_OUTCOME_NOT_EXECUTED);
    EXPECT_NE(late.failure.message.find("idle for 1 s and was rolled back"), std::string::npos)
        << late;
    EXPECT_EQ(lease.Exec("COMMIT").status, DQC_E_SESSION_LOST);
    EXPECT_EQ(dqc_conn_transaction(lease.get()), DQC_TRANSACTION_NONE);
  }
  EXPECT_TRUE(a.Exec("INSERT INTO t VALUES ('again')").ok());
  EXPECT_EQ(b.Query("SELECT group_concat(x) FROM t").Text(), "Tb,again");
}

TEST_P(TransactionTest, OneInUseIsLeftAlone) {
  const Client client(Dsn("idle_transaction_timeout=800ms"));
  ASSERT_TRUE(client.Exec("CREATE TABLE t(x)").ok());
  const Conn lease = client.Acquire();
  ASSERT_TRUE(lease.Exec("BEGIN IMMEDIATE").ok());
  for (int i = 0; i < 8; ++i) {
    std::this_thread::sleep_for(milliseconds(150));
    ASSERT_TRUE(lease.Exec("INSERT INTO t VALUES (1)").ok()) << i;
  }
  ASSERT_TRUE(lease.Exec("COMMIT").ok());
  std::this_thread::sleep_for(milliseconds(1000));  // and one without a transaction
  EXPECT_EQ(lease.Query("SELECT count(*) FROM t").Text(), "I8");
}

}  // namespace
}  // namespace dqc::live
