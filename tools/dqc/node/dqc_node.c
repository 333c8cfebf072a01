/* SPDX-License-Identifier: MIT */
/* dqc-node: one dqlite node in the foreground, for development clusters and tests.
 *
 * Prints exactly one line, "ready <address>", on stdout once clients can connect; then serves until
 * SIGINT or SIGTERM, stops cleanly and exits 0. A failure is one line on stderr and exit 1; wrong
 * arguments are exit 2.
 *
 * The node with id 1 (or 3297041220608546238) and an empty directory makes itself the only voter of
 * a new cluster. Any other node waits until somebody adds it. */

#define _GNU_SOURCE /* getopt_long */

#include <dqlite.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };
enum { MAX_MS = 3600000 }; /* the library's own limit for the latency */

/* Only newer libraries have it. A weak reference is NULL where the library lacks the function, so the
 * same source builds against every version without a configure step. */
extern int dqlite_node_set_busy_timeout(dqlite_node *n, unsigned msecs) __attribute__((weak));

struct options {
  unsigned long long id;
  const char *address; /* what the cluster configuration calls this node */
  const char *bind;    /* where it listens; the same as address unless given */
  const char *dir;
  unsigned latency_ms;      /* one way, between nodes; 0: the library's default */
  unsigned busy_timeout_ms; /* how long a writer queues; only meaningful if has_busy_timeout */
  bool has_busy_timeout;
  bool die_with_parent;
};

static const char USAGE[] =
    "usage: dqc-node --id N --address HOST:PORT --dir DIR [options]\n"
    "  --id N               node id, > 0; 1 starts a new cluster when DIR is empty\n"
    "  --address HOST:PORT  the node's address in the cluster (numeric host)\n"
    "  --dir DIR            data folder, created with mode 0700 if absent\n"
    "  --bind ADDR          listen here instead of on --address\n"
    "  --latency-ms L       expected one-way latency; sets how fast a lost leader is noticed\n"
    "  --busy-timeout-ms B  how long a write waits for its turn (newer libraries only)\n"
    "  --die-with-parent    be killed when the process that started this one dies\n"
    "  --version, --help    print the dqlite library's version number, or this text\n";

/* Decimal digits only: strtoull alone would take "-1", " 7" and "0x10". */
static bool parse_number(const char *text, unsigned long long max, unsigned long long *out) {
  if (*text == '\0' || strspn(text, "0123456789") != strlen(text)) {
    return false;
  }
  errno = 0;
  *out = strtoull(text, NULL, 10);
  return errno == 0 && *out <= max;
}

static int usage_error(const char *what, const char *value) {
  fprintf(stderr, "dqc-node: %s: %s (see --help)\n", what, value);
  return EXIT_USAGE;
}

/* Returns -1 to go on, else the exit code. */
static int parse_options(int argc, char **argv, struct options *o) {
  enum { ID = 1, ADDRESS, DIR, BIND, LATENCY, BUSY, DIE, VERSION, HELP };
  static const struct option known[] = {
      {"id", required_argument, NULL, ID},
      {"address", required_argument, NULL, ADDRESS},
      {"dir", required_argument, NULL, DIR},
      {"bind", required_argument, NULL, BIND},
      {"latency-ms", required_argument, NULL, LATENCY},
      {"busy-timeout-ms", required_argument, NULL, BUSY},
      {"die-with-parent", no_argument, NULL, DIE},
      {"version", no_argument, NULL, VERSION},
      {"help", no_argument, NULL, HELP},
      {NULL, 0, NULL, 0},
  };
  unsigned long long n = 0;
  int c;
  opterr = 0; /* one line of our own instead of getopt's */
  while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
    switch (c) {
      case ID:
        if (!parse_number(optarg, ~0ULL, &o->id) || o->id == 0) {
          return usage_error("--id must be a positive number", optarg);
        }
        break;
      case ADDRESS:
        o->address = optarg;
        break;
      case DIR:
        o->dir = optarg;
        break;
      case BIND:
        o->bind = optarg;
        break;
      case LATENCY:
        if (!parse_number(optarg, MAX_MS, &n) || n == 0) {
          return usage_error("--latency-ms must be 1..3600000", optarg);
        }
        o->latency_ms = (unsigned)n;
        break;
      case BUSY:
        if (!parse_number(optarg, MAX_MS, &n)) {
          return usage_error("--busy-timeout-ms must be 0..3600000", optarg);
        }
        o->busy_timeout_ms = (unsigned)n;
        o->has_busy_timeout = true;
        break;
      case DIE:
        o->die_with_parent = true;
        break;
      case VERSION:
        /* major * 10000 + minor * 100 + release; 1.11.1 calls itself 1.10.0 */
        printf("libdqlite %d\n", dqlite_version_number());
        return EXIT_SUCCESS;
      case HELP:
        fputs(USAGE, stdout);
        return EXIT_SUCCESS;
      default:
        return usage_error("unknown option, or its value is missing", argv[optind - 1]);
    }
  }
  if (optind < argc) {
    return usage_error("unexpected argument", argv[optind]);
  }
  if (o->id == 0 || o->address == NULL || o->dir == NULL) {
    return usage_error("missing option", "--id, --address and --dir are required");
  }
  if (o->has_busy_timeout && dqlite_node_set_busy_timeout == NULL) {
    return usage_error("--busy-timeout-ms", "this dqlite library cannot do it");
  }
  if (o->bind == NULL) {
    o->bind = o->address;
  }
  return -1;
}

