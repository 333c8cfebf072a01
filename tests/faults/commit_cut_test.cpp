/* SPDX-License-Identifier: MIT */
// The connection is cut at every byte of the exchange in which something is committed, in both
// directions, by a reset and in an orderly way: what we say must fit what the database holds.
#include <memory>

#include "faults/caller.hpp"
#include "faults/proxy.hpp"
#include "live/cluster_client.hpp"

namespace dqc::faults {
namespace {

using live::Conn;
using live::Reply;

constexpr int kNotBlownMax = 3;  // so often in a row: there are no more bytes to cut at

struct Cut {
  Proxy::Direction direction;
  bool orderly;
  uint64_t at;
  std::string Text() const {
    return "cut after " + std::to_string(at) + " bytes to the " +
           (direction == Proxy::kToServer ? "server" : "client") + (orderly ? ", orderly" : "");
  }
};

class CommitCutTest : public live::LiveTest {
 protected:
  void SetUp() override {
    LiveTest::SetUp();
    if (!server().available) return;
    live::SetWatchdog(300);
    address_ = OneNode().WaitForLeader(std::chrono::seconds(10));
    proxy_ = std::make_unique<Proxy>(address_);
    ASSERT_TRUE(Direct("DROP TABLE IF EXISTS ids").ok());
    ASSERT_TRUE(Direct("CREATE TABLE ids(id INTEGER)").ok());
  }

