// Steps that only move frames and channels, and the two interpolations.
#include <cstring>

#include "plan/step_access.h"

namespace rtvoice {

void run_concat(const StepSpec& step, Instance& instance, size_t hops) noexcept {
  const StepAccess at{instance};
  const size_t rows = at.rows(step.out, hops), ld = at.spec(step.out).ld;
  float* out = at.out(step.out);
  size_t first = 0;
  for (size_t i = 0; i < step.in.size(); ++i) {
    const float* in = at.row(step.in[i], step.lag[i]);
    const size_t channels = at.spec(step.in[i]).channels, in_ld = at.spec(step.in[i]).ld;
    for (size_t r = 0; r < rows; ++r) std::memcpy(out + r * ld + first, in + r * in_ld, channels * sizeof(float));
    first += channels;
  }
}

void run_slice(const StepSpec& step, Instance& instance, size_t hops) noexcept {
  const StepAccess at{instance};
  const size_t rows = at.rows(step.out, hops), ld = at.spec(step.out).ld, channels = at.spec(step.out).channels,
               in_ld = at.spec(step.in[0]).ld;
  const float* in = at.row(step.in[0], step.lag[0]) + step.start;
  float* out = at.out(step.out);
  for (size_t r = 0; r < rows; ++r) std::memcpy(out + r * ld, in + r * in_ld, channels * sizeof(float));
}

void run_copy(const StepSpec& step, Instance& instance, size_t hops) noexcept {
  const StepAccess at{instance};
  std::memcpy(at.out(step.out), at.row(step.in[0], step.lag[0]),
              at.rows(step.out, hops) * at.spec(step.out).ld * sizeof(float));
}

void run_upsample(const StepSpec& step, Instance& instance, size_t hops) noexcept {
  const StepAccess at{instance};
  const size_t rows = at.rows(step.in[0], hops), ld = at.spec(step.out).ld;
  const float* in = at.row(step.in[0], step.lag[0]);
  float* out = at.out(step.out);
  for (size_t r = 0; r < rows; ++r) {
    for (size_t j = 0; j < step.factor; ++j)
      std::memcpy(out + (r * step.factor + j) * ld, in + r * ld, ld * sizeof(float));
  }
}

// Every output lies between the input row before and this one; before the input's own time 0 stands its first row.
void run_upsample_linear(const StepSpec& step, Instance& instance, size_t hops) noexcept {
  const StepAccess at{instance};
  const size_t rows = at.rows(step.in[0], hops), ld = at.spec(step.out).ld, channels = at.spec(step.out).channels,
               factor = step.factor;
  const float* in = at.row(step.in[0], step.lag[0]);
  float* out = at.out(step.out);
  float* previous = at.state(step.state);
  const uint64_t frame = at.frame(step.in[0]);
  const size_t wait = step.flag ? factor / 2 : factor - 1;
  for (size_t r = 0; r < rows; ++r) {
    const float* now = in + r * ld;
    if (frame + r <= step.delay) std::memcpy(previous, now, channels * sizeof(float));
    for (size_t j = 0; j < factor; ++j) {
      const float offset = static_cast<float>(j) - static_cast<float>(wait);
      const float position =
          step.flag ? (offset + 0.5f) / static_cast<float>(factor) - 0.5f : offset / static_cast<float>(factor);
      const float share = position + 1.0f;  // 0: the previous row, 1: this one
      float* y = out + (r * factor + j) * ld;
      for (size_t c = 0; c < channels; ++c) y[c] = previous[c] + (now[c] - previous[c]) * share;
    }
    std::memcpy(previous, now, channels * sizeof(float));
  }
}

void run_depth_to_time(const StepSpec& step, Instance& instance, size_t hops) noexcept {
  const StepAccess at{instance};
  const size_t rows = at.rows(step.in[0], hops), ld = at.spec(step.out).ld, in_ld = at.spec(step.in[0]).ld,
               factor = step.factor;
  const size_t channels = at.spec(step.out).channels, by_frame = step.flag ? channels : 1,
               by_channel = step.flag ? 1 : factor;
  const float* in = at.row(step.in[0], step.lag[0]);
  float* out = at.out(step.out);
  if (ld == channels && (by_channel == 1 || channels == 1)) {  // one row is the other's rows: a fifth of the time
    for (size_t r = 0; r < rows; ++r)
      std::memcpy(out + r * factor * ld, in + r * in_ld, factor * channels * sizeof(float));
    return;
  }
  for (size_t r = 0; r < rows; ++r) {
    for (size_t j = 0; j < factor; ++j) {
      float* y = out + (r * factor + j) * ld;
      const float* x = in + r * in_ld + j * by_frame;
      for (size_t c = 0; c < channels; ++c) y[c] = x[c * by_channel];
    }
  }
}

void run_time_to_depth(const StepSpec& step, Instance& instance, size_t hops) noexcept {
  const StepAccess at{instance};
  const size_t rows = at.rows(step.out, hops), ld = at.spec(step.out).ld, in_ld = at.spec(step.in[0]).ld,
               factor = step.factor;
  const size_t channels = at.spec(step.in[0]).channels, by_frame = step.flag ? channels : 1,
               by_channel = step.flag ? 1 : factor;
  const float* in = at.row(step.in[0], step.lag[0]);
  float* out = at.out(step.out);
  if (in_ld == channels && (by_channel == 1 || channels == 1)) {
    for (size_t r = 0; r < rows; ++r)
      std::memcpy(out + r * ld, in + r * factor * in_ld, factor * channels * sizeof(float));
    return;
  }
  for (size_t r = 0; r < rows; ++r) {
    for (size_t j = 0; j < factor; ++j) {
      const float* x = in + (r * factor + j) * in_ld;
      float* y = out + r * ld + j * by_frame;
      for (size_t c = 0; c < channels; ++c) y[c * by_channel] = x[c];
    }
  }
}

// A control mostly stays as it is; its ramp is previous + change * share, in vectors. Number by number, two of them cost as much as an eighth of a
// layer of 64 channels.
void run_ramp(const StepAccess& at, const Ramp& ramp, const float* in, float* out, size_t hops) noexcept {
  const size_t ld = ramp.floats;
  for (size_t h = 0; h < hops; ++h) {
    const float* now = in + h * ld;
    const bool still = std::memcmp(ramp.previous, now, ld * sizeof(float)) == 0;
    for (size_t c = 0; c < ld && !still; ++c) ramp.change[c] = now[c] - ramp.previous[c];
    simd::BinaryArgs args{};
    args.op = simd::Binary::kMul;
    args.a = still ? now : ramp.change;
    args.a_wide = true;
    args.b = still ? ramp.shares + ramp.frames - 1 : ramp.shares;
    args.b_ld = still ? 0 : 1;
    args.out = out + h * ramp.frames * ld;
    args.out_ld = ld;
    args.rows = ramp.frames;
    args.cols = ld;
    at.k().binary(args);
    if (still) continue;
    args.op = simd::Binary::kAdd;
    args.a = ramp.previous;
    args.b = args.out;
    args.b_ld = ld;
    args.b_wide = true;
    at.k().binary(args);
    std::memcpy(ramp.previous, now, ld * sizeof(float));
  }
}

void run_expand(const StepSpec& step, Instance& instance, size_t hops) noexcept {
  const StepAccess at{instance};
  const SlotSpec& spec = at.spec(step.out);
  const float* in = at.row(step.in[0], 0);
  float* previous = at.state(step.state);
  if (at.frame(step.out) == 0) std::memcpy(previous, in, spec.ld * sizeof(float));
  const Ramp ramp{at.weights(step.weights), previous, previous + spec.ld, spec.ld, spec.frames};
  run_ramp(at, ramp, in, at.out(step.out), hops);
}

}  // namespace rtvoice
