/* SPDX-License-Identifier: MIT */
#include "session/transaction.hpp"

#include <algorithm>
#include <new>
#include <utility>

namespace dqc::session {

using sql::Kind;

namespace {

constexpr int32_t kConstraint = 19;

bool Has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// May SQLite, or the server, have rolled the transaction back by itself? Certain where `certain`.
bool RollsBack(const sql::Statement& statement, const ErrorInfo& info, bool* certain) {
  constexpr int32_t kCheck = 275, kForeignKey = 787, kNotNull = 1299, kPrimaryKey = 1555,
                    kUnique = 2067, kRowid = 2579;
  switch (info.server_code & 0xff) {
    case 1:
    case 5:
      return false;
    case 4:   // the node shuts down
    case 7:   // NOMEM; a leader that is about to hand over
    case 9:   // INTERRUPT
    case 10:  // IOERR; leadership lost
    case 11:  // CORRUPT
    case 13:  // FULL
      return true;
    case kConstraint:
      break;
    default:  // of a COMMIT: Raft's own codes, which some releases let through
      return statement.kind == Kind::kCommit || statement.kind == Kind::kRelease;
  }
  switch (info.server_code) {
    case kForeignKey:  // no conflict clause applies to it
      return false;
    case kCheck:
    case kNotNull:
    case kPrimaryKey:
    case kUnique:
    case kRowid:
      *certain = statement.on_conflict == sql::OnConflict::kRollback;
      return *certain || statement.on_conflict == sql::OnConflict::kUnsaid;
    default:  // as RAISE(ROLLBACK) in a trigger
      return true;
  }
}

}  // namespace

void Transaction::Reset() {
  const bool strayed = strayed_;
  *this = Transaction();
  strayed_ = strayed;
}

void Transaction::Begun(Base base) {
  Reset();
  if (base == Base::kBegin) strayed_ = false;
  state_ = TxState::kOpen;
  base_ = base;
}

// Open or not, it may be another one than it was.
void Transaction::Forget() {
  base_ = Base::kUnknown;
  depth_ = 0;
  locked_ = false;
}

size_t Transaction::Find(uint64_t name) const {
  for (size_t i = depth_; i-- > 0;) {
    if (savepoints_[i] == name) return i;
  }
  return depth_;
}

void Transaction::Push(uint64_t name) {
  if (depth_ == kSavepointsMax) {
    std::copy(savepoints_.begin() + 1, savepoints_.end(), savepoints_.begin());
    --depth_;
    if (base_ == Base::kSavepoint) base_ = Base::kUnknown;
  }
  savepoints_[depth_++] = name;
}

void Transaction::Release(uint64_t name) {
  const size_t at = Find(name);
  if (at == depth_) {  // one below those remembered
    const bool stays = base_ == Base::kBegin && state_ == TxState::kOpen;
    depth_ = 0;
    if (stays) return;
    base_ = Base::kUnknown;
    state_ = TxState::kUnknown;
    return;
  }
  state_ = TxState::kOpen;
  depth_ = static_cast<uint8_t>(at);
  if (at > 0 || base_ == Base::kBegin) return;
  if (base_ == Base::kSavepoint) return Reset();
  state_ = TxState::kUnknown;
}

void Transaction::RolledBackTo(uint64_t name) {
  const size_t at = Find(name);
  if (at == depth_) {
    if (base_ == Base::kSavepoint) base_ = Base::kUnknown;
    depth_ = 0;
    Push(name);
  } else {
    depth_ = static_cast<uint8_t>(at + 1);
  }
  state_ = TxState::kOpen;
}

void Transaction::Succeeded(const sql::Statement& statement) noexcept {
  switch (statement.kind) {
    case Kind::kBegin:
      Begun(Base::kBegin);
      writes_ = locked_ = statement.locks;
      break;
    case Kind::kCommit:
    case Kind::kRollback:
      Reset();
      break;
    case Kind::kSavepoint:
      if (state_ == TxState::kNone) Begun(Base::kSavepoint);
      if (state_ == TxState::kUnknown) Forget();
      state_ = TxState::kOpen;
      Push(statement.savepoint);
      break;
    case Kind::kRelease:
      Release(statement.savepoint);
      break;
    case Kind::kRollbackTo:
      RolledBackTo(statement.savepoint);
      break;
    default:
      if (statement.read_only()) break;
      if (state_ != TxState::kNone) writes_ = true;
      if (state_ == TxState::kOpen && statement.dml()) locked_ = true;
      if (!inside()) strayed_ = true;
      break;
  }
}

void Transaction::Failed(const sql::Statement& statement, const Status& status) noexcept {
  const ErrorInfo& info = *status.info();
  if (info.outcome == Outcome::kMaybeExecuted && !inside()) strayed_ = true;
  if (info.server_code == 0 && info.code == Code::kNoMemory) {  // what it said is lost
    ended_ = true;
    return Doubt();
  }
  if (info.server_code == 1) {
    if (Has(info.server_text, "no transaction is active")) return Reset();
    if (Has(info.server_text, "cannot start a transaction within a transaction")) {
      if (state_ == TxState::kNone) Forget();
      state_ = TxState::kOpen;
      ended_ = false;
      return;
    }
    if (Has(info.server_text, "no such savepoint") && Find(statement.savepoint) < depth_)
      return state_ == TxState::kUnknown ? Reset() : Doubt();
  }
  bool certain = false;
  if (!RollsBack(statement, info, &certain)) return;
  if ((info.server_code & 0xff) != kConstraint) ended_ = true;
  certain ? Reset() : Doubt();
}

void Transaction::Join(const Transaction& other) {
  if (state_ != other.state_) state_ = TxState::kUnknown;
  writes_ = writes_ || other.writes_;
  locked_ = locked_ && other.locked_;
  strayed_ = strayed_ || other.strayed_;
  ended_ = ended_ || other.ended_;
  if (base_ != other.base_) return Forget();
  const auto* const mine = savepoints_.begin();
  if (depth_ == other.depth_ && std::equal(mine, mine + depth_, other.savepoints_.begin())) return;
  depth_ = 0;
  if (base_ == Base::kSavepoint) base_ = Base::kUnknown;
}

void Transaction::SeveralSucceeded(std::string_view sql) noexcept {
  try {
    for (size_t at = 0; at < sql.size();) {
      const sql::Statement statement = sql::ScanStatement(sql, at);
      if (statement.kind == Kind::kEmpty) return;
      Succeeded(statement);
      at = statement.end;
    }
  } catch (const std::bad_alloc&) {
    state_ = TxState::kUnknown;
    ended_ = strayed_ = true;
    Forget();
  }
}

// Which of them failed is not told: what is the same for all is known.
void Transaction::SeveralFailed(std::string_view sql, const Status& status) noexcept {
  Transaction run = *this;
  bool first = true;
  try {
    for (size_t at = 0; at < sql.size();) {
      const sql::Statement statement = sql::ScanStatement(sql, at);
      if (statement.kind == Kind::kEmpty) return;
      Transaction here = run;
      here.Failed(statement, status);
      if (std::exchange(first, false)) {
        *this = here;
      } else {
        Join(here);
      }
      run.Succeeded(statement);
      at = statement.end;
    }
  } catch (const std::bad_alloc&) {
    state_ = TxState::kUnknown;
    ended_ = strayed_ = true;
    Forget();
  }
}

}  // namespace dqc::session
