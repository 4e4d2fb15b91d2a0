// The short form of long tests, for emulated processors: one is 20 to 60 times slower than the machine it runs on.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdlib>

namespace rtvoice::test {

// `full`, or a `divisor`-th of it where RTVOICE_TEST_SHORT is set.
inline size_t shortened(size_t full, size_t divisor) {
  static const bool is_short = std::getenv("RTVOICE_TEST_SHORT") != nullptr;
  return is_short ? std::max<size_t>(1, full / divisor) : full;
}

}  // namespace rtvoice::test
