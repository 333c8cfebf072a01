/* SPDX-License-Identifier: MIT */
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "client/leader_search.hpp"
#include "client/pool.hpp"
#include "net/lookup.hpp"
#include "net/transaction.hpp"

namespace dqc::net {

struct ClientOptions {
  ConnectionOptions connection;  // of each; its address is set per node
  client::SearchOptions search;
  client::PoolOptions pool;
  client::Nodes seeds;                                // always known
  client::Nodes members;                              // known from an earlier time
  std::function<Result<client::Nodes>()> read_nodes;  // null: there is only what is given here
  std::function<Status(const client::Nodes&)> write_nodes;  // null: members are not written back
  session::Time watch_us = 0;            // how often the cluster is looked at; 0: never
  session::Time silence_us = 1'000'000;  // until a leader that owes an answer is doubted; 0: never
  session::Time connect_timeout_us = 5'000'000;  // of one attempt, and of a check
};

// A cluster as the application sees it: finds the leader, keeps connections to it, and runs each
// operation on one of them. Carries out what LeaderSearch and Pool decide. Everything but what
// Target says is on the loop's thread.
class Client final : public Target,
                     private ConnectionOwner,
                     private Lookup::Owner,
                     private client::LeaderSearch::Host,
                     private client::Pool::Host {
 public:
  Client(IntrusivePtr<Loop> loop, IntrusivePtr<EventQueue> out, ClientOptions options,
         IntrusivePtr<Hooks> hooks);

  Status Submit(IntrusivePtr<QueuedOperation> op) override;
  Status Cancel(uint64_t op_id) override;
  Status Pause(uint64_t op_id, bool pause) override;
  void PostCancel(QueuedOperation* op) noexcept override;
  void Resume(QueuedOperation* op) noexcept override;
  void GiveUp() noexcept override;
  void AbandonAfterFork() noexcept override;

  // --- any thread
  Status SetNodes(client::Nodes nodes);
  struct Snapshot {
    client::PoolStats pool;
    client::LeaderSearch::Counters search;
  };
  Snapshot snapshot() const noexcept;
  // The leader's address, cut to size - 1 bytes and NUL-terminated. Returns its own size.
  size_t CopyLeader(char* buffer, size_t size) const noexcept;

 private:
  class InternalOperation;
  // A connection of ours: an attempt to find the leader, an observer of it, or one of the pool.
  struct Slot {
    uint64_t id = 0;
    std::string address;
    IntrusivePtr<Connection> connection;
    bool pooled = false;
    bool legacy = false;                       // speaks the protocol of before 1.0
    bool watch = false;                        // of the watcher, to a member that does not lead
    bool asking = false;                       // by the watcher
    bool cut = false;                          // its node was silent, and another leads
    bool spared = false;                       // runs what was cut off elsewhere already
    const QueuedOperation* visitor = nullptr;  // the one operation that it was made for
  };
  struct Seed {
    client::Node node;
    std::vector<std::string> addresses;  // of the nodes that its name stands for, if several
    IntrusivePtr<Lookup> lookup;         // under way
    session::Time looked_up_at = 0;
  };
  struct Given {
    uint64_t request, attempt;
  };
  struct Refused {
    uint64_t request;
    Status status;
  };

  ~Client() override;

  template <typename Work>
  Status Tell(Work work);
  Status Accept(const IntrusivePtr<QueuedOperation>& op);
  void RunClose(IntrusivePtr<QueuedOperation> op);
  void CloseAll(session::Time deadline);
  void CancelHere(uint64_t op_id) noexcept;
  void CancelOnSlots(uint64_t op_id) noexcept;
  template <typename Work>
  void Enter(Work work) noexcept;
  void Process();
  bool ProcessOne();
  void HandleDone(IntrusivePtr<QueuedOperation> op);
  void HandleAnswer(const InternalOperation& op, Slot* slot);
  void HandleInternal(InternalOperation* op, Slot* slot);
  void OnMembers(const InternalOperation& op);
  Slot* MakeSlot(uint64_t id, const std::string& address, bool watch = false,
                 const QueuedOperation* visitor = nullptr);
  void MakeConnection(Slot* slot);
  void HandleConnect(InternalOperation* op, Slot* slot);
  bool TryLegacy(const InternalOperation& op, Slot* slot);
  void HandleAsk(InternalOperation* op, Slot* slot);

  // client_seeds.cpp
  void TakeSeeds(const client::Nodes& nodes);
  void LookUpSeeds(session::Time now);
  void OnLookup(Lookup* lookup) noexcept override;
  void CancelLookups() noexcept;

  // client_visit.cpp
  Status Visit(const IntrusivePtr<QueuedOperation>& op);
  void EndVisit(IntrusivePtr<QueuedOperation> op);
  bool Visited() const;

  // client_doubt.cpp
  bool Silent(const Slot& slot, session::Time now) const;
  session::Time SilenceDue() const;
  void Doubt(session::Time now);
  void EndDoubt(uint64_t attempt, session::Time now);

  // client_watch.cpp
  void Look(session::Time now);
  void HandleWatch(InternalOperation* op, Slot* slot);
  void MarkUp(const std::string& address) noexcept;
  void MarkDown(const std::string& address, const Status& why) noexcept;
  void Compare(const client::Nodes& before, const client::Nodes& now);
  void Tell(Topology change, const client::Node& node, std::string_view message) noexcept;
  client::Node MemberAt(const std::string& address) const;
  std::string Reachable(const std::string& advertised) const;

  // client_transaction.cpp
  void EndTransaction(const IntrusivePtr<QueuedOperation>& op);
  static bool Lost(const Transaction& tx);
  void SendCommit(const IntrusivePtr<QueuedOperation>& op);
  void OnCommit(QueuedOperation* op, const Status& status);
  void LookUp(QueuedOperation* op, const Status& doubt);
  void SubmitLook(QueuedOperation* op, Transaction::Stage stage);
  void OnFence(QueuedOperation* op, const InternalOperation& fence);
  void OnVerdict(QueuedOperation* op, const InternalOperation& verdict);
  void Ended(QueuedOperation* op, Status status, bool again);
  void GiveBack(Connection* connection);
  void ResumeEndings();
  bool CancelEnding(uint64_t op_id);
  session::Time next_ending() const;
  void RunBarrier(const IntrusivePtr<QueuedOperation>& op);
  void OnBarrier(const IntrusivePtr<QueuedOperation>& op, const Status& status, const Slot* slot);

  void Register();
  void UpdateTimer();
  void FinishIfClosed();
  void Publish() noexcept;
  void Emit(IntrusivePtr<QueuedOperation> op) noexcept;
  void Flush() noexcept;

  Slot* FindSlot(uint64_t id) const;
  void CloseSlot(Slot* slot);
  std::unique_ptr<Slot> TakeSlot(uint64_t id);
  static void Detach(const Slot& slot) noexcept;
  static bool Usable(const Slot& slot);
  bool AskMembers(Slot* slot) noexcept;  // if they are to be asked for
  void RunInternal(Slot* slot, IntrusivePtr<InternalOperation> op);
  void Hand(const IntrusivePtr<QueuedOperation>& op);
  template <typename Make>
  void Send(uint64_t conn, Make make);

  // ConnectionOwner
  void OnOwnedDone(IntrusivePtr<QueuedOperation> op) noexcept override;
  void OnConnection(Connection* connection) noexcept override;
  void OnReturned(Connection* connection) noexcept override;
  // LeaderSearch::Host
  void Dial(uint64_t attempt, const std::string& address) override;
  void Ask(uint64_t attempt) override;
  void Drop(uint64_t attempt) override;
  void Give(uint64_t request, uint64_t attempt) override;
  void Refuse(uint64_t request, const Status& status) override;
  void OnRound() override;
  void OnLeader(const std::string& address) override;
  Phase Reached(uint64_t attempt) const noexcept override;
  // Pool::Host
  void Want(uint64_t request) override;
  void Unwant(uint64_t request) override;
  void Run(uint64_t conn, IntrusivePtr<session::Operation> op) override;
  void Lease(uint64_t conn, IntrusivePtr<session::Operation> op) override;
  void Check(uint64_t conn) override;
  void Reset(uint64_t conn) override;
  void Begin(uint64_t conn) override;
  void Commit(uint64_t conn) override;
  void AskSchema(uint64_t conn) override;
  void Discard(uint64_t conn) override;
  void Finish(IntrusivePtr<session::Operation> op) override;
  Status Failure(session::Time since, session::Time now) override;

  const ClientOptions options_;
  const IntrusivePtr<Hooks> hooks_;
  client::LeaderSearch search_;
  client::Pool pool_;
  std::mutex slots_mutex_;                    // held while slots_ changes
  std::vector<std::unique_ptr<Slot>> slots_;  // the loop's thread; after a fork the child
  // What came in while a policy was deciding; handled one by one.
  IntrusiveFifo<session::Operation> done_;     // references held
  IntrusiveFifo<session::Operation> told_;     // to be told to the application; likewise
  IntrusiveFifo<session::Operation> endings_;  // of transactions, under way; references held
  std::vector<Slot*> returned_;
  std::vector<Given> given_;
  std::vector<Refused> refused_;
  std::vector<Seed> seeds_;
  client::Nodes members_;
  std::map<std::string, bool> up_;  // by address as dialled: did it answer the last time?
  session::Time watch_at_ = session::kNever;
  session::Time nodes_read_at_ = 0;
  uint64_t next_watch_ = uint64_t{1} << 63;  // numbers of slots that the search does not know
  uint64_t visits_ = 0;                      // ever
  bool doubting_ = false;
  session::Time doubt_at_ = 0;  // not again before
  session::Time silence_due_ = session::kNever;
  bool refresh_members_ = false;
  bool refreshing_ = false;
  bool inside_ = false;      // an entry is being handled
  bool registered_ = false;  // counted in the loop, holds a reference to itself
  bool closed_ = false;
  IntrusivePtr<QueuedOperation> close_op_;
  uv_timer_t* timer_ = nullptr;
  session::Time timer_at_ = session::kNever;
  std::atomic<bool> gave_up_{false};
  struct OwnCommand : Command {
    Client* client = nullptr;
  };
  OwnCommand give_up_;
  mutable std::mutex mutex_;
  Snapshot snapshot_;   // guarded by mutex_
  std::string leader_;  // guarded by mutex_: as the search confirmed it last
};

}  // namespace dqc::net
