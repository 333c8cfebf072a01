/* SPDX-License-Identifier: MIT */
// Coroutines against a real node.
#include <dqclient/coro.hpp>

#include "cpp/live_test.hpp"

namespace {

namespace coro = dqc::coro;
using dqc::task;

class LiveCoro : public FacadeLiveTest {
 protected:
  dqc::loop loop_ = dqc::loop::driven().value();
};

DQC_LIVE_SUITE(LiveCoro);

TEST_P(LiveCoro, ReadsAndWrites) {
  auto work = [this]() -> task<> {
    auto conn = co_await coro::connect(loop_, dsn_);
    auto done = co_await conn.exec(Sql("INSERT INTO $ (id, name) VALUES (?, ?), (2, 'b')"), 1, "a");
    EXPECT_EQ(done.rows_affected(), 2u);
    auto rows = co_await conn.query(Sql("SELECT id, name FROM $ WHERE id > ? ORDER BY id"), 0);
    std::string text;
    for (auto [id, name] : rows.as<int64_t, std::string_view>()) {
      text += std::to_string(id) + std::string(name);
    }
    EXPECT_EQ(text, "1a2b");
    coro::statement select = co_await conn.prepare(Sql("SELECT name FROM $ WHERE id = ?"));
    EXPECT_EQ((co_await select.query(2)).scalar<std::string>().value(), "b");
    auto failed = co_await conn.exec(Sql("INSERT INTO $ (id) VALUES (1)")).as_result();
    EXPECT_EQ(failed.error().code(), DQC_E_CONSTRAINT);
    EXPECT_EQ((co_await conn.script(Sql("DELETE FROM $; DELETE FROM $"))).statements(), 2u);
    EXPECT_FALSE((co_await conn.cluster()).empty());
    co_await conn.close();
  };
  dqc::run(loop_, work());
}

TEST_P(LiveCoro, PipelinedOperations) {
  auto work = [this]() -> task<int64_t> {
    auto conn = co_await coro::connect(loop_, dsn_);
    std::vector<coro::operation<dqc::exec_result>> inserts;
    for (int i = 0; i < 50; ++i)
      inserts.push_back(conn.exec(Sql("INSERT INTO $ (id) VALUES (?)"), i));
    for (auto& insert : inserts) co_await std::move(insert);
    co_return (co_await conn.query(Sql("SELECT count(*) FROM $"))).scalar<int64_t>().value();
  };
  EXPECT_EQ(dqc::run(loop_, work()), 50);
}

TEST_P(LiveCoro, TwoConnectionsAtOnce) {
  Fill(500);
  auto count = [this](coro::connection conn, int above) -> task<int64_t> {
    auto rows = co_await conn.query(Sql("SELECT count(*) FROM $ WHERE id > ?"), above);
    co_return rows.scalar<int64_t>().value();
  };
  auto work = [&]() -> task<> {
    auto [a, b] = co_await dqc::when_all(coro::connect(loop_, dsn_), coro::connect(loop_, dsn_));
    auto [x, y] = co_await dqc::when_all(count(a, 100), count(b, 200));
    EXPECT_EQ(x, 400);
    EXPECT_EQ(y, 300);
  };
  dqc::run(loop_, work());
}

TEST_P(LiveCoro, StreamsWithBackPressure) {
  Fill(20000);
  auto work = [this]() -> task<int64_t> {
    auto conn = co_await coro::connect(loop_, dsn_);
    auto other = co_await coro::connect(loop_, dsn_);
    coro::cursor rows = conn.stream(Sql("SELECT id, name FROM $"));
    int64_t sum = 0;
    while (std::optional<dqc::batch> batch = co_await rows.next()) {
      for (dqc::row_view row : *batch) sum += row.get<int64_t>(0).value();
      co_await other.query("SELECT 1");  // slower than the stream
    }
    co_return sum;
  };
  EXPECT_EQ(dqc::run(loop_, work()), 20000LL * 20001 / 2);
}

TEST_P(LiveCoro, AStreamDroppedInTheMiddleLeavesTheConnectionUsable) {
  Fill(20000);
  auto work = [this]() -> task<> {
    auto conn = co_await coro::connect(loop_, dsn_);
    {
      coro::cursor rows = conn.stream(Sql("SELECT id, name FROM $"));
      EXPECT_TRUE((co_await rows.next()).has_value());
    }
    EXPECT_EQ((co_await conn.query("SELECT 5")).scalar<int>().value(), 5);
    { auto dropped = conn.query(Sql("SELECT id, name FROM $")); }
    EXPECT_EQ((co_await conn.query("SELECT 6")).scalar<int>().value(), 6);
    co_await conn.close();
  };
  dqc::run(loop_, work());
  loop_.run().value();
}

TEST_P(LiveCoro, ADestroyedTaskLeavesNothingBehind) {
  Fill(20000);
  auto conn = dqc::run(loop_, [](dqc::loop& l, std::string dsn) -> task<coro::connection> {
    co_return co_await coro::connect(l, dsn);
  }(loop_, dsn_));
  {
    auto endless = [](coro::connection c, std::string sql) -> task<> {
      for (;;) co_await c.query(sql);
    };
    dqc::detail::countdown left(1);
    auto root = dqc::detail::make_child(endless(conn, Sql("SELECT id, name FROM $")));
    root.start(left);
    for (int i = 0; i < 10; ++i) loop_.run(dqc::run_mode::once).value();
  }
  auto after = [](coro::connection c) -> task<int> {
    co_return (co_await c.query("SELECT 7")).scalar<int>().value();
  };
  EXPECT_EQ(dqc::run(loop_, after(conn)), 7);
}

TEST_P(LiveCoro, OnAThreadedLoop) {
  dqc::loop loop = dqc::loop::threaded().value();
  dqc::queue queue = dqc::queue::create().value();
  auto work = [&]() -> task<int> {
    auto conn = co_await coro::connect(loop, queue, dsn_);
    int n = 0;
    for (int i = 0; i < 100; ++i) n += (co_await conn.query("SELECT ?", i)).scalar<int>().value();
    co_await conn.close();
    co_return n;
  };
  EXPECT_EQ(dqc::run(queue, work()), 4950);
}

}  // namespace
