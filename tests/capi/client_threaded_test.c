/* SPDX-License-Identifier: MIT */
/* Blocking calls of many threads on one client, and on one connection. */
#include <stdatomic.h>

#include "client_check.h"

enum { THREADS = 8, CALLS = 6000 };

typedef struct crowd {
  dqc_client *client;
  dqc_conn *conn;
  atomic_int done;
} crowd;

static void *call_client(void *data) {
  crowd *c = (crowd *)data;
  for (int i = 0; i < CALLS; ++i) {
    dqc_rows *rows = NULL;
    dqc_conn *leased = NULL;
    if (i % 3 != 0) {
      OK(dqc_client_exec(c->client, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, NULL, NULL,
                         &error));
    } else if (i % 30 != 0) {
      OK(dqc_client_query(c->client, "SELECT * FROM t", DQC_CSTR, NULL, 0, NULL, &rows, &error));
      if (i % 2 == 0) CHECK_EQ(dqc_rows_step(rows, NULL), DQC_ROW);
      dqc_rows_free(rows);
    } else {
      OK(dqc_client_acquire(c->client, NULL, &leased, &error));
      OK(dqc_conn_exec(leased, "UPDATE t SET x = 1", DQC_CSTR, NULL, 0, NULL, NULL, &error));
      dqc_conn_free(leased);
    }
    atomic_fetch_add(&c->done, 1);
  }
  return NULL;
}

static void *call_conn(void *data) {
  crowd *c = (crowd *)data;
  for (int i = 0; i < CALLS; ++i) {
    OK(dqc_conn_exec(c->conn, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, NULL, NULL, &error));
    atomic_fetch_add(&c->done, 1);
  }
  return NULL;
}

static void run(crowd *c, void *(*work)(void *)) {
  pthread_t ids[THREADS];
  atomic_store(&c->done, 0);
  for (int i = 0; i < THREADS; ++i) CHECK_EQ(pthread_create(&ids[i], NULL, work, c), 0);
  for (int i = 0; i < THREADS; ++i) CHECK_EQ(pthread_join(ids[i], NULL), 0);
  CHECK_EQ(atomic_load(&c->done), THREADS * CALLS);
}

static void test_crowd(void) {
  world w;
  crowd c = {0};
  c.client = client_open(&w, THREADED, "normal", 0);
  g_case = "client";
  run(&c, call_client);
  const dqc_stats stats = stats_of(c.client);
  CHECK_EQ(stats.submitted, THREADS * CALLS);
  CHECK_EQ(stats.completed, THREADS * CALLS);
  CHECK(stats.open <= 10);
  dqc_client_free(c.client);
  world_connect(&w);
  c.conn = w.conn;
  g_case = "connection";
  run(&c, call_conn);
  world_end(&w);
}

/* Freed while other threads wait in blocking calls: each returns. (They may not begin a call then.)
 */
static void *wait_in_exec(void *data) {
  crowd *c = (crowd *)data;
  const dqc_status status =
      dqc_client_exec(c->client, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, NULL, NULL, NULL);
  CHECK(status == DQC_E_CLOSED || status == DQC_E_CANCELLED);
  atomic_fetch_add(&c->done, 1);
  return NULL;
}

static void test_close_under_way(void) {
  world w;
  crowd c = {0};
  pthread_t ids[THREADS];
  dqc_call_options soon = {sizeof(soon), 0, 50};
  c.client = client_open(&w, THREADED, "stall", 0);
  g_case = "close under way";
  for (int i = 0; i < THREADS; ++i) CHECK_EQ(pthread_create(&ids[i], NULL, wait_in_exec, &c), 0);
  while (stats_of(c.client).submitted < THREADS) sleep_ms(1);
  OK(dqc_client_close(c.client, &soon, &error));
  for (int i = 0; i < THREADS; ++i) CHECK_EQ(pthread_join(ids[i], NULL), 0);
  CHECK_EQ(atomic_load(&c.done), THREADS);
  mock_server_release(w.mock);
  client_end(&w, c.client);
}

int main(void) {
  setup(120);
  test_crowd();
  test_close_under_way();
  return 0;
}
