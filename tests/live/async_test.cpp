/* SPDX-License-Identifier: MIT */
// Pipelines, cancelling, timeouts and closing in the middle of things.
#include "live/client.hpp"

namespace dqc::live {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr const char* kLongStream =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400000) "
    "SELECT i, 'some text to make the rows larger' FROM n";
// About half a second without an answer.
constexpr const char* kSlow =
    "SELECT count(*) FROM (WITH RECURSIVE n(i) AS "
    "(SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000) SELECT i FROM n)";

class AsyncTest : public SqlTest {
 protected:
  std::unique_ptr<AsyncConn> OpenAsync(const std::string& options = "") {
    auto conn = std::make_unique<AsyncConn>(Dsn(options));
    EXPECT_EQ(conn->Connect(nullptr_pending()), DQC_OK);
    EXPECT_TRUE(conn->Finish(connected_));
    EXPECT_TRUE(connected_.reply.ok()) << connected_.reply;
    return conn;
  }
  // Usable if it is still ready; else closed with a reason, and a new one works.
  void ExpectUsableOrClosed(const AsyncConn& conn) {
    Pending after;
    const dqc_status accepted = conn.Query("SELECT 42", &after);
    if (accepted == DQC_OK) {
      ASSERT_TRUE(conn.Finish(after));
      EXPECT_TRUE(after.reply.Text() == "I42" || after.reply.status == DQC_E_NETWORK)
          << after.reply;
    } else {
      EXPECT_EQ(accepted, DQC_E_CLOSED);
    }
    EXPECT_EQ(Open().Query("SELECT 42").Text(), "I42");
  }
  Pending connected_;

 private:
  Pending* nullptr_pending() {
    connected_ = Pending();
    return &connected_;
  }
};
DQC_LIVE_SUITE(AsyncTest);

TEST_P(AsyncTest, AThousandInsertsWithAFailureInTheMiddle) {
  const auto conn = OpenAsync();
  ASSERT_TRUE(Open().Exec("CREATE TABLE t(x UNIQUE)").ok());
  std::vector<std::unique_ptr<Pending>> all;
  std::vector<int> order;
  const auto add = [&](const std::string& sql) {
    const int number = static_cast<int>(all.size());
    all.push_back(std::make_unique<Pending>());
    all.back()->on_event = [&order, number](const dqc_event& event) {
      if (event.type == DQC_EVENT_DONE) order.push_back(number);
    };
    EXPECT_EQ(conn->Exec(sql, all.back().get()), DQC_OK);
  };
  add("BEGIN IMMEDIATE");
  for (int i = 0; i < 1000; ++i)
    add("INSERT INTO t VALUES (" + std::to_string(i == 500 ? 499 : i) + ")");
  add("COMMIT");
  const Reply& refused = all.back()->reply;
  ASSERT_TRUE(conn->Finish(*all.back()));
  for (size_t i = 0; i < all.size(); ++i) {
    ASSERT_EQ(all[i]->done, 1);
    ASSERT_EQ(order[i], static_cast<int>(i));
    if (all[i] == all.back()) break;
    ASSERT_EQ(all[i]->reply.status, i == 501 ? DQC_E_CONSTRAINT : DQC_OK) << all[i]->reply;
  }
  EXPECT_EQ(refused.status, DQC_E_SQL) << refused;
  EXPECT_EQ(refused.failure.outcome, DQC_OUTCOME_NOT_EXECUTED);
  EXPECT_NE(refused.failure.message.find("UNIQUE constraint failed: t.x"), std::string::npos)
      << refused;
  EXPECT_EQ(Open().Query("SELECT count(*) FROM t").Text(), "I0");
  add("COMMIT");  // by who knows of the failure
  ASSERT_TRUE(conn->Finish(*all.back()));
  EXPECT_TRUE(all.back()->reply.ok()) << all.back()->reply;
  EXPECT_EQ(Open().Query("SELECT count(*) FROM t").Text(), "I999");
}

