/* SPDX-License-Identifier: MIT */
// What a connection asked (Request), which requests a rule is for (Match), what is done then (Do).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mock/frames.hpp"

namespace dqc::mock {

inline constexpr uint8_t kProbeSchema = 255;

// One thing a client did; everything is copied.
struct Request {
  enum class Kind : uint8_t { kAccept, kHandshake, kFrame };

  Kind kind = Kind::kFrame;
  uint64_t connection = 0;  // from 1, in the order of acceptance
  uint64_t number = 0;      // from 1, over all connections
  uint8_t type = 0;
  uint8_t schema = 0;
  bool decoded = false;  // else only type and schema are known
  // EXEC_SQL of SELECT 1 without a database: a client that wants to know whether the node leads.
  bool asks_leadership = false;
  std::string text;    // SQL (of the prepared statement for EXEC, QUERY), database name, address
  uint64_t id = 0;     // of the statement, node or client
  uint64_t value = 0;  // role, format, weight, flags or handshake word
  Row params;
  std::string malformed;  // why it was not decoded

  bool probe() const { return kind == Kind::kFrame && schema == kProbeSchema; }
  bool Is(wire::RequestType t) const {
    return kind == Kind::kFrame && type == static_cast<uint8_t>(t);
  }
};

// Conditions on a request; all must hold, none means every frame. Era probes (section 0.3) fit only
// where Schema(255) asks for them, Request::asks_leadership nowhere.
class Match {
 public:
  static Match Accept() { return Match(Request::Kind::kAccept); }        // before any byte
  static Match Handshake() { return Match(Request::Kind::kHandshake); }  // a version word arrived

  Match() = default;
  // One of these types.
  template <typename... T>
  explicit Match(wire::RequestType first, T... more)
      : types_{static_cast<uint8_t>(first), static_cast<uint8_t>(more)...} {}

  Match& RawType(uint8_t type) { return types_.push_back(type), *this; }
  Match& Sql(std::string part) { return part_ = std::move(part), *this; }  // of Request::text
  Match& Schema(uint8_t schema) { return schema_ = schema, *this; }
  Match& Connection(uint64_t number) { return connection_ = number, *this; }
  // Among the requests for which all else holds, counted from 1 over all connections.
  Match& Nth(uint64_t n) { return first_ = n, last_ = n, *this; }
  Match& First(uint64_t n) { return first_ = 1, last_ = n, *this; }
  Match& From(uint64_t n) { return first_ = n, last_ = UINT64_MAX, *this; }

  bool Fits(const Request& request) const;  // all but the count
  bool Counts(uint64_t occurrence) const { return occurrence >= first_ && occurrence <= last_; }

 private:
  explicit Match(Request::Kind kind) : kind_(kind) {}

  Request::Kind kind_ = Request::Kind::kFrame;
  std::vector<uint8_t> types_;
  std::string part_;
  std::optional<uint8_t> schema_;
  uint64_t connection_ = 0;
  uint64_t first_ = 1;
  uint64_t last_ = UINT64_MAX;
};

// Prepared or not.
inline Match AnyExec() { return Match(wire::RequestType::kExec, wire::RequestType::kExecSql); }
inline Match AnyQuery() { return Match(wire::RequestType::kQuery, wire::RequestType::kQuerySql); }

struct Step;

// Steps taken in order in place of the usual reply. As on a real server, nothing more is read from
// the connection before they are all done. An empty list is silence: the next request is answered.
class Do {
 public:
  Do();
  Do(const Do&);
  Do(Do&&) noexcept;
  Do& operator=(Do) noexcept;
  ~Do();

  // Sends.
  template <typename M>
  Do& Reply(const M& response, uint8_t schema = 0) {
    return Raw(Frame(response, schema));
  }
  Do& Raw(Bytes bytes);
  Do& Failure(uint64_t code, std::string_view text, const Bytes& prefix = {});
  Do& Rows(Table table);      // in frames of a page
  Do& Forever(Bytes frame);   // again and again
  Do& Frames(Stream stream);  // computed one by one, as they are sent
  Do& Default();              // what a well-behaved server sends; its effects happen, too
  Do& Compute(std::function<Do(const Request&)> steps);  // on the server's thread

  // Waits.
  Do& Delay(uint64_t ms);
  Do& Stall(uint64_t gate = 0);  // until Node::Release(gate), which may come first
  Do& Hang();                    // until the end of the server

  // Ends the connection; what follows is ignored.
  Do& Close();  // FIN
  Do& Reset();  // RST; on a socket pair like Close

  // For what the following steps of this list send.
  Do& Split(size_t bytes, uint64_t pause_ms = 0);  // one write per `bytes`
  Do& Truncate(size_t bytes);                      // sends only so many, drops the others

  // For the server's own use.
  std::vector<Step>& steps() { return steps_; }

 private:
  Do& Add(Step step);
  std::vector<Step> steps_;
};

struct Step {
  enum class Kind : uint8_t {
    kBytes,
    kStream,
    kDefault,
    kCompute,
    kDelay,
    kStall,
    kHang,
    kClose,
    kReset,
    kSplit,
    kTruncate,
    kPlain,  // ends kSplit and kTruncate
  };

  Kind kind = Kind::kBytes;
  uint64_t number = 0;
  uint64_t pause_ms = 0;
  Bytes bytes = {};
  Stream stream = {};
  std::function<Do(const Request&)> compute = {};
};

// Copies what the client sent. `era_a`: the schema byte is ignored. `schema_max`: more is not
// decoded.
Request CopyRequest(const wire::Header& header, const uint8_t* body, uint8_t schema_max,
                    bool era_a);

}  // namespace dqc::mock
