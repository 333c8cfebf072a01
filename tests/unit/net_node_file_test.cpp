/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "client/node_file.hpp"
#include "net/node_file_io.hpp"

namespace dqc::net {
namespace {

using client::Nodes;
using client::Role;

class NetNodeFile : public testing::Test {
 protected:
  NetNodeFile() {
    std::string name = testing::TempDir() + "dqc-nodes-XXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    path_ = folder_ + "/cluster.yaml";
  }
  ~NetNodeFile() override { std::filesystem::remove_all(folder_); }

  static std::string Contents(const std::string& path) {
    std::stringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
  }
  void Put(const std::string& text) const { std::ofstream(path_, std::ios::binary) << text; }
  size_t Files() const {
    size_t count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder_)) ++count;
    return count;
  }
  // What the message says behind the file's name.
  std::string Said(const Status& status) const {
    if (status.ok()) return "ok";
    EXPECT_EQ(status.code(), Code::kConfig);
    const std::string prefix = "node file \"" + path_ + "\"";
    const std::string message(status.message());
    EXPECT_EQ(message.substr(0, prefix.size()), prefix);
    return message.substr(std::min(prefix.size(), message.size()));
  }

  std::string folder_;
  std::string path_;
};

const Nodes& Three() {
  static const Nodes* const nodes = new Nodes{{3297041220608546238u, "10.0.0.1:9001", Role::kVoter},
                                              {2, "[fd00::2]:9001", Role::kStandby},
                                              {3, "node3:9001", Role::kSpare}};
  return *nodes;
}

#ifdef DQC_WITH_YAML

TEST_F(NetNodeFile, WrittenAndRead) {
  const mode_t mask = umask(0777);  // does not matter
  EXPECT_EQ(Said(WriteNodeFile(path_, Three())), "ok");
  umask(mask);
  EXPECT_EQ(Contents(path_), client::FormatNodes(Three()));
  struct stat info {};
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, mode_t{0600});
  const Result<Nodes> nodes = ReadNodeFile(path_);
  ASSERT_TRUE(nodes.ok()) << nodes.status().message();
  EXPECT_EQ(*nodes, Three());
  EXPECT_EQ(Files(), 1U);
}

TEST_F(NetNodeFile, Replaced) {
  Put("- Address: old:1\n");
  chmod(path_.c_str(), 0644);
  const int reader = open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_GE(reader, 0);
  EXPECT_EQ(Said(WriteNodeFile(path_, {})), "ok");
  char old[64] = "";
  EXPECT_EQ(read(reader, old, sizeof(old) - 1), 17);  // who reads keeps what was opened
  EXPECT_STREQ(old, "- Address: old:1\n");
  close(reader);
  EXPECT_EQ(Contents(path_), "[]\n");
  struct stat info {};
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, mode_t{0600});
  EXPECT_EQ(Files(), 1U);
}

TEST_F(NetNodeFile, InTheCurrentFolder) {
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder_);
  EXPECT_TRUE(WriteNodeFile("cluster.yaml", Three()).ok());
  const Result<Nodes> nodes = ReadNodeFile("cluster.yaml");
  std::filesystem::current_path(before);
  ASSERT_TRUE(nodes.ok());
  EXPECT_EQ(*nodes, Three());
}

TEST_F(NetNodeFile, NotRead) {
  EXPECT_EQ(Said(ReadNodeFile(path_).status()), ": cannot be opened: No such file or directory");
  std::filesystem::create_directory(path_);
  EXPECT_EQ(Said(ReadNodeFile(path_).status()), ": not a regular file");
  std::filesystem::remove(path_);
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(Said(ReadNodeFile(path_).status()), ": not a regular file");  // and does not wait
  std::filesystem::remove(path_);
  Put(std::string(client::kNodeFileBytesMax + 1, '\n'));
  EXPECT_EQ(Said(ReadNodeFile(path_).status()), ": larger than 1 MiB");
  Put(std::string(client::kNodeFileBytesMax, '\n'));
  EXPECT_EQ(Said(ReadNodeFile(path_).status()), "ok");
  Put("- ID: 1\n  Address: h\n");
  EXPECT_EQ(Said(ReadNodeFile(path_).status()),
            ", line 2, column 12: address \"h\": a port is required, as in host:9001");
  Put("");
  EXPECT_EQ(Said(ReadNodeFile(path_).status()), "ok");
  EXPECT_FALSE(ReadNodeFile("").ok());
  EXPECT_FALSE(ReadNodeFile(path_ + '\0').ok());
}

TEST_F(NetNodeFile, LinksAreReadNotWritten) {
  const std::string target = folder_ + "/target";
  std::ofstream(target) << "- Address: h:1\n";
  std::filesystem::create_symlink("target", path_);
  const Result<Nodes> nodes = ReadNodeFile(path_);
  ASSERT_TRUE(nodes.ok());
  EXPECT_EQ(nodes->size(), 1U);
  EXPECT_EQ(Said(WriteNodeFile(path_, Three())),
            ": a symbolic link is not written to (name the file it leads to)");
  EXPECT_EQ(Contents(target), "- Address: h:1\n");
  EXPECT_EQ(Files(), 2U);
}

TEST_F(NetNodeFile, NotWritten) {
  const std::string old = "- Address: old:1\n";
  Put(old);
  EXPECT_EQ(Said(WriteNodeFile(path_, {{1, "h", Role::kVoter}})),
            ": not written: node 1: address \"h\": a port is required, as in host:9001");
  EXPECT_EQ(Said(WriteNodeFile(path_, {{1, "h:1", Role::kVoter}, {1, "i:1", Role::kVoter}})),
            ": not written: node 2: ID 1 is there twice");
  Nodes large;
  for (size_t i = 0; i < client::kNodesMax; ++i) {
    large.push_back({i,
                     std::string(60, 'h') + "." + std::string(50, 'h') + std::to_string(i) + ":1",
                     Role::kVoter});
  }
  EXPECT_EQ(Said(WriteNodeFile(path_, large)), ": would be larger than 1 MiB");
  EXPECT_EQ(Contents(path_), old);
  EXPECT_FALSE(WriteNodeFile("", Three()).ok());
  EXPECT_FALSE(WriteNodeFile(folder_ + "/none/cluster.yaml", Three()).ok());
  EXPECT_FALSE(WriteNodeFile(folder_ + "/", Three()).ok());
  EXPECT_EQ(Files(), 1U);
}

// A full disk in the middle of writing, as a limit on the size of files.
TEST_F(NetNodeFile, AFailureLeavesTheOldFile) {
  const std::string old = "- Address: old:1\n";
  Put(old);
  std::signal(SIGXFSZ, SIG_IGN);
  struct rlimit before {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  struct rlimit tight = before;
  tight.rlim_cur = 20;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tight), 0);
  const Status status = WriteNodeFile(path_, Three());
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_EQ(Said(status), ": cannot be written: File too large");
  EXPECT_EQ(Contents(path_), old);
  EXPECT_EQ(Files(), 1U);
}

#else

TEST_F(NetNodeFile, WithoutYaml) {
  EXPECT_EQ(ReadNodeFile(path_).status().code(), Code::kUnsupported);
  EXPECT_EQ(WriteNodeFile(path_, Three()).code(), Code::kUnsupported);
  EXPECT_EQ(Files(), 0U);
}

#endif

}  // namespace
}  // namespace dqc::net
