/* SPDX-License-Identifier: MIT */
#include "node_process.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <deque>
#include <fstream>
#include <thread>
#include <utility>
#include <vector>

extern char** environ;

namespace dqc::tool {
namespace {

using std::chrono::milliseconds;

// Pids of running nodes, for KillAllNodes(). A pid leaves the table before it is reaped, so that a
// signal never goes to a stranger that inherited the number.
std::array<std::atomic<pid_t>, 64> g_nodes{};

void Register(pid_t pid) {
  for (auto& slot : g_nodes) {
    pid_t none = 0;
    if (slot.compare_exchange_strong(none, pid)) return;
  }
}

void Unregister(pid_t pid) {
  for (auto& slot : g_nodes) {
    pid_t expected = pid;
    if (slot.compare_exchange_strong(expected, 0)) return;
  }
}

// Closes what it holds on every path.
struct Fd {
  int fd = -1;
  ~Fd() {
    if (fd >= 0) ::close(fd);
  }
  int Release() { return std::exchange(fd, -1); }
};

std::string Errno(int error) { return std::generic_category().message(error); }

// The child gets default signals and an empty mask whatever ours are, and a process group of its
// own: Ctrl-C in a terminal must reach us only, who stop the nodes in good order.
class SpawnSetup {
 public:
  SpawnSetup(int out_fd, const std::string& log, int lock_fd) {
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out_fd, 1);
    posix_spawn_file_actions_addopen(&actions, 2, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (lock_fd >= 0) posix_spawn_file_actions_adddup2(&actions, lock_fd, lock_fd);  // no CLOEXEC
    posix_spawnattr_init(&attributes);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  }
  ~SpawnSetup() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;

  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
};

std::vector<std::string> Arguments(const NodeSpec& spec) {
  std::vector<std::string> words = {
      spec.command, "--id",   std::to_string(spec.id), "--address", spec.address,
      "--dir",      spec.dir, "--die-with-parent"};
  if (spec.latency_ms > 0) {
    words.insert(words.end(), {"--latency-ms", std::to_string(spec.latency_ms)});
  }
  return words;
}

off_t FileSize(const std::string& path) {
  struct stat st;
  return ::stat(path.c_str(), &st) == 0 ? st.st_size : 0;
}

std::string LastLines(const std::string& path, off_t start) {
  constexpr size_t kLines = 5;
  std::ifstream file(path);
  file.seekg(start);
  std::deque<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    if (line.empty()) continue;
    lines.push_back(line);
    if (lines.size() > kLines) lines.pop_front();
  }
  std::string text;
  for (const auto& line : lines) text += "\n  " + line;
  return text;
}

}  // namespace

NodeProcess::~NodeProcess() { Kill(); }

std::string NodeProcess::Name() const {
  return "node " + std::to_string(spec_.id) + " (" + spec_.address + ")";
}

void NodeProcess::Start(Deadline deadline) {
  if (Running()) throw Error(Name() + " runs already");
  if (::access(spec_.command.c_str(), X_OK) != 0) {
    throw Error("cannot run the node program " + spec_.command + ": " + Errno(errno));
  }
  Spawn();
  if (WaitReady(deadline)) return;
  const bool ended = !Running();
  Kill();
  if (ended && ListenError(spec_.address) == EADDRINUSE) {
    throw AddressInUse(Name() + " cannot start: its port is in use by another program\n  (" +
                       Obituary() + ")");
  }
  throw Error(Name() + (ended ? " ended before it was ready: " : " was not ready in time: ") +
              Obituary());
}

void NodeProcess::Spawn() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw Error("cannot make a pipe: " + Errno(errno));
  Fd read_end{ends[0]}, write_end{ends[1]};
  log_start_ = FileSize(spec_.log);
  SpawnSetup setup(write_end.fd, spec_.log, spec_.lock_fd);
  std::vector<std::string> words = Arguments(spec_);
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, spec_.command.c_str(), &setup.actions, &setup.attributes,
                                  argv.data(), environ);
  if (error != 0) {
    throw Error("cannot run the node program " + spec_.command + ": " + Errno(error));
  }
  Register(pid);
  pid_ = pid;
  out_fd_ = read_end.Release();
}

