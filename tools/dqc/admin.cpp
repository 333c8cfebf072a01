/* SPDX-License-Identifier: MIT */
#include "admin.hpp"

#include <utility>

namespace dqc::tool {
namespace {

// A place for the error of one call after the other; Check() throws it.
class Calls {
 public:
  explicit Calls(std::string what) : what_(std::move(what)) {}
  ~Calls() { dqc_error_free(error_); }
  Calls(const Calls&) = delete;
  Calls& operator=(const Calls&) = delete;

  dqc_error** error() { return &error_; }
  dqc_status Check(dqc_status status) const {
    if (status < 0) throw AdminError(error_, what_ + ": " + dqc_error_message(error_));
    return status;
  }

 private:
  std::string what_;
  dqc_error* error_ = nullptr;
};

std::string Text(const dqc_rows* rows, size_t column) {
  size_t size = 0;
  const char* data = dqc_rows_text(rows, column, &size);
  return data != nullptr ? std::string(data, size) : std::string();
}

}  // namespace

AdminError::AdminError(const dqc_error* error, const std::string& what)
    : Error(what), code_(dqc_error_code(error)) {}

bool AdminError::Permanent() const {
  switch (code_) {
    case DQC_E_NOMEM:
    case DQC_E_MISUSE:
    case DQC_E_FORKED:
    case DQC_E_LIMIT:
    case DQC_E_UNSUPPORTED:
    case DQC_E_INTERNAL:
    case DQC_E_CONFIG:
    case DQC_E_PROTOCOL:
      return true;
    default:
      return false;
  }
}

Admin::Admin(const std::string& address, std::chrono::milliseconds timeout)
    : address_(address), timeout_(timeout) {
  Calls calls("connecting to " + address);
  dqc_config* raw_config = nullptr;
  calls.Check(dqc_config_new(&raw_config, calls.error()));
  const std::unique_ptr<dqc_config, Free> config(raw_config);
  const auto set = [&](const char* key, const std::string& value) {
    calls.Check(
        dqc_config_set(raw_config, key, DQC_CSTR, value.data(), value.size(), calls.error()));
  };
  const std::string dsn = "dqlite://" + address;
  calls.Check(dqc_config_set_dsn(raw_config, dsn.data(), dsn.size(), calls.error()));
  set("database", "");
  set("connect_timeout", std::to_string(timeout.count()) + "ms");
  dqc_conn* raw_conn = nullptr;
  calls.Check(dqc_conn_new(nullptr, nullptr, raw_config, &raw_conn, calls.error()));
  conn_.reset(raw_conn);
  calls.Check(dqc_conn_connect(raw_conn, calls.error()));
}

std::string Admin::Leader() {
  const Rows rows = Request(DQC_ADMIN_LEADER, 0, 0, nullptr);
  return Step(rows) ? Text(rows.get(), 1) : std::string();
}

std::vector<Member> Admin::Cluster() {
  const Rows rows = Request(DQC_ADMIN_CLUSTER, 0, 0, nullptr);
  std::vector<Member> members;
  while (Step(rows)) {
    members.push_back({static_cast<uint64_t>(dqc_rows_int64(rows.get(), 0)), Text(rows.get(), 1),
                       dqc_rows_int64(rows.get(), 2)});
  }
  return members;
}

void Admin::Add(uint64_t id, const std::string& address) {
  Request(DQC_ADMIN_ADD, id, 0, address.c_str());
}

void Admin::Assign(uint64_t id, int role) {
  Request(DQC_ADMIN_ASSIGN, id, static_cast<uint64_t>(role), nullptr);
}

Admin::Rows Admin::Request(int verb, uint64_t id, uint64_t value, const char* text) {
  dqc_admin request{};
  request.struct_size = sizeof request;
  request.verb = verb;
  request.node_id = id;
  request.value = value;
  request.text = text;
  dqc_call_options options{};
  options.struct_size = sizeof options;
  options.timeout_ms = static_cast<uint64_t>(timeout_.count());
  Calls calls("asking " + address_);
  dqc_rows* rows = nullptr;
  calls.Check(dqc_conn_admin(conn_.get(), &request, &options, &rows, calls.error()));
  return Rows(rows);
}

bool Admin::Step(const Rows& rows) {
  Calls calls("asking " + address_);
  return calls.Check(dqc_rows_step(rows.get(), calls.error())) == DQC_ROW;
}

}  // namespace dqc::tool
