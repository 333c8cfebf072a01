/* SPDX-License-Identifier: MIT */
// Option "init_sql": what every new connection runs first.
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "live/cluster_client.hpp"

namespace dqc::live {
namespace {

using std::chrono::milliseconds;

std::string Init(std::string_view script) {
  std::string out = "init_sql=";
  for (const char c : script) {
    char text[8];
    std::snprintf(text, sizeof text, "%%%02X",
                  static_cast<unsigned>(static_cast<unsigned char>(c)));
    out += text;
  }
  return out;
}

class InitTest : public SqlTest {};
DQC_LIVE_SUITE(InitTest);

// Servers switch foreign keys on by themselves: both ways are looked at.
TEST_P(InitTest, OnEveryConnectionOfAPool) {
  ASSERT_TRUE(Open()
                  .Script("CREATE TABLE p(x PRIMARY KEY); CREATE TABLE c(x REFERENCES p(x));"
                          "INSERT INTO p VALUES (1)")
                  .ok());
  for (const bool on : {true, false}) {
    const std::string script = std::string("PRAGMA foreign_keys = ") + (on ? "ON" : "OFF") +
                               "; PRAGMA recursive_triggers = " + (on ? "ON" : "OFF");
    const Client client(Dsn("pool_max=4&" + Init(script)));
    ASSERT_TRUE(client.opened().ok()) << client.opened();
    std::vector<Conn> leases(4);
    std::vector<std::thread> threads;
    threads.reserve(leases.size());
    for (Conn& lease : leases) threads.emplace_back([&] { lease = client.Acquire(); });
    for (std::thread& thread : threads) thread.join();
    for (const Conn& lease : leases) {
      ASSERT_TRUE(lease);
      EXPECT_EQ(lease.Query("PRAGMA foreign_keys").Text(), on ? "I1" : "I0");
      EXPECT_EQ(lease.Query("PRAGMA recursive_triggers").Text(), on ? "I1" : "I0");
      EXPECT_EQ(lease.Exec("INSERT INTO c VALUES (7)").failure.server_code, on ? 787 : 0);
      EXPECT_TRUE(lease.Exec("INSERT INTO c VALUES (1)").ok());
    }
    EXPECT_EQ(client.Stats().opened, 4u);
  }
  const Conn conn = Open("init_sql=PRAGMA%20recursive_triggers%3DON");
  EXPECT_EQ(conn.Query("PRAGMA recursive_triggers").Text(), "I1");
  const Conn plain = Open();
  EXPECT_EQ(plain.Query("PRAGMA recursive_triggers").Text(), "I0");
  EXPECT_EQ(plain.Exec("INSERT INTO c VALUES (7)").failure.server_code, 787);
}

// Dials for the client, so that the test can break what it dialled.
class Breaker {
 public:
  explicit Breaker(const std::string& address) {
    const size_t colon = address.rfind(':');
    at_.sin_family = AF_INET;
    at_.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(colon + 1))));
    ::inet_pton(AF_INET, address.substr(0, colon).c_str(), &at_.sin_addr);
  }
  ~Breaker() {
    for (const int fd : kept_) ::close(fd);
  }
  static void Dial(void* self, const char*, dqc_dial* dial) {
    auto* breaker = static_cast<Breaker*>(self);
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&breaker->at_), sizeof breaker->at_) != 0)
      return dqc_dial_done(dial, -1, "refused");
    breaker->kept_.push_back(::dup(fd));
    dqc_dial_done(dial, fd, nullptr);
  }
  void Break() {
    for (const int fd : kept_) ::shutdown(fd, SHUT_RDWR);
  }
  size_t dialled() const { return kept_.size(); }

 private:
  sockaddr_in at_{};
  std::vector<int> kept_;
};

TEST_P(InitTest, TempTablesComeBackWithANewConnection) {
  Breaker breaker(OneNode().Address(0));
  dqc_config* config = nullptr;
  dqc_client* client = nullptr;
  const std::string dsn =
      Dsn("pool_max=1&" + Init("CREATE TEMP TABLE mine(x); INSERT INTO mine VALUES ('here')"));
  ASSERT_EQ(dqc_config_new(&config, nullptr), DQC_OK);
  const Handle<dqc_config> owned(config);
  ASSERT_EQ(dqc_config_set_dsn(config, dsn.data(), dsn.size(), nullptr), DQC_OK);
  ASSERT_EQ(dqc_config_set_dial(config, Breaker::Dial, &breaker, nullptr), DQC_OK);
  ASSERT_EQ(dqc_client_new(nullptr, nullptr, config, &client, nullptr), DQC_OK);
  const std::unique_ptr<dqc_client, FreeClient> free(client);
  const auto read = [&] {
    dqc_rows* rows = nullptr;
    dqc_error* error = nullptr;
    const dqc_status status = dqc_client_query(client, "SELECT x FROM temp.mine", DQC_CSTR, nullptr,
                                               0, nullptr, &rows, &error);
    return Drain(status, rows, error).Text();
  };
  EXPECT_EQ(read(), "There");
  EXPECT_EQ(breaker.dialled(), 1u);
  breaker.Break();
  EXPECT_EQ(read(), "There");
  EXPECT_EQ(breaker.dialled(), 2u);
}

