/* SPDX-License-Identifier: MIT */
// From SQL text and values to a request: every check that needs no server.
#pragma once

#include "params.hpp"
#include "shared.hpp"
#include "statement.hpp"

namespace dqc::capi {

// Fills `call` for one statement (or, with `may_be_several`, for several that yield no rows and
// have no parameters).
Status SetText(const Shared& shared, Call* call, std::string_view sql, const dqc_value* values,
               size_t count, bool may_be_several);

// Fills `call` for an execution of `statement` with these values, or with the bound ones if there
// are none.
Status SetExecution(Call* call, Statement* statement, const dqc_value* values, size_t count);

// The one statement of a text to be prepared.
Result<sql::Statement> OneStatement(std::string_view sql);

Status CheckScript(std::string_view sql);

}  // namespace dqc::capi
