/* SPDX-License-Identifier: MIT */
/**
 * @file coro.hpp
 * Coroutines for dqclient: C++20, header only.
 * @code
 *   dqc::task<> work(dqc::loop& loop) {
 *     auto conn = co_await dqc::coro::connect(loop, "dqlite://127.0.0.1:9001/app");
 *     auto rows = co_await conn.query("SELECT id, name FROM users WHERE id > ?", 42);
 *     for (auto [id, name] : rows.as<int64_t, std::string_view>()) use(id, name);
 *   }
 *   int main() { auto loop = dqc::loop::driven().value(); dqc::run(loop, work(loop)); }
 * @endcode
 * All of it belongs to one thread: the one that drives the loop, or dispatches the queue of a threaded loop. A
 * coroutine is resumed inside a callback, so the blocking calls of the library refuse to work there.
 */
#pragma once

#include <dqclient/detail/coro_client.hpp>
