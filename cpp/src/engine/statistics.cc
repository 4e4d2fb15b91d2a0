// Counters and a histogram of call times.
#include "engine/statistics.h"

#include <algorithm>

namespace rtvoice {

int Statistics::bucket_of(uint64_t ticks) noexcept {
  if (ticks < (uint64_t{1} << (kStepsLog2 + 1))) return static_cast<int>(ticks);
  int octave = 0;
  for (uint64_t rest = ticks >> (kStepsLog2 + 1); rest != 0; rest >>= 1) ++octave;
  const int bucket = static_cast<int>(ticks >> octave) + (octave << kStepsLog2);
  return std::min(bucket, kBuckets - 1);
}

double Statistics::upper_edge(int bucket) noexcept {
  if (bucket < (2 << kStepsLog2)) return bucket;
  const int octave = (bucket >> kStepsLog2) - 1;
  const uint64_t mantissa = static_cast<uint64_t>(bucket - (octave << kStepsLog2));
  return static_cast<double>(((mantissa + 1) << octave) - 1);
}

void Statistics::record(uint64_t frames, uint64_t ticks, uint64_t budget_ticks) noexcept {
  add(frames_, frames);
  add(calls_, 1);
  add(busy_, ticks);
  if (ticks > budget_ticks) add(overruns_, 1);
  if (ticks > max_.load(std::memory_order_relaxed)) max_.store(ticks, std::memory_order_relaxed);
  add(histogram_[static_cast<size_t>(bucket_of(ticks))], 1);
}

void Statistics::count_nonfinite(uint64_t count) noexcept {
  if (count != 0) add(nonfinite_, count);
}

void Statistics::reset() noexcept {
  for (Counter* counter : {&frames_, &calls_, &overruns_, &nonfinite_, &busy_, &max_})
    counter->store(0, std::memory_order_relaxed);
  for (Counter& counter : histogram_) counter.store(0, std::memory_order_relaxed);
}

Statistics::Snapshot Statistics::snapshot() const noexcept {
  Snapshot s{};
  s.frames = frames_.load(std::memory_order_relaxed);
  s.calls = calls_.load(std::memory_order_relaxed);
  s.overruns = overruns_.load(std::memory_order_relaxed);
  s.nonfinite = nonfinite_.load(std::memory_order_relaxed);
  s.busy = static_cast<double>(busy_.load(std::memory_order_relaxed));
  s.max = static_cast<double>(max_.load(std::memory_order_relaxed));
  uint64_t total = 0;
  for (const Counter& counter : histogram_) total += counter.load(std::memory_order_relaxed);
  const double shares[4] = {0.5, 0.9, 0.99, 0.999};
  double* results[4] = {&s.p50, &s.p90, &s.p99, &s.p999};
  uint64_t seen = 0;
  int next = 0;
  for (int b = 0; b < kBuckets && next < 4 && total != 0; ++b) {
    seen += histogram_[static_cast<size_t>(b)].load(std::memory_order_relaxed);
    while (next < 4 && static_cast<double>(seen) >= shares[next] * static_cast<double>(total))
      *results[next++] = std::min(upper_edge(b), s.max);
  }
  return s;
}

void Statistics::describe(rtv_stats* out, double ticks_per_second, double sample_rate) const noexcept {
  const Snapshot s = snapshot();
  const double us = 1e6 / ticks_per_second;
  out->frames = s.frames;
  out->calls = s.calls;
  out->overruns = s.overruns;
  out->nonfinite = s.nonfinite;
  out->us_p50 = static_cast<float>(s.p50 * us);
  out->us_p90 = static_cast<float>(s.p90 * us);
  out->us_p99 = static_cast<float>(s.p99 * us);
  out->us_p999 = static_cast<float>(s.p999 * us);
  out->us_max = static_cast<float>(s.max * us);
  const double seconds = static_cast<double>(s.frames) / sample_rate;
  out->load = s.frames == 0 ? 0.0f : static_cast<float>(s.busy / ticks_per_second / seconds);
}

}  // namespace rtvoice
