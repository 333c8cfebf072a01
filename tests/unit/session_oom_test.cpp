/* SPDX-License-Identifier: MIT */
// Memory runs out at every single allocation of a long scenario: each accepted operation is told
// once, nothing leaks, nothing claims less than what may have happened.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <tuple>

#include "unit/session_rig.hpp"

namespace {

using dqc::session::test::allocations_left;

bool MayAllocate() {
  if (allocations_left < 0 || dqc::session::test::alloc_failures_off > 0) return true;
  if (allocations_left == 0) return false;
  --allocations_left;
  return true;
}

void* Allocate(std::size_t size) {
  void* memory = MayAllocate() ? std::malloc(size == 0 ? 1 : size) : nullptr;
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

// For the whole program; out of the way unless the test below counts.
void* operator new(std::size_t size) { return Allocate(size); }
void* operator new[](std::size_t size) { return Allocate(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }

namespace dqc::session::test {
namespace {

enum class Ending : uint8_t { kClose, kGiveUp, kFree };

struct Scenario {
  mock::Era era;
  Ending ending;
  bool one_failure;  // memory is there again afterwards
};

class Player {
 public:
  Player(const Scenario& scenario, int64_t allocations)
      : scenario_(scenario), rig_(scenario.era, WithScript()), allocations_(allocations) {
    rig_.node.SetTable("big", Numbers(400));
    rig_.node.On(Match().Sql("bad"), Do().Failure(2067, "UNIQUE constraint failed: t.a, long"));
    rig_.node.On(Match().Sql("lost"), Do().Failure(10506, "leadership lost, a long text"));
    connect_ = MakeOp(OpKind::kConnect);
    connect_->deadline = rig_.now + 50'000;
    rig_.node.Configure([](mock::Config& config) { config.dump = std::string(20'000, 'd'); });
    first_ = Sql("SELECT * FROM big");
    for (Op* dump : {&dump_, &cut_dump_}) {
      *dump = Admin(wire::request::Dump{"a database of a long name"}, RequestType::kDump,
                    ResponseType::kFiles);
    }
    for (int i = 0; i < 2; ++i) {
      ops_.push_back(Sql("INSERT INTO t VALUES (1)"));
      ops_.push_back(Sql("SELECT * FROM big WHERE 1"));
      ops_.push_back(Sql("DELETE FROM t RETURNING id"));
      ops_.push_back(Script("INSERT INTO t VALUES (1); SELECT * FROM big; PRAGMA foreign_keys"));
      ops_.push_back(Sql("INSERT INTO bad VALUES (1)"));
      ops_.push_back(Prepare("SELECT * FROM t"));
      ops_.push_back(LeaderOp());
    }
    ops_[9]->deadline = rig_.now + 100;
    last_ = Sql("INSERT INTO lost VALUES (1)");
    close_ = MakeOp(OpKind::kClose);
  }

  // True if memory ran out.
  bool Play() {
    allocations_left = allocations_;
    Acts();
    const bool out = allocations_left == 0 || failed_;
    allocations_left = -1;
    if (scenario_.ending == Ending::kFree) rig_.session = nullptr;
    if (rig_.session) {
      rig_.Flow();
      rig_.Advance(120'000'000);
    }
    Check();
    return out;
  }

 private:
  static SessionOptions WithScript() {
    SessionOptions options = Options();
    options.init_sql = "PRAGMA foreign_keys = ON; SELECT 'a text that is not short'; SELECT big";
    return options;
  }
  template <typename Work>
  void Guard(Work work) {
    try {
      work();
    } catch (const std::bad_alloc&) {
      failed_ = true;
      if (scenario_.one_failure) allocations_left = -1;
      rig_.session->Fail(Status::OutOfMemory());
    }
  }
  void Submit(const Op& op) {
    try {
      if (rig_.session->Submit(Base(op), rig_.now).ok()) accepted_.push_back(op);
    } catch (const std::bad_alloc&) {  // not accepted
      failed_ = true;
    }
  }
  void Flow(int turns) {
    for (; turns > 0; --turns) {
      if (rig_.session->has_output()) {
        rig_.ToServer(rig_.TakeOutput());
      } else if (!rig_.inbox.empty() && rig_.session->wants_read()) {
        Guard([&] { FeedSome(); });
      } else {
        const NoAllocFailures guard;
        rig_.ToServer({});
        if (rig_.inbox.empty()) return;
      }
    }
  }
  void FeedSome() {
    const Session::Space space = rig_.session->ReceiveSpace();
    const size_t size = std::min({space.size, rig_.inbox.size(), size_t{3000}});
    std::memcpy(space.data, rig_.inbox.data(), size);
    rig_.inbox.erase(rig_.inbox.begin(), rig_.inbox.begin() + static_cast<ptrdiff_t>(size));
    rig_.session->Received(size, rig_.now);
  }

  void Acts() {
    accepted_.reserve(0);
    {
      const NoAllocFailures guard;
      accepted_.reserve(64);
    }
    Guard([&] { rig_.session->Connect(Base(connect_), rig_.now); });
    Submit(first_);
    Guard([&] { rig_.session->TransportReady(rig_.now); });
    Flow(200);
    for (size_t i = 0; i < 7; ++i) Submit(ops_[i]);
    Submit(dump_);
    Flow(400);
    Submit(cut_dump_);
    Flow(4);
    Guard([&] { rig_.session->Cancel(cut_dump_->id, rig_.now); });
    for (size_t i = 7; i < 14; ++i) Submit(ops_[i]);
    Flow(3);
    Guard([&] { rig_.session->Cancel(ops_[8]->id, rig_.now); });
    rig_.now += 200;
    Guard([&] { rig_.session->OnDeadline(rig_.now); });
    Flow(2);
    Guard([&] { rig_.session->Cancel(ops_[10]->id, rig_.now); });
    Guard([&] { rig_.session->Cancel(ops_[12]->id, rig_.now); });
    Flow(5);
    Submit(last_);
    if (scenario_.ending == Ending::kFree) return;
    const bool give_up = scenario_.ending == Ending::kGiveUp;
    Guard([&] { rig_.session->Close(Base(close_), give_up, rig_.now); });
    Flow(400);
  }

  void Check() {
    EXPECT_EQ(connect_->done, 1);
    for (const Op& op : accepted_) EXPECT_EQ(op->done, 1) << op->Story();
    const auto all = [&](const auto& visit) {
      visit(first_);
      visit(last_);
      visit(dump_);
      visit(cut_dump_);
      for (const Op& op : ops_) visit(op);
    };
    accepted_.clear();
    all([](const Op& op) {
      EXPECT_LE(op->done, 1);
      EXPECT_FALSE(op->broken);
    });
    if (scenario_.ending != Ending::kFree) {
      EXPECT_EQ(close_->done, 1);
      EXPECT_EQ(rig_.session->state(), State::kClosed);
    }
    rig_.session = nullptr;
    all([](const Op& op) { EXPECT_TRUE(op->unique()) << op->Story(); });
    EXPECT_TRUE(connect_->unique() && close_->unique());
    CheckOutcomes();
  }
  // Nobody is told "not executed" of what the server did.
  void CheckOutcomes() {
    const size_t inserts =
        rig_.node.Count(Match(RequestType::kExecSql).Sql("INSERT INTO t VALUES (1)"));
    size_t admitted = 0;
    for (const Op& op : {ops_[0], ops_[7]}) {
      if (op->done != 0 && op->outcome() != Outcome::kNotExecuted) ++admitted;
    }
    // On A the scripts' inserts look the same, so they count, too.
    for (const Op& op : {ops_[3], ops_[10]}) {
      if (scenario_.era == mock::Era::kA && op->done != 0 && op->outcome() != Outcome::kNotExecuted)
        ++admitted;
    }
    EXPECT_LE(inserts, admitted);
    const size_t commits = rig_.node.Count(Match(RequestType::kExecSql).Sql("COMMIT"));
    size_t returned = 0;
    for (const Op& op : {ops_[2], ops_[9]}) {
      if (op->done != 0 && op->outcome() != Outcome::kNotExecuted) ++returned;
    }
    EXPECT_LE(commits, returned);
  }

  const Scenario scenario_;
  Rig rig_;
  const int64_t allocations_;
  Op connect_, first_, last_, close_, dump_, cut_dump_;
  std::vector<Op> ops_, accepted_;
  bool failed_ = false;
};

class SessionOutOfMemory
    : public testing::TestWithParam<std::tuple<mock::Era, Ending, bool /* one failure */>> {};

TEST_P(SessionOutOfMemory, EveryAllocation) {
  (void)ErrorInfo::OutOfMemory();
  const auto& [era, ending, one] = GetParam();
  int64_t n = 0;
  for (bool out = true; out; ++n) {
    ASSERT_EQ(TestOp::live, 0);
    Player player({era, ending, one}, n);
    out = player.Play();
    if (HasFailure()) FAIL() << "allocation " << n;
  }
  EXPECT_GT(n, 50);
}

INSTANTIATE_TEST_SUITE_P(
    All, SessionOutOfMemory,
    testing::Combine(testing::Values(mock::Era::kA, mock::Era::kC, mock::Era::kD),
                     testing::Values(Ending::kClose, Ending::kGiveUp, Ending::kFree),
                     testing::Bool()));

}  // namespace
}  // namespace dqc::session::test
