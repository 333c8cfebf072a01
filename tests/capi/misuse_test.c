/* SPDX-License-Identifier: MIT */
/* What the interface says to callers who get it wrong: statuses, out parameters, options,
 * parameters, SQL. */
#include <math.h>

#include "check.h"

static mock_server *mock;
static dqc_conn *conn;

static void test_null_handles(void) {
  dqc_config *config = (dqc_config *)1;
  dqc_conn *out = (dqc_conn *)1;
  dqc_rows *rows = (dqc_rows *)1;
  dqc_stmt *stmt = (dqc_stmt *)1;
  dqc_batch *batch = (dqc_batch *)1;
  dqc_loop *loop = (dqc_loop *)1;
  dqc_result result = {7, 7, 7, 7};
  uint64_t op = 7;
  size_t size = 7;
  FAILS(DQC_E_MISUSE, dqc_config_new(NULL, &error));
  FAILS(DQC_E_MISUSE, dqc_config_set(NULL, "timeout", DQC_CSTR, "1s", DQC_CSTR, &error));
  FAILS(DQC_E_MISUSE, dqc_config_set_dsn(NULL, "x", DQC_CSTR, &error));
  FAILS(DQC_E_MISUSE, dqc_config_set_env(NULL, &error));
  FAILS(DQC_E_MISUSE, dqc_config_set_dial(NULL, NULL, NULL, &error));
  FAILS(DQC_E_MISUSE, dqc_config_set_log(NULL, 1, NULL, NULL, &error));
  FAILS(DQC_E_MISUSE, dqc_config_set_watch(NULL, NULL, NULL, &error));
  FAILS(DQC_E_MISUSE, dqc_loop_new(0, NULL, &error));
  FAILS(DQC_E_MISUSE, dqc_loop_new(2, &loop, &error));
  CHECK(loop == NULL);
  FAILS(DQC_E_MISUSE, dqc_loop_attach(NULL, &loop, &error));
  FAILS(DQC_E_MISUSE, dqc_loop_run(NULL, 0, &error));
  FAILS(DQC_E_MISUSE, dqc_queue_new(NULL, &error));
  FAILS(DQC_E_MISUSE, dqc_conn_new(NULL, NULL, NULL, &out, &error));
  CHECK(out == NULL);
  OK(dqc_config_new(&config, &error));
  FAILS(DQC_E_MISUSE, dqc_conn_new(NULL, NULL, config, NULL, &error));
  FAILS(DQC_E_CONFIG, dqc_conn_new(NULL, NULL, config, &out, &error)); /* no node */
  dqc_config_free(config);
  FAILS(DQC_E_MISUSE, dqc_conn_connect(NULL, &error));
  FAILS(DQC_E_MISUSE, dqc_conn_connect_async(NULL, NULL, NULL, &op, &error));
  CHECK_EQ(op, 0);
  FAILS(DQC_E_MISUSE, dqc_conn_close(NULL, &error));
  FAILS(DQC_E_MISUSE, dqc_conn_exec(NULL, "x", 1, NULL, 0, NULL, &result, &error));
  CHECK(result.has == 0 && result.last_insert_id == 0 && result.rows_affected == 0);
  FAILS(DQC_E_MISUSE, dqc_conn_query(NULL, "x", 1, NULL, 0, NULL, &rows, &error));
  CHECK(rows == NULL);
  FAILS(DQC_E_MISUSE, dqc_conn_query(conn, "SELECT 1", DQC_CSTR, NULL, 0, NULL, NULL, &error));
  FAILS(DQC_E_MISUSE, dqc_conn_prepare(NULL, "x", 1, NULL, &stmt, &error));
  CHECK(stmt == NULL);
  FAILS(DQC_E_MISUSE, dqc_conn_prepare(conn, "SELECT 1", DQC_CSTR, NULL, NULL, &error));
  FAILS(DQC_E_MISUSE, dqc_stmt_exec(NULL, NULL, 0, NULL, NULL, &error));
  FAILS(DQC_E_MISUSE, dqc_stmt_bind(NULL, 1, &(dqc_value)DQC_INT(1), &error));
  FAILS(DQC_E_MISUSE, dqc_rows_step(NULL, &error));
  FAILS(DQC_E_MISUSE, dqc_rows_next_batch(NULL, &batch, &error));
  CHECK(batch == NULL);
  CHECK_EQ(dqc_conn_cancel(NULL, 1), DQC_E_MISUSE);
  CHECK_EQ(dqc_conn_pause(NULL, 1, 1), DQC_E_MISUSE);
  CHECK_EQ(dqc_queue_wait(NULL, 0), DQC_E_MISUSE);
  CHECK_EQ(dqc_queue_dispatch(NULL, 0), DQC_E_MISUSE);
  CHECK_EQ(dqc_queue_set_notify(NULL, NULL, NULL), DQC_E_MISUSE);
  CHECK_EQ(dqc_queue_fd(NULL), -1);
  CHECK_EQ(dqc_loop_fd(NULL), -1);
  CHECK_EQ(dqc_loop_timeout_ms(NULL), -1);
  CHECK_EQ(dqc_conn_state(NULL), DQC_STATE_CLOSED);
  CHECK_EQ(dqc_conn_era(NULL), 0);
  CHECK_STR(dqc_conn_address(NULL), "");
  CHECK(dqc_batch_column_name(NULL, 0, &size) == NULL && size == 0);
  CHECK(dqc_batch_cells(NULL) == NULL && dqc_batch_row_count(NULL) == 0);
  CHECK(dqc_rows_cell(NULL, 0) == NULL && dqc_rows_column_count(NULL) == 0);
  CHECK(dqc_rows_text(NULL, 0, &size) == NULL && size == 0);
  dqc_rows_result(NULL, &result);
  dqc_rows_result(NULL, NULL);
  CHECK_EQ(dqc_stmt_param_count(NULL), 0);
  CHECK(dqc_stmt_param_name(NULL, 1) == NULL);
}

