// The filters themselves: symmetric, and a constant passes exactly.
#include "stream/fir_design.h"

#include <gtest/gtest.h>

#include <cmath>

namespace rtvoice {
namespace {

TEST(FirDesign, TapsAreSymmetricAndPhasesSumToOne) {
  for (int ratio : {2, 3, 4, 5, 6, 8, 12}) {
    const std::vector<double> taps = design_lowpass({ratio, 32 * ratio - 1, 0.44, 0.52, 1e4});
    ASSERT_EQ(taps.size(), static_cast<size_t>(64 * ratio - 1));
    for (size_t k = 0; k < taps.size(); ++k) EXPECT_NEAR(taps[k], taps[taps.size() - 1 - k], 1e-12) << ratio;
    for (int phase = 0; phase < ratio; ++phase) {
      double sum = 0.0;
      for (size_t k = phase; k < taps.size(); k += ratio) sum += static_cast<float>(taps[k] * ratio);
      EXPECT_NEAR(sum, 1.0, 1e-6) << ratio << " phase " << phase;
    }
  }
}

}  // namespace
}  // namespace rtvoice
