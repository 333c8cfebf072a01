/* SPDX-License-Identifier: MIT */
/* The answer to DUMP through the C interface: a database larger than all limits passes in little
 * memory, at the pace of whoever takes it. */
#include "check.h"

#if defined(__SANITIZE_THREAD__) /* twenty times as slow */
enum { DUMP_MIB = 24 };
#else
enum { DUMP_MIB = 100 };
#endif
enum { MIB = 1024 * 1024, EXTRA_KIB = 16 * 1024 };

static dqc_admin dump_request(void) {
  const dqc_admin request = {sizeof(request), DQC_ADMIN_DUMP, 0, 0, "test"};
  return request;
}

/* A field of /proc/self/status, in KiB. */
static long memory_kib(const char *field) {
  char line[256];
  long kib = 0;
  FILE *file = fopen("/proc/self/status", "r");
  CHECK(file != NULL);
  while (fgets(line, sizeof(line), file) != NULL) {
    if (strncmp(line, field, strlen(field)) == 0) kib = atol(line + strlen(field) + 1);
  }
  fclose(file);
  CHECK(kib > 0);
  return kib;
}

static long reset_peak(void) {
  FILE *file = fopen("/proc/self/clear_refs", "w");
  if (file != NULL) {
    fputs("5", file);
    fclose(file);
  }
  return memory_kib("VmRSS");
}

static void expect_little_memory(long before) {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  const long added = memory_kib("VmHWM") - before;
  if (added >= EXTRA_KIB) fprintf(stderr, "%ld KiB more\n", added);
  CHECK(added < EXTRA_KIB);
#else
  (void)before;
#endif
}

/* Takes the pieces in order. */
typedef struct reading {
  int64_t main_bytes;
  int files;
  int pauses;
  dqc_conn *conn;
  uint64_t op;
} reading;

static void take_piece(reading *r, const dqc_cell *cells) {
  CHECK_EQ(cells[0].type, DQC_TEXT);
  CHECK_EQ(cells[1].type, DQC_INTEGER);
  CHECK_EQ(cells[2].type, DQC_INTEGER);
  CHECK_EQ(cells[3].type, DQC_BLOB);
  const int64_t size = cells[1].as.integer, offset = cells[2].as.integer;
  if (offset == 0) ++r->files;
  if (r->files == 1) {
    CHECK_STR(cells[0].as.data, "test");
    CHECK_EQ(size, (int64_t)DUMP_MIB * MIB);
    CHECK_EQ(offset, r->main_bytes);
    CHECK(cells[3].size > 0);
    const char first = (char)(offset * 31 + (offset >> 12)); /* as the mock makes them */
    CHECK_EQ(cells[3].as.data[0], first);
    r->main_bytes += cells[3].size;
  } else {
    CHECK_STR(cells[0].as.data, "test-wal");
    CHECK_EQ(size, 0);
    CHECK_EQ(cells[3].size, 0);
  }
}

static void test_cursor(void) {
  mock_server *mock = mock_server_start('D', "big_dump", DUMP_MIB);
  dqc_config *config = config_for(mock);
  dqc_conn *conn = NULL;
  dqc_rows *rows = NULL;
  reading r = {0};
  const dqc_admin request = dump_request();
  for (int threaded = 0; threaded < 2; ++threaded) {
    dqc_loop *loop = NULL;
    OK(dqc_loop_new(threaded ? DQC_LOOP_THREADED : DQC_LOOP_DRIVEN, &loop, &error));
    OK(dqc_conn_new(loop, NULL, config, &conn, &error));
    OK(dqc_conn_connect(conn, &error));
    r = (reading){0};
    const long before = reset_peak();
    OK(dqc_conn_admin(conn, &request, NULL, &rows, &error));
    CHECK_EQ(dqc_rows_column_count(rows), 4);
    CHECK_STR(dqc_rows_column_name(rows, 0), "name");
    CHECK_STR(dqc_rows_column_name(rows, 1), "size");
    CHECK_STR(dqc_rows_column_name(rows, 2), "offset");
    CHECK_STR(dqc_rows_column_name(rows, 3), "data");
    while (dqc_rows_step(rows, NULL) == DQC_ROW) take_piece(&r, dqc_rows_cell(rows, 0));
    CHECK_EQ(dqc_rows_step(rows, NULL), DQC_END);
    dqc_rows_free(rows);
    CHECK_EQ(r.files, 2);
    CHECK_EQ(r.main_bytes, (int64_t)DUMP_MIB * MIB);
    OK(dqc_conn_admin(conn, &request, NULL, NULL, &error)); /* only whether it works */
    expect_little_memory(before);
    OK(dqc_conn_exec(conn, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, NULL, NULL, &error));
    dqc_conn_free(conn);
    dqc_loop_free(loop);
  }
  dqc_config_free(config);
  mock_server_stop(mock);
}

static void take_event(probe *p, const dqc_event *event) {
  reading *r = (reading *)p->data;
  if (event->type != DQC_EVENT_ROWS) return;
  for (size_t row = 0; row < dqc_batch_row_count(event->batch); ++row)
    take_piece(r, dqc_batch_cells(event->batch) + 4 * row);
  if (r->main_bytes > 5 * MIB && r->pauses == 0) {
    ++r->pauses;
    CHECK_EQ(dqc_conn_pause(r->conn, event->op, 1), DQC_OK);
    r->op = event->op;
  }
}

static void test_callbacks(int mode) {
  world w;
  probe p[2] = {{0}};
  reading r = {0};
  const dqc_admin request = dump_request();
  world_open(&w, mode, "big_dump", DUMP_MIB);
  r.conn = w.conn;
  p[0].hook = take_event;
  p[0].data = &r;
  const long before = reset_peak();
  OK(dqc_conn_admin_async(w.conn, &request, NULL, on_event, &p[0], NULL, &error));
  OK(query_async(w.conn, "SELECT 1", &p[1]));
  const int64_t end = now_ms() + 15000;
  while (r.pauses == 0 && now_ms() < end) pump(&w);
  for (int i = 0; i < 20; ++i) pump(&w); /* what is under way still comes */
  CHECK(p[0].done == 0 && r.main_bytes < 10 * MIB);
  CHECK_EQ(dqc_conn_pause(w.conn, r.op, 0), DQC_OK);
  until_done(&w, p, 2);
  CHECK_EQ(p[0].status, DQC_OK);
  CHECK_EQ(p[1].rows, 1);
  CHECK_EQ(r.main_bytes, (int64_t)DUMP_MIB * MIB);
  expect_little_memory(before);
  world_end(&w);
}

static void test_max_result(void) {
  mock_server *mock = mock_server_start('C', "big_dump", 2);
  dqc_config *config = config_for(mock);
  dqc_conn *conn = NULL;
  dqc_rows *rows = NULL;
  const dqc_admin request = dump_request();
  set(config, "max_result", "1MiB");
  set(config, "drain_bytes", "4MiB");
  OK(dqc_conn_new(NULL, NULL, config, &conn, &error));
  OK(dqc_conn_connect(conn, &error));
  FAILS(DQC_E_LIMIT, dqc_conn_admin(conn, &request, NULL, &rows, &error));
  CHECK(rows == NULL);
  OK(dqc_conn_exec(conn, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, NULL, NULL, &error));
  dqc_conn_free(conn);
  dqc_config_free(config);
  mock_server_stop(mock);
}

int main(void) {
  setup(120);
  test_cursor();
  for (int mode = 0; mode < MODES; ++mode) test_callbacks(mode);
  g_case = "max_result";
  test_max_result();
  return 0;
}
