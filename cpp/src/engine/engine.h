// What the audio thread runs: input guard, model(s), cross-fades, dry path, statistics.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/model.h"
#include "engine/statistics.h"
#include "rtvoice/rtvoice.h"
#include "stream/pipeline.h"

namespace rtvoice {

class Engine {
 public:
  // Null, a status and one line in `error`. [main-thread]
  static std::unique_ptr<Engine> make(std::shared_ptr<Model> model, const rtv_config& config, rtv_status* status,
                                      std::string* error);
  ~Engine();

  rtv_status process(const float* in, float* out, uint32_t frames) noexcept;       // [audio-thread]
  void reset() noexcept;                                                           // [audio-thread]
  uint32_t latency() const noexcept { return static_cast<uint32_t>(latency_); }    // [any-thread]
  rtv_status set(const char* name, const float* values, uint32_t count) noexcept;  // [any-thread]
  void bypass(bool on) noexcept { bypass_.store(on, std::memory_order_relaxed); }  // [any-thread]
  bool bypassed() const noexcept { return bypass_.load(std::memory_order_relaxed); }
  uint32_t output(const char* name, float* values, uint32_t capacity) const noexcept;  // [any-thread]
  void stats(rtv_stats* stats) const noexcept;                                         // [any-thread]
  rtv_status swap(std::shared_ptr<Model> model, std::string* error);                   // [main-thread]

 private:
  struct Stage {  // a model in use
    std::shared_ptr<Model> model;
    std::unique_ptr<Pipeline> pipeline;
  };
  Engine(const rtv_config& config);
  std::unique_ptr<Stage> make_stage(std::shared_ptr<Model> model, int64_t latency, rtv_status* status,
                                    std::string* error);
  ControlBank* bank_for(const Graph& graph);
  void carry_over(const ControlBank& from, ControlBank* to);
  size_t guard_input(const float* in, size_t samples) noexcept;
  static size_t guard_output(float* out, size_t samples) noexcept;
  void delay_dry(size_t frames) noexcept;
  void run_stage(Stage& stage, float* wet, size_t frames) noexcept;
  void run_stages(size_t frames) noexcept;
  void finish_swap() noexcept;
  void mix(float* out, size_t frames) noexcept;

  const rtv_config config_;
  const size_t channels_;
  const size_t fade_frames_;
  int64_t latency_ = 0;
  LatencyParts latency_parts_;
  double ticks_per_second_;

  // Audio thread only.
  Stage* active_ = nullptr;
  Stage* incoming_ = nullptr;
  size_t swap_frame_ = 0, prime_frames_ = 0;  // of the swap in progress
  AlignedFloats in_, wet_, wet_incoming_, dry_,
      delayed_;                          // dry_: a ring of the input; delayed_: this frame's part of it
  size_t dry_mask_ = 0, dry_write_ = 0;  // frames
  float gain_ = 1.0f;                    // of the wet signal, now
  float gain_target_ = 1.0f, gain_step_ = 0.0f;
  size_t gain_left_ = 0;

  // Between threads.
  std::atomic<Stage*> pending_{nullptr}, retired_{nullptr};
  std::atomic<bool> swapping_{false};
  std::atomic<ControlBank*> bank_{nullptr};       // what set() and output() mean
  std::atomic<ControlBank*> next_bank_{nullptr};  // while a swap prepares: what set() writes as well
  std::atomic<float> mix_{1.0f};
  std::atomic<bool> bypass_{false};
  Statistics statistics_;
  std::atomic<uint64_t> weight_bytes_{0}, state_bytes_{0}, scratch_bytes_{0};

  std::mutex swap_mutex_;                            // between main threads
  std::vector<std::unique_ptr<ControlBank>> banks_;  // under it; one per set of parameters and outputs ever used here
};

}  // namespace rtvoice
