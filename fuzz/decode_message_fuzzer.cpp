/* SPDX-License-Identifier: MIT */
// One frame from anywhere: [flags][8-byte header][body]. The decoder must survive it; what it
// accepts must encode, and decode again to the same message. FILES read in pieces are the same.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "wire/files.hpp"
#include "wire/message.hpp"

namespace {

using namespace dqc;
using namespace dqc::wire;

enum Flags : uint8_t { kIsRequest = 1, kLegacyLeader = 2, kWithRoles = 4, kTightLimits = 8 };

void Require(bool condition) {
  if (!condition) std::abort();
}

Limits TightLimits() {
  Limits limits;
  limits.columns = 3;
  limits.column_name_bytes = 8;
  limits.rows = 4;
  limits.servers = 2;
  limits.files = 2;
  limits.file_name_bytes = 8;
  limits.address_bytes = 8;
  limits.error_text_bytes = 8;
  limits.params = 4;
  return limits;
}

template <typename Any>
Result<Any> Decode(const Header& header, const uint8_t* body, const DecodeContext& context) {
  if constexpr (std::is_same_v<Any, Request>) {
    return DecodeRequest(header, body, context);
  } else {
    return DecodeResponse(header, body, context);
  }
}

template <typename Any>
void Check(const Header& header, const uint8_t* body, DecodeContext context) {
  std::vector<Value> params;
  context.params = &params;
  const Result<Any> decoded = Decode<Any>(header, body, context);
  if (!decoded.ok()) {
    Require(!decoded.status().message().empty());
    return;
  }
  Bytes encoded;
  Require(EncodeAny(decoded.value(), header.schema, encoded).ok());
  Require(encoded.size() % kWord == 0);
  const Header again_header = ParseHeader(encoded.data());
  Require(again_header.type == header.type && again_header.schema == header.schema);
  Require(again_header.body_bytes == encoded.size() - kHeaderBytes);

  std::vector<Value> params_again;
  context.params = &params_again;
  const Result<Any> again = Decode<Any>(again_header, encoded.data() + kHeaderBytes, context);
  Require(again.ok());
  Require(params_again == params);
  // Encoding is one-to-one, so that equal bytes mean equal messages.
  Bytes encoded_again;
  Require(EncodeAny(again.value(), header.schema, encoded_again).ok());
  Require(encoded_again == encoded);
}

// The same files, or the same failure, from the reader of pieces, however the body is cut.
void CheckFiles(const Header& header, const Bytes& body, const DecodeContext& context) {
  const auto whole = DecodeBody<response::Files>(header, body.data(), context);
  std::string expected, got;
  if (whole.ok()) {
    for (const response::File& file : whole->files) {
      expected.append(file.name).append("=").append(file.content).append(";");
    }
  }
  FilesReader reader(body.size());
  size_t at = 0, there = 0;
  for (;;) {
    const Bytes seen(body.begin() + static_cast<ptrdiff_t>(at),
                     body.begin() + static_cast<ptrdiff_t>(there));
    size_t taken = 0;
    const auto event = reader.Next(seen.data(), seen.size(), *context.limits, &taken);
    Require(taken <= seen.size());
    at += taken;
    if (event == FilesReader::Event::kError) return Require(!whole.ok());
    if (event == FilesReader::Event::kEnd) break;
    if (event == FilesReader::Event::kMore) {
      Require(there < body.size());
      there += std::min<size_t>(body.size() - there, 1 + body[there] % 13);
      continue;
    }
    if (reader.piece_offset() == 0) got.append(reader.name()).append("=");
    got.append(reader.piece());
    if (reader.piece_offset() + reader.piece().size() == reader.file_bytes()) got.append(";");
  }
  Require(whole.ok() && got == expected && at == body.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1 + kHeaderBytes) return 0;
  const uint8_t flags = data[0];
  Header header = ParseHeader(data + 1);
  // A heap copy of the exact size: one byte read too many is seen.
  const Bytes body(data + 1 + kHeaderBytes, data + size);
  header.body_bytes = body.size();

  const Limits limits = (flags & kTightLimits) != 0 ? TightLimits() : Limits();
  DecodeContext context;
  context.limits = &limits;
  context.legacy_leader = (flags & kLegacyLeader) != 0;
  context.servers_with_roles = (flags & kWithRoles) != 0;
  if ((flags & kIsRequest) != 0) {
    Check<Request>(header, body.data(), context);
  } else {
    Check<Response>(header, body.data(), context);
    const bool files = header.type == static_cast<uint8_t>(ResponseType::kFiles);
    if (files && header.schema == 0 && body.size() % kWord == 0) CheckFiles(header, body, context);
  }
  return 0;
}
