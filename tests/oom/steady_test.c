/* SPDX-License-Identifier: MIT */
/* What runs often allocates nothing once it is warm: calls, requests, buffers, batches and columns
 * are used again. */
#include <limits.h>

#include "capi/check.h"
#include "failing_new.h"

enum { WARM = 600, MEASURED = 1000 }; /* a loop tries its two ways of waiting every 512 replies */

typedef struct bench {
  world w;
  dqc_stmt *select, *insert;
  int left; /* of a chain of callbacks */
} bench;

static void blocking_query(bench *b) {
  dqc_rows *rows = NULL;
  OK(dqc_stmt_query(b->select, NULL, 0, NULL, &rows, &error));
  CHECK_EQ(dqc_rows_step(rows, NULL), DQC_ROW);
  CHECK_EQ(dqc_rows_int64(rows, 0), 1);
  CHECK_EQ(dqc_rows_step(rows, NULL), DQC_END);
  dqc_rows_free(rows);
}

static void blocking_exec(bench *b) {
  const dqc_value args[] = {DQC_INT(7), DQC_STR("a text")};
  OK(dqc_stmt_exec(b->insert, args, 2, NULL, NULL, &error));
}

static void DQC_CALL on_answer(void *user_data, const dqc_event *event) {
  bench *b = (bench *)user_data;
  CHECK(event->status >= 0);
  if (event->type == DQC_EVENT_DONE) --b->left;
}

/* Eight on their way at a time. */
static void pipelined(bench *b) {
  for (b->left = 0; b->left < 8; ++b->left)
    OK(dqc_stmt_query_async(b->select, NULL, 0, NULL, on_answer, b, NULL, &error));
  while (b->left > 0) {
    if (b->w.mode == DRIVEN) {
      OK(dqc_loop_run(b->w.loop, DQC_RUN_ONCE, &error));
    } else {
      (void)dqc_queue_wait(b->w.queue, 1000);
      (void)dqc_queue_dispatch(b->w.queue, 0);
    }
  }
}

static void measure(bench *b, const char *name, void (*operation)(bench *)) {
  g_case = name;
  for (int i = 0; i < WARM; ++i) operation(b);
  oom_begin(LONG_MAX, 0);
  for (int i = 0; i < MEASURED; ++i) operation(b);
  const long count = oom_count();
  CHECK_EQ(oom_end(), 0);
  printf("%s, %s: %ld allocations in %d\n", mode_name(b->w.mode), name, count, MEASURED);
  /* With several on their way, or two threads, more may pile up than ever before: an object more
   * then, but not one each time. */
  const int alone = b->w.mode == DRIVEN && operation != pipelined;
  CHECK(count <= (alone ? 0 : MEASURED / 50));
}

static void test_mode(int mode) {
  bench b;
  memset(&b, 0, sizeof(b));
  world_begin(&b.w, mode, "normal", 0);
  OK(dqc_conn_new(b.w.loop, b.w.queue, b.w.config, &b.w.conn, &error));
  OK(dqc_conn_connect(b.w.conn, &error));
  OK(dqc_conn_prepare(b.w.conn, "SELECT 1", DQC_CSTR, NULL, &b.select, &error));
  OK(dqc_conn_prepare(b.w.conn, "INSERT INTO t VALUES(?, ?)", DQC_CSTR, NULL, &b.insert, &error));
  measure(&b, "query", blocking_query);
  measure(&b, "exec", blocking_exec);
  measure(&b, "pipeline", pipelined);
  dqc_stmt_free(b.select);
  dqc_stmt_free(b.insert);
  world_end(&b.w);
}

int main(void) {
  setup(110);
  test_mode(DRIVEN);
  test_mode(THREADED);
  return 0;
}
