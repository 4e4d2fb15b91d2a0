// Accuracy of the activations over dense sweeps, and their values at extremes.
#include <limits>

#include "simd_test_util.h"

namespace rtvoice::simd {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

class MathTest : public KernelTest {
 protected:
  std::vector<float> run(Unary op, const std::vector<float>& x, float a = 0, float b = 0) {
    std::vector<float> y(x.size());
    k().unary({op, a, b, x.data(), x.size(), y.data(), y.size(), 1, x.size()});
    return y;
  }
  float one(Unary op, float x, float a = 0, float b = 0) { return run(op, {x}, a, b)[0]; }

  // The largest error of 200,000 points, absolute or relative to max(|y|, floor).
  double worst(Unary op, double low, double high, bool relative, float a = 0, double floor = 0) {
    std::vector<float> x(200000);
    for (size_t i = 0; i < x.size(); ++i)
      x[i] = static_cast<float>(low + (high - low) * static_cast<double>(i) / static_cast<double>(x.size() - 1));
    const auto y = run(op, x, a);
    double w = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double truth = reference(op, x[i], a, 0);
      double error = std::abs(y[i] - truth);
      if (relative) error /= std::max(std::abs(truth), floor);
      w = worse(w, error);
    }
    RecordProperty("worst", std::to_string(w));
    return w;
  }
};

TEST_P(MathTest, Tanh) {
  EXPECT_LE(worst(Unary::kTanh, -12, 12, false), 3e-7);
  EXPECT_LE(worst(Unary::kTanh, -1e-3, 1e-3, true, 0, 1e-30), 4e-7);
  EXPECT_EQ(one(Unary::kTanh, 50), 1.0f);
  EXPECT_EQ(one(Unary::kTanh, -50), -1.0f);
  EXPECT_EQ(one(Unary::kTanh, 1e30f), 1.0f);
  EXPECT_EQ(one(Unary::kTanh, -kInfinity), -1.0f);
  EXPECT_EQ(one(Unary::kTanh, 0), 0.0f);
}

TEST_P(MathTest, Sigmoid) {
  EXPECT_LE(worst(Unary::kSigmoid, -30, 30, false), 1.5e-7);
  EXPECT_LE(worst(Unary::kSigmoid, -80, 0, true), 5e-7);
  EXPECT_EQ(one(Unary::kSigmoid, -200), 0.0f);
  EXPECT_EQ(one(Unary::kSigmoid, 200), 1.0f);
  EXPECT_EQ(one(Unary::kSigmoid, -kInfinity), 0.0f);
  EXPECT_EQ(one(Unary::kSigmoid, kInfinity), 1.0f);
  EXPECT_EQ(one(Unary::kSigmoid, 0), 0.5f);
}

TEST_P(MathTest, Exp) {
  EXPECT_LE(worst(Unary::kExp, -87.3, 88.7, true), 2e-7);
  EXPECT_LE(worst(Unary::kExp, -1, 1, true), 2e-7);
  EXPECT_EQ(one(Unary::kExp, 0), 1.0f);
  EXPECT_EQ(one(Unary::kExp, -87.5f), 0.0f);
  EXPECT_EQ(one(Unary::kExp, -1e30f), 0.0f);
  EXPECT_EQ(one(Unary::kExp, 88.8f), kInfinity);
  EXPECT_EQ(one(Unary::kExp, kInfinity), kInfinity);
  EXPECT_EQ(one(Unary::kExp, -kInfinity), 0.0f);
}

TEST_P(MathTest, Log) {
  EXPECT_LE(worst(Unary::kLog, 1e-6, 10, true, 0, 0.1), 2e-7);
  EXPECT_LE(worst(Unary::kLog, 0.9, 1.1, true, 0, 1e-30), 3e-7);
  EXPECT_LE(worst(Unary::kLog, 10, 1e30, true), 2e-7);
  EXPECT_EQ(one(Unary::kLog, 1), 0.0f);
  EXPECT_EQ(one(Unary::kLog, 0), -kInfinity);
  EXPECT_EQ(one(Unary::kLog, kInfinity), kInfinity);
  EXPECT_TRUE(std::isnan(one(Unary::kLog, -1)));
  EXPECT_NEAR(one(Unary::kLog, 1.2e-38f), std::log(1.2e-38), 1e-5);
}

