/* SPDX-License-Identifier: MIT */
// What the files of a client share: its entry, and what it asks servers on its own behalf.
#pragma once

#include "net/client.hpp"
#include "wire/message.hpp"

namespace dqc::net {

// The client's own request to the search; the pool's are numbered from 1.
inline constexpr uint64_t kDoubt = 0;

class Client::InternalOperation final : public QueuedOperation {
 public:
  enum class Purpose : uint8_t {
    kConnect,
    kAsk,
    kCheck,
    kReset,
    kMembers,
    kBegin,
    kCommit,
    kSchema,
    kCommitOf,  // of an application's transaction
    kFence,     // the pool's to run, like those of the application
    kVerdict,
    kBarrier
  };
  const Purpose purpose;
  // Of the answer: the leader, or the members.
  client::Nodes nodes;
  int64_t number = -1;                   // the first cell; -1: there is none
  IntrusivePtr<QueuedOperation> for_op;  // on whose behalf

  explicit InternalOperation(Purpose p) : purpose(p) {
    unwatched = true;
    owned = true;
    main.embedded = true;
  }

  static IntrusivePtr<InternalOperation> Connect() {
    auto op = Make(Purpose::kConnect);
    op->kind = session::OpKind::kConnect;
    return op;
  }
  static IntrusivePtr<InternalOperation> Leader(Purpose purpose) {
    auto op = Make(purpose);
    op->Ask(wire::RequestType::kLeader, wire::ResponseType::kServer, wire::request::Leader{});
    return op;
  }
  static IntrusivePtr<InternalOperation> Cluster() {
    auto op = Make(Purpose::kMembers);
    op->Ask(wire::RequestType::kCluster, wire::ResponseType::kServers, wire::request::Cluster{1});
    return op;
  }
  // Run by the pool on a connection of its choice.
  bool pooled() const { return purpose == Purpose::kFence || purpose == Purpose::kVerdict; }
  // Belongs to an operation of the application's, which has to hear of it in any case.
  bool answers() const { return for_op.get() != nullptr; }

  static IntrusivePtr<InternalOperation> Statement(Purpose purpose, std::string_view sql) {
    auto op = Make(purpose);
    op->kind = session::OpKind::kStatement;
    op->statement = sql::ScanStatement(sql);
    (void)wire::Encode(wire::request::ExecSql{0, sql, {}}, 0, op->main.frame);
    return op;
  }

  void PushRows(IntrusivePtr<session::Batch> batch) noexcept override {
    const size_t columns = batch->header->names.size();
    if (!batch->cells.empty()) number = batch->cells[0].as.integer;
    try {
      for (size_t i = 0; columns > 1 && i + columns <= batch->cells.size(); i += columns) {
        client::Node node;
        node.id = static_cast<uint64_t>(batch->cells[i].as.integer);
        node.address = batch->cells[i + 1].bytes();
        if (columns > 2) node.role = static_cast<client::Role>(batch->cells[i + 2].as.integer);
        nodes.push_back(std::move(node));
      }
    } catch (const std::bad_alloc&) {
      nodes.clear();  // as if it knew nothing
    }
    unconsumed_bytes = 0;
    batch->op = nullptr;
  }
  void DeliverRows(IntrusivePtr<session::Batch>) noexcept override {}
  void DeliverDone() noexcept override {}

 private:
  static IntrusivePtr<InternalOperation> Make(Purpose purpose) {
    return IntrusivePtr<InternalOperation>::Adopt(new InternalOperation(purpose));
  }
  template <typename M>
  void Ask(wire::RequestType type, wire::ResponseType reply, const M& message) {
    kind = session::OpKind::kAdmin;
    main.type = type;
    main.reply = reply;
    (void)wire::Encode(message, 0, main.frame);
  }
};

// Every entry: libuv's frames may be above, and memory may run out. What happens meanwhile, on
// connections that are told something, is noted and handled at the end: a policy that decides is not
// called again.
template <typename Work>
void Client::Enter(Work work) noexcept {
  const auto held = IntrusivePtr<Client>::Share(this);
  const bool outermost = !std::exchange(inside_, true);
  try {
    work();
    if (outermost) Process();
  } catch (const std::bad_alloc&) {
    pool_.EndAll(Status::OutOfMemory());
  }
  if (!outermost) return;
  FinishIfClosed();
  Publish();
  Flush();
  inside_ = false;
  UpdateTimer();
}

}  // namespace dqc::net
