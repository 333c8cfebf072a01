/* SPDX-License-Identifier: MIT */
#include "tx.hpp"

#include <new>

#include "guard.hpp"
#include "sql_text.hpp"
#include "wire/message.hpp"

namespace dqc::capi {

namespace {

using session::OpKind;

// A seed that no other process has: marks are made of it.
uint64_t Seed() {
  uint64_t seed = 0;
  if (uv_random(nullptr, nullptr, &seed, sizeof(seed), 0, nullptr) != 0) seed = uv_hrtime();
  return seed;
}

Result<IntrusivePtr<Tx>> MakeTx(const IntrusivePtr<Shared>& client, const dqc_tx_options* o) {
  client::TransactionOptions options;
  int64_t timeout = client->timeout_us;
  if (o != nullptr) {
    DQC_TRY(CheckSized(o, o->struct_size, sizeof(*o), sizeof(*o), "dqc_tx_options"));
    if (o->mode < DQC_BEGIN_IMMEDIATE || o->mode > DQC_BEGIN_READ_ONLY)
      return Status::Make(Code::kMisuse, "dqc_tx_options.mode is not one of DQC_BEGIN_");
    if ((o->flags & ~(DQC_TX_IDEMPOTENT | DQC_TX_RESOLVE)) != 0)
      return Status::Make(Code::kMisuse,
                          "dqc_tx_options.flags has a flag this version does not know");
    options.mode = static_cast<client::BeginMode>(o->mode);
    options.idempotent = (o->flags & DQC_TX_IDEMPOTENT) != 0;
    options.resolve = (o->flags & DQC_TX_RESOLVE) != 0;
    timeout = client->TimeoutOf(o->timeout_ms);
  }
  options.seed = Seed();
  return IntrusivePtr<Tx>::Adopt(new Tx(client, options, timeout));
}

}  // namespace

Result<IntrusivePtr<Call>> Tx::Begin() {
  IntrusivePtr<Call> call = client_->NewCall(OpKind::kStatement, nullptr);
  call->lease = std::make_unique<dqc_conn>();
  call->lease->shared = IntrusivePtr<Shared>::Adopt(new Shared(*client_));
  const char* sql = rules.begin_sql();
  call->statement = sql::ScanStatement(sql);
  DQC_TRY(wire::Encode(wire::request::ExecSql{0, sql, {}}, 0, call->main.frame));
  std::lock_guard<std::mutex> lock(mutex_);
  if (state_ != State::kIdle)
    return Status::Make(Code::kMisuse, "the transaction is open, under way or over");
  state_ = State::kBusy;
  if (deadline == session::kNever && timeout_us_ != 0)
    deadline = Shared::DeadlineAfter(timeout_us_);
  if (deadline != session::kNever) call->deadline = deadline;
  lease_ = call->lease->shared;
  lease_->deadline_max = deadline;
  call->discard_rows = true;
  call->perhaps_done = perhaps_done;
  call->keeps = rules.waits_for_turn() ? session::Lease::kWriter : session::Lease::kFree;
  call->retry_at = next_begin;
  call->last = last;
  call->tx = IntrusivePtr<net::Transaction>::Share(this);
  return call;
}

Result<IntrusivePtr<Call>> Tx::End(bool rolls_back, const dqc_error* failure) {
  IntrusivePtr<Call> call = client_->NewCall(OpKind::kEnd, nullptr);
  std::lock_guard<std::mutex> lock(mutex_);
  if (state_ != State::kOpen) return Status::Make(Code::kMisuse, "the transaction is not open");
  if (lease_->returned.exchange(true)) {
    state_ = State::kEnded;
    return Status::Make(Code::kMisuse,
                        "the transaction's connection was freed, which rolled it back: end the "
                        "transaction first");
  }
  state_ = State::kBusy;
  if (deadline != session::kNever) call->deadline = deadline;
  call->rolls_back = rolls_back;
  lease_->connection()->HoldBack(call.get());
  call->failure = Status::Share(reinterpret_cast<const ErrorInfo*>(failure));
  call->tx = IntrusivePtr<net::Transaction>::Share(this);
  return call;
}

void Tx::BufferOpenCursors() {
  std::lock_guard<std::mutex> lock(mutex_);
  lease_->BufferOpenCursors();
}

// What was to be ended is rolled back, as when its connection is freed.
void Tx::Refused() {
  std::lock_guard<std::mutex> lock(mutex_);
  const bool begins = !lease_->target;
  state_ = begins ? State::kIdle : State::kEnded;
  if (!begins) lease_->connection()->Return();
}

void Tx::Done(const Call& call) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (call.kind == OpKind::kEnd) {
    state_ = call.again ? State::kIdle : State::kEnded;
  } else {
    state_ = call.status.ok() ? State::kOpen : State::kIdle;
    if (call.status.ok())  // Free() may come before TakeLease()
      lease_->LeaseOf(call.connection, call.holder);
  }
}

