/* SPDX-License-Identifier: MIT */
// What the tests against a real node share.
#pragma once

#include <gtest/gtest.h>
#include <dqclient/dqclient.hpp>

#include <string>

#include "live/harness.hpp"

// A node of each server to test with, and a database of this test's own.
class FacadeLiveTest : public dqc::live::LiveTest {
 protected:
  void SetUp() override {
    dqc::live::LiveTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    database_ = UniqueDatabase();
    dsn_ = OneNode().Dsn(database_);
    table_ = "t";
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
  std::string database_;
  std::string table_;
};
