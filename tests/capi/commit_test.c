/* SPDX-License-Identifier: MIT */
/* A COMMIT behind statements that were sent ahead: what holds it back, and what does not. */
#include "client_check.h"

static void until_exec(world *w, const char *sql) {
  probe p = {0};
  OK(exec_async(w->conn, sql, &p));
  until_done(w, &p, 1);
  CHECK_EQ(p.status, DQC_OK);
}

static dqc_status query_async_silent(world *w) {
  return dqc_conn_query_async(w->conn, "SELECT * FROM t", DQC_CSTR, NULL, 0, NULL, NULL, NULL, NULL,
                              NULL);
}

static void expect_refused(const probe *p, world *w) {
  CHECK_EQ(p->status, DQC_E_SQL);
  CHECK_EQ(p->outcome, DQC_OUTCOME_NOT_EXECUTED);
  CHECK_EQ(mock_server_sql_count(w->mock, "COMMIT"), 0);
}

static void test_failure_ahead(int mode) {
  world w;
  probe p[4] = {{0}};
  world_open(&w, mode, "failure_prefix", 0);
  OK(exec_async(w.conn, "BEGIN", &p[0]));
  OK(query_async(w.conn, "SELECT * FROM t", &p[1]));
  OK(exec_async(w.conn, "COMMIT", &p[2]));
  OK(exec_async(w.conn, "INSERT INTO t VALUES(1)", &p[3])); /* goes on */
  until_done(&w, p, 4);
  CHECK(p[0].status == DQC_OK && p[1].status == DQC_E_SQL && p[3].status == DQC_OK);
  expect_refused(&p[2], &w);
  CHECK_EQ(dqc_conn_transaction(w.conn), DQC_TRANSACTION_OPEN);
  until_exec(&w, "end transaction"); /* by who has been told */
  world_end(&w);
}

static void cancel_it(probe *p, const dqc_event *event) {
  world *w = (world *)p->data;
  probe *commit = p + 1;
  if (event->type == DQC_EVENT_DONE || commit->data != NULL) return;
  commit->data = w;
  CHECK_EQ(dqc_conn_cancel(w->conn, event->op), DQC_OK);
  OK(exec_async(w->conn, "COMMIT", commit));
}

/* Cancelled by the application, which need not be told of that. */
static void test_cancelled_ahead(int mode) {
  world w;
  probe p[2] = {{0}};
  world_begin(&w, mode, "big_result", 200000);
  set(w.config, "drain_timeout_era_d", "1m");
  world_connect(&w);
  until_exec(&w, "BEGIN");
  p[0].hook = cancel_it;
  p[0].data = &w;
  OK(query_async(w.conn, "SELECT n FROM t", &p[0]));
  until_done(&w, p, 2);
  CHECK_EQ(p[0].status, DQC_E_CANCELLED);
  CHECK_EQ(p[1].status, DQC_OK);
  world_end(&w);
}

static void test_failure_behind(int mode) {
  world w;
  probe p[4] = {{0}};
  dqc_call_options soon = {sizeof(soon), 0, 20};
  world_open(&w, mode, "delay", 80);
  until_exec(&w, "BEGIN");
  OK(exec_async(w.conn, "INSERT INTO t VALUES(1)", &p[0]));
  OK(exec_async(w.conn, "COMMIT", &p[1]));
  OK(dqc_conn_exec_async(w.conn, "DELETE FROM t", DQC_CSTR, NULL, 0, &soon, on_event, &p[2], NULL,
                         &error));
  OK(exec_async(w.conn, "COMMIT", &p[3]));
  until_done(&w, p, 4);
  CHECK(p[0].status == DQC_OK && p[1].status == DQC_OK && p[2].status == DQC_E_TIMEOUT);
  CHECK_EQ(p[3].status, DQC_E_SQL);
  CHECK_EQ(mock_server_sql_count(w.mock, "COMMIT"), 1);
  world_end(&w);
}

