// Every net must catch the fault that it is for: a guard that never trips proves nothing.
#include <gtest/gtest.h>
#include <pthread.h>
#include <samplerate.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include "guards.h"
#include "rtvoice/rtvoice.h"

namespace rtvoice::test {
namespace {

// Keeps the compiler from pairing an allocation with its release and dropping both.
template <typename T>
T* opaque(T* p) {
  asm volatile("" : "+r"(p) : : "memory");
  return p;
}

Trips trips_of(void (*fault)(), bool system_calls = can_watch_system_calls()) {
  Watch watch(system_calls);
  watch.region(fault);
  return watch.trips();
}

void do_nothing() {}

TEST(GuardSelfTest, NothingTripsNothing) {
  const Trips trips = trips_of(do_nothing);
  EXPECT_EQ(trips.total(), 0u) << trips.describe();
}

TEST(GuardSelfTest, AllocationsTrip) {
  const struct {
    const char* name;
    void (*fault)();
  } faults[] = {
      {"malloc", [] { std::free(opaque(std::malloc(100))); }},
      {"calloc", [] { std::free(opaque(std::calloc(10, 10))); }},
      {"realloc", [] { std::free(opaque(std::realloc(nullptr, 100))); }},
      {"aligned_alloc", [] { std::free(opaque(std::aligned_alloc(64, 128))); }},
      {"posix_memalign",
       [] {
         void* p = nullptr;
         if (posix_memalign(&p, 64, 100) == 0) std::free(opaque(p));
       }},
      {"operator new", [] { delete opaque(new int(1)); }},
      {"aligned operator new",
       [] { ::operator delete(opaque(::operator new(64, std::align_val_t{64})), std::align_val_t{64}); }},
      {"std::vector", [] { opaque(std::vector<int>(100).data()); }},
      {"free", [] { std::free(opaque(static_cast<char*>(nullptr))); }},
      {"malloc in libsamplerate",
       [] {
         int error;
         src_delete(src_new(SRC_LINEAR, 1, &error));
       }},
      {"operator new in librtvoice",
       [] {
         rtv_model* model;
         (void)rtv_model_open("nowhere", &model);
       }},
  };
  for (const auto& fault : faults) EXPECT_GE(trips_of(fault.fault).allocations, 1u) << fault.name;
}

TEST(GuardSelfTest, LocksTrip) {
  static std::mutex mutex;
  static std::condition_variable changed;
  trips_of([] { changed.notify_one(); });  // binds the call
  EXPECT_EQ(trips_of([] { const std::lock_guard<std::mutex> lock(mutex); }).locks, 2u);
  EXPECT_EQ(trips_of([] {
              if (mutex.try_lock()) mutex.unlock();
            }).locks,
            2u);
  EXPECT_EQ(trips_of([] { changed.notify_one(); }).locks, 1u);
  EXPECT_GE(trips_of([] { std::this_thread::yield(); }).locks, 1u);
  static int calls = 0;
  EXPECT_GE(trips_of([] {
              static const int first = ++calls;
              (void)first;
            }).locks,
            1u)
      << "a static made on first use";
}

TEST(GuardSelfTest, ClocksTrip) {
  EXPECT_EQ(trips_of([] { (void)std::chrono::steady_clock::now(); }).clocks, 1u);
  EXPECT_EQ(trips_of([] { (void)std::time(nullptr); }).clocks, 1u);
}

TEST(GuardSelfTest, ExceptionsTrip) {
  const auto fault = [] {
    try {
      throw std::runtime_error("planted");
    } catch (const std::exception&) {
    }
  };
  EXPECT_EQ(trips_of(fault).throws, 1u);
}

TEST(GuardSelfTest, SystemCallsTrip) {
  if (!can_watch_system_calls())
    GTEST_SKIP() << "this kernel has no Syscall User Dispatch: system calls are NOT watched";
  (void)syscall(SYS_getppid);  // binds the call
  const Trips wrapped = trips_of([] { (void)syscall(SYS_getppid); });
  EXPECT_EQ(wrapped.system_calls, 1u);
  EXPECT_EQ(wrapped.first_system_call, SYS_getppid);
#if defined(__x86_64__)
  const Trips raw = trips_of([] {
    long result = SYS_getppid;
    asm volatile("syscall" : "+a"(result) : : "rcx", "r11", "memory");
  });
  EXPECT_EQ(raw.system_calls, 1u) << "an instruction of its own, which no interposer sees";
#endif
  static FILE* sink = std::fopen("/dev/null", "w");
  std::setvbuf(sink, nullptr, _IONBF, 0);
  EXPECT_GE(trips_of([] { std::fprintf(sink, "planted"); }).system_calls, 1u);
}

TEST(GuardSelfTest, FirstTouchOfAPageTrips) {
  constexpr size_t kPages = 64, kPage = 4096;
  static char* fresh =
      static_cast<char*>(mmap(nullptr, kPages * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(fresh, MAP_FAILED);
  madvise(fresh, kPages * kPage, MADV_NOHUGEPAGE);
  const auto touch = [] {
    for (size_t page = 0; page < kPages; ++page) *opaque(fresh + page * kPage) = 1;
  };
  EXPECT_EQ(trips_of(touch).minor_faults, kPages);
  EXPECT_EQ(trips_of(touch).minor_faults, 0u) << "the second time they are there";
  munmap(fresh, kPages * kPage);
}

TEST(GuardSelfTest, WaitingTrips) {
  EXPECT_GE(trips_of([] { std::this_thread::sleep_for(std::chrono::milliseconds(1)); }, false).waits, 1u);
}

// See main.cc. This program binds lazily, and this is its first call of src_is_valid_ratio.
TEST(GuardSelfTest, LazyBindingTrips) {
  if (!can_watch_system_calls())
    GTEST_SKIP() << "this kernel has no Syscall User Dispatch: symbols bound late are NOT seen";
  EXPECT_GE(trips_of([] { (void)src_is_valid_ratio(1.0); }).system_calls, 1u);
  EXPECT_EQ(trips_of([] { (void)src_is_valid_ratio(1.0); }).system_calls, 0u);
}

}  // namespace
}  // namespace rtvoice::test
