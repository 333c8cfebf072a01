/* SPDX-License-Identifier: MIT */
#include "guard.hpp"
#include "net/event_queue.hpp"
#include "shared.hpp"

using dqc::Code;
using dqc::IntrusivePtr;
using dqc::Status;
using dqc::capi::Check;
using dqc::capi::guard;
using dqc::net::EventQueue;

extern "C" {

dqc_status dqc_queue_new(dqc_queue** out, dqc_error** error) {
  if (out != nullptr) *out = nullptr;
  return guard(error, [&]() -> Status {
    if (out == nullptr) return Status::Make(Code::kMisuse, "out is NULL");
    if (!dqc::WatchForks()) return Status::OutOfMemory();
    auto handle = std::make_unique<dqc_queue>();
    handle->queue = IntrusivePtr<EventQueue>::Adopt(new EventQueue());
    if (!handle->queue->OpenDescriptor())
      return Status::Make(Code::kInternal, "no descriptor for the queue");
    *out = handle.release();
    return {};
  });
}

int dqc_queue_fd(const dqc_queue* queue) {
  return queue == nullptr || !queue->valid() || queue->forked() ? -1 : queue->queue->Descriptor();
}

int32_t dqc_queue_wait(dqc_queue* queue, int64_t timeout_ms) {
  int32_t found = 0;
  const dqc_status status = guard(nullptr, [&]() -> Status {
    DQC_TRY(Check(queue, "queue"));
    const int64_t longest = INT64_MAX / 4000000;  // decades, that clocks can add to their now
    const IntrusivePtr<EventQueue> held = queue->queue;  // another thread may free the handle
    found = held->Wait(timeout_ms < 0 ? -1 : std::min(timeout_ms, longest) * 1000) ? 1 : 0;
    if (held->abandoned()) return Status::Make(Code::kClosed, "the queue was freed meanwhile");
    return {};
  });
  return status == DQC_OK ? found : status;
}

dqc_status dqc_queue_set_notify(dqc_queue* queue, void (*notify)(void* user_data),
                                void* user_data) {
  return guard(nullptr, [&]() -> Status {
    DQC_TRY(Check(queue, "queue"));
    queue->queue->SetNotify(notify, user_data);
    return {};
  });
}

int64_t dqc_queue_dispatch(dqc_queue* queue, uint64_t events_max) {
  int64_t delivered = 0;
  const dqc_status status = guard(nullptr, [&]() -> Status {
    DQC_TRY(Check(queue, "queue"));
    const IntrusivePtr<EventQueue> held = queue->queue;  // a callback may free the handle
    delivered = static_cast<int64_t>(held->Deliver(events_max));
    return {};
  });
  return status == DQC_OK ? delivered : status;
}

void dqc_queue_free(dqc_queue* queue) {
  if (queue == nullptr || !queue->valid()) return;
  const std::unique_ptr<dqc_queue> owned(queue);
  if (owned->forked()) {
    (void)owned->queue.Detach();  // the parent's: its lock may be held for ever here
    return;
  }
  owned->queue->Abandon();
}

}  // extern "C"
