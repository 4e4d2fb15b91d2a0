// Graph -> plan: convolutions, products and recurrent cells, with their weights packed for the kernels.
#include <algorithm>
#include <cstring>

#include "plan/compiler.h"

namespace rtvoice {
namespace {

bool is_vector_width(size_t cols) { return cols == 1 || cols == 4 || cols == 8 || cols % 16 == 0; }
size_t round16(size_t n) { return (n + 15) / 16 * 16; }

}  // namespace

size_t Compiler::pack(const std::vector<float>& dense, size_t depth, size_t cols) {
  const simd::Kernels& k = *plan_->kernels_;
  const size_t offset = weights_.size();
  const size_t floats = k.gemm_packed_floats(depth, cols);
  weights_.resize(offset + (floats + 15) / 16 * 16, 0.0f);
  k.gemm_pack(dense.data(), depth, cols, weights_.data() + offset);
  return offset;
}

namespace {

// The float16 of a number that has one: sign, exponent and the upper ten bits of the mantissa.
bool to_half(float value, uint16_t* half) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const uint32_t sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
  const int exponent = static_cast<int>(magnitude >> 23) - 127;
  if (magnitude == 0) {
    *half = static_cast<uint16_t>(sign);
    return true;
  }
  if (exponent > 15 || exponent < -24) return false;
  const uint32_t mantissa = (magnitude & 0x7fffffu) | 0x800000u;
  const int drop = exponent < -14 ? 13 + (-14 - exponent) : 13;  // subnormals have fewer bits
  if ((mantissa & ((1u << drop) - 1)) != 0) return false;
  const uint32_t kept = mantissa >> drop;
  *half = static_cast<uint16_t>(
      sign | (exponent < -14 ? kept : (static_cast<uint32_t>(exponent + 15) << 10) + (kept & 0x3ffu)));
  return true;
}

// Columns [col, col + width) of a product's weights, [taps][seg_len][cols], where they meet a part of each segment; nothing where that is all of them.
template <class T>
std::vector<T> part_of(const std::vector<T>& dense, const StepSpec& step, const simd::PanelRange& range, size_t col,
                       size_t width) {
  std::vector<T> part;
  if (step.ranges.empty()) return part;
  part.reserve(step.taps * range.length * width);
  for (size_t tap = 0; tap < step.taps; ++tap) {
    for (size_t k = range.begin; k < range.begin + range.length; ++k) {
      const auto row = dense.begin() + static_cast<ptrdiff_t>((tap * step.seg_len + k) * step.cols + col);
      part.insert(part.end(), row, row + static_cast<ptrdiff_t>(width));
    }
  }
  return part;
}

// From 5 rows on the product is bound by multiply-adds even where the weights lie in L3, and widening them anew for
// every 6 rows costs more than reading them (160 rows: 15 %).
constexpr int64_t kMaxHalfRows = 4;

}  // namespace

size_t Compiler::pack(const std::vector<float>& dense, size_t depth, size_t cols, bool stored_half, int64_t rows,
                      bool* half) {
  StepSpec whole;
  whole.seg_len = depth;
  whole.cols = cols;
  return pack(dense, whole, stored_half, rows, half);
}

size_t Compiler::pack(const std::vector<float>& dense, const StepSpec& step, bool stored_half, int64_t rows,
                      bool* half) {
  const simd::Kernels& k = *plan_->kernels_;
  std::vector<uint16_t> halves;
  if (stored_half && rows <= kMaxHalfRows && step.cols % 16 == 0 && k.gemm_pack_half != nullptr) {
    halves.resize(dense.size());
    size_t exact = 0;
    while (exact < dense.size() && to_half(dense[exact], &halves[exact])) ++exact;
    if (exact < dense.size()) halves.clear();  // a folded scale gave them more bits
  }
  *half = !halves.empty();
  const size_t offset = weights_.size();
  for (size_t col = 0, width; col < step.cols; col += width) {
    width = step.ranges.empty() ? step.cols : simd::same_range(step.ranges.data(), step.cols, col);
    const simd::PanelRange all{0, static_cast<uint32_t>(step.seg_len)};
    const simd::PanelRange& range = step.ranges.empty() ? all : step.ranges[col / simd::kRangeCols];
    const size_t depth = step.taps * range.length, floats = k.gemm_packed_floats(depth, width);
    const size_t first = weights_.size();
    weights_.resize(first + (*half ? floats / 2 : (floats + 15) / 16 * 16), 0.0f);
    float* packed = weights_.data() + first;
    if (*half) {
      const std::vector<uint16_t> part = part_of(halves, step, range, col, width);
      k.gemm_pack_half(part.empty() ? halves.data() : part.data(), depth, width, reinterpret_cast<uint16_t*>(packed));
    } else {
      const std::vector<float> part = part_of(dense, step, range, col, width);
      k.gemm_pack(part.empty() ? dense.data() : part.data(), depth, width, packed);
    }
  }
  weights_.resize((weights_.size() + 15) / 16 * 16, 0.0f);
  return offset;
}

