// Counts this program's heap allocations by standing in front of glibc's own functions.
#include "allocation_count.h"

#include <atomic>
#include <cstdlib>

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define RTVOICE_COUNTS 1
#else
#define RTVOICE_COUNTS 0
#endif

namespace {
std::atomic<size_t> g_count{0};
}

namespace rtvoice::test {
bool can_count_allocations() { return RTVOICE_COUNTS != 0; }
size_t allocation_count() { return g_count.load(); }
}  // namespace rtvoice::test

#if RTVOICE_COUNTS
extern "C" {
// NOLINTBEGIN(bugprone-reserved-identifier): glibc's names for its own functions.
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void __libc_free(void*);
// NOLINTEND(bugprone-reserved-identifier)

__attribute__((visibility("default"))) void* malloc(size_t size) {
  ++g_count;
  return __libc_malloc(size);
}
__attribute__((visibility("default"))) void* calloc(size_t count, size_t size) {
  ++g_count;
  return __libc_calloc(count, size);
}
__attribute__((visibility("default"))) void* realloc(void* old, size_t size) {
  ++g_count;
  return __libc_realloc(old, size);
}
__attribute__((visibility("default"))) void free(void* old) {
  if (old != nullptr) ++g_count;  // a free under the audio thread is as bad
  __libc_free(old);
}
}
#endif
