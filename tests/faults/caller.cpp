/* SPDX-License-Identifier: MIT */
#include "faults/caller.hpp"

#include <algorithm>
#include <chrono>
#include <stdexcept>

namespace dqc::faults {
namespace {

using std::chrono::microseconds;

constexpr Us kLostAfter = Ms(15'000);  // beyond the deadline

std::vector<dqc_value> Values(const std::vector<int64_t>& args) {
  std::vector<dqc_value> values(args.size());
  for (size_t i = 0; i < args.size(); ++i) {
    values[i].type = DQC_INTEGER;
    values[i].as.integer = args[i];
  }
  return values;
}

void Check(dqc_status status, dqc_error* error) {
  if (status == DQC_OK) return;
  const std::string message = dqc_error_message(error);
  dqc_error_free(error);
  throw std::runtime_error(message);
}

Outcome OutcomeOf(dqc_status status, const dqc_error* error) {
  if (status == DQC_OK) return Outcome::kOk;
  switch (dqc_error_outcome(error)) {
    case DQC_OUTCOME_NOT_EXECUTED:
      return Outcome::kNotExecuted;
    case DQC_OUTCOME_EXECUTED:
      return Outcome::kExecuted;
    default:
      return Outcome::kMaybe;
  }
}

}  // namespace

Client::Client(const Options& options) {
  dqc_error* error = nullptr;
  dqc_config* config = nullptr;
  Check(dqc_config_new(&config, &error), error);
  std::string dsn = "dqlite://";
  for (const std::string& address : options.addresses) {
    if (dsn.back() != '/') dsn += ',';
    dsn += address;
  }
  dsn += "/faults?redirect=any&pool_max=" + std::to_string(options.pool_max) + options.more;
  Check(dqc_config_set_dsn(config, dsn.data(), dsn.size(), &error), error);
  Check(dqc_config_set(config, "address_map", DQC_CSTR, options.address_map.data(),
                       options.address_map.size(), &error),
        error);
  Check(dqc_loop_new(DQC_LOOP_THREADED, &loop_, &error), error);
  Check(dqc_queue_new(&queue_, &error), error);
  Check(dqc_client_new(loop_, queue_, config, &client_, &error), error);
  dqc_config_free(config);
  dispatcher_ = std::thread([this] {
    while (!stop_) {
      (void)dqc_queue_wait(queue_, 100);
      (void)dqc_queue_dispatch(queue_, 0);
    }
  });
}

Client::~Client() {
  (void)dqc_client_close(client_, nullptr, nullptr);
  stop_ = true;
  dispatcher_.join();
  dqc_client_free(client_);
  dqc_queue_free(queue_);
  dqc_loop_free(loop_);
}

dqc_stats Client::Stats() const {
  dqc_stats stats{};
  stats.struct_size = sizeof stats;
  dqc_client_stats(client_, &stats);
  return stats;
}

Caller::Caller(Client* client, Shared* shared, uint64_t seed)
    : client_(client), shared_(shared), random_(seed) {}

Op* Caller::New(Kind kind, int64_t id, int64_t key, int64_t value) {
  const std::lock_guard<std::mutex> lock(mutex_);
  Op& op = ops_.emplace_back();
  op.kind = kind;
  op.id = id;
  op.key = key;
  op.value = value;
  op.caller = this;
  return &op;
}

int64_t Caller::Timeout(int64_t wanted) {
  if (!shared_->phase->short_deadlines || Pick(100) >= 30) return wanted;
  return 1 + static_cast<int64_t>(Pick(300));
}

void Caller::Start(Op* op, const Request& wanted) {
  Request request = wanted;
  request.timeout_ms = Timeout(wanted.timeout_ms);
  const bool cancel = shared_->phase->cancels && Pick(100) < 30;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    op->on = request.conn;
    op->submitted = Now();
    op->deadline = op->submitted + Ms(request.timeout_ms);
    if (cancel) op->cancel_at = op->submitted + static_cast<Us>(Pick(1u << (4 + Pick(13))));
    if (IsIdInsert(op->kind) && shared_->planter->Fire(Plant::kLostWrite)) {
      op->terminals = 1;
      Finish(op, DQC_OK, nullptr);
      return;
    }
  }
  dqc_error* error = nullptr;
  uint64_t handle = 0;
  const dqc_status status = Submit(op, request, OnEvent, op, &handle, &error);
  const std::lock_guard<std::mutex> lock(mutex_);
  op->handle = handle;
  if (status != DQC_OK) {  // no event follows
    op->outcome = Outcome::kRefused;
    op->code = status;
    op->ended = Now();
    op->message = dqc_error_message(error);
    dqc_error_free(error);
  } else if (IsIdInsert(op->kind) && shared_->planter->Fire(Plant::kDoubleWrite)) {
    (void)Submit(op, request, nullptr, nullptr, nullptr, nullptr);
  }
}

dqc_status Caller::Submit(Op* op, const Request& r, dqc_callback callback, void* user_data,
                          uint64_t* handle, dqc_error** error) {
  dqc_call_options options{};
  options.struct_size = sizeof options;
  options.flags = r.flags;
  options.timeout_ms = static_cast<uint64_t>(r.timeout_ms);
  const std::vector<dqc_value> args = Values(r.args);
  if (op->kind == Kind::kCounter) ++shared_->counter_asked;
  if (r.verb == Request::Verb::kAcquire) {
    return dqc_client_acquire_async(client_->get(), &options, callback, user_data, handle, error);
  }
  if (r.verb == Request::Verb::kScript) {
    return dqc_client_script_async(client_->get(), r.sql.data(), r.sql.size(), &options, callback,
                                   user_data, handle, error);
  }
  if (r.verb == Request::Verb::kPrepare) {
    return dqc_conn_prepare_async(r.conn, r.sql.data(), r.sql.size(), &options, callback, user_data,
                                  handle, error);
  }
  if (r.stmt != nullptr) {
    return dqc_stmt_exec_async(r.stmt, args.data(), args.size(), &options, callback, user_data,
                               handle, error);
  }
  const bool query = r.verb == Request::Verb::kQuery;
  if (r.conn != nullptr) {
    const auto submit = query ? dqc_conn_query_async : dqc_conn_exec_async;
    return submit(r.conn, r.sql.data(), r.sql.size(), args.data(), args.size(), &options, callback,
                  user_data, handle, error);
  }
  const auto submit = query ? dqc_client_query_async : dqc_client_exec_async;
  return submit(client_->get(), r.sql.data(), r.sql.size(), args.data(), args.size(), &options,
                callback, user_data, handle, error);
}

void Caller::OnEvent(void* user_data, const dqc_event* event) {
  auto* op = static_cast<Op*>(user_data);
  Caller* self = op->caller;
  const std::lock_guard<std::mutex> lock(self->mutex_);
  if (event->type == DQC_EVENT_ROWS) self->OnRows(op, *event);
  if (event->type != DQC_EVENT_DONE) return;
  self->OnDone(op, *event);
  if (IsIdInsert(op->kind) && self->shared_->planter->Fire(Plant::kDoubleEvent)) {
    self->OnDone(op, *event);
  }
}

void Caller::OnRows(Op* op, const dqc_event& event) {
  if (op->terminals > 0) {
    shared_->violations->Add("double event", "rows after the end of " + op->Text());
    return;
  }
  const size_t columns = dqc_batch_column_count(event.batch);
  const size_t rows = dqc_batch_row_count(event.batch);
  for (size_t c = 0; op->rows == 0 && rows > 0 && c < std::min<size_t>(columns, 2); ++c) {
    op->cells[c] = dqc_batch_cells(event.batch)[c].as.integer;
  }
  op->rows += static_cast<int64_t>(rows);
}

void Caller::OnDone(Op* op, const dqc_event& event) {
  Planter& planter = *shared_->planter;
  const bool insert = IsIdInsert(op->kind);
  if (insert && planter.Fire(Plant::kLostEvent)) return;
  if (++op->terminals > 1) {
    shared_->violations->Add("double event", op->Text());
    return;
  }
  if (event.conn != nullptr) op->conn = event.conn;
  if (event.stmt != nullptr) op->stmt = dqc_stmt_retain(event.stmt);
  Finish(op, event.status, event.error);
  if (!insert) return;
  if (op->Ok() && planter.Fire(Plant::kDenied)) op->outcome = Outcome::kNotExecuted;
  if (op->Ok() && planter.Fire(Plant::kBaselessMaybe)) op->outcome = Outcome::kMaybe;
  if (planter.Fire(Plant::kLateEvent)) op->ended = op->deadline + Ms(1500);
}

void Caller::Finish(Op* op, dqc_status status, const dqc_error* error) {
  op->ended = Now();
  op->code = status;
  op->server_code = dqc_error_server_code(error);
  op->outcome = OutcomeOf(status, error);
  if (error != nullptr) op->message = std::string(dqc_error_message(error)).substr(0, 400);
  if (op->kind == Kind::kCounter &&
      (op->outcome == Outcome::kOk || op->outcome == Outcome::kExecuted)) {
    ++shared_->counter_acknowledged;
  }
  ended_.notify_all();
}

// Cancels those whose time has come; `next`: when to look again.
void Caller::CancelDue(const std::vector<Op*>& ops, Us* next) {
  for (Op* op : ops) {
    if (op->Done() || op->cancelled || op->cancel_at == kNever) continue;
    if (op->cancel_at > Now()) {
      *next = std::min(*next, op->cancel_at);
      continue;
    }
    op->cancelled = true;
    (void)(op->on != nullptr ? dqc_conn_cancel(op->on, op->handle)
                             : dqc_client_cancel(client_->get(), op->handle));
  }
}

void Caller::Wait(const std::vector<Op*>& ops) {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    Us next = Now() + Ms(200);
    CancelDue(ops, &next);
    const Us now = Now();
    if (std::all_of(ops.begin(), ops.end(), [now](const Op* op) {
          return op->Done() || now > op->deadline + kLostAfter;
        })) {
      return;
    }
    (void)ended_.wait_for(lock, microseconds(std::max<Us>(1, next - now)));
  }
}

