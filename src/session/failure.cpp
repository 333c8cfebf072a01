/* SPDX-License-Identifier: MIT */
#include "session/failure.hpp"

#include <string>

namespace dqc::session {

namespace {

struct Verdict {
  Code code = Code::kSql;
  Outcome outcome = Outcome::kNotExecuted;
  bool session_lost = false;
};

Verdict NotLeader() { return {Code::kNotLeader, Outcome::kNotExecuted, true}; }
Verdict SessionLost() { return {Code::kSessionLost, Outcome::kNotExecuted, true}; }

// The request was with the cluster when the node failed: a write may be applied or not.
Verdict InDoubt(const FailureContext& c) {
  return {Code::kLeadershipLost, c.effect ? Outcome::kMaybeExecuted : Outcome::kNotExecuted, true};
}

Verdict IoError(std::string_view text, const FailureContext& c) {
  if (c.effect) return InDoubt(c);
  // Era D's catch-all for a read that lost its leader; else a plain refusal of B or C.
  return text == "leader exec failed" ? SessionLost() : Verdict{};
}

// A write by EXEC that yielded a row: done in part, or whole (section 7.4).
Verdict YieldedRow(const FailureContext& c) {
  return {Code::kSql, c.effect ? Outcome::kMaybeExecuted : Outcome::kNotExecuted, false};
}

// What was changed before the failure is undone, but for policy FAIL: that of the statement, or of a
// trigger, whose RAISE does not tell; on era D there is none. (Not seen: that of a table's own
// constraint.)
Verdict Constraint(uint64_t code, const FailureContext& c) {
  constexpr uint64_t kForeignKey = 787, kTrigger = 1811;
  const bool may_raise_fail = code == kTrigger && c.effect && c.era != Era::kD;
  const bool keeps = c.or_fail ? code != kForeignKey : may_raise_fail;
  return {Code::kConstraint, keeps ? Outcome::kMaybeExecuted : Outcome::kNotExecuted, false};
}

Verdict Judge(uint64_t code, std::string_view text, const FailureContext& c) {
  const bool old_server = c.era != Era::kD;  // A, B, C let raw Raft codes through
  switch (code) {
    case 10250:
    case 8202:
      return NotLeader();
    case 10506:
    case 8458:
      return text == "barrier error" ? SessionLost() : InDoubt(c);
    case 4:
      return InDoubt(c);
    case 5:
      return {Code::kBusy, Outcome::kNotExecuted, false};
    case 517:
      return {Code::kBusySnapshot, Outcome::kNotExecuted, false};
    case 7:
      return old_server && text != "out of memory" ? NotLeader() : Verdict{};
    case 9:
      return SessionLost();
    case 10:
    case 778:
      return IoError(text, c);
    case 12:
      return c.administrative ? Verdict{} : SessionLost();
    case 1:
      if (c.era == Era::kD && c.single_statement && text == "nonempty statement tail") {
        return {Code::kBusy, Outcome::kNotExecuted,
                false};  // what QUERY_SQL says when the write lock is taken
      }
      if (old_server && text == "barrier error") return SessionLost();
      if (!old_server && text.starts_with("rows yielded when none expected")) return YieldedRow(c);
      return {};
    case 100:
      return YieldedRow(c);
    case 1001:
    case 1002:
    case 1005:
      return {Code::kServer, Outcome::kNotExecuted, false};
    default:
      break;
  }
  if (code < 1000 * 1000 && (code & 0xff) == 19) return Constraint(code, c);
  return {};
}

}  // namespace

Failure Classify(uint64_t code, std::string_view text, const FailureContext& context) {
  Verdict verdict = Judge(code, text, context);
  if (context.administrative) {
    verdict.session_lost = false;
    if (verdict.code == Code::kSql) verdict.code = Code::kServer;  // there is no statement in it
  }
  // The statements before the one that failed have been executed, each by itself (section 7.2).
  if (!context.single_statement && context.effect) verdict.outcome = Outcome::kMaybeExecuted;

  ErrorInfo info;
  info.code = verdict.code;
  info.outcome = verdict.outcome;
  info.phase = context.phase;
  info.server_code = code <= INT32_MAX ? static_cast<int32_t>(code) : INT32_MAX;
  info.server_text = text;
  info.node = context.node;
  info.message = CodeName(verdict.code);
  info.message += ": node ";
  info.message += context.node;
  if (context.era != Era::kUnknown) {
    info.message += " (";
    info.message += EraReleases(context.era);
    info.message += ")";
  }
  info.message += " answered " + std::to_string(code) + " \"";
  info.message += text;
  info.message += "\" to ";
  info.message += context.request;
  return {Status::Make(info), verdict.session_lost};
}

}  // namespace dqc::session
