/* SPDX-License-Identifier: MIT */
#include "mock/node.hpp"

#include <algorithm>
#include <chrono>
#include <iterator>

namespace dqc::mock {
namespace {

constexpr int kComputeDepthMax = 4;

size_t BytesOf(const Request& request) {
  size_t bytes = request.text.size() + request.params.size() * sizeof(Cell);
  for (const Cell& cell : request.params) bytes += cell.bytes.size();
  return bytes;
}

bool SetsMode(Step::Kind kind) {
  return kind == Step::Kind::kSplit || kind == Step::Kind::kTruncate;
}

}  // namespace

Node::Node(Era era) { config_.era = era; }

void Node::Event() {
  ++events_;
  event_.notify_all();
}

Node& Node::On(Match match, Do steps) {
  const std::lock_guard lock(mutex_);
  rules_.push_back({std::move(match), std::move(steps), 0});
  return *this;
}

void Node::ClearRules() {
  const std::lock_guard lock(mutex_);
  rules_.clear();
}

void Node::Release(uint64_t gate) {
  {
    const std::lock_guard lock(mutex_);
    open_gates_.insert(gate);
  }
  Wake();
}

bool Node::GateOpen(uint64_t gate) const {
  const std::lock_guard lock(mutex_);
  return open_gates_.count(gate) != 0;
}

Node& Node::SetTable(std::string sql_part, Table table) {
  const std::lock_guard lock(mutex_);
  config_.tables.insert(config_.tables.begin(), {std::move(sql_part), std::move(table)});
  return *this;
}

void Node::SetLeader(bool leader, uint64_t leader_id, std::string leader_address) {
  const std::lock_guard lock(mutex_);
  if (config_.leader && !leader) ++config_.losses;
  config_.leader = leader;
  config_.leader_id = leader_id;
  config_.leader_address = std::move(leader_address);
}

void Node::Configure(const std::function<void(Config&)>& change) {
  const std::lock_guard lock(mutex_);
  change(config_);
}

Config Node::config() const {
  const std::lock_guard lock(mutex_);
  return config_;
}

Era Node::era() const {
  const std::lock_guard lock(mutex_);
  return config_.era;
}

std::vector<Request> Node::Requests(const Match& match) const {
  const std::lock_guard lock(mutex_);
  std::vector<Request> out;
  uint64_t occurrence = 0;
  for (const Request& request : log_) {
    if (match.Fits(request) && match.Counts(++occurrence)) out.push_back(request);
  }
  return out;
}

uint64_t Node::Count(const Match& match) const {
  const std::lock_guard lock(mutex_);
  const auto fits = [&](const Request& request) { return match.Fits(request); };
  return static_cast<uint64_t>(std::count_if(log_.begin(), log_.end(), fits));
}

uint64_t Node::CountType(uint8_t type) const {
  const std::lock_guard lock(mutex_);
  return type_counts_[type];
}

uint64_t Node::requests() const {
  const std::lock_guard lock(mutex_);
  return frames_;
}

uint64_t Node::connections() const {
  const std::lock_guard lock(mutex_);
  return connections_;
}

uint64_t Node::gone() const {
  const std::lock_guard lock(mutex_);
  return gone_;
}

std::vector<std::string> Node::violations() const {
  const std::lock_guard lock(mutex_);
  return violations_;
}

bool Node::Wait(const std::function<bool()>& done, int timeout_ms) const {
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  for (;;) {
    uint64_t seen = 0;
    {
      const std::lock_guard lock(mutex_);
      seen = events_;
    }
    if (done()) return true;
    std::unique_lock lock(mutex_);
    // system_clock, since TSan does not see waits by the steady one.
    const auto left = until - std::chrono::steady_clock::now();
    const auto deadline = std::chrono::system_clock::now() +
                          std::chrono::duration_cast<std::chrono::system_clock::duration>(left);
    if (!event_.wait_until(lock, deadline, [&] { return events_ != seen; })) {
      lock.unlock();
      return done();
    }
  }
}

uint64_t Node::BeginConnection() {
  const std::lock_guard lock(mutex_);
  Event();
  return ++connections_;
}

void Node::NoteGone() {
  const std::lock_guard lock(mutex_);
  ++gone_;
  Event();
}

void Node::NoteViolation(std::string what) {
  const std::lock_guard lock(mutex_);
  if (violations_.size() < kViolationsMax) violations_.push_back(std::move(what));
  Event();
}

void Node::Log(const Request& request) {
  if (request.kind == Request::Kind::kFrame && !request.probe() && !request.asks_leadership) {
    ++frames_;
    ++type_counts_[request.type];
  }
  const size_t bytes = BytesOf(request);
  if (log_.size() < kRequestsMax && bytes <= kRequestBytesMax - log_bytes_) {
    log_bytes_ += bytes;
    log_.push_back(request);
  }
}

Do Node::Choose(Session& session, const Request& request) {
  Do chosen = Do().Default();
  bool found = false;
  for (auto rule = rules_.rbegin(); rule != rules_.rend(); ++rule) {
    if (!rule->match.Fits(request)) continue;
    if (rule->match.Counts(++rule->occurrences) && !found) {
      chosen = rule->steps;
      found = true;
    }
  }
  return found ? chosen : session.Reply(request, config_);
}

std::vector<Step> Node::Handle(Session& session, Request request) {
  Do steps;
  {
    const std::lock_guard lock(mutex_);
    request.number = ++numbers_;
    Session::Violations found;
    session.Examine(request, config_, found);
    for (std::string& what : found) {
      if (violations_.size() < kViolationsMax) violations_.push_back(std::move(what));
    }
    Log(request);
    steps = Choose(session, request);
    Event();
  }
  std::vector<Step> out;
  Expand(session, request, std::move(steps), 0, out);
  const auto mode = [](const Step& step) { return SetsMode(step.kind); };
  if (std::any_of(out.begin(), out.end(), mode)) out.push_back({.kind = Step::Kind::kPlain});
  return out;
}

void Node::Expand(Session& session, const Request& request, Do from, int depth,
                  std::vector<Step>& out) {
  for (Step& step : from.steps()) {
    if (step.kind == Step::Kind::kDefault) {
      Do reply;
      {
        const std::lock_guard lock(mutex_);
        reply = session.Reply(request, config_);
      }
      std::move(reply.steps().begin(), reply.steps().end(), std::back_inserter(out));
    } else if (step.kind == Step::Kind::kCompute) {
      // Without the lock: the script may ask the node.
      if (depth < kComputeDepthMax) {
        Expand(session, request, step.compute(request), depth + 1, out);
      }
    } else {
      out.push_back(std::move(step));
    }
  }
}

}  // namespace dqc::mock
