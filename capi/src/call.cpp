/* SPDX-License-Identifier: MIT */
#include "call.hpp"

#include "guard.hpp"
#include "shared.hpp"
#include "statement.hpp"
#include "tx.hpp"

namespace dqc::capi {

Call::Call() { main.embedded = true; }

Call::~Call() = default;

IntrusivePtr<Call> Call::Make(const IntrusivePtr<Pool<Call>>& pool) {
  Call* call = pool->Get();
  if (call == nullptr) {
    call = new Call();
  } else {
    call->ReviveWithOneReference();
  }
  call->home_ = pool;
  return IntrusivePtr<Call>::Adopt(call);
}

void Call::Dispose() {
  const IntrusivePtr<Pool<Call>> home = std::move(home_);
  if (dqc_conn* unclaimed = TakeLease()) dqc_conn_free(unclaimed);
  lease = nullptr;
  callback = nullptr;
  user_data = nullptr;
  cursor = nullptr;
  const IntrusivePtr<Statement> last_statement = std::move(stmt);
  const IntrusivePtr<net::EventQueue> last_out = out;
  const IntrusivePtr<net::Target> last_target = target;
  const IntrusivePtr<net::Connection> last_connection = connection;
  ResetQueued();
  home->Put(this);
}

dqc_conn* Call::TakeLease() noexcept {
  if (!lease || !status.ok() || !connection) return nullptr;
  if (!lease->shared->target) lease->shared->LeaseOf(connection, holder);  // else Tx::Done() did
  lease->shared->loop->AddUser();
  return lease.release();
}

void Call::FillResult(dqc_result* result) const {
  result->last_insert_id = last_insert_id;
  result->rows_affected = rows_affected;
  result->has = (has_rows_affected ? DQC_HAS_ROWS_AFFECTED : 0) |
                (has_last_insert_id ? DQC_HAS_LAST_INSERT_ID : 0);
  result->statements = statements_done;
}

void Call::DeliverRows(IntrusivePtr<session::Batch> batch) noexcept {
  if (cursor != nullptr) return cursor->TakeRows(std::move(batch));
  const uint64_t bytes = batch->wire_bytes;
  if (callback != nullptr) {
    dqc_event event{};
    event.struct_size = sizeof(event);
    event.type = DQC_EVENT_ROWS;
    event.op = id;
    event.statement = batch->statement;
    event.batch = reinterpret_cast<dqc_batch*>(batch.get());
    callback(user_data, &event);
  }
  batch = nullptr;
  Consumed(bytes);
}

void Call::DeliverDone() noexcept {
  Told();
  if (kind == session::OpKind::kPrepare && status.ok()) stmt->Prepared(stmt_id, stmt_params);
  if (tx) Tx::Of(*this)->Done(*this);
  if (cursor != nullptr) return cursor->TakeEnd();
  if (callback != nullptr) {
    dqc_event event{};
    event.struct_size = sizeof(event);
    event.type = DQC_EVENT_DONE;
    event.op = id;
    event.status = again ? DQC_AGAIN : static_cast<dqc_status>(status.code());
    event.statement = statements_done;
    event.error = BorrowError(status);
    if (kind == session::OpKind::kPrepare && status.ok())
      event.stmt = reinterpret_cast<dqc_stmt*>(stmt.get());
    if (status.ok()) FillResult(&event.result);
    event.conn = TakeLease();
    callback(user_data, &event);
  }
}

}  // namespace dqc::capi
