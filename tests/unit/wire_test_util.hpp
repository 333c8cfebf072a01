/* SPDX-License-Identifier: MIT */
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "wire/message.hpp"
#include "wire_frames.hpp"

namespace dqc::wire {

// "01 0a …" as bytes; blanks are skipped.
inline Bytes Hex(std::string_view text) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  Bytes out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == ' ') continue;
    out.push_back(static_cast<uint8_t>(digit(text[i]) << 4 | digit(text[i + 1])));
    ++i;
  }
  return out;
}

inline Bytes Recorded(std::string_view name) {
  for (const RecordedFrame& frame : kRecordedFrames) {
    if (name == frame.name) return Hex(frame.hex);
  }
  return {};
}

// What the recorded frame's reader had to remember: E20 asked with format 0, E28 used the old
// handshake.
inline DecodeContext ContextOf(std::string_view name, std::vector<Value>* params) {
  DecodeContext context;
  context.legacy_leader = name == "E28 reply";
  context.servers_with_roles = name != "E20 reply";
  context.params = params;
  return context;
}

inline bool IsRequest(std::string_view name) { return name.ends_with("request"); }

// A header for a body given by itself.
inline Header BodyHeader(RequestType type, uint8_t schema, size_t size) {
  return {.body_bytes = size, .type = static_cast<uint8_t>(type), .schema = schema};
}
inline Header BodyHeader(ResponseType type, uint8_t schema, size_t size) {
  return {.body_bytes = size, .type = static_cast<uint8_t>(type), .schema = schema};
}

// The text of the error, or "ok".
inline std::string ResponseError(ResponseType type, std::string_view hex,
                                 const DecodeContext& context = {}, uint8_t schema = 0) {
  const Bytes body = Hex(hex);
  const auto result = DecodeResponse(BodyHeader(type, schema, body.size()), body.data(), context);
  return std::string(result.status().message());
}
inline std::string RequestError(RequestType type, std::string_view hex, uint8_t schema = 0,
                                const Limits* limits = nullptr) {
  const Bytes body = Hex(hex);
  std::vector<Value> params;
  DecodeContext context;
  context.limits = limits;
  context.params = &params;
  const auto result = DecodeRequest(BodyHeader(type, schema, body.size()), body.data(), context);
  return std::string(result.status().message());
}

}  // namespace dqc::wire
