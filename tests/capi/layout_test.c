/* SPDX-License-Identifier: MIT */
/* What programs are compiled with and a later version cannot change: the layout of the public
 * structs, and that the constants of a group, and the bits of a set of flags, differ. */
#include <stdint.h>

#include "check.h"

/* The structs that programs make arrays of, or that hold others, have their size for good. The
 * others may grow: their last field of today stays where it is. */
#if UINTPTR_MAX == UINT64_MAX
#define SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type)
#define LAST(type, field, offset) _Static_assert(offsetof(type, field) == (offset), #type)
SIZE(dqc_value, 32);
LAST(dqc_value, size, 8);
LAST(dqc_value, name, 16);
LAST(dqc_value, type, 24);
SIZE(dqc_cell, 16);
LAST(dqc_cell, size, 8);
LAST(dqc_cell, type, 12);
SIZE(dqc_result, 24);
LAST(dqc_result, statements, 20);
SIZE(dqc_node, 24);
LAST(dqc_node, role, 16);
LAST(dqc_event, conn, 72);
LAST(dqc_call_options, timeout_ms, 8);
LAST(dqc_tx_options, timeout_ms, 16);
LAST(dqc_admin, text, 24);
LAST(dqc_attempt, cause, 40);
LAST(dqc_log_record, message, 24);
LAST(dqc_topology, message, 32);
LAST(dqc_stats, waited_us, 80);
#endif

static void differ(const char *group, const int64_t *values, size_t count, int bits) {
  g_case = group;
  for (size_t i = 0; i < count; ++i) {
    if (bits) CHECK(values[i] > 0 && (values[i] & (values[i] - 1)) == 0);
    for (size_t j = i + 1; j < count; ++j) CHECK(values[i] != values[j]);
  }
}

#define GROUP(name, bits, ...)                                         \
  do {                                                                 \
    static const int64_t kValues[] = {__VA_ARGS__};                    \
    differ(name, kValues, sizeof(kValues) / sizeof(kValues[0]), bits); \
  } while (0)

int main(void) {
  setup(20);
  GROUP("class", 0, DQC_CLASS_NONE, DQC_CLASS_MISUSE, DQC_CLASS_CANCELLED, DQC_CLASS_TIMEOUT,
        DQC_CLASS_LIMIT, DQC_CLASS_NETWORK, DQC_CLASS_PROTOCOL, DQC_CLASS_SQL, DQC_CLASS_CONSTRAINT,
        DQC_CLASS_BUSY, DQC_CLASS_LEADERSHIP, DQC_CLASS_SERVER);
  GROUP("outcome", 0, DQC_OUTCOME_NOT_EXECUTED, DQC_OUTCOME_EXECUTED, DQC_OUTCOME_MAYBE_EXECUTED);
  GROUP("retry", 0, DQC_RETRY_NEVER, DQC_RETRY_SAFE, DQC_RETRY_UNKNOWN);
  GROUP("phase", 0, DQC_PHASE_NONE, DQC_PHASE_CONFIG, DQC_PHASE_RESOLVE, DQC_PHASE_CONNECT,
        DQC_PHASE_TLS, DQC_PHASE_HANDSHAKE, DQC_PHASE_OPEN, DQC_PHASE_REQUEST, DQC_PHASE_RESULT,
        DQC_PHASE_CLOSE, DQC_PHASE_LEADER);
  GROUP("type", 0, DQC_INTEGER, DQC_FLOAT, DQC_TEXT, DQC_BLOB, DQC_NULL, DQC_UNIXTIME, DQC_ISO8601,
        DQC_BOOLEAN);
  GROUP("event", 0, DQC_EVENT_DONE, DQC_EVENT_ROWS);
  GROUP("has", 1, DQC_HAS_ROWS_AFFECTED, DQC_HAS_LAST_INSERT_ID);
  GROUP("call", 1, DQC_CALL_IDEMPOTENT, DQC_CALL_ALONE, DQC_CALL_STRONG);
  GROUP("log", 0, DQC_LOG_ERROR, DQC_LOG_WARNING, DQC_LOG_INFO, DQC_LOG_DEBUG);
  GROUP("topology", 0, DQC_TOPOLOGY_LEADER, DQC_TOPOLOGY_NODE_UP, DQC_TOPOLOGY_NODE_DOWN,
        DQC_TOPOLOGY_NODE_ADDED, DQC_TOPOLOGY_NODE_REMOVED, DQC_TOPOLOGY_ROLE_CHANGED);
  GROUP("loop", 0, DQC_LOOP_DRIVEN, DQC_LOOP_THREADED);
  GROUP("run", 0, DQC_RUN_DEFAULT, DQC_RUN_ONCE, DQC_RUN_NOWAIT);
  GROUP("state", 0, DQC_STATE_NEW, DQC_STATE_CONNECTING, DQC_STATE_READY, DQC_STATE_CLOSING,
        DQC_STATE_CLOSED);
  GROUP("transaction", 0, DQC_TRANSACTION_NONE, DQC_TRANSACTION_OPEN, DQC_TRANSACTION_UNKNOWN);
  GROUP("begin", 0, DQC_BEGIN_IMMEDIATE, DQC_BEGIN_DEFERRED, DQC_BEGIN_EXCLUSIVE,
        DQC_BEGIN_READ_ONLY);
  GROUP("tx", 1, DQC_TX_IDEMPOTENT, DQC_TX_RESOLVE);
  GROUP("admin", 0, DQC_ADMIN_LEADER, DQC_ADMIN_CLUSTER, DQC_ADMIN_ADD, DQC_ADMIN_ASSIGN,
        DQC_ADMIN_REMOVE, DQC_ADMIN_TRANSFER, DQC_ADMIN_DESCRIBE, DQC_ADMIN_WEIGHT, DQC_ADMIN_DUMP,
        DQC_ADMIN_JOIN, DQC_ADMIN_DELETE_DATABASE);
  GROUP("role", 0, DQC_ROLE_VOTER, DQC_ROLE_STANDBY, DQC_ROLE_SPARE);
  return 0;
}
