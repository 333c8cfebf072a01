/* SPDX-License-Identifier: MIT */
// The facade in two translation units of one program, in one of them with the coroutines.
#include <dqclient/coro.hpp>
#include <dqclient/dqclient.hpp>

int other_unit();

static dqc::task<int> both() { co_return other_unit(); }

int main() {
  dqc::loop loop = dqc::loop::driven().value();
  return dqc::run(loop, both());
}
