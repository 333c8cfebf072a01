/* SPDX-License-Identifier: MIT */
/**
 * @file dqclient.h
 * The C interface of dqclient, the native client for dqlite.
 *
 * The rules of the whole interface:
 *
 *  - Strings and blobs are (pointer, size) pairs; a size of DQC_CSTR means "up to the NUL". Text is
 *    UTF-8. Inputs are copied before the call returns.
 *  - Every function that can fail returns a dqc_status: DQC_OK, or a negative DQC_E_ constant. Its
 *    last parameter `error` may be NULL; otherwise it is always written: NULL on success, else an
 *    error object to free. Other out parameters are always written too: the result on success, NULL
 *    or 0 on failure.
 *  - Handles are opaque and reference-counted inside. A _free function accepts NULL, never blocks,
 *    and may be called in any order, from any thread and from inside a callback. Using a handle
 *    after its _free is undefined.
 *  - Asynchronous calls (_async) take a callback. An accepted call gets exactly one terminal event
 *    (DQC_EVENT_DONE), also when it is cancelled, times out, runs out of memory, or its connection
 *    is closed or freed; DQC_EVENT_ROWS events may come before it. A call that returns an error gets
 *    none. Events that wait in a queue when it is freed are lost with it.
 *  - Callbacks run only inside a call the application made: dqc_loop_run() or a blocking call on a
 *    driven loop, uv_run() on an attached one, dqc_queue_dispatch() for a threaded one; never inside
 *    the submitting call, never with a lock held. Freeing the last handle of a driven loop delivers
 *    what is left inside that call. Every function may be called from a callback; on a driven or an
 *    attached loop those that would block return DQC_E_MISUSE.
 *  - A driven loop does nothing while nobody runs it: deadlines wait until it is run again. But the
 *    ROLLBACK of a transaction left behind, by a call that ran out of time or a _free on the thread
 *    that ran the loop last, is sent inside that call, so that the write lock is not held.
 *  - Everything an event points to is borrowed for the time of the callback: retain what you keep.
 *  - The operations of one connection run in the order of submission, and complete in it, but for
 *    those that are refused, cancelled or late: these end at once.
 *  - After fork() the child gets DQC_E_FORKED from every handle of the parent; freeing them there is
 *    silent.
 *  - Later versions may know more statuses, events and cell types. A status that you do not know has
 *    one of the classes that you do (dqc_status_class()); skip unknown events and cells.
 *
 * @threading in each block says which thread may call: "any"; "owner", the one thread that drives
 * the loop (with a threaded loop: any, one at a time for an object that is not a dqc_conn).
 */
#ifndef DQCLIENT_H
#define DQCLIENT_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define DQC_CALL __cdecl
#else
#define DQC_CALL
#endif

#if defined(DQC_STATIC)
#define DQC_API
#elif defined(_WIN32)
#define DQC_API __declspec(dllimport)
#elif defined(__GNUC__)
#define DQC_API __attribute__((visibility("default")))
#else
#define DQC_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define DQC_VERSION_MAJOR 0
#define DQC_VERSION_MINOR 1
#define DQC_VERSION_PATCH 0
#define DQC_VERSION_NUMBER (DQC_VERSION_MAJOR * 10000 + DQC_VERSION_MINOR * 100 + DQC_VERSION_PATCH)

/** As a size: the string ends at its NUL. */
#define DQC_CSTR ((size_t)-1)

/* ---------- handles ----------------------------------------------------------------------------- */

typedef struct dqc_error dqc_error;   /**< why a call failed; immutable */
typedef struct dqc_config dqc_config; /**< options of a connection */
typedef struct dqc_loop dqc_loop;     /**< does the I/O, driven or on a thread of its own */
typedef struct dqc_queue dqc_queue;   /**< where the events of a threaded loop wait */
typedef struct dqc_client dqc_client; /**< a cluster: follows its leader, keeps connections to it */
typedef struct dqc_conn dqc_conn;     /**< a connection to one node and one database */
typedef struct dqc_tx dqc_tx;         /**< a transaction of a client, begun as often as need be */
typedef struct dqc_stmt dqc_stmt;     /**< a prepared statement of one connection */
typedef struct dqc_batch dqc_batch;   /**< some rows of a result, in memory; immutable */
typedef struct dqc_rows dqc_rows;     /**< a cursor for blocking callers */
typedef struct dqc_dial dqc_dial;     /**< a request to the application for a connected socket */

/* ---------- status ------------------------------------------------------------------------------ */

/** DQC_OK, DQC_ROW, DQC_END, DQC_AGAIN, or a negative DQC_E_ constant. */
typedef int32_t dqc_status;

#define DQC_OK 0
#define DQC_ROW 1   /**< dqc_rows_step(): there is a row */
#define DQC_END 2   /**< dqc_rows_step(): there are no more rows */
#define DQC_AGAIN 3 /**< a transaction was rolled back, and should be run again */

#define DQC_E_NOMEM (-1)          /**< an allocation failed */
#define DQC_E_MISUSE (-2)         /**< a bad argument, or a call that makes no sense now */
#define DQC_E_CLOSED (-3)         /**< the connection is closed, or was lost earlier */
#define DQC_E_FORKED (-4)         /**< the handle belongs to the parent process */
#define DQC_E_CANCELLED (-5)      /**< by dqc_conn_cancel() */
#define DQC_E_TIMEOUT (-6)        /**< a deadline passed */
#define DQC_E_LIMIT (-7)          /**< a configured limit, or one of the protocol */
#define DQC_E_UNSUPPORTED (-8)    /**< would harm this server; the message names the way round */
#define DQC_E_INTERNAL (-9)       /**< a bug in dqclient: please report it */
#define DQC_E_CONFIG (-10)        /**< a bad option, DSN, address or name */
#define DQC_E_PARAMS (-11)        /**< parameters do not fit the statement */
#define DQC_E_RESOLVE (-20)       /**< the host name has no address */
#define DQC_E_CONNECT (-21)       /**< no connection to any address of the host */
#define DQC_E_NETWORK (-22)       /**< an established connection broke */
#define DQC_E_TLS (-23)           /**< reserved */
#define DQC_E_PROTOCOL (-30)      /**< the peer sent what no dqlite server may send */
#define DQC_E_SQL (-40)           /**< SQLite refused the statement: see dqc_error_server_code() */
#define DQC_E_CONSTRAINT (-41)    /**< a constraint failed */
#define DQC_E_BUSY (-42)          /**< another writer, or a checkpoint; try again later */
#define DQC_E_BUSY_SNAPSHOT (-43) /**< roll back and run the whole transaction again */
#define DQC_E_NOT_LEADER (-44)    /**< the node does not lead; nothing was executed */
#define DQC_E_LEADERSHIP_LOST (-45) /**< lost during the operation: look at the outcome */
#define DQC_E_SESSION_LOST \
  (-46) /**< the server dropped the session, or we an idle transaction: reconnect */
#define DQC_E_SERVER (-47) /**< another failure that the server reports */

#define DQC_CLASS_NONE 0      /**< no failure */
#define DQC_CLASS_MISUSE 1    /**< the call is wrong: MISUSE, CONFIG, PARAMS, UNSUPPORTED, FORKED */
#define DQC_CLASS_CANCELLED 2 /**< the application did not want it any more */
#define DQC_CLASS_TIMEOUT 3   /**< a deadline passed */
#define DQC_CLASS_LIMIT 4     /**< too much, or no memory for it: LIMIT, NOMEM */
#define DQC_CLASS_NETWORK 5   /**< no connection: RESOLVE, CONNECT, NETWORK, TLS, CLOSED */
#define DQC_CLASS_PROTOCOL 6  /**< a bug, there or here, to be reported: PROTOCOL, INTERNAL */
#define DQC_CLASS_SQL 7       /**< SQLite refused the statement */
#define DQC_CLASS_CONSTRAINT 8 /**< a constraint failed */
#define DQC_CLASS_BUSY 9       /**< somebody else was faster: BUSY, BUSY_SNAPSHOT */
/** a loss of leadership, whatever it looks like: NOT_LEADER, LEADERSHIP_LOST, SESSION_LOST */
#define DQC_CLASS_LEADERSHIP 10
#define DQC_CLASS_SERVER 11 /**< another failure that the server reports */

/**
 * What kind of failure a status is, where there is no error object. docs/outcomes.md lists what
 * happens in each class.
 * @param[in] status any.
 * @return a DQC_CLASS_ constant: DQC_CLASS_NONE if it is no failure, DQC_CLASS_PROTOCOL for a number
 * that this version does not know. Codes of later versions belong to these classes.
 * @threading any @since 0.1
 */
DQC_API int32_t DQC_CALL dqc_status_class(dqc_status status);

/** The name of a status, as "constraint failed". @param[in] status any. @return static text.
 * @threading any @since 0.1 */
DQC_API const char *DQC_CALL dqc_status_name(dqc_status status);

