/* SPDX-License-Identifier: MIT */
// Every type of value, there and back, and the tags that declared column types give.
#include <cmath>
#include <limits>

#include "live/client.hpp"

namespace dqc::live {
namespace {

class ValuesTest : public SqlTest {
 protected:
  // `value` as a parameter, stored in a column without a type, and read again.
  static std::string Store(const Conn& conn, const Arg& value) {
    const Reply stored = conn.Exec("INSERT INTO v(x) VALUES (?)", {value});
    EXPECT_TRUE(stored.ok()) << stored;
    return conn.Query("SELECT x FROM v WHERE id = ?", {stored.result.last_insert_id}).Text();
  }
  static void MakeTable(const Conn& conn) {
    ASSERT_TRUE(conn.Exec("CREATE TABLE v(id INTEGER PRIMARY KEY, x)").ok());
  }
};
DQC_LIVE_SUITE(ValuesTest);

TEST_P(ValuesTest, Integers) {
  const Conn conn = Open();
  MakeTable(conn);
  for (const int64_t value :
       {int64_t{0}, int64_t{1}, int64_t{-1}, int64_t{1} << 31, INT64_MIN, INT64_MAX}) {
    EXPECT_EQ(Store(conn, value), "I" + std::to_string(value));
    EXPECT_EQ(conn.Query("SELECT ?", {value}).Int(), value);
  }
}

TEST_P(ValuesTest, Floats) {
  const Conn conn = Open();
  MakeTable(conn);
  constexpr double kInf = std::numeric_limits<double>::infinity();
  EXPECT_EQ(Store(conn, 1.5), "F1.5");
  EXPECT_EQ(Store(conn, kInf), "Finf");
  EXPECT_EQ(Store(conn, -kInf), "F-inf");
  EXPECT_EQ(Store(conn, std::numeric_limits<double>::max()), "F1.7976931348623157e+308");
  EXPECT_EQ(Store(conn, std::numeric_limits<double>::denorm_min()), "F4.9406564584124654e-324");
  EXPECT_EQ(Store(conn, std::nan("")), "N");
  EXPECT_EQ(conn.Query("SELECT ?", {-0.0}).Text(), "F-0");
  EXPECT_EQ(Store(conn, -0.0), "F-0");
}

TEST_P(ValuesTest, Texts) {
  const Conn conn = Open();
  MakeTable(conn);
  const std::string utf8 = "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80 \xe6\x97\xa5\xe6\x9c\xac";
  for (const std::string& text : {std::string(), std::string("a"), std::string("1234567"),
                                  std::string("12345678"), std::string("123456789"), utf8,
                                  std::string("not UTF-8: \xff\xfe"), std::string("'quoted\"")}) {
    EXPECT_EQ(Store(conn, text), "T" + text);
  }
  const std::string large(1 << 20, 'x');
  EXPECT_EQ(Store(conn, large), "T" + large);
  EXPECT_EQ(conn.Query("SELECT length(?)", {utf8}).Text(), "I6");
}

TEST_P(ValuesTest, TextWithNulInside) {
  const Conn conn = Open();
  const Reply refused = conn.Query("SELECT ?", {std::string("a\0b", 3)});
  EXPECT_EQ(refused.status, DQC_E_PARAMS) << refused;
  EXPECT_EQ(conn.Exec(std::string_view("SELECT 1\0, 2", 12)).status, DQC_E_MISUSE);
  // A server cuts text there by itself.
  EXPECT_EQ(conn.Query("SELECT CAST(x'610062' AS TEXT)").Text(), "Ta");
  EXPECT_EQ(conn.Query("SELECT CAST('a' || char(0) || 'b' AS BLOB)").Text(), "B610062");
}

TEST_P(ValuesTest, Blobs) {
  const Conn conn = Open();
  MakeTable(conn);
  EXPECT_EQ(Store(conn, Arg::Blob("")), "B");
  EXPECT_EQ(Store(conn, Arg::Blob(std::string(1, '\0'))), "B00");
  EXPECT_EQ(Store(conn, Arg::Blob("\xff\x01 345678")), "Bff0120333435363738");
  std::string large(1 << 20, '\0');
  for (size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 31 >> 3);
  const Reply stored = conn.Exec("INSERT INTO v(x) VALUES (?)", {Arg::Blob(large)});
  ASSERT_TRUE(stored.ok()) << stored;
  EXPECT_EQ(conn.Query("SELECT count(*) FROM v WHERE x = ?", {Arg::Blob(large)}).Int(), 1);
  const Reply read = conn.Query("SELECT x FROM v WHERE id = ?", {stored.result.last_insert_id});
  dqc_cell cell{};
  cell.as.data = large.data();
  cell.size = static_cast<uint32_t>(large.size());
  cell.type = DQC_BLOB;
  EXPECT_TRUE(read.Text() == ShortCell(cell)) << "1 MiB came back changed";
}

TEST_P(ValuesTest, NullBooleanAndTime) {
  const Conn conn = Open();
  MakeTable(conn);
  EXPECT_EQ(Store(conn, nullptr), "N");
  EXPECT_EQ(Store(conn, true), "I1");
  EXPECT_EQ(Store(conn, false), "I0");
  EXPECT_EQ(Store(conn, Arg::Time("2020-01-02T03:04:05Z")), "T2020-01-02T03:04:05Z");
  EXPECT_EQ(Store(conn, Arg::Time("")), "T");
  Arg any_true(2);
  any_true.type = DQC_BOOLEAN;
  EXPECT_EQ(Store(conn, any_true), "I1");
}

TEST_P(ValuesTest, EveryTypeInOneTuple) {
  const Conn conn = Open();
  const Args args = {-2,  1.5, "hi", Arg::Blob("\x01\x02\x03"), nullptr, Arg::Time("2020-01-02"),
                     true};
  const std::string sql = "SELECT ?, ?, ?, ?, ?, ?, ?";
  const std::string expected = "I-2|F1.5|Thi|B010203|N|T2020-01-02|I1";
  EXPECT_EQ(conn.Query(sql, args).Text(), expected);
  const Stmt stmt = conn.Prepare(sql);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(stmt.Query(args).Text(), expected);
}

TEST_P(ValuesTest, TypesThatCannotBeBound) {
  const Conn conn = Open();
  EXPECT_EQ(conn.Query("SELECT ?", {Arg::Typed(DQC_UNIXTIME, "")}).status, DQC_E_PARAMS);
  EXPECT_EQ(conn.Query("SELECT ?", {Arg::Typed(77, "")}).status, DQC_E_PARAMS);
  EXPECT_EQ(conn.Query("SELECT 1").Text(), "I1");
}

// Only integers and NULL go into the BOOLEAN column, only integers, text and NULL into the others:
// anything else makes a SELECT abort the server (protocol 4.1).
class DeclaredTypesTest : public ValuesTest {
 protected:
  void Fill(const Conn& conn) {
    ASSERT_TRUE(conn.Exec("CREATE TABLE d(b BOOLEAN, t DATETIME, d date, s TimeStamp, z TIME, "
                          "bo BOOL)")
                    .ok());
    ASSERT_TRUE(conn.Exec("INSERT INTO d VALUES (?, ?, ?, ?, ?, ?)",
                          {true, Arg::Time("2020-01-02 03:04:05"), 86400, "yesterday",
                           Arg::Time("03:04"), true})
                    .ok());
    ASSERT_TRUE(conn.Exec("INSERT INTO d VALUES (2, -1, '', 5000000000, 7, 2)").ok());
    ASSERT_TRUE(conn.Exec("INSERT INTO d VALUES (?, ?, ?, ?, ?, ?)", Args(6, nullptr)).ok());
  }
  static constexpr const char* kAll = "SELECT * FROM d ORDER BY rowid";
};
DQC_LIVE_SUITE(DeclaredTypesTest);

TEST_P(DeclaredTypesTest, Raw) {
  const Conn conn = Open();
  Fill(conn);
  EXPECT_EQ(conn.Query(kAll).Text(),
            "L1|S2020-01-02 03:04:05|U86400|Syesterday|T03:04|I1;"
            "L2|U-1|S|U5000000000|I7|I2;"
            "L0|S|S|S|N|N");
  EXPECT_EQ(conn.Prepare(kAll).Query().rows.size(), 3u);
  // What hides the column keeps NULL a NULL and everything else plain.
  EXPECT_EQ(conn.Query("SELECT +b, coalesce(t, NULL), max(d), CAST(s AS TEXT) FROM d "
                       "WHERE b IS NULL")
                .Text(),
            "N|N|N|N");
  EXPECT_EQ(conn.Query("SELECT x FROM (SELECT b AS x FROM d WHERE b = 2)").Text(), "L2");
}

TEST_P(DeclaredTypesTest, CellTypesSqlite) {
  const Conn conn = Open("cell_types=sqlite");
  Fill(conn);
  EXPECT_EQ(conn.Query(kAll).Text(),
            "I1|T2020-01-02 03:04:05|I86400|Tyesterday|T03:04|I1;"
            "I2|I-1|T|I5000000000|I7|I2;"
            "I0|T|T|T|N|N");
}

TEST_P(DeclaredTypesTest, CellTypesGo) {
  const Conn conn = Open("cell_types=go");
  Fill(conn);
  EXPECT_EQ(conn.Query(kAll).Text(),
            "L1|S2020-01-02 03:04:05|U86400|Syesterday|T03:04|I1;"
            "L2|U-1|N|U5000000000|I7|I2;"
            "L0|N|N|N|N|N");
}

TEST_P(DeclaredTypesTest, RowsOfReturning) {
  if (!ReturningWorks()) GTEST_SKIP() << "no RETURNING on this era";
  const Conn conn = Open();
  Fill(conn);
  EXPECT_EQ(conn.Query("INSERT INTO d(b, t) VALUES (1, 'now') RETURNING b, t, d").Text(),
            "L1|Snow|S");
}

}  // namespace
}  // namespace dqc::live
