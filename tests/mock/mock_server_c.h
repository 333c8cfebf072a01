/* SPDX-License-Identifier: MIT */
/* The mock server for tests in C: canned scenarios by name, and counters. Every function may be
 * called from any thread until mock_server_stop(). */
#ifndef DQC_TESTS_MOCK_SERVER_C_H
#define DQC_TESTS_MOCK_SERVER_C_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mock_server mock_server;

/* In all of them: the node leads; queries give the rows (1, "one"), (2, "two"), (3, NULL) in columns
 * id and name, `SELECT <integer>` that integer, `SELECT ?, ?` its parameters; other statements
 * report rowids that count up from 1 and one changed row. "exec" and "query" below mean both the
 * prepared and the direct request. `n` is 0 for the default in brackets.
 *
 * name              what is different
 * normal            nothing
 * big_result        queries give n rows [10000] in column n: 0 … n-1
 * late_result       the same, but all behind the first row comes 20 ms later
 * stalled_result    the same, but all behind the first row comes after mock_server_release()
 * big_dump          DUMP gives a main file of n MiB [100], made as it is sent, and an empty one
 * slow_writes       each reply to exec and query arrives in pieces of n bytes [1], 1 ms apart
 * delay             exec and query are answered after n ms [100]
 * stall             exec and query are not answered before mock_server_release()
 * stall_handshake   nothing is answered before mock_server_release()
 * busy              the first n [1] exec fail: 5, database is locked
 * checkpoint        the first n [1] exec and query fail: 5, checkpoint in progress
 * not_leader        OPEN (era D), exec and query fail: 10250; LEADER knows nobody
 * leadership_lost   exec fails: 10506
 * failure_prefix    queries fail: 1, integer overflow, behind leftover row data
 * failure_late      queries give n [2] PART frames, then the failure of failure_prefix
 * close_on_accept   connections are closed at once
 * close_on_write    exec: the connection is closed (FIN)
 * reset_on_write    exec: the connection is reset
 * reset_mid_rows    queries give one PART frame, then the connection is reset
 * truncate          queries send n bytes [20] of their reply, then the connection is closed
 * endless_parts     queries give PART frames with rows for ever
 * zero_row_part     queries give a PART frame without rows, for ever
 * silent_stream     queries give one PART frame and nothing more; the next request is answered
 * changed_names     queries give a PART frame, then a DONE frame with other column names
 * surplus           eight bytes too many inside the frame of each query's reply
 * wrong_type        queries are answered by EMPTY
 * huge_header       queries are answered by a header that promises 2^29 - 1 words
 * bad_tag           queries give a row with a tag that does not exist
 * hang_up           the first n [1] connections are closed at their version word
 */

/* `era`: 'A' to 'D'. NULL: no such scenario or era, or no socket. */
mock_server* mock_server_start(char era, const char* scenario, uint64_t n);
void mock_server_stop(mock_server* server); /* NULL is fine */

uint16_t mock_server_port(const mock_server* server); /* on 127.0.0.1 */
int mock_server_connect(mock_server* server);         /* a served socket; the caller closes it */
void mock_server_release(mock_server* server);
void mock_server_set_down(mock_server* server, int down); /* refuse and reset; or serve again */

uint64_t mock_server_connections(const mock_server* server); /* accepted so far */
uint64_t mock_server_gone(const mock_server* server);        /* ended by the client so far */
/* Of this type, or -1: of all; without the era probes. */
uint64_t mock_server_requests(const mock_server* server, int type);
/* How many requests had this text in their SQL (of the prepared statement for EXEC and QUERY). */
uint64_t mock_server_sql_count(const mock_server* server, const char* part);
/* What a client must never send; text `at` is valid until the next call. */
uint64_t mock_server_violations(const mock_server* server);
const char* mock_server_violation(mock_server* server, uint64_t at); /* NULL: none */

/* 1 once there are `count`; 0 after the timeout. */
int mock_server_wait_requests(const mock_server* server, int type, uint64_t count, int timeout_ms);
int mock_server_wait_gone(const mock_server* server, uint64_t count, int timeout_ms);

#ifdef __cplusplus
}
#endif

#endif
