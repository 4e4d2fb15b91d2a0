// What the audio thread runs: input guard, model(s), cross-fades, dry path, statistics.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/governor.h"
#include "engine/model.h"
#include "engine/statistics.h"
#include "log/log.h"
#include "rtvoice/rtvoice.h"
#include "stream/pipeline.h"

namespace rtvoice {

class Engine {
 public:
  // Null, a status and one line in `error`. [main-thread]
  // `tiers`: best first, at least one.
  // `share`: memory beside other engines', for a pool.
  static std::unique_ptr<Engine> make(const std::vector<std::shared_ptr<Model>>& tiers, const rtv_config& config,
                                      rtv_status* status, std::string* error, StreamShare* share = nullptr);
  ~Engine();

  rtv_status process(const float* in, float* out, uint32_t frames) noexcept RTV_NONBLOCKING;  // [audio-thread]
  // process() in three parts, for a pool that runs several engines' networks together between begin and end; begin gives null, and has done nothing,
  // where this engine must run alone: while it swaps, or sliced. [audio-thread]
  Pipeline* begin(const float* in, uint32_t frames) noexcept RTV_NONBLOCKING;
  void end(float* out, uint32_t frames, size_t nonfinite, uint64_t ticks) noexcept RTV_NONBLOCKING;
  bool refuses(uint32_t frames) const noexcept RTV_NONBLOCKING;
  void reset() noexcept RTV_NONBLOCKING;                                                           // [audio-thread]
  uint32_t latency() const noexcept RTV_NONBLOCKING { return static_cast<uint32_t>(latency_); }    // [any-thread]
  rtv_status set(const char* name, const float* values, uint32_t count) noexcept RTV_NONBLOCKING;  // [any-thread]
  void bypass(bool on) noexcept RTV_NONBLOCKING { bypass_.store(on, std::memory_order_relaxed); }  // [any-thread]
  bool bypassed() const noexcept RTV_NONBLOCKING { return bypass_.load(std::memory_order_relaxed); }
  uint32_t output(const char* name, float* values, uint32_t capacity) const noexcept RTV_NONBLOCKING;  // [any-thread]
  rtv_status hold_tier(int32_t tier) noexcept RTV_NONBLOCKING;                                         // [any-thread]
  // For tests: what a call took is `load` times as long as its audio lasts, instead of what the counter says; negative: the counter.
  void pretend_load(double load) noexcept RTV_NONBLOCKING { pretended_load_ = load; }
  void stats(rtv_stats* stats) const noexcept RTV_NONBLOCKING;  // [any-thread]
  // logging.cc. [main-thread]
  rtv_status begin_log(const char* path, const rtv_log_config& config, std::string* error);
  void end_log(bool for_good = false);
  rtv_status note(const char* text);
  void log_status(rtv_log_status* status);
  // The log of `from`, if it has one, is this engine's: `from`, of the same shape, writes it until take_log. [main-thread]
  void inherit_log(Engine* from);
  // The next call of this engine, which has heard nothing yet, goes on in the log that it inherited. On the thread that runs both. [audio-thread]
  void take_log(Engine& from) noexcept RTV_NONBLOCKING {
    if (!from.enter_log()) return;
    from.logging_->handed = true;
    from.logging_->marked = false;
    tap_.store(from.logging_);
    from.tap_.store(nullptr);
    from.leave_log();
  }
  rtv_status swap(std::shared_ptr<Model> model, std::string* error);  // [main-thread]

