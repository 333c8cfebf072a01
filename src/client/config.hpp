/* SPDX-License-Identifier: MIT */
// Configuration: one table of keys gives parsing, ranges, defaults and the reference page
// docs/configuration.md.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.hpp"
#include "base/result.hpp"

namespace dqc::client {

inline constexpr uint16_t kDefaultPort = 9001;

enum class KeyType : uint8_t { kText, kBool, kInteger, kBytes, kDuration, kEnum };

// X(Id, "key", type, "default", min, max, "enum values or empty", "since", "one line of
// documentation")
// Durations are held in microseconds and written with h, m, s, ms or us; a bare number is
// milliseconds. Bytes accept KiB,
// MiB, GiB.
#define DQC_CONFIG_KEYS(X)                                                                         \
  X(Database, "database", kText, "default", 0, 200, "", "0.1",                                     \
    "name of the database; empty: administration only, no SQL")                                    \
  X(Timeout, "timeout", kDuration, "10s", 0, 86400000000, "", "0.1",                               \
    "default deadline of one operation from its submission to its last event; 0: none")            \
  X(ConnectTimeout, "connect_timeout", kDuration, "5s", 1000, 86400000000, "", "0.1",              \
    "deadline for resolving, connecting and the handshake together")                               \
  X(HappyEyeballsDelay, "happy_eyeballs_delay", kDuration, "300ms", 1000, 10000000, "", "0.1",     \
    "head start of each address of a host over the next")                                          \
  X(DrainBytes, "drain_bytes", kBytes, "1MiB", 0, 1ll << 40, "", "0.1",                            \
    "how much of a cancelled result is read and thrown away before the connection is dropped "     \
    "instead")                                                                                     \
  X(DrainTimeout, "drain_timeout", kDuration, "1s", 0, 3600000000, "", "0.1",                      \
    "the same as a time")                                                                          \
  X(DrainBytesEraD, "drain_bytes_era_d", kBytes, "1GiB", 0, 1ll << 40, "", "0.1",                  \
    "drain_bytes for servers from 1.18.2 on, which leak what is dropped in mid-stream")            \
  X(DrainTimeoutEraD, "drain_timeout_era_d", kDuration, "1m", 0, 3600000000, "", "0.1",            \
    "drain_timeout for servers from 1.18.2 on")                                                    \
  X(KeepaliveIdle, "keepalive_idle", kDuration, "30s", 0, 7200000000, "", "0.1",                   \
    "idle time before the first TCP keep-alive probe; 0: no keep-alive")                           \
  X(KeepaliveInterval, "keepalive_interval", kDuration, "10s", 1000000, 7200000000, "", "0.1",     \
    "time between probes")                                                                         \
  X(KeepaliveCount, "keepalive_count", kInteger, "3", 1, 100, "", "0.1",                           \
    "unanswered probes that end a connection")                                                     \
  X(TcpUserTimeout, "tcp_user_timeout", kDuration, "30s", 0, 7200000000, "", "0.1",                \
    "time that sent data may stay unacknowledged by the peer's TCP; 0: the system's own")          \
  X(QuickAck, "quick_ack", kBool, "true", 0, 1, "", "0.1",                                         \
    "acknowledge received segments at once while more of the answer is expected")                  \
  X(PollTime, "poll_time", kDuration, "100us", 0, 10000, "", "0.1",                                \
    "longest time a waiting loop of ours looks at the socket before it sleeps; 0: always sleep")   \
  X(PipelineBytes, "pipeline_bytes", kBytes, "64KiB", 4096, 1ll << 30, "", "0.1",                  \
    "request bytes in flight on a connection before further requests wait")                        \
  X(ReadBuffer, "read_buffer", kBytes, "64KiB", 4096, 1ll << 26, "", "0.1",                        \
    "size of one read from the socket")                                                            \
  X(HighWater, "high_water", kBytes, "1MiB", 4096, 1ll << 40, "", "0.1",                           \
    "received and not yet consumed bytes of a result at which reading pauses")                     \
  X(BufferMax, "buffer_max", kBytes, "64MiB", 4096, 1ll << 40, "", "0.1",                          \
    "rest of an open cursor that is buffered to let another blocking call go ahead")               \
  X(QueueMax, "queue_max", kInteger, "65536", 1, 1 << 24, "", "0.1",                               \
    "operations that may wait on one connection")                                                  \
  X(CellTypes, "cell_types", kEnum, "raw", 0, 2, "raw|sqlite|go", "0.1",                           \
    "raw: the wire's types; sqlite: storage classes only; go: empty timestamps become NULL as in " \
    "go-dqlite")                                                                                   \
  X(MaxMessage, "max_message", kBytes, "64MiB", 65536, (2ll << 30) - 8, "", "0.1",                 \
    "largest frame accepted")                                                                      \
  X(MaxColumns, "max_columns", kInteger, "2000", 1, 32767, "", "0.1", "columns of one result")     \
  X(MaxColumnName, "max_column_name", kBytes, "64KiB", 16, 1ll << 30, "", "0.1",                   \
    "bytes of one column name")                                                                    \
  X(MaxRows, "max_rows", kInteger, "0", 0, INT64_MAX, "", "0.1",                                   \
    "rows of one result; 0: no limit")                                                             \
  X(MaxFrames, "max_frames", kInteger, "0", 0, INT64_MAX, "", "0.1",                               \
    "frames of one result; 0: no limit")                                                           \
  X(MaxResult, "max_result", kBytes, "0", 0, INT64_MAX, "", "0.1",                                 \
    "bytes of one result; 0: no limit")                                                            \
  X(MaxParams, "max_params", kInteger, "32766", 1, 250000, "", "0.1",                              \
    "parameters of one statement")                                                                 \
  X(MaxErrorText, "max_error_text", kBytes, "64KiB", 64, 1ll << 26, "", "0.1",                     \
    "server text kept in an error")                                                                \
  X(MaxNodes, "max_nodes", kInteger, "10000", 1, 1 << 20, "", "0.1",                               \
    "nodes in one list of a server's")                                                             \
  X(MaxAddress, "max_address", kBytes, "256", 16, 65536, "", "0.1", "bytes of a node's address")   \
  X(MaxFiles, "max_files", kInteger, "100", 2, 1 << 20, "", "0.1", "files of one dump")            \
  X(MaxFileName, "max_file_name", kBytes, "1KiB", 16, 65536, "", "0.1",                            \
    "bytes of the name of a file in a dump")                                                       \
  X(Nodes, "nodes", kText, "", 0, 4096, "", "0.1",                                                 \
    "path of a node file (cluster.yaml), read at the start, where it has to be readable, and in "  \
    "every round of a search")                                                                     \
  X(NodesWrite, "nodes_write", kBool, "false", 0, 1, "", "0.1",                                    \
    "write the members of the cluster back to the file named by nodes, which need not exist "      \
    "if hosts are given")                                                                          \
  X(Redirect, "redirect", kEnum, "safe", 0, 2, "safe|seeds|any", "0.1",                            \
    "addresses named by servers that are dialled; safe: no link-local, loopback or reserved ones") \
  X(RedirectAllow, "redirect_allow", kText, "", 0, 65536, "", "0.1",                               \
    "more addresses to follow, separated by commas: host, host:port, 10.0.0.0/8, fd00::/8")        \
  X(AddressMap, "address_map", kText, "", 0, 65536, "", "0.1",                                     \
    "where nodes are reached: advertised=reachable,…; each host or host:port")                     \
  X(HedgeDelay, "hedge_delay", kDuration, "200ms", 1000, 60000000, "", "0.1",                      \
    "an attempt at the leader that takes longer is given company")                                 \
  X(ParallelAttempts, "parallel_attempts", kInteger, "10", 1, 1000, "", "0.1",                     \
    "attempts at a time of one search for the leader")                                             \
  X(PollInterval, "poll_interval", kDuration, "50ms", 1000, 60000000, "", "0.1",                   \
    "how often a node without a leader is asked again, over the same connection; grows with time") \
  X(BackoffMin, "backoff_min", kDuration, "100ms", 1000, 3600000000, "", "0.1",                    \
    "wait before a node that failed is dialled again; doubles, jittered")                          \
  X(BackoffMax, "backoff_max", kDuration, "1s", 1000, 3600000000, "", "0.1",                       \
    "longest of these waits")                                                                      \
  X(InitSql, "init_sql", kText, "", 0, 65536, "", "0.1",                                           \
    "script that runs on every new connection before its first use: PRAGMAs, temporary tables")    \
  X(IdleTransactionTimeout, "idle_transaction_timeout", kDuration, "1m", 0, 86400000000, "",       \
    "0.1",                                                                                         \
    "a connection whose transaction nobody uses for so long is closed, which rolls it back; 0: "   \
    "never")                                                                                       \
  X(Silence, "silence", kDuration, "1s", 0, 3600000000, "", "0.1",                                 \
    "a leader that owes an answer for longer is doubted: others are asked who leads; 0: never")    \
  X(WatchInterval, "watch_interval", kDuration, "0", 0, 86400000000, "", "0.1",                    \
    "how often the watcher asks for the members and the leader; 0: no watching")                   \
  X(PoolMin, "pool_min", kInteger, "1", 0, 10000, "", "0.1", "connections that a pool keeps open") \
  X(PoolMax, "pool_max", kInteger, "10", 1, 10000, "", "0.1",                                      \
    "connections that a pool opens at most")                                                       \
  X(PoolIdle, "pool_idle", kDuration, "5m", 0, 86400000000, "", "0.1",                             \
    "unused connections above pool_min are closed after this time; 0: never")                      \
  X(PoolLifetime, "pool_lifetime", kDuration, "0", 0, 86400000000, "", "0.1",                      \
    "a connection older than this is replaced when it is free; 0: never")                          \
  X(PoolCheck, "pool_check", kDuration, "30s", 0, 86400000000, "", "0.1",                          \
    "a connection unused for longer is checked before it is used again")                           \
  X(PoolQueue, "pool_queue", kInteger, "65536", 1, 1 << 24, "", "0.1",                             \
    "operations that may wait for a connection of the pool")                                       \
  X(GroupCommit, "group_commit", kInteger, "512", 1, 1 << 20, "", "0.1",                           \
    "writes of a client that may share a transaction, where they wait anyway; 1: none do")         \
  X(StrongReads, "strong_reads", kBool, "false", 0, 1, "", "0.1",                                  \
    "every read of a client sees all writes acknowledged before it, at the price of a small "      \
    "write")

#define DQC_X(Id, key, type, def, min, max, values, since, doc) k##Id,
enum class Key : uint8_t { DQC_CONFIG_KEYS(DQC_X) kCount };
#undef DQC_X

// Text values are kept apart from the numbers, in the order of their keys.
#define DQC_X(Id, key, type, def, min, max, values, since, doc) +(KeyType::type == KeyType::kText)
inline constexpr size_t kTextKeys = 0 DQC_CONFIG_KEYS(DQC_X);
#undef DQC_X

struct KeyInfo {
  Key id;
  const char* name;
  KeyType type;
  const char* default_text;
  int64_t min;  // for kText: bytes
  int64_t max;
  const char* values;  // kEnum: "a|b|c"; the value is the index
  const char* since;
  const char* doc;
};

std::span<const KeyInfo> ConfigTable();
const KeyInfo* FindKey(std::string_view name);  // null if unknown

// Values are plain data; copies are independent.
class Config {
 public:
  Config();  // all defaults

