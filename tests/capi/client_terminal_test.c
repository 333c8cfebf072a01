/* SPDX-License-Identifier: MIT */
/* Every accepted operation of a client gets exactly one terminal event, on every path and in every
 * mode. */
#include "client_check.h"

enum { OPS = 8 };

static const dqc_admin kLeader = {sizeof(kLeader), DQC_ADMIN_LEADER, 0, 0, NULL};

static void test_success(int mode) {
  world w;
  probe p[6] = {{0}};
  dqc_client *client = client_open(&w, mode, "normal", 0);
  OK(dqc_client_connect_async(client, NULL, on_event, &p[0], NULL, &error));
  OK(c_exec(client, "INSERT INTO t VALUES(1)", &p[1]));
  OK(c_query(client, "SELECT * FROM t", &p[2]));
  OK(dqc_client_script_async(client, "INSERT INTO t VALUES(1); SELECT 1", DQC_CSTR, NULL, on_event,
                             &p[3], NULL, &error));
  OK(dqc_client_admin_async(client, &kLeader, NULL, on_event, &p[4], NULL, &error));
  until_done(&w, p, 5);
  for (int i = 0; i < 5; ++i) CHECK_EQ(p[i].status, DQC_OK);
  CHECK_EQ(p[1].result.rows_affected, 1);
  CHECK_EQ(p[2].rows, 3);
  CHECK_EQ(p[3].result.statements, 2);
  CHECK_EQ(p[4].rows, 1);
  for (int i = 1; i < 5; ++i) CHECK(p[i].op > p[i - 1].op);
  OK(dqc_client_close_async(client, NULL, on_event, &p[5], NULL, &error));
  until_done(&w, p, 6);
  CHECK_EQ(p[5].status, DQC_OK);
  const dqc_stats stats = stats_of(client);
  CHECK_EQ(stats.submitted, 5);
  CHECK_EQ(stats.completed, 5);
  CHECK_EQ(stats.open, 0);
  client_end(&w, client);
}

/* NULL callbacks: nobody is told, and nothing stays behind. */
static void test_no_callback(int mode) {
  world w;
  probe p = {0};
  dqc_client *client = client_open(&w, mode, "normal", 0);
  OK(dqc_client_connect_async(client, NULL, NULL, NULL, NULL, &error));
  OK(c_exec(client, "INSERT INTO t VALUES(1)", &p));
  OK(dqc_client_exec_async(client, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, NULL, NULL, NULL,
                           NULL, &error));
  OK(dqc_client_acquire_async(client, NULL, NULL, NULL, NULL, &error)); /* given back at once */
  UNTIL(&w, stats_of(client).completed == 4 && stats_of(client).leased == 0);
  UNTIL(&w, p.done == 1);
  OK(dqc_client_close_async(client, NULL, NULL, NULL, NULL, &error));
  UNTIL(&w, stats_of(client).open == 0);
  client_end(&w, client);
}

static void test_cancel(int mode, int wait) {
  world w;
  probe p[OPS + 1] = {{0}};
  uint64_t ops[OPS];
  world_begin(&w, mode, "stall", 0);
  set(w.config, "group_commit", "1");
  dqc_client *client = client_new(&w);
  for (int i = 0; i < OPS; ++i) {
    if (i % 2 == 0) {
      OK(dqc_client_exec_async(client, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, NULL, on_event,
                               &p[i], &ops[i], &error));
    } else {
      OK(dqc_client_query_async(client, "SELECT 1", DQC_CSTR, NULL, 0, NULL, on_event, &p[i],
                                &ops[i], &error));
    }
  }
  if (wait) UNTIL(&w, mock_server_sql_count(w.mock, "INSERT") > 0);
  for (int i = OPS - 1; i >= 0; --i) {
    CHECK_EQ(dqc_client_cancel(client, ops[i]), DQC_OK);
    CHECK_EQ(dqc_client_cancel(client, ops[i]), DQC_OK);
  }
  until_done(&w, p, OPS);
  for (int i = 0; i < OPS; ++i) {
    CHECK_EQ(p[i].status, DQC_E_CANCELLED);
    CHECK_EQ(p[i].op, ops[i]);
    if (i > 0) CHECK_EQ(p[i].outcome, DQC_OUTCOME_NOT_EXECUTED);
  }
  if (wait) CHECK_EQ(p[0].outcome, DQC_OUTCOME_MAYBE_EXECUTED);
  mock_server_release(w.mock);
  OK(c_exec(client, "INSERT INTO t VALUES(2)", &p[OPS]));
  until_done(&w, p, OPS + 1);
  CHECK_EQ(p[OPS].status, DQC_OK);
  client_end(&w, client);
}

