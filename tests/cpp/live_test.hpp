/* SPDX-License-Identifier: MIT */
// What the tests against a real node share.
#pragma once

#include <gtest/gtest.h>
#include <dqclient/dqclient.hpp>

#include <cstdlib>
#include <string>

// A node to test with, and a table of this test's own. Without DQC_TEST_DSN every case fails.
class LiveTest : public testing::Test {
 protected:
  void SetUp() override {
    const char* dsn = std::getenv("DQC_TEST_DSN");
    ASSERT_NE(dsn, nullptr) << "set DQC_TEST_DSN to the DSN of a dqlite node that leads, as "
                               "dqlite://127.0.0.1:9001/test";
    dsn_ = dsn;
    table_ = std::string("cpp_") + testing::UnitTest::GetInstance()->current_test_info()->name();
    dqc::connection conn = Open();
    conn.exec("DROP TABLE IF EXISTS " + table_).value();
    conn.exec("CREATE TABLE " + table_ +
              " (id INTEGER PRIMARY KEY, name TEXT UNIQUE, data BLOB, score REAL, "
              "flag BOOLEAN)")
        .value();
    conn.close().value();
  }

  dqc::connection Open() const { return dqc::connection::open(dsn_).value(); }
  // "INSERT INTO $ ..." with the name of the table.
  std::string Sql(std::string text) const {
    for (size_t at; (at = text.find('$')) != std::string::npos;) text.replace(at, 1, table_);
    return text;
  }
  // `n` rows with the ids from 1 on.
  void Fill(int n) const {
    dqc::connection conn = Open();
    conn.exec(Sql("WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < ?) "
                  "INSERT INTO $ (id, name) SELECT i, 'name ' || i FROM c"),
              n)
        .value();
  }

  std::string dsn_;
  std::string table_;
};