  // kConfig with key, value, what is accepted, and the nearest key name for a typo.
  Status Set(std::string_view key, std::string_view value);
  Status SetInteger(std::string_view key,
                    int64_t value);  // in the key's own unit (us, bytes, count, 0/1, index)
  // The value as text in the form that Set accepts.
  Result<std::string> Get(std::string_view key) const;

  // "dqlite://host[:port][,host[:port]…][/database][?key=value[&key=value…]]"; '%'-escapes; IPv6 in
  // brackets; the default port is 9001. kConfig names the offending part and its offset. On error
  // *this is unchanged. What the DSN does not name keeps its value; the addresses are replaced, by
  // none where the option "nodes" names a file of them. No key may come twice.
  Status ParseDsn(std::string_view dsn);
  // Adds DQC_<KEY> for every key and DQC_DSN first, read through `lookup` (null or empty: unset).
  // On error *this is unchanged.
  Status LoadEnvironment(const char* (*lookup)(const char* name));

  // Each "host:port", IPv6 in brackets; host names, IPv4, IPv6; blanks around the commas are passed
  // over. Validated, order kept, the default port added, repeated ones dropped; at most 1000. On
  // error *this is unchanged.
  Status SetAddresses(std::string_view comma_separated);
  const std::vector<std::string>& addresses() const { return addresses_; }

