// A network that draws sample by sample, on the instruction set in use, against a double-precision reading of its graph.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "../c_api/test_models.h"
#include "model/graph.h"
#include "plan/plan.h"
#include "simd/kernels.h"

namespace rtvoice {
namespace {

using Row = std::vector<double>;

// Frame by frame and node by node, as the format's page says it; every value of every frame is kept.
class Reading {
 public:
  Reading(const Graph& graph, const std::vector<float>& audio)
      : graph_(graph),
        first_(1 + graph.parameters.size()),
        values_(first_ + graph.nodes.size()),
        step_(values_.size(), 1) {
    for (const float x : audio) values_[0].push_back({static_cast<double>(x)});
    for (size_t i = 0; i < graph.parameters.size(); ++i)
      values_[1 + i].assign(1, Row(graph.parameters[i].defaults.begin(), graph.parameters[i].defaults.end()));
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
      const Node& n = graph.nodes[i];
      size_t& step = step_[first_ + i];
      for (const int in : n.inputs) {
        if (!is_control(in)) step = std::max(step, step_[static_cast<size_t>(in)]);
      }
      step *= static_cast<size_t>(n.attrs.stride);
      if (n.op == Op::kUpsample) step /= static_cast<size_t>(n.attrs.factor);
    }
    for (size_t t = 0; t < audio.size(); ++t) {
      for (size_t i = 0; i < graph.nodes.size(); ++i) {
        if (t % step_[first_ + i] == 0) values_[first_ + i].push_back(make(graph.nodes[i], t / step_[first_ + i]));
      }
    }
  }
  double of(int value, size_t frame) const { return values_[static_cast<size_t>(value)][frame][0]; }

 private:
  bool is_control(int value) const { return value != 0 && static_cast<size_t>(value) < first_; }
  const Row* row(int value, int64_t frame) const {
    const std::vector<Row>& rows = values_[static_cast<size_t>(value)];
    return frame < 0 ? nullptr : &rows[is_control(value) ? 0 : static_cast<size_t>(frame)];
  }
  static double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

  // Taps of [out][in][taps] over one input, oldest first.
  Row convolved(const Node& n, size_t frame) const {
    const size_t outs = static_cast<size_t>(n.w0.shape[0]), ins = static_cast<size_t>(n.w0.shape[1]),
                 taps = n.w0.shape.size() > 2 ? static_cast<size_t>(n.w0.shape[2]) : 1;
    Row y(n.b0.data.begin(), n.b0.data.end());
    y.resize(outs, 0.0);
    for (size_t k = 0; k < taps; ++k) {
      const Row* x = row(n.inputs[0], static_cast<int64_t>(frame) * n.attrs.stride - n.attrs.pad_left +
                                          static_cast<int64_t>(k) * n.attrs.dilation);
      for (size_t o = 0; x != nullptr && o < outs; ++o) {
        for (size_t c = 0; c < ins; ++c) y[o] += (*x)[c] * static_cast<double>(n.w0.data[(o * ins + c) * taps + k]);
      }
    }
    return y;
  }

  // One channel a band; two frames of two bands.
  Row banded(const Node& n, size_t frame) const {
    const size_t bands = static_cast<size_t>(n.attrs.bands), outs = static_cast<size_t>(n.w0.shape[0]);
    Row y;
    for (size_t band = 0; band < bands; ++band) {
      for (size_t o = 0; o < outs; ++o) {
        double sum = n.b0.data[o];
        for (size_t k = 0; k < 2; ++k) {
          const Row* x = row(n.inputs[0], static_cast<int64_t>(frame + k) - 1);
          for (size_t j = 0; x != nullptr && j < 2; ++j) {
            if (band + j >= 1) sum += (*x)[band + j - 1] * static_cast<double>(n.w0.data[(o * 2 + k) * 2 + j]);
          }
        }
        y.push_back(sum);
      }
    }
    return y;
  }

