// Steps that multiply by weights: convolutions in every form, and recurrent cells.
#include <cstring>

#include "plan/step_access.h"

namespace rtvoice {
namespace {

// Field by field: clearing the whole first is a string instruction, 90 cycles of a step that may take 300.
simd::GemmArgs gemm_args(const StepSpec& step, const StepAccess& at) {
  const float** segments = at.segments();
  for (size_t i = 0; i < step.taps; ++i)
    segments[i] = at.row(step.in[0], step.lag[0] - static_cast<int64_t>(i * step.tap_rows));
  simd::GemmArgs args;
  args.seg = segments;
  args.num_segments = step.taps;
  args.seg_len = step.seg_len;
  args.row_step = step.stride * at.spec(step.in[0]).ld;
  args.weights = at.weights(step.weights);
  args.half = step.half ? at.half_weights(step.weights) : nullptr;
  args.bias = at.weights(step.bias);
  args.ranges = step.ranges.empty() ? nullptr : step.ranges.data();
  args.out = nullptr;
  args.out_ld = step.cols;
  args.rows = 0;
  args.cols = step.cols;
  args.part = nullptr;
  return args;
}

// The pointers into the arenas that the plan cannot hold. In place: a copy of what was just written field by field waits for every one of those
// stores, 40 cycles of a step that may take 300.
void set_epilogue(const StepSpec& step, const StepEnd& end, const StepAccess& at, simd::Epilogue* epilogue) {
  *epilogue = end.epilogue;
  if (end.act_channelwise) {
    epilogue->p = at.weights(end.act_p);
    epilogue->q = at.weights(end.act_q);
  }
  if (end.residual < 0) return;
  const size_t i = static_cast<size_t>(end.residual);
  epilogue->residual = at.row(step.in[i], step.lag[i]);
  epilogue->residual_ld = end.residual_still ? 0 : at.spec(step.in[i]).ld;
}

}  // namespace

simd::GemmArgs product_of(const StepSpec& step, const StepAccess& at, size_t hops, simd::GemmPart* part) noexcept {
  simd::GemmArgs args = gemm_args(step, at);
  args.rows = at.rows(step.out, hops) / step.factor;
  args.out = at.out(step.out);
  set_epilogue(step, step.end, at, &args.epilogue);
  if (args.epilogue.gate) args.out_ld = step.cols / 2;
  if (step.out_b < 0) return args;
  const uint32_t out_b = static_cast<uint32_t>(step.out_b);
  part->col = step.cols_a;
  part->out = at.out(out_b);
  part->out_ld = at.spec(out_b).ld;
  set_epilogue(step, step.end_b, at, &part->epilogue);
  args.out_ld = step.cols_a;
  args.part = part;
  return args;
}

void run_gemm(const StepSpec& step, Instance& instance, size_t hops) noexcept {
  const StepAccess at{instance};
  at.k().gemm(at.product(step.product, hops));
}

void run_gemm_film(const StepSpec& step, Instance& instance, size_t hops) noexcept {
  const StepAccess at{instance};
  const size_t ld = at.spec(step.out).ld, frames = at.spec(step.out).frames, row = ld * sizeof(float);
  const size_t first = static_cast<size_t>(step.end.film);
  simd::GemmArgs& args = at.product(step.product, hops);
  float* previous = at.state(step.state);
  const float* controls[2];
  bool still = true;
  for (size_t i = 0; i < 2; ++i) {
    controls[i] = at.row(step.in[first + i], 0);
    if (at.frame(step.out) == 0) std::memcpy(previous + i * ld, controls[i], row);
    for (size_t h = 0; h < hops; ++h) still = still && std::memcmp(previous + i * ld, controls[i] + h * ld, row) == 0;
  }
  for (size_t i = 0; i < 2 && !still; ++i) {
    float* rows = at.scratch(step.scratch) + i * frames * hops * ld;
    run_ramp(at, {at.weights(step.end.film_shares), previous + i * ld, previous + 2 * ld, ld, frames}, controls[i],
             rows, hops);
    controls[i] = rows;
  }
  args.epilogue.gate = true;
  args.epilogue.film_gamma = controls[0];
  args.epilogue.film_beta = controls[1];
  args.epilogue.film_ld = still ? 0 : ld;
  at.k().gemm(args);
}

void run_gemm_narrow(const StepSpec& step, Instance& instance, size_t hops) noexcept {
  const StepAccess at{instance};
  simd::GemmArgs args = gemm_args(step, at);
  args.rows = at.rows(step.out, hops) / step.factor;
  args.out = at.scratch(step.scratch);
  set_epilogue(step, step.end, at, &args.epilogue);
  at.k().gemm(args);
  float* out = at.out(step.out);
  for (size_t r = 0; r < args.rows; ++r)
    std::memcpy(out + r * step.hidden, args.out + r * step.cols, step.hidden * sizeof(float));
}

void run_depthwise(const StepSpec& step, Instance& instance, size_t hops) noexcept {
  const StepAccess at{instance};
  const float** taps = at.segments();
  for (size_t i = 0; i < step.taps; ++i)
    taps[i] = at.row(step.in[0], step.lag[0] - static_cast<int64_t>(i * step.tap_rows));
  simd::DepthwiseArgs args{};
  args.tap = taps;
  args.num_taps = step.taps;
  args.row_step = step.stride * at.spec(step.in[0]).ld;
  args.weights = at.weights(step.weights);
  args.weights_ld = step.cols;
  args.bias = at.weights(step.bias);
  args.out = at.out(step.out);
  args.out_ld = step.cols;
  args.rows = at.rows(step.out, hops);
  args.cols = step.cols;
  set_epilogue(step, step.end, at, &args.epilogue);
  at.k().depthwise(args);
}

namespace {

// hidden-state product: out[cols] = bias + h W
void product(const StepAccess& at, const float* h, size_t depth, size_t weights, bool half, const float* bias,
             float* out, size_t cols) {
  simd::GemmArgs args;
  args.half = half ? at.half_weights(weights) : nullptr;
  args.ranges = nullptr;
  args.part = nullptr;
  args.seg = &h;
  args.num_segments = 1;
  args.seg_len = depth;
  args.row_step = depth;
  args.weights = at.weights(weights);
  args.bias = bias;
  args.out = out;
  args.out_ld = cols;
  args.rows = 1;
  args.cols = cols;
  at.k().gemm(args);
}

// The input's half of all gates, for all frames; returns where the recurrent half goes.
float* input_gates(const StepSpec& step, const StepAccess& at, size_t rows) {
  simd::GemmArgs args = gemm_args(step, at);
  args.rows = rows;
  args.out = at.scratch(step.scratch);
  at.k().gemm(args);
  return args.out + rows * step.cols;
}

// Frames before the value's own time 0 leave the state where it starts.
size_t frames_to_skip(const StepSpec& step, const StepAccess& at, size_t rows) {
  const uint64_t frame = at.frame(step.out);
  return frame >= step.delay ? 0 : static_cast<size_t>(step.delay - frame < rows ? step.delay - frame : rows);
}

}  // namespace

void run_gru(const StepSpec& step, Instance& instance, size_t hops) noexcept {
  const StepAccess at{instance};
  const size_t rows = at.rows(step.out, hops), hidden = step.hidden, ld = at.spec(step.out).ld;
  const size_t frames = at.spec(step.out).frames;
  float* gates_h = input_gates(step, at, rows);
  const float* gates_x = at.scratch(step.scratch);
  const float* bias = at.weights(step.extra_bias);
  float* h = at.state(step.state);
  float* rh = h + hidden;
  float* out = at.out(step.out);
  simd::GruCellArgs cell{};
  cell.gates_h = gates_h;
  cell.gate_ld = hidden;
  cell.h = h;
  cell.rh = rh;
  cell.hidden = hidden;
  for (size_t t = frames_to_skip(step, at, rows); t < rows; ++t) {
    cell.gates_x = gates_x + t * step.cols;
    if (step.flag) {
      product(at, h, hidden, step.extra, step.half_extra, bias, gates_h, 2 * hidden);
      cell.phase = simd::GruPhase::kReset;
      at.k().gru_cell(cell);
      product(at, rh, hidden, step.candidate, step.half_extra, bias + 2 * hidden, gates_h + 2 * hidden, hidden);
      cell.phase = simd::GruPhase::kUpdate;
    } else {
      product(at, h, hidden, step.extra, step.half_extra, bias, gates_h, step.cols);
      cell.phase = simd::GruPhase::kAll;
    }
    at.k().gru_cell(cell);
    std::memcpy(out + t * ld, h, ld * sizeof(float));
    if ((t + 1) % frames == 0) at.check_state(h, hidden, t / frames);
  }
}

void run_lstm(const StepSpec& step, Instance& instance, size_t hops) noexcept {
  const StepAccess at{instance};
  const size_t rows = at.rows(step.out, hops), hidden = step.hidden, ld = at.spec(step.out).ld;
  const size_t frames = at.spec(step.out).frames;
  float* gates_h = input_gates(step, at, rows);
  const float* gates_x = at.scratch(step.scratch);
  float* h = at.state(step.state);
  float* out = at.out(step.out);
  simd::LstmCellArgs cell{};
  cell.gates_h = gates_h;
  cell.gate_ld = hidden;
  cell.h = h;
  cell.c = h + hidden;
  cell.hidden = hidden;
  for (size_t t = frames_to_skip(step, at, rows); t < rows; ++t) {
    product(at, h, hidden, step.extra, step.half_extra, at.weights(step.extra_bias), gates_h, step.cols);
    cell.gates_x = gates_x + t * step.cols;
    at.k().lstm_cell(cell);
    std::memcpy(out + t * ld, h, ld * sizeof(float));
    if ((t + 1) % frames == 0) at.check_state(h, 2 * hidden, t / frames);
  }
}

}  // namespace rtvoice
