/* SPDX-License-Identifier: MIT */
/* The blocking cursor, on a private driven loop and on a threaded one. */
#include <math.h>

#include "check.h"

static dqc_loop *loop;

static dqc_conn *open_conn(mock_server *mock, const char *key, const char *value) {
  dqc_config *config = config_for(mock);
  dqc_conn *conn = NULL;
  set(config, "read_buffer", "4KiB");
  set(config, "high_water", "4KiB");
  set(config, key, value);
  OK(dqc_conn_new(loop, NULL, config, &conn, &error));
  OK(dqc_conn_connect(conn, &error));
  dqc_config_free(config);
  return conn;
}

static dqc_rows *open_rows(dqc_conn *conn, const char *sql) {
  dqc_rows *rows = NULL;
  OK(dqc_conn_query(conn, sql, DQC_CSTR, NULL, 0, NULL, &rows, &error));
  return rows;
}

static int64_t count_rest(dqc_rows *rows, int64_t next) {
  while (dqc_rows_step(rows, NULL) == DQC_ROW) CHECK_EQ(dqc_rows_int64(rows, 0), next++);
  CHECK_EQ(dqc_rows_step(rows, NULL), DQC_END); /* again and again */
  return next;
}

static void test_small(void) {
  mock_server *mock = mock_server_start('D', "normal", 0);
  dqc_conn *conn = open_conn(mock, "timeout", "10s");
  dqc_rows *rows = open_rows(conn, "SELECT id, name FROM t");
  dqc_result result;
  size_t size = 0;
  CHECK(dqc_rows_cell(rows, 0) == NULL); /* no row yet */
  CHECK_EQ(dqc_rows_type(rows, 0), DQC_NULL);
  CHECK_EQ(dqc_rows_column_count(rows), 2);
  CHECK_STR(dqc_rows_column_name(rows, 1), "name");
  CHECK(dqc_rows_column_name(rows, 2) == NULL);
  CHECK_EQ(dqc_rows_step(rows, NULL), DQC_ROW);
  CHECK_EQ(dqc_rows_int64(rows, 0), 1);
  CHECK_STR(dqc_rows_text(rows, 1, &size), "one");
  CHECK_EQ(size, 3);
  CHECK(dqc_rows_text(rows, 0, &size) == NULL && size == 0);
  CHECK(dqc_rows_cell(rows, 2) == NULL);
  CHECK_EQ(dqc_rows_int64(rows, 1), 0); /* a text is no number */
  CHECK_EQ(dqc_rows_step(rows, NULL), DQC_ROW);
  CHECK_EQ(dqc_rows_step(rows, NULL), DQC_ROW);
  CHECK_EQ(dqc_rows_type(rows, 1), DQC_NULL);
  CHECK_EQ(dqc_rows_step(rows, NULL), DQC_END);
  CHECK(dqc_rows_cell(rows, 0) == NULL);
  dqc_rows_result(rows, &result);
  CHECK_EQ(result.statements, 1);
  dqc_rows_free(rows);
  rows = open_rows(conn, "INSERT INTO t VALUES(1)"); /* no rows, but a result */
  CHECK_EQ(dqc_rows_column_count(rows), 0);
  CHECK_EQ(dqc_rows_step(rows, NULL), DQC_END);
  dqc_rows_result(rows, &result);
  CHECK_EQ(result.has, DQC_HAS_ROWS_AFFECTED | DQC_HAS_LAST_INSERT_ID);
  CHECK_EQ(result.rows_affected, 1);
  dqc_rows_free(rows);
  dqc_conn_free(conn);
  mock_server_stop(mock);
}

