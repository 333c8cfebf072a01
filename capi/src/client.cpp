/* SPDX-License-Identifier: MIT */
#include <algorithm>
#include <cstring>
#include <filesystem>

#include "client/address_map.hpp"
#include "client/redirect.hpp"
#include "guard.hpp"
#include "hooks.hpp"
#include "net/node_file_io.hpp"
#include "shared.hpp"

namespace dqc::capi {

namespace {

using client::Key;
using session::OpKind;

client::Nodes SeedsOf(const client::Config& config) {
  client::Nodes nodes;
  for (const std::string& address : config.addresses()) {
    client::Node node;
    node.address = address;
    nodes.push_back(std::move(node));
  }
  return nodes;
}

// What the policy of redirects says, of addresses as they are dialled.
// `members`: of the node file, which the application vouches for as for its seeds.
Status SetRules(const client::Config& config, const client::Nodes& members,
                client::SearchOptions* out) {
  Result<client::AddressMap> map = client::AddressMap::Parse(config.text(Key::kAddressMap));
  DQC_TRY(map.status());
  Result<client::AllowList> allow = client::AllowList::Parse(config.text(Key::kRedirectAllow));
  DQC_TRY(allow.status());
  std::vector<std::string> trusted = config.addresses();
  for (const client::Node& node : members) trusted.push_back(node.address);
  const auto rules = std::make_shared<const client::RedirectRules>(
      static_cast<client::RedirectPolicy>(config.integer(Key::kRedirect)), trusted,
      std::move(*allow));
  const auto shared_map = std::make_shared<const client::AddressMap>(std::move(*map));
  if (!shared_map->empty())
    out->reachable = [shared_map](const std::string& a) { return shared_map->Apply(a); };
  out->may_follow = [shared_map, rules](const std::string& a) {
    return shared_map->LeadsTo(a) || rules->MayFollow(a).ok();
  };
  return {};
}

Result<net::ClientOptions> ClientOptionsOf(const client::Config& config) {
  const auto us = [&](Key key) { return static_cast<uint64_t>(config.duration_us(key)); };
  const auto number = [&](Key key) { return static_cast<uint32_t>(config.integer(key)); };
  net::ClientOptions o;
  o.connection = ConnectionOptionsOf(config);
  o.connect_timeout_us = us(Key::kConnectTimeout);
  o.watch_us = us(Key::kWatchInterval);
  o.silence_us = us(Key::kSilence);
  o.seeds = SeedsOf(config);
  o.search.hedge_us = us(Key::kHedgeDelay);
  o.search.parallel = number(Key::kParallelAttempts);
  o.search.poll_us = us(Key::kPollInterval);
  o.search.backoff_min_us = us(Key::kBackoffMin);
  o.search.backoff_max_us = std::max(us(Key::kBackoffMax), o.search.backoff_min_us);
  o.pool.max = number(Key::kPoolMax);
  o.pool.min = std::min(number(Key::kPoolMin), o.pool.max);
  o.pool.idle_us = us(Key::kPoolIdle);
  o.pool.lifetime_us = us(Key::kPoolLifetime);
  o.pool.check_us = us(Key::kPoolCheck);
  o.pool.hope_us = o.search.hedge_us;
  o.pool.queue_max = static_cast<uint64_t>(config.integer(Key::kPoolQueue));
  o.pool.group_max = number(Key::kGroupCommit);
  o.search.seed = o.pool.seed = uv_hrtime();
  const std::string file = config.text(Key::kNodes);
  if (!file.empty()) {
    o.read_nodes = [file] { return net::ReadNodeFile(file); };
    if (config.flag(Key::kNodesWrite))
      o.write_nodes = [file](const client::Nodes& nodes) {
        return net::WriteNodeFile(file, nodes);
      };
    std::error_code error;
    const bool to_come =
        o.write_nodes && !o.seeds.empty() &&
        std::filesystem::status(file, error).type() == std::filesystem::file_type::not_found;
    if (!to_come) {
      Result<client::Nodes> nodes = net::ReadNodeFile(file);
      DQC_TRY(nodes.status());
      o.members = std::move(*nodes);
    }
  }
  if (o.seeds.empty() && o.members.empty()) {
    return Status::Make(Code::kConfig, "the configuration names no node to begin with")
        .With(Phase::kConfig);
  }
  DQC_TRY(SetRules(config, o.members, &o.search));
  return o;
}

Status NewClient(dqc_loop* loop, dqc_queue* queue, const dqc_config* config, dqc_client** out) {
  if (out == nullptr) return Status::Make(Code::kMisuse, "out is NULL");
  DQC_TRY(Check(config, "configuration"));
  Result<net::ClientOptions> options = ClientOptionsOf(config->config);
  DQC_TRY(options.status());
  Result<Place> place = PlaceOf(loop, queue);
  DQC_TRY(place.status());
  auto handle = std::make_unique<dqc_client>();
  handle->shared =
      IntrusivePtr<Shared>::Adopt(new Shared(place->loop, std::move(place->queue), config->config));
  handle->shared->target = IntrusivePtr<net::Target>::Adopt(new net::Client(
      place->loop, handle->shared->events(), std::move(*options), MakeHooks(*config)));
  place->Keep();
  *out = handle.release();
  return {};
}

// connect, close, acquire.
Result<IntrusivePtr<Call>> LifeCall(dqc_client* client, OpKind kind,
                                    const dqc_call_options* options) {
  const Result<Shared*> shared = SharedOf(client);
  DQC_TRY(shared.status());
  DQC_TRY(CheckOptions(options));
  IntrusivePtr<Call> call = (*shared)->NewCall(kind, options);
  if (kind == OpKind::kAcquire) {
    call->lease = std::make_unique<dqc_conn>();
    call->lease->shared = IntrusivePtr<Shared>::Adopt(new Shared(**shared));
  }
  return call;
}

Status SubmitLife(dqc_client* client, OpKind kind, const dqc_call_options* options,
                  dqc_callback callback, void* user_data, uint64_t* op) {
  Result<IntrusivePtr<Call>> call = LifeCall(client, kind, options);
  DQC_TRY(call.status());
  return client->shared->Submit(std::move(*call), callback, user_data, op);
}

Status RunLife(dqc_client* client, OpKind kind, const dqc_call_options* options) {
  Result<IntrusivePtr<Call>> call = LifeCall(client, kind, options);
  DQC_TRY(call.status());
  return client->shared->RunBlocking(std::move(*call), nullptr);
}

Result<client::Nodes> NodesOf(const dqc_node* nodes, size_t count) {
  client::Nodes out;
  for (size_t i = 0; i < count; ++i) {
    const dqc_node& from = nodes[i];
    if (from.address == nullptr)
      return Status::Make(Code::kMisuse, "node " + std::to_string(i) + " has no address");
    const Result<client::Address> address =
        client::ParseAddress(from.address, client::kDefaultPort);
    DQC_TRY(address.status());
    if (from.role < DQC_ROLE_VOTER || from.role > DQC_ROLE_SPARE)
      return Status::Make(Code::kMisuse, "node " + std::to_string(i) + " has no such role");
    client::Node node;
    node.id = from.id;
    node.address = client::FormatAddress(*address);
    node.role = static_cast<client::Role>(from.role);
    out.push_back(std::move(node));
  }
  return out;
}

}  // namespace

}  // namespace dqc::capi

