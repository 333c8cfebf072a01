/* SPDX-License-Identifier: MIT */
#include "client/node_file.hpp"

#include <gtest/gtest.h>

#include <string>

namespace dqc::client {
namespace {

constexpr uint64_t kBootstrapId = 3297041220608546238u;  // 0x2dc171858c3155be, beyond 2^53

TEST(ClientNodeFile, FormatIsThatOfGo) {
  EXPECT_EQ(FormatNodes({}), "[]\n");
  EXPECT_EQ(FormatNodes({{kBootstrapId, "10.1.204.67:9001", Role::kVoter},
                         {18446744073709551615u, "node-2.example:9001", Role::kStandby},
                         {1, "[fd00::7]:9001", Role::kSpare},
                         {0, "it's", Role::kVoter}}),
            "- ID: 3297041220608546238\n"
            "  Address: 10.1.204.67:9001\n"
            "  Role: 0\n"
            "- ID: 18446744073709551615\n"
            "  Address: node-2.example:9001\n"
            "  Role: 1\n"
            "- ID: 1\n"
            "  Address: '[fd00::7]:9001'\n"
            "  Role: 2\n"
            "- ID: 0\n"
            "  Address: 'it''s'\n"
            "  Role: 0\n");
}

TEST(ClientNodeFile, CheckNodes) {
  EXPECT_TRUE(CheckNodes({}).ok());
  EXPECT_TRUE(CheckNodes({{0, "a:1", Role::kVoter}, {0, "b:1", Role::kVoter}}).ok());
  EXPECT_EQ(CheckNodes({{1, "a:1", Role::kVoter}, {1, "b:1", Role::kVoter}}).message(),
            "node 2: ID 1 is there twice");
  EXPECT_EQ(CheckNodes({{1, "a:1", Role::kVoter}, {2, "A.:1", Role::kVoter}}).message(),
            "node 2: address \"A.:1\" is there twice");
  EXPECT_EQ(CheckNodes({{1, "@x", Role::kVoter}}).message(),
            "node 1: address \"@x\": UNIX sockets cannot be dialled (use host:port)");
  Nodes many;
  for (size_t i = 0; i <= kNodesMax; ++i) many.push_back({i, "h" + std::to_string(i) + ":1"});
  EXPECT_EQ(CheckNodes(many).message(), "node 10001: more than 10000 nodes");
}

#ifdef DQC_WITH_YAML

std::string Error(std::string_view text) {
  const Result<Nodes> nodes = ParseNodes(text, "c.yaml");
  if (nodes.ok()) return "ok";
  EXPECT_EQ(nodes.status().code(), Code::kConfig);
  const std::string message(nodes.status().message());
  const std::string_view prefix = "node file \"c.yaml\", ";
  EXPECT_EQ(message.substr(0, prefix.size()), prefix);
  return message.substr(std::min(prefix.size(), message.size()));
}

Nodes Parsed(std::string_view text) {
  const Result<Nodes> nodes = ParseNodes(text, "c.yaml");
  EXPECT_TRUE(nodes.ok()) << text << "\n" << nodes.status().message();
  return nodes.ok() ? *nodes : Nodes();
}

TEST(ClientNodeFile, BothOrdersOfGo) {
  EXPECT_TRUE(NodeFilesSupported().ok());
  const Nodes expected = {{kBootstrapId, "10.0.0.1:19001", Role::kVoter},
                          {13629670026737620399u, "10.0.0.2:19001", Role::kSpare}};
  EXPECT_EQ(Parsed("- ID: 3297041220608546238\n  Address: 10.0.0.1:19001\n  Role: 0\n"
                   "- ID: 13629670026737620399\n  Address: 10.0.0.2:19001\n  Role: 2\n"),
            expected);
  EXPECT_EQ(Parsed("- Address: 10.0.0.1:19001\n  ID: 3297041220608546238\n  Role: 0\n"
                   "- Address: 10.0.0.2:19001\n  ID: 13629670026737620399\n  Role: 2\n"),
            expected);
}

TEST(ClientNodeFile, Spellings) {
  const Nodes one = {{7, "h:1", Role::kStandby}};
  for (const char* text : {
           "- id: 7\n  address: h:1\n  role: 1\n",
           "- {ID: 7, Address: 'h:1', Role: standby}\n",
           "[{Id: 7, ADDRESS: \"h:1\", Role: stand-by}]",
           "---\r\n# a comment\r\n- ID: 7\r\n  Address: h:1\r\n  Role: Stand-By\r\n...\r\n",
           "\xef\xbb\xbf- ID: 7\n  Address: h:1\n  Role: \"1\"\n",
           "%YAML 1.1\n---\n- ID: 7\n  Address: h:1\n  Role: 1\n",
       }) {
    EXPECT_EQ(Parsed(text), one) << text;
  }
  EXPECT_EQ(Parsed("- Address: h:1\n"), (Nodes{{0, "h:1", Role::kVoter}}));
  EXPECT_EQ(Parsed("- {Address: h:1, Role: voter}\n- {Address: i:1, Role: spare, ID: 0}\n"),
            (Nodes{{0, "h:1", Role::kVoter}, {0, "i:1", Role::kSpare}}));
  EXPECT_EQ(Parsed("- Address: '[FD00::1]:1'\n"), (Nodes{{0, "[FD00::1]:1", Role::kVoter}}));
}

TEST(ClientNodeFile, Empty) {
  for (const char* text :
       {"", "\n", "# nothing\n", "---\n", "--- []\n", "[]\n", "~", "null\n", "---\n...\n"}) {
    EXPECT_EQ(Parsed(text), Nodes()) << text;
  }
}

TEST(ClientNodeFile, RoundTrip) {
  const Nodes nodes = {{kBootstrapId, "10.1.204.67:9001", Role::kVoter},
                       {18446744073709551615u, "node-2.example:9001", Role::kStandby},
                       {(uint64_t{1} << 53) + 1, "[fe80::7%eth0]:9001", Role::kSpare},
                       {0, "null:1", Role::kVoter}};
  EXPECT_EQ(Parsed(FormatNodes(nodes)), nodes);
  EXPECT_EQ(Parsed(FormatNodes({})), Nodes());
}

TEST(ClientNodeFile, Ids) {
  const auto id = [](const std::string& text) {
    return Error("- ID: " + text + "\n  Address: h:1\n");
  };
  EXPECT_EQ(id("18446744073709551615"), "ok");
  for (const char* text : {"18446744073709551616", "-1", "+1", "1.0", "1e3", "0x10", "010", "1_000",
                           "\"\"", "~", "one", " 1 2", "99999999999999999999999999"}) {
    EXPECT_NE(id(text).find("is not a whole decimal number from 0 to 18446744073709551615"),
              std::string::npos)
        << text;
  }
  EXPECT_EQ(id("0x10"),
            "line 1, column 7: ID \"0x10\" is not a whole decimal number from 0 to "
            "18446744073709551615");
}

TEST(ClientNodeFile, Errors) {
  struct Case {
    const char* text;
    const char* message;  // its beginning
  };
  for (const Case& c : {
           Case{"- ID: 1\n  Address: h:1\n- ID: 1\n  Address: i:1\n",
                "line 4, column 12: ID 1 is there twice"},
           Case{"- Address: h:1\n- Address: H.:1\n",
                "line 2, column 12: address \"H.:1\" is there twice"},
           Case{"- Address: h:1\n  address: i:1\n",
                "line 2, column 3: the key \"address\" is there twice"},
           Case{"- ID: 1\n  Role: 0\n", "line 1, column 3: this node has no Address (write Addre"},
           Case{"- {}\n", "line 1, column 3: this node has no Address"},
           Case{"- Address: h\n",
                "line 1, column 12: address \"h\": a port is required, as in host:9001"},
           Case{"- Address: 0.0.0.0:1\n",
                "line 1, column 12: address \"0.0.0.0:1\": means \"every"},
           Case{"- Address:\n", "line 1, column 11: the address is empty"},
           Case{"- Address: '@x'\n", "line 1, column 12: address \"@x\": UNIX sockets cannot"},
           Case{"- Adress: h:1\n",
                "line 1, column 3: unknown key \"Adress\" (use ID, Address and Role)"},
           Case{"- Address: h:1\n  Role: 3\n",
                "line 2, column 9: Role \"3\" is not known (use 0 or voter, 1 or stand-by, 2 or "},
           Case{"- Address: h:1\n  Role: stand\\rby\n", "line 2, column 9: Role"},
           Case{"- Address: h:1\n  Role:\n", "line 2, column 8: Role \"\" is not known"},
           Case{"- Address: [h]\n", "line 1, column 12: Address takes one value, not a list or a"},
           Case{"- ID: {a: b}\n", "line 1, column 7: ID takes one value"},
           Case{"- [a]: b\n", "line 1, column 3: a key was expected (ID, Address or Role)"},
           Case{"ID: 1\nAddress: h:1\n", "line 1, column 1: a list of nodes was expected, each as"},
           Case{"h:1\n", "line 1, column 1: a list of nodes was expected"},
           Case{"'null'\n", "line 1, column 1: a list of nodes was expected"},
           Case{"- h:1\n", "line 1, column 3: a node was expected, with the keys ID, Address"},
           Case{"- - Address: h:1\n", "line 1, column 3: a node was expected"},
           Case{"[]\n---\n[]\n", "line 2, column 1: a second document begins; only one"},
           Case{"- Address: h:1\n  ID: [\n", "line 2, column 7: ID takes one value"},
           Case{"- Address: \"h:1\n",
                "line 2, column 1: this is not YAML: found unexpected end of"},
           Case{"- Address: h:1\n ID: 1\n", "line 2, column 2: this is not YAML: did not find exp"},
           Case{"\t- a\n", "line 1, column 1: this is not YAML: found character that cannot st"},
           Case{"- Address: h:1\n\xff\n", "line 2, column 1: this is not text in UTF-8: "},
           Case{"- Address: h:\x01\n",
                "line 1, column 14: this is not text in UTF-8: control char"},
       }) {
    EXPECT_EQ(Error(c.text).substr(0, std::string_view(c.message).size()), c.message) << c.text;
  }
  EXPECT_NE(Error(std::string_view("- Address: h:1\0", 15)), "ok");
  EXPECT_NE(Error(std::string_view("-\0 \0[\0]\0", 8)), "ok");  // UTF-16
}

TEST(ClientNodeFile, NoTricks) {
  EXPECT_EQ(Error("- &a {Address: h:1}\n- *a\n").substr(0, 60),
            "line 1, column 3: tags ('!') and anchors ('&') are not accep");
  EXPECT_EQ(Error("- *a\n"), "line 1, column 3: aliases ('*') are not accepted");
  EXPECT_EQ(Error("&a []\n"), "line 1, column 1: tags ('!') and anchors ('&') are not accepted");
  EXPECT_EQ(Error("- Address: &a h:1\n"),
            "line 1, column 12: tags ('!') and anchors ('&') are not accepted");
  EXPECT_EQ(Error("- Address: !!str h:1\n"),
            "line 1, column 12: tags ('!') and anchors ('&') are not accepted");
  EXPECT_NE(Error("- <<: *a\n"), "ok");
  std::string directives;  // quadratic in libyaml
  for (int i = 0; i < 60'000; ++i) directives += "%TAG !" + std::to_string(i) + "! a\n";
  EXPECT_EQ(Error(directives), "line 1, column 1: %TAG directives are not accepted");
  EXPECT_EQ(Error("%YAML 1.1\n%TAG !a! b\n---\n[]\n"),
            "line 2, column 1: %TAG directives are not accepted");
  EXPECT_NE(Error("# a\r%TAG !a! b\r---\r[]\r").find("%TAG"), std::string::npos);
  EXPECT_NE(Error("# a\xe2\x80\xa8%TAG !a! b\n---\n").find("%TAG"), std::string::npos);
  EXPECT_EQ(Error("- Address: '[fe80::1%TAG0]:1'\n"), "ok");  // an interface
  EXPECT_NE(Error("!!python/object:os.system []\n"), "ok");
  EXPECT_NE(Error(std::string(500'000, '[')), "ok");
  EXPECT_NE(Error(std::string(500'000, '{')), "ok");
  EXPECT_NE(Error("- " + std::string(500'000, '?')), "ok");
  std::string dashes;
  for (int i = 0; i < 300'000; ++i) dashes += "- ";
  EXPECT_NE(Error(dashes), "ok");
  const std::string huge = Error("- Address: " + std::string(1'000'000, 'x') + ":1\n");
  EXPECT_NE(huge.find("longer than 256 bytes"), std::string::npos);
  EXPECT_LT(huge.size(), 300U);
}

TEST(ClientNodeFile, Limits) {
  std::string text;
  for (size_t i = 0; i < kNodesMax; ++i) {
    text += "- {ID: " + std::to_string(i + 1) + ", Address: h" + std::to_string(i) + ":1}\n";
  }
  EXPECT_EQ(Parsed(text).size(), kNodesMax);
  EXPECT_EQ(Error(text + "- Address: last:1\n"), "line 10001, column 12: more than 10000 nodes");
  EXPECT_EQ(Parsed(std::string(kNodeFileBytesMax, '\n')), Nodes());
  EXPECT_EQ(ParseNodes(std::string(kNodeFileBytesMax + 1, '\n'), "c.yaml").status().message(),
            "node file \"c.yaml\": 1048577 bytes, more than 1 MiB");
}

TEST(ClientNodeFile, TheNameIsShownInFullAndSafely) {
  const std::string folder(200, 'd');
  const std::string message(ParseNodes("x", folder + "/\n").status().message());
  EXPECT_EQ(message.substr(0, 233), "node file \"" + folder + "/\\x0a\", line 1, column");
}

#else

TEST(ClientNodeFile, WithoutYaml) {
  EXPECT_EQ(NodeFilesSupported().code(), Code::kUnsupported);
  const Status status = ParseNodes("[]", "c.yaml").status();
  EXPECT_EQ(status.code(), Code::kUnsupported);
  EXPECT_NE(status.message().find("DQC_WITH_YAML=OFF"), std::string_view::npos);
}

#endif

}  // namespace
}  // namespace dqc::client
