// What passes and what does not, in dB, printed and held.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstdio>
#include <string>

#include "resampler_harness.h"

namespace rtvoice::test {
namespace {

constexpr double kTwoPi = 6.28318530717958647692;

// The filter at the high rate, read out of the resampler with impulses at unit gain.
std::vector<double> taps_of(int ratio, bool up, ResamplerKind kind) {
  const int low = 16000, high = low * ratio;
  const size_t low_length = 128;
  std::vector<double> taps(low_length * ratio, 0.0);
  if (up) {
    std::vector<float> x(low_length, 0.0f);
    x[0] = 1.0f;
    auto resampler = make(low, high, kind);
    const auto y = convert(*resampler, low, high, x);
    for (size_t i = 0; i < y.size(); ++i) taps[i] = static_cast<double>(y[i]) / ratio;
    return taps;
  }
  for (int offset = 0; offset < ratio; ++offset) {
    std::vector<float> x(low_length * ratio, 0.0f);
    x[offset] = 1.0f;
    auto resampler = make(high, low, kind);
    const auto y = convert(*resampler, high, low, x);
    for (size_t m = 0; m < y.size(); ++m) taps[m * ratio + ratio - 1 - offset] = y[m];
  }
  return taps;
}

// Gain in dB at `frequency`, a fraction of the low rate.
double gain_db(const std::vector<double>& taps, int ratio, double frequency) {
  std::complex<double> sum = 0.0;
  for (size_t k = 0; k < taps.size(); ++k) {
    sum += taps[k] * std::polar(1.0, -kTwoPi * frequency / ratio * static_cast<double>(k));
  }
  return 20.0 * std::log10(std::max(std::abs(sum), 1e-12));
}

double worst_gain(const std::vector<double>& taps, int ratio, double from, double to, bool deviation) {
  double worst = -400.0;
  const int points = static_cast<int>((to - from) * 512);
  for (int i = 0; i <= points; ++i) {
    const double db = gain_db(taps, ratio, from + (to - from) * i / points);
    worst = std::max(worst, deviation ? std::abs(db) : db);
  }
  return worst;
}

struct Promise {
  ResamplerKind kind;
  const char* name;
  double ripple_db;           // to 0.43 of the low rate
  double stop_from, stop_db;  // from there to the high rate's half
  double fold_db;             // at 0.5
};
constexpr Promise kPromises[] = {{ResamplerKind::kFir, "long", 0.01, 0.52, -93.0, -30.0},
                                 {ResamplerKind::kFirShort, "short", 0.05, 0.57, -87.0, -10.0}};

TEST(ResamplerResponse, FirBands) {
  for (const Promise& p : kPromises) {
    for (int ratio : {2, 3, 4, 5, 6, 8, 12}) {
      for (bool up : {false, true}) {
        SCOPED_TRACE(std::string(p.name) + (up ? " up " : " down ") + std::to_string(ratio));
        const auto taps = taps_of(ratio, up, p.kind);
        const double ripple = worst_gain(taps, ratio, 0.0, 0.43, true);
        const double stop = worst_gain(taps, ratio, p.stop_from, ratio / 2.0, false);
        const double beyond = worst_gain(taps, ratio, 0.57, ratio / 2.0, false);
        for (int phase = 0; phase < ratio; ++phase) {
          double sum = 0.0;
          for (size_t k = phase; k < taps.size(); k += ratio) sum += taps[k];
          if (up) {
            EXPECT_NEAR(sum * ratio, 1.0, 1e-6) << phase;
          }
        }
        const double fold = gain_db(taps, ratio, 0.5);
        std::printf("%-5s %s %2d: ripple %.4f dB to 0.43, %.2f dB at 0.5, %.1f dB beyond %.2f, %.1f beyond 0.57\n",
                    p.name, up ? "up  " : "down", ratio, ripple, fold, stop, p.stop_from, beyond);
        EXPECT_LE(ripple, p.ripple_db);
        EXPECT_LE(stop, p.stop_db);
        EXPECT_LE(fold, p.fold_db);
      }
    }
  }
}

TEST(ResamplerResponse, ConstantPassesUnchanged) {
  for (ResamplerKind kind : {ResamplerKind::kFir, ResamplerKind::kFirShort}) {
    for (int ratio : {2, 3, 4, 5, 6, 8, 12}) {
      for (bool up : {false, true}) {
        const int in_rate = up ? 16000 : 16000 * ratio, out_rate = up ? 16000 * ratio : 16000;
        auto resampler = make(in_rate, out_rate, kind);
        const auto y = convert(*resampler, in_rate, out_rate, std::vector<float>(200 * (up ? 1 : ratio), 1.0f));
        for (size_t i = y.size() / 2; i < y.size(); ++i)
          ASSERT_NEAR(y[i], 1.0f, 2e-6) << ratio << (up ? " up" : " down");
      }
    }
  }
  for (int host : {11025, 44100, 88200, 192000}) {
    auto fir = make(host, 16000, ResamplerKind::kFir);
    const auto z = convert(*fir, host, 16000, std::vector<float>(host / 10, 1.0f));
    for (size_t i = z.size() / 2; i < z.size(); ++i) ASSERT_NEAR(z[i], 1.0f, 2e-6) << host;
    auto down = make(host, 16000, ResamplerKind::kLibsamplerateFastest);
    const auto y = convert(*down, host, 16000, std::vector<float>(host / 10, 1.0f));
    for (size_t i = y.size() / 2; i < y.size(); ++i) ASSERT_NEAR(y[i], 1.0f, 2e-4) << host;
  }
}

struct Tone {
  double gain_db;      // at the tone itself
  double spurious_db;  // everything else, against a full-scale sine
};

Tone tone(int in_rate, int out_rate, ResamplerKind kind, double hertz, bool passes) {
  auto resampler = make(in_rate, out_rate, kind);
  auto y = convert(*resampler, in_rate, out_rate, sine(hertz, in_rate, in_rate / 4));
  const size_t from = y.size() / 2;
  const SineFit fit = passes ? fit_sine(y, from, hertz, out_rate) : fit_sine(y, from, 1.0, out_rate);
  const double db = 20.0 * std::log10(std::max(fit.residual * std::sqrt(2.0), 1e-12));
  return {20.0 * std::log10(std::max(fit.amplitude, 1e-12)), db};
}

// Images and aliases: a tone below 0.4 of the low rate comes out alone; one above 0.6 of the lower output rate does not
// come out. FASTEST is 0.1 dB down at 0.36 of the low rate, 2.5 dB at 0.3977 and 10.6 dB at 0.43.
TEST(ResamplerResponse, TonesComeOutAloneOrNotAtAll) {
  struct Case {
    int in_rate, out_rate;
    ResamplerKind kind;
    double gain_db, spurious_db, alias_db;
  };
  const Case cases[] = {{48000, 16000, ResamplerKind::kFir, 0.01, -92.0, -92.0},
                        {16000, 48000, ResamplerKind::kFir, 0.01, -92.0, 0.0},
                        {48000, 16000, ResamplerKind::kFirShort, 0.05, -85.0, -85.0},
                        {16000, 48000, ResamplerKind::kFirShort, 0.05, -85.0, 0.0},
                        {44100, 16000, ResamplerKind::kFir, 0.01, -92.0, -92.0},
                        {16000, 44100, ResamplerKind::kFir, 0.01, -92.0, 0.0},
                        {16000, 44100, ResamplerKind::kFirShort, 0.05, -85.0, 0.0},
                        {44100, 48000, ResamplerKind::kFir, 0.01, -92.0, 0.0},
                        {44100, 16000, ResamplerKind::kLibsamplerateFastest, 2.6, -90.0, -90.0},
                        {16000, 44100, ResamplerKind::kLibsamplerateFastest, 2.6, -90.0, 0.0},
                        {44100, 24000, ResamplerKind::kLibsamplerateMedium, 0.01, -110.0, -110.0},
                        {44100, 48000, ResamplerKind::kLibsamplerateBest, 0.01, -110.0, 0.0},
                        {192000, 16000, ResamplerKind::kLibsamplerateFastest, 2.6, -90.0, -90.0}};
  for (const Case& c : cases) {
    SCOPED_TRACE(std::to_string(c.in_rate) + " to " + std::to_string(c.out_rate));
    const double low = std::min(c.in_rate, c.out_rate);
    double gain = 0.0, spurious = -400.0, alias = -400.0;
    for (double f : {0.02, 0.11, 0.21, 0.33, 0.3977}) {
      const Tone t = tone(c.in_rate, c.out_rate, c.kind, f * low, true);
      gain = std::max(gain, std::abs(t.gain_db));
      spurious = std::max(spurious, t.spurious_db);
    }
    for (double f : {0.603, 0.71, 0.903, 1.107}) {
      if (c.out_rate >= c.in_rate || f * low >= c.in_rate / 2.0) continue;
      alias = std::max(alias, tone(c.in_rate, c.out_rate, c.kind, f * low, false).spurious_db);
    }
    std::printf("%6d -> %6d kind %d: gain within %.4f dB, images %.1f dB, aliases %.1f dB\n", c.in_rate, c.out_rate,
                static_cast<int>(c.kind), gain, spurious, alias);
    EXPECT_LE(gain, c.gain_db);
    EXPECT_LE(spurious, c.spurious_db);
    EXPECT_LE(alias, c.alias_db);
  }
}

}  // namespace
}  // namespace rtvoice::test
