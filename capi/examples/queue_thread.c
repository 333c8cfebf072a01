/* SPDX-License-Identifier: MIT */
/* A thread of the library does the I/O; the application's thread receives the events from a queue
 * whose descriptor it polls. Here many inserts are submitted at once, without waiting for each.
 *
 *   queue_thread dqlite://127.0.0.1:9001/app
 */
#define _POSIX_C_SOURCE 200809L

#include <dqclient/dqclient.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>

enum { INSERTS = 100, WAIT_MS = 10000 };

struct progress {
  int outstanding;
  int failures;
  int64_t rows; /* what the last SELECT says */
};

/* Runs inside dqc_queue_dispatch(), on the application's thread: nothing to lock. */
static void DQC_CALL on_event(void *user_data, const dqc_event *event) {
  struct progress *progress = user_data;

  if (event->type == DQC_EVENT_ROWS && dqc_batch_row_count(event->batch) == 1) {
    progress->rows = dqc_batch_cells(event->batch)[0].as.integer;
  } else if (event->type == DQC_EVENT_DONE) {
    progress->outstanding--;
    if (event->error != NULL) {
      /* One failure can take all that follow along: the first tells why. */
      if (progress->failures++ == 0) fprintf(stderr, "%s\n", dqc_error_message(event->error));
    }
  }
}

static dqc_status submit(dqc_conn *db, struct progress *progress, const char *sql,
                         const dqc_value *args, size_t arg_count, dqc_error **error) {
  const dqc_status status = dqc_conn_exec_async(db, sql, DQC_CSTR, args, arg_count, NULL, on_event,
                                                progress, NULL, error);
  if (status == DQC_OK) progress->outstanding++;
  return status;
}

/* The operations of a connection run in this order: no answer needs to be awaited in between. The
 * COMMIT itself waits for the answers before it, and fails unsent if one of them is a failure. */
static dqc_status submit_all(dqc_conn *db, struct progress *progress, dqc_error **error) {
  dqc_status status;
  int i;

  status = submit(db, progress, "CREATE TABLE IF NOT EXISTS n(i INTEGER)", NULL, 0, error);
  if (status == DQC_OK) status = submit(db, progress, "BEGIN IMMEDIATE", NULL, 0, error);
  if (status == DQC_OK) status = submit(db, progress, "DELETE FROM n", NULL, 0, error);
  for (i = 0; status == DQC_OK && i < INSERTS; i++) {
    const dqc_value args[] = {DQC_INT(i)}; /* copied by the call */
    status = submit(db, progress, "INSERT INTO n VALUES (?)", args, 1, error);
  }
  if (status == DQC_OK) status = submit(db, progress, "COMMIT", NULL, 0, error);
  if (status != DQC_OK) return status;
  status = dqc_conn_query_async(db, "SELECT count(*) FROM n", DQC_CSTR, NULL, 0, NULL, on_event,
                                progress, NULL, error);
  if (status == DQC_OK) progress->outstanding++;
  return status;
}

/* Returns 0 if nothing came for a long time. */
static int receive_all(dqc_queue *queue, const struct progress *progress) {
  while (progress->outstanding > 0) {
    struct pollfd pollfd = {dqc_queue_fd(queue), POLLIN, 0};
    if (poll(&pollfd, 1, WAIT_MS) == 0) return 0;
    if (dqc_queue_dispatch(queue, 0) < 0) return 0;
  }
  return 1;
}

int main(int argc, char **argv) {
  struct progress progress = {0, 0, -1};
  dqc_error *error = NULL;
  dqc_config *config = NULL;
  dqc_loop *loop = NULL;
  dqc_queue *queue = NULL;
  dqc_conn *db = NULL;
  int good = 0;

  if (argc != 2) {
    fprintf(stderr, "usage: %s dqlite://host:port/database\n", argv[0]);
    return 2;
  }
  if (dqc_config_new(&config, &error) != DQC_OK) goto done;
  if (dqc_config_set_dsn(config, argv[1], DQC_CSTR, &error) != DQC_OK) goto done;
  if (dqc_loop_new(DQC_LOOP_THREADED, &loop, &error) != DQC_OK) goto done;
  if (dqc_queue_new(&queue, &error) != DQC_OK) goto done;
  if (dqc_conn_new(loop, queue, config, &db, &error) != DQC_OK) goto done;
  if (dqc_conn_connect_async(db, NULL, NULL, NULL, &error) != DQC_OK) goto done;
  if (submit_all(db, &progress, &error) != DQC_OK) goto done;

  good = receive_all(queue, &progress) && progress.failures == 0 && progress.rows == INSERTS;
  printf("%d inserts in one transaction, %" PRId64 " rows, %d failures\n", INSERTS, progress.rows,
         progress.failures);

done:
  if (error != NULL) fprintf(stderr, "%s\n", dqc_error_message(error));
  dqc_error_free(error);
  dqc_conn_free(db);
  dqc_loop_free(loop);
  dqc_queue_free(queue);
  dqc_config_free(config);
  return good ? 0 : 1;
}
