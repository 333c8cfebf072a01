/* SPDX-License-Identifier: MIT */
// What writes though SQLite takes it for a read: PRAGMA optimize, optimize() of FTS3, pragma_optimize.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/session_rig.hpp"

namespace dqc::session::test {
namespace {

using testing::ElementsAre;

constexpr const char* kSelects[] = {
    "SELECT optimize(g) FROM g LIMIT 1",
    "SELECT \"Optimize\" /* x */ (g) FROM g",
    "SELECT [optimize](g) FROM g",
    "SELECT * FROM pragma_optimize",
    "SELECT * FROM main.PRAGMA_Optimize(65538)",
    "SELECT * FROM 'pragma_optimize'",
    "SELECT * FROM `pragma_optimize`",
    "SELECT 1 WHERE EXISTS (SELECT * FROM \"pragma_optimize\"(-1))",
    "WITH q AS (SELECT * FROM pragma_optimize) SELECT * FROM q",
    "VALUES((SELECT optimize(g) FROM g))",
};

TEST(SessionOptimize, SelectsThatWrite) {
  for (const char* sql : kSelects) {
    const sql::Statement statement = sql::ScanStatement(sql);
    EXPECT_EQ(statement.kind, sql::Kind::kSelect) << sql;
    EXPECT_TRUE(statement.optimizes) << sql;
    EXPECT_FALSE(statement.read_only()) << sql;
    EXPECT_TRUE(statement.yields_rows()) << sql;
  }
  for (const char* sql :
       {"SELECT optimize FROM t", "SELECT 'a pragma_optimize'", "SELECT 1 -- pragma_optimize",
        "SELECT optimized(1)", "SELECT x.optimize, (1) FROM x", "SELECT :optimize(x)"}) {
    EXPECT_TRUE(sql::ScanStatement(sql).read_only()) << sql;
  }
  for (const char* sql : {"EXPLAIN SELECT * FROM pragma_optimize", "DELETE FROM pragma_optimize",
                          "CREATE TABLE optimize(a)"}) {
    EXPECT_FALSE(sql::ScanStatement(sql).optimizes) << sql;
  }
}

TEST(SessionOptimize, InATransactionOfItsOwn) {
  std::vector<std::string> all(std::begin(kSelects), std::end(kSelects));
  all.insert(all.end(),
             {"PRAGMA optimize", "PRAGMA main.Optimize = 0x10002", "PRAGMA optimize(-1)"});
  for (const mock::Era era : kEras) {
    for (const std::string& sql : all) {
      Ready rig(era);
      const Op op = rig.Submit(sql);
      rig.Flow();
      EXPECT_TRUE(op->status.ok()) << op->Story();
      EXPECT_THAT(rig.Sent(),
                  ElementsAre("ExecSql BEGIN IMMEDIATE", "QuerySql " + sql, "ExecSql COMMIT"));
      EXPECT_EQ(rig.session->transaction(), TxState::kNone);

      Ready script(era);
      const Op of_script = script.Submit(Script(sql + "; SELECT 1"));
      script.Flow();
      EXPECT_TRUE(of_script->status.ok()) << of_script->Story();
      const std::vector<std::string> sent = script.Sent();
      EXPECT_THAT(sent, testing::IsSupersetOf({"ExecSql BEGIN IMMEDIATE", "ExecSql COMMIT"}));
    }
    Ready rig(era);
    rig.Submit("EXPLAIN PRAGMA optimize");
    rig.Flow();
    EXPECT_THAT(rig.Sent(), ElementsAre("QuerySql EXPLAIN PRAGMA optimize")) << "is not run";
  }
}

TEST(SessionOptimize, PreparedOnes) {
  for (const mock::Era era : kEras) {
    for (const char* sql : {"PRAGMA optimize", kSelects[0]}) {
      Ready rig(era);
      const Op prepare = rig.Submit(Prepare(sql));
      rig.Flow();
      ASSERT_TRUE(prepare->status.ok()) << prepare->Story();
      PreparedStatement prepared{
          .id = prepare->stmt_id, .params = 0, .text = prepare->statement, .header = {}};
      const Op op = rig.Submit(test::Run(&prepared));
      rig.Flow();
      EXPECT_TRUE(op->status.ok()) << op->Story();
      EXPECT_THAT(rig.Sent(), ElementsAre(testing::StartsWith("Prepare"), "ExecSql BEGIN IMMEDIATE",
                                          testing::StartsWith("Query "), "ExecSql COMMIT"));
    }
  }
}

// Era D aborts where it takes the write lock unnoticed: it must be held.
TEST(SessionOptimize, InsideTheApplicationsTransaction) {
  struct Case {
    std::vector<const char*> before;
    bool locked;
  };
  const Case cases[] = {
      {{"BEGIN"}, false},
      {{"BEGIN", "SAVEPOINT a"}, false},
      {{"BEGIN", "SELECT 1"}, false},
      {{"BEGIN", "PRAGMA cache_size = 5"}, false},
      {{"BEGIN", "CREATE TABLE IF NOT EXISTS t(x)"}, false},
      {{"BEGIN IMMEDIATE"}, true},
      {{"BEGIN EXCLUSIVE"}, true},
      {{"BEGIN", "INSERT INTO t VALUES(1)"}, true},
      {{"BEGIN", "UPDATE t SET x = 1 WHERE 0"}, true},
  };
  for (const mock::Era era : kEras) {
    for (const Case& c : cases) {
      for (const char* sql : {"PRAGMA optimize", kSelects[0]}) {
        for (const OpKind kind : {OpKind::kStatement, OpKind::kScript}) {
          Ready rig(era);
          for (const char* before : c.before) rig.Submit(before);
          const Op op = rig.Submit(kind == OpKind::kScript ? Script(sql) : Sql(sql));
          const Op behind = rig.Submit("SELECT 7");
          rig.Flow();
          const bool refused = era == mock::Era::kD && !c.locked;
          EXPECT_EQ(op->code() == Code::kUnsupported, refused) << op->Story();
          EXPECT_EQ(op->status.ok(), !refused) << op->Story();
          if (refused) {
            EXPECT_EQ(op->outcome(), Outcome::kNotExecuted);
            EXPECT_THAT(std::string(op->status.message()), testing::HasSubstr("BEGIN IMMEDIATE"));
          }
          EXPECT_NE(rig.session->transaction(), TxState::kNone);
          EXPECT_TRUE(behind->status.ok()) << "the transaction goes on";
        }
      }
    }
  }
}

// A write that was sent and has no answer is in doubt.
TEST(SessionOptimize, WithoutAnAnswerItIsInDoubt) {
  Ready own(mock::Era::kD);
  own.node.On(Match().Sql("COMMIT"), Do().Close());
  const Op op = own.Submit("SELECT optimize(g) FROM g");
  own.Flow();
  EXPECT_EQ(op->outcome(), Outcome::kMaybeExecuted) << op->Story();
}

}  // namespace
}  // namespace dqc::session::test
