/* SPDX-License-Identifier: MIT */
// The table of docs/outcomes.md, as the document has it.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "live/client.hpp"

namespace dqc::outcomes {

struct Row {
  std::string what;
  dqc_status code = DQC_OK;
  int32_t error_class = -1, outcome = -1, retry = -1;
  std::string client;  // "again", "returned" or "–"
  std::string then;
};

// By id. Throws std::runtime_error for a row that is not understood, or two of one id.
const std::map<std::string, Row>& Table();

// Marks a row that a test produces; a test of the table looks for these in the sources.
inline const char* Id(const char* id) { return id; }
std::set<std::string> IdsOfTests();

// The failure is what the row says.
testing::AssertionResult Is(const char* id, const live::Failure& failure);
inline testing::AssertionResult Is(const char* id, const live::Reply& reply) {
  return Is(id, reply.failure);
}

}  // namespace dqc::outcomes
