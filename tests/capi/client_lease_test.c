/* SPDX-License-Identifier: MIT */
/* Leased connections: taken, given back in every way, clean for the next; and clients inside
 * callbacks and child processes. */
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client_check.h"

#define INSIDE_OK(call) \
  do {                  \
    ++g_inside;         \
    OK(call);           \
    --g_inside;         \
  } while (0)

static void test_use(int mode) {
  world w;
  probe p[3] = {{0}};
  dqc_client *client = client_open(&w, mode, "normal", 0);
  dqc_conn *conn = lease(&w, client);
  CHECK_EQ(dqc_conn_state(conn), DQC_STATE_READY);
  CHECK_EQ(dqc_conn_era(conn), 'D');
  CHECK(strncmp(dqc_conn_address(conn), "127.0.0.1:", 10) == 0);
  UNTIL(&w, stats_of(client).leased == 1); /* counted a moment after the event */
  OK(exec_async(conn, "INSERT INTO t VALUES(1)", &p[0]));
  OK(query_async(conn, "SELECT * FROM t", &p[1]));
  until_done(&w, p, 2);
  CHECK(p[0].status == DQC_OK && p[1].rows == 3);
  give_back(conn);
  UNTIL(&w, stats_of(client).leased == 0 && stats_of(client).idle == 1);
  conn = lease(&w, client); /* the same one again */
  OK(exec_async(conn, "INSERT INTO t VALUES(1)", &p[2]));
  until_done(&w, p, 3);
  give_back(conn);
  CHECK_EQ(mock_server_connections(w.mock), 1);
  client_end(&w, client);
}

/* A transaction left open is rolled back; without one, nothing is sent. */
static void test_rollback(int mode) {
  static const char *const kLeft[][2] = {{"BEGIN", "1"},
                                         {"BEGIN IMMEDIATE", "1"},
                                         {"SAVEPOINT a", "1"},
                                         {"BEGIN; SELECT 1", "1"},
                                         {"BEGIN; COMMIT", "?"},
                                         {"INSERT INTO t VALUES(1)", "0"},
                                         {"/* BEGIN */ UPDATE t SET x = 1", "0"}};
  for (size_t i = 0; i < sizeof(kLeft) / sizeof(kLeft[0]); ++i) {
    world w;
    probe p[2] = {{0}};
    dqc_client *client = client_open(&w, mode, "normal", 0);
    g_case = kLeft[i][0];
    dqc_conn *conn = lease(&w, client);
    if (strchr(kLeft[i][0], ';') == NULL) {
      OK(query_async(conn, kLeft[i][0], &p[0]));
    } else {
      OK(dqc_conn_script_async(conn, kLeft[i][0], DQC_CSTR, NULL, on_event, &p[0], NULL, &error));
    }
    until_done(&w, p, 1);
    CHECK_EQ(p[0].status, DQC_OK);
    give_back(conn);
    UNTIL(&w, stats_of(client).leased == 0);
    OK(c_exec(client, "INSERT INTO t VALUES(2)", &p[1]));
    until_done(&w, p, 2);
    const uint64_t rollbacks = mock_server_sql_count(w.mock, "ROLLBACK");
    if (kLeft[i][1][0] == '1') CHECK_EQ(rollbacks, 1);
    if (kLeft[i][1][0] == '0') CHECK_EQ(rollbacks, 0);
    CHECK_EQ(mock_server_connections(w.mock), 1);
    client_end(&w, client);
  }
}

/* What was made on it ends with the lease. */
static void test_kept_statement(int mode) {
  world w;
  probe p[4] = {{0}};
  dqc_client *client = client_open(&w, mode, "normal", 0);
  dqc_conn *conn = lease(&w, client);
  OK(dqc_conn_prepare_async(conn, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, on_event, &p[0], NULL,
                            &error));
  until_done(&w, p, 1);
  CHECK(p[0].stmt != NULL);
  OK(dqc_stmt_exec_async(p[0].stmt, NULL, 0, NULL, on_event, &p[1], NULL, &error));
  until_done(&w, p, 2);
  give_back(conn);
  const uint64_t execs = mock_server_requests(w.mock, 5);
  FAILS(DQC_E_CLOSED, dqc_stmt_exec_async(p[0].stmt, NULL, 0, NULL, on_event, &p[2], NULL, &error));
  if (mode != ATTACHED) INSIDE_OK(dqc_client_connect(client, NULL, &error));
  OK(c_exec(client, "INSERT INTO t VALUES(2)", &p[3]));
  until_done(&w, &p[3], 1);
  CHECK_EQ(mock_server_requests(w.mock, 5), execs);
  CHECK_EQ(p[2].done, 0);
  dqc_stmt_free(p[0].stmt);
  client_end(&w, client);
}

