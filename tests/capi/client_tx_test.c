/* SPDX-License-Identifier: MIT */
/* Transactions of a client: one terminal event on every path, handles freed in any order, misuse told,
 * on every kind of loop. What they do to data is for the live tests. */
#include <sys/wait.h>

#include "client_check.h"

static dqc_tx *tx_new(dqc_client *client) {
  dqc_tx *tx = NULL;
  OK(dqc_tx_new(client, NULL, &tx, &error));
  return tx;
}

static void tx_end(dqc_tx *tx) {
  ++g_inside;
  dqc_tx_free(tx);
  --g_inside;
}

static dqc_conn *begin(world *w, dqc_tx *tx) {
  dqc_conn *conn = NULL;
  probe p = {0};
  p.hook = take_lease;
  p.data = &conn;
  OK(dqc_tx_begin_async(tx, on_event, &p, NULL, &error));
  until_done(w, &p, 1);
  CHECK_EQ(p.status, DQC_OK);
  CHECK(conn != NULL);
  return conn;
}

static char g_message[512];

static void keep_message(probe *p, const dqc_event *event) {
  (void)p;
  snprintf(g_message, sizeof(g_message), "%s", dqc_error_message(event->error));
}

static void test_commit(int mode) {
  world w;
  probe p[2] = {{0}};
  dqc_client *client = client_open(&w, mode, "normal", 0);
  dqc_tx *tx = tx_new(client);
  dqc_conn *conn = begin(&w, tx);
  OK(exec_async(conn, "INSERT INTO t VALUES(1)", &p[0]));
  OK(dqc_tx_commit_async(tx, on_event, &p[1], NULL, &error));
  FAILS(DQC_E_CLOSED, dqc_conn_exec_async(conn, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, NULL,
                                          NULL, NULL, NULL, &error));
  FAILS(DQC_E_MISUSE, dqc_tx_commit_async(tx, NULL, NULL, NULL, &error));
  FAILS(DQC_E_MISUSE, dqc_tx_begin_async(tx, NULL, NULL, NULL, &error));
  until_done(&w, p, 2);
  CHECK(p[0].status == DQC_OK && p[1].status == DQC_OK);
  CHECK_EQ(mock_server_sql_count(w.mock, "BEGIN IMMEDIATE"), 1);
  CHECK_EQ(mock_server_sql_count(w.mock, "COMMIT"), 1);
  CHECK_EQ(mock_server_sql_count(w.mock, "ROLLBACK"), 0);
  FAILS(DQC_E_MISUSE, dqc_tx_rollback_async(tx, NULL, NULL, NULL, NULL, &error));
  UNTIL(&w, stats_of(client).leased == 0);
  give_back(conn);
  tx_end(tx);
  client_end(&w, client);
}

/* What was sent ahead of COMMIT failed, and the application did not know when it asked for COMMIT. */
static void test_held_back(int mode) {
  world w;
  probe p[4] = {{0}};
  dqc_client *client = client_open(&w, mode, "failure_prefix", 0);
  dqc_tx *tx = tx_new(client);
  dqc_conn *conn = begin(&w, tx);
  OK(exec_async(conn, "INSERT INTO t VALUES(1)", &p[0]));
  OK(query_async(conn, "SELECT * FROM t", &p[1]));
  OK(exec_async(conn, "INSERT INTO t VALUES(2)", &p[2]));
  p[3].hook = keep_message;
  OK(dqc_tx_commit_async(tx, on_event, &p[3], NULL, &error));
  until_done(&w, p, 4);
  CHECK(p[0].status == DQC_OK && p[1].status == DQC_E_SQL && p[2].status == DQC_OK);
  CHECK_EQ(p[3].status, DQC_E_SQL);
  CHECK_EQ(p[3].outcome, DQC_OUTCOME_NOT_EXECUTED);
  CHECK(strstr(g_message, "COMMIT was not sent") != NULL);
  CHECK(strstr(g_message, "integer overflow") != NULL);
  UNTIL(&w, mock_server_sql_count(w.mock, "ROLLBACK") == 1);
  CHECK_EQ(mock_server_sql_count(w.mock, "COMMIT"), 0);
  give_back(conn);
  tx_end(tx);

  tx = tx_new(client);
  conn = begin(&w, tx);
  memset(p, 0, sizeof(p));
  OK(query_async(conn, "SELECT * FROM t", &p[0]));
  until_done(&w, p, 1); /* told: what to do about it is the application's */
  OK(exec_async(conn, "INSERT INTO t VALUES(3)", &p[1]));
  OK(dqc_tx_commit_async(tx, on_event, &p[2], NULL, &error));
  until_done(&w, p, 3);
  CHECK(p[0].status == DQC_E_SQL && p[1].status == DQC_OK && p[2].status == DQC_OK);
  CHECK_EQ(mock_server_sql_count(w.mock, "COMMIT"), 1);
  give_back(conn);
  tx_end(tx);
  client_end(&w, client);
}

