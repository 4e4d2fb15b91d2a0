// Regions, Syscall User Dispatch, resource usage.
#include "guards.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/ucontext.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "interpose.h"

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_OFF 0
#define PR_SYS_DISPATCH_ON 1
#endif
#ifndef SYS_USER_DISPATCH
#define SYS_USER_DISPATCH 2
#endif

namespace rtvoice::test {
namespace {

constexpr char kAllow = 0, kBlock = 1;  // SYSCALL_DISPATCH_FILTER_...

// The kernel reads this byte at every system call of the thread.
thread_local volatile char selector = kAllow;
thread_local uint64_t system_calls = 0;
thread_local long first_system_call = -1;
thread_local void* first_address = nullptr;

// Lets this call and the rest of the region through, for the signal's own return is a system call too; the next region watches again.
void on_system_call(int, siginfo_t* info, void* context) {
  selector = kAllow;
  if (info->si_code != SYS_USER_DISPATCH) std::abort();
  if (system_calls++ == 0) {
    first_system_call = info->si_syscall;
    first_address = info->si_call_addr;
  }
#if defined(__x86_64__)
  static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP] -=
      2;  // to the `syscall` instruction: the kernel has put its number back
#else
  (void)context;
#endif
}

bool dispatch(bool on) {
  return prctl(PR_SET_SYSCALL_USER_DISPATCH, on ? PR_SYS_DISPATCH_ON : PR_SYS_DISPATCH_OFF, 0, 0,
               on ? &selector : nullptr) == 0;
}

void usage(uint64_t* faults, uint64_t* waits) {
  rusage now;
  getrusage(RUSAGE_THREAD, &now);
  *faults = static_cast<uint64_t>(now.ru_minflt + now.ru_majflt);
  *waits = static_cast<uint64_t>(now.ru_nvcsw);
}

// A thread's stack is the host's: its pages are there once anything has been that deep, and a new thread's, or one that the C library gives a
// used stack whose pages it has returned, faults on its way down. The library's calls need less than this (rtvoice.h says so to hosts; 12 KiB were enough for all models here).
constexpr size_t kStack = 32 << 10;

[[gnu::noinline]] void touch_stack() {
  [[maybe_unused]] volatile char depth[kStack];
  for (size_t at = 0; at < kStack; at += 4096) depth[at] = 0;
}

}  // namespace

bool can_watch_system_calls() {
  static const bool can = dispatch(true) && dispatch(false);
  return can;
}

Watch::Watch(bool system_calls) : system_calls_(system_calls) {
  if (system_calls_) {
    struct sigaction action = {};
    action.sa_sigaction = on_system_call;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGSYS, &action, nullptr);
    selector = kAllow;
    if (!dispatch(true)) std::perror("prctl(PR_SET_SYSCALL_USER_DISPATCH)");
  }
  interposed = {};
  test::system_calls = 0;
  first_system_call = -1;
  // The first region must not pay for the pages of this code, nor of the thread's stack.
  touch_stack();
  usage(&faults_before_, &waits_before_);
  enter();
  leave();
  faults_ = waits_ = regions_ = first_fault_ = first_wait_ = 0;
}

Watch::~Watch() {
  if (system_calls_) dispatch(false);
}

void Watch::enter() noexcept {
  usage(&faults_before_, &waits_before_);
  if (system_calls_) selector = kBlock;
  interposed.armed = true;
}

void Watch::leave() noexcept {
  interposed.armed = false;
  selector = kAllow;
  uint64_t faults, waits;
  usage(&faults, &waits);
  ++regions_;
  if (faults != faults_before_ && first_fault_ == 0) first_fault_ = regions_;
  if (waits != waits_before_ && first_wait_ == 0) first_wait_ = regions_;
  faults_ += faults - faults_before_;
  waits_ += waits - waits_before_;
}

Trips Watch::trips() const {
  Trips trips;
  trips.allocations = interposed.allocations;
  trips.locks = interposed.locks;
  trips.clocks = interposed.clocks;
  trips.throws = interposed.throws;
  trips.first_call = interposed.first;
  trips.system_calls = test::system_calls;
  trips.first_system_call = first_system_call;
  trips.first_address = first_address;
  trips.minor_faults = faults_;
  trips.waits = waits_;
  trips.first_fault = first_fault_;
  trips.first_wait = first_wait_;
  return trips;
}

std::string Trips::describe() const {
  std::ostringstream out;
  out << "allocations " << allocations << ", locks " << locks << ", clock reads " << clocks << ", throws " << throws
      << ", system calls " << system_calls << ", page faults " << minor_faults << ", waits " << waits;
  if (first_fault != 0) out << "; first fault in region " << first_fault;
  if (first_wait != 0) out << "; first wait in region " << first_wait;
  if (first_call != nullptr) out << "; first call: " << first_call;
  if (first_system_call >= 0) out << "; first system call: number " << first_system_call << " at " << first_address;
  return out.str();
}

}  // namespace rtvoice::test
