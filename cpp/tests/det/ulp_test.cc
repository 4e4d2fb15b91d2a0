// Each instruction set against portable C++, in units in the last place (ULP): of the result for what works element by element, of the sum of magnitudes
// for sums, where cancellation leaves nothing of the result itself to count by. The bounds are what they are because the sets differ in one thing only:
// whether a multiply-add is rounded once or twice, and how many lanes a fixed order of summation has.
#include <cstdio>
#include <limits>
#include <map>

#include "simd/simd_test_util.h"

namespace rtvoice::simd {
namespace {

constexpr size_t kRows = 5, kCols = 64, kCount = kRows * kCols;

double ulp_of(double magnitude) {
  const float m = static_cast<float>(std::max(std::abs(magnitude), 1e-30));
  return static_cast<double>(std::nextafter(m, std::numeric_limits<float>::infinity())) - m;
}

// Both tables' results, and of each element the magnitude whose ULP counts; 0: the result's own.
struct Compared {
  std::string kernel;
  std::vector<float> got, expected;
  std::vector<double> scale;
  double worst() const {
    double most = 0.0;
    for (size_t i = 0; i < got.size(); ++i) {
      const double magnitude = scale.empty() ? static_cast<double>(expected[i]) : scale[i];
      const double ulps = std::abs(static_cast<double>(got[i]) - static_cast<double>(expected[i])) / ulp_of(magnitude);
      most = worse(most, ulps);
    }
    return most;
  }
};

struct Inputs {
  explicit Inputs(uint32_t seed) : random(seed) {
    for (std::vector<float>* v : {&a, &b, &c, &p, &q, &h, &cell, &gates, &weights}) {
      v->resize(8192);
      for (float& x : *v) x = 2.0f * random.uniform();
    }
  }
  Random random;
  std::vector<float> a, b, c, p, q, h, cell, gates, weights;
};

using Run = std::vector<float> (*)(const Kernels&, Inputs);

std::vector<float> product(const Kernels& k, Inputs in, size_t rows, size_t cols) {
  constexpr size_t kDepth = 96;
  std::vector<float> packed(k.gemm_packed_floats(kDepth, cols)), out(rows * cols);
  k.gemm_pack(in.weights.data(), kDepth, cols, packed.data());
  const float* segments[] = {in.a.data()};
  k.gemm({segments, 1, kDepth, 1, packed.data(), nullptr, in.p.data(), nullptr, out.data(), cols, rows, cols, {}});
  return out;
}

// The sums of magnitudes of `product`.
std::vector<double> magnitudes(const Inputs& in, size_t rows, size_t cols) {
  constexpr size_t kDepth = 96;
  std::vector<double> out(rows * cols);
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < cols; ++c) {
      out[r * cols + c] = std::abs(static_cast<double>(in.p[c]));
      for (size_t i = 0; i < kDepth; ++i)
        out[r * cols + c] += std::abs(static_cast<double>(in.a[r + i]) * static_cast<double>(in.weights[i * cols + c]));
    }
  }
  return out;
}

struct Elementwise {
  const char* name;
  double bound;  // ULP
  Run run;
};

std::vector<float> unary_of(const Kernels& k, const std::vector<float>& x, Unary op) {
  std::vector<float> y(kCount);
  k.unary({op, 0.3f, 0.7f, x.data(), kCols, y.data(), kCols, kRows, kCols});
  return y;
}

template <Unary kOp, bool kPositive = false>
std::vector<float> unary_run(const Kernels& k, Inputs in) {
  if (kPositive) {
    for (float& x : in.a) x = std::abs(x) + 0.01f;
  }
  return unary_of(k, in.a, kOp);
}

template <Channelwise kOp>
std::vector<float> channelwise_run(const Kernels& k, Inputs in) {
  std::vector<float> y(kCount);
  k.channelwise({kOp, in.p.data(), in.q.data(), in.a.data(), kCols, y.data(), kCols, kRows, kCols});
  return y;
}

template <Binary kOp>
std::vector<float> binary_run(const Kernels& k, Inputs in) {
  std::vector<float> y(kCount);
  k.binary({kOp, in.a.data(), kCols, true, in.b.data(), kCols, true, y.data(), kCols, kRows, kCols});
  return y;
}

