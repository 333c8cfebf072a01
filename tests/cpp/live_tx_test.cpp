/* SPDX-License-Identifier: MIT */
// run_tx() against real clusters.
#include <atomic>
#include <chrono>
#include <csignal>
#include <functional>
#include <stdexcept>
#include <thread>

#include "cpp/live_test.hpp"

namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;
using dqc::transaction;
using dqc::tx_options;

class LiveTx : public FacadeLiveTest {
 protected:
  dqc::client Client() const { return dqc::client::open(dsn_).value(); }
  int64_t Count(dqc::client& db) const {
    return db.query(Sql("SELECT count(*) FROM $")).value().scalar<int64_t>().value();
  }
};
DQC_LIVE_SUITE(LiveTx);

TEST_P(LiveTx, CommitsWhatTheFunctionDid) {
  dqc::client db = Client();
  const dqc::result<int64_t> id = db.run_tx([&](transaction& tx) -> dqc::result<int64_t> {
    auto done = tx.exec(Sql("INSERT INTO $ (name) VALUES ('a')"));
    if (!done) return done.error();
    dqc::statement insert = tx.prepare(Sql("INSERT INTO $ (name) VALUES (?)")).value();
    insert.exec("b").value();
    return done->last_insert_id();
  });
  EXPECT_EQ(id.value(), 1);
  EXPECT_EQ(Count(db), 2);
  // Anything that is returned, and nothing.
  for (dqc::tx_mode mode : {dqc::tx_mode::deferred, dqc::tx_mode::immediate,
                            dqc::tx_mode::exclusive, dqc::tx_mode::read_only}) {
    auto count = db.run_tx(
        [&](transaction& tx) {
          return tx.query(Sql("SELECT count(*) FROM $")).value().scalar<int64_t>().value();
        },
        tx_options().mode(mode));
    EXPECT_EQ(count.value(), 2);
  }
  db.run_tx([&](transaction& tx) { tx.exec(Sql("DELETE FROM $")).value(); }).value();
  EXPECT_EQ(Count(db), 0);
  EXPECT_EQ(db.stats().leased, 0u);
}

TEST_P(LiveTx, RollsBackWhatFails) {
  dqc::client db = Client();
  int runs = 0;
  const auto constraint = db.run_tx([&](transaction& tx) {
    ++runs;
    tx.exec(Sql("INSERT INTO $ (id) VALUES (1)")).value();
    tx.exec(Sql("INSERT INTO $ (id) VALUES (1)")).value();
  });
  EXPECT_EQ(constraint.error().code(), DQC_E_CONSTRAINT);
  EXPECT_EQ(runs, 1);
  const auto own = db.run_tx([&](transaction& tx) -> dqc::result<void> {
    tx.exec(Sql("INSERT INTO $ (id) VALUES (1)")).value();
    return dqc::error::make(DQC_E_MISUSE, "changed my mind");
  });
  EXPECT_STREQ(own.error().message(), "changed my mind");
  EXPECT_THROW(static_cast<void>(db.run_tx([&](transaction& tx) {
                 tx.exec(Sql("INSERT INTO $ (id) VALUES (1)")).value();
                 throw std::runtime_error("x");
               })),
               std::runtime_error);
  EXPECT_EQ(Count(db), 0);
  EXPECT_TRUE(db.exec(Sql("INSERT INTO $ (id) VALUES (1)")).ok()) << "the lock is free";
}

TEST_P(LiveTx, NestedTransactionsAreSavepoints) {
  dqc::client db = Client();
  db.run_tx([&](transaction& tx) {
      tx.exec(Sql("INSERT INTO $ (id) VALUES (1)")).value();
      const auto undone = tx.nested([&](transaction& inner) {
        inner.exec(Sql("INSERT INTO $ (id) VALUES (2)")).value();
        inner.nested([&](transaction& t) { t.exec(Sql("INSERT INTO $ (id) VALUES (3)")).value(); })
            .value();
        inner.exec(Sql("INSERT INTO $ (id) VALUES (1)")).value();
      });
      EXPECT_EQ(undone.error().code(), DQC_E_CONSTRAINT);
      const dqc::result<int> kept = tx.nested([&](transaction& inner) {
        inner.exec(Sql("INSERT INTO $ (id) VALUES (4)")).value();
        return 5;
      });
      EXPECT_EQ(kept.value(), 5);
    }).value();
  EXPECT_EQ(db.query(Sql("SELECT group_concat(id) FROM $ ORDER BY id"))
                .value()
                .scalar<std::string>()
                .value(),
            "1,4");
}

