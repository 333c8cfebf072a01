/* SPDX-License-Identifier: MIT */
/* How a connection comes about: addresses that do not answer, names that are slow to resolve, IPv6,
 * the options of the socket, and what leaves it first. This program is the resolver: names that end
 * in ".test" stand for what name_is() says. */
#include "check.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

/* ------------------------------------------------------------------------------------- resolver */

enum { ADDRESSES = 4 };

typedef struct {
  int delay_ms;
  int count; /* 0: it cannot be resolved */
  char host[ADDRESSES][INET6_ADDRSTRLEN];
  char port[ADDRESSES][8];
} name;

static pthread_mutex_t g_mutex = PTHREAD_MUTEX_INITIALIZER;
static name g_name; /* changed under g_mutex, which the resolver's threads take to copy it */

static void name_is(int delay_ms) {
  pthread_mutex_lock(&g_mutex);
  memset(&g_name, 0, sizeof(g_name));
  g_name.delay_ms = delay_ms;
  pthread_mutex_unlock(&g_mutex);
}

static void also(const char *host, unsigned port) {
  pthread_mutex_lock(&g_mutex);
  CHECK(g_name.count < ADDRESSES);
  snprintf(g_name.host[g_name.count], sizeof(g_name.host[0]), "%s", host);
  snprintf(g_name.port[g_name.count++], sizeof(g_name.port[0]), "%u", port);
  pthread_mutex_unlock(&g_mutex);
}

typedef int (*resolver)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

__attribute__((visibility("default"))) int getaddrinfo(const char *node, const char *service,
                                                       const struct addrinfo *hints,
                                                       struct addrinfo **out) {
  resolver next;
  void *symbol = dlsym(RTLD_NEXT, "getaddrinfo");
  const size_t size = node == NULL ? 0 : strlen(node);
  memcpy(&next, &symbol, sizeof(next));
  if (size < 5 || strcmp(node + size - 5, ".test") != 0) return next(node, service, hints, out);
  if ((hints->ai_flags & AI_NUMERICHOST) != 0) return EAI_NONAME;
  pthread_mutex_lock(&g_mutex);
  const name it = g_name;
  pthread_mutex_unlock(&g_mutex);
  sleep_ms(it.delay_ms);
  *out = NULL;
  for (int i = 0; i < it.count; ++i) {
    struct addrinfo numeric = *hints;
    struct addrinfo **tail = out;
    numeric.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    while (*tail != NULL) tail = &(*tail)->ai_next;
    CHECK_EQ(next(it.host[i], it.port[i], &numeric, tail), 0);
  }
  return *out == NULL ? EAI_NONAME : 0;
}

/* --------------------------------------------------------------------------------- quick ACKs */

typedef int (*setter)(int, int, int, const void *, socklen_t);

static atomic_int g_quick_acks; /* asked for; by the thread of a threaded loop, too */

__attribute__((visibility("default"))) int setsockopt(int fd, int level, int option,
                                                      const void *value, socklen_t size) {
  setter next;
  void *symbol = dlsym(RTLD_NEXT, "setsockopt");
  memcpy(&next, &symbol, sizeof(next));
  if (level == IPPROTO_TCP && option == TCP_QUICKACK) atomic_fetch_add(&g_quick_acks, 1);
  return next(fd, level, option, value, size);
}

/* ------------------------------------------------------------------------------------------ SIGPIPE */

typedef ssize_t (*sender)(int, const void *, size_t, int);
typedef ssize_t (*message_sender)(int, const struct msghdr *, int);

static atomic_int g_sent[2],
    g_unguarded; /* by send(), by sendmsg(); of these without MSG_NOSIGNAL */

static void sent(int way, int flags) {
  atomic_fetch_add(&g_sent[way], 1);
  if ((flags & MSG_NOSIGNAL) == 0) atomic_fetch_add(&g_unguarded, 1);
}

__attribute__((visibility("default"))) ssize_t send(int fd, const void *data, size_t size,
                                                    int flags) {
  sender next;
  void *symbol = dlsym(RTLD_NEXT, "send");
  memcpy(&next, &symbol, sizeof(next));
  sent(0, flags);
  return next(fd, data, size, flags);
}

