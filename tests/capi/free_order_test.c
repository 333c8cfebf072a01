/* SPDX-License-Identifier: MIT */
/* Handles are freed in every order, by any thread; NULL is fine; nothing stays behind. */
#include "check.h"

enum { HANDLES = 8 };

typedef struct handles {
  dqc_config *config;
  dqc_queue *queue;
  dqc_loop *loop;
  dqc_conn *conn;
  dqc_stmt *stmt;
  dqc_rows *rows;
  dqc_batch *batch;
  dqc_error *error;
} handles;

static void free_one(handles *h, int which) {
  switch (which) {
    case 0:
      dqc_loop_free(h->loop);
      break;
    case 1:
      dqc_conn_free(h->conn);
      break;
    case 2:
      dqc_stmt_free(h->stmt);
      break;
    case 3:
      dqc_rows_free(h->rows);
      break;
    case 4:
      dqc_queue_free(h->queue);
      break;
    case 5:
      if (h->batch != NULL) CHECK_EQ(dqc_batch_cells(h->batch)[0].type, DQC_INTEGER);
      dqc_batch_free(h->batch);
      break;
    case 6:
      CHECK(dqc_error_message(h->error)[0] != '\0');
      dqc_error_free(h->error);
      break;
    default:
      dqc_config_free(h->config);
  }
}

static void make(handles *h, mock_server *mock, int mode) {
  memset(h, 0, sizeof(*h));
  h->config = config_for(mock);
  set(h->config, "read_buffer", "4KiB");
  set(h->config, "high_water", "4KiB");
  OK(dqc_loop_new(mode == DRIVEN ? DQC_LOOP_DRIVEN : DQC_LOOP_THREADED, &h->loop, &error));
  if (mode == THREADED) OK(dqc_queue_new(&h->queue, &error));
  OK(dqc_conn_new(h->loop, h->queue, h->config, &h->conn, &error));
  OK(dqc_conn_connect(h->conn, &error));
  OK(dqc_conn_prepare(h->conn, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, &h->stmt, &error));
  OK(dqc_conn_query(h->conn, "SELECT * FROM t", DQC_CSTR, NULL, 0, NULL, &h->rows, &error));
  CHECK_EQ(dqc_rows_next_batch(h->rows, &h->batch, NULL), DQC_ROW);
  CHECK_EQ(dqc_conn_query(h->conn, "", 0, NULL, 0, NULL, &(dqc_rows *){NULL}, &h->error),
           DQC_E_MISUSE);
}

typedef struct job {
  handles *h;
  int which;
} job;

static void *free_in_thread(void *data) {
  const job *j = (const job *)data;
  free_one(j->h, j->which);
  return NULL;
}

static void run_order(mock_server *mock, int mode, const int *order, int count, int in_thread) {
  handles h;
  int done[HANDLES] = {0};
  make(&h, mock, mode);
  ++g_inside;
  for (int i = 0; i < count; ++i) {
    done[order[i]] = 1;
    if (in_thread) {
      job j = {&h, order[i]};
      pthread_t thread;
      CHECK_EQ(pthread_create(&thread, NULL, free_in_thread, &j), 0);
      CHECK_EQ(pthread_join(thread, NULL), 0);
    } else {
      free_one(&h, order[i]);
    }
  }
  for (int i = 0; i < HANDLES; ++i) {
    if (!done[i]) free_one(&h, i);
  }
  --g_inside;
}

/* Heap's algorithm over the first `count` handles. */
static void permute(mock_server *mock, int mode, int *order, int k, int count, int *runs) {
  if (k == 1) {
    run_order(mock, mode, order, count, *runs % 7 == 0);
    ++*runs;
    return;
  }
  for (int i = 0; i < k; ++i) {
    permute(mock, mode, order, k - 1, count, runs);
    const int other = k % 2 == 0 ? i : 0, swap = order[other];
    order[other] = order[k - 1];
    order[k - 1] = swap;
  }
}

static void test_orders(int mode) {
  mock_server *mock = mock_server_start('D', "big_result", 2000);
  g_case = mode_name(mode);
  const int threads_before = threads(), descriptors_before = descriptors();
  int order[HANDLES] = {0, 1, 2, 3, 4, 5, 6, 7}, runs = 0;
  permute(mock, mode, order, mode == THREADED ? 5 : 4, mode == THREADED ? 5 : 4, &runs);
  /* The leaves last and first: they depend on nothing, so rotations will do. */
  for (int shift = 0; shift < HANDLES; ++shift) {
    int rotated[HANDLES];
    for (int i = 0; i < HANDLES; ++i) rotated[i] = (i * 3 + shift) % HANDLES;
    run_order(mock, mode, rotated, HANDLES, shift & 1);
  }
  expect_left(threads_before, descriptors_before);
  mock_server_stop(mock);
}

static void test_null(void) {
  dqc_config_free(NULL);
  dqc_queue_free(NULL);
  dqc_loop_free(NULL);
  dqc_conn_free(NULL);
  dqc_stmt_free(NULL);
  dqc_rows_free(NULL);
  dqc_batch_free(NULL);
  dqc_error_free(NULL);
  dqc_dial_done(NULL, -1, NULL);
  CHECK(dqc_stmt_retain(NULL) == NULL);
  CHECK(dqc_batch_retain(NULL) == NULL);
  CHECK(dqc_error_retain(NULL) == NULL);
}

/* An unused threaded loop: its thread goes away again. */
static void test_thread_ends(void) {
  const int before = threads(), descriptors_before = descriptors();
  for (int i = 0; i < 30; ++i) {
    dqc_loop *loop = NULL;
    OK(dqc_loop_new(DQC_LOOP_THREADED, &loop, &error));
    CHECK(threads() > before);
    dqc_loop_free(loop);
  }
  expect_left(before, descriptors_before);
}

int main(void) {
  setup(110);
  test_null();
  test_thread_ends();
  test_orders(DRIVEN);
  test_orders(THREADED);
  return 0;
}
