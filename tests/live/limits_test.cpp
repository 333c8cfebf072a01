/* SPDX-License-Identifier: MIT */
// Results that exceed a limit of ours. On era D a stream that is not read to its end costs the node a
// descriptor and a snapshot, and one of RETURNING everybody the lock to write, until the node is restarted.
#include <filesystem>
#include <thread>

#include "live/client.hpp"

namespace dqc::live {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

struct Case {
  const char* options;
  std::string columns;
};

class LimitsTest : public SqlTest {
 protected:
  static const std::vector<Case>& Cases() {
    static const std::vector<Case> cases = {
        {"max_message=64KiB", "hex(zeroblob(200000))"},
        {"max_message=64KiB", "hex(zeroblob(2000000))"},
        {"max_columns=1", "x, hex(zeroblob(200000))"},
        {"max_column_name=16", "x AS a_name_longer_than_sixteen_bytes, hex(zeroblob(2000))"},
        {"max_rows=1", "x, hex(zeroblob(2000000))"},
        {"max_frames=2", "x, hex(zeroblob(2000000))"},
        {"max_result=3MiB", "x, hex(zeroblob(2000000))"},
    };
    return cases;
  }
  size_t Descriptors() {
    const auto fds = std::filesystem::directory_iterator(
        "/proc/" + std::to_string(OneNode().node(0).pid()) + "/fd");
    return static_cast<size_t>(std::distance(begin(fds), end(fds)));
  }
  bool DescriptorsFallTo(size_t wanted) {
    const auto end = steady_clock::now() + seconds(10);
    while (Descriptors() > wanted) {
      if (steady_clock::now() > end) return false;
      std::this_thread::sleep_for(milliseconds(20));
    }
    return true;
  }
};
DQC_LIVE_SUITE(LimitsTest);

TEST_P(LimitsTest, OfASelect) {
  ASSERT_TRUE(Open().Script("CREATE TABLE t(x); INSERT INTO t VALUES (1), (2), (3), (4)").ok());
  ASSERT_TRUE(DescriptorsFallTo(Descriptors()));
  std::this_thread::sleep_for(milliseconds(100));
  const size_t before = Descriptors();
  for (const Case& c : Cases()) {
    const std::string sql = "SELECT " + c.columns + " FROM t";
    SCOPED_TRACE(std::string(c.options) + ": " + sql);
    const Conn conn = Open(c.options);
    const Reply reply = conn.Query(sql);
    EXPECT_EQ(reply.status, DQC_E_LIMIT) << reply;
    EXPECT_EQ(reply.failure.outcome, DQC_OUTCOME_NOT_EXECUTED) << reply;
    if (era() != 'D') continue;  // the rest is worth a new connection
    EXPECT_EQ(conn.Query("SELECT 7").Text(), "I7");
  }
  EXPECT_TRUE(DescriptorsFallTo(before)) << "the node has more of them open";
}

TEST_P(LimitsTest, OfReturning) {
  if (!ReturningWorks()) {
    EXPECT_EQ(Open().Query("DELETE FROM sqlite_master RETURNING *").status, DQC_E_UNSUPPORTED);
    return;
  }
  ASSERT_TRUE(Open().Exec("CREATE TABLE t(x)").ok());
  int64_t rows_max = 0;
  for (const Case& c : Cases()) {
    const std::string sql = "INSERT INTO t VALUES (1), (2), (3), (4) RETURNING " + c.columns;
    SCOPED_TRACE(std::string(c.options) + ": " + sql);
    {
      const Conn conn = Open(c.options);
      const Reply reply = conn.Query(sql);
      EXPECT_EQ(reply.status, DQC_E_LIMIT) << reply;
      if (era() == 'D') {
        EXPECT_NE(reply.failure.outcome, DQC_OUTCOME_NOT_EXECUTED) << reply;
        EXPECT_EQ(conn.Query("SELECT 7").Text(), "I7");
      }
    }
    const Reply other = WriteThroughNewConnection(Dsn());
    ASSERT_TRUE(other.ok()) << other;
    rows_max += era() == 'D' ? 4 : 0;
    EXPECT_EQ(Open().Query("SELECT count(*) FROM t").Int(), rows_max);
  }
}

}  // namespace
}  // namespace dqc::live