TEST_P(LiveTx, WaitsForAnotherWriterUntilItsDeadline) {
  dqc::client db = Client();
  dqc::connection other = Open();
  other.exec("BEGIN IMMEDIATE").value();
  other.exec(Sql("INSERT INTO $ (id) VALUES (1)")).value();
  int runs = 0;
  auto insert = [&](transaction& tx) {
    ++runs;
    tx.exec(Sql("INSERT INTO $ (id) VALUES (2)")).value();
  };
  const auto start = clock::now();
  const auto busy = db.run_tx(insert, tx_options().timeout(400ms));
  EXPECT_EQ(busy.error().code(), DQC_E_BUSY) << busy.error().message();
  EXPECT_EQ(busy.error().outcome(), DQC_OUTCOME_NOT_EXECUTED);
  EXPECT_LT(clock::now() - start, 3s);
  EXPECT_EQ(runs, 0);
  // A deferred one meets the lock at its first write, and is run again from the start.
  const auto later = db.run_tx(insert, tx_options().timeout(400ms).mode(dqc::tx_mode::deferred));
  EXPECT_EQ(later.error().code(), DQC_E_BUSY);
  EXPECT_GT(runs, 1);
  std::thread frees([&] {
    std::this_thread::sleep_for(200ms);
    other.exec("COMMIT").value();
  });
  EXPECT_TRUE(db.run_tx(insert).ok());
  frees.join();
  EXPECT_EQ(Count(db), 2);
}

TEST_P(LiveTx, AStaleSnapshotIsRunAgain) {
  dqc::client db = Client();
  dqc::connection other = Open();
  int runs = 0;
  db.run_tx(
        [&](transaction& tx) {
          const int64_t n =
              tx.query(Sql("SELECT count(*) FROM $")).value().scalar<int64_t>().value();
          if (++runs == 1) other.exec(Sql("INSERT INTO $ (id) VALUES (100)")).value();
          tx.exec(Sql("INSERT INTO $ (id) VALUES (?)"), n).value();
        },
        tx_options().mode(dqc::tx_mode::deferred))
      .value();
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(Count(db), 2);
}

TEST_P(LiveTx, ItsDeadlineEndsAlsoAStatement) {
  dqc::client db = Client();
  const auto start = clock::now();
  const auto slow = db.run_tx(
      [&](transaction& tx) {
        return tx
            .query(
                "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c "
                "WHERE i < 3000000) SELECT count(*) FROM c")
            .value()
            .scalar<int64_t>();
      },
      tx_options().timeout(100ms));
  EXPECT_EQ(slow.error().code(), DQC_E_TIMEOUT);
  EXPECT_LT(clock::now() - start, 2s);
}

// Transfers between accounts from several threads, while leadership is handed over and the leader is killed: no money
// is made or lost, and what was reported done is done once.
class LiveBank : public dqc::live::LiveTest {
 protected:
  static constexpr int kAccounts = 8;
  static constexpr int kWriters = 4;

  struct Writer {
    int done = 0, unknown = 0, failed = 0;
    std::string problem;
  };

  struct Stop {
    std::atomic<bool>& flag;
    ~Stop() { flag = true; }
  };

  void Start() {
    cluster_ = NewCluster(3);
    dsn_ = "dqlite://" + (*cluster_)->Address(0) + "," + (*cluster_)->Address(1) + "," +
           (*cluster_)->Address(2) + "/bank";
    dqc::client db = dqc::client::open(dsn_).value();
    db.script(
          "CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);"
          "CREATE TABLE ledger (writer INTEGER, number INTEGER)")
        .value();
    for (int i = 0; i < kAccounts; ++i) db.exec("INSERT INTO account VALUES (?, 100)", i).value();
  }

