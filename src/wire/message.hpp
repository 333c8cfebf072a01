/* SPDX-License-Identifier: MIT */
// Every request and response as a struct whose Fields() is visited by the encoder and by the
// decoder, so that the layout of a message is written down once. Views are borrowed: from the
// caller when encoding, from the body when decoding.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "base/limits.hpp"
#include "base/result.hpp"
#include "wire/protocol.hpp"
#include "wire/rows.hpp"
#include "wire/value.hpp"

namespace dqc::wire {

using Params = std::span<const Value>;  // decoding: points into DecodeContext::params

namespace request {

struct Leader {
  uint64_t unused = 0;
};
struct Client {
  uint64_t id = 0;
};
struct Heartbeat {
  uint64_t timestamp = 0;
};
struct Open {
  std::string_view name;
  uint64_t flags = 0;
  std::string_view vfs;
};
struct Prepare {  // schema 0, 1
  uint64_t db = 0;
  std::string_view sql;
};
struct Exec {  // schema 0, 1
  uint32_t db = 0;
  uint32_t stmt = 0;
  Params params;
};
struct Query {  // schema 0, 1
  uint32_t db = 0;
  uint32_t stmt = 0;
  Params params;
};
struct Finalize {
  uint32_t db = 0;
  uint32_t stmt = 0;
};
struct ExecSql {  // schema 0, 1
  uint64_t db = 0;
  std::string_view sql;
  Params params;
};
struct QuerySql {  // schema 0, 1
  uint64_t db = 0;
  std::string_view sql;
  Params params;
};
struct Interrupt {
  uint64_t db = 0;
};
struct Connect {  // decoded for completeness; never sent (5.0)
  uint64_t id = 0;
  std::string_view address;
};
struct Add {
  uint64_t id = 0;
  std::string_view address;
};
struct Assign {
  uint64_t id = 0;
  uint64_t role = 0;
  bool legacy = false;  // one word on the wire, means voter
};
struct Remove {
  uint64_t id = 0;
};
struct Dump {
  std::string_view name;
};
struct Cluster {
  uint64_t format = 1;
};
struct Transfer {
  uint64_t id = 0;
};
struct Describe {
  uint64_t format = 0;
};
struct Weight {
  uint64_t weight = 0;
};

}  // namespace request

namespace response {

struct Failure {  // decoded by the tail rule (6.3)
  uint64_t code = 0;
  std::string_view text;
};
struct Server {
  uint64_t id = 0;
  std::string_view address;
  bool legacy = false;  // no id on the wire
};
struct Welcome {
  uint64_t heartbeat_timeout_ms = 0;
};
struct ServerEntry {
  uint64_t id = 0;
  std::string_view address;
  uint64_t role = 0;
};
struct Servers {
  std::vector<ServerEntry> nodes;
  bool with_roles = true;  // the request's format decides (6.1)
};
struct Db {
  uint32_t id = 0;
};
struct Stmt {
  uint32_t db = 0;
  uint32_t id = 0;
  uint64_t params = 0;
  uint64_t tail_offset = 0;  // schema 1
};
struct Result {
  uint64_t last_insert_id = 0;
  uint64_t rows_affected = 0;
};
struct Rows {
  std::vector<std::string_view> columns;
  std::vector<Value> cells;
  uint64_t row_count = 0;
  RowsEnd end = RowsEnd::kDone;
};
struct Empty {
  uint64_t unused = 0;
};
struct File {
  std::string_view name;
  std::string_view content;
};
struct Files {
  std::vector<File> files;
};
struct Metadata {
  uint64_t failure_domain = 0;
  uint64_t weight = 0;
};

}  // namespace response

#define DQC_X(Name, number, schema, reply) request::Name,
using Request = std::variant<DQC_WIRE_REQUESTS(DQC_X) std::monostate>;
#undef DQC_X
#define DQC_X(Name, number, schema) response::Name,
using Response = std::variant<DQC_WIRE_RESPONSES(DQC_X) std::monostate>;
#undef DQC_X

// What a decoder must know that the frame does not say.
struct DecodeContext {
  const Limits* limits = nullptr;  // null: the defaults
  bool legacy_leader = false;      // the handshake was kVersionLegacy
  bool servers_with_roles = true;  // CLUSTER was asked with format 1
  // Storage for a decoded parameter tuple; required by DecodeRequest.
  std::vector<Value>* params = nullptr;
};

// Appends one whole frame to `out`. kLimit if the body is too large, kMisuse for text with a NUL or
// more parameters than the schema can count; `out` is then as before. M is any struct of request::
// or response:: (explicitly instantiated in message.cpp); no allocation beyond `out`.
template <typename M>
Status Encode(const M& message, uint8_t schema, Bytes& out);
Status EncodeAny(const Request& request, uint8_t schema, Bytes& out);
Status EncodeAny(const Response& response, uint8_t schema, Bytes& out);

// Decodes the body of a frame with this header. Strict: exact sizes, no surplus words, known
// schema.
Result<Request> DecodeRequest(const Header& header, const uint8_t* body,
                              const DecodeContext& context);
Result<Response> DecodeResponse(const Header& header, const uint8_t* body,
                                const DecodeContext& context);

// One request or response struct from a body whose header was already checked; for callers that
// know what they expect.
template <typename M>
Result<M> DecodeBody(const Header& header, const uint8_t* body, const DecodeContext& context);

// The FAILURE tail rule alone (6.3).
Result<response::Failure> DecodeFailure(const uint8_t* body, size_t size, const Limits& limits);

}  // namespace dqc::wire
