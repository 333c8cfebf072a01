/* SPDX-License-Identifier: MIT */
// The well-behaved server of each era, in memory. Numbers of examples are those of section 16.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "mock/conn.hpp"
#include "mock/test_client.hpp"

namespace dqc::mock {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using wire::RequestType;
using wire::ResponseType;
namespace rq = wire::request;
namespace rs = wire::response;

constexpr Era kEras[] = {Era::kA, Era::kB, Era::kC, Era::kD};

Bytes Words(std::initializer_list<uint64_t> words) {
  Bytes out;
  for (const uint64_t word : words) out = Join(out, Hello(word));
  return out;
}

// A greeted connection to a node of its own.
struct Memory {
  explicit Memory(Era era) : node(era), conn(node) { conn.Respond(Hello()); }

  Bytes Raw(const Bytes& in, size_t max = 1u << 20) { return conn.Respond(in, max); }
  std::vector<Got> All(const Bytes& in) { return Frames(Raw(in)); }
  Got Ask(const Bytes& in) {
    auto frames = All(in);
    return frames.size() == 1 ? frames[0] : Got{};
  }
  uint64_t Code(const Bytes& in) {  // of the FAILURE; 9999: something else
    const Got got = Ask(in);
    return got.Is(ResponseType::kFailure) ? got.As<rs::Failure>()->code : 9999;
  }

