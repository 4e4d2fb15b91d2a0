// The callbacks whose CPU time missed their deadline, one by one: when each ran, for how long, and where, so that a measurement can tell whose fault it was.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "rtvoice/rtvoice.h"

namespace rtvoice::live {

struct LateCall {
  double start = 0.0, wall = 0.0, cpu = 0.0;  // seconds: of the system's steady clock; on the wall; of the thread
  int32_t core = -1;                          // where it ended; -1: unknown
  bool xrun = false;                          // the next callback was told of one
};

// One thread writes, any reads. The first 256 are kept: who needs more is not in doubt.
class LateCalls {
 public:
  void add(const LateCall& call) noexcept RTV_NONBLOCKING {
    const size_t at = count_.load(std::memory_order_relaxed);
    if (at == kKept) return;
    calls_[at] = call;
    count_.store(at + 1, std::memory_order_release);
  }
  // The one before broke the sound.
  void mark() noexcept RTV_NONBLOCKING {
    const size_t count = count_.load(std::memory_order_relaxed);
    if (count != 0) xrun_[count - 1].store(true, std::memory_order_relaxed);
  }
  std::vector<LateCall> all() const {
    const size_t count = count_.load(std::memory_order_acquire);
    std::vector<LateCall> out(calls_.begin(), calls_.begin() + static_cast<std::ptrdiff_t>(count));
    for (size_t i = 0; i < count; ++i) out[i].xrun = xrun_[i].load(std::memory_order_relaxed);
    return out;
  }

 private:
  static constexpr size_t kKept = 256;
  std::array<LateCall, kKept> calls_{};
  std::array<std::atomic<bool>, kKept> xrun_{};
  std::atomic<size_t> count_{0};
};

}  // namespace rtvoice::live
