/* SPDX-License-Identifier: MIT */
// The facade above a stand-in for the library: bindings, conversions, ownership, callbacks.
#include <gtest/gtest.h>
#include <dqclient/dqclient.hpp>

#include <array>
#include <stdexcept>

#include "cpp/fake_library.hpp"

namespace my {
struct uuid {
  std::string text;
};
struct celsius {
  double degrees;
};
}  // namespace my

template <>
struct dqc::bind_value<my::uuid> {
  static std::string convert(const my::uuid& u) { return "{" + u.text + "}"; }
};
template <>
struct dqc::bind_value<my::celsius> {
  static double convert(my::celsius c) { return c.degrees; }
};
template <>
struct dqc::read_value<my::uuid> {
  static constexpr const char* name = "uuid";
  static std::optional<my::uuid> read(dqc::cell c) {
    if (!c.is_text()) return std::nullopt;
    return my::uuid{std::string(c.text())};
  }
};

namespace {

using dqc::named;

// Nothing that the library gave may be left at the end of a test.
class Facade : public testing::Test {
 protected:
  ~Facade() override {
    loop_ = dqc::loop(dqc::unique_handle<dqc_loop>());
    EXPECT_EQ(fake::count().all(), 0) << "something was not given back";
  }
  static dqc::connection Connect(const dqc::loop& loop) {
    return dqc::connection::create(loop, dqc::config::parse("dqlite://h:1/app").value()).value();
  }
  dqc::loop loop_ = dqc::loop::driven().value();
};

template <class... Args>
std::string Bound(dqc::connection& conn, const Args&... args) {
  conn.exec("x", args...).value();
  return fake::last_args();
}

TEST(FacadeBinding, EveryKnownType) {
  dqc::loop loop = dqc::loop::driven().value();
  dqc::connection conn = dqc::connection::create(loop, dqc::config::create().value()).value();
  EXPECT_EQ(Bound(conn), "");
  EXPECT_EQ(Bound(conn, 1, int64_t{-2}, uint8_t{3}, size_t{4}), "i1 i-2 i3 i4");
  EXPECT_EQ(Bound(conn, true, false), "b1 b0");
  EXPECT_EQ(Bound(conn, 1.5, 2.5f), "f1.500000 f2.500000");
  char buffer[16] = "buffer";
  const char* none = nullptr;
  EXPECT_EQ(Bound(conn, "lit", std::string("str"), std::string_view("view!", 4), buffer, none),
            "t:lit t:str t:view t:buffer n");
  EXPECT_EQ(Bound(conn, std::string(), std::string_view()), "t: t:");
  EXPECT_EQ(Bound(conn, nullptr, std::nullopt, std::optional<int>(), std::optional<int>(5)),
            "n n n i5");
  EXPECT_EQ(Bound(conn, std::optional<std::string>("o")), "t:o");
  EXPECT_EQ(Bound(conn, std::vector<uint8_t>{'a', 'b'}, dqc::blob_view("cd", 2)), "x:ab x:cd");
  EXPECT_EQ(Bound(conn, std::vector<std::byte>()), "x:");
  EXPECT_EQ(Bound(conn, dqc::iso8601{"2026-01-31"}), "d:2026-01-31");
  EXPECT_EQ(Bound(conn, named(":a", 1), named("@b", std::string("s")), named("$c", nullptr)),
            ":a=i1 @b=t:s $c=n");
}

TEST(FacadeBinding, TypesOfTheApplication) {
  dqc::loop loop = dqc::loop::driven().value();
  dqc::connection conn = dqc::connection::create(loop, dqc::config::create().value()).value();
  EXPECT_EQ(Bound(conn, my::uuid{"u"}, my::celsius{1.5}), "t:{u} f1.500000");
  EXPECT_EQ(Bound(conn, std::optional<my::uuid>(), std::optional(my::uuid{"v"})), "n t:{v}");
  EXPECT_EQ(Bound(conn, named(":u", my::uuid{"w"})), ":u=t:{w}");
}

TEST(FacadeBinding, ArgumentsCountedAtRunTime) {
  dqc::loop loop = dqc::loop::driven().value();
  dqc::connection conn = dqc::connection::create(loop, dqc::config::create().value()).value();
  const std::string text = "text";
  const std::vector<dqc_value> list = {dqc::make_value(1), dqc::make_value(text),
                                       dqc::make_value(nullptr)};
  EXPECT_EQ(Bound(conn, dqc::values(list)), "i1 t:text n");
}

TEST(FacadeBinding, UnsignedBeyondTheRangeIsRefused) {
  dqc::loop loop = dqc::loop::driven().value();
  dqc::connection conn = dqc::connection::create(loop, dqc::config::create().value()).value();
  EXPECT_EQ(Bound(conn, uint64_t{INT64_MAX}), "i9223372036854775807");
  const auto r = conn.exec("x", 1, UINT64_MAX);
  ASSERT_FALSE(r.ok());
  EXPECT_EQ(r.error().code(), DQC_E_PARAMS);
  EXPECT_STREQ(r.error().message(),
               "parameter 2: the number is too large for a signed 64-bit integer");
}

dqc_cell Integer(int64_t i, uint8_t type = DQC_INTEGER) {
  dqc_cell c{};
  c.type = type;
  c.as.integer = i;
  return c;
}
dqc_cell Text(std::string_view s, uint8_t type = DQC_TEXT) {
  dqc_cell c{};
  c.type = type;
  c.as.data = s.data();
  c.size = static_cast<uint32_t>(s.size());
  return c;
}
dqc_cell Float(double d) {
  dqc_cell c{};
  c.type = DQC_FLOAT;
  c.as.real = d;
  return c;
}
dqc_cell Null() { return Integer(0, DQC_NULL); }

template <class T>
std::optional<T> Read(const dqc_cell& c) {
  return dqc::cell(c).get<T>();
}

TEST(FacadeReading, NumbersAreCheckedForTheirRange) {
  EXPECT_EQ(Read<int64_t>(Integer(INT64_MIN)), INT64_MIN);
  EXPECT_EQ(Read<int8_t>(Integer(-128)), -128);
  EXPECT_EQ(Read<int8_t>(Integer(128)), std::nullopt);
  EXPECT_EQ(Read<uint64_t>(Integer(-1)), std::nullopt);
  EXPECT_EQ(Read<uint32_t>(Integer(4294967295)), 4294967295u);
  EXPECT_EQ(Read<uint32_t>(Integer(4294967296)), std::nullopt);
  EXPECT_EQ(Read<int>(Integer(7, DQC_UNIXTIME)), 7);
  EXPECT_EQ(Read<int>(Integer(1, DQC_BOOLEAN)), 1);
  EXPECT_EQ(Read<int>(Float(1.0)), std::nullopt);
  EXPECT_EQ(Read<int>(Null()), std::nullopt);
  EXPECT_EQ(Read<double>(Float(1.5)), 1.5);
  EXPECT_EQ(Read<double>(Integer(2)), 2.0);
  EXPECT_EQ(Read<double>(Text("2")), std::nullopt);
  EXPECT_EQ(Read<bool>(Integer(1)), true);
  EXPECT_EQ(Read<bool>(Integer(0, DQC_BOOLEAN)), false);
  EXPECT_EQ(Read<bool>(Integer(2)), std::nullopt);
}

TEST(FacadeReading, TextBlobsAndNull) {
  EXPECT_EQ(Read<std::string_view>(Text("abc")), "abc");
  EXPECT_EQ(Read<std::string>(Text("2026", DQC_ISO8601)), "2026");
  EXPECT_EQ(Read<std::string>(Text("x", DQC_BLOB)), std::nullopt);
  EXPECT_EQ(Read<dqc::blob_view>(Text("xyz", DQC_BLOB))->size(), 3u);
  EXPECT_EQ(Read<std::vector<std::byte>>(Text("xy", DQC_BLOB))->size(), 2u);
  ASSERT_TRUE(Read<std::optional<int>>(Null()).has_value());
  EXPECT_FALSE(Read<std::optional<int>>(Null())->has_value());
  EXPECT_EQ(Read<std::optional<int>>(Integer(3)).value(), 3);
  EXPECT_FALSE(Read<std::optional<int>>(Text("3")).has_value());
  EXPECT_EQ(Read<dqc::cell>(Null())->type(), DQC_NULL);
  EXPECT_EQ(Read<my::uuid>(Text("u"))->text, "u");
}

TEST(FacadeReading, AMessageNamesColumnAndTypes) {
  const dqc_cell cells[] = {Integer(300), Null()};
  const dqc::row_view row(nullptr, cells, 2);
  EXPECT_STREQ(row.get<int8_t>(0).error().code() == DQC_E_MISUSE ? "" : "code", "");
  const dqc::error range = row.get<int8_t>("id").error();
  EXPECT_STREQ(range.message(), "column 0 (id): INTEGER 300 cannot be read as int8");
  const dqc::error null = row.get<std::string>("name").error();
  EXPECT_STREQ(null.message(),
               "column 1 (name): NULL cannot be read as text; std::optional takes NULL");
  const dqc::error beyond = row.get<int>(2).error();
  EXPECT_STREQ(beyond.message(), "no column 2: the result has 2");
  const dqc::error unknown = row.get<int>("nme").error();
  EXPECT_STREQ(unknown.message(), "no column is named \"nme\"");
  const dqc::error count = row.as<int>().error();
  EXPECT_STREQ(count.message(), "the result has 2 columns, but 1 were asked for");
  const dqc::error tuple = row.as<int, int>().error();
  EXPECT_STREQ(tuple.message(),
               "column 1 (name): NULL cannot be read as int32; std::optional takes NULL");
}

TEST(FacadeResult, BothStyles) {
  dqc::result<std::string> good = std::string("v");
  EXPECT_TRUE(good.ok() && good && !good.error());
  EXPECT_EQ(*good, "v");
  EXPECT_EQ(good->size(), 1u);
  std::string out;
  EXPECT_FALSE(good.get(out));
  EXPECT_EQ(out, "v");

  dqc::result<std::string> bad = dqc::error::make(DQC_E_BUSY, "busy");
  EXPECT_FALSE(bad.ok() || bad);
  EXPECT_EQ(bad.get(out).code(), DQC_E_BUSY);
  EXPECT_EQ(out, "v");
  try {
    bad.value();
    FAIL();
  } catch (const dqc::exception& e) {
    EXPECT_STREQ(e.what(), "busy");
    EXPECT_EQ(e.error().code(), DQC_E_BUSY);
  }
  EXPECT_THROW(dqc::result<void>(dqc::error::adopt(DQC_E_NOMEM)).value(), dqc::exception);
  dqc::result<void>().value();
}

TEST_F(Facade, ErrorsAreSharedAndGivenBack) {
  dqc::connection conn = Connect(loop_);
  dqc::error copy;
  {
    auto r = conn.exec("fail");
    ASSERT_FALSE(r.ok());
    copy = r.error();
    dqc::error moved = std::move(r).error();
    EXPECT_EQ(moved.code(), DQC_E_CONSTRAINT);
    EXPECT_EQ(moved.error_class(), dqc::error_class::constraint);
  }
  EXPECT_EQ(fake::count().errors, 1);
  EXPECT_STREQ(copy.message(), "constraint");
  copy = dqc::error();
  EXPECT_EQ(fake::count().errors, 0);
  const dqc::error self = dqc::error::make(DQC_E_MISUSE, "text");
  const dqc::error twin = self;  // NOLINT(performance-unnecessary-copy-initialization)
  EXPECT_STREQ(twin.message(), "text");
}

TEST_F(Facade, CursorsIterateInEveryWay) {
  dqc::connection conn = Connect(loop_);
  int64_t sum = 0;
  for (auto [id, name] : conn.query("rows 3 2").value().as<int64_t, std::string_view>()) {
    EXPECT_EQ(name, "name " + std::to_string(id));
    sum += id;
  }
  EXPECT_EQ(sum, 21);

  dqc::rows rows = conn.query("rows 2 2").value();
  EXPECT_EQ(rows.column_name(1), "name");
  for (auto row : rows) sum += row.get<int64_t>("id").value();
  EXPECT_EQ(sum, 31);
  for (auto row : rows) ADD_FAILURE() << row.size();

  dqc::rows lvalue = conn.query("rows 1 2").value();
  for (auto [id, name] : lvalue.as<int, std::string>())
    sum += id + static_cast<int64_t>(name.size() * 0);
  EXPECT_EQ(sum, 34);

  dqc::result_set set = conn.query("rows 2 2").value().collect().value();
  EXPECT_EQ(set.size(), 4u);
  EXPECT_EQ(set[3].get<std::string>(1).value(), "name 4");
  for (auto row : set) sum += row.get<int64_t>(0).value();
  for (auto [id, name] : set.as<int64_t, std::string_view>()) sum += id;
  for (auto [id, name] : std::move(set).as<int64_t, std::string_view>()) sum += id;
  EXPECT_EQ(sum, 64);
  EXPECT_EQ(conn.query("rows 0 0").value().collect().value().size(), 0u);
  for (auto row : conn.query("rows 3 0").value()) ADD_FAILURE() << row.size();
}

TEST_F(Facade, AFailureEndsTheLoopWithAnException) {
  dqc::connection conn = Connect(loop_);
  dqc::rows lost = conn.query("rows 1 2000").value();
  EXPECT_THROW(for (auto row : lost) ADD_FAILURE() << row.size(), dqc::exception);
  EXPECT_EQ(lost.error().code(), DQC_E_NETWORK);

  auto typed = conn.query("rows 1 3").value().as<int64_t, int64_t>();
  EXPECT_THROW(for (auto [a, b] : typed) ADD_FAILURE() << a << b, dqc::exception);
  EXPECT_STREQ(typed.error().message(), "column 1 (name): TEXT cannot be read as int64");
  EXPECT_FALSE(typed.advance());
}

TEST_F(Facade, BatchesOutliveTheirCursor) {
  dqc::connection conn = Connect(loop_);
  dqc::batch kept;
  {
    dqc::rows rows = conn.query("rows 2 3").value();
    kept = rows.next_batch().value();
  }
  const dqc::batch twin = kept;
  EXPECT_EQ(twin.row_count(), 3u);
  EXPECT_EQ(twin.cells().size(), 6u);
  EXPECT_EQ(twin.row(2).get<std::string_view>("name").value(), "name 3");
  int n = 0;
  for (auto row : twin) n += row.get<int>(0).value();
  EXPECT_EQ(n, 6);
}

TEST_F(Facade, CallbacksGetEventsOrTheFinalAnswer) {
  dqc::connection conn = Connect(loop_);
  int events = 0, rows = 0;
  conn.query_async(
          [&](const dqc::event& e) {
            ++events;
            if (e.is_rows()) rows += static_cast<int>(e.rows().row_count());
            EXPECT_FALSE(e.is_done() && e.error());
          },
          "rows 2 5")
      .value();
  size_t collected = 0;
  conn.query_async([&](dqc::result<dqc::result_set> r) { collected = r.value().size(); },
                   "rows 3 4")
      .value();
  uint64_t affected = 0;
  conn.exec_async([&, keep = std::make_unique<int>(1)](
                      dqc::result<dqc::exec_result> r) { affected = r.value().rows_affected(); },
                  "x", 1, "a")
      .value();
  EXPECT_EQ(fake::last_args(), "i1 t:a");
  dqc_status failed = DQC_OK;
  conn.exec_async([&](const dqc::result<dqc::exec_result>& r) { failed = r.error().code(); },
                  "fail")
      .value();
  uint32_t parameters = 0;
  conn.prepare_async([&](dqc::result<dqc::statement> s) { parameters = s.value().param_count(); },
                     "x")
      .value();
  EXPECT_EQ(events, 0);
  while (fake::count().operations > 0) loop_.run().value();
  EXPECT_EQ(events, 3);
  EXPECT_EQ(rows, 10);
  EXPECT_EQ(collected, 12u);
  EXPECT_EQ(affected, 1u);
  EXPECT_EQ(failed, DQC_E_CONSTRAINT);
  EXPECT_EQ(parameters, 1u);
}

TEST_F(Facade, ARefusedCallDropsItsCallback) {
  dqc::connection conn = Connect(loop_);
  auto token = std::make_shared<int>(0);
  const auto r = conn.exec_async([token](const dqc::event&) {}, "refuse");
  EXPECT_EQ(r.error().code(), DQC_E_PARAMS);
  EXPECT_EQ(token.use_count(), 1);
}

TEST_F(Facade, AnExceptionOfACallbackComesOutOfRun) {
  dqc::connection conn = Connect(loop_);
  conn.exec_async([](const dqc::event&) { throw std::runtime_error("mine"); }, "x").value();
  conn.exec_async([](const dqc::event&) {}, "x").value();
  EXPECT_THROW(loop_.run().value(), std::runtime_error);
  loop_.run().value();
  EXPECT_EQ(dqc::take_callback_exception(), nullptr);
}

TEST_F(Facade, ACancelledOperationEndsWithItsEvent) {
  dqc::connection conn = Connect(loop_);
  dqc_status status = DQC_OK;
  const dqc::op_id op =
      conn.exec_async([&](const dqc::event& e) { status = e.status(); }, "hang").value();
  conn.cancel(op).value();
  loop_.run().value();
  EXPECT_EQ(status, DQC_E_CANCELLED);
}

TEST_F(Facade, BlobViewsOfContainers) {
  const std::array<uint8_t, 3> array = {1, 2, 3};
  const std::vector<char> chars = {'a'};
  EXPECT_EQ(dqc::blob_view(array).size(), 3u);
  EXPECT_EQ(dqc::blob_view(chars).copy().size(), 1u);
  EXPECT_TRUE(dqc::blob_view().empty());
}

}  // namespace
