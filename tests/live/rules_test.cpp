/* SPDX-License-Identifier: MIT */
// Rules of protocol 15 that have no better place. The others: 1 ParamsTest.More, 2 DatabaseNames,
// FinalizeInEveryOrder, TextWithNulInside, 3 ReturningTest, 4 InTheMiddleOfAResult, 5
// LongColumnNames, 6 LargeRequestsAndLargeResults…, StreamAtATransfer, 9 WriteWithoutAQuorum, 10
// WriteWhileATransferIsPending, 11 TrailingBlanksAndComments, 12 DeclaredTypesTest, 13
// WrongNumberIsRefusedHere. 14 and 15 are nothing a server can show.
#include <filesystem>
#include <thread>

#include "live/client.hpp"

namespace dqc::live {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

class RulesTest : public SqlTest {
 protected:
  // Descriptors of the node.
  size_t Descriptors() {
    const auto fds = std::filesystem::directory_iterator(
        "/proc/" + std::to_string(OneNode().node(0).pid()) + "/fd");
    return static_cast<size_t>(std::distance(begin(fds), end(fds)));
  }
  // They fall to `wanted` in time.
  bool DescriptorsFallTo(size_t wanted) {
    const auto end = steady_clock::now() + seconds(10);
    while (Descriptors() > wanted) {
      if (steady_clock::now() > end) return false;
      std::this_thread::sleep_for(milliseconds(20));
    }
    return true;
  }
  static std::string Numbers(int64_t count) {
    return "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " +
           std::to_string(count) + ") ";
  }
  // Reads three rows, then gives the cursor up, and with it perhaps the connection.
  static void ReadAFew(const Conn& conn, const std::string& sql) {
    dqc_rows* rows = nullptr;
    dqc_error* error = nullptr;
    const dqc_status status =
        dqc_conn_query(conn.get(), sql.data(), sql.size(), nullptr, 0, nullptr, &rows, &error);
    EXPECT_EQ(status, DQC_OK) << dqc_error_message(error);
    dqc_error_free(error);
    for (int i = 0; i < 3 && status == DQC_OK; ++i)
      EXPECT_EQ(dqc_rows_step(rows, nullptr), DQC_ROW);
    dqc_rows_free(rows);
  }
};
DQC_LIVE_SUITE(RulesTest);

// Rule 7. On era D what is not drained costs the server a descriptor and a snapshot for good.
TEST_P(RulesTest, StreamsGivenUpLeakNothing) {
  ASSERT_TRUE(WriteThroughNewConnection(Dsn()).ok());
  ASSERT_TRUE(DescriptorsFallTo(Descriptors()));
  std::this_thread::sleep_for(milliseconds(100));
  const size_t before = Descriptors();
  for (int i = 0; i < 6; ++i) {
    const Conn conn = Open();
    ReadAFew(conn, Numbers(200'000) + "SELECT i, 'some text to make it longer' FROM n");
    EXPECT_TRUE(i % 3 != 0 || conn.Close().ok());
    EXPECT_TRUE(i % 3 != 1 || conn.Query("SELECT 1").status != DQC_E_PROTOCOL);
  }
  EXPECT_TRUE(DescriptorsFallTo(before)) << Descriptors() << " descriptors, before " << before;
}

// The same with RETURNING: there the database would stay locked.
TEST_P(RulesTest, ReturningGivenUpLocksNobodyOut) {
  if (!ReturningWorks()) GTEST_SKIP() << "no RETURNING on this era";
  ASSERT_TRUE(Open().Exec("CREATE TABLE t(x)").ok());
  for (int i = 0; i < 4; ++i) {
    {
      const Conn conn = Open();
      ReadAFew(conn, Numbers(100'000) + "INSERT INTO t SELECT i FROM n RETURNING x, 'a long text'");
      EXPECT_TRUE(i % 2 != 0 || conn.Close().ok());
    }
    const Reply reply = WriteThroughNewConnection(Dsn());
    ASSERT_TRUE(reply.ok()) << "round " << i << ": " << reply;
    const int64_t rows = Open().Query("SELECT count(*) FROM t").Int();
    EXPECT_EQ(rows % 100'000, 0) << "all of a statement, or nothing";
  }
}

// Nobody runs the loop of a connection whose blocking call ran out of time: it must not hold the lock.
TEST_P(RulesTest, ReturningOutOfTimeLocksNobodyOut) {
  if (!ReturningWorks()) GTEST_SKIP() << "no RETURNING on this era";
  const Conn conn = Open();
  ASSERT_TRUE(conn.Exec("CREATE TABLE t(x)").ok());
  const Reply late =
      conn.Query(Numbers(3'000'000) + "INSERT INTO t SELECT count(*) FROM n RETURNING x", {}, 200);
  ASSERT_EQ(late.status, DQC_E_TIMEOUT) << late;
  ASSERT_EQ(late.failure.outcome,
            ExpectedEra() == 'D' ? DQC_OUTCOME_MAYBE_EXECUTED : DQC_OUTCOME_NOT_EXECUTED);
  const Reply reply = WriteThroughNewConnection(Dsn());
  EXPECT_TRUE(reply.ok()) << reply;
}

// An older SQLite ends a hexadecimal number at the first byte that is no digit; a later one refuses this.
TEST_P(RulesTest, ReturningBehindAHexadecimalNumber) {
  const Conn conn = Open();
  ASSERT_TRUE(conn.Exec("CREATE TABLE t(id INTEGER PRIMARY KEY, x)").ok());
  ASSERT_TRUE(conn.Exec("INSERT INTO t(x) VALUES (1)").ok());
  for (const char* sql : {"DELETE FROM t WHERE id=0x1RETURNING id",
                          "DELETE FROM t WHERE id=0x1\xef\xbb\xbfRETURNING id"}) {
    for (const Reply& reply : {conn.Exec(sql), conn.Query(sql), conn.Script(sql)}) {
      EXPECT_TRUE(reply.ok() || reply.status == DQC_E_SQL || reply.status == DQC_E_UNSUPPORTED)
          << reply;
    }
    EXPECT_TRUE(conn.Exec("INSERT INTO t(x) VALUES (1)").ok());
    const Reply other = WriteThroughNewConnection(Dsn());
    EXPECT_TRUE(other.ok()) << other;
  }
}

// Rule 8. A transaction survives "checkpoint in progress", COMMIT too.
TEST_P(RulesTest, CheckpointInProgressLeavesTheTransaction) {
  const Conn conn = Open();
  ASSERT_TRUE(conn.Exec("CREATE TABLE t(x)").ok());
  const auto again = [&](const std::string& sql) {
    const auto end = steady_clock::now() + seconds(10);
    for (;;) {
      Reply reply = conn.Exec(sql);
      if (reply.status != DQC_E_BUSY || steady_clock::now() > end) return reply;
      EXPECT_EQ(reply.failure.server_text, "checkpoint in progress") << reply;
      EXPECT_EQ(reply.failure.outcome, DQC_OUTCOME_NOT_EXECUTED);
      EXPECT_EQ(reply.failure.retry, DQC_RETRY_SAFE);
      EXPECT_EQ(ExpectedEra(), 'D');
      std::this_thread::sleep_for(milliseconds(1));
    }
  };
  for (int i = 0; i < 150; ++i) {
    for (const char* sql : {"BEGIN IMMEDIATE", "INSERT INTO t VALUES (zeroblob(60000))",
                            "INSERT INTO t VALUES (1)", "COMMIT"}) {
      const Reply reply = again(sql);
      ASSERT_TRUE(reply.ok()) << i << ", " << sql << ": " << reply;
    }
  }
  EXPECT_EQ(again("SELECT 1").status, DQC_OK);
  EXPECT_EQ(Open().Query("SELECT count(*) FROM t").Text(), "I300");
}

}  // namespace
}  // namespace dqc::live