static void test_timeouts(int mode) {
  world w;
  probe p[4] = {{0}};
  dqc_call_options soon = {sizeof(soon), 0, 60};
  dqc_client *client = client_open(&w, mode, "stall", 0);
  for (int i = 0; i < 3; ++i)
    OK(dqc_client_exec_async(client, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, &soon, on_event,
                             &p[i], NULL, &error));
  until_done(&w, p, 3);
  for (int i = 0; i < 3; ++i) CHECK_EQ(p[i].status, DQC_E_TIMEOUT);
  CHECK_EQ(p[1].outcome, DQC_OUTCOME_NOT_EXECUTED);
  client_end(&w, client);

  memset(p, 0, sizeof(p)); /* nobody leads, and the deadline leaves time to hear of that */
  soon.timeout_ms = 500;
  client = client_open(&w, mode, "not_leader", 0);
  OK(dqc_client_exec_async(client, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, &soon, on_event,
                           &p[0], NULL, &error));
  OK(dqc_client_acquire_async(client, &soon, on_event, &p[1], NULL, &error));
  OK(dqc_client_connect_async(client, &soon, on_event, &p[2], NULL, &error));
  until_done(&w, p, 3);
  for (int i = 0; i < 3; ++i) CHECK_EQ(p[i].status, DQC_E_NOT_LEADER);
  CHECK_EQ(mock_server_connections(w.mock), 1);
  client_end(&w, client);
}

static void test_close(int mode) {
  world w;
  probe p[8] = {{0}};
  world_begin(&w, mode, "stall", 0);
  set(w.config, "group_commit", "1");
  dqc_client *client = client_new(&w);
  OK(c_exec(client, "INSERT INTO t VALUES(1)", &p[0]));
  OK(c_exec(client, "INSERT INTO t VALUES(2)", &p[1]));
  UNTIL(&w, mock_server_sql_count(w.mock, "INSERT") > 0);
  OK(dqc_client_close_async(client, NULL, on_event, &p[2], NULL, &error));
  OK(dqc_client_close_async(client, NULL, on_event, &p[3], NULL, &error));
  CHECK_EQ(dqc_client_cancel(client, 99), DQC_OK);
  /* Submitted behind the close: refused, or ended. */
  if (c_exec(client, "INSERT INTO t VALUES(3)", &p[4]) != DQC_OK) p[4].done = 1;
  if (dqc_client_acquire_async(client, NULL, on_event, &p[5], NULL, NULL) != DQC_OK) p[5].done = 1;
  until_done(&w, &p[1], 1); /* the answer of the first may not overtake the close */
  mock_server_release(w.mock);
  until_done(&w, p, 6);
  CHECK_EQ(p[0].status, DQC_OK); /* under way: it may end */
  CHECK_EQ(p[1].status, DQC_E_CLOSED);
  CHECK_EQ(p[1].outcome, DQC_OUTCOME_NOT_EXECUTED);
  CHECK_EQ(p[2].status, DQC_OK);
  CHECK_EQ(p[3].status, DQC_E_MISUSE);
  CHECK(p[4].status == DQC_E_CLOSED || p[4].op == 0);
  CHECK(p[5].status == DQC_E_CLOSED || p[5].op == 0);
  OK(dqc_client_close_async(client, NULL, on_event, &p[6], NULL, &error)); /* closed: fine */
  if (c_exec(client, "INSERT INTO t VALUES(3)", &p[7]) != DQC_OK) p[7].done = 1;
  until_done(&w, p, 8);
  CHECK_EQ(p[6].status, DQC_OK);
  CHECK(p[7].status == DQC_E_CLOSED || p[7].op == 0);
  client_end(&w, client);
}

