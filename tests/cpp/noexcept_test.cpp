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

#if __cplusplus >= 202002L
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
#if __cplusplus >= 202002L
  dqc::result<dqc_status> status = dqc::try_run(*loop, refused(*loop));
  CHECK(status && *status == DQC_E_CONNECT);
#endif
  return 0;
}
