// The cycle counter's rate.
#include "engine/processor_state.h"

#include <chrono>

namespace rtvoice {

double ticks_per_second() {
#if defined(__aarch64__)
  uint64_t rate;
  asm volatile("mrs %0, cntfrq_el0" : "=r"(rate));
  return static_cast<double>(rate);
#else
  static const double rate = [] {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point start = Clock::now();
    const uint64_t first = read_ticks();
    // 5 ms give 1e-4: reading either clock takes less than 0.1 us.
    while (Clock::now() - start < std::chrono::milliseconds(5)) {
    }
    const uint64_t last = read_ticks();
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    return last == first ? 1e9 : static_cast<double>(last - first) / seconds;
  }();
  return rate;
#endif
}

}  // namespace rtvoice