// Which inputs a grouped layer's outputs need.
void Compiler::add_ranges(StepSpec* step, size_t cout, size_t out_per_group, size_t in_per_group) {
  for (size_t first = 0; first < step->cols; first += simd::kRangeCols) {
    const size_t o0 = std::min(first, cout - 1), o1 = std::min(first + simd::kRangeCols, cout) - 1;
    const size_t c0 = o0 / out_per_group * in_per_group, c1 = (std::max(o0, o1) / out_per_group + 1) * in_per_group;
    step->ranges.push_back({static_cast<uint32_t>(c0), static_cast<uint32_t>(c1 - c0)});
  }
}

// y = scale*(Wx + b) + shift, for the affine nodes (batch norms) that follow a product. `cols` may hold several rows of `ld` columns.
void Compiler::fold_affine(int node, std::vector<float>* dense, std::vector<float>* bias, size_t depth, size_t cols,
                           size_t channels, size_t ld) {
  const int root = root_of_[node];
  if (root < 0) return;
  for (int affine : fusions_[root].affine) {
    const Node& n = graph_->nodes[affine];
    const auto at = [](const Tensor& t, size_t c, float fallback) {
      return t.empty() ? fallback : t.data[t.data.size() == 1 ? 0 : c];
    };
    for (size_t col = 0; col < cols; ++col) {
      const size_t c = col % ld;
      if (c >= channels) continue;
      const float scale = at(n.w0, c, 1.0f);
      for (size_t d = 0; d < depth; ++d) (*dense)[d * cols + col] *= scale;
      (*bias)[col] = (*bias)[col] * scale + at(n.w1, c, 0.0f);
    }
  }
}

// A convolution's or a linear layer's, with what is folded into it.
Dense Compiler::dense_product(int node) {
  const int root = root_of_[node];
  const Node& n = graph_->nodes[root];
  const size_t cout = static_cast<size_t>(n.w0.shape[0]), per_group = static_cast<size_t>(n.w0.shape[1]),
               kernel = n.w0.shape.size() > 2 ? static_cast<size_t>(n.w0.shape[2]) : 1;
  const size_t groups = std::max<size_t>(static_cast<size_t>(n.attrs.groups), 1), cin = per_group * groups;
  const size_t ld_in = row_floats(static_cast<int64_t>(cin));
  Dense made;
  made.depth = kernel * ld_in;
  made.cols = row_floats(static_cast<int64_t>(cout));
  made.weights.assign(made.depth * made.cols, 0.0f);
  made.bias.assign(made.cols, 0.0f);
  const size_t out_per_group = cout / groups;  // the reader has checked: groups divide both
  // A transposition, in blocks of a cache line of outputs: one after the other, every number would be a line of its own.
  constexpr size_t kBlock = 16;
  const size_t inputs = per_group * kernel;
  for (size_t group = 0; group < groups; ++group) {
    for (size_t block = group * out_per_group; block < (group + 1) * out_per_group; block += kBlock) {
      const size_t width = std::min(kBlock, (group + 1) * out_per_group - block);
      const float* from = n.w0.data.data() + block * inputs;
      for (size_t c = 0; c < per_group; ++c) {
        for (size_t k = 0; k < kernel; ++k, ++from) {
          float* to = made.weights.data() + (k * ld_in + group * per_group + c) * made.cols + block;
          for (size_t o = 0; o < width; ++o) to[o] = from[o * inputs];
        }
      }
    }
  }
  if (!n.b0.empty()) std::copy(n.b0.data.begin(), n.b0.data.end(), made.bias.begin());
  fold_affine(node, &made.weights, &made.bias, made.depth, made.cols, cout, made.cols);
  return made;
}

