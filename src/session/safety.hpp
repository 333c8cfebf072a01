/* SPDX-License-Identifier: MIT */
// Servers differ, and some can be hurt by a legal-looking request. One table says per feature and
// era how it is sent, or that it is refused; nothing else in the client decides this (sections 0.2,
// 7, 15).
#pragma once

#include <cstdint>
#include <string_view>

#include "base/status.hpp"
#include "session/sql.hpp"

namespace dqc::session {

enum class Era : uint8_t { kUnknown, kA, kB, kC, kD };

char EraLetter(Era era);           // 'A' … 'D', or 0
const char* EraReleases(Era era);  // "dqlite up to 1.11.1" …

// From the FAILURE codes of the two probes (section 0.3); kUnknown if no release answers so.
Era EraOfProbes(uint64_t exec_code, uint64_t prepare_code);

enum class Feature : uint8_t {
  kParamsV1,          // more than 255 parameters
  kReturning,         // INSERT, UPDATE, DELETE … RETURNING
  kScriptTail,        // scripts by PREPARE with tail offset
  kQueryWithoutRows,  // a statement that turns out to have no columns, sent by QUERY
  kStreamSentinel,    // a row stream can stop without a word
  kDrainBeforeClose,  // a stream dropped half-way leaks on the server
  kVacuum,
  kAttach,
  kPragmaFormat,      // PRAGMA journal_mode = …, page_size = …
  kPragmaCheckpoint,  // PRAGMA wal_checkpoint: the server's own business
  kDeleteDatabase,    // PRAGMA delete_database
  kGrowBuffer,        // rows overrun a buffer that has its first size
  kOptimize,          // what writes though SQLite takes it for a read: PRAGMA optimize, …
  kOrFail,            // INSERT, UPDATE OR FAIL: fails, and keeps the rows before
  kMakesFail,         // a schema of which plain statements do so
  kIncrementalVacuum,
};
inline constexpr size_t kFeatureCount = 16;

enum class Way : uint8_t {
  kSend,               // as it is
  kRefuse,             // never: it harms the server, or loses data
  kByQuery,            // by QUERY, also from exec
  kOwnTransaction,     // between our own BEGIN IMMEDIATE and COMMIT, unless a transaction is open
  kLockedTransaction,  // the same; refused in an open one that perhaps does not hold the write lock
  kOwnTransactionByExec,  // by EXEC even if it yields rows; refused in an open one
  kSplitLocally,          // statement ends found by our scanner
  kFallBackToExec,        // the server refuses without executing; then by EXEC
  kNeeded,
  kNotNeeded,
};

// kUnknown gives the most careful way of all eras for kStreamSentinel, kRefuse-free features give
// kSend.
Way WayOf(Feature feature, Era era);

// The error for Way::kRefuse: names the statement's kind, the era and the way round.
Status Refusal(Feature feature, Era era);

// The features of a statement that must be looked up before it is sent; kFeatureCount-terminated
// list, at most 3.
struct Needs {
  Feature features[3] = {};
  uint8_t count = 0;
  void Add(Feature f) { features[count++] = f; }
};
Needs NeedsOf(const sql::Statement& statement, uint64_t param_count);

// May it run in the application's transaction, where one of ours was wanted? `locked`: that one holds
// the write lock for certain.
Status MayRunInside(const sql::Statement& statement, Era era, bool locked);

// May it be prepared, by itself or in an EXPLAIN? Some PRAGMAs act then, and what acts is refused.
Status MayPrepare(const sql::Statement& statement, Era era);

}  // namespace dqc::session
