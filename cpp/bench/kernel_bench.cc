// Kernels against this core's own limits: multiply-add peak measured in the same run, bytes of weights per second.
//
//   kernel_bench [--isa AVX3] [--rounds 30] [--filter tcn] [--json] [--floor 60]
//
// Every round runs each case once, so that all share the machine's moods; figures are medians of the rounds' ratios, in
// thread CPU time. A case runs once untimed before each timed run, so that its weights are where they would be in a
// program that does nothing else. Cases that wait for weights are also shown as a share of what this core reads from as
// many bytes in the same round. --floor fails the run when a case with multiply-adds stays below that share of the peak: one spilled
// accumulator costs two thirds of it.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench_util.h"
#include "simd/kernels.h"

namespace rtvoice::simd {
namespace {

using bench::floats;
using bench::median;
using bench::now_us;

constexpr int kSkipped = 77;  // ctest's SKIP_RETURN_CODE

struct Case {
  std::string name;
  std::function<void()> run;
  double flops = 0;         // of one run
  double weight_bytes = 0;  // of one run
  double elements = 0;      // of one run, for pointwise kernels
  size_t repeats = 1;
  std::vector<double> us{}, read_us{};
  std::function<void()> read{};  // as many bytes, only read; or none
};

struct LayerShape {
  const char* name;
  size_t in, out, taps, dilation, rows;
  Unary act;
  bool residual;
  size_t layers;  // distinct weights in turn: more than a cache holds, or 1
  bool half = false;
};

Case gemm_case(const Kernels& k, const LayerShape& s) {
  const size_t depth = s.in * s.taps, history = s.dilation * (s.taps - 1);
  const size_t packed = (k.gemm_packed_floats(depth, s.out) + 15) / 16 * 16;
  auto input = floats((history + s.rows) * s.in), weights = floats(packed * s.layers), bias = floats(s.out),
       out = floats(s.rows * s.out), residual = floats(s.rows * s.out);
  // Any bits but infinities do for speed.
  const size_t stride = s.half ? (packed / 2 + 15) / 16 * 16 : packed;
  if (s.half) {
    uint16_t* bits = reinterpret_cast<uint16_t*>(weights.get());
    for (size_t i = 0; i < 2 * packed * s.layers; ++i)
      bits[i] = static_cast<uint16_t>(0x2000u + (i * 2654435761u >> 20 & 0x8fffu));
  }
  auto segments = std::make_shared<std::vector<const float*>>();
  for (size_t t = 0; t < s.taps; ++t) segments->push_back(input.get() + t * s.dilation * s.in);
  GemmArgs args{segments->data(), s.taps,    s.in,  s.in,   nullptr, nullptr, bias.get(),
                nullptr,          out.get(), s.out, s.rows, s.out,   {},      nullptr};
  args.epilogue.act = s.act;
  args.epilogue.residual = s.residual ? residual.get() : nullptr;
  args.epilogue.residual_ld = s.out;
  Case c;
  c.name = s.name;
  c.flops = 2.0 * static_cast<double>(depth * s.out * s.rows * s.layers);
  c.weight_bytes = (s.half ? 2.0 : 4.0) * static_cast<double>(depth * s.out * s.layers);
  if (s.rows <= 4) {
    c.read = [=, &k] {
      volatile float sink = k.read_loop(weights.get(), stride * s.layers / (8 * k.lanes) * (8 * k.lanes));
      (void)sink;
    };
  }
  c.run = [=, &k, layers = s.layers, half = s.half]() mutable {
    (void)input, (void)bias, (void)out, (void)residual, (void)segments;
    for (size_t l = 0; l < layers; ++l) {
      args.weights = weights.get() + l * stride;
      if (half) args.half = reinterpret_cast<const uint16_t*>(args.weights);
      k.gemm(args);
    }
  };
  return c;
}

Case depthwise_case(const Kernels& k, const char* name, size_t cols, size_t taps, size_t rows) {
  auto input = floats((taps + rows) * cols), weights = floats(taps * cols), bias = floats(cols),
       out = floats(rows * cols);
  auto tap = std::make_shared<std::vector<const float*>>();
  for (size_t t = 0; t < taps; ++t) tap->push_back(input.get() + t * cols);
  const DepthwiseArgs args{tap->data(), taps, cols, weights.get(), cols, bias.get(), out.get(), cols, rows, cols, {}};
  Case c;
  c.name = name;
  c.flops = 2.0 * static_cast<double>(taps * cols * rows);
  c.run = [=, &k] {
    (void)input, (void)weights, (void)bias, (void)out, (void)tap;
    k.depthwise(args);
  };
  return c;
}

Case dot_case(const Kernels& k, const char* name, size_t length, size_t step, size_t rows) {
  auto input = floats(length + rows * step), weights = floats(length), out = floats(rows);
  auto seg = std::make_shared<const float*>(input.get());
  const DotArgs args{seg.get(), 1, length, step, weights.get(), 0.0f, out.get(), 1, rows};
  Case c;
  c.name = name;
  c.flops = 2.0 * static_cast<double>(length * rows);
  c.run = [=, &k] {
    (void)input, (void)weights, (void)out, (void)seg;
    k.dot(args);
  };
  return c;
}

Case unary_case(const Kernels& k, const char* name, Unary op) {
  constexpr size_t kCount = 2048;
  auto input = floats(kCount), out = floats(kCount);
  for (size_t i = 0; i < kCount; ++i) input.get()[i] = 30.0f * std::abs(input.get()[i]) + 0.01f;
  const UnaryArgs args{op, 1.0f, 2.0f, input.get(), kCount, out.get(), kCount, 1, kCount};
  Case c;
  c.name = name;
  c.elements = kCount;
  c.run = [=, &k] {
    (void)input, (void)out;
    k.unary(args);
  };
  return c;
}

std::vector<Case> make_cases(const Kernels& k) {
  constexpr size_t kPeakRounds = 20000;
  std::vector<Case> cases(1);
  cases[0].name = "peak";
  cases[0].flops = 2.0 * 12 * static_cast<double>(kPeakRounds * k.lanes);
  cases[0].run = [&k] {
    volatile float sink = k.peak_loop(kPeakRounds);
    (void)sink;
  };
  const Unary none = Unary::kNone, relu = Unary::kRelu, tanh = Unary::kTanh;
  for (const LayerShape& s : {LayerShape{"tcn64_t160", 64, 64, 3, 16, 160, none, false, 1},
                              {"tcn64_t160_relu", 64, 64, 3, 16, 160, relu, false, 1},
                              {"tcn64_t160_tanh_res", 64, 64, 3, 16, 160, tanh, true, 1},
                              {"tcn64_t160_silu", 64, 64, 3, 16, 160, Unary::kSilu, false, 1},
                              {"tcn128_t160_tanh_res", 128, 128, 3, 16, 160, tanh, true, 1},
                              {"tcn32_t160_tanh_res", 32, 32, 3, 16, 160, tanh, true, 1},
                              {"tcn16_t160_tanh_res", 16, 16, 3, 16, 160, tanh, true, 1},
                              {"tcn8_t160_tanh_res", 8, 8, 3, 16, 160, tanh, true, 1},
                              {"tcn8_t160_relu", 8, 8, 3, 16, 160, relu, false, 1},
                              {"tcn96_t160_relu", 96, 96, 3, 16, 160, relu, false, 1},
                              {"tcn48_t160_relu", 48, 48, 3, 16, 160, relu, false, 1},
                              {"tcn64_t12_tanh_res", 64, 64, 3, 16, 12, tanh, true, 14},
                              {"tcn64_t4_tanh_res", 64, 64, 3, 16, 4, tanh, true, 14},
                              {"tcn64_t1_tanh_res", 64, 64, 3, 16, 1, tanh, true, 14},
                              {"tcn16_t1_tanh", 16, 16, 3, 16, 1, tanh, true, 20},
                              {"gemv32_k2_t1", 32, 64, 2, 1, 1, none, false, 20},
                              {"gemv128_k3_t1_l2", 128, 128, 3, 1, 1, none, false, 4},
                              {"gemv256_k3_t1_l3", 256, 256, 3, 1, 1, none, false, 8},
                              {"gemm256_k3_t2_l3", 256, 256, 3, 1, 2, none, false, 8},
                              {"gemm256_k3_t4_l3", 256, 256, 3, 1, 4, none, false, 8},
                              {"gemv128_k3_t1_l2_half", 128, 128, 3, 1, 1, none, false, 4, true},
                              {"gemv256_k3_t1_l3_half", 256, 256, 3, 1, 1, none, false, 8, true},
                              {"gemm256_k3_t2_l3_half", 256, 256, 3, 1, 2, none, false, 8, true},
                              {"gemm256_k3_t4_l3_half", 256, 256, 3, 1, 4, none, false, 8, true},
                              {"strided_32_64_s10", 320, 64, 2, 1, 48, none, false, 1},
                              {"pointwise_256_512_t160", 256, 512, 1, 1, 160, relu, false, 1}}) {
    if (!s.half || k.gemm_pack_half != nullptr) cases.push_back(gemm_case(k, s));
  }
  cases.push_back(depthwise_case(k, "depthwise128_k3_t160", 128, 3, 160));
  cases.push_back(depthwise_case(k, "depthwise512_k7_t1", 512, 7, 1));
  cases.push_back(dot_case(k, "dot_head_64x7_t160", 448, 64, 160));
  cases.push_back(dot_case(k, "dot_fir192_s3_t160", 192, 3, 160));
  for (const auto& [name, op] : {std::pair{"tanh", tanh},
                                 {"sigmoid", Unary::kSigmoid},
                                 {"exp", Unary::kExp},
                                 {"log", Unary::kLog},
                                 {"sin", Unary::kSin},
                                 {"gelu_erf", Unary::kGeluErf},
                                 {"gelu_tanh", Unary::kGeluTanh},
                                 {"silu", Unary::kSilu},
                                 {"softplus", Unary::kSoftplus},
                                 {"relu", relu}}) {
    cases.push_back(unary_case(k, name, op));
  }
  return cases;
}

double sample(const std::function<void()>& work, size_t repeats) {
  work();
  const double start = now_us();
  for (size_t i = 0; i < repeats; ++i) work();
  return (now_us() - start) / static_cast<double>(repeats);
}

struct Result {
  size_t cases = 0;
  double lowest = 100.0;  // per cent of peak
};

// Prints one table's cases.
Result bench(const Kernels& k, size_t rounds, const char* filter, bool json, bool first) {
  Result result;
  auto cases = make_cases(k);
  cases.erase(std::remove_if(cases.begin() + 1, cases.end(),
                             [&](const Case& c) { return c.name.find(filter) == std::string::npos; }),
              cases.end());
  for (Case& c : cases) {  // about 300 us a sample
    const double us = sample(c.run, 1);
    c.repeats = std::max<size_t>(1, static_cast<size_t>(300.0 / std::max(us, 0.01)));
  }
  for (size_t r = 0; r < rounds; ++r) {
    for (Case& c : cases) {
      c.us.push_back(sample(c.run, c.repeats));
      if (c.read) c.read_us.push_back(sample(c.read, c.repeats));
    }
  }
  const double peak_us = median(cases[0].us), peak = cases[0].flops / peak_us * 1e-3;
  if (!json)
    std::printf("\n%s, peak %.1f GFLOP/s\n%-26s %10s %10s %8s %8s %8s %10s\n", k.isa, peak, "", "us", "GFLOP/s",
                "% peak", "GB/s", "% read", "ns/element");
  for (size_t i = 1; i < cases.size(); ++i) {
    const Case& c = cases[i];
    const double us = median(c.us), gflops = c.flops / us * 1e-3;
    std::vector<double> ratios;  // to the peak of the same round
    for (size_t r = 0; r < rounds; ++r) ratios.push_back(c.flops / c.us[r] / (cases[0].flops / cases[0].us[r]));
    const double percent = 100 * median(ratios), gbs = c.weight_bytes / us * 1e-3,
                 ns = c.elements > 0 ? us * 1e3 / c.elements : 0;
    std::vector<double> shares;  // of what a mere read of the same bytes takes
    for (size_t r = 0; r < c.read_us.size(); ++r) shares.push_back(100 * c.read_us[r] / c.us[r]);
    const double read = shares.empty() ? 0.0 : median(shares);
    if (c.flops > 0) result.lowest = std::min(result.lowest, percent);
    if (json) {
      std::printf(
          "%s\n  {\"isa\": \"%s\", \"case\": \"%s\", \"us\": %.4f, \"gflops\": %.2f, \"peak_gflops\": %.2f, "
          "\"percent_of_peak\": %.2f, \"weights_gb_s\": %.2f, \"percent_of_read\": %.2f, \"ns_per_element\": %.4f}",
          first && i == 1 ? "" : ",", k.isa, c.name.c_str(), us, gflops, peak, percent, gbs, read, ns);
    } else {
      std::printf("%-26s %10.3f %10.1f %8.1f %8.1f %8.1f %10.3f\n", c.name.c_str(), us, gflops, percent, gbs, read, ns);
    }
  }
  result.cases = cases.size() - 1;
  return result;
}

int run(int argc, char** argv) {
  const char *isa = nullptr, *filter = "";
  size_t rounds = 30;
  double floor = 0;
  bool json = false;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--json") == 0) {
      json = true;
    } else if (i + 1 < argc && std::strcmp(argv[i], "--isa") == 0) {
      isa = argv[++i];
    } else if (i + 1 < argc && std::strcmp(argv[i], "--rounds") == 0) {
      rounds = std::max(1ul, std::strtoul(argv[++i], nullptr, 10));
    } else if (i + 1 < argc && std::strcmp(argv[i], "--filter") == 0) {
      filter = argv[++i];
    } else if (i + 1 < argc && std::strcmp(argv[i], "--floor") == 0) {
      floor = std::strtod(argv[++i], nullptr);
    } else {
      std::fprintf(stderr, "usage: %s [--isa NAME] [--rounds N] [--filter PART] [--json] [--floor PERCENT]\n", argv[0]);
      return 2;
    }
  }
  std::vector<const Kernels*> tables(8);
  tables.resize(available_kernels(tables.data(), tables.size()));
  size_t lines = 0;
  bool slow = false;
  if (json) std::printf("[");
  for (const Kernels* k : tables) {
    if (isa != nullptr && std::strcmp(isa, k->isa) != 0) continue;
    const Result r = bench(*k, rounds, filter, json, lines == 0);
    lines += r.cases;
    if (r.cases > 0 && r.lowest < floor) {
      std::fprintf(stderr, "%s: %.1f %% of peak is below the floor of %.1f\n", k->isa, r.lowest, floor);
      slow = true;
    }
  }
  if (json) std::printf("\n]\n");
  if (lines == 0) std::fprintf(stderr, "no such case, or an instruction set that this machine lacks\n");
  return lines == 0 ? kSkipped : slow ? 1 : 0;
}

}  // namespace
}  // namespace rtvoice::simd

int main(int argc, char** argv) { return rtvoice::simd::run(argc, argv); }