static void test_rollback(int mode) {
  world w;
  probe p[3] = {{0}};
  dqc_client *client = client_open(&w, mode, "normal", 0);
  dqc_tx *tx = tx_new(client);
  dqc_conn *conn = begin(&w, tx);
  OK(dqc_tx_rollback_async(tx, NULL, on_event, &p[0], NULL, &error));
  until_done(&w, p, 1);
  CHECK_EQ(p[0].status, DQC_OK);
  give_back(conn);
  tx_end(tx);
  OK(c_exec(client, "INSERT INTO t VALUES(1)", &p[1]));
  until_done(&w, p, 2);
  CHECK_EQ(mock_server_sql_count(w.mock, "ROLLBACK"), 1);
  CHECK_EQ(mock_server_sql_count(w.mock, "COMMIT"), 0);
  client_end(&w, client);
}

/* `order`: which of transaction, connection, client and loop goes first, second … */
static void test_free_order(int mode, const char *order, int ended) {
  world w;
  probe p = {0};
  dqc_client *client = client_open(&w, mode, "normal", 0);
  dqc_tx *tx = tx_new(client);
  dqc_conn *conn = begin(&w, tx);
  g_case = order;
  if (ended) OK(dqc_tx_commit_async(tx, on_event, &p, NULL, &error));
  ++g_inside;
  for (const char *at = order; *at != '\0'; ++at) {
    if (*at == 't') dqc_tx_free(tx);
    if (*at == 'c') dqc_conn_free(conn);
    if (*at == 'd') dqc_client_free(client);
    if (*at == 'l') dqc_loop_free(w.loop), w.loop = NULL;
  }
  --g_inside;
  if (ended && (mode == DRIVEN || w.loop != NULL)) until_done(&w, &p, 1);
  world_end(&w);
}

/* Freed, or given up by its client, while it begins. */
static void test_freed_early(int mode, int client_too) {
  world w;
  probe p[2] = {{0}};
  dqc_conn *conn = NULL;
  dqc_client *client = client_open(&w, mode, "normal", 0);
  dqc_tx *tx = tx_new(client);
  p[0].hook = take_lease;
  p[0].data = &conn;
  OK(dqc_tx_begin_async(tx, on_event, &p[0], NULL, &error));
  tx_end(tx);
  if (client_too) {
    ++g_inside;
    dqc_client_free(client);
    --g_inside;
    until_done(&w, p, 1);
    give_back(conn);
    world_end(&w);
    return;
  }
  until_done(&w, p, 1);
  give_back(conn);
  OK(c_exec(client, "INSERT INTO t VALUES(1)", &p[1]));
  until_done(&w, p, 2);
  CHECK_EQ(p[1].status, DQC_OK);
  client_end(&w, client);
}

/* Waiting for its turn, or for an answer. */
static void test_cancel(int mode) {
  world w;
  probe p[3] = {{0}};
  uint64_t op = 0;
  dqc_client *client = client_open(&w, mode, "normal", 0);
  dqc_tx *holder = tx_new(client), *waiter = tx_new(client);
  dqc_conn *conn = begin(&w, holder);
  OK(dqc_tx_begin_async(waiter, on_event, &p[0], &op, &error));
  CHECK(op != 0);
  for (int i = 0; i < 10; ++i) pump(&w);
  CHECK_EQ(p[0].done, 0);
  INSIDE(dqc_client_cancel(client, op));
  until_done(&w, p, 1);
  CHECK_EQ(p[0].status, DQC_E_CANCELLED);
  CHECK_EQ(p[0].outcome, DQC_OUTCOME_NOT_EXECUTED);
  OK(dqc_tx_begin_async(waiter, NULL, NULL, NULL, &error)); /* it may try again */
  OK(dqc_tx_commit_async(holder, on_event, &p[1], &op, &error));
  INSIDE(dqc_client_cancel(client, op));
  until_done(&w, &p[1], 1);
  CHECK(p[1].status == DQC_OK ||
        (p[1].status == DQC_E_CANCELLED && p[1].outcome == DQC_OUTCOME_MAYBE_EXECUTED) ||
        (p[1].status == DQC_E_CANCELLED && p[1].outcome == DQC_OUTCOME_NOT_EXECUTED));
  give_back(conn);
  tx_end(holder);
  tx_end(waiter);
  OK(c_exec(client, "INSERT INTO t VALUES(1)", &p[2]));
  until_done(&w, &p[2], 1);
  CHECK_EQ(p[2].status, DQC_OK);
  client_end(&w, client);
}

