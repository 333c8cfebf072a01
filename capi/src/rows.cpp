/* SPDX-License-Identifier: MIT */
#include <algorithm>

#include "guard.hpp"
#include "shared.hpp"
#include "statement.hpp"

using dqc::IntrusivePtr;
using dqc::Result;
using dqc::Status;
using dqc::capi::Call;
using dqc::capi::Check;
using dqc::capi::guard;
using dqc::capi::Shared;
using dqc::net::LoopMode;
using dqc::session::Batch;
using dqc::wire::Tag;
using dqc::wire::Value;

static_assert(sizeof(dqc_cell) == sizeof(Value) &&
              offsetof(dqc_cell, size) == offsetof(Value, size) &&
              offsetof(dqc_cell, type) == offsetof(Value, tag));

dqc_rows::dqc_rows() = default;

dqc_rows::~dqc_rows() = default;

IntrusivePtr<dqc_rows> dqc_rows::Make(Shared* shared) {
  dqc_rows* rows = shared->cursors->Get();
  if (rows == nullptr) {
    rows = new dqc_rows();
  } else {
    rows->ReviveWithOneReference();
    rows->Revive();
  }
  rows->home_ = shared->cursors;
  rows->shared_ = IntrusivePtr<Shared>::Share(shared);
  rows->magic = kMagic;
  rows->fork_generation = dqc::ForkGeneration();
  return IntrusivePtr<dqc_rows>::Adopt(rows);
}

bool dqc_rows::forked() const { return fork_generation != dqc::ForkGeneration(); }

void dqc_rows::Start(const IntrusivePtr<Call>& call) {
  call_ = call;                  // before other threads see the cursor
  shared_->AddOpenCursor(this);  // may throw
  call->cursor = this;
  call->out = IntrusivePtr<EventQueue>::Share(this);
  shared_->loop->AddUser();
}

void dqc_rows::DropBatch() noexcept {
  if (!batch_) return;
  const uint64_t bytes = batch_->wire_bytes;
  batch_ = nullptr;
  row = UINT64_MAX;
  if (!whole_) call_->Consumed(bytes);
}

Status dqc_rows::FetchWhole() {
  std::vector<IntrusivePtr<Batch>> all;
  for (;;) {
    const Result<bool> more = NextBatch();
    DQC_TRY(more.status());
    if (!*more) break;
    all.push_back(batch_);
  }
  whole_ = true;
  kept_ = std::move(all);
  next_kept_ = 0;
  return status_;
}

void dqc_rows::TakeEnd() {
  done_ = true;
  status_ = call_->status;
  call_->FillResult(&result_);
  statement_ = call_->stmt;
  shared_->DropOpenCursor(this);
}

Result<bool> dqc_rows::NextBatch() {
  DropBatch();
  if (next_kept_ < kept_.size()) batch_ = std::move(kept_[next_kept_++]);
  while (!done_ && !batch_) {
    dqc::Deliverable* item = Pop();
    if (item != nullptr) {
      item->Deliver();
      continue;
    }
    const auto held = IntrusivePtr<EventQueue>::Share(this);  // a callback may free the cursor
    if (shared_->loop->mode() == LoopMode::kThreaded) {
      Wait(-1);
    } else {
      DQC_TRY(shared_->MayBlock());
      DQC_TRY(shared_->loop->RunUntilReady(*this));
    }
    if (abandoned()) return Status::Make(dqc::Code::kClosed, "the cursor was freed meanwhile");
  }
  if (!batch_) return false;
  if (batch_->header) header_ = batch_->header;
  return true;
}

Status dqc_rows::WaitForEnd() {
  for (;;) {
    const Result<bool> more = NextBatch();
    DQC_TRY(more.status());
    if (!*more) return status_;
  }
}

void dqc_rows::BufferRest() noexcept {
  call_->no_backpressure = true;
  if (call_->stalled.exchange(false)) shared_->target->Resume(call_.get());
}

void dqc_rows::Free() noexcept {
  const IntrusivePtr<Shared> shared = shared_;
  if (!done_) {
    shared->DropOpenCursor(this);
    call_->unwatched = true;
    shared->target->PostCancel(call_.get());
  }
  batch_ = nullptr;
  kept_.clear();
  call_ = nullptr;
  Abandon();
  magic = 0;
  Release();
  shared->loop->DropUser();
}

void dqc_rows::FreeUnused() noexcept {
  shared_->DropOpenCursor(this);
  done_ = true;
  Free();
}

void dqc_rows::Dispose() {
  magic = 0;
  const IntrusivePtr<dqc::Pool<dqc_rows>> home = std::move(home_);
  call_ = nullptr;
  shared_ = nullptr;
  header_ = nullptr;
  statement_ = nullptr;
  status_ = Status();
  result_ = {};
  done_ = whole_ = false;
  kept_.clear();
  next_kept_ = 0;
  row = UINT64_MAX;
  home->Put(this);
}