__attribute__((visibility("default"))) ssize_t sendmsg(int fd, const struct msghdr *message,
                                                       int flags) {
  message_sender next;
  void *symbol = dlsym(RTLD_NEXT, "sendmsg");
  memcpy(&next, &symbol, sizeof(next));
  sent(1, flags);
  return next(fd, message, flags);
}

/* ---------------------------------------------------------------------------- sockets and exec() */

typedef int (*maker)(int, int, int);

static atomic_int g_inheritable; /* sockets made without SOCK_CLOEXEC: fork() may come in between */

__attribute__((visibility("default"))) int socket(int domain, int type, int protocol) {
  maker next;
  void *symbol = dlsym(RTLD_NEXT, "socket");
  memcpy(&next, &symbol, sizeof(next));
  if ((type & SOCK_CLOEXEC) == 0) atomic_fetch_add(&g_inheritable, 1);
  return next(domain, type, protocol);
}

/* ------------------------------------------------------------------------------------ listeners */

/* A listening socket on loopback; -1 where there is no IPv6. */
static int listen_on(const char *host, int backlog, unsigned *port) {
  const int family = strchr(host, ':') == NULL ? AF_INET : AF_INET6;
  struct sockaddr_in6 v6 = {0};
  struct sockaddr_in v4 = {0};
  const int is4 = family == AF_INET;
  struct sockaddr *at = is4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
  socklen_t size = is4 ? sizeof(v4) : sizeof(v6);
  v4.sin_family = AF_INET;
  v6.sin6_family = AF_INET6;
  CHECK_EQ(inet_pton(family, host, is4 ? (void *)&v4.sin_addr : (void *)&v6.sin6_addr), 1);
  const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, at, size) != 0) {
    if (fd >= 0) close(fd);
    return -1;
  }
  CHECK_EQ(listen(fd, backlog), 0);
  CHECK_EQ(getsockname(fd, at, &size), 0);
  *port = ntohs(is4 ? v4.sin_port : v6.sin6_port);
  return fd;
}

/* A port that answers nothing: with a full backlog Linux drops the SYNs of everybody else. */
static unsigned black_hole(const char *host) {
  unsigned port = 0;
  const int family = strchr(host, ':') == NULL ? AF_INET : AF_INET6;
  const int fd = listen_on(host, 0, &port);
  if (fd < 0) return 0;
  for (int i = 0; i < 4; ++i) { /* they stay open as long as this program runs */
    struct sockaddr_storage at;
    socklen_t size = sizeof(at);
    CHECK_EQ(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    const int filler = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void)connect(filler, (struct sockaddr *)&at, size);
  }
  sleep_ms(20);
  return port;
}

static unsigned closed_port(void) {
  unsigned port = 0;
  const int fd = listen_on("127.0.0.1", 1, &port);
  CHECK(fd >= 0);
  close(fd);
  return port;
}

static unsigned g_hole, g_hole6; /* 0: there is no IPv6 */

/* --------------------------------------------------------------------------------- connecting */

static int32_t g_phase;

static void keep_phase(probe *p, const dqc_event *event) {
  (void)p;
  g_phase = dqc_error_phase(event->error);
}

/* Connects to the name, with options set as pairs of name and value; returns how long it took. */
static int64_t connect_to_name(int mode, dqc_status expected, const char *const *options) {
  world w;
  probe p = {0};
  world_begin(&w, mode, "normal", 0);
  pthread_mutex_lock(&g_mutex);
  for (int i = 0; i < g_name.count; ++i) { /* port 1 stands for the mock */
    if (strcmp(g_name.port[i], "1") == 0)
      snprintf(g_name.port[i], sizeof(g_name.port[i]), "%u", (unsigned)mock_server_port(w.mock));
  }
  pthread_mutex_unlock(&g_mutex);
  OK(dqc_config_set_dsn(w.config, "dqlite://node.test:9001/test", DQC_CSTR, &error));
  for (; *options != NULL; options += 2) set(w.config, options[0], options[1]);
  OK(dqc_conn_new(w.loop, w.queue, w.config, &w.conn, &error));
  p.hook = keep_phase;
  const int64_t start = now_ms();
  OK(dqc_conn_connect_async(w.conn, on_event, &p, NULL, &error));
  until_done(&w, &p, 1);
  const int64_t elapsed = now_ms() - start;
  CHECK_EQ(p.status, expected);
  if (expected == DQC_OK) {
    probe q = {0};
    OK(query_async(w.conn, "SELECT * FROM t", &q));
    until_done(&w, &q, 1);
    CHECK_EQ(q.rows, 3);
  }
  world_end(&w);
  return elapsed;
}

