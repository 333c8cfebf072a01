/* SPDX-License-Identifier: MIT */
/* Every allocation of a scenario fails once, alone or with all that follow: each failure is told as
 * DQC_E_NOMEM, every accepted operation gets exactly one terminal event, nothing leaks, and freeing
 * works without memory. */
#include "capi/check.h"
#include "failing_new.h"

enum { OPS = 16 };

typedef struct run {
  int mode;
  mock_server *mock;
  dqc_config *config;
  uv_loop_t uv; /* of an attached loop */
  dqc_loop *loop;
  dqc_queue *queue;
  dqc_conn *conn;
  dqc_client *client; /* then `conn` is what it leased */
  dqc_tx *tx;
  int with_client, sticky;
  dqc_stmt *stmt;
  probe p[OPS];
  int accepted[OPS];
  int used;
  dqc_status first_failure;
} run;

/* Notes the first failure; true if the call was good. */
static int good(run *r, dqc_status status, dqc_error *error) {
  if (status >= 0) {
    CHECK(error == NULL);
    return 1;
  }
  CHECK_EQ(dqc_error_code(error), status);
  CHECK(dqc_error_message(error)[0] != '\0');
  dqc_error_free(error);
  if (r->first_failure == DQC_OK) r->first_failure = status;
  return 0;
}

#define TRY(call)                         \
  do {                                    \
    dqc_error *error = NULL;              \
    const dqc_status status_ = (call);    \
    if (!good(r, status_, error)) return; \
  } while (0)

/* Submits with the next probe. */
#define SUBMIT(call)                                  \
  do {                                                \
    dqc_error *error = NULL;                          \
    probe *p = &r->p[r->used];                        \
    const dqc_status status_ = (call);                \
    r->accepted[r->used++] = good(r, status_, error); \
  } while (0)

static void open_all(run *r) {
  char dsn[64];
  snprintf(dsn, sizeof(dsn), "dqlite://127.0.0.1:%u/test?timeout=20s",
           (unsigned)mock_server_port(r->mock));
  TRY(dqc_config_new(&r->config, &error));
  TRY(dqc_config_set_dsn(r->config, dsn, DQC_CSTR, &error));
  TRY(dqc_config_set(r->config, "drain_timeout_era_d", DQC_CSTR, "5s", DQC_CSTR, &error));
  if (r->mode == ATTACHED) {
    TRY(dqc_loop_attach(&r->uv, &r->loop, &error));
  } else {
    TRY(dqc_loop_new(r->mode == DRIVEN ? DQC_LOOP_DRIVEN : DQC_LOOP_THREADED, &r->loop, &error));
  }
  if (r->mode == THREADED) TRY(dqc_queue_new(&r->queue, &error));
  if (r->with_client) {
    TRY(dqc_client_new(r->loop, r->queue, r->config, &r->client, &error));
  } else {
    TRY(dqc_conn_new(r->loop, r->queue, r->config, &r->conn, &error));
  }
}

static void blocking_part(run *r) {
  const dqc_value v[2] = {DQC_INT(1), DQC_STR("a text of more than a few bytes, to be copied")};
  dqc_rows *rows = NULL;
  dqc_status status;
  dqc_error *error = NULL;
  TRY(dqc_conn_exec(r->conn, "INSERT INTO t VALUES(?, ?)", DQC_CSTR, v, 2, NULL, NULL, &error));
  TRY(dqc_conn_prepare(r->conn, "SELECT ?, ?", DQC_CSTR, NULL, &r->stmt, &error));
  TRY(dqc_stmt_bind(r->stmt, 1, &v[0], &error));
  TRY(dqc_stmt_bind(r->stmt, 2, &v[1], &error));
  status = dqc_stmt_query(r->stmt, NULL, 0, NULL, &rows, &error);
  if (!good(r, status, error)) return;
  error = NULL;
  while ((status = dqc_rows_step(rows, &error)) == DQC_ROW) {
    CHECK(dqc_rows_text(rows, 1, NULL) != NULL);
  }
  (void)good(r, status, error);
  dqc_rows_free(rows);
  rows = NULL;
  error = NULL;
  status = dqc_conn_query(r->conn, "DELETE FROM t RETURNING x", DQC_CSTR, NULL, 0, NULL, &rows,
                          &error); /* fetched whole */
  if (!good(r, status, error)) return;
  error = NULL;
  while ((status = dqc_rows_step(rows, &error)) == DQC_ROW) {
  }
  (void)good(r, status, error);
  dqc_rows_free(rows);
}

