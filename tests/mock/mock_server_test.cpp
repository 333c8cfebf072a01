/* SPDX-License-Identifier: MIT */
// The mock on real sockets, and its script.
#include "mock/mock_server.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "mock/test_client.hpp"

namespace dqc::mock {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using wire::RequestType;
using wire::ResponseType;
using wire::RowsEnd;
namespace rq = wire::request;
namespace rs = wire::response;

int64_t NowMs() {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
}

const Bytes kInsert = ExecSql("INSERT INTO t VALUES(1)");
const Bytes kSelect = QuerySql("SELECT * FROM t");

// A connection with a database.
struct Ready : Client {
  explicit Ready(const Server& server) : Client(server.port()) {
    EXPECT_TRUE(Ask(Join(Hello(), OpenDb())).Is(ResponseType::kDb));
  }
};

TEST(MockServer, AnswersOverTcp) {
  Server server(Era::kD);
  Client client(server.port());
  // All in one segment, then byte by byte.
  client.Send(Join(Hello(), Frame(rq::Leader{}), OpenDb(), kInsert, kSelect));
  EXPECT_EQ(client.Read().As<rs::Server>()->address, server.address());
  EXPECT_TRUE(client.Read().Is(ResponseType::kDb));
  EXPECT_EQ(client.Read().As<rs::Result>()->last_insert_id, 1u);
  EXPECT_EQ(client.Read().As<rs::Rows>()->row_count, 3u);
  for (const uint8_t byte : kInsert) client.Send({byte});
  EXPECT_EQ(client.Read().As<rs::Result>()->last_insert_id, 2u);

  const auto seen = server.Requests(Match(RequestType::kExecSql));
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[1].text, "INSERT INTO t VALUES(1)");
  EXPECT_EQ(seen[1].connection, 1u);
  EXPECT_EQ(server.CountType(RequestType::kExecSql), 2u);
  EXPECT_EQ(server.requests(), 5u);
  EXPECT_EQ(server.gone(), 0u);
  client.Close();
  EXPECT_TRUE(server.Wait([&] { return server.gone() == 1; }));
}

TEST(MockServer, ServesSocketPairs) {
  Server server;
  Client client(server.Connect());
  EXPECT_TRUE(client.Ask(Join(Hello(), Ping())).Is(ResponseType::kEmpty));
  client.Close();
  EXPECT_TRUE(server.Wait([&] { return server.gone() == 1; }));
}

TEST(MockServer, RulesByTypeTextOccurrenceAndConnection) {
  Server server;
  server.On(AnyExec().Sql("INSERT").Nth(2), Do().Failure(5, "database is locked"));
  server.On(Match(RequestType::kInterrupt).Connection(2), Do().Failure(1, "two"));
  server.On(AnyQuery().First(1), Do().Failure(1, "first"));
  server.On(Match(RequestType::kWeight).From(2), Do().Failure(1, "from"));
  Ready one(server);
  EXPECT_TRUE(one.Ask(kInsert).Is(ResponseType::kResult));
  EXPECT_TRUE(one.Ask(ExecSql("UPDATE t SET i=1")).Is(ResponseType::kResult));
  EXPECT_EQ(one.Ask(kInsert).As<rs::Failure>()->code, 5u);
  EXPECT_TRUE(one.Ask(kInsert).Is(ResponseType::kResult));
  EXPECT_TRUE(one.Ask(Ping()).Is(ResponseType::kEmpty));
  Ready two(server);
  EXPECT_EQ(two.Ask(Ping()).As<rs::Failure>()->text, "two");
  EXPECT_EQ(two.Ask(kSelect).As<rs::Failure>()->text, "first");
  EXPECT_TRUE(one.Ask(kSelect).Is(ResponseType::kRows));
  EXPECT_TRUE(one.Ask(Frame(rq::Weight{1})).Is(ResponseType::kEmpty));
  EXPECT_TRUE(two.Ask(Frame(rq::Weight{1})).Is(ResponseType::kFailure));
  EXPECT_TRUE(one.Ask(Frame(rq::Weight{1})).Is(ResponseType::kFailure));
  server.ClearRules();
  EXPECT_TRUE(two.Ask(Frame(rq::Weight{1})).Is(ResponseType::kEmpty));
}

TEST(MockServer, DelaysInOrder) {
  Server server;
  server.On(AnyExec(), Do().Delay(60).Default());
  Ready client(server);
  const int64_t start = NowMs();
  client.Send(Join(kInsert, Ping()));
  EXPECT_TRUE(client.Read().Is(ResponseType::kResult));
  EXPECT_GE(NowMs() - start, 55);
  EXPECT_TRUE(client.Read().Is(ResponseType::kEmpty));
}

