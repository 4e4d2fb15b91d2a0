// What the system grants the thread that PortAudio calls back on.
#include "live/audio_thread.h"

#include <cstring>

#if !defined(_WIN32)
#include <sched.h>
#include <time.h>
#endif

namespace rtvoice::live {

#if defined(_WIN32)

std::string AudioThread::raise(std::string*) { return "unknown"; }
double AudioThread::cpu_seconds() const { return -1.0; }
double AudioThread::own_cpu_seconds() noexcept { return -1.0; }
int32_t AudioThread::own_core() noexcept { return -1; }

#else

namespace {

double seconds_of(clockid_t clock) noexcept {
  timespec now{};
  if (clock_gettime(clock, &now) != 0) return -1.0;
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

std::string described(int policy, int priority) {
  if (policy == SCHED_FIFO) return "fifo " + std::to_string(priority);
  if (policy == SCHED_RR) return "rr " + std::to_string(priority);
  return "normal";
}

}  // namespace

std::string AudioThread::raise(std::string* why) {
  why->clear();
  if (!known_.load(std::memory_order_acquire)) return "unknown";
  int policy = 0;
  sched_param param{};
  if (pthread_getschedparam(thread_, &policy, &param) != 0) return "unknown";
  if (policy == SCHED_OTHER) {
    param.sched_priority = sched_get_priority_min(SCHED_FIFO);
    const int refused = pthread_setschedparam(thread_, SCHED_FIFO, &param);
    if (refused != 0) {
      *why = std::strerror(refused);
      return "normal";
    }
    policy = SCHED_FIFO;
  }
  return described(policy, param.sched_priority);
}

double AudioThread::cpu_seconds() const {
#if defined(__linux__)
  clockid_t clock;
  if (known_.load(std::memory_order_acquire) && pthread_getcpuclockid(thread_, &clock) == 0) return seconds_of(clock);
#endif
  return -1.0;
}

double AudioThread::own_cpu_seconds() noexcept { return seconds_of(CLOCK_THREAD_CPUTIME_ID); }

int32_t AudioThread::own_core() noexcept {
#if defined(__linux__)
  return sched_getcpu();
#else
  return -1;
#endif
}

#endif

}  // namespace rtvoice::live
