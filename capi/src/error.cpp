/* SPDX-License-Identifier: MIT */
#include <algorithm>
#include <cstring>

#include "base/status.hpp"
#include "dqclient/dqclient.h"

using dqc::Code;
using dqc::ErrorInfo;

static_assert(static_cast<int>(Code::kNoMemory) == DQC_E_NOMEM &&
              static_cast<int>(Code::kMisuse) == DQC_E_MISUSE &&
              static_cast<int>(Code::kClosed) == DQC_E_CLOSED &&
              static_cast<int>(Code::kForked) == DQC_E_FORKED &&
              static_cast<int>(Code::kCancelled) == DQC_E_CANCELLED &&
              static_cast<int>(Code::kTimeout) == DQC_E_TIMEOUT &&
              static_cast<int>(Code::kLimit) == DQC_E_LIMIT &&
              static_cast<int>(Code::kUnsupported) == DQC_E_UNSUPPORTED &&
              static_cast<int>(Code::kInternal) == DQC_E_INTERNAL &&
              static_cast<int>(Code::kConfig) == DQC_E_CONFIG &&
              static_cast<int>(Code::kParams) == DQC_E_PARAMS &&
              static_cast<int>(Code::kResolve) == DQC_E_RESOLVE &&
              static_cast<int>(Code::kConnect) == DQC_E_CONNECT &&
              static_cast<int>(Code::kNetwork) == DQC_E_NETWORK &&
              static_cast<int>(Code::kTls) == DQC_E_TLS &&
              static_cast<int>(Code::kProtocol) == DQC_E_PROTOCOL &&
              static_cast<int>(Code::kSql) == DQC_E_SQL &&
              static_cast<int>(Code::kConstraint) == DQC_E_CONSTRAINT &&
              static_cast<int>(Code::kBusy) == DQC_E_BUSY &&
              static_cast<int>(Code::kBusySnapshot) == DQC_E_BUSY_SNAPSHOT &&
              static_cast<int>(Code::kNotLeader) == DQC_E_NOT_LEADER &&
              static_cast<int>(Code::kLeadershipLost) == DQC_E_LEADERSHIP_LOST &&
              static_cast<int>(Code::kSessionLost) == DQC_E_SESSION_LOST &&
              static_cast<int>(Code::kServer) == DQC_E_SERVER);
static_assert(static_cast<int>(dqc::Phase::kLeader) == DQC_PHASE_LEADER &&
              static_cast<int>(dqc::Outcome::kMaybeExecuted) == DQC_OUTCOME_MAYBE_EXECUTED &&
              static_cast<int>(dqc::Retry::kUnknown) == DQC_RETRY_UNKNOWN);

using dqc::ErrorClass;
static_assert(static_cast<int>(ErrorClass::kNone) == DQC_CLASS_NONE &&
              static_cast<int>(ErrorClass::kMisuse) == DQC_CLASS_MISUSE &&
              static_cast<int>(ErrorClass::kCancelled) == DQC_CLASS_CANCELLED &&
              static_cast<int>(ErrorClass::kTimeout) == DQC_CLASS_TIMEOUT &&
              static_cast<int>(ErrorClass::kLimit) == DQC_CLASS_LIMIT &&
              static_cast<int>(ErrorClass::kNetwork) == DQC_CLASS_NETWORK &&
              static_cast<int>(ErrorClass::kProtocol) == DQC_CLASS_PROTOCOL &&
              static_cast<int>(ErrorClass::kSql) == DQC_CLASS_SQL &&
              static_cast<int>(ErrorClass::kConstraint) == DQC_CLASS_CONSTRAINT &&
              static_cast<int>(ErrorClass::kBusy) == DQC_CLASS_BUSY &&
              static_cast<int>(ErrorClass::kLeadership) == DQC_CLASS_LEADERSHIP &&
              static_cast<int>(ErrorClass::kServer) == DQC_CLASS_SERVER);

namespace {

const ErrorInfo* Info(const dqc_error* error) { return reinterpret_cast<const ErrorInfo*>(error); }

}  // namespace

extern "C" {

const char* dqc_status_name(dqc_status status) {
  if (status == DQC_ROW) return "row";
  if (status == DQC_END) return "end";
  if (status == DQC_AGAIN) return "again";
  return dqc::CodeName(static_cast<Code>(status));
}

int32_t dqc_status_class(dqc_status status) {
  return static_cast<int32_t>(dqc::ClassOf(static_cast<Code>(status)));
}

int32_t dqc_error_class(const dqc_error* error) { return dqc_status_class(dqc_error_code(error)); }

dqc_status dqc_error_code(const dqc_error* error) {
  return error == nullptr ? DQC_OK : static_cast<dqc_status>(Info(error)->code);
}

const char* dqc_error_message(const dqc_error* error) {
  return error == nullptr ? "" : Info(error)->line.c_str();
}

int32_t dqc_error_outcome(const dqc_error* error) {
  return error == nullptr ? DQC_OUTCOME_NOT_EXECUTED : static_cast<int32_t>(Info(error)->outcome);
}

int32_t dqc_error_retry(const dqc_error* error) {
  return error == nullptr ? DQC_RETRY_NEVER : static_cast<int32_t>(Info(error)->retry());
}

int32_t dqc_error_phase(const dqc_error* error) {
  return error == nullptr ? DQC_PHASE_NONE : static_cast<int32_t>(Info(error)->phase);
}

int32_t dqc_error_server_code(const dqc_error* error) {
  return error == nullptr ? 0 : Info(error)->server_code;
}

int32_t dqc_error_sqlite_code(const dqc_error* error) {
  const int32_t code = dqc_error_server_code(error);
  const bool of_dqlite =
      code >= 1000 && code <= 1023;  // its own numbers; they are not extended SQLite codes
  return of_dqlite ? 0 : code & 0xff;
}

const char* dqc_error_server_text(const dqc_error* error) {
  return error == nullptr ? "" : Info(error)->server_text.c_str();
}

const char* dqc_error_node(const dqc_error* error) {
  return error == nullptr ? "" : Info(error)->node.c_str();
}

int64_t dqc_error_sql_offset(const dqc_error* error) {
  return error == nullptr ? -1 : Info(error)->sql_offset;
}

size_t dqc_error_attempt_count(const dqc_error* error) {
  return error == nullptr ? 0 : Info(error)->attempts.size();
}

dqc_status dqc_error_attempt(const dqc_error* error, size_t index, dqc_attempt* out) {
  if (out == nullptr || out->struct_size < sizeof(uint32_t)) return DQC_E_MISUSE;
  const uint32_t size = out->struct_size;
  dqc_attempt row{};
  row.struct_size = size;
  const bool found = index < dqc_error_attempt_count(error);
  row.address = row.leader = row.cause = "";
  if (found) {
    const dqc::Attempt& from = Info(error)->attempts[index];
    row.phase = static_cast<int32_t>(from.phase);
    row.code = static_cast<dqc_status>(from.code);
    row.elapsed_us = from.elapsed_us;
    row.address = from.address.c_str();
    row.leader = from.leader.c_str();
    row.cause = from.cause.c_str();
  }
  std::memcpy(out, &row, std::min<size_t>(size, sizeof(row)));
  return found ? DQC_OK : DQC_E_MISUSE;
}

dqc_error* dqc_error_retain(const dqc_error* error) {
  if (error != nullptr) Info(error)->Retain();
  return const_cast<dqc_error*>(error);
}

void dqc_error_free(dqc_error* error) {
  if (error != nullptr) Info(error)->Release();
}

}  // extern "C"