static void test_close(int mode) {
  world w;
  probe p[2] = {{0}};
  dqc_call_options soon = {sizeof(soon), 0, 80};
  dqc_client *client = client_open(&w, mode, "normal", 0);
  dqc_tx *tx = tx_new(client);
  dqc_conn *conn = begin(&w, tx);
  OK(dqc_client_close_async(client, &soon, on_event, &p[0], NULL, &error));
  until_done(&w, p, 1);
  /* Refused at once, or told: the client is gone, and the transaction with it. */
  const dqc_status status = dqc_tx_commit_async(tx, on_event, &p[1], NULL, NULL);
  if (status == DQC_OK) {
    until_done(&w, &p[1], 1);
    CHECK(p[1].status == DQC_E_CLOSED || p[1].status == DQC_E_NETWORK);
    CHECK_EQ(p[1].outcome, DQC_OUTCOME_NOT_EXECUTED);
  } else {
    CHECK_EQ(status, DQC_E_CLOSED);
  }
  give_back(conn);
  tx_end(tx);
  client_end(&w, client);
}

static void test_lost(int mode) {
  world w;
  probe p[2] = {{0}};
  dqc_client *client = client_open(&w, mode, "normal", 0);
  dqc_tx *tx = tx_new(client);
  dqc_conn *conn = begin(&w, tx);
  mock_server_set_down(w.mock, 1);
  UNTIL(&w, dqc_conn_state(conn) == DQC_STATE_CLOSED);
  mock_server_set_down(w.mock, 0);
  OK(dqc_tx_commit_async(tx, on_event, &p[0], NULL, &error));
  until_done(&w, p, 1);
  CHECK_EQ(p[0].status, DQC_AGAIN);
  give_back(conn);
  conn = begin(&w, tx);
  OK(dqc_tx_commit_async(tx, on_event, &p[1], NULL, &error));
  until_done(&w, &p[1], 1);
  CHECK_EQ(p[1].status, DQC_OK);
  give_back(conn);
  tx_end(tx);
  client_end(&w, client);
}

static void test_misuse(int mode) {
  world w;
  dqc_client *client = client_open(&w, mode, "normal", 0);
  dqc_tx *tx = (dqc_tx *)1;
  dqc_conn *conn = (dqc_conn *)1;
  dqc_tx_options options = {0};
  FAILS(DQC_E_MISUSE, dqc_tx_new(NULL, NULL, &tx, &error));
  CHECK(tx == NULL);
  FAILS(DQC_E_MISUSE, dqc_tx_new(client, NULL, NULL, &error));
  FAILS(DQC_E_MISUSE, dqc_tx_new(client, &options, &tx, &error));
  options.struct_size = sizeof(options);
  options.mode = 4;
  FAILS(DQC_E_MISUSE, dqc_tx_new(client, &options, &tx, &error));
  options.mode = DQC_BEGIN_DEFERRED;
  options.flags = 0x80000000u;
  FAILS(DQC_E_MISUSE, dqc_tx_new(client, &options, &tx, &error));
  FAILS(DQC_E_MISUSE, dqc_tx_begin(NULL, &conn, &error));
  CHECK(conn == NULL);
  FAILS(DQC_E_MISUSE, dqc_tx_begin_async(NULL, NULL, NULL, NULL, &error));
  FAILS(DQC_E_MISUSE, dqc_tx_commit(NULL, &error));
  FAILS(DQC_E_MISUSE, dqc_tx_rollback(NULL, NULL, &error));
  FAILS(DQC_E_MISUSE, dqc_client_run_tx(client, NULL, NULL, NULL, &error));
  tx = tx_new(client);
  FAILS(DQC_E_MISUSE, dqc_tx_begin(tx, NULL, &error));
  FAILS(DQC_E_MISUSE, dqc_tx_commit_async(tx, NULL, NULL, NULL, &error));
  FAILS(DQC_E_MISUSE, dqc_tx_rollback_async(tx, NULL, NULL, NULL, NULL, &error));
  dqc_tx_free(NULL);
  tx_end(tx);
  client_end(&w, client);
}

