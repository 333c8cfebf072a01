/* SPDX-License-Identifier: MIT */
/* A tour of the C interface, blocking calls only:
 *
 *   demo 127.0.0.1:9001 127.0.0.1:9002 127.0.0.1:9003
 *
 * finds the leader among the nodes and works on the database "demo" there. It prints what it does,
 * and exits 0 if everything went as it should. */
#include <dqclient/dqclient.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ADDRESS_MAX = 128, DSN_MAX = 1024 };

/* Prints the error, if there is one, and frees it. Returns 0, so that a step can end with
 * "return failed(...)". */
static int failed(const char *what, dqc_error *error) {
  if (error != NULL) printf("%s failed: %s\n", what, dqc_error_message(error));
  dqc_error_free(error);
  return 0;
}

/* ------------------------------------------------------------------------------ finding the leader */

/* Any node will do to begin with; the client asks its way to the leader. If there is none, the error
 * says of each node what came of it. */
static dqc_client *open_client(int count, char **addresses) {
  char dsn[DSN_MAX] = "dqlite://";
  dqc_error *error = NULL;
  dqc_client *client = NULL;
  char leader[ADDRESS_MAX];
  size_t n;
  int i;

  for (i = 0; i < count; i++) {
    n = strlen(dsn);
    snprintf(dsn + n, sizeof dsn - n, "%s%s", i > 0 ? "," : "", addresses[i]);
  }
  n = strlen(dsn);
  snprintf(dsn + n, sizeof dsn - n, "/demo?timeout=10s");
  if (dqc_client_open(dsn, DQC_CSTR, &client, &error) == DQC_OK) {
    dqc_client_leader(client, leader, sizeof leader);
    printf("%s leads\n", leader);
    return client;
  }
  for (n = 0; n < dqc_error_attempt_count(error); n++) {
    dqc_attempt attempt = {sizeof attempt, 0, 0, 0, 0, NULL, NULL, NULL};
    dqc_error_attempt(error, n, &attempt);
    printf("  %s: %s\n", attempt.address, attempt.cause);
  }
  failed("opening the database", error);
  return NULL;
}

/* -------------------------------------------------------------------------------- printing results */

static const char *type_name(int32_t type) {
  switch (type) {
    case DQC_INTEGER:
      return "INTEGER";
    case DQC_FLOAT:
      return "FLOAT";
    case DQC_TEXT:
      return "TEXT";
    case DQC_BLOB:
      return "BLOB";
    case DQC_NULL:
      return "NULL";
    case DQC_UNIXTIME:
      return "UNIXTIME";
    case DQC_ISO8601:
      return "ISO8601";
    case DQC_BOOLEAN:
      return "BOOLEAN";
    default:
      return "a type of a later version";
  }
}

static void print_cell(const dqc_cell *cell) {
  uint32_t i;
  switch (cell->type) {
    case DQC_INTEGER:
    case DQC_UNIXTIME:
      printf("%" PRId64, cell->as.integer);
      break;
    case DQC_BOOLEAN:
      printf("%s", cell->as.integer != 0 ? "true" : "false");
      break;
    case DQC_FLOAT:
      printf("%g", cell->as.real);
      break;
    case DQC_TEXT:
    case DQC_ISO8601:
      printf("%s", cell->as.data);
      break;
    case DQC_BLOB:
      for (i = 0; i < cell->size; i++) printf("%02x", (unsigned char)cell->as.data[i]);
      break;
    default:
      printf("-");
  }
}

/* Prints every row as "  name = value (TYPE), ...". Returns the number of rows, or -1. */
static int print_rows(dqc_conn *db, const char *sql, const dqc_value *args, size_t arg_count) {
  dqc_error *error = NULL;
  dqc_rows *rows = NULL;
  dqc_status status;
  int count = 0;

  status = dqc_conn_query(db, sql, DQC_CSTR, args, arg_count, NULL, &rows, &error);
  while (status >= 0 && (status = dqc_rows_step(rows, &error)) == DQC_ROW) {
    size_t c, columns = dqc_rows_column_count(rows);
    for (c = 0; c < columns; c++) {
      const dqc_cell *cell = dqc_rows_cell(rows, c);
      printf("%s%s = ", c == 0 ? "  " : ", ", dqc_rows_column_name(rows, c));
      print_cell(cell);
      printf(" (%s)", type_name(cell->type));
    }
    printf("\n");
    count++;
  }
  dqc_rows_free(rows);
  if (error != NULL) failed(sql, error);
  return status < 0 ? -1 : count;
}

/* ----------------------------------------------------------------------------------- the tour's steps */

