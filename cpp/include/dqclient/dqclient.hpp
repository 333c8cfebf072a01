/* SPDX-License-Identifier: MIT */
/**
 * @file dqclient.hpp
 * The C++ facade of dqclient: C++17, header only, above <dqclient/dqclient.h>. Coroutines have a header of their own.
 *
 *  - Handles (loop, queue, client, connection, statement, rows) are move-only and give their reference back when destroyed,
 *    which never blocks. batch, result_set and error are cheap copies of shared immutable objects.
 *  - What can fail returns dqc::result<T>: ask it, or take value(), which throws dqc::exception. With -fno-exceptions
 *    the throwing members are not there; nothing else changes.
 *  - Views (row_view, cell, std::string_view, blob_view) borrow; members that would let one dangle refuse temporaries.
 *  - Threads: the rules of the C header, which is the reference for all behaviour that is not said here.
 *  - A callback is destroyed after its terminal event. If that can never come, because its loop is not run any more or
 *    its queue was destroyed first, it is leaked: close the connections and run or dispatch what is left.
 *  - A moved-from handle may only be assigned or destroyed.
 */
#pragma once

#include <dqclient/detail/admin.hpp>
#include <dqclient/detail/base.hpp>
#include <dqclient/detail/batch.hpp>
#include <dqclient/detail/calls.hpp>
#include <dqclient/detail/client.hpp>
#include <dqclient/detail/connection.hpp>
#include <dqclient/detail/event.hpp>
#include <dqclient/detail/loop.hpp>
#include <dqclient/detail/row.hpp>
#include <dqclient/detail/transaction.hpp>
#include <dqclient/detail/value.hpp>
