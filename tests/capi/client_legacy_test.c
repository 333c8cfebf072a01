/* SPDX-License-Identifier: MIT */
/* A server of before 1.0 hangs up at the version word: a client gives it the old one, once. */
#include "client_check.h"

static const dqc_admin kLeader = {sizeof(kLeader), DQC_ADMIN_LEADER, 0, 0, NULL};

static void test_second_word(int mode) {
  world w;
  probe p = {0};
  dqc_client *client = client_open(&w, mode, "hang_up", 1);
  OK(c_exec(client, "INSERT INTO t VALUES(1)", &p));
  until_done(&w, &p, 1);
  CHECK_EQ(p.status, DQC_OK);
  CHECK_EQ(mock_server_connections(w.mock), 2);
  if (mode == THREADED) { /* answers of the old protocol name the leader without its id */
    dqc_rows *rows = NULL;
    OK(dqc_client_admin(client, &kLeader, NULL, &rows, &error));
    CHECK_EQ(dqc_rows_step(rows, NULL), DQC_ROW);
    CHECK_EQ(dqc_rows_int64(rows, 0), 0);
    CHECK(dqc_rows_text(rows, 1, NULL)[0] != '\0');
    dqc_rows_free(rows);
  }
  client_end(&w, client);
}

/* The same where a node is asked that was named. */
static void test_second_word_of_a_visit(int mode, uint64_t hang_ups) {
  world w;
  probe p = {0};
  char node[32];
  dqc_client *client = client_open(&w, mode, "hang_up", hang_ups);
  snprintf(node, sizeof(node), "127.0.0.1:%u", (unsigned)mock_server_port(w.mock));
  const dqc_admin leader = {sizeof(leader), DQC_ADMIN_LEADER, 0, 0, node};
  OK(dqc_client_admin_async(client, &leader, NULL, on_event, &p, NULL, &error));
  until_done(&w, &p, 1);
  CHECK_EQ(p.status, hang_ups == 1 ? DQC_OK : DQC_E_NETWORK);
  CHECK_EQ(p.outcome, hang_ups == 1 ? 0 : DQC_OUTCOME_NOT_EXECUTED);
  CHECK_EQ(mock_server_connections(w.mock), 2);
  client_end(&w, client);
}

/* One that knows neither word is no dqlite server: the table says so. */
static void test_neither(int mode) {
  world w;
  probe p = {0};
  world_begin(&w, mode, "hang_up", 1000);
  set(w.config, "timeout", "300ms");
  dqc_client *client = client_new(&w);
  OK(c_exec(client, "INSERT INTO t VALUES(1)", &p));
  until_done(&w, &p, 1);
  CHECK(p.status < 0);
  CHECK_EQ(p.outcome, DQC_OUTCOME_NOT_EXECUTED);
  client_end(&w, client);
}

int main(void) {
  setup(60);
  for (int mode = DRIVEN; mode <= THREADED; ++mode) {
    test_second_word(mode);
    test_second_word_of_a_visit(mode, 1);
    test_second_word_of_a_visit(mode, 1000);
    test_neither(mode);
  }
  return 0;
}
