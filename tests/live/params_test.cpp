/* SPDX-License-Identifier: MIT */
// Parameters and prepared statements.
#include <algorithm>
#include <random>

#include "live/client.hpp"

namespace dqc::live {
namespace {

class ParamsTest : public SqlTest {};
DQC_LIVE_SUITE(ParamsTest);

TEST_P(ParamsTest, Named) {
  const Conn conn = Open();
  const char* sql = "SELECT :a, @b, $c, ?7, :a";
  EXPECT_EQ(conn.Query("SELECT :a, @b, $c, :a",
                       {Arg(3).Named("$c"), Arg(1).Named(":a"), Arg(2).Named("@b")})
                .Text(),
            "I1|I2|I3|I1");
  EXPECT_EQ(conn.Query("SELECT ?3, ?1, ?2", {1, 2, 3}).Text(), "I3|I1|I2");
  EXPECT_EQ(conn.Query("SELECT ?2, ?1", {Arg(5).Named("?1"), Arg(6).Named("?2")}).Text(), "I6|I5");
  // Index 4 to 6 exist and no parameter has them: by position, or NULL.
  EXPECT_EQ(conn.Query("SELECT ?3, typeof(?3)", {Arg(5).Named("?3")}).Text(), "I5|Tinteger");
  EXPECT_EQ(conn.Query("SELECT ?2, :a", {Arg(6).Named(":a"), Arg(5).Named("?2")}).Text(), "I5|I6");
  EXPECT_EQ(conn.Query("SELECT ?2, ?", {Arg(5).Named("?2")}).status, DQC_E_PARAMS);
  const Stmt gap = conn.Prepare("SELECT ?3");
  EXPECT_EQ(gap.Query({Arg(7).Named("?3")}).Text(), "I7");
  EXPECT_EQ(gap.Query().status, DQC_E_PARAMS);
  const dqc_value eight = Arg(8).Value();
  ASSERT_EQ(dqc_stmt_bind(gap.get(), 3, &eight, nullptr), DQC_OK);
  EXPECT_EQ(gap.Query().Text(), "I8");
  EXPECT_EQ(conn.Query(sql, {1, 2, 3, 4, 5, 6, 7}).Text(), "I1|I2|I3|I7|I1");
  EXPECT_EQ(conn.Query("SELECT ?, :a, ?", {1, 2, 3}).Text(), "I1|I2|I3");
  EXPECT_EQ(conn.Query("SELECT $x::y(z)", {Arg(1).Named("$x::y(z)")}).Text(), "I1");
  const Stmt stmt = conn.Prepare("SELECT :a, @b, ?3");
  EXPECT_EQ(dqc_stmt_param_count(stmt.get()), 3u);
  EXPECT_STREQ(dqc_stmt_param_name(stmt.get(), 1), ":a");
  EXPECT_STREQ(dqc_stmt_param_name(stmt.get(), 2), "@b");
  EXPECT_STREQ(dqc_stmt_param_name(stmt.get(), 3), "?3");
  EXPECT_EQ(dqc_stmt_param_name(stmt.get(), 4), nullptr);
  EXPECT_EQ(stmt.Query({Arg(2).Named("@b"), Arg(1).Named(":a"), Arg(3).Named("?3")}).Text(),
            "I1|I2|I3");
}

TEST_P(ParamsTest, WrongNumberIsRefusedHere) {
  const Conn conn = Open();
  const Stmt stmt = conn.Prepare("SELECT ?, ?");
  for (const Args& args : {Args{}, Args{1}, Args{1, 2, 3}}) {
    for (const Reply& reply :
         {conn.Query("SELECT ?, ?", args), conn.Exec("SELECT ?, ?", args), stmt.Query(args)}) {
      EXPECT_EQ(reply.status, DQC_E_PARAMS) << reply;
      EXPECT_EQ(reply.failure.outcome, DQC_OUTCOME_NOT_EXECUTED);
      EXPECT_EQ(reply.failure.server_code, 0);
    }
  }
  EXPECT_EQ(conn.Query("SELECT 1", {1}).status, DQC_E_PARAMS);
  EXPECT_EQ(conn.Query("SELECT :a", {Arg(1).Named(":b")}).status, DQC_E_PARAMS);
  EXPECT_EQ(conn.Query("SELECT :a, :b", {Arg(1).Named(":a")}).status, DQC_E_PARAMS);
  EXPECT_EQ(conn.Query("SELECT :a, :b", {Arg(1).Named(":a"), 2}).status, DQC_E_PARAMS);
  EXPECT_EQ(conn.Query("SELECT :a", {Arg(1).Named(":a"), Arg(1).Named(":a")}).status, DQC_E_PARAMS);
  EXPECT_EQ(stmt.Query({1, 2}).Text(), "I1|I2");
}

TEST_P(ParamsTest, UpTo255) {
  const Conn conn = Open();
  for (const size_t count : {1u, 4u, 5u, 7u, 8u, 12u, 13u, 15u, 16u, 254u, 255u}) {
    std::string sql = "SELECT count(c), min(c), max(c) FROM (SELECT ? AS c";
    for (size_t i = 1; i < count; ++i) sql += " UNION ALL SELECT ?";
    const Reply reply = conn.Query(sql + ")", Args(count, Arg("p")));
    EXPECT_EQ(reply.Text(), "I" + std::to_string(count) + "|Tp|Tp") << reply;
  }
}

// Era A would run them with NULLs, silently.
TEST_P(ParamsTest, More) {
  const Conn conn = Open();
  for (const size_t count : {256u, 300u, 1000u}) {
    Args args;
    for (size_t i = 0; i < count; ++i) args.emplace_back(static_cast<int64_t>(i));
    const std::string sql =
        "SELECT max(c), count(c), sum(c) FROM (SELECT column1 c FROM (VALUES (" +
        [&] {
          std::string marks;
          for (size_t i = 0; i < count; ++i) marks += i ? "),(?" : "?";
          return marks;
        }() +
        ")))";
    const int64_t n = static_cast<int64_t>(count);
    const std::string expected = "I" + std::to_string(n - 1) + "|I" + std::to_string(n) + "|I" +
                                 std::to_string(n * (n - 1) / 2);
    const Stmt stmt = conn.Prepare(sql);
    for (const Reply& reply : {conn.Query(sql, args), stmt.Query(args)}) {
      if (era() == 'A') {
        EXPECT_EQ(reply.status, DQC_E_UNSUPPORTED) << reply;
        EXPECT_EQ(reply.failure.outcome, DQC_OUTCOME_NOT_EXECUTED);
      } else {
        EXPECT_EQ(reply.Text(), expected) << reply;
      }
    }
    EXPECT_EQ(conn.Exec(sql, args).ok(), era() != 'A');
  }
}

TEST_P(ParamsTest, BoundValuesAreKept) {
  const Conn conn = Open();
  const Stmt stmt = conn.Prepare("SELECT ?, :b, ?");
  const auto bind = [&](uint32_t index, const Arg& arg) {
    const dqc_value value = arg.Value();
    return dqc_stmt_bind(stmt.get(), index, &value, nullptr);
  };
  const auto run = [&] {
    dqc_rows* rows = nullptr;
    dqc_error* error = nullptr;
    const dqc_status status = dqc_stmt_query(stmt.get(), nullptr, 0, nullptr, &rows, &error);
    return Drain(status, rows, error);
  };
  EXPECT_EQ(bind(1, 1), DQC_OK);
  EXPECT_EQ(run().status, DQC_E_PARAMS);
  EXPECT_EQ(bind(0, Arg("two").Named(":b")), DQC_OK);
  EXPECT_EQ(bind(3, Arg::Blob(std::string(300, 'x'))), DQC_OK);
  EXPECT_EQ(bind(3, Arg::Blob("\x07")), DQC_OK);
  EXPECT_EQ(bind(4, 1), DQC_E_PARAMS);
  EXPECT_EQ(bind(0, Arg(1).Named(":nope")), DQC_E_PARAMS);
  EXPECT_EQ(run().Text(), "I1|Ttwo|B07");
  EXPECT_EQ(bind(1, nullptr), DQC_OK);
  EXPECT_EQ(run().Text(), "N|Ttwo|B07");
  EXPECT_EQ(stmt.Query({7, 8, 9}).Text(), "I7|I8|I9");
  EXPECT_EQ(run().Text(), "N|Ttwo|B07");
}

TEST_P(ParamsTest, PreparedStatementsSurviveFailuresAndSchemaChanges) {
  const Conn conn = Open();
  ASSERT_TRUE(conn.Exec("CREATE TABLE t(x UNIQUE)").ok());
  const Stmt insert = conn.Prepare("INSERT INTO t VALUES (?)");
  const Stmt all = conn.Prepare("SELECT * FROM t ORDER BY x");
  EXPECT_TRUE(insert.Exec({1}).ok());
  EXPECT_EQ(insert.Exec({1}).status, DQC_E_CONSTRAINT);
  EXPECT_TRUE(insert.Exec({2}).ok());
  EXPECT_EQ(all.Query().Text(), "I1;I2");
  const Conn other = Open();
  ASSERT_TRUE(other.Exec("ALTER TABLE t ADD COLUMN y DEFAULT 'd'").ok());
  EXPECT_TRUE(all.Query().ok());  // old columns on some servers, new ones on others
  EXPECT_EQ(all.Query().Text(), "I1|Td;I2|Td");
  ASSERT_TRUE(other.Exec("DROP TABLE t").ok());
  EXPECT_EQ(all.Query().status, DQC_E_SQL);
  EXPECT_EQ(insert.Exec({3}).status, DQC_E_SQL);
  ASSERT_TRUE(other.Exec("CREATE TABLE t(x)").ok());
  EXPECT_EQ(all.Query().Text(), "");
}

TEST_P(ParamsTest, PreparedDdlAndTransactions) {
  const Conn conn = Open();
  const Stmt create = conn.Prepare("CREATE TABLE t(x)");
  const Stmt begin = conn.Prepare("BEGIN");
  const Stmt commit = conn.Prepare("COMMIT");
  EXPECT_TRUE(create.Exec().ok());
  EXPECT_EQ(create.Exec().status, DQC_E_SQL);
  EXPECT_TRUE(begin.Query().ok());
  EXPECT_TRUE(conn.Exec("INSERT INTO t VALUES (1)").ok());
  EXPECT_TRUE(commit.Query().ok());
  EXPECT_EQ(Open().Query("SELECT x FROM t").Text(), "I1");
}

// An id that was finalized and is used again crashes a server (protocol 5.7).
TEST_P(ParamsTest, FinalizeInEveryOrder) {
  const Conn conn = Open();
  ASSERT_TRUE(conn.Exec("CREATE TABLE t(x)").ok());
  std::mt19937 random(42);
  std::vector<std::pair<Stmt, int64_t>> live;
  for (int i = 0; i < 2000; ++i) {
    const size_t at = live.empty() ? 0 : random() % live.size();
    switch (random() % 5) {
      case 0:
      case 1:
        live.emplace_back(conn.Prepare("SELECT " + std::to_string(i) + " + ?"), i);
        ASSERT_TRUE(live.back().first);
        break;
      case 2:
        if (!live.empty()) live.erase(live.begin() + static_cast<ptrdiff_t>(at));
        break;
      case 3: {
        Reply failed;
        conn.Prepare("SELECT * FROM nowhere", &failed);
        ASSERT_EQ(failed.status, DQC_E_SQL);
        break;
      }
      default:
        if (!live.empty()) {
          ASSERT_EQ(live[at].first.Query({1}).Int(), live[at].second + 1);
        }
    }
  }
}

TEST_P(ParamsTest, FinalizePipelined) {
  AsyncConn conn(Dsn());
  Pending connected;
  ASSERT_EQ(conn.Connect(&connected), DQC_OK);
  std::vector<std::unique_ptr<Pending>> prepares, runs;
  for (int i = 0; i < 200; ++i) {
    prepares.push_back(std::make_unique<Pending>());
    const std::string sql = i % 7 == 3 ? "SELEC" : "SELECT " + std::to_string(i);
    ASSERT_EQ(conn.Prepare(sql, prepares.back().get()), DQC_OK);
  }
  ASSERT_TRUE(conn.Finish(*prepares.back()));
  for (int i = 0; i < 200; ++i) {  // run, give back while it runs, and prepare behind it
    dqc_stmt* stmt = prepares[static_cast<size_t>(i)]->stmt.get();
    ASSERT_EQ(stmt == nullptr, i % 7 == 3);
    if (stmt == nullptr) continue;
    runs.push_back(std::make_unique<Pending>());
    ASSERT_EQ(conn.StmtQuery(stmt, runs.back().get()), DQC_OK);
    prepares[static_cast<size_t>(i)]->stmt.reset();
    if (i % 3 == 0) {
      runs.push_back(std::make_unique<Pending>());
      ASSERT_EQ(conn.Prepare("SELECT 'x'", runs.back().get()), DQC_OK);
    }
    if (i % 50 == 5) conn.Cancel(*runs.back());
  }
  ASSERT_TRUE(conn.RunUntil([&] {
    for (const auto& run : runs) {
      if (run->done == 0) return false;
    }
    return true;
  }));
  Pending last;
  ASSERT_EQ(conn.Query("SELECT 1", &last), DQC_OK);
  ASSERT_TRUE(conn.Finish(last));
  EXPECT_TRUE(last.reply.ok()) << last.reply;
  runs.clear();
  conn.Close();
}

// Found one by one among all they would take seconds.
TEST_P(ParamsTest, ManyNames) {
  const Conn conn = Open();
  constexpr int kCount = 32766;
  std::string sql = "VALUES ";
  Args args;
  for (int i = 0; i < kCount; ++i) {
    const std::string name = ":name" + std::to_string(i);
    sql += (i == 0 ? "(" : ",(") + name + ")";
    args.push_back(Arg(i).Named(name));
  }
  std::reverse(args.begin(), args.end());
  const Reply reply = conn.Query(sql, args);
  if (era() == 'A') {
    EXPECT_EQ(reply.status, DQC_E_UNSUPPORTED) << reply;
    return;
  }
  ASSERT_TRUE(reply.ok()) << reply;
  ASSERT_EQ(reply.rows.size(), static_cast<size_t>(kCount));
  for (int i = 0; i < kCount; ++i)
    ASSERT_EQ(reply.rows[static_cast<size_t>(i)][0], "I" + std::to_string(i));
}

TEST_P(ParamsTest, AnIndexBeyondTheLimitCostsNothing) {
  const Conn conn = Open();
  for (const char* sql : {"SELECT ?12000000", "SELECT ?32767"}) {
    Reply prepared;
    EXPECT_FALSE(conn.Prepare(sql, &prepared));
    EXPECT_EQ(prepared.status, DQC_E_LIMIT) << prepared;
    EXPECT_EQ(conn.Query(sql).status, DQC_E_LIMIT);
  }
}

}  // namespace
}  // namespace dqc::live
