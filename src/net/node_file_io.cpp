/* SPDX-License-Identifier: MIT */
#include "net/node_file_io.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <system_error>

#include "client/config_text.hpp"
#include "client/node_file.hpp"

namespace dqc::net {
namespace {

constexpr size_t kNameShown = 1024;

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }
  bool ok() const { return fd_ >= 0; }

 private:
  int fd_;
};

// Removes a temporary file unless it was renamed.
class Unlinker {
 public:
  explicit Unlinker(const std::string& path) : path_(path) {}
  Unlinker(const Unlinker&) = delete;
  Unlinker& operator=(const Unlinker&) = delete;
  ~Unlinker() {
    if (armed_) unlink(path_.c_str());
  }
  void Disarm() { armed_ = false; }

 private:
  const std::string& path_;
  bool armed_ = true;
};

Status Failed(const std::string& path, std::string_view what) {
  return client::ConfigError("node file " + client::Quoted(path, kNameShown) + ": " +
                             std::string(what));
}

Status SystemError(const std::string& path, const char* what) {
  const int error = errno;
  return Failed(path, std::string(what) + ": " + std::generic_category().message(error));
}

Status CheckPath(const std::string& path) {
  if (path.empty()) return client::ConfigError("the path of the node file is empty");
  if (path.find('\0') != std::string::npos) return Failed(path, "the path has a zero byte");
  return Status();
}

// Up to one byte more than a node file may have, so that it is told from one that fits.
Status ReadAll(const std::string& path, int fd, std::string& out) {
  char chunk[16384];
  while (out.size() <= client::kNodeFileBytesMax) {
    const ssize_t got = read(fd, chunk, sizeof(chunk));
    if (got == 0) break;
    if (got > 0) {
      out.append(chunk, static_cast<size_t>(got));
    } else if (errno != EINTR) {
      return SystemError(path, "cannot be read");
    }
  }
  return Status();
}

Status WriteAll(const std::string& path, int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t put = write(fd, text.data(), text.size());
    if (put >= 0) {
      text.remove_prefix(static_cast<size_t>(put));
    } else if (errno != EINTR) {
      return SystemError(path, "cannot be written");
    }
  }
  return Status();
}

Status CheckTarget(const std::string& path) {
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) {
    return errno == ENOENT ? Status() : SystemError(path, "cannot be looked at");
  }
  if (S_ISLNK(info.st_mode)) {
    return Failed(path, "a symbolic link is not written to (name the file it leads to)");
  }
  return S_ISREG(info.st_mode) ? Status() : Failed(path, "not a regular file");
}

// The new file, complete and on disk, beside the old one.
Status WriteBeside(const std::string& path, int fd, std::string_view text) {
  DQC_TRY(WriteAll(path, fd, text));
  if (fchmod(fd, S_IRUSR | S_IWUSR) != 0) return SystemError(path, "mode 0600 cannot be set");
  if (fsync(fd) != 0) return SystemError(path, "cannot be written to disk");
  return Status();
}

}  // namespace

Result<client::Nodes> ReadNodeFile(const std::string& path) {
  DQC_TRY(client::NodeFilesSupported());
  DQC_TRY(CheckPath(path));
  // O_NONBLOCK: opening a pipe must not wait for its writer.
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd.ok()) return SystemError(path, "cannot be opened");
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) return SystemError(path, "cannot be looked at");
  if (!S_ISREG(info.st_mode)) return Failed(path, "not a regular file");
  std::string text;
  DQC_TRY(ReadAll(path, fd.get(), text));
  if (text.size() > client::kNodeFileBytesMax) return Failed(path, "larger than 1 MiB");
  return client::ParseNodes(text, path);
}

Status WriteNodeFile(const std::string& path, const client::Nodes& nodes) {
  DQC_TRY(client::NodeFilesSupported());
  DQC_TRY(CheckPath(path));
  if (const Status status = client::CheckNodes(nodes); !status.ok()) {
    return Failed(path, "not written: " + std::string(status.message()));
  }
  const std::string text = client::FormatNodes(nodes);
  if (text.size() > client::kNodeFileBytesMax) return Failed(path, "would be larger than 1 MiB");
  DQC_TRY(CheckTarget(path));
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const Fd folder_fd(open(folder.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECTORY));
  if (!folder_fd.ok()) return SystemError(path, "its folder cannot be opened");
  std::string beside = path + ".XXXXXX";
  const Fd fd(mkostemp(beside.data(), O_CLOEXEC));  // exclusive, so through no link; mode 0600
  if (!fd.ok()) return SystemError(path, "no file can be made in its folder");
  Unlinker unlinker(beside);
  DQC_TRY(WriteBeside(path, fd.get(), text));
  if (std::rename(beside.c_str(), path.c_str()) != 0) {
    return SystemError(path, "cannot be replaced");
  }
  unlinker.Disarm();
  // Some file systems cannot do this for folders, and have no need to.
  if (fsync(folder_fd.get()) != 0 && errno != EINVAL && errno != ENOTSUP) {
    return SystemError(path, "replaced, but a crash of the machine may undo it");
  }
  return Status();
}

}  // namespace dqc::net
