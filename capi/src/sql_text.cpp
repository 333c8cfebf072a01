/* SPDX-License-Identifier: MIT */
#include "sql_text.hpp"

#include "session/safety.hpp"
#include "wire/message.hpp"

namespace dqc::capi {

namespace {

constexpr size_t kTextOffset = 16;  // of the SQL in an EXEC_SQL frame: header, database

Status CheckText(std::string_view sql, const sql::Summary& summary) {
  if (sql.data() == nullptr) return Status::Make(Code::kMisuse, "the SQL text is NULL");
  if (summary.has_nul) {
    return Status::Make(Code::kMisuse,
                        "the SQL text has a NUL inside, where the server would take its end to be");
  }
  if (summary.statements == 0) return Status::Make(Code::kMisuse, "the SQL text has no statement");
  return {};
}

// Several statements in one request: nobody would see rows, parameters would go astray (section
// 7.2), and what the safety table must look at has to travel alone.
Status CheckSeveral(std::string_view sql, const sql::Summary& summary) {
  if (summary.any_params) {
    return Status::Make(
        Code::kParams,
        "several statements with parameters: servers bind them differently, or not at "
        "all; run them one by one");
  }
  if (summary.any_yields_rows) {
    return Status::Make(Code::kUnsupported,
                        "several statements of which one yields rows: use the script functions");
  }
  for (size_t at = 0; at < sql.size();) {
    const sql::Statement statement = sql::ScanStatement(sql, at);
    if (statement.kind == sql::Kind::kEmpty) break;
    if (session::NeedsOf(statement, 0).count > 0) {
      return Status::Make(Code::kUnsupported,
                          "several statements of which one needs care: use the script functions");
    }
    at = statement.end;
  }
  return {};
}

}  // namespace

Status SetText(const Shared& shared, Call* call, std::string_view sql, const dqc_value* values,
               size_t count, bool may_be_several) {
  const sql::Summary summary = sql::Summarize(sql);
  DQC_TRY(CheckText(sql, summary));
  call->statement = summary.first;
  call->statement_count = summary.statements;
  if (summary.statements > 1) {
    if (!may_be_several) {
      return Status::Make(Code::kMisuse,
                          "the text has " + std::to_string(summary.statements) +
                              " statements, one is expected: use the script functions");
    }
    DQC_TRY(CheckSeveral(sql, summary));
    call->statement.kind = sql::Kind::kOther;
  }
  std::vector<sql::Param> names;
  if (count > 0 && values != nullptr && values[0].name != nullptr) {
    sql::ListParams(sql, 0, names);
    SortByName(names);
  }
  Params params;
  const uint64_t param_count = summary.statements > 1 ? 0 : summary.first.param_count;
  DQC_TRY(params.Set(values, values == nullptr ? 0 : count, param_count, names, shared.limits));
  call->param_count = param_count;
  const std::string_view trimmed = sql.substr(0, summary.text_end);
  DQC_TRY(wire::Encode(wire::request::ExecSql{0, trimmed, params.values()}, params.schema(),
                       call->main.frame));
  if (!call->statement.pragma_name.empty()) {  // may wait: the view must be into our copy
    const std::string_view name = call->statement.pragma_name;
    const char* text = reinterpret_cast<const char*>(call->main.frame.data()) + kTextOffset;
    call->statement.pragma_name = {text + (name.data() - sql.data()), name.size()};
  }
  return {};
}

Status SetExecution(Call* call, Statement* statement, const dqc_value* values, size_t count) {
  const session::PreparedStatement& prepared = statement->prepared;
  Params params;
  if (values == nullptr) count = 0;
  if (count == 0 && prepared.params > 0) {
    std::vector<wire::Value> bound;
    DQC_TRY(statement->BoundValues(bound));
    params.Use(std::move(bound));
  } else {
    DQC_TRY(
        params.Set(values, count, prepared.params, statement->params, statement->shared->limits));
  }
  call->statement = prepared.text;
  call->param_count = prepared.params;
  call->prepared = &statement->prepared;
  call->statement_count = 1;
  Status encoded = wire::Encode(wire::request::Exec{0, prepared.id, params.values()},
                                params.schema(), call->main.frame);
  call->stmt = IntrusivePtr<Statement>::Share(statement);
  return encoded;
}

Result<sql::Statement> OneStatement(std::string_view sql) {
  const sql::Summary summary = sql::Summarize(sql);
  DQC_TRY(CheckText(sql, summary));
  if (summary.statements > 1) {
    return Status::Make(Code::kMisuse, "the text has " + std::to_string(summary.statements) +
                                           " statements: prepare them one by one");
  }
  return summary.first;
}

Status CheckScript(std::string_view sql) {
  if (sql.data() == nullptr) return Status::Make(Code::kMisuse, "the SQL text is NULL");
  if (sql.find('\0') != std::string_view::npos)
    return Status::Make(Code::kMisuse, "the SQL text has a NUL inside");
  return {};
}

}  // namespace dqc::capi
