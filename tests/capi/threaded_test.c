/* SPDX-License-Identifier: MIT */
/* A threaded loop: submissions from many threads, the queue's three ways to wait, back-pressure. */
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>

#include "check.h"

enum { THREADS = 4, OPS = 200 };

typedef struct submitter {
  dqc_conn *conn;
  probe *probes;
  int blocking;
} submitter;

static void *submit(void *data) {
  submitter *s = (submitter *)data;
  for (int i = 0; i < OPS; ++i) {
    if (s->blocking) {
      OK(dqc_conn_exec(s->conn, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, NULL, NULL, &error));
      continue;
    }
    uint64_t op = 0;
    OK(dqc_conn_query_async(s->conn, "SELECT * FROM t", DQC_CSTR, NULL, 0, NULL, on_event,
                            &s->probes[i], &op, &error));
    if (i % 16 == 5) CHECK_EQ(dqc_conn_cancel(s->conn, op), DQC_OK);
    if (i % 16 == 7) CHECK_EQ(dqc_conn_pause(s->conn, op, 1), DQC_OK);
    if (i % 16 == 7) CHECK_EQ(dqc_conn_pause(s->conn, op, 0), DQC_OK);
    (void)dqc_conn_state(s->conn);
    (void)dqc_conn_era(s->conn);
    (void)dqc_conn_transaction(s->conn);
  }
  return NULL;
}

/* Two connections shared by all threads; one of the threads makes blocking calls. */
static void test_many_threads(void) {
  static probe probes[THREADS][OPS];
  world w;
  dqc_conn *second = NULL;
  pthread_t thread[THREADS];
  submitter s[THREADS];
  world_open(&w, THREADED, "normal", 0);
  OK(dqc_conn_new(w.loop, w.queue, w.config, &second, &error));
  OK(dqc_conn_connect(second, &error));
  for (int i = 0; i < THREADS; ++i) {
    s[i] = (submitter){i & 1 ? second : w.conn, probes[i], i == 0};
    CHECK_EQ(pthread_create(&thread[i], NULL, submit, &s[i]), 0);
  }
  for (int i = 1; i < THREADS; ++i) until_done(&w, probes[i], OPS);
  for (int i = 0; i < THREADS; ++i) CHECK_EQ(pthread_join(thread[i], NULL), 0);
  for (int i = 1; i < THREADS; ++i) {
    for (int k = 0; k < OPS; ++k) {
      CHECK(pthread_equal(probes[i][k].thread, pthread_self()));
      if (probes[i][k].status == DQC_OK) CHECK_EQ(probes[i][k].rows, 3);
    }
  }
  dqc_conn_free(second);
  world_end(&w);
}

static void test_poll(void) {
  world w;
  probe p[2] = {{0}};
  world_open(&w, THREADED, "delay", 20);
  struct pollfd fd = {dqc_queue_fd(w.queue), POLLIN, 0};
  while (dqc_conn_state(w.conn) != DQC_STATE_READY) sleep_ms(1);
  CHECK_EQ(dqc_queue_wait(w.queue, 5000), 1); /* the connect call */
  INSIDE(dqc_queue_dispatch(w.queue, 0));
  CHECK_EQ(poll(&fd, 1, 0), 0);
  CHECK_EQ(dqc_queue_wait(w.queue, 0), 0);
  CHECK_EQ(dqc_queue_wait(w.queue, 10), 0);
  CHECK_EQ(dqc_queue_dispatch(w.queue, 0), 0);
  OK(exec_async(w.conn, "INSERT INTO t VALUES(1)", &p[0]));
  OK(query_async(w.conn, "SELECT * FROM t", &p[1]));
  CHECK_EQ(dqc_queue_wait(w.queue, INT64_MAX), 1);
  CHECK_EQ(poll(&fd, 1, 5000), 1);
  CHECK_EQ(dqc_queue_wait(w.queue, -1), 1);
  while (p[1].done == 0) { /* one at a time; readable as long as there is one */
    CHECK_EQ(dqc_queue_wait(w.queue, 5000), 1);
    CHECK_EQ(poll(&fd, 1, 0), 1);
    const int before = p[0].done + p[1].done + p[1].batches;
    ++g_inside;
    CHECK_EQ(dqc_queue_dispatch(w.queue, 1), 1);
    --g_inside;
    CHECK_EQ(p[0].done + p[1].done + p[1].batches, before + 1);
  }
  CHECK_EQ(poll(&fd, 1, 0), 0);
  world_end(&w);
}

static atomic_int notified;

static void DQC_CALL on_notify(void *user_data) {
  (void)user_data;
  atomic_fetch_add(&notified, 1);
}

static atomic_int g_slow_entered, g_slow_left;
static void DQC_CALL slow_notify(void *user_data) {
  (void)user_data;
  atomic_store(&g_slow_entered, 1);
  sleep_ms(100);
  atomic_store(&g_slow_left, 1);
}

