/* SPDX-License-Identifier: MIT */
/* Every call is legal from a callback; those that would block are refused there, unless the loop
 * has a thread. */
#include "check.h"

typedef struct bag {
  world *w;
  dqc_stmt *stmt;
  probe inner[6];
  int runs;
} bag;

static void calls_that_block(probe *p, const dqc_event *event) {
  bag *b = (bag *)p->data;
  dqc_conn *conn = b->w->conn;
  dqc_rows *rows = (dqc_rows *)1;
  dqc_stmt *stmt = (dqc_stmt *)1;
  dqc_result result = {1, 1, 1, 1};
  dqc_admin leader = {sizeof(leader), DQC_ADMIN_LEADER, 0, 0, NULL};
  if (event->type != DQC_EVENT_DONE || b->runs++ > 0) return;
  FAILS(DQC_E_MISUSE, dqc_loop_run(b->w->loop, DQC_RUN_NOWAIT, &error));
  if (b->w->mode == THREADED) {
    OK(dqc_conn_exec(conn, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, NULL, &result, &error));
    return;
  }
  FAILS(DQC_E_MISUSE, dqc_conn_exec(conn, "SELECT 1", DQC_CSTR, NULL, 0, NULL, &result, &error));
  CHECK_EQ(result.statements, 0);
  FAILS(DQC_E_MISUSE, dqc_conn_query(conn, "SELECT 1", DQC_CSTR, NULL, 0, NULL, &rows, &error));
  CHECK(rows == NULL);
  FAILS(DQC_E_MISUSE, dqc_conn_prepare(conn, "SELECT 1", DQC_CSTR, NULL, &stmt, &error));
  CHECK(stmt == NULL);
  FAILS(DQC_E_MISUSE, dqc_conn_script(conn, "SELECT 1", DQC_CSTR, NULL, NULL, &error));
  FAILS(DQC_E_MISUSE, dqc_stmt_exec(b->stmt, NULL, 0, NULL, NULL, &error));
  FAILS(DQC_E_MISUSE, dqc_stmt_query(b->stmt, NULL, 0, NULL, &rows, &error));
  FAILS(DQC_E_MISUSE, dqc_conn_admin(conn, &leader, NULL, NULL, &error));
  FAILS(DQC_E_MISUSE, dqc_conn_connect(conn, &error));
  FAILS(DQC_E_MISUSE, dqc_conn_close(conn, &error));
}

static void test_blocking(int mode) {
  world w;
  bag b = {0};
  probe p[2] = {{0}};
  world_open(&w, mode, "normal", 0);
  b.w = &w;
  OK(dqc_conn_prepare_async(w.conn, "SELECT 1", DQC_CSTR, NULL, on_event, &p[0], NULL, &error));
  until_done(&w, p, 1);
  b.stmt = p[0].stmt;
  p[1].hook = calls_that_block;
  p[1].data = &b;
  OK(query_async(w.conn, "SELECT * FROM t", &p[1]));
  until_done(&w, p, 2);
  CHECK_EQ(b.runs, 1);
  dqc_stmt_free(b.stmt);
  world_end(&w);
}

static void submit_everything(probe *p, const dqc_event *event) {
  bag *b = (bag *)p->data;
  dqc_conn *conn = b->w->conn;
  uint64_t op = 0;
  if (event->type != DQC_EVENT_DONE || b->runs++ > 0) return;
  OK(exec_async(conn, "INSERT INTO t VALUES(1)", &b->inner[0]));
  OK(dqc_conn_query_async(conn, "SELECT * FROM t", DQC_CSTR, NULL, 0, NULL, on_event, &b->inner[1],
                          &op, &error));
  CHECK_EQ(dqc_conn_pause(conn, op, 1), DQC_OK);
  CHECK_EQ(dqc_conn_pause(conn, op, 0), DQC_OK);
  OK(dqc_conn_script_async(conn, "SELECT 1; SELECT 2", DQC_CSTR, NULL, on_event, &b->inner[2], NULL,
                           &error));
  OK(dqc_conn_query_async(conn, "SELECT * FROM t", DQC_CSTR, NULL, 0, NULL, on_event, &b->inner[3],
                          &op, &error));
  CHECK_EQ(dqc_conn_cancel(conn, op), DQC_OK);
  CHECK_EQ(dqc_conn_cancel(conn, event->op), DQC_OK); /* this one */
  OK(dqc_stmt_query_async(b->stmt, NULL, 0, NULL, on_event, &b->inner[4], NULL, &error));
  dqc_stmt_free(b->stmt); /* its execution is under way */
  OK(dqc_conn_close_async(conn, on_event, &b->inner[5], NULL, &error));
}

