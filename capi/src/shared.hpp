/* SPDX-License-Identifier: MIT */
// What the handles of one connection have in common.
#pragma once

#include <mutex>
#include <vector>

#include "call.hpp"
#include "client/config.hpp"
#include "handle.hpp"
#include "net/connection.hpp"

namespace dqc::capi {

class Shared : public RefCounted<Shared> {
 public:
  Shared(IntrusivePtr<net::Loop> loop, IntrusivePtr<net::EventQueue> queue,
         const client::Config& config, IntrusivePtr<net::Hooks> hooks);

  const IntrusivePtr<net::Loop> loop;
  const IntrusivePtr<net::EventQueue>
      queue;  // null: events go to the loop's own, for whoever drives it
  const IntrusivePtr<net::Connection> connection;
  const IntrusivePtr<Pool<Call>> calls;
  const IntrusivePtr<Pool<dqc_rows>> cursors;
  const int64_t timeout_us;
  const int64_t connect_timeout_us;
  const Limits limits;
  const bool has_database;

  // A call with its identity, deadline and destination.
  IntrusivePtr<Call> NewCall(session::OpKind kind, const dqc_call_options* options);
  // For a callback: submits and tells the operation's number.
  Status Submit(IntrusivePtr<Call> call, dqc_callback callback, void* user_data, uint64_t* op);
  // For a blocking caller: submits; its events go to the cursor.
  Result<IntrusivePtr<dqc_rows>> Begin(IntrusivePtr<Call> call);
  // Begin, then wait for the first rows or the failure.
  Status BeginRows(IntrusivePtr<Call> call, dqc_rows** out);
  // Begin, then wait for the end.
  Status RunBlocking(IntrusivePtr<Call> call, dqc_result* result);
  Status MayBlock() const;

  void AddOpenCursor(dqc_rows* cursor);
  void DropOpenCursor(dqc_rows* cursor) noexcept;

 private:
  friend class RefCounted<Shared>;
  ~Shared() = default;
  void BufferOpenCursors();
  Status Dispatch(IntrusivePtr<Call> call);

  std::mutex mutex_;
  std::vector<dqc_rows*> open_cursors_;  // guarded by mutex_: not read to the end
};

Status CheckOptions(const dqc_call_options* options);

}  // namespace dqc::capi

struct dqc_conn : dqc::capi::Handle<0x64716363> {
  dqc::IntrusivePtr<dqc::capi::Shared> shared;
};

struct dqc_loop : dqc::capi::Handle<0x6471636c> {
  dqc::IntrusivePtr<dqc::net::Loop> loop;
};

struct dqc_queue : dqc::capi::Handle<0x64716371> {
  dqc::IntrusivePtr<dqc::net::EventQueue> queue;
};
