// Whole networks, streamed hop by hop, against what this core can do: every row of the target table.
//
//   network_bench [--rounds 100] [--filter tcn] [--isa AVX2] [--json]
//
// A hop's limit is the longer of two times measured in the same round: its multiply-adds at the peak of a loop that only touches
// registers, and its weights read once by a loop that only adds them up, from wherever a buffer of that size stays between rounds. A cold
// hop follows a sweep through 64 MB, whose own rate is what memory gives.
// Thread CPU time; figures are medians of the rounds' ratios.
#include <cstdio>
#include <cstring>
#include <string>

#include "networks.h"
#include "plan/plan.h"

namespace rtvoice::bench {
namespace {

constexpr size_t kSweptFloats = size_t{16} << 20;

struct Case {
  std::string name;
  double goal = 0.0;  // per cent of the limit; of a cold hop that fits L2: times its warm one
  NetworkPtr graph;
  bool cold = false;
  std::unique_ptr<Instance> instance{};
  std::vector<float> in{}, out{};
  double flops = 0.0, bytes = 0.0;  // a hop's multiply-adds, and the weights it reads
  std::shared_ptr<float> same{};    // as many bytes
  size_t repeats = 1;
  std::vector<double> us{}, of_peak{}, of_read{}, of_limit{}, over_warm{};
};

std::vector<Case> make_cases() {
  std::vector<Case> cases;
  const auto add = [&](std::string name, double goal, NetworkPtr graph, bool cold = false) {
    Case c;
    c.name = std::move(name);
    c.goal = goal;
    c.graph = std::move(graph);
    c.cold = cold;
    cases.push_back(std::move(c));
  };
  add("tcn64_t160_tanh", 90, temporal(64, 160, Op::kTanh));
  add("tcn64_t160_relu", 95, temporal(64, 160, Op::kRelu));
  add("tcn64_t480_tanh", 90, temporal(64, 480, Op::kTanh));
  add("tcn128_t160_tanh", 90, temporal(128, 160, Op::kTanh));
  add("tcn32_t160_tanh", 84, temporal(32, 160, Op::kTanh));
  add("tcn16_t160_tanh", 72, temporal(16, 160, Op::kTanh));
  add("tcn8_t160_tanh", 60, temporal(8, 160, Op::kTanh));
  add("tcn64_t12_tanh", 85, temporal(64, 12, Op::kTanh));
  add("low128_k3x4_t1", 80, low_rate(128, 3, 4, 1, false));
  add("low128_k3x4_t1_fp16", 80, low_rate(128, 3, 4, 1, true));
  add("low256_k3x8_t1", 90, low_rate(256, 3, 8, 1, false));
  add("low256_k3x8_t1_fp16", 85, low_rate(256, 3, 8, 1, true));
  add("low256_k3x8_t4", 85, low_rate(256, 3, 8, 4, false));
  add("low256_k3x8_t4_fp16", 85, low_rate(256, 3, 8, 4, true));
  add("separable64_128_t160", 88, separable(64, 128, 3, 8, 160));
  add("separable128_256_t160", 88, separable(128, 256, 5, 8, 160));
  add("separable256_512_t4", 85, separable(256, 512, 7, 8, 4));
  add("separable256_512_t1", 85, separable(256, 512, 7, 8, 1));
  add("resampled32_64_s2_t160", 93, resampled(32, 64, 2, 160));
  add("resampled64_128_s4_t240", 93, resampled(64, 128, 4, 240));
  add("resampled128_256_s5_t20", 93, resampled(128, 256, 5, 20));
  add("gru128", 90, cell(Op::kGru, 128, false));
  add("gru128_fp16", 85, cell(Op::kGru, 128, true));
  add("gru256", 90, cell(Op::kGru, 256, false));
  add("gru256_fp16", 85, cell(Op::kGru, 256, true));
  add("lstm128", 90, cell(Op::kLstm, 128, false));
  add("lstm128_fp16", 85, cell(Op::kLstm, 128, true));
  add("lstm256", 90, cell(Op::kLstm, 256, false));
  add("lstm256_fp16", 85, cell(Op::kLstm, 256, true));
  add("wavenet32x20", 80, wavenet(32, 20, false));
  add("wavenet32x20_fp16", 60, wavenet(32, 20, true));
  add("cold_tcn64_t160", 1.15, temporal(64, 160, Op::kTanh), true);
  add("cold_low256_k3x8_t1", 80, low_rate(256, 3, 8, 1, false), true);
  add("cold_low256_k3x8_t1_fp16", 80, low_rate(256, 3, 8, 1, true), true);
  return cases;
}

bool prepare(Case* c) {
  std::string error;
  const std::shared_ptr<const Plan> plan = Plan::compile(c->graph, 1, &error);
  if (plan == nullptr) {
    std::fprintf(stderr, "%s: %s\n", c->name.c_str(), error.c_str());
    return false;
  }
  c->flops = 2.0 * static_cast<double>(plan->info().macs_per_hop);
  c->bytes = static_cast<double>(plan->info().weight_bytes);
  c->instance = std::make_unique<Instance>(plan, 0);
  Numbers numbers(7);
  c->in.resize(static_cast<size_t>(c->graph->hop));
  for (float& value : c->in) value = 0.5f * numbers.next();
  c->out.resize(c->in.size());
  c->same = floats(plan->info().weight_bytes / sizeof(float) + 1024);
  return true;
}

double hops_us(Case* c, size_t repeats) {
  const double start = now_us();
  for (size_t i = 0; i < repeats; ++i) c->instance->run(c->in.data(), c->out.data(), 1);
  return (now_us() - start) / static_cast<double>(repeats);
}

double read_us(const simd::Kernels& k, const float* values, double bytes, size_t repeats) {
  const size_t step = 8 * k.lanes, count = (static_cast<size_t>(bytes) / sizeof(float) + step - 1) / step * step;
  volatile float sink = k.read_loop(values, count);
  const double start = now_us();
  for (size_t i = 0; i < repeats; ++i) sink = sink + k.read_loop(values, count);
  return (now_us() - start) / static_cast<double>(repeats);
}

void warm_round(const simd::Kernels& k, double flops_per_us, Case* c) {
  hops_us(c, 1);
  const double us = hops_us(c, c->repeats), peak = c->flops / flops_per_us;
  const double read = read_us(k, c->same.get(), c->bytes, c->repeats);
  c->us.push_back(us);
  c->of_peak.push_back(100.0 * peak / us);
  c->of_read.push_back(100.0 * read / us);
  c->of_limit.push_back(100.0 * std::max(peak, read) / us);
}

void cold_round(const simd::Kernels& k, const float* swept, double flops_per_us, Case* c) {
  hops_us(c, 1);
  const double warm = hops_us(c, 1);
  const double bytes_per_us = kSweptFloats * sizeof(float) / read_us(k, swept, kSweptFloats * sizeof(float), 1);
  const double us = hops_us(c, 1), peak = c->flops / flops_per_us, read = c->bytes / bytes_per_us;
  c->us.push_back(us);
  c->of_peak.push_back(100.0 * peak / us);
  c->of_read.push_back(100.0 * read / us);
  c->of_limit.push_back(100.0 * std::max(peak, read) / us);
  c->over_warm.push_back(us / warm);
}

int run(size_t rounds, const char* filter, bool json) {
  const simd::Kernels& k = simd::kernels();
  std::vector<Case> cases = make_cases();
  cases.erase(std::remove_if(cases.begin(), cases.end(),
                             [&](const Case& c) { return c.name.find(filter) == std::string::npos; }),
              cases.end());
  for (Case& c : cases) {
    if (!prepare(&c)) return 1;
    hops_us(&c, 3);
    c.repeats = std::max<size_t>(1, static_cast<size_t>(200.0 / hops_us(&c, 3)));
  }
  const std::shared_ptr<float> swept = floats(kSweptFloats);
  constexpr size_t kPeakRounds = 20000;
  const double peak_flops = 2.0 * 12.0 * static_cast<double>(k.lanes) * kPeakRounds;
  std::vector<double> peaks;
  volatile float sink = 0.0f;
  for (size_t round = 0; round < rounds; ++round) {
    const double start = now_us();
    sink = sink + k.peak_loop(kPeakRounds);
    const double flops_per_us = peak_flops / (now_us() - start);
    peaks.push_back(flops_per_us * 1e-3);
    for (Case& c : cases) {
      if (!c.cold) warm_round(k, flops_per_us, &c);
    }
    for (Case& c : cases) {
      if (c.cold) cold_round(k, swept.get(), flops_per_us, &c);
    }
  }
  const double peak = median(peaks);
  if (json) {
    std::printf("{\"isa\": \"%s\", \"peak_gflops\": %.1f, \"results\": [", k.isa, peak);
  } else {
    std::printf("%s, multiply-add peak %.1f GFLOP/s (median of %zu)\n%-26s %10s %8s %8s %8s %8s %8s %8s\n", k.isa, peak,
                rounds, "", "us", "% peak", "GB/s", "% read", "% limit", "x warm", "goal");
  }
  for (const Case& c : cases) {
    const double us = median(c.us), of_peak = median(c.of_peak), of_read = median(c.of_read),
                 limit = median(c.of_limit), warm = c.cold ? median(c.over_warm) : 0.0, rate = c.bytes / us * 1e-3;
    if (json) {
      std::printf(
          "%s\n{\"name\": \"%s\", \"us\": %.3f, \"gflops\": %.2f, \"percent_of_peak\": %.1f, \"weights_gb_s\": %.1f, "
          "\"percent_of_read\": %.1f, \"percent_of_limit\": %.1f, \"cold_over_warm\": %.3f, \"goal\": %g}",
          &c == cases.data() ? "" : ",", c.name.c_str(), us, c.flops / us * 1e-3, of_peak, rate, of_read, limit, warm,
          c.goal);
    } else {
      std::printf("%-26s %10.2f %8.1f %8.1f %8.1f %8.1f %8.2f %8g\n", c.name.c_str(), us, of_peak, rate, of_read, limit,
                  warm, c.goal);
    }
  }
  if (json) std::printf("\n]}\n");
  if (cases.empty()) std::fprintf(stderr, "no such case\n");
  return cases.empty() ? 1 : 0;
}

}  // namespace
}  // namespace rtvoice::bench

int main(int argc, char** argv) {
  size_t rounds = 100;
  bool json = false;
  const char* filter = "";
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--json") == 0) {
      json = true;
    } else if (std::strcmp(argv[i], "--rounds") == 0 && i + 1 < argc) {
      rounds = static_cast<size_t>(std::max(1, std::atoi(argv[++i])));
    } else if (std::strcmp(argv[i], "--filter") == 0 && i + 1 < argc) {
      filter = argv[++i];
    } else if (std::strcmp(argv[i], "--isa") == 0 && i + 1 < argc) {
      setenv("RTVOICE_ISA", argv[++i], 1);
    } else {
      std::fprintf(stderr, "usage: network_bench [--rounds N] [--filter PART] [--isa NAME] [--json]\n");
      return 2;
    }
  }
  return rtvoice::bench::run(rounds, filter, json);
}