/* The other out parameters, of functions without a handle. */
static void test_out_parameters(void) {
  const dqc_admin leader = {sizeof(leader), DQC_ADMIN_LEADER, 0, 0, NULL};
  dqc_rows *rows = (dqc_rows *)1;
  dqc_result result = {7, 7, 7, 7};
  uint64_t op;
#define WRITTEN(call)          \
  do {                         \
    op = 7;                    \
    FAILS(DQC_E_MISUSE, call); \
    CHECK_EQ(op, 0);           \
  } while (0)
  WRITTEN(dqc_conn_exec_async(NULL, "x", 1, NULL, 0, NULL, on_event, NULL, &op, &error));
  WRITTEN(dqc_conn_query_async(NULL, "x", 1, NULL, 0, NULL, on_event, NULL, &op, &error));
  WRITTEN(dqc_conn_script_async(NULL, "x", 1, NULL, on_event, NULL, &op, &error));
  WRITTEN(dqc_conn_prepare_async(NULL, "x", 1, NULL, on_event, NULL, &op, &error));
  WRITTEN(dqc_stmt_exec_async(NULL, NULL, 0, NULL, on_event, NULL, &op, &error));
  WRITTEN(dqc_stmt_query_async(NULL, NULL, 0, NULL, on_event, NULL, &op, &error));
  WRITTEN(dqc_conn_admin_async(NULL, &leader, NULL, on_event, NULL, &op, &error));
  WRITTEN(dqc_conn_close_async(NULL, on_event, NULL, &op, &error));
  WRITTEN(dqc_tx_begin_async(NULL, on_event, NULL, &op, &error));
  WRITTEN(dqc_tx_commit_async(NULL, on_event, NULL, &op, &error));
  WRITTEN(dqc_tx_rollback_async(NULL, NULL, on_event, NULL, &op, &error));
#undef WRITTEN
  FAILS(DQC_E_MISUSE, dqc_conn_script(NULL, "x", 1, NULL, &result, &error));
  CHECK(result.has == 0 && result.statements == 0 && result.rows_affected == 0);
  result = (dqc_result){7, 7, 7, 7};
  FAILS(DQC_E_MISUSE, dqc_stmt_exec(NULL, NULL, 0, NULL, &result, &error));
  CHECK(result.has == 0 && result.last_insert_id == 0);
  FAILS(DQC_E_MISUSE, dqc_stmt_query(NULL, NULL, 0, NULL, &rows, &error));
  CHECK(rows == NULL);
  rows = (dqc_rows *)1;
  FAILS(DQC_E_MISUSE, dqc_conn_admin(NULL, &leader, NULL, &rows, &error));
  CHECK(rows == NULL);
  result = (dqc_result){7, 7, 7, 7};
  dqc_rows_result(NULL, &result);
  CHECK(result.has == 0 && result.statements == 0);
}

