/* SPDX-License-Identifier: MIT */
/* Every accepted operation gets exactly one terminal event, on every path and in every mode;
 * callbacks run only inside the calls that the header names. */
#include "check.h"

enum { OPS = 8 };

static void release_stmt(probe *p) {
  dqc_stmt_free(p->stmt);
  p->stmt = NULL;
}

static void test_success(int mode) {
  world w;
  probe p[5] = {{0}};
  dqc_admin cluster = {sizeof(cluster), DQC_ADMIN_CLUSTER, 0, 0, NULL};
  world_open(&w, mode, "normal", 0);
  OK(exec_async(w.conn, "INSERT INTO t VALUES(1)", &p[0]));
  OK(query_async(w.conn, "SELECT * FROM t", &p[1]));
  OK(dqc_conn_script_async(w.conn, "INSERT INTO t VALUES(1); SELECT 1", DQC_CSTR, NULL, on_event,
                           &p[2], NULL, &error));
  OK(dqc_conn_prepare_async(w.conn, "SELECT 1", DQC_CSTR, NULL, on_event, &p[3], NULL, &error));
  OK(dqc_conn_admin_async(w.conn, &cluster, NULL, on_event, &p[4], NULL, &error));
  until_done(&w, p, 5);
  for (int i = 0; i < 5; ++i) CHECK_EQ(p[i].status, DQC_OK);
  CHECK_EQ(p[0].result.rows_affected, 1);
  CHECK_EQ(p[1].rows, 3);
  CHECK_EQ(p[2].result.statements, 2);
  CHECK(p[2].rows > 0);
  CHECK(p[3].stmt != NULL);
  release_stmt(&p[3]);
  CHECK_EQ(p[4].rows, 1);
  world_end(&w);
}

static void test_failures(int mode) {
  static const struct {
    const char *scenario;
    int query;
    dqc_status status;
  } kCases[] = {{"failure_prefix", 1, DQC_E_SQL},
                {"failure_late", 1, DQC_E_SQL},
                {"busy", 0, DQC_E_BUSY},
                {"leadership_lost", 0, DQC_E_LEADERSHIP_LOST},
                {"close_on_write", 0, DQC_E_NETWORK},
                {"reset_on_write", 0, DQC_E_NETWORK},
                {"reset_mid_rows", 1, DQC_E_NETWORK},
                {"bad_tag", 1, DQC_E_PROTOCOL},
                {"huge_header", 1, DQC_E_LIMIT}};
  for (size_t i = 0; i < sizeof(kCases) / sizeof(kCases[0]); ++i) {
    world w;
    probe p[2] = {{0}};
    world_open(&w, mode, kCases[i].scenario, 0);
    g_case = kCases[i].scenario;
    if (kCases[i].query) {
      OK(query_async(w.conn, "SELECT * FROM t", &p[0]));
    } else {
      OK(exec_async(w.conn, "INSERT INTO t VALUES(1)", &p[0]));
    }
    OK(exec_async(w.conn, "UPDATE u SET a = 1", &p[1])); /* behind it */
    until_done(&w, p, 2);
    CHECK_EQ(p[0].status, kCases[i].status);
    world_end(&w);
  }
}

static void test_cancel_at_once(int mode) {
  world w;
  probe p[OPS] = {{0}};
  uint64_t ops[OPS];
  world_open(&w, mode, "stall", 0);
  for (int i = 0; i < OPS; ++i) {
    OK(dqc_conn_exec_async(w.conn, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, NULL, on_event,
                           &p[i], &ops[i], &error));
  }
  for (int i = OPS - 1; i >= 0; --i) {
    CHECK_EQ(dqc_conn_cancel(w.conn, ops[i]), DQC_OK);
    CHECK_EQ(dqc_conn_cancel(w.conn, ops[i]), DQC_OK); /* twice is as good */
  }
  until_done(&w, p, OPS);
  for (int i = 0; i < OPS; ++i) {
    CHECK_EQ(p[i].status, DQC_E_CANCELLED);
    CHECK_EQ(p[i].op, ops[i]);
  }
  CHECK_EQ(dqc_conn_cancel(w.conn, ops[0]), DQC_OK);
  CHECK_EQ(dqc_conn_cancel(w.conn, 999999), DQC_OK);
  world_end(&w);
}