  int64_t integer(Key key) const { return integers_[static_cast<size_t>(key)]; }
  int64_t duration_us(Key key) const { return integer(key); }
  bool flag(Key key) const { return integer(key) != 0; }
  const std::string& text(Key key) const;  // "" for a key that is not text
  const std::string& database() const { return text(Key::kDatabase); }
  Limits limits() const;

 private:
  std::array<int64_t, static_cast<size_t>(Key::kCount)> integers_{};
  std::array<std::string, kTextKeys + 1> texts_;  // the last stays empty: for keys of other types
  std::vector<std::string> addresses_;
};

struct Address {
  std::string host;  // without brackets
  uint16_t port = 0;
};
// "host", "host:port", "[v6]:port", "[v6%zone]:port"; kConfig says what is wrong. `default_port` 0:
// a port is required.
// Refused: "any" addresses (0.0.0.0, [::]), multicast, broadcast, IPv4 in odd spellings.
// [::ffff:a.b.c.d] becomes IPv4.
Result<Address> ParseAddress(std::string_view text, uint16_t default_port);
std::string FormatAddress(const Address& address);  // ParseAddress() takes it back

// 1–200 bytes of [A-Za-z0-9._-], not ending in "-wal" or "-journal" (protocol 5.3: other names kill
// nodes).
Status CheckDatabaseName(std::string_view name);

// Markdown of docs/configuration.md.
std::string ConfigReference();

}  // namespace dqc::client