static void test_null_error(void) {
  CHECK_EQ(dqc_error_code(NULL), DQC_OK);
  CHECK_EQ(dqc_error_class(NULL), DQC_CLASS_NONE);
  CHECK_STR(dqc_error_message(NULL), "");
  CHECK_STR(dqc_error_server_text(NULL), "");
  CHECK_STR(dqc_error_node(NULL), "");
  CHECK_EQ(dqc_error_outcome(NULL), DQC_OUTCOME_NOT_EXECUTED);
  CHECK_EQ(dqc_error_retry(NULL), DQC_RETRY_NEVER);
  CHECK_EQ(dqc_error_phase(NULL), DQC_PHASE_NONE);
  CHECK_EQ(dqc_error_server_code(NULL) + dqc_error_sqlite_code(NULL), 0);
  CHECK_EQ(dqc_error_sql_offset(NULL), -1);
  CHECK_EQ(dqc_conn_exec(conn, "", 0, NULL, 0, NULL, NULL, NULL), DQC_E_MISUSE); /* no error out */
}

static dqc_status exec_with(const dqc_call_options *options, dqc_error **error) {
  return dqc_conn_exec(conn, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, options, NULL, error);
}

static void test_options(void) {
  const size_t whole = sizeof(dqc_call_options);
  dqc_call_options options = {0, 0, 0};
  FAILS(DQC_E_MISUSE, exec_with(&options, &error));
  options.struct_size = 3;
  FAILS(DQC_E_MISUSE, exec_with(&options, &error));
  options.struct_size = UINT32_MAX;
  FAILS(DQC_E_MISUSE, exec_with(&options, &error));
  /* An old caller's, exactly as large as it says: reading on would be seen by ASan. */
  uint32_t *old = (uint32_t *)malloc(8);
  old[0] = 8;
  old[1] = 0;
  OK(exec_with((const dqc_call_options *)(void *)old, &error));
  free(old);
  /* A newer caller's: as long as it asks for nothing new. */
  unsigned char *newer = (unsigned char *)calloc(1, whole + 16);
  ((dqc_call_options *)(void *)newer)->struct_size = (uint32_t)(whole + 16);
  OK(exec_with((const dqc_call_options *)(void *)newer, &error));
  newer[whole + 15] = 1;
  FAILS(DQC_E_MISUSE, exec_with((const dqc_call_options *)(void *)newer, &error));
  free(newer);
  options = (dqc_call_options){sizeof(options), DQC_CALL_IDEMPOTENT, UINT64_MAX};
  OK(exec_with(&options, &error));
}

static void test_admin_options(void) {
  const size_t whole = sizeof(dqc_admin);
  dqc_admin request = {0, DQC_ADMIN_LEADER, 0, 0, NULL};
  FAILS(DQC_E_MISUSE, dqc_conn_admin(conn, NULL, NULL, NULL, &error));
  FAILS(DQC_E_MISUSE, dqc_conn_admin(conn, &request, NULL, NULL, &error));
  request.struct_size = sizeof(request);
  request.verb = 99;
  FAILS(DQC_E_MISUSE, dqc_conn_admin(conn, &request, NULL, NULL, &error));
  request.verb = DQC_ADMIN_ASSIGN;
  request.value = 3;
  FAILS(DQC_E_MISUSE, dqc_conn_admin(conn, &request, NULL, NULL, &error));
  request = (dqc_admin){sizeof(request), DQC_ADMIN_ADD, 2, 0, NULL};
  FAILS(DQC_E_CONFIG, dqc_conn_admin(conn, &request, NULL, NULL, &error));
  unsigned char *newer = (unsigned char *)calloc(1, whole + 8);
  *(dqc_admin *)(void *)newer = (dqc_admin){(uint32_t)(whole + 8), DQC_ADMIN_LEADER, 0, 0, NULL};
  OK(dqc_conn_admin(conn, (const dqc_admin *)(void *)newer, NULL, NULL, &error));
  newer[whole] = 1;
  FAILS(DQC_E_MISUSE, dqc_conn_admin(conn, (const dqc_admin *)(void *)newer, NULL, NULL, &error));
  free(newer);
}

