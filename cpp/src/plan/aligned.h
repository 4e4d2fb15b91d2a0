// A cache-line aligned block of floats, zeroed and so touched once when it is made.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

namespace rtvoice {

// For vectors whose first element begins a cache line.
template <class T>
struct CacheLines {
  using value_type = T;
  CacheLines() = default;
  template <class U>
  explicit CacheLines(const CacheLines<U>&) noexcept {}
  T* allocate(size_t count) { return static_cast<T*>(::operator new(count * sizeof(T), std::align_val_t{64})); }
  void deallocate(T* first, size_t) noexcept { ::operator delete(first, std::align_val_t{64}); }
  bool operator==(const CacheLines&) const { return true; }
  bool operator!=(const CacheLines&) const { return false; }
};
using WeightArena = std::vector<float, CacheLines<float>>;

class AlignedFloats {
 public:
  AlignedFloats() = default;
  explicit AlignedFloats(size_t count) : count_(count) {
    if (count == 0) return;
    data_ = static_cast<float*>(::operator new(count * sizeof(float), std::align_val_t{64}));
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
    if (data_ != nullptr) ::operator delete(data_, std::align_val_t{64});
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
