// From one device's clock to another's: samples written in the input's callbacks come out, resampled, in the output's, a constant time later for hours. The
// resampler's ratio is steered by the time that a sample spends here, which is reckoned from both clocks' models and so does not jump by a block when
// the callbacks' order changes.
#pragma once

#include <atomic>
#include <cstdint>

#include "live/clock_model.h"
#include "live/ring.h"
#include "live/sinc_table.h"
#include "rtvoice/rtvoice.h"

namespace rtvoice::live {

struct BridgeConfig {
  double in_rate = 48000.0, out_rate = 48000.0;
  uint32_t in_block = 0,
           out_block = 0;  // frames of a callback of either side, or 0: the largest that comes, as it comes
  double margin_ms = 2.0;  // for callbacks that come late
};

struct BridgeState {
  double delay_ms = 0.0;   // of a sample in here, now
  double target_ms = 0.0;  // what it is steered to
  double drift_ppm = 0.0;  // how much faster the input's clock runs
  uint64_t underruns = 0;  // blocks that had to be silence
  uint64_t jumps = 0;      // cross-faded jumps back to the target, after a device stood still
  uint64_t dropped = 0;    // samples that found no room
  bool locked = false;
};

class Bridge {
 public:
  explicit Bridge(const BridgeConfig& config);  // [main-thread]

  // The input's callback at `now` (seconds) brings `frames` samples, every `stride`-th of `in`. [the input's thread]
  void write(const float* in, size_t stride, uint32_t frames, double now) noexcept RTV_NONBLOCKING;
  // The output's callback at `now` takes `frames` samples. [the output's thread]
  void read(float* out, uint32_t frames, double now) noexcept RTV_NONBLOCKING;

  BridgeState state() const noexcept RTV_NONBLOCKING;  // [any-thread]

 private:
  // A reading position: samples of the ring's count.
  struct Head {
    uint64_t whole = 0;
    double fraction = 0.0;
    double position() const noexcept RTV_NONBLOCKING { return static_cast<double>(whole) + fraction; }
    void move(double by) noexcept RTV_NONBLOCKING;
  };

  double arrived() noexcept RTV_NONBLOCKING;  // the ring's count at the output's time, by the input's clock
  bool start(uint32_t frames, double seconds) noexcept RTV_NONBLOCKING;
  bool place(Head* head) noexcept RTV_NONBLOCKING;
  void steer(double error, double seconds) noexcept RTV_NONBLOCKING;
  bool readable(const Head& head, uint32_t frames) const noexcept RTV_NONBLOCKING;
  float sample(Head* head) noexcept RTV_NONBLOCKING;
  void play(float* out, uint32_t frames) noexcept RTV_NONBLOCKING;
  void fade_to_silence(float* out, uint32_t frames) noexcept RTV_NONBLOCKING;
  void run_out(float* out, uint32_t frames) noexcept RTV_NONBLOCKING;
  void show() noexcept RTV_NONBLOCKING;

  double target() const noexcept RTV_NONBLOCKING;  // samples of the input that one spends in here

  const double nominal_step_, in_rate_, out_rate_, least_margin_;
  SincTable table_;
  Ring ring_;
  ClockModel in_clock_, out_clock_;
  const double count_offset_;       // the ring's count at the input clock's 0
  std::atomic<uint32_t> in_block_;  // the largest callbacks so far
  uint32_t out_block_;
  double margin_;        // samples of the input
  ClockPoint in_point_;  // the newest that could be read

  Head head_, old_head_;
  double step_, integral_ = 0.0, smooth_error_ = 0.0;
  double waited_ = 0.0, locked_seconds_ = 0.0, off_seconds_ = 0.0, calm_seconds_ = 0.0;
  bool running_ = false;
  const uint32_t fade_length_;
  uint32_t fade_in_ = 0, cross_fade_ = 0;
  float last_ = 0.0f;
  const float decay_;

  std::atomic<double> delay_ms_{0.0}, target_ms_{0.0}, drift_ppm_{0.0};
  std::atomic<uint64_t> underruns_{0}, jumps_{0}, dropped_{0};
  std::atomic<bool> locked_{false};
};

}  // namespace rtvoice::live
