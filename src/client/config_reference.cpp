/* SPDX-License-Identifier: MIT */
// The page docs/configuration.md.
#include "client/config.hpp"
#include "client/config_text.hpp"

namespace dqc::client {
namespace {

constexpr const char kHead[] =
    R"(<!-- Generated from the table in src/client/config.hpp: do not edit. -->
# Configuration

Every option has a name, a type, a range and a default. It can be set

- in a DSN: `dqlite://10.0.0.7:9001,10.0.0.8:9001/app?timeout=5s&cell_types=sqlite`
- in the environment, where the program asks for it: `DQC_TIMEOUT=5s`
- by the program, option by option.

What is set later wins. Within the environment the DSN comes first, the single options after it.

A value that is not understood or out of range is an error that names the option, the value and
what would be accepted; so is a name that is not known.

## DSN

    dqlite://host[:port][,host[:port]...][/database][?key=value[&key=value...]]

- `host` is a host name, an IPv4 address or an IPv6 address in brackets: `[fd00::7]:9001`, with a
  zone `[fe80::7%25eth0]:9001`. The default port is 9001. Name several nodes, best all voters: any
  of them that answers is enough to find the leader.
- `0.0.0.0` and `[::]` are refused: a server listens there, a client needs the node's own address.
- `database` is 1 to 200 bytes of letters, digits, `.`, `_` and `-`, and does not end in `-wal` or `-journal`: other names harm servers.
- `%` and two hexadecimal digits stand for any byte in the database, keys and values.
- No key may come twice. Errors name the byte of the DSN.
- Hosts may be left out where `nodes` names a file of them: `dqlite:///app?nodes=cluster.yaml`.

## Environment

`DQC_DSN` is read first, then `DQC_` and the option's name in capital letters: `DQC_DATABASE`,
`DQC_CONNECT_TIMEOUT`. A variable that is empty counts as not set.

## Types

| type | written as |
| --- | --- |
| duration | a whole number and `h`, `m`, `s`, `ms` or `us`: `250ms`, `1m`; bare: milliseconds |
| bytes | a whole number, or one with `KiB`, `MiB` or `GiB`: `4096`, `64KiB`; bare: bytes |
| integer | a whole number |
| boolean | `true`, `on`, `yes`, `1` or `false`, `off`, `no`, `0` |
| enum | one of the names given |
| text | as it stands |

## What a server can make us hold

Rows that nobody takes hold the server back: reading stops at `high_water` bytes of a result, or at
`buffer_max` where another call is to go ahead, and goes at most one frame and one `read_buffer`
beyond. A frame has at most `max_message` bytes, and that bounds what is in it: a single value, the
rows of one frame (8 bytes each at least) and the names of columns together. So these have no option
of their own, and `max_rows`, `max_frames` and `max_result`, which limit what an application gets and
not what is held, are off.

## Options

| option | type | default | range | since | what it does |
| --- | --- | --- | --- | --- | --- |
)";

const char* TypeName(KeyType type) {
  switch (type) {
    case KeyType::kText:
      return "text";
    case KeyType::kBool:
      return "boolean";
    case KeyType::kInteger:
      return "integer";
    case KeyType::kBytes:
      return "bytes";
    case KeyType::kDuration:
      return "duration";
    case KeyType::kEnum:
      return "enum";
  }
  return "";
}

// '|' would end a table cell.
std::string Cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

std::string ConfigReference() {
  std::string out = kHead;
  for (const KeyInfo& key : ConfigTable()) {
    const std::string shown = Cell(key.default_text);
    out += "| `" + std::string(key.name) + "` | " + TypeName(key.type) + " | " +
           (shown.empty() ? "" : "`" + shown + "`") + " | " + Cell(RangeText(key)) + " | " +
           key.since + " | " + Cell(key.doc) + " |\n";
  }
  return out;
}

}  // namespace dqc::client