static void test_cancel_sent(int mode) {
  world w;
  probe p[2] = {{0}};
  uint64_t op = 0;
  world_open(&w, mode, "stall", 0);
  OK(dqc_conn_exec_async(w.conn, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, NULL, on_event,
                         &p[0], &op, &error));
  while (mock_server_requests(w.mock, 8) == 0) pump(&w);
  CHECK_EQ(dqc_conn_cancel(w.conn, op), DQC_OK);
  until_done(&w, p, 1);
  CHECK_EQ(p[0].status, DQC_E_CANCELLED);
  CHECK_EQ(p[0].outcome, DQC_OUTCOME_MAYBE_EXECUTED);
  mock_server_release(w.mock);
  OK(exec_async(w.conn, "INSERT INTO t VALUES(2)", &p[1])); /* behind what is drained */
  until_done(&w, p, 2);
  CHECK_EQ(p[1].status, DQC_OK);
  world_end(&w);
}

static void cancel_now(probe *p, const dqc_event *event) {
  if (event->type == DQC_EVENT_ROWS && p->batches == 1)
    CHECK_EQ(dqc_conn_cancel((dqc_conn *)p->data, event->op), DQC_OK);
}

static void test_cancel_streaming(int mode) {
  world w;
  probe p[2] = {{0}};
  world_begin(&w, mode, "big_result", 200000);
  set(w.config, "high_water", "16KiB");
  set(w.config, "drain_timeout_era_d", "1m");
  world_connect(&w);
  p[0].hook = cancel_now;
  p[0].data = w.conn;
  OK(query_async(w.conn, "SELECT * FROM t", &p[0]));
  OK(exec_async(w.conn, "INSERT INTO t VALUES(2)", &p[1]));
  until_done(&w, p, 2);
  CHECK_EQ(p[0].status, DQC_E_CANCELLED);
  CHECK(p[0].rows < 200000);
  CHECK_EQ(p[1].status, DQC_OK);
  world_end(&w);
}

/* A statement is freed on the server, however much waits. */
static void test_finalize_behind_a_full_queue(int mode) {
  enum { FINALIZE = 7 };
  world w;
  probe p[4] = {{0}};
  world_begin(&w, mode, "delay", 50);
  set(w.config, "queue_max", "1");
  world_connect(&w);
  OK(dqc_conn_prepare_async(w.conn, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, on_event, &p[0],
                            NULL, &error));
  until_done(&w, p, 1);
  OK(exec_async(w.conn, "BEGIN", &p[1]));
  sleep_ms(10);
  OK(exec_async(w.conn, "COMMIT", &p[2])); /* waits for the answer, and fills the queue */
  sleep_ms(10);
  ++g_inside;
  dqc_stmt_free(p[0].stmt);
  --g_inside;
  until_done(&w, p, 3);
  OK(exec_async(w.conn, "INSERT INTO t VALUES(1)", &p[3]));
  until_done(&w, p, 4);
  CHECK_EQ(mock_server_requests(w.mock, FINALIZE), 1);
  world_end(&w);
}

