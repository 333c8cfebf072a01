/* SPDX-License-Identifier: MIT */
// The layout of every message body, once: Fields() names the fields in wire order and a visitor
// reads or writes each of them (message.cpp has the two visitors). Offsets and meanings: sections 5
// and 6.
#pragma once

#include <concepts>
#include <type_traits>

#include "wire/message.hpp"

namespace dqc::wire {

// M, or const M when encoding.
template <typename T, typename M>
concept Is = std::same_as<std::remove_const_t<T>, M>;

// Smallest entries, so that a count can be bounded by the bytes that follow it.
inline constexpr size_t kServerEntryBytesMin = 16;  // 24 with a role
inline constexpr size_t kRoleBytes = 8;
inline constexpr size_t kFileEntryBytesMin = 16;

// What an error says of more than the limits.
inline constexpr const char* kTooManyNodes = "more than option \"max_nodes\"";
inline constexpr const char* kTooManyFiles = "more than option \"max_files\"";
inline constexpr const char* kFileNameTooLong = "longer than option \"max_file_name\"";
inline constexpr const char* kAddressTooLong = "longer than option \"max_address\"";

template <typename V, Is<request::Leader> M>
void Fields(V& v, M& m) {
  v.U64("unused", m.unused);
}

template <typename V, Is<request::Client> M>
void Fields(V& v, M& m) {
  v.U64("client id", m.id);
}

template <typename V, Is<request::Heartbeat> M>
void Fields(V& v, M& m) {
  v.U64("timestamp", m.timestamp);
}

template <typename V, Is<request::Open> M>
void Fields(V& v, M& m) {
  v.Text("database name", m.name);
  v.U64("flags", m.flags);
  v.Text("vfs", m.vfs);
}

template <typename V, Is<request::Prepare> M>
void Fields(V& v, M& m) {
  v.U64("db id", m.db);
  v.Text("sql", m.sql);
}

template <typename V, typename M>
requires Is<M, request::Exec> || Is<M, request::Query>
void Fields(V& v, M& m) {
  v.U32("db id", m.db);
  v.U32("statement id", m.stmt);
  v.Params(m.params);
}

template <typename V, Is<request::Finalize> M>
void Fields(V& v, M& m) {
  v.U32("db id", m.db);
  v.U32("statement id", m.stmt);
}

template <typename V, typename M>
requires Is<M, request::ExecSql> || Is<M, request::QuerySql>
void Fields(V& v, M& m) {
  v.U64("db id", m.db);
  v.Text("sql", m.sql);
  v.Params(m.params);
}

template <typename V, Is<request::Interrupt> M>
void Fields(V& v, M& m) {
  v.U64("db id", m.db);
}

template <typename V, typename M>
requires Is<M, request::Connect> || Is<M, request::Add>
void Fields(V& v, M& m) {
  v.U64("node id", m.id);
  v.Address(m.address);
}

template <typename V, Is<request::Assign> M>
void Fields(V& v, M& m) {
  v.U64("node id", m.id);
  v.EndsHere(m.legacy);
  if (!m.legacy) v.U64("role", m.role);
}

template <typename V, Is<request::Remove> M>
void Fields(V& v, M& m) {
  v.U64("node id", m.id);
}

template <typename V, Is<request::Dump> M>
void Fields(V& v, M& m) {
  v.Text("database name", m.name);
}

template <typename V, Is<request::Cluster> M>
void Fields(V& v, M& m) {
  v.U64("format", m.format);
}

template <typename V, Is<request::Transfer> M>
void Fields(V& v, M& m) {
  v.U64("node id", m.id);
}

template <typename V, Is<request::Describe> M>
void Fields(V& v, M& m) {
  v.U64("format", m.format);
}

template <typename V, Is<request::Weight> M>
void Fields(V& v, M& m) {
  v.U64("weight", m.weight);
}

template <typename V, Is<response::Failure> M>
void Fields(V& v, M& m) {
  v.Tail();  // section 6.3: leftover row data may come first
  v.U64("code", m.code);
  v.ErrorText(m.text);
}

template <typename V, Is<response::Server> M>
void Fields(V& v, M& m) {
  v.LegacyLeader(m.legacy);
  if (!m.legacy) v.U64("node id", m.id);
  v.Address(m.address);
}

template <typename V, Is<response::Welcome> M>
void Fields(V& v, M& m) {
  v.U64("heartbeat timeout", m.heartbeat_timeout_ms);
}

template <typename V, Is<response::Servers> M>
void Fields(V& v, M& m) {
  v.ServersWithRoles(m.with_roles);
  const size_t bytes_min = kServerEntryBytesMin + (m.with_roles ? kRoleBytes : 0);
  v.List("node count", m.nodes, v.limits().servers, kTooManyNodes, bytes_min, [&](auto& node) {
    v.U64("node id", node.id);
    v.Address(node.address);
    if (m.with_roles) v.U64("role", node.role);
  });
}

template <typename V, Is<response::Db> M>
void Fields(V& v, M& m) {
  v.U32("db id", m.id);
  v.Reserved32();
}

template <typename V, Is<response::Stmt> M>
void Fields(V& v, M& m) {
  v.U32("db id", m.db);
  v.U32("statement id", m.id);
  v.U64("param count", m.params);
  if (v.schema() >= 1) v.U64("tail offset", m.tail_offset);
}

template <typename V, Is<response::Result> M>
void Fields(V& v, M& m) {
  v.U64("last insert id", m.last_insert_id);
  v.U64("rows affected", m.rows_affected);
}

template <typename V, Is<response::Rows> M>
void Fields(V& v, M& m) {
  v.Rows(m);
}

template <typename V, Is<response::Empty> M>
void Fields(V& v, M& m) {
  v.U64("unused", m.unused);
}

template <typename V, Is<response::Files> M>
void Fields(V& v, M& m) {
  v.List("file count", m.files, v.limits().files, kTooManyFiles, kFileEntryBytesMin,
         [&](auto& file) {
           v.FileName(file.name);
           v.Content(file.content);
         });
}

template <typename V, Is<response::Metadata> M>
void Fields(V& v, M& m) {
  v.U64("failure domain", m.failure_domain);
  v.U64("weight", m.weight);
}

}  // namespace dqc::wire
