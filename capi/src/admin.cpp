/* SPDX-License-Identifier: MIT */
#include <cstring>
#include <type_traits>

#include "guard.hpp"
#include "shared.hpp"
#include "sql_text.hpp"
#include "wire/message.hpp"

namespace dqc::capi {

namespace {

using wire::RequestType;
using wire::ResponseType;
namespace request = wire::request;

template <typename M>
Status Fill(Call* call, RequestType type, ResponseType reply, const M& message,
            bool effect = false) {
  call->main.type = type;
  call->main.reply = reply;
  call->main.effect = effect;
  return wire::Encode(message, 0, call->main.frame);
}

Status Misuse(const char* what) { return Status::Make(Code::kMisuse, what); }

Status FillRequest(Call* call, const dqc_admin& admin) {
  const std::string_view text =
      admin.text == nullptr ? std::string_view() : std::string_view(admin.text);
  switch (admin.verb) {
    case DQC_ADMIN_LEADER:
      return Fill(call, RequestType::kLeader, ResponseType::kServer, request::Leader{});
    case DQC_ADMIN_CLUSTER:
      return Fill(call, RequestType::kCluster, ResponseType::kServers, request::Cluster{1});
    case DQC_ADMIN_ADD: {
      if (admin.node_id == 0) return Misuse("a node id of 0");
      DQC_TRY(client::ParseAddress(text, 0).status());
      return Fill(call, RequestType::kAdd, ResponseType::kEmpty, request::Add{admin.node_id, text},
                  true);
    }
    case DQC_ADMIN_JOIN: {
      if (admin.value > DQC_ROLE_SPARE) return Misuse("no such role");
      dqc_admin add = admin;
      add.verb = DQC_ADMIN_ADD;
      if (admin.value != DQC_ROLE_SPARE) call->join = {admin.node_id, admin.value, true};
      return FillRequest(call, add);
    }
    case DQC_ADMIN_ASSIGN:
      // Servers take any other number for a stand-by (protocol 5.10).
      if (admin.value > DQC_ROLE_SPARE) return Misuse("no such role");
      return Fill(call, RequestType::kAssign, ResponseType::kEmpty,
                  request::Assign{admin.node_id, admin.value}, true);
    case DQC_ADMIN_REMOVE:
      return Fill(call, RequestType::kRemove, ResponseType::kEmpty, request::Remove{admin.node_id},
                  true);
    case DQC_ADMIN_TRANSFER:
      return Fill(call, RequestType::kTransfer, ResponseType::kEmpty,
                  request::Transfer{admin.node_id}, true);
    case DQC_ADMIN_DESCRIBE:
      return Fill(call, RequestType::kDescribe, ResponseType::kMetadata, request::Describe{0});
    case DQC_ADMIN_WEIGHT:
      return Fill(call, RequestType::kWeight, ResponseType::kEmpty, request::Weight{admin.value},
                  true);
    case DQC_ADMIN_DUMP:
      DQC_TRY(client::CheckDatabaseName(text));
      return Fill(call, RequestType::kDump, ResponseType::kFiles, request::Dump{text});
    default:
      return Misuse("no such administrative request");
  }
}

// Whom to ask: by a client any node, else whoever leads.
Status FillNode(Call* call, const dqc_admin& admin, bool of_client) {
  const bool any_node = admin.verb == DQC_ADMIN_LEADER || admin.verb == DQC_ADMIN_CLUSTER ||
                        admin.verb == DQC_ADMIN_DESCRIBE || admin.verb == DQC_ADMIN_WEIGHT;
  if (!any_node || admin.text == nullptr) return {};
  if (!of_client) return Misuse("a connection asks its own node: text is to be NULL");
  const Result<client::Address> address = client::ParseAddress(admin.text, client::kDefaultPort);
  DQC_TRY(address.status());
  call->node = client::FormatAddress(*address);
  return {};
}

Status FillDelete(const Shared& shared, Call* call, const dqc_admin& admin) {
  if (admin.text != nullptr && shared.database != admin.text)
    return Misuse("a database is deleted by those who have it open: text is another one's name");
  call->kind = session::OpKind::kStatement;
  call->discard_rows = true;
  return SetText(shared, call, "PRAGMA delete_database", nullptr, 0, false);
}

Status CheckAdmin(const dqc_admin* admin) {
  if (admin == nullptr) return Misuse("the request is NULL");
  return CheckSized(admin, admin->struct_size, sizeof(*admin), sizeof(*admin), "dqc_admin");
}

Result<IntrusivePtr<Call>> AdminCall(Shared* shared, const dqc_admin* admin,
                                     const dqc_call_options* options, bool of_client) {
  DQC_TRY(CheckOptions(options));
  DQC_TRY(CheckAdmin(admin));
  IntrusivePtr<Call> call = shared->NewCall(session::OpKind::kAdmin, options);
  if (admin->verb == DQC_ADMIN_DELETE_DATABASE) {
    DQC_TRY(FillDelete(*shared, call.get(), *admin));
    return call;
  }
  DQC_TRY(FillNode(call.get(), *admin, of_client));
  DQC_TRY(FillRequest(call.get(), *admin));
  return call;
}

template <typename Handle>
Status SubmitAdmin(Handle* handle, const dqc_admin* admin, const dqc_call_options* options,
                   dqc_callback callback, void* user_data, uint64_t* op) {
  const Result<Shared*> shared = SharedOf(handle);
  DQC_TRY(shared.status());
  auto call = AdminCall(*shared, admin, options, std::is_same_v<Handle, dqc_client>);
  DQC_TRY(call.status());
  return (*shared)->Submit(std::move(*call), callback, user_data, op);
}

template <typename Handle>
Status RunAdmin(Handle* handle, const dqc_admin* admin, const dqc_call_options* options,
                dqc_rows** out) {
  const Result<Shared*> shared = SharedOf(handle);
  DQC_TRY(shared.status());
  auto call = AdminCall(*shared, admin, options, std::is_same_v<Handle, dqc_client>);
  DQC_TRY(call.status());
  if (out == nullptr) return (*shared)->RunBlocking(std::move(*call), nullptr);
  return (*shared)->BeginRows(std::move(*call), out);
}

}  // namespace

}  // namespace dqc::capi

