/* SPDX-License-Identifier: MIT */
/* Clients and bad arguments: out parameters are written, nothing is accepted that gets no event. */
#include "client_check.h"

static const char kSql[] = "SELECT 1";

static void test_null(void) {
  dqc_client *client = (dqc_client *)1;
  dqc_conn *conn = (dqc_conn *)1;
  dqc_rows *rows = (dqc_rows *)1;
  dqc_result result = {1, 1, 1, 1};
  const dqc_admin leader = {sizeof(leader), DQC_ADMIN_LEADER, 0, 0, NULL};
  const dqc_node node = {1, "127.0.0.1:9001", DQC_ROLE_VOTER, 0};
  uint64_t op = 7;
  char text[8] = "full";
  g_case = "null";
  FAILS(DQC_E_MISUSE, dqc_client_new(NULL, NULL, NULL, &client, &error));
  CHECK(client == NULL);
  FAILS(DQC_E_MISUSE, dqc_client_connect_async(NULL, NULL, on_event, NULL, &op, &error));
  CHECK_EQ(op, 0);
  op = 7;
  FAILS(DQC_E_MISUSE, dqc_client_close_async(NULL, NULL, on_event, NULL, &op, &error));
  CHECK_EQ(op, 0);
  op = 7;
  FAILS(DQC_E_MISUSE, dqc_client_acquire_async(NULL, NULL, on_event, NULL, &op, &error));
  CHECK_EQ(op, 0);
  op = 7;
  FAILS(DQC_E_MISUSE,
        dqc_client_exec_async(NULL, kSql, DQC_CSTR, NULL, 0, NULL, on_event, NULL, &op, &error));
  CHECK_EQ(op, 0);
  op = 7;
  FAILS(DQC_E_MISUSE,
        dqc_client_query_async(NULL, kSql, DQC_CSTR, NULL, 0, NULL, on_event, NULL, &op, &error));
  CHECK_EQ(op, 0);
  op = 7;
  FAILS(DQC_E_MISUSE,
        dqc_client_script_async(NULL, kSql, DQC_CSTR, NULL, on_event, NULL, &op, &error));
  CHECK_EQ(op, 0);
  op = 7;
  FAILS(DQC_E_MISUSE, dqc_client_admin_async(NULL, &leader, NULL, on_event, NULL, &op, &error));
  CHECK_EQ(op, 0);
  FAILS(DQC_E_MISUSE, dqc_client_connect(NULL, NULL, &error));
  FAILS(DQC_E_MISUSE, dqc_client_close(NULL, NULL, &error));
  FAILS(DQC_E_MISUSE, dqc_client_acquire(NULL, NULL, &conn, &error));
  CHECK(conn == NULL);
  FAILS(DQC_E_MISUSE, dqc_client_exec(NULL, kSql, DQC_CSTR, NULL, 0, NULL, &result, &error));
  CHECK(result.statements == 0 && result.last_insert_id == 0 && result.has == 0);
  FAILS(DQC_E_MISUSE, dqc_client_query(NULL, kSql, DQC_CSTR, NULL, 0, NULL, &rows, &error));
  CHECK(rows == NULL);
  result.statements = 1;
  FAILS(DQC_E_MISUSE, dqc_client_script(NULL, kSql, DQC_CSTR, NULL, &result, &error));
  CHECK_EQ(result.statements, 0);
  rows = (dqc_rows *)1;
  FAILS(DQC_E_MISUSE, dqc_client_admin(NULL, &leader, NULL, &rows, &error));
  CHECK(rows == NULL);
  FAILS(DQC_E_MISUSE, dqc_client_set_nodes(NULL, &node, 1, &error));
  CHECK_EQ(dqc_client_cancel(NULL, 1), DQC_E_MISUSE);
  CHECK_EQ(dqc_client_pause(NULL, 1, 1), DQC_E_MISUSE);
  CHECK_EQ(dqc_client_leader(NULL, text, sizeof(text)), 0);
  CHECK_STR(text, "");
  CHECK_EQ(dqc_client_leader(NULL, NULL, 0), 0);
  CHECK_EQ(stats_of(NULL).submitted, 0);
  dqc_client_stats(NULL, NULL);
  dqc_client_free(NULL);
  CHECK_EQ(dqc_error_attempt_count(NULL), 0);
}

