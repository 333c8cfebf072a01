/* SPDX-License-Identifier: MIT */
// A driven loop that nobody runs any more: what its client or connection left behind on the server
// must lock nobody out.
#include "live/tx.hpp"

namespace dqc::live {
namespace {

class IdleLoopTest : public SqlTest {
 protected:
  void SetUp() override {
    SqlTest::SetUp();
    if (!server().available) return;
    client_ = Client(Dsn(), true, DQC_LOOP_DRIVEN);
    ASSERT_TRUE(client_.opened().ok()) << client_.opened();
    ASSERT_TRUE(client_.Exec("CREATE TABLE t(x)").ok());
  }
  void ExpectNobodyLockedOut() {
    const Reply reply = WriteThroughNewConnection(Dsn());
    EXPECT_TRUE(reply.ok()) << reply;
  }
  // Of some 200 ms and more.
  static std::string SlowInsert() {
    return "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
           "WHERE i < 1500000) SELECT count(*) FROM n";
  }

  Client client_;
};
DQC_LIVE_SUITE(IdleLoopTest);

TEST_P(IdleLoopTest, AWriteOutOfTime) {
  const Reply late = client_.Exec(SlowInsert(), {}, 50);
  EXPECT_EQ(late.status, DQC_E_TIMEOUT) << late;
  ExpectNobodyLockedOut();
}

TEST_P(IdleLoopTest, AScriptOutOfTimeInItsTransaction) {
  const std::string sql = "BEGIN IMMEDIATE; " + SlowInsert() + "; " + SlowInsert() + "; COMMIT";
  const dqc_call_options options{sizeof options, 0, 50};
  EXPECT_EQ(dqc_client_script(client_.get(), sql.c_str(), DQC_CSTR, &options, nullptr, nullptr),
            DQC_E_TIMEOUT);
  ExpectNobodyLockedOut();
}

TEST_P(IdleLoopTest, AScriptThatEndsInItsTransaction) {
  EXPECT_EQ(dqc_client_script(client_.get(), "BEGIN; INSERT INTO t VALUES (1)", DQC_CSTR, nullptr,
                              nullptr, nullptr),
            DQC_OK);
  ExpectNobodyLockedOut();
}

TEST_P(IdleLoopTest, RunTxOutOfTime) {
  const auto work = [](void*, dqc_conn* conn, dqc_error** error) -> dqc_status {
    return dqc_conn_exec(conn, SlowInsert().c_str(), DQC_CSTR, nullptr, 0, nullptr, nullptr, error);
  };
  const dqc_tx_options options{sizeof(options), DQC_BEGIN_IMMEDIATE, 0, 0, 50};
  EXPECT_EQ(dqc_client_run_tx(client_.get(), &options, work, nullptr, nullptr), DQC_E_TIMEOUT);
  ExpectNobodyLockedOut();
}

TEST_P(IdleLoopTest, ATransactionFreed) {
  Tx tx(client_);
  ASSERT_TRUE(tx.Begin().ok());
  EXPECT_TRUE(tx.conn().Exec("INSERT INTO t VALUES (1)").ok());
  tx.Free();
  ExpectNobodyLockedOut();
}

TEST_P(IdleLoopTest, ALeaseFreedInItsTransaction) {
  Conn lease = client_.Acquire();
  ASSERT_TRUE(lease.Exec("BEGIN IMMEDIATE").ok());
  EXPECT_TRUE(lease.Exec("INSERT INTO t VALUES (1)").ok());
  lease.Free();
  ExpectNobodyLockedOut();
}

TEST_P(IdleLoopTest, ALeaseFreedBehindAStatementOutOfTime) {
  Conn lease = client_.Acquire();
  ASSERT_TRUE(lease.Exec("BEGIN IMMEDIATE").ok());
  EXPECT_EQ(lease.Exec(SlowInsert(), {}, 50).status, DQC_E_TIMEOUT);
  lease.Free();
  ExpectNobodyLockedOut();
}

// The loop lives on for the client.
TEST_P(IdleLoopTest, AConnectionFreedInItsTransaction) {
  const std::string dsn = Dsn();
  dqc_config* config = nullptr;
  dqc_conn* made = nullptr;
  ASSERT_EQ(dqc_config_new(&config, nullptr), DQC_OK);
  EXPECT_EQ(dqc_config_set_dsn(config, dsn.data(), dsn.size(), nullptr), DQC_OK);
  EXPECT_EQ(dqc_conn_new(client_.loop(), nullptr, config, &made, nullptr), DQC_OK);
  dqc_config_free(config);
  Conn conn(made);
  ASSERT_EQ(dqc_conn_connect(conn.get(), nullptr), DQC_OK);
  ASSERT_TRUE(conn.Exec("BEGIN IMMEDIATE").ok());
  conn.Free();
  ExpectNobodyLockedOut();
}

}  // namespace
}  // namespace dqc::live
