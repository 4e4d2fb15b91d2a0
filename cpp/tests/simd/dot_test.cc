// Dot products against float64, and the same bits however their rows are cut.
#include "simd_test_util.h"

namespace rtvoice::simd {
namespace {

using DotTest = KernelTest;

TEST_P(DotTest, MatchesFloat64AndKeepsItsBitsWhenCut) {
  uint32_t seed = 1;
  for (const size_t length : {1u, 2u, 3u, 7u, 8u, 15u, 16u, 17u, 31u, 48u, 63u, 64u, 65u, 100u, 192u, 1000u}) {
    for (const size_t segments : {1u, 2u, 5u}) {
      for (const size_t rows : {1u, 3u, 4u, 6u, 130u}) {
        Random random(seed++);
        const size_t step = 1 + random.below(length + 3), out_step = 1 + random.below(3);
        Buffer input((segments - 1) * 3 + (rows - 1) * step + length, random.below(4)),
            weights(segments * length, random.below(4));
        input.fill(random);
        weights.fill(random);
        std::vector<const float*> seg;
        for (size_t s = 0; s < segments; ++s) seg.push_back(input.data() + 3 * s);
        Output out(rows, 1, out_step, seed % 4);
        DotArgs args{seg.data(), segments, length, step, weights.data(), 0.25f, out.data(), out_step, rows};
        k().dot(args);
        out.expect_canaries();
        for (size_t r = 0; r < rows; ++r) {
          double sum = 0.25, scale = 1;
          for (size_t s = 0; s < segments; ++s) {
            for (size_t i = 0; i < length; ++i) {
              const double product = static_cast<double>(seg[s][r * step + i]) * weights[s * length + i];
              sum += product;
              scale += std::abs(product);
            }
          }
          ASSERT_NEAR(out.at(r, 0), sum, 1e-6 * scale) << length << " x " << segments << " row " << r << " of " << rows;
          std::vector<const float*> one(seg);
          for (auto& s : one) s += r * step;
          float alone = 0;
          k().dot({one.data(), segments, length, step, weights.data(), 0.25f, &alone, 1, 1});
          ASSERT_EQ(alone, out.at(r, 0));
        }
      }
    }
  }
}

RTV_ALL_KERNELS(DotTest);

}  // namespace
}  // namespace rtvoice::simd