static void async_part(run *r) {
  uint64_t op = 0;
  SUBMIT(dqc_conn_query_async(r->conn, "SELECT * FROM t", DQC_CSTR, NULL, 0, NULL, on_event, p,
                              NULL, &error));
  SUBMIT(dqc_conn_exec_async(r->conn, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, NULL, on_event,
                             p, &op, &error));
  SUBMIT(dqc_conn_script_async(r->conn, "INSERT INTO t VALUES(1); SELECT 1", DQC_CSTR, NULL,
                               on_event, p, NULL, &error));
  const dqc_admin dump = {sizeof(dump), DQC_ADMIN_DUMP, 0, 0, "a-database-of-a-long-name"};
  SUBMIT(dqc_conn_admin_async(r->conn, &dump, NULL, on_event, p, NULL, &error));
  const dqc_admin leader = {sizeof(leader), DQC_ADMIN_LEADER, 0, 0, NULL};
  SUBMIT(dqc_conn_admin_async(r->conn, &leader, NULL, on_event, p, NULL, &error));
  const dqc_status cancelled = dqc_conn_cancel(r->conn, op);
  if (cancelled != DQC_OK && r->first_failure == DQC_OK) r->first_failure = cancelled;
  SUBMIT(dqc_conn_prepare_async(r->conn, "SELECT 1", DQC_CSTR, NULL, on_event, p, NULL, &error));
}

static int outstanding(const run *r) {
  for (int i = 0; i < r->used; ++i) {
    if (r->accepted[i] && r->p[i].done == 0) return 1;
  }
  return 0;
}

static void wait_for_all(run *r) {
  while (outstanding(r)) {
    if (r->mode == DRIVEN) {
      INSIDE(dqc_loop_run(r->loop, DQC_RUN_ONCE, NULL));
    } else if (r->mode == ATTACHED) {
      INSIDE(uv_run(&r->uv, UV_RUN_ONCE));
    } else {
      (void)dqc_queue_wait(r->queue, 100);
      INSIDE(dqc_queue_dispatch(r->queue, 0));
    }
  }
}

static void take_conn(probe *p, const dqc_event *event) {
  run *r = (run *)p->data;
  CHECK((event->conn != NULL) == (event->status == DQC_OK));
  r->conn = event->conn;
}

/* A transaction with a mark, and a strong read. */
static void tx_work(run *r, const dqc_call_options *patience) {
  const dqc_tx_options options = {sizeof(options), DQC_BEGIN_IMMEDIATE, DQC_TX_RESOLVE, 0,
                                  patience->timeout_ms};
  dqc_call_options strong = *patience;
  strong.flags = DQC_CALL_STRONG;
  SUBMIT(dqc_client_query_async(r->client, "SELECT * FROM t", DQC_CSTR, NULL, 0, &strong, on_event,
                                p, NULL, &error));
  TRY(dqc_tx_new(r->client, &options, &r->tx, &error));
  r->p[r->used].hook = take_conn;
  r->p[r->used].data = r;
  SUBMIT(dqc_tx_begin_async(r->tx, on_event, p, NULL, &error));
  wait_for_all(r);
  if (r->conn == NULL) return;
  SUBMIT(dqc_conn_exec_async(r->conn, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, NULL, on_event,
                             p, NULL, &error));
  SUBMIT(dqc_tx_commit_async(r->tx, on_event, p, NULL, &error));
  wait_for_all(r);
  dqc_conn_free(r->conn);
  r->conn = NULL;
}