namespace {

// Column c of the first half and c of the second, `turn` columns of each in turn; both padded to whole vectors.
Dense in_turns(const Dense& halves, size_t channels, size_t turn) {
  const size_t padded = row_floats(static_cast<int64_t>(channels));
  Dense made;
  made.depth = halves.depth;
  made.cols = 2 * padded;
  made.weights.assign(made.depth * made.cols, 0.0f);
  made.bias.assign(made.cols, 0.0f);
  for (size_t half = 0; half < 2; ++half) {
    for (size_t c = 0; c < channels; ++c) {
      const size_t to = (2 * (c / turn) + half) * turn + c % turn, from = half * channels + c;
      for (size_t d = 0; d < made.depth; ++d) made.weights[d * made.cols + to] = halves.weights[d * halves.cols + from];
      made.bias[to] = halves.bias[from];
    }
  }
  return made;
}

Dense side_by_side(const Dense& a, const Dense& b) {
  Dense made;
  made.depth = a.depth;
  made.cols = a.cols + b.cols;
  for (size_t d = 0; d < made.depth; ++d) {
    for (const Dense* part : {&a, &b}) {
      const auto row = part->weights.begin() + static_cast<ptrdiff_t>(d * part->cols);
      made.weights.insert(made.weights.end(), row, row + static_cast<ptrdiff_t>(part->cols));
    }
  }
  made.bias = a.bias;
  made.bias.insert(made.bias.end(), b.bias.begin(), b.bias.end());
  return made;
}

}  // namespace

void Compiler::emit_convolution(int node) {
  const int root = root_of_[node];
  const Node& n = graph_->nodes[root];
  const Attributes& at = n.attrs;
  const size_t cout = static_cast<size_t>(n.w0.shape[0]), per_group = static_cast<size_t>(n.w0.shape[1]),
               kernel = n.w0.shape.size() > 2 ? static_cast<size_t>(n.w0.shape[2]) : 1;
  const size_t groups = std::max<size_t>(static_cast<size_t>(at.groups), 1), cin = per_group * groups;
  if (groups == cin && cout == cin && groups > 1) {
    emit_depthwise(node, n.w0, n.b0, static_cast<int64_t>(kernel));
    return;
  }
  const Fusion& fusion = fusions_[root];
  const size_t ld_in = row_floats(static_cast<int64_t>(cin));
  Dense dense = dense_product(node);
  const bool ahead = may_run_ahead(node);
  const uint32_t older = ahead ? emit_ahead(node, &dense) : 0;
  if (fusion.gate >= 0) dense = in_turns(dense, cout / 2, plan_->kernels_->gate_cols());
  const ValueTiming value = made_by(node);
  const uint32_t out = add_slot(value.channels, value.frames, value.delay);
  slot_of_value_[first_node_ + node] = static_cast<int>(out);
  uint32_t out_b = 0;
  const size_t cols_a = dense.cols;
  if (fusion.sibling >= 0) {
    dense = side_by_side(dense, dense_product(fusion.sibling));
    const ValueTiming other = made_by(fusion.sibling);
    out_b = add_slot(other.channels, other.frames, other.delay);
    slot_of_value_[first_node_ + fusion.sibling] = static_cast<int>(out_b);
  }
  StepSpec& step = add_step(node, run_gemm, out);
  // Without dilation a window of rows is one contiguous segment; grouped layers skip parts of each row, so theirs stay apart, and in a loop each row is
  // read where it lies.
  const bool contiguous = ((at.dilation == 1 && !in_loop_) || kernel == 1 || ahead) && groups == 1;
  step.taps = contiguous ? 1 : kernel;
  step.seg_len = contiguous ? dense.depth : ld_in;
  step.tap_rows = static_cast<size_t>(at.dilation);
  step.stride = static_cast<size_t>(at.stride);
  step.cols = dense.cols;
  if (groups > 1) add_ranges(&step, cout, cout / groups, per_group);
  step.weights = pack(dense.weights, step, n.w0.half, value.frames, &step.half);
  step.bias = add_weights(dense.bias);
  read(&step, {static_cast<uint32_t>(slot_of_value_[n.inputs[0]]), ahead ? 0 : timing_->nodes[root].lags[0]},
       static_cast<int64_t>(contiguous && !ahead ? kernel : 1));
  apply_fusion(node, &step, &step.end, cols_a);
  if (ahead) {
    step.in[static_cast<size_t>(step.end.residual)] = older;
    step.lag[static_cast<size_t>(step.end.residual)] = 0;
  }
  if (fusion.sibling < 0) return;
  step.node_b = fusion.sibling;
  step.out_b = static_cast<int>(out_b);
  step.cols_a = cols_a;
  apply_fusion(fusion.sibling, &step, &step.end_b, step.cols - cols_a);
}

