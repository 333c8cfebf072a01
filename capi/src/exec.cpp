/* SPDX-License-Identifier: MIT */
// exec, query, script and prepare, each in its asynchronous and its blocking form.
#include "guard.hpp"
#include "sql_text.hpp"
#include "wire/message.hpp"

namespace dqc::capi {

namespace {

using session::OpKind;

Status SetStrong(const dqc_conn*, const dqc_call_options* options, Call*) {
  if (options == nullptr || (options->flags & DQC_CALL_STRONG) == 0) return {};
  return Status::Make(Code::kMisuse,
                      "DQC_CALL_STRONG is for the calls of a client; in a transaction that writes, "
                      "its COMMIT proves the reads");
}

Status SetStrong(const dqc_client* client, const dqc_call_options* options, Call* call) {
  const bool wanted = client->shared->strong_reads ||
                      (options != nullptr && (options->flags & DQC_CALL_STRONG) != 0);
  call->strong = wanted && call->statement_count == 1 && call->statement.read_only();
  return {};
}

// Of a connection or a client.
template <typename Handle>
Result<IntrusivePtr<Call>> TextCall(Handle* handle, const char* sql, size_t sql_size,
                                    const dqc_value* args, size_t arg_count,
                                    const dqc_call_options* options, bool discard_rows) {
  const Result<Shared*> shared = SharedOf(handle);
  DQC_TRY(shared.status());
  DQC_TRY(CheckOptions(options));
  IntrusivePtr<Call> call = (*shared)->NewCall(OpKind::kStatement, options);
  call->discard_rows = discard_rows;
  DQC_TRY(SetText(**shared, call.get(), Text(sql, sql_size), args, arg_count, discard_rows));
  DQC_TRY(SetStrong(handle, options, call.get()));
  return call;
}

Result<IntrusivePtr<Call>> StmtCall(dqc_stmt* stmt, const dqc_value* args, size_t arg_count,
                                    const dqc_call_options* options, bool discard_rows) {
  auto* statement = reinterpret_cast<Statement*>(stmt);
  DQC_TRY(Check(statement, "statement"));
  DQC_TRY(CheckOptions(options));
  IntrusivePtr<Call> call = statement->shared->NewCall(OpKind::kStatement, options);
  call->discard_rows = discard_rows;
  DQC_TRY(SetExecution(call.get(), statement, args, arg_count));
  return call;
}

template <typename Handle>
Result<IntrusivePtr<Call>> ScriptCall(Handle* handle, const char* sql, size_t sql_size,
                                      const dqc_call_options* options, bool discard_rows) {
  const Result<Shared*> shared = SharedOf(handle);
  DQC_TRY(shared.status());
  DQC_TRY(CheckOptions(options));
  const std::string_view text = Text(sql, sql_size);
  DQC_TRY(CheckScript(text));
  IntrusivePtr<Call> call = (*shared)->NewCall(OpKind::kScript, options);
  call->discard_rows = discard_rows;
  call->sql = text;
  return call;
}

Result<IntrusivePtr<Call>> PrepareCall(dqc_conn* conn, const char* sql, size_t sql_size,
                                       const dqc_call_options* options) {
  DQC_TRY(Check(conn, "connection"));
  DQC_TRY(CheckOptions(options));
  const std::string_view text = Text(sql, sql_size);
  const Result<sql::Statement> one = OneStatement(text);
  DQC_TRY(one.status());
  DQC_TRY(CheckParamCount(one->param_count, conn->shared->limits));
  IntrusivePtr<Call> call = conn->shared->NewCall(OpKind::kPrepare, options);
  call->stmt = IntrusivePtr<Statement>::Adopt(new Statement(conn->shared, text, *one));
  call->statement = call->stmt->prepared.text;  // may wait: its views are into a copy
  call->main.type = wire::RequestType::kPrepare;
  call->main.reply = wire::ResponseType::kStmt;
  DQC_TRY(wire::Encode(wire::request::Prepare{0, text.substr(0, one->end)}, 0, call->main.frame));
  return call;
}

// The call is good, so is its handle.
Shared* HandleOf(dqc_conn* conn) { return conn->shared.get(); }
Shared* HandleOf(dqc_client* client) { return client->shared.get(); }
Shared* HandleOf(dqc_stmt* stmt) { return reinterpret_cast<Statement*>(stmt)->shared.get(); }

template <typename Handle>
Status SubmitCall(Handle* handle, Result<IntrusivePtr<Call>> call, dqc_callback callback,
                  void* user_data, uint64_t* op) {
  DQC_TRY(call.status());
  return HandleOf(handle)->Submit(std::move(*call), callback, user_data, op);
}

template <typename Handle>
Status Run(Handle* handle, Result<IntrusivePtr<Call>> call, dqc_result* result) {
  DQC_TRY(call.status());
  return HandleOf(handle)->RunBlocking(std::move(*call), result);
}

template <typename Handle>
Status BeginRows(Handle* handle, Result<IntrusivePtr<Call>> call, dqc_rows** out) {
  if (out == nullptr) return Status::Make(Code::kMisuse, "out is NULL");
  DQC_TRY(call.status());
  return HandleOf(handle)->BeginRows(std::move(*call), out);
}

template <typename T>
void Clear(T* out) {
  if (out != nullptr) *out = T();
}

}  // namespace

}  // namespace dqc::capi

