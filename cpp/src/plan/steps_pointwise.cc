// Steps that work frame by frame without a product.
#include "plan/step_access.h"

namespace rtvoice {
namespace {

// What most kernels take: one input, one output, the run's rows.
template <typename Args>
Args frame_args(const StepSpec& step, const StepAccess& at, size_t hops) {
  Args args{};
  args.in = at.row(step.in[0], step.lag[0]);
  args.in_ld = at.spec(step.in[0]).ld;
  args.out = at.out(step.out);
  args.out_ld = at.spec(step.out).ld;
  args.rows = at.rows(step.out, hops);
  return args;
}

}  // namespace

// Only a value's channels are computed, never the lanes beside them: log, 1/x or a quotient would make those infinite, and infinity times a
// zero weight is NaN.

void run_unary(const StepSpec& step, Instance& instance, size_t hops) noexcept {
  const StepAccess at{instance};
  auto args = frame_args<simd::UnaryArgs>(step, at, hops);
  args.op = step.unary;
  args.a = step.a;
  args.b = step.b;
  args.cols = at.spec(step.out).channels;
  at.k().unary(args);
}

void run_channelwise(const StepSpec& step, Instance& instance, size_t hops) noexcept {
  const StepAccess at{instance};
  auto args = frame_args<simd::ChannelwiseArgs>(step, at, hops);
  args.op = step.channelwise;
  args.p = at.weights(step.weights);
  args.q = at.weights(step.bias);
  args.cols = at.spec(step.out).channels;
  at.k().channelwise(args);
}

void run_binary(const StepSpec& step, Instance& instance, size_t hops) noexcept {
  const StepAccess at{instance};
  const uint32_t channels = at.spec(step.out).channels;
  simd::BinaryArgs args{};
  args.op = step.binary;
  args.a = at.row(step.in[0], step.lag[0]);
  args.a_ld = at.spec(step.in[0]).ld;
  args.a_wide = at.spec(step.in[0]).channels == channels;
  args.b = at.row(step.in[1], step.lag[1]);
  args.b_ld = at.spec(step.in[1]).ld;
  args.b_wide = at.spec(step.in[1]).channels == channels;
  args.out = at.out(step.out);
  args.out_ld = at.spec(step.out).ld;
  args.rows = at.rows(step.out, hops);
  args.cols = channels;
  at.k().binary(args);
}

void run_film(const StepSpec& step, Instance& instance, size_t hops) noexcept {
  const StepAccess at{instance};
  simd::FilmArgs args{};
  args.x = at.row(step.in[0], step.lag[0]);
  args.x_ld = at.spec(step.in[0]).ld;
  args.gamma = at.row(step.in[1], step.lag[1]);
  args.gamma_ld = at.spec(step.in[1]).ld;
  args.beta = at.row(step.in[2], step.lag[2]);
  args.beta_ld = at.spec(step.in[2]).ld;
  args.gamma_wide = at.spec(step.in[1]).channels == at.spec(step.out).channels;
  args.beta_wide = at.spec(step.in[2]).channels == at.spec(step.out).channels;
  args.offset = step.a;
  args.out = at.out(step.out);
  args.out_ld = at.spec(step.out).ld;
  args.rows = at.rows(step.out, hops);
  args.cols = at.spec(step.out).channels;
  at.k().film(args);
}

void run_norm(const StepSpec& step, Instance& instance, size_t hops) noexcept {
  const StepAccess at{instance};
  auto args = frame_args<simd::NormArgs>(step, at, hops);
  args.rms = step.flag;
  args.eps = step.a;
  args.weight = at.weights(step.weights);
  args.bias = step.has_bias ? at.weights(step.bias) : nullptr;
  args.channels = at.spec(step.out).channels;
  at.k().norm(args);
}

void run_softmax(const StepSpec& step, Instance& instance, size_t hops) noexcept {
  const StepAccess at{instance};
  auto args = frame_args<simd::SoftmaxArgs>(step, at, hops);
  args.channels = at.spec(step.out).channels;
  at.k().softmax(args);
}

void run_glu(const StepSpec& step, Instance& instance, size_t hops) noexcept {
  const StepAccess at{instance};
  const uint32_t channels = at.spec(step.out).channels;
  simd::GluArgs args{};
  args.a = step.unary;
  args.b = step.unary_b;
  args.in_a = at.row(step.in[0], step.lag[0]);
  args.in_b = args.in_a + channels;
  args.in_ld = at.spec(step.in[0]).ld;
  args.out = at.out(step.out);
  args.out_ld = at.spec(step.out).ld;
  args.rows = at.rows(step.out, hops);
  args.cols = channels;
  at.k().glu(args);
}

void run_noise(const StepSpec& step, Instance& instance, size_t hops) noexcept {
  const StepAccess at{instance};
  simd::NoiseArgs args{};
  args.gaussian = step.flag;
  args.p0 = step.a;
  args.p1 = step.b;
  args.seed = at.seed();
  args.stream = step.stream;
  args.frame = at.frame(step.out);
  args.out = at.out(step.out);
  args.out_ld = at.spec(step.out).ld;
  args.rows = at.rows(step.out, hops);
  args.channels = at.spec(step.out).channels;
  at.k().noise(args);
}

}  // namespace rtvoice
