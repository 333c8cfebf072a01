/* SPDX-License-Identifier: MIT */
/* A driven loop inside poll(2), its run modes and waking it; an attached loop inside uv_run(), and
 * embedded by its descriptor. */
#include <poll.h>
#include <stdatomic.h>

#include "check.h"

static void test_poll(void) {
  world w;
  probe p[3] = {{0}};
  int waits = 0;
  world_open(&w, DRIVEN, "delay", 30);
  CHECK(dqc_loop_fd(w.loop) >= 0);
  OK(query_async(w.conn, "SELECT * FROM t", &p[0]));
  OK(exec_async(w.conn, "INSERT INTO t VALUES(1)", &p[1]));
  OK(exec_async(w.conn, "INSERT INTO t VALUES(1)", &p[2]));
  while (p[2].done == 0) {
    struct pollfd fd = {dqc_loop_fd(w.loop), POLLIN, 0};
    const int ready = poll(&fd, 1, dqc_loop_timeout_ms(w.loop));
    CHECK(ready >= 0);
    CHECK(++waits < 1000); /* it does not spin */
    INSIDE(dqc_loop_run(w.loop, DQC_RUN_NOWAIT, NULL));
  }
  CHECK_EQ(p[0].rows, 3);
  CHECK_EQ(p[0].done + p[1].done, 2);
  for (int i = 0; i < 5; ++i) INSIDE(dqc_loop_run(w.loop, DQC_RUN_NOWAIT, NULL));
  CHECK(dqc_loop_timeout_ms(w.loop) != 0); /* idle: nothing to wait for but the descriptor */
  world_end(&w);
}

static void test_poll_deadline(void) {
  world w;
  probe p = {0};
  dqc_call_options soon = {sizeof(soon), 0, 60};
  const int64_t start = now_ms();
  int waits = 0;
  world_open(&w, DRIVEN, "stall", 0);
  OK(dqc_conn_exec_async(w.conn, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, &soon, on_event, &p,
                         NULL, &error));
  while (p.done == 0) {
    struct pollfd fd = {dqc_loop_fd(w.loop), POLLIN, 0};
    CHECK(poll(&fd, 1, dqc_loop_timeout_ms(w.loop)) >= 0);
    CHECK(++waits < 1000);
    INSIDE(dqc_loop_run(w.loop, DQC_RUN_NOWAIT, NULL));
  }
  CHECK_EQ(p.status, DQC_E_TIMEOUT);
  CHECK(now_ms() - start >= 60);
  world_end(&w);
}

static void test_run_modes(void) {
  world w;
  probe p[3] = {{0}};
  world_open(&w, DRIVEN, "delay", 30);
  OK(dqc_loop_run(w.loop, DQC_RUN_DEFAULT, &error)); /* the connect call */
  CHECK_EQ(dqc_conn_state(w.conn), DQC_STATE_READY);
  OK(exec_async(w.conn, "INSERT INTO t VALUES(1)", &p[0]));
  int64_t start = now_ms();
  INSIDE(dqc_loop_run(w.loop, DQC_RUN_NOWAIT, NULL));
  CHECK(now_ms() - start < 25);
  CHECK_EQ(p[0].done, 0);
  int turns = 0;
  while (p[0].done == 0) {
    INSIDE(dqc_loop_run(w.loop, DQC_RUN_ONCE, NULL));
    CHECK(++turns < 1000);
  }
  OK(exec_async(w.conn, "INSERT INTO t VALUES(1)", &p[1]));
  OK(query_async(w.conn, "SELECT 1", &p[2]));
  INSIDE(dqc_loop_run(w.loop, DQC_RUN_DEFAULT, NULL));
  CHECK_EQ(p[1].done + p[2].done, 2);
  start = now_ms();
  OK(dqc_loop_run(w.loop, DQC_RUN_DEFAULT, &error)); /* nothing outstanding: at once */
  CHECK(now_ms() - start < 1000);
  FAILS(DQC_E_MISUSE, dqc_loop_run(w.loop, 3, &error));
  FAILS(DQC_E_MISUSE, dqc_loop_run(w.loop, -1, &error));
  world_end(&w);
}

