/* SPDX-License-Identifier: MIT */
#pragma once

namespace dqc {

// What waits in a queue for the application. The queue owns one reference; Deliver and Discard
// consume it.
class Deliverable {
 public:
  Deliverable* deliver_next = nullptr;
  virtual void Deliver() noexcept = 0;  // runs the application's code
  virtual void Discard() noexcept = 0;  // the queue goes away

 protected:
  ~Deliverable() = default;
};

}  // namespace dqc
