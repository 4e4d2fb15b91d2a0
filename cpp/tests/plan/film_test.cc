// Layers that controls scale and shift in their product's step give the bits that they give by themselves, while the controls move, too.
#include <gtest/gtest.h>

#include "networks.h"
#include "plan/plan.h"

namespace rtvoice {
namespace {

constexpr int64_t kStyle = 3;

// Two conditioned layers: activation and residual in the same step, or neither.
std::shared_ptr<Graph> conditioned(int64_t channels, int hop, bool ends, bool half) {
  auto graph = std::make_shared<Graph>();
  graph->name = "film";
  graph->sample_rate = 16000;
  graph->hop = hop;
  Parameter style;
  style.name = "style";
  style.defaults.assign(kStyle, 0.3f);
  style.min = -4.0f;
  style.max = 4.0f;
  style.smoothing_ms = 3.0f * static_cast<float>(hop) / 16.0f;  // three hops
  graph->parameters.push_back(style);
  bench::Numbers numbers(17);
  const auto add = [&](Op op, std::vector<int> inputs) -> int {
    Node node;
    node.op = op;
    node.name = "n" + std::to_string(graph->nodes.size());
    node.inputs = std::move(inputs);
    graph->nodes.push_back(std::move(node));
    return 1 + static_cast<int>(graph->nodes.size());
  };
  const auto layer = [&](Op op, int x, int64_t in, int64_t out, int64_t taps) {
    const int value = add(op, {x});
    Node& node = graph->nodes.back();
    node.w0.shape = op == Op::kLinear ? std::vector<int64_t>{out, in} : std::vector<int64_t>{out, in, taps};
    node.w0.half = half && op == Op::kConv1d;
    for (int64_t i = 0; i < in * out * taps; ++i)
      node.w0.data.push_back(std::round(numbers.next() * 1024.0f) / 1024.0f * 0.25f);
    node.b0.shape = {out};
    for (int64_t i = 0; i < out; ++i) node.b0.data.push_back(0.1f * numbers.next());
    node.attrs.pad_left = taps - 1;
    return value;
  };
  int x = layer(Op::kConv1d, 0, 1, channels, 1);
  for (int i = 0; i < 2; ++i) {
    const int gamma = layer(Op::kLinear, 1, kStyle, channels, 1), beta = layer(Op::kLinear, 1, kStyle, channels, 1);
    int y = add(Op::kFilm, {layer(Op::kConv1d, x, channels, channels, 2), gamma, beta});
    graph->nodes.back().attrs.offset = 1.0;
    if (ends) y = add(Op::kAdd, {add(Op::kTanh, {y}), x});
    x = y;
  }
  Output output;
  output.name = "audio";
  output.value = layer(Op::kConv1d, x, channels, 1, 1);
  graph->outputs.push_back(output);
  return graph;
}

std::vector<float> streamed(const std::shared_ptr<const Graph>& graph, size_t hops_at_once, size_t* steps) {
  constexpr size_t kHops = 36;
  std::string error;
  const std::shared_ptr<const Plan> plan = Plan::compile(graph, hops_at_once, &error);
  EXPECT_NE(plan, nullptr) << error;
  if (plan == nullptr) return {};
  *steps = plan->progress().size();
  Instance instance(plan, 0);
  const size_t hop = static_cast<size_t>(graph->hop);
  bench::Numbers numbers(3);
  std::vector<float> in(kHops * hop), out(in.size());
  for (float& value : in) value = 0.5f * numbers.next();
  for (size_t at = 0; at < kHops; at += hops_at_once) {
    // Still, ramps that start and end amid runs, and a jump.
    const float style[kStyle] = {0.1f * static_cast<float>(at), -0.7f, 1.5f};
    if (at == 12 || at == 24) instance.set_parameter(0, style, at == 24);
    EXPECT_EQ(instance.run(in.data() + at * hop, out.data() + at * hop, hops_at_once), 0u);
  }
  return out;
}

TEST(Film, RunsInsideItsProduct) {
  for (const int64_t channels : {3, 8, 16, 40, 64}) {
    for (const int hop : {1, 4, 40}) {
      for (const bool ends : {false, true}) {
        const auto graph = conditioned(channels, hop, ends, hop == 1);
        auto apart = std::make_shared<Graph>(*graph);
        for (size_t i = 0; i < graph->nodes.size();
             ++i) {  // every value is an output: nothing may run inside another step
          Output output;
          output.name = "v" + std::to_string(i);
          output.value = static_cast<int>(i) + 2;
          output.audio = false;
          apart->outputs.push_back(output);
        }
        size_t steps = 0, fused_steps = 0;
        const std::vector<float> expected = streamed(apart, 1, &steps);
        for (const size_t hops : {1u, 3u, 12u}) {
          const std::vector<float> fused = streamed(graph, hops, &fused_steps);
          ASSERT_EQ(fused.size(), expected.size());
          EXPECT_EQ(std::memcmp(fused.data(), expected.data(), fused.size() * sizeof(float)), 0)
              << channels << " channels, hops of " << hop << ", " << hops << " at once";
          EXPECT_EQ(fused_steps, 8u) << "first and last product, and two layers with two controls each";
        }
        EXPECT_GT(steps, fused_steps);
      }
    }
  }
}

}  // namespace
}  // namespace rtvoice