/* A deadline that passed while nobody ran the loop: told in the next turn, which does not wait first. */
static void test_deadline_at_rest(void) {
  world w;
  probe p[2] = {{0}};
  dqc_call_options soon = {sizeof(soon), 0, 30};
  world_open(&w, DRIVEN, "stall", 0);
  OK(dqc_loop_run(w.loop, DQC_RUN_DEFAULT, &error)); /* the connect call */
  OK(dqc_conn_script_async(w.conn, "INSERT INTO t VALUES(1); INSERT INTO t VALUES(2)", DQC_CSTR,
                           NULL, on_event, &p[0], NULL, &error));
  OK(dqc_conn_exec_async(w.conn, "INSERT INTO t VALUES(3)", DQC_CSTR, NULL, 0, &soon, on_event,
                         &p[1], NULL, &error)); /* waits for the script */
  pump(&w);                                     /* the script is on its way */
  sleep_ms(80);
  const int64_t start = now_ms();
  INSIDE(dqc_loop_run(w.loop, DQC_RUN_ONCE, NULL));
  CHECK_EQ(p[1].done, 1);
  CHECK_EQ(p[1].status, DQC_E_TIMEOUT);
  CHECK_EQ(p[1].outcome, DQC_OUTCOME_NOT_EXECUTED);
  CHECK_EQ(p[0].done, 0);
  CHECK(now_ms() - start < 3000);
  mock_server_release(w.mock);
  until_done(&w, p, 2);
  world_end(&w);
}

static void *wake_later(void *data) {
  sleep_ms(60);
  dqc_loop_wake((dqc_loop *)data);
  return NULL;
}

static void test_wake(void) {
  world w;
  pthread_t thread;
  world_open(&w, DRIVEN, "stall", 0);
  OK(dqc_loop_run(w.loop, DQC_RUN_DEFAULT, &error));
  for (int i = 0; i < 5; ++i) OK(dqc_loop_run(w.loop, DQC_RUN_NOWAIT, &error));
  const int64_t start = now_ms();
  CHECK_EQ(pthread_create(&thread, NULL, wake_later, w.loop), 0);
  while (now_ms() - start < 55) OK(dqc_loop_run(w.loop, DQC_RUN_ONCE, &error));
  CHECK_EQ(pthread_join(thread, NULL), 0);
  struct pollfd fd = {dqc_loop_fd(w.loop), POLLIN, 0};
  dqc_loop_wake(w.loop);
  CHECK_EQ(poll(&fd, 1, 1000), 1);
  dqc_loop_wake(NULL);
  world_end(&w);
}

static struct {
  int fd;
  pthread_t thread;
} late;

static void *dial_late(void *data) {
  sleep_ms(150);
  dqc_dial_done((dqc_dial *)data, late.fd, NULL);
  return NULL;
}

static void DQC_CALL on_dial(void *user_data, const char *address, dqc_dial *dial) {
  (void)address;
  late.fd = mock_server_connect((mock_server *)user_data);
  CHECK_EQ(pthread_create(&late.thread, NULL, dial_late, dial), 0);
}

static int64_t cpu_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Waiting for what comes from another thread, with nothing to poll and no timer, sleeps. */
static void test_no_spin(void) {
  world w;
  world_begin(&w, DRIVEN, "normal", 0);
  set(w.config, "connect_timeout", "1h");
  OK(dqc_config_set_dial(w.config, on_dial, w.mock, &error));
  OK(dqc_conn_new(w.loop, NULL, w.config, &w.conn, &error));
  const int64_t start = cpu_ms();
  OK(dqc_conn_connect(w.conn, &error));
  CHECK(cpu_ms() - start < 100);
  CHECK_EQ(pthread_join(late.thread, NULL), 0);
  world_end(&w);
}

/* uv_run() goes on while an operation is outstanding, even with nothing to poll, and ends after the
 * last free. */
static void test_attached(void) {
  world w;
  probe p[3] = {{0}};
  world_open(&w, ATTACHED, "normal", 0);
  CHECK_EQ(dqc_loop_fd(w.loop), -1);
  CHECK_EQ(dqc_loop_timeout_ms(w.loop), -1);
  OK(query_async(w.conn, "SELECT * FROM t", &p[0]));
  OK(dqc_conn_close_async(w.conn, on_event, &p[1], NULL, &error));
  INSIDE(uv_run(&w.uv, UV_RUN_DEFAULT)); /* ends by itself: the connection closed */
  CHECK_EQ(p[0].done + p[1].done, 2);
  OK(dqc_conn_close_async(w.conn, on_event, &p[2], NULL, &error));
  INSIDE(uv_run(&w.uv, UV_RUN_DEFAULT));
  CHECK_EQ(p[2].done, 1);
  world_end(&w);
}

