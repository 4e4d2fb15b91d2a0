// What the benchmarks share: this thread's processor time, quantiles, aligned numbers.
#pragma once

#include <time.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include "plan/aligned.h"

namespace rtvoice::bench {

inline double now_us() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) * 1e-3;
}

inline double quantile(std::vector<double> v, double q) {
  const auto at = v.begin() + static_cast<ptrdiff_t>(q * static_cast<double>(v.size() - 1));
  std::nth_element(v.begin(), at, v.end());
  return *at;
}

inline double median(std::vector<double> v) { return quantile(std::move(v), 0.5); }

// Small numbers, the same in every run.
class Numbers {
 public:
  explicit Numbers(uint32_t seed) : state_(seed) {}
  float next() {  // [-1, 1)
    state_ = state_ * 1664525u + 1013904223u;
    return static_cast<float>(state_ >> 8) * 0x1p-23f - 1.0f;
  }

 private:
  uint32_t state_;
};

// 64-byte aligned.
inline std::shared_ptr<float> floats(size_t n) {
  const size_t bytes = (n * sizeof(float) + 63) / 64 * 64;
  // In huge pages from where the engine's own weights are.
  std::shared_ptr<float> p(static_cast<float*>(allocate_lines(bytes)),
                           [bytes](float* first) { release_lines(first, bytes); });
  Numbers numbers(1);
  for (size_t i = 0; i < bytes / sizeof(float); ++i) p.get()[i] = 0.1f * numbers.next();
  return p;
}

}  // namespace rtvoice::bench
