// The sliced schedule's load: no call does more of a hop's work than its own share and one step.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "stream/pipeline.h"

namespace rtvoice {
namespace {

Tensor constant(std::vector<int64_t> shape, float value) {
  Tensor tensor;
  size_t count = 1;
  for (int64_t n : shape) count *= static_cast<size_t>(n);
  tensor.shape = std::move(shape);
  tensor.data.assign(count, value);
  return tensor;
}

// A strided convolution, `layers` products at one frame a hop, a transposed convolution.
std::shared_ptr<const Graph> network(int layers, int hop) {
  auto graph = std::make_shared<Graph>();
  graph->name = "sliced";
  graph->sample_rate = 16000;
  graph->hop = hop;
  const int64_t channels = 64;
  const auto add = [&](Op op, const char* name, int input, Tensor weight) {
    Node node;
    node.op = op;
    node.name = name + std::to_string(graph->nodes.size());
    node.inputs = {input};
    node.w0 = std::move(weight);
    node.attrs.stride = op == Op::kLinear ? 1 : hop;
    graph->nodes.push_back(std::move(node));
    return static_cast<int>(graph->nodes.size());
  };
  int x = add(Op::kConv1d, "in", 0, constant({channels, 1, hop}, 0.01f));
  for (int i = 0; i < layers; ++i) x = add(Op::kLinear, "layer", x, constant({channels, channels}, 0.01f));
  Output output;
  output.name = "audio";
  output.value = add(Op::kConvTranspose1d, "out", x, constant({channels, 1, hop}, 0.01f));
  graph->outputs.push_back(output);
  return graph;
}

class Sliced : public testing::TestWithParam<size_t> {};  // host samples of a call

TEST_P(Sliced, NoCallDoesMoreThanItsShareAndOneStep) {
  std::string error;
  const std::shared_ptr<const Graph> graph = network(30, 160);
  for (const size_t channels : {1u, 2u}) {
    PipelineConfig config;
    config.channels = channels;
    config.sliced = true;
    const BlockPlan blocks = plan_blocks(*graph, config);
    const std::shared_ptr<const Plan> plan = Plan::compile(graph, blocks.hops * blocks.max_blocks, &error);
    ASSERT_NE(plan, nullptr) << error;
    ControlBank bank(*graph);
    const std::unique_ptr<Pipeline> pipeline = Pipeline::make(plan, &bank, config, &error);
    ASSERT_NE(pipeline, nullptr) << error;
    double step = 0.0, before = 0.0;
    for (const double progress : plan->progress()) {
      step = std::max(step, progress - before);
      before = progress;
    }
    ASSERT_LT(step, 0.1);
    const size_t frames = GetParam(), block = blocks.host_max;
    const double share = static_cast<double>(frames) / static_cast<double>(block);
    std::vector<float> in(frames * channels, 0.1f), out(in.size());
    double done = 1.0, most = 0.0;
    size_t gathered = 0;
    for (int call = 0; call < 200; ++call) {
      pipeline->process(in.data(), out.data(), frames);
      const bool boundary = gathered + frames >= block;
      gathered = (gathered + frames) % block;
      const double now = pipeline->work_done();
      // Over a boundary: the rest of one block and the start of the next, which is at most what its first samples allow.
      const double work = boundary ? 1.0 - done + (now < 1.0 ? now : 0.0) : now - done;
      if (call > 20) most = std::max(most, work);
      done = boundary && now == 1.0 && gathered != 0 ? 0.0 : now;
      const double due = boundary ? 0.0 : static_cast<double>(gathered) / static_cast<double>(block);
      EXPECT_GE(now + 1e-9, call > 20 ? due - step / static_cast<double>(channels) : 0.0);
    }
    EXPECT_LE(most, share + step / static_cast<double>(channels) + 1e-9) << channels << " channels";
    EXPECT_GT(most, 0.0);
  }
}

INSTANTIATE_TEST_SUITE_P(Calls, Sliced, testing::Values(16, 32, 64, 96, 128, 160),
                         [](const auto& test) { return std::to_string(test.param); });

}  // namespace
}  // namespace rtvoice
