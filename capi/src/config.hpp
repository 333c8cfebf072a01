/* SPDX-License-Identifier: MIT */
#pragma once

#include "client/config.hpp"
#include "dqclient/dqclient.h"
#include "handle.hpp"

struct dqc_config : dqc::capi::Handle<0x64716366> {
  dqc::client::Config config;
  dqc_dial_callback dial = nullptr;
  void* dial_data = nullptr;
  dqc_log_callback log = nullptr;
  void* log_data = nullptr;
  int32_t log_level = 0;
  dqc_watch_callback watch = nullptr;
  void* watch_data = nullptr;
};