/* Nobody is told of failures of calls without a callback, but by the COMMIT that they stop. */
static void test_no_callback(int mode) {
  world w;
  probe p[2] = {{0}};
  world_open(&w, mode, "failure_prefix", 0);
  OK(query_async_silent(&w)); /* no transaction: of no interest */
  until_exec(&w, "BEGIN");
  until_exec(&w, "COMMIT");
  until_exec(&w, "BEGIN");
  OK(query_async_silent(&w));
  until_exec(&w, "INSERT INTO t VALUES(1)"); /* its event has been delivered to nobody */
  OK(exec_async(w.conn, "COMMIT", &p[0]));
  until_done(&w, p, 1);
  CHECK_EQ(p[0].status, DQC_E_SQL);
  CHECK_EQ(mock_server_sql_count(w.mock, "COMMIT"), 1);
  OK(exec_async(w.conn, "COMMIT", &p[1])); /* by who has been told now */
  until_done(&w, p, 2);
  CHECK_EQ(p[1].status, DQC_OK);
  world_end(&w);
}

/* One failure was told to a blocking caller, another one waits in the queue. */
static void test_two_queues(void) {
  world w;
  probe p = {0};
  dqc_rows *rows = NULL;
  world_open(&w, THREADED, "failure_prefix", 0);
  until_exec(&w, "BEGIN");
  OK(query_async(w.conn, "SELECT * FROM t", &p));
  CHECK(dqc_queue_wait(w.queue, 10000) > 0);
  FAILS(DQC_E_SQL,
        dqc_conn_query(w.conn, "SELECT * FROM u", DQC_CSTR, NULL, 0, NULL, &rows, &error));
  FAILS(DQC_E_SQL, dqc_conn_exec(w.conn, "COMMIT", DQC_CSTR, NULL, 0, NULL, NULL, &error));
  CHECK_EQ(mock_server_sql_count(w.mock, "COMMIT"), 0);
  until_done(&w, &p, 1);
  OK(dqc_conn_exec(w.conn, "COMMIT", DQC_CSTR, NULL, 0, NULL, NULL, &error));
  world_end(&w);
}

typedef struct freed {
  world *w;
  dqc_rows *rows;
  probe commit;
} freed;

static void free_and_commit(probe *p, const dqc_event *event) {
  freed *f = (freed *)p->data;
  (void)event;
  dqc_rows_free(f->rows);
  OK(exec_async(f->w->conn, "COMMIT", &f->commit));
}

/* A cursor that failed, and whose owner never looked. */
static void test_freed_in_a_callback(int mode) {
  world w;
  probe p = {0};
  freed f = {&w, NULL, {0}};
  world_open(&w, mode, "failure_late", 2);
  until_exec(&w, "BEGIN");
  ++g_inside;
  OK(dqc_conn_query(w.conn, "SELECT n FROM t", DQC_CSTR, NULL, 0, NULL, &f.rows, &error));
  --g_inside;
  p.hook = free_and_commit;
  p.data = &f;
  OK(exec_async(w.conn, "INSERT INTO t VALUES(1)", &p));
  until_done(&w, &p, 1);
  until_done(&w, &f.commit, 1);
  CHECK_EQ(f.commit.status, DQC_OK);
  world_end(&w);
}

/* The lease's next holder has nothing to do with failures that its last one was not told of. */
static void test_next_holder(void) {
  world w;
  probe p[3] = {{0}};
  world_begin(&w, THREADED, "failure_prefix", 0);
  set(w.config, "pool_max", "1");
  dqc_client *client = client_new(&w);
  dqc_conn *conn = lease(&w, client);
  OK(query_async(conn, "SELECT * FROM t", &p[0]));
  CHECK(dqc_queue_wait(w.queue, 10000) > 0);
  dqc_conn_free(conn);
  conn = NULL;
  OK(dqc_client_acquire(client, NULL, &conn, &error));
  OK(dqc_conn_exec(conn, "BEGIN", DQC_CSTR, NULL, 0, NULL, NULL, &error));
  OK(dqc_conn_exec(conn, "COMMIT", DQC_CSTR, NULL, 0, NULL, NULL, &error));
  until_done(&w, p, 1);
  OK(query_async(conn, "SELECT * FROM t", &p[1]));
  CHECK(dqc_queue_wait(w.queue, 10000) > 0);
  FAILS(DQC_E_SQL, dqc_conn_exec(conn, "COMMIT", DQC_CSTR, NULL, 0, NULL, NULL, &error));
  until_done(&w, p, 2);
  dqc_conn_free(conn);
  client_end(&w, client);
}

