/* SPDX-License-Identifier: MIT */
// Connections that break or go silent under way, deadlines, cancels and closing: one real node
// behind a proxy.
#include <thread>

#include "faults/proxy.hpp"
#include "live/cluster_client.hpp"
#include "outcomes/table.hpp"

namespace dqc::outcomes {
namespace {

using faults::Proxy;
using live::AsyncConn;
using live::Client;
using live::Conn;
using live::Pending;
using live::Reply;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

class CutTest : public live::SqlTest {
 protected:
  void SetUp() override {
    SqlTest::SetUp();
    if (!server().available) return;
    proxy_ = std::make_unique<Proxy>(OneNode().Address(0));
    const Conn conn = Open();
    ASSERT_TRUE(conn.Exec("CREATE TABLE t(x)").ok());
  }
  std::string ThroughProxy(const std::string& options = "") const {
    return "dqlite://" + proxy_->address() + "/" + database() +
           "?drain_timeout=200ms&drain_timeout_era_d=200ms&" + options;
  }
  // A connection that goes silent with the next request.
  struct Silent {
    Pending connected;
    AsyncConn conn;
    explicit Silent(const std::string& dsn) : conn(dsn) {}
  };
  std::unique_ptr<Silent> GoSilent(const std::string& options = "") {
    proxy_->SetMode(Proxy::Mode::kPass);
    auto silent = std::make_unique<Silent>(ThroughProxy(options));
    EXPECT_EQ(silent->conn.Connect(&silent->connected), DQC_OK);
    EXPECT_TRUE(silent->conn.Finish(silent->connected));
    EXPECT_TRUE(silent->connected.reply.ok()) << silent->connected.reply;
    proxy_->SetMode(Proxy::Mode::kStall);
    return silent;
  }
  static void Run(const AsyncConn& conn, int ms) {
    const auto end = steady_clock::now() + milliseconds(ms);
    ASSERT_TRUE(conn.RunUntil([&] { return steady_clock::now() > end; }));
  }
  static Reply End(const AsyncConn& conn, const Pending& p) {
    EXPECT_TRUE(conn.Finish(p));
    return p.reply;
  }