  Node node;
  Conn conn;
};

Bytes Probe1() { return Join(HeaderBytes(1, 5, 255), Bytes(8, 0)); }
Bytes Probe2() { return Join(HeaderBytes(2, 4, 255), Bytes(16, 0)); }

TEST(MockEras, ProbesTellTheEraApart) {
  const uint64_t leader[4][2] = {{12, 12}, {1005, 1005}, {1005, 1}, {1, 1}};
  const uint64_t follower[4][2] = {{10250, 12}, {1005, 1005}, {1005, 1}, {1, 1}};
  for (size_t i = 0; i < 4; ++i) {
    Memory m(kEras[i]);
    EXPECT_EQ(m.Code(Probe1()), leader[i][0]) << "era " << i;
    EXPECT_EQ(m.Code(Probe2()), leader[i][1]) << "era " << i;
    m.node.SetLeader(false);
    EXPECT_EQ(m.Code(Probe1()), follower[i][0]) << "era " << i;
    EXPECT_EQ(m.Code(Probe2()), follower[i][1]) << "era " << i;
    EXPECT_THAT(m.node.violations(), IsEmpty());
    EXPECT_EQ(m.node.requests(), 0u);
    EXPECT_EQ(m.node.Count(), 0u);
    EXPECT_EQ(m.node.Count(Match(RequestType::kExec).Schema(255)), 2u);
  }
}

TEST(MockEras, AnswersTheWorkedExamples) {
  Memory m(Era::kC);
  m.node.Configure([](Config& c) { c.address = "127.0.0.1:21005"; });
  const uint64_t a = 0x2e302e302e373231, b = 0x0035303031323a31;
  EXPECT_EQ(m.Raw(Frame(rq::Leader{})), Words({0x100000003, 1, a, b}));        // E2
  EXPECT_EQ(m.Raw(Frame(rq::Client{1})), Words({0x200000001, 15000}));         // E3
  EXPECT_EQ(m.Raw(OpenDb()), Words({0x400000001, 0}));                         // E4
  EXPECT_EQ(m.Raw(ExecSql("CREATE TABLE t(i)")), Words({0x600000002, 0, 0}));  // E5
  EXPECT_EQ(m.Raw(Frame(rq::Prepare{0, "INSERT INTO t VALUES(?,?,?,?,?,?,?)"})),
            Words({0x500000002, 0, 7}));  // E6
  EXPECT_EQ(m.Raw(Frame(rq::Prepare{0, "SELECT ?; SELECT 2"}, 1)),
            Words({0x10500000003, 0x100000000, 1, 9}));                            // E7
  EXPECT_EQ(m.Raw(QuerySql("UPDATE t SET i=1")), Words({0x700000002, 0, ~0ull}));  // E16
  EXPECT_EQ(m.Raw(Frame(rq::Finalize{0, 1})), Words({0x800000001, 0}));            // E17
  EXPECT_EQ(m.Raw(Ping()), Words({0x800000001, 0}));                               // E18
  EXPECT_EQ(m.Raw(Frame(rq::Cluster{1})), Words({0x300000005, 1, 1, a, b, 0}));    // E19
  EXPECT_EQ(m.Raw(Frame(rq::Cluster{0})), Words({0x300000004, 1, 1, a, b}));       // E20
  EXPECT_EQ(m.Raw(Frame(rq::Describe{})), Words({0xa00000002, 0, 0}));             // E21
  EXPECT_EQ(m.Raw(Frame(rq::Weight{7})), Words({0x800000001, 0}));                 // E22
  EXPECT_EQ(m.Raw(Frame(rq::Describe{})), Words({0xa00000002, 0, 7}));
  EXPECT_THAT(m.node.violations(), IsEmpty());
}

TEST(MockEras, LegacyLeaderHasNoId) {
  Node node;
  Conn conn(node);
  node.Configure([](Config& c) { c.address = "abc"; });
  EXPECT_EQ(conn.Respond(Join(Hello(wire::kVersionLegacy), Frame(rq::Leader{}))),
            Words({0x100000001, 0x636261}));
  Conn other(node);
  EXPECT_THAT(other.Respond(Join(Hello(2), Ping())), IsEmpty());
  EXPECT_TRUE(other.closed());
}

// E13 and the text above it: 4096 bytes end the frame, before the server knows that it is the end.
TEST(MockEras, CutsRowsByThePage) {
  Memory m(Era::kC);
  m.Raw(OpenDb());
  const auto sizes = [&](uint64_t rows, const char* name = "i") {
    m.node.SetTable("", {{name}, {}, rows, [](uint64_t i) { return Row{int64_t(i) + 1}; }});
    std::vector<size_t> out;
    for (const Got& got : m.All(QuerySql("SELECT i"))) out.push_back(got.body.size() + 8);
    return out;
  };
  EXPECT_THAT(sizes(0), ElementsAre(32u));
  EXPECT_THAT(sizes(254), ElementsAre(4096u));
  EXPECT_THAT(sizes(255), ElementsAre(4112u, 32u));
  EXPECT_THAT(sizes(256), ElementsAre(4112u, 48u));
  // Exactly a page before the marker.
  EXPECT_THAT(sizes(254, "12345678"), ElementsAre(4104u, 40u));
  EXPECT_THAT(sizes(255, "12345678"), ElementsAre(4104u, 56u));
  m.node.SetTable("", {{std::string(5000, 'x')}, {{1}}, 0, {}});
  EXPECT_EQ(m.Raw(QuerySql("SELECT i"), 100000).size(), 100000u);  // PART for ever
}

TEST(MockEras, FramesOfFailures) {
  const Bytes plain = FailureFrame(1, "near \"BOGUS\": syntax error");
  EXPECT_EQ(plain.size(), 48u);                                                          // E14
  const Bytes prefixed = FailureFrame(1, "integer overflow", LeftoverRows({"zz"}, {}));  // E15
  EXPECT_EQ(prefixed, Words({6, 1, 0x7a7a, 1, 0x2072656765746e69, 0x776f6c667265766f, 0}));
  EXPECT_EQ(Frames(prefixed)[0].As<rs::Failure>()->text, "integer overflow");
}

TEST(MockEras, StatementIdsAreTheLowestFree) {
  Memory m(Era::kD);
  m.Raw(OpenDb());
  const auto prepare = [&] {
    return m.Ask(Frame(rq::Prepare{0, "INSERT INTO t VALUES(?1, :a, :a)"})).As<rs::Stmt>();
  };
  EXPECT_EQ(prepare()->id, 0u);
  EXPECT_EQ(prepare()->id, 1u);
  EXPECT_EQ(prepare()->params, 2u);
  EXPECT_TRUE(m.Ask(Frame(rq::Finalize{0, 0})).Is(ResponseType::kEmpty));
  EXPECT_EQ(prepare()->id, 0u);
  const wire::Value values[] = {wire::Value::Integer(1), wire::Value::Text("x")};
  EXPECT_EQ(m.Ask(Frame(rq::Exec{0, 2, values}, 1)).As<rs::Result>()->last_insert_id, 1u);
  const Request seen = m.node.Requests(Match(RequestType::kExec).Sql("INSERT"))[0];
  EXPECT_THAT(seen.params, ElementsAre(Cell(1), Cell("x")));
  EXPECT_EQ(seen.schema, 1u);
  EXPECT_THAT(m.node.violations(), IsEmpty());

  EXPECT_EQ(m.Code(Frame(rq::Exec{0, 9, {}})), 12u);
  EXPECT_TRUE(m.Ask(Frame(rq::Exec{0, 2, {}})).Is(ResponseType::kResult));
  EXPECT_THAT(m.node.violations(),
              ElementsAre("statement 9 is not live", HasSubstr("0 values for 2 parameters")));
}

TEST(MockEras, MultipleStatements) {
  for (const Era era : kEras) {
    Memory m(era);
    m.Raw(OpenDb());
    const bool refuses = era >= Era::kC;
    EXPECT_EQ(m.Code(Frame(rq::Prepare{0, "SELECT 1; SELECT 2"})), refuses ? 1u : 9999u);
    EXPECT_EQ(m.Code(QuerySql("SELECT 1; SELECT 2")), refuses ? 1u : 9999u);
    EXPECT_EQ(m.Code(Frame(rq::Prepare{0, "SELECT 1; -- done\n ;"})), 9999u);
    EXPECT_EQ(m.Code(Frame(rq::Prepare{0, " /* nothing */ "})), 0u);
    EXPECT_TRUE(
        m.Ask(ExecSql("BEGIN; INSERT INTO t VALUES(';'); COMMIT")).Is(ResponseType::kResult));
    EXPECT_EQ(m.Code(ExecSql("COMMIT")), 1u);
    EXPECT_EQ(m.Code(ExecSql("SELECT 1")), era == Era::kD ? 1u : 100u);
    EXPECT_EQ(m.Code(QuerySql("DELETE FROM t")), refuses ? 9999u : 1u);
  }
  EXPECT_EQ(ScanSql("SELECT '?', \"?\", [?], ?3 -- ?").params, 3u);
  EXPECT_TRUE(ScanSql("WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a").writes);
  EXPECT_FALSE(ScanSql("SELECT 'INSERT RETURNING'").returning);
}

TEST(MockEras, SchemaOfParameters) {
  for (const Era era : kEras) {
    Memory m(era);
    m.Raw(OpenDb());
    const Bytes prepare = Frame(rq::Prepare{0, "SELECT 1"}, 1);
    const Got got = m.Ask(prepare);
    if (era == Era::kB) {
      EXPECT_EQ(got.As<rs::Failure>()->code, 1005u);
    } else {
      EXPECT_EQ(got.schema, era == Era::kA ? 0 : 1);
    }
    EXPECT_THAT(m.node.violations(), era == Era::kA
                                         ? ElementsAre("schema 1 to era A")
                                         : ::testing::Matcher<std::vector<std::string>>(IsEmpty()));
  }
}

TEST(MockEras, UnknownTypes) {
  for (const Era era : kEras) {
    Memory m(era);
    const Bytes unknown = Join(HeaderBytes(1, 77), Bytes(8, 0));
    const auto frames = m.All(Join(unknown, Ping()));
    if (era == Era::kA) {
      EXPECT_THAT(frames, IsEmpty());  // for ever
      EXPECT_FALSE(m.conn.closed());
      EXPECT_EQ(m.node.violations().size(), 1u);
    } else {
      ASSERT_EQ(frames.size(), 2u);
      EXPECT_EQ(frames[0].As<rs::Failure>()->code, 1005u);
    }
  }
}

TEST(MockEras, WhatMustNeverBeSentIsNoted) {
  Memory c(Era::kC);
  c.Raw(OpenDb());
  EXPECT_EQ(c.Code(ExecSql("INSERT INTO t VALUES(1) RETURNING i")), 100u);
  c.Raw(ExecSql("SELECT 1; UPDATE t SET i=2 RETURNING i"));
  c.Raw(OpenDb(":memory:"));
  c.Raw(HeaderBytes(0, 0));
  EXPECT_TRUE(c.conn.closed());
  EXPECT_THAT(c.node.violations(), ElementsAre(HasSubstr("RETURNING"), HasSubstr("RETURNING"),
                                               "OPEN of ':memory:'", "empty body"));
  Memory d(Era::kD);
  d.Raw(OpenDb());
  EXPECT_TRUE(d.Ask(QuerySql("INSERT INTO t VALUES(1) RETURNING i")).Is(ResponseType::kRows));
  EXPECT_THAT(d.node.violations(), IsEmpty());
  d.Raw(Join(HeaderBytes(2, 10), Bytes(16, 0)));
  EXPECT_THAT(d.node.violations(), ElementsAre(HasSubstr("surplus")));
  EXPECT_TRUE(d.conn.closed());
}

TEST(MockEras, LostLeadershipEndsTheSession) {
  for (const Era era : kEras) {
    Memory m(era);
    m.Raw(OpenDb());
    m.Raw(Frame(rq::Prepare{0, "SELECT 1"}));
    m.node.SetLeader(false, 2, "other");
    EXPECT_EQ(m.Ask(Frame(rq::Leader{})).As<rs::Server>()->address, "other");
    EXPECT_EQ(m.Code(ExecSql("BEGIN")), 10250u);
    EXPECT_EQ(m.Code(Frame(rq::Finalize{0, 0})), 12u);
    EXPECT_EQ(m.Code(OpenDb()), era == Era::kD ? 10250u : 9999u);
    m.node.SetLeader(true);
    EXPECT_EQ(m.Code(ExecSql("BEGIN")), era == Era::kD ? 12u : 9999u);
  }
}

TEST(MockEras, ClusterChanges) {
  Memory m(Era::kC);
  EXPECT_EQ(m.Code(Frame(rq::Transfer{0})), 1u);
  EXPECT_EQ(m.Code(Frame(rq::Add{2, "b:1"})), 9999u);
  EXPECT_EQ(m.Code(Frame(rq::Add{2, "c:1"})), 1u);
  EXPECT_EQ(m.Code(Frame(rq::Assign{2, 0})), 9999u);
  EXPECT_EQ(m.Code(Frame(rq::Remove{3})), 1u);
  const Got cluster = m.Ask(Frame(rq::Cluster{1}));
  EXPECT_EQ(cluster.As<rs::Servers>()->nodes[1].address, "b:1");
  EXPECT_EQ(m.Code(Frame(rq::Transfer{2})), 9999u);
  EXPECT_EQ(m.Ask(Frame(rq::Leader{})).As<rs::Server>()->id, 2u);
  EXPECT_EQ(m.Code(Frame(rq::Remove{2})), 10250u);
  const Got files = m.Ask(Frame(rq::Dump{"test"}));
  EXPECT_EQ(files.As<rs::Files>()->files[1].name, "test-wal");
}

TEST(MockEras, EchoesParameters) {
  Memory m(Era::kB);
  m.Raw(OpenDb());
  const wire::Value values[] = {wire::Value::Float(1.5), wire::Value::Blob("\1\2")};
  const Got got = m.Ask(Frame(rq::QuerySql{0, "SELECT ?, ?", values}, 1));
  EXPECT_THAT(got.As<rs::Rows>()->cells, ElementsAre(values[0], values[1]));
  const Got seven = m.Ask(QuerySql("SELECT 7"));
  EXPECT_THAT(seven.As<rs::Rows>()->cells, ElementsAre(wire::Value::Integer(7)));
}

// Whatever comes in: no crash, bounded output, and the same bytes again for the same input.
TEST(MockEras, SurvivesGarbage) {
  std::mt19937 random(7);
  for (int round = 0; round < 4000; ++round) {
    Bytes in = Hello();
    for (int frame = 0; frame < 4; ++frame) {
      const size_t words = 1 + random() % 6;
      in = Join(in, HeaderBytes(static_cast<uint32_t>(words), static_cast<uint8_t>(random() % 21),
                                static_cast<uint8_t>(random() % 8 == 0 ? 255 : random() % 2)));
      for (size_t i = 0; i < words * 8; ++i) {
        in.push_back(static_cast<uint8_t>(random() % 3 == 0 ? random() : 0));
      }
    }
    in.resize(in.size() - random() % 9);
    const Era era = kEras[round % 4];
    Bytes out[2];
    for (Bytes& result : out) {
      Node node(era);
      Conn conn(node);
      result = conn.Respond(in, 10000);
      EXPECT_LE(result.size(), 10000u);
    }
    ASSERT_EQ(out[0], out[1]);
  }
}

}  // namespace
}  // namespace dqc::mock
