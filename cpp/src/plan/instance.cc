// One stream: slots with their histories, parameter ramps, and the loop over the plan's steps.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "plan/plan.h"
#include "plan/step_access.h"

namespace rtvoice {

namespace {

constexpr size_t kLine = 16;  // floats

size_t whole_lines(size_t floats) { return (floats + kLine - 1) / kLine * kLine; }

}  // namespace

// An odd number of cache lines apart: at a power of two, the same row of every stream would fall into one set of the cache.
StreamMemory::StreamMemory(const Plan& plan, size_t streams)
    : streams_(streams),
      distance_(((whole_lines(plan.state_floats_) + whole_lines(plan.scratch_floats_)) / kLine | 1) * kLine),
      floats_(streams * distance_) {}

Instance::Instance(std::shared_ptr<const Plan> plan, uint64_t seed, std::shared_ptr<StreamMemory> memory, size_t index)
    : plan_(std::move(plan)),
      memory_(memory != nullptr ? std::move(memory) : std::make_shared<StreamMemory>(*plan_, 1)),
      index_(index),
      state_{memory_->of(index), plan_->state_floats_},
      scratch_{memory_->of(index) + whole_lines(plan_->state_floats_), plan_->scratch_floats_},
      segments_(plan_->max_segments_),
      seed_(seed) {
  slots_.reserve(plan_->slots_.size());
  for (const SlotSpec& spec : plan_->slots_) {
    float* base = (spec.ring != 0 ? state_.data() : scratch_.data()) + spec.base;
    slots_.push_back({&spec, base, state_.data() + spec.saved, 0, 0});
  }
  prepare_products();
  const Graph& graph = plan_->graph();
  for (const Parameter& parameter : graph.parameters) {
    const size_t size = parameter.defaults.size();
    const double hops = parameter.smoothing_ms * 1e-3 * graph.sample_rate / graph.hop;
    ramps_.push_back({ramp_data_.size(), size, 0, static_cast<uint32_t>(std::max(1.0, std::round(hops)))});
    ramp_data_.insert(ramp_data_.end(), parameter.defaults.begin(), parameter.defaults.end());
    ramp_data_.insert(ramp_data_.end(), parameter.defaults.begin(), parameter.defaults.end());
    ramp_data_.resize(ramp_data_.size() + size, 0.0f);
  }
  zero();
  if (!graph.prewarmed || (graph.prewarm == 0 && std::isinf(plan_->info().receptive_field))) return;
  // Prewarmed models start where silence has already run through; reset copies this snapshot back.
  const size_t hop = static_cast<size_t>(graph.hop);
  const size_t hops = graph.prewarm > 0 ? (static_cast<size_t>(graph.prewarm) + hop - 1) / hop
                                        : static_cast<size_t>(plan_->info().receptive_field) / hop + 1;
  std::vector<float> silence(plan_->max_hops() * static_cast<size_t>(graph.hop), 0.0f), out(silence.size());
  for (size_t done = 0; done < hops;) {
    const size_t now = std::min(plan_->max_hops(), hops - done);
    run(silence.data(), out.data(), now);
    done += now;
  }
  snapshot_ = AlignedFloats(state_.size());
  if (state_.size() != 0) std::memcpy(snapshot_.data(), state_.data(), state_.bytes());
  snapshot_slots_ = slots_;
  snapshot_turn_ = turn_;
  snapshot_loop_frame_ = loop_frame_;
}

void Instance::zero() noexcept {
  if (state_.size() != 0) std::memset(state_.data(), 0, state_.bytes());
  for (const InitialState& start : plan_->initial_)
    std::memcpy(state_.data() + start.offset, start.values.data(), start.values.size() * sizeof(float));
  // Lanes beside a row's channels meet zero weights, so they need not be zero, but finite.
  if (scratch_.size() != 0) std::memset(scratch_.data(), 0, scratch_.bytes());
  turn_ = memory_->turn_;
  for (Slot& slot : slots_) {
    if (slot.spec->ring != 0 && !slot.spec->in_loop)
      slot.pos = static_cast<uint32_t>((turn_ * slot.spec->frames) & (slot.spec->ring - 1));
    if (slot.spec->in_loop) slot.pos = 0;
    slot.frame = 0;
  }
  last_hops_ = 0;
  good_hops_ = 0;
  batch_hops_ = 0;
  loop_frame_ = 0;
  loop_hop_ = 0;
  next_step_ = 0;
  for (Ramp& ramp : ramps_) {
    float* current = ramp_data_.data() + ramp.offset;
    std::memcpy(current, current + ramp.size, ramp.size * sizeof(float));
    ramp.remaining = 0;
  }
}

void Instance::reset() noexcept {
  zero();
  if (snapshot_slots_.empty()) return;
  if (state_.size() != 0) std::memcpy(state_.data(), snapshot_.data(), state_.bytes());
  std::copy(snapshot_slots_.begin(), snapshot_slots_.end(), slots_.begin());
  turn_ = snapshot_turn_;
  loop_frame_ = snapshot_loop_frame_;
}

void Instance::set_parameter(size_t index, const float* values, bool jump) noexcept {
  Ramp& ramp = ramps_[index];
  float* current = ramp_data_.data() + ramp.offset;
  float* target = current + ramp.size;
  float* step = target + ramp.size;
  // The same value again, as a game sends it with every frame, must not start the ramp anew.
  if (!jump && std::memcmp(target, values, ramp.size * sizeof(float)) == 0) return;
  std::memcpy(target, values, ramp.size * sizeof(float));
  if (jump) {
    std::memcpy(current, values, ramp.size * sizeof(float));
    ramp.remaining = 0;
    return;
  }
  ramp.remaining = ramp.steps;
  for (size_t i = 0; i < ramp.size; ++i) step[i] = (target[i] - current[i]) / static_cast<float>(ramp.steps);
}

void Instance::fill_parameters(size_t hops) noexcept {
  for (size_t p = 0; p < ramps_.size(); ++p) {
    Ramp& ramp = ramps_[p];
    float* current = ramp_data_.data() + ramp.offset;
    const float* target = current + ramp.size;
    const float* step = target + ramp.size;
    Slot& slot = slots_[1 + p];
    for (size_t h = 0; h < hops; ++h) {
      if (ramp.remaining != 0) {
        --ramp.remaining;
        for (size_t i = 0; i < ramp.size; ++i) current[i] = ramp.remaining == 0 ? target[i] : current[i] + step[i];
      }
      std::memcpy(slot.base + h * slot.spec->ld, current, ramp.size * sizeof(float));
    }
  }
}

// After a producer wrote `rows` rows: silence before the value's own time 0, then the history that later runs read.
void Instance::commit(Slot& slot, size_t rows) noexcept {
  const SlotSpec& spec = *slot.spec;
  const size_t ld = spec.ld;
  float* first = slot.base + static_cast<size_t>(spec.ring != 0 ? slot.pos : spec.history) * ld;
  if (slot.frame < spec.delay) {
    const size_t zeros = static_cast<size_t>(std::min<uint64_t>(rows, spec.delay - slot.frame));
    std::memset(first, 0, zeros * ld * sizeof(float));
  }
  if (spec.ring != 0) {
    const size_t ring = spec.ring, mirror = spec.mirror, end = slot.pos + rows;
    if (slot.pos < mirror) {
      std::memcpy(slot.base + (ring + slot.pos) * ld, first, (std::min(end, mirror) - slot.pos) * ld * sizeof(float));
    }
    if (end > ring) std::memcpy(slot.base, slot.base + ring * ld, (end - ring) * ld * sizeof(float));
  } else if (spec.history != 0) {
    const size_t history = spec.history * ld;
    std::memcpy(slot.base, slot.saved, history * sizeof(float));
    std::memcpy(slot.saved, slot.base + rows * ld, history * sizeof(float));
  }
}

// By the exponent's bits and without a branch, so that it is vector code.
bool Instance::is_finite(const float* values, size_t count) noexcept {
  constexpr uint32_t kExponent = 0x7f800000u;
  uint32_t any = 0;
  for (size_t i = 0; i < count; ++i) {
    uint32_t bits;
    std::memcpy(&bits, values + i, sizeof bits);
    any |= static_cast<uint32_t>((bits & kExponent) == kExponent);
  }
  return any == 0;
}

size_t Instance::run(const float* in, float* out, size_t hops) noexcept {
  if (hops == 0) return 0;
  start(in, hops);
  run_steps(plan_->pieces());
  return finish(in, out, hops);
}

void Instance::start(const float* in, size_t hops) noexcept {
  const size_t samples = hops * static_cast<size_t>(plan_->graph().hop);
  std::memcpy(StepAccess{*this}.out(0), in, samples * sizeof(float));
  commit(slots_[0], samples);
  fill_parameters(hops);
  good_hops_ = hops;
  batch_hops_ = hops;
  next_step_ = 0;
}

void Instance::run_step(const StepSpec& step, size_t hops) noexcept {
  step.run(step, *this, hops);
  if (step.commits) commit(slots_[step.out], slots_[step.out].spec->frames * hops);
  if (step.out_b >= 0) commit(slots_[step.out_b], slots_[step.out_b].spec->frames * hops);
}

void Instance::run_steps(size_t until) noexcept {
  const LoopSpec& loop = plan_->loop_;
  for (; next_step_ < until; ++next_step_) {
    if (next_step_ < loop.first || loop.turns == 0) {
      run_step(plan_->steps_[next_step_], batch_hops_);
    } else if (next_step_ < loop.first + loop.turns) {
      const size_t last = std::min(until, loop.first + loop.turns);
      run_loop(next_step_ - loop.first, last - loop.first);
      next_step_ = last - 1;
    } else {
      run_step(plan_->steps_[next_step_ - loop.turns], batch_hops_);
    }
  }
}

size_t Instance::finish(const float* in, float* out, size_t hops) noexcept {
  const size_t good = end(out, hops);
  return good == hops ? 0 : resume(in, out, hops, good);
}

// A bad hop is silence and a fresh start. Behind it they run one by one: the work stays linear in the frame, whatever the input.
size_t Instance::resume(const float* in, float* out, size_t hops, size_t done) noexcept {
  const size_t hop = static_cast<size_t>(plan_->graph().hop);
  size_t silenced = 0;
  for (bool bad = true; done < hops; ++done) {
    float* to = out == nullptr ? nullptr : out + done * hop;
    if (!bad) {
      start(in + done * hop, 1);
      run_steps(plan_->pieces());
      bad = end(to, 1) == 0;
    }
    if (!bad) continue;
    if (to != nullptr) std::memset(to, 0, hop * sizeof(float));
    reset();
    ++silenced;
    bad = false;
  }
  return silenced;
}

// Returns how many hops came out well before the first bad one; the state is good for use only when all did.
size_t Instance::end(float* out, size_t hops) noexcept {
  const Plan& plan = *plan_;
  const size_t hop = static_cast<size_t>(plan.graph().hop);
  const StepAccess access{*this};
  size_t good = good_hops_;
  if (out != nullptr && plan.audio_output_ >= 0) {
    const float* result = access.row(plan.outputs_[static_cast<size_t>(plan.audio_output_)].slot, 0);
    std::memcpy(out, result, good * hop * sizeof(float));
    if (!is_finite(result, good * hop)) {
      for (size_t h = 0; h < good; ++h) {
        if (!is_finite(result + h * hop, hop)) good = h;
      }
    }
  }
  for (Slot& slot : slots_) {
    if (slot.spec->in_loop) continue;  // they keep their own time
    const size_t rows = slot.spec->frames * hops;
    slot.frame += rows;
    if (slot.spec->ring != 0) slot.pos = static_cast<uint32_t>((slot.pos + rows) & (slot.spec->ring - 1));
  }
  last_hops_ = hops;
  turn_ += hops;
  memory_->turn_ = turn_;
  return good;
}

const float* Instance::output_frame(size_t index) const noexcept {
  const Slot& slot = slots_[plan_->outputs_[index].slot];
  const SlotSpec& spec = *slot.spec;
  if (spec.ring != 0) return slot.base + static_cast<size_t>((slot.pos + spec.ring - 1) & (spec.ring - 1)) * spec.ld;
  const size_t rows = spec.frames * std::max<size_t>(last_hops_, 1);
  return slot.base + (spec.history + rows - 1) * spec.ld;
}

}  // namespace rtvoice