static void test_conversions(void) {
  static const struct {
    double real;
    int64_t integer;
  } kReals[] = {{1.9, 1},
                {-1.9, -1},
                {1e300, INT64_MAX},
                {-1e300, INT64_MIN},
                {INFINITY, INT64_MAX},
                {-INFINITY, INT64_MIN},
                {9223372036854775808.0, INT64_MAX},
                {-9223372036854775808.0, INT64_MIN},
                {0.0, 0}};
  mock_server *mock = mock_server_start('D', "normal", 0);
  dqc_conn *conn = open_conn(mock, "timeout", "10s");
  for (size_t i = 0; i < sizeof(kReals) / sizeof(kReals[0]); ++i) {
    const dqc_value v[2] = {DQC_REAL(kReals[i].real), DQC_INT(-7)};
    dqc_rows *rows = NULL;
    OK(dqc_conn_query(conn, "SELECT ?, ?", DQC_CSTR, v, 2, NULL, &rows, &error));
    CHECK_EQ(dqc_rows_step(rows, NULL), DQC_ROW);
    CHECK_EQ(dqc_rows_type(rows, 0), DQC_FLOAT);
    CHECK_EQ(dqc_rows_int64(rows, 0), kReals[i].integer);
    CHECK(dqc_rows_double(rows, 0) == kReals[i].real);
    CHECK(dqc_rows_double(rows, 1) == -7.0);
    dqc_rows_free(rows);
  }
  const dqc_value v[2] = {DQC_BYTES("a\0b", 3), DQC_STR("")};
  dqc_rows *rows = NULL;
  size_t size = 0;
  OK(dqc_conn_query(conn, "SELECT ?, ?", DQC_CSTR, v, 2, NULL, &rows, &error));
  CHECK_EQ(dqc_rows_step(rows, NULL), DQC_ROW);
  CHECK_EQ(dqc_rows_type(rows, 0), DQC_BLOB);
  CHECK(memcmp(dqc_rows_text(rows, 0, &size), "a\0b", 3) == 0 && size == 3);
  CHECK(dqc_rows_text(rows, 1, &size) != NULL && size == 0);
  dqc_rows_free(rows);
  dqc_conn_free(conn);
  mock_server_stop(mock);
}

static void test_big(void) {
  enum { ROWS = 30000 };
  mock_server *mock = mock_server_start('D', "big_result", ROWS);
  dqc_conn *conn = open_conn(mock, "timeout", "30s");
  dqc_batch *batch = NULL, *kept[4] = {NULL};
  dqc_rows *rows = open_rows(conn, "SELECT n FROM t");
  CHECK_EQ(count_rest(rows, 0), ROWS);
  CHECK_EQ(dqc_rows_next_batch(rows, &batch, NULL), DQC_END);
  CHECK(batch == NULL);
  dqc_rows_free(rows);

  /* Batches and steps in turn: a batch begins behind what was stepped through, at the next batch.
   * */
  int64_t next = 0;
  rows = open_rows(conn, "SELECT n FROM t");
  for (int i = 0; i < 4; ++i) {
    CHECK_EQ(dqc_rows_next_batch(rows, &kept[i], NULL), DQC_ROW);
    CHECK(dqc_rows_cell(rows, 0) == NULL);
    CHECK_EQ(dqc_batch_cells(kept[i])[0].as.integer, next);
    next += (int64_t)dqc_batch_row_count(kept[i]);
  }
  CHECK_EQ(count_rest(rows, next), ROWS);
  dqc_rows_free(rows);
  dqc_conn_free(conn);
  mock_server_stop(mock);
  next = 0;
  for (int i = 0; i < 4; ++i) { /* they outlive the cursor and the connection */
    for (size_t r = 0; r < dqc_batch_row_count(kept[i]); ++r)
      CHECK_EQ(dqc_batch_cells(kept[i])[r].as.integer, next++);
    CHECK_EQ(dqc_batch_column_count(kept[i]), 1);
    CHECK_STR(dqc_batch_column_name(kept[i], 0, NULL), "n");
    dqc_batch_free(kept[i]);
  }
}

/* Other blocking calls while a cursor is half read: the rest of it is buffered. */
static void test_half_read(void) {
  enum { ROWS = 30000 };
  mock_server *mock = mock_server_start('D', "big_result", ROWS);
  dqc_conn *conn = open_conn(mock, "timeout", "30s");
  dqc_rows *first = open_rows(conn, "SELECT n FROM t");
  for (int i = 0; i < 100; ++i) CHECK_EQ(dqc_rows_step(first, NULL), DQC_ROW);
  OK(dqc_conn_exec(conn, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, NULL, NULL, &error));
  dqc_rows *second = open_rows(conn, "SELECT n FROM t");
  dqc_rows *third = open_rows(conn, "SELECT n FROM t");
  CHECK_EQ(count_rest(first, 100), ROWS);
  CHECK_EQ(count_rest(third, 0), ROWS);
  dqc_rows_free(third);
  CHECK_EQ(count_rest(second, 0), ROWS);
  dqc_rows_free(first);
  dqc_rows_free(second);
  dqc_conn_free(conn);
  mock_server_stop(mock);
}

