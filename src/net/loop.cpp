/* SPDX-License-Identifier: MIT */
#include "net/loop.hpp"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <string>

#include "net/connection.hpp"

namespace dqc::net {

namespace {

Status UvError(const char* what, int code) {
  return Status::Make(Code::kInternal, std::string(what) + ": " + uv_strerror(code));
}

// All signals stay with the application's threads.
class BlockSignals {
 public:
  BlockSignals() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &saved_);
  }
  ~BlockSignals() { pthread_sigmask(SIG_SETMASK, &saved_, nullptr); }

 private:
  sigset_t saved_;
};

// Detached. Without std::thread, which allocates and throws. False if the system gives none.
bool StartThread(void* (*main)(void*), void* argument) {
  BlockSignals blocked;
  pthread_t thread;
  if (pthread_create(&thread, nullptr, main, argument) != 0) return false;
  pthread_detach(thread);
  return true;
}

}  // namespace

session::Time Loop::Now() { return uv_hrtime() / 1000; }

Loop::Loop(LoopMode mode) : mode_(mode) {}

Loop::~Loop() = default;

void Loop::Dispose() { delete this; }

Result<IntrusivePtr<Loop>> Loop::Make(LoopMode mode, uv_loop_t* attach_to) {
  auto loop = IntrusivePtr<Loop>::Adopt(new Loop(mode));
  loop->ready_ = IntrusivePtr<EventQueue>::Adopt(new EventQueue());
  DQC_TRY(loop->Init(attach_to));
  loop->Retain();  // held by the users together, given back by CloseHandles
  if (mode != LoopMode::kThreaded) return loop;
  loop->ready_->Abandon();  // nobody runs this loop to take events from it
  const auto main = [](void* raw) -> void* {
    static_cast<Loop*>(raw)->ThreadMain();
    return nullptr;
  };
  loop->Retain();  // the thread's
  if (!StartThread(main, loop.get())) {
    loop->Release();
    loop->CloseHandles();
    return Status::Make(Code::kInternal, "the system gives no thread for the loop");
  }
  return loop;
}

Status Loop::Init(uv_loop_t* attach_to) {
  uv_ = attach_to;
  if (uv_ == nullptr) {
    if (const int rc = uv_loop_init(&own_); rc != 0) {
      return rc == UV_ENOMEM ? Status::OutOfMemory() : UvError("uv_loop_init", rc);
    }
    uv_ = &own_;
  }
  const int rc = uv_async_init(uv_, &wake_, [](uv_async_t* handle) {
    auto* self = static_cast<Loop*>(handle->data);
    const auto held = IntrusivePtr<Loop>::Share(self);
    self->OwnByHost();
    self->RunCommands();
    self->AfterCallback();
    if (self->mode_ == LoopMode::kAttached && self->orphaned_) self->WindUp();
  });
  if (rc != 0) {
    if (uv_ == &own_) uv_loop_close(&own_);
    return rc == UV_ENOMEM ? Status::OutOfMemory() : UvError("uv_async_init", rc);
  }
  wake_.data = this;
  uv_prepare_init(uv_, &prepare_);
  prepare_.data = this;
  uv_prepare_start(
      &prepare_, [](uv_prepare_t* handle) { static_cast<Loop*>(handle->data)->BeforeWait(false); });
  uv_unref(reinterpret_cast<uv_handle_t*>(&prepare_));
  uv_check_init(uv_, &check_);
  check_.data = this;
  open_handles_ = 3;
  if (mode_ == LoopMode::kAttached) AttachToHost();
  several_cpus_ = std::thread::hardware_concurrency() > 1;
  owner_ = std::this_thread::get_id();
  return {};
}

// A host may wait on the uv loop's descriptor instead of in uv_run(): nothing is prepared then
// before that wait, and new watchers come into the descriptor's set in the next uv_run() only.
void Loop::AttachToHost() {
  uv_unref(reinterpret_cast<uv_handle_t*>(&wake_));
  uv_check_start(&check_,
                 [](uv_check_t* handle) { static_cast<Loop*>(handle->data)->BeforeWait(true); });
  uv_unref(reinterpret_cast<uv_handle_t*>(&check_));
}

