// The processor's cycle counter, and its floating-point mode for the length of a call.
#pragma once

#include <cstdint>

#if defined(__x86_64__) || defined(_M_X64) || defined(__i386__)
#include <immintrin.h>
#if defined(_MSC_VER)
#include <intrin.h>
#else
#include <x86intrin.h>
#endif
#endif

namespace rtvoice {

// Ticks of a constant-rate counter that needs no system call (the vDSO's clock may fall back to one).
inline uint64_t read_ticks() noexcept {
#if defined(__x86_64__) || defined(_M_X64) || defined(__i386__)
  return __rdtsc();
#elif defined(__aarch64__)
  uint64_t ticks;
  asm volatile("mrs %0, cntvct_el0" : "=r"(ticks));
  return ticks;
#else
  return 0;
#endif
}

// Measured once against the steady clock. [main-thread]
double ticks_per_second();

// Denormals flushed, all exceptions masked, rounding to nearest; the caller's mode comes back at the end. Denormal operands cost up to 100 cycles each
// on older processors, and a host's own rounding mode would change our bits.
class FloatMode {
 public:
  FloatMode() noexcept {
#if defined(__x86_64__) || defined(_M_X64) || defined(__i386__)
    saved_ = _mm_getcsr();
    _mm_setcsr(0x9fc0);  // flush-to-zero, denormals-are-zero, exceptions masked
#elif defined(__aarch64__)
    asm volatile("mrs %0, fpcr" : "=r"(saved_));
    asm volatile("msr fpcr, %0" : : "r"(uint64_t{1} << 24));
#endif
  }
  ~FloatMode() {
#if defined(__x86_64__) || defined(_M_X64) || defined(__i386__)
    _mm_setcsr(saved_);
#elif defined(__aarch64__)
    asm volatile("msr fpcr, %0" : : "r"(saved_));
#endif
  }
  FloatMode(const FloatMode&) = delete;
  FloatMode& operator=(const FloatMode&) = delete;

 private:
#if defined(__aarch64__)
  uint64_t saved_ = 0;
#else
  unsigned saved_ = 0;
#endif
};

}  // namespace rtvoice
