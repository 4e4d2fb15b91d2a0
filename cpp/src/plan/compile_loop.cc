// Graph -> plan: the loop, whose steps run frame by frame, and what goes into it and out of it.
#include <algorithm>
#include <cmath>

#include "plan/compiler.h"

namespace rtvoice {
namespace {

// Pieces of a hop's loop: enough to spread its work evenly over callbacks of 3 samples at a hop of 160.
constexpr int64_t kMaxTurns = 64;

}  // namespace

// In a loop a step sees one frame at a time, and the loop's own time.
ValueTiming Compiler::made_by(int node) const {
  ValueTiming value = timing_->values[first_node_ + node];
  if (inside(node)) {
    value.frames = 1;
    value.delay = 0;
  }
  return value;
}

// Frames that are repeated up to the loop's rate are not written out: the loop takes each when its turn comes. A network's 20 layers are steered by
// 1,280 numbers a frame: written out, a hop's would be 800 KB.
void Compiler::find_held() {
  for (size_t i = 0; i < graph_->nodes.size(); ++i) {
    const int value = first_node_ + static_cast<int>(i);
    if (is_held(value)) absorbed_by_[i] = consumers_[value][0];
  }
}

bool Compiler::is_held(int value) const {
  const Node* n = node_of(value);
  if (n == nullptr || n->op != Op::kUpsample || n->attrs.linear_mode || inside(value - first_node_) ||
      is_output_[value] || consumers_[value].empty())
    return false;
  // Attention reads rows further back.
  for (int reader : consumers_[value]) {
    if (!inside(reader) || graph_->nodes[reader].op == Op::kAttention) return false;
  }
  return (timing_->loop.delay - timing_->values[value].delay) % n->attrs.factor == 0;
}

// The older tap of a gated layer that reaches far enough back, with what steers the layer.
bool Compiler::may_run_ahead(int node) const {
  const int root = root_of_[node];
  const Node& n = graph_->nodes[root];
  const Fusion& fusion = fusions_[root];
  if (!in_loop_ || n.op != Op::kConv1d || n.w0.shape[2] != 2 || n.attrs.groups != 1 || fusion.gate < 0 ||
      fusion.residual_node < 0 || n.attrs.dilation < static_cast<int64_t>(LoopSpec::kAhead) ||
      timing_->nodes[root].lags[0] != n.attrs.dilation)
    return false;
  const int steer = graph_->nodes[fusion.residual_node].inputs[fusion.residual_input];
  return is_held(steer) && node_of(steer)->attrs.factor % static_cast<int64_t>(LoopSpec::kAhead) == 0;
}

// Takes the older tap out of `dense`; the slot gets its product and the steering, some frames at once, for the layer to add.
uint32_t Compiler::emit_ahead(int node, Dense* dense) {
  const int root = root_of_[node];
  const Node& n = graph_->nodes[root];
  const Fusion& fusion = fusions_[root];
  const size_t depth = dense->depth / 2;
  const auto middle = dense->weights.begin() + static_cast<ptrdiff_t>(depth * dense->cols);
  const std::vector<float> older(dense->weights.begin(), middle);
  const uint32_t out = add_slot(timing_->values[first_node_ + root].channels, 1, 0);
  SlotSpec& slot = plan_->slots_[out];
  slot.rows_at_once = slot.history = static_cast<uint32_t>(LoopSpec::kAhead);
  StepSpec step;
  step.run = run_gemm;
  step.node = node;
  step.out = out;
  step.seg_len = depth;
  step.cols = dense->cols;
  step.weights = pack(older, depth, dense->cols);
  step.bias = add_weights(dense->bias);
  // What it reads lies where the frames that it runs ahead of will be written: with a row more, a reach of 512 rows would take a ring of 1024, and a
  // network's 20 rings the second half of L2.
  read(&step, {static_cast<uint32_t>(slot_of_value_[n.inputs[0]]), n.attrs.dilation - 1},
       static_cast<int64_t>(LoopSpec::kAhead));
  step.lag.back() = n.attrs.dilation;
  const int steer = graph_->nodes[fusion.residual_node].inputs[fusion.residual_input];
  step.end.residual = static_cast<int>(step.in.size());
  step.end.residual_still = true;
  read(&step, {static_cast<uint32_t>(slot_of_value_[steer]), 0});
  plan_->loop_.ahead.push_back(std::move(step));
  dense->weights.erase(dense->weights.begin(), middle);
  std::fill(dense->bias.begin(), dense->bias.end(), 0.0f);
  dense->depth = depth;
  return out;
}

// A value from outside becomes a slot of one row.
void Compiler::bring_in(int value, int reader) {
  const ValueTiming& in = timing_->values[value];
  const Loop& loop = timing_->loop;
  LoopSpec::Input entry{};
  entry.factor = 1;
  entry.lag = loop.delay - in.delay;
  if (in.control) {  // as where a control meets a stream
    const uint32_t slot = static_cast<uint32_t>(slot_of_value_[value]);
    entry.from = add_slot(in.channels, loop.frames, 0);
    StepSpec& step = add_step(reader, run_expand, entry.from);
    step.in = {slot};
    step.lag = {0};
    step.state = add_state(2 * plan_->slots_[slot].ld);
    step.weights = add_shares(loop.frames);
    entry.lag = 0;
  } else if (slot_of_value_[value] < 0) {  // held
    const Node& spread = *node_of(value);
    entry.from = static_cast<uint32_t>(slot_of_value_[spread.inputs[0]]);
    entry.factor = static_cast<uint32_t>(spread.attrs.factor);
    entry.lag /= spread.attrs.factor;
  } else {
    entry.from = static_cast<uint32_t>(slot_of_value_[value]);
  }
  SlotSpec& from = plan_->slots_[entry.from];
  from.history = std::max(from.history, static_cast<uint32_t>(entry.lag));
  in_loop_ = true;
  entry.to = add_slot(in.channels, 1, 0);
  in_loop_ = false;
  plan_->loop_.inputs.push_back(entry);
  slot_of_value_[value] = static_cast<int>(entry.to);
}

bool Compiler::emit_loop() {
  const Loop& loop = timing_->loop;
  LoopSpec& spec = plan_->loop_;
  const std::vector<int> outside = slot_of_value_;
  std::vector<int> brought;
  for (size_t at = loop.first; at < loop.last; ++at) {
    const int node = loop.order[at];
    for (int value : graph_->nodes[node].inputs) {
      const bool own = value >= first_node_ && inside(value - first_node_);
      if (own || std::find(brought.begin(), brought.end(), value) != brought.end()) continue;
      brought.push_back(value);
      bring_in(value, node);
    }
  }
  spec.frames = static_cast<size_t>(loop.frames);
  spec.delay = static_cast<uint64_t>(loop.delay);
  spec.first = plan_->steps_.size();
  spec.turns = static_cast<size_t>(std::min(loop.frames, kMaxTurns));
  in_loop_ = true;
  for (size_t at = loop.first; at < loop.last; ++at) {
    const int node = loop.order[at];
    if (graph_->nodes[node].op == Op::kRecall)
      slot_of_value_[first_node_ + node] = static_cast<int>(add_slot(made_by(node).channels, 1, 0));
  }
  for (size_t at = loop.first; at < loop.last; ++at) {
    const int node = loop.order[at];
    const bool made = absorbed_by_[node] >= 0 || slot_of_value_[first_node_ + node] >= 0;
    if (!made && !emit(node)) return false;
  }
  in_loop_ = false;
  for (int value : brought) slot_of_value_[value] = outside[value];
  take_out();
  return true;
}

// What is read outside, or again a frame later.
void Compiler::take_out() {
  const Loop& loop = timing_->loop;
  LoopSpec& spec = plan_->loop_;
  for (size_t at = loop.first; at < loop.last; ++at) {
    const Node& n = graph_->nodes[loop.order[at]];
    if (n.op != Op::kRecall) continue;
    const uint32_t from = static_cast<uint32_t>(slot_of_value_[n.attrs.of_value]),
                   to = static_cast<uint32_t>(slot_of_value_[first_node_ + loop.order[at]]);
    spec.recalls.push_back({from, to, add_state(plan_->slots_[to].ld)});
  }
  for (size_t at = loop.first; at < loop.last; ++at) {
    const int node = loop.order[at], value = first_node_ + node;
    const std::vector<int>& readers = consumers_[value];
    const bool wanted = std::any_of(readers.begin(), readers.end(), [&](int reader) { return !inside(reader); }) ||
                        std::any_of(graph_->outputs.begin(), graph_->outputs.end(),
                                    [&](const Output& output) { return output.value == value; });
    if (!wanted || slot_of_value_[value] < 0) continue;
    const ValueTiming& timing = timing_->values[value];
    const uint32_t out = add_slot(timing.channels, timing.frames, timing.delay);
    spec.outputs.push_back({static_cast<uint32_t>(slot_of_value_[value]), out});
    slot_of_value_[value] = static_cast<int>(out);
  }
}

// The classes of mu-law as numbers, worked out here once.
void Compiler::emit_sample(int node) {
  const Attributes& at = graph_->nodes[node].attrs;
  const int64_t channels = timing_->values[graph_->nodes[node].inputs[0]].channels;
  StepSpec* step = nullptr;
  emit_pointwise(node, run_sample, &step);
  step->start = static_cast<uint32_t>(at.distribution);
  step->stream = at.stream;
  step->a = static_cast<float>(at.min);
  step->b = static_cast<float>(at.limit);
  step->delay = static_cast<uint64_t>(made_by(node).delay);
  step->scratch_floats = static_cast<size_t>((channels + 15) / 16 * 16) + 16;
  if (at.distribution != Distribution::kCategorical) return;
  std::vector<float> classes;
  const double mu = static_cast<double>(channels - 1);
  for (int64_t k = 0; k < channels; ++k) {
    const double v = 2.0 * static_cast<double>(k) / mu - 1.0;
    const double magnitude = std::expm1(std::fabs(v) * std::log1p(mu)) / mu;
    classes.push_back(static_cast<float>(v < 0.0 ? -magnitude : magnitude));
  }
  step->weights = add_weights(classes);
}

}  // namespace rtvoice
