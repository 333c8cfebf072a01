/* SPDX-License-Identifier: MIT */
// Numbers of the dqlite wire protocol and the one table of its messages. Sections cited are those
// of the protocol description in docs/protocol.md.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dqc::wire {

inline constexpr uint64_t kVersion = 1;
inline constexpr uint64_t kVersionLegacy =
    0x86104dd760433fe5ull;  // LEADER replies carry no id (section 1)
inline constexpr size_t kWord = 8;
inline constexpr size_t kHeaderBytes = 8;
inline constexpr uint64_t kRowsDone = 0xffffffffffffffffull;  // section 4
inline constexpr uint64_t kRowsPart = 0xeeeeeeeeeeeeeeeeull;

// Value tags (section 3.1).
enum class Tag : uint8_t {
  kInteger = 1,
  kFloat = 2,
  kText = 3,
  kBlob = 4,
  kNull = 5,
  kUnixTime = 9,  // never in parameters
  kIso8601 = 10,
  kBoolean = 11,
};

enum class Role : uint64_t { kVoter = 0, kStandby = 1, kSpare = 2 };

// X(Name, type, highest schema, type of the reply that means success)
#define DQC_WIRE_REQUESTS(X)   \
  X(Leader, 0, 0, Server)      \
  X(Client, 1, 0, Welcome)     \
  X(Heartbeat, 2, 0, Servers)  \
  X(Open, 3, 0, Db)            \
  X(Prepare, 4, 1, Stmt)       \
  X(Exec, 5, 1, Result)        \
  X(Query, 6, 1, Rows)         \
  X(Finalize, 7, 0, Empty)     \
  X(ExecSql, 8, 1, Result)     \
  X(QuerySql, 9, 1, Rows)      \
  X(Interrupt, 10, 0, Empty)   \
  X(Connect, 11, 0, Empty)     \
  X(Add, 12, 0, Empty)         \
  X(Assign, 13, 0, Empty)      \
  X(Remove, 14, 0, Empty)      \
  X(Dump, 15, 0, Files)        \
  X(Cluster, 16, 0, Servers)   \
  X(Transfer, 17, 0, Empty)    \
  X(Describe, 18, 0, Metadata) \
  X(Weight, 19, 0, Empty)

// X(Name, type, highest schema)
#define DQC_WIRE_RESPONSES(X) \
  X(Failure, 0, 0)            \
  X(Server, 1, 0)             \
  X(Welcome, 2, 0)            \
  X(Servers, 3, 0)            \
  X(Db, 4, 0)                 \
  X(Stmt, 5, 1)               \
  X(Result, 6, 0)             \
  X(Rows, 7, 0)               \
  X(Empty, 8, 0)              \
  X(Files, 9, 0)              \
  X(Metadata, 10, 0)

#define DQC_X(Name, number, schema, reply) k##Name = number,
enum class RequestType : uint8_t { DQC_WIRE_REQUESTS(DQC_X) };
#undef DQC_X
#define DQC_X(Name, number, schema) k##Name = number,
enum class ResponseType : uint8_t { DQC_WIRE_RESPONSES(DQC_X) };
#undef DQC_X

const char* RequestName(uint8_t type);  // "unknown" beyond the table
const char* ResponseName(uint8_t type);

// Header of a frame (section 2).
struct Header {
  uint64_t body_bytes = 0;  // words * 8, computed in 64 bits
  uint8_t type = 0;
  uint8_t schema = 0;
};

// `data` holds at least kHeaderBytes.
Header ParseHeader(const uint8_t* data);

}  // namespace dqc::wire
