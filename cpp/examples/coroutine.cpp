/* SPDX-License-Identifier: MIT */
// coroutine dqlite://127.0.0.1:9001/app: two connections at work at the same time, on one thread.
#include <dqclient/coro.hpp>

#include <iostream>

dqc::task<int64_t> count(dqc::coro::connection conn, int low, int high) {
  auto rows = co_await conn.query("SELECT n FROM numbers WHERE n BETWEEN ? AND ?", low, high);
  int64_t sum = 0;
  for (auto [n] : rows.as<int64_t>()) sum += n;
  co_return sum;
}

dqc::task<> work(dqc::loop& loop, std::string_view dsn) {
  auto conn = co_await dqc::coro::connect(loop, dsn);
  co_await conn.exec("CREATE TABLE IF NOT EXISTS numbers (n INTEGER PRIMARY KEY)");
  co_await conn.exec("DELETE FROM numbers");

  // Operations start when they are made, so these three travel together.
  auto a = conn.exec("INSERT INTO numbers VALUES (?)", 1);
  auto b = conn.exec("INSERT INTO numbers VALUES (?)", 10);
  auto c = conn.exec("INSERT INTO numbers VALUES (?)", 100);
  co_await std::move(a), co_await std::move(b), co_await std::move(c);

  auto other = co_await dqc::coro::connect(loop, dsn);
  auto [small, large] = co_await dqc::when_all(count(conn, 0, 50), count(other, 50, 500));
  std::cout << "small: " << small << ", large: " << large << '\n';
}

int main(int argc, char** argv) try {
  auto loop = dqc::loop::driven().value();
  dqc::run(loop, work(loop, argc > 1 ? argv[1] : "dqlite://127.0.0.1:9001/app"));
} catch (const dqc::exception& e) {
  std::cerr << e.what() << '\n';
  return 1;
}
