/* SPDX-License-Identifier: MIT */
// Any text as SQL: offsets stay inside it, scanning gets ahead, and the three ways of looking
// agree.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <string_view>
#include <vector>

#include "session/sql.hpp"

namespace {

using dqc::sql::Kind;
using dqc::sql::Param;
using dqc::sql::Statement;
using dqc::sql::Summary;

void Check(bool good) {
  if (!good) std::abort();
}

void CheckStatement(std::string_view text, size_t offset, const Statement& statement) {
  Check(statement.begin >= offset && statement.begin <= statement.text_end);
  Check(statement.text_end <= statement.end && statement.end <= text.size());
  Check(!statement.returning || statement.yields_rows());
  Check(!statement.read_only() || !statement.dml());
  if (statement.kind == Kind::kEmpty) {
    Check(statement.end == text.size() && statement.param_count == 0);
    return;
  }
  Check(statement.begin < statement.text_end && statement.end > offset);
  // The statement alone, without what surrounds it, looks the same.
  const Statement alone =
      dqc::sql::ScanStatement(text.substr(0, statement.text_end), statement.begin);
  Check(alone.kind == statement.kind && alone.begin == statement.begin);
  Check(alone.param_count == statement.param_count && alone.returning == statement.returning);
  Check(alone.optimizes == statement.optimizes && alone.upserts == statement.upserts);
  Check(alone.pragma_name == statement.pragma_name && alone.pragma_sets == statement.pragma_sets);
}

void CheckParams(std::string_view text, size_t offset, const Statement& statement) {
  std::vector<Param> params;
  dqc::sql::ListParams(text, offset, params);
  std::set<uint32_t> seen;
  uint32_t highest = 0;
  for (const Param& param : params) {
    Check(param.index > 0 && seen.insert(param.index).second);
    Check(param.name.size() != 1);
    highest = std::max(highest, param.index);
  }
  Check(highest == statement.param_count);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Summary summary = dqc::sql::Summarize(text);
  Summary sum;
  for (size_t offset = 0;;) {
    const Statement statement = dqc::sql::ScanStatement(text, offset);
    CheckStatement(text, offset, statement);
    CheckParams(text, offset, statement);
    if (statement.kind == Kind::kEmpty) break;
    if (sum.statements++ == 0) Check(summary.first.begin == statement.begin);
    sum.any_returning |= statement.returning;
    sum.any_yields_rows |= statement.yields_rows();
    sum.any_params |= statement.param_count > 0;
    sum.text_end = statement.end;
    offset = statement.end;
  }
  Check(summary.statements == sum.statements && summary.any_returning == sum.any_returning);
  Check(summary.any_yields_rows == sum.any_yields_rows && summary.any_params == sum.any_params);
  Check(summary.text_end <= sum.text_end);
  // What text_end cuts off is nothing.
  const Summary cut = dqc::sql::Summarize(text.substr(0, summary.text_end));
  Check(cut.statements == summary.statements && cut.text_end == summary.text_end);
  return 0;
}