/* What a notify call uses may go once it was replaced. */
static void test_notify_ends_with_its_replacement(void) {
  world w;
  probe p = {0};
  world_open(&w, THREADED, "normal", 0);
  while (dqc_conn_state(w.conn) != DQC_STATE_READY) pump(&w);
  pump(&w); /* nothing waits in the queue: it is not this thread that is notified */
  CHECK_EQ(dqc_queue_set_notify(w.queue, slow_notify, NULL), DQC_OK);
  OK(exec_async(w.conn, "INSERT INTO t VALUES(1)", &p));
  while (!atomic_load(&g_slow_entered)) sleep_ms(1);
  CHECK_EQ(dqc_queue_set_notify(w.queue, NULL, NULL), DQC_OK);
  CHECK(atomic_load(&g_slow_left));
  until_done(&w, &p, 1);
  world_end(&w);
}

static void test_notify(void) {
  world w;
  probe p[6] = {{0}};
  world_begin(&w, THREADED, "normal", 0);
  CHECK_EQ(dqc_queue_set_notify(w.queue, on_notify, NULL), DQC_OK);
  world_connect(&w);
  for (int i = 0; i < 5; ++i) OK(exec_async(w.conn, "INSERT INTO t VALUES(1)", &p[i]));
  while (mock_server_requests(w.mock, 8) < 5) sleep_ms(1);
  sleep_ms(300);                       /* for the answers to be read */
  CHECK_EQ(atomic_load(&notified), 1); /* six events wait, one edge */
  ++g_inside;
  CHECK_EQ(dqc_queue_dispatch(w.queue, 4), 4);
  CHECK_EQ(atomic_load(&notified), 1);
  CHECK_EQ(dqc_queue_dispatch(w.queue, 0), 2);
  --g_inside;
  OK(exec_async(w.conn, "INSERT INTO t VALUES(1)", &p[5]));
  while (atomic_load(&notified) < 2) sleep_ms(1);
  until_done(&w, p, 6);
  CHECK_EQ(atomic_load(&notified), 2);
  CHECK_EQ(dqc_queue_set_notify(w.queue, NULL, NULL), DQC_OK);
  OK(dqc_conn_exec(w.conn, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, NULL, NULL, &error));
  memset(p, 0, sizeof(p));
  OK(exec_async(w.conn, "INSERT INTO t VALUES(1)", &p[0]));
  until_done(&w, p, 1);
  CHECK_EQ(atomic_load(&notified), 2);
  world_end(&w);
}

/* 0 under a sanitizer, whose own memory would be seen. */
static long resident_kb(void) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return 0;
#endif
  long pages = 0, resident = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  CHECK(f != NULL && fscanf(f, "%ld %ld", &pages, &resident) == 2);
  fclose(f);
  return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

/* A result of some 100 MB that nobody takes, then one that is taken slowly: memory stays bounded.
 * */
static void test_back_pressure(void) {
  world w;
  probe p = {0};
  world_begin(&w, THREADED, "big_result", 6000000);
  set(w.config, "max_rows", "10000000");
  set(w.config, "timeout", "5m");
  set(w.config, "high_water", "256KiB");
  world_connect(&w);
  sleep_ms(50);
  const long before = resident_kb();
  OK(query_async(w.conn, "SELECT n FROM t", &p));
  sleep_ms(300);
  CHECK(resident_kb() - before < 30 * 1024);
  for (int i = 0; i < 50; ++i) {
    sleep_ms(2);
    INSIDE(dqc_queue_dispatch(w.queue, 1));
  }
  CHECK(p.rows > 0 && p.done == 0);
  CHECK(resident_kb() - before < 40 * 1024);
  CHECK_EQ(dqc_conn_cancel(w.conn, p.op), DQC_OK);
  until_done(&w, &p, 1);
  world_end(&w);
}

static void pause_now(probe *p, const dqc_event *event) {
  if (event->type == DQC_EVENT_ROWS && p->batches == 1)
    CHECK_EQ(dqc_conn_pause((dqc_conn *)p->data, event->op, 1), DQC_OK);
}

static void test_pause(int mode) {
  world w;
  probe p = {0};
  world_begin(&w, mode, "big_result", 1000000);
  set(w.config, "max_rows", "10000000");
  set(w.config, "timeout", "5m");
  world_connect(&w);
  p.hook = pause_now;
  p.data = w.conn;
  OK(query_async(w.conn, "SELECT n FROM t", &p));
  while (p.batches == 0) pump(&w);
  for (int i = 0; i < 30; ++i) pump(&w);
  const uint64_t rows = p.rows; /* what was under way has come */
  CHECK(rows < 1000000);
  for (int i = 0; i < 30; ++i) pump(&w);
  CHECK_EQ(p.rows, rows);
  CHECK_EQ(dqc_conn_pause(w.conn, p.op, 0), DQC_OK);
  until_done(&w, &p, 1);
  CHECK_EQ(p.status, DQC_OK);
  CHECK_EQ(p.rows, 1000000);
  world_end(&w);
}

