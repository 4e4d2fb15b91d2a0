// A device's clock, read out of the jittering times of its callbacks.
#include "live/clock_model.h"

#include <algorithm>
#include <cmath>

namespace rtvoice::live {
namespace {

constexpr double kTwoPi = 6.283185307179586;
// Hz. The loop starts wide, so that it locks within a second, and narrows: at the end 1 ms of callback jitter leaves some 0.05 ms.
constexpr double kWide = 2.0, kNarrow = 0.1;
constexpr double kLost = 0.05;      // a callback this late is not jitter: the device stood still
constexpr double kFarthest = 5e-3;  // of the nominal rate: no crystal is farther off, so that no estimate may be

}  // namespace

ClockModel::ClockModel(double sample_rate) noexcept : nominal_(1.0 / sample_rate) { point_.period = nominal_; }

void ClockModel::update(double now, uint32_t frames) noexcept {
  if (frames == 0) return;
  const double n = frames;
  point_.count += n;
  const double expected = point_.time + n * point_.period, error = now - expected;
  if (callbacks_ == 0 || std::abs(error) > std::max(kLost, 4.0 * n * nominal_)) {
    point_.time = now;
    age_ = 0.0;
  } else {
    const double seconds = n * point_.period;
    age_ += seconds;
    const double bandwidth = std::clamp(1.0 / (age_ + 1e-3), kNarrow, kWide);
    const double omega = std::min(0.5, kTwoPi * bandwidth * seconds);
    point_.time = expected + std::min(1.0, 1.4142 * omega) * error;
    // The rate is left alone until the phase has settled: the first errors are the phase's.
    if (age_ > 0.25)
      point_.period = std::clamp(point_.period + omega * omega * error / n, nominal_ * (1.0 - kFarthest),
                                 nominal_ * (1.0 + kFarthest));
  }
  ++callbacks_;
  publish();
}

void ClockModel::publish() noexcept {
  const uint32_t version = version_.load();
  version_.store(version + 1);
  time_.store(point_.time);
  count_.store(point_.count);
  period_.store(point_.period);
  version_.store(version + 2);
}

bool ClockModel::read(ClockPoint* point) const noexcept {
  const uint32_t version = version_.load();
  if (version == 0 || version % 2 != 0) return false;
  const ClockPoint seen{time_.load(), count_.load(), period_.load()};
  if (version_.load() != version) return false;
  *point = seen;
  return true;
}

}  // namespace rtvoice::live
