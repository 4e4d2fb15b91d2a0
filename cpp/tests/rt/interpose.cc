// Definitions in the program come before those of every shared library: calls from librtvoice, libsamplerate, libstdc++ and libc's own callers
// through the symbol table land here, are counted, and go on to the real function.
#include "interpose.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <ctime>
#include <typeinfo>

namespace rtvoice::test {

// Local-exec storage: reached without a call, so it may be used inside malloc.
thread_local Interposed interposed;

namespace {

void count(uint64_t Interposed::* counter, const char* name) noexcept {
  if (!interposed.armed) return;
  ++(interposed.*counter);
  if (interposed.first == nullptr) interposed.first = name;
}

// The next definition after the program's. Looked up once each, outside regions: `resolve_all` runs before main.
template <typename Function>
Function next(Function* cache, const char* name) noexcept {
  if (*cache == nullptr) *cache = reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
  return *cache;
}

}  // namespace
}  // namespace rtvoice::test

using rtvoice::test::count;
using rtvoice::test::Interposed;
using rtvoice::test::next;

// pthread_mutex_lock and its kin: return type, name, parameters with types, arguments.
#define RTV_FORWARD(counter, result, name, parameters, arguments)                   \
  namespace {                                                                       \
  result(*real_##name) parameters = nullptr;                                        \
  __attribute__((constructor)) void resolve_##name() { next(&real_##name, #name); } \
  }                                                                                 \
  extern "C" result name parameters {                                               \
    count(&Interposed::counter, #name);                                             \
    return next(&real_##name, #name) arguments;                                     \
  }

extern "C" {

void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
void __libc_free(void*);

void* malloc(size_t size) {
  count(&Interposed::allocations, "malloc");
  return __libc_malloc(size);
}
void* calloc(size_t n, size_t size) {
  count(&Interposed::allocations, "calloc");
  return __libc_calloc(n, size);
}
void* realloc(void* p, size_t size) {
  count(&Interposed::allocations, "realloc");
  return __libc_realloc(p, size);
}
void free(void* p) {
  count(&Interposed::allocations, "free");
  __libc_free(p);
}
void* aligned_alloc(size_t alignment, size_t size) {
  count(&Interposed::allocations, "aligned_alloc");
  return __libc_memalign(alignment, size);
}
void* memalign(size_t alignment, size_t size) {
  count(&Interposed::allocations, "memalign");
  return __libc_memalign(alignment, size);
}
int posix_memalign(void** out, size_t alignment, size_t size) {
  count(&Interposed::allocations, "posix_memalign");
  *out = __libc_memalign(alignment, size);
  return *out == nullptr ? 12 : 0;
}

void* mmap(void* address, size_t length, int protection, int flags, int file, off_t offset) {
  count(&Interposed::allocations, "mmap");
  return reinterpret_cast<void*>(syscall(SYS_mmap, address, length, protection, flags, file, offset));
}
int munmap(void* address, size_t length) {
  count(&Interposed::allocations, "munmap");
  return static_cast<int>(syscall(SYS_munmap, address, length));
}

// Thrown objects come from a pool of the C++ library that may take locks and memory.
void __cxa_throw(void* object, std::type_info* type, void (*destroy)(void*)) __attribute__((noreturn));

}  // extern "C"

namespace {
using Throw = void (*)(void*, std::type_info*, void (*)(void*));
Throw real_throw = nullptr;
__attribute__((constructor)) void resolve_throw() { next(&real_throw, "__cxa_throw"); }
}  // namespace

void __cxa_throw(void* object, std::type_info* type, void (*destroy)(void*)) {
  count(&Interposed::throws, "__cxa_throw");
  next(&real_throw, "__cxa_throw")(object, type, destroy);
  std::abort();
}

// operator new and delete end in malloc and free above: libstdc++ calls them through the symbol table.
RTV_FORWARD(locks, int, pthread_mutex_lock, (pthread_mutex_t * m), (m))
RTV_FORWARD(locks, int, pthread_mutex_trylock, (pthread_mutex_t * m), (m))
RTV_FORWARD(locks, int, pthread_mutex_unlock, (pthread_mutex_t * m), (m))
RTV_FORWARD(locks, int, pthread_mutex_timedlock, (pthread_mutex_t * m, const timespec* t), (m, t))
RTV_FORWARD(locks, int, pthread_cond_wait, (pthread_cond_t * c, pthread_mutex_t* m), (c, m))
RTV_FORWARD(locks, int, pthread_cond_timedwait, (pthread_cond_t * c, pthread_mutex_t* m, const timespec* t), (c, m, t))
RTV_FORWARD(locks, int, pthread_cond_signal, (pthread_cond_t * c), (c))
RTV_FORWARD(locks, int, pthread_cond_broadcast, (pthread_cond_t * c), (c))
RTV_FORWARD(locks, int, pthread_rwlock_rdlock, (pthread_rwlock_t * l), (l))
RTV_FORWARD(locks, int, pthread_rwlock_wrlock, (pthread_rwlock_t * l), (l))
RTV_FORWARD(locks, int, pthread_rwlock_unlock, (pthread_rwlock_t * l), (l))
RTV_FORWARD(locks, int, pthread_spin_lock, (pthread_spinlock_t * l), (l))
RTV_FORWARD(locks, int, pthread_once, (pthread_once_t * o, void (*f)()), (o, f))
RTV_FORWARD(locks, int, sem_wait, (sem_t * s), (s))
RTV_FORWARD(locks, int, sem_post, (sem_t * s), (s))
RTV_FORWARD(locks, int, sched_yield, (), ())
RTV_FORWARD(locks, int, __cxa_guard_acquire, (long long* guard), (guard))
RTV_FORWARD(clocks, int, clock_gettime, (clockid_t id, timespec* t), (id, t))
RTV_FORWARD(clocks, int, gettimeofday, (timeval * t, void* zone), (t, zone))
RTV_FORWARD(clocks, time_t, time, (time_t* t), (t))