void Loop::BeforeWait(bool by_host) noexcept {
  const auto held = IntrusivePtr<Loop>::Share(this);
  OwnByHost();
  FlushDirty();
  // A timer of this turn, or a flush, which reads too, has made it so: no callback may follow.
  if (EventsWait()) AfterCallback();
  KeepAlive();
  const bool new_watchers = by_host && std::exchange(interest_changed_, false);
  if (new_watchers || EventsWait() || dirty_ != nullptr) uv_async_send(&wake_);
}

void Loop::Post(Command* command) noexcept {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    commands_.PushBack(command);
    if (!closed_) {
      if (!has_commands_.exchange(true)) uv_async_send(&wake_);
      command = nullptr;
    }
  }
  if (command == nullptr) return KeepAlive();
  RunLateCommands();
}

void Loop::Wake() noexcept {
  std::lock_guard<std::mutex> lock(mutex_);
  if (!closed_) uv_async_send(&wake_);
}

void Loop::RunCommands() noexcept {
  if (!has_commands_.exchange(false)) return;
  IntrusiveFifo<Command> commands;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (closed_) return;
    commands = commands_.Take();
  }
  while (Command* command = commands.PopFront()) command->run(command);
}

// A dial request may be answered, and an event of a queue be consumed, when the loop is no more:
// its connections are all closed, so whoever comes does the little that is left, one at a time.
void Loop::RunLateCommands() noexcept {
  const auto held = IntrusivePtr<Loop>::Share(this);
  std::unique_lock<std::mutex> lock(mutex_);
  if (running_late_) return;
  running_late_ = true;
  while (Command* command = commands_.PopFront()) {
    lock.unlock();
    command->run(command);
    lock.lock();
  }
  running_late_ = false;
}

void Loop::MarkDirty(Connection* connection) {
  if (connection->dirty) return;
  connection->dirty = true;
  connection->Retain();
  connection->next = std::exchange(dirty_, connection);
}

void Loop::FlushDirty() noexcept {
  Connection* connection = std::exchange(dirty_, nullptr);
  while (connection != nullptr) {
    Connection* next = std::exchange(connection->next, nullptr);
    connection->dirty = false;
    connection->Flush();
    connection->Release();
    connection = next;
  }
}

bool Loop::EventsWait() const {
  return !ready_->empty() || (awaited_ != nullptr && !awaited_->empty());
}

// What waits at its start: callbacks that cause events at once do not keep the caller here.
void Loop::Deliver() {
  const bool before = inside_.exchange(true);
  ready_->Deliver(0);
  inside_ = before;
}

// Once nobody can submit any more.
void Loop::DeliverAll() {
  while (!ready_->empty()) Deliver();
}

void Loop::AfterCallback() noexcept {
  ++progress_;
  if (mode_ != LoopMode::kAttached || inside_) return;
  OwnByHost();
  Deliver();
  KeepAlive();
  if (!ready_->empty()) Wake();
}

// uv_run() of an attached loop must not end while the application is owed something.
void Loop::KeepAlive() {
  if (mode_ != LoopMode::kAttached || owner_ != std::this_thread::get_id() || closing_) return;
  const bool owed = operations_ > 0 || has_commands_ || orphaned_ || !ready_->empty();
  auto* wake = reinterpret_cast<uv_handle_t*>(&wake_);
  owed ? uv_ref(wake) : uv_unref(wake);
}

// An attached loop's host may be about to wait, or wait already: it learns of events, requests and
// watchers that a call outside callbacks has made.
void Loop::EventReadyOutside() {
  if (mode_ != LoopMode::kAttached || inside_) return;
  KeepAlive();
  if (!ready_->empty() || dirty_ != nullptr || interest_changed_) Wake();
}

void Loop::DropConnection() {
  if (--connections_ == 0 && mode_ == LoopMode::kAttached && orphaned_) Wake();  // to wind up
}

void Loop::AddCloser(Connection* connection) {
  connection->next_closer = std::exchange(closers_, connection);
}

void Loop::DropCloser(Connection* connection) {
  for (Connection** at = &closers_; *at != nullptr; at = &(*at)->next_closer) {
    if (*at != connection) continue;
    *at = std::exchange(connection->next_closer, nullptr);
    return;
  }
}

// Before the rest of closing goes on where no callback can run.
void Loop::EndCloses() {
  while (closers_ != nullptr) closers_->EndClose();
}