using namespace dqc::capi;  // NOLINT(google-build-using-namespace): this file is the boundary
using dqc::Status;

extern "C" {

dqc_status dqc_conn_exec_async(dqc_conn* conn, const char* sql, size_t sql_size,
                               const dqc_value* args, size_t arg_count,
                               const dqc_call_options* options, dqc_callback callback,
                               void* user_data, uint64_t* op, dqc_error** error) {
  Clear(op);
  return guard(error, [&]() -> Status {
    return SubmitCall(conn, TextCall(conn, sql, sql_size, args, arg_count, options, true), callback,
                      user_data, op);
  });
}

dqc_status dqc_conn_query_async(dqc_conn* conn, const char* sql, size_t sql_size,
                                const dqc_value* args, size_t arg_count,
                                const dqc_call_options* options, dqc_callback callback,
                                void* user_data, uint64_t* op, dqc_error** error) {
  Clear(op);
  return guard(error, [&]() -> Status {
    return SubmitCall(conn, TextCall(conn, sql, sql_size, args, arg_count, options, false),
                      callback, user_data, op);
  });
}

dqc_status dqc_conn_script_async(dqc_conn* conn, const char* sql, size_t sql_size,
                                 const dqc_call_options* options, dqc_callback callback,
                                 void* user_data, uint64_t* op, dqc_error** error) {
  Clear(op);
  return guard(error, [&]() -> Status {
    return SubmitCall(conn, ScriptCall(conn, sql, sql_size, options, false), callback, user_data,
                      op);
  });
}

dqc_status dqc_conn_prepare_async(dqc_conn* conn, const char* sql, size_t sql_size,
                                  const dqc_call_options* options, dqc_callback callback,
                                  void* user_data, uint64_t* op, dqc_error** error) {
  Clear(op);
  return guard(error, [&]() -> Status {
    return SubmitCall(conn, PrepareCall(conn, sql, sql_size, options), callback, user_data, op);
  });
}

dqc_status dqc_stmt_exec_async(dqc_stmt* stmt, const dqc_value* args, size_t arg_count,
                               const dqc_call_options* options, dqc_callback callback,
                               void* user_data, uint64_t* op, dqc_error** error) {
  Clear(op);
  return guard(error, [&]() -> Status {
    return SubmitCall(stmt, StmtCall(stmt, args, arg_count, options, true), callback, user_data,
                      op);
  });
}

dqc_status dqc_stmt_query_async(dqc_stmt* stmt, const dqc_value* args, size_t arg_count,
                                const dqc_call_options* options, dqc_callback callback,
                                void* user_data, uint64_t* op, dqc_error** error) {
  Clear(op);
  return guard(error, [&]() -> Status {
    return SubmitCall(stmt, StmtCall(stmt, args, arg_count, options, false), callback, user_data,
                      op);
  });
}

dqc_status dqc_conn_exec(dqc_conn* conn, const char* sql, size_t sql_size, const dqc_value* args,
                         size_t arg_count, const dqc_call_options* options, dqc_result* result,
                         dqc_error** error) {
  Clear(result);
  return guard(error, [&]() -> Status {
    return Run(conn, TextCall(conn, sql, sql_size, args, arg_count, options, true), result);
  });
}

dqc_status dqc_conn_query(dqc_conn* conn, const char* sql, size_t sql_size, const dqc_value* args,
                          size_t arg_count, const dqc_call_options* options, dqc_rows** out,
                          dqc_error** error) {
  Clear(out);
  return guard(error, [&]() -> Status {
    return BeginRows(conn, TextCall(conn, sql, sql_size, args, arg_count, options, false), out);
  });
}

dqc_status dqc_conn_script(dqc_conn* conn, const char* sql, size_t sql_size,
                           const dqc_call_options* options, dqc_result* result, dqc_error** error) {
  Clear(result);
  return guard(error, [&]() -> Status {
    return Run(conn, ScriptCall(conn, sql, sql_size, options, true), result);
  });
}

dqc_status dqc_conn_prepare(dqc_conn* conn, const char* sql, size_t sql_size,
                            const dqc_call_options* options, dqc_stmt** out, dqc_error** error) {
  Clear(out);
  return guard(error, [&]() -> Status {
    if (out == nullptr) return Status::Make(dqc::Code::kMisuse, "out is NULL");
    auto call = PrepareCall(conn, sql, sql_size, options);
    DQC_TRY(call.status());
    const dqc::IntrusivePtr<Statement> statement = (*call)->stmt;
    DQC_TRY(conn->shared->RunBlocking(std::move(*call), nullptr));
    *out = statement->Lend();
    return {};
  });
}

dqc_status dqc_stmt_exec(dqc_stmt* stmt, const dqc_value* args, size_t arg_count,
                         const dqc_call_options* options, dqc_result* result, dqc_error** error) {
  Clear(result);
  return guard(error, [&]() -> Status {
    return Run(stmt, StmtCall(stmt, args, arg_count, options, true), result);
  });
}

dqc_status dqc_stmt_query(dqc_stmt* stmt, const dqc_value* args, size_t arg_count,
                          const dqc_call_options* options, dqc_rows** out, dqc_error** error) {
  Clear(out);
  return guard(error, [&]() -> Status {
    return BeginRows(stmt, StmtCall(stmt, args, arg_count, options, false), out);
  });
}

dqc_status dqc_client_exec_async(dqc_client* client, const char* sql, size_t sql_size,
                                 const dqc_value* args, size_t arg_count,
                                 const dqc_call_options* options, dqc_callback callback,
                                 void* user_data, uint64_t* op, dqc_error** error) {
  Clear(op);
  return guard(error, [&]() -> Status {
    return SubmitCall(client, TextCall(client, sql, sql_size, args, arg_count, options, true),
                      callback, user_data, op);
  });
}

dqc_status dqc_client_query_async(dqc_client* client, const char* sql, size_t sql_size,
                                  const dqc_value* args, size_t arg_count,
                                  const dqc_call_options* options, dqc_callback callback,
                                  void* user_data, uint64_t* op, dqc_error** error) {
  Clear(op);
  return guard(error, [&]() -> Status {
    return SubmitCall(client, TextCall(client, sql, sql_size, args, arg_count, options, false),
                      callback, user_data, op);
  });
}

dqc_status dqc_client_script_async(dqc_client* client, const char* sql, size_t sql_size,
                                   const dqc_call_options* options, dqc_callback callback,
                                   void* user_data, uint64_t* op, dqc_error** error) {
  Clear(op);
  return guard(error, [&]() -> Status {
    return SubmitCall(client, ScriptCall(client, sql, sql_size, options, false), callback,
                      user_data, op);
  });
}

dqc_status dqc_client_exec(dqc_client* client, const char* sql, size_t sql_size,
                           const dqc_value* args, size_t arg_count, const dqc_call_options* options,
                           dqc_result* result, dqc_error** error) {
  Clear(result);
  return guard(error, [&]() -> Status {
    return Run(client, TextCall(client, sql, sql_size, args, arg_count, options, true), result);
  });
}

dqc_status dqc_client_query(dqc_client* client, const char* sql, size_t sql_size,
                            const dqc_value* args, size_t arg_count,
                            const dqc_call_options* options, dqc_rows** out, dqc_error** error) {
  Clear(out);
  return guard(error, [&]() -> Status {
    return BeginRows(client, TextCall(client, sql, sql_size, args, arg_count, options, false), out);
  });
}

dqc_status dqc_client_script(dqc_client* client, const char* sql, size_t sql_size,
                             const dqc_call_options* options, dqc_result* result,
                             dqc_error** error) {
  Clear(result);
  return guard(error, [&]() -> Status {
    return Run(client, ScriptCall(client, sql, sql_size, options, true), result);
  });
}

}  // extern "C"
