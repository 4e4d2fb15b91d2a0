// What other threads exchange with the audio thread: parameter targets in, value outputs out. Wait-free on both sides.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "plan/plan.h"

namespace rtvoice {

// A named vector of floats. Elements are single atomics and a version says that they changed: a reader that meets a writer half-way reads again at
// its next turn, when the writer's version arrives.
class Control {
 public:
  Control(std::string name, std::vector<float> values, float low, float high);

  const std::string& name() const { return name_; }
  uint32_t size() const { return size_; }
  float low() const { return low_; }
  float high() const { return high_; }
  uint32_t version() const noexcept RTV_NONBLOCKING { return version_.load(); }
  bool set(const float* values,
           uint32_t count) noexcept RTV_NONBLOCKING;  // [any-thread] false: wrong count or not finite
  void publish(const float* values) noexcept
      RTV_NONBLOCKING;  // [audio-thread] one writer; odd versions mark a write in progress
  void read(float* values, uint32_t count) const noexcept RTV_NONBLOCKING;  // [any-thread]
  // The audio thread's own copy, taken once a call: all that runs in it, and the log, see the same values. [audio-thread]
  void take() noexcept RTV_NONBLOCKING {
    if (version_.load(std::memory_order_acquire) != taken_version_) take_new();
  }
  const float* taken() const noexcept RTV_NONBLOCKING { return taken_.get(); }
  uint32_t taken_version() const noexcept RTV_NONBLOCKING { return taken_version_; }
  uint32_t logged_version = 0;  // audio thread only

 private:
  std::string name_;
  uint32_t size_;
  float low_, high_;
  std::unique_ptr<std::atomic<float>[]> values_;
  std::atomic<uint32_t> version_{0};
  std::unique_ptr<float[]> taken_;
  uint32_t taken_version_ = 0;
  void take_new() noexcept RTV_NONBLOCKING;
};

// The parameters and value outputs of one model in one engine.
struct ControlBank {
  explicit ControlBank(const Graph& graph);
  Control* parameter(const char* name) const noexcept RTV_NONBLOCKING;
  void take() noexcept RTV_NONBLOCKING {  // [audio-thread]
    for (const auto& control : parameters) control->take();
  }
  const Control* output(const char* name) const noexcept RTV_NONBLOCKING;

  // Whether it holds just what this graph has: the same names, sizes and ranges in the same order.
  bool fits(const Graph& graph) const;

  std::vector<std::unique_ptr<Control>> parameters, outputs;  // outputs: null where the output is audio
};

}  // namespace rtvoice
