// Cache-line aligned memory for weights and streams; a stream's is zeroed and so touched once when it is made.
#pragma once

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

namespace rtvoice {

// Blocks from half a megabyte on ask for huge pages: after a game's frame the addresses of 4 KB pages have to be looked up anew, in page tables that
// are not in the caches either. A cold hop of a 6 MB network takes 390 us with small pages and 220 us with huge ones, one of 0.7 MB 7 % more
// than a warm one instead of 4 %. Where the system gives none, pages stay small.
inline constexpr size_t kHugePage = size_t{2} << 20, kHugeFrom = size_t{512} << 10;

#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__)
inline bool is_huge(size_t bytes) { return bytes >= kHugeFrom; }
#else
inline bool is_huge(size_t) { return false; }  // under AddressSanitizer every block keeps its own borders
#endif

inline void* allocate_lines(size_t bytes) {
#if defined(__linux__)
  if (is_huge(bytes)) {
    const size_t whole = (bytes + kHugePage - 1) / kHugePage * kHugePage;
    if (whole < bytes) throw std::bad_alloc();
    void* found = mmap(nullptr, whole + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (found == MAP_FAILED) throw std::bad_alloc();
    char* first = static_cast<char*>(found);
    const size_t before = (kHugePage - reinterpret_cast<uintptr_t>(first) % kHugePage) % kHugePage;
    if (before != 0) munmap(first, before);
    munmap(first + before + whole, kHugePage - before);
    madvise(first + before, whole, MADV_HUGEPAGE);
    return first + before;
  }
#endif
  return ::operator new(bytes, std::align_val_t{64});
}

inline void release_lines(void* first, size_t bytes) noexcept {
#if defined(__linux__)
  if (is_huge(bytes)) {
    munmap(first, (bytes + kHugePage - 1) / kHugePage * kHugePage);
    return;
  }
#endif
  (void)bytes;
  ::operator delete(first, std::align_val_t{64});
}

// For vectors whose first element begins a cache line.
template <class T>
struct CacheLines {
  using value_type = T;
  CacheLines() = default;
  template <class U>
  explicit CacheLines(const CacheLines<U>&) noexcept {}
  T* allocate(size_t count) { return static_cast<T*>(allocate_lines(count * sizeof(T))); }
  void deallocate(T* first, size_t count) noexcept { release_lines(first, count * sizeof(T)); }
  bool operator==(const CacheLines&) const { return true; }
  bool operator!=(const CacheLines&) const { return false; }
};
using WeightArena = std::vector<float, CacheLines<float>>;

class AlignedFloats {
 public:
  AlignedFloats() = default;
  explicit AlignedFloats(size_t count) : count_(count) {
    if (count == 0) return;
    data_ = static_cast<float*>(allocate_lines(bytes()));
    std::memset(data_, 0, count * sizeof(float));
  }
  AlignedFloats(AlignedFloats&& other) noexcept { swap(other); }
  AlignedFloats& operator=(AlignedFloats&& other) noexcept {
    AlignedFloats taken(std::move(other));
    swap(taken);
    return *this;
  }
  AlignedFloats(const AlignedFloats&) = delete;
  AlignedFloats& operator=(const AlignedFloats&) = delete;
  ~AlignedFloats() {
    if (data_ != nullptr) release_lines(data_, bytes());
  }

  float* data() { return data_; }
  const float* data() const { return data_; }
  size_t size() const { return count_; }
  size_t bytes() const { return count_ * sizeof(float); }
  // Without the temporary of std::swap, whose end would be a release of memory to a compiler. [audio-thread]
  void swap(AlignedFloats& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(count_, other.count_);
  }

 private:
  float* data_ = nullptr;
  size_t count_ = 0;
};

}  // namespace rtvoice
