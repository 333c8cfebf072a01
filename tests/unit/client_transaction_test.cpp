/* SPDX-License-Identifier: MIT */
// When an application's transaction is run again.
#include "client/transaction.hpp"

#include <gtest/gtest.h>

#ifdef DQC_HAVE_SQLITE3
#include <sqlite3.h>
#endif

#include <memory>
#include <string>

namespace dqc::client {
namespace {

using session::kNever;
using session::Time;

Status Of(Code code, Outcome outcome) { return Status::Make(code, "x").With(outcome); }

constexpr Code kPassing[] = {Code::kBusy,           Code::kBusySnapshot, Code::kNotLeader,
                             Code::kLeadershipLost, Code::kSessionLost,  Code::kNetwork,
                             Code::kClosed};
constexpr Code kLasting[] = {Code::kTimeout,  Code::kConstraint, Code::kSql,
                             Code::kNoMemory, Code::kCancelled,  Code::kMisuse};

TEST(Transaction, OnlyWhatPassesIsRunAgain) {
  const Transaction tx{TransactionOptions()};
  for (const Code code : kPassing) {
    EXPECT_TRUE(Transaction::AgainAfter(Of(code, Outcome::kNotExecuted), false)) << CodeName(code);
    EXPECT_FALSE(Transaction::AgainAfter(Of(code, Outcome::kMaybeExecuted), false))
        << CodeName(code);
    EXPECT_TRUE(Transaction::AgainAfter(Of(code, Outcome::kMaybeExecuted), true)) << CodeName(code);
    EXPECT_TRUE(tx.AgainAfterCommit(Of(code, Outcome::kNotExecuted))) << CodeName(code);
  }
  for (const Code code : kLasting) {
    EXPECT_FALSE(Transaction::AgainAfter(Of(code, Outcome::kNotExecuted), true)) << CodeName(code);
    EXPECT_FALSE(tx.AgainAfterCommit(Of(code, Outcome::kNotExecuted))) << CodeName(code);
  }
}

TEST(Transaction, ACommitInDoubtIsRunAgainOnlyWhereThatIsHarmless) {
  TransactionOptions options;
  const Status doubt = Of(Code::kNetwork, Outcome::kMaybeExecuted);
  EXPECT_FALSE(Transaction(options).AgainAfterCommit(doubt));
  options.resolve = true;
  EXPECT_FALSE(Transaction(options).AgainAfterCommit(doubt)) << "it is looked up first";
  options.idempotent = true;
  EXPECT_TRUE(Transaction(options).AgainAfterCommit(doubt));
  options = {};
  options.mode = BeginMode::kReadOnly;
  EXPECT_TRUE(Transaction(options).AgainAfterCommit(doubt));
}

TEST(Transaction, PausesGrowAndEndWithTheTime) {
  Transaction tx{TransactionOptions()};
  Time now = 0, last = 0;
  int tries = 0;
  for (Time pause = tx.Pause(now, 1'000'000); pause != kNever; pause = tx.Pause(now, 1'000'000)) {
    EXPECT_LE(pause, 150'000u);
    if (tries == 0) {
      EXPECT_LE(pause, 1'500u);
    }
    now += last = pause;
    ASSERT_LT(++tries, 1000);
  }
  EXPECT_GT(tries, 5);
  EXPECT_GT(last, 50'000u);
  for (int i = 0; i < 100; ++i) EXPECT_LE(tx.Pause(now, kNever), 150'000u);
}

TEST(Transaction, AMarkGoesWithTheCommitAndIsLookedUpByTheSameKey) {
  TransactionOptions options;
  EXPECT_FALSE(Transaction(options).marked());
  options.resolve = true;
  Transaction tx(options);
  const std::string commit = tx.CommitSql(false);
  EXPECT_EQ(commit.substr(0, 34), "INSERT INTO dqclient_marks VALUES(");
  const std::string key = commit.substr(34, commit.find(',') - 34);
  EXPECT_EQ(commit.substr(commit.size() - 7), ";COMMIT");
  EXPECT_EQ(tx.CommitSql(true).substr(0, 12), "CREATE TABLE");
  EXPECT_NE(tx.CommitSql(false).find("VALUES(" + key + ","), std::string::npos) << "once more";
  EXPECT_NE(tx.FenceSql().find("INSERT OR IGNORE INTO dqclient_marks VALUES(" + key + ","),
            std::string::npos);
  EXPECT_EQ(tx.VerdictSql(), "SELECT undone FROM dqclient_marks WHERE id=" + key);
  tx.NextMark();
  EXPECT_EQ(tx.VerdictSql().find("id=" + key), std::string::npos) << "a new run, a new mark";
  options.mode = BeginMode::kReadOnly;
  EXPECT_FALSE(Transaction(options).marked());
  EXPECT_STREQ(Transaction(options).begin_sql(), "BEGIN");
}

#ifdef DQC_HAVE_SQLITE3

class MarkTest : public testing::Test {
 protected:
  MarkTest() {
    sqlite3* db = nullptr;
    EXPECT_EQ(sqlite3_open(":memory:", &db), SQLITE_OK);
    db_.reset(db);
    sqlite3_extended_result_codes(db, 1);
    EXPECT_EQ(Run("CREATE TABLE t(x)"), SQLITE_OK);
  }
  int Run(const std::string& sql) {
    return sqlite3_exec(db_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  }
  int Number(const std::string& sql) {
    int number = -1;
    const auto take = [](void* out, int, char** cells, char**) {
      *static_cast<int*>(out) = std::stoi(cells[0]);
      return 0;
    };
    EXPECT_EQ(sqlite3_exec(db_.get(), sql.c_str(), take, &number, nullptr), SQLITE_OK) << sql;
    return number;
  }
  static Transaction Marked() {
    TransactionOptions options;
    options.resolve = true;
    return Transaction(options);
  }

  struct Close {
    void operator()(sqlite3* db) const { sqlite3_close(db); }
  };
  std::unique_ptr<sqlite3, Close> db_;
};

TEST_F(MarkTest, ACommitIsRepeatedWhateverOfItPassed) {
  for (const bool passed : {false, true}) {
    Transaction tx = Marked();
    tx.NextMark();
    if (passed) tx.NextMark();
    ASSERT_EQ(Run("BEGIN IMMEDIATE; INSERT INTO t VALUES(1)"), SQLITE_OK);
    const std::string first = tx.CommitSql(true);
    if (passed) {
      ASSERT_EQ(Run(first.substr(0, first.rfind(";COMMIT"))), SQLITE_OK);
    }
    EXPECT_EQ(Run(tx.CommitSql(true)), SQLITE_OK);
    EXPECT_EQ(Number(tx.VerdictSql()), 0);
  }
  EXPECT_EQ(Number("SELECT count(*) FROM t"), 2);
}

TEST_F(MarkTest, AFenceStopsACommitThatComesTooLate) {
  Transaction tx = Marked();
  ASSERT_EQ(Run(tx.FenceSql()), SQLITE_OK);
  EXPECT_EQ(Number(tx.VerdictSql()), 1);
  ASSERT_EQ(Run("BEGIN IMMEDIATE; INSERT INTO t VALUES(1)"), SQLITE_OK);
  EXPECT_EQ(Run(tx.CommitSql(false)) & 0xff, SQLITE_CONSTRAINT);
  EXPECT_EQ(Run("ROLLBACK"), SQLITE_OK) << "it is open still";
  EXPECT_EQ(Number("SELECT count(*) FROM t"), 0);
  EXPECT_EQ(Number(tx.VerdictSql()), 1);
}

#endif  // DQC_HAVE_SQLITE3

}  // namespace
}  // namespace dqc::client
