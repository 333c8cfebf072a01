/* SPDX-License-Identifier: MIT */
// The facade above the library, without any server.
#include <gtest/gtest.h>
#include <dqclient/coro.hpp>

#include <chrono>
#include <thread>

namespace {

using namespace std::chrono_literals;

// Nothing listens on port 1 of the loopback interface.
constexpr const char* kNobody = "dqlite://127.0.0.1:1/app?connect_timeout=2s";

TEST(Library, HeaderAndLibraryAreOfOneVersion) {
  EXPECT_EQ(dqc_version_number(), DQC_VERSION_NUMBER);
}

TEST(Library, ABadDsnSaysWhatIsWrong) {
  const auto r = dqc::connection::open("postgres://h/db");
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.error().code(), DQC_E_CONFIG);
  EXPECT_EQ(r.error().outcome(), DQC_OUTCOME_NOT_EXECUTED);
  EXPECT_EQ(r.error().phase(), DQC_PHASE_CONFIG);
  EXPECT_STRNE(r.error().message(), "");
  EXPECT_THROW(dqc::connection::open("postgres://h/db").value(), dqc::exception);
}

TEST(Library, ABadOptionSaysWhatIsWrong) {
  dqc::config config = dqc::config::create().value();
  const auto r = config.set("timeuot", "5s");
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.error().code(), DQC_E_CONFIG);
  EXPECT_NE(std::string(r.error().message()).find("timeuot"), std::string::npos)
      << r.error().message();
}

TEST(Library, ARefusedConnectionIsToldWithItsNode) {
  const auto r = dqc::connection::open(kNobody);
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.error().code(), DQC_E_CONNECT) << r.error().message();
  EXPECT_EQ(r.error().error_class(), dqc::error_class::network);
  EXPECT_EQ(dqc_error_class(r.error().get()), DQC_CLASS_NETWORK);
  EXPECT_EQ(dqc::error().error_class(), dqc::error_class::none);
  EXPECT_EQ(dqc::error::make(DQC_E_PARAMS, "mine").error_class(), dqc::error_class::misuse);
  EXPECT_EQ(r.error().phase(), DQC_PHASE_CONNECT);
  EXPECT_EQ(r.error().retry(), DQC_RETRY_SAFE);
  EXPECT_STREQ(r.error().node(), "127.0.0.1:1");
  EXPECT_EQ(r.error().server_code(), 0);
  EXPECT_STREQ(r.error().server_text(), "");
  EXPECT_EQ(r.error().sql_offset(), -1);
}

TEST(Library, OperationsBehindARefusedConnectionFail) {
  dqc::loop loop = dqc::loop::driven().value();
  dqc::connection conn = dqc::connection::create(loop, dqc::config::parse(kNobody).value()).value();
  EXPECT_EQ(conn.state(), DQC_STATE_NEW);
  EXPECT_STREQ(conn.address(), "127.0.0.1:1");
  std::vector<dqc_status> ends;
  conn.connect_async([&](const dqc::result<void>& r) { ends.push_back(r.error().code()); }).value();
  conn.exec_async([&](const dqc::result<dqc::exec_result>& r) { ends.push_back(r.error().code()); },
                  "DELETE FROM t")
      .value();
  loop.run().value();
  ASSERT_EQ(ends.size(), 2u);
  EXPECT_EQ(ends[0], DQC_E_CONNECT);
  EXPECT_LT(ends[1], 0);
  EXPECT_EQ(conn.state(), DQC_STATE_CLOSED);
}

TEST(Library, TheWrongNumberOfArgumentsIsRefused) {
  dqc::loop loop = dqc::loop::driven().value();
  dqc::connection conn = dqc::connection::create(loop, dqc::config::parse(kNobody).value()).value();
  conn.connect_async([](const dqc::event&) {}).value();
  const auto r =
      conn.exec_async([](const dqc::event&) { ADD_FAILURE(); }, "DELETE FROM t WHERE a = ?", 1, 2);
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.error().code(), DQC_E_PARAMS) << r.error().message();
  loop.run().value();
}

TEST(Library, ADialFunctionOfTheApplication) {
  dqc::loop loop = dqc::loop::driven().value();
  dqc::config config = dqc::config::parse(kNobody).value();
  std::string asked;
  auto dial = [&](const char* address, dqc::dial_request request) {
    asked = address;
    request.fail("no way");
  };
  config.set_dial(dial).value();
  dqc::connection conn = dqc::connection::create(loop, config).value();
  const auto r = conn.connect();
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.error().code(), DQC_E_CONNECT);
  EXPECT_NE(std::string(r.error().message()).find("no way"), std::string::npos)
      << r.error().message();
  EXPECT_EQ(asked, "127.0.0.1:1");
}

