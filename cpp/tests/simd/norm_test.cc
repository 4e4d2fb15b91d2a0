// Normalisation against float64; padding neither read nor written.
#include "simd_test_util.h"

namespace rtvoice::simd {
namespace {

using NormTest = KernelTest;

TEST_P(NormTest, MatchesFloat64AndIsTheSameRowByRow) {
  for (size_t channels = 1; channels <= 131; channels += 1 + channels / 20) {
    for (int mode = 0; mode < 8; ++mode) {
      Random random(static_cast<uint32_t>(channels * 8 + mode));
      const bool rms = mode & 1, weighted = mode & 2, biased = (mode & 4) != 0;
      const size_t rows = 3, ld = channels + 5;
      Buffer in((rows - 1) * ld + channels, random.below(4)), weight(channels, random.below(4)),
          bias(channels, random.below(4));
      in.fill(random);
      weight.fill(random);
      bias.fill(random);
      for (size_t r = 0; r + 1 < rows; ++r) {  // padding that would spoil the sums
        for (size_t c = channels; c < ld; ++c) in[r * ld + c] = 1e20f;
      }
      for (size_t c = 0; c < channels; ++c) in[c] += 100.0f;  // a row whose mean is far above its spread
      Output out(rows, channels, ld, 1);
      const NormArgs args{rms,
                          1e-5f,
                          weighted ? weight.data() : nullptr,
                          biased ? bias.data() : nullptr,
                          in.data(),
                          ld,
                          out.data(),
                          ld,
                          rows,
                          channels};
      k().norm(args);
      out.expect_canaries();
      for (size_t r = 0; r < rows; ++r) {
        double mean = 0, squares = 0;
        for (size_t c = 0; c < channels; ++c) mean += in[r * ld + c];
        mean = rms ? 0 : mean / static_cast<double>(channels);
        for (size_t c = 0; c < channels; ++c) squares += (in[r * ld + c] - mean) * (in[r * ld + c] - mean);
        const double scale = 1 / std::sqrt(squares / static_cast<double>(channels) + 1e-5);
        for (size_t c = 0; c < channels; ++c) {
          const double y = (in[r * ld + c] - mean) * scale * (weighted ? weight[c] : 1.0) + (biased ? bias[c] : 0.0);
          ASSERT_NEAR(out.at(r, c), y, 3e-6) << channels << " channels, row " << r << " mode " << mode;
        }
        std::vector<float> alone(channels);
        NormArgs one = args;
        one.in += r * ld;
        one.out = alone.data();
        one.rows = 1;
        k().norm(one);
        for (size_t c = 0; c < channels; ++c) ASSERT_EQ(alone[c], out.at(r, c));
      }
    }
  }
}

TEST_P(NormTest, SoftmaxMatchesFloat64AndIsTheSameRowByRow) {
  for (size_t channels = 1; channels <= 131; channels += 1 + channels / 20) {
    Random random(static_cast<uint32_t>(channels));
    const size_t rows = 3, ld = channels + 5;
    Buffer in((rows - 1) * ld + channels, random.below(4));
    in.fill(random, 30.0f);
    for (size_t r = 0; r + 1 < rows; ++r) {
      for (size_t c = channels; c < ld; ++c) in[r * ld + c] = 1e20f;
    }
    Output out(rows, channels, ld, 1);
    k().softmax({in.data(), ld, out.data(), ld, rows, channels});
    out.expect_canaries();
    for (size_t r = 0; r < rows; ++r) {
      const float* x = in.data() + r * ld;
      double most = x[0], sum = 0;
      for (size_t c = 0; c < channels; ++c) most = std::max<double>(most, x[c]);
      for (size_t c = 0; c < channels; ++c) sum += std::exp(x[c] - most);
      std::vector<float> alone(channels);
      k().softmax({x, channels, alone.data(), channels, 1, channels});
      for (size_t c = 0; c < channels; ++c) {
        ASSERT_NEAR(out.at(r, c), std::exp(x[c] - most) / sum, 1e-6);
        ASSERT_EQ(alone[c], out.at(r, c));
      }
    }
  }
}

TEST_P(NormTest, SoftmaxOfALostChannelSumsToOne) {
  for (const float lost : {NAN, -INFINITY}) {
    float x[] = {1.0f, lost, 2.0f, -3.0f, 0.5f}, y[5];
    k().softmax({x, 5, y, 5, 1, 5});
    EXPECT_EQ(y[1], 0.0f);
    EXPECT_NEAR(y[0] + y[2] + y[3] + y[4], 1.0f, 1e-6f);
  }
}

RTV_ALL_KERNELS(NormTest);

}  // namespace
}  // namespace rtvoice::simd
