/* SPDX-License-Identifier: MIT */
#include "live/cluster_client.hpp"

#include <chrono>
#include <cstdlib>

namespace dqc::live {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

namespace {

std::vector<dqc_value> Values(const Args& args) {
  std::vector<dqc_value> values;
  for (const Arg& arg : args) values.push_back(arg.Value());
  return values;
}

Reply Finish(dqc_status status, dqc_error* error, Reply reply = {}) {
  reply.status = status;
  reply.failure = Describe(error);
  dqc_error_free(error);
  return reply;
}

std::vector<Attempt> AttemptsOf(const dqc_error* error) {
  std::vector<Attempt> out;
  for (size_t i = 0; i < dqc_error_attempt_count(error); ++i) {
    dqc_attempt row{};
    row.struct_size = sizeof(row);
    EXPECT_EQ(dqc_error_attempt(error, i, &row), DQC_OK);
    out.push_back({row.phase, row.code, row.elapsed_us, row.address, row.leader, row.cause});
  }
  return out;
}

}  // namespace

int64_t NowUs() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             steady_clock::now().time_since_epoch())
      .count();
}

std::string ClusterDsn(const std::vector<std::string>& addresses, const std::string& database,
                       const std::string& options) {
  std::string dsn = "dqlite://";
  for (size_t i = 0; i < addresses.size(); ++i) dsn += (i > 0 ? "," : "") + addresses[i];
  return dsn + "/" + database + (options.empty() ? "" : "?" + options);
}

Client::Client(const std::string& dsn, bool connect, int32_t mode) {
  dqc_config* config = nullptr;
  dqc_error* error = nullptr;
  dqc_loop* loop = nullptr;
  dqc_client* client = nullptr;
  EXPECT_EQ(dqc_config_new(&config, nullptr), DQC_OK);
  const Handle<dqc_config> owned(config);
  EXPECT_EQ(dqc_config_set_dsn(config, dsn.data(), dsn.size(), &error), DQC_OK)
      << dqc_error_message(error);
  EXPECT_EQ(dqc_loop_new(mode, &loop, nullptr), DQC_OK);
  loop_.reset(loop);
  const dqc_status made = dqc_client_new(loop, nullptr, config, &client, &error);
  EXPECT_EQ(made, DQC_OK) << dqc_error_message(error);
  client_.reset(client);
  dqc_error_free(error);
  if (connect) Connect();
}

Reply Client::Connect(uint64_t timeout_ms) {
  const dqc_call_options options = {sizeof(options), 0, timeout_ms};
  dqc_error* error = nullptr;
  const dqc_status status = dqc_client_connect(get(), &options, &error);
  attempts_ = AttemptsOf(error);
  opened_ = Finish(status, error);
  return opened_;
}

Reply Client::Exec(std::string_view sql, const Args& args, uint64_t timeout_ms,
                   uint32_t flags) const {
  const auto values = Values(args);
  const dqc_call_options options = {sizeof(options), flags, timeout_ms};
  dqc_error* error = nullptr;
  Reply reply;
  const dqc_status status = dqc_client_exec(get(), sql.data(), sql.size(), values.data(),
                                            values.size(), &options, &reply.result, &error);
  return Finish(status, error, reply);
}

Reply Client::Query(std::string_view sql, const Args& args, uint64_t timeout_ms,
                    uint32_t flags) const {
  const auto values = Values(args);
  const dqc_call_options options = {sizeof(options), flags, timeout_ms};
  dqc_error* error = nullptr;
  dqc_rows* rows = nullptr;
  const dqc_status status = dqc_client_query(get(), sql.data(), sql.size(), values.data(),
                                             values.size(), &options, &rows, &error);
  return Drain(status, rows, error);
}

Reply Client::Admin(int32_t verb, uint64_t node_id, uint64_t value, const char* text,
                    uint64_t timeout_ms) const {
  const dqc_admin request = {sizeof(request), verb, node_id, value, text};
  const dqc_call_options options = {sizeof(options), 0, timeout_ms};
  dqc_error* error = nullptr;
  dqc_rows* rows = nullptr;
  const dqc_status status = dqc_client_admin(get(), &request, &options, &rows, &error);
  return Drain(status, rows, error);
}

Conn Client::Acquire(Reply* reply, uint64_t timeout_ms) const {
  const dqc_call_options options = {sizeof(options), 0, timeout_ms};
  dqc_error* error = nullptr;
  dqc_conn* conn = nullptr;
  const dqc_status status = dqc_client_acquire(get(), &options, &conn, &error);
  const Reply told = Finish(status, error);
  if (reply != nullptr) {
    *reply = told;
  } else {
    EXPECT_TRUE(told.ok()) << told;
  }
  return Conn(conn);
}

dqc_status Client::ExecAsync(std::string_view sql, Pending* p, const Args& args,
                             uint64_t timeout_ms, uint32_t flags) const {
  const auto values = Values(args);
  const dqc_call_options options = {sizeof(options), flags, timeout_ms};
  return dqc_client_exec_async(get(), sql.data(), sql.size(), values.data(), values.size(),
                               &options, CollectEvent, p, &p->op, nullptr);
}

