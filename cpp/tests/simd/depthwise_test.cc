// Depthwise convolution against float64, and the same bits however its rows are cut.
#include "simd_test_util.h"

namespace rtvoice::simd {
namespace {

using DepthwiseTest = KernelTest;

struct Problem {
  Problem(size_t taps_in, size_t rows_in, size_t cols_in, size_t dilation, uint32_t seed)
      : taps(taps_in),
        rows(rows_in),
        cols(cols_in),
        random(seed),
        step(cols + random.below(3)),
        weights_ld(cols + random.below(3)),
        input(((taps - 1) * dilation + rows - 1) * step + cols, random.below(4)),
        weights((taps - 1) * weights_ld + cols, random.below(4)),
        bias(cols, random.below(4)),
        residual((rows - 1) * (cols + 1) + cols, random.below(4)) {
    input.fill(random);
    weights.fill(random);
    bias.fill(random);
    residual.fill(random);
    for (size_t t = 0; t < taps; ++t) tap.push_back(input.data() + t * dilation * step);
    args = {tap.data(), taps, step, weights.data(), weights_ld, bias.data(), nullptr, cols + random.below(2) * 3,
            rows,       cols, {}};
  }
  size_t taps, rows, cols;
  Random random;
  size_t step, weights_ld;
  Buffer input, weights, bias, residual;
  std::vector<const float*> tap;
  DepthwiseArgs args;
};

TEST_P(DepthwiseTest, MatchesFloat64) {
  uint32_t seed = 1;
  for (size_t cols = 1; cols <= 70; ++cols) {
    for (const size_t rows : {1u, 2u, 4u, 7u, 9u}) {
      Problem p(1 + (cols + rows) % 8, rows, cols, 1 + rows % 3, seed++);
      const int residual = static_cast<int>(seed % 3);
      if (seed % 4 == 0) p.args.bias = nullptr;
      p.args.epilogue = {seed % 2 ? Unary::kTanh : Unary::kNone, residual == 2, 0, 0,
                         residual ? p.residual.data() : nullptr, cols + 1};
      Buffer slope(cols, p.random.below(4)), q(cols, p.random.below(4));
      slope.fill(p.random);
      q.fill(p.random);
      if (seed % 4 >= 2) {
        p.args.epilogue.act = Unary::kNone;
        p.args.epilogue.channelwise = seed % 4 == 2 ? Channelwise::kPrelu : Channelwise::kSnake;
        p.args.epilogue.p = slope.data();
        p.args.epilogue.q = q.data();
      }
      Output out(rows, cols, p.args.out_ld, cols % 4);
      p.args.out = out.data();
      k().depthwise(p.args);
      out.expect_canaries();
      for (size_t r = 0; r < rows; ++r) {
        for (size_t c = 0; c < cols; ++c) {
          double sum = p.args.bias ? p.bias[c] : 0.0;
          for (size_t t = 0; t < p.taps; ++t)
            sum += static_cast<double>(p.tap[t][r * p.step + c]) * p.weights[t * p.weights_ld + c];
          const double res = residual ? p.residual[r * (cols + 1) + c] : 0.0;
          const Epilogue& e = p.args.epilogue;
          const double y = residual == 2 ? reference(e, sum + res, c) : reference(e, sum, c) + res;
          ASSERT_NEAR(out.at(r, c), y, 2e-6) << "cols " << cols << " rows " << rows << " at " << r << "," << c;
        }
      }
    }
  }
}

TEST_P(DepthwiseTest, CuttingRowsKeepsTheBits) {
  for (const size_t cols : {3u, 8u, 16u, 40u, 64u, 136u, 250u}) {
    const size_t rows = 40;
    Problem p(5, rows, cols, 2, static_cast<uint32_t>(cols));
    p.args.epilogue.act = Unary::kSilu;
    std::vector<float> whole(rows * p.args.out_ld, 0.0f);
    p.args.out = whole.data();
    k().depthwise(p.args);
    for (const size_t piece : {1u, 2u, 3u, 5u, 13u}) {
      std::vector<float> cut(rows * p.args.out_ld, 0.0f);
      for (size_t r = 0; r < rows; r += piece) {
        DepthwiseArgs a = p.args;
        std::vector<const float*> tap(p.tap);
        for (auto& t : tap) t += r * a.row_step;
        a.tap = tap.data();
        a.rows = std::min(piece, rows - r);
        a.out = cut.data() + r * a.out_ld;
        k().depthwise(a);
      }
      ASSERT_EQ(std::memcmp(whole.data(), cut.data(), whole.size() * sizeof(float)), 0)
          << "cols " << cols << " in pieces of " << piece;
    }
  }
}

RTV_ALL_KERNELS(DepthwiseTest);

}  // namespace
}  // namespace rtvoice::simd