static void test_config(void) {
  static const char *const kBad[] = {"",
                                     "x",
                                     "dqlite://",
                                     "http://a:1/b",
                                     "dqlite://a:1/b?nope=1",
                                     "dqlite://a:1/b?timeout=x",
                                     "dqlite://a:99999/b",
                                     "dqlite://:1/b"};
  dqc_config *config = NULL;
  dqc_conn *out = (dqc_conn *)1;
  OK(dqc_config_new(&config, &error));
  for (size_t i = 0; i < sizeof(kBad) / sizeof(kBad[0]); ++i) {
    g_case = kBad[i];
    FAILS(DQC_E_CONFIG, dqc_conn_open(kBad[i], DQC_CSTR, &out, &error));
    CHECK(out == NULL);
    if (i > 0) FAILS(DQC_E_CONFIG, dqc_config_set_dsn(config, kBad[i], DQC_CSTR, &error));
  }
  g_case = "";
  FAILS(DQC_E_CONFIG, dqc_conn_open(NULL, 0, &out, &error));
  FAILS(DQC_E_CONFIG, dqc_config_set(config, "nope", DQC_CSTR, "1", DQC_CSTR, &error));
  FAILS(DQC_E_CONFIG, dqc_config_set(config, NULL, 0, NULL, 0, &error));
  FAILS(DQC_E_CONFIG, dqc_config_set(config, "timeout", DQC_CSTR, "never", DQC_CSTR, &error));
  FAILS(DQC_E_MISUSE, dqc_config_set_log(config, 0, NULL, NULL, &error));
  FAILS(DQC_E_MISUSE, dqc_config_set_log(config, 5, NULL, NULL, &error));
  OK(dqc_config_set(config, "timeoutXX", 7, "5sXX", 2, &error)); /* sizes count */
  OK(dqc_config_set_dsn(config, "dqlite://a:1,b:2/db", DQC_CSTR, &error));
  FAILS(DQC_E_CONFIG, dqc_conn_new(NULL, NULL, config, &out, &error)); /* two nodes */
  dqc_config_free(config);
}

static void test_queue_and_loop(void) {
  dqc_config *config = config_for(mock);
  dqc_queue *queue = NULL;
  dqc_loop *loop = NULL;
  dqc_conn *c = NULL;
  OK(dqc_queue_new(&queue, &error));
  OK(dqc_loop_new(DQC_LOOP_DRIVEN, &loop, &error));
  FAILS(DQC_E_MISUSE, dqc_conn_new(loop, queue, config, &c, &error));
  FAILS(DQC_E_MISUSE, dqc_conn_new(NULL, queue, config, &c, &error));
  dqc_loop_free(loop);
  OK(dqc_loop_new(DQC_LOOP_THREADED, &loop, &error));
  CHECK_EQ(dqc_loop_fd(loop), -1);
  FAILS(DQC_E_MISUSE, dqc_loop_run(loop, DQC_RUN_NOWAIT, &error));
  /* Without a queue: blocking calls only. */
  OK(dqc_conn_new(loop, NULL, config, &c, &error));
  OK(dqc_conn_connect(c, &error));
  uint64_t op = 7;
  FAILS(DQC_E_MISUSE,
        dqc_conn_exec_async(c, "SELECT 1", DQC_CSTR, NULL, 0, NULL, on_event, NULL, &op, &error));
  CHECK_EQ(op, 0);
  FAILS(DQC_E_MISUSE, dqc_conn_connect(c, &error)); /* connected before */
  OK(dqc_conn_exec(c, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, NULL, NULL, &error));
  OK(dqc_conn_close(c, &error));
  FAILS(DQC_E_CLOSED, dqc_conn_exec(c, "SELECT 1", DQC_CSTR, NULL, 0, NULL, NULL, &error));
  dqc_conn_free(c);
  OK(dqc_conn_new(NULL, NULL, config, &c, &error));
  FAILS(DQC_E_MISUSE, dqc_conn_exec(c, "SELECT 1", DQC_CSTR, NULL, 0, NULL, NULL, &error));
  dqc_conn_free(c);
  dqc_loop_free(loop);
  dqc_queue_free(queue);
  dqc_config_free(config);
}

