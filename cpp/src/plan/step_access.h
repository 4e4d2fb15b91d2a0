// What step functions may touch of an instance: rows of slots, arenas, counters.
#pragma once

#include "plan/plan.h"

namespace rtvoice {

struct StepAccess {
  Instance& in;

  const Plan& plan() const { return *in.plan_; }
  const simd::Kernels& k() const { return *in.plan_->kernels_; }
  Instance::Slot& slot(uint32_t index) const { return in.slots_[index]; }
  const SlotSpec& spec(uint32_t index) const { return *in.slots_[index].spec; }
  size_t rows(uint32_t index, size_t hops) const { return spec(index).frames * hops; }
  uint64_t frame(uint32_t index) const { return in.slots_[index].frame; }
  uint64_t seed() const { return in.seed_; }
  // A recurrent state that stopped being finite in this hop of the run would never recover.
  void check_state(const float* values, size_t count, size_t hop) const {
    hop += in.loop_hop_;
    if (hop < in.good_hops_ && !Instance::is_finite(values, count)) in.good_hops_ = hop;
  }

  // The row `lag` rows before this run's first one (negative: after it). Contiguous for as many rows as the plan's readers need.
  const float* row(uint32_t index, int64_t lag) const {
    const Instance::Slot& s = in.slots_[index];
    const SlotSpec& spec = *s.spec;
    if (spec.ring != 0) {
      const uint64_t at = (s.pos + static_cast<uint64_t>(-lag)) & (spec.ring - 1);
      return s.base + at * spec.ld;
    }
    return s.base + (static_cast<int64_t>(spec.history) - lag) * static_cast<int64_t>(spec.ld);
  }
  // Where the producer writes this run's rows.
  float* out(uint32_t index) const {
    const Instance::Slot& s = in.slots_[index];
    const SlotSpec& spec = *s.spec;
    return s.base + static_cast<size_t>(spec.ring != 0 ? s.pos : spec.history) * spec.ld;
  }
  void commit(uint32_t index, size_t hops) const { in.commit(in.slots_[index], rows(index, hops)); }

