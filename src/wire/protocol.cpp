/* SPDX-License-Identifier: MIT */
#include "wire/protocol.hpp"

#include "wire/endian.hpp"

namespace dqc::wire {

const char* RequestName(uint8_t type) {
  switch (type) {
#define DQC_X(Name, number, schema, reply) \
  case number:                             \
    return #Name;
    DQC_WIRE_REQUESTS(DQC_X)
#undef DQC_X
    default:
      return "unknown";
  }
}

const char* ResponseName(uint8_t type) {
  switch (type) {
#define DQC_X(Name, number, schema) \
  case number:                      \
    return #Name;
    DQC_WIRE_RESPONSES(DQC_X)
#undef DQC_X
    default:
      return "unknown";
  }
}

Header ParseHeader(const uint8_t* data) {
  Header header;
  header.body_bytes = uint64_t{LoadLittle<uint32_t>(data)} * kWord;
  header.type = data[4];
  header.schema = data[5];
  return header;  // bytes 6 and 7, `extra`, carry nothing (section 2)
}

}  // namespace dqc::wire
