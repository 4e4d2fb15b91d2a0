// The kernel from which the FIR resampler's filters are sampled.
#include "stream/fir_design.h"

#include <gtest/gtest.h>

#include <cmath>

namespace rtvoice {
namespace {

constexpr LowpassSpec kSpec = {32, 0.44, 0.52, 1e4};

TEST(LowpassKernel, IsSymmetricAndEnds) {
  const LowpassKernel kernel(kSpec);
  for (int i = 0; i < 2400; ++i) {
    const double t = 0.0137 * i;
    EXPECT_NEAR(kernel(t), kernel(-t), 1e-12) << t;
  }
  EXPECT_EQ(kernel(32.0), 0.0);
  EXPECT_EQ(kernel(-40.0), 0.0);
}

// A band-limited function's samples have the same sum wherever the grid lies; what is left is the interpolation's error
// and the stop band.
TEST(LowpassKernel, SamplesOfAnyGridAddUpToOne) {
  const LowpassKernel kernel(kSpec);
  for (double offset : {0.0, 1.0 / 7, 0.25, 1.0 / 3, 0.5, 0.77}) {
    double sum = 0.0;
    for (int n = -32; n <= 32; ++n) sum += kernel(n + offset);
    EXPECT_NEAR(sum, 1.0, 1e-3) << offset;
  }
}

}  // namespace
}  // namespace rtvoice
