/* SPDX-License-Identifier: MIT */
#include "client/ip.hpp"

#include <gtest/gtest.h>

namespace dqc::client {
namespace {

TEST(ClientIp, Parse) {
  EXPECT_EQ(ParseIpv4("10.0.0.7"), (Ipv4{10, 0, 0, 7}));
  for (const char* text :
       {"", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.256", "1.2.3.4 ", "a.b.c.d"}) {
    EXPECT_FALSE(ParseIpv4(text)) << text;
  }
  EXPECT_EQ(ParseIpv6("::1"), (Ipv6{0, 0, 0, 0, 0, 0, 0, 1}));
  EXPECT_EQ(ParseIpv6("1:2:3:4:5:6:1.2.3.4"), (Ipv6{1, 2, 3, 4, 5, 6, 0x102, 0x304}));
  for (const char* text :
       {"", "1", ":", ":::", "1::2::3", "::12345", "[::1]", "::1%e", "1.2.3.4"}) {
    EXPECT_FALSE(ParseIpv6(text)) << text;
  }
}

TEST(ClientIp, Embedded) {
  const Ipv6 v6 = *ParseIpv6("::ffff:10.0.0.7");
  EXPECT_TRUE(IsMappedIpv4(v6));
  EXPECT_EQ(FormatIpv4(EmbeddedIpv4(v6, 6)), "10.0.0.7");
  EXPECT_FALSE(IsMappedIpv4(*ParseIpv6("::10.0.0.7")));
  EXPECT_FALSE(IsMappedIpv4(*ParseIpv6("1::ffff:10.0.0.7")));
}

TEST(ClientIp, OneSpellingPerHost) {
  EXPECT_EQ(CanonicalHost("Node1.Example."), "node1.example");
  EXPECT_EQ(CanonicalHost("10.0.0.7"), "10.0.0.7");
  EXPECT_EQ(CanonicalHost("FD00::7"), "fd00:0:0:0:0:0:0:7");
  EXPECT_EQ(CanonicalHost("fd00:0:0::7"), CanonicalHost("FD00::0007"));
  EXPECT_EQ(CanonicalHost("FE80::1%Eth0"), "fe80:0:0:0:0:0:0:1%Eth0");  // interfaces have cases
  EXPECT_EQ(CanonicalHost(""), "");
  for (const char* host : {"Node1.", "FD00::7", "fe80::1%e"}) {
    EXPECT_EQ(CanonicalHost(CanonicalHost(host)), CanonicalHost(host));
  }
}

}  // namespace
}  // namespace dqc::client
