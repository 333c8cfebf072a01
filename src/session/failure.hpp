/* SPDX-License-Identifier: MIT */
#pragma once

#include <cstdint>
#include <string_view>

#include "base/status.hpp"
#include "session/safety.hpp"

namespace dqc::session {

struct FailureContext {
  Era era = Era::kUnknown;
  Phase phase = Phase::kRequest;
  bool effect = false;           // the request could change something
  bool single_statement = true;  // the text is known to be one statement
  bool administrative = false;
  bool or_fail = false;  // INSERT OR FAIL …: what it changed before it failed stays
  std::string_view node;
  std::string_view request;  // "EXEC_SQL", "COMMIT" …: what the server answered to
};

struct Failure {
  Status status;
  bool session_lost =
      false;  // the connection is of no more use: reconnect to the leader (section 10.2)
};

// The one table that turns a FAILURE into class, outcome and consequence (sections 9.2, 9.4).
Failure Classify(uint64_t code, std::string_view text, const FailureContext& context);

}  // namespace dqc::session
