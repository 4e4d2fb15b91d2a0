// When to leave a tier that keeps missing its deadline, and when to try a better one again. Arithmetic on what calls took, no clock of its own.
#pragma once

#include <cstddef>
#include <cstdint>

#include "rtvoice/rtvoice.h"  // RTV_NONBLOCKING

namespace rtvoice {

class Governor {
 public:
  enum class Move : uint8_t { kStay, kDown, kUp };

  // `cost`: of each tier, best first, in any unit (multiply-adds); at most kMostTiers.
  static constexpr size_t kMostTiers = 8;
  Governor(double sample_rate, const double* costs, size_t tiers);

  // After a call of `frames` samples that took `load` times as long as they last. [audio-thread]
  void count(uint64_t frames, double load) noexcept RTV_NONBLOCKING;
  // Where to go from `tier`, which is heard alone. [audio-thread]
  Move decide(size_t tier) noexcept RTV_NONBLOCKING;
  // A climb did not work out: a tier above was left again, or its trial missed deadlines. The next one waits twice as long. [audio-thread]
  void failed_climb() noexcept RTV_NONBLOCKING;
  void arrived() noexcept RTV_NONBLOCKING;  // [audio-thread] in another tier
  void reset() noexcept RTV_NONBLOCKING;    // [audio-thread]
  bool missing() const noexcept RTV_NONBLOCKING { return pressure_ >= kPressure; }

 private:
  // Three misses within a quarter of a second, or nearly so: one late call can be the system's.
  static constexpr double kPressure = 2.4, kMemory = 0.25;
  static constexpr double kFirstHold = 5.0, kLongestHold = 80.0;  // seconds before a climb
  static constexpr double kProbation = 10.0;  // a tier that lasts this long after a climb has made it
  static constexpr double kHeadroom = 0.7;    // of a core, that the better tier may be expected to take

  double sample_rate_;
  double costs_[kMostTiers] = {};
  size_t tiers_;
  double pressure_ = 0.0, load_ = 0.0;  // decaying count of misses; load over about two seconds
  double calm_ = 0.0, since_climb_ = 0.0, hold_ = kFirstHold;
  bool climbed_ = false;
};

}  // namespace rtvoice
