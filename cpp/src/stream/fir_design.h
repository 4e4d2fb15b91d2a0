// Design of the linear-phase low-pass filters of the FIR resampler.
#pragma once

#include <cstddef>
#include <vector>

namespace rtvoice {

struct LowpassSpec {
  int half_length;     // in samples of the low rate: the impulse response is zero from there on
  double pass, stop;   // band edges as fractions of the low rate
  double stop_weight;  // squared error of the stop band against that of the pass band
};

// A symmetric impulse response in continuous time, band-limited to `stop`.
class LowpassKernel {
 public:
  explicit LowpassKernel(const LowpassSpec& spec);
  // At `time` in samples of the low rate, 0 at the centre. Its samples at any rate add up to about that rate / low
  // rate.
  double operator()(double time) const;

 private:
  int half_length_;
  std::vector<double> taps_;  // kOversampling per sample of the low rate, with room for the interpolation on both sides
};

}  // namespace rtvoice
