// Noise against the formulas of docs/model-format.md: the integers exactly, the floats closely.
#include "simd_test_util.h"

namespace rtvoice::simd {
namespace {

using NoiseTest = KernelTest;

uint32_t mix(uint32_t x) {
  x ^= x >> 16;
  x *= 0x21f0aaadu;
  x ^= x >> 15;
  x *= 0xd35a2d97u;
  x ^= x >> 15;
  return x;
}

uint32_t word(uint64_t seed, uint32_t stream, uint64_t i) {
  const uint32_t key =
      mix(static_cast<uint32_t>(seed) + 0x9e3779b9u * stream) ^ mix(static_cast<uint32_t>(seed >> 32) + 0x85ebca6bu);
  return mix(mix(static_cast<uint32_t>(i) ^ key) + static_cast<uint32_t>(i >> 32) * 0x9e3779b9u + key);
}

// Starts whose counters cross 2^32 inside a vector, singly and doubled.
const uint64_t kFrames[] = {
    0, 5, 1000, (uint64_t{1} << 32) - 9, (uint64_t{1} << 31) - 7, 613566756, 1431655763, (uint64_t{1} << 40) + 3};

TEST_P(NoiseTest, FollowsTheFormulas) {
  for (const uint64_t seed : {uint64_t{0}, uint64_t{0x123456789abcdef0}}) {
    for (const size_t channels : {1u, 3u, 7u, 16u, 37u}) {
      for (const uint64_t frame : kFrames) {
        const size_t rows = 12, ld = channels + 2;
        Output uniform(rows, channels, ld, 1), gaussian(rows, channels, ld, 2);
        k().noise({false, 0.0f, 16777216.0f, seed, 7, frame, uniform.data(), ld, rows, channels});
        k().noise({true, 0.5f, 2.0f, seed, 7, frame, gaussian.data(), ld, rows, channels});
        uniform.expect_canaries();
        gaussian.expect_canaries();
        for (size_t r = 0; r < rows; ++r) {
          for (size_t c = 0; c < channels; ++c) {
            const uint64_t i = (frame + r) * channels + c;
            // Over [0, 2^24) a uniform number is its integer: exact.
            ASSERT_EQ(uniform.at(r, c), static_cast<float>(word(seed, 7, i) >> 8)) << "i " << i;
            const double u = ((word(seed, 7, 2 * i) >> 8) + 1) * 0x1p-24, v = (word(seed, 7, 2 * i + 1) >> 8) * 0x1p-24;
            ASSERT_NEAR(gaussian.at(r, c), 0.5 + 2.0 * std::sqrt(-2 * std::log(u)) * std::cos(2 * M_PI * v), 4e-6)
                << "i " << i;
          }
        }
      }
    }
  }
}

TEST_P(NoiseTest, UniformRangeAndGaussianMoments) {
  std::vector<float> x(200000);
  k().noise({false, -1.0f, 1.0f, 42, 0, 0, x.data(), 1, x.size(), 1});
  double sum = 0;
  for (const float v : x) {
    ASSERT_GE(v, -1.0f);
    ASSERT_LE(v, 1.0f);
    sum += v;
  }
  EXPECT_NEAR(sum / static_cast<double>(x.size()), 0.0, 0.006);
  k().noise({true, 0.0f, 1.0f, 42, 0, 0, x.data(), 1, x.size(), 1});
  double mean = 0, square = 0, fourth = 0;
  for (const float v : x) {
    mean += v;
    square += v * v;
    fourth += static_cast<double>(v) * v * v * v;
  }
  const double n = static_cast<double>(x.size());
  EXPECT_NEAR(mean / n, 0.0, 0.01);
  EXPECT_NEAR(square / n, 1.0, 0.015);
  EXPECT_NEAR(fourth / n, 3.0, 0.1);
}

// All tables give the same uniform bits where they fuse alike; the integers always.
TEST_P(NoiseTest, CuttingKeepsTheBits) {
  std::vector<float> whole(40 * 5), cut(40 * 5);
  k().noise({true, 0, 1, 9, 1, 100, whole.data(), 5, 40, 5});
  for (size_t r = 0; r < 40; ++r) k().noise({true, 0, 1, 9, 1, 100 + r, cut.data() + r * 5, 5, 1, 5});
  EXPECT_EQ(whole, cut);
}

RTV_ALL_KERNELS(NoiseTest);

}  // namespace
}  // namespace rtvoice::simd
