// The small processors around an engine: a noise gate before it, a limiter and a mute behind it.
#pragma once

#include <cstdint>
#include <vector>

#include "rtvoice/rtvoice.h"

namespace rtvoice::live {

// Silences what stays below a threshold. Opens within 2 ms, waits 150 ms, closes over 100 ms; 6 dB between opening and closing, so that it does not flutter.
class NoiseGate {
 public:
  explicit NoiseGate(double sample_rate);
  // In place. Off is all open. [audio-thread]
  void process(float* samples, uint32_t frames, bool on, float threshold) noexcept RTV_NONBLOCKING;
  bool open() const noexcept RTV_NONBLOCKING { return hold_ != 0; }

 private:
  float level_ = 0.0f, gain_ = 1.0f;
  uint32_t hold_ = 0;
  const float fall_, opening_, closing_;
  const uint32_t hold_length_;
};

// Keeps every sample at or below the ceiling by looking 1 ms ahead, which is its delay: the gain reaches what a peak needs before the peak does.
class Limiter {
 public:
  explicit Limiter(double sample_rate);
  uint32_t delay() const noexcept RTV_NONBLOCKING { return static_cast<uint32_t>(length_); }
  // In place; where it is off it only delays. [audio-thread]
  void process(float* samples, uint32_t frames, bool on) noexcept RTV_NONBLOCKING;
  float least_gain() const noexcept RTV_NONBLOCKING { return gain_; }

  static constexpr float kCeiling = 0.891f;  // -1 dBFS

 private:
  float smallest(float gain) noexcept RTV_NONBLOCKING;

  const size_t length_;
  std::vector<float> delayed_, box_;
  // The smallest of the last length_ + 1 gains: a queue that only keeps those that can still become it.
  std::vector<float> queue_;
  std::vector<uint64_t> born_;
  size_t first_ = 0, size_ = 0, at_ = 0;
  uint64_t now_ = 0;
  double sum_;
  float held_ = 1.0f, gain_ = 1.0f;
  const float release_;
};

// To silence and back over 10 ms.
class Mute {
 public:
  explicit Mute(double sample_rate) : step_(static_cast<float>(100.0 / sample_rate)) {}
  void process(float* samples, uint32_t frames, bool on) noexcept RTV_NONBLOCKING;  // in place [audio-thread]

 private:
  float gain_ = 1.0f;
  const float step_;
};

}  // namespace rtvoice::live
