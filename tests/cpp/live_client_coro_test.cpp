/* SPDX-License-Identifier: MIT */
// Clients and transactions for coroutines, against real clusters.
#include <dqclient/coro.hpp>

#include <chrono>
#include <stdexcept>

#include "cpp/live_test.hpp"

namespace {

using namespace std::chrono_literals;
namespace coro = dqc::coro;
using coro::transaction;
using dqc::task;

class LiveCoroClient : public FacadeLiveTest {
 protected:
  task<int64_t> Count(coro::client db) {
    co_return (co_await db.query(Sql("SELECT count(*) FROM $"))).scalar<int64_t>().value();
  }
  dqc::loop loop_ = dqc::loop::driven().value();
};
DQC_LIVE_SUITE(LiveCoroClient);

TEST_P(LiveCoroClient, EveryVerb) {
  auto work = [this]() -> task<> {
    auto db = co_await coro::open(loop_, dsn_);
    co_await db.connect();
    EXPECT_EQ((co_await db.exec(Sql("INSERT INTO $ (id) VALUES (?)"), 1)).last_insert_id(), 1);
    EXPECT_EQ((co_await db.script(Sql("DELETE FROM $; DELETE FROM $"))).statements(), 2u);
    EXPECT_EQ(co_await Count(db), 0);
    EXPECT_EQ((co_await db.leader()).address, db.leader_address());
    EXPECT_EQ((co_await db.describe(db.leader_address())).weight, 0u);
    EXPECT_TRUE(db.set_nodes(co_await db.cluster()).ok());
    {
      coro::connection lease = co_await db.acquire();
      EXPECT_EQ(db.stats().leased, 1u);
      co_await lease.exec("BEGIN IMMEDIATE");
      coro::statement insert = co_await lease.prepare(Sql("INSERT INTO $ (id) VALUES (?)"));
      co_await insert.exec(1);
    }
    { auto dropped = db.acquire(); }
    EXPECT_EQ(co_await Count(db), 0) << "what was left open is rolled back";
    coro::cursor rows = db.stream("SELECT 1 UNION SELECT 2");
    size_t count = 0;
    while (auto batch = co_await rows.next()) count += batch->row_count();
    EXPECT_EQ(count, 2u);
    auto failed = co_await db.with(dqc::options().timeout(5s)).exec("SELEC").as_result();
    EXPECT_EQ(failed.error().code(), DQC_E_SQL);
    co_await db.close();
  };
  dqc::run(loop_, work());
}

TEST_P(LiveCoroClient, ATransactionCommitsOrLeavesNothing) {
  auto work = [this]() -> task<> {
    auto db = co_await coro::open(loop_, dsn_);
    const int64_t id = co_await db.run_tx([&](transaction& tx) -> task<int64_t> {
      co_await tx.exec(Sql("INSERT INTO $ (id, name) VALUES (1, 'a')"));
      auto undone = co_await tx.nested([&](transaction& t) -> task<dqc::result<void>> {
        co_await t.exec(Sql("INSERT INTO $ (id) VALUES (2)"));
        auto again = co_await t.exec(Sql("INSERT INTO $ (id) VALUES (1)")).as_result();
        co_return again.error();
      });
      EXPECT_EQ(undone.error().code(), DQC_E_CONSTRAINT);
      co_await tx.nested(
          [&](transaction& t) -> task<> { co_await t.exec(Sql("INSERT INTO $ (id) VALUES (3)")); });
      co_return 7;
    });
    EXPECT_EQ(id, 7);
    EXPECT_EQ(co_await Count(db), 2);
    dqc_status status = DQC_OK;
    try {
      co_await db.run_tx([&](transaction& tx) -> task<> {
        co_await tx.exec(Sql("DELETE FROM $"));
        co_await tx.exec(Sql("INSERT INTO $ (id) VALUES (1), (1)"));
      });
    } catch (const dqc::exception& e) {
      status = e.error().code();
    }
    EXPECT_EQ(status, DQC_E_CONSTRAINT);
    bool caught = false;
    try {
      co_await db.run_tx([&](transaction& tx) -> task<> {
        co_await tx.exec(Sql("DELETE FROM $"));
        throw std::runtime_error("x");
      });
    } catch (const std::runtime_error&) {
      caught = true;
    }
    EXPECT_TRUE(caught);
    EXPECT_EQ(co_await Count(db), 2);
  };
  dqc::run(loop_, work());
}

TEST_P(LiveCoroClient, ManyTransactionsAtOnceTakeTurns) {
  auto increment = [this](coro::client db) -> task<> {
    co_await db.run_tx(
        [&](transaction& tx) -> task<> {
          auto rows = co_await tx.query(Sql("SELECT score FROM $"));
          co_await tx.exec(Sql("UPDATE $ SET score = ?"), rows.scalar<double>().value() + 1);
        },
        dqc::tx_options().timeout(30s));
  };
  auto work = [&]() -> task<> {
    auto db = co_await coro::open(loop_, dsn_ + "?pool_max=8");
    co_await db.exec(Sql("INSERT INTO $ (score) VALUES (0)"));
    std::vector<task<>> tasks;
    for (int i = 0; i < 20; ++i) tasks.push_back(increment(db));
    co_await dqc::when_all(std::move(tasks));
    auto sum = co_await db.query(Sql("SELECT score FROM $"));
    EXPECT_EQ(sum.scalar<double>().value(), 20);
  };
  dqc::run(loop_, work());
}

TEST_P(LiveCoroClient, ATransactionWaitsForAnotherWriterUntilItsDeadline) {
  auto work = [this]() -> task<> {
    auto db = co_await coro::open(loop_, dsn_);
    auto insert = [this](transaction& tx) -> task<dqc::result<void>> {
      auto done = co_await tx.exec(Sql("INSERT INTO $ (id) VALUES (1)")).as_result();
      co_return done.error();
    };
    auto other = co_await db.acquire();
    co_await other.exec("BEGIN IMMEDIATE");
    const auto start = std::chrono::steady_clock::now();
    auto busy = co_await db.run_tx(insert, dqc::tx_options().timeout(300ms));
    const auto took = std::chrono::steady_clock::now() - start;
    EXPECT_EQ(busy.error().code(), DQC_E_BUSY);
    EXPECT_GT(took, 100ms);
    EXPECT_LT(took, 2s);
    co_await other.exec("ROLLBACK");
    EXPECT_TRUE((co_await db.run_tx(insert)).ok());
  };
  dqc::run(loop_, work());
}

TEST_P(LiveCoroClient, ATransactionDroppedInTheMiddleIsRolledBack) {
  auto db = dqc::run(loop_, [](dqc::loop& l, std::string dsn) -> task<coro::client> {
    co_return co_await coro::open(l, dsn);
  }(loop_, dsn_));
  {
    // gcc 12 destroys a closure twice that owns something and is made within a co_await.
    auto endless = [](coro::client c, std::string sql) -> task<> {
      auto insert = [sql](transaction& tx) -> task<> {
        for (int i = 0;; ++i) co_await tx.exec(sql, i);
      };
      co_await c.run_tx(insert);
    };
    dqc::detail::countdown left(1);
    auto root = dqc::detail::make_child(endless(db, Sql("INSERT INTO $ (id) VALUES (?)")));
    root.start(left);
    for (int i = 0; i < 40; ++i) loop_.run(dqc::run_mode::once).value();
  }
  EXPECT_EQ(dqc::run(loop_, Count(db)), 0);
  auto write = [](coro::client c, std::string sql) -> task<> { co_await c.exec(sql); };
  dqc::run(loop_, write(db, Sql("INSERT INTO $ (id) VALUES (1)")));
}

TEST_P(LiveCoroClient, OnAThreadedLoopWhileLeadershipMoves) {
  const auto cluster = NewCluster(3);
  const std::string dsn = "dqlite://" + (*cluster)->Address(0) + "," + (*cluster)->Address(1) +
                          "," + (*cluster)->Address(2) + "/app";
  dqc::loop loop = dqc::loop::threaded().value();
  dqc::queue queue = dqc::queue::create().value();
  // A server gives a transfer up where the others do not follow in time.
  auto move = [](coro::client db) -> task<> {
    for (int tries = 0;; ++tries) {
      try {
        co_await db.with(dqc::options().timeout(20s)).transfer();
        co_return;
      } catch (const dqc::exception&) {
        if (tries == 9) throw;
      }
    }
  };
  auto work = [&]() -> task<> {
    auto db = co_await coro::open(loop, queue, dsn);
    co_await db.exec("CREATE TABLE t (x)");
    for (int i = 0; i < 60; ++i) {
      if (i % 20 == 10) co_await move(db);
      co_await db.run_tx(
          [&](transaction& tx) -> task<> {
            auto rows = co_await tx.query("SELECT count(*) FROM t");
            EXPECT_EQ(rows.scalar<int>().value(), i);
            co_await tx.exec("INSERT INTO t VALUES (?)", i);
          },
          dqc::tx_options().timeout(20s));
    }
    co_await db.close();
  };
  dqc::run(queue, work());
}

}  // namespace
