/* SPDX-License-Identifier: MIT */
#include "client/pool.hpp"

#include <algorithm>
#include <string>

namespace dqc::client {

using session::OpKind;

namespace {

constexpr Time kGrowAgain = 1'000'000;  // after a connection was refused, while others serve

// Waits for its turn to write. A strong read does: it writes before it reads.
bool IsWrite(const Operation& op) {
  if (op.keeps != session::Lease::kNone) return op.keeps == session::Lease::kWriter;
  if (op.kind == OpKind::kScript || op.strong) return true;
  return op.kind == OpKind::kStatement && (op.statement_count != 1 || !op.statement.read_only());
}

}  // namespace

Pool::Pool(PoolOptions options, Host* host)
    : options_(options), host_(host), random_(options.seed) {
  conns_.reserve(options_.max);
  openings_.reserve(options_.max);
}

Pool::~Pool() {
  for (IntrusiveFifo<Operation>* list : {&readers_, &writers_, &delayed_}) {
    while (Operation* op = list->PopFront()) op->Release();
  }
}

Status Pool::Closed() {
  return Status::Make(Code::kClosed, "the client is closed").With(Phase::kClose);
}

Pool::Conn* Pool::FindConn(uint64_t id) {
  const auto at =
      std::find_if(conns_.begin(), conns_.end(), [&](const Conn& c) { return c.id == id; });
  return at == conns_.end() ? nullptr : &*at;
}

void Pool::Remove(uint64_t id) {
  const Conn* conn = FindConn(id);
  if (conn == nullptr) return;
  conns_.erase(conns_.begin() + (conn - conns_.data()));
  ++stats_.closed;
}

void Pool::Discard(uint64_t id, Time now) {
  Conn* conn = FindConn(id);
  std::unique_ptr<Group> group = conn == nullptr ? nullptr : std::move(conn->group);
  Remove(id);
  host_->Discard(id);
  EndCut(std::move(group), now);
}

// ------------------------------------------------------------------------------------- operations

Status Pool::Submit(IntrusivePtr<Operation> op, Time now) {
  if (closing_) return Closed();
  if (readers_.size() + writers_.size() + delayed_.size() >= options_.queue_max) {
    return Status::Make(Code::kLimit, "already " + std::to_string(options_.queue_max) +
                                          " operations wait for a connection (option "
                                          "\"pool_queue\")");
  }
  op->ticket = next_ticket_++;
  op->queued_at = now;
  op->tries = 0;
  deadline_hint_ = std::min(deadline_hint_, op->deadline);
  ++stats_.submitted;
  if (op->retry_at > now) {
    deadline_hint_ = std::min(deadline_hint_, op->retry_at);
    delayed_.PushBack(op.Detach());
  } else {
    (IsWrite(*op) ? writers_ : readers_).PushBack(op.Detach());
  }
  return {};
}

Operation* Pool::Find(uint64_t op_id) const {
  for (const IntrusiveFifo<Operation>* list : {&readers_, &writers_, &delayed_}) {
    for (Operation* op = list->front(); op != nullptr; op = op->next) {
      if (op->id == op_id) return op;
    }
  }
  return nullptr;
}

bool Pool::Cancel(uint64_t op_id, Time now) {
  Operation* op = Find(op_id);
  if (op == nullptr) return CancelMember(op_id, now);
  (void)(readers_.Remove(op) || writers_.Remove(op) || delayed_.Remove(op));
  End(IntrusivePtr<Operation>::Adopt(op),
      Status::Make(Code::kCancelled, "cancelled by the application").With(Phase::kRequest));
  Serve(now);
  return true;
}

void Pool::End(IntrusivePtr<Operation> op, Status status) {
  op->status = std::move(status);
  op->completed = true;
  Tell(std::move(op));
}

// Its status is set. What is known of the last try alone is not enough where an earlier one was
// perhaps executed.
void Pool::Tell(IntrusivePtr<Operation> op) {
  if (op->perhaps_done && !op->status.ok()) op->status = op->status.With(Outcome::kMaybeExecuted);
  ++stats_.completed;
  host_->Finish(std::move(op));
}

void Pool::EndAll(const Status& status) {
  for (IntrusiveFifo<Operation>* list : {&readers_, &writers_, &delayed_}) {
    while (Operation* op = list->PopFront()) End(IntrusivePtr<Operation>::Adopt(op), status);
  }
}

void Pool::OnDone(uint64_t id, IntrusivePtr<Operation> op, bool clean, Time now) {
  if (op->grouped) return OnMember(FindConn(id), std::move(op), now);
  Conn* conn = FindConn(id);
  if (op->keeps != session::Lease::kNone && op->status.ok()) {
    if (conn != nullptr) {
      conn->state = State::kLeased;
      conn->used = now;
      ++stats_.completed;
      host_->Lease(id, std::move(op));
      return Serve(now);
    }
    op->status = Status::Make(Code::kNetwork, "the connection was lost as its transaction began")
                     .With(Phase::kRequest);
    op->statements_done = 0;  // it is gone, and may begin again
  }
  if (conn != nullptr && conn->state == State::kRunning) {
    conn->used = now;
    // Statements end a session whose node does not lead; administration does not.
    if (op->status.code() == Code::kNotLeader) conn->suspect = true;
    // Where the node is silent, so are the other connections to it.
    if (op->abandoned && op->status.code() == Code::kTimeout) SuspectAll();
    if (!clean) {  // the lock to write may still be held
      conn->state = State::kChecking;
      conn->hope = now + options_.hope_us;
      host_->Reset(id);
    } else if (op->abandoned) {
      // It still owes the answer to what was given up, and perhaps never gives it: nothing may wait
      // behind that.
      conn->writes = false;
      Check(conn, now);
    } else {
      conn->state = State::kIdle;
      conn->writes = false;
    }
  }
  if (!RunAgain(op, now)) Tell(std::move(op));
  Serve(now);
}

// What was certainly not executed is tried again where waiting or another node can help.
bool Pool::RunAgain(const IntrusivePtr<Operation>& op, Time now) {
  if (closing_ || !op->can_run_again() || op->deadline <= now) return false;
  const Code code = op->status.code();
  const bool busy = code == Code::kBusy;
  const bool elsewhere = code == Code::kNotLeader || code == Code::kLeadershipLost ||
                         code == Code::kSessionLost || code == Code::kNetwork ||
                         code == Code::kClosed;
  if (!busy && !elsewhere) return false;
  ++(busy ? stats_.retried_busy : stats_.retried_leader);
  const uint32_t tries = op->tries++;
  const Time wait = busy ? random_.Jitter(std::min(options_.busy_max_us,
                                                   options_.busy_min_us << std::min(tries, 20u)))
                         : (tries == 0 ? 0 : random_.Jitter(options_.busy_max_us));
  if (op->deadline != kNever && now + wait >= op->deadline) return false;
  Queue(op, now + wait);
  ReleaseDelayed(now);
  return true;
}

void Pool::Queue(const IntrusivePtr<Operation>& op, Time at) {
  op->retry_at = at;
  op->last = op->status;
  if (!op->status.ok() && op->status.info()->outcome == Outcome::kMaybeExecuted)
    op->perhaps_done = true;
  op->grouped = false;
  op->PrepareToRunAgain();
  deadline_hint_ = std::min({deadline_hint_, op->deadline, op->retry_at});
  op->Retain();
  delayed_.PushBack(op.get());
}

// Those whose time has come go back to where they were: the order is that of submission.
void Pool::ReleaseDelayed(Time now) {
  IntrusiveFifo<Operation> all = delayed_.Take();
  while (Operation* op = all.PopFront()) {
    if (op->retry_at > now) {
      delayed_.PushBack(op);
      deadline_hint_ = std::min(deadline_hint_, op->retry_at);
      continue;
    }
    IntrusiveFifo<Operation>& list = IsWrite(*op) ? writers_ : readers_;
    IntrusiveFifo<Operation> behind = list.Take();
    while (behind.front() != nullptr && behind.front()->ticket < op->ticket)
      list.PushBack(behind.PopFront());
    list.PushBack(op);
    while (Operation* later = behind.PopFront()) list.PushBack(later);
  }
}

// ------------------------------------------------------------------------------------ connections

void Pool::OnOpened(uint64_t request, uint64_t id, Time now) {
  openings_.erase(std::remove(openings_.begin(), openings_.end(), request), openings_.end());
  ++stats_.opened;
  had_connection_ = true;
  if (closing_) {
    ++stats_.closed;
    return host_->Discard(id);
  }
  Conn conn;
  conn.id = id;
  conn.opened = conn.used = now;
  conns_.push_back(std::move(conn));
  Serve(now);
}

void Pool::OnRefused(uint64_t request, const Status& status, Time now) {
  openings_.erase(std::remove(openings_.begin(), openings_.end(), request), openings_.end());
  had_connection_ = false;
  if (conns_.empty()) {
    EndAll(status);
  } else {  // as when the script of new connections is at odds with the database of today
    grow_at_ = now + kGrowAgain;
  }
  Serve(now);
}

void Pool::OnReturned(uint64_t id, bool clean, Time now) {
  Conn* conn = FindConn(id);
  if (conn == nullptr || conn->state != State::kLeased) return;
  conn->used = now;
  if (clean) {
    conn->state = State::kIdle;
    conn->writes = false;
  } else {
    conn->state = State::kChecking;
    conn->hope = now + options_.hope_us;
    host_->Reset(id);
  }
  Serve(now);
}

void Pool::OnChecked(uint64_t id, bool usable, Time now) {
  Conn* conn = FindConn(id);
  if (conn == nullptr || conn->state != State::kChecking) return;
  if (usable) {
    conn->state = State::kIdle;
    conn->suspect = false;
    conn->writes = false;
    conn->used = now;
  } else {
    Discard(id, now);
  }
  Serve(now);
}

void Pool::OnClosed(uint64_t id, Time now) {
  Conn* conn = FindConn(id);
  std::unique_ptr<Group> group = conn == nullptr ? nullptr : std::move(conn->group);
  Remove(id);
  EndCut(std::move(group), now);
  Serve(now);
}

void Pool::SuspectAll() {
  for (Conn& conn : conns_) conn.suspect = true;
}

void Pool::CheckIdle(Time now) {
  SuspectAll();
  for (Conn& conn : conns_) {
    if (conn.state == State::kIdle) Check(&conn, now);
  }
  Serve(now);
}

void Pool::Check(Conn* conn, Time now) {
  conn->state = State::kChecking;
  conn->hope = now + options_.hope_us;
  ++stats_.checks;
  host_->Check(conn->id);
}

// ---------------------------------------------------------------------------------------- service

// The connection used last: the others may grow old. One that must be checked first is sent to be.
Pool::Conn* Pool::FreeConn(Time now) {
  for (auto at = conns_.rbegin(); at != conns_.rend(); ++at) {
    if (at->state != State::kIdle) continue;
    const bool stale = options_.check_us > 0 && now - at->used >= options_.check_us;
    if (!at->suspect && !stale) return &*at;
    Check(&*at, now);
  }
  return nullptr;
}

Operation* Pool::NextOperation() {
  const bool gate =
      std::none_of(conns_.begin(), conns_.end(), [](const Conn& c) { return c.writes; });
  Operation* reader = readers_.front();
  Operation* writer = gate ? writers_.front() : nullptr;
  if (reader == nullptr) return writer;
  return writer != nullptr && writer->ticket < reader->ticket ? writer : reader;
}

void Pool::Start(Conn* conn, Operation* op, Time now) {
  stats_.waited_us += now - op->queued_at;
  const bool writes = IsWrite(*op);
  (void)(writes ? writers_ : readers_).PopFront();
  if (op->kind == OpKind::kConnect)  // only wanted to know that there is one
    return End(IntrusivePtr<Operation>::Adopt(op), Status());
  conn->writes = writes;
  conn->used = now;
  const bool lease = op->kind == OpKind::kAcquire;
  conn->state = lease ? State::kLeased : State::kRunning;
  const uint64_t id = conn->id;
  std::rotate(conns_.begin() + (conn - conns_.data()), conns_.begin() + (conn - conns_.data()) + 1,
              conns_.end());
  auto owned = IntrusivePtr<Operation>::Adopt(op);
  if (!lease) return host_->Run(id, std::move(owned));
  ++stats_.completed;
  host_->Lease(id, std::move(owned));
}

void Pool::Serve(Time now) {
  if (closing_) {
    for (size_t i = conns_.size(); i-- > 0;) {
      if (conns_[i].state == State::kIdle || conns_[i].state == State::kChecking)
        Discard(conns_[i].id, now);
    }
    return;
  }
  while (Operation* op = NextOperation()) {
    Conn* conn = FreeConn(now);
    if (conn == nullptr) break;
    if (op == writers_.front() && StartGroup(conn, now)) continue;
    Start(conn, op, now);
  }
  Open(now);
}

// As many connections as there is work for, and no fewer than `min`.
void Pool::Open(Time now) {
  const auto idle_soon =
      static_cast<size_t>(std::count_if(conns_.begin(), conns_.end(), [](const Conn& c) {
        return c.state == State::kIdle || (c.state == State::kChecking && c.hope != 0);
      }));
  // Writers go one at a time: more than one connection would not serve them sooner.
  const bool gate =
      std::none_of(conns_.begin(), conns_.end(), [](const Conn& c) { return c.writes; });
  const size_t work = readers_.size() + (gate && !writers_.empty() ? 1 : 0);
  size_t want = work > idle_soon ? work - idle_soon : 0;
  if (had_connection_ && conns_.size() < options_.min)
    want = std::max<size_t>(want, options_.min - conns_.size());
  want = std::min<size_t>(want, options_.max - std::min<size_t>(options_.max, conns_.size()));
  if (conns_.empty() || grow_at_ <= now) grow_at_ = kNever;
  if (want > 0 && grow_at_ != kNever) want = 0;
  while (openings_.size() < want) {
    openings_.push_back(next_request_);
    host_->Want(next_request_++);
  }
  while (openings_.size() > want) {
    const uint64_t request = openings_.back();
    openings_.pop_back();
    host_->Unwant(request);
  }
}

// ------------------------------------------------------------------------------------ time and end

void Pool::Close(Time deadline, Time now) {
  closing_ = true;
  close_deadline_ = deadline;
  EndAll(Closed());
  while (!openings_.empty()) {
    const uint64_t request = openings_.back();
    openings_.pop_back();
    host_->Unwant(request);
  }
  Serve(now);
}

Time Pool::next_deadline() const {
  Time due = std::min(deadline_hint_, grow_at_);
  if (closing_) due = conns_.empty() ? deadline_hint_ : std::min(deadline_hint_, close_deadline_);
  for (const Conn& conn : conns_) {
    if (conn.group) due = std::min(due, GroupDeadline(*conn.group));
    if (conn.state == State::kChecking && conn.hope != 0) due = std::min(due, conn.hope);
    if (conn.state != State::kIdle) continue;
    if (options_.idle_us > 0 && conns_.size() > options_.min)
      due = std::min(due, conn.used + options_.idle_us);
    if (options_.lifetime_us > 0) due = std::min(due, conn.opened + options_.lifetime_us);
  }
  return due;
}

void Pool::ExpireOperations(Time now) {
  deadline_hint_ = kNever;
  for (IntrusiveFifo<Operation>* list : {&readers_, &writers_, &delayed_}) {
    IntrusiveFifo<Operation> all = list->Take();
    while (Operation* op = all.PopFront()) {
      if (op->deadline > now) {
        deadline_hint_ = std::min(deadline_hint_, op->deadline);
        list->PushBack(op);
        continue;
      }
      // Refused before, or without a connection, or behind others.
      Status why = op->last;
      if (why.ok()) {
        why = conns_.empty() ? host_->Failure(op->queued_at, now)
                             : Status::Make(Code::kTimeout,
                                            "deadline passed while the operation waited for a "
                                            "free connection or for its turn to write")
                                   .With(Phase::kRequest);
      }
      End(IntrusivePtr<Operation>::Adopt(op), std::move(why));
    }
  }
}

void Pool::CloseOld(Time now) {
  for (size_t i = conns_.size(); i-- > 0;) {
    const Conn& conn = conns_[i];
    if (conn.state != State::kIdle) continue;
    const bool idle =
        options_.idle_us > 0 && now - conn.used >= options_.idle_us && conns_.size() > options_.min;
    const bool old = options_.lifetime_us > 0 && now - conn.opened >= options_.lifetime_us;
    if (idle || old) Discard(conn.id, now);
  }
}

void Pool::OnDeadline(Time now) {
  if (deadline_hint_ <= now) {
    ExpireOperations(now);
    ReleaseDelayed(now);
  }
  ExpireMembers(now);
  CommitAgain(now);
  if (closing_ && close_deadline_ <= now) {
    while (!conns_.empty()) Discard(conns_.back().id, now);
    return;
  }
  CloseOld(now);
  for (Conn& conn : conns_) {
    if (conn.hope > now || conn.state != State::kChecking) continue;
    conn.hope = 0;
    conn.writes = false;  // whatever it holds: others find out from the server
  }
  Serve(now);
}

PoolStats Pool::stats() const {
  PoolStats out = stats_;
  out.open = static_cast<uint32_t>(conns_.size());
  for (const Conn& conn : conns_) {
    out.idle += conn.state == State::kIdle ? 1 : 0;
    out.leased += conn.state == State::kLeased ? 1 : 0;
  }
  out.opening = static_cast<uint32_t>(openings_.size());
  out.waiting = readers_.size() + writers_.size() + delayed_.size();
  return out;
}

}  // namespace dqc::client
