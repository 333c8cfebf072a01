/* SPDX-License-Identifier: MIT */
// What the application asks of a client, and the one place where everything that happened meanwhile
// is told to the policies.
#include "net/client.hpp"

#include <algorithm>

#include "net/client_internal.hpp"

namespace dqc::net {

using session::kNever;
using session::OpKind;
using session::State;
using session::Time;

namespace {

// Numbers of a client's operations never meet those of a connection's own.
constexpr uint64_t kFirstOperation = uint64_t{1} << 63;

}  // namespace

Client::Client(IntrusivePtr<Loop> loop, IntrusivePtr<EventQueue> out, ClientOptions options,
               IntrusivePtr<Hooks> hooks)
    : Target(std::move(loop), std::move(out), kFirstOperation),
      options_(std::move(options)),
      hooks_(std::move(hooks)),
      search_(options_.search, this),
      pool_(options_.pool, this) {
  // What is noted while a policy decides is never lost for want of memory.
  given_.reserve(options_.pool.max + 1);  // one more: a doubt of ours
  refused_.reserve(options_.pool.max + 1);
  returned_.reserve(options_.pool.max);
  TakeSeeds(options_.seeds);
  search_.SetMembers(options_.members);
  give_up_.client = this;
}

Client::~Client() = default;

// ------------------------------------------------------------------------- from the application

Status Client::Submit(IntrusivePtr<QueuedOperation> op) {
  op->owned = true;
  loop_->OperationStarted();
  if (!OnLoopThread()) {
    op->Post(QueuedOperation::Way::kSubmit, loop_.get(),
             [](IntrusivePtr<QueuedOperation>&& self) noexcept {
               const auto client =
                   IntrusivePtr<Client>::Share(static_cast<Client*>(self->target.get()));
               Status status = Status::OutOfMemory();
               client->Enter([&] {
                 status = client->Accept(self);
                 client->pool_.Serve(Loop::Now());
               });
               if (status.ok()) return;
               self->status = std::move(status);
               client->Emit(std::move(self));
               client->Flush();
             });
    return {};
  }
  Status status = Status::OutOfMemory();
  Enter([&] {
    status = Accept(op);
    pool_.Serve(Loop::Now());  // accepted: if memory runs out here, it hears of it as an event
  });
  if (!status.ok()) loop_->OperationDone();
  loop_->EventReadyOutside();
  return status;
}

Status Client::Accept(const IntrusivePtr<QueuedOperation>& op) {
  if (op->kind == OpKind::kClose) {
    RunClose(op);
    return {};
  }
  if (closed_ || gave_up_) {
    return Status::Make(Code::kClosed, "the client is closed").With(Phase::kClose);
  }
  Register();
  op->owned = true;
  if (op->kind == OpKind::kEnd) {
    EndTransaction(op);
    return {};
  }
  if (!op->node.empty()) return Visit(op);
  return pool_.Submit(IntrusivePtr<session::Operation>::Share(op.get()), Loop::Now());
}

void Client::RunClose(IntrusivePtr<QueuedOperation> op) {
  if (closed_) return Emit(std::move(op));
  if (close_op_) {
    op->status = Status::Make(Code::kMisuse, "already being closed");
    return Emit(std::move(op));
  }
  close_op_ = std::move(op);
  CloseAll(close_op_->deadline);
}

void Client::CloseAll(Time deadline) {
  pool_.Close(deadline, Loop::Now());
  for (const auto& slot : slots_) {
    if (slot->visitor == nullptr) continue;
    slot->connection->Cut(Status::Make(Code::kClosed, "the client is closed").With(Phase::kClose));
  }
}

void Client::GiveUp() noexcept {
  if (gave_up_.exchange(true)) return;
  Retain();
  give_up_.run = [](Command* command) noexcept {
    const auto self = IntrusivePtr<Client>::Adopt(static_cast<OwnCommand*>(command)->client);
    self->Enter([&] {
      const Time now = Loop::Now();
      self->CloseAll(now);
      self->pool_.OnDeadline(now);
    });
  };
  loop_->Post(&give_up_);
}

void Client::AbandonAfterFork() noexcept {
  // The loop's thread does not exist here: what it was changing stays as it was, half changed.
  if (!slots_mutex_.try_lock()) return;
  for (const auto& slot : slots_) slot->connection->AbandonAfterFork();
}

// Work told apart by numbers: at once, or on the loop's thread.
template <typename Work>
Status Client::Tell(Work work) {
  if (OnLoopThread()) {
    Enter([&] { work(*this); });
    loop_->EventReadyOutside();
    return {};
  }
  struct TellCommand : Command {
    IntrusivePtr<Client> client;
    Work work;
    explicit TellCommand(Work w) : work(std::move(w)) {}
  };
  auto command = std::make_unique<TellCommand>(std::move(work));
  command->client = IntrusivePtr<Client>::Share(this);
  command->run = [](Command* base) noexcept {
    const std::unique_ptr<TellCommand> self(static_cast<TellCommand*>(base));
    self->client->Enter([&] { self->work(*self->client); });
  };
  loop_->Post(command.release());
  return {};
}

Status Client::Cancel(uint64_t op_id) {
  return Tell([op_id](Client& self) { self.CancelHere(op_id); });
}

void Client::CancelHere(uint64_t op_id) noexcept {
  if (!pool_.Cancel(op_id, Loop::Now()) && !CancelEnding(op_id)) CancelOnSlots(op_id);
}

void Client::CancelOnSlots(uint64_t op_id) noexcept {
  for (size_t i = 0; i < slots_.size(); ++i) {
    const IntrusivePtr<Connection> connection = slots_[i]->connection;
    if (slots_[i]->pooled || slots_[i]->visitor != nullptr) connection->CancelHere(op_id);
  }
}

Status Client::Pause(uint64_t op_id, bool pause) {
  return Tell([op_id, pause](Client& self) {
    if (session::Operation* op = self.pool_.Find(op_id)) op->paused = pause;
    for (const auto& slot : self.slots_) {
      if (slot->pooled) slot->connection->PauseHere(op_id, pause);
    }
  });
}

void Client::PostCancel(QueuedOperation* op) noexcept {
  op->Post(QueuedOperation::Way::kCancel, loop_.get(),
           [](IntrusivePtr<QueuedOperation>&& self) noexcept {
             const auto client =
                 IntrusivePtr<Client>::Share(static_cast<Client*>(self->target.get()));
             client->Enter([&] { client->CancelHere(self->id); });
           });
}

void Client::Resume(QueuedOperation* op) noexcept {
  op->Post(QueuedOperation::Way::kResume, loop_.get(),
           [](IntrusivePtr<QueuedOperation>&& self) noexcept {
             if (self->connection) self->connection->ResumeHere();
           });
}

Status Client::SetNodes(client::Nodes nodes) {
  return Tell([nodes = std::move(nodes)](Client& self) { self.TakeSeeds(nodes); });
}

Client::Snapshot Client::snapshot() const noexcept {
  std::lock_guard<std::mutex> lock(mutex_);
  return snapshot_;
}

size_t Client::CopyLeader(char* buffer, size_t size) const noexcept {
  std::lock_guard<std::mutex> lock(mutex_);
  if (size > 0) buffer[leader_.copy(buffer, size - 1)] = '\0';
  return leader_.size();
}

void Client::Publish() noexcept {
  std::lock_guard<std::mutex> lock(mutex_);
  snapshot_.pool = pool_.stats();
  snapshot_.search = search_.counters();
  snapshot_.search.attempts += visits_;
  try {
    if (leader_ != search_.leader()) leader_ = search_.leader();
  } catch (const std::bad_alloc&) {
    // The next time.
  }
}

// To the application, at the end of the entry: what it then asks of the client is up to date. The
// operation's status is set.
void Client::Emit(IntrusivePtr<QueuedOperation> op) noexcept { told_.PushBack(op.Detach()); }

void Client::Flush() noexcept {
  while (session::Operation* op = told_.PopFront()) {
    auto* queued = static_cast<QueuedOperation*>(op);
    loop_->OperationDone();
    const IntrusivePtr<EventQueue> out = queued->out;
    if (out) {
      out->Push(queued);
    } else {
      queued->Discard();
    }
  }
}

// -------------------------------------------------------------------------- what happened meanwhile

void Client::OnOwnedDone(IntrusivePtr<QueuedOperation> op) noexcept { done_.PushBack(op.Detach()); }

void Client::OnConnection(Connection* connection) noexcept {
  if (inside_) return;
  const bool closed = connection->session().state() == State::kClosed;
  if (closed || !done_.empty()) return Enter([] {});
  // What runs on a lease passes us by.
  const bool unwatched = options_.silence_us != 0 && silence_due_ == kNever;
  if (unwatched && connection->silent_since() != kNever) UpdateTimer();
}

void Client::OnReturned(Connection* connection) noexcept {
  Enter([&] { returned_.push_back(static_cast<Slot*>(connection->owner_data())); });
}

void Client::Process() {
  const Time now = Loop::Now();
  if (search_.next_deadline() <= now) search_.OnDeadline(now);
  if (pool_.next_deadline() <= now) pool_.OnDeadline(now);
  if (watch_at_ <= now) Look(now);
  if (next_ending() <= now) ResumeEndings();
  if (doubting_ || silence_due_ <= now) Doubt(now);
  while (ProcessOne()) {
  }
}

bool Client::ProcessOne() {
  const Time now = Loop::Now();
  if (session::Operation* op = done_.PopFront()) {
    HandleDone(IntrusivePtr<QueuedOperation>::Adopt(static_cast<QueuedOperation*>(op)));
    return true;
  }
  if (!given_.empty()) {
    const Given given = given_.front();
    given_.erase(given_.begin());
    if (given.request == kDoubt) {
      EndDoubt(given.attempt, now);
      return true;
    }
    if (Slot* slot = FindSlot(given.attempt)) {
      slot->pooled = true;
      AskMembers(slot);  // in front of the first operation, which may take its time
    }
    if (options_.watch_us > 0 && watch_at_ == kNever) watch_at_ = now + options_.watch_us;
    pool_.OnOpened(given.request, given.attempt, now);
    return true;
  }
  if (!refused_.empty()) {
    const Refused refused = std::move(refused_.front());
    refused_.erase(refused_.begin());
    if (refused.request == kDoubt) {
      EndDoubt(0, now);
    } else {
      pool_.OnRefused(refused.request, refused.status, now);
    }
    return true;
  }
  if (!returned_.empty()) {
    Slot* slot = returned_.back();
    returned_.pop_back();
    (void)slot->connection->NewHolder();
    slot->connection->CancelAll();
    const session::Session& session = slot->connection->session();
    if (!Usable(*slot)) {
      CloseSlot(slot);
    } else {
      pool_.OnReturned(slot->id, session.idle() && !session.may_be_in_transaction(), now);
    }
    return true;
  }
  for (const auto& slot : slots_) {
    if (slot->connection->session().state() != State::kClosed) continue;
    if (slot->pooled) {
      CloseSlot(slot.get());
    } else if (slot->watch && !slot->asking) {
      MarkDown(slot->address, slot->connection->session().lost());
      Detach(*TakeSlot(slot->id));
    } else {
      continue;  // whoever waits for it is told
    }
    return true;
  }
  if (!refresh_members_) return false;
  for (const auto& slot : slots_) {
    if (!slot->pooled || !Usable(*slot) || !slot->connection->session().idle()) continue;
    if (AskMembers(slot.get())) return true;
  }
  return false;
}

bool Client::AskMembers(Slot* slot) noexcept {
  if (!refresh_members_ || refreshing_) return false;
  try {
    auto ask = InternalOperation::Cluster();
    refresh_members_ = false;
    refreshing_ = true;
    RunInternal(slot, std::move(ask));
    return true;
  } catch (const std::bad_alloc&) {
    return false;  // another time
  }
}

void Client::HandleDone(IntrusivePtr<QueuedOperation> op) {
  if (!op->node.empty()) return EndVisit(std::move(op));
  const IntrusivePtr<Connection> connection = std::move(op->connection);
  op->connection = nullptr;
  auto* slot = connection ? static_cast<Slot*>(connection->owner_data()) : nullptr;
  const uint64_t id = slot == nullptr ? 0 : slot->id;
  auto* internal = dynamic_cast<InternalOperation*>(op.get());
  if (internal != nullptr && !(internal->pooled() && connection)) {
    if (internal->answers()) return HandleAnswer(*internal, slot);
    if (internal->purpose == InternalOperation::Purpose::kMembers) OnMembers(*internal);
    if (slot != nullptr) HandleInternal(internal, slot);
    return;
  }
  if (slot != nullptr) {
    slot->spared = false;
    op->cut |= slot->cut;
  }
  if (slot != nullptr && !Usable(*slot)) {
    // Members of a group that are still under way have their own answers coming, and may run again
    // then; cut off they could not.
    const session::Session& session = slot->connection->session();
    const bool others = op->grouped && session.state() == State::kReady && !session.idle();
    others ? search_.OnLeaderLost(slot->address, Loop::Now()) : CloseSlot(slot);
  }
  // What follows must not run inside a transaction that this one began: it is rolled back first, or
  // ends with the connection.
  const bool clean = !connection || !connection->session().may_be_in_transaction();
  if (op->undone_by_rollback) op->status = op->status.With(Outcome::kNotExecuted);
  pool_.OnDone(id, IntrusivePtr<session::Operation>::Adopt(op.Detach()), clean, Loop::Now());
}

// ----------------------------------------------------------------------------------- loop and time

void Client::Register() {
  if (registered_) return;
  auto timer = std::make_unique<uv_timer_t>();
  uv_timer_init(loop_->uv(), timer.get());
  timer->data = this;
  timer_ = timer.release();
  registered_ = true;
  Retain();
  loop_->AddConnection();
}

void Client::UpdateTimer() {
  if (timer_ == nullptr) return;
  silence_due_ = SilenceDue();
  const Time due = std::min(
      {search_.next_deadline(), pool_.next_deadline(), watch_at_, next_ending(), silence_due_});
  if (due >= timer_at_ || due == kNever) return;  // an early alarm looks again
  timer_at_ = due;
  const Time now = Loop::Now();
  const uint64_t ms = due <= now ? 0 : (due - now + 999) / 1000;
  uv_update_time(loop_->uv());
  uv_timer_start(
      timer_,
      [](uv_timer_t* handle) {
        auto* self = static_cast<Client*>(handle->data);
        const IntrusivePtr<Loop> loop = self->loop_;
        self->timer_at_ = kNever;
        self->Enter([] {});
        loop->AfterCallback();
      },
      ms, 0);
  loop_->InterestChanged();
}

void Client::FinishIfClosed() {
  const bool empty = pool_.empty() && endings_.empty() && !Visited();
  if (closed_ || !pool_.closing() || !empty) return;
  closed_ = true;
  watch_at_ = kNever;
  search_.Cancel(kDoubt);
  doubting_ = false;
  CancelLookups();
  while (!slots_.empty()) Detach(*TakeSlot(slots_.back()->id));
  while (session::Operation* op = done_.PopFront()) op->Release();  // our own questions
  if (close_op_) Emit(std::exchange(close_op_, nullptr));
  if (!registered_) return;
  registered_ = false;
  uv_timer_t* timer = std::exchange(timer_, nullptr);
  uv_timer_stop(timer);
  uv_close(reinterpret_cast<uv_handle_t*>(timer), [](uv_handle_t* handle) {
    const std::unique_ptr<uv_timer_t> owned(reinterpret_cast<uv_timer_t*>(handle));
    const auto self = IntrusivePtr<Client>::Adopt(static_cast<Client*>(owned->data));
    self->loop_->DropConnection();
  });
}

}  // namespace dqc::net
