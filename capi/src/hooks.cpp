/* SPDX-License-Identifier: MIT */
#include "hooks.hpp"

#include <unistd.h>

#include <memory>
#include <string>

using dqc::IntrusivePtr;
using dqc::net::Connection;

// A dial request on its way to the application, then in its hands.
struct dqc_dial final : public dqc::Deliverable {
  IntrusivePtr<Connection> connection;
  dqc_dial_callback callback = nullptr;
  void* user_data = nullptr;
  uint32_t fork_generation = dqc::ForkGeneration();

  void Deliver() noexcept override { callback(user_data, connection->address().c_str(), this); }
  void Discard() noexcept override { dqc_dial_done(this, -1, "the queue was freed"); }
};

namespace dqc::capi {

namespace {

struct LogEvent final : public Deliverable {
  dqc_log_callback callback = nullptr;
  void* user_data = nullptr;
  int32_t level = 0;
  const char* event = "";
  std::string node, message;

  void Deliver() noexcept override {
    const std::unique_ptr<LogEvent> owned(this);
    dqc_log_record record{};
    record.struct_size = sizeof(record);
    record.level = level;
    record.event = event;
    record.node = node.c_str();
    record.message = message.c_str();
    callback(user_data, &record);
  }
  void Discard() noexcept override { delete this; }
};

struct WatchEvent final : public Deliverable {
  dqc_watch_callback callback = nullptr;
  void* user_data = nullptr;
  net::Topology change = net::Topology::kLeader;
  client::Node node;
  std::string message;

  void Deliver() noexcept override {
    const std::unique_ptr<WatchEvent> owned(this);
    dqc_topology event{};
    event.struct_size = sizeof(event);
    event.type = static_cast<int32_t>(change);
    event.node.id = node.id;
    event.node.address = node.address.c_str();
    event.node.role = static_cast<int32_t>(node.role);
    event.message = message.c_str();
    callback(user_data, &event);
  }
  void Discard() noexcept override { delete this; }
};

static_assert(static_cast<int>(net::Topology::kLeader) == DQC_TOPOLOGY_LEADER &&
              static_cast<int>(net::Topology::kRoleChanged) == DQC_TOPOLOGY_ROLE_CHANGED);

class ApplicationHooks final : public net::Hooks {
 public:
  explicit ApplicationHooks(const dqc_config& config)
      : dial_(config.dial),
        dial_data_(config.dial_data),
        log_(config.log),
        log_data_(config.log_data),
        log_level_(config.log_level),
        watch_(config.watch),
        watch_data_(config.watch_data) {}

  bool dials() const override { return dial_ != nullptr; }

  void Dial(IntrusivePtr<Connection> connection) override {
    auto* dial = new dqc_dial();
    dial->connection = std::move(connection);
    dial->callback = dial_;
    dial->user_data = dial_data_;
    const IntrusivePtr<net::EventQueue> out =
        IntrusivePtr<net::EventQueue>::Share(dial->connection->out());
    out->Push(dial);
  }

  bool wants(net::LogLevel level) const override {
    return log_ != nullptr && static_cast<int32_t>(level) <= log_level_;
  }

  void Log(net::Target* from, net::LogLevel level, const char* event, std::string_view node,
           std::string_view message) override {
    auto record = std::make_unique<LogEvent>();
    record->callback = log_;
    record->user_data = log_data_;
    record->level = static_cast<int32_t>(level);
    record->event = event;
    record->node = node;
    record->message = message;
    from->out()->Push(record.release());
  }

  bool watches() const override { return watch_ != nullptr; }

  void Watch(net::Target* from, net::Topology change, const client::Node& node,
             std::string_view message) override {
    auto event = std::make_unique<WatchEvent>();
    event->callback = watch_;
    event->user_data = watch_data_;
    event->change = change;
    event->node = node;
    event->message = message;
    from->out()->Push(event.release());
  }

 private:
  const dqc_dial_callback dial_;
  void* const dial_data_;
  const dqc_log_callback log_;
  void* const log_data_;
  const int32_t log_level_;
  const dqc_watch_callback watch_;
  void* const watch_data_;
};

}  // namespace

IntrusivePtr<net::Hooks> MakeHooks(const dqc_config& config) {
  if (config.dial == nullptr && config.log == nullptr && config.watch == nullptr) return nullptr;
  return IntrusivePtr<net::Hooks>::Adopt(new ApplicationHooks(config));
}

}  // namespace dqc::capi

static_assert(dqc::net::Connection::kDialByLibrary == DQC_DIAL_LIBRARY);

extern "C" void dqc_dial_done(dqc_dial* dial, int fd, const char* message) {
  if (dial == nullptr) {
    if (fd >= 0) close(fd);
    return;
  }
  if (dial->fork_generation != dqc::ForkGeneration()) {  // its connection is the parent's
    if (fd >= 0) close(fd);
    return;
  }
  const std::unique_ptr<dqc_dial> owned(dial);
  owned->connection->DialDone(fd, message == nullptr ? "no reason given" : message);
}