  static void Transfer(transaction& tx, int writer, int number) {
    const int from = (writer + number) % kAccounts, to = (writer * 3 + number * 5 + 1) % kAccounts;
    const int64_t balance = tx.query("SELECT balance FROM account WHERE id = ?", from)
                                .value()
                                .scalar<int64_t>()
                                .value();
    const int64_t amount = std::min<int64_t>(balance, 1 + number % 7);
    tx.exec("UPDATE account SET balance = balance - ? WHERE id = ?", amount, from).value();
    tx.exec("UPDATE account SET balance = balance + ? WHERE id = ?", amount, to).value();
    tx.nested([&](transaction& t) {
        t.exec("INSERT INTO ledger VALUES (?, ?)", writer, number).value();
      }).value();
  }

  Writer Write(int id) {
    Writer w;
    dqc::client db = dqc::client::open(dsn_).value();
    for (int number = 0; !stop_; ++number) {
      const auto done =
          db.run_tx([&](transaction& tx) { Transfer(tx, id, number); }, tx_options().timeout(20s));
      if (done.ok()) {
        ++w.done;
      } else if (done.error().outcome() == DQC_OUTCOME_MAYBE_EXECUTED) {
        ++w.unknown;
      } else {
        ++w.failed;
        w.problem = done.error().message();
      }
    }
    return w;
  }

  void Run(const std::function<void(dqc::client&)>& disturb) {
    Start();
    std::vector<Writer> writers(kWriters);
    dqc::client db = dqc::client::open(dsn_ + "?timeout=30s").value();
    {
      std::vector<std::jthread> threads;
      const Stop stop{stop_};
      for (int i = 0; i < kWriters; ++i)
        threads.emplace_back([this, i, &w = writers[static_cast<size_t>(i)]] { w = Write(i); });
      std::this_thread::sleep_for(700ms);
      disturb(db);
      std::this_thread::sleep_for(700ms);
    }
    int done = 0, unknown = 0;
    for (const Writer& w : writers) {
      EXPECT_GT(w.done, 0);
      EXPECT_EQ(w.failed, 0) << w.problem;
      done += w.done;
      unknown += w.unknown;
    }
    EXPECT_EQ(Number(db, "SELECT sum(balance) FROM account"), kAccounts * 100);
    EXPECT_EQ(Number(db, "SELECT count(*) FROM (SELECT DISTINCT writer, number FROM ledger)"),
              Number(db, "SELECT count(*) FROM ledger"))
        << "something was committed twice";
    const int64_t entries = Number(db, "SELECT count(*) FROM ledger");
    EXPECT_GE(entries, done);
    EXPECT_LE(entries, done + unknown);
    RecordProperty("done", done);
    RecordProperty("unknown", unknown);
    std::printf("%d transfers, %d unknown\n", done, unknown);
  }
  static int64_t Number(dqc::client& db, const char* sql) {
    return db.query(sql).value().scalar<int64_t>().value();
  }

  std::unique_ptr<dqc::live::TestCluster> cluster_;
  std::string dsn_;
  std::atomic<bool> stop_{false};
};
DQC_LIVE_SUITE(LiveBank);

TEST_P(LiveBank, TheSumHoldsWhenLeadershipIsHandedOver) {
  Run([](dqc::client& db) {
    // A server gives a transfer up where the others do not follow in time.
    for (int i = 0, given_up = 0; i < 3; ++i) {
      const std::string before = db.leader().value().address;
      if (const auto done = db.transfer(); !done.ok()) {
        ASSERT_LT(++given_up, 20) << done.error().message();
        std::this_thread::sleep_for(100ms);
        --i;
        continue;
      }
      for (int tries = 0; tries < 100 && db.leader().value().address == before; ++tries)
        std::this_thread::sleep_for(20ms);
      std::this_thread::sleep_for(300ms);
    }
  });
}

TEST_P(LiveBank, TheSumHoldsWhenTheLeaderIsKilled) {
  Run([this](dqc::client& db) {
    (*cluster_)->Kill((*cluster_)->IndexOf(db.leader_address()), SIGKILL);
    (*cluster_)->WaitForLeader(20s);
    std::this_thread::sleep_for(500ms);
  });
}

}  // namespace