/* Its rest does not fit: the other call fails at once, unsent, and the cursor goes on. */
static void test_half_read_too_large(void) {
  enum { ROWS = 30000 };
  mock_server *mock = mock_server_start('D', "big_result", ROWS);
  dqc_conn *conn = open_conn(mock, "buffer_max", "64KiB");
  dqc_rows *first = open_rows(conn, "SELECT n FROM t");
  for (int i = 0; i < 100; ++i) CHECK_EQ(dqc_rows_step(first, NULL), DQC_ROW);
  for (int i = 0; i < 2; ++i) {
    dqc_error *error = NULL;
    CHECK_EQ(dqc_conn_exec(conn, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, NULL, NULL, &error),
             DQC_E_LIMIT);
    CHECK_EQ(dqc_error_outcome(error), DQC_OUTCOME_NOT_EXECUTED);
    CHECK(strstr(dqc_error_message(error), "buffer_max") != NULL);
    dqc_error_free(error);
  }
  CHECK_EQ(mock_server_requests(mock, 8), 0);
  CHECK_EQ(count_rest(first, 100), ROWS);
  OK(dqc_conn_exec(conn, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, NULL, NULL, &error));
  dqc_rows_free(first);
  dqc_conn_free(conn);
  mock_server_stop(mock);
}

/* Era C: a message of ours goes out behind the first part, and the rest has come by then. What is
 * read on that occasion is as good as what a loop was woken for. */
static void test_read_while_writing(void) {
  enum { ROWS = 3000 };
  mock_server *mock = mock_server_start('C', "late_result", ROWS);
  dqc_conn *conn = open_conn(mock, "timeout", "60s");
  const int64_t start = now_ms();
  for (int i = 0; i < 5; ++i) {
    dqc_rows *rows = open_rows(conn, "SELECT n FROM t");
    CHECK_EQ(dqc_rows_step(rows, NULL), DQC_ROW);
    sleep_ms(60);
    CHECK_EQ(count_rest(rows, 1), ROWS);
    dqc_rows_free(rows);
  }
  CHECK(now_ms() - start < 4000); /* and not some timer's doing */
  dqc_conn_free(conn);
  mock_server_stop(mock);
}

static void test_free_in_midstream(void) {
  mock_server *mock = mock_server_start('D', "big_result", 20000);
  dqc_conn *conn = open_conn(mock, "timeout", "30s");
  for (int i = 0; i < 5; ++i) {
    dqc_rows *rows = open_rows(conn, "SELECT n FROM t");
    for (int k = 0; k < i * 30; ++k) CHECK_EQ(dqc_rows_step(rows, NULL), DQC_ROW);
    dqc_rows_free(rows);
    OK(dqc_conn_exec(conn, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, NULL, NULL, &error));
  }
  /* The cursor goes on after the connection's handle is gone, with a failure at some point. */
  dqc_rows *rows = open_rows(conn, "SELECT n FROM t");
  dqc_conn_free(conn);
  dqc_status status;
  while ((status = dqc_rows_step(rows, NULL)) == DQC_ROW) {
  }
  CHECK_EQ(status, DQC_E_CLOSED);
  FAILS(DQC_E_CLOSED, dqc_rows_step(rows, &error));
  dqc_rows_free(rows);
  mock_server_stop(mock);
}

/* One that nobody reads any more is no reason to hold a COMMIT back; one that failed unseen is. */
static void test_freed_before_commit(void) {
  mock_server *mock = mock_server_start('D', "big_result", 20000);
  dqc_conn *conn = open_conn(mock, "timeout", "30s");
  for (int i = 0; i < 3; ++i) {
    OK(dqc_conn_exec(conn, "BEGIN", DQC_CSTR, NULL, 0, NULL, NULL, &error));
    dqc_rows *rows = open_rows(conn, "SELECT n FROM t");
    CHECK_EQ(dqc_rows_step(rows, NULL), DQC_ROW);
    dqc_rows_free(rows);
    OK(dqc_conn_exec(conn, "COMMIT", DQC_CSTR, NULL, 0, NULL, NULL, &error));
  }
  dqc_conn_free(conn);
  mock_server_stop(mock);
  mock = mock_server_start('D', "failure_late", 2);
  conn = open_conn(mock, "timeout", "30s");
  OK(dqc_conn_exec(conn, "BEGIN", DQC_CSTR, NULL, 0, NULL, NULL, &error));
  dqc_rows *rows = open_rows(conn, "SELECT n FROM t");
  FAILS(DQC_E_SQL, dqc_conn_exec(conn, "COMMIT", DQC_CSTR, NULL, 0, NULL, NULL, &error));
  CHECK_EQ(mock_server_sql_count(mock, "COMMIT"), 0);
  CHECK_EQ(dqc_rows_step(rows, NULL), DQC_ROW);
  dqc_rows_free(rows); /* whoever does not read on knows what he does */
  OK(dqc_conn_exec(conn, "COMMIT", DQC_CSTR, NULL, 0, NULL, NULL, &error));
  dqc_conn_free(conn);
  mock_server_stop(mock);
}

