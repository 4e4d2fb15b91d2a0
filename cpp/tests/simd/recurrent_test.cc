// GRU and LSTM cells against float64.
#include "simd_test_util.h"

namespace rtvoice::simd {
namespace {

using RecurrentTest = KernelTest;

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

TEST_P(RecurrentTest, Gru) {
  for (size_t hidden = 1; hidden <= 67; ++hidden) {
    Random random(static_cast<uint32_t>(hidden));
    const size_t ld = hidden + 3;
    Buffer x(2 * ld + hidden, random.below(4)), u(2 * ld + hidden, random.below(4)), h0(hidden, 0);
    x.fill(random, 4);
    u.fill(random, 4);
    h0.fill(random);
    Output h(1, hidden, hidden, 1), rh(1, hidden, hidden, 2), h2(1, hidden, hidden, 3);
    std::memcpy(h.data(), h0.data(), hidden * sizeof(float));
    std::memcpy(h2.data(), h0.data(), hidden * sizeof(float));
    k().gru_cell({GruPhase::kAll, x.data(), u.data(), ld, h.data(), nullptr, hidden});
    k().gru_cell({GruPhase::kReset, x.data(), u.data(), ld, h2.data(), rh.data(), hidden});
    for (size_t c = 0; c < hidden; ++c) {
      ASSERT_EQ(h2.at(0, c), h0[c]) << "kReset only reads h";
      ASSERT_NEAR(rh.at(0, c), sigmoid(x[c] + u[c]) * h0[c], 1e-6);
    }
    k().gru_cell({GruPhase::kUpdate, x.data(), u.data(), ld, h2.data(), nullptr, hidden});
    for (size_t c = 0; c < hidden; ++c) {
      const double r = sigmoid(x[c] + u[c]), z = sigmoid(x[ld + c] + u[ld + c]);
      const double n = std::tanh(x[2 * ld + c] + r * u[2 * ld + c]), n2 = std::tanh(x[2 * ld + c] + u[2 * ld + c]);
      ASSERT_NEAR(h.at(0, c), (1 - z) * n + z * h0[c], 2e-6) << hidden;
      ASSERT_NEAR(h2.at(0, c), (1 - z) * n2 + z * h0[c], 2e-6) << hidden;
    }
    h.expect_canaries();
    rh.expect_canaries();
    h2.expect_canaries();
  }
}

TEST_P(RecurrentTest, Lstm) {
  for (size_t hidden = 1; hidden <= 67; ++hidden) {
    Random random(static_cast<uint32_t>(hidden));
    const size_t ld = hidden + 1;
    Buffer x(3 * ld + hidden, random.below(4)), u(3 * ld + hidden, random.below(4)), c0(hidden, 0);
    x.fill(random, 4);
    u.fill(random, 4);
    c0.fill(random);
    Output h(1, hidden, hidden, 1), c(1, hidden, hidden, 2);
    std::memcpy(c.data(), c0.data(), hidden * sizeof(float));
    k().lstm_cell({x.data(), u.data(), ld, h.data(), c.data(), hidden});
    for (size_t i = 0; i < hidden; ++i) {
      const auto gate = [&](size_t g) { return static_cast<double>(x[g * ld + i]) + u[g * ld + i]; };
      const double cell = sigmoid(gate(1)) * c0[i] + sigmoid(gate(0)) * std::tanh(gate(2));
      ASSERT_NEAR(c.at(0, i), cell, 2e-6) << hidden;
      ASSERT_NEAR(h.at(0, i), sigmoid(gate(3)) * std::tanh(cell), 2e-6) << hidden;
    }
    h.expect_canaries();
    c.expect_canaries();
  }
}

RTV_ALL_KERNELS(RecurrentTest);

}  // namespace
}  // namespace rtvoice::simd