static int exec(dqc_conn *db, const char *sql, const dqc_value *args, size_t arg_count) {
  dqc_error *error = NULL;
  dqc_result result;

  if (dqc_conn_exec(db, sql, DQC_CSTR, args, arg_count, NULL, &result, &error) != DQC_OK) {
    return failed(sql, error);
  }
  printf("%s", sql);
  if (result.has & DQC_HAS_ROWS_AFFECTED) printf(" -> %" PRIu64 " row(s)", result.rows_affected);
  if (result.has & DQC_HAS_LAST_INSERT_ID) printf(", id %" PRId64, result.last_insert_id);
  printf("\n");
  return 1;
}

static int create_table(dqc_conn *db) {
  return exec(db, "DROP TABLE IF EXISTS thing", NULL, 0) &&
         exec(db,
              "CREATE TABLE thing(id INTEGER PRIMARY KEY, name TEXT UNIQUE, weight FLOAT, "
              "data BLOB, made DATETIME, seen TIMESTAMP, used BOOLEAN, note TEXT)",
              NULL, 0);
}

/* BEGIN IMMEDIATE takes the write lock at once: a transaction that starts is not turned away later
 * because somebody else wrote. */
static int write_in_transaction(dqc_conn *db) {
  static const unsigned char bytes[] = {0x00, 0xff, 0x10};
  const dqc_value args[] = {DQC_STR("anvil"),
                            DQC_REAL(78.5),
                            DQC_BYTES(bytes, sizeof bytes),
                            DQC_TIME("2024-02-29 12:00:00"),
                            DQC_INT(1709208000), /* comes back as UNIXTIME */
                            DQC_BOOL(1),
                            DQC_NIL};
  const char *insert =
      "INSERT INTO thing(name, weight, data, made, seen, used, note) VALUES (?, ?, ?, ?, ?, ?, ?)";

  if (!exec(db, "BEGIN IMMEDIATE", NULL, 0)) return 0;
  if (exec(db, insert, args, 7) && exec(db, "COMMIT", NULL, 0)) return 1;
  dqc_conn_exec(db, "ROLLBACK", DQC_CSTR, NULL, 0, NULL, NULL, NULL);
  return 0;
}

/* One prepared statement, executed with arguments by position. */
static int prepared_by_position(dqc_conn *db) {
  static const char *const names[] = {"bell", "cog", "drill"};
  dqc_error *error = NULL;
  dqc_stmt *stmt = NULL;
  dqc_status status;
  int i;

  status = dqc_conn_prepare(db, "INSERT INTO thing(name, weight) VALUES (?, ?)", DQC_CSTR, NULL,
                            &stmt, &error);
  for (i = 0; status == DQC_OK && i < 3; i++) {
    const dqc_value args[] = {DQC_STR(names[i]), DQC_REAL(1.5 * i)};
    dqc_result result;
    status = dqc_stmt_exec(stmt, args, 2, NULL, &result, &error);
    if (status == DQC_OK) {
      printf("prepared INSERT by position: %s -> id %" PRId64 "\n", names[i],
             result.last_insert_id);
    }
  }
  dqc_stmt_free(stmt);
  return status == DQC_OK ? 1 : failed("the prepared INSERT", error);
}

/* Values bound by name, once; then the statement runs without arguments. */
static int prepared_by_name(dqc_conn *db) {
  const char *sql = "SELECT name FROM thing WHERE weight BETWEEN :low AND :high ORDER BY name";
  dqc_value low = DQC_REAL(1.0), high = DQC_REAL(10.0);
  dqc_error *error = NULL;
  dqc_stmt *stmt = NULL;
  dqc_rows *rows = NULL;
  dqc_status status;

  low.name = ":low";
  high.name = ":high";
  status = dqc_conn_prepare(db, sql, DQC_CSTR, NULL, &stmt, &error);
  if (status == DQC_OK) status = dqc_stmt_bind(stmt, 0, &low, &error);
  if (status == DQC_OK) status = dqc_stmt_bind(stmt, 0, &high, &error);
  if (status == DQC_OK) status = dqc_stmt_query(stmt, NULL, 0, NULL, &rows, &error);
  if (status == DQC_OK) {
    printf("prepared SELECT with %" PRIu32 " parameters by name:", dqc_stmt_param_count(stmt));
    while ((status = dqc_rows_step(rows, &error)) == DQC_ROW) {
      printf(" %s", dqc_rows_text(rows, 0, NULL));
    }
    printf("\n");
  }
  dqc_rows_free(rows);
  dqc_stmt_free(stmt);
  return status == DQC_END ? 1 : failed("the prepared SELECT", error);
}