namespace {

const Value* CurrentCell(const dqc_rows* rows, size_t column) {
  if (rows == nullptr || rows->batch() == nullptr || rows->row == UINT64_MAX) return nullptr;
  const Batch* batch = rows->batch();
  const size_t columns = batch->header->names.size();
  if (column >= columns) return nullptr;
  return &batch->cells[static_cast<size_t>(rows->row) * columns + column];
}

const dqc_cell* AsCell(const Value* value) { return reinterpret_cast<const dqc_cell*>(value); }

bool IsInteger(const Value* cell) {
  return cell != nullptr &&
         (cell->tag == Tag::kInteger || cell->tag == Tag::kUnixTime || cell->tag == Tag::kBoolean);
}

// Out of range is undefined in C++; SQLite clamps too.
int64_t Truncate(double v) {
  if (!(v > -9223372036854775808.0)) return v == v ? INT64_MIN : 0;
  return v >= 9223372036854775808.0 ? INT64_MAX : static_cast<int64_t>(v);
}

// DQC_ROW or DQC_END as a status of success, besides the guard's own.
template <typename Fn>
dqc_status StepGuard(dqc_error** error, Fn fn) {
  bool row = false;
  const dqc_status status = guard(error, [&]() -> Status { return fn(&row); });
  return status != DQC_OK ? status : (row ? DQC_ROW : DQC_END);
}

}  // namespace

extern "C" {

dqc_status dqc_rows_step(dqc_rows* rows, dqc_error** error) {
  return StepGuard(error, [&](bool* row) -> Status {
    DQC_TRY(Check(rows, "cursor"));
    for (;;) {
      if (rows->batch() != nullptr) {
        if (++rows->row < rows->batch()->rows) {
          *row = true;
          return {};
        }
      }
      const Result<bool> more = rows->NextBatch();
      DQC_TRY(more.status());
      if (!*more) return rows->status();
    }
  });
}

dqc_status dqc_rows_next_batch(dqc_rows* rows, dqc_batch** out, dqc_error** error) {
  if (out != nullptr) *out = nullptr;
  return StepGuard(error, [&](bool* row) -> Status {
    DQC_TRY(Check(rows, "cursor"));
    if (out == nullptr) return Status::Make(dqc::Code::kMisuse, "out is NULL");
    if (rows->batch() == nullptr || rows->row != UINT64_MAX) {
      const Result<bool> more = rows->NextBatch();
      DQC_TRY(more.status());
      if (!*more) return rows->status();
    }
    rows->batch()->Retain();
    *out = reinterpret_cast<dqc_batch*>(rows->batch());
    rows->DropBatch();
    *row = true;
    return {};
  });
}

size_t dqc_rows_column_count(const dqc_rows* rows) {
  return rows == nullptr || rows->header() == nullptr ? 0 : rows->header()->names.size();
}

const char* dqc_rows_column_name(const dqc_rows* rows, size_t column) {
  return column < dqc_rows_column_count(rows) ? rows->header()->names[column].data() : nullptr;
}

const dqc_cell* dqc_rows_cell(const dqc_rows* rows, size_t column) {
  return AsCell(CurrentCell(rows, column));
}

int32_t dqc_rows_type(const dqc_rows* rows, size_t column) {
  const Value* cell = CurrentCell(rows, column);
  return cell == nullptr ? DQC_NULL : static_cast<int32_t>(cell->tag);
}

int64_t dqc_rows_int64(const dqc_rows* rows, size_t column) {
  const Value* cell = CurrentCell(rows, column);
  if (IsInteger(cell)) return cell->as.integer;
  return cell != nullptr && cell->tag == Tag::kFloat ? Truncate(cell->as.real) : 0;
}

double dqc_rows_double(const dqc_rows* rows, size_t column) {
  const Value* cell = CurrentCell(rows, column);
  if (IsInteger(cell)) return static_cast<double>(cell->as.integer);
  return cell != nullptr && cell->tag == Tag::kFloat ? cell->as.real : 0;
}

const char* dqc_rows_text(const dqc_rows* rows, size_t column, size_t* size) {
  const Value* cell = CurrentCell(rows, column);
  const bool bytes = cell != nullptr && (cell->tag == Tag::kText || cell->tag == Tag::kBlob ||
                                         cell->tag == Tag::kIso8601);
  if (size != nullptr) *size = bytes ? cell->size : 0;
  return bytes ? cell->as.data : nullptr;
}

void dqc_rows_result(const dqc_rows* rows, dqc_result* result) {
  if (result != nullptr) *result = rows == nullptr ? dqc_result{} : rows->result();
}

void dqc_rows_free(dqc_rows* rows) {
  if (rows == nullptr || !rows->valid()) return;
  if (rows->forked()) return;  // its connection, and perhaps a lock, is the parent's
  rows->Free();
}

size_t dqc_batch_row_count(const dqc_batch* batch) {
  return batch == nullptr ? 0 : static_cast<size_t>(reinterpret_cast<const Batch*>(batch)->rows);
}

size_t dqc_batch_column_count(const dqc_batch* batch) {
  return batch == nullptr ? 0 : reinterpret_cast<const Batch*>(batch)->header->names.size();
}

const char* dqc_batch_column_name(const dqc_batch* batch, size_t column, size_t* size) {
  const bool found = column < dqc_batch_column_count(batch);
  if (!found) {
    if (size != nullptr) *size = 0;
    return nullptr;
  }
  const std::string_view name = reinterpret_cast<const Batch*>(batch)->header->names[column];
  if (size != nullptr) *size = name.size();
  return name.data();
}

const dqc_cell* dqc_batch_cells(const dqc_batch* batch) {
  return batch == nullptr ? nullptr : AsCell(reinterpret_cast<const Batch*>(batch)->cells.data());
}

dqc_batch* dqc_batch_retain(dqc_batch* batch) {
  if (batch != nullptr) reinterpret_cast<Batch*>(batch)->Retain();
  return batch;
}

void dqc_batch_free(dqc_batch* batch) {
  if (batch != nullptr) reinterpret_cast<Batch*>(batch)->Release();
}

}  // extern "C"