static dqc_status run(const char *sql, const dqc_value *args, size_t count, dqc_error **error) {
  return dqc_conn_exec(conn, sql, DQC_CSTR, args, count, NULL, NULL, error);
}

static dqc_value named(const char *name, int64_t v) {
  dqc_value value = DQC_INT(v);
  value.name = name;
  return value;
}

static void test_params(void) {
  const char *two = "INSERT INTO t VALUES(?, ?)", *names = "INSERT INTO t VALUES(:a, @b, :a)";
  dqc_value v[3] = {DQC_INT(1), DQC_STR("x"), DQC_NIL};
  OK(run(two, v, 2, &error));
  FAILS(DQC_E_PARAMS, run(two, v, 1, &error));
  FAILS(DQC_E_PARAMS, run(two, v, 3, &error));
  FAILS(DQC_E_PARAMS, run(two, NULL, 0, &error));
  FAILS(DQC_E_PARAMS, run(two, NULL, 2, &error));
  dqc_value ab[3] = {named("@b", 1), named(":a", 2), named(":a", 3)};
  OK(run(names, ab, 2, &error));
  FAILS(DQC_E_PARAMS, run(names, ab, 1, &error));
  FAILS(DQC_E_PARAMS, run(names, ab, 3, &error));
  ab[0].name = "b";
  FAILS(DQC_E_PARAMS, run(names, ab, 2, &error));
  ab[0].name = NULL;
  FAILS(DQC_E_PARAMS, run(names, ab, 2, &error));
  dqc_value mixed[2] = {named("@b", 1), DQC_INT(1)};
  FAILS(DQC_E_PARAMS, run(names, mixed, 2, &error));
  const dqc_value bad[] = {{{.data = "a\0b"}, 3, NULL, DQC_TEXT, 0},
                           {{.data = NULL}, 3, NULL, DQC_TEXT, 0},
                           {{.data = NULL}, DQC_CSTR, NULL, DQC_TEXT, 0},
                           {{.data = "x"}, DQC_CSTR, NULL, DQC_BLOB, 0},
                           {{.integer = 1}, 0, NULL, DQC_UNIXTIME, 0},
                           {{.integer = 1}, 0, NULL, 0, 0},
                           {{.integer = 1}, 0, NULL, 6, 0},
                           {{.data = "x"}, 1u << 31, NULL, DQC_TEXT, 0}};
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); ++i)
    FAILS(DQC_E_PARAMS, run("INSERT INTO t VALUES(?)", &bad[i], 1, &error));
  const dqc_value good[] = {DQC_REAL(NAN),          DQC_BYTES(NULL, 0),
                            DQC_BYTES("a\0b", 3),   DQC_BOOL(7),
                            DQC_TIME("2026-01-01"), {{.data = NULL}, 0, NULL, DQC_TEXT, 0}};
  for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); ++i)
    OK(run("INSERT INTO t VALUES(?)", &good[i], 1, &error));
  FAILS(DQC_E_PARAMS, run("INSERT INTO t VALUES(?); INSERT INTO t VALUES(?)", v, 2, &error));
}

