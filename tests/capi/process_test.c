/* SPDX-License-Identifier: MIT */
/* The process around the library: fork(), SIGPIPE, interrupted system calls, descriptors across
 * exec(). */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "check.h"

#define CHILD_CHECK(condition)                    \
  do {                                            \
    if (!(condition)) _exit(__LINE__ % 200 + 50); \
  } while (0)

typedef struct family {
  world *w;
  dqc_stmt *stmt;
  dqc_rows *rows;
  dqc_batch *batch;
  dqc_conn *dialing;
  dqc_dial *dial; /* of `dialing`, not answered yet */
} family;

static void DQC_CALL keep_dial(void *user_data, const char *address, dqc_dial *dial) {
  (void)address;
  ((family *)user_data)->dial = dial;
}

static void child(family *f) {
  world *w = f->w;
  dqc_error *error = NULL;
  dqc_rows *rows = NULL;
  dqc_conn *conn = NULL;
  dqc_stmt *stmt = NULL;
  dqc_batch *batch = NULL;
  const dqc_value one = DQC_INT(1);
  const dqc_admin leader = {sizeof(leader), DQC_ADMIN_LEADER, 0, 0, NULL};
  alarm(20);
  const dqc_status status =
      dqc_conn_exec(w->conn, "SELECT 1", DQC_CSTR, NULL, 0, NULL, NULL, &error);
  CHILD_CHECK(status == DQC_E_FORKED && dqc_error_code(error) == DQC_E_FORKED);
  dqc_error_free(error);
  CHILD_CHECK(exec_async(w->conn, "SELECT 1", NULL) == DQC_E_FORKED);
  CHILD_CHECK(query_async(w->conn, "SELECT 1", NULL) == DQC_E_FORKED);
  CHILD_CHECK(dqc_conn_query(w->conn, "SELECT 1", DQC_CSTR, NULL, 0, NULL, &rows, NULL) ==
              DQC_E_FORKED);
  CHILD_CHECK(dqc_conn_script(w->conn, "SELECT 1", DQC_CSTR, NULL, NULL, NULL) == DQC_E_FORKED);
  CHILD_CHECK(dqc_conn_prepare(w->conn, "SELECT 1", DQC_CSTR, NULL, &stmt, NULL) == DQC_E_FORKED);
  CHILD_CHECK(dqc_conn_admin(w->conn, &leader, NULL, &rows, NULL) == DQC_E_FORKED);
  CHILD_CHECK(dqc_conn_connect(w->conn, NULL) == DQC_E_FORKED);
  CHILD_CHECK(dqc_conn_connect_async(w->conn, NULL, NULL, NULL, NULL) == DQC_E_FORKED);
  CHILD_CHECK(dqc_conn_close(w->conn, NULL) == DQC_E_FORKED);
  CHILD_CHECK(dqc_conn_close_async(w->conn, NULL, NULL, NULL, NULL) == DQC_E_FORKED);
  CHILD_CHECK(dqc_conn_cancel(w->conn, 1) == DQC_E_FORKED);
  CHILD_CHECK(dqc_conn_pause(w->conn, 1, 1) == DQC_E_FORKED);
  CHILD_CHECK(dqc_stmt_exec(f->stmt, NULL, 0, NULL, NULL, NULL) == DQC_E_FORKED);
  CHILD_CHECK(dqc_stmt_query(f->stmt, NULL, 0, NULL, &rows, NULL) == DQC_E_FORKED);
  CHILD_CHECK(dqc_stmt_bind(f->stmt, 1, &one, NULL) == DQC_E_FORKED);
  CHILD_CHECK(rows == NULL && stmt == NULL);
  CHILD_CHECK(dqc_rows_step(f->rows, NULL) == DQC_E_FORKED);
  CHILD_CHECK(dqc_rows_next_batch(f->rows, &batch, NULL) == DQC_E_FORKED && batch == NULL);
  CHILD_CHECK(dqc_config_set(w->config, "timeout", DQC_CSTR, "1s", DQC_CSTR, NULL) == DQC_E_FORKED);
  CHILD_CHECK(dqc_loop_run(w->loop, DQC_RUN_NOWAIT, NULL) == DQC_E_FORKED);
  CHILD_CHECK(dqc_loop_fd(w->loop) == -1);
  dqc_loop_wake(w->loop);
  CHILD_CHECK(dqc_conn_new(w->loop, NULL, w->config, &conn, NULL) == DQC_E_FORKED && conn == NULL);
  if (w->queue != NULL) {
    CHILD_CHECK(dqc_queue_wait(w->queue, 0) == DQC_E_FORKED);
    CHILD_CHECK(dqc_queue_dispatch(w->queue, 0) == DQC_E_FORKED);
    CHILD_CHECK(dqc_queue_set_notify(w->queue, NULL, NULL) == DQC_E_FORKED);
    CHILD_CHECK(dqc_queue_fd(w->queue) == -1);
  }
  CHILD_CHECK(dqc_batch_row_count(f->batch) > 0); /* memory is only memory */
  dqc_batch_free(f->batch);
  dqc_stmt_free(f->stmt);
  dqc_conn_free(w->conn);
  dqc_rows_free(f->rows);
  dqc_dial_done(f->dial, -1, "in a child");
  dqc_conn_free(f->dialing);
  dqc_loop_free(w->loop);
  dqc_queue_free(w->queue);
  dqc_config_free(w->config);
  /* A connection of its own works. */
  char dsn[64];
  snprintf(dsn, sizeof(dsn), "dqlite://127.0.0.1:%u/test", (unsigned)mock_server_port(w->mock));
  CHILD_CHECK(dqc_conn_open(dsn, DQC_CSTR, &conn, NULL) == DQC_OK);
  CHILD_CHECK(dqc_conn_exec(conn, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, NULL, NULL, NULL) ==
              DQC_OK);
  dqc_conn_free(conn);
  _exit(0);
}

