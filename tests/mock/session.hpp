/* SPDX-License-Identifier: MIT */
// How a well-behaved server of each era answers (sections 5 to 7), and what a client must never
// send it (section 15).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mock/script.hpp"
#include "mock/sql_text.hpp"

namespace dqc::mock {

enum class Era : uint8_t { kA, kB, kC, kD };  // section 0.2

struct NodeInfo {
  uint64_t id = 0;
  std::string address;
  uint64_t role = 0;
};

// One row {1, "one"}, {2, "two"}, {3, NULL} each, in columns id and name.
Table DefaultTable();

// State of one node. SQL is not executed: the first of `tables` whose text is part of the statement
// answers queries; else `SELECT <integer>` and `SELECT ?, ?…` give what they say, other queries
// DefaultTable().
struct Config {
  Era era = Era::kC;
  bool leader = true;
  uint64_t id = 1;
  std::string address = "mock";
  uint64_t leader_id = 0;       // what LEADER answers when this node does not lead
  std::string leader_address;   // the same
  std::vector<NodeInfo> nodes;  // empty: this one, a voter
  uint64_t failure_domain = 0;
  uint64_t weight = 0;
  std::string dump = std::string("SQLite format 3\0", 16);  // main file of every DUMP, whole words
  std::vector<std::pair<std::string, Table>> tables;
  uint64_t losses = 0;  // of leadership; each one ends the sessions of before (section 10.2)
};

inline constexpr size_t kStatementsMax = 100000;

// The server's side of one connection, without bytes and scripts.
class Session {
 public:
  using Violations = std::vector<std::string>;

  // Highest schema that a server of this era understands in such a request.
  static uint8_t SchemaMax(Era era, uint8_t type);

  // Before anything else: completes request.text from the statements, and says what a client must
  // not have sent.
  void Examine(Request& request, const Config& config, Violations& violations);
  Do Reply(const Request& request, Config& config);

  bool legacy = false;  // handshake word of before 1.0

 private:
  struct Fault {
    uint64_t code;
    const char* text;
  };
  using Checked = std::optional<Fault>;

  void Forget(const Config& config);
  Do Handshake(const Request& request) const;
  Do Refused(const Request& request, Era era) const;  // schema or type unknown, or malformed
  Do Leader(const Config& config) const;
  Do Open(const Config& config);
  Do Prepare(const Request& request, const Config& config);
  Do Exec(const Request& request, const Config& config);
  Do Query(const Request& request, const Config& config);
  Do Finalize(const Request& request);
  Checked CheckSql(const Request& request, const Config& config, bool needs_leader) const;
  Checked Run(std::string_view sql, const SqlStatement& statement, const Config& config);
  Checked RunTransaction(const std::string& word);
  bool Live(uint64_t stmt) const;
  void ExamineSql(const Request& request, Era era, Violations& violations) const;

  std::vector<std::optional<std::string>> statements_;
  bool open_ = false;
  bool in_transaction_ = false;
  uint64_t last_id_ = 0;
  uint64_t changes_ = 0;
  uint64_t losses_ = 0;
};

// Membership: CLUSTER, ADD, ASSIGN, REMOVE, TRANSFER, DUMP, DESCRIBE, WEIGHT (sections 5.9 to 5.15).
Do ClusterReply(const Request& request, Config& config);

}  // namespace dqc::mock
