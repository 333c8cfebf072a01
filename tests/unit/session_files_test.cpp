/* SPDX-License-Identifier: MIT */
// The answer to DUMP as a stream: any split, any size, a server that lies, and an application that
// is slow, stops, or goes away.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/session_rig.hpp"
#include "wire/endian.hpp"

namespace dqc::session::test {
namespace {

using mock::FilesStream;
using mock::MadeFile;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Op DumpOp() { return Admin(wire::request::Dump{"app"}, RequestType::kDump, ResponseType::kFiles); }

std::string Content(uint64_t bytes) {
  std::string out;
  for (uint64_t i = 0; i < bytes; ++i) out.push_back(mock::FileByte(i));
  return out;
}

void Answer(Rig& rig, const std::vector<MadeFile>& files) {
  rig.node.On(Match(RequestType::kDump), Do().Frames(FilesStream(files)));
}

void ExpectFiles(const Op& op, const std::vector<MadeFile>& files) {
  EXPECT_TRUE(op->status.ok()) << op->status.message();
  EXPECT_EQ(op->done, 1);
  EXPECT_FALSE(op->broken);
  ASSERT_EQ(op->files.size(), files.size());
  for (size_t i = 0; i < files.size(); ++i) {
    EXPECT_EQ(op->files[i].name, files[i].name);
    EXPECT_TRUE(op->files[i].whole());
    EXPECT_EQ(op->files[i].content, Content(files[i].bytes)) << "file " << i;
  }
}

void ExpectUsable(Rig& rig) {
  const Op again = rig.Submit("SELECT 42");
  rig.Flow();
  EXPECT_THAT(again->rows, ElementsAre("0:42|"));
  EXPECT_EQ(rig.session->state(), State::kReady);
  EXPECT_EQ(rig.session->next_deadline(), kNever);
  EXPECT_THAT(rig.node.violations(), IsEmpty());
}

// Until `bytes` of the answer have been handed over.
void FeedUpTo(Rig& rig, const Op& op, size_t bytes) {
  rig.SendAll();
  while (op->files.empty() || op->files.back().content.size() < bytes) {
    ASSERT_TRUE(rig.FeedOnce(1000));
  }
}

const std::vector<MadeFile> kThree = {{"app", 40'000}, {"app-wal", 0}, {"something else", 12'120}};

TEST(SessionFiles, AnySplitGivesTheSameFiles) {
  for (const uint64_t read_buffer : {uint64_t{1024}, uint64_t{65536}}) {
    SessionOptions options = Options();
    options.read_buffer = read_buffer;
    std::vector<Cut> cuts = {Whole(), ByteWise()};
    for (uint32_t seed = 1; seed < 20; ++seed) cuts.push_back(Seeded(seed));
    for (const Cut& cut : cuts) {
      Ready rig(mock::Era::kC, options);
      Answer(rig, kThree);
      rig.cut_in = cut;
      const Op before = rig.Submit("SELECT 1");
      const Op op = rig.Submit(DumpOp());
      const Op after = rig.Submit("SELECT 2");
      rig.Flow();
      ExpectFiles(op, kThree);
      EXPECT_EQ(op->columns, kPieceColumns);
      EXPECT_LE(op->piece_bytes_max, read_buffer);
      EXPECT_THAT(before->rows, ElementsAre("0:1|"));
      EXPECT_THAT(after->rows, ElementsAre("0:2|"));
    }
  }
}

TEST(SessionFiles, NoneAndEmptyOnes) {
  for (const mock::Era era : kEras) {
    Ready rig(era);
    rig.node.On(Match(RequestType::kDump).Nth(1), Do().Frames(FilesStream({})));
    rig.node.On(Match(RequestType::kDump).Nth(2), Do().Frames(FilesStream({{"a", 0}, {"", 0}})));
    const Op none = rig.Submit(DumpOp());
    const Op empty = rig.Submit(DumpOp());
    rig.Flow();
    ExpectFiles(none, {});
    EXPECT_EQ(none->columns, kPieceColumns);
    ExpectFiles(empty, {{"a", 0}, {"", 0}});
    EXPECT_EQ(empty->pieces, 2u);
    ExpectUsable(rig);
  }
}

TEST(SessionFiles, AFailureInstead) {
  for (const mock::Era era : kEras) {
    Ready rig(era);
    const Bytes leftover = mock::LeftoverRows({"a"}, {{1}});
    rig.node.On(Match(RequestType::kDump),
                Do().Failure(1002, "database does not exists", leftover));
    const Op op = rig.Submit(DumpOp());
    rig.Flow();
    EXPECT_EQ(op->code(), Code::kServer);
    EXPECT_EQ(op->status.info()->server_code, 1002);
    EXPECT_THAT(op->files, IsEmpty());
    ExpectUsable(rig);
  }
}

// Far more than max_message and all buffers, at the pace of a slow application.
TEST(SessionFiles, LargerThanMemoryMayBe) {
  constexpr uint64_t kBytes = 80 << 20;
  SessionOptions options = Options();
  options.high_water = 256 << 10;
  Ready rig(mock::Era::kD, options);
  rig.respond_max = 256 << 10;
  Answer(rig, {{"app", kBytes}, {"app-wal", 4120 * 8}});
  const Op op = DumpOp();
  op->consume = false;
  uint64_t expected = 0, wrong = 0;
  op->on_piece = [&](std::string_view data, int64_t offset) {
    if (static_cast<uint64_t>(offset) != expected % kBytes) ++wrong;
    if (data.front() != mock::FileByte(static_cast<uint64_t>(offset))) ++wrong;
    expected += data.size();
  };
  rig.Submit(op);
  for (int turn = 0; op->done == 0 && turn < 100'000; ++turn) {
    if (!rig.session->wants_read()) {
      op->Consume();
      rig.session->Resume(rig.now);
    }
    rig.SendAll();
    if (rig.inbox.empty()) rig.ToServer({});
    if (rig.session->wants_read()) {
      EXPECT_LE(rig.session->ReceiveSpace().size, 64u << 10);
    }
    rig.FeedOnce();
    EXPECT_LE(op->unconsumed_bytes, options.high_water + options.read_buffer + 1024);
  }
  EXPECT_TRUE(op->status.ok()) << op->status.message();
  EXPECT_EQ(expected, kBytes + 4120 * 8);
  EXPECT_EQ(wrong, 0u);
  EXPECT_LE(op->piece_bytes_max, options.read_buffer);
}

TEST(SessionFiles, HighWaterHoldsTheServerBack) {
  for (const bool bytewise : {false, true}) {
    SessionOptions options = Options();
    options.high_water = 20'000;
    options.read_buffer = 8192;
    Ready rig(mock::Era::kA, options);
    Answer(rig, kThree);
    if (bytewise) rig.cut_in = ByteWise();
    const Op op = DumpOp();
    op->consume = false;
    rig.Submit(op);
    rig.Flow();
    EXPECT_FALSE(rig.session->wants_read());
    EXPECT_TRUE(op->stalled);
    EXPECT_GE(op->unconsumed_bytes, options.high_water);
    EXPECT_LE(op->unconsumed_bytes, options.high_water + 2 * options.read_buffer);
    EXPECT_LE(op->pieces, 100u);  // small ones count for more than their bytes
    for (int turn = 0; op->done == 0 && turn < 1000; ++turn) {
      op->Consume();
      rig.session->Resume(rig.now);
      rig.Flow();
    }
    ExpectFiles(op, kThree);
    ExpectUsable(rig);
  }
}

TEST(SessionFiles, TheEndWaitsForNobody) {
  SessionOptions options = Options();
  options.high_water = 4096;
  Ready rig(mock::Era::kC, options);
  Answer(rig, {{"app", 8192}});
  const Op op = DumpOp();
  op->consume = false;
  rig.Submit(op);
  rig.Flow();
  EXPECT_EQ(op->done, 1);
  ExpectUsable(rig);
}

TEST(SessionFiles, PauseAndResume) {
  Ready rig(mock::Era::kC);
  Answer(rig, kThree);
  const Op op = rig.Submit(DumpOp());
  FeedUpTo(rig, op, 5000);
  rig.session->Pause(op->id, true, rig.now);
  EXPECT_FALSE(rig.session->wants_read());
  const size_t pieces = op->pieces;
  rig.Flow();
  EXPECT_EQ(op->pieces, pieces);
  rig.session->Pause(op->id, false, rig.now);
  rig.Flow();
  ExpectFiles(op, kThree);
}

// The frame's header is there, but not looked at: its size is no reason for a large buffer.
TEST(SessionFiles, PausedBeforeItBegins) {
  Ready rig(mock::Era::kC);
  Answer(rig, kThree);
  const Op op = rig.Submit(DumpOp());
  rig.session->Pause(op->id, true, rig.now);
  rig.SendAll();
  EXPECT_FALSE(rig.session->wants_read());
  const Session::Space space = rig.session->ReceiveSpace();
  std::copy_n(rig.inbox.begin(), 100, space.data);
  rig.inbox.erase(rig.inbox.begin(), rig.inbox.begin() + 100);
  rig.session->Received(100, rig.now);
  EXPECT_LE(rig.session->ReceiveSpace().size, 64u << 10);
  EXPECT_EQ(op->pieces, 0u);
  rig.session->Pause(op->id, false, rig.now);
  rig.Flow();
  ExpectFiles(op, kThree);
}

TEST(SessionFiles, CancelInTheMiddle) {
  for (const mock::Era era : kEras) {
    for (const size_t after : {size_t{0}, size_t{1}, size_t{39'000}}) {
      Ready rig(era);
      Answer(rig, kThree);
      const Op op = rig.Submit(DumpOp());
      const Op next = rig.Submit("SELECT 7");
      if (after == 0) {
        rig.SendAll();  // not even the header has come
      } else {
        FeedUpTo(rig, op, after);
      }
      const size_t pieces = op->pieces;
      rig.session->Cancel(op->id, rig.now);
      EXPECT_EQ(op->done, 1);
      EXPECT_EQ(op->code(), Code::kCancelled);
      EXPECT_EQ(op->outcome(), Outcome::kNotExecuted);
      rig.Flow();
      EXPECT_EQ(op->pieces, pieces);
      EXPECT_THAT(next->rows, ElementsAre("0:7|"));
      EXPECT_TRUE(op->unique());
      ExpectUsable(rig);
    }
  }
}

TEST(SessionFiles, CancelWhileNobodyTakesThePieces) {
  SessionOptions options = Options();
  options.high_water = 4096;
  options.read_buffer = 2048;
  Ready rig(mock::Era::kB, options);
  Answer(rig, kThree);
  const Op op = DumpOp();
  op->consume = false;
  rig.Submit(op);
  rig.Flow();
  EXPECT_FALSE(rig.session->wants_read());
  rig.session->Cancel(op->id, rig.now);
  EXPECT_TRUE(rig.session->wants_read());
  rig.Flow();
  ExpectUsable(rig);
}

TEST(SessionFiles, TheRestOfACancelledOneHasABudget) {
  for (const mock::Era era : kEras) {
    SessionOptions options = Options();
    options.drain_bytes = options.drain_bytes_era_d = 20'000;
    Ready rig(era, options);
    Answer(rig, kThree);
    const Op op = rig.Submit(DumpOp());
    const Op next = rig.Submit("SELECT 7");
    FeedUpTo(rig, op, 10'000);
    rig.session->Cancel(op->id, rig.now);
    rig.Flow();
    EXPECT_EQ(op->code(), Code::kCancelled);
    EXPECT_EQ(next->code(), Code::kNetwork);
    EXPECT_THAT(std::string(next->status.message()),
                HasSubstr(era == mock::Era::kD ? "\"drain_bytes_era_d\"" : "\"drain_bytes\""));
    EXPECT_EQ(rig.session->state(), State::kClosed);
  }
}

TEST(SessionFiles, DeadlineInTheMiddleAndInTheDrain) {
  for (const bool stuck : {false, true}) {
    Ready rig(mock::Era::kC);
    Answer(rig, kThree);
    const Op op = DumpOp();
    op->deadline = rig.now + 1000;
    rig.Submit(op);
    FeedUpTo(rig, op, 3000);
    rig.Advance(1000);
    EXPECT_EQ(op->code(), Code::kTimeout);
    EXPECT_NE(rig.session->next_deadline(), kNever);
    if (stuck) {
      rig.Advance(1'000'001);
      EXPECT_EQ(rig.session->state(), State::kClosed);
      EXPECT_EQ(rig.session->lost().code(), Code::kNetwork);
    } else {
      rig.Flow();
      ExpectUsable(rig);
    }
    EXPECT_EQ(op->done, 1);
  }
}

TEST(SessionFiles, CloseInTheMiddle) {
  for (const bool give_up : {false, true}) {
    Ready rig(mock::Era::kC);
    Answer(rig, kThree);
    const Op op = rig.Submit(DumpOp());
    FeedUpTo(rig, op, 3000);
    const Op close = rig.Close(give_up);
    EXPECT_EQ(op->code(), Code::kClosed);
    EXPECT_EQ(close->done, 0);
    EXPECT_TRUE(rig.session->wants_read());
    rig.Flow();
    EXPECT_EQ(close->done, 1);
    EXPECT_EQ(rig.session->state(), State::kClosed);
    EXPECT_TRUE(op->unique());
  }
}

TEST(SessionFiles, EndOfInputInTheMiddle) {
  Ready rig(mock::Era::kC);
  rig.node.On(Match(RequestType::kDump), Do().Truncate(20'000).Frames(FilesStream(kThree)).Close());
  const Op op = rig.Submit(DumpOp());
  rig.Flow();
  EXPECT_EQ(op->code(), Code::kNetwork);
  EXPECT_EQ(op->done, 1);
  EXPECT_FALSE(op->files.at(0).whole());
}

TEST(SessionFiles, FreedInTheMiddle) {
  Ready rig(mock::Era::kC);
  Answer(rig, kThree);
  const Op op = rig.Submit(DumpOp());
  FeedUpTo(rig, op, 3000);
  rig.session = nullptr;
  EXPECT_EQ(op->code(), Code::kClosed);
  EXPECT_TRUE(op->unique());
}

TEST(SessionFiles, MaxResultEndsOnlyTheOperation) {
  for (const mock::Era era : kEras) {
    SessionOptions options = Options();
    options.limits.result_bytes = 50'000;
    Ready rig(era, options);
    Answer(rig, kThree);
    const Op op = rig.Submit(DumpOp());
    rig.Flow();
    EXPECT_EQ(op->code(), Code::kLimit);
    EXPECT_THAT(std::string(op->status.message()), HasSubstr("max_result"));
    EXPECT_EQ(op->pieces, 0u);
    ExpectUsable(rig);
  }
}

TEST(SessionFiles, DiscardedPiecesNeedNoConsumer) {
  SessionOptions options = Options();
  options.high_water = 4096;
  Ready rig(mock::Era::kC, options);
  Answer(rig, kThree);
  const Op op = DumpOp();
  op->discard_rows = true;
  rig.Submit(op);
  rig.Flow();
  EXPECT_TRUE(op->status.ok());
  EXPECT_EQ(op->pieces, 0u);
}

Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Bytes Words(std::initializer_list<uint64_t> words) {
  Bytes out;
  for (const uint64_t word : words) {
    out.resize(out.size() + wire::kWord);
    wire::StoreLittle(&out[out.size() - wire::kWord], word);
  }
  return out;
}

constexpr uint64_t kA = 'a';
constexpr uint64_t kUnterminated = 0x6161616161616161;

// A frame that promises `words` and brings no more than these.
void ExpectRefused(uint32_t promised, const Bytes& body, Code code, const std::string& text) {
  for (const bool bytewise : {false, true}) {
    Ready rig(mock::Era::kC);
    if (bytewise) rig.cut_in = ByteWise();
    rig.node.On(Match(RequestType::kDump),
                Do().Raw(mock::HeaderBytes(promised, 9)).Raw(body).Hang());
    const Op op = rig.Submit(DumpOp());
    const Op write = rig.Submit("INSERT INTO t VALUES (1)");
    rig.Flow();
    EXPECT_EQ(op->done, 1);
    EXPECT_EQ(op->code(), code) << text;
    EXPECT_THAT(std::string(op->status.message()), HasSubstr(text));
    EXPECT_EQ(op->phase(), Phase::kResult);
    EXPECT_EQ(op->status.info()->node, "mock:9001");
    EXPECT_EQ(write->outcome(), Outcome::kMaybeExecuted);
    EXPECT_EQ(rig.session->state(), State::kClosed);
    EXPECT_TRUE(op->unique() && write->unique());
  }
}

TEST(SessionFiles, AServerThatLies) {
  constexpr Code kWrong = Code::kProtocol;
  ExpectRefused(0, {}, kWrong, "Files: file count at byte 0: truncated");
  ExpectRefused(1, Words({1}), kWrong, "Files: file count at byte 0: larger than the body");
  ExpectRefused(UINT32_MAX, Words({101}), Code::kLimit,
                "Files: file count at byte 0: more than option \"max_files\"");
  ExpectRefused(UINT32_MAX, Words({UINT64_MAX}), Code::kLimit, "more than option \"max_files\"");
  ExpectRefused(3, Words({1, kA, 8}), kWrong, "Files: file length at byte 16: beyond the end");
  ExpectRefused(UINT32_MAX, Words({1, kA, UINT64_MAX}), kWrong, "beyond the end");
  ExpectRefused(UINT32_MAX, Words({1, kA, uint64_t{1} << 35}), kWrong, "beyond the end");
  ExpectRefused(9, Words({1, kA, 12}), kWrong, "Files: file length at byte 16: not whole words");
  ExpectRefused(4, Words({1, kA, 0, 0}), kWrong, "Files: end at byte 24: surplus bytes");
  ExpectRefused(2, Words({0, 0}), kWrong, "Files: end at byte 8: surplus bytes");
  ExpectRefused(3, Words({1, kUnterminated, kUnterminated}), kWrong,
                "Files: file name at byte 8: unterminated text");
  ExpectRefused(6, Words({2, kA, 8, 0, kA, 8}), kWrong,
                "Files: file length at byte 40: beyond the end");
  ExpectRefused(5, Words({2, kA, 8, 0, kA}), kWrong, "Files: file length at byte 40: truncated");
  ExpectRefused(5, Words({2, kA, 16, 0, 0}), kWrong, "Files: file name at byte 40: truncated");
  ExpectRefused(UINT32_MAX, Words({1}) + Bytes(2000, 'n'), Code::kLimit,
                "Files: file name at byte 8: longer than option \"max_file_name\"");
}

TEST(SessionFiles, UnknownSchemaAndUnasked) {
  Ready rig(mock::Era::kC);
  rig.node.On(Match(RequestType::kDump), Do().Raw(mock::HeaderBytes(UINT32_MAX, 9, 1)));
  const Op op = rig.Submit(DumpOp());
  rig.Flow();
  EXPECT_EQ(op->code(), Code::kProtocol);
  EXPECT_THAT(std::string(op->status.message()), HasSubstr("schema"));

  Ready other(mock::Era::kC);
  other.node.On(Match().Sql("SELECT 1"), Do().Raw(mock::HeaderBytes(UINT32_MAX, 9)));
  const Op query = other.Submit("SELECT 1");
  other.Flow();
  EXPECT_EQ(query->code(), Code::kLimit);
  EXPECT_THAT(std::string(query->status.message()), HasSubstr("max_message"));
}

}  // namespace
}  // namespace dqc::session::test