/** Version of the library, as "0.1.0". @return static text. @threading any @since 0.1 */
DQC_API const char *DQC_CALL dqc_version(void);

/** Version of the library in the form of DQC_VERSION_NUMBER. @threading any @since 0.1 */
DQC_API uint32_t DQC_CALL dqc_version_number(void);

/**
 * Whether a program compiled with a header of some version may use this library: for those who load
 * it at run time; for a linked program the soname sees to it.
 * @param[in] header_version DQC_VERSION_NUMBER of that header.
 * @return DQC_OK; DQC_E_UNSUPPORTED if the library is older, or of another ABI (before 1.0 each minor
 * version has its own, later each major one).
 * @threading any @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_abi_check(uint32_t header_version);

/* ---------- errors ------------------------------------------------------------------------------ */

#define DQC_OUTCOME_NOT_EXECUTED 0   /**< the request had no effect */
#define DQC_OUTCOME_EXECUTED 1       /**< the request took effect; only its answer is incomplete */
#define DQC_OUTCOME_MAYBE_EXECUTED 2 /**< nobody can tell: read back before trying again */

#define DQC_RETRY_NEVER 0 /**< the same call will fail again */
#define DQC_RETRY_SAFE 1  /**< nothing was executed; another try, perhaps elsewhere, may succeed */
#define DQC_RETRY_UNKNOWN 2 /**< only if running it twice does no harm */

#define DQC_PHASE_NONE 0
#define DQC_PHASE_CONFIG 1
#define DQC_PHASE_RESOLVE 2
#define DQC_PHASE_CONNECT 3
#define DQC_PHASE_TLS 4
#define DQC_PHASE_HANDSHAKE 5
#define DQC_PHASE_OPEN 6
#define DQC_PHASE_REQUEST 7
#define DQC_PHASE_RESULT 8
#define DQC_PHASE_CLOSE 9
#define DQC_PHASE_LEADER 10 /**< asking a node who leads */

/** The DQC_E_ constant; DQC_OK for NULL. @param[in] error nullable. @threading any @since 0.1 */
DQC_API dqc_status DQC_CALL dqc_error_code(const dqc_error *error);

/** What kind of failure it is: dqc_status_class() of its code. @param[in] error nullable.
 * @threading any @since 0.1 */
DQC_API int32_t DQC_CALL dqc_error_class(const dqc_error *error);

/**
 * One line for a human: what failed, where, and what to do.
 * @param[in] error nullable.
 * @return text that lives as long as the error; "" for NULL.
 * @threading any @since 0.1
 */
DQC_API const char *DQC_CALL dqc_error_message(const dqc_error *error);

/** A DQC_OUTCOME_ constant. @param[in] error nullable. @threading any @since 0.1 */
DQC_API int32_t DQC_CALL dqc_error_outcome(const dqc_error *error);

/** May the same call be made again: a DQC_RETRY_ constant. @param[in] error nullable. @threading
 * any @since 0.1 */
DQC_API int32_t DQC_CALL dqc_error_retry(const dqc_error *error);

/** Where it failed: a DQC_PHASE_ constant. @param[in] error nullable. @threading any @since 0.1 */
DQC_API int32_t DQC_CALL dqc_error_phase(const dqc_error *error);

/**
 * The code the server sent: SQLite's extended result code, or one of dqlite's (10250 not leader,
 * 1005 …).
 * @param[in] error nullable.
 * @return 0 when the failure is not the server's.
 * @threading any @since 0.1
 */
DQC_API int32_t DQC_CALL dqc_error_server_code(const dqc_error *error);

/** SQLite's primary result code (19 constraint, 5 busy …), or 0. @param[in] error nullable.
 * @threading any @since 0.1 */
DQC_API int32_t DQC_CALL dqc_error_sqlite_code(const dqc_error *error);

/** The server's own text, or "". Lives as long as the error. @param[in] error nullable. @threading
 * any @since 0.1 */
DQC_API const char *DQC_CALL dqc_error_server_text(const dqc_error *error);

/** Address of the node concerned, or "". Lives as long as the error. @param[in] error nullable.
 * @threading any @since 0.1 */
DQC_API const char *DQC_CALL dqc_error_node(const dqc_error *error);

/** Scripts: byte offset of the statement that failed, else -1. @param[in] error nullable.
 * @threading any @since 0.1 */
DQC_API int64_t DQC_CALL dqc_error_sql_offset(const dqc_error *error);

/** One node of a search for the leader that found none. Texts live as long as the error. */
typedef struct dqc_attempt {
  uint32_t struct_size; /**< sizeof(dqc_attempt), set by the caller */
  int32_t phase;        /**< how far it came: DQC_PHASE_RESOLVE to _OPEN, or _LEADER */
  dqc_status code;      /**< DQC_E_ */
  uint32_t reserved;
  int64_t elapsed_us;  /**< of the last try */
  const char *address; /**< as dialled */
  const char *leader;  /**< the leader it named, or "" */
  const char *cause;   /**< for a human */
} dqc_attempt;

/** Rows of the table behind a failed search for the leader: one per node tried; else 0. @param[in]
 * error nullable. @threading any @since 0.1 */
DQC_API size_t DQC_CALL dqc_error_attempt_count(const dqc_error *error);

/**
 * One row of that table.
 * @param[in] error nullable. @param[in] index from 0. @param[in,out] out its struct_size is set.
 * @return DQC_OK; DQC_E_MISUSE beyond the last row, or without struct_size.
 * @threading any @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_error_attempt(const dqc_error *error, size_t index,
                                              dqc_attempt *out);

/** One more reference, to keep an error beyond a callback. @param[in] error nullable. @return
 * error. @threading any @since 0.1 */
DQC_API dqc_error *DQC_CALL dqc_error_retain(const dqc_error *error);

/** Give a reference back. @param[in] error nullable. @threading any @since 0.1 */
DQC_API void DQC_CALL dqc_error_free(dqc_error *error);

/* ---------------------------------------------------------------------------------------- values
 * and cells */

/* Types of values and cells, as on the wire (protocol 3.1). */
#define DQC_INTEGER 1
#define DQC_FLOAT 2
#define DQC_TEXT 3
#define DQC_BLOB 4
#define DQC_NULL 5
#define DQC_UNIXTIME 9 /**< an integer from a DATE, DATETIME or TIMESTAMP column; cells only */
#define DQC_ISO8601 \
  10 /**< a text from such a column; servers send a NULL in one as an empty ISO8601 text */
#define DQC_BOOLEAN \
  11 /**< the raw integer of a BOOLEAN column; servers send a NULL in one as BOOLEAN 0 */

/** One parameter. By position, or by name where `name` is set: all of a call in the same manner. */
typedef struct dqc_value {
  union {
    int64_t integer;  /**< DQC_INTEGER; DQC_BOOLEAN: 0 or 1 */
    double real;      /**< DQC_FLOAT */
    const void *data; /**< DQC_TEXT, DQC_ISO8601 (no NUL inside), DQC_BLOB */
  } as;
  size_t size;       /**< bytes of data; DQC_CSTR for NUL-terminated text */
  const char *name;  /**< NULL, or as written in the SQL, with its prefix: ":a", "@a", "$a", "?3" */
  int32_t type;      /**< DQC_INTEGER … DQC_BOOLEAN, not DQC_UNIXTIME */
  uint32_t reserved; /**< 0 */
} dqc_value;

/** One cell of a result. Text is NUL-terminated; the type may differ from row to row. */
typedef struct dqc_cell {
  union {
    int64_t integer;  /**< DQC_INTEGER, DQC_UNIXTIME (seconds), DQC_BOOLEAN */
    double real;      /**< DQC_FLOAT */
    const char *data; /**< DQC_TEXT, DQC_ISO8601, DQC_BLOB; lives as long as the batch */
  } as;
  uint32_t size; /**< bytes of data */
  uint8_t type;  /**< DQC_INTEGER … */
  uint8_t reserved[3];
} dqc_cell;

#if !defined(__cplusplus) && !defined(DQC_NO_VALUE_MACROS)
/* Initialisers for C callers, as in: dqc_value args[] = {DQC_INT(42), DQC_STR("x")}; to assign one:
 * args[0] = (dqc_value)DQC_INT(43); */
#define DQC_INT(v) \
  { {.integer = (v)}, 0, NULL, DQC_INTEGER, 0 }
#define DQC_REAL(v) \
  { {.real = (v)}, 0, NULL, DQC_FLOAT, 0 }
#define DQC_STR(v) \
  { {.data = (v)}, DQC_CSTR, NULL, DQC_TEXT, 0 }
#define DQC_BYTES(p, n) \
  { {.data = (p)}, (n), NULL, DQC_BLOB, 0 }
#define DQC_BOOL(v) \
  { {.integer = (v) ? 1 : 0}, 0, NULL, DQC_BOOLEAN, 0 }
