// Watches a region of code on this thread for what real-time code must not do. Four nets, each with holes that another one covers:
// interposed functions (allocations, locks, clocks, throws; not raw system calls), Syscall User Dispatch (every system call, however made; not
// the vDSO), minor page faults (the first touch of a page), voluntary context switches (waiting).
#pragma once

#include <cstdint>
#include <string>

namespace rtvoice::test {

struct Trips {
  uint64_t allocations = 0, locks = 0, clocks = 0, throws = 0;  // interposed calls
  uint64_t system_calls = 0;
  uint64_t minor_faults = 0, waits = 0;
  uint64_t first_fault = 0, first_wait = 0;  // number of the region, from 1
  const char* first_call = nullptr;          // name of the first interposed function
  long first_system_call = -1;               // its number, and where it was made
  void* first_address = nullptr;

  uint64_t total() const { return allocations + locks + clocks + throws + system_calls + minor_faults + waits; }
  std::string describe() const;
};

// Whether the kernel has Syscall User Dispatch (Linux 5.11 on x86-64, with CONFIG_GENERIC_ENTRY).
bool can_watch_system_calls();

// One per thread. Regions do not nest.
class Watch {
 public:
  explicit Watch(bool system_calls = can_watch_system_calls());
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  void enter() noexcept;
  void leave() noexcept;
  // `call` may do nothing that the nets catch.
  template <typename Call>
  void region(Call call) {
    enter();
    call();
    leave();
  }
  Trips trips() const;

 private:
  bool system_calls_;
  uint64_t regions_ = 0, first_fault_ = 0, first_wait_ = 0;
  uint64_t faults_ = 0, waits_ = 0, faults_before_ = 0, waits_before_ = 0;
};

}  // namespace rtvoice::test
