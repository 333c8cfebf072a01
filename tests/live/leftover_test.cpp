/* SPDX-License-Identifier: MIT */
// What an operation of a client leaves behind on its connection must not reach the next one.
#include "live/client.hpp"

namespace dqc::live {
namespace {

struct FreeClient {
  void operator()(dqc_client* client) const { dqc_client_free(client); }
};

class LeftoverTest : public SqlTest {
 protected:
  void SetUp() override {
    SqlTest::SetUp();
    if (!server().available) return;
    ASSERT_TRUE(Open().Exec("CREATE TABLE t(x)").ok());
    const std::string dsn = Dsn("pool_max=1");
    dqc_client* client = nullptr;
    ASSERT_EQ(dqc_client_open(dsn.data(), dsn.size(), &client, nullptr), DQC_OK);
    client_.reset(client);
  }
  void TearDown() override {
    client_.reset();
    SqlTest::TearDown();
  }
  dqc_status Exec(const char* sql) {
    return dqc_client_exec(client_.get(), sql, DQC_CSTR, nullptr, 0, nullptr, nullptr, nullptr);
  }
  dqc_status Script(const char* sql, uint64_t timeout_ms = 0) {
    const dqc_call_options options{sizeof options, 0, timeout_ms};
    return dqc_client_script(client_.get(), sql, DQC_CSTR, &options, nullptr, nullptr);
  }
  // An acknowledged write is there for others, now and when the client is gone.
  void ExpectNextWriteStays() {
    ASSERT_EQ(Exec("INSERT INTO t VALUES ('next')"), DQC_OK);
    EXPECT_EQ(Open().Query("SELECT x FROM t").Text(), "Tnext");
    client_.reset();
    EXPECT_EQ(Open().Query("SELECT x FROM t").Text(), "Tnext");
  }

  std::unique_ptr<dqc_client, FreeClient> client_;
};
DQC_LIVE_SUITE(LeftoverTest);

TEST_P(LeftoverTest, ScriptThatFailsInItsTransaction) {
  EXPECT_EQ(
      Script("BEGIN; INSERT INTO t VALUES ('script'); INSERT INTO nowhere VALUES (1); COMMIT"),
      DQC_E_SQL);
  ExpectNextWriteStays();
}

TEST_P(LeftoverTest, ScriptThatEndsInItsTransaction) {
  EXPECT_EQ(Script("BEGIN; INSERT INTO t VALUES ('script')"), DQC_OK);
  ExpectNextWriteStays();
}

TEST_P(LeftoverTest, ScriptGivenUpInItsTransaction) {
  std::string sql = "BEGIN;";
  for (int i = 0; i < 20'000; ++i) sql += "INSERT INTO t VALUES ('script');";
  EXPECT_EQ(Script((sql + "COMMIT").c_str(), 100), DQC_E_TIMEOUT);
  ExpectNextWriteStays();
}

TEST_P(LeftoverTest, SeveralStatementsInOneCall) {
  EXPECT_EQ(Exec("BEGIN; INSERT INTO t VALUES ('several')"), DQC_OK);
  ExpectNextWriteStays();
}

TEST_P(LeftoverTest, BeginThroughTheClient) {
  EXPECT_EQ(Exec("BEGIN IMMEDIATE"), DQC_OK);
  ExpectNextWriteStays();
}

TEST_P(LeftoverTest, PreparedBeginOnALease) {
  dqc_conn* conn = nullptr;
  dqc_stmt* stmt = nullptr;
  ASSERT_EQ(dqc_client_acquire(client_.get(), nullptr, &conn, nullptr), DQC_OK);
  ASSERT_EQ(dqc_conn_prepare(conn, "BEGIN IMMEDIATE", DQC_CSTR, nullptr, &stmt, nullptr), DQC_OK);
  EXPECT_EQ(dqc_stmt_exec(stmt, nullptr, 0, nullptr, nullptr, nullptr), DQC_OK);
  dqc_stmt_free(stmt);
  dqc_conn_free(conn);
  ExpectNextWriteStays();
}

}  // namespace
}  // namespace dqc::live
