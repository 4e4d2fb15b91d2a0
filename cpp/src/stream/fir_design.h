// Design of the linear-phase low-pass filters of the integer-ratio resampler.
#pragma once

#include <cstddef>
#include <vector>

namespace rtvoice {

struct LowpassSpec {
  int ratio;           // high rate / low rate
  int half_length;     // the filter has 2*half_length + 1 taps at the high rate and delays by half_length
  double pass, stop;   // band edges as fractions of the low rate
  double stop_weight;  // squared error of the stop band against that of the pass band
};

// Weighted least squares over pass and stop band, in closed form. The taps are symmetric, and each of the `ratio`
// polyphase components sums to 1/ratio: a constant keeps its value exactly, and no image of it stays at multiples of
// the low rate.
std::vector<double> design_lowpass(const LowpassSpec& spec);

}  // namespace rtvoice
