/* SPDX-License-Identifier: MIT */
// A pool whose host notes what it is told, and answers when the test says so.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/pool.hpp"

namespace dqc::client::test {

using session::OpKind;

inline constexpr Time kSecond = 1'000'000;

class TestOperation final : public Operation {
 public:
  void DeliverRows(IntrusivePtr<session::Batch>) noexcept override {}
  void DeliverDone() noexcept override {}
  void RowsDiscarded(uint64_t) noexcept override {}
};

// Notes what the pool wants, and keeps the operations that it hands out.
class FakeHost final : public Pool::Host {
 public:
  void Want(uint64_t request) override { wanted.push_back(request); }
  void Unwant(uint64_t request) override { unwanted.push_back(request); }
  void Run(uint64_t conn, IntrusivePtr<Operation> op) override {
    log.push_back("run " + std::to_string(op->id) + " on " + std::to_string(conn));
    running[conn].push_back(std::move(op));
  }
  void Lease(uint64_t conn, IntrusivePtr<Operation> op) override {
    log.push_back("lease " + std::to_string(op->id) + " on " + std::to_string(conn));
  }
  void Check(uint64_t conn) override { log.push_back("check " + std::to_string(conn)); }
  void Begin(uint64_t conn) override { log.push_back("begin " + std::to_string(conn)); }
  void Commit(uint64_t conn) override { log.push_back("commit " + std::to_string(conn)); }
  void AskSchema(uint64_t conn) override { log.push_back("schema " + std::to_string(conn)); }
  void Reset(uint64_t conn) override { log.push_back("reset " + std::to_string(conn)); }
  void Discard(uint64_t conn) override { log.push_back("discard " + std::to_string(conn)); }
  void Finish(IntrusivePtr<Operation> op) override {
    const Code code = op->status.code();
    log.push_back("end " + std::to_string(op->id) +
                  (code == Code::kOk ? "" : std::string(" ") + CodeName(code)));
    ended.push_back(std::move(op));
  }
  Status Failure(Time, Time) override { return Status::Make(Code::kConnect, "nobody is there"); }

  IntrusivePtr<Operation> TakeRunning(uint64_t conn) {
    IntrusivePtr<Operation> op = std::move(running.at(conn).front());
    running.at(conn).pop_front();
    return op;
  }
  std::vector<std::string> Take() { return std::exchange(log, {}); }

  std::vector<uint64_t> wanted, unwanted;
  std::map<uint64_t, std::deque<IntrusivePtr<Operation>>> running;  // by connection, in order
  std::vector<std::string> log;
  std::vector<IntrusivePtr<Operation>> ended;
};

class PoolTest : public testing::Test {
 protected:
  void Make(PoolOptions options) { pool = std::make_unique<Pool>(options, &host); }

  IntrusivePtr<TestOperation> Make(uint64_t id, const char* sql, Time timeout = 10 * kSecond) {
    auto op = IntrusivePtr<TestOperation>::Adopt(new TestOperation());
    op->main.embedded = true;
    op->id = id;
    op->statement = sql::ScanStatement(sql);
    op->deadline = now + timeout;
    return op;
  }
  Status Submit(uint64_t id, const char* sql, Time timeout = 10 * kSecond) {
    return Hand(Make(id, sql, timeout));
  }
  Status Hand(IntrusivePtr<TestOperation> op) {
    Status status = pool->Submit(std::move(op), now);
    pool->Serve(now);
    return status;
  }
  Status SubmitKind(uint64_t id, OpKind kind) {
    auto op = IntrusivePtr<TestOperation>::Adopt(new TestOperation());
    op->main.embedded = true;
    op->id = id;
    op->kind = kind;
    op->deadline = now + 10 * kSecond;
    return Hand(std::move(op));
  }
  void Open(uint64_t conn) {
    ASSERT_FALSE(host.wanted.empty());
    const uint64_t request = host.wanted.front();
    host.wanted.erase(host.wanted.begin());
    pool->OnOpened(request, conn, now);
  }
  void Done(uint64_t conn, Status status = Status(), bool clean = true) {
    const IntrusivePtr<Operation> op = host.TakeRunning(conn);
    op->status = std::move(status);
    op->completed = true;
    if (op->status.ok()) op->statements_done = 1;  // as a session does
    pool->OnDone(conn, op, clean, now);
  }
  static Status Failed(Code code, Outcome outcome = Outcome::kNotExecuted) {
    return Status::Make(code, "said the server").With(Phase::kRequest).With(outcome);
  }

  FakeHost host;
  std::unique_ptr<Pool> pool = std::make_unique<Pool>(PoolOptions(), &host);
  Time now = 1'000 * kSecond;
};

}  // namespace dqc::client::test
