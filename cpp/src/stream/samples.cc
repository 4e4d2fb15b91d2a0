// By bits and without a branch, so that the usual case is vector code: the file is built with -O3 for it.
#include "stream/samples.h"

#include <cstdint>

namespace rtvoice {
namespace {

constexpr uint32_t kExponent = 0x7f800000u;

uint32_t bits_of(float x) noexcept {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}

// All ones where x is a number.
uint32_t finite_mask(uint32_t bits) noexcept { return (bits & kExponent) == kExponent ? 0u : ~0u; }

}  // namespace

size_t copy_finite(const float* in, float* out, size_t count) noexcept {
  uint32_t finite = 0;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t bits = bits_of(in[i]), mask = finite_mask(bits), kept = bits & mask;
    std::memcpy(out + i, &kept, sizeof kept);
    finite -= mask;
  }
  return count - finite;
}

bool mend_not_finite(float* samples, size_t count) noexcept {
  uint32_t all = ~0u;
  for (size_t i = 0; i < count; ++i) all &= finite_mask(bits_of(samples[i]));
  if (all != 0) return true;
  copy_finite(samples, samples, count);
  return false;
}

}  // namespace rtvoice
