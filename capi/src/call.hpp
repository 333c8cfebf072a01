/* SPDX-License-Identifier: MIT */
// An operation with the application's callback, and the cursor that blocking callers use in its
// place.
#pragma once

#include <memory>
#include <vector>

#include "base/pool.hpp"
#include "dqclient/dqclient.h"
#include "net/connection.hpp"

struct dqc_rows;

namespace dqc::capi {

class Shared;
class Statement;

class Call final : public net::QueuedOperation {
 public:
  Call* pool_next = nullptr;
  dqc_callback callback = nullptr;
  void* user_data = nullptr;
  dqc_rows* cursor = nullptr;  // then there is no callback; `out` is the cursor and keeps it alive
  IntrusivePtr<Statement> stmt;     // executed, or being prepared
  std::unique_ptr<dqc_conn> lease;  // the handle for what is leased

  static IntrusivePtr<Call> Make(const IntrusivePtr<Pool<Call>>& pool);
  void DeliverRows(IntrusivePtr<session::Batch> batch) noexcept override;
  void DeliverDone() noexcept override;
  void Dispose() override;
  void FillResult(dqc_result* result) const;
  // The application's from now on: null if there is none.
  dqc_conn* TakeLease() noexcept;

 private:
  friend class Pool<Call>;
  Call();
  ~Call() override;

  IntrusivePtr<Pool<Call>> home_;
};

}  // namespace dqc::capi

// The rows of one operation, taken by the thread that waits for them: a queue of its own for its
// events.
struct dqc_rows : public dqc::net::EventQueue {
 public:
  dqc_rows* pool_next = nullptr;

  static dqc::IntrusivePtr<dqc_rows> Make(dqc::capi::Shared* shared);
  void Start(
      const dqc::IntrusivePtr<dqc::capi::Call>& call);  // its operation; before it is submitted

  // Runs the loop, or waits, until there is a batch (true) or the end (false; then `status`).
  dqc::Result<bool> NextBatch();
  // Takes every batch now, to be stepped through afterwards. The operation's own status.
  dqc::Status FetchWhole();
  dqc::Status WaitForEnd();  // throws rows away
  void BufferRest() noexcept;
  void Free() noexcept;        // the application's reference
  void FreeUnused() noexcept;  // its call was refused

  // By the call, where its events are delivered.
  void TakeRows(dqc::IntrusivePtr<dqc::session::Batch> batch) { batch_ = std::move(batch); }
  void TakeEnd();

  bool done() const { return done_; }
  const dqc::Status& status() const { return status_; }
  const dqc_result& result() const { return result_; }
  dqc::session::Batch* batch() const { return batch_.get(); }
  dqc::session::ResultHeader* header() const { return header_.get(); }
  dqc::capi::Statement* statement() const { return statement_.get(); }
  void DropBatch() noexcept;  // consumed
  uint32_t magic = 0;
  uint32_t fork_generation = 0;
  uint64_t row = UINT64_MAX;  // current row of batch()
  bool valid() const { return magic == kMagic; }
  bool forked() const;

 private:
  friend class dqc::RefCounted<dqc::net::EventQueue>;
  static constexpr uint32_t kMagic = 0x64716372;
  dqc_rows();
  ~dqc_rows() override;
  void Dispose() override;

  dqc::IntrusivePtr<dqc::capi::Shared> shared_;
  dqc::IntrusivePtr<dqc::capi::Call> call_;
  dqc::IntrusivePtr<dqc::session::Batch> batch_;
  dqc::IntrusivePtr<dqc::session::ResultHeader> header_;
  dqc::IntrusivePtr<dqc::capi::Statement> statement_;
  dqc::IntrusivePtr<dqc::Pool<dqc_rows>> home_;
  dqc::Status status_;
  dqc_result result_{};
  std::vector<dqc::IntrusivePtr<dqc::session::Batch>> kept_;  // after FetchWhole
  size_t next_kept_ = 0;
  bool whole_ = false;
  bool done_ = false;
  friend class dqc::Pool<dqc_rows>;
};
