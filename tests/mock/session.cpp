/* SPDX-License-Identifier: MIT */
#include "mock/session.hpp"

#include <algorithm>
#include <cctype>

namespace dqc::mock {
namespace {

using wire::RequestType;
namespace rs = wire::response;

constexpr uint64_t kNotLeader = 10250;
constexpr uint64_t kParse = 1005;
constexpr uint8_t kTypesEnd = static_cast<uint8_t>(RequestType::kWeight) + 1;

Do Fail(uint64_t code, std::string_view text) { return Do().Failure(code, text); }

bool IsSql(uint8_t type) {
  return type >= static_cast<uint8_t>(RequestType::kPrepare) &&
         type <= static_cast<uint8_t>(RequestType::kQuerySql) &&
         type != static_cast<uint8_t>(RequestType::kFinalize);
}

bool IsKnown(uint8_t type) {
  return type < kTypesEnd && type != static_cast<uint8_t>(RequestType::kHeartbeat);
}

bool UsesStatement(const Request& r) {
  return r.Is(RequestType::kExec) || r.Is(RequestType::kQuery) || r.Is(RequestType::kFinalize);
}

// `SELECT 12` and `SELECT ?, ?`; else nothing.
std::optional<Table> Literal(std::string_view sql, const Row& params) {
  constexpr std::string_view kSelect = "SELECT ";
  if (sql.substr(0, kSelect.size()) != kSelect) return std::nullopt;
  std::string text;
  for (const char c : sql.substr(kSelect.size())) {
    if (c != ' ' && c != ';') text.push_back(c);
  }
  if (text.empty()) return std::nullopt;
  const auto digit = [](unsigned char c) { return std::isdigit(c) != 0; };
  if (text.size() < 18 && std::all_of(text.begin(), text.end(), digit)) {
    return Table{.columns = {text}, .rows = {{int64_t{std::stoll(text)}}}, .made = 0, .make = {}};
  }
  Table echo;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != (i % 2 == 0 ? '?' : ',')) return std::nullopt;
    if (i % 2 != 0) continue;
    echo.columns.emplace_back("?");
  }
  echo.rows.push_back(params);
  echo.rows[0].resize(echo.columns.size());
  return echo;
}

Table ResultOf(std::string_view sql, const Row& params, const Config& config) {
  for (const auto& [part, table] : config.tables) {
    if (sql.find(part) != std::string_view::npos) return table;
  }
  if (auto literal = Literal(sql, params)) return *std::move(literal);
  return DefaultTable();
}

bool ForbiddenName(const std::string& name) {
  return name.empty() || name == ":memory:" || name.compare(0, 5, "file:") == 0 ||
         name.size() >= 512;
}

}  // namespace

Table DefaultTable() {
  return {.columns = {"id", "name"},
          .rows = {{1, "one"}, {2, "two"}, {3, nullptr}},
          .made = 0,
          .make = {}};
}

uint8_t Session::SchemaMax(Era era, uint8_t type) {
  if (!IsSql(type) || era == Era::kA) return 0;
  const bool prepare = type == static_cast<uint8_t>(RequestType::kPrepare);
  return prepare && era == Era::kB ? 0 : 1;
}

bool Session::Live(uint64_t stmt) const {
  return stmt < statements_.size() && statements_[static_cast<size_t>(stmt)].has_value();
}

void Session::Examine(Request& request, const Config& config, Violations& violations) {
  if (request.kind != Request::Kind::kFrame) return;
  Forget(config);
  const Era era = config.era;
  const auto complain = [&](const std::string& what) { violations.push_back(what); };
  if (!request.malformed.empty()) return complain("malformed: " + request.malformed);
  if (request.Is(RequestType::kConnect)) return complain("CONNECT");
  if (!IsKnown(request.type) && era == Era::kA) complain("unknown type to era A");
  if (request.schema > 0 && era == Era::kA && !request.probe()) complain("schema 1 to era A");
  if (!request.decoded) return;
  request.asks_leadership =
      request.Is(RequestType::kExecSql) && !open_ && request.text == "SELECT 1";
  if (request.Is(RequestType::kOpen) && ForbiddenName(request.text)) {
    complain("OPEN of '" + request.text + "'");
  }
  if (request.Is(RequestType::kDescribe) && request.value != 0) complain("DESCRIBE format");
  if (UsesStatement(request) && !request.probe()) {
    if (Live(request.id)) {
      request.text = *statements_[static_cast<size_t>(request.id)];
    } else if (open_) {
      complain("statement " + std::to_string(request.id) + " is not live");
    }
  }
  if (IsSql(request.type) && !request.Is(RequestType::kPrepare) && open_) {
    ExamineSql(request, era, violations);
  }
}