static void test_failures(void) {
  mock_server *mock = mock_server_start('D', "failure_late", 2);
  dqc_conn *conn = open_conn(mock, "timeout", "10s");
  dqc_rows *rows = open_rows(conn, "SELECT n FROM t");
  int count = 0;
  dqc_status status;
  while ((status = dqc_rows_step(rows, NULL)) == DQC_ROW) ++count;
  CHECK_EQ(status, DQC_E_SQL);
  CHECK_EQ(count, 4);
  dqc_rows_free(rows);
  dqc_conn_free(conn);
  mock_server_stop(mock);
  mock = mock_server_start('D', "failure_prefix", 0);
  conn = open_conn(mock, "timeout", "10s");
  rows = (dqc_rows *)1;
  FAILS(DQC_E_SQL, dqc_conn_query(conn, "SELECT n FROM t", DQC_CSTR, NULL, 0, NULL, &rows, &error));
  CHECK(rows == NULL);
  dqc_conn_free(conn);
  mock_server_stop(mock);
}

static void test_admin(void) {
  mock_server *mock = mock_server_start('D', "normal", 0);
  dqc_conn *conn = open_conn(mock, "timeout", "10s");
  dqc_admin leader = {sizeof(leader), DQC_ADMIN_LEADER, 0, 0, NULL};
  dqc_rows *rows = NULL;
  OK(dqc_conn_admin(conn, &leader, NULL, &rows, &error));
  CHECK_EQ(dqc_rows_step(rows, NULL), DQC_ROW);
  CHECK_STR(dqc_rows_column_name(rows, 0), "id");
  CHECK_EQ(dqc_rows_step(rows, NULL), DQC_END);
  dqc_rows_free(rows);
  dqc_conn_free(conn);
  mock_server_stop(mock);
}

static void free_rows(probe *p, const dqc_event *event) {
  (void)event;
  dqc_rows_free((dqc_rows *)p->data);
}

/* A callback, which the blocking call itself runs, frees the cursor that it waits on. */
static void test_freed_by_callback(void) {
  world w;
  probe p = {0};
  dqc_conn *other = NULL;
  world_begin(&w, DRIVEN, "stalled_result", 3);
  world_connect(&w);
  mock_server *quick = mock_server_start('D', "normal", 0);
  dqc_config *config = config_for(quick);
  OK(dqc_conn_new(w.loop, NULL, config, &other, &error));
  OK(dqc_conn_connect(other, &error));
  dqc_rows *rows = open_rows(w.conn, "SELECT n FROM t");
  p.hook = free_rows;
  p.data = rows;
  OK(exec_async(other, "INSERT INTO t VALUES(1)", &p));
  dqc_status status = DQC_ROW;
  while (status == DQC_ROW) INSIDE(status = dqc_rows_step(rows, NULL));
  CHECK_EQ(status, DQC_E_CLOSED);
  CHECK_EQ(p.done, 1);
  mock_server_release(w.mock);
  ++g_inside;
  dqc_conn_free(other);
  --g_inside;
  dqc_config_free(config);
  mock_server_stop(quick);
  world_end(&w);
}

int main(void) {
  setup(80);
  for (int threaded = 0; threaded < 2; ++threaded) {
    g_case = threaded ? "threaded" : "private";
    if (threaded) OK(dqc_loop_new(DQC_LOOP_THREADED, &loop, &error));
    test_small();
    test_conversions();
    test_big();
    test_half_read();
    test_half_read_too_large();
    test_read_while_writing();
    test_free_in_midstream();
    test_freed_before_commit();
    test_failures();
    test_admin();
  }
  dqc_loop_free(loop);
  test_freed_by_callback();
  return 0;
}
