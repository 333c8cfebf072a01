/* SPDX-License-Identifier: MIT */
// Group commit: BEGIN IMMEDIATE, the writes that wait, COMMIT. To its caller each stays what it was,
// a statement in autocommit mode: it is told of success only after the COMMIT, and fails alone.
//
// A statement that fails inside a transaction is backed out by itself, but for a conflict clause or
// a trigger that says ROLLBACK, and a few rare errors. Such a failure ends the whole transaction, and what
// was sent behind it commits by itself. Schemas and statements that can do this are not grouped, nor are
// those that say FAIL, which are not backed out.
#include <algorithm>
#include <new>
#include <string_view>
#include <utility>

#include "client/pool.hpp"

namespace dqc::client {

using session::OpKind;

namespace {

// The word anywhere in the frame, parameters included: a doubt costs no more than a turn alone.
bool SaysRollback(const Operation& op) {
  const auto& frame = op.main.frame;
  constexpr std::string_view kWord = "rollback";
  const auto same = [](uint8_t a, char b) { return (a | 0x20) == static_cast<uint8_t>(b); };
  return std::search(frame.begin(), frame.end(), kWord.begin(), kWord.end(), same) != frame.end();
}

bool Groupable(const Operation& op) {
  return op.kind == OpKind::kStatement && op.statement_count == 1 && op.statement.dml() &&
         op.statement.on_conflict != sql::OnConflict::kFail && !op.statement.returning &&
         !op.stay_alone && !SaysRollback(op);
}

// SQLite rolls back the transaction on these by itself.
bool RollsBack(const Status& status) {
  switch (status.info()->server_code & 0xff) {
    case 4:
    case 7:
    case 9:
    case 10:
    case 11:
    case 13:
      return true;
    default:
      return false;
  }
}

Status Lost() {
  return Status::Make(Code::kNetwork, "the connection was lost before the write was committed")
      .With(Phase::kRequest);
}

// What it did inside the transaction is gone with it: it may run again as if it had never run.
void Undo(Operation* op, const Status& status) {
  op->status = status;
  op->statements_done = 0;
}

bool NoTransaction(const Status& status) {
  return status.info()->server_code == 1 &&
         status.info()->server_text.find("no transaction is active") != std::string::npos;
}

}  // namespace

// Two or more writes at the head of the queue that may share a transaction. False: no group.
bool Pool::StartGroup(Conn* conn, Time now) {
  if (options_.group_max < 2 || writers_.size() < 2 || !Groupable(*writers_.front()) ||
      !Groupable(*writers_.front()->next)) {
    return false;
  }
  if (schema_asked_ == 0 || now - schema_asked_ >= options_.schema_us) {
    conn->state = State::kRunning;
    conn->writes = true;
    host_->AskSchema(conn->id);
    return true;
  }
  if (schema_rolls_back_) return false;
  std::unique_ptr<Group> group = GatherGroup(now);
  if (!group) return false;
  conn->state = State::kRunning;
  conn->writes = true;
  conn->used = now;
  conn->group = std::move(group);
  host_->Begin(conn->id);
  return true;
}

// From the head of the queue; null without memory for it.
std::unique_ptr<Pool::Group> Pool::GatherGroup(Time now) noexcept {
  std::unique_ptr<Group> group;
  try {
    group = std::make_unique<Group>();
    group->members.reserve(std::min<size_t>(options_.group_max, writers_.size()));
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
  while (group->members.size() < options_.group_max && writers_.front() != nullptr &&
         Groupable(*writers_.front())) {
    Operation* op = writers_.PopFront();
    stats_.waited_us += now - op->queued_at;
    group->members.push_back({IntrusivePtr<Operation>::Adopt(op)});
  }
  ++stats_.groups;
  stats_.grouped += group->members.size();
  return group;
}

void Pool::OnSchema(uint64_t id, bool may_roll_back, Time now) {
  schema_asked_ = now;
  schema_rolls_back_ = may_roll_back;
  if (Conn* conn = FindConn(id)) {
    conn->state = State::kIdle;
    conn->writes = false;
  }
  Serve(now);
}

void Pool::OnBegun(uint64_t id, const Status& status, Time now) {
  Conn* conn = FindConn(id);
  if (conn == nullptr || !conn->group) return;
  Group* group = conn->group.get();
  if (!status.ok()) {
    const std::unique_ptr<Group> ended = std::move(conn->group);
    conn->state = State::kIdle;
    conn->writes = false;
    EndGroup(ended.get(), status.With(Outcome::kNotExecuted), now);
    return Serve(now);
  }
  group->begun = true;
  for (const Member& member : group->members) {
    if (!member.op) continue;
    member.op->grouped = true;
    ++group->running;
    host_->Run(id, member.op);
  }
  if (group->running > 0) return;
  group->committing = true;  // all gave up meanwhile; it only ends the transaction
  host_->Commit(id);
}

// A member was answered, or given up by its caller.
void Pool::OnMember(Conn* conn, IntrusivePtr<Operation> op, Time now) {
  Group* group = conn == nullptr ? nullptr : conn->group.get();
  if (group == nullptr) {  // the connection is gone, and the transaction with it
    const Code code = op->status.code();
    if (op->status.ok() || code == Code::kCancelled) {  // cancelled by us, who closed it
      const Outcome known = op->status.ok() ? Outcome::kMaybeExecuted : op->status.info()->outcome;
      Undo(op.get(), Lost().With(known));
    }
    if (!std::exchange(op->in_doubt, false)) op->status = op->status.With(Outcome::kNotExecuted);
    return MemberEnds(std::move(op), now);
  }
  --group->running;
  const auto at = std::find_if(group->members.begin(), group->members.end(),
                               [&](const Member& m) { return m.op.get() == op.get(); });
  at->answered = true;
  if (!op->status.ok() && RollsBack(op->status)) group->rolled_back = true;
  const Code code = op->status.code();
  if (code == Code::kCancelled || code == Code::kTimeout) {
    at->op = nullptr;
    // Its statement, if it left, may be in the transaction, which will be committed.
    if (op->abandoned) op->status = op->status.With(Outcome::kMaybeExecuted);
    MemberEnds(std::move(op), now);
  }
  if (group->running > 0) return;
  const auto waits = [](const Member& m) { return m.op.get() != nullptr; };
  if (std::none_of(group->members.begin(), group->members.end(), waits)) {
    SuspectAll();  // all gave up on it: so do we, before others wait behind it
    Discard(conn->id, now);
    return Serve(now);
  }
  group->committing = true;
  host_->Commit(conn->id);
}

void Pool::MemberEnds(IntrusivePtr<Operation> op, Time now) {
  op->grouped = false;
  if (!RunAgain(op, now)) Tell(std::move(op));
}

void Pool::OnCommitted(uint64_t id, const Status& status, Time now) {
  Conn* conn = FindConn(id);
  if (conn == nullptr || !conn->group) return;
  Group* group = conn->group.get();
  if (status.code() == Code::kBusy) {  // the transaction is untouched
    group->commit_at = now + random_.Jitter(options_.busy_min_us);
    ++stats_.retried_busy;
    return;
  }
  const std::unique_ptr<Group> ended = std::move(conn->group);
  conn->writes = false;
  conn->used = now;
  const bool open =
      !status.ok() && !NoTransaction(status) && status.info()->outcome == Outcome::kNotExecuted;
  if (open) {  // as when a deferred constraint fails: end it
    conn->state = State::kChecking;
    conn->hope = now + options_.hope_us;
    host_->Reset(id);
  } else {
    conn->state = State::kIdle;
  }
  if (status.ok()) {
    for (Member& member : ended->members) {
      if (member.op) MemberEnds(std::move(member.op), now);
    }
  } else if (NoTransaction(status)) {
    EndRolledBack(ended.get(), now);
  } else if (status.code() == Code::kConstraint || status.code() == Code::kSql) {
    EndApart(ended.get(), now);
  } else {
    EndGroup(ended.get(), status, now);
  }
  Serve(now);
}

// Nothing was committed, or perhaps all of it. A failure of a member's own holds only if what it saw
// was committed too. Members whose answer is on its way end when it comes.
void Pool::EndGroup(Group* group, const Status& status, Time now) {
  const bool maybe = status.info()->outcome == Outcome::kMaybeExecuted;
  for (Member& member : group->members) {
    if (!member.op || (group->begun && !member.answered)) continue;
    if (!maybe || member.op->status.ok()) Undo(member.op.get(), status);
    MemberEnds(std::move(member.op), now);
  }
}

// Its connection is gone. Members whose answer is missing are told what their session knows of them;
// but the first of them, if nothing in front of it ended the transaction, ran inside it for certain.
void Pool::EndCut(std::unique_ptr<Group> group, Time now) {
  if (!group) return;
  if (group->committing) return EndGroup(group.get(), Lost().With(Outcome::kMaybeExecuted), now);
  bool in_doubt = group->rolled_back;
  for (const Member& member : group->members) {
    if (!member.op || member.answered || !group->begun) continue;
    member.op->in_doubt = in_doubt;
    in_doubt = true;
  }
  group->rolled_back ? EndRolledBack(group.get(), now) : EndGroup(group.get(), Lost(), now);
}

// The failure of one member ended the transaction: what was before it is undone, what came behind
// it was committed by itself. Which one it was is certain if only one failed; what became of those
// whose callers gave up is not known.
void Pool::EndRolledBack(Group* group, Time now) {
  std::vector<Member>& members = group->members;
  schema_asked_ = 0;
  size_t first = members.size(), last = 0, certain = members.size(), given_up = members.size();
  for (size_t i = 0; i < members.size(); ++i) {
    const Operation* op = members[i].op.get();
    if (!members[i].answered || (op != nullptr && op->status.ok())) continue;
    first = std::min(first, i);
    last = i;
    if (op == nullptr) {
      given_up = std::min(given_up, i);
    } else if (RollsBack(op->status)) {
      certain = std::min(certain, i);
    }
  }
  if (certain < members.size()) {
    first = std::min(certain, given_up);
    last = certain;
  }
  const Status undone =
      Status::Make(Code::kBusy, "another write rolled the shared transaction back")
          .With(Phase::kRequest);
  for (size_t i = 0; i < members.size(); ++i) {
    if (!members[i].answered) continue;
    const IntrusivePtr<Operation> op = std::move(members[i].op);
    if (!op) continue;
    op->stay_alone = true;
    if (i < first) {
      Undo(op.get(), undone);
    } else if (i < last && op->status.ok()) {
      Undo(op.get(), undone.With(Outcome::kMaybeExecuted));
    }
    MemberEnds(op, now);
  }
}

// The COMMIT failed for a reason that is some member's: each has its own transaction now.
void Pool::EndApart(Group* group, Time now) {
  if (closing_) return EndGroup(group, Closed(), now);
  for (Member& member : group->members) {
    const IntrusivePtr<Operation> op = std::move(member.op);
    if (!op) continue;
    op->stay_alone = true;
    Queue(op, now);
  }
  ReleaseDelayed(now);
}

// ------------------------------------------------------------------------------- time and cancels

Time Pool::GroupDeadline(const Group& group) {
  Time due = group.commit_at;
  if (group.begun && !group.committing) return due;  // the session keeps the time
  for (const Member& member : group.members) {
    if (member.op) due = std::min(due, member.op->deadline);
  }
  return due;
}

void Pool::ExpireMembers(Time now) {
  for (size_t i = conns_.size(); i-- > 0;) {
    Group* group = conns_[i].group.get();
    if (group == nullptr || (group->begun && !group->committing)) continue;
    for (Member& member : group->members) {
      if (!member.op || member.op->deadline > now) continue;
      const Status late =
          Status::Make(Code::kTimeout,
                       "deadline passed in the transaction shared with other writes")
              .With(Phase::kRequest);
      End(std::exchange(member.op, nullptr),
          group->committing ? late.With(Outcome::kMaybeExecuted) : late);
    }
    DropIfUnawaited(conns_[i].id, now);
  }
}

// A BEGIN or COMMIT that nobody waits for any more has no deadline, and others wait behind it.
void Pool::DropIfUnawaited(uint64_t id, Time now) {
  const std::vector<Member>& members = FindConn(id)->group->members;
  const auto waits = [](const Member& m) { return m.op.get() != nullptr; };
  if (std::none_of(members.begin(), members.end(), waits)) Discard(id, now);
}

void Pool::CommitAgain(Time now) {
  for (Conn& conn : conns_) {
    if (!conn.group || conn.group->commit_at > now) continue;
    conn.group->commit_at = kNever;
    host_->Commit(conn.id);
  }
}

// A member that is not sent yet, or was answered; those in between are the session's.
bool Pool::CancelMember(uint64_t op_id, Time now) {
  for (const Conn& conn : conns_) {
    Group* group = conn.group.get();
    if (group == nullptr || (group->begun && !group->committing)) continue;
    for (Member& member : group->members) {
      if (!member.op || member.op->id != op_id) continue;
      const Status cancelled =
          Status::Make(Code::kCancelled, "cancelled by the application").With(Phase::kRequest);
      End(std::exchange(member.op, nullptr),
          group->committing ? cancelled.With(Outcome::kMaybeExecuted) : cancelled);
      DropIfUnawaited(conn.id, now);
      Serve(now);
      return true;
    }
  }
  return false;
}

}  // namespace dqc::client
