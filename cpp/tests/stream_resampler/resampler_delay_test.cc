// The delay that a resampler states is the delay it has.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>

#include "resampler_harness.h"

namespace rtvoice::test {
namespace {

constexpr int kHostRates[] = {8000,  11025, 12000, 16000, 22050,  24000, 32000,
                              44100, 48000, 88200, 96000, 176400, 192000};
constexpr int kModelRates[] = {16000, 24000, 48000};

// A sine in everyone's pass band, phase measured after the start has died away.
void expect_sine_delay(int in_rate, int out_rate, ResamplerKind kind, double extra) {
  SCOPED_TRACE(std::to_string(in_rate) + " to " + std::to_string(out_rate) + " kind " +
               std::to_string(static_cast<int>(kind)) + " extra " + std::to_string(extra));
  auto resampler = make(in_rate, out_rate, kind, extra);
  ASSERT_NE(resampler, nullptr);
  const double hertz = 0.11 * std::min(in_rate, out_rate);
  const double delay = resampler->delay_in_samples();
  const auto y = convert(*resampler, in_rate, out_rate, sine(hertz, in_rate, in_rate / 4));
  const size_t from = y.size() / 2;
  EXPECT_NEAR(measured_delay(y, from, hertz, in_rate, out_rate, delay), delay, 1e-3);
  EXPECT_NEAR(fit_sine(y, from, hertz, out_rate).amplitude, 1.0, 1e-3);
}

TEST(ResamplerDelay, StatedDelayIsMeasuredDelayBothWays) {
  for (int host : kHostRates) {
    for (int model : kModelRates) {
      expect_sine_delay(host, model, ResamplerKind::kAuto, 0.0);
      expect_sine_delay(model, host, ResamplerKind::kAuto, 0.0);
    }
  }
}

TEST(ResamplerDelay, EveryKindBothWays) {
  for (ResamplerKind kind : kAllKinds) {
    for (int model : kModelRates) {
      expect_sine_delay(96000, model, kind, 0.0);
      expect_sine_delay(model, 96000, kind, 0.0);
    }
  }
}

TEST(ResamplerDelay, FractionalExtraDelay) {
  for (double extra : {0.001, 0.25, 0.5, 0.75, 0.996, 0.999, 1.0, 2.3, 1234.567}) {
    for (ResamplerKind kind : kAllKinds) {
      if (kind == ResamplerKind::kLibsamplerateMedium) continue;
      expect_sine_delay(44100, 16000, kind, extra);
      expect_sine_delay(16000, 44100, kind, extra);
      expect_sine_delay(44100, 48000, kind, extra);
      expect_sine_delay(48000, 24000, kind, extra);
    }
    expect_sine_delay(16000, 16000, ResamplerKind::kLibsamplerateFastest, extra);
  }
}

TEST(ResamplerDelay, ExtraDelayAddsExactly) {
  for (int host : kHostRates) {
    if (host == 16000) continue;
    for (ResamplerKind kind : {ResamplerKind::kFir, ResamplerKind::kLibsamplerateFastest}) {
      auto plain = make(host, 16000, kind), late = make(host, 16000, kind, 7.3125);
      EXPECT_NEAR(late->delay_in_samples() - plain->delay_in_samples(), 7.3125, 1e-9) << host;
    }
  }
}

// The integer kinds: a low-rate impulse comes out as the filter, its peak at exactly the delay; a high-rate one
// likewise where the grid has it.
TEST(ResamplerDelay, ImpulsePeaksAtTheDelay) {
  for (ResamplerKind kind : {ResamplerKind::kFir, ResamplerKind::kFirShort}) {
    for (int ratio : {1, 2, 3, 4, 5, 6, 8, 12}) {
      for (int extra : {0, 1, 2, 5, 100}) {
        const int low = 16000, high = low * ratio;
        {
          auto up = make(low, high, kind, static_cast<double>(extra) / ratio);
          std::vector<float> x(512, 0.0f);
          x[10] = 1.0f;
          const auto y = convert(*up, low, high, x, 37);
          const double at = static_cast<double>(std::max_element(y.begin(), y.end()) - y.begin());
          EXPECT_DOUBLE_EQ(at, 10.0 * ratio + std::round(up->delay_in_samples() * ratio));
          EXPECT_NEAR(up->delay_in_samples() * ratio, std::round(up->delay_in_samples() * ratio), 1e-9);
        }
        {
          auto down = make(high, low, kind, extra);
          const size_t delay = static_cast<size_t>(down->delay_in_samples());
          EXPECT_EQ(static_cast<double>(delay), down->delay_in_samples());
          std::vector<float> x(512 * ratio, 0.0f);
          const size_t target = (delay + 10 * ratio) / ratio + 1;  // the output that the impulse is put under
          x[target * ratio - delay] = 1.0f;
          const auto y = convert(*down, high, low, x, 37);
          EXPECT_EQ(static_cast<size_t>(std::max_element(y.begin(), y.end()) - y.begin()), target);
        }
      }
    }
  }
}

TEST(ResamplerDelay, PairBudget) {
  struct Case {
    int host, model;
    ResamplerKind kind;
    double limit_ms;
  };
  const Case cases[] = {{48000, 16000, ResamplerKind::kFir, 4.0},
                        {48000, 16000, ResamplerKind::kFirShort, 2.0},
                        {48000, 24000, ResamplerKind::kFir, 2.7},
                        {48000, 24000, ResamplerKind::kFirShort, 1.4},
                        {44100, 16000, ResamplerKind::kFir, 4.0},
                        {44100, 16000, ResamplerKind::kFirShort, 2.0},
                        {44100, 48000, ResamplerKind::kFir, 1.5},
                        {44100, 16000, ResamplerKind::kLibsamplerateFastest, 2.6},
                        {96000, 16000, ResamplerKind::kFir, 4.0},
                        {192000, 16000, ResamplerKind::kFir, 4.0},
                        {16000, 48000, ResamplerKind::kFir, 4.0},
                        {48000, 16000, ResamplerKind::kLibsamplerateFastest, 2.6},
                        {48000, 16000, ResamplerKind::kLibsamplerateMedium, 6.0},
                        {48000, 16000, ResamplerKind::kLibsamplerateBest, 18.2}};
  for (const Case& c : cases) {
    const double in = make(c.host, c.model, c.kind)->delay_in_samples() / c.host;
    const double out = make(c.model, c.host, c.kind)->delay_in_samples() / c.model;
    std::printf("%6d <-> %5d kind %d: %.3f + %.3f = %.3f ms\n", c.host, c.model, static_cast<int>(c.kind), in * 1e3,
                out * 1e3, (in + out) * 1e3);
    EXPECT_LE((in + out) * 1e3, c.limit_ms);
  }
}

}  // namespace
}  // namespace rtvoice::test
