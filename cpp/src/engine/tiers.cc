// Tiers of one skin in one engine: all made at the start, equally late, one heard; moves between them that never click and never run two when late.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/engine.h"

namespace rtvoice {
namespace {

// From 1 to 0 with level ends: a held sample that leaves along it makes no click.
float leave(size_t frame, size_t length) {
  if (frame >= length) return 0.0f;
  constexpr float kPi = 3.14159265f;
  return 0.5f + 0.5f * std::cos(kPi * static_cast<float>(frame + 1) / static_cast<float>(length));
}

}  // namespace

[[gnu::cold]] std::unique_ptr<Engine::Ladder> Engine::make_ladder(const std::vector<std::shared_ptr<Model>>& models,
                                                                  int64_t latency, rtv_status* status,
                                                                  std::string* error) {
  auto ladder = std::make_unique<Ladder>();
  // Twice where the tiers differ: the first round finds the slowest one's latency.
  int64_t slowest = latency;
  for (int round = 0; round < 2; ++round) {
    ladder->tiers.clear();
    bool equal = true;
    for (const std::shared_ptr<Model>& model : models) {
      ladder->tiers.push_back(make_stage(model, slowest, status, error));
      if (ladder->tiers.back() == nullptr) return nullptr;
      if (ladder->tiers.back()->pipeline->bank() != ladder->tiers.front()->pipeline->bank()) {
        *status = RTV_ERROR_MODEL;
        *error = "tier '" + model->graph().tier + "' has other parameters or outputs than tier '" +
                 models.front()->graph().tier + "'; tiers of one engine must have the same";
        return nullptr;
      }
      equal = equal && ladder->tiers.back()->pipeline->latency() == ladder->tiers.front()->pipeline->latency();
    }
    if (equal) break;
    for (const auto& stage : ladder->tiers) slowest = std::max(slowest, stage->pipeline->latency());
  }
  return ladder;
}

[[gnu::cold]] void Engine::tell_memory(Ladder& ladder) noexcept {
  size_t weights = 0, state = 0, scratch = 0;
  for (const auto& stage : ladder.tiers) {
    const PlanInfo& info = stage->pipeline->plan().info();
    weights += info.weight_bytes;
    state += info.state_bytes;
    scratch += info.scratch_bytes;
  }
  const size_t dry = std::max(dry_.bytes(), static_cast<size_t>(ladder.stage().pipeline->latency()) * sizeof(float));
  weight_bytes_.store(weights, std::memory_order_relaxed);
  state_bytes_.store(state * channels_ + dry, std::memory_order_relaxed);
  scratch_bytes_.store(scratch * channels_, std::memory_order_relaxed);
}

// A model hears the input for its latency and 20 ms more before it is heard.
size_t Engine::prime_length() const noexcept { return static_cast<size_t>(latency_) + config_.sample_rate / 50; }

rtv_status Engine::hold_tier(int32_t tier) noexcept {
  if (tier != RTV_TIER_AUTO && (tier < 0 || static_cast<uint32_t>(tier) >= tiers_.load(std::memory_order_relaxed)))
    return RTV_ERROR_ARGUMENT;
  held_tier_.store(tier, std::memory_order_relaxed);
  return RTV_OK;
}

void Engine::begin_shift(Shift shift, size_t tier) noexcept {
  shift_ = shift;
  shift_to_ = tier;
  shift_frame_ = 0;
  Pipeline& next = *active_->tiers[tier]->pipeline;
  next.pull_parameters(true);
  next.reset();
  tier_.store(static_cast<uint32_t>(tier), std::memory_order_relaxed);
}

void Engine::end_shift() noexcept {
  active_->current = shift_to_;
  shift_ = Shift::kNone;
  tier_changes_.store(tier_changes_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  governor_->arrived();
}

void Engine::run_ladder(size_t frames) noexcept {
  if (shift_ == Shift::kNone && governor_ != nullptr && active_->tiers.size() > 1) {
    const int32_t held = held_taken_;
    if (held != RTV_TIER_AUTO && static_cast<size_t>(held) != active_->current) {
      std::memcpy(stopped_.data(), last_.data(), last_.bytes());
      begin_shift(governor_->missing() ? Shift::kDown : Shift::kAcross, static_cast<size_t>(held));
    }
  }
  switch (shift_) {
    case Shift::kNone:
      run_stage(active_->stage(), wet_.data(), frames);
      break;
    case Shift::kDown:
      run_down(frames);
      break;
    case Shift::kAcross:
      run_across(frames);
      break;
  }
  keep_last(frames);
}

void Engine::keep_last(size_t frames) noexcept {
  std::memcpy(last_.data(), wet_.data() + (frames - 1) * channels_, channels_ * sizeof(float));
}

// The old tier has stopped: its last sample fades out, the next tier is primed unheard and fades in.
void Engine::run_down(size_t frames) noexcept {
  run_stage(*active_->tiers[shift_to_], wet_incoming_.data(), frames);
  const size_t prime = std::max(prime_length(), fade_frames_);
  const bool dry = config_.overload == RTV_OVERLOAD_DRY;
  for (size_t i = 0; i < frames; ++i, ++shift_frame_) {
    const float old = leave(shift_frame_, fade_frames_);
    const float share =
        shift_frame_ < prime
            ? 0.0f
            : std::min(1.0f, static_cast<float>(shift_frame_ - prime + 1) / static_cast<float>(fade_frames_));
    for (size_t c = 0; c < channels_; ++c) {
      const float between = dry ? (1.0f - old) * delayed_.data()[i * channels_ + c] : 0.0f;
      const float gap = old * stopped_.data()[c] + between;
      wet_.data()[i * channels_ + c] = faded(gap, wet_incoming_.data()[i * channels_ + c], share);
    }
  }
  if (shift_frame_ >= prime + fade_frames_) end_shift();
}

// Both run, as in a swap. A trial that makes calls late is given up before it is heard.
void Engine::run_across(size_t frames) noexcept {
  run_stage(active_->stage(), wet_.data(), frames);
  const size_t prime = prime_length();
  if (shift_frame_ < prime && governor_->missing() && shift_to_ < active_->current) {
    shift_ = Shift::kNone;
    tier_.store(static_cast<uint32_t>(active_->current), std::memory_order_relaxed);
    governor_->failed_climb();
    return;
  }
  run_stage(*active_->tiers[shift_to_], wet_incoming_.data(), frames);
  for (size_t i = 0; i < frames; ++i, ++shift_frame_) {
    if (shift_frame_ < prime) continue;
    const float share = std::min(1.0f, static_cast<float>(shift_frame_ - prime + 1) / static_cast<float>(fade_frames_));
    for (size_t c = 0; c < channels_; ++c) {
      float& wet = wet_.data()[i * channels_ + c];
      wet = faded(wet, wet_incoming_.data()[i * channels_ + c], share);
    }
  }
  if (shift_frame_ >= prime + fade_frames_) end_shift();
}

void Engine::govern(size_t frames, double load) noexcept {
  if (governor_ == nullptr || active_->tiers.size() < 2 || incoming_ != nullptr) return;
  if (pretended_load_ >= 0.0) load = pretended_load_;
  governor_->count(frames, load);
  if (shift_ != Shift::kNone || held_taken_ != RTV_TIER_AUTO) return;
  const size_t tier = active_->current;
  const Governor::Move move = governor_->decide(tier);
  if (move == Governor::Move::kDown) {
    std::memcpy(stopped_.data(), last_.data(), last_.bytes());
    begin_shift(Shift::kDown, tier + 1);
  } else if (move == Governor::Move::kUp) {
    begin_shift(Shift::kAcross, tier - 1);
  }
}

void Engine::reset_tiers() noexcept {
  const int32_t held = held_taken_;
  shift_ = Shift::kNone;
  active_->current = held == RTV_TIER_AUTO ? 0 : std::min(static_cast<size_t>(held), active_->tiers.size() - 1);
  tier_.store(static_cast<uint32_t>(active_->current), std::memory_order_relaxed);
  tier_changes_.store(0, std::memory_order_relaxed);
  if (governor_ != nullptr) governor_->reset();
  if (last_.size() != 0) std::memset(last_.data(), 0, last_.bytes());
  active_->stage().pipeline->pull_parameters(true);
  active_->stage().pipeline->reset();
}

}  // namespace rtvoice