static void test_attached_dial(void) {
  world w;
  probe p = {0};
  world_begin(&w, ATTACHED, "normal", 0);
  set(w.config, "connect_timeout", "1h");
  OK(dqc_config_set_dial(w.config, on_dial, w.mock, &error));
  OK(dqc_conn_new(w.loop, NULL, w.config, &w.conn, &error));
  OK(dqc_conn_connect_async(w.conn, on_event, &p, NULL, &error));
  while (p.done == 0)
    CHECK(({
      INSIDE(uv_run(&w.uv, UV_RUN_ONCE));
      uv_loop_alive(&w.uv) != 0;
    }));
  CHECK_EQ(p.status, DQC_OK);
  CHECK_EQ(pthread_join(late.thread, NULL), 0);
  world_end(&w);
}

typedef struct chain {
  world *w;
  dqc_conn *other; /* made in a callback */
  probe p[20], on_other;
  int next;
} chain;

static void submit_next(probe *p, const dqc_event *event) {
  chain *c = (chain *)p->data;
  if (event->type != DQC_EVENT_DONE || c->next == 20) return;
  probe *const next = &c->p[c->next++];
  next->hook = submit_next;
  next->data = c;
  OK(exec_async(c->w->conn, "INSERT INTO t VALUES(1)", next));
  if (c->next != 10) return;
  OK(dqc_conn_new(c->w->loop, NULL, c->w->config, &c->other, &error));
  OK(dqc_conn_connect_async(c->other, NULL, NULL, NULL, &error));
  OK(exec_async(c->other, "INSERT INTO t VALUES(1)", &c->on_other));
}

/* One turn of a host that embeds the uv loop by its descriptor, as desktop toolkits do: `timeout`
 * is of before the last calls, for it may have been asleep while they were made. */
static void host_turn(world *w, int timeout) {
  struct pollfd fd = {uv_backend_fd(&w->uv), POLLIN, 0};
  CHECK(poll(&fd, 1, timeout < 0 ? 15000 : timeout) >= 0);
  INSIDE(uv_run(&w->uv, UV_RUN_NOWAIT));
}

static void test_embedded(void) {
  world w;
  chain c = {&w, NULL, {{0}}, {0}, 1};
  int turns = 0;
  world_begin(&w, ATTACHED, "normal", 0);
  set(w.config, "timeout", "1h");
  set(w.config, "connect_timeout", "1h");
  const int64_t start = now_ms();
  INSIDE(uv_run(&w.uv, UV_RUN_NOWAIT));
  const int timeout = uv_backend_timeout(&w.uv);
  world_connect(&w);
  c.p[0].hook = submit_next;
  c.p[0].data = &c;
  OK(exec_async(w.conn, "INSERT INTO t VALUES(1)", &c.p[0]));
  host_turn(&w, timeout);
  while (c.p[19].done == 0 || c.on_other.done == 0) {
    host_turn(&w, uv_backend_timeout(&w.uv));
    CHECK(++turns < 1000);
  }
  CHECK(now_ms() - start < 10000);
  dqc_conn_free(c.other);
  world_end(&w);
}

enum { EVENTS = 500 };

typedef struct breeder {
  dqc_conn *conn;
  int events;
} breeder;

/* Each event causes the next at once: what is cancelled before it was sent ends there and then. */
static void DQC_CALL breed(void *user_data, const dqc_event *event) {
  breeder *b = (breeder *)user_data;
  uint64_t op = 0;
  (void)event;
  if (++b->events >= EVENTS) return;
  OK(dqc_conn_exec_async(b->conn, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, NULL, breed, b, &op,
                         &error));
  CHECK_EQ(dqc_conn_cancel(b->conn, op), DQC_OK);
}

