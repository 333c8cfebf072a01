/* SPDX-License-Identifier: MIT */
#pragma once

#include "base/intrusive.hpp"
#include "config.hpp"
#include "net/connection.hpp"

namespace dqc::capi {

// The application's dial and log callbacks, called where callbacks are called. Null if it set none.
IntrusivePtr<net::Hooks> MakeHooks(const dqc_config& config);

}  // namespace dqc::capi
