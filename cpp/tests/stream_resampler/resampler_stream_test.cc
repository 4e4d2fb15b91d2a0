// A stream's behaviour: any cutting, resets, long runs, hostile input, no allocation.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <tuple>
#include <utility>

#include "../short_form.h"
#include "allocation_count.h"
#include "resampler_harness.h"

namespace rtvoice::test {
namespace {

struct Path {
  int in_rate, out_rate;
  ResamplerKind kind;
  double extra;
};
const Path kPaths[] = {{48000, 16000, ResamplerKind::kFir, 0.0},
                       {16000, 48000, ResamplerKind::kFir, 2.0 / 3.0},
                       {48000, 24000, ResamplerKind::kFirShort, 1.0},
                       {16000, 192000, ResamplerKind::kFirShort, 0.0},
                       {48000, 48000, ResamplerKind::kAuto, 7.0},
                       {44100, 16000, ResamplerKind::kFir, 0.0},
                       {16000, 44100, ResamplerKind::kFir, 0.37},
                       {8000, 192000, ResamplerKind::kFir, 1.5},
                       {44100, 16000, ResamplerKind::kLibsamplerateFastest, 0.0},
                       {16000, 44100, ResamplerKind::kLibsamplerateFastest, 0.31},
                       {44100, 48000, ResamplerKind::kLibsamplerateMedium, 0.7},
                       {192000, 11025, ResamplerKind::kLibsamplerateFastest, 0.0},
                       {48000, 16000, ResamplerKind::kLibsamplerateBest, 3.5}};

std::string name_of(const Path& p) {
  return std::to_string(p.in_rate) + " to " + std::to_string(p.out_rate) + " kind " +
         std::to_string(static_cast<int>(p.kind));
}

std::unique_ptr<Resampler> make(const Path& p) { return test::make(p.in_rate, p.out_rate, p.kind, p.extra); }

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

TEST(ResamplerStream, CuttingDoesNotChangeABit) {
  for (const Path& p : kPaths) {
    SCOPED_TRACE(name_of(p));
    const auto x = noise(shortened(static_cast<size_t>(p.in_rate) / 3, 8));
    auto reference = make(p);
    const auto expected = convert(*reference, p.in_rate, p.out_rate, x, 4096);
    for (size_t block : {1, 7, 160, 441, 480}) {
      auto cut = make(p);
      EXPECT_TRUE(same_bits(convert(*cut, p.in_rate, p.out_rate, x, block), expected)) << block;
    }
    std::mt19937 generator(3);
    auto random = make(p);
    const auto y = convert(*random, p.in_rate, p.out_rate, x, [&] { return size_t{generator() % 700}; });
    EXPECT_TRUE(same_bits(y, expected)) << "random";
  }
}

// Outputs may also be taken late, up to a block behind the input.
TEST(ResamplerStream, TakingLateDoesNotChangeABit) {
  for (const Path& p : kPaths) {
    SCOPED_TRACE(name_of(p));
    const auto x = noise(shortened(static_cast<size_t>(p.in_rate) / 3, 8));
    auto reference = make(p);
    const auto expected = convert(*reference, p.in_rate, p.out_rate, x, 480);
    auto late = make(p);
    std::vector<float> y(expected.size());
    Ledger ledger(p.in_rate, p.out_rate);
    size_t done = 0, due = 0;
    for (size_t used = 0; used < x.size(); used += 480) {
      const size_t n_in = std::min<size_t>(480, x.size() - used);
      const bool last = used + n_in == x.size();
      due += ledger.take(n_in);
      const size_t behind = last ? 0 : static_cast<size_t>(480.0 * p.out_rate / p.in_rate);
      const size_t n_out = due - done > behind ? due - done - behind : 0;
      late->process(x.data() + used, n_in, y.data() + done, n_out);
      done += n_out;
    }
    EXPECT_TRUE(same_bits(y, expected));
  }
}

TEST(ResamplerStream, ResetEqualsFresh) {
  for (const Path& p : kPaths) {
    SCOPED_TRACE(name_of(p));
    const auto x = noise(shortened(static_cast<size_t>(p.in_rate) / 5, 8));
    auto resampler = make(p);
    const auto fresh = convert(*resampler, p.in_rate, p.out_rate, x);
    for (size_t used : {1u, 479u, 5000u}) {
      convert(*resampler, p.in_rate, p.out_rate, noise(used, 9));
      resampler->reset();
      EXPECT_TRUE(same_bits(convert(*resampler, p.in_rate, p.out_rate, x), fresh)) << used;
      resampler->reset();
    }
  }
}

TEST(ResamplerStream, InputAndOutputMayBeTheSameBuffer) {
  for (const Path& p : kPaths) {
    SCOPED_TRACE(name_of(p));
    const auto x = noise(480);
    auto apart = make(p), together = make(p);
    const size_t n_out = static_cast<size_t>(480) * p.out_rate / p.in_rate;
    std::vector<float> y(n_out), shared(std::max<size_t>(480, n_out));
    std::copy(x.begin(), x.end(), shared.begin());
    apart->process(x.data(), 480, y.data(), n_out);
    together->process(shared.data(), 480, shared.data(), n_out);
    shared.resize(n_out);
    EXPECT_TRUE(same_bits(y, shared));
  }
}

TEST(ResamplerStream, LargestBlocks) {
  for (const Path& p : kPaths) {
    SCOPED_TRACE(name_of(p));
    const size_t block = shortened(40000, 8);
    const size_t max_out = block * static_cast<size_t>(p.out_rate) / static_cast<size_t>(p.in_rate) + 1;
    auto large = test::make(p.in_rate, p.out_rate, p.kind, p.extra, block, max_out);
    auto small = make(p);
    const auto x = noise(3 * block);
    EXPECT_TRUE(
        same_bits(convert(*large, p.in_rate, p.out_rate, x, block), convert(*small, p.in_rate, p.out_rate, x, 4000)));
  }
}

TEST(ResamplerStream, NoAllocation) {
  if (!can_count_allocations()) GTEST_SKIP() << "malloc is not ours to count";
  const size_t before = allocation_count();
  void* volatile probe = std::malloc(16);
  std::free(probe);
  ASSERT_EQ(allocation_count() - before, 2u) << "the counter does not count";
  for (const Path& p : kPaths) {
    SCOPED_TRACE(name_of(p));
    auto resampler = make(p);
    const auto x = noise(4096);
    std::vector<float> y(131072);
    Ledger ledger(p.in_rate, p.out_rate);
    const size_t start = allocation_count();
    for (int round = 0; round < 3; ++round) {
      for (size_t n = 0; n <= 4096; n = n * 2 + 1) resampler->process(x.data(), n, y.data(), ledger.take(n));
      resampler->reset();
      ledger = Ledger(p.in_rate, p.out_rate);
    }
    EXPECT_EQ(allocation_count() - start, 0u);
  }
}

TEST(ResamplerStream, SilenceStaysSilentAndDenormalsStayFinite) {
  for (const Path& p : kPaths) {
    SCOPED_TRACE(name_of(p));
    auto resampler = make(p);
    for (float v : convert(*resampler, p.in_rate, p.out_rate, std::vector<float>(5000, 0.0f))) ASSERT_EQ(v, 0.0f);
    for (float v : convert(*resampler, p.in_rate, p.out_rate, std::vector<float>(5000, 1e-41f))) {
      ASSERT_LE(std::abs(v), 2e-41f);
    }
  }
}

TEST(ResamplerStream, NanAndInfinityLeave) {
  for (const Path& p : kPaths) {
    SCOPED_TRACE(name_of(p));
    auto resampler = make(p);
    std::vector<float> x(20000, 0.25f);
    x[100] = std::numeric_limits<float>::quiet_NaN();
    x[200] = std::numeric_limits<float>::infinity();
    const auto y = convert(*resampler, p.in_rate, p.out_rate, x);
    for (size_t i = y.size() * 3 / 4; i < y.size(); ++i) ASSERT_NEAR(y[i], 0.25f, 1e-4f);
  }
}

// Beyond the contract: zeros and lost input, and after a reset all is well.
TEST(ResamplerStream, BreakingTheContractIsHarmless) {
  for (const Path& p : kPaths) {
    SCOPED_TRACE(name_of(p));
    auto resampler = make(p);
    const auto x = noise(4096);
    const auto expected = convert(*resampler, p.in_rate, p.out_rate, x);
    resampler->reset();
    std::vector<float> y(131072, 1.0f);
    resampler->process(x.data(), 0, y.data(), y.size());
    EXPECT_EQ(y.back(), 0.0f);
    for (int i = 0; i < 100; ++i) resampler->process(x.data(), x.size(), y.data(), 0);
    for (int i = 0; i < 20; ++i) resampler->process(x.data(), 1, y.data(), y.size());
    for (float v : y) ASSERT_TRUE(std::isfinite(v));
    resampler->reset();
    EXPECT_TRUE(same_bits(convert(*resampler, p.in_rate, p.out_rate, x), expected));
  }
}

// Minutes through the whole converter: it never runs dry (a missing output would be a zero in a constant), and the
// phase stands.
TEST(ResamplerStream, MinutesWithoutDrift) {
  for (const auto& [in_rate, out_rate, kind] :
       {std::tuple{44100, 16000, ResamplerKind::kLibsamplerateFastest},
        std::tuple{16000, 44100, ResamplerKind::kLibsamplerateFastest}, std::tuple{44100, 16000, ResamplerKind::kFir},
        std::tuple{11025, 192000, ResamplerKind::kAuto}}) {
    SCOPED_TRACE(std::to_string(in_rate) + " to " + std::to_string(out_rate));
    auto resampler = test::make(in_rate, out_rate, kind, 0.25, in_rate, out_rate);
    const int seconds = static_cast<int>(shortened(out_rate > 48000 ? 20 : 200, 7));
    const double hertz = 1000.0;  // whole periods in every second: one second of input serves for all
    auto x = sine(hertz, in_rate, in_rate);
    for (float& v : x) v = 0.4f * v + 0.5f;
    std::vector<float> y(out_rate);
    double first_phase = 0.0;
    for (int second = 0; second < seconds; ++second) {
      resampler->process(x.data(), x.size(), y.data(), y.size());
      if (second > 0) {
        for (float v : y) ASSERT_GT(v, 0.05f) << second;
      }
      if (second != 1 && second != seconds - 1) continue;
      std::vector<float> centred = y;
      for (float& v : centred) v -= 0.5f;
      const double phase = fit_sine(centred, 0, hertz, out_rate).phase;
      if (second == 1) first_phase = phase;
      EXPECT_NEAR(phase, first_phase, 1e-6);
    }
  }
}

// libsamplerate adds up a rounded step per output. An hour of that sum stays within 1e-6 samples of the truth; the
// margin that the delay leaves is a whole step (1/12 at least), and drift grows no faster than the hours.
TEST(ResamplerStream, AnHourOfPositionsStaysExact) {
  for (const auto& [in_rate, out_rate] : {std::pair{44100, 48000}, std::pair{192000, 44100}, std::pair{16000, 44100}}) {
    const double step = 1.0 / (static_cast<double>(out_rate) / in_rate);
    double position = 0.25;
    int64_t whole = 0;
    const int64_t seconds = static_cast<int64_t>(shortened(3600, 60));
    const int64_t outputs = seconds * std::min(out_rate, 48000);
    for (int64_t i = 0; i < outputs; ++i) {
      position += step;
      const double floor = std::floor(position);
      whole += static_cast<int64_t>(floor);
      position -= floor;
    }
    // Whole seconds: the fraction comes back to where it began.
    const int64_t exact = seconds * std::min(out_rate, 48000) / out_rate * in_rate;
    if (outputs % out_rate == 0) {
      EXPECT_NEAR(static_cast<double>(whole - exact) + position, 0.25, 1e-6) << in_rate << " to " << out_rate;
    } else {
      EXPECT_NEAR(static_cast<double>(outputs) * in_rate / out_rate + 0.25 - static_cast<double>(whole), position,
                  1e-6);
    }
  }
}

TEST(ResamplerCreate, RefusesWhatItCannotDo) {
  const ResamplerConfig good = {48000, 16000, 480, 160, ResamplerKind::kAuto, 0.0};
  std::string error;
  ASSERT_NE(make_resampler(good, &error), nullptr);
  ASSERT_NE(make_resampler(good, nullptr), nullptr);
  std::vector<ResamplerConfig> bad(9, good);
  bad[0].in_rate = 0;
  bad[1].out_rate = -16000;
  bad[2].in_rate = 1000000;
  bad[3].max_in = 0;
  bad[4].max_out = size_t{1000000} * 1000000;
  bad[5].extra_delay = -1.0;
  bad[6].extra_delay = std::numeric_limits<double>::quiet_NaN();
  bad[7].in_rate = 16000, bad[7].extra_delay = 0.5;  // a plain delay is whole
  bad[8].in_rate = 44099, bad[8].kind = ResamplerKind::kFir;
  for (size_t i = 0; i < bad.size(); ++i) {
    error.clear();
    EXPECT_EQ(make_resampler(bad[i], &error), nullptr) << i;
    EXPECT_FALSE(error.empty()) << i;
  }
}

}  // namespace
}  // namespace rtvoice::test
