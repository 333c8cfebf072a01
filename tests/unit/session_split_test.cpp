/* SPDX-License-Identifier: MIT */
// Any split of the bytes, in both directions, gives the same rows and the same terminal events.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/session_rig.hpp"

namespace dqc::session::test {
namespace {

struct Scene {
  const char* name;
  std::function<void(mock::Node&)> server;
  std::function<std::vector<Op>(Rig&)> act;
};

void Nothing(mock::Node&) {}

std::vector<Op> SubmitAll(Rig& rig, std::vector<Op> ops) {
  for (const Op& op : ops) rig.Submit(op);
  return ops;
}

PreparedStatement PreparedOf(const Op& op) {
  PreparedStatement out;
  out.id = op->stmt_id;
  out.params = op->stmt_params;
  out.text = op->statement;
  return out;
}

std::vector<Op> PreparedScene(Rig& rig) {
  static PreparedStatement select, insert, pragma;
  std::vector<Op> ops = SubmitAll(rig, {Prepare("SELECT ?, ?"), Prepare("INSERT INTO t VALUES (?)"),
                                        Prepare("PRAGMA foreign_keys")});
  rig.Flow();
  select = PreparedOf(ops[0]);
  insert = PreparedOf(ops[1]);
  pragma = PreparedOf(ops[2]);
  const auto more = SubmitAll(
      rig, {Run(&select, {1, "a"}), Run(&select, {nullptr, mock::Cell::Blob("xyz")}),
            Run(&insert, {5}), Run(&select, {2.5, "b"}), Run(&pragma), Finalize(select.id),
            Prepare("SELEC"), Finalize(insert.id), Finalize(pragma.id)});
  ops.insert(ops.end(), more.begin(), more.end());
  rig.Flow();
  return ops;
}

void SetDumps(mock::Node& n) {
  n.On(Match(RequestType::kDump).Sql("three"),
       Do().Frames(mock::FilesStream({{"three", 6000}, {"empty", 0}, {"a longer name", 8}})));
  n.On(Match(RequestType::kDump).Sql("none"), Do().Reply(wire::response::Files{}));
  n.On(Match(RequestType::kDump).Sql("gone"), Do().Failure(1002, "does not exist"));
}

std::vector<Op> DumpScene(Rig& rig) {
  std::vector<Op> ops = {Sql("SELECT 1")};
  for (const char* name : {"three", "none", "gone", "other"}) {
    ops.push_back(Admin(wire::request::Dump{name}, RequestType::kDump, ResponseType::kFiles));
  }
  ops.push_back(Sql("SELECT 2"));
  return SubmitAll(rig, ops);
}

const std::vector<Scene>& Scenes() {
  static const std::vector<Scene> scenes = {
      {"Rows", [](mock::Node& n) { n.SetTable("big", Numbers(700)); },
       [](Rig& r) {
         return SubmitAll(r, {Sql("SELECT 1"), Sql("SELECT * FROM big"), Sql("SELECT * FROM t"),
                              Sql("SELECT * FROM big WHERE 1"), LeaderOp()});
       }},
      {"Failures",
       [](mock::Node& n) {
         n.On(Match(RequestType::kQuerySql).Sql("prefixed"),
              Do().Failure(1, "integer overflow", mock::LeftoverRows({"a"}, {{1}, {2}})));
         n.On(Match(RequestType::kQuerySql).Sql("late"),
              Do().Raw(mock::RowsFrame({"a"}, {{1}, {2}}, wire::RowsEnd::kPart))
                  .Failure(1, "malformed JSON", mock::LeftoverRows({"a"}, {{3}})));
         n.On(Match(RequestType::kExecSql).Sql("dup"), Do().Failure(2067, "UNIQUE failed"));
         n.On(Match(RequestType::kExecSql).Sql("busy"), Do().Failure(5, "database is locked"));
       },
       [](Rig& r) {
         return SubmitAll(
             r, {Sql("SELECT prefixed"), Sql("SELECT late"), Sql("SELECT 2"),
                 Sql("INSERT INTO dup VALUES (1)"), Sql("DELETE FROM busy"), Sql("SELECT 3")});
       }},
      {"Dml", Nothing,
       [](Rig& r) {
         return SubmitAll(r,
                          {Sql("CREATE TABLE t (a)"), Sql("INSERT INTO t VALUES (?)", {7}),
                           Sql("UPDATE t SET a = 1"), Sql("DELETE FROM t"),
                           Sql("INSERT INTO t VALUES (1); INSERT INTO t VALUES (2);"), Sql("BEGIN"),
                           Sql("INSERT INTO t VALUES (1)"), Sql("COMMIT"), Sql("ROLLBACK")});
       }},
      {"Script", [](mock::Node& n) { n.SetTable("big", Numbers(400)); },
       [](Rig& r) {
         return SubmitAll(
             r, {Script("CREATE TABLE t (a); INSERT INTO t VALUES (1); SELECT * FROM big; "
                        "PRAGMA foreign_keys; SELECT 9; -- the end"),
                 Sql("SELECT 1"), Script(""), Script("SELECT 1; SELECT ?; SELECT 2"),
                 Script("INSERT INTO t VALUES (1); PRAGMA journal_mode=delete; SELECT 2"),
                 Sql("SELECT 5")});
       }},
      {"Returning", [](mock::Node& n) { n.SetTable("RETURNING big", Numbers(400)); },
       [](Rig& r) {
         return SubmitAll(r, {Sql("SELECT 1"), Sql("INSERT INTO t VALUES (1) RETURNING id"),
                              Sql("DELETE FROM t RETURNING big"), Sql("SELECT 2"), Sql("BEGIN"),
                              Sql("UPDATE t SET a=1 RETURNING a"), Sql("COMMIT"),
                              Script("SELECT 1; INSERT INTO t VALUES (1) RETURNING id; SELECT 2"),
                              Sql("SELECT 3")});
       }},
      {"Prepared", Nothing, PreparedScene},
      {"Pragma",
       [](mock::Node& n) {
         const auto era = n.era();
         if (era < mock::Era::kC)
           n.On(Match(RequestType::kQuerySql).Sql("recursive_triggers"),
                Do().Failure(1, "not an error"));
       },
       [](Rig& r) {
         return SubmitAll(r,
                          {Sql("PRAGMA recursive_triggers = 1"), Sql("PRAGMA foreign_keys"),
                           Script("PRAGMA recursive_triggers = 1; SELECT 1"), Sql("VACUUM"),
                           Sql("ATTACH 'x' AS y"), Sql("PRAGMA wal_checkpoint"), Sql("SELECT 4")});
       }},
      {"Admin", Nothing,
       [](Rig& r) {
         using namespace wire::request;  // NOLINT
         return SubmitAll(
             r,
             {LeaderOp(), Admin(Cluster{1}, RequestType::kCluster, ResponseType::kServers),
              Admin(Dump{"app"}, RequestType::kDump, ResponseType::kFiles),
              Admin(Describe{}, RequestType::kDescribe, ResponseType::kMetadata),
              Admin(Weight{3}, RequestType::kWeight, ResponseType::kEmpty, true),
              Admin(Add{2, "n2"}, RequestType::kAdd, ResponseType::kEmpty, true),
              Admin(Remove{9}, RequestType::kRemove, ResponseType::kEmpty, true), Sql("SELECT 1")});
       }},
      {"Dumps", SetDumps, DumpScene},
      {"LostInTheMiddle",
       [](mock::Node& n) {
         n.On(Match(RequestType::kExecSql).Sql("lost"), Do().Failure(10506, "leadership lost"));
         n.On(Match(RequestType::kQuerySql).Sql("SELECT 8"), Do().Failure(10250, "not leader"));
       },
       [](Rig& r) {
         return SubmitAll(r, {Sql("SELECT 1"), Sql("INSERT INTO lost VALUES (1)"), Sql("SELECT 8"),
                              Script("SELECT 9"), Sql("SELECT 9")});
       }},
  };
  return scenes;
}

std::vector<std::string> Play(const Scene& scene, mock::Era era, const Cut& in, const Cut& out) {
  Ready rig(era);
  scene.server(rig.node);
  rig.cut_in = in;
  rig.cut_out = out;
  const std::vector<Op> ops = scene.act(rig);
  rig.Flow();
  std::vector<std::string> story;
  for (const Op& op : ops) story.push_back(op->Story());
  for (const std::string& violation : rig.node.violations()) {
    story.push_back("VIOLATION " + violation);
  }
  for (const std::string& line : rig.Sent()) story.push_back("sent " + line);
  story.push_back("state " + std::to_string(static_cast<int>(rig.session->state())));
  return story;
}

class SessionSplit : public testing::TestWithParam<mock::Era> {};

TEST_P(SessionSplit, AllSplitsTellTheSameStory) {
  for (const Scene& scene : Scenes()) {
    SCOPED_TRACE(scene.name);
    const auto whole = Play(scene, GetParam(), Whole(), Whole());
    for (const std::string& line : whole) {
      EXPECT_THAT(line, testing::Not(testing::HasSubstr("(no end)")));
      EXPECT_THAT(line, testing::Not(testing::HasSubstr("TWICE")));
      EXPECT_THAT(line, testing::Not(testing::HasSubstr("BROKEN")));
      EXPECT_THAT(line, testing::Not(testing::HasSubstr("VIOLATION")));
    }
    EXPECT_EQ(Play(scene, GetParam(), ByteWise(), Whole()), whole);
    EXPECT_EQ(Play(scene, GetParam(), ByteWise(), ByteWise()), whole);
    for (uint32_t seed = 1; seed <= 12; ++seed) {
      EXPECT_EQ(Play(scene, GetParam(), Seeded(seed), Seeded(seed + 100)), whole) << seed;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Eras, SessionSplit, testing::ValuesIn(kEras));

// What the scenes must tell, at least: a few lines in full.
TEST(SessionStory, RowsOfAllPartsArriveInOrder) {
  Ready rig(mock::Era::kB);
  rig.node.SetTable("big", Numbers(700));
  const Op op = rig.Submit("SELECT * FROM big");
  rig.Flow();
  ASSERT_EQ(op->rows.size(), 700u);
  EXPECT_EQ(op->rows[699], "0:699|'row 699'|");
  EXPECT_TRUE(op->status.ok());
  EXPECT_EQ(op->statements_done, 1u);
}

TEST(SessionStory, ReturningByEra) {
  for (const mock::Era era : kEras) {
    Ready rig(era);
    const Op op = rig.Submit("INSERT INTO t VALUES (1) RETURNING id");
    rig.Flow();
    using testing::ElementsAre;
    const std::string query = "QuerySql INSERT INTO t VALUES (1) RETURNING id";
    if (era == mock::Era::kC) {
      EXPECT_EQ(op->code(), Code::kUnsupported);
      EXPECT_THAT(rig.Sent(), ElementsAre());
    } else if (era == mock::Era::kD) {
      EXPECT_THAT(rig.Sent(), ElementsAre(query));
      EXPECT_EQ(op->rows.size(), 3u);
    } else {
      EXPECT_THAT(rig.Sent(), ElementsAre("ExecSql BEGIN IMMEDIATE", query, "ExecSql COMMIT"));
      EXPECT_EQ(op->rows.size(), 3u);
    }
    EXPECT_THAT(rig.node.violations(), ElementsAre());
  }
}

TEST(SessionStory, ScriptOfAllKinds) {
  for (const mock::Era era : kEras) {
    Ready rig(era);
    const Op op = rig.Submit(Script("INSERT INTO t VALUES (1); ; SELECT 4; /* x */ SELECT 5"));
    rig.Flow();
    EXPECT_THAT(op->rows, testing::ElementsAre("1:4|", "2:5|"));
    EXPECT_EQ(op->statements_done, 3u);
    EXPECT_TRUE(op->status.ok());
  }
}

TEST(SessionStory, AScriptsResultIsThatOfItsLastStatement) {
  for (const mock::Era era : kEras) {
    for (const char* last : {"SELECT 1", "CREATE TABLE u (a)", "PRAGMA foreign_keys"}) {
      Ready rig(era);
      const Op op = rig.Submit(Script(std::string("INSERT INTO t VALUES (1); ") + last));
      rig.Flow();
      EXPECT_TRUE(op->status.ok());
      EXPECT_FALSE(op->has_rows_affected || op->has_last_insert_id) << last;
      EXPECT_EQ(op->rows_affected, 0u) << last;
      EXPECT_EQ(op->last_insert_id, 0) << last;
    }
  }
}

// It may have updated, and the server tells the id of an INSERT before it.
TEST(SessionStory, AnUpsertHasNoId) {
  for (const mock::Era era : kEras) {
    for (const char* sql : {"INSERT INTO t VALUES (1) ON CONFLICT(a) DO UPDATE SET b = 2",
                            "WITH q AS (SELECT 1) INSERT INTO t SELECT * FROM q WHERE 1 ON "
                            "CONFLICT DO /* */ update SET a=1",
                            "INSERT INTO t VALUES (1) ON CONFLICT(a) DO NOTHING ON CONFLICT(b) DO "
                            "UPDATE SET b = 2"}) {
      Ready rig(era);
      for (const Op& op : {rig.Submit(sql), rig.Submit(Script(sql))}) {
        rig.Flow();
        EXPECT_TRUE(op->status.ok()) << op->Story();
        EXPECT_TRUE(op->has_rows_affected) << sql;
        EXPECT_FALSE(op->has_last_insert_id) << sql;
        EXPECT_EQ(op->last_insert_id, 0) << sql;
      }
    }
    Ready rig(era);
    const Op op = rig.Submit("INSERT INTO t VALUES ('DO UPDATE') ON CONFLICT(a) DO NOTHING");
    rig.Flow();
    EXPECT_TRUE(op->has_last_insert_id);
  }
}

TEST(SessionStory, ScriptFailureNamesItsPlaceAndOutcome) {
  for (const mock::Era era : kEras) {
    Ready rig(era);
    const Match bad = era < mock::Era::kC ? Match(RequestType::kExecSql).Sql("bad")
                                          : Match(RequestType::kPrepare).Sql("bad");
    rig.node.On(bad, Do().Failure(1, "no such table: bad"));
    const Op first = rig.Submit(Script("DELETE FROM bad; DELETE FROM t"));
    const Op second = rig.Submit(Script("DELETE FROM t; DELETE FROM bad; DELETE FROM t"));
    rig.Flow();
    EXPECT_EQ(first->code(), Code::kSql);
    EXPECT_EQ(first->outcome(), Outcome::kNotExecuted);
    EXPECT_EQ(first->status.info()->sql_offset, 0);
    EXPECT_EQ(second->outcome(), Outcome::kMaybeExecuted);
    EXPECT_EQ(second->status.info()->sql_offset, 15);
    EXPECT_EQ(second->statements_done, 1u);
    EXPECT_THAT(rig.node.violations(), testing::ElementsAre());
  }
}

// What the server must never be asked to prepare is refused before it sees it.
TEST(SessionStory, ScriptRefusesBeforePreparing) {
  for (const mock::Era era : kEras) {
    Ready rig(era);
    const Op op = rig.Submit(Script("PRAGMA journal_mode=delete; SELECT 1"));
    rig.Flow();
    EXPECT_EQ(op->code(), Code::kUnsupported);
    EXPECT_EQ(op->outcome(), Outcome::kNotExecuted);
    EXPECT_THAT(rig.Sent(), testing::ElementsAre());
  }
}

TEST(SessionStory, RowLimitIsPerResultOfAScript) {
  SessionOptions options = Options();
  options.limits.rows = 10;
  Ready rig(mock::Era::kC, options);
  rig.node.SetTable("ten", Numbers(10));
  const Op op = rig.Submit(Script("SELECT * FROM ten; SELECT * FROM ten; SELECT 1"));
  rig.Flow();
  EXPECT_TRUE(op->status.ok()) << op->status.message();
  EXPECT_EQ(op->rows.size(), 21u);
}

}  // namespace
}  // namespace dqc::session::test