static void test_statement_params(void) {
  dqc_stmt *stmt = NULL, *plain = NULL;
  dqc_value v[2] = {DQC_INT(1), DQC_STR("x")};
  OK(dqc_conn_prepare(conn, "SELECT ?, ?", DQC_CSTR, NULL, &stmt, &error));
  CHECK_EQ(dqc_stmt_param_count(stmt), 2);
  CHECK(dqc_stmt_param_name(stmt, 1) == NULL && dqc_stmt_param_name(stmt, 0) == NULL);
  CHECK(dqc_stmt_param_name(stmt, 3) == NULL);
  FAILS(DQC_E_PARAMS, dqc_stmt_exec(stmt, NULL, 0, NULL, NULL, &error)); /* nothing bound */
  FAILS(DQC_E_PARAMS, dqc_stmt_exec(stmt, v, 1, NULL, NULL, &error));
  FAILS(DQC_E_PARAMS, dqc_stmt_bind(stmt, 0, &v[0], &error));
  FAILS(DQC_E_PARAMS, dqc_stmt_bind(stmt, 3, &v[0], &error));
  FAILS(DQC_E_MISUSE, dqc_stmt_bind(stmt, 1, NULL, &error));
  OK(dqc_stmt_bind(stmt, 1, &v[0], &error));
  FAILS(DQC_E_PARAMS, dqc_stmt_exec(stmt, NULL, 0, NULL, NULL, &error));
  char text[2] = "x";
  v[1].as.data = text;
  OK(dqc_stmt_bind(stmt, 2, &v[1], &error));
  text[0] = '!'; /* it was copied */
  dqc_rows *rows = NULL;
  OK(dqc_stmt_query(stmt, v, 0, NULL, &rows,
                    &error)); /* no args: the bound ones, as often as wanted */
  CHECK_EQ(dqc_rows_step(rows, NULL), DQC_ROW);
  CHECK_EQ(dqc_rows_int64(rows, 0), 1);
  CHECK_STR(dqc_rows_text(rows, 1, NULL), "x");
  dqc_rows_free(rows);
  OK(dqc_conn_prepare(conn, "SELECT 1", DQC_CSTR, NULL, &plain, &error));
  OK(dqc_stmt_exec(plain, NULL, 3, NULL, NULL, &error)); /* no array, so no values */
  dqc_stmt_free(plain);
  dqc_stmt_free(stmt);
  OK(dqc_conn_prepare(conn, "SELECT :a, ?3", DQC_CSTR, NULL, &stmt, &error));
  CHECK_STR(dqc_stmt_param_name(stmt, 1), ":a");
  v[0] = named(":a", 1);
  OK(dqc_stmt_bind(stmt, 0, &v[0], &error));
  v[0].name = ":z";
  FAILS(DQC_E_PARAMS, dqc_stmt_bind(stmt, 0, &v[0], &error));
  dqc_stmt_free(stmt);
}

static void test_sql(void) {
  dqc_rows *rows = NULL;
  dqc_stmt *stmt = NULL;
  dqc_result result;
  FAILS(DQC_E_MISUSE, run(NULL, NULL, 0, &error));
  FAILS(DQC_E_MISUSE, run("", NULL, 0, &error));
  FAILS(DQC_E_MISUSE, run("  ; -- nothing\n /* */", NULL, 0, &error));
  FAILS(DQC_E_MISUSE, dqc_conn_exec(conn, "SELECT 1\0", 9, NULL, 0, NULL, NULL, &error));
  FAILS(DQC_E_MISUSE,
        dqc_conn_query(conn, "SELECT 1; SELECT 2", DQC_CSTR, NULL, 0, NULL, &rows, &error));
  FAILS(DQC_E_MISUSE, dqc_conn_prepare(conn, "SELECT 1; SELECT 2", DQC_CSTR, NULL, &stmt, &error));
  FAILS(DQC_E_MISUSE, dqc_conn_prepare(conn, "", DQC_CSTR, NULL, &stmt, &error));
  FAILS(DQC_E_UNSUPPORTED, run("INSERT INTO t VALUES(1); SELECT 1", NULL, 0, &error));
  OK(dqc_conn_exec(conn, "INSERT INTO t VALUES(1); INSERT INTO t VALUES(2);", DQC_CSTR, NULL, 0,
                   NULL, &result, &error));
  CHECK_EQ(result.statements, 2);
  CHECK_EQ(result.has, 0);
  FAILS(DQC_E_MISUSE, dqc_conn_script(conn, NULL, 0, NULL, NULL, &error));
  FAILS(DQC_E_MISUSE, dqc_conn_script(conn, "SELECT 1\0", 9, NULL, NULL, &error));
  OK(dqc_conn_script(conn, "", 0, NULL, &result, &error));
  CHECK_EQ(result.statements, 0);
  FAILS(DQC_E_PARAMS, dqc_conn_script(conn, "SELECT 1; SELECT ?", DQC_CSTR, NULL, &result, &error));
}

