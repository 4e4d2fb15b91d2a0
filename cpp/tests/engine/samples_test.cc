// Rings in one piece and in two, and rows with numbers that are none, sample by sample against plain loops.
#include "stream/samples.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace rtvoice {
namespace {

TEST(Ring, WritesAndReadsWhereALoopWould) {
  constexpr size_t kSize = 16;
  for (const size_t width : {1u, 2u, 3u}) {
    std::vector<float> ring(kSize * width), expected(kSize * width);
    float next = 1.0f;
    size_t at = static_cast<size_t>(0) - 5;  // wraps below zero, as a position before the first frame does
    for (size_t count = 0; count <= kSize; ++count) {
      std::vector<float> from(count * width), to(count * width, -1.0f);
      for (float& x : from) x = next++;
      for (size_t i = 0; i < count; ++i) {
        for (size_t c = 0; c < width; ++c) expected[((at + i) % kSize) * width + c] = from[i * width + c];
      }
      ring_write(ring.data(), kSize - 1, at, from.data(), count, width);
      ASSERT_EQ(ring, expected) << count << " frames of " << width;
      ring_read(ring.data(), kSize - 1, at, to.data(), count, width);
      ASSERT_EQ(to, from) << count << " frames of " << width;
      at += count;
    }
  }
}

TEST(Finite, EverythingElseBecomesZeroAndIsCounted) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const float odd[] = {inf, -inf, nan, -nan, std::numeric_limits<float>::signaling_NaN()};
  const float fine[] = {
      0.0f, -0.0f, 1e-45f, -1e-39f, std::numeric_limits<float>::max(), -std::numeric_limits<float>::max(), 0.25f};
  for (size_t count = 0; count < 40; ++count) {
    for (size_t bad = 0; bad <= count; ++bad) {
      std::vector<float> in(count), out(count, 7.0f), expected(count);
      for (size_t i = 0; i < count; ++i) {
        const bool is_odd = (i * 7 + count) % (count + 1) < bad;
        in[i] = is_odd ? odd[i % 5] : fine[i % 7];
        expected[i] = is_odd ? 0.0f : in[i];
      }
      size_t wrong = 0;
      for (const float x : in) wrong += std::isfinite(x) ? 0 : 1;
      ASSERT_EQ(copy_finite(in.data(), out.data(), count), wrong);
      ASSERT_EQ(mend_not_finite(in.data(), count), wrong == 0);
      for (size_t i = 0; i < count; ++i) {
        ASSERT_EQ(out[i], expected[i]);
        ASSERT_EQ(std::signbit(out[i]), std::signbit(expected[i]));
        ASSERT_EQ(in[i], expected[i]);
      }
    }
  }
}

}  // namespace
}  // namespace rtvoice