  const float* weights(size_t offset) const { return in.plan_->weights_->data() + offset; }
  const uint16_t* half_weights(size_t offset) const { return reinterpret_cast<const uint16_t*>(weights(offset)); }
  float* state(size_t offset) const { return in.state_.data() + offset; }
  float* scratch(size_t offset) const { return in.scratch_.data() + offset; }
  const float** segments() const { return in.segments_.data(); }
  // A product's call, with its pointers into rings where they are now.
  simd::GemmArgs& product(uint32_t index, size_t hops) const {
    Instance::Product& product = in.products_[index];
    product.args.rows = product.rows * hops;
    move_places(product.first_place, product.num_places);
    return product.args;
  }
  void move_places(uint32_t first, uint32_t count) const {
    const Instance::Place* place = in.places_.data() + first;
    for (uint32_t i = 0; i < count; ++i, ++place) {
      const uint64_t at = (in.slots_[place->slot].pos + static_cast<uint64_t>(-place->lag)) & place->mask;
      *place->pointer = place->base + at * place->ld;
    }
  }
  // The same where every ring is in the row of `frame`.
  void move_places(uint32_t first, uint32_t count, uint64_t frame) const {
    const Instance::Place* place = in.places_.data() + first;
    for (uint32_t i = 0; i < count; ++i, ++place)
      *place->pointer = place->base + ((frame - static_cast<uint64_t>(place->lag)) & place->mask) * place->ld;
  }
};

// A control's way over a hop: rows of the scratch or of a slot, `floats` each, `frames` a hop.
struct Ramp {
  const float* shares;
  float* previous;  // the control of the hop before
  float* change;    // room for a row
  size_t floats, frames;
};
// Writes the rows of `hops` hops, whose controls are rows of `in`. A change is a straight line from the hop before.
void run_ramp(const StepAccess& at, const Ramp& ramp, const float* in, float* out,
              size_t hops) noexcept RTV_NONBLOCKING;

// What run_gemm calls the kernel with.
simd::GemmArgs product_of(const StepSpec& step, const StepAccess& at, size_t hops,
                          simd::GemmPart* part) noexcept RTV_NONBLOCKING;

// The step functions, one file per kind.
void run_gemm(const StepSpec&, Instance&, size_t hops) noexcept RTV_NONBLOCKING;
void run_gemm_film(const StepSpec&, Instance&, size_t hops) noexcept RTV_NONBLOCKING;  // scaled and shifted by controls
inline bool is_product(const StepSpec& step) { return step.run == run_gemm || step.run == run_gemm_film; }
void run_gemm_narrow(const StepSpec&, Instance&,
                     size_t hops) noexcept RTV_NONBLOCKING;  // columns that are no vector width: through scratch
void run_dot(const StepSpec&, Instance&, size_t hops) noexcept RTV_NONBLOCKING;
void run_depthwise(const StepSpec&, Instance&, size_t hops) noexcept RTV_NONBLOCKING;
void run_gru(const StepSpec&, Instance&, size_t hops) noexcept RTV_NONBLOCKING;
void run_lstm(const StepSpec&, Instance&, size_t hops) noexcept RTV_NONBLOCKING;
void run_unary(const StepSpec&, Instance&, size_t hops) noexcept RTV_NONBLOCKING;
void run_channelwise(const StepSpec&, Instance&, size_t hops) noexcept RTV_NONBLOCKING;
void run_binary(const StepSpec&, Instance&, size_t hops) noexcept RTV_NONBLOCKING;
void run_film(const StepSpec&, Instance&, size_t hops) noexcept RTV_NONBLOCKING;
void run_norm(const StepSpec&, Instance&, size_t hops) noexcept RTV_NONBLOCKING;
void run_glu(const StepSpec&, Instance&, size_t hops) noexcept RTV_NONBLOCKING;
void run_noise(const StepSpec&, Instance&, size_t hops) noexcept RTV_NONBLOCKING;
void run_softmax(const StepSpec&, Instance&, size_t hops) noexcept RTV_NONBLOCKING;
void run_phase(const StepSpec&, Instance&, size_t hops) noexcept RTV_NONBLOCKING;
void run_harmonics(const StepSpec&, Instance&, size_t hops) noexcept RTV_NONBLOCKING;
void run_warp(const StepSpec&, Instance&, size_t hops) noexcept RTV_NONBLOCKING;
void run_fir(const StepSpec&, Instance&, size_t hops) noexcept RTV_NONBLOCKING;
void run_concat(const StepSpec&, Instance&, size_t hops) noexcept RTV_NONBLOCKING;
void run_slice(const StepSpec&, Instance&, size_t hops) noexcept RTV_NONBLOCKING;
void run_copy(const StepSpec&, Instance&, size_t hops) noexcept RTV_NONBLOCKING;  // delay, advance
void run_upsample(const StepSpec&, Instance&, size_t hops) noexcept RTV_NONBLOCKING;
void run_upsample_linear(const StepSpec&, Instance&, size_t hops) noexcept RTV_NONBLOCKING;
void run_depth_to_time(const StepSpec&, Instance&, size_t hops) noexcept RTV_NONBLOCKING;
void run_time_to_depth(const StepSpec&, Instance&, size_t hops) noexcept RTV_NONBLOCKING;
void run_bands(const StepSpec&, Instance&, size_t hops) noexcept RTV_NONBLOCKING;
void run_bands_depthwise(const StepSpec&, Instance&, size_t hops) noexcept RTV_NONBLOCKING;
void run_pick(const StepSpec&, Instance&, size_t hops) noexcept RTV_NONBLOCKING;
void run_leaky_sum(const StepSpec&, Instance&, size_t hops) noexcept RTV_NONBLOCKING;
void run_sample(const StepSpec&, Instance&, size_t hops) noexcept RTV_NONBLOCKING;
void run_attention(const StepSpec&, Instance&, size_t hops) noexcept RTV_NONBLOCKING;
void run_expand(const StepSpec&, Instance&, size_t hops) noexcept RTV_NONBLOCKING;  // control to a stream's rate

}  // namespace rtvoice
