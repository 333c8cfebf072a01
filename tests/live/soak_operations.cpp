/* SPDX-License-Identifier: MIT */
// The operations of a Worker.
#include <iterator>

#include "live/soak_worker.hpp"

namespace dqc::live {

void Worker::Insert() {
  const int64_t rows = 1 + static_cast<int64_t>(Pick(3));
  std::string sql = "INSERT INTO " + Table() + "(x) VALUES (?)";
  for (int64_t i = 1; i < rows; ++i) sql += ", ('more')";
  const Arg values[] = {Arg(static_cast<int64_t>(random_())),
                        Arg(1.5),
                        Arg("text"),
                        Arg(nullptr),
                        Arg(true),
                        Arg::Blob("bytes")};
  const Args args = {values[Pick(6)]};
  const Reply reply = Pick(4) == 0 ? conn_.Query(sql, args) : Again(sql, args);
  if (!Added(reply, rows)) return;
  Expect(reply.result.rows_affected == static_cast<uint64_t>(rows), "wrong rows_affected");
  Expect(reply.result.last_insert_id > 0, "no last_insert_id");
}

void Worker::Update() {
  const Reply reply = Again("UPDATE " + Table() + " SET x = ? WHERE id % 7 = ?",
                            {"updated", static_cast<int64_t>(Pick(7))}, Pick(2) == 0 ? 20 : 0);
  (void)Told(reply);
}

// Of two rows the second often fails, and the first stays.
void Worker::OrFail() {
  const std::string sql = "INSERT OR FAIL INTO " + Table() +
                          "(id, x) VALUES (NULL, 'stays'), ((SELECT min(id) FROM " + Table() +
                          "), 'fails')";
  Reply reply;
  switch (Pick(3)) {
    case 0:
      reply = conn_.Script(sql);
      break;
    case 1:
      if (const Stmt stmt = conn_.Prepare(sql, &reply)) reply = stmt.Exec();
      break;
    default:
      reply = Again(sql);
  }
  (void)Added(reply, 2, {DQC_E_CONSTRAINT});
}

// More than the connection takes: only the operation fails, and nobody is locked out.
void Worker::Limited() {
  const char* const kOptions[] = {"max_message=64KiB", "max_columns=1", "max_rows=1"};
  const Conn limited(dsn_ + "&" + kOptions[Pick(std::size(kOptions))]);
  if (!limited) return;
  const std::string wide = "x, hex(zeroblob(" + std::to_string(40'000 + Pick(200'000)) + "))";
  if (Pick(2) == 0) {
    const Reply reply = limited.Query(Numbers(3) + "SELECT i, hex(zeroblob(100000)) FROM n");
    (void)Told(reply, {DQC_E_LIMIT});
    return;
  }
  const Reply reply =
      limited.Query("INSERT INTO " + Table() + "(x) VALUES (1), (2) RETURNING " + wide);
  (void)Added(reply, 2, {DQC_E_LIMIT, DQC_E_UNSUPPORTED});
}

void Worker::Select() {
  const int64_t number = static_cast<int64_t>(Pick(1000));
  const Reply reply = conn_.Query("SELECT ?, ? || 'x', count(*) FROM " + Table(), {number, "a"});
  if (Told(reply)) {
    Expect(reply.rows.size() == 1 && reply.Int() == number && reply.rows[0][1] == "Tax",
           "wrong row");
  }
}