static void *free_conn(void *data) {
  dqc_conn_free((dqc_conn *)data);
  return NULL;
}

/* Connections made, used and freed by several threads while the events of others are dispatched. */
static void *churn(void *data) {
  world *w = (world *)data;
  for (int i = 0; i < 20; ++i) {
    dqc_conn *conn = NULL;
    dqc_stmt *stmt = NULL;
    dqc_rows *rows = NULL;
    pthread_t other;
    OK(dqc_conn_new(w->loop, i & 1 ? w->queue : NULL, w->config, &conn, &error));
    OK(dqc_conn_connect(conn, &error));
    OK(dqc_conn_prepare(conn, "SELECT 1", DQC_CSTR, NULL, &stmt, &error));
    OK(dqc_stmt_query(stmt, NULL, 0, NULL, &rows, &error));
    if (i & 2) CHECK_EQ(dqc_rows_step(rows, NULL), DQC_ROW);
    CHECK_EQ(pthread_create(&other, NULL, free_conn, conn), 0);
    dqc_stmt_free(stmt);
    dqc_rows_free(rows);
    CHECK_EQ(pthread_join(other, NULL), 0);
  }
  return NULL;
}

static void test_churn(void) {
  world w;
  probe p[50] = {{0}};
  pthread_t thread[2];
  world_open(&w, THREADED, "normal", 0);
  for (int i = 0; i < 2; ++i) CHECK_EQ(pthread_create(&thread[i], NULL, churn, &w), 0);
  for (int i = 0; i < 50; ++i) {
    OK(query_async(w.conn, "SELECT * FROM t", &p[i]));
    pump(&w);
  }
  until_done(&w, p, 50);
  for (int i = 0; i < 2; ++i) CHECK_EQ(pthread_join(thread[i], NULL), 0);
  world_end(&w);
}

/* Events wait in the queue when connection and loop are gone; taking them touches neither. */
static void test_queue_outlives(void) {
  world w;
  probe p[3] = {{0}};
  world_begin(&w, THREADED, "big_result", 200000);
  set(w.config, "high_water", "4KiB");
  world_connect(&w);
  OK(query_async(w.conn, "SELECT n FROM t", &p[0]));
  OK(dqc_conn_prepare_async(w.conn, "SELECT 1", DQC_CSTR, NULL, on_event, &p[1], NULL, &error));
  sleep_ms(50);
  dqc_conn_free(w.conn);
  dqc_loop_free(w.loop);
  w.conn = NULL;
  w.loop = NULL;
  sleep_ms(400); /* the thread is gone */
  until_done(&w, p, 2);
  CHECK_EQ(p[0].status, DQC_E_CLOSED);
  dqc_stmt_free(p[1].stmt);
  world_end(&w);
}

/* Waits until the thread waits. */
static void until_asleep(const atomic_int *thread) {
  char path[64], line[256];
  const int64_t end = now_ms() + 20000;
  for (char state = 0; state != 'S'; sleep_ms(1)) {
    CHECK(now_ms() < end);
    if (atomic_load(thread) == 0) continue;
    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", atomic_load(thread));
    FILE *file = fopen(path, "re");
    CHECK(file != NULL && fgets(line, sizeof(line), file) != NULL);
    CHECK_EQ(fclose(file), 0);
    const char *name_end = strrchr(line, ')');
    CHECK(name_end != NULL);
    state = name_end[2];
  }
}

static dqc_queue *waited_for;

static void *wait_for_ever(void *data) {
  atomic_store((atomic_int *)data, (int)syscall(SYS_gettid));
  CHECK_EQ(dqc_queue_wait(waited_for, -1), DQC_E_CLOSED);
  return NULL;
}

static void test_queue_freed_under_wait(void) {
  static atomic_int waiter[3];
  dqc_queue *queue = NULL;
  pthread_t thread[3];
  OK(dqc_queue_new(&queue, &error));
  waited_for = queue;
  for (int i = 0; i < 3; ++i) {
    CHECK_EQ(pthread_create(&thread[i], NULL, wait_for_ever, &waiter[i]), 0);
    until_asleep(&waiter[i]);
  }
  dqc_queue_free(queue);
  for (int i = 0; i < 3; ++i) CHECK_EQ(pthread_join(thread[i], NULL), 0);
}

enum { CHAINS = 16, LINKS = 400 };

static struct {
  dqc_conn *conn;
  int submitted, ended;
} chain;

