/* SPDX-License-Identifier: MIT */
// A stand-in for libdqclient behind the C header, to test what the facade does with events: their order and moment are
// the test's choice, and every handle and callback is counted. It knows these "statements":
//   rows B R   B batches of R rows (id INTEGER, name TEXT)     refuse   the call returns DQC_E_PARAMS
//   fail       ends with DQC_E_CONSTRAINT                      hang     no event until it is cancelled
// Everything else succeeds with 1 row affected. Each run of a loop delivers one event.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace fake {

struct counters {
  int errors = 0, configs = 0, loops = 0, conns = 0, stmts = 0, batches = 0, cursors = 0,
      operations = 0;
  int pauses = 0, resumes = 0, cancels = 0;
  int all() const {
    return errors + configs + loops + conns + stmts + batches + cursors + operations;
  }
};

counters& count();

// The parameters of the last call, as text: "i42 t:abc n".
std::string& last_args();

}  // namespace fake
