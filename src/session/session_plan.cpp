/* SPDX-License-Identifier: MIT */
// Operations that take several requests: RETURNING inside a transaction of our own, PRAGMAs that an
// old server wants by EXEC, scripts. Such an operation is exclusive: nothing is started behind it
// until it ends.
#include "session/session.hpp"

namespace dqc::session {

using wire::RequestType;
using wire::ResponseType;

namespace {

// Room is left for what a message has besides the text.
constexpr size_t kStatementBytesMax = kMessageBytesMax - 4 * wire::kWord;

// May it change the database, once it is sent, so that the change outlives the connection? What goes
// by EXEC into a transaction of ours cannot be rolled back: PRAGMA delete_database.
bool HasEffect(const Operation& op, const sql::Statement& statement) {
  switch (statement.kind) {
    case sql::Kind::kBegin:
    case sql::Kind::kSavepoint:
    case sql::Kind::kRollback:
    case sql::Kind::kRollbackTo:
      return false;
    case sql::Kind::kCommit:
      return true;
    default:
      return !statement.read_only() && (!op.own_transaction || op.script_as_exec) &&
             !op.script_transaction;
  }
}

// Is its transaction, in which it was run, to be committed? What cannot be rolled back, even if nobody
// waits for it any more.
bool GoesOn(const Operation& op) { return !op.abandoned || op.script_as_exec; }

// Does what its statement changed in our transaction stay, as it would without? Also of INSERT OR FAIL …
bool StaysDone(const Operation& op) {
  const bool or_fail = op.running().on_conflict == sql::OnConflict::kFail;
  return op.saved.ok() || (or_fail && op.saved.code() == Code::kConstraint);
}

bool IsCheckpoint(const Status& status) {
  return status.code() == Code::kBusy && status.info()->server_text == "checkpoint in progress";
}

}  // namespace

void Session::StartExclusive(Operation* op) {
  op->Retain();
  exclusive_ = op;
}

void Session::EndExclusive(Operation* op) {
  if (exclusive_ != op) return;
  exclusive_ = nullptr;
  if (op->abandoned) drain_progress_ = true;
  op->Release();
}

// Looks the statement up in the safety table and sends it, or its first step, or refuses it.
void Session::RunStatement(Operation* op) {
  const sql::Statement& statement = op->running();
  const auto refuse = [&](const Status& why) {
    const Status refused = why.WithNode(options_.node);
    op->kind == OpKind::kScript ? FinishScript(op, refused) : Complete(op, refused);
  };
  if (statement.kind == sql::Kind::kExplain) {
    if (const Status may = MayPrepare(statement, era_); !may.ok()) return refuse(may);
  }
  bool own_transaction = false;
  const Needs needs = NeedsOf(statement, op->param_count);
  op->script_as_exec = false;
  for (uint8_t i = 0; i < needs.count; ++i) {
    switch (WayOf(needs.features[i], era_)) {
      case Way::kRefuse:
        return refuse(Refusal(needs.features[i], era_));
      case Way::kOwnTransaction:
      case Way::kLockedTransaction:
        own_transaction = true;
        break;
      case Way::kOwnTransactionByExec:
        own_transaction = op->script_as_exec = true;
        break;
      default:
        break;
    }
  }
  const bool may_fall_back = statement.kind == sql::Kind::kPragma &&
                             WayOf(Feature::kQueryWithoutRows, era_) == Way::kFallBackToExec;
  if ((own_transaction || may_fall_back) && exclusive_ == nullptr) StartExclusive(op);
  if (own_transaction) {
    AppendMessage(Step::kBegin, op, RequestType::kExecSql, ResponseType::kResult,
                  wire::request::ExecSql{0, "BEGIN IMMEDIATE", {}});
  } else {
    AppendRun(op);
  }
}

void Session::AppendRun(Operation* op) {
  const bool script = op->kind == OpKind::kScript;
  const sql::Statement& statement = op->running();
  const bool as_query = statement.yields_rows() && !op->script_as_exec;
  const bool effect = HasEffect(*op, statement);
  const ResponseType reply = as_query ? ResponseType::kRows : ResponseType::kResult;
  op->header = nullptr;
  op->rows_seen = op->frames_seen = op->bytes_seen = 0;
  op->has_rows_affected = op->has_last_insert_id = false;  // of the statement before, in a script
  op->rows_affected = 0;
  op->last_insert_id = 0;
  if (as_query && options_.grow_server_buffer && !server_buffer_grown_) AppendGrowBuffer();
  if (!script) {
    Request& main = op->main;
    const bool prepared = op->prepared != nullptr;
    main.type = prepared ? (as_query ? RequestType::kQuery : RequestType::kExec)
                         : (as_query ? RequestType::kQuerySql : RequestType::kExecSql);
    main.frame[4] = static_cast<uint8_t>(main.type);  // the bodies of both are the same
    main.reply = reply;
    main.effect = effect;
    main.step = Step::kMain;
    main.sent = 0;
    SeparateFromStream();
    main.op = op;
    op->Retain();
    return Append(&main);
  }
  if (WayOf(Feature::kScriptTail, era_) == Way::kSend) {
    const uint32_t id = op->script_statement.id;
    if (as_query) {
      AppendMessage(Step::kMain, op, RequestType::kQuery, reply, wire::request::Query{0, id, {}}, 0,
                    effect);
    } else {
      AppendMessage(Step::kMain, op, RequestType::kExec, reply, wire::request::Exec{0, id, {}}, 0,
                    effect);
    }
    return;
  }
  const std::string_view text =
      std::string_view(op->sql).substr(statement.begin, statement.text_end - statement.begin);
  if (as_query) {
    AppendMessage(Step::kMain, op, RequestType::kQuerySql, reply,
                  wire::request::QuerySql{0, text, {}}, 0, effect);
  } else {
    AppendMessage(Step::kMain, op, RequestType::kExecSql, reply,
                  wire::request::ExecSql{0, text, {}}, 0, effect);
  }
}

// Before era D servers answer "not an error" to a PRAGMA by QUERY that has no columns, and have not
// executed it (section 7.3). To a prepared one they repeat what failed last on the connection.
bool Session::FallBackToExec(Operation* op, const Status& status) {
  const ErrorInfo* info = status.info();
  const bool script = op->kind == OpKind::kScript;
  const sql::Statement& statement = op->running();
  const bool prepared =
      script ? WayOf(Feature::kScriptTail, era_) == Way::kSend : op->prepared != nullptr;
  if (statement.kind != sql::Kind::kPragma || op->script_as_exec || op->abandoned ||
      WayOf(Feature::kQueryWithoutRows, era_) != Way::kFallBackToExec || info->server_code != 1 ||
      (!prepared && info->server_text != "not an error")) {
    return false;
  }
  if (exclusive_ != op) return false;
  op->script_as_exec = true;
  AppendRun(op);
  return true;
}

// Of our own transaction. A checkpoint refuses either end, and leaves the transaction as it is: it
// lasts some milliseconds, and is asked again at once.
void Session::AppendEnd(Operation* op, Step step) {
  const bool commit = step == Step::kCommit;
  op->rolling_back = !commit;
  AppendMessage(step, op, RequestType::kExecSql, ResponseType::kResult,
                wire::request::ExecSql{0, commit ? "COMMIT" : "ROLLBACK", {}}, 0, commit);
}

// For an operation that was given up behind its request `last`. A transaction of our own holds the
// write lock of the database, and nobody may be running the loop to read the answers before the
// ROLLBACK: it leaves at once. Not where the BEGIN may yet fail because of the application's own.
void Session::RollBackNow(Operation* op, const Request& last) {
  const bool begun = last.step == Step::kMain && op->own_transaction && !GoesOn(*op);
  const bool begins = last.step == Step::kBegin && &last == outstanding_.front() &&
                      transaction_.state() == TxState::kNone;
  if ((begun || begins) && lost_.ok()) AppendEnd(op, Step::kRollback);
}

// A request of `op` was answered; `status` is what came of it.
void Session::StepDone(Operation* op, Step step, Status status, Time now) {
  switch (step) {
    case Step::kMain:
      if (op->own_transaction) {
        if (status.ok() && op->script_as_exec) op->effect_done = true;
        op->saved = std::move(status);
        if (op->rolling_back) break;
        AppendEnd(op, StaysDone(*op) && GoesOn(*op) ? Step::kCommit : Step::kRollback);
        break;
      }
      if (op->join.wanted && AssignAfterAdd(op, &status)) break;
      if (!status.ok() && FallBackToExec(op, status)) break;
      FinishStatement(op, std::move(status));
      break;
    case Step::kBegin: {
      if (op->rolling_back) break;  // whatever became of it
      const ErrorInfo* info = status.info();
      const bool inside =
          info != nullptr && info->server_text.find("within a transaction") != std::string::npos;
      if (inside) {
        status = MayRunInside(op->running(), era_, transaction_.locked()).WithNode(options_.node);
      }
      if (!status.ok()) {
        FinishStatement(op, std::move(status));
        break;
      }
      op->own_transaction = !inside;  // else the application's own is open: run inside it
      if (!op->abandoned) {
        AppendRun(op);
      } else if (op->own_transaction) {
        StepDone(op, Step::kMain, op->status, now);  // it was not run
      } else {
        FinishStatement(op, Status());
      }
      break;
    }
    case Step::kCommit:
      if (!status.ok() && op->script_as_exec) status = status.With(Outcome::kMaybeExecuted);
      if (status.ok()) {
        if (!op->saved.ok()) op->effect_done = true;
        FinishStatement(op, std::exchange(op->saved, Status()));
      } else if (status.code() == Code::kLeadershipLost || !lost_.ok()) {
        FinishStatement(op, std::move(status));
      } else if (IsCheckpoint(status) && GoesOn(*op)) {
        AppendEnd(op, Step::kCommit);
      } else {
        op->saved = op->saved.ok() ? std::move(status) : op->saved.With(Outcome::kNotExecuted);
        AppendEnd(op, Step::kRollback);
      }
      break;
    case Step::kRollback:
      if (IsCheckpoint(status)) {
        AppendEnd(op, Step::kRollback);
      } else {
        FinishStatement(op, std::exchange(op->saved, Status()));
      }
      break;
    default:
      break;
  }
  Pump(now);
}

// A new member is a spare. True: its role is being asked for.
bool Session::AssignAfterAdd(Operation* op, Status* status) {
  if (!op->effect_done) {
    if (!status->ok() || op->abandoned) return false;
    op->effect_done = true;
    AppendMessage(Step::kMain, op, RequestType::kAssign, ResponseType::kEmpty,
                  wire::request::Assign{op->join.node_id, op->join.role}, 0, true);
    return true;
  }
  if (status->ok()) return false;
  ErrorInfo info(*status->info());
  info.outcome = Outcome::kMaybeExecuted;
  info.message = "the node was added as a spare, but not given its role: " + info.message;
  *status = Status::Make(info);
  return false;
}

void Session::FinishStatement(Operation* op, Status status) {
  op->own_transaction = op->rolling_back = false;
  if (op->kind != OpKind::kScript) {
    if (status.ok() && !op->completed) op->statements_done = op->statement_count;
    EndExclusive(op);
    return Complete(op, std::move(status));
  }
  if (status.ok() && !op->completed) NoteScriptStatement(op);
  if (WayOf(Feature::kScriptTail, era_) == Way::kSend) {
    AppendMessage(Step::kFinalize, nullptr, RequestType::kFinalize, ResponseType::kEmpty,
                  wire::request::Finalize{0, op->script_statement.id});
  }
  if (!status.ok()) return FinishScript(op, std::move(status));
  if (op->completed) return FinishScript(op, Status());
  ++op->statements_done;
  op->script_offset = op->script_next;
  ScriptNext(op);
}

// One more statement of a script was executed.
void Session::NoteScriptStatement(Operation* op) {
  const sql::Statement& statement = op->script_statement.text;
  if (HasEffect(*op, statement)) op->effect_done = true;
  if (statement.kind == sql::Kind::kBegin) op->script_transaction = true;
  if (statement.kind == sql::Kind::kCommit || statement.kind == sql::Kind::kRollback)
    op->script_transaction = false;
}

// Finds and prepares the statement at script_offset, or ends the script.
void Session::ScriptNext(Operation* op) {
  if (op->abandoned) return FinishScript(op, Status());
  const std::string_view sql(op->sql);
  const sql::Statement statement = sql::ScanStatement(sql, op->script_offset);
  if (statement.kind == sql::Kind::kEmpty) return FinishScript(op, Status());
  op->script_statement.text = statement;
  op->script_offset = statement.begin;
  op->script_next = statement.end;
  // What travels of it; the server decides where the statement ends, the scanner only bounds that.
  const size_t size = (op->script_whole_rest ? sql.size() : statement.end) - statement.begin;
  if (size > kStatementBytesMax) {
    return FinishScript(op, Status::Make(Code::kLimit, "a statement of " + std::to_string(size) +
                                                           " bytes: larger than any server accepts")
                                .With(Phase::kRequest));
  }
  if (statement.param_count > 0) {
    return FinishScript(
        op, Status::Make(Code::kParams,
                         "a script's statements cannot have parameters: use exec, query "
                         "or prepare for this one"));
  }
  if (WayOf(Feature::kScriptTail, era_) != Way::kSend) return RunStatement(op);
  const Status may = MayPrepare(statement, era_);
  if (!may.ok()) return FinishScript(op, may.WithNode(options_.node));
  AppendMessage(Step::kPrepare, op, RequestType::kPrepare, ResponseType::kStmt,
                wire::request::Prepare{0, sql.substr(op->script_offset, size)}, 1);
}

void Session::ScriptPrepared(Operation* op, uint32_t stmt_id, uint64_t params, uint64_t tail) {
  const size_t sent =
      (op->script_whole_rest ? op->sql.size() : op->script_next) - op->script_offset;
  if (tail == 0 || tail > sent)
    return Fail(ProtocolError("a tail offset of " + std::to_string(tail) + " bytes"));
  op->script_statement.id = stmt_id;
  op->script_next = op->script_offset + static_cast<size_t>(tail);
  op->script_whole_rest = false;
  const auto drop = [&](Status status) {
    AppendMessage(Step::kFinalize, nullptr, RequestType::kFinalize, ResponseType::kEmpty,
                  wire::request::Finalize{0, stmt_id});
    FinishScript(op, std::move(status));
  };
  if (op->abandoned) return drop(Status());
  if (params > 0) {
    return drop(Status::Make(Code::kParams, "a script's statements cannot have parameters"));
  }
  RunStatement(op);
}

void Session::ScriptPrepareFailed(Operation* op, Status status) {
  const ErrorInfo* info = status.info();
  if (info->server_text == "incomplete input" && !op->script_whole_rest && !op->abandoned &&
      op->script_next < op->sql.size()) {
    op->script_whole_rest = true;
    return ScriptNext(op);
  }
  FinishScript(op, std::move(status));
}

void Session::FinishScript(Operation* op, Status status) {
  auto held = IntrusivePtr<Operation>::Share(op);
  EndExclusive(op);
  if (status.ok()) {
    Complete(op, Status());
  } else {
    status = status.WithSqlOffset(static_cast<int64_t>(op->script_statement.text.begin));
    CompleteFailed(op, status, lost_.ok());
  }
  if (op == init_.get()) EndInit();
}

}  // namespace dqc::session
