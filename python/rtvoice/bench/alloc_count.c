/* alloc_count.c: counts the heap calls of each thread. Preloaded by rtvoice-bench, so that "allocations: 0" is a measurement. */
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* block, size_t size);
void* __libc_memalign(size_t alignment, size_t size);
void __libc_free(void* block);

/* initial-exec: reading the counter must not itself allocate a TLS block. */
static __thread uint64_t heap_calls __attribute__((tls_model("initial-exec")));

uint64_t rtvoice_alloc_count(void) { return heap_calls; }

void* malloc(size_t size) {
  ++heap_calls;
  return __libc_malloc(size);
}

void* calloc(size_t count, size_t size) {
  ++heap_calls;
  return __libc_calloc(count, size);
}

void* realloc(void* block, size_t size) {
  ++heap_calls;
  return __libc_realloc(block, size);
}

void free(void* block) {
  if (block) ++heap_calls;
  __libc_free(block);
}

void* memalign(size_t alignment, size_t size) {
  ++heap_calls;
  return __libc_memalign(alignment, size);
}

void* aligned_alloc(size_t alignment, size_t size) {
  ++heap_calls;
  return __libc_memalign(alignment, size);
}

int posix_memalign(void** out, size_t alignment, size_t size) {
  ++heap_calls;
  if (alignment % sizeof(void*) != 0 || (alignment & (alignment - 1)) != 0 || alignment == 0) return EINVAL;
  void* block = __libc_memalign(alignment, size);
  if (!block) return ENOMEM;
  *out = block;
  return 0;
}