static void test_constants(void) {
  static const int kStatuses[] = {DQC_OK,
                                  DQC_ROW,
                                  DQC_END,
                                  DQC_E_NOMEM,
                                  DQC_E_MISUSE,
                                  DQC_E_CLOSED,
                                  DQC_E_FORKED,
                                  DQC_E_CANCELLED,
                                  DQC_E_TIMEOUT,
                                  DQC_E_LIMIT,
                                  DQC_E_UNSUPPORTED,
                                  DQC_E_INTERNAL,
                                  DQC_E_CONFIG,
                                  DQC_E_PARAMS,
                                  DQC_E_RESOLVE,
                                  DQC_E_CONNECT,
                                  DQC_E_NETWORK,
                                  DQC_E_TLS,
                                  DQC_E_PROTOCOL,
                                  DQC_E_SQL,
                                  DQC_E_CONSTRAINT,
                                  DQC_E_BUSY,
                                  DQC_E_BUSY_SNAPSHOT,
                                  DQC_E_NOT_LEADER,
                                  DQC_E_LEADERSHIP_LOST,
                                  DQC_E_SESSION_LOST,
                                  DQC_E_SERVER};
  const size_t count = sizeof(kStatuses) / sizeof(kStatuses[0]);
  for (size_t i = 0; i < count; ++i) {
    for (size_t j = i + 1; j < count; ++j) {
      CHECK(kStatuses[i] != kStatuses[j]);
      CHECK(strcmp(dqc_status_name(kStatuses[i]), dqc_status_name(kStatuses[j])) != 0);
    }
  }
  CHECK(dqc_status_name(-999)[0] != '\0');
  for (dqc_status status = DQC_OK; status <= DQC_AGAIN; ++status)
    CHECK(strcmp(dqc_status_name(status), dqc_status_name(-999)) != 0);
  for (size_t i = 0; i < count; ++i) {
    const int32_t kind = dqc_status_class(kStatuses[i]);
    CHECK_EQ(kind == DQC_CLASS_NONE, kStatuses[i] >= 0);
    CHECK(kind >= DQC_CLASS_NONE && kind <= DQC_CLASS_SERVER);
  }
  CHECK_EQ(dqc_status_class(-999), DQC_CLASS_PROTOCOL); /* of a later version */
  CHECK_EQ(dqc_status_class(DQC_E_NOMEM), DQC_CLASS_LIMIT);
  CHECK_EQ(dqc_status_class(DQC_E_BUSY_SNAPSHOT), DQC_CLASS_BUSY);
  CHECK_EQ(dqc_status_class(DQC_E_SESSION_LOST), DQC_CLASS_LEADERSHIP);
  CHECK((DQC_HAS_ROWS_AFFECTED & DQC_HAS_LAST_INSERT_ID) == 0);
  CHECK_EQ(dqc_version_number(), DQC_VERSION_NUMBER);
  CHECK_EQ(dqc_abi_check(DQC_VERSION_NUMBER), DQC_OK);
  CHECK_EQ(dqc_abi_check(DQC_VERSION_NUMBER + 1), DQC_OK); /* a patch version */
  CHECK_EQ(dqc_abi_check(DQC_VERSION_NUMBER + 100), DQC_E_UNSUPPORTED);
  CHECK_EQ(dqc_abi_check(DQC_VERSION_NUMBER + 10000), DQC_E_UNSUPPORTED);
  CHECK_STR(dqc_version(), "0.1.0");
  CHECK_EQ(sizeof(dqc_cell), 16);
}

int main(void) {
  setup(50);
  mock = mock_server_start('D', "normal", 0);
  dqc_config *config = config_for(mock);
  OK(dqc_conn_new(NULL, NULL, config, &conn, &error));
  OK(dqc_conn_connect(conn, &error));
  test_null_handles();
  test_out_parameters();
  test_null_error();
  test_options();
  test_admin_options();
  test_config();
  test_queue_and_loop();
  test_params();
  test_statement_params();
  test_sql();
  test_constants();
  CHECK_EQ(mock_server_violations(mock), 0);
  dqc_conn_free(conn);
  dqc_config_free(config);
  mock_server_stop(mock);
  return 0;
}