static void test_make(void) {
  world w;
  dqc_client *client = (dqc_client *)1;
  dqc_config *empty = NULL;
  world_begin(&w, THREADED, "normal", 0);
  g_case = "make";
  OK(dqc_config_new(&empty, &error));
  FAILS(DQC_E_CONFIG, dqc_client_new(w.loop, w.queue, empty, &client, &error));
  CHECK(client == NULL);
  FAILS(DQC_E_MISUSE, dqc_client_new(w.loop, w.queue, w.config, NULL, &error));
  dqc_loop *driven = NULL;
  OK(dqc_loop_new(DQC_LOOP_DRIVEN, &driven, &error));
  FAILS(DQC_E_MISUSE, dqc_client_new(driven, w.queue, w.config, &client, &error));
  dqc_loop_free(driven);
  const char *bad[][2] = {{"address_map", "a=="},
                          {"redirect_allow", "10.0.0.0/99"},
                          {"nodes", "/nonexistent/cluster.yaml"}};
  for (size_t i = 0; i < 3; ++i) {
    dqc_config *config = NULL;
    OK(dqc_config_new(&config, &error));
    if (i < 2) OK(dqc_config_set_dsn(config, "dqlite://127.0.0.1:1/x", DQC_CSTR, &error));
    if (dqc_config_set(config, bad[i][0], DQC_CSTR, bad[i][1], DQC_CSTR, NULL) == DQC_OK) {
      dqc_error *error = NULL;
      client = (dqc_client *)1;
      CHECK(dqc_client_new(w.loop, w.queue, config, &client, &error) != DQC_OK);
      CHECK(client == NULL && error != NULL);
      dqc_error_free(error);
    }
    dqc_config_free(config);
  }
  FAILS(DQC_E_CONFIG, dqc_client_open("nonsense://", DQC_CSTR, &client, &error));
  CHECK(client == NULL);
  FAILS(DQC_E_CONFIG, dqc_client_open("", DQC_CSTR, &client, &error));
  FAILS(DQC_E_CONFIG, dqc_client_open("dqlite://127.0.0.1:1/x?nodes=/nonexistent/cluster.yaml",
                                      DQC_CSTR, &client, &error));
  FAILS(DQC_E_MISUSE, dqc_client_open("dqlite://127.0.0.1:1/x", DQC_CSTR, NULL, &error));
  FAILS(DQC_E_CONNECT,
        dqc_client_open("dqlite://127.0.0.1:1/x?timeout=1s", DQC_CSTR, &client, &error));
  CHECK(client == NULL);
  dqc_config_free(empty);
  world_end(&w);
}

static void test_arguments(int mode) {
  world w;
  dqc_client *client = client_open(&w, mode, "normal", 0);
  dqc_call_options unset = {0}, larger[2] = {{0}};
  dqc_node node = {1, NULL, DQC_ROLE_VOTER, 0};
  dqc_admin unknown = {sizeof(unknown), 99, 0, 0, NULL};
  probe p = {0};
  uint64_t op = 7;
  larger[0].struct_size = sizeof(larger);
  larger[1].flags = 1; /* a field of the future that is set */
  FAILS(DQC_E_MISUSE, dqc_client_connect_async(client, &unset, on_event, &p, &op, &error));
  FAILS(DQC_E_MISUSE, dqc_client_acquire_async(client, larger, on_event, &p, &op, &error));
  FAILS(DQC_E_MISUSE, dqc_client_close_async(client, &unset, on_event, &p, &op, &error));
  FAILS(DQC_E_MISUSE,
        dqc_client_exec_async(client, kSql, DQC_CSTR, NULL, 0, larger, on_event, &p, &op, &error));
  CHECK_EQ(op, 0);
  FAILS(DQC_E_MISUSE,
        dqc_client_exec_async(client, NULL, DQC_CSTR, NULL, 0, NULL, on_event, &p, &op, &error));
  FAILS(DQC_E_PARAMS, dqc_client_exec_async(client, "SELECT ?", DQC_CSTR, NULL, 0, NULL, on_event,
                                            &p, &op, &error));
  FAILS(DQC_E_MISUSE, dqc_client_admin_async(client, &unknown, NULL, on_event, &p, &op, &error));
  FAILS(DQC_E_MISUSE, dqc_client_admin_async(client, NULL, NULL, on_event, &p, &op, &error));
  FAILS(DQC_E_MISUSE, dqc_client_set_nodes(client, NULL, 1, &error));
  FAILS(DQC_E_MISUSE, dqc_client_set_nodes(client, &node, 0, &error));
  FAILS(DQC_E_MISUSE, dqc_client_set_nodes(client, &node, 1, &error)); /* no address */
  node.address = "a:b:c:d";
  FAILS(DQC_E_CONFIG, dqc_client_set_nodes(client, &node, 1, &error));
  node.address = "127.0.0.1:1";
  node.role = 9;
  FAILS(DQC_E_MISUSE, dqc_client_set_nodes(client, &node, 1, &error));
  node.role = DQC_ROLE_SPARE;
  OK(dqc_client_set_nodes(client, &node, 1, &error));
  CHECK_EQ(dqc_client_cancel(client, 12345), DQC_OK);
  CHECK_EQ(dqc_client_pause(client, 12345, 1), DQC_OK);
  CHECK_EQ(p.done, 0);
  CHECK_EQ(stats_of(client).submitted, 0);
  client_end(&w, client);
}

