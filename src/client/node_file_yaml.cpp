/* SPDX-License-Identifier: MIT */
// The reading side of cluster.yaml, over libyaml's events. Two levels of a fixed shape are taken and
// everything else ends it at its first event, so that nothing is ever nested, expanded or repeated.
#include "client/node_file.hpp"

#ifdef DQC_WITH_YAML
#include <yaml.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "client/config_text.hpp"
#include "client/node_list.hpp"

namespace dqc::client {
namespace {

constexpr size_t kNameShown = 1024;

class Event {
 public:
  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { yaml_event_delete(&event_); }

  yaml_event_t* Clear() {
    yaml_event_delete(&event_);
    return &event_;
  }
  yaml_event_type_t type() const { return event_.type; }
  const yaml_mark_t& mark() const { return event_.start_mark; }
  std::string_view scalar() const {
    return {reinterpret_cast<const char*>(event_.data.scalar.value), event_.data.scalar.length};
  }
  bool plain() const { return event_.data.scalar.style == YAML_PLAIN_SCALAR_STYLE; }

  // Anchor or tag of what this event begins.
  bool decorated() const {
    switch (event_.type) {
      case YAML_SCALAR_EVENT:
        return event_.data.scalar.anchor != nullptr || event_.data.scalar.tag != nullptr;
      case YAML_SEQUENCE_START_EVENT:
        return event_.data.sequence_start.anchor != nullptr ||
               event_.data.sequence_start.tag != nullptr;
      case YAML_MAPPING_START_EVENT:
        return event_.data.mapping_start.anchor != nullptr ||
               event_.data.mapping_start.tag != nullptr;
      default:
        return false;
    }
  }

 private:
  yaml_event_t event_{};
};

class Yaml {
 public:
  Yaml() = default;
  Yaml(const Yaml&) = delete;
  Yaml& operator=(const Yaml&) = delete;
  ~Yaml() {
    if (made_) yaml_parser_delete(&parser_);
  }

  Status Open(std::string_view text) {
    if (yaml_parser_initialize(&parser_) == 0) return Status::OutOfMemory();
    made_ = true;
    yaml_parser_set_encoding(&parser_, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()),
                                 text.size());
    return Status();
  }
  bool Next(Event& event) { return yaml_parser_parse(&parser_, event.Clear()) != 0; }
  const yaml_parser_t& parser() const { return parser_; }

 private:
  yaml_parser_t parser_{};
  bool made_ = false;
};

enum Field : size_t { kId, kAddress, kRole, kFields };
constexpr std::string_view kFieldNames[kFields] = {"ID", "Address", "Role"};

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 32) : c; }

bool SameLetters(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return Lower(x) == Lower(y); });
}

std::optional<Role> ParseRole(std::string_view text) {
  if (text == "0" || SameLetters(text, "voter")) return Role::kVoter;
  if (text == "1" || SameLetters(text, "standby") || SameLetters(text, "stand-by")) {
    return Role::kStandby;
  }
  if (text == "2" || SameLetters(text, "spare")) return Role::kSpare;
  return std::nullopt;
}

// Digits only and no zero before them, which YAML 1.1 takes for octal.
std::optional<uint64_t> ParseId(std::string_view text) {
  uint64_t id = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, id);
  if (error != std::errc() || stop != end || (text[0] == '0' && text.size() > 1)) {
    return std::nullopt;
  }
  return id;
}

class NodeFileParser {
 public:
  NodeFileParser(std::string_view text, const std::string& name) : text_(text), name_(name) {
    // libyaml counts a byte order mark as a column, which shifts the first line's indentation.
    if (text_.starts_with("\xef\xbb\xbf")) text_.remove_prefix(3);
  }

  Result<Nodes> Parse() {
    if (text_.size() > kNodeFileBytesMax) {
      return ConfigError("node file " + Quoted(name_, kNameShown) + ": " +
                         std::to_string(text_.size()) + " bytes, more than 1 MiB");
    }
    const Status status = ParseStream();
    if (!status.ok()) return status;
    return list_.Take();
  }

 private:
  Status At(const yaml_mark_t& mark, std::string_view what) const {
    return ConfigError("node file " + Quoted(name_, kNameShown) + ", line " +
                       std::to_string(mark.line + 1) + ", column " +
                       std::to_string(mark.column + 1) + ": " + std::string(what));
  }
  Status Here(std::string_view what) const { return At(event_.mark(), what); }

  // The next event, where it is one that a list of nodes can have.
  Status Next() {
    if (!yaml_.Next(event_)) return SyntaxError();
    if (event_.type() == YAML_ALIAS_EVENT) return Here("aliases ('*') are not accepted");
    if (event_.decorated()) return Here("tags ('!') and anchors ('&') are not accepted");
    return Status();
  }

  Status SyntaxError() const {
    const yaml_parser_t& parser = yaml_.parser();
    if (parser.error == YAML_MEMORY_ERROR) return Status::OutOfMemory();
    const char* const problem = parser.problem != nullptr ? parser.problem : "unknown problem";
    if (parser.error != YAML_READER_ERROR) {
      return At(parser.problem_mark, std::string("this is not YAML: ") + problem);
    }
    // The reader runs ahead of what was parsed and knows only the byte.
    return AtByte(parser.problem_offset, std::string("this is not text in UTF-8: ") + problem);
  }

