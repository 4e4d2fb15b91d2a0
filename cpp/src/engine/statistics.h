// Counters and a histogram of call times, written by the audio thread and read by any other.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "rtvoice/rtvoice.h"

namespace rtvoice {

class Statistics {
 public:
  struct Snapshot {
    uint64_t frames, calls, overruns, nonfinite;
    double p50, p90, p99, p999, max, busy;  // ticks
  };

  void record(uint64_t frames, uint64_t ticks, uint64_t budget_ticks) noexcept RTV_NONBLOCKING;  // [audio-thread]
  void count_nonfinite(uint64_t count) noexcept RTV_NONBLOCKING;                                 // [audio-thread]
  uint64_t nonfinite() const noexcept RTV_NONBLOCKING { return nonfinite_.load(std::memory_order_relaxed); }
  void reset() noexcept RTV_NONBLOCKING;               // [audio-thread]
  Snapshot snapshot() const noexcept RTV_NONBLOCKING;  // [any-thread]
  // The counts and times of a snapshot, in a host's terms; the other fields stay. [any-thread]
  void describe(rtv_stats* stats, double ticks_per_second, double sample_rate) const noexcept RTV_NONBLOCKING;

 private:
  // 32 steps an octave, at most 3.1 % apart, over 2^40 ticks.
  static constexpr int kStepsLog2 = 5;
  static constexpr int kBuckets = (40 - kStepsLog2 + 1) << kStepsLog2;
  static int bucket_of(uint64_t ticks) noexcept RTV_NONBLOCKING;
  static double upper_edge(int bucket) noexcept RTV_NONBLOCKING;
  using Counter = std::atomic<uint64_t>;
  // One writer: a load and a store, no locked instruction.
  static void add(Counter& counter, uint64_t value) noexcept RTV_NONBLOCKING {
    counter.store(counter.load(std::memory_order_relaxed) + value, std::memory_order_relaxed);
  }

  Counter frames_{0}, calls_{0}, overruns_{0}, nonfinite_{0}, busy_{0}, max_{0};
  std::array<Counter, kBuckets> histogram_{};
};

}  // namespace rtvoice
