/* SPDX-License-Identifier: MIT */
/**
 * @file dqclient_uv.h
 * Run dqclient on a uv_loop_t of the application. A header of its own, so that dqclient.h does not
 * depend on libuv.
 */
#ifndef DQCLIENT_UV_H
#define DQCLIENT_UV_H

#include <dqclient/dqclient.h>
#include <uv.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * A loop that lives on the application's uv_loop_t: callbacks run inside its uv_run(). The
 * application's libuv must be the one that dqclient uses (the shared library of the system).
 * A host that embeds that loop may as well wait on uv_backend_fd() for uv_backend_timeout() and then
 * run it with UV_RUN_NOWAIT. Blocking calls are refused with DQC_E_MISUSE.
 *
 * The thread that attaches owns the loop until another one runs the uv loop, which owns it from then
 * on. While the uv loop is being run, and has been through a turn there, calls with a callback,
 * dqc_conn_cancel() and dqc_conn_pause() may come from other threads too: they are handed over.
 * dqc_loop_free() and the free of the last handle belong on the thread of the uv loop; run the uv
 * loop once more after them, so that the library's uv handles are closed. On another thread they reach
 * a uv loop only that something else keeps running: else uv_loop_close() says UV_EBUSY.
 * @param[in] uv   outlives the loop and all its connections.
 * @param[out] out free with dqc_loop_free(). @param[out] error nullable.
 * @return DQC_OK; DQC_E_NOMEM; DQC_E_MISUSE; DQC_E_INTERNAL with libuv's reason.
 * @threading owner of the uv loop @since 0.1
 */
DQC_API dqc_status DQC_CALL dqc_loop_attach(uv_loop_t *uv, dqc_loop **out, dqc_error **error);

#ifdef __cplusplus
}
#endif

#endif /* DQCLIENT_UV_H */
