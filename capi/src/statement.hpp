/* SPDX-License-Identifier: MIT */
#pragma once

#include <string>
#include <vector>

#include "shared.hpp"
#include "wire/value.hpp"

namespace dqc::capi {

// A prepared statement: dqc_stmt. Finalizes itself on the server when the last reference goes.
class Statement : public RefCounted<Statement> {
 public:
  static constexpr uint32_t kMagic = 0x64716373;

  // Makes everything that the end will need, so that freeing cannot fail.
  Statement(IntrusivePtr<Shared> shared, std::string_view sql, const sql::Statement& text);

  uint32_t magic = kMagic;
  uint32_t fork_generation = ForkGeneration();
  bool valid() const { return magic == kMagic; }
  bool forked() const { return fork_generation != ForkGeneration(); }

  // A reference of the application's, by which it can reach the loop; a call that is under way has none.
  dqc_stmt* Lend();
  void GiveBack() noexcept;

  const IntrusivePtr<Shared> shared;
  const std::string sql;
  session::PreparedStatement prepared;
  std::vector<sql::Param> params;  // SortByName()d, views into `sql`
  std::vector<std::string> names;  // by index - 1, NUL-terminated; "" without a name

  void Prepared(uint32_t id, uint64_t param_count) noexcept;  // the server's answer
  Status Bind(uint32_t index, const dqc_value& value);
  // The values bound, in order of index.
  Status BoundValues(std::vector<wire::Value>& out) const;

 private:
  friend class RefCounted<Statement>;
  ~Statement();
  void Dispose() { delete this; }

  struct Bound {
    wire::Value value;
    std::string bytes;
    bool set = false;
  };
  std::vector<Bound> bound_;
  IntrusivePtr<Call> finalizer_;  // null once used, and until prepared
};

}  // namespace dqc::capi
