/* SPDX-License-Identifier: MIT */
// quickstart dqlite://127.0.0.1:9001/app
#include <dqclient/dqclient.hpp>

#include <iostream>

int main(int argc, char** argv) try {
  auto conn = dqc::connection::open(argc > 1 ? argv[1] : "dqlite://127.0.0.1:9001/app").value();

  conn.exec("CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY, name TEXT, age INTEGER)")
      .value();
  auto insert = conn.prepare("INSERT INTO users (name, age) VALUES (?, ?)").value();
  insert.exec("Ada", 36).value();
  insert.exec("Grace", nullptr).value();

  for (auto [id, name, age] : conn.query("SELECT id, name, age FROM users WHERE id > ?", 0)
                                  .value()
                                  .as<int64_t, std::string_view, std::optional<int>>()) {
    std::cout << id << ' ' << name << ' ' << age.value_or(-1) << '\n';
  }

  if (auto failed = conn.exec("INSERT INTO nowhere VALUES (1)"); !failed) {
    std::cout << "as expected: " << failed.error().message() << '\n';
  }
} catch (const dqc::exception& e) {
  std::cerr << e.what() << '\n';
  return 1;
}