 private:
  struct Stage {  // a model in use
    std::shared_ptr<Model> model;
    std::unique_ptr<Pipeline> pipeline;
  };
  struct Ladder {  // tiers, best first; one is heard
    std::vector<std::unique_ptr<Stage>> tiers;
    size_t current = 0;
    Stage& stage() { return *tiers[current]; }
  };
  // From one tier to another. Down: the old one has stopped, so that a late engine never runs two. Across: both run.
  enum class Shift : uint8_t { kNone, kDown, kAcross };
  Engine(const rtv_config& config, StreamShare* share);
  std::unique_ptr<Stage> make_stage(std::shared_ptr<Model> model, int64_t latency, rtv_status* status,
                                    std::string* error);
  ControlBank* bank_for(const Graph& graph);
  void carry_over(const ControlBank& from, ControlBank* to);
  void fetch_swap() noexcept RTV_NONBLOCKING;
  void take_controls() noexcept RTV_NONBLOCKING;
  rtv_status turn_away(float* out, uint32_t frames) noexcept RTV_NONBLOCKING;
  void settle() noexcept RTV_NONBLOCKING;
  void take_in(const float* in, uint32_t frames) noexcept RTV_NONBLOCKING;
  // Between two samples. At the end exactly the second, whatever rounding says: a fade ends with a frame, so where it ends hangs on the cutting.
  static float faded(float from, float to, float share) noexcept RTV_NONBLOCKING {
    return share < 1.0f ? from + (to - from) * share : to;
  }
  void delay_dry(size_t frames) noexcept RTV_NONBLOCKING;
  void keep_last(size_t frames) noexcept RTV_NONBLOCKING;
  void leave_as_is(const Stage& stage, float* wet, size_t frames) noexcept RTV_NONBLOCKING;
  void run_stage(Stage& stage, float* wet, size_t frames) noexcept RTV_NONBLOCKING;
  void run_models(size_t frames) noexcept RTV_NONBLOCKING;
  // tiers.cc
  std::unique_ptr<Ladder> make_ladder(const std::vector<std::shared_ptr<Model>>& models, int64_t latency,
                                      rtv_status* status, std::string* error);
  void tell_memory(Ladder& ladder) noexcept;
  void run_ladder(size_t frames) noexcept RTV_NONBLOCKING;
  void run_down(size_t frames) noexcept RTV_NONBLOCKING;
  void run_across(size_t frames) noexcept RTV_NONBLOCKING;
  void begin_shift(Shift shift, size_t tier) noexcept RTV_NONBLOCKING;
  void end_shift() noexcept RTV_NONBLOCKING;
  void govern(size_t frames, double load) noexcept RTV_NONBLOCKING;
  void reset_tiers() noexcept RTV_NONBLOCKING;
  size_t prime_length() const noexcept RTV_NONBLOCKING;
  void finish_swap() noexcept RTV_NONBLOCKING;
  void mix(float* out, size_t frames) noexcept RTV_NONBLOCKING;
  // logging.cc: what the audio thread tells a log. A call's record is opened before its input may be overwritten and closed with its output.
  void open_log(const float* in, uint32_t frames, uint64_t start) noexcept RTV_NONBLOCKING;
  void close_log(const float* out, uint32_t frames, uint64_t ticks, double budget,
                 rtv_status status) noexcept RTV_NONBLOCKING;
  void log_reset() noexcept RTV_NONBLOCKING;
  bool enter_log() noexcept RTV_NONBLOCKING;
  void leave_log() noexcept RTV_NONBLOCKING;
  uint64_t state_bytes() const noexcept RTV_NONBLOCKING;
  void put_mark(uint32_t reason) noexcept RTV_NONBLOCKING;
  uint32_t put_state(bool told) noexcept RTV_NONBLOCKING;
  void put_models(const Ladder& ladder, bool incoming, bool told) noexcept RTV_NONBLOCKING;
  ControlBank& heard_bank() const noexcept RTV_NONBLOCKING;

  const rtv_config config_;
  const size_t channels_;
  const size_t fade_frames_;
  StreamShare* share_;  // until it is made
  int64_t latency_ = 0;
  LatencyParts latency_parts_;
  double ticks_per_second_;

  // Audio thread only.
  Ladder* active_ = nullptr;
  Ladder* incoming_ = nullptr;
  std::unique_ptr<Governor> governor_;  // of active_, when it has tiers
  Shift shift_ = Shift::kNone;
  size_t shift_to_ = 0, shift_frame_ = 0;
  double pretended_load_ = -1.0;
  size_t swap_frame_ = 0, prime_frames_ = 0;  // of the swap in progress
  AlignedFloats in_, wet_, wet_incoming_, dry_,
      delayed_;                          // dry_: a ring of the input; delayed_: this frame's part of it
  AlignedFloats last_, stopped_;         // of each channel: the newest wet sample; the last one of a tier that stopped
  size_t dry_mask_ = 0, dry_write_ = 0;  // frames
  float gain_ = 1.0f;                    // of the wet signal, now
  float gain_target_ = 1.0f, gain_step_ = 0.0f;
  size_t gain_left_ = 0;
  // What other threads set, as this call took it: all that runs in the call, and its log, see the same.
  float mix_taken_ = 1.0f;
  bool bypass_taken_ = false;
  int32_t held_taken_ = RTV_TIER_AUTO;
  bool fetched_ = false;         // a swap, in this call
  log::Tap* logging_ = nullptr;  // while a call, or a reset, is being logged

  // Between threads.
  std::atomic<Ladder*> pending_{nullptr}, retired_{nullptr};
  std::atomic<int32_t> held_tier_{RTV_TIER_AUTO};
  std::atomic<uint32_t> tier_{0}, tiers_{1};
  std::atomic<uint64_t> tier_changes_{0};
  std::atomic<bool> swapping_{false};
  std::atomic<ControlBank*> bank_{nullptr};       // what set() and output() mean
  std::atomic<ControlBank*> next_bank_{nullptr};  // while a swap prepares: what set() writes as well
  std::atomic<float> mix_{1.0f};
  std::atomic<bool> bypass_{false};
  Statistics statistics_;
  std::atomic<uint64_t> weight_bytes_{0}, state_bytes_{0}, scratch_bytes_{0};

  // A log that is on; the audio thread says when it is in there, so that one that is turned off can end.
  std::atomic<log::Tap*> tap_{nullptr};
  std::atomic<bool> tapped_{false};
  std::mutex log_mutex_;  // between main threads
  std::unique_ptr<log::Log> log_;
  rtv_log_status last_log_{};
  Engine* log_from_ = nullptr;  // whose log this is, and whose this one's is; under a mutex that all engines share
  Engine* log_to_ = nullptr;
  std::vector<log::ModelLine> created_with_;

  std::mutex swap_mutex_;                            // between main threads
  std::vector<std::unique_ptr<ControlBank>> banks_;  // under it; one per set of parameters and outputs ever used here
};

}  // namespace rtvoice