static void end_inside(probe *p, const dqc_event *event) {
  dqc_tx *tx = (dqc_tx *)p->data;
  (void)event;
  FAILS(DQC_E_MISUSE, dqc_tx_commit(tx, &error));
  FAILS(DQC_E_MISUSE, dqc_tx_rollback(tx, NULL, &error));
}

/* A call that cannot be made here does nothing to the transaction. */
static void test_refused_end(int mode) {
  world w;
  probe p[2] = {{0}};
  dqc_client *client = client_open(&w, mode, "normal", 0);
  dqc_tx *tx = tx_new(client);
  dqc_conn *conn = begin(&w, tx);
  p[0].hook = end_inside;
  p[0].data = tx;
  OK(exec_async(conn, "INSERT INTO t VALUES(1)", &p[0]));
  until_done(&w, p, 1);
  OK(dqc_tx_commit_async(tx, on_event, &p[1], NULL, &error));
  until_done(&w, p, 2);
  CHECK_EQ(p[1].status, DQC_OK);
  CHECK_EQ(mock_server_sql_count(w.mock, "COMMIT"), 1);
  give_back(conn);
  tx_end(tx);
  client_end(&w, client);
}

static dqc_status DQC_CALL work(void *user_data, dqc_conn *conn, dqc_error **error) {
  ++*(int *)user_data;
  return dqc_conn_exec(conn, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, NULL, NULL, error);
}

static void test_blocking(void) {
  world w;
  int runs = 0;
  dqc_conn *conn = NULL;
  dqc_client *client = client_open(&w, DRIVEN, "normal", 0);
  OK(dqc_client_run_tx(client, NULL, work, &runs, &error));
  CHECK_EQ(runs, 1);
  dqc_tx *tx = tx_new(client);
  OK(dqc_tx_begin(tx, &conn, &error));
  OK(dqc_conn_exec(conn, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, NULL, NULL, &error));
  OK(dqc_tx_commit(tx, &error));
  give_back(conn);
  tx_end(tx);
  CHECK_EQ(mock_server_sql_count(w.mock, "COMMIT"), 2);
  client_end(&w, client);
}

static void test_fork(int mode) {
  world w;
  probe p = {0};
  int status = 0;
  dqc_client *client = client_open(&w, mode, "normal", 0);
  dqc_tx *tx = tx_new(client);
  dqc_conn *conn = begin(&w, tx);
  const pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    dqc_tx *other = (dqc_tx *)1;
    alarm(20);
    if (dqc_tx_new(client, NULL, &other, NULL) != DQC_E_FORKED || other != NULL) _exit(1);
    if (dqc_tx_commit_async(tx, NULL, NULL, NULL, NULL) != DQC_E_FORKED) _exit(2);
    if (dqc_tx_begin(tx, &conn, NULL) != DQC_E_FORKED) _exit(3);
    dqc_tx_free(tx);
    dqc_client_free(client);
    _exit(0);
  }
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
  OK(dqc_tx_commit_async(tx, on_event, &p, NULL, &error)); /* the parent's goes on */
  until_done(&w, &p, 1);
  CHECK_EQ(p.status, DQC_OK);
  give_back(conn);
  tx_end(tx);
  client_end(&w, client);
}

int main(void) {
  static const char *const kOrders[] = {"tcdl", "ctdl", "dtcl", "dctl", "ldct", "ltcd", "tdlc"};
  setup(120);
  test_blocking();
  for (int mode = 0; mode < MODES; ++mode) {
    test_commit(mode);
    test_held_back(mode);
    test_rollback(mode);
    for (size_t i = 0; i < sizeof(kOrders) / sizeof(kOrders[0]); ++i) {
      test_free_order(mode, kOrders[i], 0);
      test_free_order(mode, kOrders[i], 1);
    }
    test_freed_early(mode, 0);
    test_freed_early(mode, 1);
    test_cancel(mode);
    test_close(mode);
    test_lost(mode);
    test_misuse(mode);
    if (mode != THREADED) test_refused_end(mode);
    test_fork(mode);
  }
  return 0;
}