dqc_status Client::QueryAsync(std::string_view sql, Pending* p, const Args& args,
                              uint64_t timeout_ms) const {
  const auto values = Values(args);
  const dqc_call_options options = {sizeof(options), 0, timeout_ms};
  return dqc_client_query_async(get(), sql.data(), sql.size(), values.data(), values.size(),
                                &options, CollectEvent, p, &p->op, nullptr);
}

bool Client::RunUntil(const std::function<bool()>& condition, int limit_s) const {
  const auto end = steady_clock::now() + seconds(limit_s);
  while (!condition()) {
    if (steady_clock::now() >= end) return false;
    if (dqc_loop_run(loop_.get(), DQC_RUN_NOWAIT, nullptr) != DQC_OK) return false;
    if (!condition()) std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  return true;
}

dqc_stats Client::Stats() const {
  dqc_stats stats{};
  stats.struct_size = sizeof(stats);
  dqc_client_stats(get(), &stats);
  return stats;
}

std::string Client::Leader() const {
  char text[256];
  dqc_client_leader(get(), text, sizeof text);
  return text;
}

Reply OnLeader(const std::vector<std::string>& addresses, const std::string& database,
               std::string_view sql) {
  const auto end = steady_clock::now() + seconds(30);
  for (;;) {
    Reply reply;
    for (const std::string& address : addresses) {
      const Conn conn("dqlite://" + address + "/" + database + "?connect_timeout=1s&timeout=20s");
      reply = conn.opened();
      if (reply.ok()) reply = conn.Query(sql);
      if (reply.ok()) return reply;
    }
    if (steady_clock::now() > end) return reply;
    std::this_thread::sleep_for(milliseconds(50));
  }
}

// ------------------------------------------------------------------------------------------ ledger

void Ledger::Note(int64_t id, const Reply& reply, int64_t ms, int64_t allowed_ms) {
  std::lock_guard<std::mutex> lock(mutex_);
  entries_[id] = {reply.status, reply.failure.outcome, reply.failure.message};
  counts_.slowest_ms = std::max(counts_.slowest_ms, ms);
  if (ms > allowed_ms) ++counts_.late;
  if (reply.ok()) {
    ++counts_.done;
    return;
  }
  static const char* const kOutcomes[] = {"not executed", "executed", "perhaps executed"};
  std::string& example = counts_.examples[std::string(dqc_status_name(reply.status)) + ", " +
                                          kOutcomes[reply.failure.outcome]];
  if (example.empty()) example = reply.failure.message;
  ++counts_.failures[std::string(dqc_status_name(reply.status)) + ", " +
                     kOutcomes[reply.failure.outcome]];
  ++(reply.failure.outcome == DQC_OUTCOME_MAYBE_EXECUTED ? counts_.maybe
     : reply.failure.outcome == DQC_OUTCOME_EXECUTED     ? counts_.executed_with_error
                                                         : counts_.not_executed);
}

Ledger::Counts Ledger::counts() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return counts_;
}

std::vector<std::string> Ledger::Judge(const Reply& rows) const {
  std::lock_guard<std::mutex> lock(mutex_);
  std::vector<std::string> wrong;
  if (!rows.ok()) return {"the table cannot be read: " + rows.failure.message};
  std::map<int64_t, int64_t> found;
  for (const auto& row : rows.rows)
    found[std::atoll(row.at(0).c_str() + 1)] = std::atoll(row.at(1).c_str() + 1);
  for (const auto& [id, entry] : entries_) {
    const auto at = found.find(id);
    const int64_t count = at == found.end() ? 0 : at->second;
    const bool ok = entry.status == DQC_OK || entry.outcome == DQC_OUTCOME_EXECUTED;
    const bool maybe = !ok && entry.outcome == DQC_OUTCOME_MAYBE_EXECUTED;
    if (count == (ok ? 1 : 0) || (maybe && count == 1)) continue;
    wrong.push_back("id " + std::to_string(id) + " is there " + std::to_string(count) +
                    " times, and the client said: " +
                    (ok ? "executed" : (maybe ? "maybe: " : "not executed: ") + entry.message));
  }
  for (const auto& [id, count] : found) {
    if (!entries_.contains(id)) wrong.push_back("id " + std::to_string(id) + " is nobody's");
  }
  return wrong;
}

Writers::Writers(const Client& client, Ledger* ledger, std::string table, size_t threads,
                 uint64_t timeout_ms, Observer observer) {
  const std::string sql = "INSERT INTO " + table + " VALUES (?)";
  for (size_t i = 0; i < threads; ++i) {
    threads_.emplace_back([this, &client, ledger, sql, timeout_ms, observer] {
      while (!stop_) {
        const int64_t id = ledger->NextId();
        const int64_t start = NowUs();
        const Reply reply = client.Exec(sql, {id}, timeout_ms);
        const int64_t end = NowUs();
        ledger->Note(id, reply, (end - start) / 1000, static_cast<int64_t>(timeout_ms) + 1000);
        if (observer) observer(start, end, reply);
        if (!reply.ok()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
  }
}

void Writers::Stop() {
  stop_ = true;
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

}  // namespace dqc::live
