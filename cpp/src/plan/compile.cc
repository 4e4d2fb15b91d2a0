// Graph -> plan: the pass that turns nodes into steps.
#include <algorithm>
#include <cmath>

#include "plan/compiler.h"

namespace rtvoice {
namespace {

simd::Unary unary_of(const Node& node) {
  switch (node.op) {
    case Op::kRelu:
      return simd::Unary::kRelu;
    case Op::kLeakyRelu:
    case Op::kPrelu:
      return simd::Unary::kLeakyRelu;
    case Op::kElu:
      return simd::Unary::kElu;
    case Op::kGelu:
      return node.attrs.gelu_tanh ? simd::Unary::kGeluTanh : simd::Unary::kGeluErf;
    case Op::kSilu:
      return simd::Unary::kSilu;
    case Op::kTanh:
      return simd::Unary::kTanh;
    case Op::kSigmoid:
      return simd::Unary::kSigmoid;
    case Op::kSoftplus:
      return simd::Unary::kSoftplus;
    case Op::kExp:
      return simd::Unary::kExp;
    case Op::kLog:
      return simd::Unary::kLog;
    case Op::kSqrt:
      return simd::Unary::kSqrt;
    case Op::kSquare:
      return simd::Unary::kSquare;
    case Op::kAbs:
      return simd::Unary::kAbs;
    case Op::kNeg:
      return simd::Unary::kNeg;
    case Op::kReciprocal:
      return simd::Unary::kReciprocal;
    case Op::kSin:
      return simd::Unary::kSin;
    case Op::kCos:
      return simd::Unary::kCos;
    case Op::kClip:
      return simd::Unary::kClip;
    default:
      return simd::Unary::kNone;
  }
}

void unary_parameters(const Node& node, float* a, float* b) {
  const Attributes& at = node.attrs;
  switch (node.op) {
    case Op::kLeakyRelu:
    case Op::kElu:
      *a = static_cast<float>(at.alpha);
      break;
    case Op::kPrelu:
      *a = node.w0.data[0];
      break;
    case Op::kSoftplus:
      *a = static_cast<float>(at.beta);
      break;
    case Op::kClip:
      *a = static_cast<float>(at.min);
      *b = static_cast<float>(at.max);
      break;
    default:
      break;
  }
}

std::vector<float> widen(const Tensor& tensor, int64_t channels, float fallback) {
  if (tensor.empty()) return std::vector<float>(static_cast<size_t>(channels), fallback);
  if (tensor.data.size() == 1) return std::vector<float>(static_cast<size_t>(channels), tensor.data[0]);
  return tensor.data;
}

// An affine, PReLU or snake node as the kernels take it, a number of each kind for every channel.
struct ChannelParameters {
  simd::Channelwise op = simd::Channelwise::kAffine;
  std::vector<float> p, q;
};

ChannelParameters channel_parameters(const Node& node, int64_t channels) {
  if (node.op == Op::kPrelu) {
    return {simd::Channelwise::kPrelu, widen(node.w0, channels, 0.0f), widen({}, channels, 0.0f)};
  }
  if (node.op == Op::kSnake) {
    ChannelParameters made{simd::Channelwise::kSnake, widen(node.w0, channels, 1.0f), {}};
    made.q = node.w1.empty() ? made.p : widen(node.w1, channels, 1.0f);
    for (float& beta : made.q) beta = 1.0f / beta;
    return made;
  }
  return {simd::Channelwise::kAffine, widen(node.w0, channels, 1.0f), widen(node.w1, channels, 0.0f)};
}

// The same for every row of `ld` columns of a product's `cols`; zero beside the channels, which leaves those lanes' zeros zero.
std::vector<float> spread(const std::vector<float>& channels, size_t ld, size_t cols) {
  std::vector<float> wide(cols, 0.0f);
  for (size_t col = 0; col < cols; ++col) {
    if (col % ld < channels.size()) wide[col] = channels[col % ld];
  }
  return wide;
}

}  // namespace

Compiler::Compiler(std::shared_ptr<const Graph> graph, size_t max_hops, std::string* error)
    : graph_(std::move(graph)),
      max_hops_(std::max<size_t>(max_hops, 1)),
      error_(*error),
      plan_(std::make_shared<Plan>()) {}

Compiler::Compiler(const Plan& like, size_t max_hops, std::string* error)
    : graph_(like.graph_),
      max_hops_(std::max<size_t>(max_hops, 1)),
      error_(*error),
      plan_(std::make_shared<Plan>(like)) {}

std::shared_ptr<const Plan> Compiler::lay_out_again() {
  plan_->max_hops_ = max_hops_;
  if (!lay_out()) return nullptr;
  describe_memory();
  return plan_;
}

std::shared_ptr<const Plan> Compiler::compile() {
  plan_->graph_ = graph_;
  plan_->max_hops_ = max_hops_;
  plan_->kernels_ = &simd::kernels();
  if (!infer_timing(*graph_, &plan_->timing_, &error_)) return nullptr;
  timing_ = &plan_->timing_;
  if (graph_->declared_latency >= 0 && graph_->declared_latency != timing_->latency) {
    error_ = "latency: the file declares " + std::to_string(graph_->declared_latency) + " samples, its graph has " +
             std::to_string(timing_->latency) + "; correct it or leave it out";
    return nullptr;
  }
  first_node_ = 1 + static_cast<int>(graph_->parameters.size());
  const size_t values = timing_->values.size();
  consumers_.assign(values, {});
  is_output_.assign(values, false);
  slot_of_value_.assign(values, -1);
  for (size_t i = 0; i < graph_->nodes.size(); ++i) {
    for (int value : graph_->nodes[i].inputs) consumers_[value].push_back(static_cast<int>(i));
  }
  for (const Output& output : graph_->outputs) is_output_[output.value] = true;
  for (const Node& node : graph_->nodes) {
    if (node.op == Op::kRecall) is_output_[node.attrs.of_value] = true;
  }
  find_fusions();
  find_held();
  size_t numbers = 0;
  for (const Node& node : graph_->nodes) numbers += node.w0.data.size() + node.w1.data.size();
  weights_.reserve(numbers + numbers / 4 + 4096);  // growing would copy them all, several times
  for (int v = 0; v < first_node_; ++v) {
    const ValueTiming& value = timing_->values[v];
    slot_of_value_[v] = static_cast<int>(add_slot(value.channels, value.frames, 0));
  }
  const Loop& loop = timing_->loop;
  for (size_t at = 0; at < loop.order.size();) {
    if (at == loop.first && loop.any()) {
      if (!emit_loop()) return nullptr;
      at = loop.last;
      continue;
    }
    const int i = loop.order[at++];
    const bool made = absorbed_by_[i] >= 0 || slot_of_value_[first_node_ + i] >= 0;
    if (!made && !emit(i)) return nullptr;
  }
  for (const Output& output : graph_->outputs) {
    if (output.audio) plan_->audio_output_ = static_cast<int>(plan_->outputs_.size());
    plan_->outputs_.push_back({output.name, static_cast<uint32_t>(slot_of_value_[output.value]), output.audio});
  }
  plan_->weights_ = std::make_shared<const WeightArena>(std::move(weights_));
  plan_->step_state_floats_ = plan_->state_floats_;
  if (!lay_out()) return nullptr;
  describe();
  describe_memory();
  return plan_;
}

bool Compiler::fail(const Node& node, const std::string& what) {
  error_ = "node '" + node.name + "' (" + op_name(node.op) + "): " + what;
  return false;
}

uint32_t Compiler::add_slot(int64_t channels, int64_t frames, int64_t delay) {
  SlotSpec slot;
  slot.channels = static_cast<uint32_t>(channels);
  slot.ld = static_cast<uint32_t>(row_floats(channels));
  slot.frames = static_cast<uint32_t>(in_loop_ ? 1 : frames);
  slot.delay = static_cast<uint64_t>(in_loop_ ? 0 : delay);
  slot.in_loop = in_loop_;
  plan_->slots_.push_back(slot);
  return static_cast<uint32_t>(plan_->slots_.size() - 1);
}

StepSpec& Compiler::add_step(int node, StepFn run, uint32_t out) {
  StepSpec step;
  step.run = run;
  step.node = node;
  step.out = out;
  std::vector<StepSpec>& steps = in_loop_ ? plan_->loop_.steps : plan_->steps_;
  steps.push_back(std::move(step));
  return steps.back();
}

Compiler::Input Compiler::input(int node, size_t index) {
  const int value = graph_->nodes[node].inputs[index];
  const ValueTiming& in = timing_->values[value];
  const ValueTiming& out = timing_->values[first_node_ + node];
  const uint32_t slot = static_cast<uint32_t>(slot_of_value_[value]);
  if (!in.control || out.control || in_loop_) return {slot, timing_->nodes[node].lags[index]};
  // A control meets a stream: interpolated from its previous value, so that a change is a ramp.
  const uint32_t wide = add_slot(in.channels, out.frames, 0);
  StepSpec& step = add_step(node, run_expand, wide);
  step.in = {slot};
  step.lag = {0};
  step.state = add_state(2 * plan_->slots_[slot].ld);
  step.weights = add_shares(out.frames);
  return {wide, 0};
}

// Notes that `step` reads `input`, and what that asks of the slot.
void Compiler::read(StepSpec* step, Input input, int64_t rows_after) {
  SlotSpec& slot = plan_->slots_[input.slot];
  slot.history = std::max(slot.history, static_cast<uint32_t>(std::max<int64_t>(0, input.lag)));
  slot.rows_after = std::max(slot.rows_after, static_cast<uint32_t>(rows_after));
  step->in.push_back(input.slot);
  step->lag.push_back(input.lag);
}

// How far a control's ramp has come with each of a hop's frames; the last one is 1.
size_t Compiler::add_shares(int64_t frames) {
  std::vector<float> shares;
  for (int64_t t = 1; t <= frames; ++t) shares.push_back(static_cast<float>(t) / static_cast<float>(frames));
  return add_weights(shares);
}

size_t Compiler::add_weights(const std::vector<float>& values) {
  const size_t offset = weights_.size();
  weights_.insert(weights_.end(), values.begin(), values.end());
  weights_.resize((weights_.size() + 15) / 16 * 16, 0.0f);
  return offset;
}

size_t Compiler::add_state(size_t floats) {
  const size_t offset = plan_->state_floats_;
  plan_->state_floats_ += (floats + 15) / 16 * 16;
  return offset;
}

void Compiler::emit_pointwise(int node, StepFn run, StepSpec** step) {
  const ValueTiming value = made_by(node);
  std::vector<Input> inputs;
  inputs.reserve(graph_->nodes[node].inputs.size());
  for (size_t i = 0; i < graph_->nodes[node].inputs.size(); ++i) inputs.push_back(input(node, i));
  const uint32_t out = add_slot(value.channels, value.frames, value.delay);
  slot_of_value_[first_node_ + node] = static_cast<int>(out);
  StepSpec& made = add_step(node, run, out);
  for (const Input& in : inputs) read(&made, in);
  *step = &made;
}

void Compiler::emit_channelwise(int node) {
  const ChannelParameters made = channel_parameters(graph_->nodes[node], timing_->values[first_node_ + node].channels);
  StepSpec* step = nullptr;
  emit_pointwise(node, run_channelwise, &step);
  step->channelwise = made.op;
  step->weights = add_weights(made.p);
  step->bias = add_weights(made.q);
}

bool Compiler::emit(int node) {
  const Node& n = graph_->nodes[root_of_[node] >= 0 ? root_of_[node] : node];
  const Attributes& at = n.attrs;
  const ValueTiming value = made_by(node);
  const int64_t channels = value.channels;
  StepSpec* step = nullptr;
  switch (n.op) {
    case Op::kConv1d:
    case Op::kLinear:
      emit_convolution(node);
      return true;
    case Op::kConvTranspose1d:
      emit_transposed(node);
      return true;
    case Op::kGru:
    case Op::kLstm:
      emit_recurrent(node);
      return true;
    case Op::kAvgPool: {
      Tensor weight;
      weight.shape = {channels, 1, at.kernel};
      weight.data.assign(static_cast<size_t>(channels * at.kernel), 1.0f / static_cast<float>(at.kernel));
      emit_depthwise(node, weight, {}, at.kernel);
      return true;
    }
    case Op::kAffine:
    case Op::kPrelu:
    case Op::kSnake:
      emit_channelwise(node);
      return true;
    case Op::kLayerNorm:
    case Op::kRmsNorm:
      emit_pointwise(node, run_norm, &step);
      step->flag = n.op == Op::kRmsNorm;
      step->a = static_cast<float>(at.eps);
      step->weights = add_weights(widen(n.w0, channels, 1.0f));
      step->has_bias = !n.b0.empty();
      if (step->has_bias) step->bias = add_weights(n.b0.data);
      return true;
    case Op::kAdd:
    case Op::kSub:
    case Op::kMul:
    case Op::kDiv:
      if (n.op == Op::kMul && glus_[node].last >= 0) {
        const uint32_t out = add_slot(channels, value.frames, value.delay);
        slot_of_value_[first_node_ + node] = static_cast<int>(out);
        step = &add_step(node, run_glu, out);
        read(step, {static_cast<uint32_t>(slot_of_value_[glus_[node].input]), 0});
        Node half;
        half.op = glus_[node].a;
        step->unary = unary_of(half);
        half.op = glus_[node].b;
        step->unary_b = unary_of(half);
        return true;
      }
      emit_pointwise(node, run_binary, &step);
      step->binary = n.op == Op::kAdd   ? simd::Binary::kAdd
                     : n.op == Op::kSub ? simd::Binary::kSub
                     : n.op == Op::kMul ? simd::Binary::kMul
                                        : simd::Binary::kDiv;
      return true;
    case Op::kFilm:
      emit_pointwise(node, run_film, &step);
      step->a = static_cast<float>(at.offset);
      return true;
    case Op::kGlu: {
      emit_pointwise(node, run_glu, &step);
      Node half;
      half.op = at.glu_a;
      step->unary = unary_of(half);
      half.op = at.glu_b;
      step->unary_b = unary_of(half);
      return true;
    }
    case Op::kConcat:
      emit_pointwise(node, run_concat, &step);
      return true;
    case Op::kSlice:
      emit_pointwise(node, run_slice, &step);
      step->start = static_cast<uint32_t>(at.start);
      return true;
    case Op::kDelay:
    case Op::kAdvance:
      emit_pointwise(node, run_copy, &step);
      return true;
    case Op::kUpsample:
      emit_pointwise(node, at.linear_mode ? run_upsample_linear : run_upsample, &step);
      step->factor = static_cast<uint32_t>(at.factor);
      step->flag = at.half_pixel;
      step->delay = static_cast<uint64_t>(timing_->values[n.inputs[0]].delay);
      if (at.linear_mode) step->state = add_state(row_floats(channels));
      return true;
    case Op::kDepthToTime:
    case Op::kTimeToDepth:
      emit_pointwise(node, n.op == Op::kDepthToTime ? run_depth_to_time : run_time_to_depth, &step);
      step->factor = static_cast<uint32_t>(at.factor);
      step->flag = at.order_time;
      return true;
    case Op::kSoftmax:
      emit_pointwise(node, run_softmax, &step);
      return true;
    case Op::kPhase:
      emit_pointwise(node, run_phase, &step);
      step->state = add_state(2 * static_cast<size_t>(channels));  // 64 bits a channel
      return true;
    case Op::kHarmonics:
      emit_pointwise(node, run_harmonics, &step);
      step->a = static_cast<float>(at.limit);
      step->b = static_cast<float>(at.count);
      return true;
    case Op::kWarp:
      emit_pointwise(node, run_warp, &step);
      return true;
    case Op::kFir:
      emit_fir(node);
      return true;
    case Op::kConvBands:
      emit_bands(node);
      return true;
    case Op::kPick:
      emit_pick(node);
      return true;
    case Op::kLeakySum:
      emit_pointwise(node, run_leaky_sum, &step);
      step->delay = value.delay;
      step->weights = add_weights(widen(n.w0, channels, 1.0f));
      step->bias = add_weights(widen(n.w1, channels, 0.0f));
      step->state = add_state(static_cast<size_t>(channels));
      return true;
    case Op::kRecall:
      return true;  // the loop itself writes it
    case Op::kAttention:
      emit_attention(node);
      return true;
    case Op::kSample:
      emit_sample(node);
      return true;
    case Op::kNoise: {
      const uint32_t out = add_slot(channels, value.frames, 0);
      slot_of_value_[first_node_ + node] = static_cast<int>(out);
      step = &add_step(node, run_noise, out);
      step->flag = at.gaussian;
      step->a = static_cast<float>(at.p0);
      step->b = static_cast<float>(at.p1);
      step->stream = at.stream;
      return true;
    }
    default:
      if (unary_of(n) == simd::Unary::kNone) return fail(n, "has no kernel");
      emit_pointwise(node, run_unary, &step);
      step->unary = unary_of(n);
      unary_parameters(n, &step->a, &step->b);
      return true;
  }
}

// x[n - k] for all taps k is one window of rows; the frames of taps begin `start` rows into a hop's.
void Compiler::emit_fir(int node) {
  const Node& n = graph_->nodes[node];
  const ValueTiming value = made_by(node);
  const ValueTiming& taps = timing_->values[n.inputs[1]];
  const NodeTiming& timing = timing_->nodes[node];
  const uint32_t out = add_slot(1, value.frames, value.delay);
  slot_of_value_[first_node_ + node] = static_cast<int>(out);
  StepSpec& step = add_step(node, run_fir, out);
  step.factor = static_cast<uint32_t>(value.frames / taps.frames);
  step.start = static_cast<uint32_t>(value.delay % step.factor);
  step.flag = n.attrs.interpolate;
  step.cols = static_cast<size_t>(taps.channels);
  const int64_t before = (step.start != 0 ? 1 : 0) + (step.flag ? 1 : 0);  // frames of taps older than a hop's own
  read(&step, {static_cast<uint32_t>(slot_of_value_[n.inputs[0]]), timing.lags[0] + taps.channels - 1}, taps.channels);
  read(&step, {static_cast<uint32_t>(slot_of_value_[n.inputs[1]]), timing.lags[1] + before}, before + 1);
}

void Compiler::apply_fusion(int node, StepSpec* step, StepEnd* end, size_t cols) {
  const int root = root_of_[node];
  if (root < 0) return;
  const Fusion& fusion = fusions_[root];
  if (fusion.film >= 0) {
    const Node& film = graph_->nodes[fusion.film];
    const ValueTiming value = made_by(node);
    step->run = run_gemm_film;
    step->state = add_state(3 * cols);  // both controls of the hop before, and a change
    step->scratch_per_hop = 2 * static_cast<size_t>(value.frames) * cols;
    end->film = static_cast<int>(step->in.size());
    end->film_shares = add_shares(value.frames);
    end->epilogue.film_offset = static_cast<float>(film.attrs.offset);
    for (const int i : {1, 2}) read(step, {static_cast<uint32_t>(slot_of_value_[film.inputs[i]]), 0});
  }
  if (fusion.activation >= 0) {
    const Node& act = graph_->nodes[fusion.activation];
    const int64_t channels = timing_->values[first_node_ + fusion.activation].channels;
    if (act.op == Op::kSnake || (act.op == Op::kPrelu && act.w0.data.size() != 1)) {
      const ChannelParameters made = channel_parameters(act, channels);
      end->act_channelwise = true;
      end->epilogue.channelwise = made.op;
      end->act_p = add_weights(spread(made.p, row_floats(channels), cols));
      end->act_q = add_weights(spread(made.q, row_floats(channels), cols));
    } else {
      end->epilogue.act = unary_of(act);
      unary_parameters(act, &end->epilogue.a, &end->epilogue.b);
    }
  }
  if (fusion.gate >= 0) {
    Node half;
    half.op = fusion.gate_a;
    end->epilogue.gate = true;
    end->epilogue.act = unary_of(half);
    half.op = fusion.gate_b;
    end->epilogue.gate_act = unary_of(half);
    end->epilogue.gate_half = static_cast<size_t>(timing_->values[first_node_ + root].channels / 2);
  }
  if (fusion.residual_node >= 0) {
    end->epilogue.residual_before_act = fusion.residual_before_act;
    const int other = graph_->nodes[fusion.residual_node].inputs[fusion.residual_input];
    end->residual = static_cast<int>(step->in.size());
    read(step, {static_cast<uint32_t>(slot_of_value_[other]),
                timing_->nodes[fusion.residual_node].lags[fusion.residual_input]});
  }
}

std::shared_ptr<const Plan> Plan::compile(std::shared_ptr<const Graph> graph, size_t max_hops, std::string* error) {
  return Compiler(std::move(graph), max_hops, error).compile();
}

std::shared_ptr<const Plan> Plan::for_hops(size_t max_hops, std::string* error) const {
  return Compiler(*this, max_hops, error).lay_out_again();
}

}  // namespace rtvoice
