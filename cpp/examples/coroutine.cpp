/* SPDX-License-Identifier: MIT */
// coroutine dqlite://127.0.0.1:9001,127.0.0.1:9002/app: several connections at work, on one thread.
#include <dqclient/coro.hpp>

#include <iostream>

dqc::task<int64_t> count(dqc::coro::client db, int low, int high) {
  auto rows = co_await db.query("SELECT n FROM numbers WHERE n BETWEEN ? AND ?", low, high);
  int64_t sum = 0;
  for (auto [n] : rows.as<int64_t>()) sum += n;
  co_return sum;
}

dqc::task<> work(dqc::loop& loop, std::string_view dsn) {
  auto db = co_await dqc::coro::open(loop, dsn);  // finds the leader, and follows it
  co_await db.exec("CREATE TABLE IF NOT EXISTS numbers (n INTEGER PRIMARY KEY)");

  // All of it or nothing, and once more from the start if the leader changes in the middle.
  auto fill = [](dqc::coro::transaction& tx) -> dqc::task<> {
    co_await tx.exec("DELETE FROM numbers");
    co_await tx.exec("INSERT INTO numbers VALUES (1), (10)");
  };
  co_await db.run_tx(fill);

  // Operations start when they are made: writes that wait share a transaction.
  auto a = db.exec("INSERT INTO numbers VALUES (?)", 100);
  auto b = db.exec("INSERT INTO numbers VALUES (?)", 400);
  co_await std::move(a), co_await std::move(b);

  auto [small, large] = co_await dqc::when_all(count(db, 0, 50), count(db, 50, 500));
  std::cout << "small: " << small << ", large: " << large << '\n';
}

int main(int argc, char** argv) try {
  auto loop = dqc::loop::driven().value();
  dqc::run(loop, work(loop, argc > 1 ? argv[1] : "dqlite://127.0.0.1:9001/app"));
} catch (const dqc::exception& e) {
  std::cerr << e.what() << '\n';
  return 1;
}
