/* SPDX-License-Identifier: MIT */
// Administrative requests and their answers as C++ types. Include <dqclient/dqclient.hpp>.
#pragma once

#include <dqclient/detail/batch.hpp>

namespace dqc {
inline namespace DQC_CPP_NAMESPACE {

enum class role : int32_t {
  voter = DQC_ROLE_VOTER,
  standby = DQC_ROLE_STANDBY,
  spare = DQC_ROLE_SPARE
};

/** A node of the cluster. The leader's role is not told: it is `voter`. Id 0 and no address: no leader known. */
struct node_info {
  uint64_t id = 0;
  std::string address;
  dqc::role role = dqc::role::voter;
};

/** What a node says of itself. */
struct node_description {
  uint64_t failure_domain = 0;
  uint64_t weight = 0;
};

/** A file of a database dump. */
struct database_file {
  std::string name;
  std::vector<std::byte> content;
};

/** One administrative request; strings are borrowed for the time of the call. */
struct admin_request {
  int32_t verb = 0; /**< DQC_ADMIN_ */
  uint64_t node_id = 0;
  uint64_t value = 0;
  std::string text = {};

  // `node`: the one to ask, of a client; else the leader, or the node connected to.
  static admin_request leader(std::string_view node = {}) {
    return {DQC_ADMIN_LEADER, 0, 0, std::string(node)};
  }
  static admin_request cluster(std::string_view node = {}) {
    return {DQC_ADMIN_CLUSTER, 0, 0, std::string(node)};
  }
  static admin_request add(uint64_t id, std::string_view address) {
    return {DQC_ADMIN_ADD, id, 0, std::string(address)};
  }
  static admin_request assign(uint64_t id, dqc::role role) {
    return {DQC_ADMIN_ASSIGN, id, static_cast<uint64_t>(role)};
  }
  static admin_request join(uint64_t id, std::string_view address, dqc::role role) {
    return {DQC_ADMIN_JOIN, id, static_cast<uint64_t>(role), std::string(address)};
  }
  static admin_request remove(uint64_t id) { return {DQC_ADMIN_REMOVE, id}; }
  static admin_request transfer(uint64_t id) { return {DQC_ADMIN_TRANSFER, id}; }
  static admin_request describe(std::string_view node = {}) {
    return {DQC_ADMIN_DESCRIBE, 0, 0, std::string(node)};
  }
  static admin_request weight(uint64_t weight, std::string_view node = {}) {
    return {DQC_ADMIN_WEIGHT, 0, weight, std::string(node)};
  }
  static admin_request delete_database() { return {DQC_ADMIN_DELETE_DATABASE}; }
  static admin_request dump(std::string_view database) {
    return {DQC_ADMIN_DUMP, 0, 0, std::string(database)};
  }

  dqc_admin raw() const& noexcept {
    return {static_cast<uint32_t>(sizeof(dqc_admin)), verb, node_id, value,
            text.empty() ? nullptr : text.c_str()};
  }
};

namespace detail {

// Ids are unsigned and come bit by bit in signed cells.
inline result<uint64_t> read_id(row_view row, size_t column) {
  result<int64_t> bits = row.get<int64_t>(column);
  if (!bits.ok()) return bits.error();
  return static_cast<uint64_t>(*bits);
}

inline result<node_info> read_node(row_view row) {
  result<uint64_t> id = read_id(row, 0);
  if (!id.ok()) return id.error();
  result<std::string> address = row.get<std::string>(1);
  if (!address.ok()) return address.error();
  node_info node{*id, std::move(*address), role::voter};
  if (row.size() > 2) {
    result<int32_t> number = row.get<int32_t>(2);
    if (!number.ok()) return number.error();
    node.role = static_cast<role>(*number);
  }
  return node;
}

inline result<node_description> read_description(row_view row) {
  result<uint64_t> domain = read_id(row, 0);
  if (!domain.ok()) return domain.error();
  result<uint64_t> weight = read_id(row, 1);
  if (!weight.ok()) return weight.error();
  return node_description{*domain, *weight};
}

// Pieces come in order: a file starts where the offset is 0.
inline result<std::vector<database_file>> read_files(const result_set& set) {
  std::vector<database_file> files;
  for (row_view row : set) {
    auto piece = row.as<std::string_view, int64_t, int64_t, blob_view>();
    if (!piece.ok()) return piece.error();
    const auto& [name, size, offset, data] = *piece;
    static_cast<void>(size);
    if (offset == 0) files.push_back({std::string(name), {}});
    std::vector<std::byte>& content = files.back().content;
    content.insert(content.end(), data.begin(), data.end());
  }
  return files;
}

template <class T>
result<std::vector<T>> read_all(const result_set& set, result<T> (*read)(row_view)) {
  std::vector<T> list;
  for (row_view row : set) {
    result<T> item = read(row);
    if (!item.ok()) return item.error();
    list.push_back(std::move(*item));
  }
  return list;
}

template <class T>
result<T> read_one(const result_set& set, result<T> (*read)(row_view)) {
  if (set.empty()) return error::make(DQC_E_PROTOCOL, "the answer has no row");
  return read(set[0]);
}

// The answer to a request that expects a T.
template <class T>
struct admin_answer;
template <>
struct admin_answer<void> {
  static result<void> read(const result_set&) { return {}; }
};
template <>
struct admin_answer<node_info> {
  static result<node_info> read(const result_set& set) {
    return read_one<node_info>(set, read_node);
  }
};
template <>
struct admin_answer<std::vector<node_info>> {
  static auto read(const result_set& set) { return read_all<node_info>(set, read_node); }
};
template <>
struct admin_answer<node_description> {
  static auto read(const result_set& set) {
    return read_one<node_description>(set, read_description);
  }
};
template <>
struct admin_answer<std::vector<database_file>> {
  static auto read(const result_set& set) { return read_files(set); }
};

}  // namespace detail
}  // namespace DQC_CPP_NAMESPACE
}  // namespace dqc
