/* SPDX-License-Identifier: MIT */
/* References every public function: one that is missing in the library, or in this list, fails the
 * test. */
#include <dqclient/dqclient_uv.h>
#include <stdio.h>

#define F(name) \
  { #name, (void (*)(void))(name) }

static const struct {
  const char *name;
  void (*function)(void);
} kFunctions[] = {
    F(dqc_batch_cells),       F(dqc_batch_column_count), F(dqc_batch_column_name),
    F(dqc_batch_free),        F(dqc_batch_retain),       F(dqc_batch_row_count),
    F(dqc_config_free),       F(dqc_config_new),         F(dqc_config_set),
    F(dqc_config_set_dial),   F(dqc_config_set_dsn),     F(dqc_config_set_env),
    F(dqc_config_set_log),    F(dqc_conn_address),       F(dqc_conn_admin),
    F(dqc_conn_admin_async),  F(dqc_conn_cancel),        F(dqc_conn_close),
    F(dqc_conn_close_async),  F(dqc_conn_connect),       F(dqc_conn_connect_async),
    F(dqc_conn_era),          F(dqc_conn_exec),          F(dqc_conn_exec_async),
    F(dqc_conn_free),         F(dqc_conn_new),           F(dqc_conn_open),
    F(dqc_conn_pause),        F(dqc_conn_prepare),       F(dqc_conn_prepare_async),
    F(dqc_conn_query),        F(dqc_conn_query_async),   F(dqc_conn_script),
    F(dqc_conn_script_async), F(dqc_conn_state),         F(dqc_conn_transaction),
    F(dqc_dial_done),         F(dqc_error_code),         F(dqc_error_free),
    F(dqc_error_message),     F(dqc_error_node),         F(dqc_error_outcome),
    F(dqc_error_phase),       F(dqc_error_retain),       F(dqc_error_retry),
    F(dqc_error_server_code), F(dqc_error_server_text),  F(dqc_error_sql_offset),
    F(dqc_error_sqlite_code), F(dqc_loop_attach),        F(dqc_loop_fd),
    F(dqc_loop_free),         F(dqc_loop_new),           F(dqc_loop_run),
    F(dqc_loop_timeout_ms),   F(dqc_loop_wake),          F(dqc_queue_dispatch),
    F(dqc_queue_fd),          F(dqc_queue_free),         F(dqc_queue_new),
    F(dqc_queue_set_notify),  F(dqc_queue_wait),         F(dqc_rows_cell),
    F(dqc_rows_column_count), F(dqc_rows_column_name),   F(dqc_rows_double),
    F(dqc_rows_free),         F(dqc_rows_int64),         F(dqc_rows_next_batch),
    F(dqc_rows_result),       F(dqc_rows_step),          F(dqc_rows_text),
    F(dqc_rows_type),         F(dqc_status_name),        F(dqc_stmt_bind),
    F(dqc_stmt_exec),         F(dqc_stmt_exec_async),    F(dqc_stmt_free),
    F(dqc_stmt_param_count),  F(dqc_stmt_param_name),    F(dqc_stmt_query),
    F(dqc_stmt_query_async),  F(dqc_stmt_retain),        F(dqc_version),
    F(dqc_version_number),
};

enum { FUNCTIONS = sizeof(kFunctions) / sizeof(kFunctions[0]), EXPECTED = 85 };

int main(void) {
  for (int i = 0; i < FUNCTIONS; ++i) {
    if (kFunctions[i].function == NULL) {
      fprintf(stderr, "%s is missing\n", kFunctions[i].name);
      return 1;
    }
  }
  return FUNCTIONS == EXPECTED ? 0 : 1;
}