static void stop_stream(probe *p, const dqc_event *event) {
  if (event->type == DQC_EVENT_ROWS && p->batches == 1)
    CHECK_EQ(dqc_conn_pause((dqc_conn *)p->data, event->op, 1), DQC_OK);
}

/* A stream left half-read: it ends, and the connection serves others. */
static void test_half_read(int mode) {
  world w;
  probe p[3] = {{0}};
  world_begin(&w, mode, "big_result", 200000);
  set(w.config, "high_water", "16KiB");
  set(w.config, "drain_timeout_era_d", "1m");
  set(w.config, "pool_max", "1");
  dqc_client *client = client_new(&w);
  dqc_conn *conn = lease(&w, client);
  p[0].hook = stop_stream;
  p[0].data = conn;
  OK(query_async(conn, "SELECT * FROM t", &p[0]));
  UNTIL(&w, p[0].batches > 0);
  OK(exec_async(conn, "INSERT INTO t VALUES(1)", &p[1])); /* behind it */
  p[0].hook = NULL;
  give_back(conn);
  until_done(&w, p, 2);
  CHECK(p[0].status == DQC_E_CANCELLED || p[0].status == DQC_E_CLOSED);
  CHECK(p[1].status == DQC_E_CANCELLED || p[1].status == DQC_E_CLOSED);
  OK(c_exec(client, "INSERT INTO t VALUES(2)", &p[2]));
  until_done(&w, p, 3);
  CHECK_EQ(p[2].status, DQC_OK);
  client_end(&w, client);
}

/* A lease that nobody took: its event is discarded with the queue or the loop. See also
 * client_terminal_test.c. */
static void test_untaken(int mode) {
  world w;
  dqc_client *client = client_open(&w, mode, "normal", 0);
  OK(dqc_client_acquire_async(client, NULL, NULL, NULL, NULL, &error));
  UNTIL(&w, stats_of(client).completed == 1);
  UNTIL(&w, stats_of(client).leased == 0 && stats_of(client).idle == 1);
  client_end(&w, client);
}

/* The client goes first; leases live on. */
static void test_outlives(int mode, int close, int loop_too) {
  world w;
  probe p[3] = {{0}};
  dqc_call_options soon = {sizeof(soon), 0, 80};
  dqc_client *client = client_open(&w, mode, "normal", 0);
  dqc_conn *conn = lease(&w, client);
  if (close) {
    OK(dqc_client_close_async(client, &soon, on_event, &p[0], NULL, &error));
    const int64_t start = now_ms();
    until_done(&w, p, 1); /* never given back: by the deadline */
    CHECK(now_ms() - start >= 70);
    CHECK_EQ(p[0].status, DQC_OK);
  }
  if (loop_too) {
    dqc_loop_free(w.loop);
    w.loop = NULL;
  }
  ++g_inside;
  dqc_client_free(client);
  --g_inside;
  if (!loop_too) {
    for (int i = 0; i < 20; ++i) pump(&w);
    const dqc_status status = exec_async(conn, "INSERT INTO t VALUES(1)", &p[1]);
    if (status == DQC_OK) {
      until_done(&w, &p[1], 1);
      CHECK(p[1].status == DQC_OK || p[1].status == DQC_E_CLOSED);
    } else {
      CHECK_EQ(status, DQC_E_CLOSED);
    }
  }
  give_back(conn);
  world_end(&w);
}

/* Given back while the client waits for exactly that. */
static void test_close_waits(int mode) {
  world w;
  probe p[2] = {{0}};
  dqc_client *client = client_open(&w, mode, "normal", 0);
  dqc_conn *conn = lease(&w, client);
  OK(dqc_client_close_async(client, NULL, on_event, &p[0], NULL, &error));
  for (int i = 0; i < 20; ++i) pump(&w);
  CHECK_EQ(p[0].done, 0);
  OK(exec_async(conn, "INSERT INTO t VALUES(1)", &p[1])); /* still usable */
  until_done(&w, &p[1], 1);
  CHECK_EQ(p[1].status, DQC_OK);
  give_back(conn);
  until_done(&w, p, 1);
  CHECK_EQ(p[0].status, DQC_OK);
  client_end(&w, client);
}