/* What does not end by the close's deadline is ended. */
static void test_close_deadline(int mode) {
  world w;
  probe p[3] = {{0}};
  dqc_call_options soon = {sizeof(soon), 0, 100};
  dqc_client *client = client_open(&w, mode, "stall", 0);
  OK(c_exec(client, "INSERT INTO t VALUES(1)", &p[0]));
  OK(c_query(client, "SELECT 1", &p[1]));
  UNTIL(&w, mock_server_sql_count(w.mock, "INSERT") > 0 &&
                mock_server_sql_count(w.mock, "SELECT 1") > 0);
  const int64_t start = now_ms();
  OK(dqc_client_close_async(client, &soon, on_event, &p[2], NULL, &error));
  until_done(&w, p, 3);
  CHECK(now_ms() - start >= 90 && now_ms() - start < 3000);
  CHECK(p[0].status == DQC_E_CLOSED || p[0].status == DQC_E_CANCELLED);
  CHECK_EQ(p[0].outcome, DQC_OUTCOME_MAYBE_EXECUTED);
  CHECK(p[1].status == DQC_E_CLOSED || p[1].status == DQC_E_CANCELLED);
  CHECK_EQ(p[2].status, DQC_OK);
  mock_server_release(w.mock);
  client_end(&w, client);
}

/* Before anything was submitted. */
static void test_close_unused(int mode) {
  world w;
  probe p[2] = {{0}};
  dqc_client *client = client_open(&w, mode, "normal", 0);
  OK(dqc_client_close_async(client, NULL, on_event, &p[0], NULL, &error));
  if (c_exec(client, "INSERT INTO t VALUES(3)", &p[1]) != DQC_OK) p[1].done = 1;
  until_done(&w, p, 2);
  CHECK_EQ(p[0].status, DQC_OK);
  CHECK(p[1].status == DQC_E_CLOSED || p[1].op == 0);
  CHECK_EQ(mock_server_connections(w.mock), 0);
  client_end(&w, client);
}

/* Free with operations outstanding, at several points of their lives; then, or before, the loop. */
static void test_free(int mode, const char *scenario, int loop_too, int wait, int close_first) {
  world w;
  probe p[6] = {{0}};
  dqc_conn *leased = NULL;
  world_begin(&w, mode, scenario, 0);
  set(w.config, "connect_timeout", "1s");
  dqc_client *client = client_new(&w);
  p[3].hook = take_lease;
  p[3].data = &leased;
  OK(dqc_client_connect_async(client, NULL, on_event, &p[0], NULL, &error));
  OK(c_exec(client, "INSERT INTO t VALUES(1)", &p[1]));
  OK(c_query(client, "SELECT 1", &p[2]));
  OK(dqc_client_acquire_async(client, NULL, on_event, &p[3], NULL, &error));
  OK(c_exec(client, "INSERT INTO t VALUES(1)", &p[4]));
  if (wait) {
    for (int i = 0; i < 10; ++i) pump(&w);
  }
  if (close_first) {
    OK(dqc_client_close_async(client, NULL, on_event, &p[5], NULL, &error));
  } else {
    p[5].done = 1;
  }
  if (loop_too) {
    dqc_loop_free(w.loop);
    w.loop = NULL;
  }
  ++g_inside;
  dqc_client_free(client);
  --g_inside;
  if (mode == DRIVEN && loop_too && leased == NULL) { /* the last handle */
    for (int i = 0; i < 6; ++i) CHECK_EQ(p[i].done, 1);
  } else if (mode == DRIVEN && loop_too) { /* the lease is the last */
    ++g_inside;
    dqc_conn_free(leased);
    --g_inside;
    leased = NULL;
    for (int i = 0; i < 6; ++i) CHECK_EQ(p[i].done, 1);
  } else {
    until_done(&w, p, 6);
  }
  ++g_inside;
  dqc_conn_free(leased);
  --g_inside;
  mock_server_release(w.mock);
  world_end(&w);
}

