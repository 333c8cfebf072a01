/* SPDX-License-Identifier: MIT */
// Clients against real clusters: blocking calls, callbacks, leases.
#include <chrono>
#include <csignal>

#include "cpp/live_test.hpp"

namespace {

using namespace std::chrono_literals;

class LiveClient : public FacadeLiveTest {};
DQC_LIVE_SUITE(LiveClient);

TEST_P(LiveClient, RunsStatementsAndScripts) {
  dqc::client db = dqc::client::open(dsn_).value();
  const dqc::exec_result done = db.exec(Sql("INSERT INTO $ (id, name) VALUES (?, 'a')"), 7).value();
  EXPECT_EQ(done.last_insert_id(), 7);
  EXPECT_EQ(db.script(Sql("DELETE FROM $; INSERT INTO $ (id) VALUES (8)")).value().statements(),
            2u);
  EXPECT_EQ(db.query(Sql("SELECT id FROM $")).value().scalar<int64_t>().value(), 8);
  EXPECT_TRUE(db.with(dqc::options().alone().idempotent().timeout(5s))
                  .exec(Sql("INSERT INTO $ (id) VALUES (9)"))
                  .ok());
  EXPECT_EQ(db.exec(Sql("INSERT INTO $ (id) VALUES (9)")).error().code(), DQC_E_CONSTRAINT);
  const dqc_stats stats = db.stats();
  EXPECT_GE(stats.open, 1u);
  EXPECT_GE(stats.completed, 5u);
  EXPECT_EQ(db.leader_address(), OneNode().Address(0));
  EXPECT_EQ(db.leader().value().address, OneNode().Address(0));
  EXPECT_EQ(db.leader(OneNode().Address(0)).value().address, OneNode().Address(0));
  EXPECT_EQ(db.cluster(OneNode().Address(0)).value().size(), 1u);
  EXPECT_TRUE(db.weight(0, OneNode().Address(0)).ok());
  EXPECT_EQ(db.describe(OneNode().Address(0)).value().weight, 0u);
  EXPECT_EQ(db.describe("no address:").error().code(), DQC_E_CONFIG);
  EXPECT_TRUE(db.set_nodes(db.cluster().value()).ok());
  EXPECT_TRUE(db.set_nodes({{1, OneNode().Address(0)}}).ok());
  EXPECT_EQ(db.set_nodes({{1, "not an address:x"}}).error().code(), DQC_E_CONFIG);
  EXPECT_TRUE(db.close().ok());
  EXPECT_EQ(db.exec("SELECT 1").error().code(), DQC_E_CLOSED);
}

TEST_P(LiveClient, ALeaseIsAConnectionUntilItIsDestroyed) {
  dqc::client db = dqc::client::create(dqc::config::parse(dsn_).value()).value();
  {
    dqc::connection lease = db.acquire().value();
    EXPECT_EQ(db.stats().leased, 1u);
    EXPECT_EQ(lease.state(), DQC_STATE_READY);
    EXPECT_EQ(lease.transaction_state(), dqc::transaction_state::none);
    lease.exec("BEGIN IMMEDIATE").value();
    EXPECT_EQ(lease.transaction_state(), dqc::transaction_state::open);
    lease.prepare(Sql("INSERT INTO $ (id) VALUES (?)")).value().exec(1).value();
  }
  const auto rows = db.query(Sql("SELECT count(*) FROM $")).value().scalar<int64_t>();
  EXPECT_EQ(rows.value(), 0) << "what was left open is rolled back";
  EXPECT_EQ(db.stats().leased, 0u);
  EXPECT_TRUE(db.exec(Sql("INSERT INTO $ (id) VALUES (1)")).ok());
}

TEST_P(LiveClient, CallbacksOnADrivenLoop) {
  dqc::loop loop = dqc::loop::driven().value();
  dqc::client db = dqc::client::create(loop, dqc::config::parse(dsn_).value()).value();
  int done = 0;
  db.connect_async([&](dqc::result<void> r) { r.value(), ++done; }).value();
  for (int i = 0; i < 20; ++i) {
    db.exec_async([&](dqc::result<dqc::exec_result> r) { r.value(), ++done; },
                  Sql("INSERT INTO $ (id) VALUES (?)"), i)
        .value();
  }
  db.acquire_async([](const dqc::event& e) { EXPECT_FALSE(e.error()); }).value();  // given back
  db.acquire_async([&](dqc::result<dqc::connection> r) {
      EXPECT_EQ(r.value().state(), DQC_STATE_READY);
      ++done;
    }).value();
  db.acquire_async([&](const dqc::event& e) {
      dqc::connection lease = e.connection();
      EXPECT_EQ(lease.state(), DQC_STATE_READY);
      ++done;
    }).value();
  const dqc::op_id cancelled = db.exec_async(
                                     [&](const dqc::result<dqc::exec_result>& r) {
                                       EXPECT_EQ(r.error().code(), DQC_E_CANCELLED);
                                       ++done;
                                     },
                                     Sql("INSERT INTO $ (id) VALUES (99)"))
                                   .value();
  db.cancel(cancelled).value();
  db.pause(cancelled, true).value();
  loop.run().value();
  EXPECT_EQ(done, 24);
  EXPECT_EQ(db.stats().leased, 0u);
  db.request_async<std::vector<dqc::node_info>>(
        [&](const dqc::result<std::vector<dqc::node_info>>& r) { done += r.ok() ? 1 : 0; },
        dqc::admin_request::cluster())
      .value();
  db.query_async([&](const dqc::result<dqc::result_set>& r) { done += r->empty() ? 0 : 1; },
                 Sql("SELECT * FROM $"))
      .value();
  db.script_async([&](const dqc::result<dqc::exec_result>& r) { done += r.ok() ? 1 : 0; },
                  Sql("DELETE FROM $; DELETE FROM $"))
      .value();
  loop.run().value();
  EXPECT_EQ(done, 27);
  db.close_async([&](dqc::result<void> r) { r.value(), ++done; }).value();
  loop.run().value();
  EXPECT_EQ(done, 28);
}

TEST_P(LiveClient, CallbacksOnAQueue) {
  dqc::loop loop = dqc::loop::threaded().value();
  dqc::queue queue = dqc::queue::create().value();
  dqc::client db = dqc::client::create(loop, queue, dqc::config::parse(dsn_).value()).value();
  int64_t answer = 0;
  db.acquire_async([&](dqc::result<dqc::connection> r) {
      dqc::connection lease = std::move(r).value();
      answer = 1;
    }).value();
  db.query_async(
        [&](dqc::result<dqc::result_set> r) { answer += r.value().scalar<int64_t>().value(); },
        "SELECT ?", 41)
      .value();
  while (answer < 42) {
    ASSERT_TRUE(queue.wait(10s).value());
    queue.dispatch().value();
  }
}

TEST_P(LiveClient, FollowsTheLeader) {
  const auto cluster = NewCluster(3);
  const std::string dsn = "dqlite://" + (*cluster)->Address(0) + "," + (*cluster)->Address(1) +
                          "," + (*cluster)->Address(2) + "/app";
  dqc::client db = dqc::client::open(dsn).value();
  db.exec("CREATE TABLE t (x)").value();
  const std::string first = db.leader_address();
  dqc::connection lease = db.acquire().value();
  db.transfer().value();
  db.exec("INSERT INTO t VALUES (1)").value();
  EXPECT_NE(db.leader_address(), first);
  const auto lost = lease.exec("INSERT INTO t VALUES (2)");
  EXPECT_FALSE(lost.ok()) << "a lease does not move";
  (*cluster)->Kill((*cluster)->IndexOf(db.leader_address()), SIGKILL);
  db.with(dqc::options().timeout(30s)).exec("INSERT INTO t VALUES (3)").value();
  EXPECT_EQ(db.query("SELECT sum(x) FROM t").value().scalar<int>().value(), 4);
}

}  // namespace
