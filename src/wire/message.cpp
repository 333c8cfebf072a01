/* SPDX-License-Identifier: MIT */
#include "wire/message.hpp"

#include <cstring>
#include <string>
#include <utility>

#include "wire/endian.hpp"
#include "wire/fields.hpp"

namespace dqc::wire {
namespace {

constexpr Limits kDefaultLimits;

template <typename M>
struct Meta;
#define DQC_X(Name, number, schema_max, reply)        \
  template <>                                         \
  struct Meta<request::Name> {                        \
    static constexpr const char* kName = #Name;       \
    static constexpr uint8_t kType = number;          \
    static constexpr uint8_t kSchemaMax = schema_max; \
  };
DQC_WIRE_REQUESTS(DQC_X)
#undef DQC_X
#define DQC_X(Name, number, schema_max)               \
  template <>                                         \
  struct Meta<response::Name> {                       \
    static constexpr const char* kName = #Name;       \
    static constexpr uint8_t kType = number;          \
    static constexpr uint8_t kSchemaMax = schema_max; \
  };
DQC_WIRE_RESPONSES(DQC_X)
#undef DQC_X

Status Error(Code code, const char* message, const char* field, const char* why) {
  std::string text(message);
  text.append(": ").append(field).append(": ").append(why);
  return Status::Make(code, text);
}

Status UnknownNumber(const char* message, const char* field, uint8_t number) {
  std::string text(message);
  text.append(": unknown ").append(field).append(" ").append(std::to_string(number));
  return Status::Make(Code::kProtocol, text);
}

// Visitor that writes. Its first complaint about the message sticks; what follows is discarded by
// Encode().
class Encoder {
 public:
  Encoder(Bytes& out, const char* message, uint8_t schema)
      : w_(out), message_(message), schema_(schema) {}

  Writer& writer() { return w_; }
  const Status& status() const { return status_; }
  uint8_t schema() const { return schema_; }
  const Limits& limits() const { return kDefaultLimits; }  // bounds are for what is received

  void U32(const char*, uint32_t v) { w_.U32(v); }
  void U64(const char*, uint64_t v) { w_.U64(v); }
  void Reserved32() { w_.U32(0); }
  void Text(const char* field, std::string_view text) {
    if (text.find('\0') != std::string_view::npos) return Refuse(field, "text holds a NUL");
    w_.Text(text);
  }
  void Address(std::string_view address) { Text("address", address); }
  void FileName(std::string_view name) { Text("file name", name); }
  void ErrorText(std::string_view text) { Text("message", text); }

  // What only a decoder has to find out.
  void Tail() {}
  void EndsHere(bool) {}
  void LegacyLeader(bool) {}
  void ServersWithRoles(bool) {}

  void Params(wire::Params values) {
    if (schema_ == 0 && values.size() > kParamsMaxV0) {
      return Refuse("params", "schema 0 holds 255 values");
    }
    if (values.size() > UINT32_MAX) return Refuse("params", "too many values");
    for (const Value& value : values) {
      if (value.tag == Tag::kUnixTime) return Refuse("params", "servers refuse UNIXTIME");
      CheckText("params", value);
    }
    if (status_.ok()) EncodeParams(w_, values, schema_);
  }

  template <typename T, typename EachField>
  void List(const char*, const std::vector<T>& list, uint32_t, const char*, size_t,
            EachField each) {
    w_.U64(list.size());
    for (const T& entry : list) each(entry);
  }

  void Content(std::string_view content) {
    // There is no padding behind it, so anything else would shift the next file (section 6.4).
    if (content.size() % kWord != 0) return Refuse("file content", "not whole words");
    w_.U64(content.size());
    w_.Raw(content.data(), content.size());
  }

  void Rows(const response::Rows& m) {
    const size_t columns = m.columns.size();
    if (columns == 0 ? m.row_count != 0 || !m.cells.empty()
                     : m.cells.size() % columns != 0 || m.cells.size() / columns != m.row_count) {
      return Refuse("cells", "not columns times rows");
    }
    for (const std::string_view name : m.columns) {
      if (name.find('\0') != std::string_view::npos)
        return Refuse("column name", "text holds a NUL");
    }
    for (const Value& cell : m.cells) CheckText("cells", cell);
    if (!status_.ok()) return;
    EncodeColumns(w_, m.columns);
    for (size_t i = 0; i < m.cells.size(); i += columns) EncodeRow(w_, &m.cells[i], columns);
    EncodeEnd(w_, m.end);
  }

 private:
  void Refuse(const char* field, const char* why) {
    if (status_.ok()) status_ = Error(Code::kMisuse, message_, field, why);
  }