/* However it ends, its connection goes back. */
static void blocking_tx(run *r, const dqc_call_options *patience) {
  const dqc_tx_options options = {sizeof(options), DQC_BEGIN_IMMEDIATE, 0, 0, patience->timeout_ms};
  dqc_stats stats = {.struct_size = sizeof(stats), .leased = 1};
  dqc_conn *conn = NULL;
  TRY(dqc_tx_new(r->client, &options, &r->tx, &error));
  TRY(dqc_tx_begin(r->tx, &conn, &error));
  dqc_rows *rows = NULL; /* so that the COMMIT needs a cursor of its own */
  dqc_error *error = NULL;
  dqc_status status =
      dqc_conn_query(conn, "SELECT * FROM t", DQC_CSTR, NULL, 0, NULL, &rows, &error);
  (void)good(r, status, error);
  error = NULL;
  status = dqc_tx_commit(r->tx, &error);
  (void)good(r, status, error);
  dqc_rows_free(rows);
  dqc_conn_free(conn);
  for (const int64_t end = now_ms() + 5000; stats.leased != 0 && now_ms() < end;) {
    if (r->mode == DRIVEN) INSIDE(dqc_loop_run(r->loop, DQC_RUN_NOWAIT, NULL));
    sleep_ms(1);
    dqc_client_stats(r->client, &stats);
  }
  CHECK_EQ(stats.leased, 0);
}

/* open, exec, acquire, use, give back, more than one write at a time, close. */
static void client_work(run *r) {
  const dqc_value v[2] = {DQC_INT(1), DQC_STR("a text of more than a few bytes, to be copied")};
  /* While all memory is gone, the client tries again until the deadline. */
  dqc_call_options patience = {sizeof(patience), 0, r->sticky ? 500 : 10000};
  SUBMIT(dqc_client_connect_async(r->client, &patience, on_event, p, NULL, &error));
  SUBMIT(dqc_client_exec_async(r->client, "INSERT INTO t VALUES(?, ?)", DQC_CSTR, v, 2, &patience,
                               on_event, p, NULL, &error));
  SUBMIT(dqc_client_query_async(r->client, "SELECT * FROM t", DQC_CSTR, NULL, 0, &patience,
                                on_event, p, NULL, &error));
  r->p[r->used].hook = take_conn;
  r->p[r->used].data = r;
  SUBMIT(dqc_client_acquire_async(r->client, &patience, on_event, p, NULL, &error));
  wait_for_all(r);
  if (r->conn != NULL) {
    SUBMIT(
        dqc_conn_exec_async(r->conn, "BEGIN", DQC_CSTR, NULL, 0, NULL, on_event, p, NULL, &error));
    wait_for_all(r);
    dqc_conn_free(r->conn);
    r->conn = NULL;
  }
  for (int i = 0; i < 3; ++i)
    SUBMIT(dqc_client_exec_async(r->client, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, &patience,
                                 on_event, p, NULL, &error));
  char node[32];
  snprintf(node, sizeof(node), "127.0.0.1:%u", (unsigned)mock_server_port(r->mock));
  const dqc_admin describe = {sizeof(describe), DQC_ADMIN_DESCRIBE, 0, 0, node};
  SUBMIT(dqc_client_admin_async(r->client, &describe, &patience, on_event, p, NULL, &error));
  wait_for_all(r);
  tx_work(r, &patience);
  dqc_tx_free(r->tx);
  r->tx = NULL;
  INSIDE(blocking_tx(r, &patience)); /* a read of tx_work() may end in it */
  SUBMIT(dqc_client_close_async(r->client, &patience, on_event, p, NULL, &error));
  if (r->used % 2 == 0) wait_for_all(r);
}