#define DQC_TIME(v) \
  { {.data = (v)}, DQC_CSTR, NULL, DQC_ISO8601, 0 }
#define DQC_NIL \
  { {.integer = 0}, 0, NULL, DQC_NULL, 0 }
#endif

#define DQC_HAS_ROWS_AFFECTED 1u  /**< the statement was an INSERT, REPLACE, UPDATE or DELETE */
#define DQC_HAS_LAST_INSERT_ID 2u /**< it was an INSERT or REPLACE that changed a row */

/** What a statement that modifies data did. Fields that its kind does not have are 0. An INSERT with ON
 * CONFLICT … DO UPDATE has no last_insert_id: it may have updated instead; ask by RETURNING. The library
 * does not see that a table is WITHOUT ROWID: then last_insert_id is that of an earlier INSERT. */
typedef struct dqc_result {
  int64_t last_insert_id;
  uint64_t rows_affected;
  uint32_t has;        /**< DQC_HAS_ flags */
  uint32_t statements; /**< statements executed: 1, or the number in a script */
} dqc_result;

/* ---------- events ------------------------------------------------------------------------------ */

#define DQC_EVENT_DONE 1 /**< terminal: look at status, error, result, stmt */
#define DQC_EVENT_ROWS 2 /**< some rows; more events follow */

/** One event of an operation. The library owns it; fields may be appended in later versions. */
typedef struct dqc_event {
  uint32_t struct_size;
  int32_t type;           /**< DQC_EVENT_ */
  uint64_t op;            /**< the operation, unique within its connection or client; needs all 64
                               bits and no sign: ids of a dqc_client have bit 63 set */
  dqc_status status;      /**< DONE: DQC_OK or the error's code */
  uint32_t statement;     /**< scripts: number of the statement, from 0 */
  const dqc_error *error; /**< DONE: NULL on success; borrowed */
  dqc_batch *
      batch; /**< ROWS: the rows; borrowed. A result has at least one batch, perhaps without rows */
  dqc_stmt *stmt;    /**< DONE of a prepare: the statement; borrowed, finalized unless retained */
  dqc_result result; /**< DONE */
  dqc_conn *conn;    /**< DONE of an acquire or begin: the connection, to dqc_conn_free() */
} dqc_event;

/** Receives the events of one operation. */
typedef void(DQC_CALL *dqc_callback)(void *user_data, const dqc_event *event);

#define DQC_CALL_IDEMPOTENT 1u /**< running it twice does no harm: a client may, where in doubt */

#define DQC_CALL_ALONE 2u /**< a client's write: in a transaction of its own, never grouped */

/** A client's read sees every write that was acknowledged, by whichever node, before the call: the
 * leader proves itself with a small write first (docs/transactions.md). */
#define DQC_CALL_STRONG 4u

/** Options of one call; NULL stands for all defaults. */
typedef struct dqc_call_options {
  uint32_t struct_size; /**< sizeof(dqc_call_options) */
  uint32_t flags;       /**< DQC_CALL_ */
  uint64_t timeout_ms;  /**< end to end; 0: option "timeout" of the connection; UINT64_MAX: none */
} dqc_call_options;

/* ---------- configuration ----------------------------------------------------------------------- */

/**
 * A configuration with all defaults (docs/configuration.md).
 * @param[out] out   the configuration; free with dqc_config_free().
 * @param[out] error nullable.
 * @return DQC_OK; DQC_E_NOMEM.
 * @threading any, one at a time per object @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_config_new(dqc_config **out, dqc_error **error);

/**
 * Set an option by its name, as ("timeout", "5s").
 * @param[in] key,key_size     name. @param[in] value,value_size the value as text.
 * @param[out] error nullable; names the key, the value and what is accepted.
 * @return DQC_OK; DQC_E_CONFIG; DQC_E_NOMEM.
 * @threading any, one at a time per object @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_config_set(dqc_config *config, const char *key, size_t key_size,
                                           const char *value, size_t value_size, dqc_error **error);

/**
 * Addresses, database and options from "dqlite://host:port[,host:port…]/database?timeout=5s". On
 * failure the configuration is unchanged.
 * @param[in] dsn,dsn_size the text.
 * @param[out] error nullable; names the offending part and its offset.
 * @return DQC_OK; DQC_E_CONFIG; DQC_E_NOMEM.
 * @threading any, one at a time per object @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_config_set_dsn(dqc_config *config, const char *dsn, size_t dsn_size,
                                               dqc_error **error);

/**
 * DQC_DSN and DQC_<OPTION> of the environment. Nothing else in the library reads the environment.
 * @param[out] error nullable.
 * @return DQC_OK; DQC_E_CONFIG; DQC_E_NOMEM.
 * @threading any, one at a time per object @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_config_set_env(dqc_config *config, dqc_error **error);

/**
 * Asks the application for a connected stream socket to `address`. Answer with dqc_dial_done(), now
 * or later. Called where callbacks are called.
 */
typedef void(DQC_CALL *dqc_dial_callback)(void *user_data, const char *address, dqc_dial *dial);

#define DQC_DIAL_LIBRARY (-2) /**< in the place of a descriptor: the library shall dial itself */

/**
 * Let the application dial instead of the library: proxies, tunnels, namespaces, tests; or decide,
 * address by address, whether the library may (a policy of its own for what servers name).
 * @param[in] callback nullable: the library dials. @param[in] user_data passed on; must outlive the
 * connections.
 * @param[out] error nullable.
 * @return DQC_OK.
 * @threading any, one at a time per object @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_config_set_dial(dqc_config *config, dqc_dial_callback callback,
                                                void *user_data, dqc_error **error);

/**
 * Answer a dial request; must be called exactly once per request, even if the connection was closed
 * meanwhile.
 * @param[in] dial    freed by this call.
 * @param[in] fd      a connected stream socket, owned by the library from now on; DQC_DIAL_LIBRARY; or
 * -1: refused.
 * @param[in] message nullable; with -1: why.
 * @threading any @since 0.1
 */
DQC_API void DQC_CALL dqc_dial_done(dqc_dial *dial, int fd, const char *message);

#define DQC_LOG_ERROR 1
#define DQC_LOG_WARNING 2
#define DQC_LOG_INFO 3
#define DQC_LOG_DEBUG 4

/** A log record; borrowed for the time of the callback. Parameter values and SQL text never appear
 * in it. */
typedef struct dqc_log_record {
  uint32_t struct_size;
  int32_t level;       /**< DQC_LOG_ */
  const char *event;   /**< a stable word: "connect", "handshake", "idle", "close" … */
  const char *node;    /**< address */
  const char *message; /**< for a human */
} dqc_log_record;

typedef void(DQC_CALL *dqc_log_callback)(void *user_data, const dqc_log_record *record);

/**
 * Receive log records of the connections made with this configuration, where callbacks are called.
 * @param[in] level the least important level wanted. @param[in] callback nullable: no log.
 * @param[in] user_data passed on; must outlive the handles made with the configuration, and the loop
 * and queue where records of theirs may still wait.
 * @param[out] error nullable.
 * @return DQC_OK; DQC_E_MISUSE for an unknown level.
 * @threading any, one at a time per object @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_config_set_log(dqc_config *config, int32_t level,
                                               dqc_log_callback callback, void *user_data,
                                               dqc_error **error);

/** A member of a cluster. */
typedef struct dqc_node {
  uint64_t id;         /**< 0: not known */
  const char *address; /**< "host:port" */
  int32_t role;        /**< DQC_ROLE_ */
  uint32_t reserved;   /**< 0 */
} dqc_node;

#define DQC_TOPOLOGY_LEADER 1       /**< another node leads; its address is the one dialled */
#define DQC_TOPOLOGY_NODE_UP 2      /**< a node answers, for the first time or again */
#define DQC_TOPOLOGY_NODE_DOWN 3    /**< a node cannot be reached; message: why */
#define DQC_TOPOLOGY_NODE_ADDED 4   /**< a new member */
#define DQC_TOPOLOGY_NODE_REMOVED 5 /**< a member no more */
#define DQC_TOPOLOGY_ROLE_CHANGED 6 /**< of a member: node.role is the new one */

/** A change in the cluster of a client; borrowed for the time of the callback. */
typedef struct dqc_topology {
  uint32_t struct_size;
  int32_t type; /**< DQC_TOPOLOGY_ */
  dqc_node node;
  const char *message; /**< for a human */
} dqc_topology;

typedef void(DQC_CALL *dqc_watch_callback)(void *user_data, const dqc_topology *event);

/**
 * Hear of changes in the cluster of a client, where callbacks are called. What the client comes
 * across is told at once; with the option "watch_interval" it also looks for changes by itself.
 * @param[in] callback nullable: none. @param[in] user_data passed on; must outlive the client, and
 * the loop and queue where news of it may still wait. @param[out] error nullable.
 * @return DQC_OK.
 * @threading any, one at a time per object @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_config_set_watch(dqc_config *config, dqc_watch_callback callback,
                                                 void *user_data, dqc_error **error);

/** @param[in] config nullable. @threading any @since 0.1 */
DQC_API void DQC_CALL dqc_config_free(dqc_config *config);

