// The small processors around an engine.
#include "live/dynamics.h"

#include <algorithm>
#include <cmath>

namespace rtvoice::live {
namespace {

float per_sample(double seconds, double sample_rate) { return static_cast<float>(1.0 / (seconds * sample_rate)); }

}  // namespace

NoiseGate::NoiseGate(double sample_rate)
    : fall_(static_cast<float>(std::exp(-1.0 / (0.01 * sample_rate)))),
      opening_(per_sample(0.002, sample_rate)),
      closing_(per_sample(0.1, sample_rate)),
      hold_length_(static_cast<uint32_t>(0.15 * sample_rate)) {}

void NoiseGate::process(float* samples, uint32_t frames, bool on, float threshold) noexcept {
  for (uint32_t i = 0; i < frames; ++i) {
    level_ = std::max(std::abs(samples[i]), level_ * fall_);
    const float wanted = hold_ != 0 ? 0.5f * threshold : threshold;
    if (!on || level_ >= wanted) {
      hold_ = hold_length_;
    } else if (hold_ != 0) {
      --hold_;
    }
    gain_ = hold_ != 0 ? std::min(1.0f, gain_ + opening_) : std::max(0.0f, gain_ - closing_);
    samples[i] *= gain_;
  }
}

Limiter::Limiter(double sample_rate)
    : length_(static_cast<size_t>(std::max(1.0, std::round(0.001 * sample_rate)))),
      delayed_(length_, 0.0f),
      box_(length_, 1.0f),
      queue_(length_ + 1, 1.0f),
      born_(length_ + 1, 0),
      sum_(static_cast<double>(length_)),
      release_(static_cast<float>(1.0 - std::exp(-1.0 / (0.08 * sample_rate)))) {}

float Limiter::smallest(float gain) noexcept {
  const size_t room = queue_.size();
  while (size_ != 0 && queue_[(first_ + size_ - 1) % room] >= gain) --size_;
  if (size_ == room || (size_ != 0 && born_[first_] + length_ < now_)) {
    first_ = (first_ + 1) % room;
    --size_;
  }
  queue_[(first_ + size_) % room] = gain;
  born_[(first_ + size_) % room] = now_++;
  ++size_;
  return queue_[first_];
}

void Limiter::process(float* samples, uint32_t frames, bool on) noexcept {
  for (uint32_t i = 0; i < frames; ++i) {
    const float x = samples[i], peak = std::abs(x);
    const float least = smallest(on && peak > kCeiling ? kCeiling / peak : 1.0f);
    // Down at once, up slowly; the mean of the last millisecond turns the steps into ramps.
    held_ = std::min(least, held_ + release_ * (1.0f - held_));
    sum_ += static_cast<double>(held_) - static_cast<double>(box_[at_]);
    box_[at_] = held_;
    gain_ = std::min(1.0f, static_cast<float>(sum_ / static_cast<double>(length_)));
    if (gain_ > 0.9999999f) gain_ = 1.0f;  // exactly as it came in where nothing was loud
    samples[i] = std::clamp(delayed_[at_] * gain_, on ? -kCeiling : -1e30f, on ? kCeiling : 1e30f);
    delayed_[at_] = x;
    at_ = at_ + 1 == length_ ? 0 : at_ + 1;
  }
}

void Mute::process(float* samples, uint32_t frames, bool on) noexcept {
  if (!on && gain_ == 1.0f) return;
  for (uint32_t i = 0; i < frames; ++i) {
    gain_ = on ? std::max(0.0f, gain_ - step_) : std::min(1.0f, gain_ + step_);
    samples[i] *= gain_;
  }
}

}  // namespace rtvoice::live
