/* SPDX-License-Identifier: MIT */
// How an application's transaction ends: COMMIT, again where a checkpoint refused it, and the look at
// what became of one that nobody answered. And the write in front of a strong read.
#include <algorithm>

#include "net/client_internal.hpp"

namespace dqc::net {

using session::Time;
using Stage = Transaction::Stage;

namespace {

Status LostBefore(const char* what) {
  return Status::Make(Code::kNetwork, std::string("the connection was lost before ") + what +
                                          " was sent: the transaction is rolled back")
      .With(Phase::kRequest);
}

bool NoTable(const Status& status) {
  return status.info()->server_code == 1 &&
         status.info()->server_text.find("no such table: dqclient_marks") != std::string::npos;
}

QueuedOperation* Queued(session::Operation* op) { return static_cast<QueuedOperation*>(op); }

}  // namespace

// From here on it is in endings_, until Ended().
void Client::EndTransaction(const IntrusivePtr<QueuedOperation>& op) {
  Transaction& tx = *op->tx;
  op->Retain();
  endings_.PushBack(op.get());
  if (tx.connection) (void)tx.connection->NewHolder();  // nothing of the application's follows
  // What it left behind for good would be done twice.
  if (tx.connection && tx.connection->session().write_strayed()) tx.perhaps_done = true;
  if (op->rolls_back) {
    const bool again = !op->failure.ok() && client::Transaction::AgainAfter(op->failure, Lost(tx));
    return Ended(op.get(), Status(), again);
  }
  if (op->deadline <= Loop::Now()) {
    return Ended(
        op.get(),
        Status::Make(Code::kTimeout,
                     "deadline passed before COMMIT was sent: the transaction is rolled back")
            .With(Phase::kRequest),
        false);
  }
  tx.make_table = false;
  SendCommit(op);
}

bool Client::Lost(const Transaction& tx) {
  const auto* slot = tx.connection ? static_cast<Slot*>(tx.connection->owner_data()) : nullptr;
  return slot == nullptr || !Usable(*slot);
}

void Client::SendCommit(const IntrusivePtr<QueuedOperation>& op) {
  Transaction& tx = *op->tx;
  if (Lost(tx)) return Ended(op.get(), LostBefore("COMMIT"), true);
  // Where there is no transaction any more a mark would stay, and tell of a COMMIT that did nothing.
  tx.marked = tx.rules.marked() && tx.connection->session().inside_transaction();
  try {
    auto commit = InternalOperation::Statement(
        InternalOperation::Purpose::kCommitOf,
        tx.marked ? tx.rules.CommitSql(tx.make_table) : std::string("COMMIT"));
    commit->statement = sql::ScanStatement("COMMIT");  // whatever goes in front of it
    commit->id = NextOperationId();
    commit->held_back = true;
    commit->failures_before = op->failures_before;
    commit->behind = op->behind;
    commit->blocking = op->blocking;
    commit->deadline = op->deadline;
    if (tx.marked && op->deadline != session::kNever) {
      const Time now = Loop::Now();
      commit->deadline = now + (op->deadline - now) / 2;  // the rest is for looking it up
    }
    commit->target = IntrusivePtr<Target>::Share(this);
    commit->connection = tx.connection;
    commit->for_op = op;
    tx.stage = Stage::kCommit;
    tx.step = commit->id;
    Hand(IntrusivePtr<QueuedOperation>::Adopt(commit.Detach()));
  } catch (const std::bad_alloc&) {
    Ended(op.get(), Status::OutOfMemory(), false);
  }
}

void Client::OnCommit(QueuedOperation* op, const Status& status) {
  Transaction& tx = *op->tx;
  const Time now = Loop::Now();
  if (status.ok()) return Ended(op, Status(), false);
  const Code code = status.code();
  if (code == Code::kBusy) {  // a checkpoint: the transaction is untouched
    const Time wait = tx.rules.Pause(now, op->deadline);
    if (wait == session::kNever) return Ended(op, status, false);
    tx.stage = Stage::kPause;
    tx.resume_at = now + wait;
    return;
  }
  if (!tx.make_table && tx.marked && NoTable(status)) {
    tx.make_table = true;
    return SendCommit(IntrusivePtr<QueuedOperation>::Share(op));
  }
  // It was held back for all of its part of the time.
  const bool unsent = code == Code::kTimeout && status.info()->outcome == Outcome::kNotExecuted;
  if (unsent && now < op->deadline) return SendCommit(IntrusivePtr<QueuedOperation>::Share(op));
  if (tx.rules.AgainAfterCommit(status)) return Ended(op, status, true);
  const bool doubt = status.info()->outcome == Outcome::kMaybeExecuted;
  if (doubt && tx.marked && code != Code::kCancelled && now < op->deadline)
    return LookUp(op, status);
  Ended(op, status, false);
}

void Client::LookUp(QueuedOperation* op, const Status& doubt) {
  Transaction& tx = *op->tx;
  GiveBack(std::exchange(tx.connection, nullptr).get());
  tx.doubt = doubt;
  SubmitLook(op, Stage::kFence);
}

// The next question to the cluster, through the pool as any other operation.
void Client::SubmitLook(QueuedOperation* op, Transaction::Stage stage) {
  Transaction& tx = *op->tx;
  const bool fence = stage == Stage::kFence;
  const Time now = Loop::Now();
  Status accepted;
  try {
    auto look = fence ? InternalOperation::Statement(InternalOperation::Purpose::kFence,
                                                     tx.rules.FenceSql())
                      : InternalOperation::Statement(InternalOperation::Purpose::kVerdict,
                                                     tx.rules.VerdictSql());
    look->id = NextOperationId();
    look->deadline = op->deadline;
    look->target = IntrusivePtr<Target>::Share(this);
    look->for_op = IntrusivePtr<QueuedOperation>::Share(op);
    look->idempotent = look->stay_alone = true;
    tx.stage = stage;
    tx.step = look->id;
    accepted = pool_.Submit(IntrusivePtr<session::Operation>::Adopt(look.Detach()), now);
  } catch (const std::bad_alloc&) {
    accepted = Status::OutOfMemory();
  }
  if (!accepted.ok()) return Ended(op, tx.doubt, false);
  pool_.CheckIdle(now);  // the node that did not answer may be on others' way too
}

void Client::OnFence(QueuedOperation* op, const InternalOperation& fence) {
  if (!fence.status.ok()) return Ended(op, op->tx->doubt, false);
  SubmitLook(op, Stage::kVerdict);
}

void Client::OnVerdict(QueuedOperation* op, const InternalOperation& verdict) {
  const bool found = verdict.status.ok() && verdict.number >= 0;
  if (!found) return Ended(op, op->tx->doubt, false);
  if (verdict.number == 0) return Ended(op, Status(), false);
  Ended(op, op->tx->doubt.With(Outcome::kNotExecuted), true);
}

// The end of it, for the application. `again`: if the time lasts.
void Client::Ended(QueuedOperation* op, Status status, bool again) {
  endings_.Remove(op);
  auto owned = IntrusivePtr<QueuedOperation>::Adopt(op);
  Transaction& tx = *op->tx;
  tx.stage = Stage::kNone;
  GiveBack(std::exchange(tx.connection, nullptr).get());
  if (again && (!tx.perhaps_done || tx.rules.idempotent())) {
    tx.last = status.ok() ? op->failure : status;
    if (!status.ok() && status.info()->outcome == Outcome::kMaybeExecuted) tx.perhaps_done = true;
    const Time now = Loop::Now();
    const Time pause = tx.rules.Pause(now, op->deadline);
    op->again = pause != session::kNever;
    if (op->again) {
      tx.next_begin = now + pause;
      tx.rules.NextMark();
      status = Status();
    }
  }
  if (!status.ok() && tx.perhaps_done) status = status.With(Outcome::kMaybeExecuted);
  op->status = std::move(status);
  op->completed = true;
  Emit(std::move(owned));
}

// What is left open on it is rolled back.
void Client::GiveBack(Connection* connection) {
  if (connection == nullptr || connection->owner_data() == nullptr) return;
  returned_.push_back(static_cast<Slot*>(connection->owner_data()));
}

Time Client::next_ending() const {
  Time due = session::kNever;
  for (session::Operation* op = endings_.front(); op != nullptr; op = op->next) {
    const Transaction& tx = *Queued(op)->tx;
    if (tx.stage == Stage::kPause) due = std::min(due, tx.resume_at);
  }
  return due;
}

void Client::ResumeEndings() {
  const Time now = Loop::Now();
  session::Operation* next = nullptr;
  for (session::Operation* op = endings_.front(); op != nullptr; op = next) {
    next = op->next;
    const Transaction& tx = *Queued(op)->tx;
    if (tx.stage == Stage::kPause && tx.resume_at <= now)
      SendCommit(IntrusivePtr<QueuedOperation>::Share(Queued(op)));
  }
}

bool Client::CancelEnding(uint64_t op_id) {
  session::Operation* op = endings_.front();
  while (op != nullptr && op->id != op_id) op = op->next;
  if (op == nullptr) return false;
  const Transaction& tx = *Queued(op)->tx;
  if (tx.stage == Stage::kPause) {
    Ended(Queued(op),
          Status::Make(Code::kCancelled, "cancelled by the application").With(Phase::kRequest),
          false);
  } else if (!pool_.Cancel(tx.step, Loop::Now())) {
    CancelOnSlots(tx.step);
  }
  return true;
}

// ---------------------------------------------------------------------------------- strong reads

// A node that still believes to lead answers reads of its own; a write it cannot get acknowledged.
void Client::RunBarrier(const IntrusivePtr<QueuedOperation>& op) {
  try {
    auto barrier = InternalOperation::Statement(InternalOperation::Purpose::kBarrier,
                                                client::Transaction::BarrierSql());
    barrier->id = op->id;  // who cancels one cancels the other
    barrier->deadline = op->deadline;
    barrier->target = op->target;
    barrier->connection = op->connection;
    barrier->for_op = op;
    Hand(IntrusivePtr<QueuedOperation>::Adopt(barrier.Detach()));
  } catch (const std::bad_alloc&) {
    OnBarrier(op, Status::OutOfMemory(), nullptr);
  }
}

void Client::OnBarrier(const IntrusivePtr<QueuedOperation>& op, const Status& status,
                       const Slot* slot) {
  if (status.ok() && slot != nullptr) return Hand(op);
  const Code code = status.code();
  op->status = status.ok() ? LostBefore("the read") : status.With(Outcome::kNotExecuted);
  op->abandoned = code == Code::kTimeout || code == Code::kCancelled;
  op->Retain();
  done_.PushBack(op.get());
}

}  // namespace dqc::net
