/* SPDX-License-Identifier: MIT */
#include "shared.hpp"

#include <algorithm>
#include <memory>

namespace dqc::capi {

namespace {

constexpr size_t kCallsKept = 256;
constexpr size_t kCursorsKept = 16;

using client::Config;
using client::Key;

session::SessionOptions SessionOptionsOf(const Config& config) {
  session::SessionOptions o;
  const auto u64 = [&](Key key) { return static_cast<uint64_t>(config.integer(key)); };
  if (!config.addresses().empty()) o.node = config.addresses().front();
  o.database = config.database();
  o.client_id = uv_hrtime();  // any number does: no release uses it (protocol 5.2)
  o.limits = config.limits();
  o.cell_types = static_cast<session::CellTypes>(config.integer(Key::kCellTypes));
  o.pipeline_bytes = u64(Key::kPipelineBytes);
  o.read_buffer = u64(Key::kReadBuffer);
  o.high_water = u64(Key::kHighWater);
  o.buffer_max = u64(Key::kBufferMax);
  o.queue_max = u64(Key::kQueueMax);
  o.drain_bytes = u64(Key::kDrainBytes);
  o.drain_bytes_era_d = u64(Key::kDrainBytesEraD);
  o.drain_us = u64(Key::kDrainTimeout);
  o.drain_us_era_d = u64(Key::kDrainTimeoutEraD);
  o.init_sql = config.text(Key::kInitSql);
  o.idle_transaction_us = u64(Key::kIdleTransactionTimeout);
  return o;
}

}  // namespace

net::ConnectionOptions ConnectionOptionsOf(const Config& config) {
  net::ConnectionOptions o;
  o.session = SessionOptionsOf(config);
  o.address = o.session.node;
  o.stagger_us = config.duration_us(Key::kHappyEyeballsDelay);
  o.quick_ack = config.flag(Key::kQuickAck);
  o.socket.keepalive_idle_us = config.duration_us(Key::kKeepaliveIdle);
  o.socket.keepalive_interval_us = config.duration_us(Key::kKeepaliveInterval);
  o.socket.keepalive_count = config.integer(Key::kKeepaliveCount);
  o.socket.user_timeout_us = config.duration_us(Key::kTcpUserTimeout);
  return o;
}

Status CheckSized(const void* data, uint32_t size, size_t least, size_t known, const char* what) {
  constexpr uint32_t kLargest = 4096;
  if (size < least || size > kLargest)
    return Status::Make(Code::kMisuse, std::string(what) + ".struct_size is not set");
  const auto* bytes = static_cast<const unsigned char*>(data);
  for (size_t i = known; i < size; ++i) {
    if (bytes[i] != 0) {
      return Status::Make(Code::kMisuse,
                          std::string(what) + " has fields this version does not know");
    }
  }
  return {};
}

Status CheckOptions(const dqc_call_options* options) {
  if (options == nullptr) return {};
  return CheckSized(options, options->struct_size, sizeof(uint32_t) * 2, sizeof(*options),
                    "dqc_call_options");
}

Shared::Shared(IntrusivePtr<net::Loop> loop_in, IntrusivePtr<net::EventQueue> queue_in,
               const Config& config)
    : loop(std::move(loop_in)),
      queue(std::move(queue_in)),
      calls(IntrusivePtr<Pool<Call>>::Adopt(new Pool<Call>(kCallsKept))),
      cursors(IntrusivePtr<Pool<dqc_rows>>::Adopt(new Pool<dqc_rows>(kCursorsKept))),
      timeout_us(config.duration_us(Key::kTimeout)),
      connect_timeout_us(config.duration_us(Key::kConnectTimeout)),
      limits(config.limits()),
      database(config.database()),
      strong_reads(config.flag(Key::kStrongReads)),
      leased(false) {
  loop->set_poll_us(config.duration_us(Key::kPollTime));
}

Shared::Shared(const Shared& client)
    : RefCounted(),
      loop(client.loop),
      queue(client.queue),
      calls(client.calls),
      cursors(client.cursors),
      timeout_us(client.timeout_us),
      connect_timeout_us(client.connect_timeout_us),
      limits(client.limits),
      database(client.database),
      strong_reads(client.strong_reads),
      leased(true) {}

Result<Shared*> SharedOf(const dqc_conn* conn) {
  DQC_TRY(Check(conn, "connection"));
  return conn->shared.get();
}

Result<Shared*> SharedOf(const dqc_client* client) {
  DQC_TRY(Check(client, "client"));
  return client->shared.get();
}

Result<Place> PlaceOf(dqc_loop* loop, dqc_queue* queue) {
  if (!WatchForks()) return Status::OutOfMemory();
  Place place;
  if (loop != nullptr) {
    DQC_TRY(Check(loop, "loop"));
    place.loop = loop->loop;
    place.loop->AddUser();
  } else {
    auto made = net::Loop::Make(net::LoopMode::kDriven, nullptr);  // the handle is its one user
    DQC_TRY(made.status());
    place.loop = std::move(*made);
  }
  if (queue != nullptr) {
    DQC_TRY(Check(queue, "queue"));
    if (place.loop->mode() != net::LoopMode::kThreaded) {
      return Status::Make(Code::kMisuse,
                          "a queue goes with a threaded loop; this loop's events are delivered by "
                          "running it");
    }
    place.queue = queue->queue;
  }
  return place;
}

session::Time Shared::DeadlineAfter(int64_t us) {
  const session::Time now = net::Loop::Now();
  const auto span = static_cast<session::Time>(us);
  return us == 0 || span >= session::kNever - now ? session::kNever : now + span;
}

int64_t Shared::TimeoutOf(uint64_t timeout_ms) const {
  if (timeout_ms == 0) return timeout_us;
  return timeout_ms >= INT64_MAX / 1000 ? 0 : static_cast<int64_t>(timeout_ms) * 1000;
}

IntrusivePtr<Call> Shared::NewCall(session::OpKind kind, const dqc_call_options* options) {
  IntrusivePtr<Call> call = Call::Make(calls);
  call->kind = kind;
  call->id = target->NextOperationId();
  call->target = target;
  const bool sized = options != nullptr && options->struct_size >= sizeof(dqc_call_options);
  call->idempotent = options != nullptr && (options->flags & DQC_CALL_IDEMPOTENT) != 0;
  call->stay_alone = options != nullptr && (options->flags & DQC_CALL_ALONE) != 0;
  call->deadline =
      std::min(DeadlineAfter(TimeoutOf(sized ? options->timeout_ms : 0)), deadline_max);
  return call;
}

Status Shared::Dispatch(IntrusivePtr<Call> call) {
  if (returned) return net::Connection::GivenBack();
  call->holder = holder;
  return target->Submit(IntrusivePtr<net::QueuedOperation>::Adopt(call.Detach()));
}

Status Shared::MayTell() const {
  if (loop->mode() != net::LoopMode::kThreaded || queue) return {};
  return Status::Make(Code::kMisuse,
                      "the connection was made without a queue: blocking calls only");
}

Status Shared::Submit(IntrusivePtr<Call> call, dqc_callback callback, void* user_data,
                      uint64_t* op) {
  DQC_TRY(MayTell());
  call->callback = callback;
  call->user_data = user_data;
  call->silent = callback == nullptr;
  call->out = IntrusivePtr<net::EventQueue>::Share(target->out());
  const uint64_t id = call->id;
  DQC_TRY(Dispatch(std::move(call)));
  if (op != nullptr) *op = id;
  return {};
}

Status Shared::MayBlock() const {
  if (loop->mode() == net::LoopMode::kAttached) {
    return Status::Make(
        Code::kMisuse,
        "a blocking call on an attached loop would never return: use the _async form");
  }
  if (loop->mode() == net::LoopMode::kDriven && loop->inside()) {
    return Status::Make(
        Code::kMisuse, "a blocking call inside a callback would never return: use the _async form");
  }
  return {};
}

Result<IntrusivePtr<dqc_rows>> Shared::Begin(IntrusivePtr<Call> call) {
  DQC_TRY(MayBlock());
  BufferOpenCursors();
  call->blocking = true;
  IntrusivePtr<dqc_rows> cursor = dqc_rows::Make(this);
  cursor->Start(call);
  Status accepted = Dispatch(std::move(call));
  if (!accepted.ok()) {
    cursor.Detach()->FreeUnused();
    return accepted;
  }
  return cursor;
}

Status Shared::BeginRows(IntrusivePtr<Call> call, dqc_rows** out) {
  const bool modifies = call->statement.returning;
  Result<IntrusivePtr<dqc_rows>> begun = Begin(std::move(call));
  DQC_TRY(begun.status());
  const auto free = [](dqc_rows* cursor) { cursor->Free(); };
  std::unique_ptr<dqc_rows, decltype(free)> rows(begun->Detach(), free);
  if (modifies) {
    // It holds the database's write lock while it runs: not at the pace of whoever steps through it.
    DQC_TRY(rows->FetchWhole());
  } else {
    const Result<bool> first = rows->NextBatch();
    DQC_TRY(first.status());
    if (!*first) DQC_TRY(rows->status());
  }
  *out = rows.release();
  return {};
}

Status Shared::RunBlocking(IntrusivePtr<Call> call, dqc_result* result) {
  Result<IntrusivePtr<dqc_rows>> begun = Begin(std::move(call));
  DQC_TRY(begun.status());
  dqc_rows* cursor = begun->Detach();
  Status status = cursor->WaitForEnd();
  if (result != nullptr && status.ok()) *result = cursor->result();
  cursor->Free();
  return status;
}

void Shared::AddOpenCursor(dqc_rows* cursor) {
  std::lock_guard<std::mutex> lock(mutex_);
  open_cursors_.push_back(cursor);
}

void Shared::DropOpenCursor(dqc_rows* cursor) noexcept {
  std::lock_guard<std::mutex> lock(mutex_);
  open_cursors_.erase(std::remove(open_cursors_.begin(), open_cursors_.end(), cursor),
                      open_cursors_.end());
}

void Shared::BufferOpenCursors() {
  std::lock_guard<std::mutex> lock(mutex_);
  for (dqc_rows* cursor : open_cursors_) cursor->BufferRest();
}

}  // namespace dqc::capi