  // Past the proxy. Again while a connection that was cut still holds the lock.
  Reply Direct(const std::string& sql) {
    for (int tries = 0;; ++tries) {
      const Conn conn("dqlite://" + address_ + "/faults");
      Reply reply = conn ? conn.Query(sql) : conn.opened();
      if (reply.status != DQC_E_BUSY || tries == 200) return reply;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  Conn ThroughProxy() const {
    return Conn("dqlite://" + proxy_->address() + "/faults?timeout=10s");
  }

  // Calls `exchange` for every cut; it says what it was told by Told().
  void CutEverywhere(const std::function<void()>& prepare, const std::function<void()>& exchange) {
    for (const auto direction : {Proxy::kToServer, Proxy::kToClient}) {
      for (const bool orderly : {false, true}) {
        int not_blown = 0;
        for (uint64_t at = 0; not_blown < kNotBlownMax && !HasFailure(); ++at) {
          cut_ = {direction, orderly, at};
          prepare();
          proxy_->SetFuse(direction, at, orderly);
          exchange();
          proxy_->ClearFuse();
          not_blown = proxy_->FuseBlown() ? 0 : not_blown + 1;
          cuts_ += not_blown == 0 ? 1 : 0;
        }
      }
    }
    CheckTold();
  }

  void Told(int64_t id, bool ok, int32_t outcome, const std::string& message) {
    told_[id] = {ok || outcome == DQC_OUTCOME_EXECUTED, !ok && outcome == DQC_OUTCOME_NOT_EXECUTED,
                 cut_.Text() + ": " + message};
    ++(ok ? acknowledged_ : outcome == DQC_OUTCOME_NOT_EXECUTED ? denied_ : unknown_);
  }
  void Told(int64_t id, const Reply& reply) {
    Told(id, reply.ok(), reply.failure.outcome, reply.failure.message);
  }

  void CheckTold() {
    std::this_thread::sleep_for(std::chrono::milliseconds(500));  // what is on its way still
    const Reply reply = Direct("SELECT id, count(*) FROM ids GROUP BY id");
    ASSERT_TRUE(reply.ok()) << reply;
    std::map<int64_t, int64_t> found;
    for (const auto& row : reply.rows)
      found[std::stoll(row[0].substr(1))] = std::stoll(row[1].substr(1));
    int64_t present = 0;
    for (const auto& [id, told] : told_) {
      const int64_t count = found[id];
      EXPECT_LE(count, 1) << told.text;
      if (told.executed) {
        EXPECT_EQ(count, 1) << told.text;
      }
      if (told.denied) {
        EXPECT_EQ(count, 0) << told.text;
      }
      if (!told.executed && !told.denied) present += count;
    }
    std::cout << cuts_ << " cuts; acknowledged " << acknowledged_ << ", not executed " << denied_
              << ", maybe " << unknown_ << " (of which " << present << " were)" << std::endl;
    EXPECT_GT(cuts_, 50);
    EXPECT_GT(denied_ + unknown_, 0);
  }

  int64_t NextId() { return ++last_id_; }

  struct Word {
    bool executed = false, denied = false;
    std::string text;
  };
  std::string address_;
  std::unique_ptr<Proxy> proxy_;
  Cut cut_{};
  std::map<int64_t, Word> told_;
  int64_t last_id_ = 0, cuts_ = 0, acknowledged_ = 0, denied_ = 0, unknown_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Servers, CommitCutTest, ::testing::Values("distro", "trixie", "testing"),
                         [](const auto& instance) { return std::string(instance.param); });

TEST_P(CommitCutTest, Autocommit) {
  Conn conn;
  CutEverywhere(
      [&] {
        conn = ThroughProxy();
        ASSERT_TRUE(conn) << conn.opened();
      },
      [&] {
        const int64_t id = NextId();
        Reply reply;
        do {  // the lock may still be held by the connection cut before
          reply = conn.Exec("INSERT INTO ids VALUES (?)", {id});
        } while (reply.status == DQC_E_BUSY);
        Told(id, reply);
      });
}

TEST_P(CommitCutTest, ExplicitCommit) {
  Conn conn;
  int64_t id = 0;
  CutEverywhere(
      [&] {
        conn = ThroughProxy();
        ASSERT_TRUE(conn) << conn.opened();
        Reply reply;
        while ((reply = conn.Exec("BEGIN IMMEDIATE")).status == DQC_E_BUSY) {
        }
        ASSERT_TRUE(reply.ok()) << reply;
        id = NextId();
        reply = conn.Exec("INSERT INTO ids VALUES (?)", {id});
        ASSERT_TRUE(reply.ok()) << reply;
      },
      [&] {
        Reply reply;
        while ((reply = conn.Exec("COMMIT")).status == DQC_E_BUSY) {
        }
        Told(id, reply);
      });
}

TEST_P(CommitCutTest, Script) {
  Conn conn;
  CutEverywhere(
      [&] {
        conn = ThroughProxy();
        ASSERT_TRUE(conn) << conn.opened();
      },
      [&] {
        const int64_t id = NextId();
        Reply reply;
        do {
          reply = conn.Script("BEGIN IMMEDIATE; INSERT INTO ids VALUES (" + std::to_string(id) +
                              "); COMMIT");
        } while (reply.status == DQC_E_BUSY);
        Told(id, reply);
      });
}

// With a mark there is no doubt left: each COMMIT that was cut is looked up, and what was not committed
// is run again by who asked for it.
TEST_P(CommitCutTest, ResolvedCommit) {
  live::Client client(live::ClusterDsn({address_}, "faults",
                                       "address_map=" + address_ + "=" + proxy_->address() +
                                           "&pool_max=2&timeout=20s&backoff_min=1ms&"
                                           "backoff_max=10ms"),
                      false, DQC_LOOP_DRIVEN);
  const dqc_tx_options options{sizeof(options), DQC_BEGIN_IMMEDIATE, DQC_TX_RESOLVE, 0, 0};
  std::unique_ptr<dqc_tx, decltype(&dqc_tx_free)> tx(nullptr, dqc_tx_free);
  Conn conn;
  int64_t id = 0;
  CutEverywhere(
      [&] {
        dqc_tx* made = nullptr;
        ASSERT_EQ(dqc_tx_new(client.get(), &options, &made, nullptr), DQC_OK);
        tx.reset(made);
        dqc_conn* begun = nullptr;
        dqc_error* error = nullptr;
        ASSERT_EQ(dqc_tx_begin(tx.get(), &begun, &error), DQC_OK) << live::Describe(error);
        conn = Conn(begun);
        id = NextId();
        const Reply reply = conn.Exec("INSERT INTO ids VALUES (?)", {id});
        ASSERT_TRUE(reply.ok()) << reply;
      },
      [&] {
        dqc_error* error = nullptr;
        const dqc_status status = dqc_tx_commit(tx.get(), &error);
        const live::Failure failure = live::Describe(error);
        dqc_error_free(error);
        if (status == DQC_AGAIN) return Told(id, false, DQC_OUTCOME_NOT_EXECUTED, "again");
        Told(id, status == DQC_OK, failure.outcome, failure.message);
      });
  EXPECT_EQ(unknown_, 0);
}

// The first insert goes alone; the others arrive meanwhile and share the next transaction.
TEST_P(CommitCutTest, GroupCommit) {
  Phase phase;
  Planter planter(Plant::kNone);
  Violations violations;
  FaultLog faults;
  Shared shared;
  shared.phase = &phase;
  shared.planter = &planter;
  shared.violations = &violations;
  shared.faults = &faults;
  Client::Options options;
  options.addresses = {address_};
  options.address_map = address_ + "=" + proxy_->address();
  options.pool_max = 1;
  options.more = "&backoff_min=1ms&backoff_max=10ms";
  Client client(options);
  Caller calls(&client, &shared, 1);
  CutEverywhere(
      [&] {
        Request request;
        request.sql = "SELECT 1";
        request.verb = Request::Verb::kQuery;
        const Op* op = calls.Run(Kind::kStatement, request);
        ASSERT_TRUE(op->Ok()) << op->Text();
      },
      [&] {
        std::vector<Op*> ops;
        for (int i = 0; i < 4; ++i) {
          Op* op = calls.New(Kind::kInsert, NextId());
          Request request;
          request.sql = "INSERT INTO ids VALUES (?)";
          request.args = {op->id};
          calls.Start(op, request);
          ops.push_back(op);
        }
        calls.Wait(ops);
        for (const Op* op : ops) {
          EXPECT_EQ(op->terminals, 1) << cut_.Text() << ": " << op->Text();
          const int32_t outcome = op->outcome == Outcome::kMaybe      ? DQC_OUTCOME_MAYBE_EXECUTED
                                  : op->outcome == Outcome::kExecuted ? DQC_OUTCOME_EXECUTED
                                                                      : DQC_OUTCOME_NOT_EXECUTED;
          Told(op->id, op->Ok(), outcome, op->Text());
        }
      });
}

}  // namespace
}  // namespace dqc::faults
