// What every block goes through between the microphone and the speaker: meter, gate, engine, level, limiter, mute, meter; and how one engine takes
// another's place while the sound goes on.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "live/dynamics.h"
#include "live/level_match.h"
#include "live/meter.h"
#include "live/probe.h"
#include "rtvoice/rtvoice.h"

namespace rtvoice::live {

struct ChainConfig {
  double sample_rate = 48000.0;
  uint32_t max_frame = 1024;  // of the engines
  bool limiter = false;       // it costs 1 ms of latency, which therefore is there or not for a whole session
};

// What a person may change at any time. [any-thread]
struct ChainControls {
  std::atomic<bool> gate{false}, match{false}, limit{true}, mute{false}, bypassed{false};
  std::atomic<float> threshold{0.0056f};  // of the gate: -45 dBFS
};

class Chain {
 public:
  Chain(const ChainConfig& config, rtv_engine* engine);  // [main-thread]

  // `in` and `out` may be one array. [audio-thread]
  void process(const float* in, float* out, uint32_t frames) noexcept RTV_NONBLOCKING;

  // Another engine of the same configuration takes over: it hears the input for its latency and 20 ms, unheard, then is faded in over 20 ms. False while the
  // one before still is on its way. [main-thread]
  bool exchange(rtv_engine* next) noexcept;
  bool exchanging() const noexcept { return busy_.load() || retired_.load() != nullptr; }  // exchange() would be false
  // A log that `next` has inherited is written by it from its first sample on: what is still heard then is not in the log.
  // The engine that is not used any more, once; or null. [main-thread]
  rtv_engine* retired() noexcept { return retired_.exchange(nullptr); }
  // Samples from an input to its output, of the engine that is heard. [any-thread]
  uint32_t latency() const noexcept { return latency_.load(); }

  ChainControls& controls() { return controls_; }
  Meter& in_meter() { return in_meter_; }
  Meter& out_meter() { return out_meter_; }
  Probe& probe() { return probe_; }
  float match_gain() const noexcept { return match_gain_.load(std::memory_order_relaxed); }
  float limiter_gain() const noexcept { return limiter_gain_.load(std::memory_order_relaxed); }
  bool gate_open() const noexcept { return gate_open_.load(std::memory_order_relaxed); }
  uint64_t frames() const noexcept { return frames_.load(std::memory_order_relaxed); }
  // The first sample that was no digital silence, counted from the start; kNever before. A muted microphone stays there.
  static constexpr uint64_t kNever = ~uint64_t{0};
  uint64_t first_sound() const noexcept { return first_sound_.load(std::memory_order_relaxed); }

 private:
  void piece(const float* in, float* out, uint32_t frames) noexcept RTV_NONBLOCKING;
  void look(const float* in, uint32_t frames) noexcept RTV_NONBLOCKING;
  void run(float* out, uint32_t frames) noexcept RTV_NONBLOCKING;
  void take_next() noexcept RTV_NONBLOCKING;
  uint32_t late(const rtv_engine* engine) const noexcept RTV_NONBLOCKING;

  const ChainConfig config_;
  ChainControls controls_;
  rtv_engine* engine_;
  rtv_engine* coming_ = nullptr;
  uint32_t prime_ = 0, fade_ = 0;
  const uint32_t fade_length_;
  std::atomic<rtv_engine*> next_{nullptr}, retired_{nullptr};
  std::atomic<bool> busy_{false};
  std::atomic<uint32_t> latency_{0};

  NoiseGate gate_;
  LevelMatch match_;
  Limiter limiter_;
  Mute mute_;
  Probe probe_;
  Meter in_meter_, out_meter_;
  std::vector<float> heard_, other_;  // max_frame: what the engine hears; what the coming engine makes
  std::atomic<float> match_gain_{1.0f}, limiter_gain_{1.0f};
  std::atomic<bool> gate_open_{true};
  std::atomic<uint64_t> frames_{0}, first_sound_{kNever};
};

}  // namespace rtvoice::live