/* A result far larger than what is read ahead of its reader. */
static void begin_large(world *w, int mode, const char *buffer_max) {
  world_begin(w, mode, "big_result", 30000);
  set(w->config, "read_buffer", "4KiB");
  set(w->config, "high_water", "4KiB");
  set(w->config, "buffer_max", buffer_max);
  set(w->config, "timeout", "60s");
}

/* A held COMMIT, and a blocking call behind it, behind a cursor that nobody reads. */
static void test_behind_a_cursor(int mode) {
  world w;
  probe p = {0};
  dqc_rows *rows = NULL;
  begin_large(&w, mode, "64KiB");
  world_connect(&w);
  const int64_t start = now_ms();
  ++g_inside;
  OK(dqc_conn_query(w.conn, "SELECT n FROM t", DQC_CSTR, NULL, 0, NULL, &rows, &error));
  OK(exec_async(w.conn, "COMMIT", &p));
  FAILS(DQC_E_LIMIT,
        dqc_conn_exec(w.conn, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, NULL, NULL, &error));
  int64_t next = 0;
  while (dqc_rows_step(rows, NULL) == DQC_ROW) CHECK_EQ(dqc_rows_int64(rows, 0), next++);
  CHECK_EQ(next, 30000);
  dqc_rows_free(rows);
  --g_inside;
  until_done(&w, &p, 1);
  CHECK_EQ(p.status, DQC_E_SQL); /* no transaction; the call that was refused came behind it */
  CHECK_EQ(mock_server_sql_count(w.mock, "COMMIT"), 1);
  CHECK(now_ms() - start < 30000);
  world_end(&w);
}

/* A transaction's COMMIT, blocking, behind a cursor of its own that was not read to its end. */
static void test_tx_behind_a_cursor(int mode, const char *buffer_max, dqc_status expected) {
  world w;
  dqc_tx *tx = NULL;
  dqc_conn *conn = NULL;
  dqc_rows *rows = NULL;
  begin_large(&w, mode, buffer_max);
  dqc_client *client = client_new(&w);
  const int64_t start = now_ms();
  ++g_inside;
  OK(dqc_tx_new(client, NULL, &tx, &error));
  OK(dqc_tx_begin(tx, &conn, &error));
  OK(dqc_conn_query(conn, "SELECT n FROM t", DQC_CSTR, NULL, 0, NULL, &rows, &error));
  CHECK_EQ(dqc_rows_step(rows, NULL), DQC_ROW);
  CHECK_EQ(dqc_tx_commit(tx, NULL), expected);
  dqc_rows_free(rows);
  dqc_conn_free(conn);
  dqc_tx_free(tx);
  --g_inside;
  CHECK(now_ms() - start < 30000);
  CHECK_EQ(mock_server_sql_count(w.mock, "COMMIT"), expected == DQC_OK);
  client_end(&w, client);
}

int main(void) {
  setup(110);
  for (int mode = 0; mode < MODES; ++mode) {
    test_failure_ahead(mode);
    test_cancelled_ahead(mode);
    test_failure_behind(mode);
    test_no_callback(mode);
    if (mode == ATTACHED) continue; /* no blocking calls there */
    test_freed_in_a_callback(mode);
    test_behind_a_cursor(mode);
    test_tx_behind_a_cursor(mode, "64MiB", DQC_OK);
    test_tx_behind_a_cursor(mode, "64KiB", DQC_E_LIMIT);
  }
  test_two_queues();
  test_next_holder();
  return 0;
}