TEST_P(MathTest, SinAndCos) {
  for (const Unary op : {Unary::kSin, Unary::kCos}) {
    EXPECT_LE(worst(op, -10, 10, false), 1.5e-7);
    EXPECT_LE(worst(op, -1e4, 1e4, false), 2e-7);
    for (const float x : {1e6f, -1e9f, 1e30f}) EXPECT_LE(std::abs(one(op, x)), 1.0f);
  }
  EXPECT_LE(worst(Unary::kSin, -1e-2, 1e-2, true, 0, 1e-30), 2e-7);
  EXPECT_EQ(one(Unary::kCos, 0), 1.0f);
}

TEST_P(MathTest, GatedLinearFamily) {
  for (const Unary op : {Unary::kSilu, Unary::kGeluErf, Unary::kGeluTanh}) {
    EXPECT_LE(worst(op, -12, 12, true, 0, 1.0), 4e-7) << static_cast<int>(op);
    EXPECT_EQ(one(op, 300), 300.0f);
    EXPECT_EQ(one(op, 1e20f), 1e20f);
    EXPECT_NEAR(one(op, -300), 0.0f, 1e-7);
    EXPECT_NEAR(one(op, -1e20f), 0.0f, 1e-7);
  }
}

TEST_P(MathTest, SoftplusAndElu) {
  for (const float beta : {1.0f, 2.5f, 0.3f}) {
    EXPECT_LE(worst(Unary::kSoftplus, -20, 20, true, beta, 1.0), 4e-7);
    EXPECT_LE(worst(Unary::kSoftplus, -20, 0, true, beta), 4e-6);  // beta*x = -50 is rounded to 2e-6
    EXPECT_EQ(one(Unary::kSoftplus, 1000, beta), 1000.0f);
    EXPECT_EQ(one(Unary::kSoftplus, -1000, beta), 0.0f);
  }
  EXPECT_LE(worst(Unary::kElu, -20, 5, false, 1.5f), 3e-7);
  EXPECT_LE(worst(Unary::kElu, -1e-3, 1e-3, true, 1.0f, 1e-30), 4e-7);
  EXPECT_EQ(one(Unary::kElu, -1000, 1.0f), -1.0f);
}

TEST_P(MathTest, ExactOps) {
  std::vector<float> x;
  Random random(3);
  for (int i = 0; i < 101; ++i) x.push_back(4 * random.uniform());
  for (const Unary op : {Unary::kNone, Unary::kRelu, Unary::kLeakyRelu, Unary::kSquare, Unary::kAbs, Unary::kNeg,
                         Unary::kReciprocal, Unary::kClip}) {
    const auto y = run(op, x, op == Unary::kClip ? -1.0f : 0.2f, 1.5f);
    for (size_t i = 0; i < x.size(); ++i) {
      const double truth = reference(op, x[i], op == Unary::kClip ? -1.0f : 0.2f, 1.5f);
      ASSERT_NEAR(y[i], truth, 6e-8 * std::abs(truth)) << static_cast<int>(op);
    }
  }
  EXPECT_EQ(one(Unary::kSqrt, 2.0f), std::sqrt(2.0f));
}

// Positive and negative inputs of any size give no NaN, and nothing above the function's own range.
TEST_P(MathTest, NoNanAtAnyFiniteInput) {
  std::vector<float> x;
  for (int e = -149; e < 128; ++e) {
    for (const float m : {1.0f, 1.37f, -1.0f, -1.81f}) x.push_back(std::ldexp(m, e));
  }
  for (const Unary op : all_unary()) {
    if (op == Unary::kLog || op == Unary::kSqrt) continue;
    const auto y = run(op, x, 1.0f, 2.0f);
    for (size_t i = 0; i < x.size(); ++i) ASSERT_FALSE(std::isnan(y[i])) << static_cast<int>(op) << " of " << x[i];
  }
}

RTV_ALL_KERNELS(MathTest);

}  // namespace
}  // namespace rtvoice::simd