static void work(run *r) {
  open_all(r);
  if (r->client != NULL) return client_work(r);
  if (r->conn == NULL) return;
  SUBMIT(dqc_conn_connect_async(r->conn, on_event, p, NULL, &error));
  if (!r->accepted[0]) return;
  wait_for_all(r);
  if (r->p[0].status == DQC_OK && r->mode != ATTACHED) blocking_part(r);
  async_part(r);
  wait_for_all(r);
  SUBMIT(dqc_conn_close_async(r->conn, on_event, p, NULL, &error));
  if (r->used % 2 == 0) wait_for_all(r); /* else its event comes after the free */
}

static void free_all(run *r) {
  ++g_inside;
  for (int i = 0; i < r->used; ++i) {
    if (r->p[i].stmt != NULL) dqc_stmt_free(r->p[i].stmt);
    r->p[i].stmt = NULL;
  }
  dqc_stmt_free(r->stmt);
  dqc_conn_free(r->conn);
  dqc_tx_free(r->tx);
  dqc_client_free(r->client);
  dqc_loop_free(r->loop);
  dqc_config_free(r->config);
  if (r->mode == THREADED) wait_for_all(r);
  if (r->mode == ATTACHED) {
    CHECK_EQ(uv_run(&r->uv, UV_RUN_DEFAULT), 0);
    CHECK_EQ(uv_loop_close(&r->uv), 0);
  }
  dqc_queue_free(r->queue);
  --g_inside;
}

/* True if an allocation was failed. */
static int run_once(mock_server *mock, int mode, int with_client, long n, int sticky) {
  static run r; /* not on the stack, where a leak would hide */
  static char name[64];
  const int threads_before = threads();
  memset(&r, 0, sizeof(r));
  r.mode = mode;
  r.with_client = with_client;
  r.sticky = sticky;
  r.mock = mock;
  if (mode == ATTACHED) CHECK_EQ(uv_loop_init(&r.uv), 0);
  snprintf(name, sizeof(name), "%s%s, allocation %ld%s", with_client ? "client, " : "",
           mode_name(mode), n, sticky ? " and on" : "");
  g_case = name;
  oom_begin(n, sticky);
  work(&r);
  free_all(&r);
  const int failed = oom_end();
  for (int i = 0; i < r.used; ++i) {
    CHECK_EQ(r.p[i].done, r.accepted[i]);
    if (r.first_failure == DQC_OK && r.p[i].status < 0 && r.p[i].status != DQC_E_CANCELLED)
      r.first_failure = r.p[i].status;
  }
  int any = r.first_failure == DQC_OK || r.first_failure == DQC_E_NOMEM;
  for (int i = 0; i < r.used; ++i) any |= r.p[i].status == DQC_E_NOMEM;
  CHECK(any);
  if (!failed) CHECK_EQ(r.first_failure, DQC_OK);
  const int64_t end = now_ms() + 20000;
  while (threads() > threads_before && now_ms() < end) sleep_ms(1);
  CHECK(threads() <= threads_before);
  memset(&r, 0, sizeof(r));
  CHECK_EQ(oom_leaks(), 0);
  return failed;
}

/* A client without any memory tries again until its deadlines: too long for each allocation. An
 * attached loop differs from a driven one in how events are delivered. */
static void run_all(mock_server *mock, int with_client) {
  for (int mode = DRIVEN; mode < (with_client ? ATTACHED : MODES); ++mode) {
    for (int sticky = 0; sticky < (with_client || mode == ATTACHED ? 1 : 2); ++sticky) {
      long n = 1;
      int clean = 0;
      CHECK_EQ(run_once(mock, mode, with_client, 1L << 40, 0), 0); /* nothing fails: it all works */
      for (; clean < 2; ++n) clean = run_once(mock, mode, with_client, n, sticky) ? 0 : clean + 1;
      printf("%s%s%s: %ld allocations\n", with_client ? "client, " : "", mode_name(mode),
             sticky ? ", sticky" : "", n - 2);
      CHECK(n > 40);
    }
  }
}

int main(void) {
  setup(280);
  mock_server *mock = mock_server_start('D', "normal", 0);
  run_all(mock, 0);
  run_all(mock, 1);
  mock_server_stop(mock);
  return 0;
}
