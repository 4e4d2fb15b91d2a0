// Graph -> plan: where everything lives. Scratch is shared between values whose lives do not overlap.
#include <algorithm>
#include <cmath>
#include <utility>

#include "plan/compiler.h"

namespace rtvoice {
namespace {

constexpr size_t kMemoryLimit = size_t{1} << 30;  // bytes an engine may take (docs/model-format.md)

struct Interval {
  int first, last;  // steps
  size_t floats;
  size_t* offset;
};

size_t round16(size_t n) { return (n + 15) / 16 * 16; }

// Lowest offset that no living neighbour covers, in the order of birth. Returns the arena's size.
size_t place(std::vector<Interval>* intervals) {
  std::sort(intervals->begin(), intervals->end(),
            [](const Interval& a, const Interval& b) { return a.first < b.first; });
  std::vector<const Interval*> alive;  // sorted by offset
  size_t total = 0;
  for (Interval& interval : *intervals) {
    alive.erase(
        std::remove_if(alive.begin(), alive.end(), [&](const Interval* other) { return other->last < interval.first; }),
        alive.end());
    const size_t floats = round16(interval.floats);
    size_t at = 0;
    auto spot = alive.begin();
    for (; spot != alive.end(); ++spot) {
      if (*(*spot)->offset >= at + floats) break;
      at = std::max(at, *(*spot)->offset + round16((*spot)->floats));
    }
    *interval.offset = at;
    alive.insert(spot, &interval);
    total = std::max(total, at + floats);
  }
  return total;
}

}  // namespace

// All steps in the order in which they first run.
std::vector<StepSpec*> Compiler::all_steps() {
  std::vector<StepSpec*> steps;
  LoopSpec& loop = plan_->loop_;
  for (size_t i = 0; i <= plan_->steps_.size(); ++i) {
    for (size_t k = 0; i == loop.first && k < loop.ahead.size(); ++k) steps.push_back(&loop.ahead[k]);
    for (size_t k = 0; i == loop.first && k < loop.steps.size(); ++k) steps.push_back(&loop.steps[k]);
    if (i < plan_->steps_.size()) steps.push_back(&plan_->steps_[i]);
  }
  return steps;
}

bool Compiler::lay_out() {
  const std::vector<StepSpec*> steps = all_steps();
  LoopSpec& loop = plan_->loop_;
  const int end = static_cast<int>(steps.size());
  const size_t weights = plan_->weights_->size();
  plan_->state_floats_ = plan_->step_state_floats_;
  plan_->num_products_ = 0;
  std::vector<int> first(plan_->slots_.size(), -1), last(plan_->slots_.size(), -1);
  for (int i = 0; i < end; ++i) {
    const StepSpec& step = *steps[i];
    first[step.out] = i;
    last[step.out] = std::max(last[step.out], i);
    if (step.out_b >= 0) first[step.out_b] = last[step.out_b] = i;
    for (uint32_t slot : step.in) last[slot] = std::max(last[slot], i);
    plan_->max_segments_ = std::max(plan_->max_segments_, step.taps);
  }
  for (const PlanOutput& output : plan_->outputs_) last[output.slot] = end;
  // What goes into a loop and out of it lives as long as all of its frames take.
  const int begin_loop = static_cast<int>(loop.first),
            end_loop = begin_loop + static_cast<int>(loop.ahead.size() + loop.steps.size()) - 1;
  const auto live = [&](uint32_t slot) {
    first[slot] = first[slot] < 0 ? begin_loop : std::min(first[slot], begin_loop);
    last[slot] = std::max(last[slot], end_loop);
  };
  for (const LoopSpec::Input& in : loop.inputs) {
    last[in.from] = std::max(last[in.from], end_loop);
    live(in.to);
  }
  for (const LoopSpec::Output& out : loop.outputs) {
    last[out.from] = std::max(last[out.from], end_loop);
    live(out.to);
  }
  for (const LoopSpec::Recall& recall : loop.recalls) {
    last[recall.from] = std::max(last[recall.from], end_loop);
    live(recall.to);
  }

  std::vector<Interval> intervals;
  double state = static_cast<double>(plan_->state_floats_), scratch = 0.0;
  for (size_t i = 0; i < plan_->slots_.size(); ++i) {
    SlotSpec& slot = plan_->slots_[i];
    const double run_rows = static_cast<double>(slot.frames) *
                            static_cast<double>(slot.in_loop ? std::max(slot.rows_at_once, 1u) : max_hops_);
    // Moving a history longer than a hop costs more than the hop (28-75 % of a small layer): those become rings.
    // In a loop all are: what is read late lies still while a frame's products run.
    const bool ring = slot.in_loop ? slot.history != 0 : slot.history > slot.frames;
    const double rows = ring ? 2.0 * (slot.history + run_rows) + run_rows + slot.rows_after : slot.history + run_rows;
    (ring ? state : scratch) += rows * slot.ld;
    if ((state + scratch) * sizeof(float) > 8.0 * kMemoryLimit) break;
    if (ring) {
      slot.mirror = static_cast<uint32_t>(run_rows) + slot.rows_after;
      const size_t least = std::max<size_t>(slot.history + static_cast<size_t>(run_rows), slot.mirror);
      slot.ring = 1;
      while (slot.ring < least) slot.ring *= 2;
      slot.base = add_state(static_cast<size_t>(slot.ring + slot.mirror) * slot.ld);
    } else {
      if (slot.history != 0) slot.saved = add_state(static_cast<size_t>(slot.history) * slot.ld);
      intervals.push_back({first[i], last[i], static_cast<size_t>(rows) * slot.ld, &slot.base});
    }
  }
  for (int i = 0; i < end; ++i) {
    StepSpec& step = *steps[i];
    if (is_product(step)) step.product = static_cast<uint32_t>(plan_->num_products_++);
    const SlotSpec& slot = plan_->slots_[step.out];
    step.commits = slot.history != 0 || slot.delay != 0;
    const size_t own = step.scratch_per_hop * (slot.in_loop ? 1 : max_hops_) + step.scratch_floats;
    if (own != 0) intervals.push_back({i, i, own, &step.scratch});
    scratch += static_cast<double>(own);
  }
  // A product that reads several rows as one may meet the end of a ring: it waits for the mirror, and so runs by itself.
  const auto by_rows = [&](const StepSpec& step) {
    return step.run == run_gemm && step.seg_len <= plan_->slots_[step.in[0]].ld;
  };
  loop.runs.clear();
  for (size_t i = 0; i < loop.steps.size(); ++i) {
    const bool products = by_rows(loop.steps[i]);
    if (products && !loop.runs.empty() && loop.runs.back().products) {
      ++loop.runs.back().count;
    } else {
      loop.runs.push_back({static_cast<uint32_t>(i), 1, products, {}});
    }
    for (const int64_t slot : {static_cast<int64_t>(loop.steps[i].out), static_cast<int64_t>(loop.steps[i].out_b)}) {
      if (slot >= 0 && plan_->slots_[static_cast<size_t>(slot)].history != 0)
        loop.runs.back().kept.push_back(static_cast<uint32_t>(slot));
    }
  }
  loop.counted.clear();
  const auto count = [&](uint32_t slot, bool always) {
    const uint32_t ring = plan_->slots_[slot].ring;
    if (always || ring != 0) loop.counted.push_back({slot, ring != 0 ? ring - 1 : 0});
  };
  for (const StepSpec& step : loop.steps) {
    count(step.out, step.run == run_sample);
    if (step.out_b >= 0) count(static_cast<uint32_t>(step.out_b), false);
  }
  for (const StepSpec& step : loop.ahead) count(step.out, true);
  for (const LoopSpec::Input& in : loop.inputs) count(in.to, false);
  for (const LoopSpec::Recall& recall : loop.recalls) count(recall.to, false);
  const double bytes = (state + scratch + static_cast<double>(weights)) * sizeof(float);
  if (bytes <= 8.0 * kMemoryLimit) plan_->scratch_floats_ = place(&intervals);
  const double exact = static_cast<double>(plan_->state_floats_ + plan_->scratch_floats_ + weights) * sizeof(float);
  if (bytes > 8.0 * kMemoryLimit || exact > static_cast<double>(kMemoryLimit)) {
    error_ = "the network needs " + std::to_string(static_cast<long long>(std::max(bytes, exact) / (1 << 20))) +
             " MiB of weights, state and scratch, more than 1024; shorten its history, its hop or its channels";
    return false;
  }
  return true;
}

void Compiler::describe_memory() {
  PlanInfo& info = plan_->info_;
  info.weight_bytes = plan_->weights_->size() * sizeof(float);
  info.state_bytes = plan_->state_floats_ * sizeof(float);
  info.scratch_bytes = plan_->scratch_floats_ * sizeof(float);
}

void Compiler::describe() {
  PlanInfo& info = plan_->info_;
  const auto name_of = [&](int value) {
    return value == 0            ? graph_->input_name
           : value < first_node_ ? graph_->parameters[value - 1].name
                                 : graph_->nodes[value - first_node_].name;
  };
  info.latency = timing_->latency;
  for (const Output& output : graph_->outputs) {
    info.receptive_field = std::max(info.receptive_field, timing_->values[output.value].receptive_field);
  }
  for (size_t i = 0; i < graph_->nodes.size(); ++i) {
    const Node& node = graph_->nodes[i];
    const ValueTiming& value = timing_->values[first_node_ + static_cast<int>(i)];
    LayerInfo layer;
    layer.name = node.name;
    layer.op = op_name(node.op);
    if (absorbed_by_[i] >= 0) layer.fused_into = graph_->nodes[absorbed_by_[i]].name;
    for (int input : node.inputs) layer.inputs.push_back(name_of(input));
    layer.channels = value.channels;
    layer.frames = value.frames;
    layer.delay = value.delay;
    layer.macs = timing_->nodes[i].macs;
    info.macs_per_hop += layer.macs;
    for (const Tensor* tensor : {&node.w0, &node.w1, &node.b0, &node.b1})
      info.parameter_count += static_cast<int64_t>(tensor->data.size());
    info.layers.push_back(std::move(layer));
  }
  // Multiply-adds, and 4 for every number written: what activations and copies take of a vector unit, near enough.
  std::vector<double> cost(graph_->nodes.size(), 0.0);
  for (size_t i = 0; i < cost.size(); ++i)
    cost[absorbed_by_[i] >= 0 ? static_cast<size_t>(absorbed_by_[i]) : i] += static_cast<double>(info.layers[i].macs);
  double total = 0.0;
  const LoopSpec& loop = plan_->loop_;
  const auto cost_of = [&](const StepSpec& step, double rows) {
    const SlotSpec& slot = plan_->slots_[step.out];
    double sum = 4.0 * rows * slot.frames * slot.ld;
    for (int node : {step.node, step.node_b}) {
      if (node >= 0) sum += std::exchange(cost[static_cast<size_t>(node)], 0.0);
    }
    return sum;
  };
  double turn = 0.0;
  for (const StepSpec& step : loop.ahead) turn += cost_of(step, static_cast<double>(loop.frames));
  for (const StepSpec& step : loop.steps) turn += cost_of(step, static_cast<double>(loop.frames));
  for (size_t i = 0; i <= plan_->steps_.size(); ++i) {
    for (size_t k = 0; i == loop.first && k < loop.turns; ++k)
      plan_->progress_.push_back(total += turn / static_cast<double>(loop.turns));
    if (i < plan_->steps_.size()) plan_->progress_.push_back(total += cost_of(plan_->steps_[i], 1.0));
  }
  for (double& share : plan_->progress_) share /= total;
}

}  // namespace rtvoice