static int read_every_type(dqc_conn *db) {
  const dqc_value args[] = {DQC_STR("anvil")};
  printf("one value of each type:\n");
  return print_rows(db, "SELECT * FROM thing WHERE name = ?", args, 1) == 1;
}

static const char *outcome_text(const dqc_error *error) {
  switch (dqc_error_outcome(error)) {
    case DQC_OUTCOME_NOT_EXECUTED:
      return "not executed";
    case DQC_OUTCOME_EXECUTED:
      return "executed";
    default:
      return "perhaps executed";
  }
}

static const char *retry_text(const dqc_error *error) {
  switch (dqc_error_retry(error)) {
    case DQC_RETRY_NEVER:
      return "never";
    case DQC_RETRY_SAFE:
      return "safe";
    default:
      return "only if running it twice does no harm";
  }
}

/* This one must fail, and the error must tell all there is to know. */
static int constraint_error(dqc_conn *db) {
  dqc_error *error = NULL;
  const char *sql = "INSERT INTO thing(name) VALUES ('anvil')";
  const dqc_status status = dqc_conn_exec(db, sql, DQC_CSTR, NULL, 0, NULL, NULL, &error);

  printf("the same name again: %s\n", status == DQC_OK ? "no error!" : dqc_error_message(error));
  printf("  code %d (%s), SQLite %d, extended %d; %s; retry: %s\n", dqc_error_code(error),
         dqc_status_name(status), dqc_error_sqlite_code(error), dqc_error_server_code(error),
         outcome_text(error), retry_text(error));
  dqc_error_free(error);
  return status == DQC_E_CONSTRAINT;
}

/* Servers of era C (1.15 to 1.18.1) cannot do this safely: there the library refuses it before
 * anything is sent. That is as good a result as a row. */
static int insert_returning(dqc_conn *db) {
  const char *sql = "INSERT INTO thing(name) VALUES ('eraser') RETURNING id, name";
  dqc_error *error = NULL;
  dqc_rows *rows = NULL;
  dqc_status status = dqc_conn_query(db, sql, DQC_CSTR, NULL, 0, NULL, &rows, &error);

  if (status == DQC_E_UNSUPPORTED) {
    printf("INSERT ... RETURNING is refused here: %s\n", dqc_error_message(error));
    dqc_error_free(error);
    return 1;
  }
  while (status >= 0 && (status = dqc_rows_step(rows, &error)) == DQC_ROW) {
    printf("INSERT ... RETURNING -> id %" PRId64 ", name %s\n", dqc_rows_int64(rows, 0),
           dqc_rows_text(rows, 1, NULL));
  }
  dqc_rows_free(rows);
  return status == DQC_END ? 1 : failed(sql, error);
}

static int script(dqc_conn *db) {
  const char *sql =
      "CREATE TEMP TABLE seen(name TEXT);\n"
      "INSERT INTO seen SELECT name FROM thing; -- all of them\n"
      "DELETE FROM seen WHERE name = 'cog; or not';\n"
      "DROP TABLE seen;\n";
  dqc_error *error = NULL;
  dqc_result result;

  if (dqc_conn_script(db, sql, DQC_CSTR, NULL, &result, &error) != DQC_OK) {
    return failed("the script", error);
  }
  printf("a script of %" PRIu32 " statements: done\n", result.statements);
  return 1;
}

int main(int argc, char **argv) {
  dqc_error *error = NULL;
  dqc_client *client;
  dqc_conn *db = NULL;
  int good;

  if (argc < 2) {
    fprintf(stderr, "usage: %s host:port...\n", argv[0]);
    return 2;
  }
  client = open_client(argc - 1, argv + 1);
  if (client == NULL) return EXIT_FAILURE;
  /* What follows belongs together: on a connection of its own. */
  if (dqc_client_acquire(client, NULL, &db, &error) != DQC_OK) {
    failed("acquiring a connection", error);
    dqc_client_free(client);
    return EXIT_FAILURE;
  }
  printf("connected to %s, a server of era %c\n", dqc_conn_address(db), (int)dqc_conn_era(db));
  good = create_table(db) && write_in_transaction(db) && prepared_by_position(db) &&
         prepared_by_name(db) && read_every_type(db) && constraint_error(db) &&
         insert_returning(db) && script(db) &&
         print_rows(db, "SELECT count(*) AS things FROM thing", NULL, 0) == 1;
  dqc_conn_free(db); /* gives it back */
  if (dqc_client_close(client, NULL, &error) != DQC_OK) good = failed("closing the client", error);
  dqc_client_free(client);
  printf("%s\n", good ? "everything went as it should" : "something went wrong");
  return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