#define OPTIONS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* RFC 8305. What is measured from above is generous: other tests run at the same time. */
static void test_happy_eyeballs(int mode) {
  const char *none[] = {NULL};
  if (mode == DRIVEN) {
    name_is(0);
    also("127.0.0.1", g_hole);
    also("127.0.0.1", 1);
    const int64_t elapsed = connect_to_name(mode, DQC_OK, none); /* 300 ms by default */
    CHECK(elapsed >= 290 && elapsed < 3000);
  }
  name_is(0);
  also("127.0.0.1", g_hole);
  also("127.0.0.1", g_hole);
  also("127.0.0.1", 1);
  const int64_t twice = connect_to_name(mode, DQC_OK, OPTIONS("happy_eyeballs_delay", "50ms"));
  CHECK(twice >= 95 && twice < 3000);

  name_is(0); /* one that refuses has no head start left */
  also("127.0.0.1", closed_port());
  also("127.0.0.1", 1);
  CHECK(connect_to_name(mode, DQC_OK, OPTIONS("happy_eyeballs_delay", "4s")) < 3000);

  name_is(0);
  also("127.0.0.1", g_hole);
  CHECK(connect_to_name(mode, DQC_E_TIMEOUT, OPTIONS("connect_timeout", "80ms")) >= 80);
  CHECK_EQ(g_phase, DQC_PHASE_CONNECT);

  name_is(0);
  connect_to_name(mode, DQC_E_RESOLVE, none);
  CHECK_EQ(g_phase, DQC_PHASE_RESOLVE);
}

/* The families take turns: the second address of the first one waits for the first of the second. */
static void test_families(int mode) {
  if (g_hole6 == 0) {
    printf("no IPv6 on this machine: families are not tested\n");
    return;
  }
  name_is(0);
  also("::1", g_hole6);
  also("::1", g_hole6);
  also("127.0.0.1", 1);
  const int64_t elapsed = connect_to_name(mode, DQC_OK, OPTIONS("happy_eyeballs_delay", "1s"));
  CHECK(elapsed >= 990 && elapsed < 1990);
}

/* -------------------------------------------------------------------------------------- resolving */

/* A name that takes half a second to resolve holds up its own connection, and nothing else. */
static void test_slow_name(int mode) {
  enum { SLOW_MS = 500, CALLS = 10 };
  world w;
  probe connected = {0}, late = {0}, p[CALLS] = {{0}};
  dqc_conn *slow = NULL;
  world_open(&w, mode, "normal", 0);
  OK(query_async(w.conn, "SELECT 1", &p[0]));
  until_done(&w, p, 1);
  memset(p, 0, sizeof(p));
  name_is(SLOW_MS);
  also("127.0.0.1", mock_server_port(w.mock));
  OK(dqc_config_set_dsn(w.config, "dqlite://node.test:9001/test", DQC_CSTR, &error));
  OK(dqc_conn_new(w.loop, w.queue, w.config, &slow, &error));
  const int64_t start = now_ms();
  OK(dqc_conn_connect_async(slow, on_event, &connected, NULL, &error));
  for (int i = 0; i < CALLS; ++i) {
    OK(exec_async(w.conn, "INSERT INTO t VALUES(1)", &p[i]));
    until_done(&w, p, i + 1);
  }
  CHECK_EQ(connected.done, 0);
  until_done(&w, &connected, 1);
  CHECK_EQ(connected.status, DQC_OK);
  CHECK(now_ms() - start >= SLOW_MS);
  dqc_conn_free(slow);

  set(w.config, "connect_timeout", "40ms"); /* the deadline counts while the resolver sleeps */
  OK(dqc_conn_new(w.loop, w.queue, w.config, &slow, &error));
  const int64_t again = now_ms();
  OK(dqc_conn_connect_async(slow, on_event, &late, NULL, &error));
  until_done(&w, &late, 1);
  CHECK_EQ(late.status, DQC_E_TIMEOUT);
  const int64_t freed = now_ms();
  CHECK(freed - again < SLOW_MS);
  dqc_conn_free(slow); /* the resolver has not come back yet */
  CHECK(now_ms() - freed < SLOW_MS / 2);
  world_end(&w);
}

