// What the resampler tests share: streams cut into lawful blocks, and sine fits.
#include "resampler_harness.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace rtvoice::test {
namespace {
constexpr double kTwoPi = 6.28318530717958647692;
}

std::unique_ptr<Resampler> make(int in_rate, int out_rate, ResamplerKind kind, double extra_delay, size_t max_in,
                                size_t max_out) {
  ResamplerConfig config;
  config.in_rate = in_rate;
  config.out_rate = out_rate;
  config.max_in = max_in;
  config.max_out = max_out;
  config.kind = kind;
  config.extra_delay = extra_delay;
  std::string error;
  auto resampler = make_resampler(config, &error);
  EXPECT_NE(resampler, nullptr) << error;
  return resampler;
}

std::vector<float> convert(Resampler& resampler, int in_rate, int out_rate, const std::vector<float>& in,
                           const std::function<size_t()>& next_block) {
  Ledger ledger(in_rate, out_rate);
  std::vector<float> out(in.size() * out_rate / in_rate + 1);
  size_t done = 0;
  for (size_t used = 0; used < in.size();) {
    const size_t n_in = std::min(next_block(), in.size() - used);
    const size_t n_out = ledger.take(n_in);
    resampler.process(in.data() + used, n_in, out.data() + done, n_out);
    used += n_in;
    done += n_out;
  }
  out.resize(done);
  return out;
}

std::vector<float> convert(Resampler& resampler, int in_rate, int out_rate, const std::vector<float>& in,
                           size_t block) {
  return convert(resampler, in_rate, out_rate, in, [block] { return block; });
}

std::vector<float> noise(size_t n, uint32_t seed) {
  std::mt19937 generator(seed);
  std::vector<float> x(n);
  for (float& v : x) v = static_cast<float>(generator()) * (2.0f / 4294967296.0f) - 1.0f;
  return x;
}

std::vector<float> sine(double hertz, int rate, size_t n) {
  std::vector<float> x(n);
  for (size_t i = 0; i < n; ++i) x[i] = static_cast<float>(std::sin(kTwoPi * hertz / rate * static_cast<double>(i)));
  return x;
}

SineFit fit_sine(const std::vector<float>& y, size_t from, double hertz, int rate) {
  const double w = kTwoPi * hertz / rate;
  double ss = 0, sc = 0, cc = 0, ys = 0, yc = 0, yy = 0;
  for (size_t i = from; i < y.size(); ++i) {
    const double s = std::sin(w * static_cast<double>(i)), c = std::cos(w * static_cast<double>(i)), v = y[i];
    ss += s * s, sc += s * c, cc += c * c, ys += v * s, yc += v * c, yy += v * v;
  }
  const double det = ss * cc - sc * sc;
  const double a = (ys * cc - yc * sc) / det, b = (yc * ss - ys * sc) / det;
  const double left = std::max(0.0, yy - a * ys - b * yc);
  return {std::hypot(a, b), std::atan2(b, a), std::sqrt(left / static_cast<double>(y.size() - from))};
}

double measured_delay(const std::vector<float>& y, size_t from, double hertz, int in_rate, int out_rate,
                      double expected) {
  const double period = in_rate / hertz;
  const double delay = -fit_sine(y, from, hertz, out_rate).phase / kTwoPi * period;
  return delay + period * std::round((expected - delay) / period);
}

}  // namespace rtvoice::test
