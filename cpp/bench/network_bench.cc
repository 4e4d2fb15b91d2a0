// Whole causal networks, streamed hop by hop, against this core's own multiply-add peak.
//
//   network_bench [--rounds 200] [--json]
//
// 14 dilated layers of 3 taps with tanh and a residual, at several widths and run lengths.
// Every round times the peak loop and then each network once, in thread CPU time; figures are medians of the rounds' ratios.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "plan/plan.h"

namespace rtvoice {
namespace {

double now_us() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) * 1e-3;
}

double quantile(std::vector<double> v, double q) {
  const auto at = v.begin() + static_cast<ptrdiff_t>(q * static_cast<double>(v.size() - 1));
  std::nth_element(v.begin(), at, v.end());
  return *at;
}

Tensor random_tensor(std::vector<int64_t> shape, float scale, uint32_t* state) {
  Tensor tensor;
  size_t count = 1;
  for (int64_t n : shape) count *= static_cast<size_t>(n);
  tensor.shape = std::move(shape);
  tensor.data.resize(count);
  for (float& value : tensor.data) {
    *state = *state * 1664525u + 1013904223u;
    value = (static_cast<float>(*state >> 8) * 0x1p-23f - 1.0f) * scale;
  }
  return tensor;
}

Node node(Op op, std::string name, std::vector<int> inputs) {
  Node made;
  made.op = op;
  made.name = std::move(name);
  made.inputs = std::move(inputs);
  return made;
}

// Value 0 is the audio; each node makes the next value.
std::shared_ptr<const Graph> temporal_network(int64_t channels, int layers, int hop) {
  auto graph = std::make_shared<Graph>();
  graph->name = "tcn";
  graph->sample_rate = 16000;
  graph->hop = hop;
  uint32_t state = 1;
  const auto add = [&](Node made) {
    graph->nodes.push_back(std::move(made));
    return static_cast<int>(graph->nodes.size());
  };
  Node first = node(Op::kConv1d, "in", {0});
  first.w0 = random_tensor({channels, 1, 1}, 1.0f, &state);
  int x = add(std::move(first));
  for (int i = 0; i < layers; ++i) {
    Node conv = node(Op::kConv1d, "conv" + std::to_string(i), {x});
    conv.w0 = random_tensor({channels, channels, 3}, 1.0f / static_cast<float>(channels), &state);
    conv.b0 = random_tensor({channels}, 0.1f, &state);
    conv.attrs.dilation = int64_t{1} << (i % 7);
    conv.attrs.pad_left = 2 * conv.attrs.dilation;
    const int y = add(std::move(conv));
    const int act = add(node(Op::kTanh, "tanh" + std::to_string(i), {y}));
    x = add(node(Op::kAdd, "add" + std::to_string(i), {act, x}));
  }
  Node last = node(Op::kConv1d, "out", {x});
  last.w0 = random_tensor({1, channels, 1}, 0.1f, &state);
  Output output;
  output.name = "audio";
  output.value = add(std::move(last));
  graph->outputs.push_back(output);
  return graph;
}

struct Case {
  std::string name;
  std::unique_ptr<Instance> instance;
  std::vector<float> in, out;
  double flops = 0.0;
  std::vector<double> us, share;
};

int run(size_t rounds, bool json) {
  const simd::Kernels& k = simd::kernels();
  std::vector<Case> cases;
  const struct {
    int64_t channels;
    size_t samples;
  } shapes[] = {{64, 160}, {64, 480}, {64, 12}, {128, 160}, {32, 160}, {16, 160}, {8, 160}};
  for (const auto& shape : shapes) {
    std::string error;
    std::shared_ptr<const Plan> plan =
        Plan::compile(temporal_network(shape.channels, 14, static_cast<int>(shape.samples)), 1, &error);
    if (plan == nullptr) {
      std::fprintf(stderr, "%s\n", error.c_str());
      return 1;
    }
    Case c;
    c.name = "tcn" + std::to_string(shape.channels) + "_t" + std::to_string(shape.samples);
    c.flops = 2.0 * static_cast<double>(plan->info().macs_per_hop);
    c.instance = std::make_unique<Instance>(plan, 0);
    uint32_t state = 7;
    c.in = random_tensor({static_cast<int64_t>(shape.samples)}, 0.5f, &state).data;
    c.out.resize(shape.samples);
    cases.push_back(std::move(c));
  }
  constexpr size_t kPeakRounds = 4000;
  const double peak_flops = 2.0 * 12.0 * static_cast<double>(k.lanes) * kPeakRounds;
  std::vector<double> peaks;
  volatile float sink = 0.0f;
  for (size_t round = 0; round < rounds + 5; ++round) {
    double start = now_us();
    sink = sink + k.peak_loop(kPeakRounds);
    const double peak = peak_flops / (now_us() - start) * 1e-3;
    for (Case& c : cases) {
      c.instance->run(c.in.data(), c.out.data(), 1);
      start = now_us();
      c.instance->run(c.in.data(), c.out.data(), 1);
      const double us = now_us() - start;
      if (round < 5) continue;  // warm-up
      c.us.push_back(us);
      c.share.push_back(c.flops / us * 1e-3 / peak * 100.0);
    }
    if (round >= 5) peaks.push_back(peak);
  }
  const double peak = quantile(peaks, 0.5);
  if (json) {
    std::printf("{\"isa\": \"%s\", \"peak_gflops\": %.1f, \"results\": [", k.isa, peak);
    for (size_t i = 0; i < cases.size(); ++i) {
      std::printf("%s{\"name\": \"%s\", \"us\": %.2f, \"gflops\": %.2f, \"percent_of_peak\": %.1f}", i == 0 ? "" : ", ",
                  cases[i].name.c_str(), quantile(cases[i].us, 0.5), cases[i].flops / quantile(cases[i].us, 0.5) * 1e-3,
                  quantile(cases[i].share, 0.5));
    }
    std::printf("]}\n");
    return 0;
  }
  std::printf("%s, multiply-add peak %.1f GFLOP/s (median of %zu)\n%-14s %10s %10s %8s\n", k.isa, peak, peaks.size(),
              "", "us", "GFLOP/s", "% peak");
  for (const Case& c : cases) {
    const double us = quantile(c.us, 0.5);
    std::printf("%-14s %10.2f %10.1f %8.1f\n", c.name.c_str(), us, c.flops / us * 1e-3, quantile(c.share, 0.5));
  }
  return 0;
}

}  // namespace
}  // namespace rtvoice

int main(int argc, char** argv) {
  size_t rounds = 200;
  bool json = false;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--json") == 0) {
      json = true;
    } else if (std::strcmp(argv[i], "--rounds") == 0 && i + 1 < argc) {
      rounds = static_cast<size_t>(std::max(1, std::atoi(argv[++i])));
    } else {
      std::fprintf(stderr, "usage: network_bench [--rounds N] [--json]\n");
      return 2;
    }
  }
  return rtvoice::run(rounds, json);
}
