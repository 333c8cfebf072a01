/* SPDX-License-Identifier: MIT */
/* The application dials: at once, late, from another thread, not at all. And the log callback. */
#include <sys/socket.h>

#include "check.h"

typedef struct dialer {
  mock_server *mock;
  int refuse, keep, thread, leave;
  int asked;
  dqc_dial *kept;
  pthread_t id;
  char address[64];
} dialer;

static void *answer(void *data) {
  dialer *d = (dialer *)data;
  sleep_ms(20);
  dqc_dial_done(d->kept, mock_server_connect(d->mock), NULL);
  return NULL;
}

static void DQC_CALL on_dial(void *user_data, const char *address, dqc_dial *dial) {
  dialer *d = (dialer *)user_data;
  CHECK(g_inside > 0);
  ++d->asked;
  snprintf(d->address, sizeof(d->address), "%s", address);
  d->kept = dial;
  if (d->keep) return;
  if (d->thread) {
    CHECK_EQ(pthread_create(&d->id, NULL, answer, d), 0);
  } else if (d->refuse) {
    dqc_dial_done(dial, -1, "no way today");
  } else if (d->leave) {
    dqc_dial_done(dial, DQC_DIAL_LIBRARY, NULL);
  } else {
    dqc_dial_done(dial, mock_server_connect(d->mock), NULL);
  }
}

static dqc_conn *dialed_conn(world *w, dialer *d) {
  d->mock = w->mock;
  OK(dqc_config_set_dial(w->config, on_dial, d, &error));
  OK(dqc_conn_new(w->loop, w->queue, w->config, &w->conn, &error));
  return w->conn;
}

/* Asked, and left to the library; where nobody listens, its error. */
static void test_leave(int mode) {
  world w;
  dialer d = {0};
  probe p[2] = {{0}};
  world_begin(&w, mode, "normal", 0);
  d.leave = 1;
  OK(dqc_conn_connect_async(dialed_conn(&w, &d), on_event, &p[0], NULL, &error));
  OK(query_async(w.conn, "SELECT * FROM t", &p[1]));
  until_done(&w, p, 2);
  CHECK_EQ(p[0].status, DQC_OK);
  CHECK_EQ(p[1].rows, 3);
  CHECK_EQ(d.asked, 1);
  world_end(&w);
  memset(p, 0, sizeof(p));
  world_begin(&w, mode, "normal", 0);
  mock_server_set_down(w.mock, 1);
  OK(dqc_conn_connect_async(dialed_conn(&w, &d), on_event, &p[0], NULL, &error));
  until_done(&w, p, 1);
  CHECK_EQ(p[0].status, DQC_E_CONNECT);
  world_end(&w);
}

static void test_dial(int mode, int thread) {
  world w;
  dialer d = {0};
  probe p[2] = {{0}};
  world_begin(&w, mode, "normal", 0);
  d.thread = thread;
  OK(dqc_conn_connect_async(dialed_conn(&w, &d), on_event, &p[0], NULL, &error));
  OK(query_async(w.conn, "SELECT * FROM t", &p[1]));
  CHECK_EQ(d.asked, 0); /* not inside the submitting call */
  until_done(&w, p, 2);
  CHECK_EQ(p[0].status, DQC_OK);
  CHECK_EQ(p[1].rows, 3);
  CHECK_EQ(d.asked, 1);
  CHECK_STR(d.address, dqc_conn_address(w.conn));
  CHECK_EQ(dqc_conn_era(w.conn), 'D');
  if (thread) CHECK_EQ(pthread_join(d.id, NULL), 0);
  world_end(&w);
}

static char message[256];

static void keep_message(probe *p, const dqc_event *event) {
  (void)p;
  snprintf(message, sizeof(message), "%s", dqc_error_message(event->error));
}

static void test_refused(int mode) {
  world w;
  dialer d = {0};
  probe p[2] = {{0}};
  world_begin(&w, mode, "normal", 0);
  d.refuse = 1;
  p[0].hook = keep_message;
  OK(dqc_conn_connect_async(dialed_conn(&w, &d), on_event, &p[0], NULL, &error));
  OK(query_async(w.conn, "SELECT * FROM t", &p[1]));
  until_done(&w, p, 2);
  CHECK_EQ(p[0].status, DQC_E_CONNECT);
  CHECK(strstr(message, "no way today") != NULL);
  world_end(&w);
}

/* Answered when nobody waits any more: `when` 0 after a close, 1 after the free, 2 after the loop,
 * 3 never asked to deliver because the queue went. */
