// What the resampler tests share: streams cut into lawful blocks, and sine fits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "stream/resampler.h"

namespace rtvoice::test {

constexpr ResamplerKind kAllKinds[] = {ResamplerKind::kFir, ResamplerKind::kFirShort,
                                       ResamplerKind::kLibsamplerateFastest, ResamplerKind::kLibsamplerateMedium,
                                       ResamplerKind::kLibsamplerateBest};

std::unique_ptr<Resampler> make(int in_rate, int out_rate, ResamplerKind kind = ResamplerKind::kAuto,
                                double extra_delay = 0.0, size_t max_in = 4096, size_t max_out = 131072);

// A stream's sums: after `total_in` inputs as many outputs as the contract allows.
class Ledger {
 public:
  Ledger(int in_rate, int out_rate) : in_rate_(in_rate), out_rate_(out_rate) {}
  size_t take(size_t n_in) {
    total_in_ += n_in;
    const uint64_t due = total_in_ * out_rate_ / in_rate_;
    const size_t n_out = static_cast<size_t>(due - total_out_);
    total_out_ = due;
    return n_out;
  }
  uint64_t total_in() const { return total_in_; }

 private:
  uint64_t in_rate_, out_rate_, total_in_ = 0, total_out_ = 0;
};

// The whole output for `in`, fed in blocks of `next_block()` samples.
std::vector<float> convert(Resampler& resampler, int in_rate, int out_rate, const std::vector<float>& in,
                           const std::function<size_t()>& next_block);
std::vector<float> convert(Resampler& resampler, int in_rate, int out_rate, const std::vector<float>& in,
                           size_t block = 480);

std::vector<float> noise(size_t n, uint32_t seed = 1);
std::vector<float> sine(double hertz, int rate, size_t n);

// Least-squares fit of a*sin(w m) + b*cos(w m), w = 2 pi hertz / rate, over y[from..]. Phase against sin, in radians.
struct SineFit {
  double amplitude, phase, residual;  // residual: r.m.s. of what the fit leaves
};
SineFit fit_sine(const std::vector<float>& y, size_t from, double hertz, int rate);

// By how many input samples the sine of `hertz` comes out later than it went in, to the nearest period around
// `expected`.
double measured_delay(const std::vector<float>& y, size_t from, double hertz, int in_rate, int out_rate,
                      double expected);

}  // namespace rtvoice::test