void WaitTuner::SawReply(session::Time waited_us, bool looked) {
  int64_t& average = looked ? looked_ : slept_;
  // One reply that took very long says little of the next.
  const int64_t most = average == 0 ? 1'000'000 * kScale : 4 * average + 64 * kScale;
  const auto seen = static_cast<int64_t>(std::min<session::Time>(waited_us, 1'000'000)) * kScale;
  const int64_t waited = std::min(seen, most);
  average += average == 0 ? waited : (waited - average) / 8;
  // Now and then a few replies by the other way, to see whether it has become the better one.
  constexpr uint32_t kPeriod = 512, kTrial = 6;
  const bool better = looked_ != 0 && looked_ + looked_ / 16 < slept_;
  const bool trial = ++replies_ % kPeriod >= kPeriod - kTrial;
  look_ = replies_ < 2 * kTrial ? replies_ >= kTrial : better != trial;
}

bool WaitTuner::ShouldLook(int64_t poll_us) const {
  return look_ && std::min(slept_, looked_) <= poll_us * kScale;
}

bool Loop::ShouldPoll() const {
  const int64_t poll_us = poll_us_.load(std::memory_order_relaxed);
  return poll_us > 0 && several_cpus_ && operations_.load(std::memory_order_relaxed) > 0 &&
         waiting_.ShouldLook(poll_us);
}

// One turn. Sleeping and waking costs more than a short look at the socket (design 5), so where
// replies come within the polling window, look first; never longer than twice what was seen.
void Loop::Turn(bool wait) {
  RunCommands();
  FlushDirty();
  if (EventsWait()) wait = false;
  const uint64_t before = progress_;
  interest_changed_ = false;
  looked_ = wait && ShouldPoll();
  if (looked_) {
    const session::Time start = Now();
    const auto budget =
        static_cast<session::Time>(std::min(poll_us_.load(), 2 * waiting_.typical_us() + 10));
    do {
      uv_run(uv_, UV_RUN_NOWAIT);
    } while (progress_ == before && Now() - start < budget);
    if (progress_ != before) wait = false;
    if (!wait) return;
  }
  uv_run(uv_, wait ? UV_RUN_ONCE : UV_RUN_NOWAIT);
}

Status Loop::Run(RunMode mode) {
  if (mode_ != LoopMode::kDriven)
    return Status::Make(Code::kMisuse, "only a driven loop can be run");
  Own();
  if (inside_) return Status::Make(Code::kMisuse, "the loop is running: a callback cannot run it");
  const auto held = IntrusivePtr<Loop>::Share(this);
  inside_ = true;
  do {
    const bool nothing = operations_ == 0 && ready_->empty() && connections_ == 0;
    Turn(mode != RunMode::kNoWait && !nothing && (mode == RunMode::kOnce || operations_ > 0));
    Deliver();
  } while (mode == RunMode::kUntilIdle && (operations_ > 0 || !ready_->empty()) && !orphaned_);
  EndRun();
  return {};
}

Status Loop::RunUntilReady(const EventQueue& queue) {
  Own();
  if (inside_)
    return Status::Make(Code::kMisuse, "a blocking call inside a callback would never return");
  const auto held = IntrusivePtr<Loop>::Share(this);
  inside_ = true;
  awaited_ = &queue;
  while (queue.empty() && !queue.abandoned()) {
    Turn(true);
    if (!ready_->empty()) Deliver();
  }
  awaited_ = nullptr;
  EndRun();
  return {};
}

// What waits for the next run makes the descriptor readable.
void Loop::EndRun() noexcept {
  inside_ = false;
  if (orphaned_) return WindUp();
  if (!ready_->empty()) Wake();
}

int Loop::Descriptor() const { return mode_ == LoopMode::kDriven ? uv_backend_fd(uv_) : -1; }

int Loop::TimeoutMs() const {
  if (mode_ != LoopMode::kDriven) return -1;
  if (!ready_->empty() || has_commands_ || dirty_ != nullptr || interest_changed_) return 0;
  if (uv_loop_alive(uv_) == 0) return -1;
  uv_update_time(uv_);
  return uv_backend_timeout(uv_);
}