// Reads its stdout up to "ready <address>". False at the deadline, or when it ends before that.
bool NodeProcess::WaitReady(Deadline deadline) {
  std::string text;
  while (!Passed(deadline)) {
    pollfd poll_fd{out_fd_, POLLIN, 0};
    const int ready = ::poll(&poll_fd, 1, static_cast<int>(Left(deadline).count()));
    if (ready < 0 && errno != EINTR) return false;
    if (ready <= 0) continue;
    char buffer[256];
    const ssize_t size = ::read(out_fd_, buffer, sizeof buffer);
    if (size == 0) {  // it is about to end: let Start() see how
      WaitExit(deadline);
      return false;
    }
    if (size > 0) text.append(buffer, static_cast<size_t>(size));
    if (text.starts_with("ready ") && text.find('\n') != std::string::npos) return true;
  }
  return false;
}

void NodeProcess::Reap(int wait_status) {
  wait_status_ = wait_status;
  pid_ = 0;
  ::close(out_fd_);
  out_fd_ = -1;
}

bool NodeProcess::Running() {
  if (pid_ == 0) return false;
  siginfo_t info{};
  // WNOWAIT: see whether it has ended, but keep the pid reserved until it is out of the table.
  const auto id = static_cast<id_t>(pid_);
  if (::waitid(P_PID, id, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0) return true;
  Unregister(pid_);
  int wait_status = 0;
  while (::waitpid(pid_, &wait_status, 0) < 0 && errno == EINTR) {
  }
  Reap(wait_status);
  return false;
}

void NodeProcess::Signal(int signal_number) {
  if (Running()) ::kill(pid_, signal_number);
}

bool NodeProcess::WaitStopped(Deadline deadline) {
  while (Running()) {
    siginfo_t info{};
    const auto id = static_cast<id_t>(pid_);
    if (::waitid(P_PID, id, &info, WSTOPPED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0)
      return true;
    if (Passed(deadline)) return false;
    std::this_thread::sleep_for(milliseconds(1));
  }
  return false;
}

bool NodeProcess::WaitExit(Deadline deadline) {
  auto pause = milliseconds(1);
  while (Running()) {
    if (Passed(deadline)) return false;
    std::this_thread::sleep_for(std::min(pause, Left(deadline)));
    pause = std::min(pause * 2, milliseconds(20));
  }
  return true;
}

bool NodeProcess::Stop(milliseconds grace) {
  if (!Running()) return true;
  Signal(SIGTERM);
  Signal(SIGCONT);  // a stopped process would not see it
  if (WaitExit(In(grace))) return true;
  Kill();
  return false;
}

void NodeProcess::Kill() {
  Signal(SIGKILL);
  // Nothing survives SIGKILL; only a process stuck in the kernel can make this long.
  WaitExit(In(milliseconds(30'000)));
}

std::string NodeProcess::Obituary() const {
  std::string text = "still running";
  if (pid_ == 0 && WIFEXITED(wait_status_)) {
    text = "exit code " + std::to_string(WEXITSTATUS(wait_status_));
  } else if (pid_ == 0 && WIFSIGNALED(wait_status_)) {
    const int number = WTERMSIG(wait_status_);
    text = "signal " + std::to_string(number) + " (" + ::strsignal(number) + ")";
  }
  return text + LastLines(spec_.log, log_start_);
}

int ListenError(const std::string& address) {
  const size_t colon = address.rfind(':');
  sockaddr_in in{};
  in.sin_family = AF_INET;
  uint16_t port = 0;
  const char* end = address.data() + address.size();
  if (colon == std::string::npos ||
      std::from_chars(address.data() + colon + 1, end, port).ptr != end ||
      ::inet_pton(AF_INET, address.substr(0, colon).c_str(), &in.sin_addr) != 1) {
    return EINVAL;
  }
  in.sin_port = htons(port);
  Fd socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  // As the server does: connections of an earlier run that linger in TIME_WAIT do not count.
  const int yes = 1;
  ::setsockopt(socket.fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  const bool listens = ::bind(socket.fd, reinterpret_cast<const sockaddr*>(&in), sizeof in) == 0 &&
                       ::listen(socket.fd, 1) == 0;
  return listens ? 0 : errno;
}

void KillAllNodes() noexcept {
  for (auto& slot : g_nodes) {
    const pid_t pid = slot.load();
    if (pid > 0) ::kill(pid, SIGKILL);
  }
}

}  // namespace dqc::tool
