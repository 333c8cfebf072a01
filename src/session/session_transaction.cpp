/* SPDX-License-Identifier: MIT */
// The transaction of the connection: what the answers say of it, and what becomes of one that
// nobody uses.
#include <cstdio>

#include "session/session.hpp"

namespace dqc::session {

namespace {

// The text of an EXEC_SQL: behind the header and the number of the database, up to its NUL.
std::string_view TextOf(const Request& request) {
  constexpr size_t kOffset = wire::kHeaderBytes + wire::kWord;
  if (request.frame.size() <= kOffset) return {};
  const std::string_view text(reinterpret_cast<const char*>(request.frame.data()) + kOffset,
                              request.frame.size() - kOffset);
  return text.substr(0, text.find('\0'));
}

bool MayBegin(const Operation& op) {
  if (op.kind == OpKind::kScript) return true;
  if (op.kind != OpKind::kStatement) return false;
  return op.statement_count != 1 || op.statement.kind == sql::Kind::kBegin ||
         op.statement.kind == sql::Kind::kSavepoint;
}

std::string Seconds(Time us) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g s", static_cast<double>(us) / 1e6);
  return text;
}

}  // namespace

void Session::Answered(Operation* op, Step step, Status status, Time now) {
  NoteAnswer(*op, step, status);
  StepDone(op, step, std::move(status), now);
}

void Session::NoteAnswer(const Operation& op, Step step, const Status& status) noexcept {
  if (op.kind != OpKind::kStatement && op.kind != OpKind::kScript) return;
  const auto note = [&](const sql::Statement& statement) {
    status.ok() ? transaction_.Succeeded(statement) : transaction_.Failed(statement, status);
  };
  sql::Statement own;
  switch (step) {
    case Step::kMain:
      if (op.kind == OpKind::kScript || op.statement_count == 1) return note(op.running());
      return status.ok() ? transaction_.SeveralSucceeded(TextOf(op.main))
                         : transaction_.SeveralFailed(TextOf(op.main), status);
    case Step::kBegin:
      own.kind = sql::Kind::kBegin;
      own.locks = true;
      return note(own);
    case Step::kCommit:
      own.kind = sql::Kind::kCommit;
      return note(own);
    case Step::kRollback:
      own.kind = sql::Kind::kRollback;
      return note(own);
    default:
      return;
  }
}

// The server ends the transaction. What was sent behind a missing answer perhaps ran outside of it.
void Session::NoteCut() noexcept {
  bool inside = transaction_.inside();
  for (const Request* r = outstanding_.front(); r != nullptr && r->sent_whole(); r = r->next) {
    if (r->effect && !inside) transaction_.Strayed();
    inside = false;
  }
  transaction_.Reset();
}

bool Session::may_be_in_transaction() const {
  if (transaction_.state() != TxState::kNone) return true;
  if (exclusive_ != nullptr && exclusive_->abandoned) return true;
  if (abandoned_requests_ == 0) return false;
  for (const Request* r = outstanding_.front(); r != nullptr; r = r->next) {
    if (r->op != nullptr && r->op->abandoned && MayBegin(*r->op)) return true;
  }
  return false;
}

// Nothing is under way but, at most, a result that the application has paused.
bool Session::TransactionIdles() const {
  if (options_.idle_transaction_us == 0 || transaction_.state() == TxState::kNone) return false;
  if (state_ != State::kReady || !lost_.ok() || !pending_.empty()) return false;
  for (const Request* r = outstanding_.front(); r != nullptr; r = r->next) {
    if (r->op == nullptr) continue;
    if (r->op->completed || !r->op->paused || !r->streamed()) return false;
  }
  return true;
}

void Session::WatchIdle(Time now) {
  const Time span = options_.idle_transaction_us;
  if (!TransactionIdles()) {
    idle_deadline_ = kNever;
  } else if (idle_deadline_ == kNever) {
    idle_deadline_ = span >= kNever - now ? kNever : now + span;
  }
}

// Not by a ROLLBACK: what the application sends next would run outside of any transaction.
void Session::CutIdle(Time now) {
  idle_deadline_ = kNever;
  const std::string what = transaction_.writes() ? ", which held the write lock," : "";
  const Status cut =
      Status::Make(Code::kSessionLost,
                   "connection to " + options_.node + " dropped: the transaction" + what +
                       " was idle for " + Seconds(options_.idle_transaction_us) +
                       " and was rolled back (option \"idle_transaction_timeout\")")
          .With(Phase::kRequest)
          .WithNode(options_.node);
  lost_ = cut;
  cut_idle_ = true;
  for (Request *r = outstanding_.front(), *next = nullptr; r != nullptr; r = next) {
    next = r->next;
    if (r->op != nullptr) Abandon(r->op, cut, now);
  }
  Process(now);
}

}  // namespace dqc::session
