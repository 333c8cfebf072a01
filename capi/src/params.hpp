/* SPDX-License-Identifier: MIT */
// From dqc_value arrays to the positional tuple of the wire.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "base/limits.hpp"
#include "base/status.hpp"
#include "dqclient/dqclient.h"
#include "session/sql.hpp"
#include "wire/value.hpp"

namespace dqc::capi {

// Storage for the values of one call; short lists need no allocation.
class Params {
 public:
  // `params`: the statement's, SortByName()d; looked at only if values have names.
  Status Set(const dqc_value* values, size_t count, uint64_t param_count,
             std::span<const sql::Param> params, const Limits& limits);
  void Use(std::vector<wire::Value> values);
  std::span<const wire::Value> values() const {
    return {heap_.empty() ? stack_ : heap_.data(), count_};
  }
  uint8_t schema() const { return count_ > kParamsMaxV0 ? 1 : 0; }

 private:
  static constexpr size_t kOnStack = 32;
  wire::Value stack_[kOnStack];
  std::vector<wire::Value> heap_;
  size_t count_ = 0;
};

void SortByName(std::vector<sql::Param>& params);
// Of the parameter with this name in a list so sorted; 0 if there is none.
uint32_t IndexOf(std::span<const sql::Param> sorted, std::string_view name);

// A statement with so many parameters may be made room for.
Status CheckParamCount(uint64_t param_count, const Limits& limits);

// One value; kMisuse says what is wrong with it.
Status ToWire(const dqc_value& value, wire::Value* out);

}  // namespace dqc::capi