void Session::ExamineSql(const Request& request, Era era, Violations& violations) const {
  const bool query = request.Is(RequestType::kQuery) || request.Is(RequestType::kQuerySql);
  const bool prepared = request.Is(RequestType::kExec) || request.Is(RequestType::kQuery);
  const bool returning_works = query && (era == Era::kD || (era < Era::kC && in_transaction_));
  std::string_view rest = request.text;
  const SqlStatement statement = ScanSql(rest);
  while (!rest.empty() && !returning_works) {
    const SqlStatement next = ScanSql(rest);
    if (next.writes && next.returning) violations.push_back("RETURNING: " + request.text);
    rest.remove_prefix(next.end);
  }
  if (prepared && Live(request.id) && request.params.size() != statement.params) {
    violations.push_back(std::to_string(request.params.size()) + " values for " +
                         std::to_string(statement.params) + " parameters: " + request.text);
  }
}

void Session::Forget(const Config& config) {
  if (losses_ == config.losses) return;
  losses_ = config.losses;
  open_ = false;
  in_transaction_ = false;
  statements_.clear();
}

Do Session::Reply(const Request& request, Config& config) {
  if (request.kind == Request::Kind::kAccept) return Do();
  if (request.kind == Request::Kind::kHandshake) return Handshake(request);
  if (!request.decoded || !IsKnown(request.type)) return Refused(request, config.era);
  switch (static_cast<RequestType>(request.type)) {
    case RequestType::kLeader:
      return Leader(config);
    case RequestType::kClient:
      return Do().Reply(rs::Welcome{15000});
    case RequestType::kOpen:
      return Open(config);
    case RequestType::kPrepare:
      return Prepare(request, config);
    case RequestType::kExec:
    case RequestType::kExecSql:
      return Exec(request, config);
    case RequestType::kQuery:
    case RequestType::kQuerySql:
      return Query(request, config);
    case RequestType::kFinalize:
      return Finalize(request);
    case RequestType::kInterrupt:
      return Do().Reply(rs::Empty{});
    case RequestType::kConnect:
      return Do().Hang();  // the connection is Raft's now
    default:
      return ClusterReply(request, config);
  }
}

Do Session::Handshake(const Request& request) const {
  const bool known = request.value == wire::kVersion || request.value == wire::kVersionLegacy;
  return known ? Do() : Do().Close();
}

Do Session::Refused(const Request& request, Era era) const {
  if (!IsKnown(request.type)) {
    return era == Era::kA ? Do().Hang() : Fail(kParse, "unrecognized request type");
  }
  if (request.malformed.empty()) {
    const bool prepare = request.Is(RequestType::kPrepare);
    const bool plain = (era == Era::kC && prepare) || (era == Era::kD && IsSql(request.type));
    return Fail(plain ? 1 : kParse, "unrecognized schema version");
  }
  return Do().Close();
}

Do Session::Leader(const Config& config) const {
  rs::Server reply{.id = config.leader_id, .address = config.leader_address, .legacy = legacy};
  if (config.leader) reply.id = config.id, reply.address = config.address;
  return Do().Reply(reply);
}

Do Session::Open(const Config& config) {
  if (config.era == Era::kD && !config.leader) return Fail(kNotLeader, "not leader");
  if (open_) return Fail(5, "a database for this connection is already open");
  open_ = true;
  return Do().Reply(rs::Db{});
}

Session::Checked Session::CheckSql(const Request& request, const Config& config,
                                   bool needs_leader) const {
  if (needs_leader && !config.leader) return Fault{kNotLeader, "not leader"};
  if (!open_) return Fault{12, "no database opened"};
  if (UsesStatement(request) && !Live(request.id)) {
    return Fault{12, "no statement with the given id"};
  }
  return std::nullopt;
}

