// Windowed-sinc interpolation at any position between samples.
#include "live/sinc_table.h"

#include <algorithm>
#include <cmath>

namespace rtvoice::live {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr double kBeta = 8.6;      // of the Kaiser window: side lobes at -86 dB
constexpr double kCutoff = 0.921;  // of the lower Nyquist rate: the middle of the transition band

// The modified Bessel function of order 0.
double bessel(double x) {
  double sum = 1.0, term = 1.0;
  for (int k = 1; k < 40; ++k) {
    term *= (0.5 * x / k) * (0.5 * x / k);
    sum += term;
  }
  return sum;
}

}  // namespace

SincTable::SincTable(double step) : half_(static_cast<size_t>(std::ceil(kHalf * std::max(1.0, step)))) {
  const double cutoff = kCutoff / std::max(1.0, step), reach = static_cast<double>(half_);
  rows_.resize((kPhases + 1) * taps());
  for (size_t p = 0; p <= kPhases; ++p) {
    float* row = rows_.data() + p * taps();
    const double fraction = static_cast<double>(p) / kPhases;
    std::vector<double> exact(taps());
    double sum = 0.0;
    for (size_t k = 0; k < taps(); ++k) {
      const double t = static_cast<double>(k) - (reach - 1.0) - fraction, u = t / reach;
      const double window = std::abs(u) >= 1.0 ? 0.0 : bessel(kBeta * std::sqrt(1.0 - u * u)) / bessel(kBeta);
      const double x = kPi * cutoff * t;
      exact[k] = window * cutoff * (std::abs(x) < 1e-12 ? 1.0 : std::sin(x) / x);
      sum += exact[k];
    }
    // A constant stays that constant in every phase: no hum at the rate of the drift.
    for (size_t k = 0; k < taps(); ++k) row[k] = static_cast<float>(exact[k] / sum);
  }
}

float SincTable::at(const float* x, double fraction) const noexcept {
  const double place = fraction * kPhases;
  const size_t p = std::min(static_cast<size_t>(place), kPhases - 1);
  // Two neighbouring rows against the same samples: the product of a 2-row matrix.
  const float* rows = rows_.data() + p * taps();
  float two[2];
  simd::DotArgs args{};
  args.seg = &rows;
  args.num_segments = 1;
  args.seg_len = taps();
  args.row_step = taps();
  args.weights = x;
  args.out = two;
  args.out_step = 1;
  args.rows = 2;
  kernels_.dot(args);
  const float f = static_cast<float>(place - static_cast<double>(p));
  return two[0] + f * (two[1] - two[0]);
}

}  // namespace rtvoice::live
