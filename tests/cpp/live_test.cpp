/* SPDX-License-Identifier: MIT */
// The facade against a real node: blocking calls and callbacks.
#include "cpp/live_test.hpp"

#include <chrono>

namespace {

using namespace std::chrono_literals;

class Live : public FacadeLiveTest {};
DQC_LIVE_SUITE(Live);

TEST_P(Live, ValuesComeBackAsTheyWent) {
  dqc::connection conn = Open();
  EXPECT_EQ(conn.state(), DQC_STATE_READY);
  EXPECT_GE(conn.era(), 'A');
  const std::vector<uint8_t> bytes = {0, 1, 255};
  const dqc::exec_result done =
      conn.exec(Sql("INSERT INTO $ VALUES (?, ?, ?, ?, ?)"), 7, "häuser", bytes, 2.5, true).value();
  EXPECT_EQ(done.rows_affected(), 1u);
  EXPECT_EQ(done.last_insert_id(), 7);
  conn.exec(Sql("INSERT INTO $ (id) VALUES (:id)"), dqc::named(":id", std::optional<int>(8)))
      .value();

  dqc::result_set set = conn.query(Sql("SELECT * FROM $ ORDER BY id")).value().collect().value();
  ASSERT_EQ(set.size(), 2u);
  EXPECT_EQ(set.column_name(1), "name");
  auto [id, name, data, score, flag] =
      set[0].as<int64_t, std::string_view, dqc::blob_view, double, bool>().value();
  EXPECT_EQ(id, 7);
  EXPECT_EQ(name, "häuser");
  EXPECT_EQ(data.size(), 3u);
  EXPECT_EQ(data.data()[2], std::byte{255});
  EXPECT_EQ(score, 2.5);
  EXPECT_TRUE(flag);
  EXPECT_FALSE(set[1].get<std::optional<std::string>>("name").value().has_value());
  const int64_t rows = conn.query(Sql("SELECT count(*) FROM $")).value().scalar<int64_t>().value();
  EXPECT_EQ(rows, 2);
  conn.close().value();
}

TEST_P(Live, RangesReadAsTuples) {
  Fill(1000);
  dqc::connection conn = Open();
  int64_t sum = 0;
  for (auto [id, name] : conn.query(Sql("SELECT id, name FROM $ WHERE id > ?"), 10)
                             .value()
                             .as<int64_t, std::string_view>()) {
    sum += id;
    ASSERT_EQ(name, "name " + std::to_string(id));
  }
  EXPECT_EQ(sum, 1000 * 1001 / 2 - 55);
  for (auto row : conn.query(Sql("SELECT id FROM $ WHERE id > ?"), 999).value()) {
    EXPECT_EQ(row.get<int>("id").value(), 1000);
  }
  // A cursor that is dropped in the middle does not harm the connection.
  for (auto row : conn.query(Sql("SELECT id FROM $")).value()) {
    if (row.get<int>(0).value() == 3) break;
  }
  EXPECT_TRUE(conn.exec(Sql("DELETE FROM $")).ok());
}

TEST_P(Live, StatementsAreUsedAgain) {
  dqc::connection conn = Open();
  dqc::statement insert = conn.prepare(Sql("INSERT INTO $ (id, name) VALUES (?1, :name)")).value();
  EXPECT_EQ(insert.param_count(), 2u);
  EXPECT_EQ(insert.param_name(2), ":name");
  for (int i = 1; i <= 3; ++i) insert.exec(i, "n" + std::to_string(i)).value();
  insert.bind(1, 9).value();
  insert.bind(dqc::named(":name", "bound")).value();
  EXPECT_EQ(insert.exec().value().last_insert_id(), 9);
  dqc::statement select = conn.prepare(Sql("SELECT name FROM $ WHERE id = ?")).value();
  EXPECT_EQ(select.query(2).value().scalar<std::string>().value(), "n2");
  EXPECT_EQ(select.query(9).value().scalar<std::string>().value(), "bound");
}

TEST_P(Live, FailuresOfTheServerAreTold) {
  dqc::connection conn = Open();
  conn.exec(Sql("INSERT INTO $ (name) VALUES ('x')")).value();
  const auto twice = conn.exec(Sql("INSERT INTO $ (name) VALUES ('x')"));
  ASSERT_FALSE(twice.ok());
  EXPECT_EQ(twice.error().code(), DQC_E_CONSTRAINT);
  EXPECT_EQ(twice.error().sqlite_code(), 19);
  EXPECT_EQ(twice.error().outcome(), DQC_OUTCOME_NOT_EXECUTED);
  EXPECT_STRNE(twice.error().server_text(), "");
  EXPECT_STRNE(twice.error().node(), "");
  const auto syntax = conn.query("SELEC 1");
  ASSERT_FALSE(syntax.ok());
  EXPECT_EQ(syntax.error().code(), DQC_E_SQL);
  const auto script =
      conn.script(Sql("DELETE FROM $; INSERT INTO nowhere VALUES (1); DELETE FROM $"));
  ASSERT_FALSE(script.ok());
  EXPECT_GT(script.error().sql_offset(), 0);
  EXPECT_TRUE(conn.exec(Sql("DELETE FROM $")).ok());
}

TEST_P(Live, CallbacksOnADrivenLoop) {
  Fill(300);
  dqc::loop loop = dqc::loop::driven().value();
  dqc::connection conn = dqc::connection::create(loop, dqc::config::parse(dsn_).value()).value();
  std::vector<std::string> order;
  conn.connect_async([&](dqc::result<void> r) { r.value(), order.push_back("connect"); }).value();
  size_t rows = 0;
  conn.query_async(
          [&](const dqc::event& e) {
            if (e.is_rows()) rows += e.rows().row_count();
            if (e.is_done()) order.push_back("query");
          },
          Sql("SELECT * FROM $"))
      .value();
  conn.with(dqc::options().timeout(5s))
      .exec_async(
          [&](dqc::result<dqc::exec_result> r) {
            order.push_back(std::to_string(r.value().rows_affected()));
          },
          Sql("UPDATE $ SET score = ? WHERE id <= ?"), 1.5, 17)
      .value();
  conn.query_async(
          [&](dqc::result<dqc::result_set> r) {
            order.push_back(std::to_string(r.value().size()));
          },
          Sql("SELECT id FROM $ WHERE score > 1"))
      .value();
  conn.request_async<dqc::node_info>(
          [&](dqc::result<dqc::node_info> r) {
            order.push_back(r.value().address.empty() ? "none" : "leader");
            conn.close_async([&](dqc::result<void> closed) {
                  closed.value();
                  order.push_back("close");
                })
                .value();
          },
          dqc::admin_request::leader())
      .value();
  loop.run().value();
  EXPECT_EQ(rows, 300u);
  EXPECT_EQ(order, (std::vector<std::string>{"connect", "query", "17", "17", "leader", "close"}));
}

TEST_P(Live, CallbacksOnAQueue) {
  dqc::loop loop = dqc::loop::threaded().value();
  dqc::queue queue = dqc::queue::create().value();
  dqc::connection conn =
      dqc::connection::create(loop, queue, dqc::config::parse(dsn_).value()).value();
  conn.connect_async([](dqc::result<void> r) { r.value(); }).value();
  int64_t answer = 0;
  conn.query_async(
          [&](dqc::result<dqc::result_set> r) { answer = r.value().scalar<int64_t>().value(); },
          "SELECT ?", 42)
      .value();
  while (answer == 0) {
    ASSERT_TRUE(queue.wait(10s).value());
    queue.dispatch().value();
  }
  EXPECT_EQ(answer, 42);
}

TEST_P(Live, AdministrationReadsTheCluster) {
  dqc::connection conn = Open();
  const dqc::node_info leader = conn.leader().value();
  EXPECT_NE(leader.id, 0u);
  const std::vector<dqc::node_info> nodes = conn.cluster().value();
  ASSERT_FALSE(nodes.empty());
  bool found = false;
  for (const dqc::node_info& node : nodes) {
    found = found || (node.id == leader.id && node.role == dqc::role::voter &&
                      node.address == leader.address);
  }
  EXPECT_TRUE(found);
  conn.describe().value();
  EXPECT_FALSE(conn.remove(123456789).ok()) << "no such node";
}

TEST_P(Live, DumpGivesTheFiles) {
  dqc::connection conn = Open();
  const std::vector<dqc::database_file> files = conn.dump(database_).value();
  ASSERT_EQ(files.size(), 2u);
  EXPECT_FALSE(files[0].name.empty());
}

TEST_P(Live, DumpPiecesMakeTheSameFiles) {
  dqc::connection conn = Open();
  conn.exec("CREATE TABLE large(x)").value();
  conn.exec("INSERT INTO large VALUES (zeroblob(500000))").value();
  const std::vector<dqc::database_file> files = conn.dump(database_).value();
  std::vector<dqc::database_file> built;
  dqc::rows pieces = conn.dump_pieces(database_).value();
  for (const auto& [name, size, offset, data] :
       pieces.as<std::string_view, int64_t, int64_t, dqc::blob_view>()) {
    if (offset == 0) built.push_back({std::string(name), {}});
    EXPECT_EQ(static_cast<size_t>(offset), built.back().content.size());
    EXPECT_LE(static_cast<size_t>(offset) + data.size(), static_cast<size_t>(size));
    built.back().content.insert(built.back().content.end(), data.begin(), data.end());
  }
  ASSERT_EQ(built.size(), files.size());
  for (size_t i = 0; i < files.size(); ++i) {
    EXPECT_EQ(built[i].name, files[i].name);
    EXPECT_EQ(built[i].content, files[i].content);
  }
}

}  // namespace
