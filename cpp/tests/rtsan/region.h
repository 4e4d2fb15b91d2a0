// A real-time region for RealtimeSanitizer: what is called inside may not reach a function of its list (allocation, locks, files, sleeping, threads).
#pragma once

extern "C" {
void __rtsan_realtime_enter(void);
void __rtsan_realtime_exit(void);
}

namespace rtvoice::test {

class Region {
 public:
  Region() { __rtsan_realtime_enter(); }
  ~Region() { __rtsan_realtime_exit(); }
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;
};

}  // namespace rtvoice::test
