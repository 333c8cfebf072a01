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

typedef struct more {
  world *w;
  dqc_stmt *stmt;
  dqc_rows *rows;
  dqc_conn *second;
  probe inner[4];
  int64_t next; /* row of the cursor */
  int runs;
} more;

static void everything_else(probe *p, const dqc_event *event) {
  more *m = (more *)p->data;
  world *w = m->w;
  const dqc_admin leader = {sizeof(leader), DQC_ADMIN_LEADER, 0, 0, NULL};
  const dqc_value one = DQC_INT(1), two = DQC_STR("two");
  dqc_status status;
  dqc_loop *loop = NULL;
  if (event->type != DQC_EVENT_DONE || m->runs++ > 0) return;
  OK(dqc_conn_prepare_async(w->conn, "SELECT 2", DQC_CSTR, NULL, on_event, &m->inner[0], NULL,
                            &error));
  OK(dqc_conn_admin_async(w->conn, &leader, NULL, on_event, &m->inner[1], NULL, &error));
  OK(dqc_stmt_bind(m->stmt, 1, &one, &error));
  OK(dqc_stmt_bind(m->stmt, 2, &two, &error));
  OK(dqc_stmt_exec_async(m->stmt, NULL, 0, NULL, on_event, &m->inner[2], NULL, &error));
  dqc_stmt_free(dqc_stmt_retain(m->stmt));
  CHECK_EQ(dqc_stmt_param_count(m->stmt), 2);
  OK(dqc_conn_new(w->loop, w->queue, w->config, &m->second, &error));
  OK(dqc_conn_connect_async(m->second, on_event, &m->inner[3], NULL, &error));
  CHECK_EQ(dqc_conn_state(w->conn), DQC_STATE_READY);
  CHECK_EQ(dqc_conn_era(w->conn), 'D');
  CHECK_EQ(dqc_conn_transaction(w->conn), DQC_TRANSACTION_NONE);
  OK(dqc_loop_new(DQC_LOOP_DRIVEN, &loop, &error));
  dqc_loop_free(loop);
  dqc_loop_wake(w->loop);
  CHECK_EQ(dqc_loop_fd(w->loop) >= 0, w->mode == DRIVEN);
  CHECK(dqc_loop_timeout_ms(w->loop) >= -1);
  if (w->queue != NULL) { /* events of events */
    CHECK(dqc_queue_wait(w->queue, 0) >= 0);
    CHECK(dqc_queue_dispatch(w->queue, 0) >= 0);
    CHECK_EQ(dqc_queue_set_notify(w->queue, NULL, NULL), DQC_OK);
  }
  if (m->rows == NULL) return;
  /* The rows that are here can be read; the others cannot be waited for where nobody else reads. */
  while ((status = dqc_rows_step(m->rows, NULL)) == DQC_ROW)
    CHECK_EQ(dqc_rows_int64(m->rows, 0), m->next++);
  CHECK_EQ(status, w->mode == THREADED ? DQC_END : DQC_E_MISUSE);
}

static void test_else(int mode) {
  world w;
  more m = {0};
  probe p = {0};
  dqc_conn *other = NULL;
  world_begin(&w, mode, "big_result", 5000);
  set(w.config, "read_buffer", "4KiB");
  set(w.config, "high_water", "4KiB");
  world_connect(&w);
  m.w = &w;
  {
    probe prepared = {0};
    OK(dqc_conn_prepare_async(w.conn, "INSERT INTO t VALUES(?, ?)", DQC_CSTR, NULL, on_event,
                              &prepared, NULL, &error));
    until_done(&w, &prepared, 1);
    m.stmt = prepared.stmt;
  }
  p.hook = everything_else;
  p.data = &m;
  OK(exec_async(w.conn, "INSERT INTO t VALUES(1)", &p));
  if (mode != ATTACHED) { /* begun before the callback, read inside and behind it */
    OK(dqc_conn_new(w.loop, mode == THREADED ? w.queue : NULL, w.config, &other, &error));
    ++g_inside; /* a blocking call runs callbacks: this one does nothing yet */
    m.runs = 1;
    OK(dqc_conn_connect(other, &error));
    OK(dqc_conn_query(other, "SELECT n FROM t", DQC_CSTR, NULL, 0, NULL, &m.rows, &error));
    --g_inside;
    until_done(&w, &p, 1);
    memset(&p, 0, sizeof(p));
    p.hook = everything_else;
    p.data = &m;
    m.runs = 0;
    OK(exec_async(w.conn, "INSERT INTO t VALUES(1)", &p));
  }
  until_done(&w, &p, 1);
  until_done(&w, m.inner, 4);
  for (int i = 0; i < 4; ++i) CHECK_EQ(m.inner[i].status, DQC_OK);
  if (m.rows != NULL) {
    ++g_inside;
    while (dqc_rows_step(m.rows, NULL) == DQC_ROW) CHECK_EQ(dqc_rows_int64(m.rows, 0), m.next++);
    --g_inside;
    CHECK_EQ(m.next, 5000);
  }
  dqc_rows_free(m.rows);
  dqc_stmt_free(m.stmt);
  dqc_stmt_free(m.inner[0].stmt);
  ++g_inside;
  dqc_conn_free(m.second);
  dqc_conn_free(other);
  --g_inside;
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
    test_else(mode);
    for (int bits = 0; bits < 8; ++bits)
      test_free(mode, bits & 1, (bits & 2) != 0, (bits & 4) != 0);
    test_last_handle_is_stmt(mode);
  }
  return 0;
}