UNUSED static void test_fork(int mode) {
  world w;
  family f = {&w, NULL, NULL, NULL, NULL, NULL};
  probe p = {0};
  world_begin(&w, mode, "big_result", 20000);
  set(w.config, "read_buffer", "4KiB");
  set(w.config, "high_water", "4KiB");
  OK(dqc_conn_new(w.loop, w.queue, w.config, &w.conn, &error));
  OK(dqc_conn_connect(w.conn, &error));
  OK(dqc_conn_prepare(w.conn, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, &f.stmt, &error));
  OK(dqc_conn_query(w.conn, "SELECT n FROM t", DQC_CSTR, NULL, 0, NULL, &f.rows, &error));
  CHECK_EQ(dqc_rows_next_batch(f.rows, &f.batch, NULL), DQC_ROW);
  OK(dqc_config_set_dial(w.config, keep_dial, &f, &error));
  OK(dqc_conn_new(w.loop, w.queue, w.config, &f.dialing, &error));
  OK(dqc_conn_connect_async(f.dialing, on_event, &p, NULL, &error));
  while (f.dial == NULL) pump(&w);
  OK(dqc_stmt_exec(f.stmt, NULL, 0, NULL, NULL,
                   &error)); /* the server is done with what was sent */
  const uint64_t finalized = mock_server_requests(w.mock, 7);
  for (int i = 0; i < 3; ++i) {
    int status = 0;
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) child(&f);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(WTERMSIG(status), 0);
    CHECK_EQ(WEXITSTATUS(status), 0);
    CHECK_EQ(mock_server_requests(w.mock, 7), finalized);   /* none of the child's */
    OK(dqc_stmt_exec(f.stmt, NULL, 0, NULL, NULL, &error)); /* the parent's goes on */
  }
  dqc_dial_done(f.dial, mock_server_connect(w.mock), NULL);
  until_done(&w, &p, 1);
  CHECK_EQ(p.status, DQC_OK);
  dqc_conn_free(f.dialing);
  int64_t next = (int64_t)dqc_batch_row_count(f.batch);
  while (dqc_rows_step(f.rows, NULL) == DQC_ROW) CHECK_EQ(dqc_rows_int64(f.rows, 0), next++);
  CHECK_EQ(next, 20000);
  dqc_batch_free(f.batch);
  dqc_rows_free(f.rows);
  dqc_stmt_free(f.stmt);
  world_end(&w);
}

