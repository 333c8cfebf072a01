/* SPDX-License-Identifier: MIT */
/* The library inside an event loop of the application: an asynchronous query, driven by poll(2) on
 * one thread.
 *
 *   poll_loop dqlite://127.0.0.1:9001/app
 */
#define _POSIX_C_SOURCE 200809L

#include <dqclient/dqclient.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>

struct request {
  int64_t sum;
  size_t batches;
  int finished;
  int good;
};

/* Runs inside dqc_loop_run(), as often as rows arrive and once when the query is done. */
static void DQC_CALL on_event(void *user_data, const dqc_event *event) {
  struct request *request = user_data;
  size_t row;

  if (event->type == DQC_EVENT_ROWS) {
    const dqc_cell *cells = dqc_batch_cells(event->batch); /* one column: a cell is a row */
    for (row = 0; row < dqc_batch_row_count(event->batch); row++) {
      request->sum += cells[row].as.integer;
    }
    request->batches++;
  } else if (event->type == DQC_EVENT_DONE) {
    if (event->error != NULL) fprintf(stderr, "%s\n", dqc_error_message(event->error));
    request->good = event->status == DQC_OK;
    request->finished = 1;
  }
}

/* The application's own loop: other descriptors and timers of its own would be here too. */
static dqc_status run(dqc_loop *loop, const struct request *request, dqc_error **error) {
  dqc_status status = DQC_OK;
  unsigned long turns = 0;

  while (status == DQC_OK && !request->finished) {
    struct pollfd pollfd = {dqc_loop_fd(loop), POLLIN, 0};
    poll(&pollfd, 1, dqc_loop_timeout_ms(loop));
    status = dqc_loop_run(loop, DQC_RUN_NOWAIT, error);
    turns++;
  }
  printf("%lu turns of the loop\n", turns);
  return status;
}

int main(int argc, char **argv) {
  const char *sql =
      "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 10000)"
      " SELECT i FROM n";
  struct request request = {0, 0, 0, 0};
  dqc_error *error = NULL;
  dqc_config *config = NULL;
  dqc_loop *loop = NULL;
  dqc_conn *db = NULL;

  if (argc != 2) {
    fprintf(stderr, "usage: %s dqlite://host:port/database\n", argv[0]);
    return 2;
  }
  if (dqc_config_new(&config, &error) != DQC_OK) goto done;
  if (dqc_config_set_dsn(config, argv[1], DQC_CSTR, &error) != DQC_OK) goto done;
  if (dqc_loop_new(DQC_LOOP_DRIVEN, &loop, &error) != DQC_OK) goto done;
  if (dqc_conn_new(loop, NULL, config, &db, &error) != DQC_OK) goto done;

  /* No need to wait for the connection: the query goes out together with its first bytes. If it
   * cannot be made, the query fails with the reason. */
  if (dqc_conn_connect_async(db, NULL, NULL, NULL, &error) != DQC_OK) goto done;
  if (dqc_conn_query_async(db, sql, DQC_CSTR, NULL, 0, NULL, on_event, &request, NULL, &error) !=
      DQC_OK) {
    goto done;
  }
  if (run(loop, &request, &error) != DQC_OK) goto done;
  printf("sum %" PRId64 " in %zu batches\n", request.sum, request.batches);

done:
  if (error != NULL) fprintf(stderr, "%s\n", dqc_error_message(error));
  dqc_error_free(error);
  dqc_conn_free(db);
  dqc_loop_free(loop);
  dqc_config_free(config);
  return request.good ? 0 : 1;
}
