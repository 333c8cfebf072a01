/* SPDX-License-Identifier: MIT */
#include <gtest/gtest.h>

#include <string>

#include "client/address_map.hpp"

namespace dqc::client {
namespace {

AddressMap Map(std::string_view text) {
  Result<AddressMap> map = AddressMap::Parse(text);
  EXPECT_TRUE(map.ok()) << map.status().message();
  return map.ok() ? *map : AddressMap();
}

std::string Error(std::string_view text) {
  const Result<AddressMap> map = AddressMap::Parse(text);
  if (map.ok()) return "ok";
  EXPECT_EQ(map.status().code(), Code::kConfig);
  return std::string(map.status().message());
}

TEST(ClientAddressMap, NothingIsMapped) {
  EXPECT_TRUE(Map("").empty());
  EXPECT_TRUE(Map(" ").empty());
  EXPECT_TRUE(AddressMap().empty());
  EXPECT_EQ(Map("").Apply("10.0.0.7:9001"), "10.0.0.7:9001");
  const AddressMap map = Map("10.0.0.7:9001=localhost:19001");
  EXPECT_FALSE(map.empty());
  for (const char* address : {"10.0.0.7:9002", "10.0.0.8:9001", "@abstract", "", "10.0.0.7"}) {
    EXPECT_EQ(map.Apply(address), address);
  }
}

TEST(ClientAddressMap, Ports) {
  const AddressMap map =
      Map("a:1=r:11, a=s , b:*=t:12,c=u:*,d:5=v,e:6=[fd00::1]:*,[fd00::2]=[fd00::3]:9");
  EXPECT_EQ(map.Apply("a:1"), "r:11");  // with the port goes first
  EXPECT_EQ(map.Apply("a:2"), "s:2");
  EXPECT_EQ(map.Apply("b:7"), "t:12");
  EXPECT_EQ(map.Apply("c:7"), "u:7");
  EXPECT_EQ(map.Apply("d:5"), "v:5");
  EXPECT_EQ(map.Apply("d:6"), "d:6");
  EXPECT_EQ(map.Apply("e:6"), "[fd00::1]:6");
  EXPECT_EQ(map.Apply("[fd00::2]:4"), "[fd00::3]:9");
}

TEST(ClientAddressMap, SpellingsAreOne) {
  const AddressMap map = Map("Node1.Example=x:1,[fd00:0:0::1]:9001=y:2,10.0.0.7:9001=z:3");
  EXPECT_EQ(map.Apply("node1.example.:5"), "x:1");
  EXPECT_EQ(map.Apply("[FD00::1]:9001"), "y:2");
  EXPECT_EQ(map.Apply("[::ffff:10.0.0.7]:9001"), "z:3");
}

TEST(ClientAddressMap, IsNotAppliedTwice) {
  const AddressMap map = Map("a:1=b:1,b:1=a:1");
  EXPECT_EQ(map.Apply("a:1"), "b:1");
  EXPECT_EQ(map.Apply("b:1"), "a:1");
}

TEST(ClientAddressMap, Errors) {
  EXPECT_EQ(Error("a=b,c"),
            "item 2, \"c\": '=' is missing (write advertised=reachable, as in "
            "10.0.0.7:9001=localhost:19001)");
  EXPECT_EQ(Error("a=b,"), Error("a=b, "));
  EXPECT_NE(Error("a=b,"), "ok");
  EXPECT_EQ(Error("=b"), "item 1, \"=b\": the address is empty");
  EXPECT_EQ(Error("a="), "item 1, \"a=\": the address is empty");
  EXPECT_EQ(Error("a=b:70000"),
            "item 1, \"a=b:70000\": address \"b:70000\": port \"70000\" is out of range (1 to "
            "65535)");
  EXPECT_EQ(Error("a:1:*=b"),
            "item 1, \"a:1:*=b\": address \"a:1\" has a port already, so no \":*\"");
  EXPECT_EQ(Error("a:1=b,A.:1=c"), "item 2, \"A.:1=c\": this address is mapped already");
  EXPECT_EQ(Error("a=b,a:*=c"), "item 2, \"a:*=c\": this address is mapped already");
  EXPECT_EQ(Error("a=b,a:1=c"), "ok");
  EXPECT_NE(Error("a=b=c"), "ok");
  EXPECT_NE(Error("*=b"), "ok");
  EXPECT_NE(Error("0.0.0.0=b"), "ok");
  EXPECT_NE(Error("fd00::1=b"), "ok");
}

TEST(ClientAddressMap, AtMost1000) {
  std::string text = "h=x";
  for (int i = 1; i < 1000; ++i) text += ",h" + std::to_string(i) + "=x";
  EXPECT_EQ(Error(text), "ok");
  EXPECT_EQ(Error(text + ",last=x"), "item 1001, \"last=x\": more than 1000 entries");
}

}  // namespace
}  // namespace dqc::client
