// Windowed-sinc interpolation at any position between samples: rows of taps for kPhases fractions, interpolated linearly in between.
#pragma once

#include <cstddef>
#include <vector>

#include "rtvoice/rtvoice.h"
#include "simd/kernels.h"

namespace rtvoice::live {

class SincTable {
 public:
  // `step`: input samples per output sample; above 1 the pass band shrinks to the output's. [main-thread]
  explicit SincTable(double step);

  // Taps on each side of a position.
  size_t half() const noexcept RTV_NONBLOCKING { return half_; }
  size_t taps() const noexcept RTV_NONBLOCKING { return 2 * half_; }
  // The value at `fraction` (0 to 1) behind x[half() - 1]; `x` has taps() samples. [audio-thread]
  float at(const float* x, double fraction) const noexcept RTV_NONBLOCKING;

 private:
  // 512 rows: what is lost to interpolating between two rows stays 105 dB below the signal. 24 taps a side reach -86 dB from 0.52 of the rate on and are
  // flat to 0.4 of it, 19 kHz at 48 kHz: half a millisecond of delay.
  static constexpr size_t kPhases = 512, kHalf = 24;

  size_t half_;
  const simd::Kernels& kernels_ = simd::kernels();
  std::vector<float> rows_;  // [kPhases + 1][taps]
};

}  // namespace rtvoice::live
