/* SPDX-License-Identifier: MIT */
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "client/redirect.hpp"

namespace dqc::client {
namespace {

using Strings = std::vector<std::string>;

AllowList Allow(std::string_view text) {
  Result<AllowList> list = AllowList::Parse(text);
  EXPECT_TRUE(list.ok()) << text << ": " << list.status().message();
  return list.ok() ? *list : AllowList();
}

std::string AllowError(std::string_view text) {
  const Result<AllowList> list = AllowList::Parse(text);
  if (list.ok()) return "ok";
  EXPECT_EQ(list.status().code(), Code::kConfig);
  return std::string(list.status().message());
}

std::string Follow(RedirectPolicy policy, const Strings& seeds, std::string_view allow,
                   const std::string& address) {
  const Status status = RedirectRules(policy, seeds, Allow(allow)).MayFollow(address);
  if (status.ok()) return "ok";
  EXPECT_EQ(status.code(), Code::kConfig);
  return std::string(status.message());
}

bool Safe(const std::string& address, const Strings& seeds = {"10.0.0.1:9001"}) {
  return Follow(RedirectPolicy::kSafe, seeds, "", address) == "ok";
}

bool Listed(std::string_view allow, const std::string& address) {
  return Follow(RedirectPolicy::kSeeds, {}, allow, address) == "ok";
}

TEST(ClientRedirect, SafeFollows) {
  for (const char* address : {
           "10.1.2.3:1",
           "172.16.0.1:1",
           "192.168.1.1:1",
           "8.8.8.8:1",
           "100.64.0.1:1",
           "169.253.255.255:1",
           "169.255.0.1:1",
           "126.0.0.1:1",
           "128.0.0.1:1",
           "223.255.255.255:1",
           "[fd00::1]:1",
           "[fc00::1]:1",
           "[2a00::1]:1",
           "[2001:1::1]:1",
           "[fe7f::1]:1",
           "[fec0::1]:1",
           "[::ffff:10.0.0.7]:1",
           "[2002:a00:7::1]:1",        // 6to4 of 10.0.0.7
           "[64:ff9b::10.0.0.7]:1",    // NAT64
           "[64:ff9b:1::10.0.0.7]:1",  // NAT64, a prefix of one's own
           "[64:ff9b:2::1]:1",
           "[2001:0:a00:7::f5ff:fff8]:1",  // Teredo, server and client 10.0.0.7
           "node1:1",
           "node1.example.com.:1",
           "localhost.example.com:1",
           "mylocalhost:1",
       }) {
    EXPECT_TRUE(Safe(address)) << address;
  }
}

TEST(ClientRedirect, SafeRefuses) {
  for (const char* address : {
           "169.254.0.1:1",
           "169.254.169.254:80",  // metadata of clouds
           "0.1.2.3:1",
           "240.0.0.1:1",
           "255.255.255.254:1",
           "[fe80::1]:1",
           "[febf::1]:1",
           "[fe80::1%eth0]:1",
           "[fd00::1%eth0]:1",  // a zone
           "[::ffff:169.254.169.254]:1",
           "[::169.254.169.254]:1",
           "[2002:a9fe:a9fe::1]:1",
           "[64:ff9b::169.254.169.254]:1",
           "[64:ff9b:1::169.254.169.254]:1",
           "[2001:0:a00:7::5601:5601]:1",      // Teredo, client 169.254.169.254
           "[2001:0:a9fe:a9fe::f5ff:fff8]:1",  // Teredo, server 169.254.169.254
           "[::ffff:240.0.0.1]:1",
           "[64:ff9b::255.255.255.255]:1",
           "[64:ff9b::224.0.0.1]:1",
           "[64:ff9b::]:1",
           "[64:ff9b::127.0.0.1]:1",
           "[2002:7f00:1::]:1",
           "127.0.0.1:1",
           "127.255.255.255:1",
           "[::1]:1",
           "[::ffff:127.0.0.1]:1",
           "localhost:1",
           "LocalHost.:1",
           "db.localhost:1",
           "localhost.localdomain:1",
           "ip6-localhost:1",
           "ip6-loopback:1",
       }) {
    EXPECT_FALSE(Safe(address)) << address;
  }
}

TEST(ClientRedirect, NoAddressIsNeverFollowed) {
  for (const RedirectPolicy policy :
       {RedirectPolicy::kSafe, RedirectPolicy::kSeeds, RedirectPolicy::kAny}) {
    for (const char* address :
         {"", "host", "@abstract", "/run/sock", "0.0.0.0:1", "[::]:1", "224.0.0.1:1",
          "255.255.255.255:1", "[ff02::1]:1", "2130706433:1", "h:0", "[::ffff:0.0.0.0]:1"}) {
      EXPECT_NE(Follow(policy, {"h:1"}, "0.0.0.0/0,::/0", address), "ok") << address;
    }
  }
}

TEST(ClientRedirect, LoopbackWhereASeedIs) {
  for (const char* seed : {"127.0.0.1:9001", "[::1]:9001", "localhost:9001", "127.1.2.3:5",
                           "[::ffff:127.0.0.1]:1", "LOCALHOST.:9001"}) {
    for (const char* address : {"127.0.0.1:9002", "[::1]:9002", "localhost:9002",
                                "[::ffff:127.0.0.1]:9", "a.localhost:1", "10.0.0.1:1"}) {
      EXPECT_TRUE(Safe(address, {"10.0.0.1:9001", seed})) << seed << ' ' << address;
    }
    EXPECT_FALSE(Safe("169.254.0.1:1", {seed}));
    EXPECT_FALSE(Safe("[::1%lo]:1", {seed}));
  }
  EXPECT_FALSE(Safe("127.0.0.1:1", {}));
  EXPECT_FALSE(Safe("127.0.0.1:1", {"node1:9001", "not an address"}));
}

TEST(ClientRedirect, IsLoopback) {
  for (const char* host : {"127.0.0.1", "127.9.9.9", "::1", "0:0::1", "::ffff:127.0.0.1",
                           "localhost", "Localhost.", "x.localhost"}) {
    EXPECT_TRUE(IsLoopback(host)) << host;
  }
  for (const char* host : {"10.0.0.1", "128.0.0.1", "::2", "fe80::1", "::1%lo", "node", "0.0.0.0",
                           "169.254.0.1", ""}) {
    EXPECT_FALSE(IsLoopback(host)) << host;
  }
}

TEST(ClientRedirect, SeedsAndAllowedPassTheSafePolicy) {
  const Strings seeds = {"169.254.0.5:9001", "[fe80::5%eth0]:9001"};
  const auto safe = [&](const std::string& address) {
    return Follow(RedirectPolicy::kSafe, seeds, "169.254.1.0/24,localhost:9001", address) == "ok";
  };
  EXPECT_TRUE(safe("169.254.0.5:9001"));
  EXPECT_FALSE(safe("169.254.0.5:9002"));
  EXPECT_FALSE(safe("169.254.0.6:9001"));
  EXPECT_TRUE(safe("[fe80:0::5%eth0]:9001"));
  EXPECT_FALSE(safe("[fe80::5%eth1]:9001"));
  EXPECT_TRUE(safe("169.254.1.9:22"));
  EXPECT_TRUE(safe("LOCALHOST:9001"));
  EXPECT_FALSE(safe("localhost:22"));
  EXPECT_TRUE(safe("10.0.0.1:9001"));  // the list adds to what is safe
}

TEST(ClientRedirect, SeedsOnly) {
  const Strings seeds = {"node1:9001", "10.0.0.1:9001", "[fd00::1]:9001"};
  const auto follow = [&](const std::string& address) {
    return Follow(RedirectPolicy::kSeeds, seeds, "node7,10.1.0.0/16", address) == "ok";
  };
  EXPECT_TRUE(follow("node1:9001"));
  EXPECT_TRUE(follow("NODE1.:9001"));
  EXPECT_TRUE(follow("[FD00:0::1]:9001"));
  EXPECT_TRUE(follow("[::ffff:10.0.0.1]:9001"));
  EXPECT_TRUE(follow("node7:1"));
  EXPECT_TRUE(follow("10.1.255.255:1"));
  EXPECT_FALSE(follow("node1:9002"));
  EXPECT_FALSE(follow("10.0.0.2:9001"));
  EXPECT_FALSE(follow("node2:9001"));
}

TEST(ClientRedirect, AnyFollowsWhatIsAnAddress) {
  for (const char* address : {"127.0.0.1:1", "169.254.169.254:80", "[fe80::1%eth0]:1", "h:1"}) {
    EXPECT_EQ(Follow(RedirectPolicy::kAny, {}, "", address), "ok");
  }
}

TEST(ClientRedirect, AllowList) {
  EXPECT_FALSE(Listed("", "h:1"));
  EXPECT_FALSE(Listed(" ", "h:1"));
  EXPECT_TRUE(Listed(" a , h ", "h:1"));
  EXPECT_TRUE(Listed("h:1", "h:1"));
  EXPECT_FALSE(Listed("h:2", "h:1"));
  EXPECT_FALSE(Listed("h", "x.h:1"));
  EXPECT_TRUE(Listed("[fd00::1]", "[fd00::1]:5"));
  EXPECT_TRUE(Listed("fd00::1", "[fd00:0::1]:5"));
  EXPECT_TRUE(Listed("[fd00::1]:5", "[fd00::1]:5"));
  EXPECT_FALSE(Listed("[fd00::1]:5", "[fd00::1]:6"));
  EXPECT_TRUE(Listed("10.0.0.1", "[::ffff:10.0.0.1]:5"));
  EXPECT_TRUE(Listed("::ffff:10.0.0.1", "10.0.0.1:5"));
}

TEST(ClientRedirect, Blocks) {
  EXPECT_TRUE(Listed("10.0.0.0/8", "10.255.255.255:1"));
  EXPECT_FALSE(Listed("10.0.0.0/8", "11.0.0.0:1"));
  EXPECT_TRUE(Listed("10.16.0.0/12", "10.31.255.255:1"));
  EXPECT_FALSE(Listed("10.16.0.0/12", "10.32.0.0:1"));
  EXPECT_FALSE(Listed("10.16.0.0/12", "10.15.0.0:1"));
  EXPECT_TRUE(Listed("10.0.0.1/32", "10.0.0.1:1"));
  EXPECT_FALSE(Listed("10.0.0.1/32", "10.0.0.0:1"));
  EXPECT_TRUE(Listed("0.0.0.0/0", "169.254.0.1:1"));
  EXPECT_FALSE(Listed("0.0.0.0/0", "[fd00::1]:1"));
  EXPECT_FALSE(Listed("0.0.0.0/0", "host:1"));
  EXPECT_TRUE(Listed("fd00::/8", "[fdff::1]:1"));
  EXPECT_FALSE(Listed("fd00::/8", "[fe00::1]:1"));
  EXPECT_FALSE(Listed("::/0", "10.0.0.1:1"));
  EXPECT_FALSE(Listed("::/0", "[fe80::1%eth0]:1"));  // a zone is named in full or not at all
  EXPECT_TRUE(Listed("fd00::1/128", "[fd00::1]:1"));
  EXPECT_FALSE(Listed("fd00::1/128", "[fd00::2]:1"));
}

TEST(ClientRedirect, AllowListErrors) {
  EXPECT_EQ(AllowError("h,"),
            "item 2, \"\": the entry is empty (write host, host:port or a block as in 10.0.0.0/8)");
  EXPECT_EQ(AllowError("h,10.0.0.0/33"),
            "item 2, \"10.0.0.0/33\": the length behind '/' is not a number from 0 to 32");
  EXPECT_EQ(AllowError("fd00::/129"),
            "item 1, \"fd00::/129\": the length behind '/' is not a number from 0 to 128");
  EXPECT_EQ(AllowError("h/8"),
            "item 1, \"h/8\": what stands before '/' is not an IP address (write 10.0.0.0/8, "
            "fd00::/8)");
  EXPECT_EQ(AllowError("10.0.0.1/31"),
            "item 1, \"10.0.0.1/31\": the address has bits set behind the first 31");
  EXPECT_EQ(AllowError("::ffff:10.0.0.0/104"),
            "item 1, \"::ffff:10.0.0.0/104\": write the IPv4 block itself, as in 10.0.0.0/8");
  for (const char* text : {"10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8x", "10.0.0.0/8/8", "10.0.0/8",
                           "[fd00::]/8", "/8", "*", "h:*", "h h", "fe80::1%eth0/64", "0.0.0.0"}) {
    EXPECT_NE(AllowError(text), "ok") << text;
  }
  std::string many = "h";
  for (int i = 1; i < 1000; ++i) many += ",h";
  EXPECT_EQ(AllowError(many), "ok");
  EXPECT_EQ(AllowError(many + ",i"), "item 1001, \"i\": more than 1000 entries");
}

TEST(ClientRedirect, ReasonsAreSaid) {
  const auto safe = [](const std::string& address) {
    return Follow(RedirectPolicy::kSafe, {"h:1"}, "", address);
  };
  EXPECT_EQ(
      safe("169.254.169.254:80"),
      "option \"redirect\": a server named \"169.254.169.254:80\", which \"safe\" does not "
      "follow: a link-local address (169.254.0.0/16) (add it to \"redirect_allow\" if it is a "
      "node of yours)");
  EXPECT_NE(safe("localhost:1").find("a name of the loopback address"), std::string::npos);
  EXPECT_NE(safe("127.0.0.1:1").find("a loopback address, and no seed is one"), std::string::npos);
  EXPECT_NE(safe("[::1]:1").find("a loopback address, and no seed is one"), std::string::npos);
  EXPECT_NE(safe("240.0.0.1:1").find("a reserved address"), std::string::npos);
  EXPECT_NE(safe("0.0.0.1:1").find("an unspecified address"), std::string::npos);
  EXPECT_NE(safe("[fe80::1]:1").find("a link-local address (fe80::/10)"), std::string::npos);
  EXPECT_NE(safe("[fe80::1%e]:1").find("a zone"), std::string::npos);
  EXPECT_NE(safe("[2002:a9fe:1::]:1").find("169.254.0.1 in a 6to4 address: a link-local"),
            std::string::npos);
  EXPECT_NE(safe("[64:ff9b::e000:1]:1").find("224.0.0.1 in a NAT64 address: a multicast"),
            std::string::npos);
  EXPECT_NE(safe("[64:ff9b::ffff:ffff]:1").find("255.255.255.255 in a NAT64 address: the broadc"),
            std::string::npos);
  EXPECT_NE(safe("[::7f00:1]:1").find("127.0.0.1 in a v4-compatible address"), std::string::npos);
  EXPECT_NE(safe("[2001:0:a00:7::80ff:fffe]:1").find("127.0.0.1 in a Teredo address"),
            std::string::npos);
  EXPECT_EQ(
      Follow(RedirectPolicy::kSeeds, {"h:1"}, "", "i:1").substr(0, 88),
      "option \"redirect\": a server named \"i:1\", which \"seeds\" does not follow: neither a "
      "seed n");
}

}  // namespace
}  // namespace dqc::client