/* ---------- loops ------------------------------------------------------------------------------- */

#define DQC_LOOP_DRIVEN 0 /**< the application runs it: no thread, no hand-over, the fastest way */
#define DQC_LOOP_THREADED 1 /**< a thread of the library does the I/O; events wait in a dqc_queue */

#define DQC_RUN_DEFAULT 0 /**< until no operation is outstanding */
#define DQC_RUN_ONCE 1    /**< wait for something to do, do it, return */
#define DQC_RUN_NOWAIT 2  /**< do what can be done now, return */

/**
 * A loop. (To attach to a uv_loop_t of the application, see dqclient_uv.h.)
 * @param[in] mode DQC_LOOP_.
 * @param[out] out free with dqc_loop_free(). @param[out] error nullable.
 * @return DQC_OK; DQC_E_NOMEM; DQC_E_MISUSE; DQC_E_INTERNAL if the system gives no descriptors or
 * thread.
 * @threading any @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_loop_new(int32_t mode, dqc_loop **out, dqc_error **error);

/**
 * Run a driven loop: I/O, deadlines and callbacks.
 * @param[in] mode DQC_RUN_. @param[out] error nullable.
 * @return DQC_OK; DQC_E_MISUSE for a loop that is not driven, or from inside a callback;
 * DQC_E_FORKED.
 * @threading owner @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_loop_run(dqc_loop *loop, int32_t mode, dqc_error **error);

/**
 * A descriptor that becomes readable when a driven loop has work: put it into poll(), epoll or an
 * event loop, level-triggered, then call dqc_loop_run(loop, DQC_RUN_NOWAIT). Ask
 * dqc_loop_timeout_ms() before each wait.
 * @return the descriptor, owned by the loop; -1 for a loop that is not driven.
 * @threading owner @since 0.1
 */
DQC_API int DQC_CALL dqc_loop_fd(const dqc_loop *loop);

/** How long to wait for dqc_loop_fd() at most: ms, 0 for not at all, -1 for ever. @threading owner
 * @since 0.1 */
DQC_API int DQC_CALL dqc_loop_timeout_ms(const dqc_loop *loop);

/** Make a running dqc_loop_run(DQC_RUN_ONCE) return. @threading any @since 0.1 */
DQC_API void DQC_CALL dqc_loop_wake(dqc_loop *loop);

/** Connections keep their loop alive. @param[in] loop nullable. @threading any @since 0.1 */
DQC_API void DQC_CALL dqc_loop_free(dqc_loop *loop);

/* ---------- queues ------------------------------------------------------------------------------ */

/**
 * A queue for the events of connections on threaded loops: one for each event loop of the
 * application.
 * @param[out] out free with dqc_queue_free(). @param[out] error nullable.
 * @return DQC_OK; DQC_E_NOMEM; DQC_E_INTERNAL if the system gives no descriptor.
 * @threading any @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_queue_new(dqc_queue **out, dqc_error **error);

/**
 * A descriptor that is readable while events wait; never read it. It is meant for level-triggered
 * waiting: watched with EPOLLET or EV_CLEAR it tells only that the queue was empty before, so dispatch
 * until dqc_queue_dispatch() returns 0.
 * @return the descriptor, owned by the queue; -1 if the system gives none, or after a fork().
 * @threading any @since 0.1
 */
DQC_API int DQC_CALL dqc_queue_fd(const dqc_queue *queue);

/**
 * Wait until an event waits.
 * @param[in] timeout_ms -1: for ever.
 * @return 1 if there is an event; 0 after the time; DQC_E_CLOSED if another thread frees the queue
 * meanwhile, which wakes all that wait; DQC_E_FORKED.
 * @threading any @since 0.1
 */
DQC_API int32_t DQC_CALL dqc_queue_wait(dqc_queue *queue, int64_t timeout_ms);

/**
 * Call `notify` whenever the queue becomes non-empty, and when dqc_queue_dispatch(queue, 0) leaves
 * events that came meanwhile. It runs on a thread of the library or inside a call of the application's,
 * as in this one if events wait already; it may not block, and may call no function of the library.
 * When this returns, no call of the one before runs any more nor begins, so what it uses may go.
 * @param[in] notify nullable: none. @param[in] user_data passed on.
 * @return DQC_OK.
 * @threading any @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_queue_set_notify(dqc_queue *queue,
                                                 void(DQC_CALL *notify)(void *user_data),
                                                 void *user_data);

/**
 * Run the callbacks of waiting events.
 * @param[in] events_max 0: all that wait when it begins. Those that come meanwhile wait for the next
 * call: the descriptor stays readable, dqc_queue_wait() returns at once.
 * @return number of events delivered, or a negative status.
 * @threading any, one at a time @since 0.1
 */
DQC_API int64_t DQC_CALL dqc_queue_dispatch(dqc_queue *queue, uint64_t events_max);

/** Events that still wait are discarded with it; dqc_queue_wait() on other threads returns. A call of
 * its `notify` may be running still: set none before, if what it uses goes too. @param[in] queue nullable. @threading any @since 0.1 */
DQC_API void DQC_CALL dqc_queue_free(dqc_queue *queue);

/* ---------- connections ------------------------------------------------------------------------- */

#define DQC_STATE_NEW 0        /**< not connected yet */
#define DQC_STATE_CONNECTING 1 /**< operations may be submitted: they wait */
#define DQC_STATE_READY 2
#define DQC_STATE_CLOSING 3
#define DQC_STATE_CLOSED 4 /**< by the application, or lost; for good */

/**
 * A connection object; no I/O yet.
 * @param[in] loop   nullable: a driven loop of its own, for blocking use.
 * @param[in] queue  for a threaded loop: where its events go (NULL: blocking calls only); else
 * NULL.
 * @param[in] config copied. Names exactly one node. An empty "database": no SQL, administration
 * only.
 * @param[out] out   free with dqc_conn_free(). @param[out] error nullable.
 * @return DQC_OK; DQC_E_NOMEM; DQC_E_CONFIG; DQC_E_MISUSE.
 * @threading owner of the loop; any if threaded @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_conn_new(dqc_loop *loop, dqc_queue *queue, const dqc_config *config,
                                         dqc_conn **out, dqc_error **error);

/**
 * Connect in the background: resolve, connect, handshake, open the database. Operations may be
 * submitted at once; the first leaves in the same segment as the handshake.
 * @param[in] callback,user_data nullable; receives one DQC_EVENT_DONE.
 * @param[out] op nullable. @param[out] error nullable.
 * @return DQC_OK accepted; DQC_E_MISUSE if connected before; DQC_E_NOMEM; DQC_E_FORKED.
 * @threading owner; any if threaded @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_conn_connect_async(dqc_conn *conn, dqc_callback callback,
                                                   void *user_data, uint64_t *op,
                                                   dqc_error **error);

/**
 * Connect to one node, blocking: dqc_config + dqc_conn_new + connect in one call.
 * @param[in] dsn,dsn_size "dqlite://host:port/database?option=value"; exactly one host.
 * @param[out] out free with dqc_conn_free(). @param[out] error nullable.
 * @return DQC_OK; DQC_E_CONFIG; DQC_E_RESOLVE, DQC_E_CONNECT, DQC_E_TIMEOUT, DQC_E_NOT_LEADER, … as
 * the phase says.
 * @threading any @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_conn_open(const char *dsn, size_t dsn_size, dqc_conn **out,
                                          dqc_error **error);

/** dqc_conn_connect_async(), blocking. @param[out] error nullable. @threading owner; any if
 * threaded @since 0.1 */
DQC_API dqc_status DQC_CALL dqc_conn_connect(dqc_conn *conn, dqc_error **error);

/**
 * End the connection: operations not yet sent get DQC_E_CLOSED, results still arriving are drained
 * within the limits of the options drain_…, the socket is closed, then the callback runs.
 * @param[in] callback,user_data nullable. @param[out] op nullable. @param[out] error nullable.
 * @return DQC_OK accepted (also on a connection already closed); DQC_E_NOMEM; DQC_E_FORKED.
 * @threading owner; any if threaded @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_conn_close_async(dqc_conn *conn, dqc_callback callback,
                                                 void *user_data, uint64_t *op, dqc_error **error);

/** dqc_conn_close_async(), blocking. @param[out] error nullable. @threading owner; any if threaded
 * @since 0.1 */
DQC_API dqc_status DQC_CALL dqc_conn_close(dqc_conn *conn, dqc_error **error);

/** A DQC_STATE_ constant. @threading any @since 0.1 */
DQC_API int32_t DQC_CALL dqc_conn_state(const dqc_conn *conn);