static bool make_directory(const char *path) {
  struct stat st;

  if (mkdir(path, 0700) == 0) {
    return true;
  }
  if (errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
    return true;
  }
  fprintf(stderr, "dqc-node: cannot create folder %s: %s\n", path, strerror(errno));
  return false;
}

/* SIGKILL, because a stopped (SIGSTOP) node would not see anything milder. The kernel watches the
 * *thread* that started us: a caller must not start nodes from a thread that ends early. */
static bool tie_to_parent(pid_t parent) {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) {
    fprintf(stderr, "dqc-node: cannot follow the parent process: %s\n", strerror(errno));
    return false;
  }
  if (getppid() != parent) { /* it died before prctl() could take effect */
    fprintf(stderr, "dqc-node: the parent process is gone\n");
    return false;
  }
  return true;
}

/* Old versions leave the message empty. Then errno can tell why bind() failed; anything else in it is
 * left over from inside the library and would mislead. */
static int fail(dqlite_node *node, const struct options *o, const char *what) {
  const int error = errno;
  const char *why = node != NULL ? dqlite_node_errmsg(node) : NULL;
  if (why == NULL || *why == '\0') {
    const bool telling = error == EADDRINUSE || error == EADDRNOTAVAIL || error == EACCES;
    why = telling ? strerror(error) : "the library gives no reason";
  }
  fprintf(stderr, "dqc-node: node %llu at %s, data in %s: cannot %s: %s\n", o->id, o->bind, o->dir,
          what, why);
  /* The node is not destroyed: not every version survives that after a failed call, and the
	 * process ends here anyway. */
  return EXIT_FAILED;
}

static int serve(const struct options *o, const sigset_t *stop_signals) {
  dqlite_node *node = NULL;
  int signal_number;

  errno = 0;
  if (dqlite_node_create(o->id, o->address, o->dir, &node) != 0) {
    return fail(node, o, "create the node");
  }
  if (dqlite_node_set_bind_address(node, o->bind) != 0) {
    return fail(node, o, "listen on the address");
  }
  if (o->latency_ms != 0 && dqlite_node_set_network_latency_ms(node, o->latency_ms) != 0) {
    return fail(node, o, "set the network latency");
  }
  if (o->has_busy_timeout && dqlite_node_set_busy_timeout(node, o->busy_timeout_ms) != 0) {
    return fail(node, o, "set the busy timeout");
  }
  if (dqlite_node_start(node) != 0) {
    return fail(node, o, "start");
  }
  printf("ready %s\n", dqlite_node_get_bind_address(node));
  fflush(stdout);

  sigwait(stop_signals, &signal_number);

  errno = 0;
  if (dqlite_node_stop(node) != 0) {
    return fail(node, o, "stop");
  }
  dqlite_node_destroy(node);
  return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
  const pid_t parent = getppid(); /* before anything slow */
  struct options o = {0};
  sigset_t stop_signals;
  const int rc = parse_options(argc, argv, &o);
  if (rc >= 0) {
    return rc;
  }
  if ((o.die_with_parent && !tie_to_parent(parent)) || !make_directory(o.dir)) {
    return EXIT_FAILED;
  }
  /* Blocked before the library starts its threads, which inherit the mask: only sigwait() in
	 * serve() sees these. */
  sigemptyset(&stop_signals);
  sigaddset(&stop_signals, SIGINT);
  sigaddset(&stop_signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &stop_signals, NULL);
  signal(SIGPIPE, SIG_IGN); /* a client that vanishes must not take the node with it */

  return serve(&o, &stop_signals);
}