static void test_submit(int mode) {
  world w;
  bag b = {0};
  probe p[2] = {{0}};
  world_open(&w, mode, "normal", 0);
  b.w = &w;
  OK(dqc_conn_prepare_async(w.conn, "SELECT 1", DQC_CSTR, NULL, on_event, &p[0], NULL, &error));
  until_done(&w, p, 1);
  b.stmt = p[0].stmt;
  p[1].hook = submit_everything;
  p[1].data = &b;
  OK(exec_async(w.conn, "INSERT INTO t VALUES(1)", &p[1]));
  until_done(&w, p, 2);
  until_done(&w, b.inner, 6);
  world_end(&w);
}

static dqc_batch *kept_batch;
static dqc_error *kept_error;

static void free_everything(probe *p, const dqc_event *event) {
  bag *b = (bag *)p->data;
  world *w = b->w;
  if (b->runs++ > 0) return;
  if (event->batch != NULL) kept_batch = dqc_batch_retain(event->batch);
  if (event->error != NULL) kept_error = dqc_error_retain(event->error);
  dqc_config_free(w->config);
  w->config = NULL;
  dqc_stmt_free(b->stmt);
  b->stmt = NULL;
  dqc_loop_free(w->loop);
  dqc_conn_free(w->conn);
  w->loop = NULL;
  w->conn = NULL;
  if (w->queue != NULL && (b->inner[0].status & 1)) {
    dqc_queue_free(w->queue);
    w->queue = NULL;
  }
}

/* `rows`: in the middle of a stream; `queue_too`: what still waits is discarded. */
static void test_free(int mode, int rows, int queue_too, int with_stmt) {
  world w;
  bag b = {0};
  probe p[3] = {{0}};
  world_begin(&w, mode, rows ? "endless_parts" : "busy", 1000);
  world_connect(&w);
  b.w = &w;
  b.inner[0].status = queue_too;
  if (with_stmt) {
    OK(dqc_conn_prepare_async(w.conn, "SELECT 1", DQC_CSTR, NULL, on_event, &p[2], NULL, &error));
    until_done(&w, &p[2], 1);
    b.stmt = p[2].stmt;
  }
  p[0].hook = p[1].hook = free_everything;
  p[0].data = p[1].data = &b;
  OK(rows ? query_async(w.conn, "SELECT * FROM t", &p[0])
          : exec_async(w.conn, "INSERT INTO t VALUES(1)", &p[0]));
  OK(exec_async(w.conn, "INSERT INTO t VALUES(2)", &p[1]));
  const int64_t end = now_ms() + 10000;
  while (b.runs == 0 || (!(queue_too && mode == THREADED) && (p[0].done == 0 || p[1].done == 0))) {
    CHECK(now_ms() < end);
    if (mode == DRIVEN && w.loop == NULL) break;
    pump(&w);
  }
  if (!(queue_too && mode == THREADED)) {
    CHECK_EQ(p[0].done, 1);
    CHECK_EQ(p[1].done, 1);
  }
  if (kept_batch != NULL) CHECK(dqc_batch_row_count(kept_batch) > 0);
  if (kept_error != NULL) CHECK(dqc_error_message(kept_error)[0] != '\0');
  dqc_batch_free(kept_batch);
  dqc_error_free(kept_error);
  kept_batch = NULL;
  kept_error = NULL;
  world_end(&w);
}

/* A statement is freed while its execution drains, as the last handle of all. */
static void test_last_handle_is_stmt(int mode) {
  world w;
  probe p[3] = {{0}};
  uint64_t op = 0;
  world_open(&w, mode, "stall", 0);
  OK(dqc_conn_prepare_async(w.conn, "UPDATE t SET a = 1", DQC_CSTR, NULL, on_event, &p[0], NULL,
                            &error));
  until_done(&w, p, 1);
  OK(dqc_stmt_exec_async(p[0].stmt, NULL, 0, NULL, on_event, &p[1], &op, &error));
  for (int i = 0; i < 20; ++i) pump(&w);
  CHECK_EQ(dqc_conn_cancel(w.conn, op), DQC_OK);
  until_done(&w, p, 2);
  CHECK_EQ(p[1].status, DQC_E_CANCELLED);
  ++g_inside;
  dqc_conn_free(w.conn);
  dqc_loop_free(w.loop);
  dqc_stmt_free(p[0].stmt);
  --g_inside;
  w.conn = NULL;
  w.loop = NULL;
  mock_server_release(w.mock);
  world_end(&w);
}

int main(void) {
  setup(110);
  for (int mode = 0; mode < MODES; ++mode) {
    test_blocking(mode);
    test_submit(mode);
    for (int bits = 0; bits < 8; ++bits)
      test_free(mode, bits & 1, (bits & 2) != 0, (bits & 4) != 0);
    test_last_handle_is_stmt(mode);
  }
  return 0;
}