Op* Caller::Run(Op* op, const Request& request) {
  Start(op, request);
  Wait({op});
  return op;
}

Op* Caller::Run(Kind kind, const Request& request) { return Run(New(kind), request); }

void Caller::RunBlocking(Op* op, const Request& request) {
  dqc_call_options options{};
  options.struct_size = sizeof options;
  const int64_t timeout_ms = Timeout(request.timeout_ms);
  options.timeout_ms = static_cast<uint64_t>(timeout_ms);
  const std::vector<dqc_value> args = Values(request.args);
  op->submitted = Now();
  op->deadline = op->submitted + Ms(timeout_ms);
  dqc_error* error = nullptr;
  const dqc_status status = dqc_client_exec(client_->get(), request.sql.data(), request.sql.size(),
                                            args.data(), args.size(), &options, nullptr, &error);
  const std::lock_guard<std::mutex> lock(mutex_);
  op->terminals = 1;
  Finish(op, status, error);
  dqc_error_free(error);
}

void Caller::RunTransaction(Op* op, const Request& request) {
  const int64_t timeout_ms = Timeout(request.timeout_ms);
  const int32_t mode = Pick(2) == 0 ? DQC_BEGIN_IMMEDIATE : DQC_BEGIN_DEFERRED;
  const dqc_tx_options options{sizeof(options), mode, DQC_TX_RESOLVE, 0,
                               static_cast<uint64_t>(timeout_ms)};
  op->submitted = Now();
  op->deadline = op->submitted + Ms(timeout_ms);
  const auto work = [](void* user_data, dqc_conn* conn, dqc_error** error) -> dqc_status {
    const auto* wanted = static_cast<const Request*>(user_data);
    const std::vector<dqc_value> args = Values(wanted->args);
    return dqc_conn_exec(conn, wanted->sql.data(), wanted->sql.size(), args.data(), args.size(),
                         nullptr, nullptr, error);
  };
  dqc_error* error = nullptr;
  const dqc_status status =
      dqc_client_run_tx(client_->get(), &options, work, const_cast<Request*>(&request), &error);
  const std::lock_guard<std::mutex> lock(mutex_);
  op->terminals = 1;
  Finish(op, status, error);
  dqc_error_free(error);
}

}  // namespace dqc::faults
