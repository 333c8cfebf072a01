/* SPDX-License-Identifier: MIT */
// The two tables: what a FAILURE means, and how a statement is sent to servers of each era.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "unit/session_rig.hpp"

namespace dqc::session::test {
namespace {

constexpr Outcome kNo = Outcome::kNotExecuted;
constexpr Outcome kMaybe = Outcome::kMaybeExecuted;

// One row of section 9.2.
struct Row {
  const char* eras;
  uint64_t code;
  const char* text;
  Code read_code;
  bool read_lost;
  Code write_code;
  Outcome write_outcome;
  bool write_lost;
};

const Row kRows[] = {
    {"ABCD", 1, "no such table: t", Code::kSql, false, Code::kSql, kNo, false},
    {"ABC", 1, "nonempty statement tail", Code::kSql, false, Code::kSql, kNo, false},
    {"D", 1, "nonempty statement tail", Code::kBusy, false, Code::kBusy, kNo, false},
    {"ABC", 100, "another row available", Code::kSql, false, Code::kSql, kMaybe, false},
    {"D", 1, "rows yielded when none expected for EXEC request", Code::kSql, false, Code::kSql,
     kMaybe, false},
    {"D", 1, "bind parameters", Code::kSql, false, Code::kSql, kNo, false},
    {"ABC", 25, "column index out of range", Code::kSql, false, Code::kSql, kNo, false},
    {"AB", 1, "not an error", Code::kSql, false, Code::kSql, kNo, false},
    {"ABC", 1, "barrier error", Code::kSessionLost, true, Code::kSessionLost, kNo, true},
    {"ABCD", 0, "empty statement", Code::kSql, false, Code::kSql, kNo, false},
    {"ABC", 4, "abort", Code::kLeadershipLost, true, Code::kLeadershipLost, kMaybe, true},
    {"ABCD", 5, "database is locked", Code::kBusy, false, Code::kBusy, kNo, false},
    {"ABCD", 517, "database is locked", Code::kBusySnapshot, false, Code::kBusySnapshot, kNo,
     false},
    {"D", 5, "checkpoint in progress", Code::kBusy, false, Code::kBusy, kNo, false},
    {"ABC", 7, "no more rows available", Code::kNotLeader, true, Code::kNotLeader, kNo, true},
    {"ABC", 7, "not an error", Code::kNotLeader, true, Code::kNotLeader, kNo, true},
    {"ABCD", 7, "out of memory", Code::kSql, false, Code::kSql, kNo, false},
    {"D", 7, "stale", Code::kSql, false, Code::kSql, kNo, false},
    {"ABCD", 8, "attempt to write a readonly database", Code::kSql, false, Code::kSql, kNo, false},
    {"D", 9, "interrupted", Code::kSessionLost, true, Code::kSessionLost, kNo, true},
    {"D", 10, "leader exec failed", Code::kSessionLost, true, Code::kLeadershipLost, kMaybe, true},
    {"ABC", 10, "disk I/O error", Code::kSql, false, Code::kLeadershipLost, kMaybe, true},
    {"ABC", 778, "disk I/O error", Code::kSql, false, Code::kLeadershipLost, kMaybe, true},
    {"ABCD", 12, "no database opened", Code::kSessionLost, true, Code::kSessionLost, kNo, true},
    {"ABCD", 12, "no statement with the given id", Code::kSessionLost, true, Code::kSessionLost,
     kNo, true},
    {"ABCD", 13, "database or disk is full", Code::kSql, false, Code::kSql, kNo, false},
    {"ABCD", 18, "string or blob too big", Code::kSql, false, Code::kSql, kNo, false},
    {"ABCD", 19, "constraint failed", Code::kConstraint, false, Code::kConstraint, kNo, false},
    {"ABCD", 787, "FOREIGN KEY", Code::kConstraint, false, Code::kConstraint, kNo, false},
    {"ABCD", 1299, "NOT NULL", Code::kConstraint, false, Code::kConstraint, kNo, false},
    {"ABCD", 1555, "UNIQUE", Code::kConstraint, false, Code::kConstraint, kNo, false},
    {"ABC", 1811, "RAISE", Code::kConstraint, false, Code::kConstraint, kMaybe, false},
    {"D", 1811, "RAISE", Code::kConstraint, false, Code::kConstraint, kNo, false},
    {"ABCD", 2067, "UNIQUE", Code::kConstraint, false, Code::kConstraint, kNo, false},
    {"D", 23, "not authorized", Code::kSql, false, Code::kSql, kNo, false},
    {"D", 1002, "database does not exists", Code::kServer, false, Code::kServer, kNo, false},
    {"ABCD", 1005, "unrecognized request type", Code::kServer, false, Code::kServer, kNo, false},
    {"ABCD", 10250, "not leader", Code::kNotLeader, true, Code::kNotLeader, kNo, true},
    {"A", 8202, "not leader", Code::kNotLeader, true, Code::kNotLeader, kNo, true},
    {"D", 10506, "leadership lost", Code::kLeadershipLost, true, Code::kLeadershipLost, kMaybe,
     true},
    {"ABC", 10506, "disk I/O error", Code::kLeadershipLost, true, Code::kLeadershipLost, kMaybe,
     true},
    {"ABC", 10506, "barrier error", Code::kSessionLost, true, Code::kSessionLost, kNo, true},
    {"A", 8458, "leadership lost", Code::kLeadershipLost, true, Code::kLeadershipLost, kMaybe,
     true},
};

Era EraOf(char letter) { return static_cast<Era>(letter - 'A' + 1); }

TEST(SessionClassify, EveryRowForReadsAndWrites) {
  for (const Row& row : kRows) {
    for (const char* letter = row.eras; *letter != 0; ++letter) {
      SCOPED_TRACE(std::string(letter, 1) + " " + std::to_string(row.code) + " " + row.text);
      FailureContext context;
      context.era = EraOf(*letter);
      context.node = "n1:9001";
      context.request = "EXEC_SQL";
      const Failure read = Classify(row.code, row.text, context);
      EXPECT_EQ(read.status.code(), row.read_code);
      EXPECT_EQ(read.status.info()->outcome, kNo);
      EXPECT_EQ(read.session_lost, row.read_lost);
      context.effect = true;
      const Failure write = Classify(row.code, row.text, context);
      EXPECT_EQ(write.status.code(), row.write_code);
      EXPECT_EQ(write.status.info()->outcome, row.write_outcome);
      EXPECT_EQ(write.session_lost, row.write_lost);
      EXPECT_EQ(write.status.info()->server_code, static_cast<int32_t>(row.code));
      EXPECT_EQ(write.status.info()->server_text, row.text);
      EXPECT_EQ(write.status.info()->node, "n1:9001");
      // Statements before the one that failed are done.
      context.single_statement = false;
      EXPECT_EQ(Classify(row.code, row.text, context).status.info()->outcome, kMaybe);
      // Requests about the cluster have no session to lose, and no statement.
      context.single_statement = true;
      context.administrative = true;
      const Failure admin = Classify(row.code, row.text, context);
      EXPECT_FALSE(admin.session_lost);
      EXPECT_NE(admin.status.code(), Code::kSql);
    }
  }
}

TEST(SessionClassify, OddCodesAndTexts) {
  FailureContext context;
  EXPECT_EQ(Classify(UINT64_MAX, "", context).status.code(), Code::kSql);
  EXPECT_EQ(Classify(UINT64_MAX, "", context).status.info()->server_code, INT32_MAX);
  context.era = Era::kD;
  context.single_statement = false;
  EXPECT_EQ(Classify(1, "nonempty statement tail", context).status.code(), Code::kSql);
  context.administrative = true;
  EXPECT_EQ(Classify(5, "a configuration change is already in progress", context).status.code(),
            Code::kBusy);
}

TEST(SessionSafety, ErasByTheirProbes) {
  EXPECT_EQ(EraOfProbes(12, 12), Era::kA);
  EXPECT_EQ(EraOfProbes(10250, 12), Era::kA);
  EXPECT_EQ(EraOfProbes(1005, 1005), Era::kB);
  EXPECT_EQ(EraOfProbes(1005, 1), Era::kC);
  EXPECT_EQ(EraOfProbes(1, 1), Era::kD);
  EXPECT_EQ(EraOfProbes(1, 1005), Era::kUnknown);
  EXPECT_EQ(EraOfProbes(12, 1), Era::kUnknown);
  for (const char letter : {'A', 'B', 'C', 'D'}) EXPECT_EQ(EraLetter(EraOf(letter)), letter);
}

// Against sections 14 and 15.
TEST(SessionSafety, TheTable) {
  using enum Way;
  struct Line {
    Feature feature;
    std::array<Way, 4> ways;
  };
  const Line lines[] = {
      {Feature::kParamsV1, {kRefuse, kSend, kSend, kSend}},
      {Feature::kReturning, {kOwnTransaction, kOwnTransaction, kRefuse, kByQuery}},
      {Feature::kScriptTail, {kSplitLocally, kSplitLocally, kSend, kSend}},
      // C executes it (7.3); being ready for more costs nothing.
      {Feature::kQueryWithoutRows, {kFallBackToExec, kFallBackToExec, kFallBackToExec, kSend}},
      {Feature::kStreamSentinel, {kNotNeeded, kNeeded, kNeeded, kNotNeeded}},
      {Feature::kDrainBeforeClose, {kNotNeeded, kNotNeeded, kNotNeeded, kNeeded}},
      {Feature::kVacuum, {kRefuse, kRefuse, kRefuse, kSend}},
      {Feature::kAttach, {kRefuse, kRefuse, kRefuse, kRefuse}},
      {Feature::kPragmaFormat, {kRefuse, kRefuse, kRefuse, kRefuse}},
      {Feature::kPragmaCheckpoint, {kRefuse, kRefuse, kRefuse, kRefuse}},
      {Feature::kDeleteDatabase, {kRefuse, kRefuse, kRefuse, kOwnTransactionByExec}},
      {Feature::kGrowBuffer, {kNeeded, kNeeded, kNeeded, kNeeded}},
      {Feature::kOptimize, {kOwnTransaction, kOwnTransaction, kOwnTransaction, kLockedTransaction}},
      {Feature::kOrFail, {kSend, kSend, kSend, kOwnTransaction}},
      {Feature::kMakesFail, {kSend, kSend, kSend, kRefuse}},
      {Feature::kIncrementalVacuum, {kRefuse, kRefuse, kRefuse, kSend}},
  };
  ASSERT_EQ(std::size(lines), kFeatureCount);
  for (const Line& line : lines) {
    for (size_t i = 0; i < 4; ++i) {
      const Era era = static_cast<Era>(i + 1);
      EXPECT_EQ(WayOf(line.feature, era), line.ways[i])
          << static_cast<int>(line.feature) << " " << EraLetter(era);
      if (line.ways[i] != kRefuse) continue;
      const Status refusal = Refusal(line.feature, era);
      EXPECT_EQ(refusal.code(), Code::kUnsupported);
      EXPECT_EQ(refusal.info()->outcome, kNo);
      EXPECT_THAT(std::string(refusal.message()), testing::HasSubstr(EraReleases(era)));
      EXPECT_THAT(std::string(refusal.message()), testing::HasSubstr("instead, "));
    }
  }
  EXPECT_EQ(WayOf(Feature::kStreamSentinel, Era::kUnknown), kNeeded);
}

TEST(SessionSafety, RefusedBeforeAByteIsSent) {
  struct Case {
    const char* sql;
    const char* eras;                // that refuse
    const char* prepared = nullptr;  // and prepared, also by a script; null: the same
  };
  const Case cases[] = {
      {"INSERT INTO t VALUES (1) RETURNING id", "C"},
      {"WITH x AS (SELECT 1) DELETE FROM t RETURNING id", "C"},
      {"VACUUM", "ABC"},
      {"ATTACH 'x' AS y", "ABCD"},
      {"DETACH y", "ABCD"},
      {"PRAGMA journal_mode = DELETE", "ABCD"},
      {"PRAGMA page_size(512)", "ABCD"},
      {"EXPLAIN PRAGMA journal_mode = DELETE", "ABCD"},
      {"PRAGMA main.wal_checkpoint(TRUNCATE)", "ABCD"},
      {"PRAGMA hard_heap_limit = 1", "ABCD"},
      {"PRAGMA count_changes = 1", "ABCD"},
      {"EXPLAIN PRAGMA main.count_changes(on)", "ABCD"},
      {"PRAGMA count_changes", ""},
      {"PRAGMA delete_database", "ABC", "ABCD"},
      {"EXPLAIN PRAGMA delete_database", "ABCD"},
      {"PRAGMA incremental_vacuum(3)", "ABC"},
      {"EXPLAIN PRAGMA main.incremental_vacuum", "ABC"},
      {"CREATE TABLE u(x UNIQUE ON CONFLICT FAIL)", "D"},
      {"PRAGMA foreign_keys", ""},
      {"SELECT 'RETURNING'", ""},
  };
  for (const mock::Era era : kEras) {
    for (const Case& c : cases) {
      const char letter = static_cast<char>('A' + static_cast<int>(era));
      for (const OpKind kind : {OpKind::kStatement, OpKind::kScript, OpKind::kPrepare}) {
        Ready rig(era);
        const Op op = rig.Submit(kind == OpKind::kStatement ? Sql(c.sql)
                                 : kind == OpKind::kScript  ? Script(c.sql)
                                                            : Prepare(c.sql));
        const bool prepared = op->kind != OpKind::kStatement && c.prepared != nullptr;
        const char* const eras = prepared ? c.prepared : c.eras;
        const bool refused = std::string(eras).find(letter) != std::string::npos;
        EXPECT_TRUE(rig.last.ok());
        rig.Flow();
        EXPECT_EQ(op->done, 1);
        EXPECT_EQ(op->code() == Code::kUnsupported, refused) << letter << c.sql;
        EXPECT_EQ(rig.Sent().empty(), refused) << letter << c.sql;
        EXPECT_TRUE(rig.session->idle());
        EXPECT_THAT(rig.node.violations(), testing::IsEmpty());
      }
    }
  }
}

TEST(SessionSafety, ManyParameters) {
  for (const int count : {255, 256, 300}) {
    std::string sql = "INSERT INTO t VALUES (?";
    mock::Row params(1, 1);
    for (int i = 1; i < count; ++i) sql += ",?", params.push_back(i);
    sql += ")";
    for (const mock::Era era : kEras) {
      Ready rig(era);
      const bool refused = era == mock::Era::kA && count > 255;
      const Op op = rig.Submit(sql, params);
      rig.Flow();
      EXPECT_EQ(op->status.ok(), !refused) << count;
      EXPECT_EQ(rig.Sent().empty(), refused) << count;
      EXPECT_THAT(rig.node.violations(), testing::IsEmpty());
    }
  }
}

TEST(SessionSafety, DeleteDatabaseGoesByExecInATransaction) {
  Ready rig(mock::Era::kD);
  rig.Submit("PRAGMA delete_database");
  rig.Flow();
  EXPECT_THAT(rig.Sent(), testing::ElementsAre("ExecSql BEGIN IMMEDIATE",
                                               "ExecSql PRAGMA delete_database", "ExecSql COMMIT"));
}

// ROLLBACK does not bring the database back: from the PRAGMA on nothing is "not executed", and a
// COMMIT that meets a checkpoint is sent again.
TEST(SessionSafety, DeleteDatabaseIsDoneBeforeItsCommit) {
  Ready busy(mock::Era::kD);
  busy.node.On(Match().Sql("COMMIT").First(3), Do().Failure(5, "checkpoint in progress"));
  const Op done = busy.Submit("PRAGMA delete_database");
  busy.Flow();
  EXPECT_TRUE(done->status.ok()) << done->status.message();
  EXPECT_EQ(busy.Sent().size(), 6u);
  EXPECT_EQ(busy.Sent().back(), "ExecSql COMMIT");

  Ready late(mock::Era::kD);
  late.node.On(Match().Sql("PRAGMA"), Do().Failure(5, "checkpoint in progress"));
  late.node.On(Match().Sql("ROLLBACK").First(2), Do().Failure(5, "checkpoint in progress"));
  const Op nothing = late.Submit("PRAGMA delete_database");
  late.Flow();
  EXPECT_EQ(nothing->code(), Code::kBusy);
  EXPECT_EQ(nothing->outcome(), Outcome::kNotExecuted);
  EXPECT_EQ(late.Sent().size(), 5u);
  EXPECT_EQ(late.session->transaction(), TxState::kNone);

  Ready refused(mock::Era::kD);
  refused.node.On(Match().Sql("COMMIT"), Do().Failure(10250, "not leader"));
  const Op doubtful = refused.Submit("PRAGMA delete_database");
  refused.Flow();
  EXPECT_EQ(doubtful->code(), Code::kNotLeader);
  EXPECT_EQ(doubtful->outcome(), Outcome::kMaybeExecuted);

  for (const char* step : {"BEGIN", "PRAGMA", "COMMIT"}) {
    Ready cut(mock::Era::kD);
    cut.node.On(Match().Sql(step), Do().Close());
    const Op op = cut.Submit("PRAGMA delete_database");
    cut.Flow();
    EXPECT_EQ(op->code(), Code::kNetwork);
    EXPECT_EQ(op->outcome() == Outcome::kNotExecuted, *step == 'B') << step;
  }
}

// A checkpoint refuses COMMIT and ROLLBACK alike, and leaves the transaction as it is.
TEST(SessionSafety, ACheckpointDoesNotLeaveOurTransactionOpen) {
  const auto busy = Do().Failure(5, "checkpoint in progress");
  Ready committed(mock::Era::kD);
  committed.node.On(Match(RequestType::kExecSql).Sql("COMMIT").First(2), Do(busy));
  const Op deleted = committed.Submit("PRAGMA delete_database");
  committed.Flow();
  EXPECT_TRUE(deleted->status.ok()) << deleted->Story();
  EXPECT_EQ(committed.session->transaction(), TxState::kNone);
  EXPECT_THAT(committed.Sent(),
              testing::ElementsAre("ExecSql BEGIN IMMEDIATE", "ExecSql PRAGMA delete_database",
                                   "ExecSql COMMIT", "ExecSql COMMIT", "ExecSql COMMIT"));

  Ready undone(mock::Era::kA);
  undone.node.On(Match(RequestType::kQuerySql), Do().Failure(1, "no such table: t"));
  undone.node.On(Match(RequestType::kExecSql).Sql("ROLLBACK").First(2), Do(busy));
  const Op failed = undone.Submit("DELETE FROM t RETURNING id");
  undone.Flow();
  EXPECT_EQ(failed->code(), Code::kSql);
  EXPECT_EQ(failed->outcome(), Outcome::kNotExecuted);
  EXPECT_EQ(undone.session->transaction(), TxState::kNone);
}

// Servers delete the database at the ROLLBACK too, and only on the leader: once the PRAGMA was sent
// there is no way but COMMIT.
TEST(SessionSafety, DeleteDatabaseGoesForwardOnceItWasSent) {
  for (const int step : {0, 1, 2, 3}) {  // cancelled: PRAGMA unsent, sent; COMMIT unsent, refused
    SCOPED_TRACE(step);
    Ready rig(mock::Era::kD);
    rig.node.On(Match(RequestType::kExecSql).Sql("COMMIT").First(step == 3 ? 1 : 0),
                Do().Failure(5, "checkpoint in progress"));
    const Op op = rig.Submit("PRAGMA delete_database");
    rig.SendAll();
    rig.FeedOnce();  // of BEGIN
    if (step > 0) rig.SendAll();
    if (step > 1) rig.FeedOnce();
    if (step > 2) rig.SendAll();
    rig.session->Cancel(op->id, rig.now);
    EXPECT_EQ(op->code(), Code::kCancelled);
    EXPECT_EQ(op->outcome(), step == 0 ? Outcome::kNotExecuted : Outcome::kMaybeExecuted);
    rig.Flow();
    EXPECT_EQ(rig.Sent(Match(RequestType::kExecSql).Sql("PRAGMA")).size(), step == 0 ? 0u : 1u);
    EXPECT_EQ(rig.Sent(Match(RequestType::kExecSql).Sql("ROLLBACK")).size(), step == 0 ? 1u : 0u);
    EXPECT_EQ(rig.Sent().back(), step == 0 ? "ExecSql ROLLBACK" : "ExecSql COMMIT");
    EXPECT_EQ(rig.session->transaction(), TxState::kNone);
    EXPECT_EQ(rig.session->state(), State::kReady);
  }
}

TEST(SessionSafety, DeleteDatabaseWithoutItsCommitIsInDoubt) {
  for (const bool cut : {false, true}) {
    Ready rig(mock::Era::kD);
    rig.node.On(Match(RequestType::kExecSql).Sql("COMMIT"),
                cut ? Do().Close() : Do().Failure(1, "something is wrong"));
    const Op op = rig.Submit("PRAGMA delete_database");
    rig.SendAll();
    rig.FeedOnce();
    rig.SendAll();
    if (cut) {
      rig.session->Fail(Status::Make(Code::kNetwork, "cut"));
    } else {
      rig.Flow();
    }
    EXPECT_EQ(op->outcome(), Outcome::kMaybeExecuted) << op->Story();
  }
}

TEST(SessionSafety, NothingThatNeedsTheEraLeavesBeforeItIsKnown) {
  for (const char* sql : {"DELETE FROM t RETURNING id", "VACUUM", "PRAGMA foreign_keys"}) {
    Rig rig(mock::Era::kA);
    rig.Dial();
    rig.Submit(sql);
    rig.Submit(Prepare("PRAGMA journal_mode = DELETE"));
    const Op after = rig.Submit("SELECT 1");
    rig.session->TransportReady(rig.now);
    rig.SendAll();
    EXPECT_THAT(rig.Sent(), testing::IsEmpty());
    rig.Flow();
    EXPECT_TRUE(after->status.ok());
  }
}

}  // namespace
}  // namespace dqc::session::test