/* --------------------------------------------------------------------------------------------- IPv6 */

typedef struct relay {
  int listener, peer;
} relay;

/* Carries one connection on to `peer`, until either side ends. */
static void *carry(void *data) {
  const relay *r = (const relay *)data;
  char bytes[4096];
  const int accepted = accept(r->listener, NULL, NULL);
  CHECK(accepted >= 0);
  struct pollfd fds[2] = {{accepted, POLLIN, 0}, {r->peer, POLLIN, 0}};
  for (;;) {
    CHECK(poll(fds, 2, 15000) > 0);
    const int from = (fds[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0 ? 0 : 1;
    const ssize_t n = recv(fds[from].fd, bytes, sizeof(bytes), 0);
    if (n <= 0) break;
    CHECK_EQ(send(fds[1 - from].fd, bytes, (size_t)n, MSG_NOSIGNAL), n);
  }
  close(accepted);
  close(r->peer);
  return NULL;
}

static void test_ipv6(int mode) {
  unsigned port = 0;
  const int listener = listen_on("::1", 1, &port);
  if (listener < 0) {
    printf("no IPv6 on this machine: it is not tested\n");
    return;
  }
  world w;
  probe p[2] = {{0}};
  char dsn[64];
  pthread_t thread;
  world_begin(&w, mode, "normal", 0);
  relay r = {listener, mock_server_connect(w.mock)};
  CHECK_EQ(pthread_create(&thread, NULL, carry, &r), 0);
  snprintf(dsn, sizeof(dsn), "dqlite://[::1]:%u/test", port);
  OK(dqc_config_set_dsn(w.config, dsn, DQC_CSTR, &error));
  world_connect(&w);
  OK(query_async(w.conn, "SELECT * FROM t", &p[0]));
  until_done(&w, p, 1);
  CHECK_EQ(p[0].rows, 3);
  OK(dqc_conn_close_async(w.conn, on_event, &p[1], NULL, &error));
  until_done(&w, p, 2);
  snprintf(dsn, sizeof(dsn), "[::1]:%u", port);
  CHECK_STR(dqc_conn_address(w.conn), dsn);
  CHECK_EQ(pthread_join(thread, NULL), 0);
  world_end(&w);
  close(listener);
}

/* ----------------------------------------------------------------------------------- socket options */

/* The one socket of this process that is connected to the mock. */
static int socket_to(unsigned port) {
  int found = -1;
  for (int fd = 3; fd < 256; ++fd) {
    struct sockaddr_in peer;
    socklen_t size = sizeof(peer);
    if (getpeername(fd, (struct sockaddr *)&peer, &size) != 0) continue;
    if (peer.sin_family != AF_INET || ntohs(peer.sin_port) != port) continue;
    CHECK_EQ(found, -1);
    found = fd;
  }
  CHECK(found >= 0);
  return found;
}

static int option_of(int fd, int level, int name) {
  int value = -1;
  socklen_t size = sizeof(value);
  CHECK_EQ(getsockopt(fd, level, name, &value, &size), 0);
  return value;
}

/* Seconds; milliseconds of user_timeout. */
static void expect_options(const char *const *options, int idle, int interval, int count,
                           int user_timeout) {
  world w;
  probe p = {0};
  world_begin(&w, DRIVEN, "normal", 0);
  for (; *options != NULL; options += 2) set(w.config, options[0], options[1]);
  world_connect(&w);
  OK(query_async(w.conn, "SELECT 1", &p));
  until_done(&w, &p, 1);
  const int fd = socket_to(mock_server_port(w.mock));
  CHECK(option_of(fd, IPPROTO_TCP, TCP_NODELAY) != 0);
  CHECK_EQ(option_of(fd, SOL_SOCKET, SO_KEEPALIVE) != 0, idle > 0);
  if (idle > 0) {
    CHECK_EQ(option_of(fd, IPPROTO_TCP, TCP_KEEPIDLE), idle);
    CHECK_EQ(option_of(fd, IPPROTO_TCP, TCP_KEEPINTVL), interval);
    CHECK_EQ(option_of(fd, IPPROTO_TCP, TCP_KEEPCNT), count);
  }
  CHECK_EQ(option_of(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), user_timeout);
  CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
  CHECK((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
  world_end(&w);
}

static void test_socket_options(void) {
  const char *none[] = {NULL};
  expect_options(none, 30, 10, 3, 30000);
  expect_options(OPTIONS("keepalive_idle", "1m", "keepalive_interval", "7s", "keepalive_count", "5",
                         "tcp_user_timeout", "1500ms"),
                 60, 7, 5, 1500);
  expect_options(OPTIONS("keepalive_idle", "0", "tcp_user_timeout", "0"), 0, 0, 0, 0);
}

/* A result that takes several reads is acknowledged at once, unless the option says no. */
static void test_quick_ack(int mode, const char *quick_ack, int expected) {
  world w;
  probe p = {0};
  world_begin(&w, mode, "big_result", 20000);
  set(w.config, "read_buffer", "4KiB");
  set(w.config, "quick_ack", quick_ack);
  world_connect(&w);
  atomic_store(&g_quick_acks, 0);
  OK(query_async(w.conn, "SELECT n FROM t", &p));
  until_done(&w, &p, 1);
  CHECK_EQ(p.rows, 20000);
  CHECK_EQ(atomic_load(&g_quick_acks) > 0, expected);
  world_end(&w);
}

/* ------------------------------------------------------------------------------------ first segment */

static void DQC_CALL give_records(void *user_data, const char *address, dqc_dial *dial) {
  (void)address;
  dqc_dial_done(dial, *(int *)user_data, NULL);
}

/* Handshake, probes, OPEN and the first statement are one write: a socket that keeps the boundaries
 * of what is written gets them as one record. */
static void test_first_segment(int mode) {
  world w;
  probe p[2] = {{0}};
  char record[4096];
  int fds[2];
  world_begin(&w, mode, "normal", 0);
  CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
  OK(dqc_config_set_dial(w.config, give_records, &fds[0], &error));
  OK(dqc_conn_new(w.loop, w.queue, w.config, &w.conn, &error));
  OK(dqc_conn_connect_async(w.conn, on_event, &p[0], NULL, &error));
  OK(exec_async(w.conn, "INSERT INTO t VALUES(42)", &p[1]));
  ssize_t size;
  const int64_t end = now_ms() + 5000;
  while ((size = recv(fds[1], record, sizeof(record), MSG_DONTWAIT)) < 0) {
    CHECK(now_ms() < end);
    pump(&w);
  }
  CHECK_EQ(record[0], 1); /* the version */
  CHECK(memmem(record, (size_t)size, "INSERT INTO t VALUES(42)", 24) != NULL);
  CHECK_EQ(p[0].done + p[1].done, 0);
  close(fds[1]);
  until_done(&w, p, 2);
  CHECK(p[0].status < 0 && p[1].status < 0);
  world_end(&w);
}

int main(void) {
  setup(110);
  g_hole = black_hole("127.0.0.1");
  CHECK(g_hole != 0);
  g_hole6 = black_hole("::1");
  name_is(0); /* libuv starts the threads that resolve, and keeps them */
  {
    dqc_conn *conn = NULL;
    FAILS(DQC_E_RESOLVE, dqc_conn_open("dqlite://node.test:9001/test", DQC_CSTR, &conn, &error));
  }
  for (int mode = 0; mode < MODES; ++mode) {
    test_happy_eyeballs(mode);
    test_slow_name(mode);
    test_ipv6(mode);
    test_first_segment(mode);
    test_quick_ack(mode, "true", 1);
    test_quick_ack(mode, "false", 0);
  }
  test_families(DRIVEN);
  test_socket_options();
  CHECK_EQ(atomic_load(&g_inheritable), 0);
  CHECK(atomic_load(&g_sent[0]) > 0 && atomic_load(&g_sent[1]) > 0);
  CHECK_EQ(atomic_load(&g_unguarded), 0); /* a write to a peer that has gone would raise SIGPIPE */
  return 0;
}
