// What runs inside another layer's step gives the bits that it gives by itself, in networks of every kind.
#include <gtest/gtest.h>

#include "networks.h"
#include "plan/plan.h"

namespace rtvoice {
namespace {

using bench::NetworkPtr;

// Every layer's value is an output, and so nothing may run inside another step.
NetworkPtr unfused(const Graph& graph) {
  auto copy = std::make_shared<Graph>(graph);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    Output output;
    output.name = "v" + std::to_string(i);
    output.value = static_cast<int>(i) + 1;
    output.audio = false;
    copy->outputs.push_back(output);
  }
  return copy;
}

std::vector<float> streamed(const NetworkPtr& graph, size_t hops_at_once, size_t* steps) {
  constexpr size_t kHops = 24;
  std::string error;
  const std::shared_ptr<const Plan> plan = Plan::compile(graph, hops_at_once, &error);
  EXPECT_NE(plan, nullptr) << error;
  if (plan == nullptr) return {};
  *steps = plan->progress().size();
  Instance instance(plan, 0);
  const size_t hop = static_cast<size_t>(graph->hop);
  std::vector<float> in(kHops * hop), out(in.size());
  bench::Numbers numbers(3);
  for (float& value : in) value = 0.5f * numbers.next();
  for (size_t at = 0; at < kHops; at += hops_at_once)
    instance.run(in.data() + at * hop, out.data() + at * hop, hops_at_once);
  return out;
}

void expect_same_bits(const NetworkPtr& graph, bool fuses) {
  size_t fused_steps = 0, steps = 0;
  const std::vector<float> apart = streamed(unfused(*graph), 1, &steps);
  for (const size_t hops : {1u, 3u, 8u}) {
    const std::vector<float> fused = streamed(graph, hops, &fused_steps);
    ASSERT_EQ(fused.size(), apart.size());
    EXPECT_EQ(std::memcmp(fused.data(), apart.data(), apart.size() * sizeof(float)), 0) << hops << " hops at once";
  }
  if (fuses) {
    EXPECT_LT(fused_steps, steps);
  }
  float peak = 0.0f;
  for (const float value : apart) peak = std::max(peak, std::abs(value));
  EXPECT_GT(peak, 1e-3f);
}

TEST(Fusion, ResidualsAndActivations) {
  for (const int64_t channels : {8, 16, 64}) {
    expect_same_bits(bench::temporal(channels, 12, Op::kTanh), true);
    expect_same_bits(bench::temporal(channels, 1, Op::kRelu), true);
  }
}

// Gates in their product's step, and the residual's product with the skip path's.
TEST(Fusion, GatesAndSkips) {
  for (const int64_t channels : {4, 12, 16, 24, 32, 80}) {
    for (const bool half : {false, true}) expect_same_bits(bench::wavenet(channels, 6, half), true);
  }
}

TEST(Fusion, EveryOtherKindOfNetwork) {
  expect_same_bits(bench::low_rate(48, 3, 3, 1, true), true);
  expect_same_bits(bench::low_rate(48, 3, 3, 4, false), true);
  expect_same_bits(bench::separable(16, 48, 5, 3, 4), true);
  expect_same_bits(bench::resampled(16, 32, 4, 6), false);
  expect_same_bits(bench::cell(Op::kGru, 24, true), false);
  expect_same_bits(bench::cell(Op::kLstm, 24, false), false);
}

// A gate made of slices, as exporters write it, in every order of its halves.
TEST(Fusion, GatesMadeOfSlices) {
  for (const bool swapped : {false, true}) {
    for (const int64_t channels : {16, 20, 48}) {
      auto graph = std::make_shared<Graph>(*bench::low_rate(2 * channels, 2, 1, 2, false));
      const int product = 2;  // value: input product, layer, tanh, sum, head
      graph->nodes.resize(2);
      const auto add = [&](Op op, std::vector<int> inputs) {
        Node node;
        node.op = op;
        node.name = "s" + std::to_string(graph->nodes.size());
        node.inputs = std::move(inputs);
        graph->nodes.push_back(node);
        return static_cast<int>(graph->nodes.size());
      };
      int halves[2];
      for (int i = 0; i < 2; ++i) {
        const int slice = add(Op::kSlice, {product});
        graph->nodes.back().attrs.start = i * channels;
        graph->nodes.back().attrs.stop = (i + 1) * channels;
        halves[i] = add(i == 0 ? Op::kTanh : Op::kSigmoid, {slice});
      }
      const int gated = swapped ? add(Op::kMul, {halves[1], halves[0]}) : add(Op::kMul, {halves[0], halves[1]});
      const int head = add(Op::kConv1d, {gated});
      bench::Numbers numbers(5);
      graph->nodes.back().w0.shape = {1, channels, 1};
      for (int64_t c = 0; c < channels; ++c) graph->nodes.back().w0.data.push_back(numbers.next());
      graph->outputs[0].value = head;
      size_t steps = 0;
      streamed(graph, 1, &steps);
      EXPECT_EQ(steps, 3u) << "first product, gated product, head";
      expect_same_bits(graph, true);
    }
  }
}

// Several streams share products, those with two outputs too.
TEST(Fusion, StreamsTogether) {
  for (const NetworkPtr& graph : {bench::wavenet(32, 4, false), bench::wavenet(32, 4, true),
                                  bench::low_rate(48, 3, 3, 2, false), bench::wavenet(80, 3, false)}) {
    constexpr size_t kStreams = 3;
    std::string error;
    const std::shared_ptr<const Plan> plan = Plan::compile(graph, 1, &error);
    ASSERT_NE(plan, nullptr) << error;
    const auto memory = std::make_shared<StreamMemory>(*plan, kStreams);
    std::vector<std::unique_ptr<Instance>> together, alone;
    std::vector<Instance*> streams;
    for (size_t i = 0; i < kStreams; ++i) {
      together.push_back(std::make_unique<Instance>(plan, i, memory, i));
      alone.push_back(std::make_unique<Instance>(plan, i));
      streams.push_back(together.back().get());
    }
    const size_t hop = static_cast<size_t>(graph->hop);
    bench::Numbers numbers(11);
    std::vector<float> in(kStreams * hop), out(in.size()), expected(hop);
    for (int run = 0; run < 20; ++run) {
      for (float& value : in) value = 0.5f * numbers.next();
      for (size_t i = 0; i < kStreams; ++i) streams[i]->start(in.data() + i * hop, 1);
      Instance::run_together(streams.data(), kStreams, 1);
      for (size_t i = 0; i < kStreams; ++i) {
        streams[i]->finish(in.data() + i * hop, out.data() + i * hop, 1);
        alone[i]->run(in.data() + i * hop, expected.data(), 1);
        ASSERT_EQ(std::memcmp(out.data() + i * hop, expected.data(), hop * sizeof(float)), 0) << "stream " << i;
      }
    }
  }
}

}  // namespace
}  // namespace rtvoice
