/* SPDX-License-Identifier: MIT */
// The reader of FILES in pieces agrees with the decoder of whole messages, whatever the body and
// however it is cut.
#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "wire/endian.hpp"
#include "wire/files.hpp"
#include "wire/message.hpp"

namespace dqc::wire {
namespace {

using Random = std::mt19937;
using Event = FilesReader::Event;

// "name=content;" of each file, or the failure.
std::string Whole(const Bytes& body, const Limits& limits) {
  DecodeContext context;
  context.limits = &limits;
  Header header{};
  header.body_bytes = body.size();
  header.type = static_cast<uint8_t>(ResponseType::kFiles);
  const auto files = DecodeBody<response::Files>(header, body.data(), context);
  if (!files.ok()) return std::string(files.status().message());
  std::string out;
  for (const response::File& file : files->files) {
    out.append(file.name).append("=").append(file.content).append(";");
  }
  return out;
}

// `step` says how many bytes more come each time.
std::string InPieces(const Bytes& body, const Limits& limits, const std::function<size_t()>& step) {
  FilesReader reader(body.size());
  std::string out;
  size_t at = 0, there = 0;
  for (;;) {
    const Bytes seen(body.begin() + static_cast<ptrdiff_t>(at),
                     body.begin() + static_cast<ptrdiff_t>(there));  // not a byte more
    size_t taken = 0;
    const Event event = reader.Next(seen.data(), seen.size(), limits, &taken);
    at += taken;
    EXPECT_EQ(reader.rest(), body.size() - at);
    if (event == Event::kError) return std::string(reader.status().message());
    if (event == Event::kEnd) return out;
    if (event == Event::kPiece) {
      EXPECT_EQ(reader.piece().empty(), reader.file_bytes() == 0);
      if (reader.piece_offset() == 0) out.append(reader.name()).append("=");
      out.append(reader.piece());
      if (reader.piece_offset() + reader.piece().size() == reader.file_bytes()) out.append(";");
      continue;
    }
    EXPECT_LT(there - at, kWord);
    if (there == body.size()) return "no end";
    there = std::min(body.size(), there + step());
  }
}

Bytes RandomBody(Random& random) {
  response::Files files;
  std::vector<std::string> texts;
  texts.reserve(16);
  const size_t count = random() % 5;
  for (size_t i = 0; i < count; ++i) {
    texts.push_back(std::string(random() % 20, 'n'));
    texts.push_back(std::string((random() % 3) * (random() % 12) * kWord, 'c'));
    files.files.push_back({texts[2 * i], texts[2 * i + 1]});
  }
  Bytes frame;
  EXPECT_TRUE(Encode(files, 0, frame).ok());
  return Bytes(frame.begin() + kHeaderBytes, frame.end());
}

void Mutate(Bytes& body, Random& random) {
  switch (random() % 5) {
    case 0:
      body[random() % body.size()] ^= static_cast<uint8_t>(1u << random() % 8);
      break;
    case 1:
      body[random() % body.size()] = 0xff;
      break;
    case 2:
      body.resize(random() % (body.size() / kWord + 1) * kWord);
      break;
    case 3:
      body.resize(body.size() + kWord);
      break;
    default: {
      const uint64_t lengths[] = {0, 4, 8, 16, UINT64_MAX, UINT64_MAX - 7, uint64_t{1} << 32};
      StoreLittle(&body[random() % (body.size() / kWord) * kWord], lengths[random() % 7]);
    }
  }
}

TEST(WireFiles, AgreesWithTheWholeDecoder) {
  Random random(1);
  size_t failures = 0;
  for (int round = 0; round < 20'000; ++round) {
    Bytes body = RandomBody(random);
    if (round % 4 != 0) Mutate(body, random);
    Limits limits;
    if (round % 3 == 0) limits.files = 3;
    const std::string whole = Whole(body, limits);
    failures += whole.starts_with("Files: ") ? 1 : 0;
    ASSERT_EQ(InPieces(body, limits, [] { return SIZE_MAX / 2; }), whole);
    ASSERT_EQ(InPieces(body, limits, [] { return 1; }), whole);
    ASSERT_EQ(InPieces(body, limits, [&] { return 1 + random() % 30; }), whole);
  }
  EXPECT_GT(failures, 2000u);
  EXPECT_LT(failures, 15'000u);
}

TEST(WireFiles, NameLimit) {
  Limits limits;
  limits.file_name_bytes = 10;
  const auto read = [&](const std::string& name) {
    Bytes frame;
    EXPECT_TRUE(Encode(response::Files{{{name, "12345678"}}}, 0, frame).ok());
    const Bytes body(frame.begin() + kHeaderBytes, frame.end());
    const std::string pieces = InPieces(body, limits, [] { return 1; });
    EXPECT_EQ(pieces, Whole(body, limits));
    return pieces;
  };
  EXPECT_EQ(read("0123456789"), "0123456789=12345678;");
  EXPECT_EQ(read("0123456789a"),
            "Files: file name at byte 8: longer than option \"max_file_name\"");
  EXPECT_EQ(read(""), "=12345678;");
}

TEST(WireFiles, ANameWithoutEndIsGivenUpAtTheLimit) {
  Bytes start(1 << 20, 'x');
  StoreLittle(start.data(), uint64_t{1});
  FilesReader reader(uint64_t{1} << 35);
  size_t taken = 0;
  EXPECT_EQ(reader.Next(start.data(), start.size(), Limits(), &taken), Event::kError);
  EXPECT_EQ(reader.status().code(), Code::kLimit);
  EXPECT_LE(taken, size_t{1024 + 3 * kWord});
}

}  // namespace
}  // namespace dqc::wire