TEST(MockServer, StallsUntilReleased) {
  Server server;
  server.On(AnyExec(), Do().Stall(3).Default());
  Ready client(server), other(server);
  client.Send(Join(kInsert, Ping()));
  EXPECT_TRUE(server.Wait([&] { return server.Count(AnyExec()) == 1; }));
  EXPECT_TRUE(other.Ask(Ping()).Is(ResponseType::kEmpty));
  EXPECT_EQ(server.CountType(RequestType::kInterrupt), 1u);  // the one behind is not read
  server.Release(1);                                         // another gate
  client.SetTimeout(30);
  EXPECT_EQ(client.Read().error, EAGAIN);
  client.SetTimeout(3000);
  server.Release(3);
  EXPECT_TRUE(client.Read().Is(ResponseType::kResult));
  EXPECT_TRUE(client.Read().Is(ResponseType::kEmpty));
  EXPECT_TRUE(client.Ask(kInsert).Is(ResponseType::kResult));  // the gate stays open
}

TEST(MockServer, SeesTheClientGoWhileItStalls) {
  Server server;
  server.On(Match(RequestType::kExecSql).Nth(1), Do().Stall().Default());
  Ready client(server);
  client.Send(Join(kInsert, kInsert));
  EXPECT_TRUE(server.Wait([&] { return server.Count(AnyExec()) == 1; }));
  client.Close();
  EXPECT_TRUE(server.Wait([&] { return server.gone() == 1; }));
  EXPECT_EQ(server.Count(AnyExec()), 1u);
  // As on a real server, what had been sent is executed nevertheless.
  server.Release();
  EXPECT_TRUE(server.Wait([&] { return server.Count(AnyExec()) == 2; }));
}

TEST(MockServer, StopsWhateverItDoes) {
  const int64_t start = NowMs();
  {
    Server server;
    server.On(AnyExec(), Do().Hang());
    server.On(AnyQuery(), Do().Forever(RowsFrame({"x"}, {{1}}, RowsEnd::kPart)));
    server.On(Match(RequestType::kWeight), Do().Delay(100000));
    Ready hangs(server), streams(server), waits(server), idle(server);
    hangs.Send(kInsert);
    streams.Send(kSelect);
    waits.Send(Frame(rq::Weight{1}));
    EXPECT_TRUE(server.Wait([&] { return server.requests() == 7; }));
  }
  EXPECT_LT(NowMs() - start, 1000);
}

TEST(MockServer, DoesNotReadWhileItCannotWrite) {
  Server server;
  server.On(AnyQuery(), Do().Forever(RowsFrame({"x"}, {{1}}, RowsEnd::kPart)));
  Ready client(server);
  client.SetTimeout(50);
  const Bytes flood(32u << 20, 0);
  client.Send(kSelect);
  EXPECT_LT(client.Send(flood), flood.size());
  // The stream is intact.
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(client.Read().Is(ResponseType::kRows));
}

TEST(MockServer, SplitsWrites) {
  Server server;
  server.On(AnyQuery(), Do().Split(5, 1).Default());
  Ready client(server);
  client.Send(Join(kSelect, Ping()));
  Bytes all;
  size_t pieces = 0;
  const Bytes whole = RowsFrame({"id", "name"}, DefaultTable().rows, RowsEnd::kDone);
  while (all.size() < whole.size()) {
    const Bytes some = client.ReadSome(whole.size() - all.size());
    ASSERT_FALSE(some.empty());
    all = Join(all, some);
    ++pieces;
  }
  EXPECT_EQ(all, whole);
  EXPECT_GT(pieces, whole.size() / 20);  // some pieces may arrive together
  EXPECT_TRUE(client.Read().Is(ResponseType::kEmpty));

  // Without a network between, one piece is one write.
  Node node;
  node.On(Match(RequestType::kInterrupt), Do().Split(3).Default());
  Conn conn(node);
  conn.Feed(Join(Hello(), Ping()));
  std::vector<size_t> sizes;
  while (conn.Poll(0) == Conn::State::kWrite) {
    sizes.push_back(conn.output().size());
    conn.Written(sizes.back());
  }
  EXPECT_THAT(sizes, ElementsAre(3u, 3u, 3u, 3u, 3u, 1u));
}

TEST(MockServer, TruncatesAndCloses) {
  Server server;
  server.On(AnyQuery(), Do().Truncate(20).Default().Close());
  Ready client(server);
  client.Send(kSelect);
  EXPECT_EQ(client.ReadAll(100).size(), 20u);
  EXPECT_EQ(client.error(), 0);  // FIN
}

