/* SPDX-License-Identifier: MIT */
#include "base/status.hpp"

#include <new>

namespace dqc {

const char* CodeName(Code code) {
  switch (code) {
    case Code::kOk:
      return "ok";
    case Code::kNoMemory:
      return "out of memory";
    case Code::kMisuse:
      return "misuse";
    case Code::kClosed:
      return "closed";
    case Code::kForked:
      return "used after fork";
    case Code::kCancelled:
      return "cancelled";
    case Code::kTimeout:
      return "timeout";
    case Code::kLimit:
      return "limit exceeded";
    case Code::kUnsupported:
      return "not supported by this server";
    case Code::kInternal:
      return "internal error";
    case Code::kConfig:
      return "bad configuration";
    case Code::kParams:
      return "parameter mismatch";
    case Code::kResolve:
      return "name resolution failed";
    case Code::kConnect:
      return "connect failed";
    case Code::kNetwork:
      return "connection lost";
    case Code::kTls:
      return "TLS failure";
    case Code::kProtocol:
      return "protocol violation";
    case Code::kSql:
      return "SQL error";
    case Code::kConstraint:
      return "constraint failed";
    case Code::kBusy:
      return "database is busy";
    case Code::kBusySnapshot:
      return "snapshot is stale";
    case Code::kNotLeader:
      return "not leader";
    case Code::kLeadershipLost:
      return "leadership lost";
    case Code::kSessionLost:
      return "session lost";
    case Code::kServer:
      return "server error";
  }
  return "unknown error";
}

ErrorClass ClassOf(Code code) {
  switch (code) {
    case Code::kOk:
      return ErrorClass::kNone;
    case Code::kMisuse:
    case Code::kForked:
    case Code::kUnsupported:
    case Code::kConfig:
    case Code::kParams:
      return ErrorClass::kMisuse;
    case Code::kCancelled:
      return ErrorClass::kCancelled;
    case Code::kTimeout:
      return ErrorClass::kTimeout;
    case Code::kNoMemory:
    case Code::kLimit:
      return ErrorClass::kLimit;
    case Code::kClosed:
    case Code::kResolve:
    case Code::kConnect:
    case Code::kNetwork:
    case Code::kTls:
      return ErrorClass::kNetwork;
    case Code::kInternal:  // like a violation of the protocol: a bug, on this side
    case Code::kProtocol:
      return ErrorClass::kProtocol;
    case Code::kSql:
      return ErrorClass::kSql;
    case Code::kConstraint:
      return ErrorClass::kConstraint;
    case Code::kBusy:
    case Code::kBusySnapshot:
      return ErrorClass::kBusy;
    case Code::kNotLeader:
    case Code::kLeadershipLost:
    case Code::kSessionLost:
      return ErrorClass::kLeadership;
    case Code::kServer:
      return ErrorClass::kServer;
  }
  // Of a later version, or of the application's own making.
  return static_cast<int32_t>(code) > 0 ? ErrorClass::kNone : ErrorClass::kProtocol;
}

ErrorInfo::ErrorInfo(const ErrorInfo& other)
    : code(other.code),
      outcome(other.outcome),
      phase(other.phase),
      server_code(other.server_code),
      sql_offset(other.sql_offset),
      message(other.message),
      line(other.line),
      server_text(other.server_text),
      node(other.node),
      attempts(other.attempts) {}

const char* PhaseName(Phase phase) {
  switch (phase) {
    case Phase::kNone:
      break;
    case Phase::kConfig:
      return "configuration";
    case Phase::kResolve:
      return "resolve";
    case Phase::kConnect:
      return "connect";
    case Phase::kTls:
      return "tls";
    case Phase::kHandshake:
      return "handshake";
    case Phase::kOpen:
      return "open";
    case Phase::kRequest:
      return "request";
    case Phase::kResult:
      return "result";
    case Phase::kClose:
      return "close";
    case Phase::kLeader:
      return "leader";
  }
  return "none";
}

Retry ErrorInfo::retry() const {
  if (outcome == Outcome::kMaybeExecuted) return Retry::kUnknown;
  if (outcome == Outcome::kExecuted) return Retry::kNever;
  switch (code) {
    case Code::kNoMemory:
    case Code::kTimeout:
    case Code::kResolve:
    case Code::kConnect:
    case Code::kNetwork:
    case Code::kBusy:
    case Code::kBusySnapshot:
    case Code::kNotLeader:
    case Code::kLeadershipLost:
    case Code::kSessionLost:
      return Retry::kSafe;
    default:
      return Retry::kNever;
  }
}

namespace {

// Immortal: recognised by address, so that it can be reported when nothing can be allocated.
alignas(ErrorInfo) unsigned char oom_storage[3][sizeof(ErrorInfo)];

bool IsStatic(const ErrorInfo* info) {
  const auto* at = reinterpret_cast<const unsigned char*>(info);
  return at >= reinterpret_cast<const unsigned char*>(oom_storage) &&
         at < reinterpret_cast<const unsigned char*>(oom_storage + 3);
}

}  // namespace

const ErrorInfo* ErrorInfo::OutOfMemory(Outcome outcome) {
  static const bool made = [] {
    for (int i = 0; i < 3; ++i) {
      auto* info = new (oom_storage[i]) ErrorInfo();
      info->code = Code::kNoMemory;
      info->outcome = static_cast<Outcome>(i);
      info->message = info->line = "out of memory";  // fits the small-string buffer: no allocation
    }
    return true;
  }();
  (void)made;
  return reinterpret_cast<const ErrorInfo*>(oom_storage[static_cast<int>(outcome)]);
}

void ErrorInfo::Retain() const {
  if (!IsStatic(this)) refs.fetch_add(1, std::memory_order_relaxed);
}

void ErrorInfo::Release() const {
  if (IsStatic(this)) return;
  if (refs.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
}

Status Status::Make(Code code, std::string_view message) noexcept {
  try {
    ErrorInfo info;
    info.code = code;
    info.message = message;
    return Make(info);
  } catch (const std::bad_alloc&) {
    return OutOfMemory();
  }
}

namespace {

const char* OutcomePhrase(const ErrorInfo& info) {
  if (info.phase != Phase::kRequest && info.phase != Phase::kResult) return "";
  switch (info.outcome) {
    case Outcome::kMaybeExecuted:
      return "; perhaps executed: read back before trying again";
    case Outcome::kExecuted:
      return "; executed";
    case Outcome::kNotExecuted:
      break;
  }
  return info.retry() == Retry::kSafe ? "; not executed, safe to retry" : "; not executed";
}

}  // namespace

Status Status::Make(ErrorInfo info) noexcept {
  try {
    info.line = info.message + OutcomePhrase(info);
    return Status(new ErrorInfo(info));
  } catch (const std::bad_alloc&) {
    return OutOfMemory(info.outcome);
  }
}

namespace {

template <typename Change>
Status Changed(const Status& from, Change change) noexcept {
  if (from.ok()) return from;
  try {
    ErrorInfo copy(*from.info());
    change(copy);
    return Status::Make(copy);
  } catch (const std::bad_alloc&) {
    return Status::OutOfMemory(from.info()->outcome);
  }
}

}  // namespace

Status Status::With(Outcome outcome) const noexcept {
  if (code() == Code::kNoMemory) return OutOfMemory(outcome);
  if (!ok() && info_->outcome == outcome) return *this;
  Status changed = Changed(*this, [&](ErrorInfo& e) { e.outcome = outcome; });
  return changed.code() == Code::kNoMemory ? OutOfMemory(outcome) : changed;
}
Status Status::With(Phase phase) const noexcept {
  return Changed(*this, [&](ErrorInfo& e) { e.phase = phase; });
}
Status Status::WithNode(std::string_view node) const noexcept {
  return Changed(*this, [&](ErrorInfo& e) { e.node = node; });
}
Status Status::WithSqlOffset(int64_t offset) const noexcept {
  return Changed(*this, [&](ErrorInfo& e) { e.sql_offset = offset; });
}

}  // namespace dqc
