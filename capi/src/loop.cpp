/* SPDX-License-Identifier: MIT */
#include "net/loop.hpp"

#include "dqclient/dqclient_uv.h"
#include "guard.hpp"
#include "shared.hpp"

using dqc::Code;
using dqc::Status;
using dqc::capi::Check;
using dqc::capi::guard;
using dqc::net::Loop;
using dqc::net::LoopMode;
using dqc::net::RunMode;

namespace {

Status MakeLoop(LoopMode mode, uv_loop_t* uv, dqc_loop** out) {
  if (out == nullptr) return Status::Make(Code::kMisuse, "out is NULL");
  if (!dqc::WatchForks()) return Status::OutOfMemory();
  auto handle = std::make_unique<dqc_loop>();
  auto made = Loop::Make(mode, uv);
  DQC_TRY(made.status());
  handle->loop = std::move(*made);
  *out = handle.release();
  return {};
}

}  // namespace

extern "C" {

dqc_status dqc_loop_new(int32_t mode, dqc_loop** out, dqc_error** error) {
  if (out != nullptr) *out = nullptr;
  return guard(error, [&]() -> Status {
    if (mode != DQC_LOOP_DRIVEN && mode != DQC_LOOP_THREADED)
      return Status::Make(Code::kMisuse, "no such loop mode");
    return MakeLoop(mode == DQC_LOOP_DRIVEN ? LoopMode::kDriven : LoopMode::kThreaded, nullptr,
                    out);
  });
}

dqc_status dqc_loop_attach(uv_loop_t* uv, dqc_loop** out, dqc_error** error) {
  if (out != nullptr) *out = nullptr;
  return guard(error, [&]() -> Status {
    if (uv == nullptr) return Status::Make(Code::kMisuse, "the uv loop is NULL");
    return MakeLoop(LoopMode::kAttached, uv, out);
  });
}

dqc_status dqc_loop_run(dqc_loop* loop, int32_t mode, dqc_error** error) {
  return guard(error, [&]() -> Status {
    DQC_TRY(Check(loop, "loop"));
    switch (mode) {
      case DQC_RUN_DEFAULT:
        return loop->loop->Run(RunMode::kUntilIdle);
      case DQC_RUN_ONCE:
        return loop->loop->Run(RunMode::kOnce);
      case DQC_RUN_NOWAIT:
        return loop->loop->Run(RunMode::kNoWait);
      default:
        return Status::Make(Code::kMisuse, "no such run mode");
    }
  });
}

int dqc_loop_fd(const dqc_loop* loop) {
  return loop == nullptr || !loop->valid() || loop->forked() ? -1 : loop->loop->Descriptor();
}

int dqc_loop_timeout_ms(const dqc_loop* loop) {
  return loop == nullptr || !loop->valid() || loop->forked() ? -1 : loop->loop->TimeoutMs();
}

void dqc_loop_wake(dqc_loop* loop) {
  if (loop != nullptr && loop->valid() && !loop->forked()) loop->loop->Wake();
}

void dqc_loop_free(dqc_loop* loop) {
  if (loop == nullptr || !loop->valid()) return;
  const std::unique_ptr<dqc_loop> owned(loop);
  if (owned->forked()) {
    (void)owned->loop.Detach();  // the parent's: its locks may be held for ever here
    return;
  }
  owned->loop->DropUser();
}

}  // extern "C"
