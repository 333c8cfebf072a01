/* SPDX-License-Identifier: MIT */
// Memory of results: receive buffers, column headers, batches of cells. All are reference-counted
// and pooled; a batch keeps alive the buffer that its cells point into.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/deliverable.hpp"
#include "base/pool.hpp"
#include "wire/value.hpp"

namespace dqc::session {

// A receive buffer. Standard-sized ones are pooled; larger ones, for a message that needs it, are
// not.
class Chunk : public Pooled<Chunk> {
 public:
  Chunk* pool_next = nullptr;
  std::vector<uint8_t> bytes;
  void Reset() {}
};

// Columns of a result: the bytes of the wire's column header and views into them.
class ResultHeader : public RefCounted<ResultHeader> {
 public:
  std::vector<uint8_t> raw;             // from the column count to the last name
  std::vector<std::string_view> names;  // NUL-terminated, into `raw` or static

  // Of a result of ours, with static names.
  static IntrusivePtr<ResultHeader> Of(std::initializer_list<const char*> names) {
    auto header = IntrusivePtr<ResultHeader>::Adopt(new ResultHeader());
    header->names.assign(names.begin(), names.end());
    return header;
  }

 private:
  friend class RefCounted<ResultHeader>;
  ~ResultHeader() = default;
};

class Operation;

// Some rows of a result. Immutable once delivered.
class Batch final : public Pooled<Batch>, public Deliverable {
 public:
  Batch* pool_next = nullptr;
  Operation* op = nullptr;  // which outlives it there; null once delivered
  IntrusivePtr<ResultHeader> header;
  IntrusivePtr<Chunk> chunk;
  std::string text;                // which a cell points at, besides `chunk`
  std::vector<wire::Value> cells;  // row-major
  uint64_t rows = 0;
  uint64_t wire_bytes = 0;  // of the frames it came in: what it counts against the high-water mark
  uint32_t statement = 0;   // scripts: number of the statement

  void Reset() {
    op = nullptr;
    header = nullptr;
    chunk = nullptr;
    text.clear();
    if (cells.capacity() > kCellsKept) cells = {};
    cells.clear();
    rows = wire_bytes = 0;
    statement = 0;
  }
  void Deliver() noexcept override;
  void Discard() noexcept override;

 private:
  static constexpr size_t kCellsKept = 8 * 1024;
};

// Chunks for about 1 MiB of a stream stay.
struct Pools {
  explicit Pools(uint64_t chunk_bytes)
      : chunks(IntrusivePtr<Pool<Chunk>>::Adopt(new Pool<Chunk>(
            static_cast<size_t>(std::clamp<uint64_t>((1 << 20) / chunk_bytes, 4, 16))))) {}
  IntrusivePtr<Pool<Chunk>> chunks;
  IntrusivePtr<Pool<Batch>> batches = IntrusivePtr<Pool<Batch>>::Adopt(new Pool<Batch>(128));
};

}  // namespace dqc::session
