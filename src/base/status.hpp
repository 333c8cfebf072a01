/* SPDX-License-Identifier: MIT */
// Status: success, or a shared immutable description of one failure. Nothing in src/ throws on
// purpose.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dqc {

// Values equal the public DQC_E_* constants (checked in capi/src/error.cpp). Append only.
enum class Code : int32_t {
  kOk = 0,
  kNoMemory = -1,
  kMisuse = -2,
  kClosed = -3,
  kForked = -4,
  kCancelled = -5,
  kTimeout = -6,
  kLimit = -7,
  kUnsupported = -8,
  kInternal = -9,
  kConfig = -10,
  kParams = -11,
  kResolve = -20,
  kConnect = -21,
  kNetwork = -22,
  kTls = -23,
  kProtocol = -30,
  kSql = -40,
  kConstraint = -41,
  kBusy = -42,
  kBusySnapshot = -43,
  kNotLeader = -44,
  kLeadershipLost = -45,
  kSessionLost = -46,
  kServer = -47,
};

const char* CodeName(Code code);

// What kind of failure a code is: what a caller does about it. Values equal the public DQC_CLASS_*
// constants (checked in capi/src/error.cpp). Append only.
enum class ErrorClass : int32_t {
  kNone = 0,
  kMisuse = 1,
  kCancelled = 2,
  kTimeout = 3,
  kLimit = 4,
  kNetwork = 5,
  kProtocol = 6,
  kSql = 7,
  kConstraint = 8,
  kBusy = 9,
  kLeadership = 10,
  kServer = 11,
};

// Of any number; statuses of success have none.
ErrorClass ClassOf(Code code);

// What is known about the effect of the failed request on the database.
enum class Outcome : int32_t { kNotExecuted = 0, kExecuted = 1, kMaybeExecuted = 2 };

enum class Phase : int32_t {
  kNone = 0,
  kConfig = 1,
  kResolve = 2,
  kConnect = 3,
  kTls = 4,
  kHandshake = 5,
  kOpen = 6,
  kRequest = 7,
  kResult = 8,
  kClose = 9,
  kLeader = 10,
};

const char* PhaseName(Phase phase);  // "connect", "handshake" …

// One node of a failed search for the leader.
struct Attempt {
  std::string address;
  std::string leader;  // the leader it named, or ""
  std::string cause;
  Phase phase = Phase::kNone;
  Code code = Code::kOk;
  int64_t elapsed_us = 0;
};

enum class Retry : int32_t { kNever = 0, kSafe = 1, kUnknown = 2 };

// One failure. Immutable once it is inside a Status; shared by reference count, also across the C
// ABI.
struct ErrorInfo {
  Code code = Code::kInternal;
  Outcome outcome = Outcome::kNotExecuted;
  Phase phase = Phase::kNone;
  int32_t server_code =
      0;  // as on the wire (SQLite extended, 10250, 1005 …); 0 if the failure is ours
  int64_t sql_offset = -1;  // scripts: byte offset of the failing statement
  std::string message;      // what, where, what to do
  std::string
      line;  // message and, where a request was made, what became of it: made by Status::Make
  std::string server_text;        // the server's own words
  std::string node;               // address of the node
  std::vector<Attempt> attempts;  // a search for the leader: the last try of each node
  mutable std::atomic<uint32_t> refs{1};

  ErrorInfo() = default;
  ErrorInfo(const ErrorInfo& other);
  ErrorInfo& operator=(const ErrorInfo&) = delete;

  Retry retry() const;
  void Retain() const;
  void Release() const;
  // Static, never freed, one per outcome: can be reported when nothing can be allocated.
  static const ErrorInfo* OutOfMemory(Outcome outcome = Outcome::kNotExecuted);
};

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(const Status& other) : info_(other.info_) {
    if (info_ != nullptr) info_->Retain();
  }
  Status(Status&& other) noexcept : info_(std::exchange(other.info_, nullptr)) {}
  Status& operator=(Status other) noexcept {
    std::swap(info_, other.info_);
    return *this;
  }
  ~Status() {
    if (info_ != nullptr) info_->Release();
  }

  // Each of these falls back to the static out-of-memory error; none throws.
  static Status Make(Code code, std::string_view message) noexcept;
  static Status Make(ErrorInfo info) noexcept;
  static Status OutOfMemory(Outcome outcome = Outcome::kNotExecuted) noexcept {
    return Status(ErrorInfo::OutOfMemory(outcome));
  }

  bool ok() const { return info_ == nullptr; }
  Code code() const { return info_ == nullptr ? Code::kOk : info_->code; }
  const ErrorInfo* info() const { return info_; }  // null when ok
  std::string_view message() const {
    return info_ == nullptr ? "ok" : std::string_view(info_->line);
  }
  static Status Share(const ErrorInfo* info) {  // nullable: ok
    if (info != nullptr) info->Retain();
    return Status(info);
  }
  const ErrorInfo* Detach() {
    return std::exchange(info_, nullptr);
  }  // the caller owns one reference

  // A copy with changed context; the receiver stays as it is.
  Status With(Outcome outcome) const noexcept;
  Status With(Phase phase) const noexcept;
  Status WithNode(std::string_view node) const noexcept;
  Status WithSqlOffset(int64_t offset) const noexcept;

 private:
  explicit Status(const ErrorInfo* owned) : info_(owned) {}
  const ErrorInfo* info_ = nullptr;
};

#define DQC_TRY(expr)                                                              \
  do {                                                                             \
    if (::dqc::Status try_status_ = (expr); !try_status_.ok()) return try_status_; \
  } while (0)

}  // namespace dqc