/* Slow enough for answers to come while others are delivered. */
static void DQC_CALL submit_again(void *user_data, const dqc_event *event) {
  (void)event;
  ++chain.ended;
  sleep_ms(1);
  if (chain.submitted == LINKS) return;
  ++chain.submitted;
  OK(dqc_conn_exec_async(chain.conn, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, NULL,
                         submit_again, user_data, NULL, &error));
}

/* A dispatch delivers what waits, and tells of the rest: by the descriptor and to waiters, or by one
 * more notification, for whoever dispatches once for each. */
static void test_dispatch_ends(int by_notify) {
  world w;
  int told = 0;
  world_open(&w, THREADED, "normal", 0);
  while (dqc_conn_state(w.conn) != DQC_STATE_READY) pump(&w);
  pump(&w);
  struct pollfd fd = {dqc_queue_fd(w.queue), POLLIN, 0};
  atomic_store(&notified, 0);
  if (by_notify) CHECK_EQ(dqc_queue_set_notify(w.queue, on_notify, NULL), DQC_OK);
  chain.conn = w.conn;
  chain.submitted = CHAINS;
  chain.ended = 0;
  for (int i = 0; i < CHAINS; ++i)
    OK(dqc_conn_exec_async(w.conn, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, NULL, submit_again,
                           NULL, NULL, &error));
  while (chain.ended < LINKS) {
    const int64_t end = now_ms() + 10000;
    if (by_notify) {
      while (atomic_load(&notified) == told && now_ms() < end) sleep_ms(1);
      CHECK(atomic_load(&notified) != told);
      told = atomic_load(&notified);
    } else {
      CHECK_EQ(poll(&fd, 1, 10000), 1);
      CHECK_EQ(dqc_queue_wait(w.queue, 10000), 1);
    }
    CHECK(dqc_queue_dispatch(w.queue, 0) <= CHAINS);
  }
  CHECK_EQ(dqc_queue_set_notify(w.queue, NULL, NULL), DQC_OK);
  world_end(&w);
}

static struct {
  dqc_queue *queue;
  atomic_int thread[3], go, over, late;
} replaced;

static void DQC_CALL notify_first(void *user_data) {
  (void)user_data;
  while (!atomic_load(&replaced.go)) sleep_ms(1);
}
static void DQC_CALL notify_second(void *user_data) {
  (void)user_data;
  if (atomic_load(&replaced.over)) atomic_fetch_add(&replaced.late, 1);
}

static void *set_first(void *data) {
  atomic_store(&replaced.thread[0], (int)syscall(SYS_gettid));
  CHECK_EQ(dqc_queue_set_notify(replaced.queue, notify_first, NULL), DQC_OK);
  return data;
}
static void *set_second(void *data) {
  atomic_store(&replaced.thread[1], (int)syscall(SYS_gettid));
  CHECK_EQ(dqc_queue_set_notify(replaced.queue, notify_second, NULL), DQC_OK);
  return data;
}
static void *set_none(void *data) {
  atomic_store(&replaced.thread[2], (int)syscall(SYS_gettid));
  CHECK_EQ(dqc_queue_set_notify(replaced.queue, NULL, NULL), DQC_OK);
  atomic_store(&replaced.over, 1);
  return data;
}

/* The second waits for a call of the first to end, and is replaced meanwhile. */
static void test_notify_replaced_before_its_turn(void) {
  static void *(*const setters[3])(void *) = {set_first, set_second, set_none};
  world w;
  probe p = {0};
  world_open(&w, THREADED, "normal", 0);
  OK(exec_async(w.conn, "INSERT INTO t VALUES(1)", &p));
  CHECK_EQ(dqc_queue_wait(w.queue, 10000), 1); /* what waits has every setter call at once */
  replaced.queue = w.queue;
  for (int i = 0; i < 30; ++i) {
    pthread_t thread[3];
    atomic_store(&replaced.over, 0);
    atomic_store(&replaced.go, 0);
    for (int k = 0; k < 3; ++k) {
      atomic_store(&replaced.thread[k], 0);
      CHECK_EQ(pthread_create(&thread[k], NULL, setters[k], NULL), 0);
      until_asleep(&replaced.thread[k]);
    }
    atomic_store(&replaced.go, 1);
    for (int k = 0; k < 3; ++k) CHECK_EQ(pthread_join(thread[k], NULL), 0);
  }
  CHECK_EQ(atomic_load(&replaced.late), 0);
  until_done(&w, &p, 1);
  world_end(&w);
}

int main(void) {
  setup(170);
  test_many_threads();
  test_poll();
  test_notify();
  test_notify_ends_with_its_replacement();
  test_notify_replaced_before_its_turn();
  test_queue_freed_under_wait();
  test_dispatch_ends(0);
  test_dispatch_ends(1);
  test_back_pressure();
  for (int mode = 0; mode < MODES; ++mode) test_pause(mode);
  test_churn();
  test_queue_outlives();
  return 0;
}
