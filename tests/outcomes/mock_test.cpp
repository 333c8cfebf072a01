/* SPDX-License-Identifier: MIT */
// Answers and ends of connections that a real server gives only by chance: on a connection, and
// through a client, whose second try finds all well.
#include <sys/resource.h>

#include <fstream>

#include "live/cluster_client.hpp"
#include "mock/mock_server.hpp"
#include "outcomes/table.hpp"

namespace dqc::outcomes {
namespace {

using live::AsyncConn;
using live::Client;
using live::Conn;
using live::Pending;
using live::Reply;
using mock::Do;
using mock::Era;
using mock::Match;
using wire::RequestType;

std::string Dsn(const mock::Server& server, const std::string& options = "") {
  return "dqlite://" + server.address() + "/test?drain_timeout_era_d=300ms&" + options;
}

Match Statement(const char* sql) {
  return Match(RequestType::kExecSql, RequestType::kQuerySql).Sql(sql);
}

Do HugeHeader() {
  const auto type = static_cast<uint8_t>(wire::ResponseType::kResult);
  return Do().Raw(mock::HeaderBytes((1u << 29) - 1, type)).Hang();
}

struct Case {
  const char* id;
  Era era;
  const char* sql;
  Do answer;
};

const char* const kRead = "SELECT * FROM t";
const char* const kWrite = "INSERT INTO t VALUES (1)";

std::vector<Case> Cases() {
  const auto fails = [](uint64_t code, const char* text) { return Do().Failure(code, text); };
  return {
      {Id("sql"), Era::kD, kRead, fails(1, "no such table: t")},
      {Id("constraint"), Era::kA, kWrite, fails(2067, "UNIQUE constraint failed: t.x")},
      {Id("busy"), Era::kA, kWrite, fails(5, "database is locked")},
      {Id("busy"), Era::kD, kRead, fails(1, "nonempty statement tail")},
      {Id("busy-checkpoint"), Era::kD, kRead, fails(5, "checkpoint in progress")},
      {Id("busy-checkpoint"), Era::kD, kWrite, fails(5, "checkpoint in progress")},
      {Id("busy-checkpoint"), Era::kD, "COMMIT", fails(5, "checkpoint in progress")},
      {Id("busy-snapshot"), Era::kD, kWrite, fails(517, "database is locked")},
      {Id("io-read"), Era::kC, kRead, fails(778, "disk I/O error")},
      {Id("write-yields-rows"), Era::kC, kWrite, fails(100, "another row available")},
      {Id("write-yields-rows"), Era::kD, kWrite,
       fails(1, "rows yielded when none expected for EXEC request")},
      {Id("message-limit"), Era::kC, kRead, HugeHeader()},
      {Id("message-limit-write"), Era::kC, kWrite, HugeHeader()},
      {Id("violation"), Era::kD, kRead, Do().Reply(wire::response::Empty{})},
      {Id("violation-write"), Era::kD, kWrite, Do().Reply(wire::response::Empty{})},
      {Id("unknown-request"), Era::kB, kRead, fails(1005, "unrecognized request type")},
      {Id("cut-read"), Era::kA, kRead, Do().Reset()},
      {Id("cut-read"), Era::kD, kRead, Do().Close()},
      {Id("cut-write"), Era::kA, kWrite, Do().Reset()},
      {Id("cut-write"), Era::kD, kWrite, Do().Close()},
      {Id("cut-begin"), Era::kD, "BEGIN IMMEDIATE", Do().Close()},
      {Id("cut-begin"), Era::kC, "SAVEPOINT a", Do().Close()},
      {Id("cut-begin"), Era::kA, "ROLLBACK", Do().Close()},
      {Id("cut-commit"), Era::kB, "COMMIT", Do().Close()},
      {Id("moved"), Era::kA, kWrite, fails(10250, "not leader")},
      {Id("moved"), Era::kC, kWrite, fails(7, "no more rows available")},
      {Id("moved"), Era::kD, "COMMIT", fails(10250, "not leader")},
      {Id("lost-write"), Era::kD, kWrite, fails(10506, "leadership lost")},
      {Id("lost-write"), Era::kD, kWrite, fails(10, "leader exec failed")},
      {Id("lost-write"), Era::kC, "COMMIT", fails(10, "disk I/O error")},
      {Id("lost-write"), Era::kB, kWrite, fails(4, "abort")},
      {Id("lost-write"), Era::kA, kWrite, fails(778, "disk I/O error")},
      {Id("lost-read"), Era::kD, kRead, fails(10506, "leadership lost")},
      {Id("lost-read"), Era::kD, "BEGIN IMMEDIATE", fails(10506, "leadership lost")},
      {Id("barrier"), Era::kC, kRead, fails(1, "barrier error")},
      {Id("barrier"), Era::kA, kWrite, fails(10506, "barrier error")},
      {Id("session-gone"), Era::kD, kRead, fails(12, "no database opened")},
      {Id("session-gone"), Era::kA, kWrite, fails(12, "no database opened")},
      {Id("broken-off"), Era::kD, kRead, fails(9, "interrupted")},
      {Id("broken-off"), Era::kD, kRead, fails(10, "leader exec failed")},
  };
}

TEST(Mock, OnAConnection) {
  for (const Case& c : Cases()) {
    SCOPED_TRACE(std::string(c.id) + ", " + c.sql);
    mock::Server server(c.era);
    server.On(Statement(c.sql), c.answer);
    const Conn conn(Dsn(server));
    ASSERT_TRUE(conn) << conn.opened();
    EXPECT_TRUE(Is(c.id, c.sql == kRead ? conn.Query(c.sql) : conn.Exec(c.sql)));
  }
}

// What the column "client" says.
TEST(Mock, ThroughAClient) {
  for (const Case& c : Cases()) {
    const Row& row = Table().at(c.id);
    const std::string_view verb(c.sql);
    // What ends a transaction has none to end in a client.
    if (row.client == "–" || verb == "COMMIT" || verb == "ROLLBACK") continue;
    SCOPED_TRACE(std::string(c.id) + ", " + c.sql);
    mock::Server server(c.era);
    server.On(Statement(c.sql).First(1), c.answer);
    const Client client(Dsn(server, "poll_interval=5ms&backoff_min=5ms"));
    ASSERT_TRUE(client.opened().ok()) << client.opened();
    const Reply reply = c.sql == kRead ? client.Query(c.sql) : client.Exec(c.sql);
    const bool again = row.client == "again";
    EXPECT_EQ(server.Count(Statement(c.sql)), again ? 2u : 1u);
    if (again) {
      EXPECT_TRUE(reply.ok()) << reply;
    } else {
      EXPECT_TRUE(Is(c.id, reply));
    }
  }
}

// Idempotent: what is in doubt is run again, and stays in doubt whatever comes of that.
TEST(Mock, AnIdempotentCallThatFailsAgainIsStillInDoubt) {
  mock::Server server(Era::kD);
  server.On(Statement(kWrite).Nth(1), Do().Close());
  server.On(Statement(kWrite).Nth(2), Do().Failure(2067, "UNIQUE constraint failed: t.x"));
  const Client client(Dsn(server));
  const Reply reply = client.Exec(kWrite, {}, 0, DQC_CALL_IDEMPOTENT);
  EXPECT_EQ(server.Count(Statement(kWrite)), 2u);
  EXPECT_EQ(reply.status, DQC_E_CONSTRAINT) << reply;
  EXPECT_EQ(reply.failure.outcome, DQC_OUTCOME_MAYBE_EXECUTED) << reply;
}

// The server said good-bye while nobody was listening: what is sent then never arrives.
TEST(Mock, LostWhileItWasQuiet) {
  for (const bool reset : {false, true}) {
    mock::Server server(Era::kD);
    Do answer = Do().Default().Delay(10);  // it is not heard together with the answer
    server.On(Statement(kRead), reset ? answer.Reset() : answer.Close());
    const Conn conn(Dsn(server));
    ASSERT_TRUE(conn.Query(kRead).ok());
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_TRUE(Is(Id("cut-before"), conn.Exec(kWrite)));
    EXPECT_TRUE(Is(Id("closed"), conn.Exec(kWrite)));
    const Client client(Dsn(server), true, DQC_LOOP_DRIVEN);
    ASSERT_TRUE(client.Query(kRead).ok());
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_TRUE(client.Exec(kWrite).ok());
    EXPECT_EQ(server.Count(Statement(kWrite)), 1u);
  }
}

TEST(Mock, BehindACursor) {
  mock::Server server(Era::kD);
  server.On(Statement("big"),
            Do().Rows({.columns = {"n"}, .rows = {}, .made = 30'000, .make = [](uint64_t i) {
                         return mock::Row{static_cast<int64_t>(i)};
                       }}));
  const Conn conn(Dsn(server, "buffer_max=64KiB&high_water=4KiB&read_buffer=4KiB"));
  dqc_rows* rows = nullptr;
  ASSERT_EQ(dqc_conn_query(conn.get(), "SELECT big", DQC_CSTR, nullptr, 0, nullptr, &rows, nullptr),
            DQC_OK);
  EXPECT_TRUE(Is(Id("cursor"), conn.Exec(kWrite)));
  EXPECT_EQ(server.Count(Statement(kWrite)), 0u);
  const Reply rest = live::Drain(DQC_OK, rows, nullptr);
  EXPECT_EQ(rest.rows.size(), 30'000u) << rest;
  EXPECT_TRUE(conn.Exec(kWrite).ok());
}

TEST(Mock, BehindALoss) {
  mock::Server server(Era::kD);
  server.On(Match(RequestType::kPrepare).Sql("slow"), Do().Delay(50).Failure(10250, "not leader"));
  Pending connected, script, behind;
  const AsyncConn conn(Dsn(server));
  ASSERT_EQ(conn.Connect(&connected), DQC_OK);
  ASSERT_EQ(conn.Script("INSERT INTO slow VALUES (1)", &script), DQC_OK);
  ASSERT_EQ(conn.Exec(kWrite, &behind), DQC_OK);
  ASSERT_TRUE(conn.Finish(behind));
  EXPECT_TRUE(Is(Id("moved"), script.reply));
  EXPECT_TRUE(Is(Id("behind-loss"), behind.reply));
}

TEST(Mock, Scripts) {
  const char* const sql = "BEGIN; INSERT INTO t VALUES (1); INSERT INTO u VALUES (2); COMMIT";
  for (const Era era : {Era::kA, Era::kD}) {
    for (const bool at_commit : {false, true}) {
      mock::Server server(era);
      const Match at =
          Match(RequestType::kExec, RequestType::kExecSql).Sql(at_commit ? "COMMIT" : "INTO u");
      server.On(Match(at).First(2), Do().Close());
      const Conn conn(Dsn(server));
      const char* id = at_commit ? Id("script-cut-commit") : Id("script-cut");
      EXPECT_TRUE(Is(id, conn.Script(sql)));
      const Client client(Dsn(server));  // meets it once more
      dqc_error* error = nullptr;
      const dqc_status status =
          dqc_client_script(client.get(), sql, DQC_CSTR, nullptr, nullptr, &error);
      EXPECT_EQ(status == DQC_OK, Table().at(id).client == "again") << dqc_error_message(error);
      if (status != DQC_OK) {
        EXPECT_TRUE(Is(id, live::Describe(error)));
      }
      dqc_error_free(error);
      EXPECT_EQ(server.Count(at), at_commit ? 2u : 3u);
    }
  }
}

// An effect of the script's before, or behind, its own transaction stays.
TEST(Mock, AScriptThatDidSomethingOutsideOfItsTransaction) {
  for (const char* sql :
       {"INSERT INTO t VALUES (1); BEGIN; INSERT INTO u VALUES (2); COMMIT",
        "BEGIN; INSERT INTO t VALUES (1); COMMIT; INSERT INTO u VALUES (2)",
        "BEGIN; COMMIT; BEGIN; ROLLBACK; INSERT INTO t VALUES (1); INSERT INTO u VALUES (2)",
        "SAVEPOINT a; INSERT INTO t VALUES (1); RELEASE a; INSERT INTO u VALUES (2)"}) {
    mock::Server server(Era::kC);
    server.On(Match(RequestType::kExec).Sql("INTO u"), Do().Close());
    const Conn conn(Dsn(server));
    const Reply reply = conn.Script(sql);
    EXPECT_EQ(reply.status, DQC_E_NETWORK) << sql << ": " << reply;
    EXPECT_EQ(reply.failure.outcome, DQC_OUTCOME_MAYBE_EXECUTED) << sql << ": " << reply;
  }
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#elif defined(__has_feature)
constexpr bool kSanitized = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
constexpr bool kSanitized = false;
#endif

// While it lives, the process may have `more` bytes and no others.
class LittleMemory {
 public:
  explicit LittleMemory(size_t more) {
    size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    getrlimit(RLIMIT_AS, &before_);
    rlimit tight = before_;
    tight.rlim_cur = pages * static_cast<size_t>(getpagesize()) + more;
    EXPECT_EQ(setrlimit(RLIMIT_AS, &tight), 0);
  }
  ~LittleMemory() { setrlimit(RLIMIT_AS, &before_); }

 private:
  rlimit before_{};
};

TEST(Mock, OutOfMemory) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer needs more address space than it can be given";
  mock::Server server(Era::kD);
  // More than what malloc keeps in reserve for a thread.
  constexpr size_t kMuch = 150u << 20;
  const mock::Bytes header = mock::HeaderBytes(kMuch / 8, 6);
  server.On(Statement("INTO big"), Do().Raw(header).Delay(20).Raw(mock::Bytes(64)).Hang());
  const live::Args none;
  const live::Args args = {live::Arg::Blob(std::string(kMuch, 'x'))};
  for (const char* sql : {"INSERT INTO t VALUES (?)", "INSERT INTO big VALUES (1)"}) {
    const bool sent = std::string_view(sql).find("big") != std::string_view::npos;
    const Conn conn(Dsn(server, "max_message=1GiB"));
    ASSERT_TRUE(conn) << conn.opened();
    Reply reply;
    {
      const LittleMemory little(8u << 20);
      reply = conn.Exec(sql, sent ? none : args);
    }
    EXPECT_TRUE(Is(sent ? Id("no-memory-write") : Id("no-memory"), reply));
  }
}

}  // namespace
}  // namespace dqc::outcomes
