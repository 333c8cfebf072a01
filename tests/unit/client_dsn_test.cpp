/* SPDX-License-Identifier: MIT */
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "client/config.hpp"

namespace dqc::client {
namespace {

using Strings = std::vector<std::string>;

std::string Error(const Status& status) {
  if (status.ok()) return "ok";
  EXPECT_EQ(status.code(), Code::kConfig);
  return std::string(status.message());
}

std::string AddressText(std::string_view text, uint16_t default_port = 9001) {
  const Result<Address> address = ParseAddress(text, default_port);
  return address.ok() ? FormatAddress(*address) : Error(address.status());
}

TEST(ClientAddress, Accepted) {
  struct Case {
    const char* text;
    const char* full;
  };
  for (const Case& c : {
           Case{"localhost", "localhost:9001"},
           Case{"h1:1", "h1:1"},
           Case{"h1:65535", "h1:65535"},
           Case{"a_b.c-d.example.", "a_b.c-d.example.:9001"},
           Case{"10.0.0.7:9002", "10.0.0.7:9002"},
           Case{"127.0.0.1", "127.0.0.1:9001"},
           Case{"3com.example:80", "3com.example:80"},
           Case{"[::1]", "[::1]:9001"},
           Case{"[fd00::7]:1", "[fd00::7]:1"},
           Case{"[1:2:3:4:5:6:7:8]:1", "[1:2:3:4:5:6:7:8]:1"},
           Case{"[1:2:3:4:5:6:7::]:1", "[1:2:3:4:5:6:7::]:1"},
           Case{"[64:ff9b::1.2.3.4]:1", "[64:ff9b::1.2.3.4]:1"},
           Case{"[fe80::1%eth0]:9001", "[fe80::1%eth0]:9001"},
           Case{"[::ffff:10.0.0.7]:5", "10.0.0.7:5"},
           Case{"[::FFFF:a00:7]", "10.0.0.7:9001"},
       }) {
    EXPECT_EQ(AddressText(c.text), c.full);
    EXPECT_EQ(AddressText(c.full, 0), c.full);
  }
}

TEST(ClientAddress, Refused) {
  for (const char* text : {
           "",
           ":",
           ":9001",
           "h:",
           "h:0",
           "h:65536",
           "h:-1",
           "h:+1",
           "h:1x",
           "h:000001",
           "h:99999999999",
           "h h",
           "h/1",
           "h\n",
           "-h",
           "h-",
           ".h",
           "h..i",
           ".",
           "h\xc3\xa9",
           "@abstract",
           "/run/sock",
           "::1",
           "fe80::1:9001",
           "1.2.3",
           "1.2.3.4.5",
           "1.2.3.256",
           "01.2.3.4",
           "1.2.3.4.",
           "0x7f.1",
           "0x7f000001",
           "2130706433",
           "0.0.0.0",
           "224.0.0.1:1",
           "255.255.255.255",
           "[::]",
           "[::%eth0]",
           "[0:0:0:0:0:0:0:0]:1",
           "[ff02::1]",
           "[::ffff:0.0.0.0]",
           "[::ffff:224.0.0.1]",
           "[::ffff:1.2.3.4%e]",
           "[1:2]",
           "[1:2:3:4:5:6:7:8:9]",
           "[1::2::3]",
           "[12345::]",
           "[:::]",
           "[::1:]",
           "[:1::2]",
           "[1:2:3:4:5:6:7::8]",
           "[::1.2.3]",
           "[1.2.3.4]",
           "[localhost]:1",
           "[::1",
           "[::1]9001",
           "[::1]:",
           "[fe80::1%]",
           "[fe80::1%a/b]",
           "[-1::]",
           "[]",
       }) {
    EXPECT_FALSE(ParseAddress(text, 9001).ok()) << text;
  }
  EXPECT_FALSE(ParseAddress("h", 0).ok());
  EXPECT_FALSE(ParseAddress(std::string(64, 'a'), 1).ok());
  EXPECT_TRUE(ParseAddress(std::string(63, 'a'), 1).ok());
  EXPECT_FALSE(ParseAddress(std::string(1000, '.'), 1).ok());
}

TEST(ClientAddress, Messages) {
  EXPECT_EQ(AddressText("0.0.0.0:9001"),
            "address \"0.0.0.0:9001\": means \"every interface\" to a server; a client needs the "
            "node's own address");
  EXPECT_EQ(AddressText("h:70000"),
            "address \"h:70000\": port \"70000\" is out of range (1 to 65535)");
  EXPECT_EQ(AddressText("fd00::1"),
            "address \"fd00::1\": IPv6 addresses stand in brackets, as in [fd00::1]:9001");
  EXPECT_EQ(AddressText("h", 0), "address \"h\": a port is required, as in host:9001");
}

TEST(ClientAddress, Lists) {
  Config config;
  EXPECT_EQ(Error(config.SetAddresses("h2, h1:9001 ,h2:9001,[::1]:7")), "ok");
  EXPECT_EQ(config.addresses(), (Strings{"h2:9001", "h1:9001", "[::1]:7"}));
  EXPECT_EQ(Error(config.SetAddresses("h1,,h2")), "address list, item 2: the address is empty");
  EXPECT_EQ(config.addresses().size(), 3U);
  EXPECT_NE(Error(config.SetAddresses("")), "ok");
  std::string many = "h";
  for (int i = 0; i < 1000; ++i) many += ",h" + std::to_string(i);
  EXPECT_EQ(Error(config.SetAddresses(many)), "address list, item 1001: more than 1000 addresses");
}

TEST(ClientDsn, Full) {
  Config config;
  EXPECT_EQ(Error(config.ParseDsn("dqlite://h1:9001,10.0.0.8,[fe80::7%25eth0]:5/app?timeout=5s&"
                                  "cell_types=sqlite&quick%5Fack=o%66f")),
            "ok");
  EXPECT_EQ(config.addresses(), (Strings{"h1:9001", "10.0.0.8:9001", "[fe80::7%eth0]:5"}));
  EXPECT_EQ(config.database(), "app");
  EXPECT_EQ(config.duration_us(Key::kTimeout), 5000000);
  EXPECT_EQ(config.integer(Key::kCellTypes), 1);
  EXPECT_FALSE(config.flag(Key::kQuickAck));
}

TEST(ClientDsn, Parts) {
  for (const char* dsn : {"dqlite://h", "DQLite://h", "dqlite://h/", "dqlite://h?", "dqlite://h/?",
                          "dqlite://h:9001/?timeout=1s", "dqlite://h?timeout=1s"}) {
    Config config;
    EXPECT_EQ(Error(config.ParseDsn(dsn)), "ok") << dsn;
    EXPECT_EQ(config.addresses(), Strings{"h:9001"});
    EXPECT_EQ(config.database(), "default");
  }
  Config config;
  ASSERT_EQ(Error(config.Set("timeout", "7s")), "ok");
  EXPECT_EQ(Error(config.ParseDsn("dqlite://h/%61pp")), "ok");
  EXPECT_EQ(config.database(), "app");
  EXPECT_EQ(config.duration_us(Key::kTimeout), 7000000);
  EXPECT_EQ(Error(config.ParseDsn("dqlite://i?database=b2")), "ok");
  EXPECT_EQ(config.database(), "b2");
  EXPECT_EQ(config.addresses(), Strings{"i:9001"});
}

TEST(ClientDsn, NodesInsteadOfHosts) {
  for (const char* dsn :
       {"dqlite:///app?nodes=/etc/cluster.yaml", "dqlite://?nodes=/etc/cluster.yaml&database=app",
        "dqlite:///app?timeout=1s&nodes=%2Fetc%2Fcluster.yaml"}) {
    Config config;
    EXPECT_EQ(Error(config.ParseDsn(dsn)), "ok") << dsn;
    EXPECT_TRUE(config.addresses().empty());
    EXPECT_EQ(config.text(Key::kNodes), "/etc/cluster.yaml");
    EXPECT_EQ(config.database(), "app");
  }
  Config config;
  ASSERT_EQ(Error(config.Set("nodes", "cluster.yaml")), "ok");
  ASSERT_EQ(Error(config.SetAddresses("old")), "ok");
  EXPECT_EQ(Error(config.ParseDsn("dqlite:///app")), "ok");  // named before
  EXPECT_TRUE(config.addresses().empty());
  EXPECT_EQ(Error(config.ParseDsn("dqlite://h/app?nodes=")), "ok");
  EXPECT_EQ(config.text(Key::kNodes), "");
  EXPECT_EQ(Error(config.ParseDsn("dqlite:///app?nodes=")).substr(0, 24),
            "DSN, byte 9: no address ");
  EXPECT_EQ(config.addresses(), Strings{"h:9001"});
}

TEST(ClientDsn, ErrorsNameTheByteAndChangeNothing) {
  struct Case {
    const char* dsn;
    const char* message;  // its beginning
  };
  for (const Case& c : {
           Case{"", "DSN, byte 0: a DSN begins with \"dqlite://\""},
           Case{"h1:9001", "DSN, byte 0: a DSN begins with \"dqlite://\""},
           Case{"dqlite:/h", "DSN, byte 0: "},
           Case{"dqlite://", "DSN, byte 9: no address"},
           Case{"dqlite:///app", "DSN, byte 9: no address"},
           Case{"dqlite://h,", "DSN, byte 11: the address is empty"},
           Case{"dqlite://h,i:0/app", "DSN, byte 11: address \"i:0\": port \"0\" is out of range"},
           Case{"dqlite://me:pw@h", "DSN, byte 9: user names and passwords are not part"},
           Case{"dqlite://h/a/b", "DSN, byte 11: option \"database\": database name \"a/b\": "},
           Case{"dqlite://h/%3Amemory%3A", "DSN, byte 11: option \"database\": database name"},
           Case{"dqlite://h/a%4", "DSN, byte 12: '%' needs two hexadecimal digits"},
           Case{"dqlite://h/a%zz", "DSN, byte 12: '%' needs two hexadecimal digits"},
           Case{"dqlite://h/a?timeout", "DSN, byte 13: option \"timeout\" needs '=' and a value"},
           Case{"dqlite://h/a?timeout=5x", "DSN, byte 21: option \"timeout\": \"5x\" is not a dur"},
           Case{"dqlite://h/a?timout=5s",
                "DSN, byte 13: unknown option \"timout\"; did you mean \"timeout\"?"},
           Case{"dqlite://h?timeout=1s&timeout=2s", "DSN, byte 22: option \"timeout\" is given tw"},
           Case{"dqlite://h/a?database=b", "DSN, byte 13: option \"database\" is given twice"},
           Case{"dqlite://h?timeout=1s&&quick_ack=1", "DSN, byte 22: option \"\" needs"},
           Case{"dqlite://h?=1", "DSN, byte 11: unknown option \"\""},
       }) {
    Config config;
    ASSERT_EQ(Error(config.ParseDsn("dqlite://old/olddb?timeout=9s")), "ok");
    const std::string message = Error(config.ParseDsn(c.dsn));
    EXPECT_EQ(message.substr(0, std::string_view(c.message).size()), c.message) << c.dsn;
    EXPECT_EQ(config.addresses(), Strings{"old:9001"});
    EXPECT_EQ(config.database(), "olddb");
    EXPECT_EQ(config.duration_us(Key::kTimeout), 9000000);
  }
}

}  // namespace
}  // namespace dqc::client
