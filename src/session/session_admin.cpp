/* SPDX-License-Identifier: MIT */
// Replies to administrative requests, turned into rows: one kind of result for every call.
#include <initializer_list>

#include "session/session.hpp"

namespace dqc::session {

using wire::ResponseType;
using wire::Value;

namespace {

Value Unsigned(uint64_t v) { return Value::Integer(static_cast<int64_t>(v)); }

}  // namespace

Status Session::AdminRows(Operation* op, const wire::Header& header, const uint8_t* body) {
  wire::DecodeContext context;
  context.limits = &options_.limits;
  context.servers_with_roles = op->servers_with_roles;
  context.legacy_leader = options_.legacy;
  const auto start = [&](std::initializer_list<const char*> names) -> Batch& {
    op->header = ResultHeader::Of(names);
    StartBatch(op);
    building_->wire_bytes += header.body_bytes;
    return *building_;
  };
  switch (static_cast<ResponseType>(header.type)) {
    case ResponseType::kServer: {
      const auto reply = wire::DecodeBody<wire::response::Server>(header, body, context);
      DQC_TRY(reply.status());
      Batch& batch = start({"id", "address"});
      batch.cells.insert(batch.cells.end(), {Unsigned(reply->id), Value::Text(reply->address)});
      batch.rows = 1;
      break;
    }
    case ResponseType::kServers: {
      const auto reply = wire::DecodeBody<wire::response::Servers>(header, body, context);
      DQC_TRY(reply.status());
      Batch& batch = start({"id", "address", "role"});
      for (const wire::response::ServerEntry& node : reply->nodes) {
        batch.cells.insert(batch.cells.end(),
                           {Unsigned(node.id), Value::Text(node.address), Unsigned(node.role)});
      }
      batch.rows = reply->nodes.size();
      break;
    }
    case ResponseType::kMetadata: {
      const auto reply = wire::DecodeBody<wire::response::Metadata>(header, body, context);
      DQC_TRY(reply.status());
      Batch& batch = start({"failure_domain", "weight"});
      batch.cells.insert(batch.cells.end(),
                         {Unsigned(reply->failure_domain), Unsigned(reply->weight)});
      batch.rows = 1;
      break;
    }
    default:
      return ProtocolError(std::string("an unexpected ") + wire::ResponseName(header.type));
  }
  FlushBatch();
  return {};
}

}  // namespace dqc::session
