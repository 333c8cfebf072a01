/* SPDX-License-Identifier: MIT */
#include "config.hpp"

#include <cstdlib>

#include "guard.hpp"

using dqc::Code;
using dqc::Status;
using dqc::capi::Check;
using dqc::capi::guard;
using dqc::capi::Text;

extern "C" {

dqc_status dqc_config_new(dqc_config** out, dqc_error** error) {
  if (out != nullptr) *out = nullptr;
  return guard(error, [&]() -> Status {
    if (out == nullptr) return Status::Make(Code::kMisuse, "out is NULL");
    *out = new dqc_config();
    return {};
  });
}

dqc_status dqc_config_set(dqc_config* config, const char* key, size_t key_size, const char* value,
                          size_t value_size, dqc_error** error) {
  return guard(error, [&]() -> Status {
    DQC_TRY(Check(config, "configuration"));
    return config->config.Set(Text(key, key_size), Text(value, value_size));
  });
}

dqc_status dqc_config_set_dsn(dqc_config* config, const char* dsn, size_t dsn_size,
                              dqc_error** error) {
  return guard(error, [&]() -> Status {
    DQC_TRY(Check(config, "configuration"));
    return config->config.ParseDsn(Text(dsn, dsn_size));
  });
}

dqc_status dqc_config_set_env(dqc_config* config, dqc_error** error) {
  return guard(error, [&]() -> Status {
    DQC_TRY(Check(config, "configuration"));
    return config->config.LoadEnvironment(
        [](const char* name) -> const char* { return std::getenv(name); });
  });
}

dqc_status dqc_config_set_dial(dqc_config* config, dqc_dial_callback callback, void* user_data,
                               dqc_error** error) {
  return guard(error, [&]() -> Status {
    DQC_TRY(Check(config, "configuration"));
    config->dial = callback;
    config->dial_data = user_data;
    return {};
  });
}

dqc_status dqc_config_set_log(dqc_config* config, int32_t level, dqc_log_callback callback,
                              void* user_data, dqc_error** error) {
  return guard(error, [&]() -> Status {
    DQC_TRY(Check(config, "configuration"));
    if (level < DQC_LOG_ERROR || level > DQC_LOG_DEBUG)
      return Status::Make(Code::kMisuse, "no such log level");
    config->log = callback;
    config->log_data = user_data;
    config->log_level = level;
    return {};
  });
}

dqc_status dqc_config_set_watch(dqc_config* config, dqc_watch_callback callback, void* user_data,
                                dqc_error** error) {
  return guard(error, [&]() -> Status {
    DQC_TRY(Check(config, "configuration"));
    config->watch = callback;
    config->watch_data = user_data;
    return {};
  });
}

void dqc_config_free(dqc_config* config) { delete config; }

}  // extern "C"