static void test_queue_freed(void) {
  world w;
  probe p[3] = {{0}};
  dqc_client *client = client_open(&w, THREADED, "normal", 0);
  g_case = "queue freed";
  OK(c_query(client, "SELECT * FROM t", &p[0]));
  OK(c_exec(client, "INSERT INTO t VALUES(1)", &p[1]));
  OK(dqc_client_acquire_async(client, NULL, on_event, &p[2], NULL, &error));
  while (stats_of(client).completed < 3) sleep_ms(1);
  dqc_queue_free(w.queue); /* with the lease inside */
  w.queue = NULL;
  OK(dqc_client_exec(client, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, NULL, NULL, &error));
  for (int i = 0; i < 3; ++i) CHECK_EQ(p[i].done, 0);
  const int64_t end = now_ms() + 5000;
  while (stats_of(client).leased != 0) {
    CHECK(now_ms() < end);
    sleep_ms(1);
  }
  client_end(&w, client);
}

static void test_limit(int mode) {
  world w;
  probe p[4] = {{0}};
  uint64_t op = 7;
  world_begin(&w, mode, "stall_handshake", 0);
  set(w.config, "pool_queue", "2");
  dqc_client *client = client_new(&w);
  OK(c_exec(client, "INSERT INTO t VALUES(1)", &p[0]));
  OK(c_exec(client, "INSERT INTO t VALUES(1)", &p[1]));
  if (mode != THREADED) {
    FAILS(DQC_E_LIMIT, dqc_client_exec_async(client, "SELECT 1", DQC_CSTR, NULL, 0, NULL, on_event,
                                             &p[2], &op, &error));
    CHECK_EQ(op, 0);
    FAILS(DQC_E_LIMIT, dqc_client_acquire_async(client, NULL, on_event, &p[3], NULL, &error));
  } else {
    OK(c_query(client, "SELECT 1", &p[2]));
    until_done(&w, &p[2], 1);
    CHECK_EQ(p[2].status, DQC_E_LIMIT);
  }
  mock_server_release(w.mock);
  until_done(&w, p, 2);
  CHECK(p[0].status == DQC_OK && p[1].status == DQC_OK);
  CHECK_EQ(p[3].done, 0);
  client_end(&w, client);
}

static void test_failures(int mode) {
  static const struct {
    const char *scenario;
    int query;
    dqc_status status;
    int32_t outcome;
  } kCases[] = {{"failure_prefix", 1, DQC_E_SQL, DQC_OUTCOME_NOT_EXECUTED},
                {"leadership_lost", 0, DQC_E_LEADERSHIP_LOST, DQC_OUTCOME_MAYBE_EXECUTED},
                {"close_on_write", 0, DQC_E_NETWORK, DQC_OUTCOME_MAYBE_EXECUTED},
                {"reset_on_write", 0, DQC_E_NETWORK, DQC_OUTCOME_MAYBE_EXECUTED},
                {"busy", 0, DQC_OK, 0},
                {"checkpoint", 0, DQC_OK, 0}};
  for (size_t i = 0; i < sizeof(kCases) / sizeof(kCases[0]); ++i) {
    world w;
    probe p = {0};
    dqc_client *client = client_open(&w, mode, kCases[i].scenario, 0);
    g_case = kCases[i].scenario;
    OK(kCases[i].query ? c_query(client, "SELECT * FROM t", &p)
                       : c_exec(client, "INSERT INTO t VALUES(1)", &p));
    until_done(&w, &p, 1);
    CHECK_EQ(p.status, kCases[i].status);
    CHECK_EQ(p.outcome, kCases[i].outcome);
    if (kCases[i].status == DQC_OK) CHECK_EQ(stats_of(client).retried_busy, 1);
    client_end(&w, client);
  }
}

int main(void) {
  setup(170);
  for (int mode = 0; mode < MODES; ++mode) {
    test_success(mode);
    test_no_callback(mode);
    test_cancel(mode, 0);
    test_cancel(mode, 1);
    test_timeouts(mode);
    test_close(mode);
    test_close_deadline(mode);
    test_close_unused(mode);
    test_limit(mode);
    test_failures(mode);
    for (int bits = 0; bits < 8; ++bits) {
      test_free(mode, "stall", bits & 1, (bits & 2) != 0, (bits & 4) != 0);
      test_free(mode, "stall_handshake", bits & 1, (bits & 2) != 0, (bits & 4) != 0);
      test_free(mode, "normal", bits & 1, (bits & 2) != 0, (bits & 4) != 0);
    }
  }
  test_queue_freed();
  return 0;
}