static void test_timeouts(int mode) {
  world w;
  probe p[4] = {{0}};
  dqc_call_options soon = {sizeof(soon), 0, 40};
  world_open(&w, mode, "stall", 0);
  for (int i = 0; i < 3; ++i) {
    OK(dqc_conn_exec_async(w.conn, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, &soon, on_event,
                           &p[i], NULL, &error));
  }
  until_done(&w, p, 3);
  for (int i = 0; i < 3; ++i) CHECK_EQ(p[i].status, DQC_E_TIMEOUT);
  world_end(&w);

  memset(p, 0, sizeof(p));
  world_begin(&w, mode, "stall_handshake", 0);
  set(w.config, "connect_timeout", "40ms");
  OK(dqc_conn_new(w.loop, w.queue, w.config, &w.conn, &error));
  OK(dqc_conn_connect_async(w.conn, on_event, &p[0], NULL, &error));
  OK(exec_async(w.conn, "INSERT INTO t VALUES(1)", &p[1]));
  until_done(&w, p, 2);
  CHECK_EQ(p[0].status, DQC_E_TIMEOUT);
  CHECK(p[1].status < 0);
  CHECK_EQ(dqc_conn_state(w.conn), DQC_STATE_CLOSED);
  world_end(&w);
}

static void test_refused(int mode) {
  world w;
  probe p[2] = {{0}};
  world_begin(&w, mode, "normal", 0);
  mock_server_set_down(w.mock, 1);
  OK(dqc_conn_new(w.loop, w.queue, w.config, &w.conn, &error));
  OK(dqc_conn_connect_async(w.conn, on_event, &p[0], NULL, &error));
  OK(exec_async(w.conn, "INSERT INTO t VALUES(1)", &p[1]));
  until_done(&w, p, 2);
  CHECK_EQ(p[0].status, DQC_E_CONNECT);
  CHECK_EQ(p[1].outcome, DQC_OUTCOME_NOT_EXECUTED);
  CHECK(p[1].status < 0);
  world_end(&w);
}

static void test_close(int mode) {
  world w;
  probe p[4] = {{0}};
  world_open(&w, mode, "stall", 0);
  OK(exec_async(w.conn, "INSERT INTO t VALUES(1)", &p[0]));
  OK(query_async(w.conn, "SELECT 1", &p[1]));
  while (mock_server_requests(w.mock, 8) == 0 || dqc_conn_state(w.conn) != DQC_STATE_READY)
    pump(&w);
  OK(dqc_conn_close_async(w.conn, on_event, &p[2], NULL, &error));
  OK(dqc_conn_close_async(w.conn, on_event, &p[3], NULL, &error));
  /* the answer of the first may not overtake the close */
  while (dqc_conn_state(w.conn) != DQC_STATE_CLOSING) pump(&w);
  mock_server_release(w.mock);
  until_done(&w, p, 4);
  CHECK_EQ(p[0].status, DQC_OK); /* it was sent: it keeps its right to an answer */
  CHECK_EQ(p[1].status, DQC_E_CLOSED);
  CHECK_EQ(p[2].status, DQC_OK);
  while (dqc_conn_state(w.conn) != DQC_STATE_CLOSED) pump(&w);
  memset(p, 0, sizeof(p));
  OK(dqc_conn_close_async(w.conn, on_event, &p[0], NULL, &error)); /* closed already */
  until_done(&w, p, 1);
  CHECK_EQ(p[0].status, DQC_OK);
  if (mode != THREADED) CHECK_EQ(exec_async(w.conn, "SELECT 1", &p[1]), DQC_E_CLOSED);
  world_end(&w);
}

