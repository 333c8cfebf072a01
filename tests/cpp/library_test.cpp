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

}  // namespace
