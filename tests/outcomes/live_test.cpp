/* SPDX-License-Identifier: MIT */
// Statements, scripts and calls that fail, on one real node.
#include <sys/wait.h>
#include <unistd.h>

#include "live/cluster_client.hpp"
#include "outcomes/table.hpp"

namespace dqc::outcomes {
namespace {

using live::AsyncConn;
using live::Client;
using live::Conn;
using live::Pending;
using live::Reply;

class OutcomesTest : public live::SqlTest {
 protected:
  // Of a script, blocking.
  static Reply ClientScript(const Client& client, const char* sql, uint64_t timeout_ms = 0) {
    const dqc_call_options options = {sizeof(options), 0, timeout_ms};
    dqc_error* error = nullptr;
    Reply reply;
    reply.status = dqc_client_script(client.get(), sql, DQC_CSTR, &options, &reply.result, &error);
    reply.failure = live::Describe(error);
    dqc_error_free(error);
    return reply;
  }
};
DQC_LIVE_SUITE(OutcomesTest);

// What a client gives up with when its tries have all been refused: now and then the last one was
// under way, and that is a timeout.
template <typename Call>
Reply InTheEnd(Call call) {
  Reply reply = call();
  for (int i = 0; i < 20 && reply.status == DQC_E_TIMEOUT; ++i) reply = call();
  return reply;
}

// Of a call that is not accepted.
template <typename Submit>
live::Failure Refused(Submit submit) {
  dqc_error* error = nullptr;
  EXPECT_NE(submit(&error), DQC_OK);
  const live::Failure failure = live::Describe(error);
  dqc_error_free(error);
  return failure;
}

TEST_P(OutcomesTest, RefusedHere) {
  const Conn conn = Open("max_params=300");
  EXPECT_TRUE(Is(Id("misuse"), conn.Query("SELECT 1; SELECT 2")));
  EXPECT_TRUE(Is(Id("misuse"), conn.Exec("")));
  EXPECT_TRUE(Is(Id("misuse"), Refused([](dqc_error** error) {
                   return dqc_conn_exec(nullptr, "SELECT 1", DQC_CSTR, nullptr, 0, nullptr, nullptr,
                                        error);
                 })));
  EXPECT_TRUE(Is(Id("config"), Conn(Dsn("no_such_option=1")).opened()));
  EXPECT_TRUE(Is(Id("config"), Conn(Dsn("", "file:x")).opened()));
  EXPECT_TRUE(Is(Id("params-count"), conn.Query("SELECT ?")));
  EXPECT_TRUE(Is(Id("params-count"), conn.Query("SELECT :a", {live::Arg(1).Named(":b")})));
  EXPECT_TRUE(Is(Id("params-several"), conn.Exec("SELECT 1; SELECT ?", {1})));
  EXPECT_TRUE(Is(Id("params-several"), conn.Script("SELECT 1; SELECT ?")));
  const auto many = [&](size_t count) {
    std::string sql = "SELECT ?";
    for (size_t i = 1; i < count; ++i) sql += ", ?";
    return conn.Query(sql, live::Args(count, 1));
  };
  EXPECT_TRUE(Is(Id("params-limit"), many(301)));
  const Reply v1 = many(256);
  if (era() == 'A') {
    EXPECT_TRUE(Is(Id("params-era-a"), v1));
  } else {
    EXPECT_TRUE(v1.ok()) << v1;
  }
  ASSERT_TRUE(conn.Exec("CREATE TABLE t(x)").ok());
  const Reply returning = conn.Query("INSERT INTO t VALUES (1) RETURNING x");
  if (era() == 'C') {
    EXPECT_TRUE(Is(Id("returning-era-c"), returning));
  } else {
    EXPECT_TRUE(returning.ok()) << returning;
  }
  EXPECT_TRUE(Is(Id("harmful"), conn.Exec("ATTACH 'x' AS y")));
  EXPECT_TRUE(Is(Id("harmful"), conn.Exec("PRAGMA journal_mode = DELETE")));
}

TEST_P(OutcomesTest, ClosedForkedAndFull) {
  const Conn conn = Open();
  const Client client(Dsn());
  const pid_t child = fork();
  if (child == 0) {
    const bool as_told =
        Is(Id("forked"), conn.Exec("SELECT 1")) && Is(Id("forked"), client.Exec("SELECT 1"));
    _exit(as_told ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(conn.Close().ok());
  EXPECT_TRUE(Is(Id("closed"), conn.Query("SELECT 1")));
  ASSERT_EQ(dqc_client_close(client.get(), nullptr, nullptr), DQC_OK);
  EXPECT_TRUE(Is(Id("closed"), client.Query("SELECT 1")));

  Pending connected, one;
  const AsyncConn full(Dsn("queue_max=1"));
  ASSERT_EQ(full.Connect(&connected), DQC_OK);
  ASSERT_EQ(full.Query("SELECT 1", &one), DQC_OK);
  EXPECT_TRUE(Is(Id("queue-full"), Refused([&](dqc_error** error) {
                   return dqc_conn_exec_async(full.get(), "SELECT 1", DQC_CSTR, nullptr, 0, nullptr,
                                              nullptr, nullptr, nullptr, error);
                 })));
  EXPECT_TRUE(full.Finish(one));
  Pending first;
  const Client small(Dsn("pool_queue=1"), false, DQC_LOOP_DRIVEN);
  ASSERT_EQ(small.QueryAsync("SELECT 1", &first), DQC_OK);
  EXPECT_TRUE(Is(Id("pool-queue-full"), Refused([&](dqc_error** error) {
                   return dqc_client_exec_async(small.get(), "SELECT 1", DQC_CSTR, nullptr, 0,
                                                nullptr, nullptr, nullptr, nullptr, error);
                 })));
  EXPECT_TRUE(small.RunUntil([&] { return first.done > 0; }));
}

TEST_P(OutcomesTest, Statements) {
  const Conn conn = Open();
  const Client client(Dsn());
  ASSERT_TRUE(conn.Script("CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE t(x UNIQUE, "
                          "f REFERENCES p(id) DEFERRABLE INITIALLY DEFERRED)")
                  .ok());
  const char* const overflow =
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) SELECT CASE "
      "WHEN i = 4000 THEN abs(-9223372036854775808) ELSE i END FROM n";
  ASSERT_TRUE(conn.Exec("INSERT INTO t(x) VALUES (1)").ok());
  for (const char* sql : {"BOGUS", "SELECT * FROM nowhere", "COMMIT", "DROP TABLE nowhere"}) {
    EXPECT_TRUE(Is(Id("sql"), conn.Exec(sql)));
    EXPECT_TRUE(Is(Id("sql"), client.Exec(sql)));
  }
  EXPECT_TRUE(Is(Id("sql-in-result"), conn.Query(overflow)));
  EXPECT_TRUE(Is(Id("sql-in-result"), client.Query(overflow)));
  EXPECT_TRUE(Is(Id("constraint"), conn.Exec("INSERT INTO t(x) VALUES (1)")));
  EXPECT_TRUE(Is(Id("constraint"), client.Exec("INSERT INTO t(x) VALUES (1)")));
  const char* const or_fail = "INSERT OR FAIL INTO t(x) VALUES (1)";
  EXPECT_TRUE(Is(Id("constraint-kept"), conn.Exec(or_fail)));
  EXPECT_TRUE(Is(Id("constraint-kept"), client.Exec(or_fail)));
  ASSERT_TRUE(conn.Exec("BEGIN IMMEDIATE").ok());
  ASSERT_TRUE(conn.Exec("INSERT INTO t VALUES (2, 77)").ok());
  EXPECT_TRUE(Is(Id("constraint-commit"), conn.Exec("COMMIT")));
  const Conn other = Open();
  EXPECT_TRUE(Is(Id("busy"), other.Exec("INSERT INTO t(x) VALUES (3)")));
  EXPECT_TRUE(Is(Id("busy"), other.Exec("BEGIN IMMEDIATE")));
  EXPECT_TRUE(Is(Id("busy"),
                 InTheEnd([&] { return client.Exec("INSERT INTO t(x) VALUES (3)", {}, 200); })));
  ASSERT_TRUE(conn.Exec("ROLLBACK").ok());
  ASSERT_TRUE(conn.Exec("BEGIN").ok());
  ASSERT_TRUE(conn.Query("SELECT * FROM t").ok());
  ASSERT_TRUE(other.Exec("INSERT INTO t(x) VALUES (4)").ok());
  EXPECT_TRUE(Is(Id("busy-snapshot"), conn.Exec("INSERT INTO t(x) VALUES (5)")));
  ASSERT_TRUE(conn.Exec("ROLLBACK").ok());
  EXPECT_EQ(conn.Query("SELECT count(*) FROM t").Text(), "I2");
}

TEST_P(OutcomesTest, Limits) {
  const Conn conn = Open("max_rows=10&max_message=64KiB");
  ASSERT_TRUE(conn.Exec("CREATE TABLE t(x)").ok());
  const std::string rows =
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20) ";
  EXPECT_TRUE(Is(Id("result-limit"), conn.Query(rows + "SELECT i FROM n")));
  EXPECT_TRUE(Is(Id("sql"), conn.Exec("BOGUS"))) << "it goes on";
  if (era() != 'C') {  // before era D it runs in a transaction of ours, which is rolled back
    const std::string insert = "INSERT INTO t SELECT i FROM n RETURNING x";
    const Reply some = conn.Query(rows + insert);
    EXPECT_TRUE(Is(era() == 'D' ? Id("result-limit-done") : Id("result-limit"), some));
    EXPECT_EQ(conn.Query("SELECT count(*) FROM t").Text(), era() == 'D' ? "I20" : "I0");
    const Reply many = conn.Query(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) " + insert);
    EXPECT_TRUE(Is(era() == 'D' ? Id("result-limit-write") : Id("result-limit"), many));
    const Reply large = conn.Query("INSERT INTO t VALUES (zeroblob(100000)) RETURNING x");
    EXPECT_TRUE(Is(era() == 'D' ? Id("result-limit-write") : Id("result-limit"), large));
  }
  EXPECT_TRUE(Is(Id("result-limit"), Open("max_message=64KiB").Query("SELECT zeroblob(100000)")));
  EXPECT_TRUE(Is(Id("result-limit"), Open("max_columns=2").Query("SELECT 1, 2, 3")));
  EXPECT_TRUE(
      Is(Id("result-limit"), Open("max_column_name=16").Query("SELECT 1 AS longer_than_sixteen")));
}

TEST_P(OutcomesTest, Scripts) {
  const Conn conn = Open();
  const Client client(Dsn());
  ASSERT_TRUE(conn.Exec("CREATE TABLE t(x UNIQUE)").ok());
  ASSERT_TRUE(conn.Exec("INSERT INTO t VALUES (1)").ok());
  const auto count = [&] { return Open().Query("SELECT count(*) FROM t").Text(); };
  for (const bool by_client : {false, true}) {
    const auto run = [&](const char* sql) {
      return by_client ? ClientScript(client, sql) : conn.Script(sql);
    };
    EXPECT_TRUE(Is(Id("script-first"), run("SELECT 1; INSERT INTO t VALUES (1); DROP TABLE t")));
    EXPECT_EQ(count(), by_client ? "I2" : "I1");
    const char* later = by_client ? "INSERT INTO t VALUES (3); INSERT INTO t VALUES (1)"
                                  : "INSERT INTO t VALUES (2); INSERT INTO t VALUES (1)";
    EXPECT_TRUE(Is(Id("script-later"), run(later)));
    EXPECT_EQ(count(), by_client ? "I3" : "I2");
    const char* inside =
        "BEGIN; INSERT INTO t VALUES (8); INSERT INTO t VALUES (1); INSERT INTO t VALUES (9); "
        "COMMIT";
    EXPECT_TRUE(Is(by_client ? Id("script-rolled-back") : Id("script-open"), run(inside)));
    EXPECT_EQ(count(), by_client ? "I3" : "I2");
    if (!by_client) {
      EXPECT_TRUE(conn.Exec("ROLLBACK").ok()) << "it was open";
    }
    const char* several = "INSERT INTO t VALUES (0); INSERT INTO t VALUES (1)";
    EXPECT_TRUE(Is(Id("several"), by_client ? client.Exec(several) : conn.Exec(several)));
    ASSERT_TRUE(conn.Exec("DELETE FROM t WHERE x = 0").ok());
  }
  ASSERT_TRUE(conn.Exec("BEGIN IMMEDIATE").ok());
  const char* busy = "BEGIN; INSERT INTO t VALUES (7); COMMIT";
  EXPECT_TRUE(Is(Id("script-busy"), InTheEnd([&] { return ClientScript(client, busy, 200); })));
  ASSERT_TRUE(conn.Exec("ROLLBACK").ok());
  EXPECT_TRUE(ClientScript(client, busy).ok());
  EXPECT_EQ(count(), "I4");
}

TEST_P(OutcomesTest, Administration) {
  const Conn conn = Open();
  EXPECT_TRUE(Is(Id("admin-refused"), conn.Admin(DQC_ADMIN_ASSIGN, 77, DQC_ROLE_STANDBY)));
  EXPECT_TRUE(Is(Id("admin-refused"), conn.Admin(DQC_ADMIN_ADD, 1, 0, "127.0.0.1:1")));
  const Reply dump = conn.Admin(DQC_ADMIN_DUMP, 0, 0, "nowhere");
  if (era() == 'D') {
    EXPECT_TRUE(Is(Id("dump-unknown"), dump));
  } else {
    EXPECT_TRUE(dump.ok()) << dump;
  }
}

}  // namespace
}  // namespace dqc::outcomes
