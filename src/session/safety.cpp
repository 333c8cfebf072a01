/* SPDX-License-Identifier: MIT */
#include "session/safety.hpp"

#include <array>
#include <string>

namespace dqc::session {

namespace {

struct Rule {
  Feature feature;
  Way unknown, a, b, c, d;
  const char* what;  // completes "<what> is refused: …"
  const char* why;
  const char* way_round;
};

using enum Way;

constexpr std::array<Rule, kFeatureCount> kRules = {{
    {Feature::kParamsV1, kSend, kRefuse, kSend, kSend, kSend,
     "a statement with more than 255 parameters", "this server would run it with NULLs",
     "split it into statements with at most 255 parameters each"},
    {Feature::kReturning, kSend, kOwnTransaction, kOwnTransaction, kRefuse, kByQuery, "RETURNING",
     "this server would apply the change without replicating it and then abort",
     "run the statement without RETURNING, then SELECT what it changed in the same transaction"},
    {Feature::kScriptTail, kSplitLocally, kSplitLocally, kSplitLocally, kSend, kSend, "", "", ""},
    {Feature::kQueryWithoutRows, kSend, kFallBackToExec, kFallBackToExec, kFallBackToExec, kSend,
     "", "", ""},
    {Feature::kStreamSentinel, kNeeded, kNotNeeded, kNeeded, kNeeded, kNotNeeded, "", "", ""},
    {Feature::kDrainBeforeClose, kNotNeeded, kNotNeeded, kNotNeeded, kNotNeeded, kNeeded, "", "",
     ""},
    {Feature::kVacuum, kSend, kRefuse, kRefuse, kRefuse, kSend, "VACUUM",
     "this server cannot run it, or crashes when somebody else writes meanwhile",
     "upgrade to dqlite 1.18.2 or later, or rebuild the database from a dump"},
    {Feature::kAttach, kRefuse, kRefuse, kRefuse, kRefuse, kRefuse, "ATTACH or DETACH",
     "a dqlite session has one database; what an attached one holds is not replicated",
     "open a second connection for the other database"},
    {Feature::kPragmaFormat, kRefuse, kRefuse, kRefuse, kRefuse, kRefuse, "setting this PRAGMA",
     "it is the server's own, and some releases abort or stop working when it is set",
     "leave it as it is"},
    {Feature::kPragmaCheckpoint, kSend, kRefuse, kRefuse, kRefuse, kRefuse, "PRAGMA wal_checkpoint",
     "check-pointing is the server's own business", "leave it to the server"},
    {Feature::kDeleteDatabase, kSend, kRefuse, kRefuse, kRefuse, kOwnTransactionByExec,
     "PRAGMA delete_database", "this server does not know it",
     "drop the tables, or upgrade to dqlite 1.18.3 or later"},
    {Feature::kGrowBuffer, kNeeded, kNeeded, kNeeded, kNeeded, kNeeded, "", "", ""},
    {Feature::kOptimize, kSend, kOwnTransaction, kOwnTransaction, kOwnTransaction,
     kLockedTransaction, "PRAGMA optimize, or a SELECT that optimizes, behind a BEGIN of yours",
     "it would take the write lock unnoticed, and the server abort at the COMMIT",
     "begin with BEGIN IMMEDIATE, or run it outside of the transaction"},
    {Feature::kOrFail, kSend, kSend, kSend, kSend, kOwnTransaction, "", "", ""},
    {Feature::kMakesFail, kSend, kSend, kSend, kSend, kRefuse, "a schema with conflict policy FAIL",
     "behind such a failure this server would keep the rows before it, not replicate them, and "
     "abort",
     "use ABORT, or say INSERT OR FAIL where it is wanted"},
    {Feature::kIncrementalVacuum, kSend, kRefuse, kRefuse, kRefuse, kSend,
     "PRAGMA incremental_vacuum", "this server would abort",
     "upgrade to dqlite 1.18.2 or later, or rebuild the database from a dump"},
}};

constexpr bool RulesInOrder() {
  for (size_t i = 0; i < kRules.size(); ++i) {
    if (kRules[i].feature != static_cast<Feature>(i)) return false;
  }
  return true;
}
static_assert(RulesInOrder());

}  // namespace

char EraLetter(Era era) {
  return era == Era::kUnknown ? '\0' : static_cast<char>('A' + static_cast<int>(era) - 1);
}

const char* EraReleases(Era era) {
  switch (era) {
    case Era::kA:
      return "dqlite up to 1.11.1";
    case Era::kB:
      return "dqlite 1.12 to 1.14";
    case Era::kC:
      return "dqlite 1.15 to 1.18.1";
    case Era::kD:
      return "dqlite 1.18.2 or later";
    case Era::kUnknown:
      break;
  }
  return "dqlite of unknown version";
}

Era EraOfProbes(uint64_t exec_code, uint64_t prepare_code) {
  if ((exec_code == 12 || exec_code == 10250) && prepare_code == 12) return Era::kA;
  if (exec_code == 1005 && prepare_code == 1005) return Era::kB;
  if (exec_code == 1005 && prepare_code == 1) return Era::kC;
  if (exec_code == 1 && prepare_code == 1) return Era::kD;
  return Era::kUnknown;
}

Way WayOf(Feature feature, Era era) {
  const Rule& rule = kRules[static_cast<size_t>(feature)];
  switch (era) {
    case Era::kA:
      return rule.a;
    case Era::kB:
      return rule.b;
    case Era::kC:
      return rule.c;
    case Era::kD:
      return rule.d;
    case Era::kUnknown:
      break;
  }
  return rule.unknown;
}

Status Refusal(Feature feature, Era era) {
  const Rule& rule = kRules[static_cast<size_t>(feature)];
  std::string message = rule.what;
  message += " is refused on this server";
  if (era != Era::kUnknown) {
    message += " (era ";
    message += EraLetter(era);
    message += ", ";
    message += EraReleases(era);
    message += ")";
  }
  message += ": ";
  message += rule.why;
  message += "; instead, ";
  message += rule.way_round;
  return Status::Make(Code::kUnsupported, message).With(Phase::kRequest);
}

Needs NeedsOf(const sql::Statement& statement, uint64_t param_count) {
  Needs needs;
  if (param_count > 255) needs.Add(Feature::kParamsV1);
  if (statement.dml() && statement.on_conflict == sql::OnConflict::kFail)
    needs.Add(Feature::kOrFail);
  if (statement.returning) {
    needs.Add(Feature::kReturning);
    return needs;
  }
  switch (statement.kind) {
    case sql::Kind::kVacuum:
      needs.Add(Feature::kVacuum);
      break;
    case sql::Kind::kAttach:
      needs.Add(Feature::kAttach);
      break;
    case sql::Kind::kExplain:  // some PRAGMAs act when they are prepared
    case sql::Kind::kPragma: {
      const auto is = [&](std::string_view name) {
        return sql::EqualsIgnoreCase(statement.pragma_name, name);
      };
      const bool format = is("journal_mode") || is("page_size") || is("synchronous") ||
                          is("wal_autocheckpoint") || is("locking_mode") || is("hard_heap_limit") ||
                          is("count_changes");
      if (statement.pragma_sets && format) needs.Add(Feature::kPragmaFormat);
      if (is("wal_checkpoint")) needs.Add(Feature::kPragmaCheckpoint);
      if (is("incremental_vacuum")) needs.Add(Feature::kIncrementalVacuum);
      if (is("delete_database")) needs.Add(Feature::kDeleteDatabase);
      if (is("optimize") && statement.kind == sql::Kind::kPragma) needs.Add(Feature::kOptimize);
      break;
    }
    case sql::Kind::kSelect:
      if (statement.optimizes) needs.Add(Feature::kOptimize);
      break;
    default:
      if (statement.makes_fail) needs.Add(Feature::kMakesFail);
      break;
  }
  return needs;
}

Status MayRunInside(const sql::Statement& statement, Era era, bool locked) {
  const Needs needs = NeedsOf(statement, 0);
  for (uint8_t i = 0; i < needs.count; ++i) {
    const Way way = WayOf(needs.features[i], era);
    if (way == kLockedTransaction && !locked) return Refusal(needs.features[i], era);
    if (way != kOwnTransactionByExec) continue;
    return Status::Make(Code::kUnsupported,
                        "PRAGMA delete_database is refused inside a transaction: ROLLBACK would "
                        "not undo it; instead, run it by itself")
        .With(Phase::kRequest);
  }
  return {};
}

Status MayPrepare(const sql::Statement& statement, Era era) {
  const Needs needs = NeedsOf(statement, 0);
  for (uint8_t i = 0; i < needs.count; ++i) {
    const Way way = WayOf(needs.features[i], era);
    if (way == kRefuse) return Refusal(needs.features[i], era);
    if (way != kOwnTransactionByExec) continue;
    return Status::Make(Code::kUnsupported,
                        "PRAGMA delete_database acts when it is prepared, so it is refused in "
                        "scripts, EXPLAIN and prepared statements; instead, run it by exec")
        .With(Phase::kRequest);
  }
  return {};
}

}  // namespace dqc::session
