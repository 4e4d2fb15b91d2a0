// Samples from one device's thread to another's: a ring that one thread writes and one reads at any position that it still holds.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "rtvoice/rtvoice.h"

namespace rtvoice::live {

class Ring {
 public:
  // Holds at least `capacity` samples; a reader may ask for up to `window` of them in one piece. [main-thread]
  Ring(size_t capacity, size_t window) : window_(window) {
    size_ = 1024;
    while (size_ < capacity + window) size_ *= 2;
    samples_.assign(size_ + window_, 0.0f);
    // As if silence had been written before: positions of an empty ring are readable.
    written_.store(size_);
    kept_.store(size_);
  }

  uint64_t written() const noexcept RTV_NONBLOCKING { return written_.load(std::memory_order_acquire); }
  size_t capacity() const noexcept RTV_NONBLOCKING { return size_; }

  // Every `stride`-th sample of `in`. False, and nothing written, where the reader still needs the room. [the writer]
  bool write(const float* in, size_t stride, size_t count) noexcept RTV_NONBLOCKING {
    const uint64_t at = written_.load(std::memory_order_relaxed);
    if (at + count > kept_.load(std::memory_order_acquire) + size_) return false;
    for (size_t i = 0; i < count; ++i) {
      const size_t slot = static_cast<size_t>(at + i) & (size_ - 1);
      samples_[slot] = in[i * stride];
      if (slot < window_) samples_[size_ + slot] = in[i * stride];  // the mirrored start: windows never wrap
    }
    written_.store(at + count, std::memory_order_release);
    return true;
  }
  // `window` samples from position `from` on, all of them between kept and written. [the reader]
  const float* at(uint64_t from) const noexcept RTV_NONBLOCKING {
    return samples_.data() + (static_cast<size_t>(from) & (size_ - 1));
  }
  // Nothing before `from` is read any more. [the reader]
  void release(uint64_t from) noexcept RTV_NONBLOCKING { kept_.store(from, std::memory_order_release); }

 private:
  size_t size_ = 0, window_;
  std::vector<float> samples_;
  std::atomic<uint64_t> written_{0}, kept_{0};
};

}  // namespace rtvoice::live