/* The application closes the leased connection itself, or it breaks: the pool makes another. */
static void test_closed_lease(int mode) {
  world w;
  probe p[2] = {{0}};
  dqc_client *client = client_open(&w, mode, "normal", 0);
  dqc_conn *conn = lease(&w, client);
  OK(dqc_conn_close_async(conn, on_event, &p[0], NULL, &error));
  until_done(&w, p, 1);
  give_back(conn);
  OK(c_exec(client, "INSERT INTO t VALUES(1)", &p[1]));
  until_done(&w, p, 2);
  CHECK_EQ(p[1].status, DQC_OK);
  UNTIL(&w, stats_of(client).leased == 0);
  CHECK_EQ(mock_server_connections(w.mock), 2);
  conn = lease(&w, client);
  mock_server_set_down(w.mock, 1);
  mock_server_set_down(w.mock, 0);
  give_back(conn);
  memset(p, 0, sizeof(p));
  OK(c_exec(client, "INSERT INTO t VALUES(1)", &p[0]));
  until_done(&w, p, 1);
  CHECK(p[0].status == DQC_OK || p[0].status == DQC_E_NETWORK);
  client_end(&w, client);
}

typedef struct bag {
  world *w;
  dqc_client *client;
  probe inner[5];
  int runs;
} bag;

static void use_inside(probe *p, const dqc_event *event) {
  bag *b = (bag *)p->data;
  dqc_conn *conn = (dqc_conn *)1;
  dqc_rows *rows = (dqc_rows *)1;
  if (event->type != DQC_EVENT_DONE || b->runs++ > 0) return;
  if (b->w->mode == THREADED) {
    OK(dqc_client_exec(b->client, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, NULL, NULL,
                       &error));
    OK(dqc_client_acquire(b->client, NULL, &conn, &error));
    dqc_conn_free(conn);
  } else {
    FAILS(DQC_E_MISUSE, dqc_client_exec(b->client, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0,
                                        NULL, NULL, &error));
    FAILS(DQC_E_MISUSE,
          dqc_client_query(b->client, "SELECT 1", DQC_CSTR, NULL, 0, NULL, &rows, &error));
    CHECK(rows == NULL);
    FAILS(DQC_E_MISUSE, dqc_client_script(b->client, "SELECT 1", DQC_CSTR, NULL, NULL, &error));
    FAILS(DQC_E_MISUSE, dqc_client_acquire(b->client, NULL, &conn, &error));
    CHECK(conn == NULL);
    FAILS(DQC_E_MISUSE, dqc_client_connect(b->client, NULL, &error));
    FAILS(DQC_E_MISUSE, dqc_client_close(b->client, NULL, &error));
  }
  OK(c_exec(b->client, "INSERT INTO t VALUES(1)", &b->inner[0]));
  OK(c_query(b->client, "SELECT * FROM t", &b->inner[1]));
  OK(dqc_client_acquire_async(b->client, NULL, NULL, NULL, NULL, &error));
  OK(dqc_client_connect_async(b->client, NULL, on_event, &b->inner[2], NULL, &error));
  OK(dqc_client_exec_async(b->client, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, NULL, on_event,
                           &b->inner[3], &b->inner[3].op, &error));
  CHECK_EQ(dqc_client_cancel(b->client, b->inner[3].op), DQC_OK);
}

static void test_inside(int mode) {
  world w;
  bag b = {0};
  probe p = {0};
  b.w = &w;
  b.client = client_open(&w, mode, "normal", 0);
  p.hook = use_inside;
  p.data = &b;
  OK(c_exec(b.client, "INSERT INTO t VALUES(1)", &p));
  until_done(&w, &p, 1);
  until_done(&w, b.inner, 4);
  client_end(&w, b.client);
}

static void free_inside(probe *p, const dqc_event *event) {
  bag *b = (bag *)p->data;
  if (event->conn != NULL) dqc_conn_free(event->conn);
  if (b->runs++ > 0) return;
  dqc_client_free(b->client);
  dqc_loop_free(b->w->loop);
  b->w->loop = NULL;
}