/**
 * The server's era, 'A' to 'D' (docs/protocol.md 0.2): A up to 1.11, B up to 1.14, C up to 1.18.1,
 * D from 1.18.2 on.
 * @return 0 while it is not known.
 * @threading any @since 0.1
 */
DQC_API int32_t DQC_CALL dqc_conn_era(const dqc_conn *conn);

#define DQC_TRANSACTION_NONE 0 /**< each statement is a transaction by itself */
#define DQC_TRANSACTION_OPEN 1 /**< BEGIN, or SAVEPOINT outside of one */
#define DQC_TRANSACTION_UNKNOWN \
  2 /**< a failure may have rolled it back: send ROLLBACK, and ignore its error */

/**
 * Whether a transaction is open, as of the last answer of the server: it follows from the statements that
 * were run, in every form, and from what the server said to them. What is still under way is not counted.
 * @param[in] conn nullable: DQC_TRANSACTION_NONE, as for a connection that is closed.
 * @return a DQC_TRANSACTION_ constant.
 * @threading any @since 0.1
 */
DQC_API int32_t DQC_CALL dqc_conn_transaction(const dqc_conn *conn);

/** Address of the node as configured. Lives as long as the connection. @threading any @since 0.1 */
DQC_API const char *DQC_CALL dqc_conn_address(const dqc_conn *conn);

/**
 * Give the connection up, or back to the client that leased it. If it is open, it is closed as by dqc_conn_close_async() in the
 * background; statements and cursors made from it may be freed later.
 * @param[in] conn nullable.
 * @threading any @since 0.1
 */
DQC_API void DQC_CALL dqc_conn_free(dqc_conn *conn);

/* ---------- clients ----------------------------------------------------------------------------- */

/*
 * A client stands for a cluster: it finds the leader, follows it when it changes, keeps a pool of
 * connections to it, and runs each operation on one of them. An operation that was certainly not
 * executed, because its node did not lead any more or another writer was busy, is run again within
 * its deadline; one that may have been executed never is. Writes take turns, first come, first
 * served: dqlite has one writer per database.
 *
 * Operations of a client may run at the same time and complete in any order. What belongs together,
 * as the statements of a transaction, goes on a connection of its own: dqc_client_acquire().
 */

/**
 * A client; no I/O yet.
 * @param[in] loop   nullable: a driven loop of its own, for blocking use.
 * @param[in] queue  for a threaded loop: where its events go (NULL: blocking calls only); else
 * NULL.
 * @param[in] config copied. Names at least one node, not necessarily the leader.
 * @param[out] out   free with dqc_client_free(). @param[out] error nullable.
 * @return DQC_OK; DQC_E_NOMEM; DQC_E_CONFIG; DQC_E_MISUSE.
 * @threading owner of the loop; any if threaded @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_client_new(dqc_loop *loop, dqc_queue *queue,
                                           const dqc_config *config, dqc_client **out,
                                           dqc_error **error);

/**
 * A client for blocking use, connected: dqc_config + dqc_client_new + dqc_client_connect.
 * @param[in] dsn,dsn_size "dqlite://host:port[,host:port…]/database?option=value".
 * @param[out] out free with dqc_client_free(). @param[out] error nullable.
 * @return DQC_OK; DQC_E_CONFIG; else as dqc_client_connect().
 * @threading any @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_client_open(const char *dsn, size_t dsn_size, dqc_client **out,
                                            dqc_error **error);

/**
 * Find the leader and connect to it. Not needed: the first operation does it too.
 * @param[in] options nullable. @param[in] callback,user_data nullable; receives one
 * DQC_EVENT_DONE; a failure carries a table of all nodes: dqc_error_attempt().
 * @param[out] op nullable; for dqc_client_cancel(). @param[out] error nullable.
 * @return DQC_OK accepted; DQC_E_CLOSED; DQC_E_LIMIT; DQC_E_NOMEM; DQC_E_MISUSE; DQC_E_FORKED.
 * @threading owner; any if threaded @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_client_connect_async(dqc_client *client,
                                                     const dqc_call_options *options,
                                                     dqc_callback callback, void *user_data,
                                                     uint64_t *op, dqc_error **error);

/** Like dqc_client_connect_async(), blocking. @return DQC_OK; DQC_E_CONNECT if no node could be reached,
 * DQC_E_NOT_LEADER if none of them leads, DQC_E_TIMEOUT.
 * @threading owner; any if threaded @since 0.1 */
DQC_API dqc_status DQC_CALL dqc_client_connect(dqc_client *client, const dqc_call_options *options,
                                               dqc_error **error);

/**
 * End the client: what waits gets DQC_E_CLOSED, what runs may end by the deadline of the call,
 * leased connections may be given back by then, and all are closed. Parameters as
 * dqc_client_connect_async().
 * @threading owner; any if threaded @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_client_close_async(dqc_client *client,
                                                   const dqc_call_options *options,
                                                   dqc_callback callback, void *user_data,
                                                   uint64_t *op, dqc_error **error);

/** Like dqc_client_close_async(), blocking. @threading owner; any if threaded @since 0.1 */
DQC_API dqc_status DQC_CALL dqc_client_close(dqc_client *client, const dqc_call_options *options,
                                             dqc_error **error);

/**
 * Lease a connection: nobody else uses it until dqc_conn_free(), which gives it back; a transaction
 * left open is rolled back then. Statements made on it end with the lease.
 * @param[in] options nullable; the time covers waiting and connecting. Else as
 * dqc_client_connect_async(); the event carries the connection.
 * @threading owner; any if threaded @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_client_acquire_async(dqc_client *client,
                                                     const dqc_call_options *options,
                                                     dqc_callback callback, void *user_data,
                                                     uint64_t *op, dqc_error **error);

/** Like dqc_client_acquire_async(), blocking. @param[out] out give back with dqc_conn_free().
 * @threading owner; any if threaded @since 0.1 */
DQC_API dqc_status DQC_CALL dqc_client_acquire(dqc_client *client, const dqc_call_options *options,
                                               dqc_conn **out, dqc_error **error);

/** Like dqc_conn_cancel(); also while the operation waits. @threading owner; any if threaded @since
 * 0.1 */
DQC_API dqc_status DQC_CALL dqc_client_cancel(dqc_client *client, uint64_t op);

/** Like dqc_conn_pause(). @threading owner; any if threaded @since 0.1 */
DQC_API dqc_status DQC_CALL dqc_client_pause(dqc_client *client, uint64_t op, int32_t pause);

/**
 * Replace the nodes that the configuration named, as from a store of the application's own.
 * @param[in] nodes at least one; copied. @param[in] count of them. @param[out] error nullable.
 * @return DQC_OK; DQC_E_CONFIG for a bad address; DQC_E_MISUSE; DQC_E_NOMEM; DQC_E_FORKED.
 * @threading owner; any if threaded @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_client_set_nodes(dqc_client *client, const dqc_node *nodes,
                                                 size_t count, dqc_error **error);

/**
 * Address of the leader as last confirmed, "" if there was none yet.
 * @param[out] buffer nullable; receives it, cut to size - 1 bytes and NUL-terminated.
 * @param[in] size bytes of buffer.
 * @return its size in bytes.
 * @threading any @since 0.1
 */
DQC_API size_t DQC_CALL dqc_client_leader(const dqc_client *client, char *buffer, size_t size);

/** Counters of a client, since it was made unless said otherwise. */
typedef struct dqc_stats {
  uint32_t struct_size; /**< sizeof(dqc_stats), set by the caller */
  uint32_t open;        /**< now: connections in the pool */
  uint32_t idle;        /**< now: of these, free */
  uint32_t leased;      /**< now: of these, leased */
  uint32_t opening;     /**< now: being opened */
  uint32_t reserved;
  uint64_t waiting;        /**< now: operations that wait for a connection or their turn to write */
  uint64_t submitted;      /**< operations accepted */
  uint64_t completed;      /**< operations ended */
  uint64_t opened;         /**< connections that joined the pool */
  uint64_t closed;         /**< connections that left it */
  uint64_t retried_busy;   /**< times an operation was run again because of another writer */
  uint64_t retried_leader; /**< times an operation was run again because its node was lost */
  uint64_t waited_us;      /**< of all operations, until they were started */
  uint64_t checks;         /**< connections asked whether they still lead to the leader */
  uint64_t lookups;        /**< times a connection to the leader was wanted */
  uint64_t searches;       /**< times that it was not where it was before */
  uint64_t attempts;       /**< connections dialled */
  uint64_t asks;           /**< questions to nodes that do not lead */
  uint64_t redirects;      /**< of the attempts, at an address that a node named */
  uint64_t rejected;       /**< addresses that the redirect policy refused */
} dqc_stats;

/** @param[in,out] out its struct_size is set; what is beyond this version's is left alone.
 * @threading any @since 0.1 */
DQC_API void DQC_CALL dqc_client_stats(const dqc_client *client, dqc_stats *out);

