/* SPDX-License-Identifier: MIT */
// Results of every size and shape.
#include <algorithm>
#include <fstream>
#include <thread>

#include "live/client.hpp"

namespace dqc::live {
namespace {

std::string Numbers(int64_t count) {
  return "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " +
         std::to_string(count) + ") ";
}

#ifdef __SANITIZE_ADDRESS__
constexpr size_t kSlackKib = 400 * 1024;  // it keeps freed memory for a while
#else
constexpr size_t kSlackKib = 16 * 1024;
#endif

// VmRSS of this process in KiB.
size_t MemoryKib() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word == "VmRSS:") {
      size_t kib = 0;
      status >> kib;
      return kib;
    }
  }
  return 0;
}

class ResultsTest : public SqlTest {};
DQC_LIVE_SUITE(ResultsTest);

TEST_P(ResultsTest, NoRows) {
  const Conn conn = Open();
  const Reply reply = conn.Query("SELECT 1 AS x, 2 AS x, 3 AS \"\" WHERE 0");
  ASSERT_TRUE(reply.ok()) << reply;
  EXPECT_TRUE(reply.rows.empty());
  EXPECT_EQ(reply.columns, (std::vector<std::string>{"x", "x", ""}));
}

TEST_P(ResultsTest, Columns) {
  const Conn conn = Open();
  for (const int count : {1, 2, 15, 16, 17, 32, 33, 300, 500}) {
    std::string sql = "SELECT 1";
    std::string expected = "I1";
    for (int i = 2; i <= count; ++i) {
      sql += i % 3 == 0 ? ",NULL" : i % 3 == 1 ? ",'x'" : "," + std::to_string(i);
      expected += i % 3 == 0 ? "|N" : i % 3 == 1 ? "|Tx" : "|I" + std::to_string(i);
    }
    const Reply reply = conn.Query(sql);
    EXPECT_EQ(reply.columns.size(), static_cast<size_t>(count));
    EXPECT_EQ(reply.Text(), expected) << count << " columns";
  }
}

// Every server writes the head of a row behind the end of its buffer when that head would cross the
// first page of a connection that has sent no large answer yet: its heap is destroyed. Here the
// heads are 24 and 128 bytes; each connection is a new one.
TEST_P(ResultsTest, HeadOfARowAtTheEndOfAPage) {
  for (const size_t columns : {33u, 64u, 253u}) {
    for (size_t offset = 4072; offset <= 4088; offset += 8) {
      const size_t last = offset - 16 - 8 * (columns - 1);
      std::string sql = "SELECT ";
      for (size_t i = 1; i < columns; ++i) sql += "1 AS c,";
      sql += "1 AS " + std::string(last - 1, 'n');
      const Conn conn = Open();
      const Reply reply = conn.Query(sql);
      ASSERT_TRUE(reply.ok()) << columns << " columns, offset " << offset << ": " << reply;
      const Conn prepared = Open();
      ASSERT_TRUE(prepared.Prepare(sql).Query().ok());
      const Conn script = Open();
      ASSERT_TRUE(script.Script(sql).ok());
    }
  }
}

TEST_P(ResultsTest, SizesAroundTheServersPage) {
  const Conn conn = Open();
  for (const int64_t rows : {1, 253, 254, 255, 256, 509, 510, 511}) {
    const Reply reply = conn.Query(Numbers(rows) + "SELECT i FROM n");
    ASSERT_EQ(reply.rows.size(), static_cast<size_t>(rows)) << reply;
    EXPECT_EQ(reply.rows.back()[0], "I" + std::to_string(rows));
  }
  for (int64_t size = 3980; size < 4120; size += 4) {
    EXPECT_EQ(conn.Query("SELECT zeroblob(?1), ?1", {size}).rows[0][1], "I" + std::to_string(size));
  }
}

