/* SPDX-License-Identifier: MIT */
/* What the library knows of a transaction, one that nobody uses, and the script of new connections. */
#include "client_check.h"

typedef struct records {
  int idle, close;
  char message[256];
} records;

static void DQC_CALL on_record(void *user_data, const dqc_log_record *record) {
  records *r = (records *)user_data;
  if (strcmp(record->event, "close") == 0) ++r->close;
  if (strcmp(record->event, "idle") != 0) return;
  CHECK_EQ(record->level, DQC_LOG_WARNING);
  ++r->idle;
  snprintf(r->message, sizeof(r->message), "%s", record->message);
}

static void until_exec(world *w, dqc_conn *conn, const char *sql, dqc_status expected) {
  probe p = {0};
  OK(exec_async(conn, sql, &p));
  until_done(w, &p, 1);
  CHECK_EQ(p.status, expected);
}

static void test_state(int mode) {
  world w;
  probe p = {0};
  world_open(&w, mode, "normal", 0);
  CHECK_EQ(dqc_conn_transaction(w.conn), DQC_TRANSACTION_NONE);
  until_exec(&w, w.conn, "BEGIN IMMEDIATE", DQC_OK);
  CHECK_EQ(dqc_conn_transaction(w.conn), DQC_TRANSACTION_OPEN);
  until_exec(&w, w.conn, "BEGIN", DQC_E_SQL);
  CHECK_EQ(dqc_conn_transaction(w.conn), DQC_TRANSACTION_OPEN);
  OK(dqc_conn_script_async(w.conn, "SELECT 1; COMMIT; SAVEPOINT a", DQC_CSTR, NULL, on_event, &p,
                           NULL, &error));
  until_done(&w, &p, 1);
  CHECK_EQ(dqc_conn_transaction(w.conn), DQC_TRANSACTION_OPEN);
  until_exec(&w, w.conn, "RELEASE 'A'", DQC_OK);
  CHECK_EQ(dqc_conn_transaction(w.conn), DQC_TRANSACTION_NONE);
  until_exec(&w, w.conn, "BEGIN", DQC_OK);
  memset(&p, 0, sizeof(p));
  OK(dqc_conn_close_async(w.conn, on_event, &p, NULL, &error));
  until_done(&w, &p, 1);
  CHECK_EQ(dqc_conn_transaction(w.conn), DQC_TRANSACTION_NONE);
  world_end(&w);
}

/* A lease and a connection, each left in a transaction. */
static void test_idle(int mode) {
  world w;
  probe p = {0};
  records r = {0};
  world_begin(&w, mode, "normal", 0);
  set(w.config, "idle_transaction_timeout", "150ms");
  OK(dqc_config_set_log(w.config, DQC_LOG_INFO, on_record, &r, &error));
  dqc_client *client = client_new(&w);
  dqc_conn *conn = lease(&w, client);
  world_connect(&w);
  const int64_t start = now_ms();
  until_exec(&w, conn, "BEGIN IMMEDIATE", DQC_OK);
  until_exec(&w, w.conn, "INSERT INTO t VALUES(1)", DQC_OK);
  UNTIL(&w, r.idle == 1);
  CHECK(now_ms() - start >= 140);
  CHECK(strstr(r.message, "held the write lock, was idle for 0.15 s and was rolled back") != NULL);
  CHECK_EQ(dqc_conn_state(conn), DQC_STATE_CLOSED);
  CHECK_EQ(dqc_conn_transaction(conn), DQC_TRANSACTION_NONE);
  for (int i = 0; i < 2; ++i) {
    memset(&p, 0, sizeof(p));
    const dqc_status refused = exec_async(conn, "INSERT INTO t VALUES(1)", &p);
    if (refused == DQC_OK) until_done(&w, &p, 1);
    CHECK_EQ(refused == DQC_OK ? p.status : refused, DQC_E_SESSION_LOST);
    CHECK_EQ(p.outcome, DQC_OUTCOME_NOT_EXECUTED);
  }
  UNTIL(&w, stats_of(client).leased == 0);
  ++g_inside;
  dqc_conn_free(conn);
  --g_inside;
  memset(&p, 0, sizeof(p));
  OK(c_exec(client, "INSERT INTO t VALUES(2)", &p));
  until_done(&w, &p, 1);
  CHECK_EQ(p.status, DQC_OK);
  CHECK_EQ(stats_of(client).checks, 0); /* the node is well: nobody was asked */
  CHECK_EQ(dqc_conn_state(w.conn), DQC_STATE_READY);
  until_exec(&w, w.conn, "BEGIN", DQC_OK);
  UNTIL(&w, dqc_conn_state(w.conn) == DQC_STATE_CLOSED);
  UNTIL(&w, r.idle == 2);
  CHECK(strstr(r.message, "the transaction was idle") != NULL);
  client_end(&w, client);
}

