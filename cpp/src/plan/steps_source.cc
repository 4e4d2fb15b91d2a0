// Steps of source and filter: phase accumulators, pulse trains, warped envelopes, filters that change with time.
#include <cstring>

#include "plan/step_access.h"

namespace rtvoice {
namespace {

// trunc(x * 2^64) modulo 2^64, from the float's own bits: exact for |x| >= 2^-41, and the same on every processor. NaN and infinity
// count as 0, so that they never stick.
uint64_t turns(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  const uint32_t exponent = bits >> 23 & 0xffu;
  if (exponent == 0xffu || exponent == 0) return 0;  // a denormal is below 2^-64
  const uint64_t mantissa = (bits & 0x7fffffu) | 0x800000u;
  const int shift = static_cast<int>(exponent) - 86;  // mantissa * 2^(exponent - 150), times 2^64
  const uint64_t magnitude = shift >= 64 || shift <= -24 ? 0 : shift >= 0 ? mantissa << shift : mantissa >> -shift;
  return bits >> 31 != 0 ? 0 - magnitude : magnitude;
}

}  // namespace

void run_phase(const StepSpec& step, Instance& instance, size_t hops) noexcept {
  const StepAccess at{instance};
  const size_t rows = at.rows(step.out, hops), channels = at.spec(step.out).channels, ld = at.spec(step.out).ld;
  const float* in = at.row(step.in[0], step.lag[0]);
  float* out = at.out(step.out);
  float* state = at.state(step.state);
  for (size_t c = 0; c < channels; ++c) {
    uint64_t sum;
    std::memcpy(&sum, state + 2 * c, sizeof sum);
    for (size_t r = 0; r < rows; ++r) {
      sum += turns(in[r * ld + c]);
      out[r * ld + c] = static_cast<float>(static_cast<uint32_t>(sum >> 40)) * 0x1p-24f;
    }
    std::memcpy(state + 2 * c, &sum, sizeof sum);
  }
}

void run_harmonics(const StepSpec& step, Instance& instance, size_t hops) noexcept {
  const StepAccess at{instance};
  simd::HarmonicsArgs args{};
  args.phase = at.row(step.in[0], step.lag[0]);
  args.frequency = at.row(step.in[1], step.lag[1]);
  args.limit = step.a;
  args.count = step.b;
  args.out = at.out(step.out);
  args.rows = at.rows(step.out, hops);
  at.k().harmonics(args);
}

// Positions in double precision: c * ratio is exact there, where a float would move the last of 513 bins by 3e-5.
void run_warp(const StepSpec& step, Instance& instance, size_t hops) noexcept {
  const StepAccess at{instance};
  const size_t rows = at.rows(step.out, hops), channels = at.spec(step.out).channels, ld = at.spec(step.out).ld,
               in_ld = at.spec(step.in[0]).ld, ratio_ld = at.spec(step.in[1]).ld;
  const float* in = at.row(step.in[0], step.lag[0]);
  const float* ratios = at.row(step.in[1], step.lag[1]);
  float* out = at.out(step.out);
  const double last = static_cast<double>(channels - 1);
  for (size_t r = 0; r < rows; ++r) {
    const float* x = in + r * in_ld;
    const double ratio = ratios[r * ratio_ld];
    for (size_t c = 0; c < channels; ++c) {
      double position = static_cast<double>(c) * ratio;
      position = position > 0.0 ? position : 0.0;  // NaN too
      position = position < last ? position : last;
      const size_t lower = static_cast<size_t>(position), upper = lower + (lower + 1 < channels ? 1 : 0);
      const float share = static_cast<float>(position - static_cast<double>(lower));
      out[r * ld + c] = x[lower] + (x[upper] - x[lower]) * share;
    }
  }
}

void run_fir(const StepSpec& step, Instance& instance, size_t hops) noexcept {
  const StepAccess at{instance};
  const size_t rows = at.rows(step.out, hops), ld = at.spec(step.in[1]).ld, period = step.factor;
  const float* x = at.row(step.in[0], step.lag[0]) + (step.cols - 1);
  const float* taps = at.row(step.in[1], step.lag[1]) + (step.flag ? ld : 0);  // the oldest frame in use
  float* out = at.out(step.out);
  simd::FirArgs args{};
  args.num_taps = step.cols;
  args.period = period;
  size_t position = step.start == 0 ? 0 : period - step.start;
  for (size_t r = 0; r < rows; taps += ld) {
    args.x = x + r;
    args.taps = taps;
    args.before = step.flag ? taps - ld : nullptr;
    args.out = out + r;
    args.position = position;
    args.rows = period - position < rows - r ? period - position : rows - r;
    at.k().fir(args);
    r += args.rows;
    position = 0;
  }
}

}  // namespace rtvoice