TEST(Library, ADialRequestThatIsDroppedFails) {
  dqc::loop loop = dqc::loop::driven().value();
  dqc::config config = dqc::config::parse(kNobody).value();
  auto dial = [](const char*, const dqc::dial_request&) {};
  config.set_dial(dial).value();
  dqc::connection conn = dqc::connection::create(loop, config).value();
  EXPECT_EQ(conn.connect().error().code(), DQC_E_CONNECT);
}

TEST(Library, LogRecords) {
  dqc::loop loop = dqc::loop::driven().value();
  dqc::config config = dqc::config::parse(kNobody).value();
  int records = 0;
  auto log = [&](const dqc_log_record& record) { records += record.event != nullptr ? 1 : 0; };
  config.set_log(DQC_LOG_DEBUG, log).value();
  dqc::connection conn = dqc::connection::create(loop, config).value();
  EXPECT_FALSE(conn.connect().ok());
  EXPECT_GT(records, 0);
}

TEST(Library, AQueueOfAThreadedLoop) {
  dqc::loop loop = dqc::loop::threaded().value();
  dqc::queue queue = dqc::queue::create().value();
  EXPECT_EQ(loop.fd(), -1);
  EXPECT_GE(queue.fd(), 0);
  EXPECT_FALSE(queue.wait(0ms).value());
  static std::atomic<int> notified{
      0};  // static: no_notify() does not wait for a call that is on its way
  static auto notify = []() noexcept { ++notified; };
  notified = 0;
  queue.set_notify(notify).value();
  dqc::connection conn =
      dqc::connection::create(loop, queue, dqc::config::parse(kNobody).value()).value();
  dqc_status status = DQC_OK;
  conn.connect_async([&](const dqc::result<void>& r) { status = r.error().code(); }).value();
  ASSERT_TRUE(queue.wait(10s).value());
  EXPECT_EQ(status, DQC_OK);
  queue.dispatch().value();
  EXPECT_EQ(status, DQC_E_CONNECT);
  while (notified == 0) std::this_thread::yield();  // perhaps after the event can be taken
  queue.no_notify();
}

TEST(Library, RunOnceReturnsOnWake) {
  dqc::loop loop = dqc::loop::driven().value();
  std::thread waker([&] {
    std::this_thread::sleep_for(20ms);
    loop.wake();
  });
  loop.run(dqc::run_mode::once).value();
  waker.join();
}

TEST(Library, CoroutinesSeeARefusedConnection) {
  dqc::loop loop = dqc::loop::driven().value();
  auto work = [](dqc::loop& l) -> dqc::task<dqc_status> {
    auto r = co_await dqc::coro::connect(l, kNobody).as_result();
    co_return r.error().code();
  };
  EXPECT_EQ(dqc::run(loop, work(loop)), DQC_E_CONNECT);
  auto two = [&]() -> dqc::task<> { co_await dqc::when_all(work(loop), work(loop)); };
  dqc::run(loop, two());
  auto throws = [](dqc::loop& l) -> dqc::task<> { co_await dqc::coro::connect(l, kNobody); };
  EXPECT_THROW(dqc::run(loop, throws(loop)), dqc::exception);
}

TEST(Library, CoroutinesOnAQueue) {
  dqc::loop loop = dqc::loop::threaded().value();
  dqc::queue queue = dqc::queue::create().value();
  auto work = [](dqc::loop& l, dqc::queue& q) -> dqc::task<> {
    co_await dqc::coro::connect(l, q, kNobody);
  };
  EXPECT_THROW(dqc::run(queue, work(loop, queue)), dqc::exception);
}

TEST(Library, AnAbandonedConnectIsCancelled) {
  dqc::loop loop = dqc::loop::driven().value();
  { auto dropped = dqc::coro::connect(loop, kNobody); }
  loop.run().value();
}

// Two addresses that refuse.
constexpr const char* kNobodies = "dqlite://127.0.0.1:1,127.0.0.1:2/app?connect_timeout=2s";

TEST(LibraryClient, AFailedSearchTellsOfEveryNode) {
  dqc::client db = dqc::client::create(dqc::config::parse(kNobodies).value()).value();
  const auto r = db.with(dqc::options().timeout(300ms)).connect();
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.error().code(), DQC_E_CONNECT);
  ASSERT_EQ(r.error().attempts().size(), 2u);
  for (const dqc::attempt& a : r.error().attempts()) {
    EXPECT_EQ(a.address.substr(0, 10), "127.0.0.1:");
    EXPECT_EQ(a.code, DQC_E_CONNECT);
    EXPECT_EQ(a.phase, DQC_PHASE_CONNECT);
    EXPECT_FALSE(a.cause.empty());
    EXPECT_TRUE(a.leader.empty());
  }
  EXPECT_TRUE(r.error().attempts()[2].address.empty());
  const dqc::error none;
  EXPECT_TRUE(none.attempts().empty());
  EXPECT_EQ(db.leader_address(), "");
  EXPECT_GE(db.stats().attempts, 2u);
}