  Status AtByte(size_t offset, std::string_view what) const {
    const std::string_view before = text_.substr(0, std::min(offset, text_.size()));
    yaml_mark_t mark{};
    mark.line = static_cast<size_t>(std::count(before.begin(), before.end(), '\n'));
    mark.column = before.size() - (before.rfind('\n') + 1);
    return At(mark, what);
  }

  // libyaml compares each of these with all before it: a file of nothing else takes it half a
  // minute. A byte of 0x80 or more may be the end of one of its other line breaks.
  Status RefuseTagDirectives() const {
    for (size_t at = text_.find("%TAG"); at != std::string_view::npos;
         at = text_.find("%TAG", at + 1)) {
      const char before = at == 0 ? '\n' : text_[at - 1];
      if (before == '\n' || before == '\r' || static_cast<unsigned char>(before) >= 0x80) {
        return AtByte(at, "%TAG directives are not accepted");
      }
    }
    return Status();
  }

  Status ParseStream() {
    DQC_TRY(RefuseTagDirectives());
    DQC_TRY(yaml_.Open(text_));
    DQC_TRY(Next());  // the stream's start
    DQC_TRY(Next());
    if (event_.type() == YAML_STREAM_END_EVENT) return Status();
    DQC_TRY(Next());  // behind the document's start
    if (event_.type() == YAML_SEQUENCE_START_EVENT) {
      DQC_TRY(ParseList());
    } else if (event_.type() != YAML_SCALAR_EVENT || !IsNull()) {
      return Here(
          "a list of nodes was expected, each as \"- ID: 1\", \"Address: host:9001\" and "
          "\"Role: 0\" on lines of their own");
    }
    DQC_TRY(Next());  // the document's end
    DQC_TRY(Next());
    if (event_.type() == YAML_STREAM_END_EVENT) return Status();
    return Here("a second document begins; only one is accepted");
  }

  bool IsNull() const {
    const std::string_view text = event_.scalar();
    return event_.plain() && (text.empty() || text == "~" || text == "null");
  }

  Status ParseList() {
    for (;;) {
      DQC_TRY(Next());
      if (event_.type() == YAML_SEQUENCE_END_EVENT) return Status();
      if (event_.type() != YAML_MAPPING_START_EVENT) {
        return Here("a node was expected, with the keys ID, Address and Role");
      }
      DQC_TRY(ParseNode());
    }
  }

  Status ParseNode() {
    const yaml_mark_t start = event_.mark();
    yaml_mark_t address_at{};
    bool seen[kFields] = {};
    Node node;
    for (;;) {
      DQC_TRY(Next());
      if (event_.type() == YAML_MAPPING_END_EVENT) break;
      size_t field = 0;
      DQC_TRY(ParseKey(field));
      if (seen[field]) return Here("the key " + Quoted(event_.scalar()) + " is there twice");
      seen[field] = true;
      DQC_TRY(Next());
      if (field == kAddress) address_at = event_.mark();
      DQC_TRY(ParseField(field, node));
    }
    if (!seen[kAddress]) return At(start, "this node has no Address (write Address: host:9001)");
    const Status added = list_.Add(std::move(node));
    return added.ok() ? added : At(address_at, added.message());
  }

  Status ParseKey(size_t& field) const {
    if (event_.type() == YAML_SCALAR_EVENT) {
      for (field = 0; field < kFields; ++field) {
        if (SameLetters(event_.scalar(), kFieldNames[field])) return Status();
      }
      return Here("unknown key " + Quoted(event_.scalar()) + " (use ID, Address and Role)");
    }
    return Here("a key was expected (ID, Address or Role)");
  }

  Status ParseField(size_t field, Node& node) const {
    if (event_.type() != YAML_SCALAR_EVENT) {
      return Here(std::string(kFieldNames[field]) + " takes one value, not a list or a map");
    }
    const std::string_view text = event_.scalar();
    switch (field) {
      case kAddress:
        node.address = text;
        return Status();
      case kId: {
        const std::optional<uint64_t> id = ParseId(text);
        if (!id) {
          return Here("ID " + Quoted(text) +
                      " is not a whole decimal number from 0 to 18446744073709551615");
        }
        node.id = *id;
        return Status();
      }
      default: {
        const std::optional<Role> role = ParseRole(text);
        if (!role) {
          return Here("Role " + Quoted(text) +
                      " is not known (use 0 or voter, 1 or stand-by, 2 or spare)");
        }
        node.role = *role;
        return Status();
      }
    }
  }

  std::string_view text_;
  const std::string& name_;
  Yaml yaml_;
  Event event_;
  NodeList list_;
};

}  // namespace

Status NodeFilesSupported() { return Status(); }

Result<Nodes> ParseNodes(std::string_view text, const std::string& name) {
  return NodeFileParser(text, name).Parse();
}

}  // namespace dqc::client

#else

namespace dqc::client {

Status NodeFilesSupported() {
  return Status::Make(Code::kUnsupported,
                      "this library was built without libyaml (DQC_WITH_YAML=OFF), so it reads and "
                      "writes no node files")
      .With(Phase::kConfig);
}

Result<Nodes> ParseNodes(std::string_view, const std::string&) { return NodeFilesSupported(); }

}  // namespace dqc::client

#endif
