/* SPDX-License-Identifier: MIT */
/* What the tests of dqc_client share: a `world` whose `conn` stays NULL, and a client in it. */
#ifndef DQC_TESTS_CAPI_CLIENT_CHECK_H
#define DQC_TESTS_CAPI_CLIENT_CHECK_H

#include "check.h"

UNUSED static dqc_client *client_new(world *w) {
  dqc_client *client = NULL;
  OK(dqc_client_new(w->loop, w->queue, w->config, &client, &error));
  return client;
}

UNUSED static dqc_client *client_open(world *w, int mode, const char *scenario, uint64_t n) {
  world_begin(w, mode, scenario, n);
  return client_new(w);
}

/* Gives the client up, then the world. */
UNUSED static void client_end(world *w, dqc_client *client) {
  ++g_inside;
  dqc_client_free(client);
  --g_inside;
  world_end(w);
}

UNUSED static dqc_status c_exec(dqc_client *client, const char *sql, probe *p) {
  return dqc_client_exec_async(client, sql, DQC_CSTR, NULL, 0, NULL, on_event, p, NULL, NULL);
}

UNUSED static dqc_status c_query(dqc_client *client, const char *sql, probe *p) {
  return dqc_client_query_async(client, sql, DQC_CSTR, NULL, 0, NULL, on_event, p, NULL, NULL);
}

UNUSED static dqc_stats stats_of(const dqc_client *client) {
  dqc_stats stats;
  memset(&stats, 0, sizeof(stats));
  stats.struct_size = sizeof(stats);
  dqc_client_stats(client, &stats);
  return stats;
}

/* Hook of an acquire: the lease goes where `data` points. */
UNUSED static void take_lease(probe *p, const dqc_event *event) {
  CHECK((event->conn != NULL) == (event->status == DQC_OK));
  *(dqc_conn **)p->data = event->conn;
}

UNUSED static dqc_conn *lease(world *w, dqc_client *client) {
  dqc_conn *conn = NULL;
  probe p = {0};
  p.hook = take_lease;
  p.data = &conn;
  OK(dqc_client_acquire_async(client, NULL, on_event, &p, NULL, &error));
  until_done(w, &p, 1);
  CHECK_EQ(p.status, DQC_OK);
  CHECK(conn != NULL);
  return conn;
}

UNUSED static void give_back(dqc_conn *conn) {
  ++g_inside;
  dqc_conn_free(conn);
  --g_inside;
}

#define UNTIL(w, condition)                \
  do {                                     \
    const int64_t end_ = now_ms() + 60000; \
    while (!(condition)) {                 \
      CHECK(now_ms() < end_);              \
      pump(w);                             \
    }                                      \
  } while (0)

#endif
