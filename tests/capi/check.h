/* SPDX-License-Identifier: MIT */
/* What the tests of the C interface share: checks that print and abort, a hard timeout, and a
 * `world`: a mock server, a loop of one of the modes, and a connection on it. */
#ifndef DQC_TESTS_CAPI_CHECK_H
#define DQC_TESTS_CAPI_CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <dqclient/dqclient_uv.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "mock/mock_server_c.h"

#define UNUSED __attribute__((unused))

#define CHECK(condition)                                                                   \
  do {                                                                                     \
    if (!(condition)) {                                                                    \
      fprintf(stderr, "%s:%d: failed: %s [%s]\n", __FILE__, __LINE__, #condition, g_case); \
      abort();                                                                             \
    }                                                                                      \
  } while (0)

#define CHECK_EQ(a, b)                                                                             \
  do {                                                                                             \
    const int64_t left_ = (int64_t)(a), right_ = (int64_t)(b);                                     \
    if (left_ != right_) {                                                                         \
      fprintf(stderr, "%s:%d: %s is %" PRId64 ", not %s = %" PRId64 " [%s]\n", __FILE__, __LINE__, \
              #a, left_, #b, right_, g_case);                                                      \
      abort();                                                                                     \
    }                                                                                              \
  } while (0)

#define CHECK_STR(a, b)                                                                 \
  do {                                                                                  \
    const char *left_ = (a), *right_ = (b);                                             \
    if (left_ == NULL || strcmp(left_, right_) != 0) {                                  \
      fprintf(stderr, "%s:%d: %s is \"%s\", not \"%s\" [%s]\n", __FILE__, __LINE__, #a, \
              left_ == NULL ? "(NULL)" : left_, right_, g_case);                        \
      abort();                                                                          \
    }                                                                                   \
  } while (0)

/* The call succeeds; `error` is the variable its last argument writes. */
#define OK(call)                                                                     \
  do {                                                                               \
    dqc_error *error = NULL;                                                         \
    const dqc_status status_ = (call);                                               \
    if (status_ != DQC_OK) {                                                         \
      fprintf(stderr, "%s:%d: %s: %d %s [%s]\n", __FILE__, __LINE__, #call, status_, \
              dqc_error_message(error), g_case);                                     \
      abort();                                                                       \
    }                                                                                \
    CHECK(error == NULL);                                                            \
  } while (0)

/* The call fails with `code`, and its error says so. */
#define FAILS(code, call)                                                                        \
  do {                                                                                           \
    dqc_error *error = (dqc_error *)1;                                                           \
    const dqc_status status_ = (call);                                                           \
    if (status_ != (code)) {                                                                     \
      fprintf(stderr, "%s:%d: %s: %d, not %s [%s]\n", __FILE__, __LINE__, #call, status_, #code, \
              g_case);                                                                           \
      abort();                                                                                   \
    }                                                                                            \
    CHECK(error != NULL && error != (dqc_error *)1);                                             \
    CHECK_EQ(dqc_error_code(error), (code));                                                     \
    CHECK(dqc_error_message(error)[0] != '\0');                                                  \
    dqc_error_free(error);                                                                       \
  } while (0)

static const char *g_case UNUSED = "";
static _Thread_local int g_inside UNUSED; /* > 0: callbacks may run */

/* Callbacks may run inside this call only. */
#define INSIDE(call) \
  do {               \
    ++g_inside;      \
    (void)(call);    \
    --g_inside;      \
  } while (0)

UNUSED static void *do_nothing(void *data) { return data; }

UNUSED static void setup(unsigned seconds) {
  uv_loop_t uv;
  pthread_t thread; /* TSan starts a thread of its own with the first */
  CHECK(pthread_create(&thread, NULL, do_nothing, NULL) == 0 && pthread_join(thread, NULL) == 0);
  setvbuf(stdout, NULL, _IONBF, 0);
  alarm(seconds);
  CHECK(uv_loop_init(&uv) == 0); /* libuv keeps two descriptors of its first loop for ever */
  CHECK(uv_loop_close(&uv) == 0);
}

UNUSED static int64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

UNUSED static void sleep_ms(int ms) {
  struct timespec t = {ms / 1000, (ms % 1000) * 1000000L};
  while (nanosleep(&t, &t) != 0) {
  }
}

/* By system calls: libuv closes its descriptors so, and TSan, which does not see that, would take
 * the reuse of a number for a race. */
UNUSED static int count_entries(const char *path) {
  _Alignas(8) char entries[8192];
  int count = 0;
  long n;
  const long dir = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  CHECK(dir >= 0);
  while ((n = syscall(SYS_getdents64, dir, entries, sizeof(entries))) > 0) {
    for (long at = 0; at < n; ++count) {
      uint16_t size; /* of the record, behind two 64-bit numbers */
      memcpy(&size, entries + at + 16, sizeof(size));
      at += size;
    }
  }
  syscall(SYS_close, dir);
  return count;
}

/* The kernel's own count: a listing of /proc/self/task can miss entries while a thread ends. */
UNUSED static int threads(void) {
  char status[4096];
  const long file = syscall(SYS_openat, AT_FDCWD, "/proc/self/status", O_RDONLY | O_CLOEXEC);
  CHECK(file >= 0);
  const long n = syscall(SYS_read, file, status, sizeof(status) - 1);
  CHECK(n > 0);
  status[n] = '\0';
  CHECK_EQ(syscall(SYS_close, file), 0);
  const char *line = strstr(status, "\nThreads:");
  CHECK(line != NULL);
  return atoi(line + strlen("\nThreads:"));
}
UNUSED static int descriptors(void) { return count_entries("/proc/self/fd"); }

/* The threads and descriptors that are left when the library has tidied up in the background. */
UNUSED static void expect_left(int threads_before, int descriptors_before) {
  const int64_t end = now_ms() + 10000;
  while ((threads() > threads_before || descriptors() > descriptors_before) && now_ms() < end)
    sleep_ms(2);
  if (descriptors() > descriptors_before) CHECK_EQ(system("ls -l /proc/$PPID/fd >&2"), 0);
  /* fewer: an earlier clean-up was still ending when they were counted */
  CHECK(threads() <= threads_before);
  CHECK(descriptors() <= descriptors_before);
}

/* -------------------------------------------------------------------------------------------------
 * probes */

/* What became of one operation. */
typedef struct probe {
  int done; /* terminal events */
  int batches;
  uint64_t rows;
  dqc_status status;
  int32_t outcome;
  uint64_t op; /* as the events tell it */
  dqc_result result;
  dqc_stmt *stmt; /* retained */
  void (*hook)(struct probe *probe, const dqc_event *event);
  void *data; /* of the hook */
  pthread_t thread;
} probe;

UNUSED static void DQC_CALL on_event(void *user_data, const dqc_event *event) {
  probe *p = (probe *)user_data;
  CHECK(g_inside > 0);
  CHECK_EQ(p->done, 0); /* nothing follows the terminal event */
  CHECK_EQ(event->struct_size, sizeof(dqc_event));
  CHECK(event->op != 0 && (p->op == 0 || p->op == event->op));
  p->op = event->op;
  p->thread = pthread_self();
  if (event->type == DQC_EVENT_ROWS) {
    CHECK(event->batch != NULL && event->error == NULL);
    ++p->batches;
    p->rows += dqc_batch_row_count(event->batch);
  } else {
    CHECK_EQ(event->type, DQC_EVENT_DONE);
    CHECK((event->error == NULL) == (event->status >= 0)); /* DQC_OK, DQC_AGAIN */
    if (event->error != NULL) CHECK_EQ(dqc_error_code(event->error), event->status);
    ++p->done;
    p->status = event->status;
    p->outcome = dqc_error_outcome(event->error);
    p->result = event->result;
    if (event->stmt != NULL) p->stmt = dqc_stmt_retain(event->stmt);
  }
  if (p->hook != NULL) p->hook(p, event);
}

/* -------------------------------------------------------------------------------------------------
 * worlds */

enum { DRIVEN, THREADED, ATTACHED, MODES };

typedef struct world {
  int mode;
  mock_server *mock;
  dqc_config *config;
  dqc_loop *loop;
  dqc_queue *queue;
  uv_loop_t uv;
  dqc_conn *conn;
  int threads_before, descriptors_before;
} world;

UNUSED static const char *mode_name(int mode) {
  return mode == DRIVEN ? "driven" : mode == THREADED ? "threaded" : "attached";
}

UNUSED static void set(dqc_config *config, const char *key, const char *value) {
  OK(dqc_config_set(config, key, DQC_CSTR, value, DQC_CSTR, &error));
}

UNUSED static dqc_config *config_for(mock_server *mock) {
  char dsn[64];
  dqc_config *config = NULL;
  CHECK(mock != NULL);
  snprintf(dsn, sizeof(dsn), "dqlite://127.0.0.1:%u/test", (unsigned)mock_server_port(mock));
  OK(dqc_config_new(&config, &error));
  OK(dqc_config_set_dsn(config, dsn, DQC_CSTR, &error));
  set(config, "timeout", "1m"); /* what is no test of deadlines meets none on a loaded machine */
  set(config, "drain_timeout_era_d", "300ms"); /* how long a stalled one stays after its free */
  return config;
}

/* A mock, a loop and what goes with it, and a configuration; no connection yet. */
UNUSED static void world_begin(world *w, int mode, const char *scenario, uint64_t n) {
  memset(w, 0, sizeof(*w));
  g_case = mode_name(mode);
  w->mode = mode;
  w->threads_before = threads();
  w->descriptors_before = descriptors();
  w->mock = mock_server_start('D', scenario, n);
  w->config = config_for(w->mock);
  if (mode == ATTACHED) {
    CHECK_EQ(uv_loop_init(&w->uv), 0);
    OK(dqc_loop_attach(&w->uv, &w->loop, &error));
  } else {
    OK(dqc_loop_new(mode == DRIVEN ? DQC_LOOP_DRIVEN : DQC_LOOP_THREADED, &w->loop, &error));
  }
  if (mode == THREADED) OK(dqc_queue_new(&w->queue, &error));
}

UNUSED static void world_connect(world *w) {
  OK(dqc_conn_new(w->loop, w->queue, w->config, &w->conn, &error));
  OK(dqc_conn_connect_async(w->conn, NULL, NULL, NULL, &error));
}

UNUSED static void world_open(world *w, int mode, const char *scenario, uint64_t n) {
  world_begin(w, mode, scenario, n);
  world_connect(w);
}

/* Waits a little for events and runs their callbacks. */
UNUSED static void pump(world *w) {
  if (w->mode == DRIVEN) {
    int timer = 10;
    while (timer-- > 0) {
      INSIDE(dqc_loop_run(w->loop, DQC_RUN_NOWAIT, NULL));
    }
    sleep_ms(1);
  } else if (w->mode == THREADED) {
    (void)dqc_queue_wait(w->queue, 5);
    INSIDE(dqc_queue_dispatch(w->queue, 0));
  } else {
    INSIDE(uv_run(&w->uv, UV_RUN_NOWAIT));
    sleep_ms(1);
  }
}

UNUSED static void until_done(world *w, const probe *p, int count) {
  const int64_t end = now_ms() + 60000;
  for (int i = 0; i < count; ++i) {
    while (p[i].done == 0) {
      CHECK(now_ms() < end);
      pump(w);
    }
    CHECK_EQ(p[i].done, 1);
  }
}

/* Frees what is left and checks that nothing stays behind: threads, descriptors, uv handles. */
UNUSED static void world_end(world *w) {
  ++g_inside; /* an end may deliver what is left */
  dqc_conn_free(w->conn);
  dqc_config_free(w->config);
  dqc_loop_free(w->loop);
  if (w->mode == ATTACHED) {
    CHECK_EQ(uv_run(&w->uv, UV_RUN_DEFAULT), 0);
    CHECK_EQ(uv_loop_close(&w->uv), 0);
  }
  if (w->queue != NULL) (void)dqc_queue_dispatch(w->queue, 0);
  dqc_queue_free(w->queue);
  --g_inside;
  mock_server_stop(w->mock);
  expect_left(w->threads_before, w->descriptors_before);
}

UNUSED static dqc_status exec_async(dqc_conn *conn, const char *sql, probe *p) {
  return dqc_conn_exec_async(conn, sql, DQC_CSTR, NULL, 0, NULL, on_event, p, NULL, NULL);
}

UNUSED static dqc_status query_async(dqc_conn *conn, const char *sql, probe *p) {
  return dqc_conn_query_async(conn, sql, DQC_CSTR, NULL, 0, NULL, on_event, p, NULL, NULL);
}

#endif