static void test_init(int mode) {
  world w;
  probe p[8] = {{0}};
  world_begin(&w, mode, "normal", 0);
  set(w.config, "init_sql", "PRAGMA foreign_keys = ON; DELETE FROM init");
  set(w.config, "pool_max", "4");
  dqc_client *client = client_new(&w);
  for (int i = 0; i < 8; ++i) OK(c_query(client, "SELECT * FROM t", &p[i]));
  until_done(&w, p, 8);
  for (int i = 0; i < 8; ++i) CHECK_EQ(p[i].status, DQC_OK);
  UNTIL(&w, stats_of(client).opening == 0);
  CHECK(mock_server_connections(w.mock) > 1);
  const uint64_t open = stats_of(client).open;
  CHECK(mock_server_sql_count(w.mock, "DELETE FROM init") >= open);
  CHECK_EQ(mock_server_violations(w.mock), 0);
  client_end(&w, client);
}

static char g_message[512];

static void take_message(probe *p, const dqc_event *event) {
  (void)p;
  CHECK_EQ(dqc_error_phase(event->error), DQC_PHASE_OPEN);
  snprintf(g_message, sizeof(g_message), "%s", dqc_error_message(event->error));
}

static void test_init_fails(int mode) {
  static const struct {
    const char *script, *message;
    dqc_status status;
  } kBad[] = {{"SELECT 1; BEGIN", "leaves a transaction open", DQC_E_CONFIG},
              {"COMMIT", "no transaction is active", DQC_E_SQL},
              {"PRAGMA journal_mode = DELETE", "setting this PRAGMA", DQC_E_UNSUPPORTED}};
  for (size_t i = 0; i < sizeof(kBad) / sizeof(kBad[0]); ++i) {
    world w;
    probe p[3] = {{0}};
    world_begin(&w, mode, "normal", 0);
    set(w.config, "init_sql", kBad[i].script);
    dqc_client *client = client_new(&w);
    const int64_t start = now_ms();
    p[0].hook = take_message;
    OK(c_exec(client, "INSERT INTO t VALUES(1)", &p[0]));
    OK(dqc_client_acquire_async(client, NULL, on_event, &p[1], NULL, &error));
    until_done(&w, p, 2);
    world_connect(&w);
    OK(exec_async(w.conn, "INSERT INTO t VALUES(1)", &p[2]));
    until_done(&w, &p[2], 1);
    CHECK(now_ms() - start < 3000);
    CHECK_EQ(p[0].status, kBad[i].status);
    CHECK_EQ(p[1].status, kBad[i].status);
    CHECK_EQ(p[2].status, kBad[i].status);
    for (int k = 0; k < 3; ++k) CHECK_EQ(p[k].outcome, DQC_OUTCOME_NOT_EXECUTED);
    CHECK(strstr(g_message, kBad[i].message) != NULL);
    CHECK(strstr(g_message, "option \"init_sql\": ") != NULL);
    CHECK(mock_server_connections(w.mock) <= 4); /* it did not try again and again */
    CHECK_EQ(mock_server_sql_count(w.mock, "INSERT INTO t"), 0);
    CHECK_EQ(stats_of(client).leased, 0);
    client_end(&w, client);
  }
}

int main(void) {
  setup(120);
  CHECK_EQ(dqc_conn_transaction(NULL), DQC_TRANSACTION_NONE);
  for (int mode = 0; mode < MODES; ++mode) {
    test_state(mode);
    test_idle(mode);
    test_init(mode);
    test_init_fails(mode);
  }
  return 0;
}