void Tx::Free() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (state_ == State::kOpen && !lease_->returned.exchange(true)) lease_->connection()->Return();
}

namespace {

// Blocking; `call` is kept for what it was told.
Status Run(dqc_tx* handle, const IntrusivePtr<Call>& call) {
  Result<IntrusivePtr<dqc_rows>> begun = Status::OutOfMemory();
  try {
    begun = handle->shared->Begin(call);
  } catch (const std::bad_alloc&) {
    // Refused, like what is told.
  }
  if (!begun.ok()) {
    handle->tx->Refused();
    return begun.status();
  }
  dqc_rows* rows = begun->Detach();
  Status status = rows->WaitForEnd();
  rows->Free();
  return status;
}

Status Submit(dqc_tx* handle, Result<IntrusivePtr<Call>> call, dqc_callback callback,
              void* user_data, uint64_t* op) {
  DQC_TRY(call.status());
  Status accepted = handle->shared->Submit(std::move(*call), callback, user_data, op);
  if (!accepted.ok()) handle->tx->Refused();
  return accepted;
}

Status EndAsync(dqc_tx* handle, bool rolls_back, const dqc_error* failure, dqc_callback callback,
                void* user_data, uint64_t* op) {
  DQC_TRY(Check(handle, "transaction"));
  DQC_TRY(handle->shared->MayTell());  // before it is touched
  return Submit(handle, handle->tx->End(rolls_back, failure), callback, user_data, op);
}

Status Begin(dqc_tx* handle, dqc_conn** out) {
  const Result<IntrusivePtr<Call>> call = handle->tx->Begin();
  DQC_TRY(call.status());
  DQC_TRY(Run(handle, *call));
  *out = (*call)->TakeLease();
  return {};
}

Status End(dqc_tx* handle, bool rolls_back, const dqc_error* failure, bool* again) {
  DQC_TRY(Check(handle, "transaction"));
  DQC_TRY(handle->shared->MayBlock());  // before it is touched
  const Result<IntrusivePtr<Call>> call = handle->tx->End(rolls_back, failure);
  DQC_TRY(call.status());
  handle->tx->BufferOpenCursors();
  DQC_TRY(Run(handle, *call));
  *again = (*call)->again;
  return {};
}

Status New(dqc_client* client, const dqc_tx_options* options, dqc_tx** out) {
  if (out == nullptr) return Status::Make(Code::kMisuse, "out is NULL");
  DQC_TRY(SharedOf(client).status());
  Result<IntrusivePtr<Tx>> tx = MakeTx(client->shared, options);
  DQC_TRY(tx.status());
  auto handle = std::make_unique<dqc_tx>();
  handle->tx = std::move(*tx);
  handle->shared = client->shared;
  handle->shared->loop->AddUser();
  *out = handle.release();
  return {};
}

using TxHandle = std::unique_ptr<dqc_tx, decltype(&dqc_tx_free)>;

// What a statement perhaps did, it did in a transaction that was rolled back; but an earlier run, of one
// that may be run in doubt, was perhaps committed.
dqc_error* OfTransaction(dqc_error* why, bool perhaps_done) {
  if (why == nullptr) return why;
  const Status status = Status::Share(reinterpret_cast<const ErrorInfo*>(why));
  dqc_error_free(why);
  return ToError(status.With(perhaps_done ? Outcome::kMaybeExecuted : Outcome::kNotExecuted));
}

// Runs the function until it is committed, or fails for good. `own`: what the function returned, if
// that is what ended it; then `why` is its error, perhaps null.
Status RunTx(dqc_tx* tx, dqc_tx_callback fn, void* user_data, dqc_status* own, dqc_error** why) {
  for (bool again = true; again;) {
    dqc_conn* conn = nullptr;
    again = false;
    DQC_TRY(Begin(tx, &conn));
    const std::unique_ptr<dqc_conn, decltype(&dqc_conn_free)> owned(conn, dqc_conn_free);
    *own = fn(user_data, conn, why);
    DQC_TRY(End(tx, *own != DQC_OK, *why, &again));
    if (again || *own == DQC_OK) dqc_error_free(std::exchange(*why, nullptr));
  }
  *why = OfTransaction(*why, tx->tx->perhaps_done);
  return {};
}

}  // namespace

}  // namespace dqc::capi

