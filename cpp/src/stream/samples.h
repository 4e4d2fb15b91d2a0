// Rows of samples on their way through an engine: into a ring and out of it, and watched for what is no number.
#pragma once

#include <cstddef>
#include <cstring>

#include "rtvoice/rtvoice.h"

namespace rtvoice {

// A ring of `mask + 1` frames, a power of two, of `width` floats each: `count` frames, at most the ring's, in one piece or two. `at` may be any number; it wraps.
inline void ring_write(float* ring, size_t mask, size_t at, const float* from, size_t count,
                       size_t width = 1) noexcept {
  if (count == 0) return;  // the rows of no frames may be null
  const size_t begin = at & mask, first = count < mask + 1 - begin ? count : mask + 1 - begin;
  std::memcpy(ring + begin * width, from, first * width * sizeof(float));
  if (first != count) std::memcpy(ring, from + first * width, (count - first) * width * sizeof(float));
}

inline void ring_read(const float* ring, size_t mask, size_t at, float* to, size_t count, size_t width = 1) noexcept {
  if (count == 0) return;  // the rows of no frames may be null
  const size_t begin = at & mask, first = count < mask + 1 - begin ? count : mask + 1 - begin;
  std::memcpy(to, ring + begin * width, first * width * sizeof(float));
  if (first != count) std::memcpy(to + first * width, ring, (count - first) * width * sizeof(float));
}

// Copies; what is not finite becomes 0. Returns how many were not.
size_t copy_finite(const float* in, float* out, size_t count) noexcept RTV_NONBLOCKING;

// True where all are finite; else what is not becomes 0.
bool mend_not_finite(float* samples, size_t count) noexcept RTV_NONBLOCKING;

}  // namespace rtvoice