  void CheckText(const char* field, const Value& value) {
    if (!IsCellTag(static_cast<uint8_t>(value.tag))) return Refuse(field, "unknown tag");
    if (value.tag != Tag::kText && value.tag != Tag::kIso8601) return;
    if (value.size > kMessageBytesMax)
      return;  // saturated: not all there, and refused by the writer
    if (value.bytes().find('\0') != std::string_view::npos) Refuse(field, "text holds a NUL");
  }

  Writer w_;
  const char* message_;
  uint8_t schema_;
  Status status_;
};

// Cuts text to `bytes_max`, but not through the middle of a UTF-8 sequence.
std::string_view CutText(std::string_view text, size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  size_t size = bytes_max;
  while (size > 0 && (static_cast<uint8_t>(text[size]) & 0xc0) == 0x80) --size;
  // Not UTF-8 at all: cut where we were told to.
  return text.substr(0, bytes_max - size > 3 ? bytes_max : size);
}

// Visitor that reads; errors stick in the reader.
class Decoder {
 public:
  Decoder(Reader& r, uint8_t schema, const DecodeContext& context)
      : r_(r), schema_(schema), context_(context) {}

  uint8_t schema() const { return schema_; }
  const Limits& limits() const {
    return context_.limits != nullptr ? *context_.limits : kDefaultLimits;
  }

  void U32(const char* field, uint32_t& v) { v = r_.U32(field); }
  void U64(const char* field, uint64_t& v) { v = r_.U64(field); }
  void Reserved32() { r_.U32("reserved"); }
  void Text(const char* field, std::string_view& text) { text = r_.Text(field); }
  void Address(std::string_view& address) {
    address = r_.Text("address", limits().address_bytes, kAddressTooLong);
  }
  void FileName(std::string_view& name) {
    name = r_.Text("file name", limits().file_name_bytes, kFileNameTooLong);
  }
  void ErrorText(std::string_view& text) {
    text = CutText(r_.Text("message"), limits().error_text_bytes);
  }

  // Moves to the code word of a FAILURE. The message is the text whose padding ends the body; so it
  // starts behind the last word that holds a NUL, other than the very last word, and the code is
  // that word (it has zero bytes on top).
  void Tail() {
    const size_t size = r_.remaining();
    if (size % kWord != 0) return r_.Fail("body", "not whole words");
    if (size < 2 * kWord) return r_.Fail("code", "truncated");
    const uint8_t* last = r_.cursor() + size - kWord;
    if (std::memchr(last, 0, kWord) == nullptr) {
      return r_.FailAt(r_.offset() + size - kWord, "message", "unterminated text");
    }
    size_t code_at = size - 2 * kWord;
    while (code_at > 0 && std::memchr(r_.cursor() + code_at, 0, kWord) == nullptr) code_at -= kWord;
    r_.Skip(code_at);
  }
  void EndsHere(bool& ends) { ends = r_.ok() && r_.remaining() == 0; }
  void LegacyLeader(bool& legacy) { legacy = context_.legacy_leader; }
  void ServersWithRoles(bool& with_roles) { with_roles = context_.servers_with_roles; }

  void Params(wire::Params& values) {
    if (context_.params == nullptr) return r_.Fail("params", "no storage given");
    DecodeParams(r_, schema_, limits().params, *context_.params);
    values = *context_.params;
  }

  template <typename T, typename EachField>
  void List(const char* field, std::vector<T>& list, uint32_t count_max, const char* too_many,
            size_t entry_bytes_min, EachField each) {
    const size_t count_at = r_.offset();
    const uint64_t count = r_.U64(field);
    if (count > count_max) r_.FailAt(count_at, field, too_many, Code::kLimit);
    if (count > r_.remaining() / entry_bytes_min) {
      r_.FailAt(count_at, field, "larger than the body");
    }
    if (!r_.ok()) return;
    list.reserve(static_cast<size_t>(count));
    for (uint64_t i = 0; i < count && r_.ok(); ++i) each(list.emplace_back());
  }

  void Content(std::string_view& content) {
    const size_t length_at = r_.offset();
    const uint64_t length = r_.U64("file length");
    if (length > r_.remaining()) r_.FailAt(length_at, "file length", "beyond the end");
    if (length % kWord != 0) r_.FailAt(length_at, "file length", "not whole words");
    if (r_.ok()) content = r_.Bytes("file content", static_cast<size_t>(length));
  }

  void Rows(response::Rows& m) {
    DecodeColumns(r_, limits(), m.columns);
    m.end = DecodeRows(r_, m.columns.size(), limits().rows, m.cells, &m.row_count);
  }