/* A queue is needed for callbacks on a thread; blocking calls work without. */
static void test_no_queue(void) {
  world w;
  probe p = {0};
  dqc_client *client = NULL;
  dqc_conn *conn = NULL;
  world_begin(&w, THREADED, "normal", 0);
  OK(dqc_client_new(w.loop, NULL, w.config, &client, &error));
  FAILS(DQC_E_MISUSE, dqc_client_connect_async(client, NULL, on_event, &p, NULL, &error));
  FAILS(DQC_E_MISUSE, dqc_client_acquire_async(client, NULL, on_event, &p, NULL, &error));
  OK(dqc_client_connect(client, NULL, &error));
  OK(dqc_client_exec(client, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, NULL, NULL, &error));
  OK(dqc_client_acquire(client, NULL, &conn, &error));
  OK(dqc_conn_exec(conn, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, NULL, NULL, &error));
  FAILS(DQC_E_MISUSE, dqc_client_acquire(client, NULL, NULL, &error));
  dqc_conn_free(conn);
  CHECK_EQ(p.done, 0);
  client_end(&w, client);
}

static void test_leader_and_stats(void) {
  world w;
  char text[64], small[4] = "xyz", expected[64];
  struct {
    dqc_stats stats;
    uint64_t beyond;
  } large;
  dqc_client *client = client_open(&w, DRIVEN, "normal", 0);
  g_case = "stats";
  CHECK_EQ(dqc_client_leader(client, text, sizeof(text)), 0);
  CHECK_STR(text, "");
  ++g_inside;
  for (int i = 0; i < 5; ++i)
    OK(dqc_client_exec(client, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, NULL, NULL, &error));
  --g_inside;
  snprintf(expected, sizeof(expected), "127.0.0.1:%u", (unsigned)mock_server_port(w.mock));
  CHECK_EQ(dqc_client_leader(client, text, sizeof(text)), strlen(expected));
  CHECK_STR(text, expected);
  CHECK_EQ(dqc_client_leader(client, small, sizeof(small)), strlen(expected));
  CHECK_STR(small, "127");
  CHECK_EQ(dqc_client_leader(client, NULL, 0), strlen(expected));

  const dqc_stats stats = stats_of(client);
  CHECK(stats.open == 1 && stats.idle == 1 && stats.leased == 0 && stats.waiting == 0);
  CHECK(stats.submitted == 5 && stats.completed == 5 && stats.opened == 1 && stats.closed == 0);
  CHECK(stats.lookups == 1 && stats.attempts == 1 && stats.searches == 1);
  CHECK_EQ(mock_server_connections(w.mock), 1);

  memset(&large, 0xee, sizeof(large));
  large.stats.struct_size = sizeof(large);
  dqc_client_stats(client, &large.stats);
  CHECK_EQ(large.stats.submitted, 5);
  CHECK_EQ(large.stats.struct_size, sizeof(large));
  CHECK_EQ(large.beyond, 0xeeeeeeeeeeeeeeee);
  memset(&large, 0xee, sizeof(large));
  large.stats.struct_size = 8; /* an older header's */
  dqc_client_stats(client, &large.stats);
  CHECK_EQ(large.stats.open, 1);
  CHECK_EQ(large.stats.idle, 0xeeeeeeee);
  memset(&large, 0xee, sizeof(large));
  large.stats.struct_size = 0; /* not set: nothing is written */
  dqc_client_stats(client, &large.stats);
  CHECK_EQ(large.stats.open, 0xeeeeeeee);
  client_end(&w, client);
}