using namespace dqc::capi;  // NOLINT(google-build-using-namespace): this file is the boundary
using dqc::Status;

extern "C" {

dqc_status dqc_conn_admin_async(dqc_conn* conn, const dqc_admin* request,
                                const dqc_call_options* options, dqc_callback callback,
                                void* user_data, uint64_t* op, dqc_error** error) {
  if (op != nullptr) *op = 0;
  return guard(error, [&]() -> Status {
    return SubmitAdmin(conn, request, options, callback, user_data, op);
  });
}

dqc_status dqc_conn_admin(dqc_conn* conn, const dqc_admin* request, const dqc_call_options* options,
                          dqc_rows** out, dqc_error** error) {
  if (out != nullptr) *out = nullptr;
  return guard(error, [&]() -> Status { return RunAdmin(conn, request, options, out); });
}

dqc_status dqc_client_admin_async(dqc_client* client, const dqc_admin* request,
                                  const dqc_call_options* options, dqc_callback callback,
                                  void* user_data, uint64_t* op, dqc_error** error) {
  if (op != nullptr) *op = 0;
  return guard(error, [&]() -> Status {
    return SubmitAdmin(client, request, options, callback, user_data, op);
  });
}

dqc_status dqc_client_admin(dqc_client* client, const dqc_admin* request,
                            const dqc_call_options* options, dqc_rows** out, dqc_error** error) {
  if (out != nullptr) *out = nullptr;
  return guard(error, [&]() -> Status { return RunAdmin(client, request, options, out); });
}

}  // extern "C"
