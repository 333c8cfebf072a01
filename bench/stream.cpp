/* SPDX-License-Identifier: MIT */
// One large result of five columns: what a row costs.
#include <memory>

#include "client.hpp"
#include "raw.hpp"

namespace bench {

namespace {

constexpr size_t kColumns = 5;
constexpr char kSelect[] = "SELECT id, number, price, name, note FROM bench_rows";

enum class Way { kStep, kBatch, kCallback };

void Setup(const Server& server) {
  Client setup(server, "timeout=60s");
  setup.Exec("DROP TABLE IF EXISTS bench_rows");
  setup.Exec(
      "CREATE TABLE bench_rows(id INTEGER PRIMARY KEY, number INTEGER, price REAL, name TEXT, "
      "note TEXT)");
  const std::string fill =
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " +
      std::to_string(server.rows) +
      ") INSERT INTO bench_rows SELECT i, i * 7919, i / 8.0, 'name ' || i, "
      "'a note of usual size' FROM n";
  setup.Exec(fill.c_str());
}

// Looks at each cell, as any user does at least.
struct Tally {
  uint64_t rows = 0;
  uint64_t sum = 0;
  void Take(const dqc_cell* cells, size_t row_count) {
    rows += row_count;
    for (size_t i = 0; i < row_count * kColumns; ++i) sum += cells[i].type + cells[i].size;
  }
};

void DQC_CALL OnEvent(void* tally, const dqc_event* event) {
  if (event->type == DQC_EVENT_ROWS) {
    static_cast<Tally*>(tally)->Take(dqc_batch_cells(event->batch),
                                     dqc_batch_row_count(event->batch));
  } else if (event->status != DQC_OK) {
    Die(dqc_error_message(event->error));
  }
}

struct OwnLoop {
  dqc_loop* loop = nullptr;
  dqc_conn* conn = nullptr;
  dqc_stmt* stmt = nullptr;
};

void ByCursor(dqc_stmt* stmt, bool whole_batches, Tally* tally) {
  dqc_error* error = nullptr;
  dqc_rows* rows = nullptr;
  Must(dqc_stmt_query(stmt, nullptr, 0, nullptr, &rows, &error), error);
  dqc_batch* batch = nullptr;
  dqc_status status = DQC_ROW;
  while (whole_batches) {
    Must(status = dqc_rows_next_batch(rows, &batch, &error), error);
    if (status == DQC_END) break;
    tally->Take(dqc_batch_cells(batch), dqc_batch_row_count(batch));
    dqc_batch_free(batch);
  }
  while (!whole_batches) {
    Must(status = dqc_rows_step(rows, &error), error);
    if (status == DQC_END) break;
    ++tally->rows;
    for (size_t i = 0; i < kColumns; ++i) {
      const dqc_cell* cell = dqc_rows_cell(rows, i);
      tally->sum += cell->type + cell->size;
    }
  }
  dqc_rows_free(rows);
}

Variant Ours(const Server& server, const char* name, const char* floor, const char* options,
             Way way) {
  auto own = std::make_shared<OwnLoop>();
  dqc_error* error = nullptr;
  dqc_config* config = nullptr;
  const std::string dsn = "dqlite://" + server.address + "/bench?timeout=60s&" + options;
  Must(dqc_config_new(&config, &error), error);
  Must(dqc_config_set_dsn(config, dsn.data(), dsn.size(), &error), error);
  Must(dqc_loop_new(DQC_LOOP_DRIVEN, &own->loop, &error), error);
  Must(dqc_conn_new(own->loop, nullptr, config, &own->conn, &error), error);
  Must(dqc_conn_connect(own->conn, &error), error);
  Must(dqc_conn_prepare(own->conn, kSelect, DQC_CSTR, nullptr, &own->stmt, &error), error);
  dqc_config_free(config);
  return {name, floor, [own, way, rows = server.rows](uint64_t ops) {
            dqc_error* error = nullptr;
            Tally tally;
            for (uint64_t i = 0; i < ops; ++i) {
              if (way != Way::kCallback) {
                ByCursor(own->stmt, way == Way::kBatch, &tally);
                continue;
              }
              Must(dqc_stmt_query_async(own->stmt, nullptr, 0, nullptr, OnEvent, &tally, nullptr,
                                        &error),
                   error);
              Must(dqc_loop_run(own->loop, DQC_RUN_DEFAULT, &error), error);
            }
            if (tally.rows != rows * ops) Die("rows are missing");
          }};
}

Variant Raw(const Server& server, const char* name, Wait wait) {
  auto raw = std::make_shared<RawClient>(server.address, wait);
  raw->Handshake();
  const Frame query = QueryFrame(raw->Prepare(kSelect));
  return {name, "", [raw, query](uint64_t ops) {
            while (ops-- > 0) {
              raw->Send(query);
              raw->Await(1);
            }
          }};
}

}  // namespace

Group StreamGroup(const Server& server) {
  Setup(server);
  Group group{"stream", "cell", static_cast<double>(server.rows * kColumns), {}};
  group.variants = {
      Raw(server, "raw", Wait::kBlock),
      Ours(server, "cursor rows", "raw", "poll_time=0", Way::kStep),
      Ours(server, "cursor batches", "raw", "poll_time=0", Way::kBatch),
      Ours(server, "callback", "raw", "poll_time=0", Way::kCallback),
      Raw(server, "raw polling", Wait::kPoll),
      Ours(server, "cursor rows polling", "raw polling", "", Way::kStep),
      Ours(server, "callback polling", "raw polling", "", Way::kCallback),
  };
  return group;
}

}  // namespace bench