/* The client and the loop are freed inside the first event's callback. */
static void test_free_inside(int mode, int acquire) {
  world w;
  bag b = {0};
  probe p[4] = {{0}};
  b.w = &w;
  b.client = client_open(&w, mode, "normal", 0);
  for (int i = 0; i < 4; ++i) p[i].hook = free_inside, p[i].data = &b;
  if (acquire) {
    OK(dqc_client_acquire_async(b.client, NULL, on_event, &p[0], NULL, &error));
  } else {
    OK(dqc_client_connect_async(b.client, NULL, on_event, &p[0], NULL, &error));
  }
  OK(c_exec(b.client, "INSERT INTO t VALUES(1)", &p[1]));
  OK(c_query(b.client, "SELECT 1", &p[2]));
  OK(dqc_client_acquire_async(b.client, NULL, on_event, &p[3], NULL, &error));
  UNTIL(&w, b.runs > 0 || w.loop == NULL);
  if (mode == DRIVEN) {
    for (int i = 0; i < 4; ++i) CHECK_EQ(p[i].done, 1);
  } else {
    until_done(&w, p, 4);
  }
  world_end(&w);
}

#define CHILD(condition)                          \
  do {                                            \
    if (!(condition)) _exit(__LINE__ % 200 + 50); \
  } while (0)

static void child(world *w, dqc_client *client, dqc_conn *conn, dqc_tx *tx) {
  dqc_conn *other = (dqc_conn *)1;
  dqc_tx *another = (dqc_tx *)1;
  const dqc_node node = {1, "127.0.0.1:1", DQC_ROLE_VOTER, 0};
  probe p = {0};
  alarm(20);
  CHILD(c_exec(client, "SELECT 1", &p) == DQC_E_FORKED);
  CHILD(dqc_client_exec(client, "SELECT 1", DQC_CSTR, NULL, 0, NULL, NULL, NULL) == DQC_E_FORKED);
  CHILD(dqc_client_connect(client, NULL, NULL) == DQC_E_FORKED);
  CHILD(dqc_client_acquire(client, NULL, &other, NULL) == DQC_E_FORKED && other == NULL);
  CHILD(dqc_client_close(client, NULL, NULL) == DQC_E_FORKED);
  CHILD(dqc_client_cancel(client, 1) == DQC_E_FORKED);
  CHILD(dqc_client_pause(client, 1, 0) == DQC_E_FORKED);
  CHILD(dqc_client_set_nodes(client, &node, 1, NULL) == DQC_E_FORKED);
  CHILD(dqc_client_leader(client, NULL, 0) == 0);
  CHILD(stats_of(client).submitted == 0);
  CHILD(exec_async(conn, "SELECT 1", &p) == DQC_E_FORKED);
  CHILD(dqc_tx_new(client, NULL, &another, NULL) == DQC_E_FORKED && another == NULL);
  CHILD(dqc_tx_begin_async(tx, NULL, NULL, NULL, NULL) == DQC_E_FORKED);
  CHILD(dqc_tx_commit_async(tx, NULL, NULL, NULL, NULL) == DQC_E_FORKED);
  CHILD(dqc_tx_rollback_async(tx, NULL, NULL, NULL, NULL, NULL) == DQC_E_FORKED);
  CHILD(dqc_tx_begin(tx, &other, NULL) == DQC_E_FORKED && other == NULL);
  CHILD(dqc_tx_commit(tx, NULL) == DQC_E_FORKED);
  CHILD(dqc_tx_rollback(tx, NULL, NULL) == DQC_E_FORKED);
  dqc_tx_free(tx);
  dqc_client_free(client);
  dqc_conn_free(conn);
  dqc_loop_free(w->loop);
  dqc_queue_free(w->queue);
  dqc_config_free(w->config);
  _exit(0);
}

static void test_fork(int mode) {
  world w;
  probe p[2] = {{0}};
  int status = 0;
  dqc_client *client = client_open(&w, mode, "normal", 0);
  dqc_conn *conn = lease(&w, client);
  dqc_tx *tx = NULL;
  OK(dqc_tx_new(client, NULL, &tx, &error));
  const pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) child(&w, client, conn, tx);
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
  OK(exec_async(conn, "INSERT INTO t VALUES(1)", &p[0])); /* the parent's goes on */
  OK(c_exec(client, "INSERT INTO t VALUES(1)", &p[1]));
  until_done(&w, p, 2);
  CHECK(p[0].status == DQC_OK && p[1].status == DQC_OK);
  dqc_tx_free(tx);
  give_back(conn);
  client_end(&w, client);
}

static void *free_elsewhere(void *conn) {
  dqc_conn_free(conn);
  return NULL;
}

/* On the thread of a driven loop the transaction of a lease is rolled back in the free itself; from
 * another thread, as soon as the loop runs. */