typedef struct taker {
  world *w;
  atomic_int stop;
} taker;

static void *take_events(void *data) {
  taker *t = (taker *)data;
  while (!atomic_load(&t->stop)) {
    (void)dqc_queue_wait(t->w->queue, 10);
    INSIDE(dqc_queue_dispatch(t->w->queue, 0));
  }
  return NULL;
}

static void keep_batch(probe *p, const dqc_event *event) {
  dqc_batch **kept = (dqc_batch **)p->data;
  if (event->batch != NULL && *kept == NULL) *kept = dqc_batch_retain(event->batch);
}

/* A child that frees its copy of a batch while the parent's threads take and give back others. */
UNUSED static void test_fork_with_batch(void) {
  world w;
  probe p = {0};
  taker t = {&w, 0};
  dqc_batch *batch = NULL;
  pthread_t thread;
  world_begin(&w, THREADED, "endless_parts", 0);
  set(w.config, "timeout", "0");
  set(w.config, "read_buffer", "4KiB"); /* many batches */
  world_connect(&w);
  p.hook = keep_batch;
  p.data = &batch;
  OK(query_async(w.conn, "SELECT n FROM t", &p));
  while (batch == NULL) pump(&w);
  CHECK_EQ(pthread_create(&thread, NULL, take_events, &t), 0);
  for (int i = 0; i < 1000; ++i) {
    int status = 0;
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
      alarm(20);
      dqc_batch_free(batch);
      _exit(0);
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(status, 0); /* SIGALRM: it hung */
  }
  atomic_store(&t.stop, 1);
  CHECK_EQ(pthread_join(thread, NULL), 0);
  CHECK_EQ(dqc_conn_cancel(w.conn, p.op), DQC_OK);
  until_done(&w, &p, 1);
  dqc_batch_free(batch);
  world_end(&w);
}

/* The peer is gone while there is much to write; the default action of SIGPIPE would end this
 * process. (The library mostly reads the reset before it writes again: that each write is guarded is
 * shown by network_test.c.) */
static void test_sigpipe(int mode) {
  enum { SIZE = 8 << 20 };
  char *blob = (char *)calloc(1, SIZE);
  const dqc_value v = DQC_BYTES(blob, SIZE);
  for (int round = 0; round < 3; ++round) {
    world w;
    probe p[3] = {{0}};
    world_open(&w, mode,
               round == 0   ? "close_on_write"
               : round == 1 ? "reset_on_write"
                            : "stall",
               0);
    for (int i = 0; i < 3; ++i) {
      OK(dqc_conn_exec_async(w.conn, "INSERT INTO t VALUES(?)", DQC_CSTR, &v, 1, NULL, on_event,
                             &p[i], NULL, &error));
    }
    if (round == 2) {
      for (int i = 0; i < 10; ++i) pump(&w);
      mock_server_set_down(w.mock, 1);
    }
    until_done(&w, p, 3);
    for (int i = 0; i < 3; ++i) CHECK(p[i].status < 0);
    world_end(&w);
  }
  free(blob);
}

static atomic_int ticks; /* any thread may be interrupted */
static void on_alarm(int number) {
  (void)number;
  ++ticks;
}

