/* SPDX-License-Identifier: MIT */
// Copies of databases: they open with SQLite, and their size is no matter.
//
// DQC_LIVE_DUMP_MIB sets how large the large one is.
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <map>

#include "live/client.hpp"
#if defined(DQC_HAVE_SQLITE3)
#include <sqlite3.h>
#endif

namespace dqc::live {
namespace {

class DumpTest : public SqlTest {};
DQC_LIVE_SUITE(DumpTest);

// In KiB, from /proc/self/status.
long MemoryKiB(const std::string& field) {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    if (word != field + ":") continue;
    long kib = 0;
    status >> kib;
    return kib;
  }
  return 0;
}

void ResetPeak() { std::ofstream("/proc/self/clear_refs") << "5"; }

struct Dumped {
  dqc_status status = DQC_OK;
  Failure failure;
  std::vector<std::string> names;  // in order
  std::map<std::string, int64_t> sizes;
  size_t pieces = 0, piece_max = 0;
  double seconds = 0;
};

dqc_admin DumpRequest(const char* database) {
  return {sizeof(dqc_admin), DQC_ADMIN_DUMP, 0, 0, database};
}

// Writes the files into `folder`, each piece as it comes.
Dumped Dump(const Conn& conn, const std::string& database, const std::string& folder) {
  const auto begun = std::chrono::steady_clock::now();
  Dumped out;
  const dqc_admin request = DumpRequest(database.c_str());
  dqc_rows* rows = nullptr;
  dqc_error* error = nullptr;
  out.status = dqc_conn_admin(conn.get(), &request, nullptr, &rows, &error);
  const Handle<dqc_rows> owned(rows);
  std::ofstream file;
  int64_t written = 0;
  while (out.status == DQC_OK || out.status == DQC_ROW) {
    out.status = dqc_rows_step(rows, &error);
    if (out.status != DQC_ROW) break;
    const std::string name = dqc_rows_text(rows, 0, nullptr);
    size_t size = 0;
    const char* data = dqc_rows_text(rows, 3, &size);
    const int64_t offset = dqc_rows_int64(rows, 2);
    if (offset == 0) {
      out.names.push_back(name);
      out.sizes[name] = dqc_rows_int64(rows, 1);
      written = 0;
      if (file.is_open()) file.close();
      if (!folder.empty() && out.sizes[name] > 0) file.open(folder + "/" + name, std::ios::binary);
    }
    EXPECT_EQ(offset, written);
    EXPECT_EQ(dqc_rows_int64(rows, 1), out.sizes[name]);
    if (file.is_open()) file.write(data, static_cast<std::streamsize>(size));
    written += static_cast<int64_t>(size);
    ++out.pieces;
    out.piece_max = std::max(out.piece_max, size);
  }
  if (error != nullptr) out.failure = Describe(error);
  dqc_error_free(error);
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  return out;
}

TEST_P(DumpTest, OfAnUnknownDatabase) {
  const Conn conn = Open();
  const Dumped dump = Dump(conn, "nobody-made-this", "");
  if (era() == 'D') {
    EXPECT_EQ(dump.failure.server_code, 1002) << dump.failure;
    EXPECT_EQ(dump.status, DQC_E_SERVER);
  } else {
    EXPECT_EQ(dump.status, DQC_END);
    EXPECT_EQ(dump.names, (std::vector<std::string>{"nobody-made-this", "nobody-made-this-wal"}));
    EXPECT_EQ(dump.sizes.at("nobody-made-this"), 0);
    EXPECT_EQ(dump.pieces, 2u);
  }
  EXPECT_EQ(conn.Query("SELECT 1").Text(), "I1");
}

TEST_P(DumpTest, Columns) {
  const Conn conn = Open();
  const Reply reply = conn.Admin(DQC_ADMIN_DUMP, 0, 0, database().c_str());
  ASSERT_TRUE(reply.ok()) << reply;
  EXPECT_EQ(reply.columns, (std::vector<std::string>{"name", "size", "offset", "data"}));
}

// About `mib` MiB, in rows of 8000 random bytes. Not more of them in a statement: behind a transaction
// of more than 1000 pages 1.11.1 refuses the next (522, disk I/O error).
int64_t Fill(const Conn& conn, int64_t mib) {
  constexpr int64_t kRowsOfOne = 200;
  EXPECT_TRUE(conn.Exec("CREATE TABLE t(id INTEGER PRIMARY KEY, x)").ok());
  const int64_t statements = mib * 1024 * 1024 / (kRowsOfOne * 8100) + 1;
  for (int64_t i = 0; i < statements; ++i) {
    const Reply reply =
        conn.Exec("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " +
                  std::to_string(kRowsOfOne) + ") INSERT INTO t(x) SELECT randomblob(8000) FROM n");
    EXPECT_TRUE(reply.ok()) << reply;
    if (!reply.ok()) break;
  }
  return statements * kRowsOfOne;
}

#if defined(DQC_HAVE_SQLITE3)
// First column of the first row of `sql` in the database file.
std::string AskSqlite(const std::string& file, const char* sql) {
  sqlite3* db = nullptr;
  sqlite3_stmt* stmt = nullptr;
  std::string text = "?";
  if (sqlite3_open(file.c_str(), &db) == SQLITE_OK &&
      sqlite3_prepare_v2(db, sql, -1, &stmt, nullptr) == SQLITE_OK &&
      sqlite3_step(stmt) == SQLITE_ROW) {
    const auto* cell = reinterpret_cast<const char*>(sqlite3_column_text(stmt, 0));
    text = cell == nullptr ? "NULL" : cell;
  } else {
    ADD_FAILURE() << sqlite3_errmsg(db);
  }
  sqlite3_finalize(stmt);
  sqlite3_close(db);
  return text;
}

TEST_P(DumpTest, OpensWithSqlite) {
  const Conn conn = Open();
  ASSERT_TRUE(conn.Exec("CREATE TABLE t(x)").ok());
  ASSERT_TRUE(conn.Exec("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE "
                        "i < 2000) INSERT INTO t SELECT printf('%0200d', i) FROM n")
                  .ok());
  const TestDir dir;
  const Dumped dump = Dump(conn, database(), dir.path());
  ASSERT_EQ(dump.status, DQC_END) << dump.failure;
  ASSERT_EQ(dump.names, (std::vector<std::string>{database(), database() + "-wal"}));
  const std::string main_file = dir.path() + "/" + database();
  EXPECT_EQ(AskSqlite(main_file, "PRAGMA integrity_check"), "ok");
  EXPECT_EQ(AskSqlite(main_file, "SELECT count(*) || '/' || max(x + 0) FROM t"), "2000/2000");
}

TEST_P(DumpTest, LargeInLittleMemory) {
  const char* chosen = std::getenv("DQC_LIVE_DUMP_MIB");
  const int64_t mib = chosen != nullptr ? std::atol(chosen) : 72;  // max_message is 64 MiB
  if (chosen != nullptr) SetWatchdog(600);
  const Conn conn = Open("timeout=600s");
  const int64_t rows = Fill(conn, mib);
  const std::string ask =
      "SELECT count(*) || '/' || sum(length(x)) || '/' || (SELECT hex(x) FROM t "
      "WHERE id = 777) || '/' || max(hex(x)) FROM t";
  const std::string there = conn.Query(ask).Text();
  const TestDir dir;
  ResetPeak();
  const long before = MemoryKiB("VmRSS");
  const Dumped dump = Dump(conn, database(), dir.path());
  const long added = MemoryKiB("VmHWM") - before;
  ASSERT_EQ(dump.status, DQC_END) << dump.failure;
  const int64_t bytes = dump.sizes.at(database()) + dump.sizes.at(database() + "-wal");
  std::printf(
      "%s: %lld rows; main file %lld bytes, log %lld; %zu pieces up to %zu; %.2f s; "
      "memory added %ld KiB\n",
      server().version.c_str(), static_cast<long long>(rows),
      static_cast<long long>(dump.sizes.at(database())),
      static_cast<long long>(dump.sizes.at(database() + "-wal")), dump.pieces, dump.piece_max,
      dump.seconds, added);
  EXPECT_GT(bytes, mib << 20);
  EXPECT_LT(added, 16 << 10);
  const std::string main_file = dir.path() + "/" + database();
  EXPECT_EQ(AskSqlite(main_file, "PRAGMA integrity_check"), "ok");
  EXPECT_EQ("T" + AskSqlite(main_file, ask.c_str()), there);
  EXPECT_EQ(conn.Query("SELECT count(*) FROM t").Int(), rows);
}
#endif

// The rest of a cancelled dump is thrown away where that is worth it; the node survives both ways.
TEST_P(DumpTest, CancelledInTheMiddle) {
  const Conn filler = Open();
  (void)Fill(filler, 4);
  const char* const budgets[] = {"drain_bytes=64MiB", "drain_bytes=64KiB&drain_bytes_era_d=64KiB"};
  for (const char* const budget : budgets) {
    AsyncConn conn(Dsn(budget));
    Pending connect, dump, after;
    dump.keep_rows = false;
    dump.on_event = [&](const dqc_event& event) {
      if (event.type == DQC_EVENT_ROWS && dump.batches == 2) conn.Cancel(dump);
    };
    ASSERT_EQ(conn.Connect(&connect), DQC_OK);
    ASSERT_TRUE(conn.Finish(connect));
    ASSERT_EQ(conn.Admin(DumpRequest(database().c_str()), &dump), DQC_OK);
    ASSERT_EQ(conn.Query("SELECT 1", &after), DQC_OK);
    ASSERT_TRUE(conn.Finish(after));
    EXPECT_EQ(dump.done, 1);
    EXPECT_EQ(dump.reply.status, DQC_E_CANCELLED) << dump.reply;
    if (budget == budgets[0]) {
      EXPECT_EQ(after.reply.Text(), "I1");
    } else {
      EXPECT_EQ(after.reply.status, DQC_E_NETWORK) << after.reply;
    }
  }
}

// Closing without waiting, and a cursor that is freed after its first row.
TEST_P(DumpTest, LeftInTheMiddle) {
  Conn conn = Open();
  (void)Fill(conn, 4);
  const dqc_admin request = DumpRequest(database().c_str());
  for (int round = 0; round < 3; ++round) {
    dqc_rows* rows = nullptr;
    ASSERT_EQ(dqc_conn_admin(conn.get(), &request, nullptr, &rows, nullptr), DQC_OK);
    ASSERT_EQ(dqc_rows_step(rows, nullptr), DQC_ROW);
    if (round == 0) dqc_rows_free(rows);
    conn.Free();
    if (round > 0) dqc_rows_free(rows);
    conn = Open();
    EXPECT_EQ(conn.Query("SELECT 1").Text(), "I1");
  }
}

// The cursor of a dump is left open while other statements run: these let the rest come in first,
// up to buffer_max.
TEST_P(DumpTest, OtherStatementsBetweenThePieces) {
  const Conn conn = Open();
  (void)Fill(conn, 4);
  const dqc_admin request = DumpRequest(database().c_str());
  dqc_rows* rows = nullptr;
  ASSERT_EQ(dqc_conn_admin(conn.get(), &request, nullptr, &rows, nullptr), DQC_OK);
  const Handle<dqc_rows> owned(rows);
  ASSERT_EQ(dqc_rows_step(rows, nullptr), DQC_ROW);
  EXPECT_EQ(conn.Query("SELECT 1").Text(), "I1");
  int64_t end = 0;
  do {
    size_t size = 0;
    (void)dqc_rows_text(rows, 3, &size);
    end = dqc_rows_int64(rows, 2) + static_cast<int64_t>(size);
    if (std::string(dqc_rows_text(rows, 0, nullptr)).ends_with("-wal")) {
      EXPECT_LE(end, dqc_rows_int64(rows, 1));
    }
  } while (dqc_rows_step(rows, nullptr) == DQC_ROW);
  EXPECT_EQ(dqc_rows_step(rows, nullptr), DQC_END);
}

}  // namespace
}  // namespace dqc::live