TEST(MockServer, ClosesWithUnreadInputByFin) {
  Server server;
  server.On(AnyExec(), Do().Close());
  Ready client(server);
  client.Send(Join(kInsert, Bytes(200000, 0)));
  const Got got = client.Read();
  EXPECT_EQ(got.type, -1);
  EXPECT_EQ(got.error, 0);
}

TEST(MockServer, Resets) {
  Server server;
  server.On(AnyExec(), Do().Reset());
  Ready client(server);
  const Got got = client.Ask(kInsert);
  EXPECT_EQ(got.type, -1);
  EXPECT_EQ(got.error, ECONNRESET);
  server.On(Match::Accept(), Do().Reset());
  Client early(server.port());
  early.Send(Hello());
  EXPECT_EQ(early.Read().type, -1);
  server.On(Match::Accept(), Do().Close());
  Client late(server.port());
  EXPECT_EQ(late.Read().error, 0);
}

TEST(MockServer, SilentStreamDeath) {
  Server server(Era::kC);
  server.On(AnyQuery(), Do().Raw(RowsFrame({"x"}, {{1}}, RowsEnd::kPart)));
  server.On(Match(RequestType::kWeight), Do());
  Ready client(server);
  client.Send(Join(kSelect, Frame(rq::Weight{1}), Ping()));
  EXPECT_EQ(client.Read().As<rs::Rows>()->end, RowsEnd::kPart);
  EXPECT_TRUE(client.Read().Is(ResponseType::kEmpty));
}

TEST(MockServer, ScriptedTablesAndFrames) {
  Server server;
  server.SetTable("FROM a", {{"x", "y"}, {{1, 2.5}, {nullptr, Cell::Blob("b")}}, 0, {}});
  server.On(AnyQuery().Sql("odd"), Do().Reply(rs::Empty{})
                                       .Raw(HeaderBytes(1u << 28, 7))
                                       .Truncate(3)
                                       .Raw({1, 2})
                                       .Failure(1, "x"));
  Ready client(server);
  const Got got = client.Ask(QuerySql("SELECT * FROM a"));
  const auto rows = got.As<rs::Rows>();
  EXPECT_THAT(rows->columns, ElementsAre("x", "y"));
  EXPECT_THAT(rows->cells, ElementsAre(wire::Value::Integer(1), wire::Value::Float(2.5),
                                       wire::Value::Null(), wire::Value::Blob("b")));
  EXPECT_TRUE(client.Ask(QuerySql("odd")).Is(ResponseType::kEmpty));
  EXPECT_EQ(client.ReadAll(11).size(), 11u);
  EXPECT_TRUE(client.Ask(Ping()).Is(ResponseType::kEmpty));
  EXPECT_THROW(Do().Reply(rs::Failure{1, std::string_view("a\0b", 3)}), std::invalid_argument);
}

TEST(MockServer, ComputesReplies) {
  Server server;
  server.On(AnyExec(), Do().Compute([&server](const Request& request) {
    if (server.Count(AnyExec()) == 1) return Do().Default();
    return Do().Failure(request.number, request.text);
  }));
  Ready client(server);
  EXPECT_TRUE(client.Ask(kInsert).Is(ResponseType::kResult));
  EXPECT_EQ(client.Ask(kInsert).As<rs::Failure>()->text, "INSERT INTO t VALUES(1)");
}

TEST(MockServer, GoesDownAndComesBack) {
  Server server;
  for (int round = 0; round < 3; ++round) {
    Ready client(server);
    server.SetDown(true);
    EXPECT_EQ(client.Read().error, ECONNRESET);
    EXPECT_EQ(Client(server.port()).connect_error(), ECONNREFUSED);
    server.SetDown(false);
  }
  Ready again(server);
  EXPECT_EQ(server.connections(), 4u);
}

TEST(MockServer, BoundsConnections) {
  Server server;
  std::vector<std::unique_ptr<Client>> clients;
  for (size_t i = 0; i < Server::kPeersMax; ++i) {
    clients.push_back(std::make_unique<Client>(server.Connect()));
  }
  EXPECT_TRUE(clients.back()->Ask(Join(Hello(), Ping())).Is(ResponseType::kEmpty));
  EXPECT_EQ(Client(server.Connect()).Ask(Join(Hello(), Ping())).type, -1);
  clients.resize(10);
  EXPECT_TRUE(server.Wait([&] { return server.gone() == Server::kPeersMax - 10; }));
  EXPECT_TRUE(Client(server.Connect()).Ask(Join(Hello(), Ping())).Is(ResponseType::kEmpty));
}

TEST(MockServer, WaitTimesOut) {
  const Server server;
  const int64_t start = NowMs();
  EXPECT_FALSE(server.Wait([] { return false; }, 30));
  EXPECT_GE(NowMs() - start, 25);
}

}  // namespace
}  // namespace dqc::mock
