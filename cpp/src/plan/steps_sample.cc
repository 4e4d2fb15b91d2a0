// The step that draws a sample from what a network says of it.
#include <cmath>

#include "plan/step_access.h"

namespace rtvoice {
namespace {

// What the draws of one step have in common; the functions are the kernels', whose bits do not depend on a library.
struct Draw {
  const StepAccess& at;
  uint32_t stream;
  uint64_t frame;
  float floor, limit;
  float* room;  // 16 floats

  void noise(bool gaussian, float p0, float p1, size_t count, float* out) const {
    simd::NoiseArgs args{};
    args.gaussian = gaussian;
    args.p0 = p0;
    args.p1 = p1;
    args.seed = at.seed();
    args.stream = stream;
    args.frame = frame;
    args.out = out;
    args.out_ld = args.channels = count;
    args.rows = 1;
    at.k().noise(args);
  }
  void apply(simd::Unary op, float* values, size_t count) const {
    simd::UnaryArgs args{};
    args.op = op;
    args.in = args.out = values;
    args.in_ld = args.out_ld = args.cols = count;
    args.rows = 1;
    at.k().unary(args);
  }
  // NaN passes: the hop that it is in is found and silenced.
  float limited(float y) const { return y > limit ? limit : y < -limit ? -limit : y; }
};

float gaussian(const Draw& draw, const float* x) {
  draw.room[0] = x[1] < draw.floor ? draw.floor : x[1];
  draw.apply(simd::Unary::kExp, draw.room, 1);
  draw.noise(true, 0.0f, 1.0f, 1, draw.room + 1);
  return draw.limited(std::fma(draw.room[0], draw.room[1], x[0]));
}

// The first of `count` shares whose running sum exceeds `u` of all: sums of 16 first, so that they do not wait for each other.
size_t choose(const float* shares, size_t count, float u) {
  constexpr size_t kBlock = 16;
  float total = 0.0f, before = 0.0f;
  const auto sum = [&](size_t first) {
    float s = 0.0f;
    for (size_t i = first; i < first + kBlock && i < count; ++i) s += shares[i];
    return s;
  };
  for (size_t first = 0; first < count; first += kBlock) total += sum(first);
  const float wanted = u * total;
  for (size_t first = 0; first < count; first += kBlock) {
    const float block = sum(first);
    if (before + block > wanted || first + kBlock >= count) {
      size_t i = first;
      for (before += shares[i]; before <= wanted && i + 1 < count && i + 1 < first + kBlock;) before += shares[++i];
      return i;
    }
    before += block;
  }
  return count - 1;
}

void softmax(const Draw& draw, const float* x, size_t count, float* out) {
  simd::SoftmaxArgs args{};
  args.in = x;
  args.out = out;
  args.in_ld = args.out_ld = args.channels = count;
  args.rows = 1;
  draw.at.k().softmax(args);
}

float logistic(const Draw& draw, const float* x, size_t count, float* shares) {
  draw.noise(false, 0.0f, 1.0f, 2, draw.room);
  const float first = draw.room[0], u = draw.room[1];
  softmax(draw, x, count, shares);
  const size_t k = choose(shares, count, first);
  draw.room[0] = u + 0x1p-25f;  // half a step above 0, and as far below 1
  draw.room[1] = 1.0f - 0x1p-24f - u + 0x1p-25f;
  draw.apply(simd::Unary::kLog, draw.room, 2);
  draw.room[2] = x[2 * count + k] < draw.floor ? draw.floor : x[2 * count + k];
  draw.apply(simd::Unary::kExp, draw.room + 2, 1);
  return draw.limited(std::fma(draw.room[2], draw.room[0] - draw.room[1], x[count + k]));
}

float categorical(const Draw& draw, const float* x, size_t count, float* shares, const float* classes) {
  draw.noise(false, 0.0f, 1.0f, 1, draw.room);
  const float u = draw.room[0];
  softmax(draw, x, count, shares);
  const float y = draw.limited(classes[choose(shares, count, u)]);
  return shares[0] == shares[0] ? y : shares[0];  // a class is always finite; what it was drawn from may not be
}

}  // namespace

void run_sample(const StepSpec& step, Instance& instance, size_t hops) noexcept {
  const StepAccess at{instance};
  const size_t rows = at.rows(step.out, hops), ld = at.spec(step.in[0]).ld, channels = at.spec(step.in[0]).channels;
  const float* x = at.row(step.in[0], step.lag[0]);
  float* out = at.out(step.out);
  float* room = at.scratch(step.scratch);
  float* shares = room + 16;
  const uint64_t frame = at.frame(step.out);
  for (size_t r = 0; r < rows; ++r, x += ld) {
    if (frame + r < step.delay) {  // before its own time 0
      out[r] = 0.0f;
      continue;
    }
    const Draw draw{at, step.stream, frame + r - step.delay, step.a, step.b, room};
    switch (static_cast<Distribution>(step.start)) {
      case Distribution::kGaussian:
        out[r] = gaussian(draw, x);
        break;
      case Distribution::kLogistic:
        out[r] = logistic(draw, x, channels / 3, shares);
        break;
      case Distribution::kCategorical:
        out[r] = categorical(draw, x, channels, shares, at.weights(step.weights));
        break;
    }
  }
}

}  // namespace rtvoice