void Loop::DropUser() noexcept {
  Settle();
  if (users_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  const auto held = IntrusivePtr<Loop>::Share(this);
  orphaned_ = true;
  if (mode_ == LoopMode::kDriven && !inside_) return WindUp();
  KeepAlive();
  Wake();
}

bool Loop::Own() noexcept {
  if (mode_ == LoopMode::kThreaded) return false;
  const auto self = std::this_thread::get_id();
  if (owner_.load(std::memory_order_relaxed) == self) return true;
  if (mode_ == LoopMode::kAttached) return false;
  const std::lock_guard<std::mutex> lock(owner_mutex_);
  owner_ = self;
  return true;
}

// In callbacks of the uv loop: whoever runs it has an attached loop too.
void Loop::OwnByHost() noexcept {
  const auto self = std::this_thread::get_id();
  if (mode_ == LoopMode::kAttached && owner_.load(std::memory_order_relaxed) != self) owner_ = self;
}

// A driven loop may not be run again for long: what a free asks for on the owner's thread, as the
// ROLLBACK of what was left open, is sent at once. So a blocking call, which frees its cursor when it
// ends, leaves nothing unsent. Nothing is delivered.
void Loop::Settle() noexcept {
  const auto self = std::this_thread::get_id();
  if (mode_ != LoopMode::kDriven || owner_.load(std::memory_order_relaxed) != self) return;
  const std::lock_guard<std::mutex> lock(owner_mutex_);
  if (owner_ != self || inside_.exchange(true)) return;
  RunCommands();
  FlushDirty();
  inside_ = false;
}

// An event that was delivered behind the last free has handed out a new handle, as a lease.
bool Loop::Revived() noexcept {
  if (users_ == 0) return false;
  orphaned_ = false;
  if (users_ == 0) orphaned_ = true;  // that one went meanwhile, on another thread
  return !orphaned_;
}

// Nobody can reach the loop any more: deliver what is left, let connections finish what they owe
// the server, close.
void Loop::WindUp() noexcept {
  if (Revived()) return;
  if (mode_ == LoopMode::kAttached) {
    RunCommands();
    DeliverAll();
    if (Revived()) return;
    if (connections_ == 0 && !closing_) CloseHandles();
    return;
  }
  if (wound_up_.exchange(true)) return;
  inside_ = true;
  for (int turn = 0; turn < 3; ++turn) {
    Turn(false);
    if (turn == 2) EndCloses();
    DeliverAll();
  }
  inside_ = false;
  if (Revived()) {
    wound_up_ = false;
    return;
  }
  if (connections_ == 0) return Finish();
  // A stream that must be drained, or a name that is still being resolved: elsewhere, for free must
  // not block.
  const auto main = [](void* raw) -> void* {
    static_cast<Loop*>(raw)->Finish();
    return nullptr;
  };
  if (!StartThread(main, this)) Finish();
}

void Loop::Finish() noexcept {
  while (connections_ > 0) {
    uv_run(uv_, UV_RUN_ONCE);
    RunCommands();
    while (Deliverable* item = ready_->Pop()) item->Discard();
  }
  CloseHandles();
}

void Loop::CloseHandles() {
  FlushDirty();  // lets go of connections that closed with bytes to send
  closing_ = true;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
  }
  const uv_close_cb closed = [](uv_handle_t* handle) {
    auto* self = static_cast<Loop*>(handle->data);
    if (--self->open_handles_ == 0 && self->mode_ == LoopMode::kAttached) self->Release();
  };
  uv_close(reinterpret_cast<uv_handle_t*>(&prepare_), closed);
  uv_close(reinterpret_cast<uv_handle_t*>(&check_), closed);
  uv_close(reinterpret_cast<uv_handle_t*>(&wake_), closed);
  RunLateCommands();
  ready_->Abandon();  // an event in it may hold a connection, and that the loop
  if (mode_ == LoopMode::kAttached) return;
  while (uv_run(uv_, UV_RUN_DEFAULT) != 0 || open_handles_ > 0) {
  }
  uv_loop_close(uv_);
  Release();
}

void Loop::ThreadMain() {
#ifdef __linux__
  pthread_setname_np(pthread_self(), "dqclient");
#endif
  const auto held = IntrusivePtr<Loop>::Adopt(this);
  while (!orphaned_ || connections_ > 0 || has_commands_) {
    uv_run(uv_, UV_RUN_ONCE);
    RunCommands();
  }
  CloseHandles();
}

}  // namespace dqc::net