/**
 * Give the client up: everything on it ends with DQC_E_CLOSED or DQC_E_CANCELLED. Leased
 * connections live on until they are freed.
 * @param[in] client nullable.
 * @threading any @since 0.1
 */
DQC_API void DQC_CALL dqc_client_free(dqc_client *client);

/* The calls of a connection, on one of the client's choice. */

/** Like dqc_conn_exec_async(). @threading owner; any if threaded @since 0.1 */
DQC_API dqc_status DQC_CALL dqc_client_exec_async(dqc_client *client, const char *sql,
                                                  size_t sql_size, const dqc_value *args,
                                                  size_t arg_count, const dqc_call_options *options,
                                                  dqc_callback callback, void *user_data,
                                                  uint64_t *op, dqc_error **error);

/** Like dqc_conn_query_async(). @threading owner; any if threaded @since 0.1 */
DQC_API dqc_status DQC_CALL dqc_client_query_async(dqc_client *client, const char *sql,
                                                   size_t sql_size, const dqc_value *args,
                                                   size_t arg_count,
                                                   const dqc_call_options *options,
                                                   dqc_callback callback, void *user_data,
                                                   uint64_t *op, dqc_error **error);

/** Like dqc_conn_script_async(). @threading owner; any if threaded @since 0.1 */
DQC_API dqc_status DQC_CALL dqc_client_script_async(dqc_client *client, const char *sql,
                                                    size_t sql_size,
                                                    const dqc_call_options *options,
                                                    dqc_callback callback, void *user_data,
                                                    uint64_t *op, dqc_error **error);

/** Like dqc_conn_exec(). @threading owner; any if threaded @since 0.1 */
DQC_API dqc_status DQC_CALL dqc_client_exec(dqc_client *client, const char *sql, size_t sql_size,
                                            const dqc_value *args, size_t arg_count,
                                            const dqc_call_options *options, dqc_result *result,
                                            dqc_error **error);

/** Like dqc_conn_query(). @threading owner; any if threaded @since 0.1 */
DQC_API dqc_status DQC_CALL dqc_client_query(dqc_client *client, const char *sql, size_t sql_size,
                                             const dqc_value *args, size_t arg_count,
                                             const dqc_call_options *options, dqc_rows **out,
                                             dqc_error **error);

/** Like dqc_conn_script(). @threading owner; any if threaded @since 0.1 */
DQC_API dqc_status DQC_CALL dqc_client_script(dqc_client *client, const char *sql, size_t sql_size,
                                              const dqc_call_options *options, dqc_result *result,
                                              dqc_error **error);

/* ---------- transactions of a client ------------------------------------------------------------ */

/*
 * A transaction that is run again where that helps and is safe:
 *
 *   dqc_tx_new(client, NULL, &tx, &error);
 *   do {
 *     status = dqc_tx_begin(tx, &conn, &error);
 *     if (status != DQC_OK) break;              // there was no way to begin in time
 *     status = work(conn, &error);              // dqc_conn_exec(), dqc_conn_query() ... on conn
 *     status = status == DQC_OK ? dqc_tx_commit(tx, &error) : dqc_tx_rollback(tx, error, NULL);
 *     dqc_conn_free(conn);
 *   } while (status == DQC_AGAIN);              // free `error` first
 *   dqc_tx_free(tx);
 *
 * dqc_client_run_tx() is that loop. The work has no effects but those on the connection.
 */

#define DQC_BEGIN_IMMEDIATE 0 /**< takes its turn to write first, first come, first served */
#define DQC_BEGIN_DEFERRED 1  /**< takes the lock with its first write, and may meet BUSY there */
#define DQC_BEGIN_EXCLUSIVE 2 /**< on dqlite the same as IMMEDIATE */
#define DQC_BEGIN_READ_ONLY 3 /**< deferred, on the caller's word that it only reads */

#define DQC_TX_IDEMPOTENT 1u /**< committing it twice does no harm: it may be run again in doubt */
/** It leaves a row in the table dqclient_marks, made where it is missing, so that a COMMIT without an
 * answer can be looked up: MAYBE_EXECUTED becomes yes or no while the time lasts. Costs no round trip. */
#define DQC_TX_RESOLVE 2u

/** Options of a transaction; NULL stands for all defaults. */
typedef struct dqc_tx_options {
  uint32_t struct_size; /**< sizeof(dqc_tx_options) */
  int32_t mode;         /**< DQC_BEGIN_ */
  uint32_t flags;       /**< DQC_TX_ */
  uint32_t reserved;    /**< 0 */
  /** For all of it, from the first begin on; 0: option "timeout" of the client; UINT64_MAX: none, each
   * call has that of its own. */
  uint64_t timeout_ms;
} dqc_tx_options;

/**
 * A transaction; nothing is begun yet.
 * @param[in] options nullable. @param[out] out free with dqc_tx_free(). @param[out] error nullable.
 * @return DQC_OK; DQC_E_MISUSE; DQC_E_NOMEM; DQC_E_FORKED.
 * @threading owner; any if threaded @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_tx_new(dqc_client *client, const dqc_tx_options *options,
                                       dqc_tx **out, dqc_error **error);

/**
 * Wait for a connection and for the turn to write, and BEGIN. The event carries the connection, as that
 * of an acquire: the transaction's statements go on it, and last no longer than the transaction may.
 * Once the transaction is ended it takes no more calls; freeing it before that rolls back.
 * @param[in] callback,user_data nullable; receives one DQC_EVENT_DONE.
 * @param[out] op nullable; for dqc_client_cancel(). @param[out] error nullable.
 * @return DQC_OK accepted; DQC_E_MISUSE while it is open or under way, or when it is over;
 * DQC_E_CLOSED; DQC_E_LIMIT; DQC_E_NOMEM; DQC_E_FORKED.
 * @threading owner; any, one at a time, if threaded @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_tx_begin_async(dqc_tx *tx, dqc_callback callback, void *user_data,
                                               uint64_t *op, dqc_error **error);

/** Like dqc_tx_begin_async(), blocking. @param[out] out free with dqc_conn_free(). @threading
 * owner; any, one at a time, if threaded @since 0.1 */
DQC_API dqc_status DQC_CALL dqc_tx_begin(dqc_tx *tx, dqc_conn **out, dqc_error **error);

/**
 * COMMIT, when all that was submitted before is answered. If some of it failed, and the application has
 * not been told of that by now, nothing is committed (DQC_E_SQL). One that meets a checkpoint is
 * repeated. The event's status is DQC_OK; DQC_AGAIN if nothing was committed and there is time to
 * begin again; or the failure, whose outcome says whether it was committed.
 * @param[in] callback,user_data nullable. @param[out] op nullable; for dqc_client_cancel().
 * @param[out] error nullable.
 * @return DQC_OK accepted; DQC_E_MISUSE if it is not open; DQC_E_CLOSED: rolled back; DQC_E_NOMEM;
 * DQC_E_FORKED.
 * @threading owner; any, one at a time, if threaded @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_tx_commit_async(dqc_tx *tx, dqc_callback callback, void *user_data,
                                                uint64_t *op, dqc_error **error);

/** Like dqc_tx_commit_async(), blocking. @return DQC_OK; DQC_AGAIN; or the failure. @threading owner;
 * any, one at a time, if threaded @since 0.1 */
DQC_API dqc_status DQC_CALL dqc_tx_commit(dqc_tx *tx, dqc_error **error);

/**
 * End it without effect. The event's status is DQC_AGAIN if `failure` is of the kind that another run
 * may not meet (another writer, a lost leader or connection) and there is time for it; else DQC_OK. The
 * ROLLBACK itself is not waited for.
 * @param[in] failure nullable: why. Else as dqc_tx_commit_async().
 * @threading owner; any, one at a time, if threaded @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_tx_rollback_async(dqc_tx *tx, const dqc_error *failure,
                                                  dqc_callback callback, void *user_data,
                                                  uint64_t *op, dqc_error **error);

/** Like dqc_tx_rollback_async(), blocking. @return DQC_OK; DQC_AGAIN; or why it could not be done.
 * @threading owner; any, one at a time, if threaded @since 0.1 */
DQC_API dqc_status DQC_CALL dqc_tx_rollback(dqc_tx *tx, const dqc_error *failure,
                                            dqc_error **error);

/** One that is open is rolled back. @param[in] tx nullable. @threading any @since 0.1 */
DQC_API void DQC_CALL dqc_tx_free(dqc_tx *tx);

/** The work of a transaction: DQC_OK to commit; else it is rolled back, and `*error`, which it may set,
 * decides whether it is run again. */
typedef dqc_status(DQC_CALL *dqc_tx_callback)(void *user_data, dqc_conn *conn, dqc_error **error);

