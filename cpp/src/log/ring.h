// A ring of bytes between one writer and one reader, wait-free on both sides. Positions only grow, so that they never meet by wrapping.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>

#include "rtvoice/rtvoice.h"  // RTV_NONBLOCKING

namespace rtvoice::log {

class Ring {
 public:
  // At least `bytes`, a power of two; every page is touched here. [main-thread]
  explicit Ring(uint64_t bytes) {
    uint64_t capacity = 4096;
    while (capacity < bytes) capacity *= 2;
    mask_ = capacity - 1;
    data_ = std::make_unique<char[]>(capacity);  // zeros: written, so touched
  }

  // Where the writer may write up to; what it wrote is seen once published. [audio-thread]
  uint64_t room() noexcept RTV_NONBLOCKING {
    return mask_ + 1 - (head_.load(std::memory_order_relaxed) - tail_.load(std::memory_order_acquire));
  }
  uint64_t head() const noexcept RTV_NONBLOCKING { return head_.load(std::memory_order_relaxed); }
  void write(uint64_t at, const void* from, uint64_t bytes) noexcept RTV_NONBLOCKING {
    const uint64_t first = at & mask_, until_end = mask_ + 1 - first;
    const char* source = static_cast<const char*>(from);
    const uint64_t part = bytes < until_end ? bytes : until_end;
    std::memcpy(data_.get() + first, source, part);
    std::memcpy(data_.get(), source + part, bytes - part);
  }
  void publish(uint64_t head) noexcept RTV_NONBLOCKING { head_.store(head, std::memory_order_release); }

  // The reader's side: what is there, a copy of its first `bytes`, and giving the room back.
  uint64_t filled() const noexcept {
    return head_.load(std::memory_order_acquire) - tail_.load(std::memory_order_relaxed);
  }
  void read(void* to, uint64_t bytes) noexcept {
    const uint64_t tail = tail_.load(std::memory_order_relaxed), first = tail & mask_, until_end = mask_ + 1 - first;
    const uint64_t part = bytes < until_end ? bytes : until_end;
    std::memcpy(to, data_.get() + first, part);
    std::memcpy(static_cast<char*>(to) + part, data_.get(), bytes - part);
    tail_.store(tail + bytes, std::memory_order_release);
  }
  uint64_t capacity() const noexcept { return mask_ + 1; }

 private:
  alignas(64) std::atomic<uint64_t> head_{0};
  alignas(64) std::atomic<uint64_t> tail_{0};
  alignas(64) uint64_t mask_ = 0;
  std::unique_ptr<char[]> data_;
};

}  // namespace rtvoice::log