Do Session::Prepare(const Request& request, const Config& config) {
  if (const auto fault = CheckSql(request, config, config.era != Era::kA)) {
    return Fail(fault->code, fault->text);
  }
  const std::string_view sql = request.text;
  const SqlStatement statement = ScanSql(sql);
  if (statement.empty()) return Fail(0, "empty statement");
  const bool with_tail = request.schema == 1 && config.era >= Era::kC;
  if (!with_tail && config.era >= Era::kC && HasStatement(sql.substr(statement.end))) {
    return Fail(1, "nonempty statement tail");
  }
  const auto free = std::find(statements_.begin(), statements_.end(), std::nullopt);
  const auto id = static_cast<uint32_t>(free - statements_.begin());
  if (id >= kStatementsMax) return Fail(7, "out of memory");
  if (free == statements_.end()) statements_.emplace_back();
  statements_[id] = std::string(sql.substr(0, statement.end));
  const rs::Stmt reply{.db = 0, .id = id, .params = statement.params, .tail_offset = statement.end};
  return Do().Reply(reply, with_tail ? 1 : 0);
}

Do Session::Exec(const Request& request, const Config& config) {
  if (const auto fault = CheckSql(request, config, true)) return Fail(fault->code, fault->text);
  std::string_view rest = request.text;
  if (!HasStatement(rest) && config.era != Era::kD) return Do().Reply(rs::Result{});
  while (!rest.empty()) {
    const SqlStatement statement = ScanSql(rest);
    if (const auto fault = Run(rest, statement, config)) return Fail(fault->code, fault->text);
    rest.remove_prefix(statement.end);
  }
  return Do().Reply(rs::Result{last_id_, changes_});
}

Session::Checked Session::Run(std::string_view sql, const SqlStatement& statement,
                              const Config& config) {
  if (statement.yields_rows()) {
    const bool empty = ResultOf(sql.substr(0, statement.end), {}, config).row_count() == 0;
    if (empty && !statement.returning) return std::nullopt;
    if (config.era == Era::kD) return Fault{1, "rows yielded when none expected for EXEC request"};
    return Fault{100, "another row available"};
  }
  if (statement.writes) {
    changes_ = 1;
    if (statement.first_word == "INSERT" || statement.first_word == "REPLACE") ++last_id_;
  }
  if (statement.second_word == "TO") return std::nullopt;  // a savepoint
  return RunTransaction(statement.first_word);
}

Session::Checked Session::RunTransaction(const std::string& word) {
  if (word == "BEGIN") {
    if (in_transaction_) return Fault{1, "cannot start a transaction within a transaction"};
    in_transaction_ = true;
  } else if (word == "COMMIT" || word == "END" || word == "ROLLBACK") {
    if (!in_transaction_ && word == "ROLLBACK") {
      return Fault{1, "cannot rollback - no transaction is active"};
    }
    if (!in_transaction_) return Fault{1, "cannot commit - no transaction is active"};
    in_transaction_ = false;
  }
  return std::nullopt;
}

Do Session::Query(const Request& request, const Config& config) {
  if (const auto fault = CheckSql(request, config, true)) return Fail(fault->code, fault->text);
  const std::string_view sql = request.text;
  const SqlStatement statement = ScanSql(sql);
  if (statement.empty()) return Fail(0, "empty statement");
  if (config.era >= Era::kC && HasStatement(sql.substr(statement.end))) {
    return Fail(1, "nonempty statement tail");
  }
  if (statement.yields_rows() || statement.first_word == "PRAGMA") {
    if (statement.returning && config.era == Era::kC) return Fail(100, "another row available");
    if (statement.writes) changes_ = 1, ++last_id_;
    return Do().Rows(ResultOf(sql.substr(0, statement.end), request.params, config));
  }
  if (config.era < Era::kC) return Fail(1, "not an error");
  if (const auto fault = Run(sql, statement, config)) return Fail(fault->code, fault->text);
  return Do().Rows(Table{});
}

Do Session::Finalize(const Request& request) {
  if (!Live(request.id)) return Fail(12, "no statement with the given id");
  statements_[static_cast<size_t>(request.id)].reset();
  while (!statements_.empty() && !statements_.back()) statements_.pop_back();
  return Do().Reply(rs::Empty{});
}

}  // namespace dqc::mock