/**
 * Run `fn` as a transaction, as often as need be; blocking.
 * @param[in] options nullable. @param[in] fn,user_data the work. @param[out] error nullable; where `fn`
 * itself failed, what it set, perhaps NULL.
 * @return DQC_OK committed; what `fn` returned; or the failure of begin or commit.
 * @threading owner; any if threaded @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_client_run_tx(dqc_client *client, const dqc_tx_options *options,
                                              dqc_tx_callback fn, void *user_data,
                                              dqc_error **error);

/* ---------- SQL --------------------------------------------------------------------------------- */

/*
 * How statements travel: each goes by the one request that is safe for its kind on the server's
 * era. A statement that
 * no safe way exists for is refused with DQC_E_UNSUPPORTED before anything is sent; the message
 * names the way round.
 * One call takes one statement; only exec without parameters takes several, none of which may yield
 * rows.
 * Use the script functions for everything else.
 * Calls need not wait for those before: they leave together and are answered in order, and each is
 * executed even if one before it fails. But COMMIT (not RELEASE), as a statement of its own, leaves
 * when all before is answered, and fails unsent with DQC_E_SQL if something failed that the caller
 * had neither cancelled nor been told of when it asked; of a call without a callback nothing else
 * tells. The transaction is still open then. A COMMIT inside a script does not wait like this.
 */

/**
 * Run a statement for its effect; rows that it yields are discarded.
 * @param[in] sql,sql_size  the text. @param[in] args,arg_count nullable; as many as the statement
 * has parameters.
 * @param[in] options nullable. @param[in] callback,user_data nullable.
 * @param[out] op nullable; for dqc_conn_cancel(). @param[out] error nullable.
 * @return DQC_OK accepted; DQC_E_PARAMS, DQC_E_UNSUPPORTED, DQC_E_MISUSE, DQC_E_LIMIT,
 * DQC_E_CLOSED, DQC_E_NOMEM, DQC_E_FORKED: refused, no event follows.
 * @threading owner; any if threaded @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_conn_exec_async(dqc_conn *conn, const char *sql, size_t sql_size,
                                                const dqc_value *args, size_t arg_count,
                                                const dqc_call_options *options,
                                                dqc_callback callback, void *user_data,
                                                uint64_t *op, dqc_error **error);

/**
 * Run a statement and receive its rows in DQC_EVENT_ROWS events, as they arrive. Parameters and
 * return as dqc_conn_exec_async().
 * @threading owner; any if threaded @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_conn_query_async(dqc_conn *conn, const char *sql, size_t sql_size,
                                                 const dqc_value *args, size_t arg_count,
                                                 const dqc_call_options *options,
                                                 dqc_callback callback, void *user_data,
                                                 uint64_t *op, dqc_error **error);

/**
 * Run the statements of a script one after the other, up to the first error. Rows arrive in
 * DQC_EVENT_ROWS events with the number of their statement; an error carries the offset of the
 * statement that failed. Statements before it stay done, unless the script's own transaction is
 * rolled back by the application. Parameters and return as dqc_conn_exec_async().
 * @threading owner; any if threaded @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_conn_script_async(dqc_conn *conn, const char *sql, size_t sql_size,
                                                  const dqc_call_options *options,
                                                  dqc_callback callback, void *user_data,
                                                  uint64_t *op, dqc_error **error);

/**
 * Prepare one statement; the event carries it. Parameters and return as dqc_conn_exec_async().
 * @threading owner; any if threaded @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_conn_prepare_async(dqc_conn *conn, const char *sql, size_t sql_size,
                                                   const dqc_call_options *options,
                                                   dqc_callback callback, void *user_data,
                                                   uint64_t *op, dqc_error **error);

/** Like dqc_conn_exec_async(), for a prepared statement; without args the bound values are used.
 * @threading owner; any if threaded @since 0.1 */
DQC_API dqc_status DQC_CALL dqc_stmt_exec_async(dqc_stmt *stmt, const dqc_value *args,
                                                size_t arg_count, const dqc_call_options *options,
                                                dqc_callback callback, void *user_data,
                                                uint64_t *op, dqc_error **error);

/** Like dqc_conn_query_async(), for a prepared statement; without args the bound values are used.
 * @threading owner; any if threaded @since 0.1 */
DQC_API dqc_status DQC_CALL dqc_stmt_query_async(dqc_stmt *stmt, const dqc_value *args,
                                                 size_t arg_count, const dqc_call_options *options,
                                                 dqc_callback callback, void *user_data,
                                                 uint64_t *op, dqc_error **error);

/**
 * Ask for the end of an operation. Its terminal event comes promptly, with DQC_E_CANCELLED and what
 * is known of the outcome, unless it completed first; what the server still sends for it is drained
 * in the background.
 * @param[in] op as the submitting call told.
 * @return DQC_OK also for an operation that has completed; DQC_E_NOMEM; DQC_E_FORKED.
 * @threading owner; any if threaded @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_conn_cancel(dqc_conn *conn, uint64_t op);

/**
 * Stop (1) or resume (0) the flow of DQC_EVENT_ROWS of an operation; the server stops stepping soon
 * after. Events that were on their way may still come. Operations behind it wait.
 * @param[in] op as the submitting call told. @param[in] pause 1 or 0.
 * @return DQC_OK; DQC_E_NOMEM; DQC_E_FORKED.
 * @threading owner; any if threaded @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_conn_pause(dqc_conn *conn, uint64_t op, int32_t pause);

/* The blocking forms. On a driven loop they run it, so callbacks of other operations may run
 * meanwhile. */

/**
 * @param[out] result nullable. Else as dqc_conn_exec_async(); the return also tells the statement's
 * own failure.
 * @threading owner; any if threaded @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_conn_exec(dqc_conn *conn, const char *sql, size_t sql_size,
                                          const dqc_value *args, size_t arg_count,
                                          const dqc_call_options *options, dqc_result *result,
                                          dqc_error **error);

/**
 * Returns when the first rows, or the failure, are there; the rest is fetched while stepping. The
 * rows of a statement with RETURNING are all fetched first, so that it is done, and its write lock
 * free, when this returns.
 * @param[out] out a cursor, free with dqc_rows_free(). Else as dqc_conn_exec().
 * @threading owner; any if threaded @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_conn_query(dqc_conn *conn, const char *sql, size_t sql_size,
                                           const dqc_value *args, size_t arg_count,
                                           const dqc_call_options *options, dqc_rows **out,
                                           dqc_error **error);

/** Like dqc_conn_script_async(), blocking; rows are discarded. @param[out] result nullable: of the
 * last statement.
 * @threading owner; any if threaded @since 0.1 */
DQC_API dqc_status DQC_CALL dqc_conn_script(dqc_conn *conn, const char *sql, size_t sql_size,
                                            const dqc_call_options *options, dqc_result *result,
                                            dqc_error **error);

/** Like dqc_conn_prepare_async(), blocking. @param[out] out free with dqc_stmt_free().
 * @threading owner; any if threaded @since 0.1 */
DQC_API dqc_status DQC_CALL dqc_conn_prepare(dqc_conn *conn, const char *sql, size_t sql_size,
                                             const dqc_call_options *options, dqc_stmt **out,
                                             dqc_error **error);

/** Like dqc_conn_exec(), for a prepared statement. @param[out] result nullable.
 * @threading owner; any if threaded @since 0.1 */
DQC_API dqc_status DQC_CALL dqc_stmt_exec(dqc_stmt *stmt, const dqc_value *args, size_t arg_count,
                                          const dqc_call_options *options, dqc_result *result,
                                          dqc_error **error);

/** Like dqc_conn_query(), for a prepared statement. @param[out] out a cursor, free with
 * dqc_rows_free().
 * @threading owner; any if threaded @since 0.1 */
DQC_API dqc_status DQC_CALL dqc_stmt_query(dqc_stmt *stmt, const dqc_value *args, size_t arg_count,
                                           const dqc_call_options *options, dqc_rows **out,
                                           dqc_error **error);

/** Number of parameters: the highest index. @threading any @since 0.1 */
DQC_API uint32_t DQC_CALL dqc_stmt_param_count(const dqc_stmt *stmt);

/** Name of a parameter. @param[in] index from 1. @return the name with its prefix; NULL if it has
 * none. Lives as long as the statement.
 * @threading any @since 0.1 */
DQC_API const char *DQC_CALL dqc_stmt_param_name(const dqc_stmt *stmt, uint32_t index);

/**
 * Bind one value for executions without args; kept until bound anew.
 * @param[in] index from 1; 0: the value's name counts. @param[in] value copied. @param[out] error
 * nullable.
 * @return DQC_OK; DQC_E_PARAMS; DQC_E_NOMEM; DQC_E_FORKED.
 * @threading owner; any, one at a time, if threaded @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_stmt_bind(dqc_stmt *stmt, uint32_t index, const dqc_value *value,
                                          dqc_error **error);

/** One more reference. @param[in] stmt nullable. @return stmt. @threading any @since 0.1 */
DQC_API dqc_stmt *DQC_CALL dqc_stmt_retain(dqc_stmt *stmt);