void Compiler::emit_depthwise(int node, const Tensor& weight, const Tensor& bias_in, int64_t kernel) {
  const int root = root_of_[node] >= 0 ? root_of_[node] : node;
  const Node& n = graph_->nodes[root];
  const size_t channels = static_cast<size_t>(weight.shape[0]), ld = row_floats(weight.shape[0]),
               taps = static_cast<size_t>(kernel);
  std::vector<float> dense(taps * ld, 0.0f), bias(ld, 0.0f);
  for (size_t c = 0; c < channels; ++c) {
    for (size_t k = 0; k < taps; ++k) dense[k * ld + c] = weight.data[c * taps + k];
    if (!bias_in.empty()) bias[c] = bias_in.data[c];
  }
  fold_affine(node, &dense, &bias, taps, ld, channels, ld);
  const ValueTiming value = made_by(node);
  const uint32_t out = add_slot(value.channels, value.frames, value.delay);
  slot_of_value_[first_node_ + node] = static_cast<int>(out);
  StepSpec& step = add_step(node, run_depthwise, out);
  step.taps = taps;
  step.tap_rows = static_cast<size_t>(n.attrs.dilation);
  step.stride = static_cast<size_t>(n.attrs.stride);
  step.cols = ld;
  step.weights = add_weights(dense);
  step.bias = add_weights(bias);
  read(&step, {static_cast<uint32_t>(slot_of_value_[n.inputs[0]]), timing_->nodes[root].lags[0]}, 1);
  apply_fusion(node, &step, &step.end, step.cols);
}

// full[n*s + j] = sum over q of x[n - q] w[k], k*dilation = q*s + j: a convolution over Q past rows that makes s rows at once.
void Compiler::emit_transposed(int node) {
  const int root = root_of_[node];
  const Node& n = graph_->nodes[root];
  const Attributes& at = n.attrs;
  const size_t cin = static_cast<size_t>(n.w0.shape[0]), out_per_group = static_cast<size_t>(n.w0.shape[1]),
               kernel = static_cast<size_t>(n.w0.shape[2]);
  const size_t groups = static_cast<size_t>(at.groups), per_group = cin / groups, cout = out_per_group * groups;
  const size_t s = static_cast<size_t>(at.stride), dilation = static_cast<size_t>(at.dilation);
  const size_t past = (kernel - 1) * dilation / s + 1;
  const size_t ld_in = row_floats(static_cast<int64_t>(cin)), ld_out = row_floats(static_cast<int64_t>(cout));
  const size_t exact = s * ld_out, cols = is_vector_width(exact) ? exact : round16(exact), depth = past * ld_in;
  std::vector<float> dense(depth * cols, 0.0f), bias(cols, 0.0f);
  for (size_t k = 0; k < kernel; ++k) {
    const size_t q = k * dilation / s, j = k * dilation % s;
    for (size_t c = 0; c < cin; ++c) {
      const size_t group = c / per_group;
      for (size_t o = 0; o < out_per_group; ++o) {
        // Rows come oldest first: row 0 of the window is x[n - (past - 1)].
        dense[((past - 1 - q) * ld_in + c) * cols + j * ld_out + group * out_per_group + o] +=
            n.w0.data[(c * out_per_group + o) * kernel + k];
      }
    }
  }
  for (size_t j = 0; j < s && !n.b0.empty(); ++j)
    std::copy(n.b0.data.begin(), n.b0.data.end(), bias.begin() + static_cast<ptrdiff_t>(j * ld_out));
  fold_affine(node, &dense, &bias, depth, cols, cout, ld_out);
  const ValueTiming value = made_by(node);
  const uint32_t out = add_slot(value.channels, value.frames, value.delay);
  slot_of_value_[first_node_ + node] = static_cast<int>(out);
  StepSpec& step = add_step(node, exact == cols ? run_gemm : run_gemm_narrow, out);
  step.seg_len = depth;
  step.factor = static_cast<uint32_t>(s);
  step.cols = cols;
  step.hidden = exact;
  step.weights = pack(dense, depth, cols, n.w0.half, value.frames / static_cast<int64_t>(s), &step.half);
  step.bias = add_weights(bias);
  if (exact != cols) step.scratch_per_hop = static_cast<size_t>(value.frames) / s * cols;
  read(&step, {static_cast<uint32_t>(slot_of_value_[n.inputs[0]]), static_cast<int64_t>(past) - 1},
       static_cast<int64_t>(past));
  apply_fusion(node, &step, &step.end, step.cols);
}