TEST_P(InitTest, AFailureIsToldAtOnce) {
  struct Bad {
    const char* script;
    dqc_status status;
    const char* message;
  };
  for (const Bad& bad :
       {Bad{"SELECT 1; SELECT * FROM nowhere", DQC_E_SQL, "no such table: nowhere"},
        Bad{"CREATE TABLE IF NOT EXISTS o(x UNIQUE); INSERT OR IGNORE INTO o VALUES (1); "
            "INSERT INTO o VALUES (1)",
            DQC_E_CONSTRAINT, "UNIQUE constraint failed"},
        Bad{"BEGIN; SELECT 1", DQC_E_CONFIG, "leaves a transaction open"},
        Bad{"PRAGMA journal_mode = DELETE", DQC_E_UNSUPPORTED, "setting this PRAGMA is refused"},
        Bad{"SELEC", DQC_E_SQL, "syntax error"}}) {
    const int64_t start = NowUs();
    const Conn conn(Dsn(Init(bad.script)));
    const Client client(Dsn(Init(bad.script)));
    Reply lease;
    (void)client.Acquire(&lease);
    for (const Reply& reply : {conn.opened(), client.opened(), client.Exec("SELECT 1"), lease}) {
      EXPECT_EQ(reply.status, bad.status) << bad.script << ": " << reply;
      EXPECT_EQ(reply.failure.phase, DQC_PHASE_OPEN);
      EXPECT_EQ(reply.failure.outcome, DQC_OUTCOME_NOT_EXECUTED);
      EXPECT_NE(reply.failure.message.find("option \"init_sql\": "), std::string::npos) << reply;
      EXPECT_NE(reply.failure.message.find(bad.message), std::string::npos) << reply;
    }
    EXPECT_LT(NowUs() - start, 3'000'000) << bad.script;
    EXPECT_LE(client.Stats().attempts, 3u) << "one for each call";
    EXPECT_EQ(client.Stats().open, 0u);
  }
}

TEST_P(InitTest, BusyIsTriedAgain) {
  ASSERT_TRUE(Open().Exec("CREATE TABLE o(x)").ok());
  const Conn holder = Open();
  ASSERT_TRUE(holder.Exec("BEGIN IMMEDIATE").ok());
  std::thread later([&] {
    std::this_thread::sleep_for(milliseconds(400));
    EXPECT_TRUE(holder.Exec("COMMIT").ok());
  });
  const Client client(Dsn(Init("INSERT INTO o VALUES (1)")), false);
  const Reply reply = client.Query("SELECT count(*) FROM o");
  later.join();
  EXPECT_EQ(reply.Text(), "I1") << reply;
  const Client late(Dsn(Init("INSERT INTO o VALUES (2)")), false);
  ASSERT_TRUE(holder.Exec("BEGIN IMMEDIATE").ok());
  const Reply timeout = late.Query("SELECT 1", {}, 500);
  EXPECT_FALSE(timeout.ok());
  EXPECT_NE(timeout.failure.message.find("init_sql"), std::string::npos) << timeout;
  EXPECT_TRUE(holder.Exec("ROLLBACK").ok());
}

class InitClusterTest : public LiveTest {};
DQC_LIVE_SUITE(InitClusterTest);

TEST_P(InitClusterTest, OnlyWhereTheLeaderIs) {
  const auto cluster = NewCluster(3);
  const std::string leader = (**cluster).WaitForLeader(std::chrono::seconds(10));
  ASSERT_TRUE(OnLeader((**cluster).Addresses(), "app", "CREATE TABLE opened(x)").ok());
  std::vector<std::string> seeds;
  for (const std::string& address : (**cluster).Addresses()) {
    if (address != leader) seeds.push_back(address);
  }
  {
    const Client client(ClusterDsn(
        seeds, "app", "watch_interval=100ms&pool_max=1&" + Init("INSERT INTO opened VALUES (1)")));
    ASSERT_TRUE(client.opened().ok()) << client.opened();
    std::this_thread::sleep_for(milliseconds(500));  // looked at by the watcher too
    EXPECT_EQ(client.Query("SELECT count(*) FROM opened").Int(), 1);
  }
}

}  // namespace
}  // namespace dqc::live
