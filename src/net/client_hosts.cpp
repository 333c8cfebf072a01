/* SPDX-License-Identifier: MIT */
// Carries out what the policies of a client decide.
#include <algorithm>
#include <new>

#include "net/client_internal.hpp"

namespace dqc::net {

using client::Answer;
using session::State;
using session::Time;

// ------------------------------------------------------------------------------------------- slots

Client::Slot* Client::FindSlot(uint64_t id) const {
  for (const auto& slot : slots_) {
    if (slot->id == id) return slot.get();
  }
  return nullptr;
}

std::unique_ptr<Client::Slot> Client::TakeSlot(uint64_t id) {
  const auto at =
      std::find_if(slots_.begin(), slots_.end(), [&](const auto& slot) { return slot->id == id; });
  if (at == slots_.end()) return nullptr;
  std::unique_ptr<Slot> slot = std::move(*at);
  {
    std::lock_guard<std::mutex> lock(slots_mutex_);
    slots_.erase(at);
  }
  returned_.erase(std::remove(returned_.begin(), returned_.end(), slot.get()), returned_.end());
  return slot;
}

// Operations of ours on it hear of it, then it is on its own.
void Client::Detach(const Slot& slot) noexcept {
  slot.connection->CancelAll();
  slot.connection->SetOwner(nullptr, nullptr);
  slot.connection->GiveUp();
}

bool Client::Usable(const Slot& slot) {
  const session::Session& session = slot.connection->session();
  return session.state() == State::kReady && session.lost().ok();
}

// A connection of the pool that broke, or whose node does not lead any more: others may share its
// fate.
void Client::CloseSlot(Slot* slot) {
  const std::unique_ptr<Slot> taken = TakeSlot(slot->id);
  const session::Session& session = taken->connection->session();
  if (session.lost().code() == Code::kNetwork) MarkDown(taken->address, session.lost());
  Detach(*taken);
  const Time now = Loop::Now();
  if (session.cut_idle()) return pool_.OnClosed(taken->id, now);  // the node is well
  search_.OnLeaderLost(taken->address, now);
  pool_.OnClosed(taken->id, now);
  pool_.CheckIdle(now);
}

void Client::RunInternal(Slot* slot, IntrusivePtr<InternalOperation> op) {
  op->id = NextOperationId();
  // A transaction of several callers lasts as long as theirs: the pool ends it.
  const bool shared = op->purpose == InternalOperation::Purpose::kBegin ||
                      op->purpose == InternalOperation::Purpose::kCommit;
  op->deadline = shared ? session::kNever : Loop::Now() + options_.connect_timeout_us;
  op->target = IntrusivePtr<Target>::Share(this);
  op->connection = slot->connection;
  Hand(IntrusivePtr<QueuedOperation>::Adopt(op.Detach()));
}

// To its connection; what that refuses comes back like an answer.
void Client::Hand(const IntrusivePtr<QueuedOperation>& op) {
  const IntrusivePtr<Connection> connection = op->connection;
  Status status = connection->Run(op);
  if (status.ok()) return;
  op->status = std::move(status);
  op->Retain();
  done_.PushBack(op.get());
}

// Of a question asked on behalf of an operation. `slot`: where it was, if that is still there.
void Client::HandleAnswer(const InternalOperation& op, Slot* slot) {
  QueuedOperation* asker = op.for_op.get();
  switch (op.purpose) {
    case InternalOperation::Purpose::kCommitOf:
      return OnCommit(asker, op.status);
    case InternalOperation::Purpose::kFence:
      return OnFence(asker, op);
    case InternalOperation::Purpose::kVerdict:
      return OnVerdict(asker, op);
    default:
      return OnBarrier(op.for_op, op.status, slot);
  }
}

void Client::HandleInternal(InternalOperation* op, Slot* slot) {
  if (slot->watch) return HandleWatch(op, slot);
  if (slot->visitor != nullptr) return (void)TryLegacy(*op, slot);  // its end comes by itself
  const Time now = Loop::Now();
  const uint64_t id = slot->id;
  const bool ok = op->status.ok();
  switch (op->purpose) {
    case InternalOperation::Purpose::kConnect:
      return HandleConnect(op, slot);
    case InternalOperation::Purpose::kAsk:
      return HandleAsk(op, slot);
    case InternalOperation::Purpose::kCheck: {
      const uint64_t leader = op->nodes.empty() ? 0 : op->nodes.front().id;
      // A leader that is about to hand over says that it knows of none, and still serves.
      const bool leads = ok && (leader == 0 || leader == slot->connection->session().leader_id());
      if (!leads) search_.OnLeaderLost(slot->address, now);
      return pool_.OnChecked(id, leads, now);
    }
    case InternalOperation::Purpose::kReset: {
      const bool none = !ok && op->status.info()->server_code == 1;  // no transaction is active
      return pool_.OnChecked(id, ok || none, now);
    }
    case InternalOperation::Purpose::kBegin:
      if (!Usable(*slot)) return CloseSlot(slot);
      return pool_.OnBegun(id, op->status, now);
    case InternalOperation::Purpose::kCommit:
      pool_.OnCommitted(id, op->status, now);
      if (Slot* still = FindSlot(id); still != nullptr && !Usable(*still)) CloseSlot(still);
      return;
    case InternalOperation::Purpose::kSchema:
      // Nothing may wait behind an answer that perhaps never comes.
      if (!Usable(*slot) || op->abandoned) return CloseSlot(slot);
      return pool_.OnSchema(id, !ok || op->number != 0, now);
    default:
      return;
  }
}

// A server of before 1.0 hangs up at the protocol's word: it is given its own once.
bool Client::TryLegacy(const InternalOperation& op, Slot* slot) {
  if (slot->legacy || op.status.code() != Code::kNetwork ||
      op.status.info()->phase != Phase::kHandshake) {
    return false;
  }
  try {
    IntrusivePtr<InternalOperation> connect = InternalOperation::Connect();  // first: it may throw
    const IntrusivePtr<Connection> refused = slot->connection;               // closed
    slot->legacy = true;
    MakeConnection(slot);
    refused->SetOwner(nullptr, nullptr);
    RunInternal(slot, std::move(connect));
  } catch (const std::bad_alloc&) {
    return false;
  }
  return true;
}

void Client::HandleConnect(InternalOperation* op, Slot* slot) {
  if (TryLegacy(*op, slot)) return;
  const session::Session& session = slot->connection->session();
  const uint64_t id = slot->id;
  Answer answer;
  try {
    answer.leader_address = session.leader_address();
    answer.leader_id = session.leader_id();
  } catch (const std::bad_alloc&) {
    // As if it knew of none: whoever dialled has to hear of it in any case.
  }
  answer.status = op->status;
  if (op->status.ok()) {
    answer.kind = Answer::Kind::kLeads;
    MarkUp(slot->address);
  } else if (session.follows() && Usable(*slot)) {
    answer.kind = Answer::Kind::kFollows;
    MarkUp(slot->address);
  } else {
    const bool opening = op->status.info()->phase == Phase::kOpen;  // or running init_sql
    const bool refused = opening && op->status.info()->retry() == Retry::kNever;
    answer.kind = refused ? Answer::Kind::kRejected : Answer::Kind::kFailed;
    if (!refused) {
      if (!opening) MarkDown(slot->address, op->status);
      Detach(*TakeSlot(id));
    }
  }
  search_.OnAnswer(id, answer, Loop::Now());
}

void Client::HandleAsk(InternalOperation* op, Slot* slot) {
  const uint64_t id = slot->id;
  const bool ok = op->status.ok();
  Answer answer;
  answer.kind = ok ? Answer::Kind::kFollows : Answer::Kind::kFailed;
  answer.status = op->status;
  if (ok && !op->nodes.empty()) {
    answer.leader_id = op->nodes.front().id;
    answer.leader_address = op->nodes.front().address;
    if (Reachable(answer.leader_address) == slot->address) answer.kind = Answer::Kind::kLeads;
  }
  if (!ok) {
    MarkDown(slot->address, op->status);
    Detach(*TakeSlot(id));
  }
  search_.OnAnswer(id, answer, Loop::Now());
}

void Client::OnMembers(const InternalOperation& op) {
  refreshing_ = false;
  if (!op.status.ok()) refresh_members_ = true;  // by the next connection
  if (op.nodes.empty() || op.nodes == members_) return;
  Compare(members_, op.nodes);
  members_ = op.nodes;
  search_.SetMembers(members_);
  if (!options_.write_nodes) return;
  const Status written = options_.write_nodes(members_);
  if (written.ok() || !hooks_ || !hooks_->wants(LogLevel::kWarning)) return;
  hooks_->Log(this, LogLevel::kWarning, "nodes", "", written.message());
}

// ------------------------------------------------------------------------------------ LeaderSearch

Client::Slot* Client::MakeSlot(uint64_t id, const std::string& address, bool watch,
                               const QueuedOperation* visitor) {
  auto slot = std::make_unique<Slot>();
  slot->id = id;
  slot->address = address;
  slot->watch = watch;
  slot->visitor = visitor;
  MakeConnection(slot.get());
  std::lock_guard<std::mutex> lock(slots_mutex_);
  slots_.push_back(std::move(slot));
  return slots_.back().get();
}

void Client::MakeConnection(Slot* slot) {
  ConnectionOptions options = options_.connection;
  options.address = slot->address;
  options.session.node = slot->address;
  options.session.ask_leader = true;
  options.session.legacy = slot->legacy;
  if (slot->watch) options.session.init_sql.clear();  // runs no SQL
  if (slot->visitor != nullptr) {                     // whatever it leads or serves
    options.session.ask_leader = false;
    options.session.database.clear();
  }
  slot->connection =
      IntrusivePtr<Connection>::Adopt(new Connection(loop_, out_, std::move(options), hooks_));
  slot->connection->SetOwner(this, slot);
}

void Client::Dial(uint64_t attempt, const std::string& address) {
  IntrusivePtr<InternalOperation> op = InternalOperation::Connect();  // first: it may throw
  RunInternal(MakeSlot(attempt, address), std::move(op));
}

void Client::Ask(uint64_t attempt) {
  if (Slot* slot = FindSlot(attempt))
    RunInternal(slot, InternalOperation::Leader(InternalOperation::Purpose::kAsk));
}

void Client::Drop(uint64_t attempt) {
  if (const std::unique_ptr<Slot> slot = TakeSlot(attempt)) Detach(*slot);
}

void Client::Give(uint64_t request, uint64_t attempt) { given_.push_back({request, attempt}); }

void Client::Refuse(uint64_t request, const Status& status) {
  refused_.push_back({request, status});
}

// A file may have been edited meanwhile; rounds come faster than that matters.
void Client::OnRound() {
  constexpr Time kPause = 250'000;
  const Time now = Loop::Now();
  LookUpSeeds(now);
  if (!options_.read_nodes || now - nodes_read_at_ < kPause) return;
  nodes_read_at_ = now;
  const Result<client::Nodes> nodes = options_.read_nodes();
  if (!nodes.ok()) return;  // what is known already has to do
  client::Nodes all = *nodes;
  for (const client::Node& node : members_) {
    const bool known = std::any_of(
        all.begin(), all.end(), [&](const client::Node& n) { return n.address == node.address; });
    if (!known) all.push_back(node);
  }
  search_.SetMembers(all);
}

void Client::OnLeader(const std::string& address) {
  refresh_members_ = true;
  try {
    Tell(Topology::kLeader, MemberAt(address), "leads");
  } catch (const std::bad_alloc&) {
    // An event less.
  }
}

Phase Client::Reached(uint64_t attempt) const noexcept {
  const Slot* slot = FindSlot(attempt);
  const State state = slot == nullptr ? State::kNew : slot->connection->session().state();
  return state == State::kHandshake || state == State::kReady ? Phase::kHandshake : Phase::kConnect;
}

// -------------------------------------------------------------------------------------------- Pool

void Client::Want(uint64_t request) { search_.Want(request, session::kNever, Loop::Now()); }

void Client::Unwant(uint64_t request) { search_.Cancel(request); }

void Client::Run(uint64_t conn, IntrusivePtr<session::Operation> op) {
  auto queued = IntrusivePtr<QueuedOperation>::Adopt(static_cast<QueuedOperation*>(op.Detach()));
  Slot* slot = FindSlot(conn);
  // What keeps one leader after the other too busy to lead would be cut again and again.
  slot->spared =
      queued->cut && queued->kind == session::OpKind::kStatement && queued->statement.read_only();
  queued->owned = true;
  queued->connection = slot->connection;
  queued->strong ? RunBarrier(queued) : Hand(queued);
}

void Client::Lease(uint64_t conn, IntrusivePtr<session::Operation> op) {
  auto queued = IntrusivePtr<QueuedOperation>::Adopt(static_cast<QueuedOperation*>(op.Detach()));
  queued->connection = FindSlot(conn)->connection;
  queued->holder = queued->connection->NewHolder();
  queued->completed = true;
  if (queued->tx) queued->tx->connection = queued->connection;
  Emit(std::move(queued));
}

// What the pool asks of a connection. Without memory for it the connection goes.
template <typename Make>
void Client::Send(uint64_t conn, Make make) {
  Slot* slot = FindSlot(conn);
  try {
    RunInternal(slot, make());
  } catch (const std::bad_alloc&) {
    slot->connection->GiveUp();
  }
}

void Client::Check(uint64_t conn) {
  Send(conn, [] { return InternalOperation::Leader(InternalOperation::Purpose::kCheck); });
}

void Client::Reset(uint64_t conn) {
  Send(conn,
       [] { return InternalOperation::Statement(InternalOperation::Purpose::kReset, "ROLLBACK"); });
}

void Client::Begin(uint64_t conn) {
  Send(conn, [] {
    return InternalOperation::Statement(InternalOperation::Purpose::kBegin, "BEGIN IMMEDIATE");
  });
}

void Client::Commit(uint64_t conn) {
  Send(conn,
       [] { return InternalOperation::Statement(InternalOperation::Purpose::kCommit, "COMMIT"); });
}

void Client::AskSchema(uint64_t conn) {
  Send(conn, [] {
    return InternalOperation::Statement(
        InternalOperation::Purpose::kSchema,
        "SELECT count(*) FROM sqlite_master WHERE sql LIKE '%rollback%'");
  });
}

void Client::Discard(uint64_t conn) { Drop(conn); }

void Client::Finish(IntrusivePtr<session::Operation> op) {
  auto queued = IntrusivePtr<QueuedOperation>::Adopt(static_cast<QueuedOperation*>(op.Detach()));
  queued->connection = nullptr;
  if (dynamic_cast<InternalOperation*>(queued.get()) != nullptr)
    return done_.PushBack(queued.Detach());
  Emit(std::move(queued));
}

Status Client::Failure(Time since, Time now) { return search_.Failure(now - since); }

}  // namespace dqc::net
