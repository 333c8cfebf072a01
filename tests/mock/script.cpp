/* SPDX-License-Identifier: MIT */
#include "mock/script.hpp"

#include <algorithm>
#include <type_traits>
#include <variant>

namespace dqc::mock {
namespace {

namespace rq = wire::request;

// Copies the fields of one decoded request; the layout of each struct is in wire/message.hpp.
struct Copier {
  Request& out;

  void Params(wire::Params params) {
    out.params.reserve(params.size());
    for (const wire::Value& value : params) out.params.emplace_back(value);
  }

  void operator()(const std::monostate&) {}
  void operator()(const rq::Leader&) {}
  void operator()(const rq::Heartbeat& m) { out.value = m.timestamp; }
  void operator()(const rq::Client& m) { out.id = m.id; }
  void operator()(const rq::Open& m) { out.text = m.name, out.value = m.flags; }
  void operator()(const rq::Prepare& m) { out.text = m.sql; }
  void operator()(const rq::Exec& m) { out.id = m.stmt, Params(m.params); }
  void operator()(const rq::Query& m) { out.id = m.stmt, Params(m.params); }
  void operator()(const rq::Finalize& m) { out.id = m.stmt; }
  void operator()(const rq::ExecSql& m) { out.text = m.sql, Params(m.params); }
  void operator()(const rq::QuerySql& m) { out.text = m.sql, Params(m.params); }
  void operator()(const rq::Interrupt&) {}
  void operator()(const rq::Connect& m) { out.id = m.id, out.text = m.address; }
  void operator()(const rq::Add& m) { out.id = m.id, out.text = m.address; }
  void operator()(const rq::Assign& m) { out.id = m.id, out.value = m.role; }
  void operator()(const rq::Remove& m) { out.id = m.id; }
  void operator()(const rq::Dump& m) { out.text = m.name; }
  void operator()(const rq::Cluster& m) { out.value = m.format; }
  void operator()(const rq::Transfer& m) { out.id = m.id; }
  void operator()(const rq::Describe& m) { out.value = m.format; }
  void operator()(const rq::Weight& m) { out.value = m.weight; }
};

}  // namespace

Request CopyRequest(const wire::Header& header, const uint8_t* body, uint8_t schema_max,
                    bool era_a) {
  Request out;
  out.type = header.type;
  out.schema = header.schema;
  wire::Header seen = header;
  if (era_a) seen.schema = 0;
  if (seen.schema > schema_max) return out;
  Limits limits;
  limits.params = kParamsCap;
  std::vector<wire::Value> params;
  wire::DecodeContext context;
  context.limits = &limits;
  context.params = &params;
  const Result<wire::Request> decoded = wire::DecodeRequest(seen, body, context);
  if (!decoded.ok()) {
    out.malformed = decoded.status().message();
    return out;
  }
  std::visit(Copier{out}, decoded.value());
  out.decoded = true;
  return out;
}

bool Match::Fits(const Request& request) const {
  if (request.asks_leadership) return false;
  if (request.kind != kind_) return false;
  if (connection_ != 0 && request.connection != connection_) return false;
  if (schema_ ? request.schema != *schema_ : request.probe()) return false;
  if (!part_.empty() && request.text.find(part_) == std::string::npos) return false;
  return types_.empty() || std::find(types_.begin(), types_.end(), request.type) != types_.end();
}

Do::Do() = default;
Do::Do(const Do&) = default;
Do::Do(Do&&) noexcept = default;
Do::~Do() = default;

Do& Do::operator=(Do other) noexcept {
  steps_.swap(other.steps_);
  return *this;
}

Do& Do::Add(Step step) {
  steps_.push_back(std::move(step));
  return *this;
}

Do& Do::Raw(Bytes bytes) {
  Step step{.kind = Step::Kind::kBytes};
  step.bytes = std::move(bytes);
  return Add(std::move(step));
}

Do& Do::Failure(uint64_t code, std::string_view text, const Bytes& prefix) {
  return Raw(FailureFrame(code, text, prefix));
}

Do& Do::Rows(Table table) { return Frames(TableStream(std::move(table))); }

Do& Do::Forever(Bytes frame) {
  return Frames([bytes = std::move(frame)](Bytes& out) {
    out.insert(out.end(), bytes.begin(), bytes.end());
    return true;
  });
}

Do& Do::Frames(Stream stream) {
  Step step{.kind = Step::Kind::kStream};
  step.stream = std::move(stream);
  return Add(std::move(step));
}

Do& Do::Default() { return Add({.kind = Step::Kind::kDefault}); }

Do& Do::Compute(std::function<Do(const Request&)> steps) {
  Step step{.kind = Step::Kind::kCompute};
  step.compute = std::move(steps);
  return Add(std::move(step));
}

Do& Do::Delay(uint64_t ms) { return Add({.kind = Step::Kind::kDelay, .number = ms}); }
Do& Do::Stall(uint64_t gate) { return Add({.kind = Step::Kind::kStall, .number = gate}); }
Do& Do::Hang() { return Add({.kind = Step::Kind::kHang}); }
Do& Do::Close() { return Add({.kind = Step::Kind::kClose}); }
Do& Do::Reset() { return Add({.kind = Step::Kind::kReset}); }

Do& Do::Split(size_t bytes, uint64_t pause_ms) {
  return Add({.kind = Step::Kind::kSplit, .number = bytes, .pause_ms = pause_ms});
}

Do& Do::Truncate(size_t bytes) { return Add({.kind = Step::Kind::kTruncate, .number = bytes}); }

}  // namespace dqc::mock
