/* SPDX-License-Identifier: MIT */
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <limits>
#include <map>
#include <sstream>
#include <string>

#include "client/config.hpp"
#include "client/redirect.hpp"

namespace dqc::client {
namespace {

std::string Error(const Status& status) {
  if (status.ok()) return "ok";
  EXPECT_EQ(status.code(), Code::kConfig);
  EXPECT_EQ(status.info()->phase, Phase::kConfig);
  return std::string(status.message());
}

TEST(ClientConfig, TableIsSound) {
  size_t index = 0;
  for (const KeyInfo& key : ConfigTable()) {
    EXPECT_EQ(static_cast<size_t>(key.id), index++) << key.name;
    EXPECT_EQ(FindKey(key.name), &key);
    EXPECT_LE(key.min, key.max) << key.name;
    Config config;
    EXPECT_EQ(Error(config.Set(key.name, key.default_text)), "ok") << key.name;
    EXPECT_EQ(*config.Get(key.name), key.default_text) << "default not in its shortest form";
  }
  EXPECT_EQ(index, static_cast<size_t>(Key::kCount));
  EXPECT_EQ(FindKey("Timeout"), nullptr);
}

TEST(ClientConfig, EveryKeyTakesItsBounds) {
  for (const KeyInfo& key : ConfigTable()) {
    if (key.type == KeyType::kText) continue;
    for (const int64_t value : {key.min, key.max}) {
      Config config;
      ASSERT_EQ(Error(config.SetInteger(key.name, value)), "ok") << key.name;
      EXPECT_EQ(config.integer(key.id), value);
      Config copy;
      ASSERT_EQ(Error(copy.Set(key.name, *config.Get(key.name))), "ok") << key.name;
      EXPECT_EQ(copy.integer(key.id), value);
    }
    Config config;
    const int64_t before = config.integer(key.id);
    if (key.max < std::numeric_limits<int64_t>::max()) {
      EXPECT_NE(Error(config.SetInteger(key.name, key.max + 1)), "ok") << key.name;
    }
    EXPECT_NE(Error(config.SetInteger(key.name, key.min - 1)), "ok") << key.name;
    EXPECT_EQ(config.integer(key.id), before);
  }
}

TEST(ClientConfig, InitSql) {
  Config config;
  EXPECT_EQ(Error(config.ParseDsn("dqlite://a/app?init_sql=PRAGMA%20foreign_keys%3DON")), "ok");
  EXPECT_EQ(config.text(Key::kInitSql), "PRAGMA foreign_keys=ON");
  EXPECT_EQ(Error(config.Set("init_sql", "SELECT '?'; -- ?")), "ok");
  EXPECT_NE(Error(config.Set("init_sql", "SELECT 1; SELECT ?")).find("parameters"),
            std::string::npos);
  EXPECT_NE(Error(config.Set("init_sql", std::string_view("SELECT 1;\0", 10))).find("zero byte"),
            std::string::npos);
  EXPECT_EQ(config.text(Key::kInitSql), "SELECT '?'; -- ?");
}

TEST(ClientConfig, Durations) {
  struct Case {
    const char* text;
    int64_t us;
    const char* shown;
  };
  for (const Case& c :
       {Case{"250ms", 250000, "250ms"}, Case{"5s", 5000000, "5s"}, Case{"1m", 60000000, "1m"},
        Case{"100us", 100, "100us"}, Case{"1h", 3600000000, "1h"}, Case{"1500", 1500000, "1500ms"},
        Case{"0", 0, "0"}, Case{"60s", 60000000, "1m"}, Case{"24h", 86400000000, "24h"},
        Case{"90m", 5400000000, "90m"}}) {
    Config config;
    EXPECT_EQ(Error(config.Set("timeout", c.text)), "ok") << c.text;
    EXPECT_EQ(config.duration_us(Key::kTimeout), c.us);
    EXPECT_EQ(*config.Get("timeout"), c.shown);
  }
  for (const char* text : {"5x", "", "s", "5 s", " 5s", "5S", "1.5s", "+5s", "1m30s", "0x5s"}) {
    Config config;
    EXPECT_NE(Error(config.Set("timeout", text)).find("is not a duration"), std::string::npos)
        << text;
  }
}

TEST(ClientConfig, Bytes) {
  Config config;
  EXPECT_EQ(Error(config.Set("read_buffer", "4096")), "ok");
  EXPECT_EQ(*config.Get("read_buffer"), "4KiB");
  EXPECT_EQ(Error(config.Set("read_buffer", "4097")), "ok");
  EXPECT_EQ(*config.Get("read_buffer"), "4097");
  EXPECT_EQ(Error(config.Set("buffer_max", "2GiB")), "ok");
  EXPECT_EQ(config.integer(Key::kBufferMax), 2ll << 30);
  EXPECT_EQ(Error(config.Set("read_buffer", "64kb")),
            "option \"read_buffer\": \"64kb\" is not a size (use e.g. 4096, 64KiB, 1MiB)");
  EXPECT_EQ(Error(config.Set("max_message", "2GiB")),
            "option \"max_message\": \"2GiB\" is out of range (64KiB to 2147483640)");
}

TEST(ClientConfig, Booleans) {
  for (const char* text : {"true", "on", "yes", "1"}) {
    Config config;
    ASSERT_EQ(Error(config.Set("quick_ack", "false")), "ok");
    EXPECT_EQ(Error(config.Set("quick_ack", text)), "ok");
    EXPECT_TRUE(config.flag(Key::kQuickAck));
  }
  for (const char* text : {"false", "off", "no", "0"}) {
    Config config;
    EXPECT_EQ(Error(config.Set("quick_ack", text)), "ok");
    EXPECT_FALSE(config.flag(Key::kQuickAck));
    EXPECT_EQ(*config.Get("quick_ack"), "false");
  }
}

TEST(ClientConfig, Errors) {
  Config c;
  EXPECT_EQ(Error(c.Set("timeout", "5x")),
            "option \"timeout\": \"5x\" is not a duration (use e.g. 250ms, 5s, 1m)");
  EXPECT_EQ(Error(c.Set("timeout", "25h")),
            "option \"timeout\": \"25h\" is out of range (0 to 24h)");
  EXPECT_EQ(Error(c.Set("timeout", "99999999999999999999h")),
            "option \"timeout\": \"99999999999999999999h\" is out of range (0 to 24h)");
  EXPECT_EQ(Error(c.Set("timeout", "9223372036854775807h")),
            "option \"timeout\": \"9223372036854775807h\" is out of range (0 to 24h)");
  EXPECT_EQ(Error(c.Set("timeout", "-1s")),
            "option \"timeout\": \"-1s\" is out of range (0 to 24h)");
  EXPECT_EQ(Error(c.Set("connect_timeout", "0")),
            "option \"connect_timeout\": \"0\" is out of range (1ms to 24h)");
  EXPECT_EQ(Error(c.Set("max_rows", "-1")), "option \"max_rows\": \"-1\" is out of range (from 0)");
  EXPECT_EQ(Error(c.Set("max_rows", "many")),
            "option \"max_rows\": \"many\" is not a whole number");
  EXPECT_EQ(Error(c.Set("quick_ack", "TRUE")),
            "option \"quick_ack\": \"TRUE\" is not a boolean (use true or false)");
  EXPECT_EQ(Error(c.Set("cell_types", "rust")),
            "option \"cell_types\": \"rust\" is not known (use raw, sqlite or go)");
  EXPECT_EQ(Error(c.Set("timout", "5s")), "unknown option \"timout\"; did you mean \"timeout\"?");
  EXPECT_EQ(Error(c.Set("Connect-Timeout", "5s")),
            "unknown option \"Connect-Timeout\"; did you mean \"connect_timeout\"?");
  EXPECT_EQ(Error(c.Set("zzzzzz", "5s")), "unknown option \"zzzzzz\"");
  EXPECT_EQ(Error(c.Get("timout").status()),
            "unknown option \"timout\"; did you mean \"timeout\"?");
  EXPECT_EQ(Error(c.SetInteger("database", 1)), "option \"database\" takes text, not a number");
  EXPECT_EQ(Error(c.Set("\n\"\xff", "5s")), "unknown option \"\\x0a\\\"\\xff\"");
  EXPECT_LT(Error(c.Set(std::string(100000, 'x'), "5s")).size(), 200U);
  EXPECT_EQ(c.duration_us(Key::kTimeout), 10000000);
}

TEST(ClientConfig, DatabaseNames) {
  for (const char* name : {"a", "app.db", "A-Z_0.9", "default", "file", "..", "-", "wal", "a-wal.b",
                           "journal", "a-shm"}) {
    EXPECT_EQ(Error(CheckDatabaseName(name)), "ok") << name;
  }
  EXPECT_EQ(Error(CheckDatabaseName(std::string(200, 'x'))), "ok");
  for (const char* name : {"", ":memory:", "file:x", "a/b", "a b", "a\x7f", "\xc3\xa9", "a?b",
                           "a-wal", "-wal", "a-journal", "-journal"}) {
    EXPECT_NE(Error(CheckDatabaseName(name)), "ok") << name;
  }
  EXPECT_NE(Error(CheckDatabaseName(std::string(201, 'x'))), "ok");
  EXPECT_NE(Error(CheckDatabaseName(std::string_view("a\0b", 3))), "ok");
  Config config;
  EXPECT_EQ(Error(config.Set("database", ":memory:")),
            "option \"database\": database name \":memory:\": \":\" is not allowed (only letters, "
            "digits, '.', '_' and '-': other names harm servers)");
  EXPECT_EQ(Error(config.Set("database", "app-wal")),
            "option \"database\": database name \"app-wal\": the ending \"-wal\" is not allowed "
            "(servers take it for a file of another database, and some abort)");
  EXPECT_EQ(config.database(), "default");
}

std::map<std::string, std::string>& Environment() {
  static std::map<std::string, std::string> map;
  return map;
}

const char* Lookup(const char* name) {
  const auto found = Environment().find(name);
  return found == Environment().end() ? nullptr : found->second.c_str();
}

TEST(ClientConfig, EnvironmentOverridesItsDsn) {
  Environment() = {{"DQC_DSN", "dqlite://h1/app?timeout=1s&quick_ack=off"},
                   {"DQC_TIMEOUT", "2s"},
                   {"DQC_MAX_ROWS", ""}};
  Config config;
  EXPECT_EQ(Error(config.LoadEnvironment(Lookup)), "ok");
  EXPECT_EQ(config.addresses(), std::vector<std::string>{"h1:9001"});
  EXPECT_EQ(config.database(), "app");
  EXPECT_EQ(config.duration_us(Key::kTimeout), 2000000);
  EXPECT_FALSE(config.flag(Key::kQuickAck));
}

TEST(ClientConfig, BadEnvironmentChangesNothing) {
  Environment() = {{"DQC_DATABASE", "app"}, {"DQC_TIMEOUT", "soon"}};
  Config config;
  EXPECT_EQ(Error(config.LoadEnvironment(Lookup)),
            "environment variable DQC_TIMEOUT: option \"timeout\": \"soon\" is not a duration "
            "(use e.g. 250ms, 5s, 1m)");
  EXPECT_EQ(config.database(), "default");
  Environment() = {{"DQC_DSN", "h1"}};
  EXPECT_EQ(Error(config.LoadEnvironment(Lookup)).substr(0, 38),
            "environment variable DQC_DSN: DSN, byt");
}

TEST(ClientConfig, Limits) {
  Config config;
  Limits limits = config.limits();
  const Limits defaults;
  EXPECT_EQ(limits.message_bytes, defaults.message_bytes);
  EXPECT_EQ(limits.columns, defaults.columns);
  EXPECT_EQ(limits.column_name_bytes, defaults.column_name_bytes);
  EXPECT_EQ(limits.rows, defaults.rows);
  EXPECT_EQ(limits.frames, defaults.frames);
  EXPECT_EQ(limits.result_bytes, defaults.result_bytes);
  EXPECT_EQ(limits.error_text_bytes, defaults.error_text_bytes);
  EXPECT_EQ(limits.params, defaults.params);
  EXPECT_EQ(limits.servers, defaults.servers);
  EXPECT_EQ(limits.address_bytes, defaults.address_bytes);
  EXPECT_EQ(limits.files, defaults.files);
  EXPECT_EQ(limits.file_name_bytes, defaults.file_name_bytes);
  EXPECT_EQ(FindKey("max_message")->max, static_cast<int64_t>(kMessageBytesMax));
  EXPECT_EQ(FindKey("max_params")->max, static_cast<int64_t>(kParamsCap));
  EXPECT_EQ(FindKey("database")->max, static_cast<int64_t>(kDatabaseNameMax));
  for (const char* key : {"max_rows", "max_nodes", "max_files"})
    ASSERT_EQ(Error(config.Set(key, "7")), "ok");
  for (const char* key : {"max_address", "max_file_name"})
    ASSERT_EQ(Error(config.Set(key, "77")), "ok");
  limits = config.limits();
  EXPECT_EQ(limits.rows, 7U);
  EXPECT_EQ(limits.servers, 7U);
  EXPECT_EQ(limits.files, 7U);
  EXPECT_EQ(limits.address_bytes, 77U);
  EXPECT_EQ(limits.file_name_bytes, 77U);

  Config all;  // each option reaches the limit of its name
  const char* const keys[] = {"max_message", "max_columns", "max_column_name", "max_rows",
                              "max_frames",  "max_result",  "max_error_text",  "max_params",
                              "max_nodes",   "max_address", "max_files",       "max_file_name"};
  for (size_t i = 0; i < std::size(keys); ++i) {
    const size_t value = (i == 0 ? 65536U : 100U) + i;
    ASSERT_EQ(Error(all.Set(keys[i], std::to_string(value))), "ok") << keys[i];
  }
  limits = all.limits();
  EXPECT_EQ(limits.message_bytes, 65536U);
  EXPECT_EQ(limits.columns, 101U);
  EXPECT_EQ(limits.column_name_bytes, 102U);
  EXPECT_EQ(limits.rows, 103U);
  EXPECT_EQ(limits.frames, 104U);
  EXPECT_EQ(limits.result_bytes, 105U);
  EXPECT_EQ(limits.error_text_bytes, 106U);
  EXPECT_EQ(limits.params, 107U);
  EXPECT_EQ(limits.servers, 108U);
  EXPECT_EQ(limits.address_bytes, 109U);
  EXPECT_EQ(limits.files, 110U);
  EXPECT_EQ(limits.file_name_bytes, 111U);
}

TEST(ClientConfig, TextKeys) {
  Config config;
  for (const KeyInfo& key : ConfigTable()) {
    if (key.type != KeyType::kText) continue;
    EXPECT_EQ(config.text(key.id), key.default_text) << key.name;
  }
  EXPECT_EQ(config.text(Key::kTimeout), "");  // not a text
  ASSERT_EQ(Error(config.Set("nodes", "/var/lib/app/cluster.yaml")), "ok");
  ASSERT_EQ(Error(config.Set("redirect_allow", "10.0.0.0/8, fd00::/8, node1")), "ok");
  ASSERT_EQ(Error(config.Set("address_map", "10.0.0.7:9001=localhost:19001")), "ok");
  ASSERT_EQ(Error(config.Set("database", "app")), "ok");
  EXPECT_EQ(config.text(Key::kNodes), "/var/lib/app/cluster.yaml");
  EXPECT_EQ(config.text(Key::kRedirectAllow), "10.0.0.0/8, fd00::/8, node1");
  EXPECT_EQ(config.text(Key::kAddressMap), "10.0.0.7:9001=localhost:19001");
  EXPECT_EQ(config.text(Key::kDatabase), "app");
  EXPECT_EQ(config.database(), "app");
  EXPECT_EQ(*config.Get("nodes"), "/var/lib/app/cluster.yaml");
  const Config copy = config;
  ASSERT_EQ(Error(config.Set("nodes", "")), "ok");
  EXPECT_EQ(copy.text(Key::kNodes), "/var/lib/app/cluster.yaml");
}

TEST(ClientConfig, TextIsChecked) {
  Config c;
  EXPECT_EQ(Error(c.Set("nodes", std::string(4097, 'x'))),
            "option \"nodes\": 4097 bytes are more than 4096");
  EXPECT_EQ(Error(c.Set("nodes", std::string_view("a\0b", 3))),
            "option \"nodes\": the path \"a\\x00b\" has a zero byte");
  EXPECT_EQ(Error(c.Set("redirect_allow", "node1,10.0.0.1/8")),
            "option \"redirect_allow\": item 2, \"10.0.0.1/8\": the address has bits set behind "
            "the first 8");
  EXPECT_EQ(Error(c.Set("address_map", "a=b,c")).substr(0, 49),
            "option \"address_map\": item 2, \"c\": '=' is missing");
  EXPECT_EQ(Error(c.SetInteger("nodes", 1)), "option \"nodes\" takes text, not a number");
  EXPECT_EQ(Error(c.Set("redirect", "all")),
            "option \"redirect\": \"all\" is not known (use safe, seeds or any)");
  for (const KeyInfo& key : ConfigTable()) {
    if (key.type != KeyType::kText) continue;
    EXPECT_EQ(c.text(key.id), key.default_text) << key.name;
  }
}

TEST(ClientConfig, ClusterDefaults) {
  const Config c;
  EXPECT_FALSE(c.flag(Key::kNodesWrite));
  EXPECT_EQ(c.integer(Key::kRedirect), static_cast<int64_t>(RedirectPolicy::kSafe));
  EXPECT_EQ(c.duration_us(Key::kHedgeDelay), 200'000);
  EXPECT_EQ(c.integer(Key::kParallelAttempts), 10);
  EXPECT_EQ(c.duration_us(Key::kPollInterval), 50'000);
  EXPECT_EQ(c.duration_us(Key::kBackoffMin), 100'000);
  EXPECT_EQ(c.duration_us(Key::kBackoffMax), 1'000'000);
  EXPECT_EQ(c.duration_us(Key::kWatchInterval), 0);
  EXPECT_EQ(c.integer(Key::kPoolMin), 1);
  EXPECT_EQ(c.integer(Key::kPoolMax), 10);
  EXPECT_EQ(c.duration_us(Key::kPoolIdle), 300'000'000);
  EXPECT_EQ(c.duration_us(Key::kPoolLifetime), 0);
  EXPECT_EQ(c.duration_us(Key::kPoolCheck), 30'000'000);
  EXPECT_EQ(c.integer(Key::kPoolQueue), 65536);
  // The names of the option stand in the order of the enum.
  Config named;
  ASSERT_EQ(Error(named.Set("redirect", "seeds")), "ok");
  EXPECT_EQ(named.integer(Key::kRedirect), static_cast<int64_t>(RedirectPolicy::kSeeds));
  ASSERT_EQ(Error(named.Set("redirect", "any")), "ok");
  EXPECT_EQ(named.integer(Key::kRedirect), static_cast<int64_t>(RedirectPolicy::kAny));
}

TEST(ClientConfig, NodesFromTheEnvironment) {
  Environment() = {{"DQC_NODES", "cluster.yaml"}, {"DQC_ADDRESS_MAP", "a=b"}};
  Config config;
  EXPECT_EQ(Error(config.LoadEnvironment(Lookup)), "ok");
  EXPECT_EQ(config.text(Key::kNodes), "cluster.yaml");
  EXPECT_EQ(config.text(Key::kAddressMap), "a=b");
  EXPECT_TRUE(config.addresses().empty());
}

#ifdef DQC_SOURCE_DIR
// With DQC_UPDATE_DOCS set, the page is written instead.
TEST(ClientConfig, ReferencePageIsCurrent) {
  const std::string path = std::string(DQC_SOURCE_DIR) + "/docs/configuration.md";
  if (std::getenv("DQC_UPDATE_DOCS") != nullptr) {
    std::ofstream(path, std::ios::binary) << ConfigReference();
  }
  std::stringstream page;
  page << std::ifstream(path, std::ios::binary).rdbuf();
  EXPECT_TRUE(page.str() == ConfigReference())
      << "docs/configuration.md is stale: run this test with DQC_UPDATE_DOCS=1";
}
#endif

}  // namespace
}  // namespace dqc::client