/* Free with operations outstanding, at several points of their lives; then, or before, the loop. */
static void test_free(int mode, const char *scenario, int loop_too, int wait, int close_first) {
  world w;
  probe p[4] = {{0}};
  const int sent = strcmp(scenario, "stall") == 0;
  world_begin(&w, mode, scenario, 0);
  OK(dqc_conn_new(w.loop, w.queue, w.config, &w.conn, &error));
  OK(dqc_conn_connect_async(w.conn, on_event, &p[0], NULL, &error));
  OK(exec_async(w.conn, "INSERT INTO t VALUES(1)", &p[1]));
  OK(query_async(w.conn, "SELECT 1", &p[2]));
  if (wait && sent) {
    while (mock_server_requests(w.mock, 8) == 0) pump(&w);
  } else if (wait) {
    for (int i = 0; i < 5; ++i) pump(&w);
  }
  if (close_first) {
    OK(dqc_conn_close_async(w.conn, on_event, &p[3], NULL, &error));
  } else {
    p[3].done = 1;
  }
  if (loop_too) {
    dqc_loop_free(w.loop);
    w.loop = NULL;
  }
  ++g_inside;
  dqc_conn_free(w.conn);
  --g_inside;
  w.conn = NULL;
  if (mode == DRIVEN && loop_too) { /* the last handle: nobody can run the loop any more */
    for (int i = 0; i < 4; ++i) CHECK_EQ(p[i].done, 1);
  } else {
    if (close_first) mock_server_release(w.mock);
    until_done(&w, p, 4);
  }
  mock_server_release(w.mock);
  world_end(&w);
}

static void test_private_loop(void) {
  mock_server *mock = mock_server_start('D', "stall", 0);
  dqc_config *config = config_for(mock);
  dqc_conn *conn = NULL;
  probe p[2] = {{0}};
  g_case = "private";
  OK(dqc_conn_new(NULL, NULL, config, &conn, &error));
  ++g_inside;
  OK(dqc_conn_connect(conn, &error));
  --g_inside;
  OK(exec_async(conn, "INSERT INTO t VALUES(1)", &p[0]));
  OK(query_async(conn, "SELECT 1", &p[1]));
  ++g_inside;
  dqc_conn_free(conn);
  --g_inside;
  CHECK_EQ(p[0].done, 1);
  CHECK_EQ(p[1].done, 1);
  dqc_config_free(config);
  mock_server_stop(mock);
}

static void test_queue_freed(void) {
  world w;
  probe p[3] = {{0}};
  world_open(&w, THREADED, "normal", 0);
  for (int i = 0; i < 3; ++i) OK(query_async(w.conn, "SELECT * FROM t", &p[i]));
  dqc_queue_free(w.queue);
  w.queue = NULL;
  OK(dqc_conn_exec(w.conn, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, NULL, NULL, &error));
  for (int i = 0; i < 3; ++i) CHECK_EQ(p[i].done, 0);
  world_end(&w);
}

static void test_close_then_connect(int mode) {
  world w;
  probe p[2] = {{0}};
  world_begin(&w, mode, "normal", 0);
  OK(dqc_conn_new(w.loop, w.queue, w.config, &w.conn, &error));
  OK(dqc_conn_close_async(w.conn, on_event, &p[0], NULL, &error));
  if (dqc_conn_connect_async(w.conn, on_event, &p[1], NULL, NULL) != DQC_OK) p[1].done = 1;
  until_done(&w, p, 2);
  CHECK(p[1].status == DQC_E_CLOSED || p[1].op == 0);
  CHECK_EQ(dqc_conn_state(w.conn), DQC_STATE_CLOSED);
  world_end(&w);
}

int main(void) {
  setup(170);
  for (int mode = 0; mode < MODES; ++mode) {
    test_success(mode);
    test_failures(mode);
    test_cancel_at_once(mode);
    test_cancel_sent(mode);
    test_cancel_streaming(mode);
    test_finalize_behind_a_full_queue(mode);
    test_timeouts(mode);
    test_refused(mode);
    test_close(mode);
    test_close_then_connect(mode);
    for (int bits = 0; bits < 8; ++bits) {
      test_free(mode, "stall", bits & 1, (bits & 2) != 0, (bits & 4) != 0);
      test_free(mode, "stall_handshake", bits & 1, (bits & 2) != 0, (bits & 4) != 0);
      test_free(mode, "normal", bits & 1, (bits & 2) != 0, (bits & 4) != 0);
    }
  }
  test_private_loop();
  test_queue_freed();
  return 0;
}
