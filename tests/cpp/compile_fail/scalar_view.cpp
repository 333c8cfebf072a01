/* SPDX-License-Identifier: MIT */
// expect: read an owning type
#include <dqclient/dqclient.hpp>

#if DQC_COMPILE_FAIL
using wanted = std::string_view;
#else
using wanted = std::string;
#endif

wanted version(const dqc::result_set& set) { return set.scalar<wanted>().value(); }
