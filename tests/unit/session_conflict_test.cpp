/* SPDX-License-Identifier: MIT */
// Conflict policy FAIL, which keeps what was changed before the failure.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/session_rig.hpp"

namespace dqc::session::test {
namespace {

using sql::OnConflict;
using testing::ElementsAre;

constexpr const char* kInsert = "INSERT OR FAIL INTO t VALUES (1), (1)";

TEST(SessionConflict, PolicyOfAStatement) {
  const auto policy = [](const char* sql) { return sql::ScanStatement(sql).on_conflict; };
  for (const char* sql : {kInsert, "update or /* x */ fail t set x = 1",
                          "WITH q AS (SELECT 1) INSERT OR FAIL INTO t SELECT 1",
                          "INSERT OR FAIL INTO t VALUES (1) ON CONFLICT (x) DO UPDATE SET y = 1",
                          "INSERT OR FAIL INTO t VALUES (1) RETURNING x"}) {
    EXPECT_EQ(policy(sql), OnConflict::kFail) << sql;
  }
  for (const char* sql : {"INSERT INTO fail VALUES (1)", "INSERT OR IGNORE INTO fail VALUES (1)",
                          "UPDATE t SET x = 1 WHERE x OR fail", "DELETE FROM t WHERE 0 OR fail"}) {
    EXPECT_NE(policy(sql), OnConflict::kFail) << sql;
  }
}

TEST(SessionConflict, SchemasThatSayFail) {
  for (const char* sql :
       {"CREATE TABLE u(x UNIQUE ON CONFLICT FAIL)",
        "create temp table u(x, unique(x) on conflict fail)",
        "ALTER TABLE t ADD COLUMN y DEFAULT 1 NOT NULL ON /* */ CONFLICT FAIL",
        "CREATE TRIGGER r BEFORE INSERT ON t BEGIN SELECT RAISE(FAIL, 'no'); END",
        "CREATE TRIGGER r INSERT ON t BEGIN SELECT 1; UPDATE OR FAIL t SET x = 1; SELECT 2; END"}) {
    EXPECT_TRUE(sql::ScanStatement(sql).makes_fail) << sql;
  }
  for (const char* sql :
       {"CREATE TABLE fail(fail, CHECK (x OR fail))",
        "CREATE TABLE t(x DEFAULT 'ON CONFLICT FAIL')",
        "CREATE TRIGGER r INSERT ON t WHEN new.x OR fail BEGIN SELECT RAISE(ABORT, 'fail'); END",
        "CREATE VIEW v AS SELECT (fail) FROM t", kInsert, "SELECT 'RAISE(FAIL)'"}) {
    EXPECT_FALSE(sql::ScanStatement(sql).makes_fail) << sql;
  }
}

TEST(SessionConflict, KeptRowsAreCommittedOnEraD) {
  for (const mock::Era era : kEras) {
    for (const bool script : {false, true}) {
      Ready rig(era);
      const auto fails = Do().Failure(2067, "UNIQUE constraint failed: t.x");
      rig.node.On(Match(RequestType::kExecSql).Sql("INSERT"), Do(fails));
      rig.node.On(Match(RequestType::kExec), Do(fails));  // prepared, by a script
      const Op op = rig.Submit(script ? Script(kInsert) : Sql(kInsert));
      rig.Flow();
      EXPECT_EQ(op->code(), Code::kConstraint) << op->Story();
      EXPECT_EQ(op->outcome(), Outcome::kMaybeExecuted) << op->Story();
      EXPECT_EQ(rig.session->transaction(), TxState::kNone);
      const bool own = era == mock::Era::kD;
      EXPECT_EQ(rig.Sent(Match(RequestType::kExecSql).Sql("COMMIT")).size(), own ? 1u : 0u);
      if (script) continue;
      EXPECT_EQ(rig.Sent().size(), own ? 3u : 1u);
    }
  }
}

TEST(SessionConflict, OtherFailuresAreRolledBack) {
  Ready rig(mock::Era::kD);
  rig.node.On(Match().Sql("INSERT"), Do().Failure(1, "integer overflow"));
  const Op op = rig.Submit(kInsert);
  rig.Flow();
  EXPECT_EQ(op->outcome(), Outcome::kNotExecuted) << op->Story();
  EXPECT_THAT(rig.Sent(), ElementsAre("ExecSql BEGIN IMMEDIATE",
                                      testing::StartsWith("ExecSql INSERT"), "ExecSql ROLLBACK"));
}

// RAISE(ROLLBACK), or a deferred constraint: nothing of it stays, and its own failure is told.
TEST(SessionConflict, TheCommitBehindItFails) {
  for (const auto& [code, text] :
       {std::pair<int, const char*>{1, "cannot commit - no transaction is active"},
        {787, "FOREIGN KEY constraint failed"}}) {
    Ready rig(mock::Era::kD);
    rig.node.On(Match().Sql("INSERT"), Do().Failure(1811, "three"));
    rig.node.On(Match().Sql("COMMIT"), Do().Failure(static_cast<uint64_t>(code), text));
    const Op op = rig.Submit(kInsert);
    rig.Flow();
    EXPECT_EQ(op->status.info()->server_code, 1811) << op->Story();
    EXPECT_EQ(op->outcome(), Outcome::kNotExecuted) << op->Story();
    EXPECT_EQ(rig.Sent().back(), "ExecSql ROLLBACK");
  }
}

TEST(SessionConflict, CutInTheMiddle) {
  for (const char* step : {"BEGIN", "INSERT", "COMMIT"}) {
    Ready rig(mock::Era::kD);
    if (*step != 'I') rig.node.On(Match().Sql("INSERT"), Do().Failure(2067, "UNIQUE"));
    rig.node.On(Match().Sql(step), Do().Close());
    const Op op = rig.Submit(kInsert);
    rig.Flow();
    EXPECT_EQ(op->code(), Code::kNetwork) << op->Story();
    EXPECT_EQ(op->outcome() == Outcome::kMaybeExecuted, *step == 'C') << op->Story();
  }
}

TEST(SessionConflict, CancelledItIsRolledBack) {
  Ready rig(mock::Era::kD);
  const Op op = rig.Submit(kInsert);
  rig.SendAll();
  rig.FeedOnce();  // of BEGIN
  rig.SendAll();
  rig.session->Cancel(op->id, rig.now);
  rig.Flow();
  EXPECT_EQ(op->outcome(), Outcome::kNotExecuted) << op->Story();
  EXPECT_EQ(rig.Sent().back(), "ExecSql ROLLBACK");
}

// In a script's own transaction everything ends with that.
TEST(SessionConflict, InsideAScriptsTransaction) {
  for (const mock::Era era : kEras) {
    for (const auto& [sql, code] :
         {std::pair<const char*, int>{kInsert, 2067}, {"INSERT INTO t VALUES (1)", 1811}}) {
      Ready rig(era);
      const auto fails = Do().Failure(static_cast<uint64_t>(code), "no");
      rig.node.On(Match(RequestType::kExecSql).Sql("INSERT"), Do(fails));
      rig.node.On(Match(RequestType::kExec).Nth(2), Do(fails));  // prepared; the first is BEGIN
      if (era == mock::Era::kD && code == 2067) {
        rig.node.On(Match().Sql("BEGIN IMMEDIATE"),
                    Do().Failure(1, "cannot start a transaction within a transaction"));
      }
      const Op op = rig.Submit(Script("BEGIN; " + std::string(sql) + "; COMMIT"));
      rig.Flow();
      EXPECT_EQ(op->outcome(), Outcome::kMaybeExecuted) << op->Story();
      EXPECT_TRUE(op->undone_by_rollback) << op->Story();
    }
  }
}

}  // namespace
}  // namespace dqc::session::test
