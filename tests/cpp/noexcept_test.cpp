/* SPDX-License-Identifier: MIT */
// The facade without exceptions and RTTI: everything is there but what throws. Exit code 0, or the line that failed.
#include <dqclient/dqclient.hpp>
#if __cplusplus >= 202002L
#include <dqclient/coro.hpp>
#endif

#if DQC_CPP_EXCEPTIONS
#error "this test is for -fno-exceptions"
#endif

#define CHECK(condition)                     \
  do {                                       \
    if (!(condition)) return __LINE__ % 256; \
  } while (0)

// Instantiated, never run without a server.
int use_everything(dqc::connection& conn);
int use_everything(dqc::connection& conn) {
  dqc::result<dqc::rows> rows = conn.query("SELECT id, name FROM t WHERE id > ?", 1);
  if (!rows) return 1;
  auto typed = rows->as<int64_t, std::string_view>();
  for (auto [id, name] : typed) CHECK(id > 0 && !name.empty());
  if (typed.error()) return 2;
  dqc::result<dqc::statement> statement = conn.prepare("SELECT 1");
  if (!statement || !statement->bind(1, 5) || !statement->exec()) return 3;
  if (!conn.exec_async([](const dqc::event&) {}, "x", 1, std::string("s"), nullptr)) return 4;
  if (!conn.query_async([](const dqc::result<dqc::result_set>&) {}, "x")) return 5;
  if (!conn.cluster() || !conn.dump("app") || !conn.script("x")) return 6;
  return conn.close().ok() ? 0 : 7;
}

int use_client(dqc::client& db);
int use_client(dqc::client& db) {
  auto transfer = [](dqc::transaction& tx) -> dqc::result<int64_t> {
    auto done = tx.exec("UPDATE account SET balance = balance - ?", 1);
    if (!done) return done.error();
    auto logged = tx.nested([](dqc::transaction& t) -> dqc::result<void> {
      return t.exec("INSERT INTO ledger VALUES (1)").error();
    });
    if (!logged) return logged.error();
    return done->last_insert_id();
  };
  if (!db.run_tx(transfer, dqc::tx_options().mode(dqc::tx_mode::deferred))) return 1;
  dqc::result<dqc::connection> lease = db.acquire();
  if (!lease || !lease->exec("x")) return 2;
  if (!db.acquire_async([](const dqc::result<dqc::connection>&) {})) return 3;
  for (const dqc::attempt& a : lease.error().attempts()) CHECK(!a.address.empty());
  return db.close().ok() ? 0 : 4;
}

#if __cplusplus >= 202002L
static dqc::task<dqc_status> no_leader(dqc::loop& loop) {
  auto config = dqc::config::parse("dqlite://127.0.0.1:1/app?connect_timeout=2s");
  auto db = dqc::coro::client::create(loop, *config);
  if (!db) co_return db.error().code();
  auto one = [](dqc::coro::transaction& tx) -> dqc::task<dqc::result<int>> {
    auto done = co_await tx.exec("DELETE FROM t").as_result();
    if (!done) co_return done.error();
    auto inner = co_await tx.nested(
        [](dqc::coro::transaction&) -> dqc::task<dqc::result<int>> { co_return 1; });
    co_return inner;
  };
  auto r = co_await db->run_tx(one, dqc::tx_options().timeout(std::chrono::milliseconds(100)));
  co_return r.error().code();
}

static dqc::task<dqc_status> refused(dqc::loop& loop) {
  auto conn =
      co_await dqc::coro::connect(loop, "dqlite://127.0.0.1:1/app?connect_timeout=2s").as_result();
  if (conn) {
    auto rows = conn->stream("SELECT 1");
    while (auto batch = co_await rows.next_result()) {
      if (!batch->has_value()) break;
    }
  }
  co_return conn.error().code();
}
#endif

int main() {
  dqc::result<dqc::loop> loop = dqc::loop::driven();
  CHECK(loop.ok());
  CHECK(loop->fd() >= 0);
  dqc::result<dqc::config> bad = dqc::config::parse("dqlite://h:1/db?no_such_option=1");
  CHECK(!bad && bad.error().code() == DQC_E_CONFIG);
  dqc::config config = *dqc::config::create();
  dqc::config taken = *dqc::config::create();
  CHECK(!dqc::config::create().get(taken));
  CHECK(config.set("timeout", "5s"));
  CHECK(config.set_dsn("dqlite://127.0.0.1:1/app?connect_timeout=2s"));
  dqc::result<dqc::connection> conn = dqc::connection::create(*loop, config);
  CHECK(conn.ok());
  const dqc::result<void> connected = conn->connect();
  CHECK(!connected && connected.error().code() == DQC_E_CONNECT);
  dqc::result<dqc::client> db = dqc::client::create(*loop, config);
  CHECK(db.ok());
  const auto tx = db->run_tx([](dqc::transaction&) -> dqc::result<int> { return 1; },
                             dqc::tx_options().timeout(std::chrono::milliseconds(100)));
  CHECK(!tx && tx.error().code() == DQC_E_CONNECT);
#if __cplusplus >= 202002L
  dqc::result<dqc_status> status = dqc::try_run(*loop, refused(*loop));
  CHECK(status && *status == DQC_E_CONNECT);
  dqc::result<dqc_status> none = dqc::try_run(*loop, no_leader(*loop));
  CHECK(none && *none == DQC_E_CONNECT);
#endif
  return 0;
}
