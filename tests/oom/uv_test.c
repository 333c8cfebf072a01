/* SPDX-License-Identifier: MIT */
/* Every allocation of libuv's fails once, alone or with all that follow: each failure is told as
 * DQC_E_NOMEM or got over, every accepted operation gets one terminal event, and libuv gets back all
 * it allocated. At some of them libuv itself ends the process: each runs in a process of its own, and
 * those are counted. */
#include "capi/check.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { ENDED_BY_UV = 77, NOTHING_FAILED = 78 };

static atomic_long g_left, g_live;
static atomic_int g_armed, g_failed;
static int g_sticky;

static int fails(void) {
  if (!g_armed) return 0;
  const long left = --g_left;
  if (left > 0 || (left < 0 && !g_sticky)) return 0;
  g_failed = 1;
  return 1;
}

static void *counted(void *memory) {
  if (memory != NULL) ++g_live;
  return memory;
}
static void *uv_test_malloc(size_t size) { return fails() ? NULL : counted(malloc(size)); }
static void *uv_test_calloc(size_t n, size_t size) {
  return fails() ? NULL : counted(calloc(n, size));
}
static void *uv_test_realloc(void *memory, size_t size) {
  if (fails()) return NULL;
  return memory != NULL ? realloc(memory, size) : counted(malloc(size));
}
static void uv_test_free(void *memory) {
  if (memory != NULL) --g_live;
  free(memory);
}

/* In the place of the C library's: tells who called. */
__attribute__((visibility("default"))) void abort(void) {
  Dl_info caller;
  if (dladdr(__builtin_return_address(0), &caller) != 0 &&
      strstr(caller.dli_fname, "libuv") != NULL)
    _exit(ENDED_BY_UV);
  fprintf(stderr, "abort() called by %s [%s]\n", caller.dli_fname, g_case);
  signal(SIGABRT, SIG_DFL);
  raise(SIGABRT);
  _exit(1);
}

enum { OPS = 8 };
enum { DESCRIPTORS = 64 }; /* so that libuv's table of descriptors grows for the connection */

typedef struct run {
  int mode;
  const char *dsn;
  dqc_config *config;
  uv_loop_t uv; /* of an attached loop */
  dqc_loop *loop;
  dqc_queue *queue;
  dqc_conn *conn;
  dqc_client *client; /* instead of `conn` */
  probe p[OPS];
  int used;
  int no_memory; /* failures seen */
} run;

static int good(run *r, dqc_status status) {
  if (status == DQC_OK) return 1;
  CHECK_EQ(status, DQC_E_NOMEM);
  CHECK(g_failed);
  ++r->no_memory;
  return 0;
}

