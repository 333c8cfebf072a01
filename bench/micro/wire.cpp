/* SPDX-License-Identifier: MIT */
// Nanoseconds a cell and a request in the wire codec alone.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/limits.hpp"
#include "wire/message.hpp"
#include "wire/reader.hpp"
#include "wire/rows.hpp"
#include "wire/writer.hpp"

namespace {

using dqc::Limits;
using dqc::wire::Bytes;
using dqc::wire::Value;

constexpr size_t kColumns = 5;
constexpr size_t kRows = 60;  // about 4 KiB, as servers cut results

Bytes RowsBody(bool texts) {
  Bytes frame;
  dqc::wire::Writer writer(frame);
  writer.Begin(static_cast<uint8_t>(dqc::wire::ResponseType::kRows), 0);
  for (size_t i = 0; i < kRows; ++i) {
    const auto n = static_cast<int64_t>(i);
    const std::string name = "name " + std::to_string(i);
    const Value mixed[kColumns] = {Value::Integer(n), Value::Integer(n * 7919),
                                   Value::Float(static_cast<double>(n) / 8), Value::Text(name),
                                   Value::Text("a note of usual size")};
    const Value numbers[kColumns] = {Value::Integer(n), Value::Integer(n), Value::Integer(n),
                                     Value::Integer(n), Value::Integer(n)};
    dqc::wire::EncodeRow(writer, texts ? mixed : numbers, kColumns);
  }
  dqc::wire::EncodeEnd(writer, dqc::wire::RowsEnd::kDone);
  (void)writer.End();
  frame.erase(frame.begin(), frame.begin() + dqc::wire::kHeaderBytes);
  return frame;
}

void DecodeRows(benchmark::State& state, bool texts) {
  const Bytes body = RowsBody(texts);
  std::vector<Value> cells;
  for (auto _ : state) {
    cells.clear();
    uint64_t rows = 0;
    dqc::wire::Reader reader(body.data(), body.size());
    dqc::wire::DecodeRows(reader, kColumns, UINT64_MAX, cells, &rows);
    if (rows != kRows) state.SkipWithError("rows are missing");
    benchmark::DoNotOptimize(cells.data());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kRows * kColumns));
}

void DecodeMixedCells(benchmark::State& state) { DecodeRows(state, true); }
void DecodeIntegerCells(benchmark::State& state) { DecodeRows(state, false); }

template <typename M>
void EncodeRequest(benchmark::State& state, const M& message) {
  Bytes frame;
  for (auto _ : state) {
    frame.clear();
    const dqc::Status status = dqc::wire::Encode(message, 0, frame);
    if (!status.ok()) state.SkipWithError("refused");
    benchmark::DoNotOptimize(frame.data());
  }
  state.SetItemsProcessed(state.iterations());
}

void EncodeQuery(benchmark::State& state) {
  EncodeRequest(state, dqc::wire::request::Query{0, 1, {}});
}

void EncodeInsert(benchmark::State& state) {
  const Value values[] = {Value::Integer(42), Value::Text("some text of usual size")};
  EncodeRequest(state, dqc::wire::request::Exec{0, 1, values});
}

void EncodeQuerySql(benchmark::State& state) {
  const Value values[] = {Value::Integer(42)};
  EncodeRequest(state, dqc::wire::request::QuerySql{
                           0, "SELECT id, name, price FROM product WHERE id = ?", values});
}

}  // namespace

BENCHMARK(DecodeMixedCells);
BENCHMARK(DecodeIntegerCells);
BENCHMARK(EncodeQuery);
BENCHMARK(EncodeInsert);
BENCHMARK(EncodeQuerySql);
BENCHMARK_MAIN();
