// Pulse trains against their sums, FIR filters against float64, both however the rows are cut.
#include "simd_test_util.h"

namespace rtvoice::simd {
namespace {

using SourceTest = KernelTest;

double pulses(double phase, double frequency, double limit, double count) {
  const double h = std::max(std::min(limit / frequency - 1, count), 1e-12);
  double sum = 0;
  for (double k = 1; k < h + 1; ++k) sum += std::min(h - k + 1, 1.0) * std::cos(2 * M_PI * k * phase);
  return sum * std::sqrt(2 / h);
}

TEST_P(SourceTest, HarmonicsAreTheirSum) {
  Random random(1);
  for (const float count : {1.0f, 33.0f, 240.0f}) {
    for (size_t rows = 1; rows <= 70; rows += 1 + rows / 8) {
      Buffer phase(rows, random.below(4)), frequency(rows, random.below(4));
      for (size_t r = 0; r < rows; ++r) {
        phase[r] = static_cast<float>(random.next() >> 8) * 0x1p-24f;
        if (r % 5 == 0) phase[r] = std::ldexp(1.0f, -static_cast<int>(r % 24) - 1);
        frequency[r] = 0.002f * std::exp2(8 * random.uniform() + 0.2f);
      }
      Output out(rows, 1, 1, 1);
      k().harmonics({phase.data(), frequency.data(), 0.5f, count, out.data(), rows});
      out.expect_canaries();
      for (size_t r = 0; r < rows; ++r) {
        const double peak = std::sqrt(2.0 * count);
        ASSERT_NEAR(out.at(r, 0), pulses(phase[r], frequency[r], 0.5, count), 1e-6 * peak + 2e-6)
            << phase[r] << " " << frequency[r];
        float alone = 0;
        k().harmonics({phase.data() + r, frequency.data() + r, 0.5f, count, &alone, 1});
        ASSERT_EQ(alone, out.at(r, 0));
      }
    }
  }
}

TEST_P(SourceTest, HarmonicsOfNonsenseAreFinite) {
  const float odd[] = {NAN, INFINITY, -INFINITY, 1e30f, -1e30f, -0.25f, 0.0f, 1e-40f, 3.5f};
  for (const float phase : odd) {
    for (const float frequency : odd) {
      float y = NAN;
      k().harmonics({&phase, &frequency, 0.5f, 50.0f, &y, 1});
      EXPECT_TRUE(std::isfinite(y)) << phase << " " << frequency;
      EXPECT_TRUE(frequency > 0 || y == 0.0f) << phase << " " << frequency;
    }
  }
}

TEST_P(SourceTest, FirMatchesFloat64AndIsTheSameRowByRow) {
  for (const size_t taps : {1u, 2u, 7u, 33u, 128u}) {
    for (size_t rows = 1; rows <= 200; rows += 1 + rows / 4) {
      for (const bool faded : {false, true}) {
        Random random(static_cast<uint32_t>(taps * 1000 + rows));
        Buffer x(rows + taps - 1, random.below(4)), now(taps, random.below(4)), before(taps, random.below(4));
        x.fill(random);
        now.fill(random);
        before.fill(random);
        const size_t position = random.below(5), period = position + rows + random.below(3);
        Output out(rows, 1, 1, 1);
        const FirArgs args{
            x.data() + taps - 1, now.data(), faded ? before.data() : nullptr, taps, out.data(), rows, position, period};
        k().fir(args);
        out.expect_canaries();
        for (size_t r = 0; r < rows; ++r) {
          double a = 0, b = 0;
          for (size_t t = 0; t < taps; ++t) {
            a += static_cast<double>(before[t]) * x[r + taps - 1 - t];
            b += static_cast<double>(now[t]) * x[r + taps - 1 - t];
          }
          const double share = static_cast<double>(position + r + 1) / static_cast<double>(period);
          ASSERT_NEAR(out.at(r, 0), faded ? a + (b - a) * share : b, 1e-6 * static_cast<double>(taps));
          FirArgs one = args;
          float alone = 0;
          one.x += r;
          one.out = &alone;
          one.rows = 1;
          one.position += r;
          k().fir(one);
          ASSERT_EQ(alone, out.at(r, 0));
        }
      }
    }
  }
}

RTV_ALL_KERNELS(SourceTest);

}  // namespace
}  // namespace rtvoice::simd