static void test_given_back_elsewhere(void) {
  world w;
  dqc_client *client = client_open(&w, 0, "normal", 0);
  for (uint64_t i = 0; i < 20; ++i) {
    probe p[2] = {{0}};
    pthread_t thread;
    dqc_conn *conn = lease(&w, client);
    OK(exec_async(conn, "BEGIN", &p[0]));
    until_done(&w, p, 1);
    if (i % 2 == 0) {
      CHECK_EQ(pthread_create(&thread, NULL, free_elsewhere, conn), 0);
      OK(c_query(client, "SELECT 1", &p[1]));
      until_done(&w, p, 2);
      CHECK_EQ(pthread_join(thread, NULL), 0);
      UNTIL(&w, stats_of(client).leased == 0);
      continue;
    }
    dqc_conn_free(conn);
    for (int ms = 0; mock_server_sql_count(w.mock, "ROLLBACK") < i + 1; ++ms) {
      CHECK(ms < 5000);
      usleep(1000); /* the loop does not run */
    }
  }
  client_end(&w, client);
}

typedef struct {
  world *w;
  dqc_client *client;
} handed_over;

static void *use_client(void *arg) {
  const handed_over *h = arg;
  for (int i = 0; i < 20; ++i) {
    probe p = {0};
    OK(c_exec(h->client, "INSERT INTO t VALUES(1)", &p));
    until_done(h->w, &p, 1);
    CHECK_EQ(p.status, DQC_OK);
  }
  return NULL;
}

/* Another thread drives from now on, while this one frees. */
static void test_loop_moves(void) {
  world w;
  dqc_client *client = client_open(&w, 0, "normal", 0);
  for (int i = 0; i < 10; ++i) {
    handed_over h = {&w, client};
    probe p = {0};
    pthread_t thread;
    dqc_conn *conn = lease(&w, client);
    OK(exec_async(conn, "BEGIN", &p));
    until_done(&w, &p, 1);
    CHECK_EQ(pthread_create(&thread, NULL, use_client, &h), 0);
    dqc_conn_free(conn);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    UNTIL(&w, stats_of(client).leased == 0);
  }
  client_end(&w, client);
}

typedef struct last {
  world w;
  dqc_client *client;
  dqc_conn *conn;
  probe connected, leased, late;
} last;

static void free_all(probe *p, const dqc_event *event) {
  last *l = (last *)p->data;
  (void)event;
  dqc_client_free(l->client);
  dqc_loop_free(l->w.loop);
}

static void take_last(probe *p, const dqc_event *event) {
  last *l = (last *)p->data;
  CHECK(event->conn != NULL);
  l->conn = event->conn;
  OK(query_async(l->conn, "SELECT n FROM t", &l->late));
}

/* An event behind the free of all handles hands out a lease: the loop is its owner's again. */
static void test_behind_the_last_free(void) {
  last l;
  memset(&l, 0, sizeof(l));
  world_begin(&l.w, DRIVEN, "big_result", 300000);
  l.client = client_new(&l.w);
  dqc_loop *const loop = l.w.loop;
  ++g_inside;
  OK(dqc_client_connect(l.client, NULL, &error));
  l.connected.hook = free_all;
  l.leased.hook = take_last;
  l.connected.data = l.leased.data = &l;
  OK(dqc_client_connect_async(l.client, NULL, on_event, &l.connected, NULL, &error));
  OK(dqc_client_acquire_async(l.client, NULL, on_event, &l.leased, NULL, &error));
  OK(dqc_loop_run(loop, DQC_RUN_NOWAIT, &error));
  CHECK(l.conn != NULL);
  CHECK(dqc_conn_exec(l.conn, "INSERT INTO t VALUES(2)", DQC_CSTR, NULL, 0, NULL, NULL, NULL) !=
        DQC_OK); /* its client is gone */
  CHECK_EQ(l.late.done, 1);
  dqc_conn_free(l.conn);
  --g_inside;
  dqc_config_free(l.w.config);
  mock_server_stop(l.w.mock);
  expect_left(l.w.threads_before, l.w.descriptors_before);
}

int main(void) {
  setup(120);
  test_given_back_elsewhere();
  test_loop_moves();
  for (int mode = 0; mode < MODES; ++mode) {
    test_use(mode);
    test_rollback(mode);
    test_kept_statement(mode);
    test_half_read(mode);
    test_untaken(mode);
    for (int bits = 0; bits < 4; ++bits) test_outlives(mode, bits & 1, bits & 2);
    test_close_waits(mode);
    test_closed_lease(mode);
    test_inside(mode);
    test_free_inside(mode, 0);
    test_free_inside(mode, 1);
    test_fork(mode);
  }
  test_behind_the_last_free();
  return 0;
}
