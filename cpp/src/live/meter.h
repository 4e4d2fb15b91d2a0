// A level that one thread measures and another shows.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>

#include "rtvoice/rtvoice.h"

namespace rtvoice::live {

class Meter {
 public:
  void add(const float* samples, uint32_t frames) noexcept RTV_NONBLOCKING {  // [audio-thread]
    float peak = 0.0f;
    double sum = 0.0;
    for (uint32_t i = 0; i < frames; ++i) {
      peak = std::max(peak, std::abs(samples[i]));
      sum += static_cast<double>(samples[i]) * static_cast<double>(samples[i]);
    }
    if (peak > peak_.load(std::memory_order_relaxed)) peak_.store(peak, std::memory_order_relaxed);
    squares_.store(squares_.load(std::memory_order_relaxed) + sum, std::memory_order_relaxed);
    frames_.store(frames_.load(std::memory_order_relaxed) + frames, std::memory_order_relaxed);
  }
  // The largest sample since it was last asked. A peak that comes in between may be lost: it is for the eye. [any-thread]
  float take_peak() noexcept { return peak_.exchange(0.0f, std::memory_order_relaxed); }
  // Sums since the start; a reader takes differences. [any-thread]
  double squares() const noexcept { return squares_.load(std::memory_order_relaxed); }
  uint64_t frames() const noexcept { return frames_.load(std::memory_order_relaxed); }

 private:
  std::atomic<float> peak_{0.0f};
  std::atomic<double> squares_{0.0};
  std::atomic<uint64_t> frames_{0};
};

}  // namespace rtvoice::live