TEST_P(AsyncTest, MixedPipeline) {
  const auto conn = OpenAsync();
  ASSERT_TRUE(Open().Exec("CREATE TABLE t(x)").ok());
  std::vector<std::unique_ptr<Pending>> all;
  for (int i = 0; i < 300; ++i) {
    all.push_back(std::make_unique<Pending>());
    Pending* p = all.back().get();
    const std::string number = std::to_string(i);
    switch (i % 6) {
      case 0:
        ASSERT_EQ(conn->Exec("INSERT INTO t VALUES (" + number + ")", p), DQC_OK);
        break;
      case 1:
        ASSERT_EQ(conn->Query("SELECT " + number, p), DQC_OK);
        break;
      case 2:
        ASSERT_EQ(conn->Query("SELECT abs(-9223372036854775808)", p), DQC_OK);
        break;
      case 3:
        ASSERT_EQ(conn->Prepare("SELECT ?", p), DQC_OK);
        break;
      case 4:
        ASSERT_EQ(conn->Script("SELECT 1; SELECT " + number, p), DQC_OK);
        break;
      default:
        ASSERT_EQ(conn->Query("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
                              "WHERE i < 1000) SELECT i FROM n",
                              p),
                  DQC_OK);
    }
  }
  ASSERT_TRUE(conn->Finish(*all.back()));
  for (int i = 0; i < 300; ++i) {
    const Reply& reply = all[static_cast<size_t>(i)]->reply;
    ASSERT_EQ(reply.status, i % 6 == 2 ? DQC_E_SQL : DQC_OK) << i << ": " << reply;
    if (i % 6 == 1) {
      ASSERT_EQ(reply.Int(), i);
    }
    if (i % 6 == 5) {
      ASSERT_EQ(reply.rows.size(), 1000u);
    }
  }
}

