// Steps over the bands of a frame: convolutions along them, channels chosen and reordered, and sums that leak.
#include <cstring>

#include "plan/step_access.h"

namespace rtvoice {
namespace {

// The windows of one frame: its rows as they lie, or copies between zeros where the bands are padded.
void place_segments(const StepSpec& step, const StepAccess& at, size_t t, const float** segments) {
  const bool padded = step.width != step.band_floats;
  float* copy = at.scratch(step.scratch);
  for (size_t k = 0; k < step.frame_taps; ++k) {
    const float* row = at.row(step.in[0], step.lag[0] - static_cast<int64_t>(t + k * step.tap_rows));
    if (padded) {
      float* wide = copy + k * step.width;
      std::memset(wide, 0, step.pad * sizeof(float));
      std::memcpy(wide + step.pad, row, step.band_floats * sizeof(float));
      const size_t end = step.pad + step.band_floats;
      std::memset(wide + end, 0, (step.width - end) * sizeof(float));
      row = wide;
    }
    for (size_t b = 0; b < step.band_taps; ++b) segments[k * step.band_taps + b] = row + b * step.band_step;
  }
}

// The first `piece` numbers of each `cols`, together. What is copied beyond a piece the next one covers: pieces of 5 numbers take a call each.
void gather(const float* from, size_t cols, size_t piece, size_t count, float* to) {
  const float* end = to + count * piece;
  for (size_t i = 0; i < count; ++i, from += cols, to += piece) {
    if (cols == 8 && to + 8 <= end) {
      std::memcpy(to, from, 8 * sizeof(float));
    } else {
      std::memcpy(to, from, piece * sizeof(float));
    }
  }
}

}  // namespace

void run_bands(const StepSpec& step, Instance& instance, size_t hops) noexcept {
  const StepAccess at{instance};
  const size_t rows = at.rows(step.out, hops), ld = at.spec(step.out).ld;
  const float** segments = at.segments();
  const size_t wide_ld = step.parts * step.cols, piece = step.channels / step.parts;
  const bool narrow = wide_ld != step.channels;
  simd::GemmArgs args;
  args.seg = segments;
  args.num_segments = step.taps;
  args.seg_len = step.seg_len;
  args.row_step = step.stride;
  args.half = nullptr;
  args.ranges = step.ranges.empty() ? nullptr : step.ranges.data();
  args.out_ld = wide_ld;
  args.rows = step.bands_out;
  args.cols = step.cols;
  float* wide = at.scratch(step.scratch) + (step.width != step.band_floats ? step.frame_taps * step.width : 0);
  float* out = at.out(step.out);
  for (size_t t = 0; t < rows; ++t, out += ld) {
    place_segments(step, at, t, segments);
    args.out = narrow ? wide : out;
    args.weights = at.weights(step.weights);
    args.bias = at.weights(step.bias);
    for (size_t part = 0; part < step.parts; ++part) {
      at.k().gemm(args);
      for (size_t k = 0; k < step.taps; ++k) segments[k] += step.seg_len;
      args.weights += step.taps * step.seg_len * step.cols;
      args.bias += step.cols;
      args.out += step.cols;
    }
    if (narrow) gather(wide, step.cols, piece, step.parts * step.bands_out, out);
  }
}

void run_bands_depthwise(const StepSpec& step, Instance& instance, size_t hops) noexcept {
  const StepAccess at{instance};
  const size_t rows = at.rows(step.out, hops), ld = at.spec(step.out).ld;
  const float** segments = at.segments();
  simd::DepthwiseArgs args{};
  args.tap = segments;
  args.num_taps = step.taps;
  args.row_step = step.stride;
  args.weights = at.weights(step.weights);
  args.weights_ld = step.cols;
  args.bias = at.weights(step.bias);
  args.out_ld = step.cols;
  args.rows = step.bands_out;
  args.cols = step.cols;
  args.out = at.out(step.out);
  for (size_t t = 0; t < rows; ++t, args.out += ld) {
    place_segments(step, at, t, segments);
    at.k().depthwise(args);
  }
}

void run_pick(const StepSpec& step, Instance& instance, size_t hops) noexcept {
  const StepAccess at{instance};
  const size_t rows = at.rows(step.out, hops), ld = at.spec(step.out).ld, in_ld = at.spec(step.in[0]).ld;
  const float* in = at.row(step.in[0], step.lag[0]);
  float* out = at.out(step.out);
  for (size_t r = 0; r < rows; ++r, in += in_ld, out += ld) {
    float* y = out;
    for (const simd::PanelRange& run : step.ranges) {
      if (run.begin == UINT32_MAX) {
        std::memset(y, 0, run.length * sizeof(float));
      } else if (run.length == 1) {
        *y = in[run.begin];
      } else {
        std::memcpy(y, in + run.begin, run.length * sizeof(float));
      }
      y += run.length;
    }
  }
}

// Frames before the value's own time 0 leave the sum where it starts.
void run_leaky_sum(const StepSpec& step, Instance& instance, size_t hops) noexcept {
  const StepAccess at{instance};
  const size_t rows = at.rows(step.out, hops), ld = at.spec(step.out).ld, channels = at.spec(step.out).channels,
               in_ld = at.spec(step.in[0]).ld, frames = at.spec(step.out).frames;
  const float* in = at.row(step.in[0], step.lag[0]);
  const float* decay = at.weights(step.weights);
  float* sum = at.state(step.state);
  float* out = at.out(step.out);
  const uint64_t frame = at.frame(step.out);
  if (frame <= step.delay) std::memcpy(sum, at.weights(step.bias), channels * sizeof(float));
  for (size_t t = 0; t < rows; ++t) {
    const float* x = in + t * in_ld;
    float* y = out + t * ld;
    if (frame + t >= step.delay) {
      for (size_t c = 0; c < channels; ++c) sum[c] = decay[c] * sum[c] + x[c];
    }
    std::memcpy(y, sum, channels * sizeof(float));
    if ((t + 1) % frames == 0) at.check_state(sum, channels, t / frames);
  }
}

}  // namespace rtvoice