static void test_late(int mode, int when, int good) {
  world w;
  dialer d = {0};
  probe p[2] = {{0}};
  int fds[2] = {-1, -1};
  char byte;
  world_begin(&w, mode, "normal", 0);
  d.keep = 1;
  OK(dqc_conn_connect_async(dialed_conn(&w, &d), on_event, &p[0], NULL, &error));
  while (d.asked == 0) pump(&w);
  if (when == 0) {
    OK(dqc_conn_close_async(w.conn, on_event, &p[1], NULL, &error));
    until_done(&w, p, 2);
  } else {
    ++g_inside;
    dqc_conn_free(w.conn);
    w.conn = NULL;
    if (when == 2) dqc_loop_free(w.loop);
    if (when == 2) w.loop = NULL;
    --g_inside;
    if (mode != DRIVEN || when != 2) until_done(&w, p, 1);
    CHECK_EQ(p[0].done, 1);
    if (when == 2 && mode == THREADED) sleep_ms(100); /* its thread is gone */
    if (when == 2 && mode == ATTACHED) INSIDE(uv_run(&w.uv, UV_RUN_DEFAULT));
  }
  CHECK(p[0].status == DQC_E_CLOSED);
  CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  dqc_dial_done(d.kept, good ? fds[0] : -1, "too late");
  if (!good) close(fds[0]);
  const int64_t end = now_ms() + 3000;
  ssize_t n;
  while ((n = recv(fds[1], &byte, 1, MSG_DONTWAIT)) != 0) { /* it was closed */
    CHECK(n < 0 && now_ms() < end);
    if (w.loop != NULL) pump(&w);
  }
  close(fds[1]);
  world_end(&w);
}

static void test_queue_gone(void) {
  world w;
  dialer d = {0};
  world_begin(&w, THREADED, "normal", 0);
  dialed_conn(&w, &d);
  dqc_queue_free(w.queue);
  w.queue = NULL;
  FAILS(DQC_E_CONNECT, dqc_conn_connect(w.conn, &error)); /* nobody can be asked */
  CHECK_EQ(d.asked, 0);
  world_end(&w);
}

static void test_odd_descriptors(void) {
  for (int kind = 0; kind < 3; ++kind) {
    world w;
    dialer d = {0};
    probe p = {0};
    world_begin(&w, DRIVEN, "normal", 0);
    d.keep = 1;
    OK(dqc_conn_connect_async(dialed_conn(&w, &d), on_event, &p, NULL, &error));
    while (d.asked == 0) pump(&w);
    FILE *file = kind == 1 ? tmpfile() : NULL;
    int pipes[2] = {-1, -1};
    if (kind == 2) CHECK_EQ(pipe(pipes), 0);
    dqc_dial_done(d.kept, kind == 0 ? 999 : kind == 1 ? dup(fileno(file)) : pipes[0], NULL);
    if (file != NULL) fclose(file);
    until_done(&w, &p, 1);
    CHECK(p.status == DQC_E_CONNECT || p.status == DQC_E_NETWORK);
    if (kind == 2) close(pipes[1]);
    world_end(&w);
  }
}

typedef struct journal {
  int records, connects, closes, worst;
} journal;

static void DQC_CALL on_log(void *user_data, const dqc_log_record *record) {
  journal *j = (journal *)user_data;
  CHECK(g_inside > 0);
  CHECK_EQ(record->struct_size, sizeof(*record));
  CHECK(record->level >= DQC_LOG_ERROR && record->level <= DQC_LOG_DEBUG);
  CHECK(strstr(record->message, "SECRET") == NULL);
  CHECK(strstr(record->node, "127.0.0.1:") == record->node);
  ++j->records;
  j->connects += strcmp(record->event, "connect") == 0 || strcmp(record->event, "handshake") == 0;
  j->closes += strcmp(record->event, "close") == 0;
}

static void test_log(int mode) {
  world w;
  journal j = {0}, quiet = {0};
  probe p[2] = {{0}};
  world_begin(&w, mode, "normal", 0);
  OK(dqc_config_set_log(w.config, DQC_LOG_DEBUG, on_log, &j, &error));
  world_connect(&w);
  OK(query_async(w.conn, "SELECT 'SECRET'", &p[0]));
  OK(dqc_conn_close_async(w.conn, on_event, &p[1], NULL, &error));
  until_done(&w, p, 2);
  for (int i = 0; i < 3; ++i) pump(&w);
  CHECK(j.connects >= 1 && j.closes == 1);
  world_end(&w);
  world_begin(&w, mode, "normal", 0);
  OK(dqc_config_set_log(w.config, DQC_LOG_ERROR, on_log, &quiet, &error));
  world_connect(&w);
  memset(p, 0, sizeof(p));
  OK(query_async(w.conn, "SELECT 1", &p[0]));
  until_done(&w, p, 1);
  CHECK_EQ(quiet.records, 0);
  world_end(&w);
}

int main(void) {
  setup(50);
  for (int mode = 0; mode < MODES; ++mode) {
    test_dial(mode, 0);
    test_dial(mode, 1);
    test_leave(mode);
    test_refused(mode);
    for (int when = 0; when < 3; ++when) {
      test_late(mode, when, 0);
      test_late(mode, when, 1);
    }
    test_log(mode);
  }
  test_queue_gone();
  test_odd_descriptors();
  return 0;
}