TEST_P(ResultsTest, AMillionRowsInBoundedMemory) {
  AsyncConn conn(Dsn("timeout=40s"));
  Pending connected, query;
  ASSERT_EQ(conn.Connect(&connected), DQC_OK);
  ASSERT_TRUE(conn.Finish(connected));
  const size_t before = MemoryKib();
  size_t most = 0;
  int64_t sum = 0;
  query.keep_rows = false;
  query.on_event = [&](const dqc_event& event) {
    if (event.type != DQC_EVENT_ROWS) return;
    const dqc_cell* cells = dqc_batch_cells(event.batch);
    const size_t rows = dqc_batch_row_count(event.batch);
    for (size_t i = 0; i < rows; ++i) sum += cells[2 * i].as.integer;
    most = std::max(most, MemoryKib());
  };
  ASSERT_EQ(conn.Query(Numbers(1'000'000) + "SELECT i, 'text' FROM n", &query), DQC_OK);
  ASSERT_TRUE(conn.Finish(query));
  ASSERT_TRUE(query.reply.ok()) << query.reply;
  EXPECT_EQ(query.row_count, 1'000'000u);
  EXPECT_EQ(sum, int64_t{500'000'500'000});
  EXPECT_LT(most, before + kSlackKib) << "KiB of memory";
}

TEST_P(ResultsTest, ASlowReaderHoldsTheServerBack) {
  const Conn conn = Open("high_water=64KiB");
  const size_t before = MemoryKib();
  dqc_rows* rows = nullptr;
  const std::string sql = Numbers(300'000) + "SELECT i, 'some text to make it larger' FROM n";
  ASSERT_EQ(dqc_conn_query(conn.get(), sql.data(), sql.size(), nullptr, 0, nullptr, &rows, nullptr),
            DQC_OK);
  const Handle<dqc_rows> owned(rows);
  int64_t count = 0;
  while (dqc_rows_step(rows, nullptr) == DQC_ROW) {
    ASSERT_EQ(dqc_rows_int64(rows, 0), ++count);
    if (count == 1000) std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  EXPECT_EQ(count, 300'000);
  EXPECT_LT(MemoryKib(), before + 8 * 1024);
}

TEST_P(ResultsTest, ARowOf20Megabytes) {
  const Conn conn = Open();
  constexpr size_t kSize = 20'000'000;
  dqc_rows* rows = nullptr;
  const std::string sql = "SELECT zeroblob(20000000) AS b, 7";
  ASSERT_EQ(dqc_conn_query(conn.get(), sql.data(), sql.size(), nullptr, 0, nullptr, &rows, nullptr),
            DQC_OK);
  const Handle<dqc_rows> owned(rows);
  ASSERT_EQ(dqc_rows_step(rows, nullptr), DQC_ROW);
  size_t size = 0;
  EXPECT_NE(dqc_rows_text(rows, 0, &size), nullptr);
  EXPECT_EQ(size, kSize);
  EXPECT_EQ(dqc_rows_int64(rows, 1), 7);
  EXPECT_EQ(dqc_rows_step(rows, nullptr), DQC_END);
  // And there: as a parameter.
  EXPECT_EQ(conn.Query("SELECT length(?)", {Arg::Blob(std::string(kSize, 'x'))}).Int(),
            static_cast<int64_t>(kSize));
  const Conn small = Open("max_message=1MiB");
  const Reply limited = small.Query(sql);
  EXPECT_EQ(limited.status, DQC_E_LIMIT) << limited;
  // The rest is more than "drain_bytes", but not more than "drain_bytes_era_d".
  EXPECT_EQ(small.Query("SELECT 5").Text(), era() == 'D' ? "I5" : "!-22");
}

// Names of a page or more make servers send parts without rows for ever.
TEST_P(ResultsTest, LongColumnNames) {
  Conn conn = Open();
  EXPECT_EQ(conn.Query("SELECT 1 AS " + std::string(3900, 'n')).Text(), "I1");
  const Reply reply = conn.Query("SELECT 1 AS " + std::string(5000, 'n'));
  EXPECT_EQ(reply.status, DQC_E_PROTOCOL) << reply;
  EXPECT_NE(reply.failure.message.find("AS"), std::string::npos) << reply;
  EXPECT_NE(reply.failure.message.find("column names"), std::string::npos) << reply;
  EXPECT_EQ(conn.state(), DQC_STATE_CLOSED);
  EXPECT_EQ(conn.Query("SELECT 1").status, DQC_E_CLOSED);
  EXPECT_EQ(Open().Query("SELECT 1").Text(), "I1");
}

TEST_P(ResultsTest, CursorsReadHalf) {
  const Conn conn = Open();
  const std::string sql = Numbers(20'000) + "SELECT i, 'text text text' FROM n";
  std::vector<Handle<dqc_rows>> open;
  for (int i = 0; i < 4; ++i) {
    dqc_rows* rows = nullptr;
    ASSERT_EQ(
        dqc_conn_query(conn.get(), sql.data(), sql.size(), nullptr, 0, nullptr, &rows, nullptr),
        DQC_OK);
    open.emplace_back(rows);
    for (int64_t r = 1; r <= 500; ++r) {
      ASSERT_EQ(dqc_rows_step(rows, nullptr), DQC_ROW);
      ASSERT_EQ(dqc_rows_int64(rows, 0), r);
    }
    EXPECT_EQ(conn.Query("SELECT 5").Text(), "I5") << "other calls go ahead of an open cursor";
  }
  open.erase(open.begin() + 1);
  for (const auto& rows : open) {
    int64_t r = 500;
    while (dqc_rows_step(rows.get(), nullptr) == DQC_ROW) {
      ASSERT_EQ(dqc_rows_int64(rows.get(), 0), ++r);
    }
    EXPECT_EQ(r, 20'000);
  }
}

TEST_P(ResultsTest, LimitsOfAResult) {
  const Conn conn = Open("max_rows=1000&max_columns=10&max_column_name=100");
  EXPECT_EQ(conn.Query(Numbers(1000) + "SELECT i FROM n").rows.size(), 1000u);
  const Reply rows = conn.Query(Numbers(5000) + "SELECT i FROM n");
  EXPECT_EQ(rows.status, DQC_E_LIMIT) << rows;
  EXPECT_EQ(conn.Query("SELECT 1").Text(), "I1") << "the rest was drained";
  const Reply columns = conn.Query("SELECT 1,2,3,4,5,6,7,8,9,10,11");
  EXPECT_EQ(columns.status, DQC_E_LIMIT) << columns;
}

}  // namespace
}  // namespace dqc::live