/* One turn delivers what waits at its start, and the host does not sleep on the rest. */
static void test_turn_ends(int mode) {
  world w;
  breeder b = {NULL, 0};
  int turns = 0;
  world_open(&w, mode, "normal", 0);
  while (dqc_conn_state(w.conn) != DQC_STATE_READY) pump(&w);
  for (int i = 0; i < 5; ++i) pump(&w);
  b.conn = w.conn;
  OK(dqc_conn_exec_async(w.conn, "INSERT INTO t VALUES(1)", DQC_CSTR, NULL, 0, NULL, breed, &b,
                         NULL, &error));
  while (b.events < EVENTS) {
    const int before = b.events;
    CHECK(++turns < 10 * EVENTS);
    if (mode == ATTACHED) {
      host_turn(&w, uv_backend_timeout(&w.uv));
    } else {
      struct pollfd fd = {dqc_loop_fd(w.loop), POLLIN, 0};
      if (b.events > 0) {
        CHECK_EQ(dqc_loop_timeout_ms(w.loop), 0);
        CHECK_EQ(poll(&fd, 1, 0), 1);
      }
      INSIDE(dqc_loop_run(w.loop, turns & 1 ? DQC_RUN_ONCE : DQC_RUN_NOWAIT, NULL));
    }
    CHECK(b.events - before <= 5);
  }
  for (int i = 0; i < 5; ++i) pump(&w);
  world_end(&w);
}

typedef struct uv_host {
  world *w;
  uv_async_t stop;
  atomic_int ends;
} uv_host;

static void count_end(probe *p, const dqc_event *event) {
  if (event->type == DQC_EVENT_DONE) atomic_fetch_add((atomic_int *)p->data, 1);
}

static void on_stop(uv_async_t *stop) { uv_close((uv_handle_t *)stop, NULL); }

static void *host(void *data) {
  uv_host *h = (uv_host *)data;
  world *w = h->w;
  ++g_inside;
  CHECK_EQ(uv_run(&w->uv, UV_RUN_DEFAULT), 0);
  dqc_conn_free(w->conn);
  dqc_loop_free(w->loop);
  CHECK_EQ(uv_run(&w->uv, UV_RUN_DEFAULT), 0);
  CHECK_EQ(uv_loop_close(&w->uv), 0);
  --g_inside;
  return NULL;
}

/* The uv loop runs on another thread than the one that attached, which goes on calling. */
static void test_run_elsewhere(int calls_meanwhile) {
  enum { CALLS = 200 };
  world w;
  uv_host h = {&w, {0}, 0};
  static probe first, p[CALLS], closed;
  pthread_t thread;
  memset(&first, 0, sizeof(first));
  memset(p, 0, sizeof(p));
  memset(&closed, 0, sizeof(closed));
  world_open(&w, ATTACHED, "normal", 0);
  first.hook = count_end;
  first.data = &h.ends;
  OK(exec_async(w.conn, "INSERT INTO t VALUES(1)", &first));
  if (calls_meanwhile) {
    CHECK_EQ(uv_async_init(&w.uv, &h.stop, on_stop), 0);
  } else {
    OK(dqc_conn_close_async(w.conn, on_event, &closed, NULL, &error));
  }
  CHECK_EQ(pthread_create(&thread, NULL, host, &h), 0);
  if (calls_meanwhile) {
    while (atomic_load(&h.ends) == 0) sleep_ms(1);
    for (int i = 0; i < CALLS; ++i) {
      uint64_t op = 0;
      p[i].hook = count_end;
      p[i].data = &h.ends;
      OK(dqc_conn_query_async(w.conn, "SELECT * FROM t", DQC_CSTR, NULL, 0, NULL, on_event, &p[i],
                              &op, &error));
      if (i % 8 == 3) CHECK_EQ(dqc_conn_cancel(w.conn, op), DQC_OK);
    }
    while (atomic_load(&h.ends) <= CALLS) sleep_ms(1);
    OK(dqc_conn_close_async(w.conn, on_event, &closed, NULL, &error));
    CHECK_EQ(uv_async_send(&h.stop), 0);
  }
  CHECK_EQ(pthread_join(thread, NULL), 0);
  CHECK_EQ(first.done + closed.done, 2);
  for (int i = 0; i < CALLS && calls_meanwhile; ++i) {
    CHECK_EQ(p[i].done, 1);
    if (i % 8 != 3) CHECK_EQ(p[i].status, DQC_OK);
    CHECK(pthread_equal(p[i].thread, closed.thread));
  }
  w.conn = NULL;
  w.loop = NULL;
  w.mode = DRIVEN; /* the uv loop is closed */
  world_end(&w);
}

int main(void) {
  setup(50);
  test_poll();
  test_poll_deadline();
  test_deadline_at_rest();
  test_run_modes();
  test_wake();
  test_no_spin();
  test_attached();
  test_attached_dial();
  test_embedded();
  test_turn_ends(DRIVEN);
  test_turn_ends(ATTACHED);
  test_run_elsewhere(0);
  test_run_elsewhere(1);
  return 0;
}
