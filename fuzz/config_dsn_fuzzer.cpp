/* SPDX-License-Identifier: MIT */
// A DSN (or "key=value", or an address) from an untrusted place: no crash, and what is accepted can
// be written down and read back.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "client/config.hpp"

namespace {

using dqc::client::Config;
using dqc::client::KeyInfo;
using dqc::client::KeyType;

void Check(bool good) {
  if (!good) std::abort();
}

// Every value goes through its text form into a fresh Config unchanged.
void RoundTrip(const Config& config) {
  Config copy;
  for (const KeyInfo& key : dqc::client::ConfigTable()) {
    const dqc::Result<std::string> text = config.Get(key.name);
    Check(text.ok());
    Check(copy.Set(key.name, *text).ok());
    if (key.type != KeyType::kText) {
      Check(copy.integer(key.id) == config.integer(key.id));
      Check(config.integer(key.id) >= key.min && config.integer(key.id) <= key.max);
    }
  }
  Check(copy.database() == config.database());
  std::string list;
  for (const std::string& address : config.addresses()) {
    if (!list.empty()) list += ',';
    list += address;
  }
  if (list.empty()) return;
  Check(copy.SetAddresses(list).ok());
  Check(copy.addresses() == config.addresses());
}

void CheckError(const dqc::Status& status) {
  Check(status.code() == dqc::Code::kConfig);
  for (const char c : status.message()) Check(c >= ' ' && c <= '~');
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Config config;
  if (const dqc::Status status = config.ParseDsn(text); status.ok()) {
    Check(!config.addresses().empty() || !config.text(dqc::client::Key::kNodes).empty());
    RoundTrip(config);
  } else {
    CheckError(status);
    Check(config.addresses().empty());
  }
  const size_t equals = text.find('=');
  if (equals != std::string_view::npos) {
    const dqc::Status status = config.Set(text.substr(0, equals), text.substr(equals + 1));
    if (status.ok()) {
      RoundTrip(config);
    } else {
      CheckError(status);
    }
  }
  const dqc::Result<dqc::client::Address> address = dqc::client::ParseAddress(text, 0);
  if (address.ok()) {
    const auto again = dqc::client::ParseAddress(dqc::client::FormatAddress(*address), 0);
    Check(again.ok() && again->host == address->host && again->port == address->port);
  } else {
    CheckError(address.status());
  }
  return 0;
}