  std::unique_ptr<Proxy> proxy_;
};
DQC_LIVE_SUITE(CutTest);

constexpr const char* kRead = "SELECT count(*) FROM t";
constexpr const char* kWrite = "INSERT INTO t VALUES (1)";

// The answer is cut off: the node has done what it was asked.
TEST_P(CutTest, WhileItWasUnderWay) {
  const auto cut = [&](const char* sql, const char* before = nullptr) {
    const Conn conn(ThroughProxy());
    EXPECT_TRUE(conn) << conn.opened();
    if (before != nullptr) {
      Reply begun;  // a connection cut before may hold the lock for a moment
      while ((begun = conn.Exec(before)).status == DQC_E_BUSY) {
      }
      EXPECT_TRUE(begun.ok()) << begun;
      EXPECT_TRUE(conn.Exec(kWrite).ok());
    }
    proxy_->SetFuse(Proxy::kToClient, 0);
    const Reply reply = sql == kRead ? conn.Query(sql) : conn.Exec(sql);
    for (int i = 0; i < 100 && !proxy_->FuseBlown(); ++i)  // said behind the cut
      std::this_thread::sleep_for(milliseconds(5));
    EXPECT_TRUE(proxy_->FuseBlown());
    return reply;
  };
  EXPECT_TRUE(Is(Id("cut-read"), cut(kRead)));
  EXPECT_TRUE(Is(Id("cut-write"), cut(kWrite)));
  EXPECT_TRUE(Is(Id("cut-begin"), cut("BEGIN IMMEDIATE")));
  EXPECT_TRUE(Is(Id("cut-begin"), cut("ROLLBACK", "BEGIN IMMEDIATE")));
  EXPECT_TRUE(Is(Id("cut-commit"), cut("COMMIT", "BEGIN IMMEDIATE")));
  const Conn conn(ThroughProxy());
  ASSERT_TRUE(conn.Exec(kWrite).ok());
  proxy_->ResetAll();
  std::this_thread::sleep_for(milliseconds(100));
  EXPECT_TRUE(Is(Id("cut-before"), conn.Exec(kWrite)));
  EXPECT_TRUE(Is(Id("closed"), conn.Exec(kWrite)));
  EXPECT_EQ(Open().Query(kRead).Text(), "I3") << "cut-write, cut-commit, and the last";
}

TEST_P(CutTest, Deadlines) {
  Pending read, write, script, behind;
  auto silent = GoSilent();
  ASSERT_EQ(silent->conn.Query(kRead, &read, {}, 200), DQC_OK);
  EXPECT_TRUE(Is(Id("timeout-read"), End(silent->conn, read)));
  silent = GoSilent();
  ASSERT_EQ(silent->conn.Exec(kWrite, &write, {}, 200), DQC_OK);
  EXPECT_TRUE(Is(Id("timeout-write"), End(silent->conn, write)));
  silent = GoSilent();
  ASSERT_EQ(silent->conn.Script(kWrite, &script), DQC_OK);
  ASSERT_EQ(silent->conn.Exec(kWrite, &behind, {}, 200), DQC_OK);
  EXPECT_TRUE(Is(Id("timeout-waiting"), End(silent->conn, behind)));
  silent->conn.FreeConn();
  ASSERT_TRUE(silent->conn.Finish(script));
  silent = nullptr;
  proxy_->SetMode(Proxy::Mode::kPass);
}

TEST_P(CutTest, DeadlineInTheQueueOfAClient) {
  Pending first, second;
  const Client client(ThroughProxy("pool_max=1"), true, DQC_LOOP_DRIVEN);
  ASSERT_TRUE(client.opened().ok()) << client.opened();
  proxy_->SetMode(Proxy::Mode::kStall);
  ASSERT_EQ(client.ExecAsync(kWrite, &first, {}, 600), DQC_OK);
  ASSERT_EQ(client.ExecAsync(kWrite, &second, {}, 200), DQC_OK);
  ASSERT_TRUE(client.RunUntil([&] { return first.done > 0 && second.done > 0; }));
  EXPECT_TRUE(Is(Id("timeout-write"), first.reply));
  EXPECT_TRUE(Is(Id("timeout-waiting"), second.reply));
  proxy_->SetMode(Proxy::Mode::kPass);
}

TEST_P(CutTest, Cancels) {
  Pending read, write, script, behind, drained;
  auto silent = GoSilent();
  ASSERT_EQ(silent->conn.Query(kRead, &read), DQC_OK);
  Run(silent->conn, 50);
  silent->conn.Cancel(read);
  EXPECT_TRUE(Is(Id("cancel-read"), End(silent->conn, read)));
  ASSERT_EQ(silent->conn.Query(kRead, &drained), DQC_OK);
  EXPECT_TRUE(Is(Id("drain"), End(silent->conn, drained)));
  silent = GoSilent();
  ASSERT_EQ(silent->conn.Exec(kWrite, &write), DQC_OK);
  Run(silent->conn, 50);
  silent->conn.Cancel(write);
  EXPECT_TRUE(Is(Id("cancel-write"), End(silent->conn, write)));
  silent = GoSilent();
  ASSERT_EQ(silent->conn.Script(kWrite, &script), DQC_OK);
  ASSERT_EQ(silent->conn.Exec(kWrite, &behind), DQC_OK);
  Run(silent->conn, 50);
  silent->conn.Cancel(behind);
  EXPECT_TRUE(Is(Id("cancel-waiting"), End(silent->conn, behind)));
  silent->conn.FreeConn();
  ASSERT_TRUE(silent->conn.Finish(script));
  silent = nullptr;
  proxy_->SetMode(Proxy::Mode::kPass);
}

TEST_P(CutTest, Closing) {
  Pending read, write, script, behind;
  auto silent = GoSilent();
  ASSERT_EQ(silent->conn.Query(kRead, &read), DQC_OK);
  Run(silent->conn, 50);
  ASSERT_EQ(dqc_conn_close_async(silent->conn.get(), nullptr, nullptr, nullptr, nullptr), DQC_OK);
  EXPECT_TRUE(Is(Id("close-read"), End(silent->conn, read)));
  silent = GoSilent();
  ASSERT_EQ(silent->conn.Exec(kWrite, &write), DQC_OK);
  Run(silent->conn, 50);
  silent->conn.FreeConn();
  EXPECT_TRUE(Is(Id("close-write"), End(silent->conn, write)));
  silent = GoSilent();
  ASSERT_EQ(silent->conn.Script(kWrite, &script), DQC_OK);
  ASSERT_EQ(silent->conn.Exec(kWrite, &behind), DQC_OK);
  Run(silent->conn, 50);
  silent->conn.FreeConn();
  EXPECT_TRUE(Is(Id("close-waiting"), End(silent->conn, behind)));
  ASSERT_TRUE(silent->conn.Finish(script));
  silent = nullptr;
  proxy_->SetMode(Proxy::Mode::kPass);
}

}  // namespace
}  // namespace dqc::outcomes