std::vector<float> norm_run(const Kernels& k, Inputs in, bool rms) {
  std::vector<float> y(kCount);
  k.norm({rms, 1e-5f, in.p.data(), rms ? nullptr : in.q.data(), in.a.data(), kCols, y.data(), kCols, kRows, kCols});
  return y;
}

// Results of one operation of their own rounding: within one ULP of each other where the operation is exact in both, a few where it is a polynomial.
const Elementwise kElementwise[] = {
    {"relu", 0, unary_run<Unary::kRelu>},
    {"leaky_relu", 0, unary_run<Unary::kLeakyRelu>},
    {"abs", 0, unary_run<Unary::kAbs>},
    {"neg", 0, unary_run<Unary::kNeg>},
    {"clip", 0, unary_run<Unary::kClip>},
    {"square", 0, unary_run<Unary::kSquare>},
    {"sqrt", 0, unary_run<Unary::kSqrt, true>},
    {"reciprocal", 0, unary_run<Unary::kReciprocal>},
    {"exp", 2, unary_run<Unary::kExp>},
    {"log", 2, unary_run<Unary::kLog, true>},
    {"tanh", 3, unary_run<Unary::kTanh>},
    {"sigmoid", 3, unary_run<Unary::kSigmoid>},
    {"silu", 3, unary_run<Unary::kSilu>},
    {"elu", 3, unary_run<Unary::kElu>},
    {"softplus", 3, unary_run<Unary::kSoftplus>},
    {"gelu_erf", 6, unary_run<Unary::kGeluErf>},
    {"gelu_tanh", 6, unary_run<Unary::kGeluTanh>},
    {"sin", 2, unary_run<Unary::kSin>},
    {"cos", 2, unary_run<Unary::kCos>},
    {"prelu", 0, channelwise_run<Channelwise::kPrelu>},
    {"add", 0, binary_run<Binary::kAdd>},
    {"sub", 0, binary_run<Binary::kSub>},
    {"mul", 0, binary_run<Binary::kMul>},
    {"div", 0, binary_run<Binary::kDiv>},
    {"noise_uniform", 0,
     [](const Kernels& k, Inputs) {
       std::vector<float> y(kCount);
       k.noise({false, -1.0f, 1.0f, 7, 3, 11, y.data(), kCols, kRows, kCols});
       return y;
     }},
    {"softmax", 6,
     [](const Kernels& k, Inputs in) {
       std::vector<float> y(kCount);
       k.softmax({in.a.data(), kCols, y.data(), kCols, kRows, kCols});
       return y;
     }},
};

// Sums that may cancel: ULPs of 1 to 8, the magnitude of their terms.
const Elementwise kSums[] = {
    {"affine", 1, channelwise_run<Channelwise::kAffine>},
    {"snake", 2, channelwise_run<Channelwise::kSnake>},
    {"film", 1,
     [](const Kernels& k, Inputs in) {
       std::vector<float> y(kCount);
       k.film({in.a.data(), kCols, in.b.data(), kCols, in.c.data(), kCols, 1.0f, y.data(), kCols, kRows, kCols});
       return y;
     }},
    {"glu", 1,
     [](const Kernels& k, Inputs in) {
       std::vector<float> y(kCount);
       k.glu({Unary::kTanh, Unary::kSigmoid, in.a.data(), in.b.data(), kCols, y.data(), kCols, kRows, kCols});
       return y;
     }},
    {"layer_norm", 6, [](const Kernels& k, Inputs in) { return norm_run(k, std::move(in), false); }},
    {"rms_norm", 6, [](const Kernels& k, Inputs in) { return norm_run(k, std::move(in), true); }},
    {"noise_gaussian", 3,
     [](const Kernels& k, Inputs) {
       std::vector<float> y(kCount);
       k.noise({true, 0.0f, 1.0f, 7, 3, 11, y.data(), kCols, kRows, kCols});
       return y;
     }},
    {"gru_cell", 2,
     [](const Kernels& k, Inputs in) {
       k.gru_cell({GruPhase::kAll, in.gates.data(), in.a.data(), kCols, in.h.data(), nullptr, kCols});
       return std::vector<float>(in.h.begin(), in.h.begin() + kCols);
     }},
    {"lstm_cell", 2,
     [](const Kernels& k, Inputs in) {
       k.lstm_cell({in.gates.data(), in.a.data(), kCols, in.h.data(), in.cell.data(), kCols});
       std::vector<float> y(in.h.begin(), in.h.begin() + kCols);
       y.insert(y.end(), in.cell.begin(), in.cell.begin() + kCols);
       return y;
     }},
    {"attention", 3,
     [](const Kernels& k, Inputs in) {
       std::vector<float> shares(20), y(kCount);
       k.attend({in.a.data(), in.b.data(), in.c.data(), kCols, kCols, kCols, 4, kCols, kCols, 20, 6, 0.25f,
                 shares.data(), y.data(), kCols, kRows});
       return y;
     }},
    {"harmonics", 1,
     [](const Kernels& k, Inputs in) {
       std::vector<float> phase(64), frequency(64, 0.01f), y(64);
       for (size_t i = 0; i < 64; ++i) phase[i] = std::abs(in.a[i]) * 0.4f;
       k.harmonics({phase.data(), frequency.data(), 0.45f, 40.0f, y.data(), 64});
       return y;
     }},
};

