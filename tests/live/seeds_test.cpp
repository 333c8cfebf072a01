/* SPDX-License-Identifier: MIT */
// A cluster that is named by one name with several addresses, as a headless service is. This program
// is the resolver: names that end in ".test" stand for what SetName() says, ports included.
#include <dlfcn.h>
#include <netdb.h>

#include <algorithm>
#include <csignal>

#include "live/cluster_client.hpp"

namespace dqc::live {
namespace {

using std::chrono::seconds;

std::mutex g_mutex;
std::map<std::string, std::vector<std::string>> g_names;  // guarded by g_mutex
int g_lookups = 0;                                        // guarded by g_mutex

// None: it cannot be resolved.
void SetName(const std::string& name, std::vector<std::string> addresses) {
  const std::lock_guard<std::mutex> lock(g_mutex);
  g_names[name] = std::move(addresses);
}

int Lookups() {
  const std::lock_guard<std::mutex> lock(g_mutex);
  return g_lookups;
}

using Resolver = int (*)(const char*, const char*, const addrinfo*, addrinfo**);

int System(const char* node, const char* service, const addrinfo* hints, addrinfo** out) {
  static const auto next = reinterpret_cast<Resolver>(::dlsym(RTLD_NEXT, "getaddrinfo"));
  return next(node, service, hints, out);
}

int Resolve(const std::string& name, const addrinfo* hints, addrinfo** out) {
  if ((hints->ai_flags & AI_NUMERICHOST) != 0) return EAI_NONAME;
  std::vector<std::string> addresses;
  {
    const std::lock_guard<std::mutex> lock(g_mutex);
    ++g_lookups;
    addresses = g_names[name];
  }
  addrinfo** tail = out;
  *tail = nullptr;
  for (const std::string& address : addresses) {
    const size_t colon = address.rfind(':');
    addrinfo numeric = *hints;
    numeric.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    if (System(address.substr(0, colon).c_str(), address.substr(colon + 1).c_str(), &numeric,
               tail) != 0) {
      return EAI_FAIL;
    }
    while (*tail != nullptr) tail = &(*tail)->ai_next;
  }
  return *out == nullptr ? EAI_NONAME : 0;
}

}  // namespace
}  // namespace dqc::live

extern "C" __attribute__((visibility("default"))) int getaddrinfo(const char* node,
                                                                  const char* service,
                                                                  const addrinfo* hints,
                                                                  addrinfo** out) {
  const std::string name = node == nullptr ? "" : node;
  if (name.size() > 5 && name.compare(name.size() - 5, 5, ".test") == 0)
    return dqc::live::Resolve(name, hints, out);
  return dqc::live::System(node, service, hints, out);
}

namespace dqc::live {
namespace {

class SeedsTest : public LiveTest {
 protected:
  void SetUp() override {
    LiveTest::SetUp();
    if (!server().available) return;
    cluster_ = NewCluster(3);
    leader_ = (*cluster_)->WaitForLeader(seconds(10));
    for (const std::string& address : (*cluster_)->Addresses()) {
      if (address != leader_) followers_.push_back(address);
    }
  }
  // A node that is left of two, and so knows of no leader.
  std::string Lonely() {
    two_ = NewCluster(2);
    const std::string lonely = (*two_)->WaitForLeader(seconds(10));
    (*two_)->Kill(((*two_)->IndexOf(lonely) + 1) % 2, SIGKILL);
    while (!Conn("dqlite://" + lonely + "/?database=")
                .Admin(DQC_ADMIN_LEADER)
                .Text()
                .starts_with("I0"))
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    return lonely;
  }

  std::unique_ptr<TestCluster> cluster_, two_;
  std::string leader_;
  std::vector<std::string> followers_;
};
DQC_LIVE_SUITE(SeedsTest);

// The first address that answers leads nowhere: what it names may not be followed.
TEST_P(SeedsTest, EachAddressOfANameIsANode) {
  SetName("three.test", {followers_[0], followers_[1], leader_});
  const Client client("dqlite://three.test:9001/app?redirect=seeds&timeout=20s");
  ASSERT_TRUE(client.opened().ok()) << client.opened();
  EXPECT_EQ(client.Leader(), leader_);
  EXPECT_TRUE(client.Exec("CREATE TABLE t(x)").ok());
  EXPECT_LT(client.Stats().attempts, 10u);
}

TEST_P(SeedsTest, ANodeOfTheNameThatKnowsNobodyIsNotTheEnd) {
  const std::string lonely = Lonely();
  SetName("mixed.test", {lonely, followers_[0], followers_[1], leader_});
  const Client client("dqlite://mixed.test:9001/app?timeout=20s");
  ASSERT_TRUE(client.opened().ok()) << client.opened();
  EXPECT_EQ(client.Leader(), leader_);
}

TEST_P(SeedsTest, NamesAreResolvedAgainAndWhatVanishedIsForgotten) {
  const std::string lonely = Lonely();
  const std::string dead = (*two_)->Address((*two_)->IndexOf(lonely) == 0 ? 1 : 0);
  SetName("moves.test", {lonely, dead});
  Client client("dqlite://moves.test:9001/app?redirect=seeds", false);
  const Reply reply = client.Connect(1500);
  ASSERT_FALSE(reply.ok());
  const auto has_row = [&](const std::string& address) {
    return std::any_of(client.attempts().begin(), client.attempts().end(),
                       [&](const Attempt& row) { return row.address == address; });
  };
  EXPECT_TRUE(has_row(lonely)) << reply;
  EXPECT_TRUE(has_row(dead)) << reply;
  const int before = Lookups();
  SetName("moves.test", {followers_[0], leader_});
  const Reply found = client.Connect(20'000);
  ASSERT_TRUE(found.ok()) << found;
  EXPECT_GT(Lookups(), before);
  EXPECT_EQ(client.Leader(), leader_);

  // And once more: the nodes have other addresses than those that are known.
  (*cluster_)->Kill((*cluster_)->IndexOf(leader_), SIGKILL);
  SetName("moves.test", followers_);
  const Reply moved = client.Query("SELECT 1", {}, 30'000);
  EXPECT_TRUE(moved.ok()) << moved;
  EXPECT_NE(client.Leader(), leader_);
  SetName("moves.test", {});  // the resolver fails: what is known has to do
  EXPECT_TRUE(client.Query("SELECT 1", {}, 30'000).ok());
}

TEST_P(SeedsTest, OneAddressOfEachFamilyIsOneNode) {
  const std::string port = leader_.substr(leader_.rfind(':'));
  SetName("dual.test", {"::1" + port, "127.0.0.1" + port});
  Client client("dqlite://dual.test:9001/app?redirect=seeds&timeout=20s", false);
  const Reply reply = client.Connect(20'000);
  ASSERT_TRUE(reply.ok()) << reply;
  EXPECT_EQ(client.Leader(), "dual.test:9001");
}

TEST_P(SeedsTest, ClosingDoesNotWaitForTheSearch) {
  SetName("nobody.test", {"127.0.0.1:1", "127.0.0.2:1", "127.0.0.3:1"});
  for (int i = 0; i < 10; ++i) {
    Client client("dqlite://nobody.test:9001/app", false);
    const Reply reply = client.Connect(50 + 20 * static_cast<uint64_t>(i));
    EXPECT_FALSE(reply.ok());
    client.Free();
  }
}

}  // namespace
}  // namespace dqc::live