using namespace dqc::capi;  // NOLINT(google-build-using-namespace): this file is the boundary
using dqc::Code;
using dqc::Status;

extern "C" {

dqc_status dqc_tx_new(dqc_client* client, const dqc_tx_options* options, dqc_tx** out,
                      dqc_error** error) {
  if (out != nullptr) *out = nullptr;
  return guard(error, [&]() -> Status { return New(client, options, out); });
}

dqc_status dqc_tx_begin_async(dqc_tx* tx, dqc_callback callback, void* user_data, uint64_t* op,
                              dqc_error** error) {
  if (op != nullptr) *op = 0;
  return guard(error, [&]() -> Status {
    DQC_TRY(Check(tx, "transaction"));
    return Submit(tx, tx->tx->Begin(), callback, user_data, op);
  });
}

dqc_status dqc_tx_begin(dqc_tx* tx, dqc_conn** out, dqc_error** error) {
  if (out != nullptr) *out = nullptr;
  return guard(error, [&]() -> Status {
    if (out == nullptr) return Status::Make(Code::kMisuse, "out is NULL");
    DQC_TRY(Check(tx, "transaction"));
    return Begin(tx, out);
  });
}

dqc_status dqc_tx_commit_async(dqc_tx* tx, dqc_callback callback, void* user_data, uint64_t* op,
                               dqc_error** error) {
  if (op != nullptr) *op = 0;
  return guard(error,
               [&]() -> Status { return EndAsync(tx, false, nullptr, callback, user_data, op); });
}

dqc_status dqc_tx_commit(dqc_tx* tx, dqc_error** error) {
  bool again = false;
  const dqc_status status =
      guard(error, [&]() -> Status { return End(tx, false, nullptr, &again); });
  return again ? DQC_AGAIN : status;
}

dqc_status dqc_tx_rollback_async(dqc_tx* tx, const dqc_error* failure, dqc_callback callback,
                                 void* user_data, uint64_t* op, dqc_error** error) {
  if (op != nullptr) *op = 0;
  return guard(error,
               [&]() -> Status { return EndAsync(tx, true, failure, callback, user_data, op); });
}

dqc_status dqc_tx_rollback(dqc_tx* tx, const dqc_error* failure, dqc_error** error) {
  bool again = false;
  const dqc_status status =
      guard(error, [&]() -> Status { return End(tx, true, failure, &again); });
  return again ? DQC_AGAIN : status;
}

void dqc_tx_free(dqc_tx* tx) {
  if (tx == nullptr || !tx->valid()) return;
  const std::unique_ptr<dqc_tx> owned(tx);
  if (owned->forked()) {
    (void)owned->tx.Detach();  // the parent's: its locks may be held for ever here
    (void)owned->shared.Detach();
    return;
  }
  const dqc::IntrusivePtr<dqc::net::Loop> loop = owned->shared->loop;
  owned->tx->Free();
  owned->tx = nullptr;
  owned->shared = nullptr;
  loop->DropUser();
}

dqc_status dqc_client_run_tx(dqc_client* client, const dqc_tx_options* options, dqc_tx_callback fn,
                             void* user_data, dqc_error** error) {
  dqc_status own = DQC_OK;
  dqc_error* why = nullptr;
  const dqc_status status = guard(error, [&]() -> Status {
    if (fn == nullptr) return Status::Make(Code::kMisuse, "the function is NULL");
    dqc_tx* tx = nullptr;
    DQC_TRY(New(client, options, &tx));
    const TxHandle owned(tx, dqc_tx_free);
    return RunTx(tx, fn, user_data, &own, &why);
  });
  if (status != DQC_OK || own == DQC_OK || error == nullptr) {
    dqc_error_free(why);
  } else {
    *error = why;
  }
  return status != DQC_OK ? status : own;
}

}  // extern "C"