TEST(LibraryClient, BadConfigurationsAreRefused) {
  EXPECT_EQ(dqc::client::open("postgres://h/db").error().code(), DQC_E_CONFIG);
  dqc::client db = dqc::client::create(dqc::config::parse(kNobodies).value()).value();
  EXPECT_EQ(db.set_nodes({}).error().code(), DQC_E_MISUSE);
  EXPECT_TRUE(db.set_nodes(std::vector<dqc::node_info>{{1, "127.0.0.1:3"}}).ok());
  dqc::client moved(std::move(db).release());
  EXPECT_TRUE(moved.close().ok());
  EXPECT_EQ(moved.acquire().error().code(), DQC_E_CLOSED);
}

TEST(LibraryClient, ATransactionWithoutAClusterEndsAtItsDeadline) {
  dqc::client db = dqc::client::create(dqc::config::parse(kNobodies).value()).value();
  bool ran = false;
  const auto start = std::chrono::steady_clock::now();
  const auto r =
      db.run_tx([&](dqc::transaction&) { ran = true; }, dqc::tx_options().timeout(300ms));
  EXPECT_EQ(r.error().code(), DQC_E_CONNECT);
  EXPECT_EQ(r.error().outcome(), DQC_OUTCOME_NOT_EXECUTED);
  EXPECT_FALSE(ran);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 2s);
}

TEST(LibraryClient, CallbacksHearOfFailuresAndOfTheEnd) {
  dqc::loop loop = dqc::loop::driven().value();
  dqc::client db = dqc::client::create(loop, dqc::config::parse(kNobodies).value()).value();
  std::vector<dqc_status> codes;
  db.with(dqc::options().timeout(100ms))
      .acquire_async(
          [&](const dqc::result<dqc::connection>& r) { codes.push_back(r.error().code()); })
      .value();
  db.exec_async([&](const dqc::event& e) { codes.push_back(e.status()); }, "DELETE FROM t").value();
  loop.run(dqc::run_mode::nowait).value();
  while (codes.empty()) loop.run(dqc::run_mode::once).value();
  db.close_async([&](const dqc::result<void>& r) { codes.push_back(r.error().code()); }).value();
  loop.run().value();
  EXPECT_EQ(codes, (std::vector<dqc_status>{DQC_E_CONNECT, DQC_E_CLOSED, DQC_OK}));
}

TEST(LibraryClient, AWatchHearsOfNodesThatAreDown) {
  dqc::config config = dqc::config::parse(kNobodies).value();
  int down = 0;
  auto watch = [&](const dqc_topology& t) { down += t.type == DQC_TOPOLOGY_NODE_DOWN ? 1 : 0; };
  config.set_watch(watch).value();
  dqc::client db = dqc::client::create(config).value();
  EXPECT_FALSE(db.with(dqc::options().timeout(300ms)).connect().ok());
  EXPECT_GT(down, 0);
}

TEST(LibraryClient, CoroutinesSeeFailures) {
  dqc::loop loop = dqc::loop::driven().value();
  auto work = [&]() -> dqc::task<> {
    auto bad = co_await dqc::coro::open(loop, "nonsense").as_result();
    EXPECT_EQ(bad.error().code(), DQC_E_CONFIG);
    auto db = dqc::coro::client::create(loop, dqc::config::parse(kNobodies).value()).value();
    auto none = co_await db.with(dqc::options().timeout(100ms)).acquire().as_result();
    EXPECT_EQ(none.error().code(), DQC_E_CONNECT);
    auto tx = co_await db.run_tx(
        [](dqc::coro::transaction&) -> dqc::task<dqc::result<int>> { co_return 1; },
        dqc::tx_options().timeout(100ms));
    EXPECT_EQ(tx.error().code(), DQC_E_CONNECT);
    bool thrown = false;
    try {
      co_await db.run_tx([](dqc::coro::transaction&) -> dqc::task<> { co_return; },
                         dqc::tx_options().timeout(100ms));
    } catch (const dqc::exception& e) {
      thrown = e.error().code() == DQC_E_CONNECT;
    }
    EXPECT_TRUE(thrown);
    co_await db.close();
  };
  dqc::run(loop, work());
  loop.run().value();  // nothing is left that would keep it
}

}  // namespace
