// Graph -> plan: convolutions over the bands of a frame, attention over the frames before, and the choice of channels.
#include <algorithm>
#include <cmath>

#include "plan/compiler.h"

namespace rtvoice {

// The rows of the product are the bands that come out: a band's channels lie together, so that a window over several bands is one stretch of
// floats, as a window over several frames is in a convolution over time.
void Compiler::emit_bands(int node) {
  const Node& n = graph_->nodes[node];
  const Attributes& at = n.attrs;
  const size_t cout = static_cast<size_t>(n.w0.shape[0]), per_group = static_cast<size_t>(n.w0.shape[1]),
               frames = static_cast<size_t>(n.w0.shape[2]), bands = static_cast<size_t>(n.w0.shape[3]),
               groups = static_cast<size_t>(at.groups), cin = per_group * groups, out_per_group = cout / groups;
  const bool depthwise = groups > 1 && groups == cin && groups == cout, together = groups == 1 && at.band_dilation == 1;
  // Groups of 5 to 8 outputs are products of 8 columns each: 16 columns would hold two, and multiply what only one of them reads.
  const bool apart = groups > 1 && !depthwise && out_per_group > 4 && out_per_group <= 8;
  const size_t parts = apart ? groups : 1, row_inputs = depthwise ? 1 : cin / parts;
  const size_t cols = depthwise ? cout : apart ? 8 : row_floats(static_cast<int64_t>(cout));
  const size_t depth = frames * bands * row_inputs;  // of a part
  std::vector<float> dense(parts * depth * cols, 0.0f), bias(parts * cols, 0.0f);
  for (size_t o = 0; o < cout; ++o) {
    const float* from = n.w0.data.data() + o * per_group * frames * bands;
    const size_t column = apart ? o % out_per_group : o;
    for (size_t c = 0; c < per_group; ++c) {
      for (size_t tap = 0; tap < frames * bands; ++tap) {
        const size_t group = depthwise ? 0 : o / out_per_group,
                     row = apart ? group * depth + tap * per_group + c : tap * row_inputs + group * per_group + c;
        dense[row * cols + column] = from[c * frames * bands + tap];
      }
    }
    if (!n.b0.empty()) bias[apart ? o / out_per_group * cols + column : column] = n.b0.data[o];
  }
  const ValueTiming value = made_by(node);
  const uint32_t out = add_slot(value.channels, value.frames, value.delay);
  slot_of_value_[first_node_ + node] = static_cast<int>(out);
  StepSpec& step = add_step(node, depthwise ? run_bands_depthwise : run_bands, out);
  step.frame_taps = frames;
  step.band_taps = together ? 1 : bands;
  step.band_step = static_cast<size_t>(at.band_dilation) * cin;
  step.taps = step.frame_taps * step.band_taps;
  step.seg_len = together ? bands * cin : cin / parts;
  step.tap_rows = static_cast<size_t>(at.dilation);
  step.stride = static_cast<size_t>(at.band_stride) * cin;
  step.band_floats = static_cast<size_t>(at.bands) * cin;
  step.width = static_cast<size_t>(at.bands + at.band_pad_left + at.band_pad_right) * cin;
  step.pad = static_cast<size_t>(at.band_pad_left) * cin;
  step.channels = cout;
  step.bands_out = static_cast<size_t>(value.channels) / cout;
  step.cols = cols;
  step.parts = parts;
  if (groups > 1 && !depthwise && !apart) add_ranges(&step, cout, out_per_group, per_group);
  bool half;
  step.weights = depthwise ? add_weights(dense)
                 : apart   ? pack(dense, parts * depth, cols)
                           : pack(dense, step, false, 0, &half);
  step.bias = add_weights(bias);
  if (step.width != step.band_floats) step.scratch_floats = frames * step.width;
  if (parts * cols != cout) step.scratch_floats += step.bands_out * parts * cols;
  read(&step, {static_cast<uint32_t>(slot_of_value_[n.inputs[0]]), timing_->nodes[node].lags[0]}, 1);
}

// Keys and values stay in their own rings: a row's window of them is one stretch of memory.
void Compiler::emit_attention(int node) {
  const Node& n = graph_->nodes[node];
  const ValueTiming value = made_by(node);
  const NodeTiming& timing = timing_->nodes[node];
  const uint32_t out = add_slot(value.channels, value.frames, value.delay);
  slot_of_value_[first_node_ + node] = static_cast<int>(out);
  StepSpec& step = add_step(node, run_attention, out);
  const double depth = static_cast<double>(timing_->values[n.inputs[0]].channels / n.attrs.heads);
  step.a = static_cast<float>(n.attrs.alpha > 0.0 ? n.attrs.alpha : 1.0 / std::sqrt(depth));
  step.factor = static_cast<uint32_t>(n.attrs.heads);
  step.cols = static_cast<size_t>(n.attrs.window);
  step.delay = static_cast<uint64_t>(value.delay);
  step.scratch_floats = step.cols;
  for (size_t i = 0; i < 3; ++i)
    read(&step, {static_cast<uint32_t>(slot_of_value_[n.inputs[i]]), timing.lags[i]}, i == 0 ? 0 : n.attrs.window);
}

// Runs of neighbours are copied together; `begin` of a run of zeros is beyond all channels.
void Compiler::emit_pick(int node) {
  StepSpec* step = nullptr;
  emit_pointwise(node, run_pick, &step);
  for (const int32_t channel : graph_->nodes[node].attrs.index) {
    const uint32_t at = channel < 0 ? UINT32_MAX : static_cast<uint32_t>(channel);
    if (!step->ranges.empty()) {
      simd::PanelRange& last = step->ranges.back();
      const bool zeros = last.begin == UINT32_MAX;
      if (zeros ? at == UINT32_MAX : at == last.begin + last.length) {
        ++last.length;
        continue;
      }
    }
    step->ranges.push_back({at, 1});
  }
}

}  // namespace rtvoice
