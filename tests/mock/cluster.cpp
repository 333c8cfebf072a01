/* SPDX-License-Identifier: MIT */
#include <algorithm>

#include "mock/session.hpp"

namespace dqc::mock {
namespace {

using wire::RequestType;
namespace rs = wire::response;

Do Fail(uint64_t code, std::string_view text) { return Do().Failure(code, text); }
Do Ok() { return Do().Reply(rs::Empty{}); }

constexpr size_t kNodesMax = 1000;
constexpr uint64_t kSpare = static_cast<uint64_t>(wire::Role::kSpare);

NodeInfo* Find(Config& config, uint64_t id) {
  const auto has_id = [id](const NodeInfo& node) { return node.id == id; };
  const auto at = std::find_if(config.nodes.begin(), config.nodes.end(), has_id);
  return at == config.nodes.end() ? nullptr : &*at;
}

Do Cluster(uint64_t format, const Config& config) {
  if (format > 1 && config.era != Era::kA) return Fail(1005, "unrecognized cluster format");
  rs::Servers reply;
  reply.with_roles = format != 0;
  for (const NodeInfo& node : config.nodes) {
    reply.nodes.push_back({.id = node.id, .address = node.address, .role = node.role});
  }
  return Do().Reply(reply);
}

Do Add(const Request& request, Config& config) {
  if (config.nodes.size() >= kNodesMax) return Fail(7, "out of memory");
  if (Find(config, request.id) != nullptr) return Fail(1, "server ID already in use");
  for (const NodeInfo& node : config.nodes) {
    if (node.address == request.text) return Fail(1, "server address already in use");
  }
  config.nodes.push_back({.id = request.id, .address = request.text, .role = kSpare});
  return Ok();
}

Do Assign(const Request& request, Config& config) {
  NodeInfo* node = Find(config, request.id);
  const uint64_t role = request.value <= kSpare ? request.value : 1;
  if (node == nullptr) return Fail(1, "Resource not found");
  if (node->role == role) return Fail(1, "server role is not valid");
  node->role = role;
  return Ok();
}

Do Remove(const Request& request, Config& config) {
  const NodeInfo* node = Find(config, request.id);
  if (node == nullptr) return Fail(1, "server ID is not valid");
  config.nodes.erase(config.nodes.begin() + (node - config.nodes.data()));
  return Ok();
}

Do Transfer(const Request& request, Config& config) {
  const NodeInfo* to = nullptr;
  for (const NodeInfo& node : config.nodes) {
    const bool fits = node.role == 0 && node.id != config.id;
    if (fits && to == nullptr && (request.id == 0 || request.id == node.id)) to = &node;
  }
  if (to == nullptr) {
    return Fail(1, request.id == 0 ? "Resource not found" : "server ID is not valid");
  }
  config.leader = false;
  config.leader_id = to->id;
  config.leader_address = to->address;
  ++config.losses;
  return Ok();
}

Do Dump(const Request& request, const Config& config) {
  const std::string wal = request.text + "-wal";
  return Do().Reply(rs::Files{{{request.text, config.dump}, {wal, ""}}});
}

}  // namespace

Do ClusterReply(const Request& request, Config& config) {
  if (config.nodes.empty()) config.nodes.push_back({config.id, config.address, 0});
  const auto type = static_cast<RequestType>(request.type);
  const bool changes = type == RequestType::kAdd || type == RequestType::kAssign ||
                       type == RequestType::kRemove || type == RequestType::kTransfer;
  if (changes && !config.leader) return Fail(10250, "server is not the leader");
  switch (type) {
    case RequestType::kCluster:
      return Cluster(request.value, config);
    case RequestType::kAdd:
      return Add(request, config);
    case RequestType::kAssign:
      return Assign(request, config);
    case RequestType::kRemove:
      return Remove(request, config);
    case RequestType::kTransfer:
      return Transfer(request, config);
    case RequestType::kDump:
      return Dump(request, config);
    case RequestType::kDescribe:
      if (request.value != 0) return Fail(15, "bad format version").Close();
      return Do().Reply(rs::Metadata{config.failure_domain, config.weight});
    default:
      config.weight = request.value;
      return Ok();
  }
}

}  // namespace dqc::mock