// The input's product runs over all frames at once; the recurrent one frame by frame. Gates are `hidden` floats apart, padded to whole vectors.
void Compiler::emit_recurrent(int node) {
  const Node& n = graph_->nodes[node];
  const bool gru = n.op == Op::kGru;
  const size_t gates = gru ? 3 : 4, h = static_cast<size_t>(n.w1.shape[1]), cin = static_cast<size_t>(n.w0.shape[1]);
  const size_t hidden = round16(h), ld_in = row_floats(static_cast<int64_t>(cin)), cols = gates * hidden;
  const bool split = gru && !n.attrs.linear_before_reset;  // r*h enters the product: it runs in two parts
  std::vector<float> wx(ld_in * cols, 0.0f), bx(cols, 0.0f), wh(hidden * cols, 0.0f), bh(cols, 0.0f);
  for (size_t g = 0; g < gates; ++g) {
    for (size_t o = 0; o < h; ++o) {
      for (size_t c = 0; c < cin; ++c) wx[c * cols + g * hidden + o] = n.w0.data[(g * h + o) * cin + c];
      for (size_t c = 0; c < h; ++c) wh[c * cols + g * hidden + o] = n.w1.data[(g * h + o) * h + c];
      if (!n.b0.empty()) bx[g * hidden + o] = n.b0.data[g * h + o];
      if (!n.b1.empty()) bh[g * hidden + o] = n.b1.data[g * h + o];
    }
  }
  const ValueTiming value = made_by(node);
  const uint32_t out = add_slot(value.channels, value.frames, value.delay);
  slot_of_value_[first_node_ + node] = static_cast<int>(out);
  StepSpec& step = add_step(node, gru ? run_gru : run_lstm, out);
  step.hidden = hidden;
  step.cols = cols;
  step.seg_len = ld_in;
  step.delay = value.delay;
  step.flag = split;
  step.weights = pack(wx, ld_in, cols, n.w0.half, value.frames, &step.half);
  step.bias = add_weights(bx);
  if (split) {
    std::vector<float> reset_update(hidden * 2 * hidden), candidate(hidden * hidden);
    for (size_t c = 0; c < hidden; ++c) {
      std::copy_n(wh.begin() + static_cast<ptrdiff_t>(c * cols), 2 * hidden,
                  reset_update.begin() + static_cast<ptrdiff_t>(c * 2 * hidden));
      std::copy_n(wh.begin() + static_cast<ptrdiff_t>(c * cols + 2 * hidden), hidden,
                  candidate.begin() + static_cast<ptrdiff_t>(c * hidden));
    }
    step.extra = pack(reset_update, hidden, 2 * hidden, n.w1.half, 1, &step.half_extra);
    step.candidate = pack(candidate, hidden, hidden, n.w1.half, 1, &step.half_extra);
  } else {
    step.extra = pack(wh, hidden, cols, n.w1.half, 1, &step.half_extra);
  }
  step.extra_bias = add_weights(bh);
  step.state = add_state(2 * hidden);
  if (!n.s0.empty()) plan_->initial_.push_back({step.state, n.s0.data});
  if (!n.s1.empty()) plan_->initial_.push_back({step.state + hidden, n.s1.data});
  step.scratch_per_hop = static_cast<size_t>(value.frames) * cols;
  step.scratch_floats = cols;
  read(&step, {static_cast<uint32_t>(slot_of_value_[n.inputs[0]]), 0}, 1);
}

}  // namespace rtvoice