void Worker::BigResult() {
  const uint64_t rows = 1 + Pick(20'000);
  const Reply reply = conn_.Query(Numbers(rows) + "SELECT i, 'some text', i * 1.5 FROM n");
  if (Told(reply)) {
    Expect(reply.rows.size() == rows && reply.rows.back()[0] == "I" + std::to_string(rows),
           "wrong rows");
  }
}

// Also through new connections: there a server's buffer has still its first size. The names together
// stay below a page.
void Worker::WideResult() {
  const uint64_t columns = 17 + Pick(300);
  std::string sql =
      Numbers(1 + Pick(30)) + "SELECT i AS " + std::string(1 + Pick(4040 - 8 * columns), 'n');
  for (uint64_t i = 1; i < columns; ++i) sql += i % 5 == 0 ? ",'text' AS t" : ",1 AS c";
  const Conn fresh = Pick(2) == 0 ? Conn(dsn_) : Conn();
  const Reply reply = (fresh ? fresh : conn_).Query(sql + " FROM n");
  if (Told(reply)) Expect(reply.columns.size() == columns, "wrong number of columns");
}

void Worker::Returning() {
  const std::string sql = "INSERT INTO " + Table() + "(x) VALUES (?) RETURNING x, id";
  const int64_t number = static_cast<int64_t>(Pick(1000));
  Reply reply;
  switch (Pick(4)) {
    case 0:
      reply = conn_.Exec(sql, {number});
      break;
    case 1: {
      Reply prepared;
      const Stmt stmt = conn_.Prepare(sql, &prepared);
      if (!Told(prepared, {DQC_E_UNSUPPORTED})) {
        Expect(prepared.status != DQC_E_UNSUPPORTED || era_ == 'C', "refused on the wrong era");
        return;
      }
      reply = stmt.Query({number});
      break;
    }
    case 2:
      reply = conn_.Script("SELECT 1; INSERT INTO " + Table() + "(x) VALUES (1) RETURNING id");
      break;
    default:
      reply = conn_.Query(sql, {number});
      if (reply.ok()) Expect(reply.Int() == number, "wrong row");
  }
  (void)Added(reply, 1, {DQC_E_UNSUPPORTED});
  Expect((reply.status == DQC_E_UNSUPPORTED) == (era_ == 'C') || !reply.ok(),
         "RETURNING on the wrong era");
}

// A cursor of RETURNING that is given up: the rows are stored, or not, and nobody stays locked out.
void Worker::HalfReturning() {
  const std::string sql = Numbers(700) + "INSERT INTO " + Table() +
                          "(x) SELECT i FROM n RETURNING x, 'a text that makes it longer'";
  dqc_rows* rows = nullptr;
  dqc_error* error = nullptr;
  const dqc_status status =
      dqc_conn_query(conn_.get(), sql.data(), sql.size(), nullptr, 0, nullptr, &rows, &error);
  Reply reply;
  reply.status = status;
  reply.failure = Describe(error);
  dqc_error_free(error);
  if (status == DQC_OK) {
    for (int i = 0; i < 3; ++i) (void)dqc_rows_step(rows, nullptr);
    dqc_rows_free(rows);
    may_be_lost_ = true;
    rows_max_ += 700;
    doubted_at_ = std::chrono::steady_clock::now();
    (void)Told(reply);
    if (Pick(2) == 0) {
      conn_.Free();
    } else {
      (void)Told(conn_.Query("SELECT 1"));  // a loop that nobody drives cleans up nothing
    }
    return;
  }
  (void)Added(reply, 700, {DQC_E_UNSUPPORTED});
}

void Worker::HalfCursor() {
  const std::string sql = Numbers(5000) + "SELECT i, 'some text' FROM n";
  dqc_rows* rows = nullptr;
  if (dqc_conn_query(conn_.get(), sql.data(), sql.size(), nullptr, 0, nullptr, &rows, nullptr) !=
      DQC_OK) {
    ++counts_[{kind_, "not begun"}];
    return;
  }
  const Handle<dqc_rows> owned(rows);
  for (int i = 1; i <= 300; ++i) {
    if (dqc_rows_step(rows, nullptr) != DQC_ROW || dqc_rows_int64(rows, 0) != i) {
      return Violation("wrong row");
    }
  }
  if (Pick(2) == 0) (void)Told(conn_.Query("SELECT 1"));  // ahead of the cursor
  may_be_lost_ = true;
  ++counts_[{kind_, "ok"}];
}

void Worker::Transaction() {
  if (!Told(Pick(4) == 0 ? conn_.Exec("BEGIN") : Again("BEGIN IMMEDIATE"))) return;
  int64_t rows = 0;
  const uint64_t count = 1 + Pick(10);
  for (uint64_t i = 0; i < count; ++i) {
    const bool returning = era_ != 'C' && Pick(3) == 0;
    const std::string sql = "INSERT INTO " + Table() + "(x) VALUES (?)";
    const Reply reply = returning ? conn_.Query(sql + " RETURNING id", {1}) : conn_.Exec(sql, {1});
    if (!Told(reply, {DQC_E_BUSY_SNAPSHOT})) return Rollback();
    ++rows;
  }
  if (Pick(4) == 0) return Rollback();
  const Reply committed = Again("COMMIT");
  if (!Added(committed, rows)) Rollback();
}

void Worker::SavepointInTransaction() {
  if (!Told(Again("BEGIN IMMEDIATE"))) return;
  for (const char* sql : {"SAVEPOINT s", "INSERT", "ROLLBACK TO s", "RELEASE s", "INSERT"}) {
    const bool insert = std::string(sql) == "INSERT";
    const Reply reply =
        insert ? conn_.Exec("INSERT INTO " + Table() + "(x) VALUES ('s')") : conn_.Exec(sql);
    if (!Told(reply)) return Rollback();
  }
  if (!Added(Again("COMMIT"), 1)) Rollback();
}

void Worker::Script() {
  const std::string table = Table();
  const std::string sql = "-- a script\nBEGIN IMMEDIATE; INSERT INTO " + table +
                          "(x) VALUES ('a;b'); SELECT * FROM " + table + " LIMIT 3; INSERT INTO " +
                          table + "(x) VALUES (2); COMMIT; /* end */";
  const Reply reply = Pick(2) == 0
                          ? conn_.Script(sql)
                          : conn_.Exec("INSERT INTO " + table + "(x) VALUES (1); INSERT INTO " +
                                       table + "(x) VALUES (2); ");
  if (!Added(reply, 2)) Rollback();
}

void Worker::ScriptThatFails() {
  const std::string insert = "INSERT INTO " + Table() + "(x) VALUES (1); ";
  const Reply reply = Pick(2) == 0 ? conn_.Script(insert + "SELECT * FROM nowhere; " + insert)
                                   : conn_.Exec(insert + "BOGUS; " + insert);
  Expect(!reply.ok(), "it did not fail");
  (void)Added(reply, 1, {DQC_E_SQL});
}

void Worker::Pragma() {
  const char* kSafe[] = {"PRAGMA table_info(sqlite_master)",
                         "PRAGMA user_version",
                         "PRAGMA foreign_keys",
                         "PRAGMA page_count",
                         "PRAGMA journal_mode",
                         "PRAGMA cache_size = 50",
                         "PRAGMA user_version = 5",
                         "PRAGMA database_list",
                         "PRAGMA optimize",
                         "PRAGMA optimize = 0x10002",
                         "SELECT * FROM pragma_optimize(65538)",
                         "PRAGMA quick_check(1)",
                         "PRAGMA shrink_memory",
                         "EXPLAIN SELECT 1",
                         "ANALYZE"};
  const char* kHarmful[] = {"PRAGMA synchronous = FULL", "PRAGMA journal_mode = DELETE",
                            "PRAGMA wal_checkpoint",     "PRAGMA page_size = 512",
                            "ATTACH 'x' AS y",           "PRAGMA locking_mode = EXCLUSIVE",
                            "PRAGMA count_changes = 1"};
  if (Pick(3) == 0) {
    const Reply reply = conn_.Exec(kHarmful[Pick(std::size(kHarmful))]);
    Expect(reply.status == DQC_E_UNSUPPORTED, "was not refused");
    (void)Told(reply, {DQC_E_UNSUPPORTED});
    return;
  }
  const char* sql = kSafe[Pick(std::size(kSafe))];
  (void)Told(Pick(2) == 0 ? conn_.Query(sql) : conn_.Exec(sql), {DQC_E_SQL});
}

void Worker::Error() {
  switch (Pick(5)) {
    case 0:
      (void)Told(conn_.Exec("BOGUS"), {DQC_E_SQL});
      break;
    case 1:
      (void)Told(conn_.Query("SELECT * FROM nowhere"), {DQC_E_SQL});
      break;
    case 2:
      (void)Told(conn_.Query(Numbers(3000) + "SELECT CASE WHEN i = 2500 THEN "
                                             "abs(-9223372036854775808) ELSE i END FROM n"),
                 {DQC_E_SQL});
      break;
    case 3:
      (void)Added(conn_.Exec("INSERT INTO " + Table() + "(id) VALUES (1), (1)"), 0,
                  {DQC_E_CONSTRAINT});
      break;
    default:
      (void)Told(conn_.Query("SELECT ?, ?", {1}), {DQC_E_PARAMS});
  }
}

void Worker::Prepared() {
  if (stmts_.size() < 8 && Pick(3) != 0) {
    const int64_t number = static_cast<int64_t>(Pick(1000));
    Reply reply;
    Stmt stmt = conn_.Prepare("SELECT " + std::to_string(number) + " + ?", &reply);
    if (Told(reply)) stmts_.emplace_back(std::move(stmt), number);
    return;
  }
  if (stmts_.empty()) return;
  const size_t at = Pick(stmts_.size());
  const Reply reply = stmts_[at].first.Query({1});
  if (Told(reply)) Expect(reply.Int() == stmts_[at].second + 1, "wrong row of a statement");
  if (Pick(3) == 0) stmts_.erase(stmts_.begin() + static_cast<ptrdiff_t>(at));
}

void Worker::Blob() {
  const std::string bytes(Pick(300'000), 'b');
  if (!Added(Again("INSERT INTO " + Table() + "(x) VALUES (?)", {Arg::Blob(bytes)}), 1)) return;
  const Reply read = conn_.Query("SELECT length(x) FROM " + Table() + " ORDER BY id DESC LIMIT 1");
  if (Told(read)) Expect(read.Int() == static_cast<int64_t>(bytes.size()), "wrong size of a blob");
  (void)Added(
      conn_.Exec("DELETE FROM " + Table() + " WHERE id = (SELECT max(id) FROM " + Table() + ")"),
      -1);
}

void Worker::Ddl() {
  const std::string name = "ddl" + std::to_string(number_);
  for (const std::string& sql :
       {"CREATE TABLE IF NOT EXISTS " + name + "(a, b)",
        "CREATE INDEX IF NOT EXISTS i" + name + " ON " + name + "(a)",
        "DROP TABLE IF EXISTS " + name, "CREATE TEMP TABLE IF NOT EXISTS t" + name + "(a)",
        "INSERT INTO t" + name + " VALUES (1)"}) {
    if (!Told(Again(sql), {DQC_E_SQL})) return;  // a table that a busy create did not make
  }
}

void Worker::Timeout() {
  const uint64_t ms = 1 + Pick(20);
  may_be_lost_ = true;
  if (Pick(2) == 0) {
    (void)Told(conn_.Query(Numbers(200'000) + "SELECT count(*) FROM n", {}, ms), {DQC_E_TIMEOUT});
  } else {
    (void)Added(conn_.Exec("INSERT INTO " + Table() + "(x) VALUES (1)", {}, ms), 1,
                {DQC_E_TIMEOUT});
  }
}

void Worker::CloseAndOpen() {
  (void)Told(conn_.Close());
  Expect(conn_.state() == DQC_STATE_CLOSED, "not closed");
}

void Worker::FreeInTransaction() {
  if (!Told(Again("BEGIN IMMEDIATE"))) return;
  (void)Told(conn_.Exec("INSERT INTO " + Table() + "(x) VALUES ('lost')"));
  stmts_.clear();
  conn_.Free();
}

void Worker::Admin() {
  const int32_t verbs[] = {DQC_ADMIN_LEADER, DQC_ADMIN_CLUSTER, DQC_ADMIN_DESCRIBE,
                           DQC_ADMIN_WEIGHT, DQC_ADMIN_DUMP,    DQC_ADMIN_REMOVE};
  const int32_t verb = verbs[Pick(std::size(verbs))];
  const Reply reply = conn_.Admin(verb, 77, 1, verb == DQC_ADMIN_DUMP ? "probe" : nullptr);
  (void)Told(reply, {DQC_E_SQL, DQC_E_SERVER});  // nobody has id 77
}

void Worker::Vacuum() { (void)Told(conn_.Exec("VACUUM"), {DQC_E_UNSUPPORTED, DQC_E_SQL}); }

void Worker::Verify() {
  const Reply reply = conn_.Query("SELECT count(*) FROM " + Table());
  if (!Told(reply)) return;
  const int64_t rows = reply.Int();
  if (rows < rows_min_ || rows > rows_max_) {
    Violation("the table has " + std::to_string(rows) + " rows, not " + std::to_string(rows_min_) +
              " to " + std::to_string(rows_max_));
  }
  if (Settled()) rows_min_ = rows_max_ = rows;
}

void Worker::Pipeline() {
  std::vector<std::unique_ptr<Pending>> all;
  std::vector<int> kinds;
  for (int i = 0; i < 40; ++i) {
    all.push_back(std::make_unique<Pending>());
    kinds.push_back(static_cast<int>(Pick(4)));
    Pending* p = all.back().get();
    switch (kinds.back()) {
      case 0:
        (void)async_->Exec("INSERT INTO " + Table() + "(x) VALUES (?)", p, {i});
        break;
      case 1:
        (void)async_->Query("SELECT ?", p, {i});
        break;
      case 2:
        (void)async_->Prepare("SELECT " + std::to_string(i), p);
        break;
      default:
        (void)async_->Query("SELECT * FROM nowhere", p);
    }
  }
  FinishAll(all);
  const bool lost = std::exchange(may_be_lost_, async_may_be_lost_);
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i]->op == 0) continue;
    (void)Added(all[i]->reply, kinds[i] == 0 ? 1 : 0, {DQC_E_SQL});
    if (kinds[i] == 1 && all[i]->reply.ok())
      Expect(all[i]->reply.Int() == static_cast<int64_t>(i), "wrong row");
  }
  may_be_lost_ = lost;
}

void Worker::CancelStream() {
  std::vector<std::unique_ptr<Pending>> all;
  all.push_back(std::make_unique<Pending>());
  Pending* p = all.back().get();
  p->keep_rows = false;
  if (async_->Query(Numbers(100'000) + "SELECT i, 'some text to make it longer' FROM n", p) !=
      DQC_OK) {
    return;
  }
  (void)async_->RunUntil([&] { return p->batches > 0 || p->done > 0; });
  async_->Cancel(*p);
  async_may_be_lost_ = true;
  FinishAll(all);
  const bool lost = std::exchange(may_be_lost_, true);
  (void)Told(p->reply, {DQC_E_CANCELLED});
  may_be_lost_ = lost;
}

void Worker::CancelAnything() {
  std::vector<std::unique_ptr<Pending>> all;
  for (int i = 0; i < 4; ++i) all.push_back(std::make_unique<Pending>());
  const std::string insert = "INSERT INTO " + Table() + "(x) VALUES (1)";
  (void)async_->Query(Numbers(1 + Pick(3000)) + "SELECT i FROM n", all[0].get());
  (void)async_->Exec(insert, all[1].get());
  (void)async_->Query(insert + " RETURNING id", all[2].get());
  (void)async_->Script("SELECT 1; " + insert + "; SELECT 2", all[3].get());
  for (uint64_t turns = Pick(20); turns > 0; --turns)
    (void)dqc_loop_run(async_->loop(), DQC_RUN_NOWAIT, nullptr);
  for (const auto& p : all) {
    if (Pick(2) == 0) async_->Cancel(*p);
  }
  async_may_be_lost_ = true;
  FinishAll(all);
  // A loop that nobody drives cleans up nothing: a transaction around RETURNING would stay open.
  std::vector<std::unique_ptr<Pending>> behind;
  behind.push_back(std::make_unique<Pending>());
  (void)async_->Query("SELECT 1", behind[0].get());
  FinishAll(behind);
  const bool lost = std::exchange(may_be_lost_, true);
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i]->op == 0) continue;
    kind_ = i == 3 ? "cancel script" : "cancel";
    (void)Added(all[i]->reply, i == 0 ? 0 : 1, {DQC_E_CANCELLED, DQC_E_UNSUPPORTED});
  }
  may_be_lost_ = lost;
}

void Worker::FreeMidStream() {
  std::vector<std::unique_ptr<Pending>> all;
  for (int i = 0; i < 2; ++i) all.push_back(std::make_unique<Pending>());
  all[0]->keep_rows = false;
  (void)async_->Query(Numbers(30'000) + "SELECT i, 'some text' FROM n", all[0].get());
  (void)async_->Exec("INSERT INTO " + Table() + "(x) VALUES (1)", all[1].get());
  (void)async_->RunUntil([&] { return all[0]->batches > 0 || all[0]->done > 0; });
  if (Pick(2) == 0) {
    async_->Close();
  } else {
    async_->FreeConn();
  }
  FinishAll(all);
  const bool lost = std::exchange(may_be_lost_, true);
  (void)Told(all[0]->reply, {DQC_E_CLOSED});
  (void)Added(all[1]->reply, 1, {DQC_E_CLOSED});
  may_be_lost_ = lost;
  async_.reset();
}

}  // namespace dqc::live