constexpr double kProductBound = 2.0;  // ULP of the sum of magnitudes, at 96 terms

class Ulp : public KernelTest {
 protected:
  static const Kernels& scalar() { return *find_kernels("SCALAR"); }
  void expect(const Compared& compared, double bound) {
    const double worst = compared.worst();
    EXPECT_LE(worst, bound) << compared.kernel;
    std::printf("det ulp %s %s: %.2f of %.0f\n", k().isa, compared.kernel.c_str(), worst, bound);
  }
};

TEST_P(Ulp, ElementwiseKernelsAreWithinTheirBounds) {
  for (const Elementwise& e : kElementwise)
    expect({e.name, e.run(k(), Inputs(1)), e.run(scalar(), Inputs(1)), {}}, e.bound);
}

TEST_P(Ulp, SumsAreWithinTheirBounds) {
  for (const Elementwise& e : kSums) {
    Compared compared{e.name, e.run(k(), Inputs(2)), e.run(scalar(), Inputs(2)), {}};
    for (const float y : compared.expected) compared.scale.push_back(std::max(1.0, std::abs(static_cast<double>(y))));
    expect(compared, e.bound);
  }
}

TEST_P(Ulp, ProductsAreWithinTheirBounds) {
  for (const size_t rows : {1u, 2u, 5u, 33u}) {
    for (const size_t cols : {1u, 4u, 8u, 16u, 64u}) {
      const Inputs in(3);
      expect({"product " + std::to_string(rows) + "x" + std::to_string(cols), product(k(), in, rows, cols),
              product(scalar(), in, rows, cols), magnitudes(in, rows, cols)},
             kProductBound);
    }
  }
  const Inputs in(4);
  const auto depthwise = [&](const Kernels& table) {
    const float* taps[] = {in.a.data(), in.a.data() + kCols, in.a.data() + 2 * kCols};
    std::vector<float> y(kCount);
    table.depthwise({taps, 3, kCols, in.weights.data(), kCols, in.p.data(), y.data(), kCols, kRows, kCols, {}});
    return y;
  };
  expect({"depthwise", depthwise(k()), depthwise(scalar()), std::vector<double>(kCount, 4.0)}, kProductBound);
  const auto dot = [&](const Kernels& table) {
    const float* segment = in.a.data();
    std::vector<float> y(8);
    table.dot({&segment, 1, 192, 3, in.weights.data(), 0.5f, y.data(), 1, y.size()});
    return y;
  };
  expect({"dot", dot(k()), dot(scalar()), std::vector<double>(8, 192.0)}, kProductBound);
  const auto fir = [&](const Kernels& table) {
    std::vector<float> y(40);
    table.fir({in.a.data() + 64, in.p.data(), in.q.data(), 65, y.data(), y.size(), 0, y.size()});
    return y;
  };
  expect({"fir", fir(k()), fir(scalar()), std::vector<double>(40, 65.0)}, kProductBound);
}

// A result beside its bound must fail.
TEST(UlpPlanted, ABreachIsCounted) {
  Compared compared{"planted", {1.0f, 2.0f}, {1.0f, 2.0f}, {}};
  EXPECT_EQ(compared.worst(), 0.0);
  for (int i = 0; i < 9; ++i) compared.got[1] = std::nextafter(compared.got[1], 3.0f);
  EXPECT_EQ(compared.worst(), 9.0);
  compared.got[0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(compared.worst() <= 1e9);
}

RTV_ALL_KERNELS(Ulp);

}  // namespace
}  // namespace rtvoice::simd
