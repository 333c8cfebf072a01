/* SPDX-License-Identifier: MIT */
// The wall between C++ and the callers of the C interface: every exported function that can fail
// goes through it.
#pragma once

#include <exception>
#include <new>

#include "base/status.hpp"
#include "dqclient/dqclient.h"

namespace dqc::capi {

inline dqc_error* ToError(Status status) {
  return reinterpret_cast<dqc_error*>(const_cast<ErrorInfo*>(status.Detach()));
}
inline const dqc_error* BorrowError(const Status& status) {
  return reinterpret_cast<const dqc_error*>(status.info());
}

// Runs `fn`, turns what it returns or throws into a status, and writes *error.
template <typename Fn>
dqc_status guard(dqc_error** error, Fn fn) noexcept {
  Status status;
  try {
    status = fn();
  } catch (const std::bad_alloc&) {
    status = Status::OutOfMemory();
  } catch (const std::exception& e) {
    status = Status::Make(Code::kInternal, e.what());
  } catch (...) {
    status = Status::Make(Code::kInternal, "an exception of unknown type");
  }
  const dqc_status code = static_cast<dqc_status>(status.code());
  if (error != nullptr) *error = ToError(std::move(status));
  return code;
}

}  // namespace dqc::capi
