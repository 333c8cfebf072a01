/* SPDX-License-Identifier: MIT */
#include "session/operation.hpp"

namespace dqc::session {

namespace {

constexpr size_t kFrameBytesKept = 64 * 1024;

}  // namespace

void Batch::Deliver() noexcept {
  Operation* receiver = std::exchange(op, nullptr);
  receiver->DeliverRows(IntrusivePtr<Batch>::Adopt(this));
}

void Batch::Discard() noexcept {
  if (op != nullptr) op->RowsDiscarded(wire_bytes);
  Release();
}

void Operation::ResetOperation() {
  wire::Bytes frame = std::move(main.frame);
  if (frame.capacity() > kFrameBytesKept) frame = {};
  frame.clear();
  main = Request();
  main.frame = std::move(frame);
  main.embedded = true;

  next = nullptr;
  id = 0;
  kind = OpKind::kStatement;
  deadline = kNever;
  sql.clear();
  statement = {};
  param_count = 0;
  statement_count = 1;
  discard_rows = blocking = false;
  servers_with_roles = true;
  join = {};
  prepared = nullptr;
  held_back = false;
  behind = Status();
  unwatched = false;
  paused = no_backpressure = false;
  ticket = queued_at = retry_at = 0;
  tries = 0;
  last = Status();
  perhaps_done = false;
  grouped = in_doubt = stay_alone = idempotent = strong = false;
  keeps = Lease::kNone;
  ResetResults();
}

void Operation::ResetResults() {
  unconsumed_bytes = 0;
  stalled = false;
  status = Status();
  last_insert_id = 0;
  rows_affected = 0;
  has_rows_affected = has_last_insert_id = false;
  statements_done = 0;
  stmt_id = 0;
  stmt_params = 0;
  completed = abandoned = effect_done = any_batch = false;
  rows_seen = frames_seen = bytes_seen = 0;
  saved = Status();
  own_transaction = rolling_back = script_as_exec = script_whole_rest = false;
  script_transaction = undone_by_rollback = false;
  script_offset = script_next = 0;
  script_statement = {};
  header = nullptr;
}

bool Operation::can_run_again() const {
  if (status.ok() || abandoned || main.op != nullptr) return false;
  const bool harmless = idempotent || status.info()->outcome == Outcome::kNotExecuted;
  const bool nothing_done = statements_done == 0 || undone_by_rollback;
  return harmless && nothing_done && (!any_batch || discard_rows);
}

void Operation::PrepareToRunAgain() {
  ResetResults();
  main.sent = 0;
}

}  // namespace dqc::session
