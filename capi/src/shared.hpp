/* SPDX-License-Identifier: MIT */
// What the handles of one connection, or of one client, have in common.
#pragma once

#include <atomic>
#include <mutex>
#include <vector>

#include "call.hpp"
#include "client/config.hpp"
#include "handle.hpp"
#include "net/client.hpp"

namespace dqc::capi {

class Shared : public RefCounted<Shared> {
 public:
  // The target is still to be set.
  Shared(IntrusivePtr<net::Loop> loop, IntrusivePtr<net::EventQueue> queue,
         const client::Config& config);
  // Of a connection leased from `client`.
  explicit Shared(const Shared& client);

  const IntrusivePtr<net::Loop> loop;
  const IntrusivePtr<net::EventQueue>
      queue;  // null: events go to the loop's own, for whoever drives it
  IntrusivePtr<net::Target> target;
  const IntrusivePtr<Pool<Call>> calls;
  const IntrusivePtr<Pool<dqc_rows>> cursors;
  const int64_t timeout_us;
  const int64_t connect_timeout_us;
  const Limits limits;
  const std::string database;  // empty: none
  const bool strong_reads;
  const bool leased;
  session::Time deadline_max = session::kNever;  // of a transaction: no call lasts longer
  uint32_t holder = 0;                           // of the lease, as its connection counts them
  std::atomic<bool> returned{false};  // the lease is over: nothing may be submitted any more

  void LeaseOf(IntrusivePtr<net::Connection> leased_connection, uint32_t by) {
    target = std::move(leased_connection);
    holder = by;
  }
  net::Connection* connection() const { return static_cast<net::Connection*>(target.get()); }
  net::Client* client() const { return static_cast<net::Client*>(target.get()); }
  // Where the target's events go.
  IntrusivePtr<net::EventQueue> events() const {
    return queue ? queue : IntrusivePtr<net::EventQueue>::Share(loop->ready());
  }

  static session::Time DeadlineAfter(int64_t us);  // 0: never
  int64_t TimeoutOf(uint64_t timeout_ms) const;    // of an options struct, in us; 0: never
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
  Status MayTell() const;  // by a callback

  // A result that somebody is in the middle of reading holds up what is behind it: lets its rest come.
  void BufferOpenCursors();
  void AddOpenCursor(dqc_rows* cursor);
  void DropOpenCursor(dqc_rows* cursor) noexcept;

 private:
  friend class RefCounted<Shared>;
  ~Shared() = default;
  Status Dispatch(IntrusivePtr<Call> call);

  std::mutex mutex_;
  std::vector<dqc_rows*> open_cursors_;  // guarded by mutex_: not read to the end
};

// Of a struct that the caller sized: `least` bytes of it are there, and what is beyond the `known` ones
// of this version is 0.
Status CheckSized(const void* data, uint32_t size, size_t least, size_t known, const char* what);
Status CheckOptions(const dqc_call_options* options);

// Options of connections as the configuration has them; its address is the first, if any.
net::ConnectionOptions ConnectionOptionsOf(const client::Config& config);

// A loop for a new handle, as one more user of it, and the queue of its events, checked.
struct Place {
  IntrusivePtr<net::Loop> loop;
  IntrusivePtr<net::EventQueue> queue;

  Place() = default;
  Place(Place&& other) = default;
  Place& operator=(Place&&) = delete;
  ~Place() {
    if (loop) loop->DropUser();
  }
  void Keep() { loop = nullptr; }  // the handle exists
};
Result<Place> PlaceOf(dqc_loop* loop, dqc_queue* queue);

// The handle's, or why it cannot be used.
Result<Shared*> SharedOf(const dqc_conn* conn);
Result<Shared*> SharedOf(const dqc_client* client);

}  // namespace dqc::capi

struct dqc_conn : dqc::capi::Handle<0x64716363> {
  dqc::IntrusivePtr<dqc::capi::Shared> shared;
};

struct dqc_client : dqc::capi::Handle<0x6471636b> {
  dqc::IntrusivePtr<dqc::capi::Shared> shared;
};

struct dqc_loop : dqc::capi::Handle<0x6471636c> {
  dqc::IntrusivePtr<dqc::net::Loop> loop;
};

struct dqc_queue : dqc::capi::Handle<0x64716371> {
  dqc::IntrusivePtr<dqc::net::EventQueue> queue;
};
