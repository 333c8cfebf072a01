/* SPDX-License-Identifier: MIT */
#include "faults/history.hpp"

#include <algorithm>
#include <chrono>
#include <iostream>

namespace dqc::faults {

Us Now() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

const char* KindName(Kind kind) {
  static constexpr const char* kNames[] = {"insert",
                                           "insert alone",
                                           "insert returning",
                                           "insert prepared",
                                           "insert marked",
                                           "insert blocking",
                                           "script",
                                           "two inserts",
                                           "counter",
                                           "transfer",
                                           "append",
                                           "sum",
                                           "read",
                                           "strong read",
                                           "lease",
                                           "statement"};
  static_assert(std::size(kNames) == static_cast<size_t>(Kind::kCount));
  return kNames[static_cast<size_t>(kind)];
}

const char* OutcomeName(Outcome outcome) {
  static constexpr const char* kNames[] = {"open",     "refused", "ok",
                                           "executed", "maybe",   "not executed"};
  static_assert(std::size(kNames) == static_cast<size_t>(Outcome::kCount));
  return kNames[static_cast<size_t>(outcome)];
}

std::string Op::Text() const {
  std::string text = std::string(KindName(kind)) + " " + std::to_string(id) + " (key " +
                     std::to_string(key) + ", value " + std::to_string(value) +
                     "), told: " + OutcomeName(outcome);
  text += ", submitted at " + std::to_string(submitted / 1000) + " ms, took " +
          std::to_string((ended - submitted) / 1000) + " ms";
  if (deadline != kNever) {
    text += ", deadline after " + std::to_string((deadline - submitted) / 1000) + " ms";
  }
  if (cancelled) text += ", cancelled";
  if (!message.empty()) text += ": " + message;
  return text;
}

void Violations::Add(const std::string& kind, const std::string& what) {
  static constexpr size_t kShown = 10;  // of each kind
  const std::lock_guard<std::mutex> lock(mutex_);
  ++count_;
  const size_t count = ++by_kind_[kind];
  if (count <= kShown) std::cout << "VIOLATION: " << kind << ": " << what << std::endl;
}

std::map<std::string, size_t> Violations::ByKind() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return by_kind_;
}

size_t FaultLog::Begin(const std::string& kind) {
  const std::lock_guard<std::mutex> lock(mutex_);
  windows_.push_back({kind, Now(), kNever});
  return windows_.size() - 1;
}

void FaultLog::End(size_t index) {
  const std::lock_guard<std::mutex> lock(mutex_);
  windows_[index].to = Now();
}

void FaultLog::Add(const std::string& kind, Us from, Us to) {
  const std::lock_guard<std::mutex> lock(mutex_);
  windows_.push_back({kind, from, to});
}

bool FaultLog::Overlaps(Us from, Us to) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return std::any_of(windows_.begin(), windows_.end(), [=](const Window& w) {
    return w.from <= to && (w.to == kNever || w.to + kGrace >= from);
  });
}

Us FaultLog::Free(Us from, Us to) const {
  constexpr Us kStep = Ms(50);
  Us free = 0;
  for (; from < to; from += kStep) free += Overlaps(from, from) ? 0 : kStep;
  return free;
}

void FaultLog::AddStall(Us from, Us to) {
  const std::lock_guard<std::mutex> lock(mutex_);
  stalls_.push_back({"", from, to});
}

Us FaultLog::Stalled(Us from, Us to) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  Us sum = 0;
  for (const Window& w : stalls_)
    sum += std::max<Us>(0, std::min(w.to, to) - std::max(w.from, from));
  return sum;
}

std::map<std::string, size_t> FaultLog::ByKind() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::map<std::string, size_t> kinds;
  for (const Window& w : windows_) ++kinds[w.kind];
  return kinds;
}

const char* PlantName(Plant plant) {
  static constexpr const char* kNames[] = {
      "none",       "lost-write",     "double-write",  "denied",   "lost-event",   "double-event",
      "late-event", "baseless-maybe", "torn-transfer", "list-gap", "back-in-time", "stale-read"};
  static_assert(std::size(kNames) == static_cast<size_t>(Plant::kCount));
  return kNames[static_cast<size_t>(plant)];
}

const char* PlantFinding(Plant plant) {
  static constexpr const char* kNames[] = {
      "",           "lost write",   "double write", "denied write",
      "lost event", "double event", "late event",   "baseless maybe",
      "torn sum",   "list",         "back in time", "stale strong read"};
  static_assert(std::size(kNames) == static_cast<size_t>(Plant::kCount));
  return kNames[static_cast<size_t>(plant)];
}

}  // namespace dqc::faults
