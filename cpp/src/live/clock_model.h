// A device's clock, read out of the jittering times of its callbacks: a delay-locked loop of the second order gives the time that belongs to its sample
// count, and its rate.
#pragma once

#include <atomic>
#include <cstdint>

#include "rtvoice/rtvoice.h"

namespace rtvoice::live {

// At `time` (seconds) the device stood at `count` samples, and each sample takes `period`.
struct ClockPoint {
  double time = 0.0, count = 0.0, period = 0.0;
  double count_at(double when) const noexcept RTV_NONBLOCKING { return count + (when - time) / period; }
};

class ClockModel {
 public:
  explicit ClockModel(double sample_rate) noexcept;

  // A callback at `now` that moves `frames` samples. [audio-thread], the device's own
  void update(double now, uint32_t frames) noexcept RTV_NONBLOCKING;
  // Forgets the time, keeps the rate: the device was away.
  void restart() noexcept RTV_NONBLOCKING { callbacks_ = 0; }
  const ClockPoint& here() const noexcept RTV_NONBLOCKING { return point_; }
  uint64_t callbacks() const noexcept RTV_NONBLOCKING { return callbacks_; }

  // The newest point, for the other device's thread; false while this one is writing it: keep the last. [any-thread]
  bool read(ClockPoint* point) const noexcept RTV_NONBLOCKING;

 private:
  void publish() noexcept RTV_NONBLOCKING;

  const double nominal_;  // seconds per sample
  ClockPoint point_;
  double age_ = 0.0;
  uint64_t callbacks_ = 0;
  std::atomic<uint32_t> version_{0};
  std::atomic<double> time_{0.0}, count_{0.0}, period_{0.0};
};

}  // namespace rtvoice::live