/* A row a node; each of another kind. */
static void test_attempts(int mode) {
  static const char *const kScenarios[] = {"normal", "not_leader", "close_on_accept",
                                           "stall_handshake"};
  world w;
  mock_server *mocks[4];
  dqc_node nodes[4];
  char addresses[4][32];
  dqc_call_options soon = {sizeof(soon), 0, 1000};
  dqc_client *client = client_open(&w, mode, "normal", 0);
  for (int i = 0; i < 4; ++i) {
    mocks[i] = mock_server_start('D', kScenarios[i], 0);
    if (i == 0) mock_server_set_down(mocks[0], 1);
    snprintf(addresses[i], sizeof(addresses[i]), "127.0.0.1:%u",
             (unsigned)mock_server_port(mocks[i]));
    nodes[i] = (dqc_node){(uint64_t)i + 1, addresses[i], DQC_ROLE_VOTER, 0};
  }
  OK(dqc_client_set_nodes(client, nodes, 4, &error));
  dqc_error *error = NULL;
  if (mode == THREADED) {
    CHECK(dqc_client_connect(client, &soon, &error) != DQC_OK);
  } else if (mode == DRIVEN) {
    ++g_inside;
    CHECK(dqc_client_connect(client, &soon, &error) != DQC_OK);
    --g_inside;
  }
  if (mode != ATTACHED) {
    const int32_t phases[4] = {DQC_PHASE_CONNECT, DQC_PHASE_LEADER, DQC_PHASE_HANDSHAKE,
                               DQC_PHASE_HANDSHAKE};
    CHECK_EQ(dqc_error_attempt_count(error), 4);
    for (size_t i = 0; i < 4; ++i) {
      dqc_attempt row = {0};
      CHECK_EQ(dqc_error_attempt(error, i, &row), DQC_E_MISUSE); /* no struct_size */
      row.struct_size = sizeof(row);
      CHECK_EQ(dqc_error_attempt(error, i, &row), DQC_OK);
      int at = 0;
      while (at < 4 && strcmp(addresses[at], row.address) != 0) ++at;
      CHECK(at < 4);
      if (phases[at] != row.phase)
        fprintf(stderr, "%s: phase %d: %s\n", kScenarios[at], row.phase, row.cause);
      CHECK_EQ(row.phase, phases[at]);
      CHECK(row.code < 0 && row.cause[0] != '\0' && row.leader != NULL && row.elapsed_us >= 0);
      CHECK(strstr(dqc_error_message(error), row.address) != NULL);
    }
    dqc_attempt row = {0};
    row.struct_size = sizeof(row);
    CHECK_EQ(dqc_error_attempt(error, 4, &row), DQC_E_MISUSE);
    CHECK_EQ(dqc_error_attempt(NULL, 0, &row), DQC_E_MISUSE);
    CHECK_EQ(dqc_error_attempt(error, 0, NULL), DQC_E_MISUSE);
    row.struct_size = 12; /* an older header's: phase and code */
    row.address = "untouched";
    CHECK_EQ(dqc_error_attempt(error, 0, &row), DQC_OK);
    CHECK_STR(row.address, "untouched");
    CHECK_EQ(dqc_error_outcome(error), DQC_OUTCOME_NOT_EXECUTED);
    CHECK_EQ(dqc_error_retry(error), DQC_RETRY_SAFE);
    dqc_error_free(error);
  }
  ++g_inside;
  dqc_client_free(client);
  --g_inside;
  for (int i = 0; i < 4; ++i) mock_server_stop(mocks[i]);
  world_end(&w);
}

int main(void) {
  setup(60);
  test_null();
  test_make();
  for (int mode = 0; mode < MODES; ++mode) {
    test_arguments(mode);
    test_attempts(mode);
  }
  test_no_queue();
  test_leader_and_stats();
  return 0;
}
