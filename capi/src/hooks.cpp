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

class ApplicationHooks final : public net::Hooks {
 public:
  explicit ApplicationHooks(const dqc_config& config)
      : dial_(config.dial),
        dial_data_(config.dial_data),
        log_(config.log),
        log_data_(config.log_data),
        log_level_(config.log_level) {}

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

  void Log(Connection* connection, net::LogLevel level, const char* event,
           std::string_view message) override {
    auto record = std::make_unique<LogEvent>();
    record->callback = log_;
    record->user_data = log_data_;
    record->level = static_cast<int32_t>(level);
    record->event = event;
    record->node = connection->address();
    record->message = message;
    connection->out()->Push(record.release());
  }

 private:
  const dqc_dial_callback dial_;
  void* const dial_data_;
  const dqc_log_callback log_;
  void* const log_data_;
  const int32_t log_level_;
};

}  // namespace

IntrusivePtr<net::Hooks> MakeHooks(const dqc_config& config) {
  if (config.dial == nullptr && config.log == nullptr) return nullptr;
  return IntrusivePtr<net::Hooks>::Adopt(new ApplicationHooks(config));
}

}  // namespace dqc::capi

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