  Row attended(const Node& n, size_t frame) const {
    const Row& q = *row(n.inputs[0], static_cast<int64_t>(frame));
    const size_t heads = static_cast<size_t>(n.attrs.heads), depth = q.size() / heads;
    const int64_t first = std::max<int64_t>(0, static_cast<int64_t>(frame) - n.attrs.window + 1);
    Row y(row(n.inputs[2], 0)->size(), 0.0);
    const size_t width = y.size() / heads;
    for (size_t head = 0; head < heads; ++head) {
      double sum = 0.0;
      Row shares;
      for (int64_t j = first; j <= static_cast<int64_t>(frame); ++j) {
        double score = 0.0;
        for (size_t c = head * depth; c < (head + 1) * depth; ++c) score += q[c] * (*row(n.inputs[1], j))[c];
        shares.push_back(std::exp(score / std::sqrt(static_cast<double>(depth))));
        sum += shares.back();
      }
      for (size_t j = 0; j < shares.size(); ++j) {
        for (size_t c = head * width; c < (head + 1) * width; ++c)
          y[c] += shares[j] / sum * (*row(n.inputs[2], first + static_cast<int64_t>(j)))[c];
      }
    }
    return y;
  }

  Row noise(const Node& n, size_t frame, size_t count) const {
    std::vector<float> made(count);
    simd::find_kernels("SCALAR")->noise({n.attrs.distribution == Distribution::kGaussian, 0.0f, 1.0f, 0, n.attrs.stream,
                                         frame, made.data(), count, 1, count});
    return Row(made.begin(), made.end());
  }

  static size_t chosen(const double* logits, size_t count, double u) {
    double sum = 0.0, passed = 0.0;
    for (size_t i = 0; i < count; ++i) sum += std::exp(logits[i]);
    for (size_t i = 0; i + 1 < count; ++i) {
      passed += std::exp(logits[i]) / sum;
      if (passed > u) return i;
    }
    return count - 1;
  }

  double drawn(const Node& n, size_t frame) const {
    const Row& x = *row(n.inputs[0], static_cast<int64_t>(frame));
    double y = 0.0;
    if (n.attrs.distribution == Distribution::kGaussian) {
      y = x[0] + std::exp(std::max(x[1], n.attrs.min)) * noise(n, frame, 1)[0];
    } else if (n.attrs.distribution == Distribution::kLogistic) {
      const Row u = noise(n, frame, 2);
      const size_t count = x.size() / 3, k = chosen(x.data(), count, u[0]);
      const double within = u[1] + 0x1p-25;
      y = x[count + k] + std::exp(std::max(x[2 * count + k], n.attrs.min)) * (std::log(within) - std::log1p(-within));
    } else {
      const double mu = static_cast<double>(x.size() - 1);
      const double v = 2.0 * static_cast<double>(chosen(x.data(), x.size(), noise(n, frame, 1)[0])) / mu - 1.0;
      y = std::copysign(std::expm1(std::abs(v) * std::log1p(mu)) / mu, v);
    }
    return std::clamp(y, -n.attrs.limit, n.attrs.limit);
  }

  Row make(const Node& n, size_t frame) const {
    const int64_t at = static_cast<int64_t>(frame);
    switch (n.op) {
      case Op::kConv1d:
      case Op::kLinear:
        return convolved(n, frame);
      case Op::kConvBands:
        return banded(n, frame);
      case Op::kAttention:
        return attended(n, frame);
      case Op::kRecall: {
        const std::vector<Row>& of = values_[static_cast<size_t>(n.attrs.of_value)];
        return frame == 0 ? Row(static_cast<size_t>(n.attrs.channels), 0.0) : of[frame - 1];
      }
      case Op::kSample:
        return {drawn(n, frame)};
      case Op::kUpsample:
        return *row(n.inputs[0], at / n.attrs.factor);
      default:
        break;
    }
    Row x = *row(n.inputs[0], at);
    if (n.op == Op::kAdd) {
      for (size_t c = 0; c < x.size(); ++c) x[c] += (*row(n.inputs[1], at))[c];
    } else if (n.op == Op::kMul) {  // by a parameter of one number
      for (double& v : x) v *= (*row(n.inputs[1], at))[0];
    } else if (n.op == Op::kRelu) {
      for (double& v : x) v = std::max(v, 0.0);
    } else if (n.op == Op::kGlu) {
      const size_t half = x.size() / 2;
      for (size_t c = 0; c < half; ++c) x[c] = std::tanh(x[c]) * sigmoid(x[half + c]);
      x.resize(half);
    } else if (n.op == Op::kLeakySum) {
      const std::vector<Row>& own = values_[first_ + static_cast<size_t>(&n - graph_.nodes.data())];
      for (size_t c = 0; frame > 0 && c < x.size(); ++c) x[c] += static_cast<double>(n.w0.data[0]) * own[frame - 1][c];
    } else if (n.op == Op::kConcat) {
      for (size_t i = 1; i < n.inputs.size(); ++i) {
        const Row& more = *row(n.inputs[i], at);
        x.insert(x.end(), more.begin(), more.end());
      }
    } else if (n.op == Op::kPick) {
      const Row from = x;
      x.clear();
      for (const int32_t i : n.attrs.index) x.push_back(i < 0 ? 0.0 : from[static_cast<size_t>(i)]);
    } else {
      ADD_FAILURE() << "this reading knows no " << op_name(n.op);
    }
    return x;
  }