static void test_interrupts(int mode) {
  const struct itimerval fast = {{0, 300}, {0, 300}}, off = {{0, 0}, {0, 0}};
  struct sigaction action = {0}, before;
  world w;
  probe p[40] = {{0}};
  action.sa_handler = on_alarm; /* without SA_RESTART */
  world_open(&w, mode, "slow_writes", 7);
  CHECK_EQ(sigaction(SIGVTALRM, &action, NULL), 0);
  CHECK_EQ(sigaction(SIGALRM, &action, &before), 0);
  const unsigned left = alarm(0);
  CHECK_EQ(setitimer(ITIMER_REAL, &fast, NULL), 0);
  for (int i = 0; i < 40; ++i)
    OK(i & 1 ? exec_async(w.conn, "INSERT INTO t VALUES(1)", &p[i])
             : query_async(w.conn, "SELECT * FROM t", &p[i]));
  until_done(&w, p, 40);
  if (mode != ATTACHED)
    OK(dqc_conn_exec(w.conn, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, NULL, NULL, &error));
  CHECK_EQ(setitimer(ITIMER_REAL, &off, NULL), 0);
  CHECK_EQ(sigaction(SIGALRM, &before, NULL), 0);
  alarm(left);
  for (int i = 0; i < 40; ++i) CHECK_EQ(p[i].status, DQC_OK);
  CHECK(ticks > 0);
  world_end(&w);
}

typedef struct gift {
  mock_server *mock;
  int fd;
} gift;

static void DQC_CALL give_inheritable(void *user_data, const char *address, dqc_dial *dial) {
  gift *g = (gift *)user_data;
  (void)address;
  g->fd = mock_server_connect(g->mock);
  CHECK(g->fd >= 0 && fcntl(g->fd, F_SETFD, 0) == 0);
  dqc_dial_done(dial, g->fd, NULL);
}

/* All descriptors that the library has opened are closed by exec(), and so is the one it was given.
 * */
static void test_cloexec(void) {
  world w;
  char before[256] = {0};
  for (int fd = 0; fd < 256; ++fd) before[fd] = fcntl(fd, F_GETFD) >= 0;
  mock_server *mock = mock_server_start('D', "normal", 0);
  for (int fd = 0; fd < 256; ++fd) before[fd] = before[fd] || fcntl(fd, F_GETFD) >= 0;
  world_open(&w, THREADED, "normal", 0);
  OK(dqc_conn_exec(w.conn, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, NULL, NULL, &error));
  dqc_conn *own = NULL;
  OK(dqc_conn_new(NULL, NULL, w.config, &own, &error));
  OK(dqc_conn_connect(own, &error));
  for (int fd = 3; fd < 256; ++fd) {
    const int flags = fcntl(fd, F_GETFD);
    if (flags < 0 || before[fd]) continue;
    CHECK((flags & FD_CLOEXEC) != 0);
  }
  dqc_conn_free(own);
  gift g = {w.mock, -1};
  dqc_conn *given = NULL;
  OK(dqc_config_set_dial(w.config, give_inheritable, &g, &error));
  OK(dqc_conn_new(NULL, NULL, w.config, &given, &error));
  OK(dqc_conn_connect(given, &error));
  CHECK((fcntl(g.fd, F_GETFD) & FD_CLOEXEC) != 0);
  dqc_conn_free(given);
  world_end(&w);
  mock_server_stop(mock);
}

int main(void) {
  sigset_t pipe_only;
  setup(110);
  /* Whoever started this program may ignore or block it. */
  CHECK(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
  CHECK(sigemptyset(&pipe_only) == 0 && sigaddset(&pipe_only, SIGPIPE) == 0);
  CHECK_EQ(pthread_sigmask(SIG_UNBLOCK, &pipe_only, NULL), 0);
  for (int mode = 0; mode < MODES; ++mode) {
    test_sigpipe(mode);
    test_interrupts(mode);
  }
  test_cloexec();
#if !defined(__SANITIZE_THREAD__) /* TSan does not follow a child that goes on with threads */
  test_fork(DRIVEN);
#if !defined(__SANITIZE_ADDRESS__) /* fork() may find a lock of its allocator held by the thread */
  test_fork(THREADED);
  test_fork_with_batch();
#endif
#endif
  return 0;
}
