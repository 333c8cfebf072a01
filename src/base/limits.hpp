/* SPDX-License-Identifier: MIT */
// Every bound on what a server can make us hold, with its default and its hard cap (features 1.12).
#pragma once

#include <cstddef>
#include <cstdint>

namespace dqc {

struct Limits {
  uint64_t message_bytes = 64ull << 20;  // one frame from the server
  uint32_t columns = 2000;               // SQLite's own maximum
  uint32_t column_name_bytes = 65536;
  uint64_t rows = UINT64_MAX;          // rows of one result
  uint64_t frames = UINT64_MAX;        // ROWS frames of one result
  uint64_t result_bytes = UINT64_MAX;  // bytes of one result
  uint32_t servers = 10000;            // entries of one SERVERS reply
  uint32_t files = 100;                // entries of one FILES reply
  uint32_t file_name_bytes = 1024;     // a database name is shorter than 512
  uint32_t address_bytes = 256;
  uint32_t error_text_bytes = 64u << 10;  // server text kept of a FAILURE
  uint32_t params = 32766;                // values of one statement
};

inline constexpr uint64_t kMessageBytesMax =
    (2ull << 30) - 8;                            // protocol 2.1: larger frames hang a node
inline constexpr uint32_t kParamsMaxV0 = 255;    // schema 0 counts in one byte
inline constexpr uint32_t kParamsCap = 250000;   // Debian's SQLite
inline constexpr size_t kDatabaseNameMax = 200;  // protocol 5.3

}  // namespace dqc
