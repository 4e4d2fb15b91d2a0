// The audio thread's end of a log: records into the ring, all of a call or nothing, and a count of what did not fit.
#pragma once

#include <atomic>
#include <cstdint>

#include "log/format.h"
#include "log/ring.h"

namespace rtvoice::log {

class Tap {
 public:
  Tap(uint64_t ring_bytes, uint32_t channels, bool audio, uint64_t now);

  // One transaction: begin, puts that take no more than `bytes` together, end. Without room begin is false, `frames` samples and a call are lost, and the
  // next transaction that fits tells of the gap first. [audio-thread]
  bool begin(uint64_t bytes, uint32_t frames) noexcept RTV_NONBLOCKING;
  void put(const void* from, uint64_t bytes) noexcept RTV_NONBLOCKING;
  void pad() noexcept RTV_NONBLOCKING;  // up to 8 bytes
  void end() noexcept RTV_NONBLOCKING;
  void advance(uint32_t frames) noexcept RTV_NONBLOCKING;
  uint64_t index() const noexcept RTV_NONBLOCKING { return index_.load(std::memory_order_relaxed); }

  // A call within a transaction. [audio-thread]
  uint64_t call_bytes(uint32_t frames) const noexcept RTV_NONBLOCKING;
  void begin_call(const float* in, uint32_t frames, uint64_t start) noexcept RTV_NONBLOCKING;
  void end_call(const float* out, uint64_t ticks, bool overrun, uint32_t tier, uint32_t nonfinite,
                rtv_status status) noexcept RTV_NONBLOCKING;
  // Records with a name or text behind them.
  void put_parameter(const char* name, uint32_t name_bytes, const float* values, uint32_t count,
                     uint16_t flags) noexcept RTV_NONBLOCKING;
  void put_model(uint64_t hash, const char* name, const char* tier_name, uint32_t tier, bool incoming,
                 uint16_t flags) noexcept RTV_NONBLOCKING {
    put_named(kModel, hash, name, tier_name, tier, incoming ? 1 : 0, flags);
  }
  // The same with a latency instead of a tier: an EngineChange is laid out like a ModelName.
  void put_engine(uint64_t hash, const char* name, const char* tier_name, uint32_t latency) noexcept RTV_NONBLOCKING {
    put_named(kEngine, hash, name, tier_name, latency, 0, 0);
  }

  // What was last told, so that only changes are. [audio-thread]
  bool marked = false;  // the first mark is there
  bool handed = false;  // another engine goes on, which the log does not know yet
  bool open = false;    // a call's transaction is
  float mix = -1.0f;
  bool bypass = false;
  int32_t held = 0;
  uint64_t nonfinite = 0;

  // Between threads.
  std::atomic<bool> tell_again{false};  // the writer lost records, or began a file
  uint64_t frames_lost() const noexcept { return frames_lost_.load(std::memory_order_relaxed); }
  uint64_t gaps() const noexcept { return gaps_.load(std::memory_order_relaxed); }
  Ring& ring() noexcept { return ring_; }
  uint32_t channels() const noexcept { return channels_; }

  // Runs all of the above once, so that the audio thread is not the first to touch its code. [main-thread]
  void rehearse() noexcept;

 private:
  void put_named(Kind kind, uint64_t hash, const char* name, const char* tier_name, uint32_t first, uint32_t second,
                 uint16_t flags) noexcept RTV_NONBLOCKING;

  Ring ring_;
  const uint32_t channels_;
  const bool audio_;
  const uint64_t start_;
  uint64_t write_ = 0, call_at_ = 0;
  Call call_{};
  uint64_t lost_index_ = 0, lost_frames_ = 0;  // since the last record
  uint32_t lost_calls_ = 0;
  std::atomic<uint64_t> index_{0}, frames_lost_{0}, gaps_{0};
};

}  // namespace rtvoice::log
