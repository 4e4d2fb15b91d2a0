// Counters of the interposed functions, this thread's own.
#pragma once

#include <cstdint>

namespace rtvoice::test {

struct Interposed {
  bool armed = false;
  uint64_t allocations = 0, locks = 0, clocks = 0, throws = 0;
  const char* first = nullptr;
};
extern thread_local Interposed interposed;

}  // namespace rtvoice::test