static void wait_for(run *r, const probe *p) {
  while (p->done == 0) {
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

/* Submits, and waits for the one terminal event; returns at a failure. */
#define DO(call)                     \
  do {                               \
    probe *p = &r->p[r->used++];     \
    if (!good(r, (call))) return;    \
    wait_for(r, p);                  \
    if (!good(r, p->status)) return; \
  } while (0)

static void conn_work(run *r) {
  if (!good(r, dqc_conn_new(r->loop, r->queue, r->config, &r->conn, NULL))) return;
  DO(dqc_conn_connect_async(r->conn, on_event, p, NULL, NULL));
  DO(exec_async(r->conn, "INSERT INTO t VALUES(1)", p));
  DO(query_async(r->conn, "SELECT * FROM t", p));
  DO(dqc_conn_close_async(r->conn, on_event, p, NULL, NULL));
}

static void client_work(run *r, const dqc_call_options *patience) {
  if (!good(r, dqc_client_new(r->loop, r->queue, r->config, &r->client, NULL))) return;
  DO(dqc_client_connect_async(r->client, patience, on_event, p, NULL, NULL));
  DO(dqc_client_exec_async(r->client, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, patience,
                           on_event, p, NULL, NULL));
  DO(dqc_client_query_async(r->client, "SELECT * FROM t", DQC_CSTR, NULL, 0, patience, on_event, p,
                            NULL, NULL));
  DO(dqc_client_close_async(r->client, patience, on_event, p, NULL, NULL));
}

static void work(run *r, int with_client) {
  const dqc_call_options patience = {sizeof(patience), 0, g_sticky ? 500 : 10000};
  OK(dqc_config_new(&r->config, &error));
  OK(dqc_config_set_dsn(r->config, r->dsn, DQC_CSTR, &error));
  dqc_status status;
  if (r->mode == ATTACHED) {
    status = dqc_loop_attach(&r->uv, &r->loop, NULL);
  } else {
    status = dqc_loop_new(r->mode == DRIVEN ? DQC_LOOP_DRIVEN : DQC_LOOP_THREADED, &r->loop, NULL);
  }
  if (!good(r, status)) return;
  for (int i = 0; i < DESCRIPTORS; ++i) CHECK(dup(STDERR_FILENO) >= 0);
  if (r->mode == THREADED) OK(dqc_queue_new(&r->queue, &error));
  if (with_client) {
    client_work(r, &patience);
  } else {
    conn_work(r);
  }
}

/* In a process of its own; its exit code. */
static int run_once(const char *dsn, int mode, int with_client, long n) {
  static run r;
  alarm(60);
  r.mode = mode;
  r.dsn = dsn;
  CHECK_EQ(uv_replace_allocator(uv_test_malloc, uv_test_realloc, uv_test_calloc, uv_test_free), 0);
  if (mode == ATTACHED) CHECK_EQ(uv_loop_init(&r.uv), 0);
  const int threads_before = threads();
  g_left = n;
  g_armed = 1;
  work(&r, with_client);
  ++g_inside;
  dqc_conn_free(r.conn);
  dqc_client_free(r.client);
  dqc_loop_free(r.loop);
  dqc_config_free(r.config);
  if (mode == ATTACHED) {
    CHECK_EQ(uv_run(&r.uv, UV_RUN_DEFAULT), 0);
    CHECK_EQ(uv_loop_close(&r.uv), 0);
  }
  if (r.queue != NULL) (void)dqc_queue_dispatch(r.queue, 0);
  dqc_queue_free(r.queue);
  --g_inside;
  const int max_threads = threads_before + 4; /* those of libuv's pool stay */
  const int64_t end = now_ms() + 10000;       /* the loop's thread ends in the background */
  while ((g_live != 0 || threads() > max_threads) && now_ms() < end) sleep_ms(1);
  CHECK_EQ(g_live, 0);
  CHECK(threads() <= max_threads);
  g_armed = 0;
  for (int i = 0; i < r.used; ++i) CHECK(r.p[i].done <= 1);
  if (!g_failed) CHECK_EQ(r.no_memory, 0);
  return g_failed ? 0 : NOTHING_FAILED;
}

static void run_all(const char *dsn, int mode, int with_client, int sticky) {
  static char name[64];
  int ended = 0;
  int code = 0;
  long n = 1;
  for (; code != NOTHING_FAILED; ++n) {
    CHECK(n < 200);
    snprintf(name, sizeof(name), "%s%s, allocation %ld%s", with_client ? "client, " : "",
             mode_name(mode), n, sticky ? " and on" : "");
    g_case = name;
    g_sticky = sticky;
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) exit(run_once(dsn, mode, with_client, n));
    int status = 0;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status)) CHECK_EQ(WTERMSIG(status), 0);
    code = WEXITSTATUS(status);
    CHECK(code == 0 || code == ENDED_BY_UV || code == NOTHING_FAILED);
    ended += code == ENDED_BY_UV;
  }
  printf("%s%s%s: %ld allocations of libuv's, at %d of them it ends the process\n",
         with_client ? "client, " : "", mode_name(mode), sticky ? ", sticky" : "", n - 2, ended);
  CHECK(n - 2 > ended); /* the others are what this tests */
}

/* The server has a process of its own too, so that no thread is there to be forked away. */
static uint16_t start_server(pid_t *pid) {
  int pipe_fds[2];
  uint16_t port = 0;
  CHECK_EQ(pipe(pipe_fds), 0);
  *pid = fork();
  CHECK(*pid >= 0);
  if (*pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(280);
    mock_server *mock = mock_server_start('D', "normal", 0);
    CHECK(mock != NULL);
    port = mock_server_port(mock);
    CHECK_EQ(write(pipe_fds[1], &port, sizeof(port)), sizeof(port));
    for (;;) pause();
  }
  CHECK_EQ(read(pipe_fds[0], &port, sizeof(port)), sizeof(port));
  close(pipe_fds[0]);
  close(pipe_fds[1]);
  return port;
}

int main(void) {
  char dsn[64];
  pid_t server;
  setvbuf(stdout, NULL, _IONBF, 0);
  /* by name: an address needs no resolver */
  snprintf(dsn, sizeof(dsn), "dqlite://localhost:%u/test?timeout=20s",
           (unsigned)start_server(&server));
  for (int mode = DRIVEN; mode < MODES; ++mode) {
    for (int with_client = 0; with_client < 2; ++with_client) {
      for (int sticky = 0; sticky < 2; ++sticky) run_all(dsn, mode, with_client, sticky);
    }
  }
  CHECK_EQ(kill(server, SIGKILL), 0);
  return 0;
}
