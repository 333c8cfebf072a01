/* SPDX-License-Identifier: MIT */
// The end of the handshake: the script of option "init_sql", then the connection is ready.
#include "session/session.hpp"

namespace dqc::session {

namespace {

// Of the session itself: its rows are thrown away, and nobody is told of its end.
class InitOperation final : public Operation {
 public:
  explicit InitOperation(const std::string& script) {
    kind = OpKind::kScript;
    id = UINT64_MAX;
    discard_rows = true;
    main.embedded = true;
    sql = script;
  }
  void DeliverRows(IntrusivePtr<Batch>) noexcept override {}
  void DeliverDone() noexcept override {}
  void RowsDiscarded(uint64_t) noexcept override {}
};

}  // namespace

void Session::Opened(Time now) {
  if (follows() || options_.init_sql.empty() || options_.database.empty()) return BecomeReady();
  init_ = IntrusivePtr<Operation>::Adopt(new InitOperation(options_.init_sql));
  Start(init_.get(), now);
}

void Session::BecomeReady() {
  state_ = State::kReady;
  if (connect_op_ != nullptr) {
    Complete(connect_op_, follows_);
    std::exchange(connect_op_, nullptr)->Release();
  }
  if (follows()) FailPending(follows_);
}

void Session::EndInit() {
  const IntrusivePtr<Operation> script = std::exchange(init_, nullptr);
  if (state_ == State::kClosed) return;
  Status status = script->status;
  if (status.ok() && transaction_.state() != TxState::kNone)
    status = Status::Make(Code::kConfig, "it leaves a transaction open");
  if (status.ok()) return BecomeReady();
  ErrorInfo info(*status.info());
  info.message = "option \"init_sql\": " + info.message;
  info.phase = Phase::kOpen;
  info.outcome = Outcome::kNotExecuted;  // of those who wait for the connection
  info.node = options_.node;
  Fail(Status::Make(info));
}

}  // namespace dqc::session