using namespace dqc::capi;  // NOLINT(google-build-using-namespace): this file is the boundary
using dqc::IntrusivePtr;
using dqc::Result;
using dqc::Status;
using dqc::session::OpKind;

extern "C" {

dqc_status dqc_client_new(dqc_loop* loop, dqc_queue* queue, const dqc_config* config,
                          dqc_client** out, dqc_error** error) {
  if (out != nullptr) *out = nullptr;
  return guard(error, [&]() -> Status { return NewClient(loop, queue, config, out); });
}

dqc_status dqc_client_open(const char* dsn, size_t dsn_size, dqc_client** out, dqc_error** error) {
  if (out != nullptr) *out = nullptr;
  return guard(error, [&]() -> Status {
    if (out == nullptr) return Status::Make(dqc::Code::kMisuse, "out is NULL");
    dqc_config config;
    DQC_TRY(config.config.ParseDsn(Text(dsn, dsn_size)));
    dqc_client* client = nullptr;
    DQC_TRY(NewClient(nullptr, nullptr, &config, &client));
    std::unique_ptr<dqc_client, decltype(&dqc_client_free)> owned(client, dqc_client_free);
    DQC_TRY(RunLife(client, OpKind::kConnect, nullptr));
    *out = owned.release();
    return {};
  });
}

dqc_status dqc_client_connect_async(dqc_client* client, const dqc_call_options* options,
                                    dqc_callback callback, void* user_data, uint64_t* op,
                                    dqc_error** error) {
  if (op != nullptr) *op = 0;
  return guard(error, [&]() -> Status {
    return SubmitLife(client, OpKind::kConnect, options, callback, user_data, op);
  });
}

dqc_status dqc_client_connect(dqc_client* client, const dqc_call_options* options,
                              dqc_error** error) {
  return guard(error, [&]() -> Status { return RunLife(client, OpKind::kConnect, options); });
}

dqc_status dqc_client_close_async(dqc_client* client, const dqc_call_options* options,
                                  dqc_callback callback, void* user_data, uint64_t* op,
                                  dqc_error** error) {
  if (op != nullptr) *op = 0;
  return guard(error, [&]() -> Status {
    return SubmitLife(client, OpKind::kClose, options, callback, user_data, op);
  });
}

dqc_status dqc_client_close(dqc_client* client, const dqc_call_options* options,
                            dqc_error** error) {
  return guard(error, [&]() -> Status { return RunLife(client, OpKind::kClose, options); });
}

dqc_status dqc_client_acquire_async(dqc_client* client, const dqc_call_options* options,
                                    dqc_callback callback, void* user_data, uint64_t* op,
                                    dqc_error** error) {
  if (op != nullptr) *op = 0;
  return guard(error, [&]() -> Status {
    return SubmitLife(client, OpKind::kAcquire, options, callback, user_data, op);
  });
}

dqc_status dqc_client_acquire(dqc_client* client, const dqc_call_options* options, dqc_conn** out,
                              dqc_error** error) {
  if (out != nullptr) *out = nullptr;
  return guard(error, [&]() -> Status {
    if (out == nullptr) return Status::Make(dqc::Code::kMisuse, "out is NULL");
    Result<IntrusivePtr<Call>> call = LifeCall(client, OpKind::kAcquire, options);
    DQC_TRY(call.status());
    const IntrusivePtr<Call> kept = *call;
    DQC_TRY(client->shared->RunBlocking(std::move(*call), nullptr));
    *out = kept->TakeLease();
    return {};
  });
}

dqc_status dqc_client_cancel(dqc_client* client, uint64_t op) {
  return guard(nullptr, [&]() -> Status {
    DQC_TRY(Check(client, "client"));
    return client->shared->target->Cancel(op);
  });
}

dqc_status dqc_client_pause(dqc_client* client, uint64_t op, int32_t pause) {
  return guard(nullptr, [&]() -> Status {
    DQC_TRY(Check(client, "client"));
    return client->shared->target->Pause(op, pause != 0);
  });
}

dqc_status dqc_client_set_nodes(dqc_client* client, const dqc_node* nodes, size_t count,
                                dqc_error** error) {
  return guard(error, [&]() -> Status {
    DQC_TRY(Check(client, "client"));
    if (nodes == nullptr || count == 0)
      return Status::Make(dqc::Code::kMisuse, "a client needs at least one node");
    Result<dqc::client::Nodes> list = NodesOf(nodes, count);
    DQC_TRY(list.status());
    return client->shared->client()->SetNodes(std::move(*list));
  });
}

size_t dqc_client_leader(const dqc_client* client, char* buffer, size_t size) {
  if (buffer == nullptr) size = 0;
  if (size > 0) buffer[0] = '\0';
  if (client == nullptr || !client->valid() || client->forked()) return 0;
  return client->shared->client()->CopyLeader(buffer, size);
}

void dqc_client_stats(const dqc_client* client, dqc_stats* out) {
  if (out == nullptr) return;
  const uint32_t size = out->struct_size;
  dqc_stats stats{};
  stats.struct_size = size;
  if (client != nullptr && client->valid() && !client->forked()) {
    const dqc::net::Client::Snapshot now = client->shared->client()->snapshot();
    stats.open = now.pool.open;
    stats.idle = now.pool.idle;
    stats.leased = now.pool.leased;
    stats.opening = now.pool.opening;
    stats.waiting = now.pool.waiting;
    stats.submitted = now.pool.submitted;
    stats.completed = now.pool.completed;
    stats.opened = now.pool.opened;
    stats.closed = now.pool.closed;
    stats.retried_busy = now.pool.retried_busy;
    stats.retried_leader = now.pool.retried_leader;
    stats.waited_us = now.pool.waited_us;
    stats.checks = now.pool.checks;
    stats.lookups = now.search.requests;
    stats.searches = now.search.searches;
    stats.attempts = now.search.attempts;
    stats.asks = now.search.asks;
    stats.redirects = now.search.redirects;
    stats.rejected = now.search.rejected;
  }
  if (size >= sizeof(uint32_t)) std::memcpy(out, &stats, std::min<size_t>(size, sizeof(stats)));
}

void dqc_client_free(dqc_client* client) {
  if (client == nullptr || !client->valid()) return;
  const std::unique_ptr<dqc_client> owned(client);
  if (owned->forked()) {
    owned->shared->target->AbandonAfterFork();
    (void)owned->shared.Detach();  // the parent's: its locks may be held for ever here
    return;
  }
  const IntrusivePtr<dqc::net::Loop> loop = owned->shared->loop;
  owned->shared->target->GiveUp();
  owned->shared = nullptr;
  loop->DropUser();
}

}  // extern "C"