TEST_P(AsyncTest, CancelInMidStream) {
  const auto conn = OpenAsync();
  Pending query;
  query.keep_rows = false;
  ASSERT_EQ(conn->Query(kLongStream, &query), DQC_OK);
  ASSERT_TRUE(conn->RunUntil([&] { return query.batches > 0; }));
  const auto start = steady_clock::now();
  conn->Cancel(query);
  ASSERT_TRUE(conn->Finish(query));
  EXPECT_LT(steady_clock::now() - start, milliseconds(1000)) << "cancel is prompt";
  EXPECT_EQ(query.reply.status, DQC_E_CANCELLED) << query.reply;
  EXPECT_EQ(query.reply.failure.outcome, DQC_OUTCOME_NOT_EXECUTED);
  EXPECT_LT(query.row_count, 400'000u);
  ExpectUsableOrClosed(*conn);
}

TEST_P(AsyncTest, CancelAtEveryStage) {
  ASSERT_TRUE(Open().Exec("CREATE TABLE t(x)").ok());
  auto conn = OpenAsync();
  for (int i = 0; i < 60; ++i) {
    Pending read, write, returning, script;
    const char* rows =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE "
        "i < 3000) SELECT i FROM n";
    if (conn->Query(rows, &read) != DQC_OK) {
      conn = OpenAsync();
      continue;
    }
    ASSERT_EQ(conn->Exec("INSERT INTO t VALUES (1)", &write), DQC_OK);
    ASSERT_EQ(conn->Query("INSERT INTO t VALUES (2) RETURNING x", &returning), DQC_OK);
    ASSERT_EQ(conn->Script("SELECT 1; INSERT INTO t VALUES (3); SELECT 2", &script), DQC_OK);
    for (int turn = 0; turn < i % 12; ++turn)
      (void)dqc_loop_run(conn->loop(), DQC_RUN_NOWAIT, nullptr);
    if (i % 2 == 0) conn->Cancel(read);
    conn->Cancel(i % 3 == 0 ? write : i % 3 == 1 ? returning : script);
    ASSERT_TRUE(conn->RunUntil(
        [&] { return read.done > 0 && write.done > 0 && returning.done > 0 && script.done > 0; }));
    for (const Pending* p : {&read, &write, &returning, &script}) {
      const Reply& reply = p->reply;
      EXPECT_TRUE(reply.ok() || reply.status == DQC_E_CANCELLED ||
                  (reply.status == DQC_E_UNSUPPORTED && p == &returning))
          << i << ": " << reply;
    }
  }
  ExpectUsableOrClosed(*conn);
}

TEST_P(AsyncTest, TimeoutOfASlowStatement) {
  const auto conn = OpenAsync("drain_timeout=20s");
  Pending slow, behind;
  ASSERT_EQ(conn->Query(kSlow, &slow, {}, 30), DQC_OK);
  ASSERT_EQ(conn->Query("SELECT 1", &behind), DQC_OK);
  ASSERT_TRUE(conn->Finish(slow));
  EXPECT_EQ(slow.reply.status, DQC_E_TIMEOUT) << slow.reply;
  EXPECT_EQ(slow.reply.failure.outcome, DQC_OUTCOME_NOT_EXECUTED);
  ASSERT_TRUE(conn->Finish(behind));
  EXPECT_EQ(behind.reply.Text(), "I1") << behind.reply;
}

TEST_P(AsyncTest, TimeoutBeforeAnythingIsSent) {
  const auto conn = OpenAsync("drain_timeout=20s");
  Pending slow, write;
  ASSERT_TRUE(Open().Exec("CREATE TABLE t(x)").ok());
  ASSERT_EQ(conn->Query(kSlow, &slow), DQC_OK);
  ASSERT_EQ(conn->Exec("INSERT INTO t VALUES (1)", &write, {}, 20), DQC_OK);
  ASSERT_TRUE(conn->Finish(write));
  EXPECT_EQ(write.reply.status, DQC_E_TIMEOUT);
  ASSERT_TRUE(conn->Finish(slow));
  EXPECT_TRUE(slow.reply.ok()) << slow.reply;
  const Reply count = Open().Query("SELECT count(*) FROM t");
  if (write.reply.failure.outcome == DQC_OUTCOME_NOT_EXECUTED) {
    EXPECT_EQ(count.Text(), "I0");
  }
}

TEST_P(AsyncTest, CloseInMidStream) {
  const auto conn = OpenAsync();
  Pending query;
  query.keep_rows = false;
  ASSERT_EQ(conn->Query(kLongStream, &query), DQC_OK);
  ASSERT_TRUE(conn->RunUntil([&] { return query.batches > 0; }));
  conn->Close();
  ASSERT_TRUE(conn->Finish(query));
  EXPECT_EQ(query.reply.status, DQC_E_CLOSED) << query.reply;
  EXPECT_EQ(dqc_conn_state(conn->get()), DQC_STATE_CLOSED);
  EXPECT_EQ(Open().Query("SELECT 1").Text(), "I1");
}

TEST_P(AsyncTest, FreeInMidStream) {
  for (int i = 0; i < 4; ++i) {
    const auto conn = OpenAsync();
    Pending query, write;
    query.keep_rows = false;
    ASSERT_EQ(conn->Query(kLongStream, &query), DQC_OK);
    ASSERT_EQ(conn->Exec("CREATE TABLE IF NOT EXISTS t(x)", &write), DQC_OK);
    ASSERT_TRUE(conn->RunUntil([&] { return i % 2 != 0 || query.batches > 0; }));
    conn->FreeConn();
    ASSERT_TRUE(conn->RunUntil([&] { return query.done > 0 && write.done > 0; }));
    EXPECT_EQ(query.reply.status, DQC_E_CLOSED) << query.reply;
    EXPECT_EQ(write.reply.status, DQC_E_CLOSED) << write.reply;
  }
}

TEST_P(AsyncTest, PausedStream) {
  const auto conn = OpenAsync();
  Pending query, behind;
  query.keep_rows = false;
  query.on_event = [&](const dqc_event& event) {
    if (event.type == DQC_EVENT_ROWS && query.batches == 0) {
      EXPECT_EQ(dqc_conn_pause(conn->get(), event.op, 1), DQC_OK);
    }
  };
  ASSERT_EQ(conn->Query(kLongStream, &query), DQC_OK);
  ASSERT_EQ(conn->Query("SELECT 1", &behind), DQC_OK);
  ASSERT_TRUE(conn->RunUntil([&] { return query.batches > 0; }));
  const auto end = steady_clock::now() + milliseconds(200);
  ASSERT_TRUE(conn->RunUntil([&] { return steady_clock::now() > end; }));
  EXPECT_EQ(query.done, 0);
  EXPECT_LT(query.row_count, 400'000u);
  EXPECT_EQ(dqc_conn_pause(conn->get(), query.op, 0), DQC_OK);
  ASSERT_TRUE(conn->Finish(behind));
  EXPECT_EQ(query.row_count, 400'000u);
  EXPECT_TRUE(query.reply.ok()) << query.reply;
}

TEST_P(AsyncTest, LargeRequestsAndLargeResultsDoNotBlockEachOther) {
  const auto conn = OpenAsync("pipeline_bytes=64MiB");
  std::vector<std::unique_ptr<Pending>> all;
  const std::string text(100'000, 'x');
  for (int i = 0; i < 200; ++i) {  // 20 MB each way; blind writers block at 6
    all.push_back(std::make_unique<Pending>());
    all.back()->keep_rows = false;
    ASSERT_EQ(conn->Query("SELECT ?", all.back().get(), {Arg(text)}), DQC_OK);
  }
  ASSERT_TRUE(conn->Finish(*all.back()));
  for (const auto& p : all) ASSERT_TRUE(p->reply.ok()) << p->reply;
}

}  // namespace
}  // namespace dqc::live
