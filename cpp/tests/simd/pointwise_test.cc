// Elementwise kernels against float64 over widths with remainders, row distances, broadcasts and in-place use.
#include <functional>

#include "simd_test_util.h"

namespace rtvoice::simd {
namespace {

using PointwiseTest = KernelTest;

struct Matrix : Buffer {
  Matrix(size_t rows, size_t cols, Random& random, float scale = 1.0f)
      : Buffer((rows - 1) * (cols + cols % 3) + cols, random.below(4)), ld(cols + cols % 3) {
    fill(random, scale);
  }
  size_t ld;
};

// Every width around the vector sizes; rows that exercise the flat and the strided path.
void sweep(const std::function<void(size_t rows, size_t cols, Random& random)>& body) {
  uint32_t seed = 1;
  for (size_t cols = 1; cols <= 67; ++cols) {
    for (const size_t rows : {1u, 3u}) {
      Random random(seed++);
      body(rows, cols, random);
    }
  }
}

void expect(const Output& out, size_t rows, size_t cols, double tolerance,
            const std::function<double(size_t, size_t)>& truth) {
  out.expect_canaries();
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < cols; ++c)
      ASSERT_NEAR(out.at(r, c), truth(r, c), tolerance) << rows << " x " << cols << " at " << r << "," << c;
  }
}

TEST_P(PointwiseTest, Unary) {
  sweep([&](size_t rows, size_t cols, Random& random) {
    Matrix x(rows, cols, random, 3.0f);
    for (const Unary op : {Unary::kTanh, Unary::kRelu, Unary::kGeluErf}) {
      Output out(rows, cols, cols + 2, 1);
      k().unary({op, 0, 0, x.data(), x.ld, out.data(), cols + 2, rows, cols});
      expect(out, rows, cols, 2e-6, [&](size_t r, size_t c) { return reference(op, x[r * x.ld + c], 0, 0); });
    }
    std::vector<float> apart(x.size());
    k().unary({Unary::kSilu, 0, 0, x.data(), x.ld, apart.data(), x.ld, rows, cols});
    k().unary({Unary::kSilu, 0, 0, x.data(), x.ld, x.data(), x.ld, rows, cols});
    for (size_t r = 0; r < rows; ++r)
      ASSERT_EQ(std::memcmp(&apart[r * x.ld], x.data() + r * x.ld, cols * sizeof(float)), 0);
  });
}

TEST_P(PointwiseTest, Channelwise) {
  sweep([&](size_t rows, size_t cols, Random& random) {
    Matrix x(rows, cols, random, 5.0f), p(1, cols, random, 4.0f), q(1, cols, random);
    for (const Channelwise op : {Channelwise::kAffine, Channelwise::kPrelu, Channelwise::kSnake}) {
      Output out(rows, cols, cols + 1, 2);
      k().channelwise({op, p.data(), op == Channelwise::kPrelu ? nullptr : q.data(), x.data(), x.ld, out.data(),
                       cols + 1, rows, cols});
      expect(out, rows, cols, 5e-6, [&](size_t r, size_t c) {
        const double v = x[r * x.ld + c], pc = p[c], qc = q[c];
        // The kernel's product p*x is a float: its rounding belongs to the input of sin.
        const double s = std::sin(static_cast<double>(static_cast<float>(pc * v)));
        return op == Channelwise::kAffine  ? v * pc + qc
               : op == Channelwise::kPrelu ? (v > 0 ? v : v * pc)
                                           : v + s * s * qc;
      });
    }
  });
}

TEST_P(PointwiseTest, Binary) {
  sweep([&](size_t rows, size_t cols, Random& random) {
    Matrix a(rows, cols, random), b(rows, cols, random);
    for (size_t i = 0; i < b.size(); ++i) b[i] += b[i] < 0 ? -0.5f : 0.5f;
    for (const Binary op : {Binary::kAdd, Binary::kSub, Binary::kMul, Binary::kDiv}) {
      for (int mode = 0; mode < 16; ++mode) {
        const bool a_wide = mode & 1, b_wide = mode & 2;
        const size_t a_ld = mode & 4 ? 0 : a.ld, b_ld = mode & 8 ? 0 : b.ld;
        Output out(rows, cols, cols + 1, 3);
        k().binary({op, a.data(), a_ld, a_wide, b.data(), b_ld, b_wide, out.data(), cols + 1, rows, cols});
        expect(out, rows, cols, 1e-6, [&](size_t r, size_t c) {
          const double x = a[r * a_ld + (a_wide ? c : 0)], y = b[r * b_ld + (b_wide ? c : 0)];
          return op == Binary::kAdd ? x + y : op == Binary::kSub ? x - y : op == Binary::kMul ? x * y : x / y;
        });
      }
    }
    // In place over either input.
    Output apart(rows, cols, a.ld, 0);
    k().binary({Binary::kSub, a.data(), a.ld, true, b.data(), b.ld, true, apart.data(), a.ld, rows, cols});
    k().binary({Binary::kSub, a.data(), a.ld, true, b.data(), b.ld, true, b.data(), b.ld, rows, cols});
    for (size_t r = 0; r < rows; ++r) {
      for (size_t c = 0; c < cols; ++c) ASSERT_EQ(apart.at(r, c), b[r * b.ld + c]);
    }
  });
}

TEST_P(PointwiseTest, Film) {
  sweep([&](size_t rows, size_t cols, Random& random) {
    Matrix x(rows, cols, random), g(rows, cols, random), b(rows, cols, random);
    for (const size_t step : {size_t{0}, g.ld}) {
      Output out(rows, cols, cols + 3, 1);
      k().film({x.data(), x.ld, g.data(), step, b.data(), step, 1.0f, out.data(), cols + 3, rows, cols});
      expect(out, rows, cols, 1e-6, [&](size_t r, size_t c) {
        return static_cast<double>(x[r * x.ld + c]) * (g[r * step + c] + 1.0) + b[r * step + c];
      });
    }
  });
}

TEST_P(PointwiseTest, Glu) {
  sweep([&](size_t rows, size_t cols, Random& random) {
    Matrix a(rows, cols, random, 4.0f), b(rows, cols, random, 4.0f);
    for (const auto& [op_a, op_b] : {std::pair{Unary::kNone, Unary::kSigmoid},
                                     {Unary::kTanh, Unary::kSigmoid},
                                     {Unary::kSilu, Unary::kNone},
                                     {Unary::kCos, Unary::kGeluErf}}) {
      Output out(rows, cols, cols + 1, 0);
      k().glu({op_a, op_b, a.data(), b.data(), a.ld, out.data(), cols + 1, rows, cols});
      expect(out, rows, cols, 4e-6, [&, oa = op_a, ob = op_b](size_t r, size_t c) {
        return reference(oa, a[r * a.ld + c], 0, 0) * reference(ob, b[r * a.ld + c], 0, 0);
      });
    }
  });
}

// More channels than the buffer of the unfused pairs.
TEST_P(PointwiseTest, WideGlu) {
  Random random(9);
  const size_t cols = 700;
  Matrix a(2, cols, random), b(2, cols, random);
  Output out(2, cols, cols, 0);
  k().glu({Unary::kSin, Unary::kTanh, a.data(), b.data(), a.ld, out.data(), cols, 2, cols});
  expect(out, 2, cols, 1e-6, [&](size_t r, size_t c) {
    return std::sin(static_cast<double>(a[r * a.ld + c])) * std::tanh(static_cast<double>(b[r * a.ld + c]));
  });
}

RTV_ALL_KERNELS(PointwiseTest);

}  // namespace
}  // namespace rtvoice::simd
