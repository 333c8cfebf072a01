/* SPDX-License-Identifier: MIT */
// The table of a failed search, and the one line that is made of it.
#include <algorithm>
#include <cstdio>
#include <new>
#include <utility>

#include "client/leader_search.hpp"

namespace dqc::client {

namespace {

constexpr size_t kRowsMax = 100;
constexpr size_t kCauseMax = 256;
constexpr size_t kMessageMax = 1024;

std::string Span(uint64_t us) {
  char text[32];
  if (us < 1000) return "<1 ms";
  if (us < 1'000'000) {
    std::snprintf(text, sizeof text, "%u ms", static_cast<unsigned>(us / 1000));
  } else {
    std::snprintf(text, sizeof text, "%.1f s", static_cast<double>(us) / 1e6);
  }
  return text;
}

std::string Line(const Attempt& row) {
  std::string line = row.address + " " + PhaseName(row.phase) + ": " + row.cause;
  if (row.code != Code::kConfig) {
    line += " (" + Span(static_cast<uint64_t>(row.elapsed_us)) + ")";
  }
  return line;
}

bool Unreached(const Attempt& row) {
  return row.phase == Phase::kResolve || row.phase == Phase::kConnect;
}

}  // namespace

void LeaderSearch::Note(const Try& from, Phase phase, Code code, const std::string& leader,
                        const std::string& cause) noexcept {
  try {
    Attempt row;
    row.address = from.address;
    row.leader = leader;
    row.cause = cause.substr(0, kCauseMax);
    if (code == Code::kNotLeader) {
      row.cause = leader.empty() ? "knows of no leader" : "follows " + leader.substr(0, kCauseMax);
    }
    row.phase = phase;
    row.code = code;
    row.elapsed_us = static_cast<int64_t>(now_ - from.since);
    for (Attempt& known : rows_) {
      if (known.address != row.address) continue;
      known = std::move(row);
      return;
    }
    if (rows_.size() < kRowsMax) rows_.push_back(std::move(row));
  } catch (const std::bad_alloc&) {
    // A row less.
  }
}

void LeaderSearch::NoteFailure(const Try& from, const Status& status) noexcept {
  try {
    const ErrorInfo* info = status.info();
    if (info == nullptr) return Note(from, Phase::kConnect, Code::kConnect, "", "failed");
    std::string cause = info->message.empty() ? info->line : info->message;
    // The row begins with the address: "cannot connect to node 10.0.0.1:9001: refused".
    const size_t at = cause.find(from.address + ": ");
    if (at != std::string::npos) cause.erase(0, at + from.address.size() + 2);
    Note(from, info->phase == Phase::kNone ? Phase::kConnect : info->phase, info->code, "", cause);
  } catch (const std::bad_alloc&) {
    // A row less.
  }
}

std::vector<Attempt> LeaderSearch::Explain() const {
  std::vector<Attempt> rows = rows_;
  for (const Try& attempt : attempts_) {
    if (attempt.state != Try::State::kDialling || rows.size() >= kRowsMax) continue;
    const auto same = [&](const Attempt& row) { return row.address == attempt.address; };
    if (std::any_of(rows.begin(), rows.end(), same)) continue;
    Attempt row;
    row.address = attempt.address;
    row.cause = "no answer";
    row.phase = host_->Reached(attempt.id);
    row.code = Code::kTimeout;
    row.elapsed_us = static_cast<int64_t>(now_ - attempt.since);
    rows.push_back(std::move(row));
  }
  return rows;
}

// What all nodes have in common; a timeout where they have nothing.
Code LeaderSearch::LateCode(const std::vector<Attempt>& rows) const {
  size_t dialled = 0;
  size_t following = 0;
  size_t unreached = 0;
  size_t no_memory = 0;
  for (const Attempt& row : rows) {
    if (row.code == Code::kConfig) continue;
    ++dialled;
    if (row.code == Code::kNoMemory) ++no_memory;
    if (row.code == Code::kNotLeader) ++following;
    if (Unreached(row) && row.cause != "no answer") ++unreached;
  }
  if (dialled == 0) return rows.empty() && !places_.empty() ? Code::kTimeout : Code::kConfig;
  if (no_memory == dialled) return Code::kNoMemory;
  if (following == dialled) return Code::kNotLeader;
  return unreached == dialled ? Code::kConnect : Code::kTimeout;
}

Status LeaderSearch::Failure(Time waited_us) const noexcept {
  try {
    ErrorInfo info;
    info.attempts = Explain();
    info.code = LateCode(info.attempts);
    info.phase = Phase::kLeader;
    info.message = "no leader found within " + Span(waited_us);
    if (info.attempts.empty()) {
      info.message += places_.empty() ? ": no node is known" : ": no node was tried";
      return Status::Make(info);
    }
    const size_t count = info.attempts.size();
    info.message += ": " + std::to_string(count) + (count == 1 ? " node tried" : " nodes tried");
    const char* separator = ": ";
    for (size_t i = 0; i < count; ++i) {
      const std::string line = Line(info.attempts[i]);
      if (i > 0 && info.message.size() + line.size() > kMessageMax) {
        info.message += separator + ("and " + std::to_string(count - i)) + " more";
        break;
      }
      info.message += separator + line;
      separator = "; ";
    }
    return Status::Make(info);
  } catch (const std::bad_alloc&) {
    return Status::OutOfMemory();
  }
}

Status LeaderSearch::WithTable(const Status& status) const noexcept {
  try {
    if (status.ok()) return WithTable(Status::Make(Code::kServer, "the leader refuses us"));
    ErrorInfo info(*status.info());
    info.attempts = Explain();
    return Status::Make(info);
  } catch (const std::bad_alloc&) {
    return Status::OutOfMemory();
  }
}

}  // namespace dqc::client
