/* SPDX-License-Identifier: MIT */
#include "statement.hpp"

#include "guard.hpp"
#include "params.hpp"
#include "wire/message.hpp"

namespace dqc::capi {

Statement::Statement(IntrusivePtr<Shared> shared_in, std::string_view sql_in,
                     const sql::Statement& text)
    : shared(std::move(shared_in)), sql(sql_in) {
  prepared.text = sql::ScanStatement(sql);  // its views point into our copy
  sql::ListParams(sql, 0, params);
  SortByName(params);
  names.resize(text.param_count);
  bound_.resize(text.param_count, Bound{{}, {}, true});  // NULL where no parameter has the index
  for (const sql::Param& param : params) {
    if (param.index < 1 || param.index > names.size()) continue;
    names[param.index - 1] = param.name;
    bound_[param.index - 1].set = false;
  }
}

Statement::~Statement() {
  magic = 0;
  if (forked()) return;
  if (finalizer_)
    shared->connection()->PostSubmit(
        IntrusivePtr<net::QueuedOperation>::Adopt(finalizer_.Detach()));
}

dqc_stmt* Statement::Lend() {
  Retain();
  shared->loop->AddUser();
  return reinterpret_cast<dqc_stmt*>(this);
}

void Statement::GiveBack() noexcept {
  const IntrusivePtr<net::Loop> loop = shared->loop;
  Release();
  loop->DropUser();
}

void Statement::Prepared(uint32_t id, uint64_t param_count) noexcept {
  prepared.id = id;
  prepared.params = param_count;
  finalizer_ = nullptr;
  try {
    IntrusivePtr<Call> call = shared->NewCall(session::OpKind::kFinalize, nullptr);
    call->deadline = session::kNever;
    call->main.type = wire::RequestType::kFinalize;
    call->main.reply = wire::ResponseType::kEmpty;
    if (wire::Encode(wire::request::Finalize{0, id}, 0, call->main.frame).ok())
      finalizer_ = std::move(call);
  } catch (const std::bad_alloc&) {
    // The server frees the statement with the connection.
  }
}

Status Statement::Bind(uint32_t index, const dqc_value& value) {
  if (index == 0 && value.name != nullptr) {
    index = IndexOf(params, value.name);
    if (index == 0) {
      return Status::Make(Code::kParams,
                          std::string("the statement has no parameter \"") + value.name + "\"");
    }
  }
  if (index == 0 || index > bound_.size()) {
    return Status::Make(Code::kParams, "the statement has parameters 1 to " +
                                           std::to_string(bound_.size()) + ", not " +
                                           std::to_string(index));
  }
  wire::Value wired;
  DQC_TRY(ToWire(value, &wired));
  Bound& bound = bound_[index - 1];
  const bool has_bytes = wired.tag == wire::Tag::kText || wired.tag == wire::Tag::kBlob ||
                         wired.tag == wire::Tag::kIso8601;
  bound.bytes = has_bytes ? std::string(wired.bytes()) : std::string();
  bound.value = wired;
  bound.set = true;
  return {};
}

Status Statement::BoundValues(std::vector<wire::Value>& out) const {
  if (bound_.size() != prepared.params) {
    return Status::Make(Code::kParams, "the server found " + std::to_string(prepared.params) +
                                           " parameters in the statement, not " +
                                           std::to_string(bound_.size()));
  }
  for (size_t i = 0; i < bound_.size(); ++i) {
    if (!bound_[i].set) {
      return Status::Make(Code::kParams, "parameter " + std::to_string(i + 1) + " has no value");
    }
    wire::Value value = bound_[i].value;
    const bool has_bytes = value.tag == wire::Tag::kText || value.tag == wire::Tag::kBlob ||
                           value.tag == wire::Tag::kIso8601;
    if (has_bytes) value.as.data = bound_[i].bytes.data();
    out.push_back(value);
  }
  return {};
}

namespace {

Statement* FromHandle(const dqc_stmt* stmt) {
  return reinterpret_cast<Statement*>(const_cast<dqc_stmt*>(stmt));
}

}  // namespace

}  // namespace dqc::capi

using dqc::Status;
using dqc::capi::Check;
using dqc::capi::FromHandle;
using dqc::capi::guard;

extern "C" {

uint32_t dqc_stmt_param_count(const dqc_stmt* stmt) {
  return stmt == nullptr ? 0 : static_cast<uint32_t>(FromHandle(stmt)->prepared.params);
}

const char* dqc_stmt_param_name(const dqc_stmt* stmt, uint32_t index) {
  if (stmt == nullptr || index == 0 || index > FromHandle(stmt)->names.size()) return nullptr;
  const std::string& name = FromHandle(stmt)->names[index - 1];
  return name.empty() ? nullptr : name.c_str();
}

dqc_status dqc_stmt_bind(dqc_stmt* stmt, uint32_t index, const dqc_value* value,
                         dqc_error** error) {
  return guard(error, [&]() -> Status {
    DQC_TRY(Check(FromHandle(stmt), "statement"));
    if (value == nullptr) return Status::Make(dqc::Code::kMisuse, "the value is NULL");
    return FromHandle(stmt)->Bind(index, *value);
  });
}

dqc_stmt* dqc_stmt_retain(dqc_stmt* stmt) {
  return stmt == nullptr ? nullptr : FromHandle(stmt)->Lend();
}

void dqc_stmt_free(dqc_stmt* stmt) {
  if (stmt == nullptr) return;
  if (FromHandle(stmt)->forked()) return;  // its connection, and perhaps a lock, is the parent's
  FromHandle(stmt)->GiveBack();
}

}  // extern "C"