 private:
  Reader& r_;
  uint8_t schema_;
  const DecodeContext& context_;
};

// Takes the frame back unless it was completed.
class FrameGuard {
 public:
  explicit FrameGuard(Bytes& out) : out_(out), size_(out.size()) {}
  FrameGuard(const FrameGuard&) = delete;
  FrameGuard& operator=(const FrameGuard&) = delete;
  ~FrameGuard() {
    if (!keep_) out_.resize(size_);
  }
  void Keep() { keep_ = true; }

 private:
  Bytes& out_;
  const size_t size_;
  bool keep_ = false;
};

template <typename Variant>
Status EncodeVariant(const Variant& variant, uint8_t schema, Bytes& out) {
  return std::visit(
      [&](const auto& m) -> Status {
        if constexpr (std::is_same_v<std::remove_cvref_t<decltype(m)>, std::monostate>) {
          return Status::Make(Code::kMisuse, "no message to encode");
        } else {
          return Encode(m, schema, out);
        }
      },
      variant);
}

template <typename Variant, typename M>
Result<Variant> DecodeInto(const Header& header, const uint8_t* body,
                           const DecodeContext& context) {
  Result<M> result = DecodeBody<M>(header, body, context);
  if (!result.ok()) return result.status();
  return Variant(std::move(*result));
}

}  // namespace

template <typename M>
Status Encode(const M& message, uint8_t schema, Bytes& out) {
  using Info = Meta<M>;
  if (schema > Info::kSchemaMax) {
    return Error(Code::kMisuse, Info::kName, "schema", "not defined");
  }
  FrameGuard guard(out);
  Encoder encoder(out, Info::kName, schema);
  encoder.writer().Begin(Info::kType, schema);
  Fields(encoder, message);
  if (!encoder.status().ok()) return encoder.status();
  if (!encoder.writer().End()) {
    return Error(Code::kLimit, Info::kName, "body", "larger than any server accepts");
  }
  guard.Keep();
  return Status();
}

template <typename M>
Result<M> DecodeBody(const Header& header, const uint8_t* body, const DecodeContext& context) {
  using Info = Meta<M>;
  if (header.type != Info::kType) return UnknownNumber(Info::kName, "type", header.type);
  if (header.schema > Info::kSchemaMax) return UnknownNumber(Info::kName, "schema", header.schema);
  if (header.body_bytes > kMessageBytesMax) {
    return Error(Code::kLimit, Info::kName, "body", "larger than any frame");
  }
  Reader r(body, static_cast<size_t>(header.body_bytes));
  Decoder decoder(r, header.schema, context);
  M m{};
  Fields(decoder, m);
  r.ExpectEnd();
  if (!r.ok()) return r.status(Info::kName);
  return m;
}

#define DQC_X(Name, number, schema, reply)                                                \
  template Status Encode<request::Name>(const request::Name&, uint8_t, Bytes&);           \
  template Result<request::Name> DecodeBody<request::Name>(const Header&, const uint8_t*, \
                                                           const DecodeContext&);
DQC_WIRE_REQUESTS(DQC_X)
#undef DQC_X
#define DQC_X(Name, number, schema)                                                         \
  template Status Encode<response::Name>(const response::Name&, uint8_t, Bytes&);           \
  template Result<response::Name> DecodeBody<response::Name>(const Header&, const uint8_t*, \
                                                             const DecodeContext&);
DQC_WIRE_RESPONSES(DQC_X)
#undef DQC_X

Status EncodeAny(const Request& request, uint8_t schema, Bytes& out) {
  return EncodeVariant(request, schema, out);
}

Status EncodeAny(const Response& response, uint8_t schema, Bytes& out) {
  return EncodeVariant(response, schema, out);
}

Result<Request> DecodeRequest(const Header& header, const uint8_t* body,
                              const DecodeContext& context) {
  switch (header.type) {
#define DQC_X(Name, number, schema, reply) \
  case number:                             \
    return DecodeInto<Request, request::Name>(header, body, context);
    DQC_WIRE_REQUESTS(DQC_X)
#undef DQC_X
    default:
      return UnknownNumber("request", "type", header.type);
  }
}

Result<Response> DecodeResponse(const Header& header, const uint8_t* body,
                                const DecodeContext& context) {
  switch (header.type) {
#define DQC_X(Name, number, schema) \
  case number:                      \
    return DecodeInto<Response, response::Name>(header, body, context);
    DQC_WIRE_RESPONSES(DQC_X)
#undef DQC_X
    default:
      return UnknownNumber("response", "type", header.type);
  }
}

Result<response::Failure> DecodeFailure(const uint8_t* body, size_t size, const Limits& limits) {
  DecodeContext context;
  context.limits = &limits;
  Header header;
  header.body_bytes = size;
  header.type = static_cast<uint8_t>(ResponseType::kFailure);
  return DecodeBody<response::Failure>(header, body, context);
}

}  // namespace dqc::wire