/** Give a reference back; the last one finalizes the statement on the server. @param[in] stmt
 * nullable.
 * @threading any @since 0.1 */
DQC_API void DQC_CALL dqc_stmt_free(dqc_stmt *stmt);

/* --------------------------------------------------------------------------------------- batches
 * of cells */

/** Number of rows. @threading any @since 0.1 */
DQC_API size_t DQC_CALL dqc_batch_row_count(const dqc_batch *batch);

/** Number of columns; 0 for a statement that returns nothing. @threading any @since 0.1 */
DQC_API size_t DQC_CALL dqc_batch_column_count(const dqc_batch *batch);

/**
 * Name of a column, NUL-terminated; lives as long as the batch.
 * @param[in] column from 0; beyond the last: NULL. @param[out] size nullable; bytes.
 * @threading any @since 0.1
 */
DQC_API const char *DQC_CALL dqc_batch_column_name(const dqc_batch *batch, size_t column,
                                                   size_t *size);

/** All cells, row by row: cell c of row r is cells[r * columns + c]. Lives as long as the batch.
 * @threading any @since 0.1 */
DQC_API const dqc_cell *DQC_CALL dqc_batch_cells(const dqc_batch *batch);

/** One more reference, to keep a batch beyond a callback. @param[in] batch nullable. @return batch.
 * @threading any @since 0.1 */
DQC_API dqc_batch *DQC_CALL dqc_batch_retain(dqc_batch *batch);

/** Give a reference back. @param[in] batch nullable. @threading any @since 0.1 */
DQC_API void DQC_CALL dqc_batch_free(dqc_batch *batch);

/* ---------- cursors ----------------------------------------------------------------------------- */

/**
 * Go to the next row.
 * @param[out] error nullable.
 * @return DQC_ROW; DQC_END; or the failure, after which only dqc_rows_free() makes sense. DQC_E_CLOSED
 * also if a callback that ran meanwhile has freed the cursor.
 * @threading owner; any, one at a time, if threaded @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_rows_step(dqc_rows *rows, dqc_error **error);

/**
 * Take the next batch whole instead of stepping through it.
 * @param[out] out free with dqc_batch_free(); NULL at the end. @param[out] error nullable.
 * @return DQC_ROW; DQC_END; or the failure.
 * @threading owner; any, one at a time, if threaded @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_rows_next_batch(dqc_rows *rows, dqc_batch **out, dqc_error **error);

/** Number of columns. @threading any, one at a time @since 0.1 */
DQC_API size_t DQC_CALL dqc_rows_column_count(const dqc_rows *rows);

/** Name of a column, NUL-terminated; lives as long as the cursor. @param[in] column from 0; beyond
 * the last: NULL.
 * @threading any, one at a time @since 0.1 */
DQC_API const char *DQC_CALL dqc_rows_column_name(const dqc_rows *rows, size_t column);

/** The cell of the current row. @param[in] column from 0. @return the cell, until the next step;
 * NULL without a row or beyond the last column.
 * @threading any, one at a time @since 0.1 */
DQC_API const dqc_cell *DQC_CALL dqc_rows_cell(const dqc_rows *rows, size_t column);

/** Type of the cell. @param[in] column from 0. @return DQC_INTEGER …; DQC_NULL where there is none.
 * @threading any, one at a time @since 0.1 */
DQC_API int32_t DQC_CALL dqc_rows_type(const dqc_rows *rows, size_t column);

/** The cell as an integer. @param[in] column from 0. @return the integer; floats are truncated, all
 * else is 0. @threading any, one at a time @since 0.1 */
DQC_API int64_t DQC_CALL dqc_rows_int64(const dqc_rows *rows, size_t column);

/** The cell as a float. @param[in] column from 0. @return the float; integers are converted, all
 * else is 0. @threading any, one at a time @since 0.1 */
DQC_API double DQC_CALL dqc_rows_double(const dqc_rows *rows, size_t column);

/** Text or blob of the cell. @param[in] column from 0. @param[out] size nullable; bytes. @return
 * the data, until the next step; NULL for other types.
 * @threading any, one at a time @since 0.1 */
DQC_API const char *DQC_CALL dqc_rows_text(const dqc_rows *rows, size_t column, size_t *size);

/** What a statement that modifies data did; complete after DQC_END. @threading any, one at a time
 * @since 0.1 */
DQC_API void DQC_CALL dqc_rows_result(const dqc_rows *rows, dqc_result *result);

/** Rows not read yet are cancelled. @param[in] rows nullable. @threading any @since 0.1 */
DQC_API void DQC_CALL dqc_rows_free(dqc_rows *rows);

/* ---------- administration ---------------------------------------------------------------------- */

#define DQC_ADMIN_LEADER 0   /**< rows: id, address (0 and "" if this node knows of none) */
#define DQC_ADMIN_CLUSTER 1  /**< rows: id, address, role */
#define DQC_ADMIN_ADD 2      /**< node_id, text = address; the node becomes a spare */
#define DQC_ADMIN_ASSIGN 3   /**< node_id, value = DQC_ROLE_ */
#define DQC_ADMIN_REMOVE 4   /**< node_id */
#define DQC_ADMIN_TRANSFER 5 /**< node_id, 0: the leader chooses */
#define DQC_ADMIN_DESCRIBE 6 /**< rows: failure_domain, weight of the node asked */
#define DQC_ADMIN_WEIGHT 7   /**< value: weight of the node asked, until it restarts */
/** text = database; rows: name, size, offset, data: the pieces of the main file, then those of the
 * write-ahead log. `size` is that of the whole file, `offset` the place of `data` in it; an empty file
 * is one row. A database of any size passes in little memory: rows that are not taken hold the server
 * back at "high_water"; "max_message" does not count, "max_result" does, before the first row. The
 * copy is complete only if the operation ended well; names are the server's word. */
#define DQC_ADMIN_DUMP 8

#define DQC_ADMIN_JOIN 9 /**< ADD, then ASSIGN: node_id, text = address, value = DQC_ROLE_ */
/** text = database, NULL or the own one: it is empty then, for everybody, at once; readers finish with
 * what they see. It takes dqlite 1.18.3. DQC_E_UNSUPPORTED on servers before 1.18.2 and inside a
 * transaction, which could not undo it; DQC_E_BUSY while somebody else writes. 1.18.2 cannot be told
 * apart and does not know the PRAGMA, which SQLite ignores: DQC_OK, and nothing is deleted. */
#define DQC_ADMIN_DELETE_DATABASE 10

#define DQC_ROLE_VOTER 0
#define DQC_ROLE_STANDBY 1
#define DQC_ROLE_SPARE 2

/** One administrative request; ids are unsigned 64-bit numbers and come back in DQC_INTEGER cells
 * bit by bit. */
typedef struct dqc_admin {
  uint32_t struct_size; /**< sizeof(dqc_admin) */
  int32_t verb;         /**< DQC_ADMIN_ */
  uint64_t node_id;
  uint64_t value;
  const char *text; /**< nullable, NUL-terminated */
} dqc_admin;

/**
 * LEADER, CLUSTER, DESCRIBE, WEIGHT and DUMP are answered by any node, the others by the leader
 * only.
 * @param[in] request copied. Else as dqc_conn_query_async().
 * @threading owner; any if threaded @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_conn_admin_async(dqc_conn *conn, const dqc_admin *request,
                                                 const dqc_call_options *options,
                                                 dqc_callback callback, void *user_data,
                                                 uint64_t *op, dqc_error **error);

/** @param[out] out nullable: rows, free with dqc_rows_free(). Else as dqc_conn_admin_async().
 * @threading owner; any if threaded @since 0.1 */
DQC_API dqc_status DQC_CALL dqc_conn_admin(dqc_conn *conn, const dqc_admin *request,
                                           const dqc_call_options *options, dqc_rows **out,
                                           dqc_error **error);

/** Like dqc_conn_admin_async(), of the leader. LEADER, CLUSTER, DESCRIBE and WEIGHT also of another
 * node: `text` is its address then, to which the option "address_map" applies, and it is asked over a
 * connection of its own.
 * @threading owner; any if threaded @since 0.1 */
DQC_API dqc_status DQC_CALL dqc_client_admin_async(dqc_client *client, const dqc_admin *request,
                                                   const dqc_call_options *options,
                                                   dqc_callback callback, void *user_data,
                                                   uint64_t *op, dqc_error **error);

/** Like dqc_client_admin_async(), but blocking. @param[out] out nullable: rows, free with
 * dqc_rows_free(). @threading owner; any if threaded @since 0.1 */
DQC_API dqc_status DQC_CALL dqc_client_admin(dqc_client *client, const dqc_admin *request,
                                             const dqc_call_options *options, dqc_rows **out,
                                             dqc_error **error);

#ifdef __cplusplus
}
#endif

#endif /* DQCLIENT_H */
