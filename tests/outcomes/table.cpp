/* SPDX-License-Identifier: MIT */
#include "outcomes/table.hpp"

#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <vector>

namespace dqc::outcomes {
namespace {

namespace fs = std::filesystem;
using Words = std::map<std::string, int32_t>;

const Words kCodes = {
    {"NOMEM", DQC_E_NOMEM},
    {"MISUSE", DQC_E_MISUSE},
    {"CLOSED", DQC_E_CLOSED},
    {"FORKED", DQC_E_FORKED},
    {"CANCELLED", DQC_E_CANCELLED},
    {"TIMEOUT", DQC_E_TIMEOUT},
    {"LIMIT", DQC_E_LIMIT},
    {"UNSUPPORTED", DQC_E_UNSUPPORTED},
    {"CONFIG", DQC_E_CONFIG},
    {"PARAMS", DQC_E_PARAMS},
    {"RESOLVE", DQC_E_RESOLVE},
    {"CONNECT", DQC_E_CONNECT},
    {"NETWORK", DQC_E_NETWORK},
    {"PROTOCOL", DQC_E_PROTOCOL},
    {"SQL", DQC_E_SQL},
    {"CONSTRAINT", DQC_E_CONSTRAINT},
    {"BUSY", DQC_E_BUSY},
    {"BUSY_SNAPSHOT", DQC_E_BUSY_SNAPSHOT},
    {"NOT_LEADER", DQC_E_NOT_LEADER},
    {"LEADERSHIP_LOST", DQC_E_LEADERSHIP_LOST},
    {"SESSION_LOST", DQC_E_SESSION_LOST},
    {"SERVER", DQC_E_SERVER},
};
const Words kClasses = {
    {"misuse", DQC_CLASS_MISUSE},   {"cancelled", DQC_CLASS_CANCELLED},
    {"timeout", DQC_CLASS_TIMEOUT}, {"limit", DQC_CLASS_LIMIT},
    {"network", DQC_CLASS_NETWORK}, {"protocol", DQC_CLASS_PROTOCOL},
    {"sql", DQC_CLASS_SQL},         {"constraint", DQC_CLASS_CONSTRAINT},
    {"busy", DQC_CLASS_BUSY},       {"leadership", DQC_CLASS_LEADERSHIP},
    {"server", DQC_CLASS_SERVER},
};
const Words kOutcomes = {{"not executed", DQC_OUTCOME_NOT_EXECUTED},
                         {"executed", DQC_OUTCOME_EXECUTED},
                         {"maybe", DQC_OUTCOME_MAYBE_EXECUTED}};
const Words kRetries = {
    {"never", DQC_RETRY_NEVER}, {"safe", DQC_RETRY_SAFE}, {"unknown", DQC_RETRY_UNKNOWN}};

std::string ReadFile(const fs::path& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<std::string> Cells(const std::string& line) {
  std::vector<std::string> cells;
  std::istringstream rest(line.substr(1));
  for (std::string cell; std::getline(rest, cell, '|');) {
    const size_t begin = cell.find_first_not_of(' ');
    const size_t end = cell.find_last_not_of(' ');
    cells.push_back(begin == std::string::npos ? "" : cell.substr(begin, end - begin + 1));
  }
  return cells;
}

int32_t Find(const Words& words, const std::string& word, const std::string& line) {
  const auto at = words.find(word);
  if (at == words.end()) throw std::runtime_error("'" + word + "' is unknown: " + line);
  return at->second;
}

std::string NameOf(const Words& words, int32_t value) {
  for (const auto& [name, v] : words) {
    if (v == value) return name;
  }
  return std::to_string(value);
}

std::map<std::string, Row> Parse(const std::string& text) {
  std::map<std::string, Row> rows;
  std::istringstream lines(text);
  bool inside = false;  // of a table of outcomes
  for (std::string line; std::getline(lines, line);) {
    const bool of_table = line.starts_with("| ");
    if (of_table && line.starts_with("| id |")) inside = true;
    if (!of_table) inside = false;
    if (!inside || !line.starts_with("| `")) continue;
    const std::vector<std::string> cells = Cells(line);
    if (cells.size() != 8) throw std::runtime_error("not 8 columns: " + line);
    const std::string id = cells[0].substr(1, cells[0].size() - 2);
    const Row row{cells[1],
                  Find(kCodes, cells[2], line),
                  Find(kClasses, cells[3], line),
                  Find(kOutcomes, cells[4], line),
                  Find(kRetries, cells[5], line),
                  cells[6],
                  cells[7]};
    if (!rows.emplace(id, row).second) throw std::runtime_error("twice: " + line);
  }
  return rows;
}

}  // namespace

const std::map<std::string, Row>& Table() {
  static const std::map<std::string, Row> table =
      Parse(ReadFile(fs::path(DQC_SOURCE_DIR) / "docs/outcomes.md"));
  return table;
}

std::set<std::string> IdsOfTests() {
  std::set<std::string> ids;
  const std::regex mark("Id\\(\"([^\"]*)\"\\)");
  for (const auto& entry : fs::directory_iterator(fs::path(DQC_SOURCE_DIR) / "tests/outcomes")) {
    if (!entry.path().filename().string().ends_with("_test.cpp")) continue;
    const std::string text = ReadFile(entry.path());
    for (std::sregex_iterator at(text.begin(), text.end(), mark), end; at != end; ++at)
      ids.insert((*at)[1]);
  }
  return ids;
}

testing::AssertionResult Is(const char* id, const live::Failure& failure) {
  const auto at = Table().find(id);
  if (at == Table().end()) return testing::AssertionFailure() << "no row '" << id << "'";
  const Row& row = at->second;
  if (failure.code == row.code && failure.error_class == row.error_class &&
      failure.outcome == row.outcome && failure.retry == row.retry) {
    return testing::AssertionSuccess();
  }
  return testing::AssertionFailure()
         << "row '" << id << "' does not say " << NameOf(kCodes, failure.code) << ", "
         << NameOf(kClasses, failure.error_class) << ", " << NameOf(kOutcomes, failure.outcome)
         << ", " << NameOf(kRetries, failure.retry) << ": " << failure.message;
}

}  // namespace dqc::outcomes
