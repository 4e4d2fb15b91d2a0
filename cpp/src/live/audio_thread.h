// What the system grants the thread that PortAudio calls back on, asked and changed from another thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#if !defined(_WIN32)
#include <pthread.h>
#endif

namespace rtvoice::live {

class AudioThread {
 public:
  // Remembers the calling thread, once; no system call. [audio-thread]
  void mark() noexcept {
#if !defined(_WIN32)
    if (!known_.load(std::memory_order_relaxed)) {
      thread_ = pthread_self();
      known_.store(true, std::memory_order_release);
    }
#endif
  }
  // Another thread may come: the stream was closed. [main-thread]
  void forget() noexcept { known_.store(false); }

  // "fifo 60", "rr 20", "normal" or "unknown". Asks for the lowest real-time priority where it has none; `why` says in what way that was refused. Only while the
  // stream runs: the thread must be there. [main-thread]
  std::string raise(std::string* why);
  // Its CPU time so far in seconds, or -1. Only while the stream runs. [main-thread]
  double cpu_seconds() const;
  // The calling thread's CPU time in seconds, by a system call: for measurements only, never in a session. -1 where there is none.
  static double own_cpu_seconds() noexcept;
  // The core that the calling thread runs on; -1 where that cannot be told.
  static int32_t own_core() noexcept;

 private:
  std::atomic<bool> known_{false};
#if !defined(_WIN32)
  pthread_t thread_{};
#endif
};

}  // namespace rtvoice::live