  const Graph& graph_;
  size_t first_;
  std::vector<std::vector<Row>> values_;
  std::vector<size_t> step_;  // samples a frame, per value
};

// Draws of `graph`, in runs of 1, 3 and 12 hops, against its reading.
void expect_draws(const std::shared_ptr<const Graph>& graph) {
  std::string error;
  const size_t hop = static_cast<size_t>(graph->hop), hops = 12;
  std::vector<float> in(hops * hop);
  for (size_t i = 0; i < in.size(); ++i) in[i] = 0.5f * std::sin(static_cast<float>(i * i % 4001) * 0.01f);
  const Reading expected(*graph, in);
  for (const size_t at_once : {1u, 3u, 12u}) {
    const std::shared_ptr<const Plan> plan = Plan::compile(graph, at_once, &error);
    ASSERT_NE(plan, nullptr) << error;
    Instance instance(plan, 0);
    std::vector<float> out(in.size());
    for (size_t h = 0; h < hops; h += at_once)
      ASSERT_EQ(instance.run(in.data() + h * hop, out.data() + h * hop, at_once), 0u);
    float least = 1e9f, most = -1e9f;
    for (size_t t = 0; t < out.size(); ++t) {
      // The loop keeps what rounding does to a draw, and goes on from it.
      ASSERT_NEAR(out[t], expected.of(graph->outputs[0].value, t), 2e-5) << "sample " << t;
      least = std::min(least, out[t]);
      most = std::max(most, out[t]);
    }
    EXPECT_GT(most - least, 0.5f);
  }
}

std::shared_ptr<const Graph> synthesis() {
  const test::Bytes bytes = test::synthesis_model();
  std::string error;
  const std::shared_ptr<const Graph> graph = read_model(bytes.data(), bytes.size(), &error);
  EXPECT_NE(graph, nullptr) << error;
  return graph;
}

TEST(LoopTest, DrawsAreTheReferencesHoweverHopsAreGrouped) { expect_draws(synthesis()); }

// Older taps that run ahead read rows before they are overwritten: what they reach back, and no row more, is kept.
TEST(LoopTest, ReachOfAPowerOfTwoTakesARingOfIt) {
  size_t bytes[2];
  for (const int64_t reach : {64, 65}) {
    auto graph = std::make_shared<Graph>(*synthesis());
    size_t changed = 0;
    for (Node& n : graph->nodes) {
      if (n.op != Op::kConv1d || n.attrs.dilation < 8) continue;
      n.attrs.dilation = n.attrs.pad_left = reach;
      ++changed;
    }
    ASSERT_GT(changed, 0u);
    expect_draws(graph);
    std::string error;
    const std::shared_ptr<const Plan> plan = Plan::compile(graph, 1, &error);
    ASSERT_NE(plan, nullptr) << error;
    bytes[reach - 64] = plan->info().state_bytes;
  }
  EXPECT_LT(bytes[0], bytes[1]);
}

}  // namespace
}  // namespace rtvoice
