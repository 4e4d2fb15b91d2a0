// What every block goes through between the microphone and the speaker.
#include "live/chain.h"

#include <algorithm>

#include "engine/c_api.h"
#include "engine/processor_state.h"

namespace rtvoice::live {
namespace {

constexpr double kFadeSeconds = 0.02;
constexpr double kListenSeconds = 1.0;  // of the probe: more than any headset takes

}  // namespace

Chain::Chain(const ChainConfig& config, rtv_engine* engine)
    : config_(config),
      engine_(engine),
      fade_length_(static_cast<uint32_t>(kFadeSeconds * config.sample_rate)),
      gate_(config.sample_rate),
      match_(config.sample_rate),
      limiter_(config.sample_rate),
      mute_(config.sample_rate),
      probe_(static_cast<size_t>(kListenSeconds * config.sample_rate)),
      heard_(config.max_frame),
      other_(config.max_frame) {
  latency_.store(late(engine));
}

uint32_t Chain::late(const rtv_engine* engine) const noexcept {
  return rtv_engine_latency(engine) + (config_.limiter ? limiter_.delay() : 0);
}

bool Chain::exchange(rtv_engine* next) noexcept {
  if (exchanging()) return false;
  busy_.store(true);
  next_.store(next);
  return true;
}

void Chain::process(const float* in, float* out, uint32_t frames) noexcept {
  const uint32_t most = config_.max_frame;
  for (uint32_t done = 0; done < frames; done += most) piece(in + done, out + done, std::min(most, frames - done));
}

void Chain::look(const float* in, uint32_t frames) noexcept {
  in_meter_.add(in, frames);
  const uint64_t before = frames_.load(std::memory_order_relaxed);
  if (first_sound_.load(std::memory_order_relaxed) == kNever) {
    const float* sound = std::find_if(in, in + frames, [](float x) { return x != 0.0f; });
    if (sound != in + frames) first_sound_.store(before + static_cast<uint64_t>(sound - in), std::memory_order_relaxed);
  }
  frames_.store(before + frames, std::memory_order_relaxed);
}

void Chain::take_next() noexcept {
  if (coming_ != nullptr) return;
  coming_ = next_.exchange(nullptr);
  if (coming_ == nullptr) return;
  coming_->engine->take_log(*engine_->engine);
  prime_ = rtv_engine_latency(coming_) + fade_length_;
  fade_ = fade_length_;
}

// The engine, and the one that takes over: first unheard, then faded in.
void Chain::run(float* out, uint32_t frames) noexcept {
  if (coming_ != nullptr) (void)rtv_engine_process(coming_, heard_.data(), other_.data(), frames);
  (void)rtv_engine_process(engine_, heard_.data(), out, frames);
  if (coming_ == nullptr) return;
  const float unit = 1.0f / static_cast<float>(fade_length_);
  for (uint32_t i = 0; i < frames; ++i) {
    if (prime_ != 0) {
      --prime_;
      continue;
    }
    if (fade_ != 0) --fade_;
    out[i] += (other_[i] - out[i]) * (1.0f - unit * static_cast<float>(fade_));
  }
  if (prime_ != 0 || fade_ != 0) return;
  latency_.store(late(coming_));
  retired_.store(engine_);
  engine_ = coming_;
  coming_ = nullptr;
  busy_.store(false);
}

void Chain::piece(const float* in, float* out, uint32_t frames) noexcept {
  const FloatMode mode;
  look(in, frames);
  take_next();
  std::copy_n(in, frames, heard_.data());
  gate_.process(heard_.data(), frames, controls_.gate.load(std::memory_order_relaxed),
                controls_.threshold.load(std::memory_order_relaxed));
  gate_open_.store(gate_.open(), std::memory_order_relaxed);
  run(out, frames);
  match_.process(heard_.data(), out, frames, controls_.match.load(std::memory_order_relaxed),
                 controls_.bypassed.load(std::memory_order_relaxed));
  match_gain_.store(match_.gain(), std::memory_order_relaxed);
  if (config_.limiter) {
    limiter_.process(out, frames, controls_.limit.load(std::memory_order_relaxed));
    limiter_gain_.store(limiter_.least_gain(), std::memory_order_relaxed);
  }
  mute_.process(out, frames, controls_.mute.load(std::memory_order_relaxed));
  probe_.process(heard_.data(), out, frames);
  out_meter_.add(out, frames);
}

}  // namespace rtvoice::live
