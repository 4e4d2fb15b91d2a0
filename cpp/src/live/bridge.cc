// From one device's clock to another's.
#include "live/bridge.h"

#include <algorithm>
#include <cmath>

namespace rtvoice::live {
namespace {

constexpr double kTwoPi = 6.283185307179586;
constexpr double kCapacitySeconds = 2.0;
constexpr double kSettle = 0.1;  // seconds that the clocks' models get before the first sample is read
// The steering loop, in Hz: 0.1 while it learns the drift (300 ppm cost at most 0.2 ms then), 0.03 afterwards, where 1 ms of error bends the pitch by
// 0.6 cents at most.
constexpr double kLearning = 0.1, kHolding = 0.03, kLearningSeconds = 30.0;
constexpr double kSmoothing = 0.5;      // Hz, of the error that bends the pitch at once
constexpr double kFarthest = 5e-3;      // of the ratio
constexpr double kPatience = 0.25;      // seconds far from the target before a jump
constexpr double kFar = 4e-3;           // seconds; or a block of the input where that is longer
constexpr double kMoreMargin = 1e-3;    // seconds more after an underrun
constexpr double kMostMargin = 1e-2;    // seconds more in all: latency is bounded
constexpr double kCalmSeconds = 300.0;  // without an underrun before a millisecond goes again
constexpr double kFadeSeconds = 5e-3;
constexpr double kDecaySeconds = 1e-3;  // of the last sample where nothing follows

uint64_t one_more(std::atomic<uint64_t>& counter, uint64_t more = 1) noexcept RTV_NONBLOCKING {
  const uint64_t value = counter.load(std::memory_order_relaxed) + more;
  counter.store(value, std::memory_order_relaxed);
  return value;
}

}  // namespace

Bridge::Bridge(const BridgeConfig& config)
    : nominal_step_(config.in_rate / config.out_rate),
      in_rate_(config.in_rate),
      out_rate_(config.out_rate),
      least_margin_(1e-3 * config.margin_ms * config.in_rate),
      table_(nominal_step_),
      ring_(static_cast<size_t>(kCapacitySeconds * config.in_rate), 2 * table_.taps()),
      in_clock_(config.in_rate),
      out_clock_(config.out_rate),
      count_offset_(static_cast<double>(ring_.written())),
      in_block_(config.in_block),
      out_block_(config.out_block),
      margin_(least_margin_),
      step_(nominal_step_),
      fade_length_(static_cast<uint32_t>(kFadeSeconds * config.out_rate)),
      decay_(static_cast<float>(std::exp(-1.0 / (kDecaySeconds * config.out_rate)))) {
  target_ms_.store(1e3 * target() / in_rate_);
}

// A block of either side, the filter, and the margin: just before a callback of the input a block of it is missing, and the output takes one at once.
double Bridge::target() const noexcept {
  const double blocks = in_block_.load(std::memory_order_relaxed) + out_block_ * nominal_step_;
  return blocks + static_cast<double>(table_.half()) + margin_;
}

void Bridge::Head::move(double by) noexcept {
  fraction += by;
  const double steps = std::floor(fraction);
  whole += static_cast<uint64_t>(steps);
  fraction -= steps;
}

void Bridge::write(const float* in, size_t stride, uint32_t frames, double now) noexcept {
  if (frames > in_block_.load(std::memory_order_relaxed)) in_block_.store(frames, std::memory_order_relaxed);
  if (ring_.write(in, stride, frames)) {
    in_clock_.update(now, frames);
  } else {
    one_more(dropped_, frames);
    in_clock_.restart();  // the count has a hole: its time starts anew
  }
}

double Bridge::arrived() noexcept {
  (void)in_clock_.read(&in_point_);
  return count_offset_ + in_point_.count_at(out_clock_.here().time);
}

bool Bridge::readable(const Head& head, uint32_t frames) const noexcept {
  const double last = std::floor(head.fraction + (frames - 1) * step_);
  return head.whole + static_cast<uint64_t>(last) + table_.half() < ring_.written();
}

bool Bridge::start(uint32_t frames, double seconds) noexcept {
  waited_ += seconds;
  if (in_point_.period == 0.0 || waited_ < kSettle) return false;
  Head head;
  if (!place(&head) || !readable(head, frames)) return false;
  head_ = head;
  fade_in_ = fade_length_;
  cross_fade_ = 0;
  smooth_error_ = off_seconds_ = calm_seconds_ = 0.0;
  return true;
}

// The head where a sample spends the target's time in here; false where that is no longer, or not yet, in the ring.
bool Bridge::place(Head* head) noexcept {
  const double position = arrived() - target();
  const double newest = static_cast<double>(ring_.written());
  if (position > newest || position < newest - static_cast<double>(ring_.capacity()) / 2) return false;
  head->whole = static_cast<uint64_t>(position);
  head->fraction = position - std::floor(position);
  return true;
}

void Bridge::steer(double error, double seconds) noexcept {
  locked_seconds_ += seconds;
  const double omega = kTwoPi * (locked_seconds_ < kLearningSeconds ? kLearning : kHolding);
  smooth_error_ += (1.0 - std::exp(-kTwoPi * kSmoothing * seconds)) * (error - smooth_error_);
  // d error / dt = -rate * bend: the second order's gains for a damping of 1.
  integral_ = std::clamp(integral_ + omega * omega / in_rate_ * error * seconds, -kFarthest, kFarthest);
  const double bend = std::clamp(integral_ + 2.0 * omega / in_rate_ * smooth_error_, -kFarthest, kFarthest);
  step_ = nominal_step_ * (1.0 + bend);
  off_seconds_ = std::abs(error) > std::max(kFar * in_rate_, 1.0 * in_block_.load(std::memory_order_relaxed))
                     ? off_seconds_ + seconds
                     : 0.0;
  calm_seconds_ += seconds;
  if (calm_seconds_ > kCalmSeconds && margin_ > least_margin_) {
    margin_ = std::max(least_margin_, margin_ - kMoreMargin * in_rate_);
    calm_seconds_ = 0.0;
  }
}

float Bridge::sample(Head* head) noexcept {
  const float value = table_.at(ring_.at(head->whole - table_.half() + 1), head->fraction);
  head->move(step_);
  return value;
}

void Bridge::fade_to_silence(float* out, uint32_t frames) noexcept {
  for (uint32_t i = 0; i < frames; ++i) out[i] = last_ *= decay_;
  if (std::abs(last_) < 1e-9f) last_ = 0.0f;
}

void Bridge::run_out(float* out, uint32_t frames) noexcept {
  one_more(underruns_);
  if (locked_seconds_ > 1.0) {
    margin_ = std::min(margin_ + kMoreMargin * in_rate_, least_margin_ + kMostMargin * in_rate_);
    calm_seconds_ = 0.0;
  }
  running_ = false;
  fade_to_silence(out, frames);
}

void Bridge::read(float* out, uint32_t frames, double now) noexcept {
  if (frames == 0) return;
  out_block_ = std::max(out_block_, frames);
  out_clock_.update(now, frames);
  const double seconds = frames / out_rate_;
  const double here = arrived();
  if (!running_ && !(running_ = start(frames, seconds))) {
    ring_.release(ring_.written() - ring_.capacity() / 2);
    fade_to_silence(out, frames);
    show();
    return;
  }
  steer(here - head_.position() - target(), seconds);
  if (off_seconds_ > kPatience && cross_fade_ == 0) {
    Head head;
    if (place(&head) && readable(head, frames)) {
      one_more(jumps_);
      old_head_ = head_;
      head_ = head;
      cross_fade_ = fade_length_;
      smooth_error_ = off_seconds_ = 0.0;
    }
  }
  const double late = here - head_.position();
  if (!readable(head_, frames)) {
    run_out(out, frames);
  } else {
    play(out, frames);
    last_ = out[frames - 1];
  }
  const uint64_t oldest = cross_fade_ == 0 ? head_.whole : std::min(head_.whole, old_head_.whole);
  ring_.release(oldest - table_.taps());
  delay_ms_.store(1e3 * late / in_rate_, std::memory_order_relaxed);
  show();
}

void Bridge::play(float* out, uint32_t frames) noexcept {
  const float unit = 1.0f / static_cast<float>(fade_length_);
  if (cross_fade_ != 0 && !readable(old_head_, frames)) cross_fade_ = 0;
  for (uint32_t i = 0; i < frames; ++i) {
    float value = sample(&head_);
    if (cross_fade_ != 0) {
      const float old = sample(&old_head_), share = unit * static_cast<float>(cross_fade_--);
      value += share * (old - value);
    }
    if (fade_in_ != 0) value *= 1.0f - unit * static_cast<float>(fade_in_--);
    out[i] = value;
  }
}

void Bridge::show() noexcept {
  target_ms_.store(1e3 * target() / in_rate_, std::memory_order_relaxed);
  drift_ppm_.store(1e6 * integral_, std::memory_order_relaxed);
  locked_.store(running_ && locked_seconds_ > 2.0, std::memory_order_relaxed);
}

BridgeState Bridge::state() const noexcept {
  BridgeState s;
  s.delay_ms = delay_ms_.load(std::memory_order_relaxed);
  s.target_ms = target_ms_.load(std::memory_order_relaxed);
  s.drift_ppm = drift_ppm_.load(std::memory_order_relaxed);
  s.underruns = underruns_.load(std::memory_order_relaxed);
  s.jumps = jumps_.load(std::memory_order_relaxed);
  s.dropped = dropped_.load(std::memory_order_relaxed);
  s.locked = locked_.load(std::memory_order_relaxed);
  return s;
}

}  // namespace rtvoice::live
