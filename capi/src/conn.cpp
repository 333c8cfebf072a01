/* SPDX-License-Identifier: MIT */
#include "guard.hpp"
#include "hooks.hpp"
#include "shared.hpp"

namespace dqc::capi {

namespace {

static_assert(static_cast<int>(session::State::kNew) == 0);
static_assert(static_cast<int>(session::TxState::kNone) == DQC_TRANSACTION_NONE &&
              static_cast<int>(session::TxState::kOpen) == DQC_TRANSACTION_OPEN &&
              static_cast<int>(session::TxState::kUnknown) == DQC_TRANSACTION_UNKNOWN);

int32_t PublicState(session::State state) {
  switch (state) {
    case session::State::kNew:
      return DQC_STATE_NEW;
    case session::State::kConnecting:
    case session::State::kHandshake:
      return DQC_STATE_CONNECTING;
    case session::State::kReady:
      return DQC_STATE_READY;
    case session::State::kClosing:
      return DQC_STATE_CLOSING;
    case session::State::kClosed:
      break;
  }
  return DQC_STATE_CLOSED;
}

Status NewConnection(dqc_loop* loop, dqc_queue* queue, const dqc_config* config, dqc_conn** out) {
  if (out == nullptr) return Status::Make(Code::kMisuse, "out is NULL");
  DQC_TRY(Check(config, "configuration"));
  const size_t nodes = config->config.addresses().size();
  if (nodes != 1) {
    return Status::Make(Code::kConfig,
                        "a connection goes to exactly one node; the configuration names " +
                            std::to_string(nodes) + ": use a dqc_client")
        .With(Phase::kConfig);
  }
  Result<Place> place = PlaceOf(loop, queue);
  DQC_TRY(place.status());
  auto handle = std::make_unique<dqc_conn>();
  handle->shared =
      IntrusivePtr<Shared>::Adopt(new Shared(place->loop, std::move(place->queue), config->config));
  handle->shared->target = IntrusivePtr<net::Target>::Adopt(
      new net::Connection(place->loop, handle->shared->events(),
                          ConnectionOptionsOf(config->config), MakeHooks(*config)));
  place->Keep();
  *out = handle.release();
  return {};
}

IntrusivePtr<Call> LifeCall(dqc_conn* conn, session::OpKind kind) {
  const Shared& shared = *conn->shared;
  IntrusivePtr<Call> call = conn->shared->NewCall(kind, nullptr);
  call->deadline = kind == session::OpKind::kConnect
                       ? shared.DeadlineAfter(shared.connect_timeout_us)
                       : session::kNever;  // the drain options bound it
  return call;
}

}  // namespace

}  // namespace dqc::capi

using namespace dqc::capi;  // NOLINT(google-build-using-namespace): this file is the boundary
using dqc::Status;
using dqc::session::OpKind;

extern "C" {

dqc_status dqc_conn_new(dqc_loop* loop, dqc_queue* queue, const dqc_config* config, dqc_conn** out,
                        dqc_error** error) {
  if (out != nullptr) *out = nullptr;
  return guard(error, [&]() -> Status { return NewConnection(loop, queue, config, out); });
}

dqc_status dqc_conn_connect_async(dqc_conn* conn, dqc_callback callback, void* user_data,
                                  uint64_t* op, dqc_error** error) {
  if (op != nullptr) *op = 0;
  return guard(error, [&]() -> Status {
    DQC_TRY(Check(conn, "connection"));
    return conn->shared->Submit(LifeCall(conn, OpKind::kConnect), callback, user_data, op);
  });
}

dqc_status dqc_conn_connect(dqc_conn* conn, dqc_error** error) {
  return guard(error, [&]() -> Status {
    DQC_TRY(Check(conn, "connection"));
    return conn->shared->RunBlocking(LifeCall(conn, OpKind::kConnect), nullptr);
  });
}

dqc_status dqc_conn_open(const char* dsn, size_t dsn_size, dqc_conn** out, dqc_error** error) {
  if (out != nullptr) *out = nullptr;
  return guard(error, [&]() -> Status {
    if (out == nullptr) return Status::Make(dqc::Code::kMisuse, "out is NULL");
    dqc_config config;
    DQC_TRY(config.config.ParseDsn(Text(dsn, dsn_size)));
    dqc_conn* conn = nullptr;
    DQC_TRY(NewConnection(nullptr, nullptr, &config, &conn));
    std::unique_ptr<dqc_conn, decltype(&dqc_conn_free)> owned(conn, dqc_conn_free);
    DQC_TRY(conn->shared->RunBlocking(LifeCall(conn, OpKind::kConnect), nullptr));
    *out = owned.release();
    return {};
  });
}

dqc_status dqc_conn_close_async(dqc_conn* conn, dqc_callback callback, void* user_data,
                                uint64_t* op, dqc_error** error) {
  if (op != nullptr) *op = 0;
  return guard(error, [&]() -> Status {
    DQC_TRY(Check(conn, "connection"));
    return conn->shared->Submit(LifeCall(conn, OpKind::kClose), callback, user_data, op);
  });
}

dqc_status dqc_conn_close(dqc_conn* conn, dqc_error** error) {
  return guard(error, [&]() -> Status {
    DQC_TRY(Check(conn, "connection"));
    return conn->shared->RunBlocking(LifeCall(conn, OpKind::kClose), nullptr);
  });
}

int32_t dqc_conn_state(const dqc_conn* conn) {
  return conn == nullptr || !conn->valid() ? DQC_STATE_CLOSED
                                           : PublicState(conn->shared->connection()->state());
}

int32_t dqc_conn_era(const dqc_conn* conn) {
  return conn == nullptr || !conn->valid()
             ? 0
             : dqc::session::EraLetter(conn->shared->connection()->era());
}

int32_t dqc_conn_transaction(const dqc_conn* conn) {
  return conn == nullptr || !conn->valid()
             ? DQC_TRANSACTION_NONE
             : static_cast<int32_t>(conn->shared->connection()->transaction());
}

const char* dqc_conn_address(const dqc_conn* conn) {
  return conn == nullptr || !conn->valid() ? "" : conn->shared->connection()->address().c_str();
}

dqc_status dqc_conn_cancel(dqc_conn* conn, uint64_t op) {
  return guard(nullptr, [&]() -> Status {
    DQC_TRY(Check(conn, "connection"));
    return conn->shared->connection()->Cancel(op);
  });
}

dqc_status dqc_conn_pause(dqc_conn* conn, uint64_t op, int32_t pause) {
  return guard(nullptr, [&]() -> Status {
    DQC_TRY(Check(conn, "connection"));
    return conn->shared->connection()->Pause(op, pause != 0);
  });
}

void dqc_conn_free(dqc_conn* conn) {
  if (conn == nullptr || !conn->valid()) return;
  const std::unique_ptr<dqc_conn> owned(conn);
  if (owned->forked()) {
    owned->shared->target->AbandonAfterFork();
    (void)owned->shared.Detach();  // the parent's: its locks may be held for ever here
    return;
  }
  const dqc::IntrusivePtr<dqc::net::Loop> loop = owned->shared->loop;
  if (owned->shared->leased) {
    if (!owned->shared->returned.exchange(true)) owned->shared->connection()->Return();
  } else {
    owned->shared->target->GiveUp();
  }
  owned->shared = nullptr;
  loop->DropUser();
}

}  // extern "C"
