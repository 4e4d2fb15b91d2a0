// The time as the audio thread reads it: the cycle counter where there is one, which needs no system call.
#pragma once

#include <chrono>

#include "engine/processor_state.h"
#include "rtvoice/rtvoice.h"

namespace rtvoice::live {

#if defined(__x86_64__) || defined(_M_X64) || defined(__i386__) || defined(__aarch64__)
#define RTVOICE_LIVE_TICKS 1
#else
#define RTVOICE_LIVE_TICKS 0  // the steady clock, which may be a system call
#endif

// Seconds from any start; constant rate, the same on every core. Made on the main thread, which measures the counter's rate.
class Clock {
 public:
  Clock() : seconds_per_tick_(RTVOICE_LIVE_TICKS ? 1.0 / ticks_per_second() : 1e-9) {}
  double now() const noexcept RTV_NONBLOCKING { return static_cast<double>(ticks()) * seconds_per_tick_; }
  static uint64_t ticks() noexcept RTV_NONBLOCKING {
#if RTVOICE_LIVE_TICKS
    return read_ticks();
#else
    return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1));
#endif
  }
  double seconds_per_tick() const noexcept RTV_NONBLOCKING { return seconds_per_tick_; }

 private:
  double seconds_per_tick_;
};

}  // namespace rtvoice::live
