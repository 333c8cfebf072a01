/* SPDX-License-Identifier: MIT */
// Coroutines above a stand-in for the library: results, order, cancellation, back-pressure, ownership.
#include <gtest/gtest.h>
#include <dqclient/coro.hpp>

#include <stdexcept>

#include "cpp/fake_library.hpp"

namespace {

namespace coro = dqc::coro;
using dqc::task;

constexpr const char* kDsn = "dqlite://h:1/app";

class Coro : public testing::Test {
 protected:
  void SetUp() override {
    fake::count().pauses = fake::count().resumes = fake::count().cancels = 0;
  }
  ~Coro() override {
    loop_ = dqc::loop(dqc::unique_handle<dqc_loop>());
    EXPECT_EQ(fake::count().all(), 0) << "something was not given back";
  }
  coro::connection Connect() {
    return dqc::run(loop_, [](dqc::loop& l) -> task<coro::connection> {
      co_return co_await coro::connect(l, kDsn);
    }(loop_));
  }
  void RunAll() {
    while (fake::count().operations > 0) loop_.run().value();
  }
  dqc::loop loop_ = dqc::loop::driven().value();
};

task<int64_t> Sum(coro::connection conn) {
  auto rows = co_await conn.query("rows 3 2", 42);
  int64_t sum = 0;
  for (auto [id, name] : rows.as<int64_t, std::string_view>()) sum += id;
  for (auto [id, name] : (co_await conn.query("rows 1 1")).as<int64_t, std::string>()) sum += id;
  co_return sum;
}

TEST_F(Coro, QueriesReadLikeBlockingOnes) {
  EXPECT_EQ(dqc::run(loop_, Sum(Connect())), 22);
  EXPECT_EQ(fake::last_args(), "");
}

task<> EveryVerb(coro::connection conn) {
  const dqc::exec_result done = co_await conn.exec("x", 1, "a");
  EXPECT_EQ(done.rows_affected(), 1u);
  coro::statement statement = co_await conn.prepare("x");
  EXPECT_EQ(statement.param_count(), 1u);
  statement.base().bind(1, 5).value();
  EXPECT_EQ(fake::last_args(), "i5");
  auto r = co_await conn.with(dqc::options().idempotent()).exec("fail").as_result();
  EXPECT_EQ(r.error().code(), DQC_E_CONSTRAINT);
  co_await conn.close();
}

TEST_F(Coro, EveryVerb) { dqc::run(loop_, EveryVerb(Connect())); }

task<int> Failing(coro::connection conn, const char* sql) {
  co_await conn.exec(sql);
  ADD_FAILURE() << "not reached";
  co_return 1;
}

TEST_F(Coro, FailuresAreThrownThroughTasks) {
  coro::connection conn = Connect();
  auto outer = [](coro::connection c, const char* sql) -> task<dqc_status> {
    try {
      co_await Failing(c, sql);
    } catch (const dqc::exception& e) {
      co_return e.error().code();
    }
    co_return DQC_OK;
  };
  EXPECT_EQ(dqc::run(loop_, outer(conn, "fail")), DQC_E_CONSTRAINT);
  EXPECT_EQ(dqc::run(loop_, outer(conn, "refuse")), DQC_E_PARAMS);
  EXPECT_THROW(dqc::run(loop_, Failing(conn, "fail")), dqc::exception);
  auto too_large = [](coro::connection c) -> task<> { co_await c.exec("x", UINT64_MAX); };
  EXPECT_THROW(dqc::run(loop_, too_large(conn)), dqc::exception);
  auto bad_dsn = [](dqc::loop& l) -> task<> { co_await coro::connect(l, "nonsense"); };
  EXPECT_THROW(dqc::run(loop_, bad_dsn(loop_)), dqc::exception);
}

TEST_F(Coro, OperationsAreSubmittedAtOnce) {
  auto work = [](coro::connection c) -> task<> {
    auto a = c.exec("x");
    auto b = c.query("rows 1 3");
    auto f = c.exec("fail");
    EXPECT_EQ(fake::count().operations, 3);
    EXPECT_FALSE(a.is_done());
    EXPECT_EQ((co_await std::move(b)).size(), 3u);
    EXPECT_TRUE(a.is_done());
    co_await std::move(a);
    EXPECT_FALSE((co_await std::move(f).as_result()).ok());
  };
  dqc::run(loop_, work(Connect()));
}

TEST_F(Coro, WhenAllRunsTogether) {
  auto work = [](dqc::loop& l) -> task<> {
    auto [a, b] = co_await dqc::when_all(coro::connect(l, kDsn), coro::connect(l, kDsn));
    auto [sum, rows, none] = co_await dqc::when_all(Sum(a), b.query("rows 2 2"), EveryVerb(b));
    EXPECT_EQ(sum, 22);
    EXPECT_EQ(rows.size(), 4u);
    EXPECT_EQ(none, std::monostate());
    std::vector<task<int64_t>> many;
    many.reserve(5);
    for (int i = 0; i < 5; ++i) many.push_back(Sum(i % 2 == 0 ? a : b));
    EXPECT_EQ((co_await dqc::when_all(std::move(many))).size(), 5u);
    EXPECT_TRUE((co_await dqc::when_all(std::vector<task<>>())).empty());
  };
  dqc::run(loop_, work(loop_));
}

TEST_F(Coro, WhenAllEndsBeforeItThrows) {
  coro::connection a = Connect(), b = Connect();
  int64_t sum = 0;
  auto slow = [](coro::connection c, int64_t& out) -> task<> { out = co_await Sum(c); };
  auto work = [&]() -> task<> { co_await dqc::when_all(Failing(a, "fail"), slow(b, sum)); };
  EXPECT_THROW(dqc::run(loop_, work()), dqc::exception);
  EXPECT_EQ(sum, 22);
}

// Starts a task, lets it wait, and destroys it.
TEST_F(Coro, DestroyingAWaitingTaskCancelsItsOperation) {
  coro::connection conn = Connect();
  {
    auto hang = [](coro::connection c) -> task<> {
      const std::string local = "still here";
      co_await c.exec("hang", local);
      ADD_FAILURE() << "resumed";
    };
    dqc::detail::countdown left(1);
    auto root = dqc::detail::make_child(hang(conn));
    root.start(left);
    EXPECT_EQ(fake::count().operations, 1);
  }
  EXPECT_EQ(fake::count().cancels, 1);
  EXPECT_EQ(fake::count().operations, 1);
  RunAll();
  EXPECT_EQ(dqc::run(loop_, Sum(conn)), 22);
}

TEST_F(Coro, DestroyingAfterTheConnectionIsSafeToo) {
  auto conn = std::make_optional(Connect());
  auto hang = [](coro::connection& c) -> task<> { co_await c.exec("hang"); };
  {
    dqc::detail::countdown left(1);
    auto root = dqc::detail::make_child(hang(*conn));
    root.start(left);
    conn.reset();
    EXPECT_EQ(fake::count().conns, 1) << "the operation keeps it";
  }
  EXPECT_EQ(fake::count().conns, 0);
  RunAll();
}

TEST_F(Coro, ADroppedOperationIsCancelled) {
  coro::connection conn = Connect();
  { auto dropped = conn.query("rows 5 5"); }
  EXPECT_EQ(fake::count().cancels, 1);
  auto kept = conn.exec("hang");
  kept.cancel();
  auto wait = [](coro::operation<dqc::exec_result> op) -> task<dqc_status> {
    co_return (co_await std::move(op).as_result()).error().code();
  };
  EXPECT_EQ(dqc::run(loop_, wait(std::move(kept))), DQC_E_CANCELLED);
}

TEST_F(Coro, ALoopThatFailsEndsRun) {
  coro::connection conn = Connect();
  auto hang = [](coro::connection c) -> task<> { co_await c.exec("hang"); };
  EXPECT_FALSE(dqc::try_run(loop_, hang(conn)).ok());
  RunAll();
}

task<int64_t> ReadAll(coro::cursor& rows) {
  int64_t sum = 0;
  while (std::optional<dqc::batch> b = co_await rows.next()) {
    for (dqc::row_view row : *b) sum += row.get<int64_t>("id").value();
  }
  EXPECT_FALSE((co_await rows.next_result()).value().has_value());
  co_return sum;
}

TEST_F(Coro, StreamsDeliverBatches) {
  coro::connection conn = Connect();
  coro::cursor rows = conn.stream("rows 20 2");
  EXPECT_EQ(dqc::run(loop_, ReadAll(rows)), 820);
  EXPECT_EQ(fake::count().pauses, 0);
  coro::cursor failing = conn.stream("fail");
  EXPECT_THROW(dqc::run(loop_, ReadAll(failing)), dqc::exception);
}

TEST_F(Coro, AStreamThatNobodyReadsIsPaused) {
  coro::connection conn = Connect();
  coro::cursor rows = conn.stream("rows 20 2");
  for (int i = 0; i < 4; ++i) loop_.run().value();
  EXPECT_EQ(fake::count().pauses, 1);
  EXPECT_FALSE(loop_.run().ok()) << "the stand-in has nothing to do";
  EXPECT_EQ(fake::count().batches, 4);
  EXPECT_EQ(dqc::run(loop_, ReadAll(rows)), 820);
  EXPECT_EQ(fake::count().resumes, 1);
}

TEST_F(Coro, StreamsMayBeDroppedAtAnyTime) {
  coro::connection conn = Connect();
  auto some = [](coro::connection c) -> task<> {
    coro::cursor rows = c.stream("rows 20 2");
    co_await rows.next();
    co_await rows.next();
  };
  dqc::run(loop_, some(conn));
  EXPECT_EQ(fake::count().cancels, 1);
  RunAll();

  // The reader goes first, then the cursor.
  coro::cursor rows = conn.stream("hang");
  {
    dqc::detail::countdown left(1);
    auto root = dqc::detail::make_child(ReadAll(rows));
    root.start(left);
  }
  EXPECT_EQ(fake::count().cancels, 1);
  // The cursor goes first, then the reader.
  {
    auto doomed = std::make_optional(conn.stream("rows 1 1"));
    dqc::detail::countdown left(1);
    auto root = dqc::detail::make_child(ReadAll(*doomed));
    root.start(left);
    doomed.reset();
  }
  { coro::cursor moved = std::move(rows); }
  RunAll();
}

TEST_F(Coro, ManyAwaitsInTurn) {
  auto work = [](coro::connection c) -> task<int> {
    int n = 0;
    for (int i = 0; i < 2000; ++i) n += static_cast<int>((co_await c.exec("x", i)).rows_affected());
    co_return n;
  };
  EXPECT_EQ(dqc::run(loop_, work(Connect())), 2000);
}

}  // namespace
